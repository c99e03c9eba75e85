import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from station_agent.errors import ToolError
from station_agent.tools import exiftool, ffmpeg, ffprobe
from station_agent.tools.process import Limits, run

QUICK = Limits(time_s=10, output_bytes=1 << 20)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_run_gives_output_complaints_and_status():
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], QUICK)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", "err\n")


def test_a_missing_program_is_a_tool_error():
    with pytest.raises(ToolError, match="no-such-program cannot be started"):
        run(["no-such-program"], QUICK)


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path):
    note = tmp_path / "child"
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"took longer than 0\.5 s"):
        run(["sh", "-c", f"sleep 60 & echo $! > {note}; wait"], Limits(0.5, 1000))
    assert time.monotonic() - began < 5
    child = int(note.read_text())
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def test_a_program_that_closes_its_output_and_stays_is_killed():
    with pytest.raises(ToolError, match="took longer"):
        run(["sh", "-c", "exec >&- 2>&-; sleep 60"], Limits(0.5, 1000))


def test_a_program_that_never_stops_printing_is_killed():
    with pytest.raises(ToolError, match="printed more than 1000000 bytes"):
        run(["yes"], Limits(30, 1_000_000))


def test_complaints_are_bounded_without_stopping_the_program():
    done = run(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo done"], QUICK)
    assert done.stdout == b"done\n"
    assert len(done.stderr) <= 1 << 16


def test_a_tool_sees_little_of_our_environment(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert b"SECRET_TOKEN" not in run(["env"], QUICK).stdout


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [("12.0787333", 12079), ("0.0005", 1), ("-0.023", -23), (3, 3000), ("7", 7000)]
    + [(bad, None) for bad in ("N/A", "", None, "1e9", "nan", "inf", "1.2.3", "9" * 13, "٣", "1.x")],
)
def test_milliseconds_from_decimal_text(seconds, expected):
    assert ffprobe.milliseconds(seconds) == expected


@pytest.mark.parametrize("printed", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_ffprobes_json_is_a_tool_error(printed):
    with pytest.raises(ToolError):
        ffprobe.parse(printed, "")


def test_packet_lines_count_only_the_asked_streams():
    assert ffprobe._end_ms("0,1.500000,1.4,0.040000", frozenset({0})) == [1540]
    assert ffprobe._end_ms("0,N/A,1.4,N/A", frozenset({0})) == [1400]
    assert ffprobe._end_ms("2,9.9,9.9,1", frozenset({0, 1})) == []
    assert ffprobe._end_ms("0,N/A,N/A,1", frozenset({0})) == []
    assert ffprobe._end_ms("nonsense", frozenset({0})) == []


def test_every_input_is_guarded():
    built = ffmpeg.arguments([ffmpeg.source()["0"]], {"c": "copy"})
    for command in (ffprobe._command(Path("/x/y")), list(built)):
        before = command[: command.index("-i")]
        assert before[before.index("-protocol_whitelist") + 1] == "file,pipe"
        demuxers = set(before[before.index("-format_whitelist") + 1].split(","))
        assert not demuxers & {
            "hls",
            "concat",
            "concatf",
            "dash",
            "image2",
            "sdp",
            "rtsp",
            "lavfi",
            "srt",
            "ffmetadata",
        }
    assert ffprobe._command(Path("/x/y"))[-1] == "file:/x/y"


def test_recipes_name_no_path_of_this_machine(tmp_path):
    recipe = ffmpeg.arguments([ffmpeg.source()["0"]], {"c": "copy", "f": "mp4"})
    assert recipe[-1] == ffmpeg.OUTPUT
    assert recipe[recipe.index("-i") + 1] == ffmpeg.INPUT
    with pytest.raises(ToolError) as caught:
        ffmpeg.run_recipe(recipe, tmp_path / "absent.mp4", tmp_path / "out.mp4", 10)
    assert str(tmp_path) not in str(caught.value)


def test_the_builder_loads_no_module_that_could_import_a_file_named_test():
    """The package ``future`` has a module that imports a file named ``test`` (CVE-2025-50817); ours never loads it."""
    code = "import sys, station_agent.tools.ffmpeg; sys.exit('future.standard_library' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_versions_are_said():
    assert ffprobe.probe()[0].isdigit()
    assert ffmpeg.probe()[0].isdigit()
    assert exiftool.probe()[0].isdigit()


def inner(reader: exiftool.ExifReader) -> Any:
    """The running process behind a reader."""
    assert reader._process is not None
    return reader._process


def descendants(pid: int) -> list[int]:
    """What runs inside the walls of a process, as seen from outside."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


@pytest.fixture
def still(tmp_path: Path) -> Path:
    path = tmp_path / "s.jpg"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=s=16x16", "-frames:v", "1", path], check=True)
    return path


def test_exiftool_that_takes_too_long_is_killed_and_the_next_file_is_read(still, monkeypatch):
    reader = exiftool.ExifReader()
    reader.read(still)
    process = inner(reader)._process
    inner(reader)._limits = Limits(0.2, 1 << 20)
    for pid in (process.pid, *descendants(process.pid)):
        os.kill(pid, signal.SIGSTOP)  # it will not answer, however slow we are
    tags = reader.read(still)  # the second try runs in a fresh process, without timed metadata
    assert tags["File:FileType"] == "JPEG"
    assert process.poll() is not None
    reader.close()


def test_exiftool_that_prints_too_much_is_stopped(still):
    reader = exiftool.ExifReader(Limits(30, 10))
    with pytest.raises(ToolError, match="printed more than 10 bytes"):
        reader.read(still)
    reader.close()


def test_exiftool_that_died_is_started_anew(still):
    reader = exiftool.ExifReader()
    reader.read(still)
    inner(reader)._process.kill()
    inner(reader)._process.wait()
    assert reader.read(still)["File:FileType"] == "JPEG"
    reader.close()


def test_exiftool_is_started_anew_after_some_files_and_ended_by_close(still):
    reader = exiftool.ExifReader(files_per_process=2)
    pids = []
    for _ in range(5):
        reader.read(still)
        pids.append(inner(reader)._process.pid)
    assert len(set(pids)) == 3
    reader.close()
    assert not any(alive(pid) for pid in pids)


@pytest.mark.integration
@pytest.mark.timeout(60)
def test_a_process_that_is_stopped_at_any_moment_leaves_nothing_behind():
    for number in range(40):
        process = exiftool._Bounded(exiftool.READ, Path(__file__), exiftool.WALLED)
        process.run()
        time.sleep(number / 2000)
        process.stop()  # waited for ever for a bwrap that was killed while it built its walls
        assert not process.running
    assert wait_until(lambda: not programs_with(Path(__file__)))


def programs_with(file: Path) -> list[str]:
    """Running programs that were given this file; those that ended and wait to be reaped have no command line."""
    lines = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(one.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if str(file) in line and "bwrap" in line]


def wait_until(holds: Callable[[], bool]) -> bool:
    return any(holds() or time.sleep(0.05) for _ in range(100))


def test_a_line_break_never_reaches_exiftool(tmp_path):
    reader = exiftool.ExifReader()
    with pytest.raises(ToolError, match="line break"):
        reader.read(Path(os.fspath(tmp_path) + "/a\n-execute\nb"))
    reader.close()


class Overheard:
    """A pipe that remembers what was written to it."""

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.lines = pipe, list[bytes]()

    def write(self, data: bytes) -> int:
        self.lines += data.splitlines()
        return int(self.pipe.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipe, name)


def test_a_file_cannot_know_the_mark_that_ends_an_answer(still):
    reader = exiftool.ExifReader()
    reader.read(still)
    overheard = Overheard(inner(reader)._process.stdin)
    inner(reader)._process.stdin = overheard
    for _ in range(3):
        reader.read(still)
    marks = [line for line in overheard.lines if line.startswith(b"-execute")]
    assert len(set(marks)) == len(marks) == 3
    reader.close()

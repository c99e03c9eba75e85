"""The walls around media tools: the argument list as a table, and what a program inside really can do."""

import dataclasses
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from station_agent import status
from station_agent.config import load
from station_agent.describe import Describer
from station_agent.errors import ToolError
from station_agent.tools import exiftool, ffmpeg, ffprobe
from station_agent.tools.process import Limits
from station_agent.tools.sandbox import BWRAP, MAX_PROCESSES, WALLED, Reach, Sandbox, unwalled, walled
from tests.conftest import ROOT, walls_can_stand

pytestmark = pytest.mark.skipif(
    not walls_can_stand(), reason="the kernel makes no user namespaces here, as in a chroot, so no walls"
)
QUICK = Limits(time_s=30, output_bytes=1 << 20, memory_bytes=1 << 30, cpu_s=20, file_bytes=1 << 20)
NOWHERE = Reach()
NO_WALLS = Sandbox(enabled=False)
LIMITED = ["prlimit", "--as=1073741824", "--cpu=20", "--fsize=1048576", "--core=0"]
ONE, OTHER = Path("/spool/one"), Path("/spool/other")


def inside(
    code: str, reach: Reach = NOWHERE, sandbox: Sandbox = WALLED, **limits: int
) -> subprocess.CompletedProcess[str]:
    """A program that was taken over: this Python code, at that place."""
    done = sandbox.run(["/usr/bin/python3", "-c", code], reach, dataclasses.replace(QUICK, **limits))
    return subprocess.CompletedProcess([], done.returncode, done.stdout.decode(), done.stderr)


@pytest.mark.parametrize(
    ("reach", "binds"),
    [
        (Reach(), []),
        (Reach(ONE), ["--ro-bind", "/spool/one", "/spool/one"]),
        (Reach(None, OTHER), ["--bind", "/spool/other", "/spool/other"]),
        (Reach(ONE, OTHER), ["--ro-bind", "/spool/one", "/spool/one", "--bind", "/spool/other", "/spool/other"]),
    ],
)
def test_the_argument_list(reach, binds):
    inner = [*LIMITED, f"--nproc={MAX_PROCESSES}", "--", "ffprobe", "x"]
    assert walled(["ffprobe", "x"], reach, QUICK) == [
        *BWRAP,
        *binds,
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
        "--",
        *inner,
    ]
    assert unwalled(["ffprobe", "x"], QUICK) == ["setpriv", "--pdeathsig", "KILL", "--", *LIMITED, "--", "ffprobe", "x"]


def test_only_what_is_named_is_bound():
    """Whatever is added to the list later is looked at again: no home, no keys, no writable folder."""
    binds = [BWRAP[at : at + 2] for at, word in enumerate(BWRAP) if "bind" in word]
    assert binds == [
        ("--ro-bind", "/usr"),
        ("--ro-bind-try", "/etc/ld.so.cache"),
        ("--ro-bind-try", "/etc/alternatives"),
    ]


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_network_is_reached(listener):
    code = f"import socket; socket.create_connection(('127.0.0.1', {listener}), 5); print('reached')"
    assert "reached" in inside(code, sandbox=NO_WALLS).stdout  # so that the proof below is one
    assert "Connection refused" in inside(code).stderr
    assert inside("import os; print(sorted(os.listdir('/sys/class/net')))").returncode


def test_neither_a_key_nor_another_file_is_seen(tmp_path):
    key, clip = tmp_path / "key.pem", tmp_path / "clip"
    key.write_text("secret")
    clip.write_text("clip")
    code = f"import os; print(open({str(key)!r}).read())"
    assert "secret" in inside(code, Reach(clip), NO_WALLS).stdout
    assert "No such file" in inside(code, Reach(clip)).stderr
    seen = inside(f"import os; print(os.listdir({str(tmp_path)!r}), sorted(os.listdir('/')))", Reach(clip)).stdout
    top = {"bin", "dev", "etc", "lib", "lib64", "tmp", "usr", tmp_path.parts[1]}
    assert seen.split() == str([clip.name]).split() + str(sorted(top)).split()
    assert inside("import os; print(os.listdir('/home'), os.listdir('/root'))").returncode


def test_a_link_leads_to_its_file_and_to_nothing_beside_it(tmp_path):
    (tmp_path / "spool").mkdir()
    original = tmp_path / "spool/one"
    original.write_text("clip")
    (tmp_path / "media").symlink_to(original)
    assert inside(f"print(open({str(tmp_path / 'media')!r}).read())", Reach(tmp_path / "media")).stdout == "clip\n"
    assert inside(f"open({str(original)!r})", Reach(tmp_path / "media")).returncode


@pytest.mark.parametrize("place", ["{clip}", "/new", "/usr/new", "/etc/new", "/dev/new"])
def test_nothing_outside_is_written(tmp_path, place):
    clip = tmp_path / "clip"
    clip.write_text("clip")
    where = place.format(clip=clip)
    assert "Read-only file system" in inside(f"open({where!r}, 'a').write('forged')", Reach(clip)).stderr
    assert clip.read_text() == "clip"


def test_the_folder_of_a_file_cannot_be_changed(tmp_path):
    """Below ``/tmp`` it is one of the sandbox's own, which is gone with it."""
    (tmp_path / "clip").write_text("clip")
    inside(f"open({str(tmp_path / 'new')!r}, 'w').write('forged')", Reach(tmp_path / "clip"))
    inside(f"import os; os.unlink({str(tmp_path / 'clip')!r})", Reach(tmp_path / "clip"))
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_the_one_result_is_written(tmp_path):
    result = tmp_path / "result"
    result.touch()
    assert inside(f"open({str(result)!r}, 'w').write('made')", Reach(None, result)).returncode == 0
    assert result.read_text() == "made"


def test_more_memory_than_allowed_is_refused():
    code = "print(len(bytearray(600 << 20)))"
    assert inside(code).stdout == f"{600 << 20}\n"
    assert "MemoryError" in inside(code, memory_bytes=500 << 20).stderr


def test_a_result_larger_than_allowed_ends_the_program(tmp_path):
    result = tmp_path / "result"
    result.touch()
    default = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)"  # Python ignores it
    code = f"{default}; open({str(result)!r}, 'wb').write(bytes(3 << 20))"
    with pytest.raises(ToolError, match=r"went beyond what it may use and was ended \(size of a file\)"):
        inside(code, Reach(None, result))
    assert result.stat().st_size == 1 << 20


def test_more_processor_time_than_allowed_ends_the_program():
    with pytest.raises(ToolError, match=r"was ended \(processor time\)"):
        inside("while True: pass", cpu_s=1)


def test_the_folder_for_scraps_is_small_and_gone_afterwards():
    code = "for i in range(200): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))"
    assert "No space left" in inside(code, file_bytes=1 << 30).stderr
    assert inside("import os; print(os.listdir('/tmp'))").stdout == "[]\n"


def test_no_privilege_no_other_process_and_little_of_our_environment(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    said = inside("import os; print(os.getuid(), os.getppid(), *sorted(os.environ))").stdout.split()
    assert said[:2] == ["65534", "1"]
    assert set(said[2:]) - {"LC_CTYPE"} == {"HOME", "LC_ALL", "PATH", "PWD", "TZ"}
    assert "Operation not permitted" in inside("import socket; socket.sethostname('x')").stderr
    assert "No such process" in inside(f"import os; os.kill({os.getpid()}, 0)").stderr


def test_what_runs_inside_dies_with_the_thread_that_started_it():
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        argv = walled(["sh", "-c", "echo; exec sleep 60"], Reach(), QUICK)
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
        assert started[0].stdout is not None
        started[0].stdout.read(1)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    started[0].communicate(timeout=10)  # its pipe is closed when the last process inside is gone
    assert started[0].returncode == -signal.SIGKILL


def test_a_tool_that_was_never_started_says_nothing_of_a_file(tmp_path):
    """bwrap's own failure has the exit status of a program that cannot read the file: it must not become a finding."""
    with pytest.raises(ToolError, match=r"ffprobe was not started: bwrap: Can't find source path absent") as caught:
        ffprobe.show(tmp_path / "absent")
    assert not isinstance(caught.value, ffprobe.UnreadableError)


@pytest.fixture
def without_bwrap(tmp_path, monkeypatch) -> None:
    """A machine with every program but bubblewrap."""
    for name in ("true", "prlimit", "setpriv", "ffmpeg", "ffprobe", "exiftool", "nice", "perl", "sh"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))


REASON = "bwrap cannot be started: No such file or directory; bubblewrap 0.8 or newer must be installed"


@pytest.mark.usefixtures("without_bwrap")
def test_without_walls_nothing_is_read_unless_that_is_allowed(tmp_path):
    for tool in (ffprobe.probe, ffmpeg.probe, exiftool.probe):
        with pytest.raises(ToolError, match=REASON):
            tool(Sandbox())
        assert tool(Sandbox(required=False))[0].isdigit()
        assert tool(NO_WALLS)[0].isdigit()
    with pytest.raises(ToolError, match=REASON):
        exiftool.ExifReader(sandbox=Sandbox()).read(tmp_path / "x")


@pytest.mark.usefixtures("without_bwrap")
@pytest.mark.parametrize(
    ("sandbox", "reason"),
    [
        (Sandbox(), REASON),
        (Sandbox(required=False), REASON),
        (NO_WALLS, r"read without walls: \[sandbox\] enabled = false"),
    ],
)
def test_status_and_doctor_say_that_there_are_no_walls(sandbox, reason):
    with pytest.raises(ToolError, match=reason):
        sandbox.probe()
    troubles = status.with_sandbox({"troubles": ["another"]}, sandbox)["troubles"]
    assert re.search(reason, troubles[0]["reason"])
    assert troubles[1:] == ["another"]


def test_with_walls_there_is_nothing_to_say():
    assert Sandbox().probe()[0].isdigit()
    assert status.with_sandbox({"troubles": []}, Sandbox())["troubles"] == []


def test_walls_that_went_away_stop_descriptions_and_are_no_fault_of_the_file(tmp_path, monkeypatch):
    """Once they are back, it goes on."""
    describer = Describer(load(ROOT / "config/station-agent.toml").zone, tmp_path / "work", sandbox := Sandbox())
    sandbox.ready()
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=REASON):
        describer.describe(tmp_path / "clip", None, None, None, 0)  # type: ignore[arg-type]  # nothing is looked at
    monkeypatch.setenv("PATH", path)
    sandbox.ready()
    describer.close()


def test_walls_are_the_default_of_the_configuration():
    settings = load(ROOT / "config/station-agent.toml").sandbox
    assert (settings.enabled, settings.required) == (True, True)
    assert (WALLED.enabled, WALLED.required) == (True, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("who", ["an ordinary user", "the service"])
def test_the_walls_stand_for(who):
    """The service is root with the capabilities its unit leaves; CAP_SETFCAP is what a user namespace of root needs."""
    unit = (ROOT / "systemd/station-agent.service").read_text()
    names = re.findall(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)[0].lower().replace("cap_", "").split()
    kept = ",".join(["-all", *(f"+{name}" for name in names)])
    change = {
        "an ordinary user": ["--reuid=65534", "--regid=65534", "--clear-groups"],
        "the service": ["--inh-caps=-all", f"--bounding-set={kept}"],
    }[who]
    argv = ["setpriv", "--no-new-privs", *change, "--", *walled(["id", "-u"], Reach(), QUICK)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
    assert (done.returncode, done.stdout, done.stderr) == (0, "65534\n", "")

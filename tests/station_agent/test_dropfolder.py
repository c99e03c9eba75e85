import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from custody.canonical import canonical_bytes
from station_agent.dropfolder import AGAIN_S, MAX_SIDECAR_BYTES, DropFolder, Statement, parse_statement, read_statement

SETTLE_S = 0.2


@pytest.fixture
def delivered(tmp_path):
    """The folder, and the list of what was given so far."""
    folder, stop, given = tmp_path / "drop", threading.Event(), []
    folder.mkdir()
    (folder / "already-there.mp4").write_bytes(b"before the start")

    def collect() -> None:
        for file in DropFolder(folder, SETTLE_S).files(stop):
            given.append(file.path.decode())  # noqa: PERF401  # given while it runs

    thread = threading.Thread(target=collect)
    thread.start()
    yield folder, given
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def wait_for(given: list[str], *names: str) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if set(names) <= set(given):
            return
        time.sleep(0.02)
    pytest.fail(f"{names} did not all come; there are {given}")


def test_what_is_there_and_what_comes_is_given_once(delivered):
    folder, given = delivered
    wait_for(given, "already-there.mp4")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "clip.mp4").write_bytes(b"clip")
    (folder / "a\nb.mp4").write_bytes(b"clip")
    wait_for(given, "deep/er/clip.mp4", "a\nb.mp4")
    time.sleep(3 * SETTLE_S)
    assert sorted(given) == ["a\nb.mp4", "already-there.mp4", "deep/er/clip.mp4"]


def test_a_file_that_grows_or_is_held_open_waits(delivered):
    folder, given = delivered
    with (folder / "growing.mp4").open("wb") as file:
        for _ in range(4):
            file.write(b"more")
            file.flush()
            time.sleep(SETTLE_S / 2)
        time.sleep(4 * SETTLE_S)
        assert "growing.mp4" not in given
    wait_for(given, "growing.mp4")


def test_a_file_that_is_appended_to_and_closed_each_time_waits_until_it_stands_still(tmp_path):
    folder, now_s = DropFolder(tmp_path, settle_s=5), 100.0
    for number in range(4):
        with (tmp_path / "clip.mp4").open("ab") as file:
            file.write(b"more")
        assert list(folder._settled(now_s + number)) == []
    assert list(folder._settled(now_s + 7.9)) == []
    assert [file.path for file in folder._settled(now_s + 8)] == [b"clip.mp4"]
    assert list(folder._settled(now_s + 99)) == []


def test_a_file_held_open_by_another_process_waits(delivered):
    folder, given = delivered
    code = "import sys; f = open(sys.argv[1], 'wb'); f.write(b'x'); f.flush(); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, str(folder / "held.mp4")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        time.sleep(4 * SETTLE_S)
        assert "held.mp4" not in given
        writer.communicate()
    wait_for(given, "held.mp4")


def test_a_replaced_file_is_given_again(delivered):
    folder, given = delivered
    wait_for(given, "already-there.mp4")
    (folder / "already-there.mp4").write_bytes(b"other content of another length")
    end = time.monotonic() + 10
    while given.count("already-there.mp4") < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert given.count("already-there.mp4") == 2


def test_links_and_special_files_come_with_the_reason_why_they_are_refused(tmp_path):
    (tmp_path / "link.mp4").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    folder = DropFolder(tmp_path, settle_s=1)
    list(folder._settled(100.0))
    refused = {file.path: file.refused for file in folder._settled(101.0)}
    assert refused == {b"link.mp4": "symlink", b"folder": "symlink", b"fifo.mp4": "fifo", b"clip.mp4": ""}


def test_a_sidecar_is_a_file_of_its_own_and_its_file_waits_for_it(tmp_path):
    for name in ("clip.mp4", "export", "export.json", "lonely.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "clip.mp4.json").write_bytes(b"x" * (MAX_SIDECAR_BYTES + 1))
    folder = DropFolder(tmp_path, settle_s=1)
    list(folder._settled(100.0))
    (tmp_path / "clip.mp4.json").write_bytes(b"y" * (MAX_SIDECAR_BYTES + 2))
    assert [file.path for file in folder._settled(101.0)] == [b"export", b"export.json", b"lonely.json"]
    assert [file.path for file in folder._settled(102.0)] == [b"clip.mp4", b"clip.mp4.json"]


def test_a_file_without_room_waits_and_holds_up_no_other(tmp_path):
    room = [1000]
    (tmp_path / "big.mp4").write_bytes(b"b" * 2000)
    (tmp_path / "small.mp4").write_bytes(b"s")
    folder = DropFolder(tmp_path, settle_s=0, has_room=lambda size: size <= room[0])
    now_s = time.monotonic()
    list(folder._settled(now_s))
    assert [file.path for file in folder._settled(now_s)] == [b"small.mp4"]
    assert list(folder._settled(now_s + AGAIN_S / 2)) == []
    room[0] = 3000
    assert [file.path for file in folder._settled(now_s + AGAIN_S + 5)] == [b"big.mp4"]


def test_a_file_that_could_not_be_taken_is_offered_again(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    folder = DropFolder(tmp_path, settle_s=0)
    now_s = time.monotonic()
    list(folder._settled(now_s))
    [file] = folder._settled(now_s)
    folder.later(file)
    assert list(folder._settled(now_s + AGAIN_S / 2)) == []
    assert list(folder._settled(now_s + AGAIN_S + 5)) == [file]


def test_a_statement_is_read(tmp_path):
    stated = {"recorder": "R1", "officer": "123456", "start": "2024-01-31T12:00:00+08:00", "case": "案-1", "more": [1]}
    (tmp_path / "clip.mp4.json").write_text(json.dumps(stated), encoding="utf-8")
    assert read_statement(tmp_path / "clip.mp4") == Statement("R1", "123456", "2024-01-31T12:00:00+08:00", "案-1")


def test_no_sidecar_states_nothing(tmp_path):
    assert read_statement(tmp_path / "clip.mp4") == Statement()


def test_a_sidecar_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").write_text('{"officer": "123456"}')
    (tmp_path / "clip.mp4.json").symlink_to(tmp_path / "real")
    assert read_statement(tmp_path / "clip.mp4") == Statement()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'{"officer": 7}', b"\xff", b"[" * 60_000, b" " * (MAX_SIDECAR_BYTES + 1)],
)
def test_a_bad_sidecar_is_a_problem_and_no_exception(tmp_path, data):
    statement = parse_statement(data)
    assert statement.problem
    assert statement == Statement(problem=statement.problem)


@pytest.mark.parametrize(
    "officer",
    ["\ud800", "x" * 60_000, "1\n2", "\u202e1", "\U0001f693" * 1000],
    ids=["surrogate", "long", "line", "bidi", "4b"],
)
def test_what_is_stated_can_always_be_recorded_and_the_change_is_said(officer):
    statement = parse_statement(json.dumps({"officer": officer, "case": "案-1"}).encode())
    assert statement.case == "案-1"
    assert statement.officer != officer
    assert "officer" in statement.problem
    assert len(canonical_bytes(asdict(statement))) < 2_000


def test_the_folder_must_be_there(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        next(iter(DropFolder(Path(tmp_path / "nowhere"), SETTLE_S).files(threading.Event())))

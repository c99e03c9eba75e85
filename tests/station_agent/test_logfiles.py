import os
from pathlib import Path

import pytest

from custody.canonical import JsonObject
from custody.log import CHECKPOINT, SNAPSHOT, Log
from custody.record import Draft
from station_agent.errors import LogFilesError
from station_agent.logfiles import ENTRIES, AuditedLogFiles, PosixLogFiles
from station_agent.seal import new_id
from tests.fakes.station_world import ORIGIN, SIGNER, START_MS


def draft(reason: str) -> Draft:
    time: JsonObject = {"utc_ms": START_MS, "source": "none", "boot_id": "x", "mono_ns": "0"}
    return Draft("log.recovered", new_id(START_MS), time, {"reason": reason})


def filled(folder: Path) -> Log:
    log = Log(PosixLogFiles(folder), ORIGIN, [SIGNER.verify_key()])
    log.append([draft("a"), draft("b")], [SIGNER])
    log.checkpoint(SIGNER)
    return log


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path):
    log = filled(tmp_path / "log")
    again = Log(PosixLogFiles(tmp_path / "log"), ORIGIN, [SIGNER.verify_key()])
    assert (again.size, again.chain.root()) == (2, log.chain.root())


def test_reading_from_an_offset_and_truncating(tmp_path: Path):
    files = PosixLogFiles(tmp_path)
    files.append(b"abc\n")
    files.append(b"def\n")
    assert b"".join(files.read(4)) == b"def\n"
    files.truncate(4)
    assert b"".join(files.read(0)) == b"abc\n"


def test_an_index_file_is_written_anywhere_and_read_as_far_as_it_goes(tmp_path: Path):
    files = PosixLogFiles(tmp_path)
    assert (files.length("ends"), files.read_at("ends", 0, 8)) == (0, b"")
    files.write_at("ends", 0, b"abcdefgh")
    files.write_at("ends", 4, b"EFGHijkl")
    assert (files.length("ends"), files.read_at("ends", 2, 4), files.read_at("ends", 10, 8)) == (12, b"cdEF", b"kl")


def test_every_append_is_synced(tmp_path: Path, monkeypatch):
    files = PosixLogFiles(tmp_path)
    synced: list[int] = []
    real = os.fdatasync

    def counted(fd: int) -> None:
        synced.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", counted)
    files.append(b"abc\n")
    assert len(synced) == 1


def test_an_auditor_changes_nothing_and_reads_everything(tmp_path: Path):
    filled(tmp_path)
    with (tmp_path / ENTRIES).open("ab") as file:
        file.write(b"half an en")
    before, index = (tmp_path / ENTRIES).read_bytes(), b"not to be believed"
    (tmp_path / "ends").write_bytes(index)
    files = AuditedLogFiles(tmp_path)
    log = Log(files, ORIGIN, [SIGNER.verify_key()])
    assert (log.size, log.torn_bytes) == (2, 10)
    assert (tmp_path / ENTRIES).read_bytes() == before
    assert files.get(SNAPSHOT) is None
    assert log.entry(1).record.payload["reason"] == "b"
    assert (tmp_path / "ends").read_bytes() == index
    assert files.get(CHECKPOINT) is not None
    for refused in (lambda: files.append(b"x"), lambda: files.put("x", b"x")):
        with pytest.raises(LogFilesError):
            refused()


def test_errors_of_the_medium_are_said_in_our_words(tmp_path: Path):
    files = PosixLogFiles(tmp_path / "log")
    (tmp_path / "log" / ENTRIES).unlink()
    (tmp_path / "log" / "tree.0").mkdir()
    for call in (lambda: files.write_at("tree.0", 0, b"x"), lambda: files.read_at("tree.0", 0, 1)):
        with pytest.raises(LogFilesError, match=r"tree\.0"):
            call()
    for call in (lambda: files.append(b"x"), lambda: list(files.read(0)), lambda: files.truncate(0)):
        with pytest.raises(LogFilesError, match=r"entries\.jsonl"):
            call()
    with pytest.raises(LogFilesError):
        AuditedLogFiles(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(LogFilesError):
        PosixLogFiles(tmp_path / "file" / "log")

import threading
from pathlib import Path
from typing import Any

import pytest

from custody.errors import ContractError
from station_agent.errors import JournalError, LogFilesError
from tests.fakes.log_files import Fault, MemoryLogFiles
from tests.fakes.station_world import World


class SlowLogFiles(MemoryLogFiles):
    """Every append waits for leave, so that requests pile up behind the first."""

    def __init__(self) -> None:
        super().__init__(chunk=65536)
        self.leave = threading.Event()
        self.appends = 0

    def append(self, data: bytes) -> None:
        self.appends += 1
        self.leave.wait(10)
        super().append(data)


def test_facts_that_are_ready_together_share_one_write(tmp_path: Path):
    files = SlowLogFiles()
    seal = World(tmp_path, files).start().seal
    threads = [threading.Thread(target=seal.append, args=("log.recovered", {"reason": str(n)})) for n in range(20)]
    for thread in threads:
        thread.start()
    while len(seal._waiting) < 19:
        pass
    files.leave.set()
    for thread in threads:
        thread.join()
    assert files.appends == 2
    assert [e.seq for e in seal.entries(0)] == list(range(20))
    assert {e.record.payload["reason"] for e in seal.entries(0)} == {str(n) for n in range(20)}


def test_a_bad_body_spoils_nobody_elses_write(tmp_path: Path):
    seal = World(tmp_path).start().seal
    bodies: tuple[Any, ...] = ({"reason": 1.5}, {"reason": "x" * 60_000}, {})
    for body in bodies:
        with pytest.raises(ContractError):
            seal.append("log.recovered", body)
    assert seal.append("log.recovered", {"reason": "x"}).seq == 0


def test_after_an_error_of_the_medium_nothing_is_sealed_until_restart(tmp_path: Path):
    files = MemoryLogFiles(chunk=65536)
    world = World(tmp_path, files)
    station = world.start()
    files.fail_at, files.fault = files.writes, Fault.TORN
    with pytest.raises(LogFilesError):
        station.seal.append("log.recovered", {"reason": "a"})
    with pytest.raises(LogFilesError, match="opened anew"):
        station.seal.append("log.recovered", {"reason": "b"})
    with pytest.raises(LogFilesError, match="opened anew"):
        station.seal.checkpoint()
    again = world.start()
    reasons = [str(e.record.payload["reason"]) for e in again.seal.entries(0)]
    assert len(reasons) == 1
    assert reasons[0].startswith("half an entry")


def test_a_journal_of_another_history_is_refused(tmp_path: Path):
    world = World(tmp_path / "a")
    world.start().seal.append("log.recovered", {"reason": "mine"})
    other = World(tmp_path / "b")
    other.start().seal.append("log.recovered", {"reason": "other"})
    world.files = other.files
    with pytest.raises(JournalError, match="is not the one"):
        world.start()

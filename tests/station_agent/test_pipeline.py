import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from custody.errors import CustodyError
from station_agent import pipeline as rooms
from station_agent.docking import MAX_FILES, MAX_LIST_BYTES, UNMEASURED, batches, listed
from station_agent.errors import AgentError, CopyError, JournalError
from station_agent.model import ClockReading, RecorderUndocked, SourceFile
from station_agent.pipeline import Space, Summary, final_state
from station_agent.states import BayState, ClipState
from tests.fakes.log_files import Fault, MemoryLogFiles
from tests.fakes.station_world import CrashingJournal, FakeCopier, KilledError, Station, When, World

NAMES = ["DCIM/a.MP4", "DCIM/b.MP4", "c.mp4"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for name in NAMES:
        made.put(name, name.encode() * 100)
    return made


def sealed_sources(station: Station) -> list[str]:
    entries = station.seal.entries(0)
    return [str(e.record.block("source")["path"]) for e in entries if e.record.event == "ingest.copied"]


def check_invariants(station: Station, names: list[str]) -> None:
    """Every file sealed exactly once, its copy equal; nothing temporary left; journal and log agree."""
    world = station.world
    assert sorted(sealed_sources(station)) == sorted(names)
    spooled = {hashlib.sha256(p.read_bytes()).hexdigest() for p in world.spool.rglob("*") if p.is_file()}
    assert spooled == {hashlib.sha256((world.card / n).read_bytes()).hexdigest() for n in names}
    assert len([p for p in world.spool.rglob("*") if p.is_file()]) == len(names)
    assert not list(world.spool.rglob("*.part"))
    assert station.journal.applied == station.seal.size
    assert [seq for seq, _ in station.journal.due_entries(2**52, 10_000, 0)] == list(range(station.seal.size))
    assert len(station.journal.in_state(ClipState.SEALED)) == len(names)
    assert sorted(seen_paths(station)) == sorted(names)


def seen_paths(station: Station) -> list[str]:
    lists: list[Any] = [e.record.payload["files"] for e in station.seal.entries(0) if e.record.event == "ingest.seen"]
    return [file["path"] for files in lists for file in files]


def test_the_story_in_order(world):
    station = world.start()
    summary = station.pipeline.docked(station.event())
    assert (summary.found, summary.sealed, summary.failed, summary.open) == (3, 3, 0, 0)
    assert station.events() == ["device.docked", "ingest.seen", *["ingest.copied"] * 3]
    assert station.seal.latest.checkpoint.size == 5
    check_invariants(station, NAMES)
    assert station.board.tiles()[0].state is BayState.WAITING_UPLOAD


def test_docking_again_copies_nothing_twice(world):
    station = world.start()
    station.pipeline.docked(station.event())
    station.pipeline.undocked(RecorderUndocked(str(world.card), 0))
    assert station.events()[-1] == "device.undocked"
    assert station.seal.entries(station.seal.size - 1)[0].record.payload["reason"] == "removed"
    world.copier.copied.clear()
    station.pipeline.docked(station.event())
    assert world.copier.copied == []
    assert station.board.tiles()[0].state is BayState.NO_NEW_DATA
    check_invariants(station, NAMES)


def test_a_failed_file_is_said_and_tried_again_at_the_next_docking(world):
    world.copier.reasons[b"b.MP4"] = "reread-differs"
    station = world.start()
    assert station.pipeline.docked(station.event()).failed == 1
    assert station.board.tiles()[0].state is BayState.ERROR
    failed = [e.record for e in station.seal.entries(0) if e.record.event == "ingest.failed"]
    assert [(r.block("source")["path"], r.payload["reason"]) for r in failed] == [("DCIM/b.MP4", "reread-differs")]
    world.copier.reasons.clear()
    assert station.pipeline.docked(station.event()).failed == 0
    check_invariants(station, NAMES)


def test_pulled_in_mid_copy_then_put_back(world):
    station = world.start()

    def pull() -> None:
        if len(world.copier.copied) == 2:
            station.pipeline.undocked(RecorderUndocked(str(world.card), 0))

    world.copier.during = pull
    station.pipeline.docked(station.event())
    assert station.events()[-2:] == ["ingest.failed", "device.undocked"]
    assert station.seal.entries(station.seal.size - 1)[0].record.payload["reason"] == "pulled-early"
    assert station.board.tiles()[0].state is BayState.PULLED_EARLY
    world.copier.during = lambda: None
    station.pipeline.docked(station.event())
    check_invariants(station, NAMES)


def test_no_space_keeps_the_data_on_the_recorder(world):
    station = world.start()
    station.pipeline._space = Space(world.spool, free_bytes=lambda _: 0)
    summary = station.pipeline.docked(station.event())
    assert (summary.open, summary.failed, summary.reason) == (3, 0, "no-space")
    assert station.board.tiles()[0].state is BayState.NO_SPACE
    assert "ingest.failed" not in station.events()
    station.pipeline._space = Space(world.spool)
    station.pipeline.docked(station.event())
    check_invariants(station, NAMES)


def test_space_is_promised_once():
    space = Space(Path("/"), free_bytes=lambda _: rooms.SPARE_BYTES + 10)
    with space.reserved(10), pytest.raises(CopyError, match="no-space"), space.reserved(1):
        pass
    with space.reserved(10):
        pass


def test_a_stop_leaves_no_half_state(world):
    station = world.start()
    world.copier.during = station.stop.set
    assert station.pipeline.docked(station.event()).open == 3
    assert not list(world.spool.rglob("*.part"))
    world.copier.during = lambda: None
    again = world.start()
    again.pipeline.docked(again.event())
    check_invariants(again, NAMES)


def test_what_is_no_recording_is_said_once_and_never_opened(world):
    (world.card / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(world.card / "pipe")
    station = world.start()
    assert station.pipeline.docked(station.event()).refused == 2
    assert station.board.tiles()[0].state is BayState.SAFE_WITH_WARNINGS
    station.pipeline.docked(station.event())
    failed = [e.record.payload["reason"] for e in station.seal.entries(0) if e.record.event == "ingest.failed"]
    assert sorted(failed) == ["fifo", "symlink"]


def test_a_file_that_vanished_before_it_was_copied_leaves_a_trace(world):
    world.copier.die_at = 0
    station = world.start()
    with pytest.raises(KilledError):
        station.pipeline.docked(station.event())
    world.copier.revive()
    (world.card / "c.mp4").unlink()
    again = world.start()
    again.pipeline.docked(again.event())
    failed = [e.record for e in again.seal.entries(0) if e.record.event == "ingest.failed"]
    assert [(r.block("source")["path"], r.payload["reason"]) for r in failed] == [("c.mp4", "source-vanished")]


def test_names_that_are_no_text(world):
    name = b"\xff\n'../\"x.mp4".replace(b"/", b"_")
    (world.card / os.fsdecode(name)).write_bytes(b"odd")
    station = world.start()
    assert station.pipeline.docked(station.event()).failed == 0
    sources = [e.record.block("source") for e in station.seal.entries(0) if e.record.event == "ingest.copied"]
    odd = [s for s in sources if "path_b64" in s]
    assert len(odd) == 1
    assert "\n" not in str(odd[0]["path"])


def test_copy_longer_than_listed_is_not_sealed(world, monkeypatch):
    station = world.start()
    world.copier.during = lambda: (world.card / "DCIM/a.MP4").write_bytes(b"longer" * 1000)
    copy = world.copier.copy

    def reads_late(root, path, temporary, on_progress):
        world.copier.during()
        return copy(root, path, temporary, on_progress)

    monkeypatch.setattr(world.copier, "copy", reads_late)
    assert station.pipeline.docked(station.event()).failed == 1


# The crash matrix: every write of the log, every transaction, every step of the copier, each lost or kept.


@pytest.mark.parametrize("fault", list(Fault))
def test_crash_at_every_write_of_the_log(tmp_path, fault):
    crashes = 0
    for number in range(100):
        files = MemoryLogFiles(fail_at=number, fault=fault, chunk=4096)
        world = World(tmp_path / str(number), files)
        for name in NAMES:
            world.put(name, name.encode() * 100)
        try:
            station = world.start()
            station.pipeline.docked(station.event())
        except (AgentError, CustodyError, OSError):
            crashes += 1
        if files.writes <= number:
            break
        files.fail_at = -1
        again = world.start()
        again.pipeline.docked(again.event())
        check_invariants(again, NAMES)
    assert crashes >= 7


@pytest.mark.parametrize("when", list(When))
def test_crash_at_every_transaction_of_the_journal(tmp_path, when):
    crashes = 0
    for number in range(100):
        world = World(tmp_path / str(number), MemoryLogFiles(chunk=4096))
        for name in NAMES:
            world.put(name, name.encode() * 100)
        journal = world.journal(CrashingJournal)
        journal.die_at, journal.when, journal.transactions = number, when, 0  # type: ignore[attr-defined]
        try:
            station = world.start(journal)
            station.pipeline.docked(station.event())
            break
        except KilledError:
            crashes += 1
        journal.close()
        again = world.start()
        again.pipeline.docked(again.event())
        check_invariants(again, NAMES)
    assert crashes >= 11


@pytest.mark.parametrize("when", list(When))
def test_crash_at_every_step_of_the_copier(tmp_path, when):
    for number in range(6):
        world = World(tmp_path / str(number), MemoryLogFiles(chunk=4096), FakeCopier(die_at=number, when=when))
        for name in NAMES:
            world.put(name, name.encode() * 100)
        station = world.start()
        with pytest.raises(KilledError):
            station.pipeline.docked(station.event())
        world.copier.revive()
        again = world.start()
        again.pipeline.docked(again.event())
        check_invariants(again, NAMES)


def test_a_copy_damaged_while_the_station_was_down_is_copied_again(world):
    world.copier.die_at, world.copier.when = 1, When.AFTER
    station = world.start()
    with pytest.raises(KilledError):
        station.pipeline.docked(station.event())
    [final] = [p for p in world.spool.rglob("*") if p.is_file()]
    final.write_bytes(b"rotten")
    world.copier.revive()
    again = world.start()
    assert again.journal.in_state(ClipState.COPYING)
    again.pipeline.docked(again.event())
    check_invariants(again, NAMES)


def test_a_recovered_copy_says_so(world):
    world.copier.die_at, world.copier.when = 1, When.AFTER
    station = world.start()
    with pytest.raises(KilledError):
        station.pipeline.docked(station.event())
    world.copier.revive()
    again = world.start()
    notes = [e.record.payload["note"] for e in again.seal.entries(0) if e.record.event == "ingest.copied"]
    assert notes == [rooms.RECOVERED]


def test_a_lost_journal_is_rebuilt_from_the_log(world):
    station = world.start()
    station.pipeline.docked(station.event())
    station.journal.close()
    for path in world.folder.glob("journal.db*"):
        path.unlink()
    world.copier.copied.clear()
    again = world.start()
    again.pipeline.docked(again.event())
    assert world.copier.copied == []
    check_invariants(again, NAMES)


def test_a_log_that_was_cut_stops_the_station(world):
    station = world.start()
    station.pipeline.docked(station.event())
    files = MemoryLogFiles(chunk=4096)
    files.data += world.files.data[: world.files.data.index(b"\n") + 1]
    world.files = files
    with pytest.raises(JournalError, match="the journal knows"):
        world.start()


def test_batches_fit_into_entries():
    files = [listed(SourceFile(b"\xff" * 255 + b"%d" % n, n, 0)) for n in range(500)]
    made = list(batches(files))
    assert [f for batch in made for f in batch] == files
    assert all(len(batch) <= MAX_FILES and len(json.dumps(batch)) < 2 * MAX_LIST_BYTES for batch in made)


@pytest.mark.parametrize(
    ("summary", "state"),
    [
        (Summary(found=1, new=1, sealed=1), BayState.WAITING_UPLOAD),
        (Summary(found=1, new=0, sealed=1), BayState.NO_NEW_DATA),
        (Summary(found=2, new=1, sealed=1, refused=1), BayState.SAFE_WITH_WARNINGS),
        (Summary(found=2, new=1, sealed=1, failed=1), BayState.ERROR),
    ],
)
def test_last_word(summary, state):
    assert final_state(summary, UNMEASURED)[0] is state


def test_a_clock_far_off_is_a_warning():
    clock = ClockReading(94_000, 5_000, "connect-write")
    assert final_state(Summary(new=1, sealed=1), clock) == (BayState.SAFE_WITH_WARNINGS, ["clock-offset:94000"])


def test_no_temporary_outlives_a_start(world):
    stale = world.spool / "originals/2026/11/22/left.MP4.part"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    world.start()
    assert not stale.exists()

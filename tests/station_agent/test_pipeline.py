import hashlib
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from custody.errors import CustodyError
from station_agent import pipeline as rooms
from station_agent.clock import SystemClock
from station_agent.docking import OTHER_CONTENT, UNMEASURED
from station_agent.errors import AgentError, CopyError, JournalError
from station_agent.model import ClockReading, MountedVolume, RecorderDocked, RecorderUndocked, SourceFile
from station_agent.offload import Offloader
from station_agent.pipeline import Space, Summary, final_state, in_batches
from station_agent.registry import Handling, Registry
from station_agent.states import MAY_TAKE, BayState, ClipState
from station_agent.status import _without_space
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
    assert station.board.tiles()[0].state is BayState.WAITING_UPLOAD
    check_invariants(station, NAMES)


def test_docking_again_has_no_new_data_only_when_the_centre_has_it_all(world):
    station = world.start()
    station.pipeline.docked(station.event())
    everything_arrives(station)
    station.pipeline.undocked(RecorderUndocked(str(world.card), 0))
    station.pipeline.docked(station.event())
    assert station.board.tiles()[0].state is BayState.NO_NEW_DATA


def everything_arrives(station: Station) -> None:
    """Every upload done, every receipt in hand."""
    for clip in station.journal.in_state(ClipState.SEALED):
        station.journal.receipted(clip.object_id, b"receipt")
        job = station.journal.due_job("upload", 2**52, 0)
        assert job is not None
        station.journal.finish(job)


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
    assert station.events()[-3:] == ["ingest.failed", "ingest.copied", "device.undocked"]
    assert sealed_sources(station) == ["DCIM/a.MP4"]
    assert [r.block("source")["path"] for r in records(station, "ingest.failed")] == ["DCIM/b.MP4"]
    assert station.seal.entries(station.seal.size - 1)[0].record.payload["reason"] == "pulled-early"
    assert station.board.tiles()[0].state is BayState.PULLED_EARLY
    world.copier.during = lambda: None
    station.pipeline.docked(station.event())
    check_invariants(station, NAMES)


def test_pulled_after_the_last_file_was_read_leaves_nothing_open(world):
    station = world.start()

    def pull() -> None:
        if len(world.copier.copied) == len(NAMES):
            station.pipeline.undocked(RecorderUndocked(str(world.card), 0))

    world.copier.before_the_proof = pull
    assert station.pipeline.docked(station.event()).complete
    assert station.seal.entries(station.seal.size - 1)[0].record.payload["reason"] == "removed"
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


def test_a_full_spool_is_an_alarm_and_the_copying_goes_on_when_there_is_room(world, monkeypatch):
    monkeypatch.setattr(rooms, "NO_SPACE_PAUSE_S", 0.01)
    station = world.start()
    station.pipeline._patient = True
    seen: list[Any] = []

    def free(_spool: Path) -> int:
        tile = station.board.tiles()[0]
        seen.append((tile.state, _without_space([tile])))
        return 0 if len(seen) < 5 else 2 * rooms.SPARE_BYTES

    station.pipeline._space = Space(world.spool, free)
    with capture_logs() as logs:
        assert station.pipeline.docked(station.event()).complete
    assert [line["log_level"] for line in logs if line["event"] == "no-space"] == ["error"]
    [(_, [trouble])] = [one for one in seen if one[0] is BayState.NO_SPACE][:1]
    assert trouble["object"] == "bay 1"
    assert trouble["reason"].startswith("no-space")
    assert _without_space(station.board.tiles()) == []
    check_invariants(station, NAMES)


def test_what_a_copy_took_already_is_not_reserved_a_second_time(tmp_path):
    block, total = rooms.BLOCK_BYTES, 10
    part = tmp_path / "clip.part"

    def free(_spool: Path) -> int:
        return rooms.SPARE_BYTES + total * block - rooms._allocated(part)

    space = Space(tmp_path, free)
    with space.reserved(6 * block) as taken:
        taken.by([part])
        assert space.free() == 4 * block
        part.write_bytes(bytes(2 * block))
        assert space.free() == 4 * block
        part.write_bytes(bytes(6 * block))
        with space.reserved(4 * block), pytest.raises(CopyError, match="no-space"), space.reserved(1):
            pass
    assert space.free() == 4 * block


def test_copies_in_hand_say_what_they_took(world):
    station = world.start()
    outstanding: list[int] = []
    world.copier.during = lambda: outstanding.append(station.pipeline._space._promised[0].outstanding())
    station.pipeline.docked(station.event())
    assert outstanding == [2 * rooms.BLOCK_BYTES, rooms.BLOCK_BYTES, 0]
    assert station.pipeline._space._promised == []


@pytest.fixture
def small_spool(world, need_root):
    """A spool on a disk of its own with room for two and a half files of 8 MiB; ``filler`` takes the rest."""
    image = world.folder / "spool.img"
    with image.open("wb") as file:
        file.truncate(160 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, world.spool], check=True)
    room = shutil.disk_usage(world.spool).free - rooms.SPARE_BYTES - (20 << 20)
    with (world.spool / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room)
    yield world.spool
    subprocess.run(["umount", world.spool], check=True)


def test_two_bays_fill_a_real_disk_and_go_on_when_there_is_room(world, second, small_spool, monkeypatch):
    monkeypatch.setattr(rooms, "NO_SPACE_PAUSE_S", 0.05)
    world.copier = Offloader(SystemClock())
    other = Path(second.node)
    for card in (world.card, other):
        for number in range(2):
            (card / f"{number}.mp4").write_bytes(os.urandom(8 << 20))
    station = world.start()
    station.pipeline._patient = True
    bay2 = replace(second, identity=replace(second.identity, serial="OTHER"))
    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(station.pipeline.docked, event) for event in (station.event(), bay2)]
        assert came_to_rest(station)
        assert BayState.NO_SPACE in {tile.state for tile in station.board.tiles()}
        assert list(small_spool.rglob("*.part")) == []
        assert shutil.disk_usage(small_spool).free >= rooms.SPARE_BYTES
        assert len([name for name in sealed_sources(station) if name in {"0.mp4", "1.mp4"}]) == 2
        (small_spool / "filler").unlink()
        assert all(one.result(30).complete for one in reading)
    assert records(station, "ingest.failed") == []
    spooled = {hashlib.sha256(path.read_bytes()).hexdigest() for path in small_spool.rglob("*.mp4")}
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in other.glob("*.mp4")} <= spooled


def came_to_rest(station: Station) -> bool:
    for _ in range(500):
        states = [tile.state for tile in station.board.tiles() if tile.serial]
        if len(states) == 2 and not {BayState.IDENTIFYING, BayState.READING, BayState.VERIFYING} & {*states}:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("marked", [False, True])
def test_a_priority_bay_or_a_marked_docking_is_read_before_those_that_wait(world, second, marked):
    world.max_bays, world.priority_bays = 1, () if marked else (3,)
    station = world.start()
    if marked:
        marking = {"marking": {"bay": 3, "mark": "important"}, "actors": [{"role": "officer", "id": "123456"}]}
        station.seal.append("docking.marked", marking)
    started, go_on = threading.Event(), threading.Event()

    def during() -> None:
        started.set()
        go_on.wait(5)

    world.copier.during = during
    bays = [2, 4, 5, 6, 3]
    events = [replace(second, bay=bay, identity=replace(second.identity, serial=f"BAY{bay}")) for bay in bays]
    with ThreadPoolExecutor(6) as pool:
        reading = [pool.submit(station.pipeline.docked, station.event())]
        assert started.wait(5)
        for number, event in enumerate(events, 1):
            reading.append(pool.submit(station.pipeline.docked, event))
            waiting = dict.fromkeys(bays[:number], BayState.IDENTIFYING)
            assert bay_states(station, {1: BayState.READING, **waiting})
        time.sleep(0.05)
        go_on.set()
        for one in reading:
            one.result(10)
    assert [r.block("camera")["bay"] for r in records(station, "device.docked")][:2] == [1, 3]
    copies = [(r.block("camera")["bay"], r.block("object")["id"]) for r in records(station, "ingest.copied")]
    assert {bay for bay, copy in copies if station.journal.is_urgent(copy)} == ({3} if marked else set())


def test_many_bays_at_once_are_promised_no_more_than_there_is(tmp_path):
    space = Space(tmp_path, lambda _: rooms.SPARE_BYTES + 10)
    all_asked, granted = threading.Barrier(8), []

    def ask(number: int) -> None:
        try:
            with space.reserved(3):
                granted.append(number)
                all_asked.wait(5)
        except CopyError:
            all_asked.wait(5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(granted) == 3


@pytest.mark.parametrize(("size", "room"), [(0, 0), (1, 4096), (4096, 4096), (4097, 8192)])
def test_a_file_takes_up_whole_blocks(size, room):
    assert rooms.room_for(size) == room


def test_marked_clips_go_first_and_the_others_in_their_order(tmp_path):
    world = World(tmp_path)
    names = [f"DCIM/Movie/{folder}2026_0501_16{n}928_00053{n}F.MP4" for n, folder in enumerate(["", "", "RO/", ""])]
    for name in names:
        world.put(name, name.encode())
    station = world.start()
    station.pipeline.docked(station.event())
    order = [names[2], names[0], names[1], names[3]]
    assert [os.fsdecode(name) for name in world.copier.copied] == [name.rpartition("/")[2] for name in order]
    assert sealed_sources(station) == order


def test_space_is_promised_once():
    space = Space(Path("/"), free_bytes=lambda _: rooms.SPARE_BYTES + 10)
    with space.reserved(10), pytest.raises(CopyError, match="no-space"), space.reserved(1):
        pass
    with space.reserved(10):
        pass


def test_one_bad_file_of_a_batch_holds_up_no_other(world):
    world.copier.reasons[b"b.MP4"] = "read-error"
    station = world.start()
    assert station.pipeline.docked(station.event()).failed == 1
    assert sealed_sources(station) == ["DCIM/a.MP4", "c.mp4"]
    assert len(list(world.spool.rglob("*.part"))) == 0


@pytest.mark.parametrize(("small", "syncs"), [(0, 3 * len(NAMES)), (rooms.SMALL_BYTES, 3)])
def test_files_taken_together_share_every_transaction(world, monkeypatch, small, syncs):
    monkeypatch.setattr(rooms, "SMALL_BYTES", small)
    journal = world.journal(CrashingJournal)
    station = world.start(journal)
    before = journal.transactions
    station.pipeline.docked(station.event())
    assert journal.transactions - before == 2 + syncs  # docked and seen; then reserved, copied and sealed


@given(st.lists(st.integers(0, 2 * rooms.SMALL_BYTES), max_size=300))
def test_batches_are_the_files_in_their_order_and_large_ones_are_alone(sizes):
    files: list[Any] = [(SourceFile(b"%d" % number, size, 0), number) for number, size in enumerate(sizes)]
    batches = list(in_batches(files))
    assert [one for batch in batches for one in batch] == files
    assert all(0 < len(batch) <= rooms.BATCH_FILES for batch in batches)
    large = [batch for batch in batches if any(file.size > rooms.SMALL_BYTES for file, _ in batch)]
    assert all(len(batch) == 1 for batch in large)


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


# The crash matrix: every write of the log, every transaction, every step of the copier, each lost or kept. Files are
# copied together, and each alone as large ones are.


@pytest.fixture(params=[0, rooms.SMALL_BYTES], ids=["alone", "together"])
def together(request, monkeypatch) -> bool:
    monkeypatch.setattr(rooms, "SMALL_BYTES", request.param)
    return bool(request.param)


@pytest.mark.parametrize("fault", list(Fault))
def test_crash_at_every_write_of_the_log(tmp_path, fault, together):
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
    assert crashes >= (5 if together else 7)


@pytest.mark.parametrize("when", list(When))
def test_crash_at_every_transaction_of_the_journal(tmp_path, when, together):
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
    assert crashes >= (5 if together else 11)


@pytest.mark.parametrize("when", list(When))
def test_crash_at_every_step_of_the_copier(tmp_path, when, together):
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
    world.copier.die_at, world.copier.when = 3, When.AFTER
    station = world.start()
    with pytest.raises(KilledError):
        station.pipeline.docked(station.event())
    [final] = [p for p in world.spool.rglob("*") if p.is_file() and p.suffix != ".part"]
    final.write_bytes(b"rotten")
    world.copier.revive()
    again = world.start()
    assert again.journal.in_state(ClipState.COPYING)
    again.pipeline.docked(again.event())
    check_invariants(again, NAMES)


def test_a_recovered_copy_says_so(world):
    world.copier.die_at, world.copier.when = 3, When.AFTER
    station = world.start()
    with pytest.raises(KilledError):
        station.pipeline.docked(station.event())
    world.copier.revive()
    again = world.start()
    notes = [e.record.payload["note"] for e in again.seal.entries(0) if e.record.event == "ingest.copied"]
    assert notes == [rooms.RECOVERED] * 3


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


@pytest.mark.parametrize(
    ("summary", "state"),
    [
        (Summary(found=1, new=1, sealed=1), BayState.WAITING_UPLOAD),
        (Summary(found=1, new=0, sealed=1), BayState.NO_NEW_DATA),
        (Summary(found=1, new=0, sealed=1, waiting=1), BayState.WAITING_UPLOAD),
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


# Known names, other contents.


def records(station: Station, event: str) -> list[Any]:
    return [entry.record for entry in station.seal.entries(0) if entry.record.event == event]


def docked_again(station: Station) -> Summary:
    station.pipeline.undocked(RecorderUndocked(str(station.world.card), 0))
    return station.pipeline.docked(station.event())


def test_a_known_name_is_compared_and_nothing_is_said_when_it_is_the_same(world):
    station = world.start()
    station.pipeline.docked(station.event())
    summary = docked_again(station)
    assert (summary.new, summary.sealed, summary.open) == (0, 3, 0)
    assert sorted(world.copier.compared) == [b"a.MP4", b"b.MP4", b"c.mp4"]
    [tile] = station.board.tiles()
    assert (tile.state, tile.files_done, tile.files_total) == (BayState.WAITING_UPLOAD, 3, 3)


def test_other_content_under_a_known_name_is_another_clip(world):
    station = world.start()
    station.pipeline.docked(station.event())
    world.put("c.mp4", b"other" * 100)
    assert docked_again(station).new == 1
    first, second = [r for r in records(station, "ingest.copied") if r.block("source")["path"] == "c.mp4"]
    assert second.block("object")["id"] != first.block("object")["id"]
    assert second.block("object")["digests"]["sha256"] == hashlib.sha256(b"other" * 100).hexdigest()
    assert (second.block("source")["edition"], second.payload["note"]) == (2, OTHER_CONTENT)
    assert records(station, "ingest.seen")[-1].payload["files"][0]["edition"] == 2
    assert station.board.tiles()[0].state is BayState.WAITING_UPLOAD
    spooled = {p.read_bytes() for p in world.spool.rglob("*.mp4")}
    assert spooled == {b"c.mp4" * 100, b"other" * 100}


def test_each_content_is_sealed_once_however_recorders_take_turns(world):
    station = world.start()
    for content in (b"one..", b"two..", b"one..", b"two.."):
        world.put("c.mp4", content)
        assert docked_again(station).open == 0
    assert len([r for r in records(station, "ingest.copied") if r.block("source")["path"] == "c.mp4"]) == 2


def test_editions_survive_the_loss_of_the_journal(world):
    station = world.start()
    station.pipeline.docked(station.event())
    world.put("c.mp4", b"other" * 100)
    docked_again(station)
    station.journal.close()
    for path in world.folder.glob("journal.db*"):
        path.unlink()
    again = world.start()
    assert again.pipeline.docked(again.event()).new == 0
    assert len(again.journal.in_state(ClipState.SEALED)) == 4


def test_a_known_name_that_cannot_be_read_any_more_is_no_silence(world):
    station = world.start()
    station.pipeline.docked(station.event())
    world.copier.reasons[b"c.mp4"] = "read-error"
    assert docked_again(station).failed == 1
    [failed] = records(station, "ingest.failed")
    assert (failed.payload["reason"], failed.payload["note"]) == ("read-error", rooms.COMPARED)
    assert station.board.tiles()[0].state is BayState.ERROR
    assert len(list(world.spool.rglob("*.mp4"))) == 1
    check_invariants(station, NAMES)


def test_pulled_while_it_is_compared_is_pulled_early_and_nothing_is_lost(world):
    station = world.start()
    station.pipeline.docked(station.event())
    station.pipeline.undocked(RecorderUndocked(str(world.card), 0))
    world.copier.during = lambda: station.pipeline.undocked(RecorderUndocked(str(world.card), 0))
    assert station.pipeline.docked(station.event()).open > 0
    assert station.board.tiles()[0].state is BayState.PULLED_EARLY
    assert records(station, "ingest.failed") == []
    check_invariants(station, NAMES)


def test_names_are_trusted_where_that_is_configured_and_the_recorder_is_known(world):
    world.trust_names = True
    station = world.start()
    station.pipeline.docked(station.event())
    docked_again(station)
    assert world.copier.compared == []
    nameless = replace(station.event(), identity=replace(station.event().identity, serial=""))
    station.pipeline.docked(nameless)
    station.pipeline.docked(nameless)
    assert len(world.copier.compared) == 3


# Recorders that cannot be told apart, and dockings that overlap.


@pytest.fixture
def second(world) -> RecorderDocked:
    """Another recorder with the same serial and volume: one file of the same name, size and time, other bytes."""
    card = world.folder / "second"
    card.mkdir()
    (card / "c.mp4").write_bytes(b"TWIN." * 100)
    os.utime(card / "c.mp4", ns=((world.card / "c.mp4").stat().st_mtime_ns,) * 2)
    event: RecorderDocked = world.start().event()
    return replace(event, node=str(card), bay=2)


def test_twins_in_two_bays_are_both_ingested_and_nothing_is_mixed(world, second):
    station = world.start()
    started, go_on = threading.Event(), threading.Event()

    def during() -> None:
        started.set()
        go_on.wait(5)

    world.copier.during = during
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(station.pipeline.docked, station.event())
        assert started.wait(5)
        two = pool.submit(station.pipeline.docked, second)
        assert bay_states(station, {1: BayState.READING, 2: BayState.IDENTIFYING})
        go_on.set()
        assert (one.result().sealed, two.result().sealed) == (3, 1)
    assert records(station, "ingest.failed") == []
    contents = {r.block("object")["digests"]["sha256"] for r in records(station, "ingest.copied")}
    assert contents == {hashlib.sha256(n.encode() * 100).hexdigest() for n in [*NAMES, "TWIN."]}
    assert [r.block("volume")["identity_shared"] for r in records(station, "device.docked")] == ["no", "yes"]


def bay_states(station: Station, wanted: dict[int, BayState]) -> bool:
    for _ in range(100):
        if {tile.bay: tile.state for tile in station.board.tiles()} == wanted:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(("serial", "vanished"), [("EC2300471", 2), ("", 0)])
def test_what_another_recorder_left_unread_has_not_vanished_from_this_one(world, second, serial, vanished):
    world.copier.die_at = 0
    station = world.start()
    event = replace(station.event(), identity=replace(station.event().identity, serial=serial))
    with pytest.raises(KilledError):
        station.pipeline.docked(event)
    world.copier.revive()
    again = world.start()
    again.pipeline.docked(replace(second, identity=event.identity))
    assert [r.payload["reason"] for r in records(again, "ingest.failed")] == ["source-vanished"] * vanished


def test_a_card_that_is_stuck_holds_no_slot(world, second):
    world.copies = 1
    station = world.start()
    stuck, go_on = threading.Event(), threading.Event()

    def during() -> None:
        if not stuck.is_set():
            stuck.set()
            go_on.wait(10)

    world.copier.during = during
    other = replace(second, identity=replace(second.identity, serial="OTHER"))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(station.pipeline.docked, station.event())
        assert stuck.wait(5)
        assert pool.submit(station.pipeline.docked, other).result(5).sealed == 1
        assert not one.done()
        go_on.set()
        assert one.result(5).sealed == 3


def test_a_card_that_was_stuck_waits_for_a_slot_again(world):
    world.copies = 1
    station = world.start()
    stuck, go_on = threading.Event(), threading.Event()

    def during() -> None:
        stuck.set()
        go_on.wait(10)

    world.copier.during = during
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(station.pipeline.docked, station.event())
        assert stuck.wait(5)
        with station.pipeline._slots.slot(9, lambda: None):
            go_on.set()
            time.sleep(0.1)
            assert not one.done()
        assert one.result(5).sealed == 3


def test_pulled_while_it_waits_for_a_slot_nothing_of_it_was_begun(world, second):
    world.copies = 1
    station = world.start()
    with station.pipeline._slots.slot(9, lambda: None) as keep, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(station.pipeline.docked, station.event())
        while {tile.state for tile in station.board.tiles()} != {BayState.READING}:
            keep(lambda: None)  # whoever does not move within SHARE_S loses the slot
            time.sleep(0.01)
        station.pipeline.undocked(RecorderUndocked(str(world.card), 0))
        while not waiting.done():
            keep(lambda: None)
            time.sleep(0.01)
    assert (waiting.result().open, world.copier.copied) == (3, [])
    assert records(station, "ingest.failed") == []


def test_a_recorder_that_waits_is_shown_and_when_it_is_taken_out_it_is_never_read(world, second):
    world.max_bays = 1
    station = world.start()
    started, go_on = threading.Event(), threading.Event()

    def during() -> None:
        started.set()
        go_on.wait(5)

    world.copier.during = during
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(station.pipeline.docked, station.event())
        assert started.wait(5)
        waiting = station.pipeline.announced(replace(second, identity=replace(second.identity, serial="OTHER")))
        two = pool.submit(station.pipeline.read, waiting)
        assert station.board.tiles()[1].state is BayState.IDENTIFYING
        station.pipeline.undocked(RecorderUndocked(second.node, 0))
        assert two.result(5).open == 1
        go_on.set()
        assert one.result().sealed == 3
    assert [r.block("camera")["serial"] for r in records(station, "device.docked")] == ["EC2300471"]
    assert station.board.tiles()[1].state is BayState.PULLED_EARLY


def test_a_docking_that_ends_late_leaves_the_next_one_at_its_node_alone(world):
    station = world.start()
    old = station.pipeline.announced(station.event())
    station.pipeline.undocked(RecorderUndocked(str(world.card), 0))
    station.pipeline.announced(station.event())
    assert station.pipeline.read(old).open == 1
    assert station.board.tiles()[0].state is BayState.IDENTIFYING
    station.pipeline.undocked(RecorderUndocked(str(world.card), 0))


# Media and facts that are no use.


@pytest.fixture
def hasty(monkeypatch) -> None:
    monkeypatch.setattr(rooms, "FORMAT_PATIENCE_S", 0.05)
    monkeypatch.setattr(rooms, "GONE_PATIENCE_S", 0.01)


def test_a_medium_without_file_system_is_an_error_and_a_record(world, hasty):
    station = world.start()
    bare = replace(station.event(), filesystem="")
    assert station.pipeline.docked(bare).failed == 1
    [failed] = records(station, "ingest.failed")
    assert (failed.block("source")["path"], failed.payload["reason"]) == (".", "no-filesystem")
    assert station.board.tiles()[0].state is BayState.ERROR


@pytest.mark.parametrize("stranger", [False, True])
def test_what_udev_names_not_is_read_as_its_boot_sector_says_unless_it_is_refused(world, hasty, stranger):
    if stranger:
        world.registry, world.unregistered = Registry(sha256="0" * 64), Handling.REFUSE
    station = world.start()
    asked: list[RecorderDocked] = []
    station.pipeline._reader = replace(station.pipeline._reader, boot_says=lambda event: asked.append(event) or "exfat")
    summary = station.pipeline.docked(replace(station.event(), filesystem=""))
    assert (len(asked), summary.complete) == ((0, False) if stranger else (1, True))
    docked = records(station, "device.docked")
    assert [one.block("volume")["named_by"] for one in docked] == ([] if stranger else ["boot-sector"])
    assert len(records(station, "ingest.failed")) == int(stranger)


@pytest.mark.parametrize("how", ["its partitions came", "it was formatted"])
def test_a_medium_that_was_only_not_ready_is_no_news(world, hasty, how):
    station = world.start()
    bare = replace(station.event(), filesystem="")
    docking = station.pipeline.announced(bare)
    assert station.board.tiles()[0].state is BayState.IDENTIFYING
    station.unformatted = how == "it was formatted"
    if station.unformatted:
        station.pipeline.undocked(RecorderUndocked(bare.node, 0))
    station.pipeline.read(docking)
    station.pipeline.undocked(RecorderUndocked(bare.node, 0))
    assert station.events() == []
    assert station.board.tiles()[0].state is BayState.IDLE


def test_a_bay_is_not_free_to_take_while_another_volume_of_it_is_unread(world, hasty):
    station = world.start()
    station.pipeline.announced(replace(station.event(), node="/dev/second", filesystem=""))
    station.pipeline.docked(station.event())
    assert station.board.tiles()[0].state not in MAY_TAKE


def test_a_volume_that_cannot_be_listed_is_an_error_and_not_the_end(world, hasty, monkeypatch):
    def broken(_: object) -> list[SourceFile]:
        raise OSError(5, "Input/output error")

    station = world.start()
    station.pipeline._reader = replace(station.pipeline._reader, list_files=broken)
    assert station.pipeline.docked(station.event()).reason == "not-mounted"
    assert station.board.tiles()[0].state is BayState.ERROR
    assert records(station, "ingest.failed")[0].payload["note"].endswith("cannot be listed: Input/output error")


def test_a_size_beyond_any_record_is_said_and_the_rest_is_copied(world):
    station = world.start()
    huge = SourceFile(b"huge.mp4", 2**60, 2**80)
    listing = station.pipeline._reader.list_files
    station.pipeline._reader = replace(station.pipeline._reader, list_files=lambda v: [*listing(v), huge])
    summary = station.pipeline.docked(station.event())
    assert (summary.sealed, summary.failed) == (3, 1)
    assert [r.payload["reason"] for r in records(station, "ingest.failed")] == ["unrecordable"]


def test_facts_that_fit_no_entry_fail_their_file_alone_in_this_life_and_the_next(world):
    station = world.start()
    volume = MountedVolume(world.card, "", "folder", "folder", ("ro",), device_read_only=False)
    files = list(station.pipeline._reader.list_files(volume))
    world.copier.die_at, world.copier.when = 1, When.BEFORE  # it is known before the copy gets its name
    summary = station.pipeline.take(station.event(), volume, files[:1], {"officer": "x" * 60_000})
    assert summary.failed == 1
    assert [r.payload["reason"] for r in records(station, "ingest.failed")] == ["unrecordable"]
    assert not [p for p in world.spool.rglob("*") if p.is_file()]
    world.copier.revive()
    station.journal.close()
    again = world.start()
    again.pipeline.docked(again.event())
    check_invariants(again, NAMES)


def test_a_spool_that_is_full_at_the_last_moment_is_tried_again(world, together):
    station = world.start()
    publish, refusals = world.copier.publish, [1, 1]

    def full(pairs: list[tuple[Path, Path]]) -> None:
        if refusals:
            refusals.pop()
            publish(pairs[:1])
            raise CopyError("no-space", "rename")
        publish(pairs)

    world.copier.publish = full
    station.pipeline._workers = 1
    summary = station.pipeline.docked(station.event())
    assert (summary.open, station.board.tiles()[0].state) == (3 if together else 2, BayState.NO_SPACE)
    refusals.clear()
    assert docked_again(station).open == 0
    check_invariants(station, NAMES)

"""Emptying a recorder on a real kernel device: what is erased, what never is, and pulling and killing in the middle."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from station_agent import recorders
from station_agent.clock import SystemClock, measure_offset
from station_agent.config import Policy
from station_agent.detect import still_unformatted
from station_agent.docking import Docking
from station_agent.emptying import NEVER_MOUNTED, UNIDENTIFIED, Emptying, Locks, Order, Orders, Outcome, Steward, settle
from station_agent.erase import COMPLIANCE, DAY_MS, Forbidden, LockPolicy, Plan, Shown, Wanted
from station_agent.followup import FollowUp, Media
from station_agent.journal import UPLOAD, Journal
from station_agent.model import RecorderDocked, RecorderUndocked
from station_agent.mount import mount_point, mounted
from station_agent.offload import Offloader
from station_agent.pipeline import Pipeline, Reader
from station_agent.publish import Outbox, Trust
from station_agent.seal import Seal, new_id
from station_agent.states import BayState
from station_agent.status import Board
from station_agent.store import EvidenceStore
from station_agent.volume import boot_says, opened
from tests.fakes.log_files import MemoryLogFiles
from tests.fakes.station_centre import CENTRE_KEY, CENTRE_LOG, WITNESS_KEY, FakeCentre
from tests.fakes.station_world import CENTRE, ORIGIN, SIGNER
from tests.integration.test_station_dock import Agent
from tests.rig.medium import PARTITION_START_SECTORS, SECTOR_BYTES, Medium, is_named, make_medium

SHANGHAI = ZoneInfo("Asia/Shanghai")
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]
CLIP_BYTES = 1 << 20
NAMES = ("DCIM/1.MP4", "DCIM/2.MP4", "锁定.MP4")


@pytest.fixture(params=["exfat", "ext4"])
def medium(request, tmp_path) -> Medium:
    return medium_of(tmp_path, request.param, CLIP_BYTES)


def medium_of(folder: Path, filesystem: str, size: int, more: Sequence[str] = ()) -> Medium:
    source = folder / "source"
    for name in (*NAMES, *more):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(os.urandom(size))
    (source / NAMES[-1]).chmod(0o444)
    return make_medium(folder / "card.img", filesystem, source)


class Post:
    """A station with the real dock, store and erase process, and a centre that answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.centre = folder, SystemClock(), FakeCentre()
        self.journal = Journal(folder / "journal.db", ORIGIN, lambda: new_id(self.clock.now().utc_ms))
        self.seal = Seal(MemoryLogFiles(chunk=65536), ORIGIN, SIGNER, self.clock, self.journal)
        self.board, self.store = Board([1]), EvidenceStore(str(folder / "store"))
        self.reader = Reader(
            lambda event: opened(event, folder / "mounts", SHANGHAI),
            recorders.list_files,
            recorders.family_of,
            recorders.claims,
            lambda files, card: recorders.recordings(files, card, SHANGHAI),
            measure_offset,
            still_unformatted,
            boot_says=boot_says,
        )
        self.pipeline = Pipeline(
            self.clock,
            self.journal,
            self.seal,
            Offloader(self.clock),
            self.reader,
            self.board,
            folder / "spool",
            threading.Event(),
            patient=False,
            settle=lambda docking, files: settle(self.journal, self.seal, docking, files),
        )
        self.pipeline.recover()
        self.outbox = Outbox(self.clock, self.journal, self.seal, Trust(CENTRE_KEY, WITNESS_KEY), 30)

    def read(self, event: RecorderDocked) -> Docking:
        docking = self.pipeline.announced(event)
        assert self.pipeline.read(docking).complete
        return docking

    def deliver(self) -> None:
        """Upload everything and take the centre's receipts."""
        nothing: Any = lambda *_: None  # noqa: E731  # no media tool is asked
        media = Media(nothing, nothing, nothing)
        work = FollowUp(self.clock, self.journal, self.seal, media, self.store, self.folder / "spool")
        while work.step(UPLOAD):
            continue
        for data, seqs in self.outbox.messages():
            self.outbox.sent(seqs)
            self.outbox.answered(self.centre.receive(data))

    def emptying(
        self, argv: Sequence[str] = (sys.executable, "-m", "station_agent.erase"), locks: Locks | None = None
    ) -> Emptying:
        return Emptying(
            self.journal,
            self.seal,
            Offloader(self.clock),
            self.reader,
            self.board,
            self.store,
            self.folder / "mounts",
            "Asia/Shanghai",
            CENTRE_LOG,
            [CENTRE.verify_key()],
            argv,
            locks,
        )

    def steward(self, policy: Policy) -> Steward:
        return Steward(self.emptying(), policy, Orders(self.folder / "orders"), self.pipeline.resting, self.journal)

    def erased(self) -> list[dict[str, Any]]:
        return [dict(e.record.payload) for e in self.seal.entries(0) if e.record.event == "camera.erased"]

    def on_card(self, event: RecorderDocked) -> list[str]:
        with mounted(event, self.folder / "mounts", SHANGHAI) as volume:
            files = [file.path.decode() for file in recorders.list_files(volume)]
        return sorted(file for file in files if file != "lost+found")


@pytest.fixture
def post(tmp_path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.journal.close()


def reasons(outcome: Outcome) -> dict[str, Forbidden | None]:
    return {d.candidate.file.printable: d.forbidden for d in outcome.decisions if d.candidate.sealed}


def test_a_docking_whose_clips_all_have_receipts_is_emptied_and_the_log_says_of_what(dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    post.read(event)
    steward = post.steward(Policy.AFTER_RECEIPT)
    steward.look()
    assert post.on_card(event) == sorted(NAMES)
    assert dock.writes(1) == 0  # without receipts nothing was even tried
    post.deliver()
    steward.look()
    assert post.on_card(event) == []
    assert post.journal.intended_erasure(event.identity.key) == {}
    [told] = post.erased()
    assert (told["reason"], told["note"]) == ("after-receipt", "")
    copied = [e for e in post.seal.entries(0) if e.record.event == "ingest.copied"]
    assert {o["id"] for o in told["objects"]} == {str(e.record.block("object")["id"]) for e in copied}
    receipts = {(e.seq, e.leaf.hex()) for e in post.centre.log.entries(0) if e.record.event == "central.verified"}
    assert {(r["seq"], r["leaf"]) for r in told["receipts"]} == receipts
    assert post.board.tiles()[0].warnings == ("erased:3",)
    dock.unplug(1)
    check = {"exfat": ["fsck.exfat", "-n"], "ext4": ["e2fsck", "-fn"]}[medium.filesystem]
    dock.plug(1, medium.image, "EC2300471")
    done = subprocess.run([*check, dock.partition(1)], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_settings_of_the_recorder_stay_on_it_and_side_files_go_with_their_clip(tmp_path, dock, watch, post):
    medium = medium_of(tmp_path, "exfat", CLIP_BYTES, ["info.ini", "LOG/20260131.txt", "DCIM/1.GPX", "lonely.json"])
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    docking = post.read(event)
    post.deliver()
    outcome = post.emptying().empty(docking, Order("王强"))
    assert post.on_card(event) == ["LOG/20260131.txt", "info.ini", "lonely.json"]
    kept = {path for path, why in reasons(outcome).items() if why is Forbidden.NOT_FOOTAGE}
    assert kept == set(post.on_card(event))
    assert len(outcome.gone) == len(NAMES) + 1


def write_at(card: Medium, offset: int, data: bytes) -> None:
    """Into the partition of a medium."""
    with card.image.open("r+b") as image:
        image.seek(PARTITION_START_SECTORS * SECTOR_BYTES + offset)
        image.write(data)


def test_a_volume_that_no_driver_takes_is_read_and_never_erased(tmp_path, dock, watch, post):
    card = medium_of(tmp_path, "exfat", CLIP_BYTES, [])
    write_at(card, 11 * SECTOR_BYTES, bytes(4))  # the checksum of the boot region
    named = is_named(card.image)
    dock.plug(1, card.image, "EC2300471", read_only=False)
    docking = post.read((watch.docked if named else watch.bare)(dock.partition(1)))
    post.deliver()
    why = NEVER_MOUNTED if named else UNIDENTIFIED
    assert post.emptying().empty(docking, Order("王强")).problem == why
    docking.root = tmp_path  # as if it had been mounted when it was read
    assert post.emptying().empty(docking, Order("王强")).problem == why
    assert (dock.writes(1), post.erased(), post.journal.intended_erasure(docking.key)) == (0, [], {})


def test_a_volume_that_udev_names_not_is_read_as_its_boot_sector_says_and_never_erased(tmp_path, dock, watch, post):
    card = medium_of(tmp_path, "exfat", CLIP_BYTES, [])
    write_at(card, 11 * SECTOR_BYTES, bytes(4))  # newer libblkid checks the checksum of the boot region
    if is_named(card.image):
        write_at(card, 1024 + 56, b"\x53\xef")  # s_magic of ext2: the mark of a second file system
    assert not is_named(card.image)
    dock.plug(1, card.image, "EC2300471", read_only=False)
    docking = post.read(watch.bare(dock.partition(1)))
    entries = [entry.record for entry in post.seal.entries(0)]
    [docked] = [one.block("volume") for one in entries if one.event == "device.docked"]
    copied = {one.block("source")["path"]: one.block("object") for one in entries if one.event == "ingest.copied"}
    assert (docked["named_by"], docked["filesystem"], docked["driver"]) == ("boot-sector", "exfat", "tsk")
    assert {path: (one["size"], one["digests"]["sha256"]) for path, one in copied.items()} == {
        os.fsdecode(path): (fact.size, fact.sha256) for path, fact in card.truth.items()
    }
    post.deliver()
    assert post.emptying().empty(docking, Order("王强")).problem == UNIDENTIFIED
    assert (dock.writes(1), post.erased()) == (0, [])


def test_policies_that_do_not_empty_by_themselves_write_nothing(dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    post.read(watch.docked(dock.partition(1)))
    post.deliver()
    for policy in (Policy.NEVER, Policy.MANUAL):
        post.steward(policy).look()
    answer = Orders(post.folder / "orders").give(Order("王强", 1), "1")
    post.steward(Policy.NEVER).look()
    assert b"policy is never" in answer.read_bytes()
    assert (dock.writes(1), post.erased()) == (0, [])


def test_an_order_names_who_gave_it_and_a_dry_run_writes_nothing(dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    post.read(event)
    post.deliver()
    orders, steward = Orders(post.folder / "orders"), post.steward(Policy.MANUAL)
    dry = orders.give(Order("", 0, "EC2300471", dry_run=True), "1")
    steward.look()
    assert "可以清除".encode() in dry.read_bytes().decode("unicode_escape").encode()
    assert (dock.writes(1), post.on_card(event)) == (0, sorted(NAMES))
    orders.give(Order("王强", 1), "2")
    steward.look()
    [told] = post.erased()
    assert (told["reason"], told["actors"]) == ("manual", [{"role": "person", "id": "王强"}])
    assert post.on_card(event) == []


def test_one_spoilt_receipt_one_flipped_stored_byte_and_a_file_without_receipt_stay(dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    docking = post.read(event)
    post.deliver()
    first, second, third = (clip for _, clip in sorted(post.journal.clips(docking.key).items()))
    receipt = bytearray(post.journal.receipt(first.object_id) or b"")
    receipt[receipt.index(b'"sig":"') + 10] ^= 1
    post.journal.receipted(first.object_id, bytes(receipt))
    stored = post.folder / "store" / second.name
    stored.write_bytes(bytes([stored.read_bytes()[0] ^ 1]) + stored.read_bytes()[1:])
    outcome = post.emptying().empty(docking, Order("王强"))
    assert reasons(outcome) == {
        first.file.printable: Forbidden.RECEIPT_INVALID,
        second.file.printable: Forbidden.STORED_DIGEST,
        third.file.printable: None,
    }
    assert post.on_card(event) == sorted([first.file.printable, second.file.printable])
    assert [o["id"] for o in post.erased()[0]["objects"]] == [third.object_id]


class Shows:
    """Satisfies ``emptying.Locks``: what a store would show."""

    def __init__(self, post: Post, *, is_proven: bool = True, mode: str = COMPLIANCE) -> None:
        self.post, self.is_proven, self.mode = post, is_proven, mode
        self.now_ms = post.clock.now().utc_ms

    def policy(self) -> LockPolicy:
        return LockPolicy(1, self.is_proven, self.now_ms)

    def shown(self, name: str) -> Shown:
        return Shown(self.post.store.size(name), "", self.mode, self.now_ms + 2 * DAY_MS, "v1")


def test_where_a_lock_is_wanted_only_what_is_shown_under_one_goes_and_the_record_says_so(dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    docking = post.read(event)
    post.deliver()
    for locks, why in (
        (Shows(post, is_proven=False), Forbidden.STORE_UNPROVEN),
        (Shows(post, mode=""), Forbidden.LOCK_MODE),
    ):
        outcome = post.emptying(locks=locks).empty(docking, Order("王强"))
        assert set(reasons(outcome).values()) == {why}
        assert (dock.writes(1), post.erased(), post.on_card(event)) == (0, [], sorted(NAMES))
    honest = Shows(post)
    assert len(post.emptying(locks=honest).empty(docking, Order("王强")).gone) == len(NAMES)
    [told] = post.erased()
    lock = {"mode": COMPLIANCE, "until_ms": honest.now_ms + 2 * DAY_MS, "version": "v1"}
    assert told["locks"] == [lock] * len(NAMES)


def test_a_file_that_was_rewritten_under_its_name_size_and_time_stays(tmp_path, dock, watch, post):
    medium = medium_of(tmp_path, "ext4", CLIP_BYTES)
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    post.read(event)
    post.deliver()
    post.pipeline.undocked(RecorderUndocked(event.node, 0))
    dock.unplug(1)
    rewritten = (tmp_path / "source" / NAMES[0]).read_bytes()
    with medium.image.open("r+b") as image:
        image.seek(medium.image.read_bytes().index(rewritten[:4096]))
        image.write(bytes(64))
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1), 2)
    docking = post.pipeline.announced(event)  # not read: the rewritten content has no clip of its own yet
    dry = post.emptying().empty(docking, Order(dry_run=True))
    assert reasons(dry) == {NAMES[0]: Forbidden.DIFFERS, NAMES[1]: None, NAMES[2]: None}
    assert post.pipeline.read(docking).new == 1  # sealed now as another edition, and still without a receipt
    outcome = post.emptying().empty(docking, Order("王强"))
    assert reasons(outcome) == {NAMES[0]: Forbidden.NO_RECEIPT, NAMES[1]: None, NAMES[2]: None}
    assert post.on_card(event) == [NAMES[0]]


def test_a_file_that_changed_since_the_plan_was_made_is_not_erased(dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    docking = post.read(event)
    clips = [clip for _, clip in sorted(post.journal.clips(docking.key).items())]
    with mounted(event, post.folder / "mounts", SHANGHAI) as volume:
        times = {file.path: file.mtime_ns for file in recorders.list_files(volume)}
    right = [Wanted(c.file.path, c.file.size, times[c.file.path], c.sha256) for c in clips]
    wrong = [
        Wanted(right[0].path, right[0].size, right[0].mtime_ns, "00" * 32),
        Wanted(right[1].path, right[1].size + 1, right[1].mtime_ns, right[1].sha256),
        Wanted(right[2].path, right[2].size, right[2].mtime_ns + 10**9, right[2].sha256),
        Wanted(b"../etc/passwd", 1, 1, "00" * 32),
    ]
    with mount_point(event, post.folder / "mounts") as target:
        plan = Plan(event, target, "Asia/Shanghai", wrong).encode()
        argv = [sys.executable, "-m", "station_agent.erase"]
        done = subprocess.run(argv, input=plan, capture_output=True, check=False)
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["kept"] * 4 + ["done"], done.stderr
    assert post.on_card(event) == sorted(NAMES)


def test_pulled_in_the_middle_is_told_at_the_next_docking(tmp_path, dock, watch, post):
    medium = medium_of(tmp_path, "exfat", 4 << 20)
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    docking = post.read(event)
    post.deliver()
    killer = kill_after_first(tmp_path)
    pulled = threading.Thread(target=when_erased, args=(tmp_path, lambda: dock.yank(1)))
    pulled.start()
    outcome = post.emptying(killer).empty(docking, Order("王强"))
    pulled.join()
    assert outcome.problem
    post.pipeline.undocked(RecorderUndocked(event.node, 0))
    dock.unplug(1)
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    again = watch.docked(dock.partition(1), 2)
    post.read(again)
    left = post.on_card(again)
    gone = [o["id"] for told in post.erased() for o in told["objects"]]
    assert len(gone) == len(NAMES) - len(left)
    assert not [e for e in post.seal.entries(0) if e.record.event == "ingest.failed"]
    assert post.journal.intended_erasure(docking.key) == {}


def test_a_killed_erase_process_leaves_a_true_record_and_no_writable_mount(tmp_path, dock, watch, medium, post):
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    event = watch.docked(dock.partition(1))
    docking = post.read(event)
    post.deliver()
    outcome = post.emptying(kill_after_first(tmp_path)).empty(docking, Order("王强"))
    assert "killed" in outcome.problem
    assert len(outcome.gone) == 1
    assert len(post.on_card(event)) == len(NAMES) - 1
    [told] = post.erased()
    assert [o["id"] for o in told["objects"]] == sorted(outcome.gone)
    assert str(tmp_path / "mounts") not in Path("/proc/self/mounts").read_text()
    assert post.board.tiles()[0].state is BayState.WAITING_UPLOAD
    rest = post.emptying().empty(docking, Order("王强"))
    assert (rest.problem, len(rest.gone), post.on_card(event)) == ("", len(NAMES) - 1, [])


def test_the_running_station_answers_an_order_of_the_command_line(tmp_path, dock, medium):
    agent = Agent(tmp_path / "data", dock)
    try:
        agent.wait(lambda: agent.bay()["state"] == "idle")
        dock.plug(1, medium.image, "EC2300471", read_only=False)
        agent.wait(lambda: agent.bay()["state"] == "waiting-upload")
        dry = erase_command(agent, "--bay", "1", "--dry-run")
        assert dry.returncode == 2, dry.stderr
        for name in NAMES:
            assert f"{name}: 尚无中心回执 · the centre's receipt is not in hand" in dry.stdout
        never = erase_command(agent, "--recorder", "EC2300471", "--by", "王强")
        assert (never.returncode, "policy is never" in never.stdout) == (1, True)
        assert dock.writes(1) == 0
        agent.stop()
        late = erase_command(agent, "--bay", "1", "--by", "王强")
        assert (late.returncode, "no station runs here" in late.stderr) == (74, True)
        assert list((agent.data / "station/erase").iterdir()) == []
    finally:
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait()


def erase_command(agent: Agent, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "station_agent.cli", "erase", "--data-dir", str(agent.data), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def kill_after_first(folder: Path) -> list[str]:
    """The erase process, which kills itself with SIGKILL a moment after its first unlink."""
    program = folder / "killed.py"
    program.write_text(
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from station_agent import erase\n"
        "plan = erase.Plan.decode(sys.stdin.buffer.read())\n"
        "for line in erase.carry_out(plan):\n"
        "    print(line, flush=True)\n"
        f"    Path({str(folder / 'erased')!r}).touch()\n"
        "    time.sleep(1)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    return [sys.executable, str(program)]


def when_erased(folder: Path, act: Any) -> None:
    end_s = time.monotonic() + 20
    while not (folder / "erased").exists() and time.monotonic() < end_s:
        time.sleep(0.02)
    act()

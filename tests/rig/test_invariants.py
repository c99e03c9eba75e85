"""The checker against a naive agent, and against the real one with a single guard removed: a checker that never failed
is not known to work.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from station_agent import erase, offload
from station_agent.emptying import Emptying, Order
from station_agent.followup import FollowUp, Media
from station_agent.journal import UPLOAD
from station_agent.keys import create_key, load_signer
from station_agent.logfiles import PosixLogFiles
from station_agent.offload import Offloader
from station_agent.publish import Outbox, Trust
from station_agent.store import EvidenceStore
from tests.fakes import naive_agent
from tests.fakes.station_centre import CENTRE_KEY, CENTRE_LOG, WITNESS_KEY, FakeCentre
from tests.fakes.station_world import CENTRE, ORIGIN, SIGNER, Station, World
from tests.rig.invariants import Put, Scene, Shown, findings, snapshot
from tests.rig.medium import truth_of

SERIAL = "EC2300471"
ERASER = """
import base64, sys
from pathlib import Path
from station_agent.erase import DONE, Plan
plan = Plan.decode(sys.stdin.buffer.read())
for file in plan.files:
    (Path(plan.event.node) / file.path.decode()).unlink()
    print("erased", base64.b64encode(file.path).decode())
print(DONE)
"""
"""Stands in for the erase process, which needs a device to mount: here the card is a folder."""
UNGUARDED = """
import sys
from station_agent import durable, offload
from station_agent.cli import main
{}
main()
"""


class Docked:
    """A station over a folder that stands in for a card, with everything else of it real, and its truth."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, files=PosixLogFiles(folder / "log"))
        self.world.copier = Offloader(self.world.clock)  # type: ignore[assignment]  # the same port
        for number in range(3):
            self.world.put(f"{number}.MP4", os.urandom(400_000))
        self.put = Put(1, SERIAL, truth_of(self.world.card), frozenset())
        self.centre = FakeCentre()
        self.station: Station = self.world.start()

    def read(self) -> None:
        self.docking = self.station.pipeline.announced(self.station.event())
        self.station.pipeline.read(self.docking)

    def deliver(self) -> None:
        """Upload everything; the centre gives its receipts."""
        station, store = self.station, EvidenceStore(str(self.world.folder / "store"))
        nothing: Any = lambda *_: None  # noqa: E731  # no media tool is asked
        media = Media(nothing, nothing, nothing)
        work = FollowUp(self.world.clock, station.journal, station.seal, media, store, self.world.spool)
        while work.step(UPLOAD):
            continue
        outbox = Outbox(self.world.clock, station.journal, station.seal, Trust(CENTRE_KEY, WITNESS_KEY), 30)
        for data, seqs in outbox.messages():
            outbox.sent(seqs)
            outbox.answered(self.centre.receive(data))

    def empty(self) -> None:
        station = self.station
        emptying = Emptying(
            station.journal,
            station.seal,
            Offloader(self.world.clock),
            station.pipeline._reader,
            station.board,
            EvidenceStore(str(self.world.folder / "store")),
            self.world.folder / "mounts",
            "UTC",
            CENTRE_LOG,
            [CENTRE.verify_key()],
            [sys.executable, "-c", ERASER],
        )
        emptying.empty(self.docking, Order("王强"))

    def scene(self) -> Scene:
        left = frozenset(path for path in self.put.truth if (self.world.card / os.fsdecode(path)).exists())
        return scene_of(self.world.folder, replace(self.put, left=left))


def scene_of(folder: Path, *puts: Put) -> Scene:
    return Scene(
        folder,
        folder / "store",
        folder / "mounts",
        ORIGIN,
        SIGNER.public_key(),
        puts,
        centre=(CENTRE_LOG, CENTRE.public_key()),
        witness=WITNESS_KEY.vkey(),
    )


def numbers(scene: Scene) -> set[int]:
    return {finding.number for finding in findings(scene)}


@pytest.fixture
def docked(tmp_path) -> Iterator[Docked]:
    made = Docked(tmp_path / "world")
    yield made
    made.station.journal.close()


def test_of_an_agent_that_keeps_all_guards_nothing_is_found(docked):
    docked.read()
    assert findings(docked.scene()) == []
    docked.deliver()
    docked.empty()
    scene = docked.scene()
    assert not scene.puts[0].left
    assert findings(scene) == []


def test_a_naive_agent_is_seen_through(tmp_path):
    card = tmp_path / "card"
    card.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (card / name).write_bytes(os.urandom(1000))
    truth = truth_of(card)
    (card / "b.mp4").unlink()
    (card / "b.mp4").symlink_to("/proc/self/mem")  # reads EIO, as a bad sector does
    naive_agent.offload(card, tmp_path / "data", SIGNER, lambda content: content[:500])
    left = frozenset(path for path in truth if os.path.lexists(card / os.fsdecode(path)))
    assert numbers(scene_of(tmp_path / "data", Put(1, SERIAL, truth, left))) >= {1, 3, 4, 5}


def test_without_the_reread_a_disk_that_loses_bytes_is_found_out(docked, monkeypatch):
    monkeypatch.setattr(offload, "_write", lambda fd, piece, _offset: os.write(fd, bytes(len(piece))))
    docked.read()
    assert findings(docked.scene()) == []  # the re-read saw it: three entries that say so, no copy
    assert not docked.scene().copied


@pytest.mark.parametrize("guarded", [True, False])
def test_without_the_comparison_a_copy_of_other_bytes_is_found(docked, monkeypatch, guarded):
    monkeypatch.setattr(offload, "_write", lambda fd, piece, _offset: os.write(fd, bytes(len(piece))))
    if not guarded:
        monkeypatch.setattr(Offloader, "_prove", proved_without_reading)
    docked.read()
    assert numbers(docked.scene()) == (set() if guarded else {4})


def proved_without_reading(self: Offloader, taken: Any) -> offload.CopyResult:
    return offload.CopyResult(taken.size, taken.digest, taken.digest, "uncached", 1, 1)


@pytest.mark.parametrize("guarded", [True, False])
def test_without_the_look_into_the_store_an_erase_without_proof_is_found(docked, monkeypatch, guarded):
    docked.read()
    docked.deliver()
    stored = docked.world.folder / "store" / docked.scene().copied[0]["object"]["name"]
    stored.write_bytes(bytes(stored.stat().st_size))
    if not guarded:
        monkeypatch.setattr(erase, "_not_as_stored", lambda _stored, _sealed, _policy: None)
    docked.empty()
    assert 4 in numbers(docked.scene())  # whoever spoilt the store is found as well
    assert (1 in numbers(docked.scene())) is not guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_without_the_look_at_the_receipt_an_erase_without_proof_is_found(docked, monkeypatch, guarded):
    docked.read()
    docked.deliver()
    object_id = docked.scene().copied[0]["object"]["id"]
    receipt = bytearray(docked.station.journal.receipt(object_id) or b"")
    receipt[receipt.index(b'"sig":"') + 10] ^= 1
    docked.station.journal.receipted(object_id, bytes(receipt))
    if not guarded:
        monkeypatch.setattr(erase, "_basis", lambda *_: erase.Basis(CENTRE_LOG, 0, "00" * 32))
    docked.empty()
    assert numbers(docked.scene()) == (set() if guarded else {1})


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ("", set()),
        ("durable.fsync_dir = lambda _: None", {4, 5}),
        ("offload._sync = offload._evict = lambda *_: None; durable.fsync_dir = lambda _: None", {4}),
    ],
    ids=["all guards", "no sync of the folder", "no sync at all"],
)
def test_without_a_sync_a_power_cut_is_found(need_root, tmp_path, removed, expected):
    data, card, image = tmp_path / "data", tmp_path / "card", tmp_path / "spool.img"
    card.mkdir()
    (card / "0.MP4").write_bytes(os.urandom(1 << 20))
    spool = station_folder(data)
    with image.open("wb") as file:
        file.truncate(96 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(image, spool):
        argv = ["ingest", str(card), "--offload-only", "--data-dir", str(data)]
        code = UNGUARDED.format(removed)
        subprocess.run([sys.executable, "-c", code, *argv], check=True, capture_output=True)
        cut_the_power(spool)
    with mounted(image, spool):
        put = Put(0, "", truth_of(card), frozenset(truth_of(card)))
        key = load_signer(data / "station/keys/custody.pem").public_key()
        scene = replace(scene_of(data / "station", put), key=key)
        assert numbers(scene) >= expected
        assert bool(numbers(scene)) is bool(expected), findings(scene)


def station_folder(data: Path) -> Path:
    """A station of ``ORIGIN``; returns its spool."""
    spool = data / "station/spool"
    spool.mkdir(parents=True)
    create_key(data / "station/keys/custody.pem")
    (data / "station-agent.toml").write_text(
        f'[station]\nid = "station-01"\nauthority = "custody.example"\n[keys]\nwitness = "{WITNESS_KEY.vkey()}"\n'
    )
    return spool


@contextmanager
def mounted(image: Path, point: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", point], check=True)


def cut_the_power(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))  # EXT4_IOC_SHUTDOWN, NOLOGFLUSH (linux/ext4.h)
    finally:
        os.close(fd)


def tampered_log(docked: Docked) -> Scene:
    path = docked.world.folder / "log/entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"payload":"', b'"payload":"A', 1))
    return docked.scene()


def shorter_log(docked: Docked) -> Scene:
    earlier = snapshot(docked.scene())
    path = docked.world.folder / "log/entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    return replace(docked.scene(), earlier=[earlier])


def written_to(docked: Docked) -> Scene:
    return scene_of(docked.world.folder, replace(docked.put, left=frozenset(docked.put.truth), writes=1))


def no_outbox(docked: Docked) -> Scene:
    docked.station.journal._db.execute("DELETE FROM outbox")
    return docked.scene()


def changed_file(docked: Docked) -> Scene:
    earlier = snapshot(docked.scene())
    [file, *_] = docked.world.spool.rglob("*.MP4")
    file.write_bytes(b"other")
    return replace(docked.scene(), earlier=[earlier])


def elsewhere(docked: Docked) -> Scene:
    return scene_of(docked.world.folder, replace(docked.put, bay=2, left=frozenset(docked.put.truth)))


def too_green(docked: Docked) -> Scene:
    return replace(docked.scene(), shown=[Shown(1, SERIAL, "safe", 99, 99, frozenset())])


def left_over(docked: Docked) -> Scene:
    work = docked.world.folder / "work/describe-1"
    work.mkdir(parents=True)
    (work / "media.mp4").touch()
    return replace(docked.scene(), stopped=True)


def traceback(docked: Docked) -> Scene:
    return replace(docked.scene(), output="Traceback (most recent call last):", exits=[0])


@pytest.mark.parametrize(
    ("spoilt", "number"),
    [
        (written_to, 2),
        (tampered_log, 6),
        (shorter_log, 6),
        (no_outbox, 7),
        (changed_file, 8),
        (elsewhere, 9),
        (too_green, 10),
        (left_over, 11),
        (traceback, 12),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_other_invariant_is_named_when_it_is_broken(docked, spoilt: Callable[[Docked], Scene], number: int):
    docked.read()
    assert findings(docked.scene()) == []
    assert number in numbers(spoilt(docked))

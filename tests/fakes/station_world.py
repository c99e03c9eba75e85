"""A station in a temporary folder: real journal, seal, pipeline; log files, copier and time are twins with faults."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from custody.log import LogFiles
from custody.signer import Ed25519Signer
from station_agent import recorders
from station_agent.clock import measure_offset
from station_agent.errors import AgentError, CopyError, DamagedCopyError, StoppingError, StoreError
from station_agent.journal import Journal
from station_agent.model import CopyResult, DeviceIdentity, MountedVolume, RecorderDocked, StationTime
from station_agent.offload import Wanted
from station_agent.pipeline import Pipeline, Reader, Unlocking
from station_agent.registry import NOTHING, Handling, Registry
from station_agent.seal import Seal, new_id
from station_agent.service import recorders_card_ids
from station_agent.status import Board
from tests.fakes.log_files import MemoryLogFiles

ORIGIN = "custody.example/station-01"
START_MS = 1_795_373_200_000
SIGNER = Ed25519Signer.from_seed(bytes(range(32)))
CENTRE = Ed25519Signer.from_seed(bytes(range(1, 33)))
WITNESS = Ed25519Signer.from_seed(bytes(range(2, 34)))


class KilledError(BaseException):
    """The process ends here; nothing may catch it."""


class When(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass
class FakeClock:
    """Satisfies ``ports.Clock``; every look moves time by a millisecond."""

    utc_ms: int = START_MS

    def now(self) -> StationTime:
        self.utc_ms += 1
        return StationTime(self.utc_ms, "none", "00000000-0000-4000-8000-000000000000", self.utc_ms * 1_000_000)


@dataclass
class FakeCopier:
    """Satisfies ``pipeline.Copier``: copies, and fails or dies where it was told to."""

    reasons: dict[bytes, str] = field(default_factory=dict)
    """File name → reason of its ``CopyError``."""
    calls: int = 0
    die_at: int = -1
    when: When = When.BEFORE
    during: Callable[[], None] = lambda: None
    before_the_proof: Callable[[], None] = lambda: None
    copied: list[bytes] = field(default_factory=list)
    compared: list[bytes] = field(default_factory=list)
    dead: bool = False

    def copy(self, root: Path, path: bytes, temporary: Path, on_progress: Callable[[int, str], None]) -> CopyResult:
        self._step(When.BEFORE)
        name = path.rpartition(b"/")[2]
        self.copied.append(name)
        data = _read(root, path)
        temporary.write_bytes(data[: len(data) // 2])
        self.during()
        on_progress(len(data) // 2, "reading")
        if name in self.reasons:
            raise CopyError(self.reasons[name])
        temporary.write_bytes(data)
        self.before_the_proof()
        on_progress(len(data), "verifying")
        digest = hashlib.sha256(data).hexdigest()
        self._step(When.AFTER)
        return CopyResult(len(data), digest, digest, "uncached", START_MS, START_MS + 1)

    def copy_all(self, root: Path, wanted: Sequence[Wanted]) -> list[CopyResult | AgentError]:
        outcomes: list[CopyResult | AgentError] = []
        for one in wanted:
            try:
                outcomes.append(self.copy(root, one.path, one.temporary, one.on_progress))
            except CopyError as error:
                outcomes.append(error)
            except AgentError as error:
                return [*outcomes, error]
        return outcomes

    def digest(self, root: Path, path: bytes, on_progress: Callable[[int, str], None]) -> str:
        self.compared.append(path.rpartition(b"/")[2])
        self.during()
        data = _read(root, path)
        on_progress(len(data), "comparing")
        if self.compared[-1] in self.reasons:
            raise CopyError(self.reasons[self.compared[-1]])
        return hashlib.sha256(data).hexdigest()

    def publish(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        for temporary, final in pairs:
            self._step(When.BEFORE)
            temporary.replace(final)
            self._step(When.AFTER)

    def _step(self, when: When) -> None:
        if when is When.BEFORE:
            self.calls += 1
        # The dead stay dead: other threads of the same process do nothing more either.
        if self.dead or (self.calls - 1 == self.die_at and when is self.when):
            self.dead = True
            raise KilledError

    def revive(self) -> None:
        self.die_at, self.dead = -1, False


def _read(root: Path, path: bytes) -> bytes:
    try:
        return (root / os.fsdecode(path)).read_bytes()
    except OSError as error:
        raise CopyError("source-vanished", str(error)) from error


@dataclass
class FakeStore:
    """Satisfies ``ports.Store``; refuses as often as told."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refusals: int = 0
    stops: bool = False
    """The station stops in the middle of an upload."""

    def put(self, source: Path, name: str, sha256: str) -> None:
        if self.stops:
            raise StoppingError("the station stops")
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the store is down")
        data = source.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DamagedCopyError(f"{name}: other bytes")
        self.objects[name] = data

    def size(self, name: str) -> int | None:
        return len(self.objects[name]) if name in self.objects else None


class CrashingJournal(Journal):
    """A journal whose nth transaction kills the process before it commits, or after."""

    die_at = -1
    when = When.BEFORE
    transactions = 0

    @contextmanager
    def _transaction(self) -> Iterator[object]:  # type: ignore[override]  # the connection, for the same callers
        number, self.transactions = self.transactions, self.transactions + 1
        if 0 <= self.die_at < number:
            raise KilledError
        with super()._transaction() as db:
            yield db
            if number == self.die_at and self.when is When.BEFORE:
                raise KilledError
        if number == self.die_at and self.when is When.AFTER:
            raise KilledError


@dataclass
class World:
    """What outlives the process: folders and log. ``start`` is one life of the station."""

    folder: Path
    files: LogFiles = field(default_factory=MemoryLogFiles)
    copier: FakeCopier = field(default_factory=FakeCopier)
    clock: FakeClock = field(default_factory=FakeClock)
    trust_names: bool = False
    max_bays: int = 16
    registry: Registry = NOTHING
    unregistered: Handling = Handling.ACCEPT
    copies: int = 16
    priority_bays: tuple[int, ...] = ()
    unlocker: Unlocking | None = None

    def __post_init__(self) -> None:
        self.card.mkdir(parents=True, exist_ok=True)
        self.spool.mkdir(parents=True, exist_ok=True)

    @property
    def card(self) -> Path:
        return self.folder / "card"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def put(self, name: str, data: bytes = b"clip") -> Path:
        path = self.card / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(START_MS * 1_000_000 - 10**12,) * 2)
        return path

    def start(self, journal: Journal | None = None) -> "Station":
        return Station(self, journal or self.journal())

    def journal(self, kind: type[Journal] = Journal) -> Journal:
        return kind(self.folder / "journal.db", ORIGIN, lambda: new_id(self.clock.now().utc_ms))


class Station:
    """One life of the station over a world."""

    def __init__(self, world: World, journal: Journal) -> None:
        self.world = world
        self.journal = journal
        self.stop = threading.Event()
        self.board = Board([1])
        self.seal = Seal(world.files, ORIGIN, SIGNER, world.clock, journal)
        self.unformatted = True
        reader = Reader(
            self._mounted,
            recorders.list_files,
            recorders.family_of,
            recorders.claims,
            lambda files, card: recorders.recordings(files, card, ZoneInfo("UTC")),
            measure_offset,
            lambda _: self.unformatted,
            recorders_card_ids,
        )
        self.pipeline = Pipeline(
            world.clock,
            journal,
            self.seal,
            world.copier,
            reader,
            self.board,
            world.spool,
            self.stop,
            workers=1,
            max_bays=world.max_bays,
            copies=world.copies,
            priority_bays=world.priority_bays,
            patient=False,
            trust_names=world.trust_names,
            registry=lambda: world.registry,
            unregistered=world.unregistered,
            unlocker=world.unlocker,
        )
        self.pipeline.recover()

    def event(self) -> RecorderDocked:
        identity = DeviceIdentity("EC2300471", "0bda", "9210", "6A1F-0C3B", "DSJ", "usb-0:1:1.0")
        return RecorderDocked(str(self.world.card), 1, identity, "exfat", self.world.clock.now().utc_ms)

    def events(self) -> list[str]:
        return [entry.record.event for entry in self.seal.entries(0)]

    @contextmanager
    def _mounted(self, event: RecorderDocked) -> Iterator[MountedVolume]:
        root = Path(event.node)
        yield MountedVolume(root, event.node, "exfat", "kernel:exfat", ("ro", "nosuid"), device_read_only=True)

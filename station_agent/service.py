"""Composition root: builds the rooms from the configuration, runs them, and stops them in order.

One process owns a data folder: a lock on ``<data>/lock`` is held for as long as it runs.
"""

import fcntl
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog
import uvicorn

from custody.canonical import JsonObject
from custody.checkpoint import NoteKey
from custody.heartbeat import Health
from custody.profile import Profile
from custody.signer import Signer
from keystore import KeystoreError
from station_agent import enrolment, recorders
from station_agent.bays import BayMap
from station_agent.card_ids import ids_on
from station_agent.clock import StepWatch, SystemClock, measure_offset
from station_agent.config import Config
from station_agent.describe import Describer
from station_agent.desk import Desk
from station_agent.detect import Detector, require_same, still_unformatted
from station_agent.docking import Docking
from station_agent.dockside import Dockside
from station_agent.dropfolder import DropFolder, Statement, read_statement
from station_agent.durable import make_dirs
from station_agent.emptying import Emptying, Orders, Steward, settle
from station_agent.enrolment import key_places
from station_agent.errors import JournalError, KeyFileError
from station_agent.followup import FollowUp, Media
from station_agent.health import health_of
from station_agent.journal import DESCRIBE, TRANSCODE, UPLOAD, Journal
from station_agent.keys import open_signers
from station_agent.logfiles import PosixLogFiles
from station_agent.metrics import Sources, registry_of
from station_agent.model import (
    Card,
    CardIds,
    ClockReading,
    Described,
    DeviceIdentity,
    MountedVolume,
    Proxy,
    RecorderDocked,
    RecorderUndocked,
    SourceFile,
    StationTime,
    Tree,
    recordable,
)
from station_agent.mount import clear_stale
from station_agent.offload import Offloader
from station_agent.pipeline import Pipeline, Reader, Summary
from station_agent.ports import Clock
from station_agent.publish import Broker, Outbox, Publisher, Trust
from station_agent.pulse import Pulse
from station_agent.registry_file import RegistryFile
from station_agent.screen import create_app
from station_agent.seal import Seal, new_id
from station_agent.status import Board, LogHead, Status, status_of, with_sandbox
from station_agent.store import EvidenceStore
from station_agent.threads import Threads
from station_agent.timesource import TimeSource
from station_agent.tools import exiftool, ffmpeg, ffprobe
from station_agent.tools.sandbox import Sandbox
from station_agent.transcode import make_proxy, plan
from station_agent.unlock.unlocker import Unlocker
from station_agent.uplink import paced
from station_agent.volume import boot_says
from station_agent.volume import opened as opened_volume
from station_agent.warden import Warden, forget_proof

CHECKPOINT_EVERY_S: Final = 60.0
"""No entry is older than this without a checkpoint over it."""
CLOCK_EVERY_S: Final = 10.0
"""How often the clock is held against the time since boot."""
FOLDER: Final = "folder"
"""File system and driver named in the record of a folder that was ingested as it is."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rooms:
    """A station put together, not yet running."""

    config: Config
    clock: SystemClock
    journal: Journal
    seal: Seal
    pipeline: Pipeline
    board: Board
    followup: FollowUp
    sandbox: Sandbox
    timesource: TimeSource
    stop: threading.Event
    warden: Warden | None = None
    """Looks after a store that is no folder."""

    def health(self) -> Health:
        """How the station is now."""
        now, reading = self.clock.now(), self.timesource.reading()
        return health_of(now, reading, self.journal, self.seal.size, self.config.spool)


@contextmanager
def opened(config: Config, stop: threading.Event, *, patient: bool) -> Iterator[Rooms]:
    """The rooms of a station whose data folder is ours alone while this lasts; recovered, ready to work.

    Raises ``AgentError`` or ``CustodyError`` with a sentence for people.
    """
    with ExitStack() as stack:
        stack.enter_context(_alone(config.paths.data))
        shutil.rmtree(config.work, ignore_errors=True)  # links of a describer that was killed; nobody else has any
        signers = signers_of(config)
        clock, timesource = SystemClock(), TimeSource()
        journal = Journal(config.journal, config.origin, lambda: new_id(clock.now().utc_ms))
        stack.callback(journal.close)
        seal = _seal(config, signers, clock, journal)
        board = Board(sorted(config.bay_patterns))
        pipeline = Pipeline(
            clock,
            journal,
            seal,
            Offloader(clock, sm3=config.station.profile is Profile.GM),
            _reader(config, timesource),
            board,
            config.spool,
            stop,
            workers=config.offload.workers,
            max_bays=config.offload.max_bays,
            copies=config.offload.copies,
            priority_bays=config.offload.priority_bays,
            patient=patient,
            trust_names=config.recorders.trust_names,
            unlocker=_unlocker(config, clock),
            settle=lambda docking, files: settle(journal, seal, docking, files),
            registry=RegistryFile(config.registry.file).current,
            unregistered=config.registry.handling,
        )
        pipeline.recover()
        enrolment.take_over(config, seal)
        enrolment.check_places(config, seal.history)
        sandbox = sandbox_of(config)
        media = stack.enter_context(_media(config, sandbox))
        store = _LateStore(config.store_url, paced(config.upload.bytes_per_s, stop))
        warden = Warden(config.store, store, journal, seal, clock) if config.store.is_far else None
        if not config.store.require_lock:
            forget_proof(journal)
        followup = FollowUp(
            clock, journal, seal, media, store, config.spool, lambda: _uploads_begin(config, clock), warden
        )
        yield Rooms(config, clock, journal, seal, pipeline, board, followup, sandbox, timesource, stop, warden)


def run(config: Config, stop: threading.Event) -> None:
    """Run the station until ``stop`` is set. Raises the error that made going on impossible, if any."""
    with opened(config, stop, patient=True) as rooms:
        clear_stale(config.paths.mounts)
        _Running(rooms).until_stopped()


def ingest_folder(rooms: Rooms, folder: Path) -> Summary:
    """Take in a folder or mounted volume once, through the same pipeline, as bay 0."""
    identity = DeviceIdentity(serial="", volume_uuid=f"{FOLDER}:{folder}", volume_label=folder.name)
    event = RecorderDocked(str(folder), 0, identity, FOLDER, rooms.clock.now().utc_ms)
    summary = rooms.pipeline.docked(event)
    rooms.pipeline.undocked(RecorderUndocked(event.node, rooms.clock.now().utc_ms))
    return summary


class _Running:
    """The threads of a running station. The first error that makes going on impossible stops all of them."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._stop = rooms.stop
        self._config = rooms.config
        self._threads = Threads(rooms.stop)
        self._publisher = _publisher(rooms)

    def until_stopped(self) -> None:
        self._threads.keep("publish", lambda: self._publisher.run(self._stop))
        self._threads.keep("checkpoint", self._checkpoints)
        self._threads.keep("clock", lambda: watch_clock(self._rooms.seal, self._rooms.clock, self._stop))
        self._threads.keep("detect", self._detect)
        self._threads.keep("erase", lambda: steward_of(self._rooms).run(self._stop))
        for kind in (DESCRIBE, TRANSCODE, UPLOAD):
            self._threads.keep(kind, lambda kind=kind: self._rooms.followup.run(kind, self._stop))  # type: ignore[misc]  # mypy knows no default in a lambda
        if self._config.drop_folder is not None:
            self._threads.keep("dropfolder", self._watch_drop_folder)
        screen = self._screen() if self._config.screen.port else None
        notify("READY=1")
        self._threads.tend(_watchdog_s() / 2 or 1.0, lambda: notify("WATCHDOG=1"))
        notify("STOPPING=1")
        if screen:
            screen.should_exit = True
        self._threads.join()

    def _checkpoints(self) -> None:
        while not self._stop.wait(CHECKPOINT_EVERY_S):
            self._rooms.seal.checkpoint()
            enrolment.take_over(self._config, self._rooms.seal)

    def _detect(self) -> None:
        bays = BayMap(self._config.bay_patterns)
        unlocks = bool(self._config.unlock.drivers)
        detector = Detector(bays, self._rooms.clock, require_tag=self._config.recorders.require_tag, unlocks=unlocks)
        for event in detector.events(self._stop):
            if isinstance(event, RecorderDocked):
                self._read(self._rooms.pipeline.announced(event))
            else:
                self._rooms.pipeline.undocked(event)

    def _read(self, docking: Docking) -> None:
        """In a thread of its own, so that the next event, perhaps this recorder's removal, is seen meanwhile."""
        self._threads.start(f"bay-{docking.event.bay}", lambda: self._rooms.pipeline.read(docking))

    def _watch_drop_folder(self) -> None:
        folder = self._config.drop_folder
        if folder is None:
            return
        make_dirs(folder)
        dropped = DropFolder(folder, self._config.dropfolder.settle_s, self._rooms.pipeline.has_room)
        for file in dropped.files(self._stop):
            if _take_dropped(self._rooms, folder, file).open:
                dropped.later(file)

    def _screen(self) -> uvicorn.Server:
        rooms = self._rooms
        metrics = registry_of(Sources(rooms.health, rooms.journal, rooms.board, lambda: self._publisher.link))
        app = create_app(
            self._status,
            beside=self._beside,
            desk=Desk(self._config, rooms.journal, rooms.seal, rooms.board, rooms.clock, rooms.pipeline.resting),
            zone=self._config.zone,
            stopped=self._stop.is_set,
            metrics=metrics,
        )
        settings = uvicorn.Config(
            app, self._config.screen.host, self._config.screen.port, log_level="warning", timeout_graceful_shutdown=2
        )
        server = _ThreadServer(settings)
        self._threads.keep("screen", server.run)
        return server

    def _status(self) -> Status:
        seal = self._rooms.seal
        state = "stopping" if self._stop.is_set() else "running"
        head = LogHead(seal.origin, seal.size, seal.root)
        told = status_of(
            self._config.station.id, state, self._rooms.board, self._rooms.journal, head, self._publisher.link
        )
        return {**with_sandbox(told, self._rooms.sandbox), "keys": enrolment.described(self._config, seal.history)}

    def _beside(self, status: Mapping[str, Any]) -> Mapping[str, Any]:
        dockside = Dockside(self._config, self._rooms.journal, self._rooms.board)
        return dockside.seen(self._rooms.clock.now(), status["bays"])


def watch_clock(seal: Seal, clock: Clock, stop: threading.Event) -> None:
    """Record each time that the station's clock was set; the first look tells of the time that the station was off."""
    watch = StepWatch(clock, StationTime.read(seal.found_time))
    while True:
        if step := watch.look():
            _log.warning("clock-stepped", step_ms=step.step_ms)
            seal.append("clock.stepped", step.body())
        if stop.wait(CLOCK_EVERY_S):
            return


class _ThreadServer(uvicorn.Server):
    """A server in a thread: signals stay with the main thread."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _LateStore:
    """Opens the store at the first use, so that an unreachable store delays uploads and nothing else."""

    def __init__(self, url: str, pace: Callable[[int], None] = lambda _size: None) -> None:
        self._url = url
        self._pace = pace
        self._store: EvidenceStore | None = None

    def put(self, source: Path, name: str, sha256: str) -> None:
        self._opened().put(source, name, sha256)

    def size(self, name: str) -> int | None:
        return self._opened().size(name)

    def digest(self, name: str) -> str:
        return self._opened().digest(name)

    def write(self, name: str, data: bytes) -> None:
        self._opened().write(name, data)

    def _opened(self) -> EvidenceStore:
        if self._store is None:
            self._store = EvidenceStore(self._url, self._pace)
        return self._store


def _uploads_begin(config: Config, clock: SystemClock) -> bool:
    """Whether uploads of clips that nobody marked may begin now."""
    window = config.upload.window
    return window is None or window.is_open(datetime.fromtimestamp(clock.now().utc_ms / 1000, config.zone).time())


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); without NOTIFY_SOCKET nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("notify-failed", reason=str(error))


def signers_of(config: Config) -> list[Signer]:
    """Who holds the keys in their places of now: one signer, in profile ``gm`` two. Raises ``KeyFileError``."""
    return open_signers(config.station.profile, config.keys.custody, config.keys.sm2)


def _seal(config: Config, signers: Sequence[Signer], clock: SystemClock, journal: Journal) -> Seal:
    places = key_places(config)
    second, files = (signers[1] if signers[1:] else None), PosixLogFiles(config.log)
    try:
        holders = lambda keys: places.signers_of(keys.keys)  # noqa: E731  # said where it is used
        return Seal(files, config.origin, signers[0], clock, journal, second, holders)
    except KeystoreError as error:
        raise KeyFileError(str(error)) from error


def trust_of(config: Config) -> Trust:
    """Whose signatures this station believes. Raises ``ConfigError``."""
    centres = enrolment.centre_keys(config)
    witness = NoteKey.parse(config.keys.witness) if config.keys.witness else None
    if not centres:
        return Trust(None, witness)
    return Trust(centres[0].note, witness, centres[0].second, centres[1:])


def broker_of(config: Config) -> Broker:
    """The broker as configured."""
    return Broker(config.mqtt.host, config.mqtt.port, config.mqtt.ca, config.mqtt.cert, config.mqtt.key)


def _publisher(rooms: Rooms) -> Publisher:
    config = rooms.config
    outbox = Outbox(rooms.clock, rooms.journal, rooms.seal, trust_of(config), config.publish.resend_after_s)
    return Publisher(config.station.id, outbox, broker_of(config), rooms.clock, Pulse(rooms.health))


def steward_of(rooms: Rooms) -> Steward:
    """Who empties recorders, by the policy and the orders of this station's configuration."""
    config, trust = rooms.config, trust_of(rooms.config)
    emptying = Emptying(
        rooms.journal,
        rooms.seal,
        Offloader(rooms.clock),
        _reader(config, rooms.timesource),
        rooms.board,
        _LateStore(config.store_url),
        config.paths.mounts,
        config.station.timezone,
        trust.centre.name if trust.centre else "",
        [key for keys in trust.centres for key in keys.keys],
        locks=rooms.warden if config.store.require_lock else None,
    )
    orders = Orders(config.erase_orders)
    return Steward(emptying, config.erase.policy, orders, rooms.pipeline.resting, rooms.journal)


def _take_dropped(rooms: Rooms, folder: Path, file: SourceFile) -> Summary:
    stated = Statement() if file.refused else read_statement(folder / os.fsdecode(file.path))
    identity = DeviceIdentity(serial=stated.recorder, volume_uuid=f"{FOLDER}:{folder}", volume_label=folder.name)
    event = RecorderDocked(str(folder), 0, identity, FOLDER, rooms.clock.now().utc_ms)
    return rooms.pipeline.take(event, _as_it_is(folder), [file], said(stated))


def said(statement: Statement) -> dict[str, str]:
    """The texts of a sidecar that say something, as they stand in the ``stated`` block of ``ingest.copied``."""
    return {name: recordable(text) for name, text in asdict(statement).items() if text}


def claimed(path: bytes, card: Card, stated: Mapping[str, str]) -> recorders.Claims:
    """What the name of a file claims, where nobody stated otherwise beside it."""
    named = recorders.claims(path, card)
    return replace(
        named,
        device=stated.get("recorder") or named.device,
        officer=stated.get("officer") or named.officer,
        start_stated=stated.get("start", ""),
        case=stated.get("case", ""),
    )


def _unlocker(config: Config, clock: SystemClock) -> Unlocker | None:
    wanted = config.unlock
    return Unlocker(wanted.drivers, clock, config.zone, sets_clock=wanted.set_clock) if wanted.drivers else None


def _reader(config: Config, timesource: TimeSource) -> Reader:
    return Reader(
        mounted=lambda event: _mounted(event, config),
        list_files=recorders.list_files,
        family_of=recorders.family_of,
        claims=recorders.claims,
        recordings=lambda files, card: recorders.recordings(files, card, config.zone),
        measure_offset=lambda files, at_ms: replace(measure_offset(files, at_ms), station=timesource.reading()),
        still_unformatted=still_unformatted,
        boot_says=boot_says,
        card_ids=recorders_card_ids,
    )


def recorders_card_ids(root: Path | Tree, files: Iterable[SourceFile], card: Card) -> CardIds:
    """Who wrote the card mounted at ``root``, as its family of recorders reads it."""
    return ids_on(root, files, card, recorders.settings_of(card.family), lambda path: recorders.claims(path, card))


def _mounted(event: RecorderDocked, config: Config) -> AbstractContextManager[MountedVolume]:
    if event.filesystem == FOLDER:
        return _folder(Path(event.node))
    return _announced_volume(event, config)


@contextmanager
def _announced_volume(event: RecorderDocked, config: Config) -> Iterator[MountedVolume]:
    """The volume, proved to be the one of the event. Asked after it was opened: from then on nobody can swap it."""
    with opened_volume(event, config.paths.mounts, config.zone) as volume:
        require_same(event)
        yield volume


@contextmanager
def _folder(path: Path) -> Iterator[MountedVolume]:
    yield _as_it_is(path)


def _as_it_is(path: Path) -> MountedVolume:
    read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return MountedVolume(path, "", FOLDER, FOLDER, ("ro",) if read_only else ("rw",), device_read_only=False)


def sandbox_of(config: Config) -> Sandbox:
    """The walls around media tools, as configured."""
    return Sandbox(config.sandbox.enabled, config.sandbox.required)


@contextmanager
def _media(config: Config, sandbox: Sandbox) -> Iterator[Media]:
    with ExitStack() as stack:
        describer = _LateDescriber(config, stack, sandbox)

        def derive(path: Path, media: JsonObject, target: Path) -> Proxy | None:
            wanted = plan(media, config.transcode.height) if config.transcode.enabled else None
            return make_proxy(path, wanted, target, sandbox) if wanted else None

        yield Media(describer.describe, derive, lambda: _tools_ready(sandbox))


class _LateDescriber:
    """Starts the media tools at the first description: a missing program delays descriptions and nothing else."""

    def __init__(self, config: Config, stack: ExitStack, sandbox: Sandbox) -> None:
        self._config = config
        self._stack = stack
        self._sandbox = sandbox
        self._describer: Describer | None = None

    def describe(  # noqa: PLR0913  # what is known of one copy
        self, path: Path, file: SourceFile, card: Card, clock: ClockReading, docked_ms: int, stated: Mapping[str, str]
    ) -> Described:
        if self._describer is None:
            make_dirs(self._config.work)
            self._describer = Describer(self._config.zone, self._config.work, self._sandbox)
            self._stack.callback(self._describer.close)
        return self._describer.describe(path, file, claimed(file.path, card, stated), clock, docked_ms)


def _tools_ready(sandbox: Sandbox) -> None:
    sandbox.ready()
    for probe in TOOLS.values():
        probe(sandbox)


TOOLS: Final[Mapping[str, Callable[[Sandbox], str]]] = {
    "ffmpeg": ffmpeg.probe,
    "ffprobe": ffprobe.probe,
    "exiftool": exiftool.probe,
}
"""External programs and how each says its version; raises ``ToolError``."""


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the lock of the data folder. Raises ``JournalError`` when another process has it."""
    try:
        make_dirs(data)
        fd = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise JournalError(f"{data}: cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise JournalError(f"{data}: another station-agent is working with this folder") from error
    finally:
        os.close(fd)


def is_running(data: Path) -> bool:
    """Whether a process works with the data folder now."""
    try:
        with _alone(data):
            return False
    except JournalError:
        return True


def _watchdog_s() -> float:
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1_000_000 if microseconds.isdigit() else 0.0

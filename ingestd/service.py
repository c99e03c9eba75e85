"""Composition root: builds the adapters from the configuration, runs the threads, stops them in order."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from sqlalchemy import Engine

from custody.checkpoint import COSIGNATURE, NoteKey
from custody.errors import CustodyError
from custody.identifiers import second_origin
from custody.keyring import KEYS, LogKeys, open_succession
from custody.signer import Signer, VerifyKey, verify_key
from ingestd.anchors import setup as anchors
from ingestd.anchors.decide import CAVEAT
from ingestd.audit.history import History
from ingestd.catalogue import Catalogue, load
from ingestd.config import CENTRE, Config
from ingestd.errors import CentreError, ConfigError
from ingestd.index.database import open_engine
from ingestd.index.queries import Queries
from ingestd.keys import create_key, create_keys, load_signer, open_signers
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.logfiles import PosixLogFiles
from ingestd.pipeline import Pipeline, Places, Settings
from ingestd.receive import Receiver
from ingestd.recheck import Rechecker
from ingestd.rules import Policy
from ingestd.schedule import Schedule
from ingestd.store import EvidenceReader
from ingestd.verify import Station
from ingestd.web import create_app
from keystore import KeyPlaces, KeystoreError
from keystore.certificates import check_client, check_custody

_HOUR_MS: Final = 3_600_000
_JOIN_S: Final = 20.0

_log = structlog.get_logger(__name__)


class SystemClock:
    """The time of this machine."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Centre:
    """The centre without broker and pages: what every command needs."""

    config: Config
    engine: Engine
    catalogue: Catalogue
    pipeline: Pipeline
    queries: Queries


def build(config: Config) -> Centre:
    """Open database and keys; the first unit of work opens the logs. Raises ``ConfigError`` or ``DatabaseError``."""
    catalogue = load_catalogue(config)
    (signer, *second), witness = signers(config), load_signer(config.witness_key)
    _check_apart(config, [signer, *second], witness)
    certificates(config, verify_key(signer))
    places = key_places(config)
    books = Logbooks(
        config.origin,
        signer,
        stations(config),
        lambda name: PosixLogFiles(log_folder(config, name)),
        second[0] if second else None,
        lambda keys: places.signers_of(keys.keys),
    )
    settings = Settings(
        policy=Policy(config.rules.grace_hours * _HOUR_MS, config.zone, catalogue.spoken()),
        catalogue=catalogue,
        zone=config.zone,
        unmeasured_clock_ms=config.rules.unmeasured_clock_ms,
        arrival_ms=config.rules.arrival_hours * _HOUR_MS,
        missing_after_ms=config.store.missing_after_s * 1000,
    )
    engine = open_engine(config.database.url)
    cosigner = Cosigner(config.cosigner, witness)
    pipeline = Pipeline(engine, books, cosigner, Places.under(config.paths.data), settings, SystemClock())
    return Centre(config, engine, catalogue, pipeline, Queries(engine))


def _check_apart(config: Config, custody: Sequence[Signer], witness: Signer) -> None:
    """Nobody's key is somebody else's: a station that held the centre's could write its log. Raises ``ConfigError``."""
    ours = [signer.public_key() for signer in custody]
    if witness.public_key() in ours:
        raise ConfigError("keys.witness: must be another key than keys.custody")
    for station in config.stations:
        if {key.key.raw for key in station.note_keys()} & {*ours, witness.public_key()}:
            raise ConfigError(f"stations: {station.id}: this is the centre's own key, not a station's")


def signers(config: Config) -> list[Signer]:
    """Who holds the keys in their places of now: one signer, in profile ``gm`` two. Raises ``ConfigError``."""
    return open_signers(config.centre.profile, config.keys.custody, config.keys.sm2)


def key_places(config: Config) -> KeyPlaces:
    """Where the keys of the centre log live, those of now and the next."""
    keys = config.keys
    spots = [(keys.custody, keys.custody_next), *([(keys.sm2, keys.sm2_next)] if keys.sm2 else [])]
    return KeyPlaces([present for present, _ in spots], [following for _, following in spots])


def centre_keys(config: Config) -> tuple[LogKeys, ...]:
    """The keys that the centre log began with, then those that may succeed. Raises ``ConfigError``.

    Its file of keys counts because the newest key in it is held here.
    """
    data = PosixLogFiles(log_folder(config, CENTRE)).get(KEYS)
    try:
        if data is None:
            return (LogKeys.of(config.origin, [verify_key(signer) for signer in signers(config)]),)
        succession = open_succession(data)
    except CustodyError as error:
        raise ConfigError(f"{log_folder(config, CENTRE) / KEYS}: {error}") from error
    if not key_places(config).signers_of(succession[-1].keys):
        raise ConfigError(f"keys.custody: key {succession[-1].keyid} of {config.origin} is needed")
    return succession


def centre_key(config: Config) -> NoteKey:
    """The key that the centre log began with."""
    return centre_keys(config)[0].note


def second_key(config: Config) -> NoteKey | None:
    """The SM2 key that a centre log in profile ``gm`` began with."""
    return centre_keys(config)[0].second


def certificates(config: Config, custody: VerifyKey) -> None:
    """Whether each certificate is one for its place. Raises ``ConfigError``."""
    try:
        if config.keys.custody_cert is not None:
            check_custody(config.keys.custody_cert, custody)
        if config.mqtt.cert is not None:
            check_client(config.mqtt.cert)
    except KeystoreError as error:
        raise ConfigError(str(error)) from error


def load_catalogue(config: Config) -> Catalogue:
    """The agency's catalogue, or an empty one when none is configured."""
    return load(config.catalogue.file) if config.catalogue.file else Catalogue("none", {})


def stations(config: Config) -> dict[str, Station]:
    """Stations that the configuration enrols, by name; those that two people approved stand in the log alone."""
    keys = {station.id: LogKeys(*station.note_keys()) for station in config.stations}
    return {name: Station(name, first.note, first.second) for name, first in keys.items()}


def log_folder(config: Config, name: str) -> Path:
    """Where the log of ``name`` lies: ours, or the mirror of a station's."""
    return config.paths.data / "log" if name == CENTRE else config.paths.data / "mirrors" / name


def make_keys(config: Config) -> dict[str, str]:
    """Make the centre's keys where there are none; returns their vkeys, by who needs them."""
    custody, *second = create_keys(config.centre.profile, config.keys.custody, config.keys.sm2)
    witness = create_key(config.witness_key)
    vkeys = {
        "log": NoteKey(config.origin, verify_key(custody)).vkey(),
        "witness": NoteKey(config.cosigner, witness.verify_key(), COSIGNATURE).vkey(),
    }
    if second:
        vkeys["log_sm3"] = NoteKey(second_origin(config.origin), verify_key(second[0])).vkey()
    return vkeys


def run(config: Config, stop: threading.Event) -> None:
    """Serve until ``stop`` is set. Raises the first error that waiting does not cure."""
    centre = build(config)
    centre.pipeline.start()
    store = EvidenceReader(config.store.url)
    receiver = Receiver(config.mqtt, centre.pipeline.handle)
    pages, listener = _pages(centre, store, receiver), _listen(config)
    rechecker = Rechecker(store, centre.pipeline, receiver.publish, config.store.readers)
    crew = Crew(stop)
    crew.start("receive", receiver.run)
    crew.start("recheck", rechecker.run)
    crew.start("sweep", Schedule(centre.pipeline).run)
    _start_anchors(crew, centre, stop)
    crew.start("pages", lambda _stop: pages.run([listener]))
    receiver.start()
    notify("READY=1")
    _log.info("centre-running", web=f"http://{config.web.host}:{config.web.port}", log=config.origin)
    stop.wait()
    notify("STOPPING=1")
    pages.should_exit = True
    crew.join()
    receiver.stop()
    if crew.failure is None:
        centre.pipeline.checkpoint()
    centre.engine.dispose()
    if crew.failure is not None:
        raise crew.failure


def _start_anchors(crew: "Crew", centre: Centre, stop: threading.Event) -> None:
    """Anchor the log where anybody outside is configured; where nobody is, say so."""
    if not centre.config.anchors.configured:
        _log.warning("no-anchors", caveat=CAVEAT.zh, caveat_en=CAVEAT.en)
        return
    anchorer = anchors.anchorer(centre.config, centre.pipeline, SystemClock().now_ms, stop.wait)
    crew.start("anchors", anchorer.run)


class Crew:
    """Threads that stop together: the first that fails stops all."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def start(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Run ``work`` in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(name, work), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _run(self, name: str, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self._stop)
        except (CentreError, OSError) as error:
            _log.error("stopped", part=name, error=str(error))
            self.failure = self.failure or error
        except BaseException as error:
            _log.exception("crashed", part=name)
            self.failure = self.failure or error
            raise
        finally:
            self._stop.set()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def notify(state: str) -> None:
    """Tell systemd how we are (sd_notify(3)); without it, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _listen(config: Config) -> socket.socket:
    """The pages' socket, bound here so that a taken port is one clear sentence."""
    try:
        return socket.create_server((config.web.host, config.web.port))
    except OSError as error:
        raise ConfigError(f"web.host, web.port: {config.web.host}:{config.web.port}: {error.strerror}") from error


def audit_history(centre: Centre) -> History:
    """What the audit page reads."""
    config = centre.config
    return History(
        index=centre.queries,
        files=PosixLogFiles(log_folder(config, CENTRE)),
        key=centre_key(config),
        store=anchors.anchor_store(config),
        witnesses=config.anchors.witness_keys(),
        configured=config.anchors.configured,
    )


def _pages(centre: Centre, store: EvidenceReader, receiver: Receiver) -> uvicorn.Server:
    config = centre.config
    app = create_app(
        centre.queries,
        store,
        zone=config.zone,
        types=centre.catalogue.spoken(),
        published=anchors.published(config),
        history=audit_history(centre),
        hindrance=lambda: receiver.problem,
    )
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.web.host,
            port=config.web.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
    )

"""Composition root: builds the adapters from the configuration, for every command (``serve`` runs the threads)."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Engine

from custody.checkpoint import COSIGNATURE, NoteKey
from custody.identifiers import second_origin
from custody.log import LogFiles
from custody.signer import Signer, verify_key
from ingestd import calendar_cn
from ingestd.catalogue import Catalogue, load
from ingestd.config import Config
from ingestd.errors import ConfigError, StateError
from ingestd.heartbeats import Heartbeats
from ingestd.index.database import open_engine
from ingestd.index.queries import Queries
from ingestd.index.repository import Repository
from ingestd.keys import create_key, create_keys, load_signer
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.logfiles import ENTRIES, PosixLogFiles
from ingestd.pipeline import Pipeline, Places, Settings
from ingestd.premises import SystemClock, centre_keys, key_places, log_folder, signers, stations
from ingestd.rules import Policy
from ingestd.running import running
from ingestd.stations import StationRow, rows
from ingestd.store import EvidenceReader
from keystore import KeystoreError
from keystore.certificates import check_client, check_custody

_HOUR_MS: Final = 3_600_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Centre:
    """The centre without broker and pages: what every command needs."""

    config: Config
    engine: Engine
    catalogue: Catalogue
    pipeline: Pipeline
    queries: Queries

    def stations(self) -> list[StationRow]:
        """Every enrolled station: what is held of it, and what it last claimed."""
        heard = Heartbeats(Places.under(self.config.paths.data).heartbeats).all()
        return rows(self.queries.mirrors(), heard, SystemClock().now_ms())


def build(config: Config) -> Centre:
    """Open database and keys; the first unit of work opens the logs. Raises ``ConfigError`` or ``DatabaseError``.

    What goes on is told on standard error, unless whoever builds the centre has settled it otherwise.
    """
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    catalogue, books, witness = load_catalogue(config), logbooks(config), load_signer(config.witness_key)
    _check_apart(config, signers(config), witness)
    check_certificates(config)
    engine = open_engine(config.database.url)
    cosigner, places = Cosigner(config.cosigner, witness), Places.under(config.paths.data)
    pipeline = Pipeline(
        engine, books, cosigner, places, settings(config, catalogue), SystemClock(), lambda: remains(config)
    )
    return Centre(config, engine, catalogue, pipeline, Queries(engine))


def index(config: Config) -> Centre:
    """The centre, to look things up in its database. Raises what ``build`` raises, and ``StateError`` for an empty one.

    An empty database knows of nothing, which is not the same as there being nothing.
    """
    centre = build(config)
    with centre.engine.connect() as connection:
        following = Repository(connection).following()
    if following is None:
        centre.engine.dispose()
        raise StateError(
            "the database is empty: make it again with `ingestd audit rebuild --write`, or begin a new site with"
            " `ingestd init` 数据库为空"
        )
    return centre


def logbooks(config: Config, seen: Callable[[LogFiles], LogFiles] = lambda files: files) -> Logbooks:
    """All logs of the centre, not opened yet; ``seen`` is put around the files of each."""
    (signer, *second), places = signers(config), key_places(config)
    return Logbooks(
        config.origin,
        signer,
        stations(config),
        lambda name: seen(PosixLogFiles(log_folder(config, name))),
        second[0] if second else None,
        lambda keys: places.signers_of(keys.keys),
    )


def policy(config: Config, catalogue: Catalogue) -> Policy:
    """What the agency has settled, as the rules take it. Raises ``ConfigError`` for a wrong calendar."""
    rules = config.rules
    return Policy(
        grace_ms=rules.grace_hours * _HOUR_MS,
        zone=config.zone,
        types=catalogue.spoken(),
        calendar=calendar_cn.load(config.calendar.folder),
        answer_working_days=rules.answer_working_days,
        night_from_hour=rules.night_from_hour,
        night_until_hour=rules.night_until_hour,
        silent_ms=rules.silent_station_days * 24 * _HOUR_MS,
        unmeasured_clock_ms=rules.unmeasured_clock_ms,
        unseen_ms=rules.unseen_recorder_days * 24 * _HOUR_MS,
        keep_days=config.retention.keep_days,
    )


def settings(config: Config, catalogue: Catalogue) -> Settings:
    """What the agency has settled, as the pipeline takes it."""
    return Settings(
        policy=policy(config, catalogue),
        catalogue=catalogue,
        zone=config.zone,
        unmeasured_clock_ms=config.rules.unmeasured_clock_ms,
        arrival_ms=config.rules.arrival_hours * _HOUR_MS,
        missing_after_ms=config.store.missing_after_s * 1000,
        view_window_ms=config.web.view_window_minutes * 60_000,
        running=running(config, config.catalogue.file.read_bytes() if config.catalogue.file else b""),
    )


def _check_apart(config: Config, custody: Sequence[Signer], witness: Signer) -> None:
    """Nobody's key is somebody else's: a station that held the centre's could write its log. Raises ``ConfigError``."""
    ours = [signer.public_key() for signer in custody]
    if witness.public_key() in ours:
        raise ConfigError("keys.witness: must be another key than keys.custody")
    for station in config.stations:
        if {key.key.raw for key in station.note_keys()} & {*ours, witness.public_key()}:
            raise ConfigError(f"stations: {station.id}: this is the centre's own key, not a station's")


def check_certificates(config: Config) -> None:
    """Whether each certificate is one for its place. Raises ``ConfigError``.

    The custody certificate may be of a key that was replaced: a new one is for people to get, and nothing rests on it.
    """
    try:
        if config.keys.custody_cert is not None:
            check_custody(config.keys.custody_cert, [key for keys in centre_keys(config) for key in keys.keys])
        if config.mqtt.cert is not None:
            check_client(config.mqtt.cert)
    except KeystoreError as error:
        raise ConfigError(str(error)) from error


def load_catalogue(config: Config) -> Catalogue:
    """The agency's catalogue, or an empty one when none is configured."""
    return load(config.catalogue.file) if config.catalogue.file else Catalogue("none", {})


def remains(config: Config) -> str:
    """What an earlier centre left in mirrors or store, as part of a sentence; empty at a new site.

    Raises ``StoreError`` when the store does not answer: then nobody knows.
    """
    for path in sorted((config.paths.data / "mirrors").glob(f"*/{ENTRIES}")):
        if path.stat().st_size:
            return f"mirrors/{path.parent.name} holds entries of that station's log"
    for name, _ in EvidenceReader(config.store.url).list():
        return f"the store {config.store.url} holds {name}"
    return ""


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


def begin(config: Config, *, anew: bool = False) -> None:
    """Make the empty database of a new site ours (``Pipeline.begin``). Raises ``StateError`` after a loss."""
    centre = build(config)
    try:
        centre.pipeline.begin(anew=anew)
    finally:
        centre.engine.dispose()

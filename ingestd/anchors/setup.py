"""Builds the parts of anchoring from the configuration; used by the service and by the commands."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from custody.checkpoint import NoteKey
from ingestd.anchors.decide import Schedule
from ingestd.anchors.published import PublishedLog
from ingestd.anchors.run import Anchorer, Centre, Plan
from ingestd.anchors.store import AnchorStore
from ingestd.anchors.tsa import FileTsa, HttpTsa, Trust, Tsa, load_trust
from ingestd.anchors.verify import Subject
from ingestd.config import Config
from ingestd.config import Tsa as TsaSection
from ingestd.errors import ConfigError
from ingestd.logfiles import PosixLogFiles

FOLDER: Final = "anchors"
_HOUR_MS: Final = 3_600_000


def check(config: Config) -> None:
    """Raises ``ConfigError`` when a certificate or a witness of ``[anchors]`` cannot be used."""
    witnesses(config)
    for section in config.anchors.tsa:
        _trust(section)


def published(config: Config) -> PublishedLog:
    """The centre log as anybody may see it."""
    return PublishedLog(_files(config))


def anchor_store(config: Config) -> AnchorStore:
    """The centre's own anchors."""
    return AnchorStore(config.paths.data / FOLDER)


def anchorer(config: Config, centre: Centre, now: Callable[[], int], wait: Callable[[float], bool]) -> Anchorer:
    """What anchors the centre log. Raises ``ConfigError`` when a certificate cannot be used."""
    tsas = [_tsa(section) for section in config.anchors.tsa]
    plan = Plan(tsas, witnesses(config), schedule(config), config.zone, wait)
    return Anchorer(centre, published(config), anchor_store(config), plan, now)


def subject(config: Config, keys: Sequence[NoteKey], copies: Sequence[Path], now_ms: int) -> Subject:
    """What ``anchors verify`` checks: our anchors, and copies that others kept."""
    for copy in copies:
        if not copy.is_dir():
            raise ConfigError(f"--copy {copy}: a folder of anchors is needed")
    return Subject(
        files=_files(config),
        keys=keys,
        stores=[anchor_store(config), *(AnchorStore(copy) for copy in copies)],
        trusts={one.name: _trust(one) for one in config.anchors.tsa},
        witnesses=witnesses(config),
        schedule=schedule(config) if config.anchors.configured else None,
        now_ms=now_ms,
    )


def schedule(config: Config) -> Schedule:
    """How often, as the agency has settled it."""
    anchors = config.anchors
    return Schedule(anchors.every_hours * _HOUR_MS, anchors.every_entries, anchors.max_age_hours * _HOUR_MS)


def witnesses(config: Config) -> list[NoteKey]:
    """Keys of the second organisations. Raises ``ConfigError`` when one of them is the centre's own cosigner."""
    keys = config.anchors.witness_keys()
    if any(key.name in {config.cosigner, config.origin} for key in keys):
        raise ConfigError("anchors.witnesses: the centre cannot be its own witness")
    return keys


def _tsa(section: TsaSection) -> Tsa:
    trust = _trust(section)
    if section.drop is not None and section.transport == "file":
        return FileTsa(section.name, section.drop, trust)
    return HttpTsa(section.name, section.url, trust, section.tls_ca or section.ca)


def _trust(section: TsaSection) -> Trust:
    return load_trust(section.name, section.tsa_cert, section.ca)


def _files(config: Config) -> PosixLogFiles:
    return PosixLogFiles(config.paths.data / "log")

"""Where the logs and keys of a centre lie and whom its configuration enrols: all that a reader of its logs needs.

Knows neither database nor pipeline, so that an audit loads neither.
"""

import time
from pathlib import Path

from custody.checkpoint import NoteKey
from custody.keyring import LogKeys
from custody.signer import Signer
from ingestd.config import CENTRE, Config
from ingestd.errors import ConfigError
from ingestd.keys import load_signer, open_signers
from ingestd.logfiles import PosixLogFiles
from ingestd.verify import Station
from keystore import KeyPlaces, KeystoreError, OwnKeys


class SystemClock:
    """The time of this machine."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000


def signers(config: Config) -> list[Signer]:
    """Who holds the keys in their places of now: one signer, in profile ``gm`` two. Raises ``ConfigError``."""
    return open_signers(config.centre.profile, config.keys.custody, config.keys.sm2)


def witness_of(config: Config) -> Signer:
    """Who cosigns."""
    return load_signer(config.witness_key)


def key_places(config: Config) -> KeyPlaces:
    """Where the keys of the centre log live, those of now and the next."""
    keys = config.keys
    spots = [(keys.custody, keys.custody_next), *([(keys.sm2, keys.sm2_next)] if keys.sm2 else [])]
    return KeyPlaces([present for present, _ in spots], [following for _, following in spots])


def centre_keys(config: Config) -> tuple[LogKeys, ...]:
    """The keys that the centre log began with, then those that may succeed. Raises ``ConfigError``."""
    places, files = key_places(config), PosixLogFiles(log_folder(config, CENTRE))
    try:
        return OwnKeys(files, config.origin, signers(config), lambda keys: places.signers_of(keys.keys)).succession()
    except KeystoreError as error:
        raise ConfigError(f"keys.custody: {error}") from error


def centre_notes(config: Config) -> list[NoteKey]:
    """Whose signature a checkpoint of the centre log may bear: the keys of now, those before, those that may follow."""
    return [keys.note for keys in centre_keys(config)]


def centre_key(config: Config) -> NoteKey:
    """The key that the centre log began with."""
    return centre_keys(config)[0].note


def second_key(config: Config) -> NoteKey | None:
    """The SM2 key that a centre log in profile ``gm`` began with."""
    return centre_keys(config)[0].second


def stations(config: Config) -> dict[str, Station]:
    """Stations that the configuration enrols, by name; those that two people approved stand in the log alone."""
    keys = {station.id: LogKeys(*station.note_keys()) for station in config.stations}
    return {name: Station(name, first.note, first.second) for name, first in keys.items()}


def mirrored(config: Config) -> list[str]:
    """Names of stations whose logs lie here, whoever let them in."""
    mirrors = config.paths.data / "mirrors"
    return sorted(path.name for path in mirrors.iterdir() if path.is_dir()) if mirrors.is_dir() else []


def log_folder(config: Config, name: str) -> Path:
    """Where the log of ``name`` lies: ours, or the mirror of a station's."""
    return config.paths.data / "log" if name == CENTRE else config.paths.data / "mirrors" / name

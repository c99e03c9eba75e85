"""With what configuration the centre runs, as the log may tell it: every setting, and no secret.

The log names the SHA-256 of the settings and of the catalogue, and which keys changed; the settings themselves are kept
in the data folder under that digest, so that it can be shown years later what was in force.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from custody.canonical import JsonObject, canonical_bytes, parse_object
from custody.errors import CustodyError
from ingestd.config import Config

MOST_KEYS: Final = 500
"""Most changed keys that one entry names."""
_PASSWORD: Final = re.compile(r"(://[^/@:]*):[^@]*@")
"""Of an address; it may hold a slash, which databases take as it is."""
_SECRET: Final = re.compile(r"([?&;][\w-]*(?:pin-value|password|secret|session_token)[\w-]*=)[^&;]*", re.IGNORECASE)
"""A parameter of an address that its name calls a secret."""


@dataclass(frozen=True, slots=True)
class Running:
    """Settings by key, and the catalogue's bytes."""

    settings: Mapping[str, str] = field(default_factory=dict)
    catalogue: bytes = b""

    @property
    def data(self) -> bytes:
        """The settings as canonical JSON: what ``sha256`` is of."""
        return canonical_bytes(dict(self.settings))

    @property
    def sha256(self) -> str:
        """Digest of the settings."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def catalogue_sha256(self) -> str:
        """Digest of the catalogue file; that of no bytes when there is none."""
        return hashlib.sha256(self.catalogue).hexdigest()


def running(config: Config, catalogue: bytes) -> Running:
    """What runs: every key of the configuration, defaults included, and the version of the program."""
    plain = config.model_dump(mode="json")
    stations = {one["id"]: one for one in plain.pop("stations")}
    files = {f"calendar.{name}": digest for name, digest in _calendar_files(config).items()}
    settings = {"program.version": _version(), **_flat("", {**plain, "stations": stations}), **files}
    return Running(settings, catalogue)


def _calendar_files(config: Config) -> dict[str, str]:
    """SHA-256 of each calendar file by its name: deadlines and holidays depend on them."""
    folder = config.calendar.folder
    paths = sorted(folder.glob("*.toml")) if folder else []
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def changed_keys(before: bytes | None, now: Running) -> list[str]:
    """Keys that differ from the settings kept as ``before``; every key when those cannot be read."""
    try:
        old: JsonObject = parse_object(before) if before else {}
    except CustodyError:
        old = {}
    keys = old.keys() | now.settings.keys()
    return sorted(key for key in keys if old.get(key) != now.settings.get(key))


def _flat(prefix: str, value: Any) -> dict[str, str]:
    if isinstance(value, dict) and value:
        parts = (_flat(f"{prefix}.{key}" if prefix else str(key), part) for key, part in value.items())
        return {key: text for part in parts for key, text in part.items()}
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return _flat(prefix, {str(part.get("name", number)): part for number, part in enumerate(value)})
    return {prefix: without_secret(str(value))}


def without_secret(text: str) -> str:
    """An address without passwords and other secrets, a key's place without the PIN."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def _version() -> str:
    try:
        return version("bodycam-custody")
    except PackageNotFoundError:
        return "unknown"

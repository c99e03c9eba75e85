"""The station's register of recorders as it lies on the disk: read again whenever it changed."""

import threading
from pathlib import Path

import structlog

from station_agent.errors import ConfigError
from station_agent.registry import NOTHING, Registry, parse

_log = structlog.get_logger(__name__)


class RegistryFile:
    """A register that people edit while the station runs. Safe for several threads."""

    def __init__(self, path: Path | None) -> None:
        """None: the station has no register. Raises ``ConfigError`` when it has one that cannot be used."""
        self._path = path
        self._lock = threading.Lock()
        self._registry, self._version = (NOTHING, None) if path is None else read(path)

    def current(self) -> Registry:
        """The register as it is now. A file that became wrong changes nothing until it is right again."""
        if self._path is None:
            return NOTHING
        with self._lock:
            try:
                if _version(self._path) != self._version:
                    self._registry, self._version = read(self._path)
            except ConfigError as error:
                _log.error("register-not-read", reason=str(error))
            return self._registry


def read(path: Path) -> tuple[Registry, tuple[int, ...] | None]:
    """The register in a file, and the version of the file it is of. Raises ``ConfigError``."""
    version = _version(path)
    try:
        return parse(path.read_bytes(), str(path)), version
    except OSError as error:
        raise ConfigError(f"{path}: the register of recorders cannot be read: {error.strerror}") from error


def _version(path: Path) -> tuple[int, ...]:
    """What changes with a file's content. Raises ``ConfigError``."""
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: the register of recorders cannot be read: {error.strerror}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns

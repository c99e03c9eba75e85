"""The station log's files on a POSIX file system: the promises of ``custody.log.LogFiles``, kept with fsync.

System calls of ``append``: open(O_APPEND) once → write until all is written → fdatasync. fdatasync suffices because it
also writes the size (POSIX); the name was synced when the file was made.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from custody.index import OwnIndex
from custody.log import SNAPSHOT
from station_agent.durable import fsync_dir, make_dirs, open_regular, replace_file
from station_agent.errors import LogFilesError

ENTRIES: Final = "entries.jsonl"
_CHUNK_BYTES: Final = 1 << 20


class PosixLogFiles:
    """A log in a folder of its own. Errors of the medium are raised as ``LogFilesError``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries = folder / ENTRIES
        try:
            make_dirs(folder)
            if not self._entries.exists():
                self._entries.touch(mode=0o640)
                fsync_dir(folder)
        except OSError as error:
            raise _translated(folder, error) from error

    def read(self, offset: int) -> Iterator[bytes]:
        """Bytes of the entries from ``offset`` on."""
        try:
            with open_regular(self._entries) as file:
                file.seek(offset)
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise _translated(self._entries, error) from error

    def append(self, data: bytes) -> None:
        """Add ``data`` at the end; durable when this returns."""
        try:
            fd = os.open(self._entries, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                _write_all(fd, data)
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise _translated(self._entries, error) from error

    def truncate(self, size: int) -> None:
        """Cut the entries to ``size`` bytes; durable when this returns."""
        try:
            with self._entries.open("r+b") as file:
                file.truncate(size)
                os.fsync(file.fileno())
        except OSError as error:
            raise _translated(self._entries, error) from error

    def get(self, name: str) -> bytes | None:
        """Content of a small file, or None when it does not exist."""
        try:
            with open_regular(self._folder / name) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _translated(self._folder / name, error) from error

    def put(self, name: str, data: bytes) -> None:
        """Replace a small file as a whole; durable when this returns."""
        try:
            replace_file(self._folder / name, data)
        except OSError as error:
            raise _translated(self._folder / name, error) from error

    def length(self, name: str) -> int:
        """Bytes in an index file, 0 when it is not there."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise _translated(self._folder / name, error) from error

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes of an index file."""
        try:
            with open_regular(self._folder / name) as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _translated(self._folder / name, error) from error

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Write into an index file; what a crash loses of it is derived again."""
        try:
            fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            with os.fdopen(fd, "wb") as file:
                file.seek(offset)
                file.write(data)
        except OSError as error:
            raise _translated(self._folder / name, error) from error


class AuditedLogFiles(OwnIndex):
    """The same files for a reader who must change nothing and believe nothing.

    The snapshot is hidden, so every entry is read, and the index is the reader's own; a torn tail stays where it is,
    since the agent may just be writing.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        if not (folder / ENTRIES).is_file():
            raise LogFilesError(f"{folder / ENTRIES}: there is no log here")
        self._files = PosixLogFiles(folder)

    def read(self, offset: int) -> Iterator[bytes]:
        """Bytes of the entries from ``offset`` on."""
        return self._files.read(offset)

    def append(self, data: bytes) -> None:
        """Refused."""
        raise LogFilesError(f"a log opened for audit takes no {len(data)} bytes")

    def truncate(self, size: int) -> None:
        """Nothing: the reader reports ``torn_bytes`` and leaves byte ``size`` and what follows alone."""

    def get(self, name: str) -> bytes | None:
        """Content of a small file; the snapshot is not shown."""
        return None if name == SNAPSHOT else self._files.get(name)

    def put(self, name: str, data: bytes) -> None:
        """Refused."""
        raise LogFilesError(f"a log opened for audit takes no {name} of {len(data)} bytes")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _translated(path: Path, error: OSError) -> LogFilesError:
    return LogFilesError(f"{path}: {error.strerror or error}")

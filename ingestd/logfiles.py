"""Where the centre's logs lie: ``custody.log.LogFiles`` over a folder, and the lock that makes one writer of many.

A durable replacement is: write a temporary file, fsync it, rename it over the old one, fsync the folder.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from ingestd.errors import BusyError

ENTRIES: Final = "entries.jsonl"
_CHUNK_BYTES: Final = 1 << 20
_POLL_S: Final = 0.01


class PosixLogFiles:
    """A folder with ``entries.jsonl`` and small files. Errors of the operating system pass through unchanged."""

    def __init__(self, folder: Path) -> None:
        make_dirs(folder)
        self._folder = folder
        self._entries = folder / ENTRIES

    def read(self, offset: int) -> Iterator[bytes]:
        """Bytes of the entries from ``offset`` to the end."""
        if not self._entries.exists():
            return
        with open_regular(self._entries) as file:
            file.seek(offset)
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def append(self, data: bytes) -> None:
        """Add to the entries; on disk when this returns."""
        new = not self._entries.exists()
        with self._entries.open("ab") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        if new:
            fsync_dir(self._folder)

    def truncate(self, size: int) -> None:
        """Cut the entries; on disk when this returns."""
        with self._entries.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def get(self, name: str) -> bytes | None:
        """Content of a small file, or None."""
        try:
            with open_regular(self._folder / name) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Replace a small file as a whole."""
        replace_file(self._folder / name, data)

    def length(self, name: str) -> int:
        """Bytes in an index file, 0 when it is not there."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return 0

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes of an index file."""
        try:
            with open_regular(self._folder / name) as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Write into an index file; what a crash loses of it is derived again."""
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(offset)
            file.write(data)


def open_regular(path: Path, flags: int = 0) -> FileIO:
    """Open a regular file for reading, unbuffered. Raises ``OSError``, also where a pipe or a device is in its place.

    Whoever put that there would have the reader wait for ever.
    """
    file = FileIO(path, opener=lambda name, mode: os.open(name, mode | os.O_NONBLOCK | flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` under ``path``: the old or the new content survives a power cut, never a mixture."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync_dir(path.parent)


def make_dirs(path: Path) -> None:
    """Make a folder and its parents, on disk when this returns."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o750, exist_ok=True)
            fsync_dir(folder.parent)


def fsync_dir(path: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(path: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Hold the lock file ``path`` against other processes. Raises ``BusyError`` after ``wait_s``.

    The kernel releases the lock when its holder dies, however it dies.
    """
    make_dirs(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _acquire(descriptor, path, time.monotonic() + wait_s)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise BusyError(f"{path}: another process is writing; try again") from error
            time.sleep(_POLL_S)
        else:
            return

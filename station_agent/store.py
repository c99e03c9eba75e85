"""The evidence store through obstore: a local folder, or ``s3://bucket/prefix``.

Media go through a multipart writer in pieces of ``PIECE_BYTES``; ``put`` with create mode would hold the whole file in
memory. obstore does not sync local files, so for a folder this adapter does: file, then each folder up to the root.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import obstore
import stamina
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from custody.layout import is_store_name
from station_agent.durable import fsync_dir, make_dirs
from station_agent.errors import StoreError

PIECE_BYTES: Final = 4 << 20
"""Read and written at once."""
ATTEMPTS: Final = 3
"""Tries within one ``put``; the job queue tries again later, for ever."""


class EvidenceStore:
    """Adapter of ``ports.Store``. Its constructor and all methods raise ``StoreError`` only."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._root = None if "://" in url else Path(url)
        with _translated(url):
            self._store = self._open()

    def put(self, source: Path, name: str) -> None:
        """Upload; durable as far as the store can promise when this returns. The size is asked back and compared."""
        if not is_store_name(name):
            raise StoreError(f"{name!r} is no name of an object")
        self._insist(lambda: self._put(source, name))
        stored, expected = self.size(name), _size_of(source)
        if stored != expected:
            raise StoreError(f"{name}: {expected} bytes were sent, the store holds {stored}")

    def size(self, name: str) -> int | None:
        """Size of a stored object in bytes, or None."""
        with _translated(name):
            try:
                return int(obstore.head(self._store, name)["size"])
            except (NotFoundError, FileNotFoundError):
                return None

    def check(self) -> None:
        """Prove that objects can be written and read back. Leaves nothing behind."""
        probe = f"doctor-{os.getpid()}"
        with _translated(self._url):
            obstore.put(self._store, probe, b"probe")
            same = bytes(obstore.get(self._store, probe).bytes()) == b"probe"
            obstore.delete(self._store, probe)
        if not same:
            raise StoreError(f"{self._url}: gives back other bytes than it was given")

    def _open(self) -> ObjectStore:
        if self._root is None:
            return from_url(self._url, client_options={"allow_http": True})
        make_dirs(self._root)
        return LocalStore(self._root)

    def _insist(self, call: Callable[[], None]) -> None:
        for attempt in stamina.retry_context(on=StoreError, attempts=ATTEMPTS, timeout=10.0, wait_initial=0.1):
            with attempt:
                call()

    def _put(self, source: Path, name: str) -> None:
        with _translated(name):
            self._clear(name)
            if not _size_of(source):
                # A writer that was given nothing makes no object; an empty clip is evidence too.
                obstore.put(self._store, name, b"")
            else:
                self._stream(source, name)
            self._sync(name)

    def _stream(self, source: Path, name: str) -> None:
        with source.open("rb") as file, obstore.open_writer(self._store, name, buffer_size=PIECE_BYTES) as writer:
            while piece := file.read(PIECE_BYTES):
                writer.write(piece)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _clear(self, name: str) -> None:
        """Remove what a killed upload of this very object left: a local store stages it as ``<name>#<number>``."""
        if self._root is not None:
            path = self._root / name
            for stale in path.parent.glob(f"{path.name}#*"):
                stale.unlink()

    def _sync(self, name: str) -> None:
        if self._root is None:
            return
        path = self._root / name
        with path.open("rb") as file:
            os.fsync(file.fileno())
        for folder in path.parents:
            fsync_dir(folder)
            if folder == self._root:
                return


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(f"{what}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


def _size_of(source: Path) -> int:
    with _translated(str(source)):
        return source.stat().st_size

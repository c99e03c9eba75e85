"""The evidence store through obstore: a local folder, or ``s3://bucket/prefix``.

No object gets its name before all of its bytes were compared with the digest in its entry. In a folder: temporary →
fsync → rename → fsync of each folder up to the root; written here, since obstore does not sync. In S3: a multipart
writer, in parts of ``PART_BYTES``, that is closed only then; what is never closed never becomes an object.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import obstore
import stamina
import structlog
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from custody.layout import is_store_name
from station_agent.durable import fsync_dir, make_dirs
from station_agent.errors import DamagedCopyError, StoreError

PIECE_BYTES: Final = 4 << 20
"""Read and written at once."""
PART_BYTES: Final = 5 << 20
"""The least that S3 takes as a part that is not the last; of these 10,000 make an object, 50 GB."""
ATTEMPTS: Final = 3
"""Tries within one ``put``; the job queue tries again later, for ever."""
STAGED: Final = "#1"
"""Suffix of a file that is being written; obstore lists no name that ends in ``#`` and digits."""

_log = structlog.get_logger(__name__)


class EvidenceStore:
    """Adapter of ``ports.Store``. Its constructor and all methods raise ``StoreError`` only."""

    def __init__(self, url: str, pace: Callable[[int], None] = lambda _size: None) -> None:
        """``pace`` is told of bytes before they go, and waits. What it raises ends the upload; nothing is stored."""
        self._url = url
        self._pace = pace
        self._root = None if "://" in url else Path(url)
        with _translated(url):
            self._store = self._open()

    def put(self, source: Path, name: str, sha256: str) -> None:
        """Upload; durable as far as the store can promise when this returns.

        An object that already holds these bytes is left alone. Raises ``DamagedCopyError`` when ``source`` is not what
        its entry says; the store is unchanged then.
        """
        if not is_store_name(name):
            raise StoreError(f"{name!r} is no name of an object")
        if not self._holds(name, sha256):
            self._insist(lambda: self._put(source, name, sha256))

    def size(self, name: str) -> int | None:
        """Size of a stored object in bytes, or None."""
        with _translated(name):
            try:
                return int(obstore.head(self._store, name)["size"])
            except (NotFoundError, FileNotFoundError):
                return None

    def digest(self, name: str) -> str:
        """SHA-256 of a stored object, of bytes read back in full; empty when there is none."""
        if self.size(name) is None:
            return ""
        digest = hashlib.sha256()
        with _translated(name):
            for piece in obstore.get(self._store, name).stream(min_chunk_size=PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Write bytes that are no evidence, in parts where they are many, as evidence is written."""
        with _translated(name):
            writer = obstore.open_writer(self._store, name, buffer_size=PART_BYTES)
            writer.write(data)
            writer.close()

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

    def _holds(self, name: str, sha256: str) -> bool:
        """Whether the store has these very bytes under this name: read back in full, a size proves nothing."""
        found = self.digest(name)
        if found and found != sha256:
            _log.warning("stored-object-differs", name=name, found=found, expected=sha256)
        return found == sha256

    def _insist(self, call: Callable[[], None]) -> None:
        for attempt in stamina.retry_context(on=_passes, attempts=ATTEMPTS, timeout=10.0, wait_initial=0.1):
            with attempt:
                call()

    def _put(self, source: Path, name: str, sha256: str) -> None:
        with _translated(name):
            if self._root is None:
                self._send(source, name, sha256)
                return  # all of it is read back by whoever uploads (followup), and what came is recorded
            self._write(source, self._root / name, sha256)
        stored, expected = self.size(name), _size_of(source)
        if stored != expected:
            raise StoreError(f"{name}: {expected} bytes were sent, the store holds {stored}")

    def _send(self, source: Path, name: str, sha256: str) -> None:
        if not _size_of(source):
            # A writer that was given nothing makes no object; an empty clip is evidence too.
            _pour(source, lambda _piece: None, sha256, self._pace)
            obstore.put(self._store, name, b"")
            return
        # Not a context manager: leaving one closes the writer, and closing makes the object, also after an error.
        writer = obstore.open_writer(self._store, name, buffer_size=PART_BYTES)
        _pour(source, writer.write, sha256, self._pace)
        writer.close()

    def _write(self, source: Path, final: Path, sha256: str) -> None:
        make_dirs(final.parent)
        self._clear(final)
        temporary = final.with_name(f"{final.name}{STAGED}")
        try:
            with temporary.open("xb") as file:
                _pour(source, file.write, sha256, self._pace)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
        self._sync(final.parent)

    def _clear(self, final: Path) -> None:
        """Remove what a killed upload of this very object left."""
        for stale in final.parent.glob(f"{final.name}#*"):
            stale.unlink()

    def _sync(self, folder: Path) -> None:
        """The name, and those of its folders up to the root."""
        for parent in (folder, *folder.parents):
            fsync_dir(parent)
            if parent == self._root:
                return


def _pour(source: Path, write: Callable[[bytes], object], sha256: str, pace: Callable[[int], None]) -> None:
    """Hand on a file piece by piece. Raises ``DamagedCopyError`` at its end unless these were the bytes wanted."""
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            pace(len(piece))
            write(piece)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if digest.hexdigest() != sha256:
        raise DamagedCopyError(f"{source.name}: its SHA-256 is {digest.hexdigest()}, its entry says {sha256}")


def _passes(error: Exception) -> bool:
    """Whether trying again at once may help."""
    return isinstance(error, StoreError) and not isinstance(error, DamagedCopyError)


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

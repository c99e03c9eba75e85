"""The evidence store as the centre sees it: read only, through obstore.

Errors of the store are translated here, once. Retries are obstore's own for S3 (bounded, with jitter); a local folder
is not asked twice, and its files are hashed without obstore in between, which is two to three times faster.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from custody.layout import ORIGINALS, PROXIES, is_store_name
from ingestd.errors import ObjectMissingError, StoreError
from ingestd.logfiles import open_regular

PIECE_BYTES: Final = 4 << 20
"""Objects are streamed in pieces of this size, whatever theirs."""
_READ_BYTES: Final = 1 << 20
"""A local file is hashed through one buffer of this size (custody paper §15: larger ones are no faster)."""


class EvidenceReader:
    """Reads objects of a store named by a folder or an ``s3://`` address; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Raises ``StoreError`` when there is no such kind of store."""
        self.url = url
        self._folder = None if "://" in url else Path(url)
        try:
            self._store: Any = from_url(url) if "://" in url else LocalStore(Path(url), mkdir=True)
        except (BaseError, ValueError, OSError) as error:
            raise StoreError(f"store {url}: {error}") from error

    def digest(self, name: str) -> tuple[int, str]:
        """Size and SHA-256 (hex) of what the store returns for ``name``, streamed.

        Raises ``ObjectMissingError``, or ``StoreError`` when it cannot be read to its end.
        """
        _check_name(name)
        if self._folder is not None:
            return _digest_file(self._folder, name)
        hasher, size = hashlib.sha256(), 0
        for piece in self.pieces(name):
            hasher.update(piece)
            size += len(piece)
        return size, hasher.hexdigest()

    def pieces(self, name: str) -> Iterator[bytes]:
        """The object's bytes in pieces; raises like ``digest``."""
        _check_name(name)
        if self._folder is not None:
            yield from _pieces_of(self._folder, name)
            return
        try:
            yield from obstore.get(self._store, name).stream(min_chunk_size=PIECE_BYTES)
        except (NotFoundError, FileNotFoundError) as error:
            raise ObjectMissingError(f"store has no {name}") from error
        except (BaseError, OSError) as error:
            raise StoreError(f"store cannot read {name}: {error}") from error

    def size(self, name: str) -> int:
        """Size in bytes as the store states it; raises like ``digest``."""
        _check_name(name)
        try:
            return int(obstore.head(self._store, name)["size"])
        except (NotFoundError, FileNotFoundError) as error:
            raise ObjectMissingError(f"store has no {name}") from error
        except (BaseError, OSError) as error:
            raise StoreError(f"store cannot read {name}: {error}") from error

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of an object; raises like ``digest``."""
        _check_name(name)
        try:
            return bytes(obstore.get_range(self._store, name, start=start, end=end))
        except (NotFoundError, FileNotFoundError) as error:
            raise ObjectMissingError(f"store has no {name}") from error
        except (BaseError, OSError) as error:
            raise StoreError(f"store cannot read {name}: {error}") from error

    def list(self) -> Iterator[tuple[str, int]]:
        """Name and size of every object under ``originals`` and ``proxies``. Raises ``StoreError``."""
        try:
            for folder in (ORIGINALS, PROXIES):
                for batch in obstore.list(self._store, prefix=folder):
                    for meta in batch:
                        yield str(meta["path"]), int(meta["size"])
        except (BaseError, OSError) as error:
            raise StoreError(f"store {self.url} cannot be listed: {error}") from error


def _digest_file(folder: Path, name: str) -> tuple[int, str]:
    """Size and SHA-256 of a regular file, through one buffer; hashlib lets other threads hash meanwhile."""
    with _opened(folder, name) as file:
        return _digest(file, min(max(os.fstat(file.fileno()).st_size, 1), _READ_BYTES))


def _pieces_of(folder: Path, name: str) -> Iterator[bytes]:
    with _opened(folder, name) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[FileIO]:
    """A stored file for reading: neither a link nor a pipe nor a folder. Failures are said in the store's words."""
    try:
        with open_regular(folder / name, os.O_NOFOLLOW) as file:
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectMissingError(f"store has no {name}") from error
    except OSError as error:
        raise StoreError(f"store cannot read {name}: {error.strerror}") from error


def _digest(file: RawIOBase, buffer_bytes: int) -> tuple[int, str]:
    hasher, size, buffer = hashlib.sha256(), 0, bytearray(buffer_bytes)
    view = memoryview(buffer)
    while count := file.readinto(buffer):
        hasher.update(view[:count])
        size += count
    return size, hasher.hexdigest()


def _check_name(name: str) -> None:
    """A name that ``custody.layout`` cannot have made is never opened, whoever signed it."""
    if not is_store_name(name):
        raise ObjectMissingError(f"{name!r} is no name of the evidence store")

"""Files from the recorder into the spool, proved: the bytes that are signed are the bytes on our disk.

Steps (the numbers of FORMAT.md «From recorder to record»):

2. read the source once with a reused buffer, SHA-256 and write to a temporary name
3. fsync; for several files at once one syncfs, which waits for the medium as fsync does
4. drop the copy from the page cache, read it back from the disk
5. compare; ``publish`` renames and syncs the folder

Several files take each step together, so that small ones do not wait for the medium one by one.

Never copy_file_range, sendfile or shutil: there the bytes would not pass through the hash.
"""

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from station_agent import durable, linux
from station_agent.errors import AgentError, CopyError
from station_agent.model import CopyResult, OpenedFile, Tree
from station_agent.ports import Clock

BUFFER_BYTES: Final = 1 << 20
"""One buffer per worker thread; at this size system calls cost nothing, and a full dock's buffers stay under 40 MiB."""

READING: Final = "reading"
VERIFYING: Final = "verifying"
COMPARING: Final = "comparing"
EVICTION_PAUSES_S: Final = (0.2,)
"""Waits before each further try to get our copy out of the page cache: somebody else may look at it for a moment."""

Progress = Callable[[int, str], None]
"""Called with the bytes done so far and the phase: ``reading``, ``verifying`` or ``comparing``. What it raises ends the
work."""

_T = TypeVar("_T")
_GONE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ESTALE, errno.ENOMEDIUM})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LINKS: Final = frozenset({errno.ELOOP, errno.ENOTDIR})
"""What open(2) answers with O_NOFOLLOW at a link: ELOOP, or ENOTDIR where a folder was asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be copied: its path below the root, where the copy goes, and who is told."""

    path: bytes
    temporary: Path
    on_progress: Progress


@dataclass(frozen=True, slots=True)
class _Taken:
    """A file that was read in full and written; nothing is proved yet."""

    wanted: Wanted
    size: int
    start_ms: int
    digest: str
    sm3: str


class Offloader:
    """Copies with proof. One instance serves several worker threads; each thread has its own buffer."""

    def __init__(self, clock: Clock, *, sm3: bool = False) -> None:
        """With ``sm3`` (profile ``gm``) the one reading gives an SM3 digest too, at a fifth of SHA-256's speed."""
        self._clock = clock
        self._algorithms = ("sha256", "sm3") if sm3 else ("sha256",)
        self._local = threading.local()

    def copy(self, root: Path | Tree, path: bytes, temporary: Path, on_progress: Progress) -> CopyResult:
        """Copy the file at ``path`` of ``root`` to ``temporary`` and prove it by an uncached re-read.

        When this returns, the content is on the disk (the name is not, until ``publish``). A left-over ``temporary``
        of an earlier attempt is overwritten. On failure the partial file stays for the caller to judge. The source is
        opened folder by folder without following a link or leaving the file system, and only if it is a regular file.

        Raises ``CopyError`` with reason ``read-error``, ``source-vanished``, ``source-changed``, ``not-a-file``,
        ``no-space``, ``write-error``, ``reread-differs``, or ``reread-cached`` where the copy stays in the page cache:
        reading it back would prove nothing.
        """
        [outcome] = self.copy_all(root, [Wanted(path, temporary, on_progress)])
        if isinstance(outcome, AgentError):
            raise outcome
        return outcome

    def copy_all(self, root: Path | Tree, wanted: Sequence[Wanted]) -> list[CopyResult | AgentError]:
        """Copy these files as ``copy`` does, with one sync for all, which is on the file system of the first.

        Their outcomes in order: a ``CopyError`` speaks for its file alone. Another ``AgentError``, raised by a progress
        while its file was read, ends the reading; there are no outcomes of the files behind it, which were not begun.
        """
        outcomes: list[_Taken | AgentError] = []
        for one in wanted:
            outcomes.append(_tried(lambda one=one: self._take(root, one)))  # type: ignore[misc]  # mypy knows no default in a lambda
            if _ends_the_reading(outcomes[-1]):
                break
        taken = [outcome for outcome in outcomes if isinstance(outcome, _Taken)]
        failed = _tried(lambda: _sync(taken))
        return [failed or _tried(lambda o=o: self._prove(o)) if isinstance(o, _Taken) else o for o in outcomes]  # type: ignore[misc]  # the same

    def _take(self, root: Path | Tree, one: Wanted) -> _Taken:
        start_ms = self._clock.now().utc_ms
        with _source(root, one.path) as src, _target(one.temporary) as dst:
            before = size, _ = _read_side(src.state)
            digest, *sm3 = _transfer(src, dst, size, self._buffer(), one.on_progress, self._algorithms)
            _require_unchanged(before, _read_side(src.state))
            src.release()
        return _Taken(one, size, start_ms, digest, "".join(sm3))

    def _prove(self, taken: _Taken) -> CopyResult:
        with _written(taken.wanted.temporary) as fd:
            _evict(fd, taken.size)
            reread = _read_back(fd, self._buffer(), taken.wanted.on_progress)
        if reread != taken.digest:
            raise CopyError("reread-differs", f"{taken.digest} was read from the recorder, {reread} from our disk")
        return CopyResult(
            size=taken.size,
            sha256=taken.digest,
            reread_sha256=reread,
            reread="uncached",
            start_ms=taken.start_ms,
            end_ms=self._clock.now().utc_ms,
            sm3=taken.sm3,
        )

    def digest(self, root: Path | Tree, path: bytes, on_progress: Progress) -> str:
        """SHA-256 of the file at ``path`` below ``root``, opened and read as ``copy`` does, written nowhere.

        Raises ``CopyError`` with one of ``copy``'s reasons for the recorder's side.
        """
        with _source(root, path) as src:
            before = _read_side(src.state)
            buffer = self._buffer()
            digest = _hash(lambda done: _next_piece(src, buffer, done), lambda done: on_progress(done, COMPARING))
            _require_unchanged(before, _read_side(src.state))
            src.release()
        return digest

    def publish(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Give proved copies, (temporary, final), their final names, durably: rename, then fsync of each folder.

        Raises ``CopyError``; some may have their final names then.
        """
        _write_side(lambda: durable.rename_files(pairs))

    def _buffer(self) -> memoryview:
        if not hasattr(self._local, "buffer"):
            self._local.buffer = memoryview(bytearray(BUFFER_BYTES))
        view: memoryview = self._local.buffer
        return view


@dataclass(frozen=True, slots=True)
class _KernelFile:
    """Satisfies ``model.OpenedFile``: a file of a mounted volume."""

    fd: int

    def state(self) -> tuple[int, int]:
        now = os.fstat(self.fd)
        return now.st_size, now.st_mtime_ns

    def read_into(self, buffer: memoryview, done: int) -> int:
        return os.preadv(self.fd, [buffer], done)

    def release(self) -> None:
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def _source(root: Path | Tree, path: bytes) -> Iterator[OpenedFile]:
    if not isinstance(root, Path):
        with root.opened(path) as file:
            yield file
        return
    with opened_below(root, path) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield _KernelFile(fd)


@contextmanager
def opened_below(root: Path, path: bytes, *, directory: bool = False) -> Iterator[int]:
    """A descriptor of a regular file (or folder) of the recorder, reached without following a link.

    An empty path is ``root`` itself. Raises ``CopyError`` as ``copy`` does.
    """
    fd = _read_side(lambda: _open_below(root, path))
    try:
        right = stat.S_ISDIR if directory else stat.S_ISREG
        if not right(os.fstat(fd).st_mode):
            raise CopyError("not-a-file", "only regular files are read")
        yield fd
    finally:
        os.close(fd)


def head_of(root: Path | Tree, path: bytes, size: int) -> bytes:
    """The first ``size`` bytes of a file of the recorder, fewer where it has fewer. Raises ``CopyError``."""
    with _source(root, path) as file:
        return bytes(_next_piece(file, memoryview(bytearray(size)), 0))


def sha256_of(fd: int) -> str:
    """SHA-256 of an open file of the recorder, from its beginning. Raises ``CopyError``."""
    buffer = memoryview(bytearray(BUFFER_BYTES))
    return _hash(lambda done: _next_piece(_KernelFile(fd), buffer, done), lambda _done: None)


def _open_below(root: Path, path: bytes) -> int:
    """Descend by descriptors, as the listing did: a folder swapped for a link since then leads nowhere."""
    *folders, name = path.split(b"/") if path else [b""]
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    device = os.fstat(here).st_dev
    try:
        for folder in folders:
            inner = _open_one(folder, os.O_DIRECTORY, here, device)
            os.close(here)
            here = inner
        if not path:
            return os.dup(here)
        # O_NONBLOCK: opening a FIFO must not wait for a writer; for regular files it means nothing.
        return _open_one(name, os.O_NONBLOCK, here, device)
    finally:
        os.close(here)


def _open_one(name: bytes, flags: int, folder: int, device: int) -> int:
    if name in (b"", b".", b".."):
        raise CopyError("not-a-file", "a path is made of names alone")
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    if os.fstat(fd).st_dev != device:
        os.close(fd)
        raise CopyError("not-a-file", "it lies on another file system")
    return fd


@contextmanager
def _target(path: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = _write_side(lambda: os.open(path, flags, 0o600))
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _written(path: Path) -> Iterator[int]:
    fd = _write_side(lambda: os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
    try:
        yield fd
    finally:
        os.close(fd)


def _tried(call: Callable[[], _T]) -> _T | AgentError:
    try:
        return call()
    except AgentError as error:
        return error


def _ends_the_reading(outcome: _Taken | AgentError) -> bool:
    return isinstance(outcome, AgentError) and not isinstance(outcome, CopyError)


def _transfer(  # noqa: PLR0913  # the parts of one copy
    src: OpenedFile, dst: int, size: int, buffer: memoryview, on_progress: Progress, algorithms: Sequence[str]
) -> list[str]:
    """Read to the end, hash and write; one hex digest per algorithm.

    Write-back starts at once, so that the disk works while we hash.
    """
    _write_side(lambda: linux.reserve(dst, size))
    digests, done = [hashlib.new(algorithm) for algorithm in algorithms], 0
    while piece := _next_piece(src, buffer, done):
        for digest in digests:
            digest.update(piece)
        _write(dst, piece, done)
        done += len(piece)
        on_progress(done, READING)
        if done > size:
            raise CopyError("source-changed", f"{size} bytes were announced, more are there")
    if done < size:
        raise CopyError("source-changed", f"{size} bytes were announced, {done} are there")
    return [digest.hexdigest() for digest in digests]


def _next_piece(file: OpenedFile, buffer: memoryview, done: int) -> memoryview:
    try:
        return buffer[: file.read_into(buffer, done)]
    except OSError as error:
        raise _read_failure(error, (done, len(buffer))) from error


def _write(fd: int, piece: memoryview, offset: int) -> None:
    def write_all() -> None:
        written = 0
        while written < len(piece):
            written += os.write(fd, piece[written:])
        linux.start_writeback(fd, offset, len(piece))

    _write_side(write_all)


def _sync(taken: Sequence[_Taken]) -> None:
    """When this returns, the content of all is on the medium.

    One syncfs(2) commits what as many fsync(2) would, and waits once. It asks the whole file system, which a single
    file need not wait for.
    """
    match taken:
        case []:
            return
        case [one]:
            with _written(one.wanted.temporary) as fd:
                _write_side(lambda: os.fsync(fd))
        case [first, *_]:
            _write_side(lambda: linux.sync_file_system(first.wanted.temporary.parent))


def _evict(fd: int, size: int) -> None:
    """Out of the page cache, after the sync, for a dirty page stays: a re-read from there would prove nothing."""
    if _is_evicted(fd, size):
        return
    for pause_s in EVICTION_PAUSES_S:
        time.sleep(pause_s)
        _write_side(lambda: os.fsync(fd))
        if _is_evicted(fd, size):
            return
    raise CopyError("reread-cached", "the spool's file system keeps the copy in memory; use one on a disk")


def _is_evicted(fd: int, size: int) -> bool:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return _write_side(lambda: linux.resident_pages(fd, size)) == 0


def _read_back(fd: int, buffer: memoryview, on_progress: Progress) -> str:
    """SHA-256 of what the disk gives back."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    digest = _hash(
        lambda _done: buffer[: _write_side(lambda: os.readv(fd, [buffer]))], lambda done: on_progress(done, VERIFYING)
    )
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest


def _hash(next_piece: Callable[[int], memoryview], on_bytes: Callable[[int], None]) -> str:
    digest, done = hashlib.sha256(), 0
    while piece := next_piece(done):
        digest.update(piece)
        done += len(piece)
        on_bytes(done)
    return digest.hexdigest()


def _require_unchanged(before: tuple[int, int], after: tuple[int, int]) -> None:
    if before != after:
        raise CopyError("source-changed", "size or time changed while it was read")


def _read_side(call: Callable[[], _T]) -> _T:
    """Run a call on the recorder's side and say its failures in our words."""
    try:
        return call()
    except OSError as error:
        raise _read_failure(error) from error


def _write_side(call: Callable[[], _T]) -> _T:
    """Run a call on our disk's side and say its failures in our words."""
    try:
        return call()
    except OSError as error:
        raise _write_failure(error) from error


def _read_failure(error: OSError, unread: tuple[int, int] | None = None) -> CopyError:
    text = error.strerror or str(error)
    if error.errno in _GONE:
        return CopyError("source-vanished", text)
    if error.errno in _LINKS:
        return CopyError("not-a-file", "a symbolic link is never followed")
    return CopyError("read-error", text, unread)


def _write_failure(error: OSError) -> CopyError:
    text = error.strerror or str(error)
    return CopyError("no-space" if error.errno in _FULL else "write-error", text)

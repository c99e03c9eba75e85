"""A folder into which people and systems put files: CCTV exports, hand-supplied footage.

A file counts as delivered when its size and time stand still for a while and nobody has it open for writing. Events
only wake the look-out, the look decides: an event may be lost (network folders send none), a look cannot.

A sidecar ``<name>.json`` is read for what it states about ``<name>``, and is delivered as a file of its own besides:
what was stated is evidence too, all the more when it cannot be read.
"""

import errno
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from station_agent.describe import text
from station_agent.model import MountedVolume, SourceFile
from station_agent.recorders import list_files

MAX_SIDECAR_BYTES: Final = 64 << 10
"""A statement about one file has a handful of fields; anything larger is not one."""
SIDECAR: Final = b".json"
POLL_S: Final = 0.2
AGAIN_S: Final = 15.0
"""After so long a file that could not be taken is offered again."""

# File systems whose changes by others send no inotify event (inotify(7), «Limitations and caveats»).
_WITHOUT_EVENTS: Final = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuseblk", "virtiofs")
_FIELDS: Final = ("recorder", "officer", "start", "case")


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Statement:
    """What the sidecar ``<name>.json`` of a delivered file states. Empty strings mean «not stated»."""

    recorder: str = ""
    officer: str = ""
    start: str = ""
    case: str = ""
    problem: str = ""
    """Why the sidecar could not be used; the file itself is taken all the same."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at an entry saw."""

    file: SourceFile
    inode: int


class DropFolder:
    """Watches one folder and those below it."""

    def __init__(self, path: Path, settle_s: float, has_room: Callable[[int], bool] = lambda _size: True) -> None:
        """``settle_s``: how long size and time must stand still, in seconds.

        ``has_room``: whether so many bytes can be taken now; a file that does not fit waits, and holds up no other.
        """
        self._path = path
        self._settle_s = settle_s
        self._has_room = has_room
        self._seen: dict[bytes, tuple[_Look, float]] = {}
        self._given: dict[bytes, _Look] = {}

    def files(self, stop: threading.Event) -> Iterator[SourceFile]:
        """Everything delivered, each once; again when it is replaced by other content. Ends when ``stop`` is set.

        Links, special files and folders that cannot be read come with the reason in ``refused``, and are never opened.
        Raises ``OSError`` when the folder itself cannot be watched.
        """
        changed = threading.Event()
        observer = _observer_for(self._path)
        observer.schedule(_Wake(changed), str(self._path), recursive=True)
        observer.start()
        try:
            while not stop.is_set():
                yield from self._settled(time.monotonic())
                changed.wait(min(POLL_S, self._settle_s) if self._waiting(time.monotonic()) else POLL_S * 5)
                changed.clear()
        finally:
            observer.stop()
            observer.join()

    def later(self, file: SourceFile) -> None:
        """It could not be taken: offer it again after ``AGAIN_S``."""
        look = self._given.pop(file.path, None)
        if look is not None:
            self._seen[file.path] = (look, time.monotonic() + AGAIN_S)

    def _settled(self, now_s: float) -> Iterator[SourceFile]:
        present = {look.file.path: look for look in _look_at(self._path)}
        self._forget_missing(present)
        still = {path for path, look in present.items() if self._stands_still(look, now_s)}
        for path, look in sorted(present.items()):
            sidecar = path + SIDECAR
            if self._given.get(path) == look or path not in still or (sidecar in present and sidecar not in still):
                continue
            if look.file.refused or not _is_open_for_writing(_place(self._path, look.file)):
                self._given[path] = look
                yield from self._fitting(look.file)

    def _fitting(self, file: SourceFile) -> Iterator[SourceFile]:
        if file.refused or self._has_room(file.size):
            yield file
        else:
            _log.warning("dropped-file-waits-for-room", path=file.printable, size=file.size)
            self.later(file)

    def _stands_still(self, look: _Look, now_s: float) -> bool:
        before, since_s = self._seen.get(look.file.path, (None, now_s))
        if before != look:
            self._seen[look.file.path] = (look, now_s)
            return False
        return now_s - since_s >= self._settle_s

    def _forget_missing(self, present: Mapping[bytes, _Look]) -> None:
        self._seen = {path: seen for path, seen in self._seen.items() if path in present}
        self._given = {path: look for path, look in self._given.items() if path in present}

    def _waiting(self, now_s: float) -> bool:
        return any(path not in self._given and since_s <= now_s for path, (_, since_s) in self._seen.items())


def read_statement(path: Path) -> Statement:
    """What the sidecar of ``path`` states. A sidecar that cannot be used is named in ``problem``, never raised."""
    sidecar = sidecar_of(path)
    if not _is_regular(sidecar):
        return Statement()
    try:
        with sidecar.open("rb") as file:
            return parse_statement(file.read(MAX_SIDECAR_BYTES + 1))
    except OSError as error:
        return Statement(problem=f"the sidecar cannot be read: {error.strerror}")


def parse_statement(data: bytes) -> Statement:
    """A sidecar's bytes as a statement: a JSON object with the texts recorder, officer, start and case."""
    if len(data) > MAX_SIDECAR_BYTES:
        return Statement(problem=f"the sidecar is larger than {MAX_SIDECAR_BYTES} bytes")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Statement(problem=text(f"the sidecar is not JSON: {error}"))
    if not isinstance(content, dict):
        return Statement(problem="the sidecar is not a JSON object")
    stated = {name: content.get(name, "") for name in _FIELDS}
    wrong = [name for name, value in stated.items() if not isinstance(value, str)]
    if wrong:
        return Statement(problem=f"the sidecar's {wrong[0]} is not a text")
    cleaned = {name: text(value) for name, value in stated.items()}
    changed = [name for name in _FIELDS if cleaned[name] != stated[name]]
    problem = f"cut or cleaned, the sidecar has the exact words: {', '.join(changed)}" if changed else ""
    return Statement(**cleaned, problem=problem)


def sidecar_of(path: Path) -> Path:
    """Where the statement about a file stands: beside it, ``.json`` after its whole name."""
    return path.with_name(path.name + SIDECAR.decode())


class _Wake(FileSystemEventHandler):
    def __init__(self, changed: threading.Event) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002  # watchdog's interface; any event wakes
        self._changed.set()


def _observer_for(path: Path) -> BaseObserver:
    return PollingObserver(timeout=1.0) if _filesystem_of(path) in _WITHOUT_EVENTS else Observer()


def _filesystem_of(path: Path) -> str:
    """The kernel's name of the file system that holds ``path``, found by its device number; empty when not listed."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ")[2] == wanted:
            return after.split(" ")[0].partition(".")[0]
    return ""


def _look_at(folder: Path) -> Iterator[_Look]:
    for file in list_files(MountedVolume(folder, "", "", "", (), device_read_only=False)):
        yield _Look(file, _inode(_place(folder, file)))


def _place(folder: Path, file: SourceFile) -> bytes:
    return os.fsencode(folder) + b"/" + file.path


def _inode(path: bytes) -> int:
    """Tells a replaced file from the one before; 0 where the system cannot say, as for a path that is too long."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_open_for_writing(path: bytes) -> bool:
    """Whether somebody has it open for writing: a read lease is refused then (fcntl(2), F_SETLEASE: EAGAIN).

    Where leases are not to be had (network folders, files of another owner) standing still has to be enough.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # It will fail again when it is copied, and there the failure becomes a record.
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(fd)
    return False

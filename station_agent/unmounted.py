"""A volume that the kernel does not mount, read all the same: listed by ``tsk``, its bytes read from the device here.

The device is read-only for everybody (BLKROSET) and opened for reading only; nothing is checked, replayed or repaired.
One descriptor is held from before the listing until after the last byte: what is put in at the node meanwhile is never
read for it.
"""

import base64
import errno
import json
import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final
from zoneinfo import ZoneInfo

from station_agent.errors import CopyError, MountCause, MountError
from station_agent.model import MountedVolume, RecorderDocked, SourceFile
from station_agent.mount import protect

DRIVER: Final = "tsk"
"""The Sleuth Kit: what stands in the record in the place of a driver."""
FILE_SYSTEMS: Final = frozenset({"vfat", "exfat", "ntfs"})
LIST_TIMEOUT_S: Final = 900
"""A listing reads the structures alone; a medium that needs longer than this for them is dying."""

_HOLE: Final = -1
_ZEROS: Final = bytes(1 << 20)


def reason_to_read_unmounted(filesystem: str, refused: MountError) -> str:
    """Why a volume that was refused is read without the kernel; empty when it is not to be read at all.

    Only where the volume or the want of a driver was the reason: what could not be set read-only, is mounted by
    somebody else, or is not there any more, is left alone.
    """
    if filesystem not in FILE_SYSTEMS or refused.cause is MountCause.OTHER:
        return ""
    return f"{refused.cause}: {refused}"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the volume and where its bytes lie: offset and size on the device by turns, or the bytes themselves."""

    file: SourceFile
    places: "array[int]"
    inline: bytes


class UnmountedFile:
    """Satisfies ``model.OpenedFile``: reads a file's places one after the other."""

    def __init__(self, fd: int, found: Found) -> None:
        self._fd = fd
        self._found = found
        self._pairs = zip(found.places[::2], found.places[1::2], strict=True)
        self._start, self._left = _HOLE, 0

    def state(self) -> tuple[int, int]:
        """The device is read-only: these are for good."""
        return self._found.file.size, self._found.file.mtime_ns

    def read_into(self, buffer: memoryview, done: int) -> int:
        """The bytes from ``done`` on. Raises ``OSError`` where the medium does not give them."""
        wanted = min(len(buffer), self._found.file.size - done)
        if not wanted:
            return 0
        if self._found.inline:
            buffer[:wanted] = self._found.inline[done : done + wanted]
            return wanted
        while not self._left:
            self._start, self._left = next(self._pairs, (_HOLE, -1))
        if self._left < 0:
            raise OSError(errno.EIO, "the file's chain of clusters is broken here")
        return self._read_place(buffer[: min(wanted, self._left)])

    def release(self) -> None:
        """The device's pages are dropped with its last descriptor."""

    def _read_place(self, piece: memoryview) -> int:
        if self._start == _HOLE:
            count = min(len(piece), len(_ZEROS))
            piece[:count] = _ZEROS[:count]
        else:
            count = os.preadv(self._fd, [piece], self._start)
            if not count:
                raise OSError(errno.EIO, "the volume ends before the file does")
            self._start += count
        self._left -= count
        return count


class Unmounted:
    """Satisfies ``model.Tree``: the files of one volume, as they were listed once."""

    def __init__(self, fd: int, entries: Mapping[bytes, Found], listed: list[SourceFile]) -> None:
        self._fd = fd
        self._entries = entries
        self._listed = listed

    def files(self) -> Iterator[SourceFile]:
        """Every entry that is no folder, refused ones too."""
        yield from self._listed

    @contextmanager
    def opened(self, path: bytes) -> Iterator[UnmountedFile]:
        """Raises ``CopyError`` ``not-a-file`` for a path that was not listed, or listed as refused."""
        found = self._entries.get(path)
        if found is None:
            raise CopyError("not-a-file", "only regular files that were listed are read")
        yield UnmountedFile(self._fd, found)


@contextmanager
def unmounted(event: RecorderDocked, zone: ZoneInfo, reason: str) -> Iterator[MountedVolume]:
    """The docked volume as a tree of files, for as long as the context lasts. Nothing is mounted.

    FAT writes local times without a zone; they are read as times of ``zone``. Raises ``MountError`` when the volume
    cannot be listed.
    """
    read_only = protect(event.node)
    try:
        fd = os.open(event.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MountError(f"{event.node} could not be opened: {error.strerror}") from error
    try:
        tree = _listed(fd, event, zone)
        yield MountedVolume(tree, event.node, event.filesystem, DRIVER, (), read_only, refusal=reason)
    finally:
        os.close(fd)


def _listed(fd: int, event: RecorderDocked, zone: ZoneInfo) -> Unmounted:
    argv = [sys.executable, "-m", "station_agent.tsk", str(fd), event.filesystem]
    environment = {**os.environ, "TZ": zone.key}
    # A file, not a pipe: the kernel itself bounds how much the program can say, and nothing waits for a reader.
    with tempfile.TemporaryFile() as answer:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.PIPE,
                pass_fds=(fd,),
                env=environment,
                timeout=LIST_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MountError(f"{event.node}: the volume could not be listed within {LIST_TIMEOUT_S} s") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise MountError(
                f"{event.node} ({event.filesystem}): neither mounted nor read by The Sleuth Kit: "
                f"{said[-1] if said else f'it ended with {done.returncode}'}"
            )
        answer.seek(0)
        return _tree(fd, answer)


def _tree(fd: int, answer: IO[bytes]) -> Unmounted:
    entries: dict[bytes, Found] = {}
    files: list[SourceFile] = []
    for raw in answer:
        file, line = listed(raw)
        files.append(file)
        if not file.refused:
            places = array("q", [number for pair in line.get("places", ()) for number in pair])
            entries[file.path] = Found(file, places, base64.b64decode(line.get("inline", "")))
    return Unmounted(fd, entries, files)


def listed(raw: bytes) -> tuple[SourceFile, dict[str, Any]]:
    """An entry as ``tsk`` and ``camera`` write it, and the whole line. Raises ``MountError`` for anything else."""
    try:
        line = json.loads(raw)
        file = SourceFile(
            base64.b64decode(line["path"]), line.get("size", 0), line.get("mtime_ns", 0), line.get("refused", "")
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MountError(f"the listing of the recorder cannot be understood: {error}") from error
    return file, line

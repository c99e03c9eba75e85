"""What is on a recorder, and what the names on it claim. Families of recorders get a file each beside this one.

Names come from a file system that a stranger may have written: they are bytes, never text, and nothing that is not a
regular file is ever opened. What will not be opened is still listed, with the reason.
"""

import os
import stat
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from station_agent.model import MountedVolume, SourceFile
from station_agent.recorders import dsj

MAX_DEPTH: Final = 32
"""Deeper than any layout seen; a directory loop of a damaged file system ends here."""

WITHOUT_CASE: Final = frozenset({"vfat", "exfat", "ntfs"})
"""File systems that look names up without regard to case. Asked for the second of two such names, a driver gives the
first one's bytes."""

# What lstat says of an entry that is neither a regular file nor a folder.
_REFUSED: Final = {
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "device-node",
    stat.S_IFBLK: "device-node",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file name says; a claim, not a fact. Empty strings mean «not stated»."""

    device: str = ""
    officer: str = ""
    start_raw: str = ""
    """Start of the recording by the recorder's clock, as written in the name (``YYYYMMDDHHMMSS``)."""
    start_stated: str = ""
    """Start as a person stated it beside the file, ISO 8601."""
    case: str = ""
    """Case number as a person stated it beside the file."""


def list_files(volume: MountedVolume) -> Iterator[SourceFile]:
    """Every entry of the volume that is no folder, folder by folder in order of the bytes of its name.

    Symlinks, device nodes, FIFOs and sockets are listed with ``refused``, as are folders that cannot be read
    (``unreadable-folder``), are on another file system (``other-filesystem``), or nest too deep (``nested-too-deep``),
    entries whose metadata cannot be read (``unreadable-entry``), and files and folders that cannot be told apart by
    their names (``ambiguous-name``). Nothing is left out: a deleted clip in a ``$RECYCLE.BIN`` is footage too.

    Raises ``OSError`` when the root itself cannot be opened, and nothing for what is on the medium.
    """
    folder = os.open(volume.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        walk = _Walk(os.fstat(folder).st_dev, without_case=volume.filesystem in WITHOUT_CASE)
        yield from walk.entries(folder, b"", depth=0)
    finally:
        os.close(folder)


def family_of(files: Iterable[SourceFile]) -> str:
    """The recorder's family by its names: ``dsj`` when at least one name has that form, else ``generic``."""
    return dsj.FAMILY if any(dsj.parse(_base(file.path)) for file in files) else "generic"


def claims(path: bytes) -> Claims:
    """What the name of one file claims. Default identifiers of a recorder nobody set up count as not stated."""
    found = dsj.parse(_base(path))
    return Claims(*found) if found else Claims()


@dataclass(frozen=True, slots=True)
class _Walk:
    """Descends by file descriptors, so that neither a long path nor a swapped component leads elsewhere."""

    device: int
    without_case: bool

    def entries(self, folder: int, prefix: bytes, depth: int) -> Iterator[SourceFile]:
        try:
            names = sorted(os.fsencode(name) for name in os.listdir(folder))
        except OSError:
            yield SourceFile(prefix.rstrip(b"/"), 0, 0, "unreadable-folder")
            return
        found = {name: _stat(folder, name) for name in names}
        doubtful = ambiguous(names, found, without_case=self.without_case)
        for name, entry in found.items():
            path = prefix + name
            if entry is None:
                yield SourceFile(path, 0, 0, "unreadable-entry")
            elif name in doubtful:
                yield SourceFile(path, entry.st_size, entry.st_mtime_ns, "ambiguous-name")
            else:
                yield from self._entry(folder, path, entry, depth)

    def _entry(self, folder: int, path: bytes, entry: os.stat_result, depth: int) -> Iterator[SourceFile]:
        if not stat.S_ISDIR(entry.st_mode):
            yield SourceFile(path, entry.st_size, entry.st_mtime_ns, _REFUSED.get(stat.S_IFMT(entry.st_mode), ""))
        elif entry.st_dev != self.device:
            yield SourceFile(path, 0, entry.st_mtime_ns, "other-filesystem")
        elif depth == MAX_DEPTH:
            yield SourceFile(path, 0, entry.st_mtime_ns, "nested-too-deep")
        else:
            yield from self._descend(folder, path, depth)

    def _descend(self, folder: int, path: bytes, depth: int) -> Iterator[SourceFile]:
        try:
            inner = os.open(_base(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            yield SourceFile(path, 0, 0, "unreadable-folder")
            return
        try:
            yield from self.entries(inner, path + b"/", depth + 1)
        finally:
            os.close(inner)


def ambiguous(
    names: Sequence[bytes], entries: Mapping[bytes, os.stat_result | None], *, without_case: bool
) -> frozenset[bytes]:
    """Names in one folder that may lead to another entry's bytes; a damaged folder may hold one name twice.

    To a driver without case, names are one that differ in case or in trailing dots and spaces only. Names with one
    inode are one already (a short name standing for another entry), unless the file system knows them as hard links.
    """
    twice = _shared((name, name) for name in names)
    if not without_case:
        return twice
    spelled = _shared((_without_case(name), name) for name in names)
    linked = _shared((entry.st_ino, name) for name, entry in entries.items() if entry and entry.st_nlink <= 1)
    return twice | spelled | linked


def _shared(keyed: Iterable[tuple[Hashable, bytes]]) -> frozenset[bytes]:
    pairs = list(keyed)
    times = Counter(key for key, _ in pairs)
    return frozenset(name for key, name in pairs if times[key] > 1)


def _without_case(name: bytes) -> str:
    """As the upcase tables of FAT and NTFS have it: letter by letter, never more letters than before."""
    text = name.decode("utf-8", "surrogateescape").rstrip(". ")
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in text)


def _stat(folder: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def _base(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]

"""What is on a recorder, and what the names on it claim. Families of recorders get a file each beside this one.

Names come from a file system that a stranger may have written: they are bytes, never text, and nothing that is not a
regular file is ever opened. What will not be opened is still listed, with the reason.
"""

import os
import stat
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from station_agent.model import Card, MountedVolume, SourceFile
from station_agent.recorders import (
    ambarella,
    audio,
    axis,
    axon,
    blackvue,
    boblov,
    cammpro,
    dcf,
    dsj,
    eylog,
    gopro,
    grouping,
    motorola,
    panasonic,
    sony,
    tecsar,
    transcend,
    viofo,
)
from station_agent.recorders.family import GENERIC, Claims, Entry, Family, Settings
from station_agent.recorders.grouping import Place, footage

__all__ = [
    "FAMILIES",
    "Claims",
    "Family",
    "Place",
    "ambiguous",
    "claims",
    "family_of",
    "footage",
    "list_files",
    "recordings",
    "settings_of",
]

UNKNOWN: Final = Card()
"""Of a file that is seen alone."""
FAMILIES: Final = (
    dsj.FAMILY,
    ambarella.FAMILY,
    cammpro.FAMILY,
    motorola.FAMILY,
    axon.FAMILY,
    axis.FAMILY,
    tecsar.FAMILY,
    boblov.FAMILY,
    transcend.FAMILY,
    blackvue.FAMILY,
    viofo.FAMILY,
    panasonic.FAMILY,
    gopro.FAMILY,
    sony.FAMILY,
    eylog.FAMILY,
    audio.FAMILY,
    dcf.FAMILY,
)
"""Every family, the more exact before the more general: of two that account for as many files the first is taken."""

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


def list_files(volume: MountedVolume) -> Iterator[SourceFile]:
    """Every entry of the volume that is no folder, folder by folder in order of the bytes of its name.

    Symlinks, device nodes, FIFOs and sockets are listed with ``refused``, as are folders that cannot be read
    (``unreadable-folder``), are on another file system (``other-filesystem``), or nest too deep (``nested-too-deep``),
    entries whose metadata cannot be read (``unreadable-entry``), and files and folders that cannot be told apart by
    their names (``ambiguous-name``). Nothing is left out: a deleted clip in a ``$RECYCLE.BIN`` is footage too.

    Raises ``OSError`` when the root itself cannot be opened, and nothing for what is on the medium.
    """
    if not isinstance(volume.root, Path):
        yield from volume.root.files()
        return
    folder = os.open(volume.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        walk = _Walk(os.fstat(folder).st_dev, without_case=volume.filesystem in WITHOUT_CASE)
        yield from walk.entries(folder, b"", depth=0)
    finally:
        os.close(folder)


def family_of(files: Iterable[SourceFile], label: str = "") -> str:
    """The family that accounts for most files of a card, by names and layout; ``generic`` when none knows any."""
    found = _recognised([Entry.of(file.path, label) for file in files])
    return found.id if found else GENERIC


def claims(path: bytes, card: Card = UNKNOWN) -> Claims:
    """What the name of one file claims: as the card's family reads it, else as any family would by path and label.

    Default identifiers of a recorder nobody set up count as not stated.
    """
    entry = Entry.of(path, card.label)
    own = _BY_ID.get(card.family)
    for family in (own, _recognised([entry])):
        found = family.claims(entry) if family else None
        if family and found:
            return replace(found, family=family.id)
    return Claims(family=own.id if own else "")


def recordings(files: Iterable[SourceFile], card: Card, zone: ZoneInfo) -> dict[bytes, Place]:
    """Which files of a card make one recording: the place of each, by its path."""
    return grouping.recordings(files, lambda path: claims(path, card), zone)


def settings_of(family: str) -> Settings | None:
    """Where recorders of a family state their own id, if anywhere."""
    found = _BY_ID.get(family)
    return found.settings if found else None


def _recognised(entries: Sequence[Entry]) -> Family | None:
    sure = [(family.recognise(entries), family) for family in FAMILIES]
    most, first = max(sure, key=lambda pair: pair[0])
    return first if most else None


_BY_ID: Final = {family.id: family for family in FAMILIES}


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

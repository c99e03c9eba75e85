"""What is on a recorder, and what the names on it claim. Families of recorders get a file each beside this one.

Names come from a file system that a stranger may have written: they are bytes, never text, and nothing that is not a
regular file is ever opened. What will not be opened is still listed, with the reason.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from station_agent.model import MountedVolume, SourceFile
from station_agent.recorders import dsj

MAX_DEPTH: Final = 32
"""Deeper than any layout seen; a directory loop of a damaged file system ends here."""

SYSTEM_FOLDERS: Final = frozenset(
    {b"system volume information", b"$recycle.bin", b".trashes", b".spotlight-v100", b".fseventsd"}
)
"""Folders that computers, not recorders, leave at the root of a volume; compared without case."""

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
    and entries whose metadata cannot be read (``unreadable-entry``). Only the folders named by ``ignored`` are left
    out. Raises nothing for what is on the medium.
    """
    device = volume.root.stat().st_dev
    folder = os.open(volume.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _walk(folder, b"", device, depth=0)
    finally:
        os.close(folder)


def ignored(volume: MountedVolume) -> list[bytes]:
    """Folders at the root that hold what computers leave behind; named in the record, not copied."""
    with os.scandir(os.fsencode(volume.root)) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and _is_system(entry.name))


def family_of(files: Iterable[SourceFile]) -> str:
    """The recorder's family by its names: ``dsj`` when at least one name has that form, else ``generic``."""
    return dsj.FAMILY if any(dsj.parse(_base(file.path)) for file in files) else "generic"


def claims(path: bytes) -> Claims:
    """What the name of one file claims. Default identifiers of a recorder nobody set up count as not stated."""
    found = dsj.parse(_base(path))
    return Claims(*found) if found else Claims()


def _walk(folder: int, prefix: bytes, device: int, depth: int) -> Iterator[SourceFile]:
    """Descend by file descriptors, so that neither a long path nor a swapped component leads elsewhere."""
    try:
        names = sorted(os.fsencode(name) for name in os.listdir(folder))
    except OSError:
        yield SourceFile(prefix.rstrip(b"/"), 0, 0, "unreadable-folder")
        return
    for name in names:
        yield from _entry(folder, name, prefix + name, device, depth)


def _entry(folder: int, name: bytes, path: bytes, device: int, depth: int) -> Iterator[SourceFile]:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        yield SourceFile(path, 0, 0, "unreadable-entry")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield SourceFile(path, found.st_size, found.st_mtime_ns, _REFUSED.get(stat.S_IFMT(found.st_mode), ""))
    elif depth == 0 and _is_system(name):
        return
    elif found.st_dev != device:
        yield SourceFile(path, 0, found.st_mtime_ns, "other-filesystem")
    elif depth == MAX_DEPTH:
        yield SourceFile(path, 0, found.st_mtime_ns, "nested-too-deep")
    else:
        yield from _descend(folder, name, path, device, depth)


def _descend(folder: int, name: bytes, path: bytes, device: int, depth: int) -> Iterator[SourceFile]:
    try:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        yield SourceFile(path, 0, 0, "unreadable-folder")
        return
    try:
        yield from _walk(inner, path + b"/", device, depth + 1)
    finally:
        os.close(inner)


def _is_system(name: bytes) -> bool:
    return name.lower() in SYSTEM_FOLDERS


def _base(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]

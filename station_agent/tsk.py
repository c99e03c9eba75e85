"""A program of its own: list a volume that is not mounted, by The Sleuth Kit. The only module that imports pytsk3.

``python -m station_agent.tsk FD FILESYSTEM`` reads the block device at the inherited descriptor FD, which is open for
reading only, and writes one JSON line an entry: its path, size, time, why it will not be read, and where on the device
its bytes lie. The bytes themselves are read by ``unmounted``, which trusts these places no further than the device.

The structures come from a medium that a stranger may have written and are parsed in C: what goes wrong here ends this
process, which may use so much memory, time and output and can write no file, and not the station.
"""

import base64
import json
import os
import resource
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytsk3

from station_agent.ondisk import entries_of_folder, exfat_valid_bytes, ntfs_initialised_bytes, ntfs_record_bytes
from station_agent.recorders import MAX_DEPTH, ambiguous

MAX_LISTING_BYTES: Final = 256 << 20
"""A card of 1 TB with two streams written by turns has about 200 MB; whoever asks for more has a hostile volume."""
MAX_MEMORY_BYTES: Final = 4 << 30
MAX_CPU_S: Final = 600
HOLE: Final = -1
"""Place of bytes that were never written: they read as zeros."""

_TYPES: Final = {
    "vfat": pytsk3.TSK_FS_TYPE_FAT_DETECT,
    "exfat": pytsk3.TSK_FS_TYPE_EXFAT,
    "ntfs": pytsk3.TSK_FS_TYPE_NTFS,
}
_LABEL_SUFFIX: Final = b" (Volume Label Entry)"
_EXFAT_METAFILES: Final = frozenset(b"$ALLOC_BITMAP $UPCASE_TABLE $VOLUME_GUID $TEX_FAT $ACT".split())
"""What TSK calls the entries of a root that are no files (exFAT §7.1, §7.2, §7.5, §7.10)."""
_NTFS_METAFILES: Final = frozenset(
    b"$MFT $MFTMirr $LogFile $Volume $AttrDef $Bitmap $Boot $BadClus $Secure $UpCase $Extend".split()
)
_NTFS_RESERVED: Final = 16
"""MFT records below are the file system's own."""
_MADE_UP: Final = (pytsk3.TSK_FS_META_TYPE_VIRT, pytsk3.TSK_FS_META_TYPE_VIRT_DIR)
"""What TSK shows beside the files: $MBR, $FAT1, $FAT2, $OrphanFiles."""
_ATTRIBUTE: Final = {
    "ntfs": pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA,
    "vfat": pytsk3.TSK_FS_ATTR_TYPE_DEFAULT,
    "exfat": pytsk3.TSK_FS_ATTR_TYPE_DEFAULT,
}


class Device(pytsk3.Img_Info):  # type: ignore[misc]  # pytsk3 has no types
    """The inherited descriptor, and no name: whatever is put in at the same node later is never read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.lseek(fd, 0, os.SEEK_END)
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def get_size(self) -> int:
        """Bytes of the device."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """Raises ``OSError``; less than asked only at the end."""
        return os.pread(self._fd, size, offset)

    def close(self) -> None:
        """The descriptor is the parent's."""


@dataclass(slots=True)
class Lister:
    """Walks a volume once; every folder's place is visited once, so that a loop ends."""

    device: Device
    filesystem: str
    fs: Any = field(init=False)
    seen: set[int] = field(default_factory=set)
    folder: list[list[int]] = field(default_factory=list)
    """Where the folder that is being listed lies."""

    def __post_init__(self) -> None:
        self.fs = pytsk3.FS_Info(self.device, type=_TYPES[self.filesystem])

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every entry that is no folder, and every folder that cannot be read."""
        yield from self._folder(self.fs.info.root_inum, b"", 0)

    def _folder(self, address: int, prefix: bytes, depth: int) -> Iterator[dict[str, Any]]:
        here = prefix.rstrip(b"/")
        try:
            meta = self.fs.open_meta(inode=address)
            entries = sorted(self.fs.open_dir(inode=address), key=lambda entry: bytes(entry.info.name.name or b""))
            kept = [entry for entry in entries if self._is_there(entry, at_root=depth == 0)]
            places = self._places(meta) if self.filesystem != "ntfs" else []
            whole = self.filesystem == "ntfs" or self._is_whole(places, meta.info.meta.size, len(kept))
        except (OSError, RuntimeError):
            yield _line(here, "unreadable-folder")
            return
        start = places[0][0] if places else address
        if start in self.seen:
            yield _line(here, "directory-loop")
            return
        self.seen.add(start)
        if not whole:
            yield _line(here, "unreadable-folder")  # in part: what can be read of it follows
        doubtful = ambiguous([bytes(entry.info.name.name) for entry in kept], {}, without_case=False)
        for entry in kept:
            self.folder = places
            yield from self._entry(entry, prefix, depth, doubtful)

    def _is_whole(self, places: list[list[int]], size: int, count: int) -> bool:
        """Whether all of the folder was found, and all that it names: TSK drops an entry that it thinks absurd."""
        if sum(length for _, length in places) < size:
            return False
        raw = b"".join(self.device.read(start, length) for start, length in places)
        return entries_of_folder(raw, self.filesystem) <= count

    def _is_there(self, entry: Any, *, at_root: bool) -> bool:
        """Whether a folder really has this entry: no deleted one, none that TSK or the file system made itself."""
        name, meta = bytes(entry.info.name.name or b""), entry.info.meta
        if name in (b".", b"..") or entry.info.name.flags & pytsk3.TSK_FS_NAME_FLAG_UNALLOC:
            return False
        if meta is not None and meta.type in _MADE_UP:
            return False
        return not (at_root and self._is_metafile(name, meta))

    def _is_metafile(self, name: bytes, meta: Any) -> bool:
        """By the full name and what no file of a recorder has beside it; a recorder's own name may begin with ``$``."""
        if meta is None:  # a file of that name would be missing where the folder's own entries are counted
            return self.filesystem == "exfat" and name in _EXFAT_METAFILES
        if self.filesystem == "ntfs":
            return name in _NTFS_METAFILES and meta.addr < _NTFS_RESERVED
        undated = meta.mtime == meta.crtime == 0
        if name.endswith(_LABEL_SUFFIX) and meta.size == 0:
            return undated or self.filesystem == "vfat"
        return self.filesystem == "exfat" and undated and name in _EXFAT_METAFILES

    def _entry(self, entry: Any, prefix: bytes, depth: int, doubtful: frozenset[bytes]) -> Iterator[dict[str, Any]]:
        name, meta = bytes(entry.info.name.name or b""), entry.info.meta
        path = prefix + name
        if meta is None or meta.flags & pytsk3.TSK_FS_META_FLAG_UNALLOC or not name or b"/" in name:
            yield _line(path, "unreadable-entry")
        elif name in doubtful:
            yield _line(path, "ambiguous-name", meta)
        elif meta.type == pytsk3.TSK_FS_META_TYPE_DIR:
            inner = self._folder(meta.addr, path + b"/", depth + 1)
            yield from inner if depth < MAX_DEPTH else [_line(path, "nested-too-deep")]
        elif meta.type != pytsk3.TSK_FS_META_TYPE_REG:
            yield _line(path, "symlink" if meta.type == pytsk3.TSK_FS_META_TYPE_LNK else "not-a-file", meta)
        elif meta.size > self.fs.info.block_size * self.fs.info.block_count:
            yield _line(path, "larger-than-volume", meta)
        else:
            yield self._file(entry, path, meta)

    def _file(self, entry: Any, path: bytes, meta: Any) -> dict[str, Any]:
        try:
            attribute = self._attribute(entry)
            if attribute is not None and attribute.info.flags & (pytsk3.TSK_FS_ATTR_COMP | pytsk3.TSK_FS_ATTR_ENC):
                return _line(path, "compressed-or-encrypted", meta)
            if attribute is not None and attribute.info.flags & pytsk3.TSK_FS_ATTR_RES:
                inline = entry.read_random(0, meta.size) if meta.size else b""
                return {**_line(path, "", meta), "inline": base64.b64encode(inline).decode()}
            places = self._places(entry)
            return {**_line(path, "", meta), "places": _written(places, self._valid_bytes(meta))}
        except (OSError, RuntimeError, ValueError, IndexError, struct.error):
            return _line(path, "unreadable-entry", meta)

    def _attribute(self, entry: Any) -> Any:
        """The file's own data; None where its metadata are damaged: then nothing of it can be found."""
        wanted = _ATTRIBUTE[self.filesystem]
        return next((one for one in entry if one.info.type == wanted and not one.info.name), None)

    def _places(self, entry: Any) -> list[list[int]]:
        """Offset and size in bytes, in order, no further than the file; a damaged chain of clusters ends early."""
        left, places = entry.info.meta.size, []
        for run in self._attribute(entry) or ():
            if run.flags & pytsk3.TSK_FS_ATTR_RUN_FLAG_FILLER:
                break  # TSK does not know what lies there and would make zeros up
            length = min(run.len * self.fs.info.block_size, left)
            hole = run.flags & pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE
            places.append([HOLE if hole else run.addr * self.fs.info.block_size, length])
            left -= length
        return places

    def _valid_bytes(self, meta: Any) -> int:
        """How many of the file's bytes were ever written. Raises ``ValueError`` where that is not known."""
        if self.filesystem == "exfat":
            return exfat_valid_bytes(self.device.read, meta.addr - 3, self._next_entry)
        if self.filesystem == "ntfs":
            size = ntfs_record_bytes(self.device.read(0, 512))
            valid = ntfs_initialised_bytes(self.fs.open_meta(inode=0).read_random(meta.addr * size, size))
            if valid is None:
                raise ValueError("its data are described in another record")
            return valid
        return int(meta.size)

    def _next_entry(self, place: int) -> int:
        """The place of the 32 bytes of the listed folder that follow those at ``place``."""
        for number, (start, length) in enumerate(self.folder):
            if start <= place < start + length:
                return place + 32 if place + 32 < start + length else self.folder[number + 1][0]
        raise ValueError("the entry does not lie in its folder")


def _written(places: list[list[int]], valid: int) -> list[list[int]]:
    """The same places, where everything from the ``valid``-th byte on is a hole."""
    found: list[list[int]] = []
    for start, length in places:
        real = max(0, min(length, valid))
        found += [[start, real]] if real else []
        found += [[HOLE, length - real]] if real < length else []
        valid -= length
    return found


def _line(path: bytes, refused: str, meta: Any = None) -> dict[str, Any]:
    """A time before 1970 is no time of a recorder, but what is there is said."""
    facts = {"size": meta.size, "mtime_ns": meta.mtime * 10**9 + meta.mtime_nano} if meta else {}
    return {"path": base64.b64encode(path).decode(), "refused": refused, **facts}


def main() -> None:
    """Exit 0 says that the listing is complete."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_LISTING_BYTES, MAX_LISTING_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in Lister(Device(int(sys.argv[1])), sys.argv[2]).lines():
        print(json.dumps(line, separators=(",", ":")))  # noqa: T201  # its answer


if __name__ == "__main__":
    main()

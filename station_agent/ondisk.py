"""What FAT, exFAT and NTFS say on the medium itself, as far as no driver tells us. Pure: who reads is elsewhere.

Three things: which file system a boot sector names, whether the volume was left in the middle of writing, and where
the written part of a file ends. Sources:
Microsoft, «FAT: General Overview of On-Disk Format» 1.03 (fatgen103); Microsoft, «exFAT file system specification»; the
Linux kernel's fs/ntfs3/ntfs.h for NTFS.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, Literal

Read = Callable[[int, int], bytes]
"""Offset and size in bytes, from the beginning of the volume. Raises ``OSError``."""
Answer = Literal["yes", "no", "unknown"]

MAX_RECORD_BYTES: Final = 64 << 10
"""An MFT record has 1 or 4 KiB; a boot sector may claim anything."""

BOOT_BYTES: Final = 512
"""What is read of a volume before it is known."""
_SLOT: Final = 32  # bytes of a directory entry of FAT and exFAT
_SECTOR_BYTES: Final = (512, 1024, 2048, 4096)
_FAT16_FROM, _FAT32_FROM = 4085, 65525  # clusters: fatgen103, «FAT type determination»
_VOLUME, _VOLUME_INFORMATION, _DATA, _END = 3, 0x70, 0x80, 0xFFFFFFFF


def named(boot: bytes) -> str:
    """``vfat``, ``exfat`` or ``ntfs``, as the first 512 bytes of a volume name it; empty where they name none of these.

    FileSystemName of exFAT (§3.1.2) and the OEM name of NTFS stand at 3; BS_FilSysType of FAT32 at 82, else at 54.
    """
    if boot[510:512] != b"\x55\xaa":
        return ""
    known = {b"EXFAT   ": "exfat", b"NTFS    ": "ntfs"}.get(boot[3:11], "")
    is_fat = boot[82:90] == b"FAT32   " or boot[54:62] in (b"FAT12   ", b"FAT16   ")
    return known or ("vfat" if is_fat else "")


def dirty(read: Read, filesystem: str) -> Answer:
    """Whether the volume says that it was not taken out of use in an orderly way.

    ``unknown`` where it cannot be read, or where the file system has no such mark that we know.
    """
    look = {"vfat": _fat_dirty, "exfat": _exfat_dirty, "ntfs": _ntfs_dirty}.get(filesystem)
    try:
        return "unknown" if look is None else "yes" if look(read) else "no"
    except (OSError, ValueError, ArithmeticError, struct.error):
        return "unknown"


def entries_of_folder(raw: bytes, filesystem: str) -> int:
    """How many files and folders a folder's bytes name, without ``.`` and ``..``; FAT and exFAT.

    As the kernel's drivers see it: every slot is looked at, also after the first that is free.
    """
    slots = [raw[at : at + _SLOT] for at in range(0, len(raw) - _SLOT + 1, _SLOT)]
    if filesystem == "exfat":
        # In use: «File Directory Entry» (exFAT §7.4), or the «Stream Extension» (§7.6) of one that was overwritten.
        return max(sum(slot[0] == kind for slot in slots) for kind in (0x85, 0xC0))
    # fatgen103: free (00, E5), the folder and its parent (2E); the label and parts of long names have attribute 08.
    return sum(slot[0] not in (0x00, 0xE5, 0x2E) and not slot[11] & 0x08 for slot in slots)


def exfat_valid_bytes(read: Read, entry: int, following: Callable[[int], int]) -> int:
    """ValidDataLength (exFAT §7.6.5) of the file whose directory entry is the ``entry``-th of the cluster heap.

    A file may be longer; beyond this it was never written, and reads as zeros whatever the clusters hold.
    ``following`` gives the place of the folder's next 32 bytes. Raises ``ValueError``, ``OSError``, ``struct.error``.
    """
    boot = read(0, BOOT_BYTES)
    (heap,) = struct.unpack_from("<I", boot, 88)
    place = following((heap << boot[108]) + entry * _SLOT)
    stream = read(place, _SLOT)
    if stream[0] != 0xC0:  # noqa: PLR2004  # exFAT §7.6, «Stream Extension Directory Entry»
        raise ValueError("no stream extension follows the directory entry")
    return int(struct.unpack_from("<Q", stream, 8)[0])


def ntfs_initialised_bytes(record: bytes) -> int | None:
    """How much of a file's unnamed data was ever written, by its MFT record; None where another record has it.

    Raises ``ValueError`` or ``struct.error`` for a record that is none.
    """
    for kind, attribute in _attributes(record):
        if kind == _DATA and not attribute[9]:
            return int(struct.unpack_from("<Q" if attribute[8] else "<I", attribute, 56 if attribute[8] else 16)[0])
    return None


def ntfs_record_bytes(boot: bytes) -> int:
    """Size of an MFT record by the boot sector. Raises ``ValueError`` where that is absurd."""
    (size,) = struct.unpack_from("<b", boot, 64)
    size = 1 << -size if size < 0 else size * _ntfs_cluster_bytes(boot)
    if not BOOT_BYTES <= size <= MAX_RECORD_BYTES:
        raise ValueError("an MFT record of that size is none")
    return int(size)


def _fat_dirty(read: Read) -> bool:
    """Either mark counts: Windows and Linux write the one in the boot sector, the format knows that in FAT[1]."""
    boot = read(0, BOOT_BYTES)
    sector, per_cluster, reserved, fats, roots, small = struct.unpack_from("<HBHBHH", boot, 11)
    if sector not in _SECTOR_BYTES:
        raise ValueError("no boot sector of FAT")
    (large,), (short_fat,), (long_fat,) = (
        struct.unpack_from(form, boot, at) for form, at in (("<I", 32), ("<H", 22), ("<I", 36))
    )
    taken = reserved + fats * (short_fat or long_fat) + -(-roots * 32 // sector)
    clusters = ((small or large) - taken) // per_cluster
    fat32 = not short_fat and clusters >= _FAT32_FROM
    if boot[65 if fat32 else 37] & 1:
        return True
    if fat32:
        return not struct.unpack("<I", read(reserved * sector + 4, 4))[0] & 0x08000000
    return clusters >= _FAT16_FROM and not struct.unpack("<H", read(reserved * sector + 2, 2))[0] & 0x8000


def _exfat_dirty(read: Read) -> bool:
    """VolumeDirty of VolumeFlags (exFAT §3.1.13.2)."""
    boot = read(0, BOOT_BYTES)
    if boot[3:11] != b"EXFAT   ":
        raise ValueError("no boot sector of exFAT")
    return bool(struct.unpack_from("<H", boot, 106)[0] & 2)


def _ntfs_dirty(read: Read) -> bool:
    """VOLUME_FLAG_DIRTY in $VOLUME_INFORMATION of $Volume, the fourth MFT record."""
    boot = read(0, BOOT_BYTES)
    size = ntfs_record_bytes(boot)
    (mft,) = struct.unpack_from("<Q", boot, 48)
    record = read(mft * _ntfs_cluster_bytes(boot) + _VOLUME * size, size)
    for kind, attribute in _attributes(record):
        if kind == _VOLUME_INFORMATION:
            (value,) = struct.unpack_from("<H", attribute, 20)
            return bool(struct.unpack_from("<H", attribute, value + 10)[0] & 1)
    raise ValueError("$Volume has no $VOLUME_INFORMATION")


def _ntfs_cluster_bytes(boot: bytes) -> int:
    sector, clusters = struct.unpack_from("<Hb", boot, 11)
    return int(sector * (1 << -clusters if clusters < 0 else clusters))


def _attributes(record: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each attribute; the last two bytes of each sector are put back from the update sequence."""
    if record[:4] != b"FILE":
        raise ValueError("no MFT record")
    mended = bytearray(record)
    usa, count = struct.unpack_from("<HH", record, 4)
    for sector in range(1, min(count, len(record) // BOOT_BYTES + 1)):
        mended[sector * BOOT_BYTES - 2 : sector * BOOT_BYTES] = record[usa + 2 * sector : usa + 2 * sector + 2]
    (at,) = struct.unpack_from("<H", record, 20)
    while True:
        kind, size = struct.unpack_from("<II", mended, at)
        if kind == _END:
            return
        if not size:
            raise ValueError("an attribute without size")
        yield kind, bytes(mended[at : at + size])
        at += size

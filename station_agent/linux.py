"""Linux system calls that Python does not wrap, each as one function that raises ``OSError``.

Only raw calls live here, no decision. Constants are those of the kernel's user-space headers, named in the comments.
"""

import ctypes
import errno
import fcntl
import mmap
import os
from pathlib import Path
from typing import Final

MS_RDONLY: Final = 0x1  # linux/mount.h
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MNT_DETACH: Final = 0x2

_BLKROSET: Final = 0x125D  # linux/fs.h
_BLKROGET: Final = 0x125E
_SYNC_FILE_RANGE_WRITE: Final = 0x2  # linux/fs.h
_FALLOC_FL_KEEP_SIZE: Final = 0x1  # linux/falloc.h
_TIME_ERROR: Final = 5  # linux/timex.h
_STA_UNSYNC: Final = 0x40

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.syncfs.argtypes = [ctypes.c_int]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


class _Timex(ctypes.Structure):
    # struct timex of linux/timex.h; ``modes``, ``maxerror`` and ``status`` are used, the rest gives it its size.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def mount(source: str, target: Path, filesystem: str, flags: int, options: str = "") -> None:
    """Ask the kernel itself, so that no ``/sbin/mount.*`` helper takes its place. ENODEV: it has no such driver."""
    _check(
        _libc.mount(os.fsencode(source), os.fsencode(target), filesystem.encode(), flags, options.encode() or None),
        source,
    )


def unmount_lazily(target: Path) -> None:
    """umount2(2) with MNT_DETACH: gone from the tree now, freed when the last file is closed."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), str(target))


def unmount(target: Path) -> None:
    """umount2(2) without flags: when it returns, what was written is with the device. EBUSY: somebody is in there."""
    _check(_libc.umount2(os.fsencode(target), 0), str(target))


def sync_file_system(path: Path) -> None:
    """syncfs(2): everything written to the file system of ``path`` is on its medium, or an error says that not."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(fd), str(path))
    finally:
        os.close(fd)


def set_device_read_only(node: str, *, read_only: bool = True) -> bool:
    """BLKROSET on a block device, then what BLKROGET says of it."""
    fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _BLKROSET, int(read_only).to_bytes(4, "little"))
        answer = fcntl.ioctl(fd, _BLKROGET, bytes(4))
    finally:
        os.close(fd)
    return answer != bytes(4)


def start_writeback(fd: int, offset: int, size: int) -> None:
    """sync_file_range(2): let the disk begin with these bytes. Promises no durability; skipped where unsupported."""
    if _libc.sync_file_range(fd, offset, size, _SYNC_FILE_RANGE_WRITE) and ctypes.get_errno() not in {
        errno.ESPIPE,
        errno.EINVAL,
        errno.ENOSYS,
    }:
        _raise("sync_file_range")


def reserve(fd: int, size: int) -> None:
    """fallocate(2) without changing the size: ENOSPC now and not in the middle. Skipped where it is not supported."""
    if size and _libc.fallocate(fd, _FALLOC_FL_KEEP_SIZE, 0, size) and ctypes.get_errno() != errno.EOPNOTSUPP:
        _raise("fallocate")


def resident_pages(fd: int, size: int) -> int:
    """How many pages of the file's first ``size`` bytes are in the page cache: mincore(2). The caller owns the file."""
    if not size:
        return 0
    pages = -(-size // mmap.PAGESIZE)
    vector = ctypes.create_string_buffer(pages)
    with mmap.mmap(fd, size, access=mmap.ACCESS_COPY) as view:
        start = ctypes.c_char.from_buffer(view)
        try:
            _check(_libc.mincore(ctypes.addressof(start), size, vector), "mincore")
        finally:
            del start
    return pages - vector.raw[:pages].count(b"\0")


def clock_error_us() -> int | None:
    """How far the kernel's clock is off at most, µs (``maxerror`` of adjtimex(2)); None: TIME_ERROR or STA_UNSYNC.

    None too where a sandbox forbids to ask (EPERM): then nobody vouches for the clock.
    """
    state = _Timex()
    answer: int = _libc.adjtimex(ctypes.byref(state))
    if answer < 0:
        if ctypes.get_errno() == errno.EPERM:
            return None
        _raise("adjtimex")
    undisciplined = answer == _TIME_ERROR or state.status & _STA_UNSYNC
    return None if undisciplined else int(state.maxerror)


def _check(answer: int, subject: str) -> None:
    if answer:
        _raise(subject)


def _raise(subject: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), subject)

"""SCSI commands to a disk through SG_IO (sg(4), linux/scsi/sg.h). Vendor commands need CAP_SYS_RAWIO.

The disk is opened for reading, and without waiting for a medium, which a locked recorder has none of.
"""

import ctypes
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from station_agent.errors import UnlockError

SG_IO: Final = 0x2285
READ_TIMEOUT_MS: Final = 2_000
WRITE_TIMEOUT_MS: Final = 10_000
"""What the maker's library gives the device."""
SENSE_BYTES: Final = 32

_NONE, _TO_DEVICE, _FROM_DEVICE = -1, -2, -3  # SG_DXFER_*
_NOT_OK: Final = 0x1  # SG_INFO_OK_MASK


class Header(ctypes.Structure):
    """``struct sg_io_hdr``."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


class SgDisk:
    """Satisfies ``Transport``."""

    def __init__(self, fd: int, node: str, ioctl: Callable[[int, int, Header], object] = fcntl.ioctl) -> None:
        self._fd = fd
        self._node = node
        self._ioctl = ioctl

    def read(self, cdb: bytes, length: int) -> bytes:
        """Within ``READ_TIMEOUT_MS``; fewer bytes than asked are an error."""
        buffer = ctypes.create_string_buffer(length)
        short = self._send(cdb, _FROM_DEVICE, buffer, length, READ_TIMEOUT_MS)
        if short:
            raise UnlockError(f"{self._node}: {length - short} bytes came where {length} were asked")
        return buffer.raw

    def write(self, cdb: bytes, data: bytes) -> None:
        """Within ``WRITE_TIMEOUT_MS``."""
        buffer = ctypes.create_string_buffer(data, max(1, len(data)))
        direction = _TO_DEVICE if data else _NONE
        if self._send(cdb, direction, buffer, len(data), WRITE_TIMEOUT_MS):
            raise UnlockError(f"{self._node}: not all of {len(data)} bytes were taken")

    def _send(self, cdb: bytes, direction: int, buffer: ctypes.Array[ctypes.c_char], length: int, wait_ms: int) -> int:
        """Bytes that were not transferred."""
        block, sense = ctypes.create_string_buffer(cdb, len(cdb)), ctypes.create_string_buffer(SENSE_BYTES)
        header = Header(
            interface_id=ord("S"),
            dxfer_direction=direction,
            cmd_len=len(cdb),
            mx_sb_len=SENSE_BYTES,
            dxfer_len=length,
            dxferp=ctypes.addressof(buffer) if length else None,
            cmdp=ctypes.addressof(block),
            sbp=ctypes.addressof(sense),
            timeout=wait_ms,
        )
        try:
            self._ioctl(self._fd, SG_IO, header)
        except OSError as error:
            raise UnlockError(f"{self._node}: SCSI command {cdb.hex()}: {error.strerror}") from error
        if header.info & _NOT_OK:
            states = f"status {header.status}, host {header.host_status}, driver {header.driver_status}"
            raise UnlockError(f"{self._node}: SCSI command {cdb.hex()} failed: {states}")
        return int(header.resid)


@contextmanager
def opened(node: str) -> Iterator[SgDisk]:
    """The disk that ``node`` is, or is a partition of. Raises ``UnlockError``."""
    folder = Path("/sys/class/block", Path(node).name).resolve()
    disk = folder.parent.name if (folder / "partition").exists() else Path(node).name
    try:
        fd = os.open(Path(node).with_name(disk), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnlockError(f"{node}: cannot be opened: {error.strerror}") from error
    try:
        yield SgDisk(fd, node)
    finally:
        os.close(fd)

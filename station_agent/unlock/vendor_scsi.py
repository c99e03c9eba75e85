"""Vendor SCSI commands of recorders whose INQUIRY says ``DV16 DEVICE V1.00``; untested on hardware.

Facts of the protocol as one maker's host library uses it. Sixteen bytes of command: 0xFD for reading or 0xFB for
writing, 0x81 or 0x82, the function as a big-endian number in bytes 2 to 5, the length of the data in bytes 6 and 7,
zeros. Integers in the data are little-endian, as that library's host has them (unverified).

The device asks for no password before it becomes a disk, so none is known here; one that it keeps would be no secret.
"""

import struct
from datetime import datetime
from enum import IntEnum
from typing import Final

from station_agent.errors import UnlockError
from station_agent.model import recordable
from station_agent.unlock import zfy_info
from station_agent.unlock.transport import Transport
from station_agent.unlock.zfy_info import ZfyInfo

INQUIRY_BYTES: Final = 36
INQUIRY: Final = bytes([0x12, 0, 0, 0, INQUIRY_BYTES, 0])
"""Standard INQUIRY (SPC-4 §6.4): vendor in bytes 8 to 15 of the answer, product in 16 to 31."""
MODEL: Final = "dv16devicev1.00"
"""Vendor and product, without spaces, in lower case."""
FULL_PERCENT: Final = 100


class Function(IntEnum):
    """Functions that are used. A device has more; a command for one that is not here cannot be made."""

    INITIALISE = 0x01
    ID_CODE = 0x02
    READ_INFO = 0x03
    SET_TIME = 0x05
    DISK_MODE = 0x06
    BATTERY = 0x08
    CARD_STATE = 0x0C
    STATUS = 0x0E


READS: Final = {
    Function.ID_CODE: 6,
    Function.READ_INFO: 89,
    Function.BATTERY: 4,
    Function.CARD_STATE: 4,
    Function.STATUS: 4,
}
"""Function that reads → bytes of its answer."""


def command(function: Function, length: int) -> bytes:
    """The command descriptor block of a function with ``length`` bytes of data; what it is decides the direction."""
    kind = (0xFD, 0x81) if function in READS else (0xFB, 0x82)
    return struct.pack(">BBIH8x", *kind, function, length)


class VendorScsi:
    """Satisfies ``ZfyDriver``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def identify(self) -> str | None:
        """Nothing but INQUIRY, which every disk answers, goes to a device that is not of this model."""
        said = self._transport.read(INQUIRY, INQUIRY_BYTES)[8:32].decode("ascii", "replace")
        if "".join(said.split()).replace("\0", "").lower() != MODEL:
            return None
        self._write(Function.INITIALISE)
        return recordable(self._read(Function.ID_CODE).rstrip(b"\0 ").decode("ascii", "replace"))

    def read_info(self) -> ZfyInfo:
        """Of 89 bytes, without NULs."""
        return zfy_info.decode(self._read(Function.READ_INFO))

    def read_battery(self) -> int:
        """Percent; more than a hundred is refused, for then it is not what this function is."""
        percent = self._number(Function.BATTERY)
        if percent > FULL_PERCENT:
            raise UnlockError(f"the recorder states a charge of {percent} %")
        return percent

    def set_clock(self, local: datetime) -> None:
        """Year as sixteen bits, then a byte each, to the second."""
        parts = (local.year, local.month, local.day, local.hour, local.minute, local.second)
        self._write(Function.SET_TIME, struct.pack("<H5B", *parts))

    def switch_to_storage(self) -> None:
        """A status that does not come says nothing: a device that obeyed may have left before it could answer."""
        if not self._number(Function.CARD_STATE):
            raise UnlockError("the recorder says that its card is offline")
        self._transport.write(command(Function.DISK_MODE, 0), b"")
        try:
            status = self._number(Function.STATUS)
        except UnlockError:
            return
        if status:
            raise UnlockError(f"the recorder refuses to become a disk: status {status}")

    def _read(self, function: Function) -> bytes:
        length = READS[function]
        return self._transport.read(command(function, length), length)

    def _number(self, function: Function) -> int:
        return int.from_bytes(self._read(function), "little")

    def _write(self, function: Function, data: bytes = b"") -> None:
        """With the status that the device has of it."""
        self._transport.write(command(function, len(data)), data)
        status = self._number(Function.STATUS)
        if status:
            raise UnlockError(f"the recorder refuses function {function.name}: status {status}")

"""What a driver needs from the wire: SCSI commands with their data, each within its own time."""

from typing import Protocol


class Transport(Protocol):
    """SCSI commands to one device. Raises ``UnlockError`` when one fails, takes too long, or the device is gone."""

    def read(self, cdb: bytes, length: int) -> bytes:
        """Exactly ``length`` bytes that the device answers to the command descriptor block ``cdb``."""
        ...

    def write(self, cdb: bytes, data: bytes) -> None:
        """Give ``data``, which may be empty, to the device."""
        ...

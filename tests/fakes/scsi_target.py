"""A recorder of the ``dv16-scsi`` driver at the end of a SCSI wire. Strict: what it is not known to be asked fails.

It speaks in the bytes of the command table, which are written out here once more and not taken from the driver.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from station_agent.errors import UnlockError

INFO = b"DSJ0001123456" + "王小明".encode("gbk").ljust(32, b"\0") + b"310101000000" + "市局".encode().ljust(32, b"\0")
INQUIRY = bytes.fromhex("120000002400")
STATUS = bytes.fromhex("fd81 0000000e 0004 0000000000000000")
ANSWERS = {
    bytes.fromhex("fd81 00000002 0006 0000000000000000"): b"DV1601",
    bytes.fromhex("fd81 00000003 0059 0000000000000000"): INFO,
    bytes.fromhex("fd81 00000008 0004 0000000000000000"): b"\x57\0\0\0",
    bytes.fromhex("fd81 0000000c 0004 0000000000000000"): b"\1\0\0\0",
}
INITIALISE = bytes.fromhex("fb82 00000001 0000 0000000000000000")
SET_TIME = bytes.fromhex("fb82 00000005 0007 0000000000000000")
DISK_MODE = bytes.fromhex("fb82 00000006 0000 0000000000000000")
BATTERY, CARD = list(ANSWERS)[2:]


@dataclass
class ScsiTarget:
    """Satisfies ``Transport``. ``on_disk_mode`` is what happens when it is told to become a disk."""

    model: str = "DV16 DEVICE V1.00"
    on_disk_mode: Callable[[], object] = lambda: None
    statuses: dict[bytes, int] = field(default_factory=dict)
    """Command → status after it; 0 where none is named."""
    answers: dict[bytes, bytes] = field(default_factory=lambda: dict(ANSWERS))
    silent: set[bytes] = field(default_factory=set)
    """Commands that it does not answer in time."""
    asked: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    _owes_status: bytes = b""

    @contextmanager
    def at(self, node: str) -> Iterator["ScsiTarget"]:
        """As ``sg.opened``."""
        self.opened.append(node)
        yield self

    def read(self, cdb: bytes, length: int) -> bytes:
        self._note(cdb)
        if cdb == INQUIRY:
            return (bytes(8) + self.model.ljust(24).encode() + bytes(4))[:length]
        if cdb == STATUS:
            before, self._owes_status = self._owes_status, b""
            return self.statuses.get(before, 0).to_bytes(4, "little")
        if cdb not in self.answers:
            raise AssertionError(f"no recorder was seen to be asked {cdb.hex()}")
        answer = self.answers[cdb]
        assert len(answer) == length
        return answer

    def write(self, cdb: bytes, data: bytes) -> None:
        self._note(cdb)
        assert len(data) == int.from_bytes(cdb[6:8], "big")
        if cdb not in {INITIALISE, SET_TIME, DISK_MODE}:
            raise AssertionError(f"no recorder may be told {cdb.hex()}")
        self.written.append(data)
        self._owes_status = cdb
        if cdb == DISK_MODE:
            self.on_disk_mode()

    def _note(self, cdb: bytes) -> None:
        assert cdb == STATUS or not self._owes_status, "its status was not asked after the last write"
        self.asked.append(cdb)
        if cdb in self.silent:
            raise UnlockError("Connection timed out")

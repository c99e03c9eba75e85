"""An in-memory twin of the log's file port, with faults: each write may be lost, torn, or kept but reported failed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    LOST = "lost"
    TORN = "torn"
    KEPT = "kept but reported failed"


class PowerCutError(OSError):
    """The write that the fault was planned for."""


@dataclass
class MemoryLogFiles:
    data: bytearray = field(default_factory=bytearray)
    small: dict[str, bytes] = field(default_factory=dict)
    writes: int = 0
    fail_at: int = -1
    fault: Fault = Fault.LOST
    chunk: int = 7
    index: dict[str, bytearray] = field(default_factory=dict)

    def read(self, offset: int) -> Iterator[bytes]:
        view = bytes(self.data[offset:])
        for start in range(0, len(view), self.chunk):
            yield view[start : start + self.chunk]

    def append(self, data: bytes) -> None:
        kept = self._kept(len(data))
        self.data += data[:kept]
        self._report()

    def truncate(self, size: int) -> None:
        if self._kept(1):
            del self.data[size:]
        self._report()

    def get(self, name: str) -> bytes | None:
        return self.small.get(name)

    def put(self, name: str, data: bytes) -> None:
        # A replaced file is old or new, never torn: that is the port's promise.
        if self._kept(1):
            self.small[name] = data
        self._report()

    def length(self, name: str) -> int:
        return len(self.index.get(name, b""))

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        return bytes(self.index.get(name, b"")[offset : offset + size])

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        file = self.index.setdefault(name, bytearray())
        kept = data[: self._kept(len(data))]
        if kept:
            file.extend(bytes(max(0, offset - len(file))))
            file[offset : offset + len(kept)] = kept
        self._report()

    def _kept(self, size: int) -> int:
        if self.writes != self.fail_at:
            return size
        return {Fault.LOST: 0, Fault.TORN: size // 2, Fault.KEPT: size}[self.fault]

    def _report(self) -> None:
        self.writes += 1
        if self.writes - 1 == self.fail_at:
            raise PowerCutError(f"write {self.fail_at} {self.fault}")

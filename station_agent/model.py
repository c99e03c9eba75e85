"""Values that the steps of the station hand to each other. Facts are named in the past tense; nothing here acts.

Times ending in ``_ms`` are milliseconds since 1970 UTC by the station's clock unless a name says otherwise.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from custody.canonical import JsonObject

MAX_TEXT: int = 256
"""Characters kept of a text that a stranger wrote: a serial, a label, a statement beside a file."""


MAX_ID: int = 64
"""Characters kept of an id on a card, and allowed in the register: so all of them fit into one entry."""


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """What a recorder says of itself before anything is read from it. Empty strings mean «not stated»."""

    serial: str
    vendor_id: str = ""
    product_id: str = ""
    volume_uuid: str = ""
    volume_label: str = ""
    port: str = ""
    """udev ``ID_PATH``: the physical port."""
    interfaces: str = ""
    """udev ``ID_USB_INTERFACES``: class, subclass and protocol of each USB interface, ``:080650:``."""

    @property
    def key(self) -> str:
        """Name under which the journal remembers this recorder: serial and volume, since serials are not unique."""
        return f"{self.serial}/{self.volume_uuid}"

    @property
    def tells_apart(self) -> bool:
        """Whether it names one recorder and one volume; an empty serial or volume id is shared by many."""
        return bool(self.serial and self.volume_uuid)

    def recordable(self) -> "DeviceIdentity":
        """The same with every text as a record can hold it."""
        return DeviceIdentity(**{part.name: recordable(getattr(self, part.name)) for part in fields(self)})


@dataclass(frozen=True, slots=True)
class Stated:
    """An id as one source states it; ``source`` is one of ``registry.Source``."""

    source: str
    value: str


@dataclass(frozen=True, slots=True)
class CardIds:
    """Who wrote a card, as the card itself states."""

    settings: tuple[str, ...] = ()
    """From settings files that its family of recorders knows."""
    names: tuple[str, ...] = ()
    """From the names of its files."""
    unread: tuple[str, ...] = ()
    """Settings files that could not be read, with the reason."""


@dataclass(frozen=True, slots=True)
class RecorderDocked:
    """udev announced a medium at a bay."""

    node: str
    bay: int
    identity: DeviceIdentity
    filesystem: str
    """Empty when no file system is found on it; one may still come with a later event."""
    at_ms: int
    locked: bool = False
    """A disk without a medium: a recorder that waits to be unlocked, or a reader without a card."""
    unnamed: bool = False
    """udev found no file system on it; ``filesystem`` is what its own boot sector names."""


@dataclass(frozen=True, slots=True)
class RecorderUndocked:
    """The device node went away; may arrive twice, or without a ``RecorderDocked`` before it."""

    node: str
    at_ms: int


class OpenedFile(Protocol):
    """A file of a recorder while it is read, from its beginning to its end."""

    def state(self) -> tuple[int, int]:
        """Size in bytes and modification time in ns, as of now. Raises ``OSError``."""
        ...

    def read_into(self, buffer: memoryview, done: int) -> int:
        """Put bytes from the ``done``-th on into ``buffer``; how many, 0 at the end. Raises ``OSError``."""
        ...

    def release(self) -> None:
        """Let go of what was cached of it."""
        ...


class Tree(Protocol):
    """The files of a recorder that the kernel does not mount; stands where a mounted volume has its root folder."""

    def files(self) -> Iterator["SourceFile"]:
        """Every entry that is no folder, as ``recorders.list_files`` has them. Raises ``OSError``."""
        ...

    def opened(self, path: bytes) -> AbstractContextManager[OpenedFile]:
        """One of these files. Raises ``CopyError``."""
        ...


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """A volume the kernel confirmed as read-only; ``flags`` are those read back from mountinfo, not those asked for.

    Where the kernel would not mount it, ``root`` is a ``Tree``, there are no flags, and ``refusal`` says why.
    """

    root: Path | Tree
    node: str
    filesystem: str
    driver: str
    flags: tuple[str, ...]
    device_read_only: bool
    dirty: str = "unknown"
    """``yes`` when the volume says that it was not taken out of use in an orderly way, ``no``, or ``unknown``."""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One directory entry on a recorder. ``path`` is relative to the volume root, exactly the bytes found there."""

    path: bytes
    size: int
    mtime_ns: int
    refused: str = ""
    """Why it will not be opened, such as ``symlink`` or ``ambiguous-name``; empty for a regular file."""

    @property
    def mtime_ms(self) -> int:
        """Modification time as the file system gives it, in milliseconds."""
        return self.mtime_ns // 1_000_000

    @property
    def printable(self) -> str:
        """The path for people and logs: undecodable bytes and control characters replaced."""
        return printable(self.path.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Card:
    """The medium a file came from: the family of recorders it was read as, and the label of its volume."""

    family: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """A finished copy: written, synced, evicted from the page cache and read back equal."""

    size: int
    sha256: str
    reread_sha256: str
    reread: str
    """``uncached``, or ``cached`` where the file system cannot drop its cache."""
    start_ms: int
    end_ms: int
    sm3: str = ""
    """Of the same reading, in profile ``gm``."""


@dataclass(frozen=True, slots=True)
class StationClock:
    """The station's clock against its time source, and who says so: ``chrony`` or ``kernel``."""

    source: str
    synchronised: bool
    offset_ms: int | None = None
    """Station clock minus its source; None where nobody measured it."""
    uncertainty_ms: int | None = None
    """How far the clock is from the truth at most; None where it is not synchronised."""

    @property
    def said(self) -> str:
        """Whether it is synchronised, as records and heartbeats say it."""
        return "yes" if self.synchronised else "no"

    def block(self) -> JsonObject:
        """As it stands in a record."""
        return {
            "source": self.source,
            "synchronised": self.said,
            "offset_ms": self.offset_ms,
            "uncertainty_ms": self.uncertainty_ms,
        }


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Recorder clock minus station clock, measured at docking before anything changes it."""

    offset_ms: int | None
    uncertainty_ms: int | None
    method: str
    """``connect-write``, ``future-mtime``, ``driver`` or ``unmeasured``."""
    station: StationClock | None = None
    """How right the station's own clock was at that moment; None in entries of before it was asked."""

    def block(self) -> JsonObject:
        """As it stands in a record."""
        station: JsonObject = {"station": self.station.block()} if self.station else {}
        return {"offset_ms": self.offset_ms, "uncertainty_ms": self.uncertainty_ms, "method": self.method, **station}


@dataclass(frozen=True, slots=True)
class Described:
    """What the media say of themselves: the ``media`` block of a ``media.described`` record, ready to sign."""

    media: JsonObject


@dataclass(frozen=True, slots=True)
class Proxy:
    """A derived, playable copy that was made and accepted. ``recipe`` names program, version and arguments."""

    path: Path
    size: int
    sha256: str
    recipe: JsonObject


@dataclass(frozen=True, slots=True)
class StationTime:
    """The station's clock and how far it can be trusted, as it stands in every record."""

    utc_ms: int
    source: str
    boot_id: str
    mono_ns: int

    @classmethod
    def read(cls, block: JsonObject | None) -> "StationTime | None":
        """From the ``time`` of an entry; None where there is none that says when the machine was started."""
        utc_ms, mono_ns = (block or {}).get("utc_ms"), str((block or {}).get("mono_ns"))
        if block is None or not isinstance(utc_ms, int) or not mono_ns.isdecimal():
            return None
        return cls(utc_ms, str(block.get("source")), str(block.get("boot_id")), int(mono_ns))

    def block(self) -> Mapping[str, str | int]:
        """As it stands in a record; the 64-bit counter is a string, since JSON readers lose large integers."""
        return {
            "utc_ms": self.utc_ms,
            "source": self.source,
            "boot_id": self.boot_id,
            "mono_ns": str(self.mono_ns),
        }


def printable(text: str) -> str:
    """The text with a replacement character for everything that is not printable, lone surrogates among it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def recordable(text: str, most: int = MAX_TEXT) -> str:
    """A stranger's text as a record can hold it: printable, and at most so many characters."""
    return printable(text[:most])

"""udev → ``RecorderDocked`` / ``RecorderUndocked``. The only module that imports pyudev.

A recorder is a block device with a file system, or a USB device that speaks PTP or MTP and has the station's tag: any
telephone speaks them too. The ``remove`` of such a device has no serial any more; what was docked is known by its node.

What is decided rests on udev properties (tag, file system, port, serial) and the size of the medium. The same recorder
is announced by ``add`` and again by ``change``, and may leave twice; each arrival and each departure is reported once.
A medium without a file system arrives too: what cannot be read must not look like an empty bay.
"""

import errno
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyudev
import structlog

from station_agent.bays import BayMap
from station_agent.errors import MountError
from station_agent.model import DeviceIdentity, RecorderDocked, RecorderUndocked
from station_agent.ports import Clock
from station_agent.ptp import FILE_SYSTEM as PTP

TAG: Final = "bwc"
"""The udev rule of the station gives this tag to recorders that are on its allow-list."""
RECEIVE_BUFFER_BYTES: Final = 8 << 20
"""A full dock that is powered on at once must not overrun the netlink socket."""
POLL_S: Final = 0.2

_WITH_BOOT_SECTOR: Final = frozenset({"vfat", "exfat", "ntfs"})
_NEVER_FORMATTED: Final = frozenset({"0x5", "0xf", "0x85", "e3c9e316-0b5c-4db8-817d-f92df00215ae"})
"""Types of partitions that hold no file system by their nature: extended (MBR), Microsoft reserved (GPT)."""

UDEV_PAUSES_S: Final = (0.05, 0.15, 0.3, 0.5)
"""Between the looks at what udev tells of a node, before it counts as another recorder's."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One udev event about one node, reduced to what decides."""

    node: str
    action: str
    properties: Mapping[str, str]
    tags: frozenset[str]
    sectors: int = 0
    """Size of the medium; 0 for a reader without a card."""
    partitions: int = 0
    """How many partitions of it the kernel knows."""


class Docks:
    """Which recorders are docked, told by sightings. Pure: the same sighting twice changes nothing."""

    def __init__(self, bays: BayMap, require_tag: bool, *, unlocks: bool = False) -> None:  # noqa: FBT001  # one configured yes or no
        """``unlocks``: disks without a medium are told of too."""
        self._bays = bays
        self._require_tag = require_tag
        self._unlocks = unlocks
        self._docked: dict[str, tuple[DeviceIdentity, str, bool]] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """Nodes reported as docked and not yet as undocked."""
        return frozenset(self._docked)

    def see(self, sighting: Sighting, at_ms: int) -> list[RecorderDocked | RecorderUndocked]:
        """What this sighting means: at most one departure, then at most one arrival."""
        arrival = None if sighting.action == "remove" else self._arrival(sighting, at_ms)
        known = self._docked.get(sighting.node)
        if arrival and known == (arrival.identity, arrival.filesystem, arrival.locked):
            return []
        events: list[RecorderDocked | RecorderUndocked] = []
        if known:
            del self._docked[sighting.node]
            events.append(RecorderUndocked(sighting.node, at_ms))
        if arrival:
            self._docked[sighting.node] = (arrival.identity, arrival.filesystem, arrival.locked)
            events.append(arrival)
        return events

    def _arrival(self, sighting: Sighting, at_ms: int) -> RecorderDocked | None:
        filesystem = filesystem_of(sighting.properties)
        if (self._require_tag or filesystem == PTP) and TAG not in sighting.tags:
            return None
        locked = self._unlocks and is_without_medium(sighting)
        if not filesystem and not locked and not is_unformatted(sighting):
            return None
        bay = bay_of(sighting.properties, self._bays)
        if bay is None:
            if TAG in sighting.tags:
                _log.warning("recorder-without-bay", node=sighting.node, port=sighting.properties.get("ID_PATH", ""))
            return None
        return RecorderDocked(sighting.node, bay, identity_of(sighting.properties), filesystem, at_ms, locked)


class Detector:
    """Watches udev. Enumerates what is there already, then follows what comes and goes."""

    def __init__(self, bays: BayMap, clock: Clock, require_tag: bool, *, unlocks: bool = False) -> None:  # noqa: FBT001  # one configured yes or no
        self._clock = clock
        self._docks = Docks(bays, require_tag, unlocks=unlocks)
        self._context = pyudev.Context()

    def events(self, stop: threading.Event) -> Iterator[RecorderDocked | RecorderUndocked]:
        """Arrivals and departures until ``stop`` is set.

        The monitor listens before the enumeration begins, so nothing falls between the two. When the kernel dropped
        messages (ENOBUFS) everything is enumerated again. Raises ``OSError`` when netlink itself fails.
        """
        monitor = pyudev.Monitor.from_netlink(self._context)
        monitor.filter_by("block")
        monitor.filter_by("usb", "usb_device")
        _enlarge(monitor)
        monitor.start()
        yield from self._enumerate()
        while not stop.is_set():
            try:
                device = monitor.poll(timeout=POLL_S)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                _log.warning("udev-messages-lost")
                yield from self._enumerate()
                continue
            if device is not None:
                yield from self._see(device, device.action or "change")

    def _enumerate(self) -> Iterator[RecorderDocked | RecorderUndocked]:
        blocks = self._context.list_devices(subsystem="block")
        cameras = self._context.list_devices(subsystem="usb", DEVTYPE="usb_device")
        present = [device for device in (*blocks, *cameras) if device.device_node]
        for node in self._docks.nodes - {device.device_node for device in present}:
            yield from self._docks.see(Sighting(node, "remove", {}, frozenset()), self._now())
        for device in present:
            yield from self._see(device, "add")

    def _see(self, device: pyudev.Device, action: str) -> list[RecorderDocked | RecorderUndocked]:
        if not device.device_node:
            return []
        return self._docks.see(_sighting(device, action), self._now())

    def _now(self) -> int:
        return self._clock.now().utc_ms


def require_same(event: RecorderDocked) -> None:
    """Raise ``MountError`` unless what is at the node of ``event`` now is what was announced there.

    A node is taken again by the next recorder. udev may still tell of the one before: then its number of the medium
    (``DISKSEQ``) is not the kernel's, who counts each medium put in since the machine was started. It is asked again
    for a moment: while it works on a further event of the same recorder, what it tells may be neither.
    """
    for pause_s in UDEV_PAUSES_S:
        if not _difference(event):
            return
        time.sleep(pause_s)
    if difference := _difference(event):
        raise MountError(difference)


def _difference(event: RecorderDocked) -> str:
    """Why what is at the node now is not what was announced, in a sentence; empty when it is."""
    now = _look(event.node)
    if now is None:
        return f"{event.node} is not there any more"
    told_then = "" if event.unnamed else event.filesystem
    if (identity_of(now.properties), filesystem_of(now.properties)) != (event.identity, told_then):
        return f"{event.node} holds another volume than the one that was announced"
    told, true = now.properties.get("DISKSEQ", ""), _medium_number(event.node)
    if told and told != true:
        return f"{event.node}: udev tells of medium {told}, the kernel has {true} there"
    return ""


def still_unformatted(event: RecorderDocked) -> bool:
    """Whether the medium that was announced without a file system is still there and has none."""
    now = _look(event.node)
    return now is not None and is_unformatted(now)


def is_unformatted(sighting: Sighting) -> bool:
    """Whether there is a medium, and nothing on it that can be mounted or holds partitions that could be."""
    properties = sighting.properties
    if is_volume(properties) or not sighting.sectors:
        return False
    if properties.get("DEVTYPE") == "partition":
        return properties.get("ID_PART_ENTRY_TYPE", "") not in _NEVER_FORMATTED
    return sighting.partitions == 0


def is_without_medium(sighting: Sighting) -> bool:
    """Whether it is a disk with nothing in it, as a locked recorder shows itself."""
    return sighting.properties.get("DEVTYPE") == "disk" and not sighting.sectors and not is_volume(sighting.properties)


def _enlarge(monitor: pyudev.Monitor) -> None:
    """Beyond the system's bound this needs CAP_NET_ADMIN; without it lost messages are noticed and made up for."""
    try:
        monitor.set_receive_buffer_size(RECEIVE_BUFFER_BYTES)
    except PermissionError:
        _log.warning("small-udev-buffer", wanted_bytes=RECEIVE_BUFFER_BYTES)


def is_volume(properties: Mapping[str, str]) -> bool:
    """Whether a file system can be mounted from this node: a partition, or a whole disk without partition table.

    A partition that is not formatted yet comes again as ``change`` when it is. The boot sectors of FAT, exFAT and NTFS
    end like a partition table, so udev may name one (``dos``) on a disk that is all file system.
    """
    filesystem = properties.get("ID_FS_TYPE", "")
    if properties.get("ID_FS_USAGE") != "filesystem" or not filesystem:
        return False
    table = properties.get("ID_PART_TABLE_TYPE", "")
    looks_like_table = table == "dos" and filesystem in _WITH_BOOT_SECTOR
    return properties.get("DEVTYPE") == "partition" or not table or looks_like_table


def is_camera(properties: Mapping[str, str]) -> bool:
    """Whether libgphoto2's or libmtp's udev rules know this USB device as one that offers files."""
    return properties.get("DEVTYPE") == "usb_device" and bool(
        properties.get("ID_GPHOTO2") or properties.get("ID_MEDIA_PLAYER")
    )


def filesystem_of(properties: Mapping[str, str]) -> str:
    """How what is at a node can be read; empty where it cannot."""
    if is_camera(properties):
        return PTP
    return properties["ID_FS_TYPE"] if is_volume(properties) else ""


def bay_of(properties: Mapping[str, str], bays: BayMap) -> int | None:
    """The bay that a udev rule wrote (``BWC_BAY``), else the one whose pattern matches the port.

    A disk's port goes on behind the USB device's, which is so completed: one pattern serves both.
    """
    written = properties.get("BWC_BAY", "")
    if re.fullmatch(r"[1-9][0-9]{0,3}", written):
        return int(written)
    port = properties.get("ID_PATH", "")
    return bays.bay_of(f"{port}:1.0-{PTP}" if port and is_camera(properties) else port)


def identity_of(properties: Mapping[str, str]) -> DeviceIdentity:
    """What the recorder says of itself, as udev has it."""
    return DeviceIdentity(
        serial=properties.get("ID_SERIAL_SHORT", ""),
        vendor_id=properties.get("ID_VENDOR_ID", ""),
        product_id=properties.get("ID_MODEL_ID", ""),
        volume_uuid=properties.get("ID_FS_UUID", ""),
        volume_label=_decode(properties.get("ID_FS_LABEL_ENC", properties.get("ID_FS_LABEL", ""))),
        port=properties.get("ID_PATH", ""),
        interfaces=properties.get("ID_USB_INTERFACES", ""),
    ).recordable()


def _look(node: str) -> Sighting | None:
    """What udev and the kernel say of a node now, or None when there is none."""
    try:
        return _sighting(pyudev.Devices.from_device_file(pyudev.Context(), node), "change")
    except (pyudev.DeviceNotFoundError, OSError):
        return None


def _sighting(device: pyudev.Device, action: str) -> Sighting:
    properties = {name: device.properties[name] for name in device.properties}
    folder = Path(device.sys_path)
    partitions = len(list(folder.glob("*/partition")))
    return Sighting(
        device.device_node, action, properties, frozenset(device.tags), _number(folder / "size"), partitions
    )


def _medium_number(node: str) -> str:
    """/sys/…/diskseq of the disk that a node belongs to; empty where the kernel has none (before 5.15)."""
    folder = Path("/sys/class/block", Path(node).name).resolve()
    disk = folder.parent if (folder / "partition").exists() else folder
    return _text(disk / "diskseq")


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0


def _text(path: Path) -> str:
    """What a file of /sys says; empty when it is gone, as it is when the device is."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _decode(encoded: str) -> str:
    r"""Labels come with unsafe bytes as ``\xNN``; what is not UTF-8 after that becomes a replacement character."""
    raw = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes.fromhex(match[1].decode()), os.fsencode(encoded))
    return raw.decode("utf-8", "replace").strip()

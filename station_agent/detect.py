"""udev → ``RecorderDocked`` / ``RecorderUndocked``. The only module that imports pyudev.

What is decided rests on udev properties alone: tag, file system, port, serial. The same recorder is announced by
``add`` and again by ``change``, and may leave twice; each arrival and each departure is reported once.
"""

import errno
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyudev
import structlog

from station_agent.bays import BayMap
from station_agent.model import DeviceIdentity, RecorderDocked, RecorderUndocked
from station_agent.ports import Clock

TAG: Final = "bwc"
"""The udev rule of the station gives this tag to recorders that are on its allow-list."""
RECEIVE_BUFFER_BYTES: Final = 8 << 20
"""A full dock that is powered on at once must not overrun the netlink socket."""
POLL_S: Final = 0.2

_WITH_BOOT_SECTOR: Final = frozenset({"vfat", "exfat", "ntfs"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One udev event about one node, reduced to what decides."""

    node: str
    action: str
    properties: Mapping[str, str]
    tags: frozenset[str]


class Docks:
    """Which recorders are docked, told by sightings. Pure: the same sighting twice changes nothing."""

    def __init__(self, bays: BayMap, require_tag: bool) -> None:  # noqa: FBT001  # one configured yes or no
        self._bays = bays
        self._require_tag = require_tag
        self._docked: dict[str, tuple[DeviceIdentity, str]] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """Nodes reported as docked and not yet as undocked."""
        return frozenset(self._docked)

    def see(self, sighting: Sighting, at_ms: int) -> list[RecorderDocked | RecorderUndocked]:
        """What this sighting means: at most one departure, then at most one arrival."""
        arrival = None if sighting.action == "remove" else self._arrival(sighting, at_ms)
        known = self._docked.get(sighting.node)
        if arrival and known == (arrival.identity, arrival.filesystem):
            return []
        events: list[RecorderDocked | RecorderUndocked] = []
        if known:
            del self._docked[sighting.node]
            events.append(RecorderUndocked(sighting.node, at_ms))
        if arrival:
            self._docked[sighting.node] = (arrival.identity, arrival.filesystem)
            events.append(arrival)
        return events

    def _arrival(self, sighting: Sighting, at_ms: int) -> RecorderDocked | None:
        if self._require_tag and TAG not in sighting.tags:
            return None
        if not is_volume(sighting.properties):
            return None
        bay = bay_of(sighting.properties, self._bays)
        if bay is None:
            if TAG in sighting.tags:
                _log.warning("recorder-without-bay", node=sighting.node, port=sighting.properties.get("ID_PATH", ""))
            return None
        filesystem = sighting.properties["ID_FS_TYPE"]
        return RecorderDocked(sighting.node, bay, identity_of(sighting.properties), filesystem, at_ms)


class Detector:
    """Watches udev. Enumerates what is there already, then follows what comes and goes."""

    def __init__(self, bays: BayMap, clock: Clock, require_tag: bool) -> None:  # noqa: FBT001  # one configured yes or no
        self._clock = clock
        self._docks = Docks(bays, require_tag)
        self._context = pyudev.Context()

    def events(self, stop: threading.Event) -> Iterator[RecorderDocked | RecorderUndocked]:
        """Arrivals and departures until ``stop`` is set.

        The monitor listens before the enumeration begins, so nothing falls between the two. When the kernel dropped
        messages (ENOBUFS) everything is enumerated again. Raises ``OSError`` when netlink itself fails.
        """
        monitor = pyudev.Monitor.from_netlink(self._context)
        monitor.filter_by("block")
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
        present = [device for device in self._context.list_devices(subsystem="block") if device.device_node]
        for node in self._docks.nodes - {device.device_node for device in present}:
            yield from self._docks.see(Sighting(node, "remove", {}, frozenset()), self._now())
        for device in present:
            yield from self._see(device, "add")

    def _see(self, device: pyudev.Device, action: str) -> list[RecorderDocked | RecorderUndocked]:
        if not device.device_node:
            return []
        properties = {name: device.properties[name] for name in device.properties}
        return self._docks.see(Sighting(device.device_node, action, properties, frozenset(device.tags)), self._now())

    def _now(self) -> int:
        return self._clock.now().utc_ms


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


def bay_of(properties: Mapping[str, str], bays: BayMap) -> int | None:
    """The bay that a udev rule wrote (``BWC_BAY``), else the one whose pattern matches the port."""
    written = properties.get("BWC_BAY", "")
    if re.fullmatch(r"[1-9][0-9]{0,3}", written):
        return int(written)
    return bays.bay_of(properties.get("ID_PATH", ""))


def identity_of(properties: Mapping[str, str]) -> DeviceIdentity:
    """What the recorder says of itself, as udev has it."""
    return DeviceIdentity(
        serial=properties.get("ID_SERIAL_SHORT", ""),
        vendor_id=properties.get("ID_VENDOR_ID", ""),
        product_id=properties.get("ID_MODEL_ID", ""),
        volume_uuid=properties.get("ID_FS_UUID", ""),
        volume_label=_decode(properties.get("ID_FS_LABEL_ENC", properties.get("ID_FS_LABEL", ""))),
        port=properties.get("ID_PATH", ""),
    )


def _decode(encoded: str) -> str:
    r"""Labels come with unsafe bytes as ``\xNN``; what is not UTF-8 after that becomes a replacement character."""
    raw = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes.fromhex(match[1].decode()), os.fsencode(encoded))
    return raw.decode("utf-8", "replace").strip()

"""A docked recorder, opened the way it can be. The decision is recorded.

A volume is mounted by the kernel, else read without it; a recorder that offers no volume is read over PTP.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from station_agent import ondisk, ptp
from station_agent.errors import MountCause, MountError
from station_agent.model import MountedVolume, RecorderDocked
from station_agent.mount import mounted
from station_agent.unmounted import FILE_SYSTEMS, reason_to_read_unmounted, unmounted

_log = structlog.get_logger(__name__)


@contextmanager
def opened(event: RecorderDocked, mounts: Path, zone: ZoneInfo) -> Iterator[MountedVolume]:
    """The volume for as long as the context lasts, with its dirty mark. Raises ``MountError``."""
    with ExitStack() as stack:
        volume = _opened(event, mounts, zone, stack)
        yield replace(volume, dirty=_dirty(event))


def boot_says(event: RecorderDocked) -> str:
    """The file system that the boot sector itself names; empty where it names none that is read without the kernel.

    udev names none where libblkid distrusts the volume: a wrong checksum, or the mark of a second file system.
    """
    try:
        fd = os.open(event.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return ondisk.named(os.pread(fd, ondisk.BOOT_BYTES, 0))
    except OSError:
        return ""
    finally:
        os.close(fd)


def _opened(event: RecorderDocked, mounts: Path, zone: ZoneInfo, stack: ExitStack) -> MountedVolume:
    if event.filesystem == ptp.FILE_SYSTEM:
        return stack.enter_context(ptp.connected(event, zone))
    try:
        with ExitStack() as attempt:
            volume = attempt.enter_context(mounted(event, mounts, zone))
            _require_listable(volume)
            stack.enter_context(attempt.pop_all())
            return volume
    except MountError as refused:
        reason = reason_to_read_unmounted(event.filesystem, refused)
        if not reason:
            raise
        _log.warning("read-unmounted", node=event.node, reason=reason)
        return stack.enter_context(unmounted(event, zone, reason))


def _require_listable(volume: MountedVolume) -> None:
    """A driver may take a damaged volume and then not find its root."""
    if not isinstance(volume.root, Path):
        return
    try:
        list(volume.root.iterdir())
    except OSError as error:
        text = f"{volume.node} was mounted and cannot be listed: {error.strerror}"
        raise MountError(text, MountCause.DAMAGED) from error


def _dirty(event: RecorderDocked) -> ondisk.Answer:
    """Asked of the device itself, whoever reads the files."""
    if event.filesystem not in FILE_SYSTEMS:
        return "unknown"
    try:
        fd = os.open(event.node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "unknown"
    try:
        return ondisk.dirty(lambda offset, size: os.pread(fd, size, offset), event.filesystem)
    finally:
        os.close(fd)

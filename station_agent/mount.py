"""A recorder's volume, read-only and proved so. Only ``writable`` lets anything be written: for the erase process.

Order: block device read-only (BLKROSET) → mount(2) with ro,nosuid,nodev,noexec and, on journalling file systems,
without replay of the journal (plain ``ro`` still replays an ext4 journal) → the same flags once more on the mount
point itself, since a FUSE driver may drop one without a word → read the effective flags back from
/proc/self/mountinfo → without ``ro`` unmount and refuse.

mount(2) is called directly: no ``/sbin/mount.*`` helper can push itself in front of the kernel's driver. FUSE is used
only where the kernel answers that it has none.
"""

import errno
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from station_agent import durable, linux
from station_agent.errors import MountCause, MountError
from station_agent.model import MountedVolume, RecorderDocked

MOUNT_TIMEOUT_S: Final = 60
"""A FUSE driver that has not answered by then is taken for hung; a card of 1 TB mounts in a few seconds."""

_FLAGS: Final = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
_FLAG_NAMES: Final = "ro,nosuid,nodev,noexec"

# The kernel's name of a driver where blkid says another, and the options that keep it from writing or from refusing.
_KERNEL_NAMES: Final = {"ntfs": "ntfs3"}
_KERNEL_OPTIONS: Final = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery,nouuid",
    "btrfs": "rescue=nologreplay",
    "vfat": "utf8=1",
    "exfat": "iocharset=utf8",
}
_LOCAL_TIME: Final = frozenset({"vfat", "exfat"})
_FUSE_PROGRAMS: Final = {
    "exfat": ("mount.exfat-fuse", "-o", _FLAG_NAMES),
    "ntfs": ("ntfs-3g", "-o", f"{_FLAG_NAMES},norecover"),
}

_WRITABLE_OPTIONS: Final = {"ext4": "errors=remount-ro", "vfat": "utf8=1", "exfat": "iocharset=utf8"}
"""The file systems that recorders have and whose drivers are trusted to write."""
_WRITABLE_FUSE: Final = {"exfat": ("mount.exfat-fuse", "-o", "rw,nosuid,nodev,noexec")}

_OF_THE_VOLUME: Final = frozenset({errno.EINVAL, errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENOEXEC})
"""What a driver answers to a volume that it will not take: mount(2), and the kernel's fs/fat, fs/exfat, fs/ntfs3."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MountInfo:
    """One line of /proc/self/mountinfo: ``flags`` of the mount point, ``filesystem`` as the kernel calls it."""

    mount_point: Path
    flags: tuple[str, ...]
    filesystem: str


@contextmanager
def mounted(event: RecorderDocked, mounts: Path, zone: ZoneInfo) -> Iterator[MountedVolume]:
    """The docked volume, mounted read-only below ``mounts`` for as long as the context lasts.

    FAT and exFAT write local times without a zone; they are read as times of ``zone``, the recorders' zone.

    Each docking has a mount point of its own: one that ends late has nothing in common with the next at this node. It
    is unmounted lazily at the end, also after the recorder was pulled. Raises ``MountError`` when the volume cannot be
    mounted or is not provably read-only; then nothing of it was read.
    """
    target = _new_mount_point(event, mounts)
    try:
        device_read_only = protect(event.node)
        driver = _mount(event, target, zone)
        flags = _prove_read_only(target)
        yield MountedVolume(target, event.node, event.filesystem, driver, flags, device_read_only)
    finally:
        _free(target)


@contextmanager
def mount_point(event: RecorderDocked, mounts: Path) -> Iterator[Path]:
    """A folder for another process's mount; whatever that leaves is unmounted, and the device is read-only again."""
    target = _new_mount_point(event, mounts)
    try:
        yield target
    finally:
        _free(target)
        try:
            protect(event.node)
        except MountError as error:
            _log.warning("device-not-protected", node=event.node, reason=str(error))  # pulled, as a rule


@contextmanager
def writable(event: RecorderDocked, target: Path, zone: ZoneInfo) -> Iterator[Path]:
    """The volume, mounted at ``target`` so that files can be unlinked. For the erase process alone.

    When this ends without an error, everything is on the medium and the volume is unmounted. Raises ``MountError``.
    """
    if event.filesystem not in _WRITABLE_OPTIONS:
        raise MountError(f"{event.node}: a volume with {event.filesystem} is never written to; format it by hand")
    try:
        linux.set_device_read_only(event.node, read_only=False)
        _mount(event, target, zone, to_write=True)
    except OSError as error:
        raise MountError(f"{event.node} could not be made writable: {error.strerror}") from error
    try:
        yield target
        linux.sync_file_system(target)
    finally:
        linux.unmount(target)


def clear_stale(mounts: Path) -> list[Path]:
    """Unmount what a killed agent left below ``mounts`` and remove the empty folders; says which mounts were there."""
    stale = [line.mount_point for line in _mount_table() if line.mount_point.is_relative_to(mounts.absolute())]
    for mount_point in sorted(stale, reverse=True):
        linux.unmount_lazily(mount_point)
    if mounts.is_dir():
        for folder in mounts.iterdir():
            _remove_if_empty(folder)
    return stale


def parse_mountinfo(text: str) -> list[MountInfo]:
    """The mounts of a /proc/self/mountinfo, in order; the last one of a mount point is the one that is seen."""
    return [_parse_line(line) for line in text.splitlines()]


def _parse_line(line: str) -> MountInfo:
    # 36 35 98:0 /root /mount/point ro,nosuid shared:1 - ext4 /dev/x rw     (proc(5), «/proc/pid/mountinfo»)
    fields = line.split(" ")
    after_dash = fields.index("-", 6) + 1
    return MountInfo(Path(_unescape(fields[4])), tuple(fields[5].split(",")), fields[after_dash])


def _unescape(field: str) -> str:
    """Space, tab, newline and backslash stand as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _mount_table() -> list[MountInfo]:
    return parse_mountinfo(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))


def _seen_at(target: Path) -> MountInfo | None:
    wanted = target.absolute()
    return next((line for line in reversed(_mount_table()) if line.mount_point == wanted), None)


def protect(node: str) -> bool:
    """Set a block device read-only for everybody, and believe only what it says of itself. Raises ``MountError``."""
    try:
        read_only = linux.set_device_read_only(node)
    except OSError as error:
        raise MountError(f"{node} could not be set read-only ({error.strerror}); nothing was read from it") from error
    if not read_only:
        raise MountError(f"{node} stays writable although it was set read-only; nothing was read from it")
    return read_only


def kernel_options(filesystem: str, zone: ZoneInfo, at_ms: int, *, to_write: bool = False) -> str:
    """Options of mount(2) for a file system. ``time_offset`` is local time minus UTC in minutes (vfat and exfat)."""
    options = (_WRITABLE_OPTIONS if to_write else _KERNEL_OPTIONS).get(filesystem, "")
    if filesystem not in _LOCAL_TIME:
        return options
    offset = datetime.fromtimestamp(at_ms / 1000, zone).utcoffset() or timedelta()
    return f"{options},time_offset={int(offset.total_seconds()) // 60}"


def _mount(event: RecorderDocked, target: Path, zone: ZoneInfo, *, to_write: bool = False) -> str:
    """The driver that took the volume: the kernel's, else a FUSE program."""
    node, filesystem = event.node, event.filesystem
    name = _KERNEL_NAMES.get(filesystem, filesystem)
    flags = _FLAGS & ~linux.MS_RDONLY if to_write else _FLAGS
    programs = _WRITABLE_FUSE if to_write else _FUSE_PROGRAMS
    try:
        linux.mount(node, target, name, flags, kernel_options(filesystem, zone, event.at_ms, to_write=to_write))
    except OSError as error:
        if error.errno == errno.ENODEV and filesystem in programs:
            return _mount_by_fuse(node, filesystem, target, zone, programs[filesystem])
        raise MountError(f"{node} ({filesystem}) could not be mounted: {error.strerror}", _cause(error)) from error
    return f"kernel:{name}"


def _cause(error: OSError) -> MountCause:
    """Whether it was about the volume; EBUSY, EPERM, ENXIO and the like are not."""
    if error.errno == errno.ENODEV:
        return MountCause.NO_DRIVER
    return MountCause.REFUSED if error.errno in _OF_THE_VOLUME else MountCause.OTHER


def _mount_by_fuse(node: str, filesystem: str, target: Path, zone: ZoneInfo, program: tuple[str, ...]) -> str:
    argv = [*program, node, os.fspath(target)]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            check=False,
            timeout=MOUNT_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TZ": zone.key},
        )
    except FileNotFoundError as error:
        text = f"{node} ({filesystem}): the kernel has no driver and {argv[0]} is not installed"
        raise MountError(text, MountCause.NO_DRIVER) from error
    except subprocess.TimeoutExpired as error:
        raise MountError(f"{node} ({filesystem}): {argv[0]} did not answer within {MOUNT_TIMEOUT_S} s") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        text = f"{node} ({filesystem}): {argv[0]} ended with {done.returncode}: {said[-1] if said else ''}"
        raise MountError(text, MountCause.REFUSED)
    return f"fuse:{argv[0]}"


def _prove_read_only(target: Path) -> tuple[str, ...]:
    """The effective flags. A driver may drop what it was asked for, so they are set once more and read back."""
    before = _seen_at(target)
    if before is None:
        raise MountError(f"{target} is not in /proc/self/mountinfo although the mount was reported as done")
    require_read_only(before)
    try:
        linux.mount("none", target, "none", linux.MS_REMOUNT | linux.MS_BIND | _FLAGS)
    except OSError as error:
        raise MountError(f"{target}: the flags {_FLAG_NAMES} were refused: {error.strerror}") from error
    after = _seen_at(target) or before
    require_read_only(after)
    return after.flags


def require_read_only(seen: MountInfo) -> None:
    """Refuse a mount that can be written to. Raises ``MountError``."""
    if "ro" not in seen.flags:
        raise MountError(f"{seen.mount_point} is mounted {','.join(seen.flags)}, not ro; nothing was read from it")


def _new_mount_point(event: RecorderDocked, mounts: Path) -> Path:
    try:
        durable.make_dirs(mounts)
        return Path(tempfile.mkdtemp(prefix=f"bay{event.bay}-{Path(event.node).name}-", dir=mounts))
    except OSError as error:
        raise MountError(f"{mounts}: no mount point can be made there: {error.strerror}") from error


def _free(target: Path) -> None:
    """Leave nothing behind. What cannot be freed is said, and left to ``clear_stale``."""
    try:
        while _seen_at(target) is not None:
            linux.unmount_lazily(target)
        _remove_if_empty(target)
    except OSError as error:
        _log.warning("mount-point-left", path=str(target), reason=error.strerror)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        # A folder with content is not ours to judge; one that is gone already is what was wanted.
        if error.errno not in {errno.ENOTEMPTY, errno.ENOENT, errno.ENOTDIR, errno.EBUSY, errno.EEXIST}:
            raise

"""Recorders that the kernel will not mount, on a real kernel device: read, proved, never written to."""

import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from station_agent.clock import SystemClock
from station_agent.errors import CopyError, MountError
from station_agent.model import MountedVolume, RecorderDocked
from station_agent.offload import Offloader
from station_agent.recorders import list_files
from station_agent.unmounted import unmounted
from station_agent.volume import boot_says, opened
from tests.integration.test_dock_offload import offload, truth
from tests.rig.medium import PARTITION_START_SECTORS, SECTOR_BYTES, Medium, is_named, make_medium

SHANGHAI = ZoneInfo("Asia/Shanghai")
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]
CLIP = b"\xe7\x8e\xb0\xe5\x9c\xba 1.mp4"
CLIP_BYTES = 3 << 20
START = PARTITION_START_SECTORS * SECTOR_BYTES


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("content")
    (folder / os.fsdecode(CLIP)).write_bytes(os.urandom(CLIP_BYTES))
    (folder / "$RECORD.MP4").write_bytes(os.urandom(70_001))
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def exfat(tmp_path_factory, content) -> Medium:
    return make_medium(tmp_path_factory.mktemp("exfat") / "card.img", "exfat", content)


@pytest.fixture
def damaged(tmp_path, exfat) -> Medium:
    """The checksum of the boot region is wrong: every driver refuses, the files are where they were."""
    image = tmp_path / "card.img"
    shutil.copy(exfat.image, image)
    patch(image, START + 11 * SECTOR_BYTES, b"\x00\x01\x02\x03")
    return Medium(image, "exfat", exfat.truth)


def patch(image: Path, at: int, data: bytes) -> None:
    with image.open("r+b") as file:
        file.seek(at)
        file.write(data)


def announced(dock, watch, medium: Medium, time_number: int = 1) -> RecorderDocked:
    """As the detector tells of it, and where udev names no file system, as the pipeline takes it then."""
    node = dock.partition(1)
    if is_named(medium.image):
        return watch.docked(node, time_number)
    bare = watch.bare(node, time_number)
    return replace(bare, filesystem=boot_says(bare), unnamed=True)


def read_as_docked(dock, watch, medium: Medium, tmp_path: Path) -> MountedVolume:
    """Docked writable, or the proof would have no teeth; read to the end; equal, and not one write arrived."""
    before = medium.digest()
    dock.plug(1, medium.image, "X81000123", read_only=False)
    event = announced(dock, watch, medium)
    with opened(event, tmp_path / "mounts", SHANGHAI) as volume:
        assert offload(volume, tmp_path / "spool") == truth(medium)
        wrote = subprocess.run(
            ["dd", "if=/dev/zero", f"of={dock.partition(1)}", "count=1"], capture_output=True, check=False
        )
        assert wrote.returncode, "the device takes writes while it is read"
    assert dock.writes(1) == 0
    dock.unplug(1)
    assert medium.digest() == before
    return volume


def test_a_volume_that_every_driver_refuses_is_read_and_the_record_can_say_why(dock, watch, damaged, tmp_path):
    volume = read_as_docked(dock, watch, damaged, tmp_path)
    assert (volume.driver, volume.filesystem, volume.flags, volume.dirty) == ("tsk", "exfat", (), "no")
    assert volume.device_read_only
    assert volume.refusal.startswith("refused: /dev/loop")


def test_a_dirty_volume_that_mounts_is_mounted_and_said_to_be_dirty(dock, watch, exfat, tmp_path):
    image = tmp_path / "card.img"
    shutil.copy(exfat.image, image)
    patch(image, START + 106, b"\x02")
    volume = read_as_docked(dock, watch, Medium(image, "exfat", exfat.truth), tmp_path)
    assert (volume.driver.partition(":")[0] in ("kernel", "fuse"), volume.dirty, volume.refusal) == (True, "yes", "")


@pytest.mark.parametrize("filesystem", ["fat32", "ntfs"])
def test_a_volume_without_a_driver_is_read(dock, watch, content, tmp_path, filesystem):
    if filesystem == "ntfs" and shutil.which("mkntfs") is None:
        pytest.skip("mkntfs (Debian: ntfs-3g) is not installed")
    medium = make_medium(tmp_path / "card.img", filesystem, content)
    before = medium.digest()
    dock.plug(1, medium.image, "X81000123", read_only=False)
    with unmounted(watch.docked(dock.partition(1)), SHANGHAI, "no-driver: asked for") as volume:
        assert offload(volume, tmp_path / "spool") == truth(medium)
    assert dock.writes(1) == 0
    dock.unplug(1)
    assert medium.digest() == before


def with_volume_guid(image: Path) -> None:
    """A «Volume GUID Directory Entry» (exFAT §7.5), as newer mkfs.exfat writes one, in the root's first free slot."""
    raw = image.read_bytes()
    heap, _, root = struct.unpack_from("<III", raw, START + 88)
    sector_shift, cluster_shift = raw[START + 108], raw[START + 109]
    folder = START + (heap << sector_shift) + ((root - 2) << (sector_shift + cluster_shift))
    slots = range(folder, folder + (1 << (sector_shift + cluster_shift)), 32)
    if all(raw[at] != 0xA0 for at in slots):
        patch(image, next(at for at in slots if raw[at] == 0), b"\xa0" + bytes(5) + os.urandom(16) + bytes(10))


def test_the_guid_of_a_volume_is_no_file_and_hides_none_that_was_not_understood(dock, watch, damaged, tmp_path):
    with_volume_guid(damaged.image)
    read_as_docked(dock, watch, damaged, tmp_path)
    stream = _stream_extension(damaged.image.read_bytes())
    patch(damaged.image, stream + 8, struct.pack("<QIIQ", 1 << 50, 0, 0, 1 << 50))
    dock.plug(1, damaged.image, "X81000124")
    with opened(announced(dock, watch, damaged, 2), tmp_path / "mounts", SHANGHAI) as volume:
        refused = {file.path: file.refused for file in list_files(volume) if file.refused}
    dock.unplug(1)
    assert refused == {b"": "unreadable-folder"}


def test_bytes_that_were_never_written_are_zeros_as_a_mount_has_them(dock, watch, damaged, tmp_path):
    """A recorder reserves clusters and dies: what earlier clips left there is no part of the new one."""
    valid = 5000
    raw = damaged.image.read_bytes()
    stream = _stream_extension(raw)
    patch(damaged.image, stream + 8, struct.pack("<Q", valid))
    dock.plug(1, damaged.image, "X81000123")
    with opened(announced(dock, watch, damaged), tmp_path / "mounts", SHANGHAI) as volume:
        offload(volume, tmp_path / "spool")
        names = [file.path for file in list_files(volume)]
        copied = (tmp_path / "spool" / str(names.index(CLIP))).read_bytes()
    dock.unplug(1)
    start = raw.index(copied[:valid])
    assert copied == raw[start : start + valid] + bytes(CLIP_BYTES - valid)


def _stream_extension(raw: bytes) -> int:
    """Where the clip's is: exFAT §7.6, known by its DataLength."""
    slots = range(START + 32, len(raw), 32)
    found = [at for at in slots if (raw[at - 32], raw[at]) == (0x85, 0xC0)]
    return next(at for at in found if struct.unpack_from("<Q", raw, at + 24) == (CLIP_BYTES,))


def test_a_file_that_claims_more_than_the_volume_has_is_refused(dock, watch, damaged, tmp_path):
    raw = damaged.image.read_bytes()
    stream = _stream_extension(raw)
    patch(damaged.image, stream + 8, struct.pack("<Q", 1 << 50))
    patch(damaged.image, stream + 24, struct.pack("<Q", 1 << 50))
    dock.plug(1, damaged.image, "X81000123")
    with opened(announced(dock, watch, damaged), tmp_path / "mounts", SHANGHAI) as volume:
        refused = {file.path: file.refused for file in list_files(volume) if file.refused}
    dock.unplug(1)
    assert refused == {b"": "unreadable-folder"}


def test_a_bad_sector_costs_its_file_alone_and_is_named(dock, watch, damaged, tmp_path, content):
    inside = 1 << 20
    start = damaged.image.read_bytes().index((content / os.fsdecode(CLIP)).read_bytes()[:4096])
    bad = start + inside
    dock.plug(1, damaged.image, "X81000123", bad_sectors=(bad // SECTOR_BYTES,))
    offloader = Offloader(SystemClock())
    read, failed = [], {}
    with opened(announced(dock, watch, damaged), tmp_path / "mounts", SHANGHAI) as volume:
        for file in list_files(volume):
            try:
                offloader.copy(volume.root, file.path, tmp_path / "copy.part", lambda _done, _phase: None)
                read.append(file.path)
            except CopyError as error:
                failed[file.path] = (error.reason, error.unread)
    dock.unplug(1)
    assert sorted(read) == sorted(path for path in damaged.truth if path != CLIP)
    [(reason, unread)] = failed.values()
    assert (reason, list(failed)) == ("read-error", [CLIP])
    assert unread is not None
    assert unread[0] <= inside < unread[0] + unread[1]
    assert inside - unread[0] <= 4096


def test_a_recorder_that_is_gone_is_an_error_and_not_an_empty_volume(dock, watch, damaged, tmp_path):
    dock.plug(1, damaged.image, "X81000123")
    event = announced(dock, watch, damaged)
    dock.corrupt(1)
    Path("/proc/sys/vm/drop_caches").write_text("1")
    with pytest.raises(MountError), opened(event, tmp_path / "mounts", SHANGHAI):
        pytest.fail("nothing can be read")
    dock.unplug(1)

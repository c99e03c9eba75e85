import errno
import os
import subprocess
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from station_agent import linux
from station_agent.errors import MountCause, MountError
from station_agent.model import DeviceIdentity, MountedVolume, RecorderDocked
from station_agent.mount import (
    MountInfo,
    _cause,
    _free,
    clear_stale,
    kernel_options,
    mounted,
    parse_mountinfo,
    require_read_only,
)
from station_agent.volume import _require_listable

SHANGHAI = ZoneInfo("Asia/Shanghai")
LINES = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
97 22 0:31 / /mnt/bay1 ro,nosuid,nodev,relatime shared:5 master:2 - fuseblk /dev/loop201p1 ro,user_id=0
98 22 0:32 / /mnt/with\040space\134and\012line ro - exfat /dev/sda1 ro
"""


def docked(node: str, filesystem: str = "exfat") -> RecorderDocked:
    return RecorderDocked(node, 1, DeviceIdentity("S"), filesystem, 0)


def test_mountinfo_is_read_with_and_without_optional_fields():
    assert parse_mountinfo(LINES) == [
        MountInfo(Path("/"), ("rw", "relatime"), "ext4"),
        MountInfo(Path("/mnt/bay1"), ("ro", "nosuid", "nodev", "relatime"), "fuseblk"),
        MountInfo(Path("/mnt/with space\\and\nline"), ("ro",), "exfat"),
    ]


def test_the_table_of_this_machine_can_be_read():
    table = parse_mountinfo(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    assert Path("/proc") in {line.mount_point for line in table}


@pytest.mark.parametrize("flags", [("rw", "nosuid"), (), ("nosuid", "nodev", "noexec"), ("rootcontext=ro",)])
def test_what_is_not_ro_is_refused(flags):
    with pytest.raises(MountError, match="not ro; nothing was read"):
        require_read_only(MountInfo(Path("/mnt/bay1"), flags, "fuseblk"))


def test_ro_is_accepted():
    require_read_only(MountInfo(Path("/mnt/bay1"), ("ro",), "fuseblk"))


def test_a_node_that_is_not_there_is_one_clear_error_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(MountError, match="/dev/no-such-node could not be set read-only"),
        mounted(docked("/dev/no-such-node"), tmp_path, SHANGHAI),
    ):
        pytest.fail("nothing was mounted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENODEV, MountCause.NO_DRIVER),
        (errno.EINVAL, MountCause.REFUSED),
        (errno.EIO, MountCause.REFUSED),
        (errno.EBUSY, MountCause.OTHER),
        (errno.EPERM, MountCause.OTHER),
        (errno.ENXIO, MountCause.OTHER),
    ],
)
def test_only_what_a_driver_says_of_the_volume_is_about_the_volume(number, cause):
    assert _cause(OSError(number, "")) is cause


def test_a_volume_whose_root_cannot_be_found_counts_as_damaged(tmp_path):
    volume = MountedVolume(tmp_path / "root", "/dev/x", "exfat", "fuse", ("ro",), device_read_only=True)
    with pytest.raises(MountError, match="cannot be listed") as caught:
        _require_listable(volume)
    assert caught.value.cause is MountCause.DAMAGED
    (tmp_path / "root").mkdir()
    _require_listable(volume)


def test_a_node_that_is_no_block_device_is_not_mounted(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(MountError, match="could not be set read-only"),
        mounted(docked(str(tmp_path / "file")), tmp_path / "mounts", SHANGHAI),
    ):
        pytest.fail("nothing was mounted")


def test_stale_mounts_are_cleared_and_folders_with_content_stay(tmp_path, need_root):
    mounts = tmp_path / "mounts"
    (mounts / "bay1-sda1").mkdir(parents=True)
    (mounts / "empty").mkdir()
    (mounts / "kept").mkdir()
    (mounts / "kept" / "file").touch()
    elsewhere = tmp_path / "mounts-of-another"
    elsewhere.mkdir()
    for folder in (mounts / "bay1-sda1", mounts / "bay1-sda1", elsewhere):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    try:
        with open(mounts / "bay1-sda1" / "held-open", "wb"):  # noqa: PTH123  # held while it is unmounted
            assert clear_stale(mounts) == [mounts / "bay1-sda1"] * 2
        assert sorted(path.name for path in mounts.iterdir()) == ["kept"]
        assert os.path.ismount(elsewhere)
    finally:
        subprocess.run(["umount", elsewhere], check=True)


def test_nothing_to_clear_is_fine(tmp_path):
    assert clear_stale(tmp_path / "not-there") == []


def test_local_times_of_fat_are_read_in_the_recorders_zone():
    at_ms = 1795373277980
    assert kernel_options("vfat", SHANGHAI, at_ms) == "utf8=1,time_offset=480"
    assert kernel_options("exfat", SHANGHAI, at_ms).endswith(",time_offset=480")
    assert kernel_options("exfat", ZoneInfo("UTC"), at_ms).endswith(",time_offset=0")
    assert kernel_options("ext4", SHANGHAI, at_ms) == "noload"


def test_without_a_place_for_mount_points_there_is_one_clear_error(tmp_path):
    (tmp_path / "mounts").touch()
    with (
        pytest.raises(MountError, match="no mount point can be made there"),
        mounted(docked("/dev/no-such-node"), tmp_path / "mounts", SHANGHAI),
    ):
        pytest.fail("nothing was mounted")


def test_a_mount_point_that_cannot_be_freed_is_left_and_does_not_end_the_station(tmp_path, need_root, monkeypatch):
    def stuck(_: Path) -> None:
        raise OSError(16, "Device or resource busy")

    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(linux, "unmount_lazily", stuck)
            _free(tmp_path)
        assert os.path.ismount(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)

"""Volumes that no kernel mounts, as image files: what is listed, what is read, and what a damaged one may do."""

import hashlib
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytsk3

from station_agent import ondisk
from station_agent.clock import SystemClock
from station_agent.errors import CopyError, MountCause, MountError
from station_agent.model import DeviceIdentity, MountedVolume, RecorderDocked
from station_agent.offload import Offloader
from station_agent.recorders import list_files
from station_agent.tsk import HOLE, Lister
from station_agent.unmounted import Unmounted, _listed, reason_to_read_unmounted
from tests.conftest import missing
from tests.rig.medium import Medium, make_medium

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLIP = "DCIM/100MEDIA/MOV_0001.MP4"
CLIP_BYTES = 300_000
SECTOR = 512
DELETED, LAST = 0xE5, 0x0FFFFFFF


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("content")
    for path, data in {
        CLIP: os.urandom(CLIP_BYTES),
        "现场 1.mp4": os.urandom(70_001),
        "$RECORD.MP4": b"its name begins like a metafile's",
        "$ALLOC_BITMAP": b"on FAT this is nobody's metafile",
        "empty.mp4": b"",
        "deleted.mp4": b"deleted",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        os.utime(folder / path, (1_795_000_000, 1_795_000_000))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, content) -> Medium:
    try:
        medium = make_medium(tmp_path_factory.mktemp("made") / "card.img", "fat32", content, partitioned=False)
        subprocess.run(["mdel", "-i", medium.image, "::deleted.mp4"], check=True)
    except FileNotFoundError as error:
        missing(str(error))
    truth = {path: fact for path, fact in medium.truth.items() if path != b"deleted.mp4"}
    return Medium(medium.image, "vfat", truth)


@pytest.fixture
def card(tmp_path, made) -> Medium:
    shutil.copy(made.image, tmp_path / "card.img")
    return Medium(tmp_path / "card.img", "vfat", made.truth)


class Fat:
    """A FAT32 image that is to be damaged, by the fields of fatgen103."""

    def __init__(self, image: Path) -> None:
        self.image = image
        boot = image.read_bytes()[:SECTOR]
        reserved, self.fats, per_fat = boot[14] | boot[15] << 8, boot[16], struct.unpack_from("<I", boot, 36)[0]
        self.starts = [(reserved + number * per_fat) * SECTOR for number in range(self.fats)]
        self.data, self.cluster = (reserved + self.fats * per_fat) * SECTOR, boot[13] * SECTOR

    def write(self, at: int, data: bytes) -> None:
        with self.image.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def chain(self, cluster: int, following: int) -> None:
        for start in self.starts:
            self.write(start + 4 * cluster, struct.pack("<I", following))

    def entry(self, short: bytes) -> int:
        """Where the directory entry with this 8.3 name stands."""
        return self.image.read_bytes().index(short, self.data)

    def first_cluster(self, entry: int) -> int:
        raw = self.image.read_bytes()[entry : entry + 32]
        return struct.unpack_from("<H", raw, 26)[0] | struct.unpack_from("<H", raw, 20)[0] << 16

    def point_to(self, entry: int, cluster: int) -> None:
        self.write(entry + 26, struct.pack("<H", cluster & 0xFFFF))
        self.write(entry + 20, struct.pack("<H", cluster >> 16))


@contextmanager
def listed(medium: Medium) -> Iterator[Unmounted]:
    fd = os.open(medium.image, os.O_RDONLY)
    event = RecorderDocked(str(medium.image), 1, DeviceIdentity("S", volume_label="CAM1"), medium.filesystem, 0)
    try:
        yield _listed(fd, event, SHANGHAI)
    finally:
        os.close(fd)


def digests(tree: Unmounted, spool: Path) -> dict[bytes, str]:
    """Through the offload that every clip takes."""
    volume = MountedVolume(tree, "", "vfat", "tsk", (), device_read_only=True)
    offloader, found = Offloader(SystemClock()), {}
    for file in list_files(volume):
        result = offloader.copy(tree, file.path, spool / "copy.part", lambda _done, _phase: None)
        assert (result.reread, result.size) == ("uncached", file.size)
        assert hashlib.sha256((spool / "copy.part").read_bytes()).hexdigest() == result.sha256
        assert offloader.digest(tree, file.path, lambda _done, _phase: None) == result.sha256
        found[file.path] = result.sha256
    return found


def refusals(medium: Medium) -> dict[bytes, str]:
    with listed(medium) as tree:
        return {file.path: file.refused for file in tree.files() if file.refused}


def test_the_files_of_the_volume_and_nothing_else_are_read_equal(card, tmp_path):
    before = card.digest()
    with listed(card) as tree:
        assert digests(tree, tmp_path) == {path: fact.sha256 for path, fact in card.truth.items()}
        [clip] = [file for file in tree.files() if file.path == CLIP.encode()]
    offset_s = SHANGHAI.utcoffset(None) or 8 * 3600
    assert abs(clip.mtime_ms // 1000 + offset_s - 1_795_000_000) <= 2 + abs(_machine_offset_s())
    assert card.digest() == before


def _machine_offset_s() -> int:
    """mcopy writes this machine's local time."""
    import time  # noqa: PLC0415  # for this line alone

    return time.localtime(1_795_000_000).tm_gmtoff


def test_what_was_not_listed_is_never_opened(card, tmp_path):
    with listed(card) as tree, pytest.raises(CopyError, match="not-a-file"):
        Offloader(SystemClock()).copy(tree, b"../../etc/passwd", tmp_path / "copy.part", lambda _d, _p: None)


def test_a_chain_that_ends_early_is_a_read_error_that_says_where(card, tmp_path):
    fat = Fat(card.image)
    first = fat.first_cluster(fat.entry(b"MOV_0001MP4"))
    fat.chain(first + 99, LAST)
    with listed(card) as tree, pytest.raises(CopyError) as caught:
        Offloader(SystemClock()).copy(tree, CLIP.encode(), tmp_path / "copy.part", lambda _done, _phase: None)
    assert (caught.value.reason, caught.value.unread and caught.value.unread[0]) == ("read-error", 100 * fat.cluster)


def test_a_file_whose_chain_is_no_chain_is_no_file_of_zeros(card, tmp_path):
    fat = Fat(card.image)
    fat.chain(fat.first_cluster(fat.entry(b"MOV_0001MP4")), 0x0FFFFFF7)  # «bad cluster» in the middle of a file
    with listed(card) as tree, pytest.raises(CopyError, match="read-error"):
        Offloader(SystemClock()).copy(tree, CLIP.encode(), tmp_path / "copy.part", lambda _done, _phase: None)


def test_clusters_that_tsk_does_not_know_are_never_made_up_as_zeros():
    runs = [
        SimpleNamespace(addr=10, len=2, flags=0),
        SimpleNamespace(addr=0, len=1, flags=pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE),
        SimpleNamespace(addr=0, len=4, flags=pytsk3.TSK_FS_ATTR_RUN_FLAG_FILLER),
    ]
    lister = object.__new__(Lister)
    lister.filesystem, lister.fs = "ntfs", SimpleNamespace(info=SimpleNamespace(block_size=4096))
    data = Attribute(runs, SimpleNamespace(type=pytsk3.TSK_FS_ATTR_TYPE_NTFS_DATA, name=None))
    entry = Attribute([data], SimpleNamespace(meta=SimpleNamespace(size=20_000)))
    assert lister._places(entry) == [[40_960, 8192], [HOLE, 4096]]


class Attribute(list[Any]):
    """What pytsk3 lets be iterated, with its ``info``."""

    def __init__(self, content: list[Any], info: SimpleNamespace) -> None:
        super().__init__(content)
        self.info = info


def test_a_folder_that_contains_itself_ends(card):
    fat = Fat(card.image)
    fat.point_to(fat.entry(b"100MEDIA   "), fat.first_cluster(fat.entry(b"DCIM       ")))
    assert refusals(card) == {b"DCIM/100MEDIA": "directory-loop"}


def test_a_folder_whose_clusters_are_lost_is_named(card):
    fat = Fat(card.image)
    fat.chain(fat.first_cluster(fat.entry(b"100MEDIA   ")), 0x0FFFFFF7)
    assert refusals(card) == {b"DCIM/100MEDIA": "unreadable-folder"}


def test_a_file_larger_than_its_volume_is_no_absence(card):
    """TSK says nothing of such an entry; that its folder names more than was listed is said."""
    fat = Fat(card.image)
    fat.write(fat.entry(b"MOV_0001MP4") + 28, struct.pack("<I", 0xFFFFFFF0))
    assert refusals(card) == {b"DCIM/100MEDIA": "unreadable-folder"}


def test_two_entries_of_one_name_are_not_told_apart(card):
    fat = Fat(card.image)
    entry = fat.entry(b"EMPTY   MP4")
    raw = card.image.read_bytes()
    short = raw[entry : entry + 32]
    free = raw.index(bytes(64), entry)
    fat.write(-(-(free - fat.data) // 32) * 32 + fat.data, short + short)
    assert refusals(card) == {b"empty.mp4": "ambiguous-name"}


def test_a_volume_that_is_none_is_one_clear_error(tmp_path):
    (tmp_path / "card.img").write_bytes(bytes(1 << 20))
    with (
        pytest.raises(MountError, match=r"neither mounted nor read by The Sleuth Kit: .*"),
        listed(Medium(tmp_path / "card.img", "vfat", {})),
    ):
        pytest.fail("nothing is there")


@pytest.mark.parametrize("seed", range(2))
def test_a_volume_of_noise_neither_hangs_nor_ends_the_station(card, tmp_path, seed):
    fat, noise = Fat(card.image), random.Random(seed)
    for _ in range(300):
        at = noise.choice([noise.randrange(fat.data), fat.data + noise.randrange(64 * SECTOR)])
        fat.write(at, noise.randbytes(1))
    try:
        with listed(card) as tree:
            assert all(len(file.path) < 64_000 for file in tree.files())
    except MountError as error:
        assert "Sleuth Kit" in str(error)  # noqa: PT017  # either answer is one


@pytest.mark.parametrize(
    ("filesystem", "cause", "read"),
    [
        ("vfat", MountCause.NO_DRIVER, True),
        ("exfat", MountCause.REFUSED, True),
        ("ntfs", MountCause.DAMAGED, True),
        ("ext4", MountCause.REFUSED, False),
        ("vfat", MountCause.OTHER, False),
    ],
)
def test_only_what_the_volume_itself_stood_in_the_way_of_is_read_unmounted(filesystem, cause, read):
    reason = reason_to_read_unmounted(filesystem, MountError("/dev/x could not be mounted", cause))
    assert reason == (f"{cause}: /dev/x could not be mounted" if read else "")


def test_what_a_folder_names_is_counted_where_an_entry_is_half_gone_too():
    file, stream, deleted = (bytes([kind]).ljust(32, b"\0") for kind in (0x85, 0xC0, 0x05))
    assert ondisk.entries_of_folder(file + stream + deleted + bytes(32) + file + stream, "exfat") == 2
    assert ondisk.entries_of_folder(deleted + stream, "exfat") == 1
    short, long_name, label = (b"NAME    MP4" + bytes([kind]) + bytes(20) for kind in (0x20, 0x0F, 0x08))
    erased, parent = b"\xe5" + short[1:], b"." + short[1:]
    assert ondisk.entries_of_folder(label + long_name + short + erased + parent + bytes(32) + short, "vfat") == 2


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_fat_is_dirty_by_either_mark(tmp_path, bits):
    image = tmp_path / "card.img"
    size_kib = {12: 2048, 16: 16384, 32: 40960}[bits]
    options = ["-s", "1"] if bits == 32 else []
    subprocess.run(
        ["mkfs.vfat", "-F", str(bits), *options, "-C", image, str(size_kib)], check=True, capture_output=True
    )
    data = bytearray(image.read_bytes())
    assert asked(data, "vfat") == "no"
    mark = 0x41 if bits == 32 else 0x25
    data[mark] |= 1
    assert asked(data, "vfat") == "yes"
    data[mark] &= ~1
    reserved = struct.unpack_from("<H", data, 14)[0] * SECTOR
    data[reserved + {12: 0, 16: 3, 32: 7}[bits]] &= 0x77  # ClnShutBitMask, the top bit of FAT[1] that FAT16 and 32 have
    assert asked(data, "vfat") == ("no" if bits == 12 else "yes")


def test_exfat_is_dirty_by_its_volume_flags():
    boot = bytearray(SECTOR)
    boot[3:11] = b"EXFAT   "
    assert asked(boot, "exfat") == "no"
    boot[106] = 0b10
    assert asked(boot, "exfat") == "yes"


def test_ntfs_is_dirty_by_its_volume_information():
    assert asked(ntfs(flags=0), "ntfs") == "no"
    assert asked(ntfs(flags=1), "ntfs") == "yes"


def test_how_much_of_an_ntfs_file_was_written_is_in_its_record():
    nonresident = struct.pack("<IIBBH40xQ", 0x80, 72, 1, 0, 0, 777).ljust(72, b"\0")
    record = bytearray(struct.pack("<4sHH12xH", b"FILE", 48, 1, 56).ljust(56, b"\0") + nonresident + b"\xff" * 4)
    record[56 + 56 : 56 + 64] = struct.pack("<Q", 777)
    assert ondisk.ntfs_initialised_bytes(bytes(record).ljust(1024, b"\xff")) == 777


@pytest.mark.parametrize("filesystem", ["vfat", "exfat", "ntfs", "ext4"])
@pytest.mark.parametrize("data", [b"", bytes(SECTOR), b"\xff" * 4096])
def test_where_nothing_can_be_asked_the_mark_is_unknown(filesystem, data):
    assert asked(data, filesystem) == "unknown"


def asked(data: bytes | bytearray, filesystem: str) -> str:
    return ondisk.dirty(lambda offset, size: bytes(data[offset : offset + size]), filesystem)


def ntfs(flags: int) -> bytes:
    """A boot sector and an MFT whose fourth record is $Volume; its flags stand where the update sequence hides them."""
    boot = bytearray(SECTOR)
    struct.pack_into("<HB", boot, 11, SECTOR, 1)
    struct.pack_into("<Q", boot, 48, 1)
    struct.pack_into("<b", boot, 64, -10)
    record = bytearray(1024)
    struct.pack_into("<4sHH12xH", record, 0, b"FILE", 48, 3, 56)
    at = SECTOR - 2 - 10 - 24 - 8  # so that the flags are the last two bytes of the first sector
    struct.pack_into("<II", record, 56, 0x10, at - 56)
    struct.pack_into("<IIBB6xIH", record, at, 0x70, 48, 0, 0, 12, 32)
    struct.pack_into("<I", record, at + 48, 0xFFFFFFFF)
    assert at + 32 + 10 == SECTOR - 2
    struct.pack_into("<HHH", record, 48, 0xABCD, flags, 0)
    struct.pack_into("<H", record, SECTOR - 2, 0xABCD)
    return bytes(boot) + bytes(3 * 1024) + bytes(record)


@pytest.mark.parametrize(
    ("at", "mark", "filesystem"),
    [
        (3, b"EXFAT   ", "exfat"),
        (3, b"NTFS    ", "ntfs"),
        (82, b"FAT32   ", "vfat"),
        (54, b"FAT16   ", "vfat"),
        (54, b"FAT12   ", "vfat"),
        (4, b"EXFAT   ", ""),
        (3, b"exfat   ", ""),
        (54, b"FAT32   ", ""),
    ],
)
def test_a_boot_sector_names_its_file_system(at, mark, filesystem):
    boot = bytearray(512)
    boot[at : at + 8], boot[510:] = mark, b"\x55\xaa"
    assert ondisk.named(bytes(boot)) == filesystem
    assert ondisk.named(bytes(boot[:511])) == ondisk.named(bytes(boot[:510]) + b"\xaa\x55") == ""

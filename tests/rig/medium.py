"""Recorder media as image files, with the truth of what was put on them.

The code under test sees the image; only the test sees the truth. exFAT is filled through a mount (kernel driver or
exfat-fuse), ext4 and FAT32 without one.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
PARTITION_START_SECTORS = 2048
_PARTITION_TYPES = {"exfat": "7", "ntfs": "7", "fat32": "c", "ext4": "83"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One regular file as it was put on the medium."""

    size: int
    sha256: str
    mtime_ms: int


@dataclass(frozen=True, slots=True)
class Medium:
    """An image and the truth about it: path relative to its root → size, SHA-256, time."""

    image: Path
    filesystem: str
    truth: Mapping[bytes, Fact]

    def digest(self) -> str:
        """SHA-256 of the whole image, to prove that nobody wrote."""
        with self.image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def make_medium(
    image: Path, filesystem: str, source: Path, *, label: str = "CAM1", partitioned: bool = True, spare_mib: int = 16
) -> Medium:
    """Put the content of ``source`` on a new medium.

    ``filesystem`` is ``exfat``, ``ext4``, ``fat32`` or, for a source without folders, ``ntfs``.

    ``partitioned`` puts it into the first partition of an MBR table, as cards have it; else the whole medium is the
    file system. Raises ``CalledProcessError`` with the tool's words when a tool fails.
    """
    offset = PARTITION_START_SECTORS * SECTOR_BYTES if partitioned else 0
    size = _room_for(source, filesystem) + (spare_mib << 20)
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(offset + size)
    if partitioned:
        _run("sfdisk", "-q", image, text=f"{PARTITION_START_SECTORS},,{_PARTITION_TYPES[filesystem]}\n")
    _MAKERS[filesystem](image, offset, size, label, source)
    return Medium(image, filesystem, truth_of(source))


def truth_of(source: Path) -> dict[bytes, Fact]:
    """Regular files below a folder: path relative to it, size, SHA-256, time. Links are not followed."""
    files = [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]
    return {os.fsencode(path.relative_to(source)): _fact(path) for path in files}


def _fact(path: Path) -> Fact:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Fact(file.tell(), digest, os.fstat(file.fileno()).st_mtime_ns // 1_000_000)


def _room_for(source: Path, filesystem: str) -> int:
    """Bytes of file system for the content, with a cluster a file and the least size a file system allows."""
    cluster = 128 << 10 if filesystem == "exfat" else 8 << 10
    sizes = [path.lstat().st_size for path in source.rglob("*")]
    content = sum(-(-size // cluster) * cluster + cluster for size in sizes)
    # FAT32 needs 65,525 clusters (fatgen103, «FAT type determination»): 40 MiB at one sector each is on the safe side.
    least = 40 << 20 if filesystem == "fat32" else 16 << 20
    return ((max(int(content * 1.1), least) >> 20) + 1) << 20


def _make_exfat(image: Path, offset: int, size: int, label: str, source: Path) -> None:
    with _attached(image, offset, size) as node, _writable_exfat(node, label) as folder:
        _run("cp", "-r", "--preserve=timestamps", f"{source}/.", folder)


def _make_ext4(image: Path, offset: int, size: int, label: str, source: Path) -> None:
    options = f"offset={offset},lazy_itable_init=0,lazy_journal_init=0"
    _run("mkfs.ext4", "-q", "-F", "-L", label, "-d", source, "-E", options, image, f"{size >> 10}k")


def _make_fat32(image: Path, offset: int, size: int, label: str, source: Path) -> None:
    _run("mkfs.vfat", "-F", "32", "-s", "1", "-n", label, "--offset", str(offset // SECTOR_BYTES), image, size >> 10)
    content = sorted(source.iterdir())
    if content:
        _run("mcopy", "-s", "-m", "-i", f"{image}@@{offset}", *content, "::")


def _make_ntfs(image: Path, offset: int, size: int, label: str, source: Path) -> None:
    with _attached(image, offset, size) as node:
        _run("mkntfs", "-q", "-F", "-L", label, node)
        for path in sorted(source.iterdir()):
            _run("ntfscp", "-q", node, path, path.name)


_MAKERS = {"exfat": _make_exfat, "ext4": _make_ext4, "fat32": _make_fat32, "ntfs": _make_ntfs}


@contextmanager
def _attached(image: Path, offset: int, size: int) -> Iterator[str]:
    node = _run("losetup", "-f", "--show", "-o", offset, "--sizelimit", size, image).strip()
    try:
        # A --setro of an earlier user outlives losetup -d on the nodes that are always there.
        _run("blockdev", "--setrw", node)
        yield node
    finally:
        _run("losetup", "-d", node)


@contextmanager
def _writable_exfat(node: str, label: str) -> Iterator[Path]:
    _run("mkfs.exfat", "-L", label, node)
    folder = Path(tempfile.mkdtemp(prefix="medium-"))
    try:
        if subprocess.run(["mount", "-i", "-t", "exfat", node, folder], capture_output=True, check=False).returncode:
            _run("mount.exfat-fuse", node, folder)
        try:
            yield folder
        finally:
            _run("umount", folder)
    finally:
        folder.rmdir()


def _run(program: str, *arguments: object, text: str = "") -> str:
    if shutil.which(program) is None:
        message = f"{program} is not installed; the loop dock's media need it"
        raise FileNotFoundError(message)
    argv = [program, *map(str, arguments)]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}"
        raise RuntimeError(message)
    return done.stdout


def is_named(image: Path) -> bool:
    """Whether libblkid, and with it udev, names the file system of the medium's partition; newer ones check more."""
    offset = str(PARTITION_START_SECTORS * SECTOR_BYTES)
    argv = ["blkid", "-p", "-O", offset, "-s", "TYPE", "-o", "value", str(image)]
    return bool(subprocess.run(argv, capture_output=True, check=False).stdout.strip())

"""Writes, renames and folders that survive loss of power, and reads that nothing can hold up.

System calls of ``replace_file``: open(O_EXCL) → write → fsync(file) → close → rename → fsync(folder).
System calls of ``make_dirs``: mkdir → fsync(parent), from the first existing ancestor downwards.
Without the last fsync a name that was seen once may be gone after a power cut; without the first, its content.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Sequence
from io import FileIO
from pathlib import Path


def fsync_dir(path: Path) -> None:
    """Make the names in a folder durable. Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Give ``path`` the content ``data``: after a power cut it holds the old bytes or the new ones, never a mixture.

    The file belongs to the agent alone (mode 0600). Raises ``OSError``; then ``path`` is unchanged.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def open_regular(path: Path, flags: int = 0) -> FileIO:
    """Open a regular file for reading, unbuffered. Raises ``OSError``, also where a pipe or a device is in its place.

    Whoever put that there would have the reader wait for ever.
    """
    file = FileIO(path, opener=lambda name, mode: os.open(name, mode | os.O_NONBLOCK | flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def rename_file(source: Path, target: Path) -> None:
    """Rename within one file system, durably: both folders are synced. Raises ``OSError``."""
    rename_files([(source, target)])


def rename_files(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Rename each source to its target, durably: every folder is synced once, after the last. Raises ``OSError``."""
    for source, target in pairs:
        source.replace(target)
    targets, sources = ([path.parent for path in side] for side in zip(*((t, s) for s, t in pairs), strict=True))
    for folder in dict.fromkeys([*targets, *sources]):
        fsync_dir(folder)


def make_dirs(path: Path) -> None:
    """Make a folder and its parents, each name synced into its parent. Existing ones are left alone."""
    if path.is_dir():
        return
    make_dirs(path.parent)
    path.mkdir(exist_ok=True)
    fsync_dir(path.parent)

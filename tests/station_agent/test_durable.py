import os
import subprocess
import sys
from pathlib import Path

import pytest

from station_agent import durable


def test_replace_file_writes_and_replaces(tmp_path):
    durable.replace_file(tmp_path / "state", b"one")
    durable.replace_file(tmp_path / "state", b"two")
    assert (tmp_path / "state").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_failed_replace_leaves_the_old_content_and_nothing_else(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "child").touch()
    with pytest.raises(OSError, match="state"):
        durable.replace_file(tmp_path / "state", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_make_dirs_makes_all_and_accepts_what_is_there(tmp_path):
    durable.make_dirs(tmp_path / "a" / "b" / "c")
    durable.make_dirs(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_rename_file_moves_between_folders(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"x")
    durable.rename_file(tmp_path / "a" / "x", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"x"


@pytest.mark.integration
@pytest.mark.xdist_group("dock")
@pytest.mark.parametrize("step", ["replace_file", "make_dirs", "publish", "publish_many"])
def test_what_was_reported_as_done_survives_a_power_cut(tmp_path, need_root, step):
    """A real ext4 on a loop device is shut down without writing anything back; only what was synced may remain."""
    image, folder = tmp_path / "spool.img", tmp_path / "spool"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        run_step(step, folder, tmp_path)
        cut_power(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        assert left_over(step, folder)
        assert not (folder / "never-synced").exists() or (folder / "never-synced").read_bytes() == b""
    finally:
        subprocess.run(["umount", folder], check=True)


MANY = 30


def run_step(step: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"footage" * 1000)
    code = {
        "replace_file": "durable.replace_file(folder / 'state', b'new')",
        "make_dirs": "durable.make_dirs(folder / 'a' / 'b')",
        "publish": (
            "o = Offloader(SystemClock()); o.copy(folder.parent, b'clip.mp4', folder / 'part', lambda *_: None);"
            "o.publish([(folder / 'part', folder / 'clip.mp4')])"
        ),
        "publish_many": (
            "o = Offloader(SystemClock()); parts = [folder / f'{n}.part' for n in range(MANY)];"
            "o.copy_all(folder.parent, [Wanted(b'clip.mp4', part, lambda *_: None) for part in parts]);"
            "o.publish([(part, part.with_suffix('.mp4')) for part in parts])"
        ).replace("MANY", str(MANY)),
    }[step]
    imports = (
        "import sys; from pathlib import Path; from station_agent import durable;"
        "from station_agent.offload import Offloader, Wanted; from station_agent.clock import SystemClock;"
    )
    subprocess.run([sys.executable, "-c", f"{imports} folder = Path(sys.argv[1]); {code}", folder], check=True)
    (folder / "never-synced").write_bytes(b"lost")


def left_over(step: str, folder: Path) -> bool:
    if step == "replace_file":
        return (folder / "state").read_bytes() == b"new"
    if step == "make_dirs":
        return (folder / "a" / "b").is_dir()
    if step == "publish_many":
        return [path.read_bytes() for path in folder.glob("*.mp4")] == [b"footage" * 1000] * MANY
    return (folder / "clip.mp4").read_bytes() == b"footage" * 1000


def cut_power(folder: Path) -> None:
    """EXT4_IOC_SHUTDOWN with NOLOGFLUSH: as if the machine had lost power now (linux/ext4.h)."""
    import fcntl  # noqa: PLC0415  # only here

    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))
    finally:
        os.close(fd)

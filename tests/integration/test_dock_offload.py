"""The dock side on a real kernel device: udev, loop device, exFAT, ext4, faults; what is proved is seen outside."""

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from station_agent import detect
from station_agent.clock import SystemClock
from station_agent.detect import require_same, still_unformatted
from station_agent.errors import CopyError, MountError
from station_agent.model import MountedVolume, RecorderDocked, RecorderUndocked
from station_agent.mount import clear_stale, mounted
from station_agent.offload import Offloader
from station_agent.recorders import list_files
from tests.rig.loopdock import LoopDock
from tests.rig.medium import Medium, make_medium
from tests.rig.watch import Watch

SHANGHAI = ZoneInfo("Asia/Shanghai")
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]

FOUR_FLAGS = {"ro", "nosuid", "nodev", "noexec"}
CLIP_BYTES = 3 << 20


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("content")
    for path in ("DCIM/100MEDIA/MOV_0001.MP4", "DCIM/100MEDIA/MOV_0002.MP4", "现场 1.mp4"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(os.urandom(CLIP_BYTES))
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module", params=["exfat", "ext4"])
def medium(request, content, tmp_path_factory) -> Medium:
    return make_medium(tmp_path_factory.mktemp("medium") / "card.img", request.param, content)


def offload(volume: MountedVolume, spool: Path) -> dict[bytes, tuple[int, str]]:
    spool.mkdir(exist_ok=True)
    offloader, results = Offloader(SystemClock()), {}
    for number, file in enumerate(list_files(volume)):
        result = offloader.copy(volume.root, file.path, spool / f"{number}.part", lambda _done, _phase: None)
        offloader.publish([(spool / f"{number}.part", spool / f"{number}")])
        assert result.reread == "uncached"
        results[file.path] = (result.size, digest_of(spool / f"{number}"))
    return results


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def truth(medium: Medium) -> dict[bytes, tuple[int, str]]:
    return {path: (fact.size, fact.sha256) for path, fact in medium.truth.items()}


def test_a_docked_recorder_is_offloaded_equal_and_receives_no_write(tmp_path, dock, watch, medium):
    before = medium.digest()
    dock.plug(1, medium.image, "X81000123", read_only=False)  # writable, or the proof would have no teeth
    event = watch.docked(dock.partition(1))
    assert (event.bay, event.filesystem) == (1, medium.filesystem)
    assert (event.identity.serial, event.identity.volume_label) == ("X81000123", "CAM1")
    assert event.identity.port == dock.port(1)

    with mounted(event, tmp_path / "mounts", SHANGHAI) as volume:
        assert set(volume.flags) >= FOUR_FLAGS
        assert volume.device_read_only
        assert volume.driver in {f"kernel:{medium.filesystem}", "fuse:mount.exfat-fuse"}
        assert offload(volume, tmp_path / "spool") == truth(medium)

    assert dock.writes(1) == 0
    dock.unplug(1)
    watch.undocked(dock.partition(1))
    assert medium.digest() == before
    assert list((tmp_path / "mounts").iterdir()) == []
    kinds = [type(event) for event in watch.events if event.node == dock.partition(1)]
    assert kinds == [RecorderDocked, RecorderUndocked]


def test_the_rig_would_notice_a_write(tmp_path, dock, watch, content):
    made = make_medium(tmp_path / "card.img", "ext4", content)
    before = made.digest()
    dock.plug(1, made.image, "X", read_only=False)
    watch.docked(dock.partition(1))
    folder = tmp_path / "writable"
    folder.mkdir()
    subprocess.run(["mount", dock.partition(1), folder], check=True)
    subprocess.run(["umount", folder], check=True)
    assert dock.writes(1) > 0
    dock.unplug(1)
    assert made.digest() != before


def test_nothing_can_be_written_through_the_mount(tmp_path, dock, watch, medium):
    dock.plug(1, medium.image, "X", read_only=False)
    with mounted(watch.docked(dock.partition(1)), tmp_path / "mounts", SHANGHAI) as volume:
        with pytest.raises(OSError, match="new") as caught:
            (volume.root / "new").touch()
        assert caught.value.errno == errno.EROFS
    assert write_to(dock.partition(1)) in {errno.EPERM, errno.EACCES, errno.EROFS}
    assert dock.writes(1) == 0


def write_to(node: str) -> int:
    """The errno of an attempt to write to a device past its file system."""
    try:
        fd = os.open(node, os.O_WRONLY)
    except OSError as error:
        return error.errno or 0
    try:
        os.write(fd, bytes(512))
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(fd)
    return 0


def test_a_dirty_journal_is_not_replayed(tmp_path, dock, watch, content):
    made = dirty(make_medium(tmp_path / "card.img", "ext4", content, partitioned=False), tmp_path)
    before = made.digest()
    dock.plug(1, made.image, "DIRTY", read_only=False)
    with mounted(watch.docked(dock.device(1)), tmp_path / "mounts", SHANGHAI) as volume:
        assert offload(volume, tmp_path / "spool") == truth(made)
    assert dock.writes(1) == 0
    dock.unplug(1)
    assert made.digest() == before


def dirty(medium: Medium, work: Path) -> Medium:
    """Cut the power of a mounted ext4, so that its journal wants to be replayed."""
    folder = work / "dirty"
    folder.mkdir()
    subprocess.run(["mount", "-o", "loop", medium.image, folder], check=True)
    (folder / "late").touch()
    os.sync()
    shut_down(folder)
    subprocess.run(["umount", folder], check=True)
    features = subprocess.run(["dumpe2fs", "-h", medium.image], capture_output=True, text=True, check=True).stdout
    assert "needs_recovery" in features
    late = {b"late": medium.truth[b"empty.mp4"]} if b"empty.mp4" in medium.truth else {}
    return Medium(medium.image, medium.filesystem, {**medium.truth, **late})


def shut_down(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))  # EXT4_IOC_SHUTDOWN, NOLOGFLUSH (linux/ext4.h)
    finally:
        os.close(fd)


def test_a_medium_without_partition_table_is_docked(tmp_path, dock, watch, content):
    made = make_medium(tmp_path / "card.img", "exfat", content, partitioned=False)
    dock.plug(7, made.image, "WHOLE")
    event = watch.docked(dock.device(7))
    assert event.bay == 7
    with mounted(event, tmp_path / "mounts", SHANGHAI) as volume:
        assert offload(volume, tmp_path / "spool") == truth(made)


def test_a_partition_is_docked_when_it_is_formatted(tmp_path, dock, watch):
    image = tmp_path / "empty.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["sfdisk", "-q", image], input="2048,,7\n", text=True, check=True)
    dock.plug(1, image, "NEW", read_only=False)
    watch.bare(dock.partition(1))
    subprocess.run(["mkfs.exfat", dock.partition(1)], check=True, capture_output=True)
    watch.undocked(dock.partition(1))
    assert watch.docked(dock.partition(1)).filesystem == "exfat"


def test_a_recorder_that_was_there_before_is_enumerated(dock, medium):
    dock.plug(1, medium.image, "EARLY")
    subprocess.run(["udevadm", "settle", "--timeout=10"], check=False)
    late = Watch(dock)
    try:
        assert late.docked(dock.partition(1)).identity.serial == "EARLY"
    finally:
        late.close()


def test_the_same_serial_in_two_bays_is_told_apart(dock, watch, medium, tmp_path):
    other = tmp_path / "other.img"
    other.write_bytes(medium.image.read_bytes())
    dock.plug(1, medium.image, "SAME")
    dock.plug(4, other, "SAME")
    assert watch.docked(dock.partition(1)).bay == 1
    assert watch.docked(dock.partition(4)).bay == 4


def test_a_yank_in_mid_copy_is_a_reason_and_an_undocking_and_the_mount_goes(tmp_path, dock, watch, content):
    big = tmp_path / "big"
    big.mkdir()
    (big / "MOV.MP4").write_bytes(os.urandom(48 << 20))
    made = make_medium(tmp_path / "card.img", "exfat", big)
    dock.plug(1, made.image, "YANKED")
    event = watch.docked(dock.partition(1))
    dock.slow(1, 8_000_000)
    with mounted(event, tmp_path / "mounts", SHANGHAI) as volume:
        threading.Timer(0.5, dock.yank, [1]).start()
        with pytest.raises(CopyError) as caught:
            offload(volume, tmp_path / "spool")
    assert caught.value.reason in {"read-error", "source-vanished"}
    assert not (tmp_path / "spool" / "0").exists()
    watch.undocked(dock.partition(1))
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text().replace(str(tmp_path / "dock"), "")
    dock.unplug(1)
    time.sleep(0.3)
    here = [type(event) for event in watch.events if event.node == dock.partition(1)]
    assert here == [RecorderDocked, RecorderUndocked]

    dock.plug(1, made.image, "YANKED")  # the image survives a yank: replugged, everything is there
    with mounted(watch.docked(dock.partition(1), 2), tmp_path / "mounts", SHANGHAI) as volume:
        assert offload(volume, tmp_path / "spool") == truth(made)


def test_a_bad_sector_spoils_one_file_and_not_the_others(tmp_path, dock, watch):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (source / name).write_bytes(os.urandom(CLIP_BYTES))
    made = make_medium(tmp_path / "card.img", "ext4", source)
    sector = made.image.read_bytes().index((source / "b.mp4").read_bytes()[:4096]) // 512 + 2048
    dock.plug(1, made.image, "BAD", bad_sectors=(sector,))
    offloader, reasons = Offloader(SystemClock()), {}
    with mounted(watch.docked(dock.partition(1)), tmp_path / "mounts", SHANGHAI) as volume:
        for file in list_files(volume):
            if file.path == b"lost+found":
                continue
            try:
                offloader.copy(volume.root, file.path, tmp_path / "part", lambda _done, _phase: None)
                reasons[file.path] = "copied"
            except CopyError as error:
                reasons[file.path] = error.reason
    assert reasons == {b"a.mp4": "copied", b"b.mp4": "read-error", b"c.mp4": "copied"}


def test_a_failing_medium_that_heals_can_be_read_again(tmp_path, dock, watch, content):
    made = make_medium(tmp_path / "card.img", "ext4", content)
    dock.plug(1, made.image, "SICK")
    with mounted(watch.docked(dock.partition(1)), tmp_path / "mounts", SHANGHAI) as volume:
        files = list(list_files(volume))
        dock.corrupt(1)
        with pytest.raises(CopyError) as caught:
            Offloader(SystemClock()).copy(volume.root, files[0].path, tmp_path / "part", lambda _done, _phase: None)
        assert caught.value.reason == "read-error"
        dock.heal(1)
        assert offload(volume, tmp_path / "spool") == truth(made)


def test_hostile_entries_are_listed_refused_and_never_followed(tmp_path, dock, watch):
    source = tmp_path / "source"
    source.mkdir()
    names = [b"a\nb.mp4", b"'\";$(id).mp4", b"\xff\xfe.mp4", b"A.MP4", b"a.mp4", b"-rf.mp4"]
    for name in names:
        with open(os.path.join(os.fsencode(source), name), "wb") as file:  # noqa: PTH118, PTH123  # pathlib cannot
            file.write(name)
    (source / "link.mp4").symlink_to("/etc/passwd")
    os.mknod(source / "node.mp4", 0o600 | 0o060000, os.makedev(7, 0))
    os.mkfifo(source / "fifo.mp4")
    made = make_medium(tmp_path / "card.img", "ext4", source)
    dock.plug(1, made.image, "HOSTILE")
    with mounted(watch.docked(dock.partition(1)), tmp_path / "mounts", SHANGHAI) as volume:
        files = {file.path: file for file in list_files(volume)}
        refused = {path: file.refused for path, file in files.items() if file.refused}
        assert refused == {b"link.mp4": "symlink", b"node.mp4": "device-node", b"fifo.mp4": "fifo"}
        assert set(files) - set(refused) == set(names) == set(made.truth)
        for path in names:
            result = Offloader(SystemClock()).copy(volume.root, path, tmp_path / "part", lambda _done, _phase: None)
            assert result.sha256 == made.truth[path].sha256
        for path in refused:
            with pytest.raises(CopyError) as caught:
                Offloader(SystemClock()).copy(volume.root, path, tmp_path / "part", lambda _done, _phase: None)
            assert caught.value.reason in {"not-a-file", "read-error"}


def test_what_is_no_file_system_of_the_kernel_or_fuse_is_one_clear_error(tmp_path, dock, watch, medium):
    dock.plug(1, medium.image, "X")
    event = watch.docked(dock.partition(1))
    unknown = RecorderDocked(event.node, event.bay, event.identity, "nosuchfs", event.at_ms)
    with pytest.raises(MountError, match="nosuchfs"), mounted(unknown, tmp_path / "mounts", SHANGHAI):
        pytest.fail("it was mounted")
    assert list((tmp_path / "mounts").iterdir()) == []


def test_what_a_killed_agent_left_mounted_is_cleared_at_the_next_start(tmp_path, dock, watch, medium):
    dock.plug(1, medium.image, "X")
    event = watch.docked(dock.partition(1))
    code = (
        "import sys; from pathlib import Path; from zoneinfo import ZoneInfo; from station_agent.mount import mounted;"
        "from station_agent.model import DeviceIdentity, RecorderDocked;"
        "event = RecorderDocked(sys.argv[1], 1, DeviceIdentity('X'), sys.argv[2], 0)\n"
        "with mounted(event, Path(sys.argv[3]), ZoneInfo('UTC')): print('mounted', flush=True); sys.stdin.read()"
    )
    mounts = tmp_path / "mounts"
    argv = [sys.executable, "-c", code, event.node, event.filesystem, str(mounts)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdout
        assert agent.stdout.readline() == b"mounted\n"
        agent.send_signal(signal.SIGKILL)
    [left] = mounts.glob(f"bay1-{Path(event.node).name}-*")
    assert os.path.ismount(left)

    assert clear_stale(mounts) == [left]
    assert list(mounts.iterdir()) == []
    with mounted(event, mounts, SHANGHAI) as volume:
        assert offload(volume, tmp_path / "spool") == truth(medium)


def test_a_node_that_another_recorder_took_is_not_the_one_that_was_announced(tmp_path, dock, watch, content):
    cards = [make_medium(tmp_path / f"{name}.img", "ext4", content) for name in "ab"]
    dock.plug(1, cards[0].image, "A", direct=True)
    first = watch.docked(dock.partition(1))
    require_same(first)
    with pytest.raises(MountError, match="another volume than the one that was announced"):
        require_same(replace(first, identity=replace(first.identity, volume_uuid="OTHER")))
    dock.unplug(1)
    with pytest.raises(MountError, match="not there any more"):
        require_same(first)
    dock.plug(1, cards[1].image, "B", direct=True)
    watch.docked(dock.partition(1), 2)
    with pytest.raises(MountError, match="another volume"):
        require_same(first)


def test_udev_that_is_late_is_not_believed(tmp_path, dock, watch, medium, monkeypatch):
    dock.plug(1, medium.image, "A", direct=True)
    event = watch.docked(dock.partition(1))
    monkeypatch.setattr(detect, "_medium_number", lambda _: "0")
    with pytest.raises(MountError, match="udev tells of medium"):
        require_same(event)


def test_a_medium_without_file_system_is_announced_without_one(tmp_path, dock, watch):
    (tmp_path / "blank.img").write_bytes(bytes(1 << 20))
    dock.plug(1, tmp_path / "blank.img", "BLANK", direct=True)
    event = watch.bare(dock.device(1))
    assert (event.bay, event.filesystem, event.identity.serial) == (1, "", "BLANK")
    assert still_unformatted(event)
    dock.unplug(1)
    watch.undocked(dock.device(1))
    assert not still_unformatted(event)


def test_names_that_exfat_cannot_tell_apart_are_refused(tmp_path, dock, watch):
    source = tmp_path / "source"
    source.mkdir()
    (source / "A.MP4").write_bytes(b"first" * 400)
    (source / "B.MP4").write_bytes(b"SECOND" * 333)
    card = make_medium(tmp_path / "card.img", "exfat", source)
    rename_on_medium(card.image, "B.MP4", "a.MP4", "A.MP4")
    dock.plug(1, card.image, "X", direct=True)
    with mounted(watch.docked(dock.partition(1)), tmp_path / "mounts", SHANGHAI) as volume:
        assert {file.path: file.refused for file in list_files(volume)} == dict.fromkeys(
            (b"A.MP4", b"a.MP4"), "ambiguous-name"
        )


def rename_on_medium(image: Path, old: str, new: str, same_hash: str) -> None:
    """Rename a file of exFAT behind every driver's back; ``same_hash`` names one whose name hash is the new one's.

    Microsoft's exFAT specification, 7.4 «File Directory Entry», 7.6 «Stream Extension», 7.7 «File Name».
    """
    data = bytearray(image.read_bytes())
    entry, donor = entry_set(data, old), entry_set(data, same_hash)
    data[entry + 66 : entry + 66 + 2 * len(new)] = new.encode("utf-16le")
    data[entry + 36 : entry + 38] = data[donor + 36 : donor + 38]
    checksum = 0
    for number in range((data[entry + 1] + 1) * 32):
        if number not in (2, 3):
            checksum = (((checksum << 15) | (checksum >> 1)) & 0xFFFF) + data[entry + number] & 0xFFFF
    data[entry + 2 : entry + 4] = checksum.to_bytes(2, "little")
    image.write_bytes(data)


def entry_set(data: bytearray, name: str) -> int:
    """Offset of the file entry whose name entry holds ``name``."""
    at = data.index(b"\xc1\x00" + name.encode("utf-16le"))
    assert (at % 32, data[at - 64]) == (0, 0x85)
    return at - 64


def test_two_docks_on_one_machine_do_not_meet(tmp_path, dock, watch, medium):
    with LoopDock(tmp_path / "other") as other:
        assert other.device(1) != dock.device(1)
        other.plug(1, medium.image, "THEIRS")
        copied = tmp_path / "copy.img"
        copied.write_bytes(medium.image.read_bytes())
        dock.plug(1, copied, "OURS")
        assert watch.docked(dock.partition(1)).identity.serial == "OURS"
    assert Path(dock.partition(1)).exists()
    assert not any(event.node.startswith(other.device(0)[:-2]) for event in watch.events)


def test_a_closed_dock_leaves_nothing_behind(tmp_path, need_root, medium):
    with LoopDock(tmp_path / "dock") as made:
        made.plug(1, medium.image, "X")
        made.plug(2, medium.image, "Y")
        made.yank(2)
        nodes = [made.device(1), made.device(2)]
    assert not any(Path(node).exists() for node in nodes)
    assert str(tmp_path / "dock") not in Path("/proc/self/mounts").read_text()
    assert not list(Path("/run/udev/rules.d").glob(f"*{Path(nodes[0]).name[4:-2]}00.rules"))

import os
import socket
import string
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.model import MountedVolume, SourceFile
from station_agent.recorders import MAX_DEPTH, Claims, ambiguous, claims, family_of, list_files


def volume(root: Path, filesystem: str = "ext4") -> MountedVolume:
    return MountedVolume(root, "/dev/x", filesystem, "kernel", ("ro",), device_read_only=True)


def listed(root: Path, filesystem: str = "ext4") -> dict[bytes, str]:
    files = list(list_files(volume(root, filesystem)))
    assert len({file.path for file in files}) == len(files)
    return {file.path: file.refused for file in files}


def put(root: Path, path: bytes, content: bytes = b"x") -> None:
    whole = os.path.join(os.fsencode(root), path)  # noqa: PTH118  # pathlib cannot hold these bytes
    os.makedirs(os.path.dirname(whole), exist_ok=True)  # noqa: PTH103, PTH120  # the same
    with open(whole, "wb") as file:  # noqa: PTH123  # the same
        file.write(content)


def test_every_file_is_listed_with_size_and_time_in_a_fixed_order(tmp_path):
    for path in (b"b.mp4", b"DCIM/100MEDIA/2.mp4", b"DCIM/100MEDIA/1.mp4", b"LOG/1.txt"):
        put(tmp_path, path, path)
    os.utime(tmp_path / "b.mp4", ns=(0, 1_700_000_000_123_456_789))
    files = list(list_files(volume(tmp_path)))
    assert [file.path for file in files] == [b"DCIM/100MEDIA/1.mp4", b"DCIM/100MEDIA/2.mp4", b"LOG/1.txt", b"b.mp4"]
    assert files[-1] == SourceFile(b"b.mp4", 5, 1_700_000_000_123_456_789)
    assert files[-1].mtime_ms == 1_700_000_000_123


@pytest.mark.parametrize(
    "name",
    [
        b"a\nb.mp4",
        b"'\";$(x)`.mp4",
        b"\xff\xfe\x80.mp4",
        b"-rf",
        b"\x01\x1b[31m.mp4",
        "现场.mp4".encode(),
        b"..mp4",
        b" ",
    ],
)
def test_hostile_names_come_as_the_bytes_they_are(tmp_path, name):
    put(tmp_path, b"DCIM/" + name)
    assert listed(tmp_path) == {b"DCIM/" + name: ""}


def test_names_equal_but_for_case_are_two_files(tmp_path):
    put(tmp_path, b"A.MP4")
    put(tmp_path, b"a.mp4")
    assert listed(tmp_path) == {b"A.MP4": "", b"a.mp4": ""}


@pytest.mark.parametrize("filesystem", ["vfat", "exfat", "ntfs"])
def test_where_case_tells_nothing_apart_such_files_and_folders_are_refused(tmp_path, filesystem):
    for path in (b"A.MP4", b"a.mp4", b"b.mp4", b"DCIM/x.mp4", b"dcim/y.mp4", "é.MP4".encode(), "É.mp4".encode(), b"c."):
        put(tmp_path, path)
    refused = {path for path, why in listed(tmp_path, filesystem).items() if why == "ambiguous-name"}
    assert refused == {b"A.MP4", b"a.mp4", b"DCIM", b"dcim", "é.MP4".encode(), "É.mp4".encode()}
    put(tmp_path, b"c")
    assert {b"c", b"c."} <= {path for path, why in listed(tmp_path, filesystem).items() if why}


def test_letters_that_only_people_take_for_the_same_are_told_apart(tmp_path):
    put(tmp_path, "ß.mp4".encode())
    put(tmp_path, b"SS.mp4")
    assert set(listed(tmp_path, "exfat").values()) == {""}


def test_two_names_of_one_inode_are_told_apart_by_nothing(tmp_path):
    put(tmp_path, b"clip.mp4")
    once = (tmp_path / "clip.mp4").stat()
    assert ambiguous([b"a", b"b"], {b"a": once, b"b": once}, without_case=True) == {b"a", b"b"}
    (tmp_path / "linked.mp4").hardlink_to(tmp_path / "clip.mp4")
    linked = (tmp_path / "clip.mp4").stat()
    assert ambiguous([b"a", b"b"], {b"a": linked, b"b": linked}, without_case=True) == frozenset()


def test_a_name_that_a_damaged_folder_holds_twice_is_refused(tmp_path):
    assert ambiguous([b"a", b"a", b"b"], {b"a": None, b"b": None}, without_case=False) == {b"a"}


def test_an_empty_file_is_listed(tmp_path):
    put(tmp_path, b"empty.mp4", b"")
    assert [file.size for file in list_files(volume(tmp_path))] == [0]


def test_what_is_no_file_is_listed_and_refused(tmp_path):
    (tmp_path / "secret").mkdir()
    put(tmp_path, b"secret/key.pem")
    root = tmp_path / "root"
    root.mkdir()
    (root / "to-file").symlink_to("/etc/passwd")
    (root / "to-folder").symlink_to(tmp_path / "secret")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to(".")
    os.mkfifo(root / "fifo")
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(root / "socket"))
    assert listed(root) == {
        b"to-file": "symlink",
        b"to-folder": "symlink",
        b"dangling": "symlink",
        b"loop": "symlink",
        b"fifo": "fifo",
        b"socket": "socket",
    }


def test_device_nodes_are_refused(tmp_path, need_root):
    os.mknod(tmp_path / "null", 0o600 | 0o020000, os.makedev(1, 3))
    os.mknod(tmp_path / "disk", 0o600 | 0o060000, os.makedev(7, 0))
    assert listed(tmp_path) == {b"null": "device-node", b"disk": "device-node"}


def test_nesting_without_end_ends(tmp_path):
    put(tmp_path, b"/".join([b"d"] * (MAX_DEPTH + 3)) + b"/deep.mp4")
    assert listed(tmp_path) == {b"/".join([b"d"] * (MAX_DEPTH + 1)): "nested-too-deep"}


def test_another_file_system_below_is_not_entered(tmp_path, need_root):
    (tmp_path / "other").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "other"], check=True)
    try:
        put(tmp_path, b"other/a.mp4")
        assert listed(tmp_path) == {b"other": "other-filesystem"}
    finally:
        subprocess.run(["umount", tmp_path / "other"], check=True)


def test_what_computers_left_and_people_deleted_is_listed_like_any_file(tmp_path):
    paths = [
        b"System Volume Information/IndexerVolumeGuid",
        b".TRASHES/501/a.mp4",
        b"$RECYCLE.BIN/S-1-5/$R1.MP4",
        b"FOUND.000/FILE0000.CHK",
    ]
    for path in paths:
        put(tmp_path, path)
    assert listed(tmp_path) == dict.fromkeys(paths, "")


def test_no_descriptor_is_left(tmp_path):
    put(tmp_path, b"a/b/c.mp4")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count
    list(list_files(volume(tmp_path)))
    walk = list_files(volume(tmp_path))
    next(walk)
    walk.close()  # type: ignore[attr-defined]  # a generator, left in the middle
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  # a count


@pytest.mark.parametrize(
    ("path", "device", "officer", "start"),
    [
        (b"DCIM/1234567_123456_20240131123456.mp4", "1234567", "123456", "20240131123456"),
        (b"ab12c_x00001_20240229000000_0001.JPG", "ab12c", "x00001", "20240229000000"),
        (b"0000000_000000_20240131123456.mp4", "", "", "20240131123456"),
        (b"1234567_123456_20240230123456.mp4", "", "", ""),
        (b"1234567_123456_20240131246000.mp4", "", "", ""),
        (b"1234567_123456_20240131123456", "", "", ""),
        (b"x1234567_123456_20240131123456.mp4", "", "", ""),
        (b"1234567_123456_20240131123456.mp4\n", "", "", ""),
        ("1234567_123456_２０２４0131123456.mp4".encode(), "", "", ""),
        (b"MOV_0001.MP4", "", "", ""),
        (b"1234567_123456_20240131123456.mp4/x.mp4", "", "", ""),
    ],
)
def test_what_a_name_claims(path, device, officer, start):
    found = claims(path)
    assert (found.device, found.officer, found.start_raw) == (device, officer, start)


@given(
    st.text(string.ascii_uppercase + string.digits, min_size=5, max_size=7).filter(lambda text: text.strip("0")),
    st.text(string.digits, min_size=6, max_size=6).filter(lambda text: text.strip("0")),
    st.datetimes(),
)
def test_every_well_formed_name_is_read(device, officer, start):
    stamp = f"{start.year:04}{start:%m%d%H%M%S}"
    found = claims(f"{device}_{officer}_{stamp}.mp4".encode())
    assert (found.device, found.officer, found.start_raw) == (device, officer, stamp)


@given(st.binary())
def test_no_name_breaks_the_reader(path):
    assert isinstance(claims(path), Claims)


def test_the_family_is_told_by_the_names():
    named = SourceFile(b"DCIM/1234567_123456_20240131123456.mp4", 1, 0)
    other = SourceFile(b"DCIM/MOV_0001.MP4", 1, 0)
    assert family_of([other, named]) == "dsj"
    assert family_of([other]) == family_of([]) == "generic"

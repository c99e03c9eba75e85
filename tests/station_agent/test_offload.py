import errno
import hashlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from station_agent import linux
from station_agent.clock import SystemClock
from station_agent.errors import CopyError, DeviceGoneError
from station_agent.model import CopyResult
from station_agent.offload import (
    BUFFER_BYTES,
    COMPARING,
    READING,
    VERIFYING,
    Offloader,
    Progress,
    Wanted,
    _read_failure,
    _write_failure,
)


def quiet(done_bytes: int, phase: str) -> None:
    pass


@pytest.fixture
def offloader():
    return Offloader(SystemClock())


@pytest.fixture
def tmpfs(tmp_path, need_root):
    """A file system of 1 MiB that has no disk below its page cache."""
    folder = tmp_path / "memory"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def split(path: Path | bytes) -> tuple[Path, bytes]:
    folder, _, name = os.fsencode(path).rpartition(b"/")
    return Path(os.fsdecode(folder)), name


def reason_of(offloader: Offloader, source: Path | bytes, temporary: Path) -> str:
    with pytest.raises(CopyError) as caught:
        offloader.copy(*split(source), temporary, quiet)
    return caught.value.reason


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES - 7])
def test_a_copy_is_equal_and_proved_by_an_uncached_reread(tmp_path, offloader, size):
    content = os.urandom(size)
    (tmp_path / "clip.mp4").write_bytes(content)

    result = offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", quiet)

    assert (tmp_path / "clip.part").read_bytes() == content
    assert result.size == size
    assert result.sha256 == result.reread_sha256 == hashlib.sha256(content).hexdigest()
    assert result.reread == "uncached"
    assert result.start_ms <= result.end_ms


def test_the_reread_comes_from_the_disk(tmp_path, offloader):
    size = 24 << 20
    (tmp_path / "clip.mp4").write_bytes(os.urandom(size))
    before: list[int] = []

    def watch(done_bytes: int, phase: str) -> None:
        if phase == READING:
            before[:] = [read_from_disk()]

    offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", watch)

    assert read_from_disk() - before[0] >= size


def test_nothing_of_the_copy_is_cached_when_the_reread_begins_and_after_it(tmp_path, offloader):
    size = 3 * BUFFER_BYTES
    (tmp_path / "clip.mp4").write_bytes(os.urandom(size))
    offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", quiet)
    with (tmp_path / "clip.part").open("rb") as file:
        assert linux.resident_pages(file.fileno(), size) == 0
        file.read()
        assert linux.resident_pages(file.fileno(), size) == size // 4096


def test_where_the_cache_cannot_be_dropped_nothing_is_proved(tmp_path, offloader, tmpfs):
    (tmp_path / "clip.mp4").write_bytes(os.urandom(8192))
    assert reason_of(offloader, tmp_path / "clip.mp4", tmpfs / "clip.part") == "reread-cached"


def test_somebody_who_looks_at_the_copy_for_a_moment_is_waited_for(tmp_path, offloader, monkeypatch):
    (tmp_path / "clip.mp4").write_bytes(os.urandom(8192))
    answers = [2, 0]
    monkeypatch.setattr(linux, "resident_pages", lambda _fd, _size: answers.pop(0))
    assert offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", quiet).reread == "uncached"
    assert answers == []


@pytest.fixture
def many(tmp_path) -> list[Path]:
    (tmp_path / "card").mkdir()
    paths = [tmp_path / "card" / f"{number}.jpg" for number in range(5)]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


def wanted(path: Path, on_progress: Progress = quiet) -> Wanted:
    return Wanted(path.name.encode(), path.parent.parent / f"{path.name}.part", on_progress)


def test_several_files_are_synced_once_after_the_last_was_written_and_before_any_is_read_back(
    many, offloader, monkeypatch
):
    story: list[str] = []
    sync = linux.sync_file_system
    monkeypatch.setattr(linux, "sync_file_system", lambda folder: (story.append("sync"), sync(folder)))
    orders = [wanted(path, lambda _done, phase: story.append(phase)) for path in many]
    results = offloader.copy_all(many[0].parent, orders)
    assert story == [READING] * 5 + ["sync"] + [VERIFYING] * 5
    assert [result.sha256 for result in results] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in many]
    assert all(order.temporary.read_bytes() == path.read_bytes() for order, path in zip(orders, many, strict=True))


def test_a_sync_that_fails_proves_none_of_them(many, offloader, monkeypatch):
    def fails(_folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(linux, "sync_file_system", fails)
    assert [str(result) for result in offloader.copy_all(many[0].parent, [wanted(path) for path in many])] == [
        "write-error: Input/output error"
    ] * 5


def test_one_file_that_fails_spoils_no_other(many, offloader):
    many[1].unlink()

    def rot(_done: int, phase: str) -> None:
        if phase == READING:
            os.utime(many[3], ns=(1, 1))

    orders = [wanted(path, rot if path == many[3] else quiet) for path in many]
    results = offloader.copy_all(many[0].parent, orders)
    reasons = [result.reason if isinstance(result, CopyError) else "" for result in results]
    assert reasons == ["", "source-vanished", "", "source-changed", ""]


def test_a_recorder_that_is_gone_ends_the_reading_and_what_was_read_is_proved(many, offloader):
    def gone(_done: int, _phase: str) -> None:
        raise DeviceGoneError("pulled-early")

    orders = [wanted(path, gone if path == many[2] else quiet) for path in many]
    results = offloader.copy_all(many[0].parent, orders)
    assert [type(result) for result in results] == [CopyResult, CopyResult, DeviceGoneError]
    assert not orders[3].temporary.exists()


def test_a_digest_is_that_of_a_copy_and_leaves_nothing(tmp_path, offloader):
    content = os.urandom(BUFFER_BYTES + 5)
    (tmp_path / "clip.mp4").write_bytes(content)
    seen: list[tuple[int, str]] = []
    digest = offloader.digest(tmp_path, b"clip.mp4", lambda done, phase: seen.append((done, phase)))
    assert digest == hashlib.sha256(content).hexdigest()
    assert seen == [(BUFFER_BYTES, COMPARING), (len(content), COMPARING)]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_the_disk_gives_back_differently_is_refused(tmp_path, offloader):
    (tmp_path / "clip.mp4").write_bytes(bytes(2 * BUFFER_BYTES))

    def damage(done_bytes: int, phase: str) -> None:
        if phase == VERIFYING and done_bytes == BUFFER_BYTES:
            with (tmp_path / "clip.part").open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"\x01")

    with pytest.raises(CopyError) as caught:
        offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", damage)
    assert caught.value.reason == "reread-differs"


def test_progress_counts_both_phases_to_the_end(tmp_path, offloader):
    size = 2 * BUFFER_BYTES + 5
    (tmp_path / "clip.mp4").write_bytes(bytes(size))
    seen: list[tuple[int, str]] = []
    offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", lambda done, phase: seen.append((done, phase)))
    steps = [BUFFER_BYTES, 2 * BUFFER_BYTES, size]
    assert seen == [(done, READING) for done in steps] + [(done, VERIFYING) for done in steps]


def test_a_left_over_of_an_earlier_attempt_is_overwritten(tmp_path, offloader):
    (tmp_path / "clip.mp4").write_bytes(b"new")
    (tmp_path / "clip.part").write_bytes(b"an older and longer attempt")
    offloader.copy(tmp_path, b"clip.mp4", tmp_path / "clip.part", quiet)
    assert (tmp_path / "clip.part").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name", [b"a\nb.mp4", b"'\"; rm -rf $HOME.mp4", b"\xff\xfe.mp4", b"..mp4", "现场.mp4".encode()]
)
def test_hostile_names_are_opened_as_the_bytes_they_are(tmp_path, offloader, name):
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  # pathlib cannot hold these bytes
    with open(path, "wb") as file:  # noqa: PTH123  # the same
        file.write(name)
    assert offloader.copy(*split(path), tmp_path / "out", quiet).sha256 == hashlib.sha256(name).hexdigest()


def test_a_link_is_never_followed(tmp_path, offloader):
    (tmp_path / "secret").write_text("not footage")
    (tmp_path / "clip.mp4").symlink_to(tmp_path / "secret")
    assert reason_of(offloader, tmp_path / "clip.mp4", tmp_path / "out") == "not-a-file"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("link", ["DCIM", "DCIM/100MEDIA"])
def test_a_folder_that_became_a_link_is_never_followed(tmp_path, offloader, link):
    (tmp_path / "station/100MEDIA").mkdir(parents=True)
    (tmp_path / "station/100MEDIA/key.pem").write_text("not footage")
    card = tmp_path / "card"
    (card / link).parent.mkdir(parents=True)
    (card / link).symlink_to(tmp_path / "station" / Path(link).relative_to("DCIM"))
    with pytest.raises(CopyError) as caught:
        offloader.copy(card, b"DCIM/100MEDIA/key.pem", tmp_path / "out", quiet)
    assert caught.value.reason == "not-a-file"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", [b"../secret", b"a/../../secret", b"/etc/passwd", b"a//b", b"./a", b""])
def test_a_path_never_leads_out_of_the_volume(tmp_path, offloader, path):
    (tmp_path / "card/a").mkdir(parents=True)
    (tmp_path / "secret").write_text("not footage")
    with pytest.raises(CopyError) as caught:
        offloader.copy(tmp_path / "card", path, tmp_path / "out", quiet)
    assert caught.value.reason == "not-a-file"


def test_another_file_system_below_is_not_read(tmp_path, offloader, tmpfs):
    (tmpfs / "clip.mp4").write_bytes(b"clip")
    with pytest.raises(CopyError) as caught:
        offloader.copy(tmp_path, b"memory/clip.mp4", tmp_path / "out", quiet)
    assert caught.value.reason == "not-a-file"


def test_a_path_longer_than_the_kernel_takes_in_one_piece_is_read(tmp_path, offloader):
    folders = [b"d" * 250] * 20
    here = os.open(tmp_path, os.O_RDONLY)
    for folder in folders:
        os.mkdir(folder, dir_fd=here)
        here, before = os.open(folder, os.O_RDONLY, dir_fd=here), here
        os.close(before)
    os.close(os.open("clip.mp4", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    path = b"/".join([*folders, b"clip.mp4"])
    assert len(path) > 4096
    assert offloader.copy(tmp_path, path, tmp_path / "out", quiet).size == 0


def test_a_temporary_name_that_is_a_link_is_not_written_through(tmp_path, offloader):
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    (tmp_path / "victim").write_bytes(b"old")
    (tmp_path / "out").symlink_to(tmp_path / "victim")
    assert reason_of(offloader, tmp_path / "clip.mp4", tmp_path / "out") == "write-error"
    assert (tmp_path / "victim").read_bytes() == b"old"


def test_special_files_are_refused_at_once(tmp_path, offloader):
    os.mkfifo(tmp_path / "fifo")
    assert reason_of(offloader, tmp_path / "fifo", tmp_path / "out") == "not-a-file"
    assert reason_of(offloader, Path("/dev/zero"), tmp_path / "out") == "not-a-file"
    assert reason_of(offloader, tmp_path, tmp_path / "out") == "not-a-file"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert reason_of(offloader, tmp_path / "socket", tmp_path / "out") in {"read-error", "source-vanished"}


def test_a_source_that_is_not_there_vanished(tmp_path, offloader):
    assert reason_of(offloader, tmp_path / "gone", tmp_path / "out") == "source-vanished"


@pytest.mark.parametrize("new_size", [3, BUFFER_BYTES + 1, 4 * BUFFER_BYTES])
def test_a_source_that_changes_its_size_is_refused(tmp_path, offloader, new_size):
    source = tmp_path / "clip.mp4"
    source.write_bytes(bytes(3 * BUFFER_BYTES))

    def change(done_bytes: int, phase: str) -> None:
        if done_bytes == BUFFER_BYTES:
            os.truncate(source, new_size)

    with pytest.raises(CopyError) as caught:
        offloader.copy(*split(source), tmp_path / "out", change)
    assert caught.value.reason == "source-changed"


def test_a_source_rewritten_in_place_is_refused(tmp_path, offloader):
    source = tmp_path / "clip.mp4"
    source.write_bytes(bytes(2 * BUFFER_BYTES))

    def change(done_bytes: int, phase: str) -> None:
        if phase == READING and done_bytes == BUFFER_BYTES:
            os.utime(source, ns=(1, 1))

    with pytest.raises(CopyError) as caught:
        offloader.copy(*split(source), tmp_path / "out", change)
    assert caught.value.reason == "source-changed"


@pytest.mark.parametrize("source", ["/sys/kernel/uevent_seqnum", "/proc/self/status"])
def test_a_source_whose_size_is_a_lie_is_refused(tmp_path, offloader, source):
    """The kernel's own files announce 4096 bytes, or none, and hold something else: no change that stat would show."""
    assert reason_of(offloader, Path(source), tmp_path / "out") == "source-changed"


def test_a_full_disk_says_so(tmp_path, offloader, tmpfs):
    (tmp_path / "clip.mp4").write_bytes(bytes(2 << 20))
    assert reason_of(offloader, tmp_path / "clip.mp4", tmpfs / "clip.part") == "no-space"


def test_a_folder_that_is_not_there_is_our_failure_not_the_recorders(tmp_path, offloader):
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    assert reason_of(offloader, tmp_path / "clip.mp4", tmp_path / "no" / "out") == "write-error"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EIO, "read-error"),
        (errno.EACCES, "read-error"),
        (errno.ENODEV, "source-vanished"),
        (errno.ENXIO, "source-vanished"),
        (errno.ENOTCONN, "source-vanished"),
        (errno.ELOOP, "not-a-file"),
    ],
)
def test_every_failure_to_read_has_a_reason(number, reason):
    assert _read_failure(OSError(number, os.strerror(number))).reason == reason


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "no-space"), (errno.EDQUOT, "no-space"), (errno.EIO, "write-error")]
)
def test_every_failure_to_write_has_a_reason(number, reason):
    assert _write_failure(OSError(number, os.strerror(number))).reason == reason


def test_what_progress_raises_ends_the_copy(tmp_path, offloader):
    (tmp_path / "clip.mp4").write_bytes(b"clip")

    def stop(done_bytes: int, phase: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        offloader.copy(tmp_path, b"clip.mp4", tmp_path / "out", stop)


def test_two_threads_do_not_mix_their_bytes(tmp_path, offloader):
    contents = [os.urandom(3 * BUFFER_BYTES + 11) for _ in range(2)]
    results: dict[int, str] = {}

    def work(number: int) -> None:
        results[number] = offloader.copy(tmp_path, b"%d.mp4" % number, tmp_path / f"{number}.part", quiet).sha256

    for number, content in enumerate(contents):
        (tmp_path / f"{number}.mp4").write_bytes(content)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: hashlib.sha256(content).hexdigest() for number, content in enumerate(contents)}


def test_publish_renames(tmp_path, offloader):
    (tmp_path / "clip.part").write_bytes(b"clip")
    offloader.publish([(tmp_path / "clip.part", tmp_path / "clip.mp4")])
    assert (tmp_path / "clip.mp4").read_bytes() == b"clip"
    assert not (tmp_path / "clip.part").exists()
    with pytest.raises(CopyError) as caught:
        offloader.publish([(tmp_path / "clip.part", tmp_path / "clip.mp4")])
    assert caught.value.reason == "write-error"


def test_no_descriptor_is_left(tmp_path, offloader):
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    offloader.copy(tmp_path, b"clip.mp4", tmp_path / "out", quiet)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count
    offloader.copy(tmp_path, b"clip.mp4", tmp_path / "out", quiet)
    reason_of(offloader, tmp_path / "clip.mp4", Path("/dev/full"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  # a count


def read_from_disk() -> int:
    """Bytes this process had the disk fetch: /proc/self/io, ``read_bytes`` (proc(5))."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def test_sm3_comes_from_the_same_reading_and_only_when_asked_for(tmp_path, offloader):
    content = os.urandom(BUFFER_BYTES + 5)
    (tmp_path / "clip.mp4").write_bytes(content)
    both = Offloader(SystemClock(), sm3=True).copy(tmp_path, b"clip.mp4", tmp_path / "part", quiet)
    assert both.sm3 == hashlib.new("sm3", content).hexdigest()
    assert both.sha256 == hashlib.sha256(content).hexdigest()
    assert offloader.copy(tmp_path, b"clip.mp4", tmp_path / "part", quiet).sm3 == ""

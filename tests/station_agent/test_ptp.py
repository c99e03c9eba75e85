"""Recorders over PTP: libgphoto2's own virtual camera, which has no MP4 and no partial reads, and a twin that has."""

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from station_agent import camera
from station_agent.bays import BayMap
from station_agent.clock import SystemClock
from station_agent.detect import Docks, Sighting
from station_agent.errors import CopyError, MountError
from station_agent.model import DeviceIdentity, MountedVolume, RecorderDocked, RecorderUndocked
from station_agent.offload import Offloader
from station_agent.ptp import connected, port_of
from station_agent.recorders import list_files
from station_agent.volume import opened
from tests.fakes.ptp_camera import FakeCamera

SHANGHAI = ZoneInfo("Asia/Shanghai")
NODE = "/dev/bus/usb/001/001"
PORT = "pci-0000:00:14.0-usb-0:3"
CAMERA = {
    "DEVTYPE": "usb_device",
    "ID_GPHOTO2": "1",
    "ID_SERIAL_SHORT": "X81000123",
    "ID_PATH": PORT,
}
CLIPS = {b"DCIM/100TEST/A.AVI": os.urandom(2_500_000), b"DCIM/100TEST/B.JPG": os.urandom(300_000)}


@pytest.fixture
def vusb(tmp_path, monkeypatch) -> Path:
    """The camera that libgphoto2 plays itself, with these files, at port usb:001,001."""
    spec = find_spec("gphoto2")
    libraries = Path(str(spec and spec.origin)).parent / "libgphoto2"
    for path, data in CLIPS.items():
        place = tmp_path / "camera" / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    for name, value in {"IOLIBS": "vusb", "CAMLIBS": "camlibs"}.items():
        monkeypatch.setenv(name, str(libraries / value))
    monkeypatch.setenv("VCAMERADIR", str(tmp_path / "camera"))
    return tmp_path / "camera"


def docked(node: str = NODE) -> RecorderDocked:
    return RecorderDocked(node, 1, DeviceIdentity("X81000123", port=PORT), "ptp", 0)


def offload(volume: MountedVolume, spool: Path) -> dict[bytes, str]:
    offloader, found = Offloader(SystemClock()), {}
    for file in list_files(volume):
        result = offloader.copy(volume.root, file.path, spool / "copy.part", lambda _done, _phase: None)
        assert hashlib.sha256((spool / "copy.part").read_bytes()).hexdigest() == result.sha256
        found[file.path] = result.sha256
    return found


def digests() -> dict[bytes, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in CLIPS.items()}


def test_a_camera_is_read_like_any_recorder_and_keeps_its_files(vusb, tmp_path):
    with opened(docked(), tmp_path / "mounts", SHANGHAI) as volume:
        assert offload(volume, tmp_path) == digests()
    assert (volume.driver, volume.device_read_only, volume.dirty) == ("gphoto2", False, "unknown")
    assert volume.refusal.startswith("no-volume")
    assert {path: (vusb / os.fsdecode(path)).read_bytes() for path in CLIPS} == CLIPS


def test_a_file_that_the_camera_does_not_give_is_a_read_error_and_the_others_are_read(vusb, tmp_path):
    (vusb / "DCIM/100TEST/0.MP4").write_bytes(b"libgphoto2's virtual camera gives no MP4")
    with connected(docked(), SHANGHAI) as volume:
        with pytest.raises(CopyError) as caught:
            Offloader(SystemClock()).digest(volume.root, b"DCIM/100TEST/0.MP4", lambda _done, _phase: None)
        assert (caught.value.reason, caught.value.unread and caught.value.unread[0]) == ("read-error", 0)
        assert (
            Offloader(SystemClock()).digest(volume.root, b"DCIM/100TEST/B.JPG", lambda _d, _p: None)
            in digests().values()
        )
        with pytest.raises(CopyError, match="not-a-file"):
            Offloader(SystemClock()).digest(volume.root, b"DCIM/../../B.JPG", lambda _done, _phase: None)


def test_a_camera_that_is_not_at_its_port_is_one_clear_error():
    with (
        pytest.raises(MountError, match=r"over PTP: ValueError: no camera .* usb:099,099"),
        connected(docked("/dev/bus/usb/099/099"), SHANGHAI),
    ):
        pytest.fail("another camera was taken")


@pytest.mark.parametrize("program", ["pass", "print('{}')", "import os; os.abort()", "print('not json')"])
def test_a_session_that_ends_is_an_error_and_never_an_empty_recorder(program):
    with pytest.raises(MountError), connected(docked(), SHANGHAI, (sys.executable, "-c", program)):
        pytest.fail("nothing was listed")


def test_a_session_that_ends_in_the_middle_is_a_read_error(tmp_path):
    program = 'print(\'{"path": "QQ==", "size": 9, "mtime_ns": 0}\\n\', flush=True)'
    with connected(docked(), SHANGHAI, (sys.executable, "-c", program)) as volume:
        assert [file.path for file in list_files(volume)] == [b"A"]
        with pytest.raises(CopyError, match="read-error"):
            Offloader(SystemClock()).copy(volume.root, b"A", tmp_path / "copy.part", lambda _done, _phase: None)


def test_only_a_port_of_usb_is_ever_opened():
    assert port_of("/dev/bus/usb/003/017") == "usb:003,017"
    for node in ("/dev/sda1", "/dev/bus/usb/1/2", "/mnt/DCIM"):
        with pytest.raises(MountError, match="is no USB device"):
            port_of(node)
    with pytest.raises(ValueError, match="no port of USB"):
        camera.connected("disk:/mnt/DCIM")


def test_what_a_recorder_can_give_in_pieces_is_asked_for_in_pieces():
    recorder = FakeCamera({"/store_00010001/DCIM": {"A.MP4": b"0123456789"}})
    session = camera.Session(recorder)
    [line] = session.lines()
    assert (line["path"], line["size"]) == ("RENJTS9BLk1QNA==", 10)
    assert session.read(0, 4, 3) + session.read(0, 7, 100) == b"456789"
    assert recorder.fetched == []


def test_a_camera_is_a_recorder_only_with_the_stations_tag_and_leaves_without_its_serial():
    docks = Docks(BayMap({3: "pci-0000:00:14.0-usb-0:3:1.0-*"}), require_tag=False)
    assert docks.see(Sighting(NODE, "add", CAMERA, frozenset()), 0) == []
    assert docks.see(Sighting(NODE, "add", {**CAMERA, "ID_GPHOTO2": ""}, frozenset({"bwc"})), 0) == []
    [arrived] = docks.see(Sighting(NODE, "add", CAMERA, frozenset({"bwc"})), 1)
    assert isinstance(arrived, RecorderDocked)
    assert (arrived.bay, arrived.filesystem, arrived.identity.serial) == (3, "ptp", "X81000123")
    assert docks.see(Sighting(NODE, "bind", CAMERA, frozenset({"bwc"})), 2) == []
    bare = {"DEVTYPE": "usb_device", "ID_PATH": PORT}
    assert docks.see(Sighting(NODE, "remove", bare, frozenset()), 3) == [RecorderUndocked(NODE, 3)]
    assert docks.see(Sighting(NODE, "remove", bare, frozenset()), 4) == []

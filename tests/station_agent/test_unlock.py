"""Unlocking against a strict fake of the device; nothing here has met hardware."""

import base64
import ctypes
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import JsonObject
from station_agent import registry
from station_agent.bays import BayMap
from station_agent.clock import SystemClock
from station_agent.config import load
from station_agent.detect import TAG, Docks, Sighting
from station_agent.docking import Docking
from station_agent.errors import ConfigError, UnlockError
from station_agent.model import DeviceIdentity, RecorderDocked, RecorderUndocked
from station_agent.registry import Verdict
from station_agent.unlock import DRIVERS, sg, zfy_info
from station_agent.unlock.unlocker import Unlocker, usb_port
from station_agent.unlock.vendor_scsi import READS, Function, VendorScsi, command
from tests.conftest import ROOT
from tests.fakes import scsi_target
from tests.fakes.scsi_target import BATTERY, CARD, DISK_MODE, INFO, INITIALISE, INQUIRY, SET_TIME, STATUS, ScsiTarget
from tests.fakes.station_world import START_MS, Station, World

PORT = "pci-0000:00:14.0-usb-0:1:1.0-scsi-0:0:0:0"
AS_DISK = "pci-0000:00:14.0-usb-0:1:1.1-scsi-0:0:0:1"
SHANGHAI = ZoneInfo("Asia/Shanghai")


def locked(port: str = PORT) -> RecorderDocked:
    return RecorderDocked("/dev/sdb", 1, DeviceIdentity("", port=port), "", 10, locked=True)


def disk(port: str = AS_DISK) -> RecorderDocked:
    return RecorderDocked("/dev/sdc1", 1, DeviceIdentity("X8", port=port), "exfat", 20)


def unlocker(target: ScsiTarget, wait_s: float = 5.0, *, sets_clock: bool = True) -> Unlocker:
    return Unlocker(
        list(DRIVERS),
        SystemClock(),
        SHANGHAI,
        sets_clock=sets_clock,
        opened=target.at,
        leave_within_s=wait_s,
        return_within_s=wait_s,
    )


# ZFY_INFO


def fields(info: zfy_info.ZfyInfo) -> tuple[str, ...]:
    return info.serial, info.officer, info.officer_name, info.unit, info.unit_name


def test_both_layouts_are_told_apart_by_their_length():
    assert fields(zfy_info.decode(INFO)) == ("DSJ0001", "123456", "王小明", "310101000000", "市局")
    widths = zip((INFO[:7], INFO[7:13], INFO[13:45], INFO[45:57], INFO[57:]), (8, 7, 33, 13, 33), strict=True)
    longer = b"".join(part.ljust(width, b"\0") for part, width in widths)
    assert len(longer) == 94
    assert fields(zfy_info.decode(longer)) == fields(zfy_info.decode(INFO))
    assert zfy_info.decode(longer).block()["raw_b64"] == base64.b64encode(longer).decode()


@pytest.mark.parametrize("length", [0, 88, 90, 93, 95, 178])
def test_another_length_is_refused(length):
    with pytest.raises(UnlockError, match=f"has {length} bytes; layouts of 89 and 94 are known"):
        zfy_info.decode(bytes(length))


def test_what_is_neither_utf8_nor_gbk_is_marked_and_kept():
    info = zfy_info.decode(b"\xff\xff AB\x01\n" + INFO[7:])
    assert info.serial == "\ufffd\ufffd AB\ufffd\ufffd"
    assert info.raw[:2] == b"\xff\xff"


@given(st.binary(min_size=89, max_size=89))
def test_any_bytes_become_texts_that_a_record_can_hold(raw):
    info = zfy_info.decode(raw)
    assert all(text.isprintable() and len(text) <= 32 for text in fields(info))
    assert info.raw == raw


# The commands


def test_the_table_of_commands():
    lengths = {**READS, Function.INITIALISE: 0, Function.SET_TIME: 7, Function.DISK_MODE: 0}
    made = {command(function, lengths[function]) for function in Function}
    assert made == {*scsi_target.ANSWERS, STATUS, INITIALISE, SET_TIME, DISK_MODE}
    assert len(made) == len(Function)


def test_nothing_that_harms_can_be_said():
    """04 and 09 write what it is, 0A, 0B and 0D are of passwords and codes; formatting has no number here at all."""
    assert sorted(Function) == [0x01, 0x02, 0x03, 0x05, 0x06, 0x08, 0x0C, 0x0E]
    asked = {name for name in vars(VendorScsi) if not name.startswith("_")}
    assert asked == {"identify", "read_info", "read_battery", "set_clock", "switch_to_storage"}


@pytest.mark.parametrize("model", ["DV16 DEVICE V1.00", "dv16devicev1.00", "DV16    DEVICE V1.00"])
def test_it_is_known_by_its_inquiry_whatever_the_spaces(model):
    assert VendorScsi(ScsiTarget(model)).identify() == "DV1601"


@pytest.mark.parametrize("model", ["Generic MassStorage", "DV16 DEVICE V1.01", "", "DV16"])
def test_another_device_is_asked_nothing_but_what_it_is(model):
    target = ScsiTarget(model)
    assert VendorScsi(target).identify() is None
    assert target.asked == [INQUIRY]


def test_what_it_states_and_its_charge():
    driver = VendorScsi(ScsiTarget())
    assert driver.read_info().officer_name == "王小明"
    assert driver.read_battery() == 87
    with pytest.raises(UnlockError, match="a charge of 1677721600 %"):
        VendorScsi(ScsiTarget(answers={BATTERY: b"\0\0\0\x64"})).read_battery()


def test_its_clock_is_set_in_local_time_and_its_word_asked():
    target = ScsiTarget()
    VendorScsi(target).set_clock(datetime(2026, 11, 25, 21, 37, 9, tzinfo=SHANGHAI))
    assert target.written == [b"\xea\x07\x0b\x19\x15\x25\x09"]
    assert target.asked == [SET_TIME, STATUS]
    with pytest.raises(UnlockError, match="refuses function SET_TIME: status 5"):
        VendorScsi(ScsiTarget(statuses={SET_TIME: 5})).set_clock(datetime(2026, 1, 1, tzinfo=SHANGHAI))


def test_a_recorder_whose_card_is_offline_is_not_switched():
    target = ScsiTarget(answers={CARD: bytes(4)})
    with pytest.raises(UnlockError, match="its card is offline"):
        VendorScsi(target).switch_to_storage()
    assert DISK_MODE not in target.asked


def test_a_status_after_the_switch_counts_and_silence_does_not():
    with pytest.raises(UnlockError, match="refuses to become a disk: status 8"):
        VendorScsi(ScsiTarget(statuses={DISK_MODE: 8})).switch_to_storage()
    VendorScsi(ScsiTarget(silent={STATUS})).switch_to_storage()


# The wire


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="offsets of 64-bit machines")
def test_the_header_is_that_of_the_kernel():
    """``struct sg_io_hdr`` of scsi/sg.h, as pahole shows it on amd64 and arm64."""
    offsets = {name: getattr(sg.Header, name).offset for name in ("dxferp", "timeout", "status", "resid", "info")}
    assert (ctypes.sizeof(sg.Header), offsets) == (
        88,
        {"dxferp": 16, "timeout": 40, "status": 64, "resid": 72, "info": 80},
    )


def test_what_takes_no_scsi_commands_says_so(tmp_path):
    """The ioctl itself: there is no SCSI disk here, and the kernel says what it thinks of a file."""
    (tmp_path / "file").touch()
    with sg.opened(str(tmp_path / "file")) as device:
        with pytest.raises(UnlockError, match="SCSI command 120000002400: Inappropriate ioctl"):
            VendorScsi(device).identify()
        with pytest.raises(UnlockError, match=r"SCSI command fb82.*: Inappropriate ioctl"):
            device.write(DISK_MODE, b"")
    with pytest.raises(UnlockError, match="cannot be opened: No such file"), sg.opened(str(tmp_path / "none")):
        pass


class Kernel:
    """Fills in the header as sg(4) says, and remembers it."""

    def __init__(self, data: bytes = b"", **answer: int) -> None:
        self.data, self.answer, self.headers = data, answer, list[sg.Header]()
        self.disk = sg.SgDisk(9, "/dev/sdz", self.ioctl)

    def ioctl(self, fd: int, request: int, header: sg.Header) -> None:
        assert (fd, request) == (9, 0x2285)
        self.headers.append(header)
        for name, value in self.answer.items():
            setattr(header, name, value)
        if self.data:
            ctypes.memmove(header.dxferp, self.data, len(self.data))


def test_the_header_of_each_direction():
    kernel = Kernel()
    kernel.disk.read(BATTERY, 4)
    kernel.disk.write(SET_TIME, bytes(7))
    kernel.disk.write(DISK_MODE, b"")
    seen = [(h.interface_id, h.dxfer_direction, h.cmd_len, h.dxfer_len, h.timeout) for h in kernel.headers]
    assert seen == [(83, -3, 16, 4, 2_000), (83, -2, 16, 7, 10_000), (83, -1, 16, 0, 10_000)]
    assert kernel.headers[2].dxferp is None
    assert Kernel(b"DV16").disk.read(BATTERY, 4) == b"DV16"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"info": 1, "status": 2}, "failed: status 2, host 0"),
        ({"info": 1, "host_status": 3}, "host 3"),
        ({"resid": 1}, "3 bytes came where 4 were asked"),
    ],
)
def test_a_command_that_failed_or_fell_short_is_an_error(answer, said):
    with pytest.raises(UnlockError, match=said):
        Kernel(**answer).disk.read(BATTERY, 4)


def test_data_that_were_not_all_taken_are_an_error():
    with pytest.raises(UnlockError, match="not all of 7 bytes were taken"):
        Kernel(resid=2).disk.write(SET_TIME, bytes(7))


# Leaving and coming back


@pytest.mark.parametrize(
    ("path", "port"),
    [
        (PORT, "pci-0000:00:14.0-usb-0:1"),
        (AS_DISK, "pci-0000:00:14.0-usb-0:1"),
        ("pci-0000:00:14.0-usb-0:2.4:1.0-scsi-0:0:0:0", "pci-0000:00:14.0-usb-0:2.4"),
        ("pci-0000:00:14.0-usb-0:2.41:1.0", "pci-0000:00:14.0-usb-0:2.41"),
        ("platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0", "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2"),
        ("pci-0000:00:1f.2-ata-1", "pci-0000:00:1f.2-ata-1"),
    ],
)
def test_the_port_stays_when_the_interface_changes(path, port):
    assert usb_port(path) == port


def test_what_it_said_is_known_when_it_is_back_at_its_port_and_only_once():
    gone, told = threading.Event(), list[object]()

    def leaves() -> None:
        gone.set()
        threading.Timer(0.05, lambda: told.extend(who.returned(event) for event in (locked(), disk(), disk()))).start()

    who = unlocker(ScsiTarget(on_disk_mode=leaves))
    who.unlock(locked(), gone)
    nothing, facts, again = told
    assert (nothing, again) == ({}, {})
    assert isinstance(facts, dict)
    assert {name: facts[name] for name in ("driver", "id_code", "battery_percent")} == {
        "driver": "dv16-scsi",
        "id_code": "DV1601",
        "battery_percent": 87,
    }
    assert facts["as_stated"]["officer"] == "123456"


def test_who_comes_to_another_port_is_somebody_else():
    gone = threading.Event()
    told = list[object]()

    def leaves() -> None:
        gone.set()
        told.append(who.returned(disk("pci-0000:00:14.0-usb-0:11:1.0")))

    who = unlocker(ScsiTarget(on_disk_mode=leaves), 0.05)
    with pytest.raises(UnlockError, match="did not come back"):
        who.unlock(locked(), gone)
    assert told == [{}]
    assert who.returned(disk()) == {}  # it is too late for that


def test_an_answer_is_no_proof_that_it_left():
    with pytest.raises(UnlockError, match="stayed as it was"):
        unlocker(ScsiTarget(), 0.05).unlock(locked(), threading.Event())


def test_a_refused_switch_leaves_nothing_behind():
    who = unlocker(ScsiTarget(statuses={DISK_MODE: 8}))
    with pytest.raises(UnlockError, match="status 8"):
        who.unlock(locked(), threading.Event())
    assert who.returned(disk()) == {}


def test_a_reader_without_a_card_is_let_be():
    target = ScsiTarget("Generic Card Reader")
    unlocker(target).unlock(locked(), threading.Event())
    assert target.asked == [INQUIRY]


def test_questions_without_an_answer_keep_nothing_from_being_copied():
    gone = threading.Event()
    told = list[object]()

    def leaves() -> None:
        gone.set()
        told.append(who.returned(disk()))

    info = next(cdb for cdb, answer in scsi_target.ANSWERS.items() if answer == INFO)
    who = unlocker(ScsiTarget(on_disk_mode=leaves, silent={info, BATTERY}))
    who.unlock(locked(), gone)
    [facts] = told
    assert isinstance(facts, dict)
    assert (facts["problem"], "as_stated" in facts, "battery_percent" in facts) == (
        "Connection timed out",
        False,
        False,
    )


# In the station


def without_medium(sectors: int = 0, **properties: str) -> Sighting:
    shown = {"DEVTYPE": "disk", "ID_PATH": PORT, "BWC_BAY": "1", **properties}
    return Sighting("/dev/sdb", "add", shown, frozenset({TAG}), sectors)


def test_a_disk_without_a_medium_arrives_only_where_it_could_be_unlocked():
    assert Docks(BayMap({}), require_tag=True).see(without_medium(), 1) == []
    seen = Docks(BayMap({}), require_tag=True, unlocks=True)
    [event] = seen.see(without_medium(), 1)
    assert isinstance(event, RecorderDocked)
    assert (event.locked, event.filesystem) == (True, "")
    assert seen.see(without_medium(), 2) == []
    assert seen.see(Sighting("/dev/sdc", "add", without_medium().properties, frozenset()), 3) == []  # no tag
    with_card = seen.see(without_medium(1000), 4)
    assert [type(event) for event in with_card] == [RecorderUndocked, RecorderDocked]
    assert isinstance(with_card[1], RecorderDocked)
    assert not with_card[1].locked


@dataclass
class Unlocks:
    """Satisfies ``pipeline.Unlocking``: every recorder was unlocked. Knows what was sealed when its clock was set."""

    fails: str = ""
    wanted: bool = True
    told: JsonObject = field(default_factory=lambda: {"driver": "dv16-scsi"})
    events: Callable[[], list[str]] = list
    sealed: list[int] = field(default_factory=list)

    def unlock(self, _event: RecorderDocked, _gone: threading.Event) -> None:
        if self.fails:
            raise UnlockError(self.fails)

    def returned(self, _event: RecorderDocked) -> JsonObject:
        return self.told

    def set_clock(self, _event: RecorderDocked) -> bool:
        self.sealed.append(self.events().count("ingest.copied"))
        if self.fails:
            raise UnlockError(self.fails)
        return self.wanted


def station_with(tmp_path: Path, unlocks: Unlocks, *, measured: bool = True) -> Station:
    """A recorder with two clips; one that was unlocked, whose clock is a minute ahead where it can be measured."""
    world = World(tmp_path, unlocker=unlocks)
    world.put("a.mp4")
    world.put("b.mp4")
    if measured:
        os.utime(world.put("LOG/20261125.txt"), ns=((START_MS + 61_000) * 1_000_000,) * 2)
    station = world.start()
    unlocks.events = station.events
    return station


def bodies(station: Station, event: str) -> list[JsonObject]:
    return [entry.record.payload for entry in station.seal.entries(0) if entry.record.event == event]


def test_what_it_said_stands_in_the_record_of_its_docking(tmp_path):
    station = station_with(tmp_path, Unlocks(wanted=False))
    station.pipeline.docked(station.event())
    [docked] = bodies(station, "device.docked")
    assert docked["unlocked"] == {"driver": "dv16-scsi"}
    assert bodies(station, "clock.set") == []


def test_its_product_number_is_a_source_of_its_identity(tmp_path):
    told: JsonObject = {"as_stated": {"serial": "DSJ0001"}}
    station = station_with(tmp_path, Unlocks(told=told, wanted=False))
    listed = "serial,usb_serial,card_id\nR1,EC2300471,DSJ0001\nR2,,DSJ0002\n"
    for number, verdict in ("DSJ0001", Verdict.REGISTERED), ("DSJ0002", Verdict.CONFLICT), ("DSJ3", Verdict.CONFLICT):
        docking = Docking(station.event(), "1", registry=registry.parse(listed.encode(), "r.csv"))
        docking.unlocked = {"as_stated": {"serial": number}}
        assert docking.identity.verdict is verdict
        assert "zfy-info" in {claim.source for claim in docking.identity.claims}
    station.pipeline.docked(station.event())
    [docked] = bodies(station, "device.docked")
    assert '"zfy-info"' in json.dumps(docked["identity"])


def test_a_recorder_that_was_not_unlocked_has_no_such_block(tmp_path):
    station = station_with(tmp_path, unlocks := Unlocks(told={}))
    station.pipeline.docked(station.event())
    [docked] = bodies(station, "device.docked")
    assert "unlocked" not in docked
    assert unlocks.sealed == []


@pytest.mark.parametrize(("fails", "result"), [("", "accepted"), ("it sleeps", "failed")])
def test_its_clock_is_set_after_all_is_sealed_and_its_offset_was_measured(tmp_path, fails, result):
    station = station_with(tmp_path, unlocks := Unlocks(fails))
    station.pipeline.docked(station.event())
    assert unlocks.sealed == [3]
    [said] = bodies(station, "clock.set")
    assert (said["result"], said["note"]) == (result, fails)
    assert isinstance(said["clock"], dict)
    assert said["clock"]["method"] == "connect-write"
    assert station.events().index("clock.set") > station.events().index("device.docked")


def test_a_clock_that_was_not_measured_is_not_set(tmp_path):
    station = station_with(tmp_path, unlocks := Unlocks(), measured=False)
    station.pipeline.docked(station.event())
    assert unlocks.sealed == []


def test_a_clock_is_not_set_while_anything_is_left_to_copy(tmp_path):
    station = station_with(tmp_path, unlocks := Unlocks())
    station.world.copier.reasons[b"a.mp4"] = "read-error"
    station.pipeline.docked(station.event())
    assert unlocks.sealed == []


def test_a_recorder_that_stays_locked_is_a_fact_for_the_log(tmp_path):
    station = station_with(tmp_path, Unlocks("it stayed as it was"))
    summary = station.pipeline.docked(replace(station.event(), filesystem="", locked=True))
    assert not summary.complete
    [failed] = bodies(station, "ingest.failed")
    assert (failed["reason"], failed["note"]) == ("locked", "it stayed as it was")


def test_one_that_comes_back_as_a_disk_says_nothing_while_it_is_locked(tmp_path):
    station = station_with(tmp_path, Unlocks())
    event = replace(station.event(), filesystem="", locked=True)
    assert station.pipeline.docked(event).complete
    assert station.pipeline.resting() == []  # nobody tries to empty it
    station.pipeline.undocked(RecorderUndocked(event.node, 1))
    assert station.events() == []


def test_the_clock_is_set_on_the_disk_it_became():
    target = ScsiTarget()
    assert unlocker(target).set_clock(disk())
    assert target.opened == ["/dev/sdc1"]
    [_, written] = target.written
    assert len(written) == 7
    assert not unlocker(target, sets_clock=False).set_clock(disk())
    with pytest.raises(UnlockError, match="as a disk the recorder does not answer"):
        unlocker(ScsiTarget("Generic Disk")).set_clock(disk())


def test_no_driver_is_the_default_and_an_unknown_one_is_refused(tmp_path):
    text = (ROOT / "config/station-agent.toml").read_text()
    path = tmp_path / "station-agent.toml"
    path.write_text(text)
    assert (load(path).unlock.drivers, load(path).unlock.set_clock) == ((), False)
    path.write_text(text.replace("drivers = []", 'drivers = ["dv16-scsi"]'))
    assert load(path).unlock.drivers == ("dv16-scsi",)
    path.write_text(text.replace("drivers = []", 'drivers = ["any"]'))
    with pytest.raises(ConfigError, match="a driver is allowed: dv16-scsi"):
        load(path)

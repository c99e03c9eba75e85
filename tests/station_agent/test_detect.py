from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent import detect
from station_agent.bays import BayMap
from station_agent.detect import TAG, Docks, Sighting, bay_of, identity_of, is_unformatted, is_volume, require_same
from station_agent.errors import MountError
from station_agent.model import DeviceIdentity, RecorderDocked, RecorderUndocked

NODE = "/dev/sdb1"
PORT = "pci-0000:00:02.0-usb-0:1:1.0-scsi-0:0:0:0"
FORMATTED = {"DEVTYPE": "partition", "ID_FS_USAGE": "filesystem", "ID_FS_TYPE": "exfat", "ID_FS_UUID": "6B13-F45E"}
CLASSES = ":080650:"
RECORDER = {**FORMATTED, "ID_SERIAL_SHORT": "X81000123", "ID_PATH": PORT, "ID_USB_INTERFACES": CLASSES, "BWC_BAY": "3"}
IDENTITY = DeviceIdentity("X81000123", volume_uuid="6B13-F45E", port=PORT, interfaces=CLASSES)
TAGGED = frozenset({TAG, "systemd"})


def docks(*, require_tag: bool = True) -> Docks:
    return Docks(BayMap({1: "*usb-0:1:1.0*"}), require_tag)


def add(properties: dict[str, str] = RECORDER, tags: frozenset[str] = TAGGED) -> Sighting:
    return Sighting(NODE, "add", properties, tags)


def change(properties: dict[str, str] = RECORDER) -> Sighting:
    return Sighting(NODE, "change", properties, TAGGED)


REMOVE = Sighting(NODE, "remove", RECORDER, TAGGED)


def test_a_recorder_arrives_once_and_leaves_once():
    seen = docks()
    assert seen.see(add(), 10) == [RecorderDocked(NODE, 3, IDENTITY, "exfat", 10)]
    assert seen.see(change(), 11) == seen.see(add(), 12) == []
    assert seen.see(REMOVE, 13) == [RecorderUndocked(NODE, 13)]
    assert seen.see(REMOVE, 14) == []


def test_a_departure_without_arrival_is_nothing():
    assert docks().see(REMOVE, 1) == []


def test_a_partition_without_file_system_arrives_when_it_is_formatted():
    seen = docks()
    unformatted = {name: value for name, value in RECORDER.items() if not name.startswith("ID_FS")}
    assert seen.see(add(unformatted), 1) == []
    assert [type(event) for event in seen.see(change(), 2)] == [RecorderDocked]


def unformatted(number: int = 1, **properties: str) -> Sighting:
    bare = {name: value for name, value in RECORDER.items() if not name.startswith("ID_FS")}
    return Sighting(NODE, "add", {**bare, **properties}, TAGGED, sectors=number)


def test_a_medium_without_file_system_arrives_without_one_and_leaves():
    seen = docks()
    [event] = seen.see(unformatted(), 1)
    assert isinstance(event, RecorderDocked)
    assert (event.bay, event.filesystem, event.identity.serial) == (3, "", "X81000123")
    assert seen.see(unformatted(), 2) == []
    assert [type(event) for event in seen.see(change(), 3)] == [RecorderUndocked, RecorderDocked]


def test_what_is_no_medium_without_file_system():
    assert not is_unformatted(unformatted(0))  # a reader without a card
    assert not is_unformatted(unformatted(ID_PART_ENTRY_TYPE="0xf"))  # holds partitions
    assert not is_unformatted(add())
    assert is_unformatted(unformatted(DEVTYPE="disk"))
    assert not is_unformatted(Sighting(NODE, "add", {"DEVTYPE": "disk"}, TAGGED, sectors=9, partitions=1))
    assert is_unformatted(Sighting(NODE, "add", {"DEVTYPE": "disk", "ID_PART_TABLE_TYPE": "gpt"}, TAGGED, sectors=9))
    assert is_unformatted(unformatted(ID_FS_USAGE="crypto", ID_FS_TYPE="crypto_LUKS"))
    assert docks().see(Sighting(NODE, "add", unformatted().properties, frozenset(), sectors=9), 1) == []


def test_another_volume_at_the_same_node_is_another_docking():
    seen = docks()
    seen.see(add(), 1)
    events = seen.see(change({**RECORDER, "ID_FS_UUID": "NEW"}), 2)
    assert [type(event) for event in events] == [RecorderUndocked, RecorderDocked]


def test_a_card_taken_out_of_its_reader_leaves():
    seen = docks()
    seen.see(add(), 1)
    assert seen.see(change({"DEVTYPE": "disk"}), 2) == [RecorderUndocked(NODE, 2)]


def test_without_the_tag_nothing_is_docked_where_it_is_required():
    assert docks().see(add(tags=frozenset({"systemd"})), 1) == []
    assert docks(require_tag=False).see(add(tags=frozenset()), 1) != []


def test_the_stations_own_disk_is_never_docked():
    own = {**FORMATTED, "ID_PATH": "pci-0000:00:1f.2-ata-1"}
    assert docks(require_tag=False).see(add(own, frozenset()), 1) == []
    assert docks().see(add(own), 1) == []


def test_the_bay_is_what_the_rule_wrote_else_what_the_port_says():
    bays = BayMap({1: "*usb-0:1:1.0*"})
    assert bay_of({"BWC_BAY": "3", "ID_PATH": PORT}, bays) == 3
    assert bay_of({"ID_PATH": PORT}, bays) == 1
    for written in ("", "0", "-1", "x", "03", "３", "99999"):
        assert bay_of({"BWC_BAY": written, "ID_PATH": PORT}, bays) == 1
        assert bay_of({"BWC_BAY": written, "ID_PATH": "elsewhere"}, bays) is None


def test_what_can_be_mounted():
    assert is_volume(FORMATTED)
    assert is_volume({**FORMATTED, "DEVTYPE": "disk"})
    assert is_volume({**FORMATTED, "ID_PART_TABLE_TYPE": "dos"})
    assert is_volume({**FORMATTED, "DEVTYPE": "disk", "ID_PART_TABLE_TYPE": "dos"})  # exFAT's boot sector ends alike
    assert not is_volume({**FORMATTED, "DEVTYPE": "disk", "ID_PART_TABLE_TYPE": "gpt"})
    assert not is_volume({**FORMATTED, "DEVTYPE": "disk", "ID_PART_TABLE_TYPE": "dos", "ID_FS_TYPE": "ext4"})
    assert not is_volume({**FORMATTED, "ID_FS_USAGE": "crypto", "ID_FS_TYPE": "crypto_LUKS"})
    assert not is_volume({"DEVTYPE": "partition"})


def test_a_label_is_decoded():
    assert identity_of({"ID_FS_LABEL": "A_B", "ID_FS_LABEL_ENC": r"A\x20B"}).volume_label == "A B"
    assert identity_of({"ID_FS_LABEL_ENC": "现场"}).volume_label == "现场"
    assert identity_of({"ID_FS_LABEL_ENC": r"\xff"}).volume_label == "\N{REPLACEMENT CHARACTER}"
    assert identity_of({}) == DeviceIdentity("")


ACTIONS = st.lists(
    st.sampled_from([add(), change(), REMOVE, change({**RECORDER, "ID_FS_UUID": "B"}), change({"DEVTYPE": "disk"})])
)


@given(ACTIONS)
def test_arrivals_and_departures_alternate_and_begin_with_an_arrival(sightings):
    seen, types = docks(), []
    for number, sighting in enumerate(sightings):
        types += [type(event) for event in seen.see(sighting, number)]
    assert types == [RecorderDocked, RecorderUndocked] * (len(types) // 2) + [RecorderDocked] * (len(types) % 2)


@given(ACTIONS)
def test_every_sighting_twice_changes_nothing(sightings):
    once, twice = docks(), docks()
    for sighting in sightings:
        assert once.see(sighting, 0) == twice.see(sighting, 0)
        assert twice.see(sighting, 0) == []


@given(st.dictionaries(st.sampled_from([*RECORDER, "ID_FS_LABEL_ENC", "ID_PART_TABLE_TYPE"]), st.text()))
def test_no_set_of_properties_breaks_the_decision(properties):
    for event in docks(require_tag=False).see(add(properties), 0):
        assert (event.node, event.at_ms) == (NODE, 0)


def test_what_udev_tells_while_it_works_on_a_further_event_is_looked_at_again(monkeypatch):
    [event] = docks().see(add(), 10)
    told = iter([change(FORMATTED), change()])
    monkeypatch.setattr(detect, "_look", lambda _node: next(told))
    require_same(event)
    assert list(told) == []


def test_what_udev_names_not_is_the_same_as_long_as_udev_names_nothing(monkeypatch):
    [bare] = docks().see(unformatted(), 10)
    as_read = replace(bare, filesystem="exfat", unnamed=True)
    monkeypatch.setattr(detect, "UDEV_PAUSES_S", ())
    monkeypatch.setattr(detect, "_look", lambda _node: unformatted())
    require_same(as_read)
    monkeypatch.setattr(detect, "_look", lambda _node: change())
    with pytest.raises(MountError, match="another volume"):
        require_same(as_read)


def test_a_recorder_that_stays_another_one_is_refused(monkeypatch):
    [event] = docks().see(add(), 10)
    monkeypatch.setattr(detect, "_look", lambda _node: change({**RECORDER, "ID_FS_UUID": "0000-0000"}))
    monkeypatch.setattr(detect, "UDEV_PAUSES_S", (0.0, 0.0))
    with pytest.raises(MountError, match="another volume"):
        require_same(event)

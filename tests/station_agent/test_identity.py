"""Whose recorder is docked: what is read of it, what the log says, what the bay shows, and what is left alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from custody.canonical import canonical_bytes
from custody.record import Record
from station_agent.card_ids import MAX_HEAD_BYTES, MAX_IDS, MAX_SETTINGS
from station_agent.docking import MAX_LIST_BYTES, Docking
from station_agent.model import (
    MAX_ID,
    MAX_TEXT,
    Card,
    CardIds,
    DeviceIdentity,
    RecorderDocked,
    RecorderUndocked,
    SourceFile,
)
from station_agent.registry import CARD_DIFFERS, OTHER_RECORDERS, SAME_SERIAL, Handling, parse
from station_agent.seal import MAX_PAYLOAD_BYTES
from station_agent.service import recorders_card_ids
from station_agent.states import BayState
from tests.fakes.station_world import Station, World

REGISTER = parse(
    b"serial,usb_serial,volume_uuid,card_id,officer\n"
    b"DSJ0731,EC2300471,6A1F-0C3B,1234567,19090114007\n"
    b"DSJ0732,EC2300472,7B2E-1D4C,7654321,\n",
    "r.csv",
)
CLIP = "DCIM/1234567_000007_20240131123456.MP4"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, registry=REGISTER, unregistered=Handling.REFUSE)
    made.put(CLIP)
    return made


def records(station: Station, event: str) -> list[Record]:
    return [entry.record for entry in station.seal.entries(0) if entry.record.event == event]


def told(station: Station, event: str) -> list[dict[str, Any]]:
    return [dict(record.block("identity")) for record in records(station, event)]


def docked(station: Station, **identity: str) -> RecorderDocked:
    event = station.event()
    changed = replace(event, identity=replace(event.identity, **identity))
    station.pipeline.docked(changed)
    return changed


def bay(station: Station, number: int = 1) -> tuple[BayState, tuple[str, ...]]:
    [tile] = [tile for tile in station.board.tiles() if tile.bay == number]
    return tile.state, tile.warnings


STRANGER = {"serial": "STRANGER", "volume_uuid": "FFFF-0001", "volume_label": "USB"}


def test_a_registered_recorder_is_read_and_named(world):
    station = world.start()
    docked(station)
    [identity] = told(station, "device.docked")
    assert (identity["verdict"], identity["recorder"], identity["officer"]) == ("registered", "DSJ0731", "19090114007")
    assert identity["registry_sha256"] == REGISTER.sha256
    assert {(one["source"], one["recorder"]) for one in identity["claims"]} == {
        ("serial", "DSJ0731"), ("volume-uuid", "DSJ0731"), ("file-name", "DSJ0731"), ("volume-label", ""),
    }  # fmt: skip
    assert told(station, "ingest.copied") == [{"verdict": "registered", "recorder": "DSJ0731"}]
    assert bay(station) == (BayState.WAITING_UPLOAD, ())
    assert [one.event.bay for one in station.pipeline.resting()] == [1]


def test_every_source_stands_in_the_camera_block(world):
    station = world.start()
    docked(station, interfaces=":080650:")
    camera = records(station, "device.docked")[0].block("camera")
    assert camera["usb_interfaces"] == ":080650:"
    assert camera["name_ids"] == ["1234567"]
    assert "card_ids" not in camera


def test_what_a_recorder_stated_before_it_was_unlocked_is_a_source(world):
    station = world.start()
    docking = Docking(
        replace(station.event(), identity=DeviceIdentity("0000000")), "x", registry=REGISTER, handling=Handling.REFUSE
    )
    assert docking.is_refused
    docking.unlocked = {"driver": "any", "as_stated": {"serial": "7654321", "officer": "000007"}}
    assert (docking.is_refused, docking.identity.recorder) == (False, "DSJ0732")
    docking.unlocked = {"driver": "any", "problem": "it did not answer"}
    assert docking.is_refused


def test_a_refused_recorder_is_not_read_and_that_is_an_entry(world):
    def never(_event: RecorderDocked) -> Any:
        pytest.fail("it was mounted")

    station = world.start()
    station.pipeline._reader = replace(station.pipeline._reader, mounted=never)
    event = docked(station, **STRANGER)
    assert station.events() == ["device.identified"]
    [identity] = told(station, "device.identified")
    assert (identity["verdict"], identity["handling"], identity["recorder"]) == ("unregistered", "refuse", "")
    assert {one["value"] for one in identity["claims"]} == {"STRANGER", "FFFF-0001", "USB"}
    assert bay(station) == (BayState.UNREGISTERED, ())
    assert station.pipeline.resting() == []
    station.pipeline.undocked(RecorderUndocked(event.node, 0))
    assert station.events() == ["device.identified", "device.undocked"]
    assert bay(station)[0] is BayState.IDLE


def test_a_refused_medium_without_file_system_is_a_failure_like_any_other(world, monkeypatch):
    monkeypatch.setattr("station_agent.pipeline.FORMAT_PATIENCE_S", 0.0)
    station = world.start()
    station.pipeline.docked(replace(station.event(), filesystem=""))
    assert station.events() == ["ingest.failed"]


@pytest.mark.parametrize(
    ("handling", "shown", "rests"),
    [
        (Handling.QUARANTINE, (BayState.SAFE_WITH_WARNINGS, ("unregistered:1",)), 0),
        (Handling.ACCEPT, (BayState.WAITING_UPLOAD, ()), 1),
    ],
)
def test_an_unregistered_recorder_that_is_read_is_marked_so(world, handling, shown, rests):
    world.unregistered = handling
    station = world.start()
    docked(station, **STRANGER)
    mark = {"verdict": "unregistered", "recorder": "", "handling": str(handling)}
    assert told(station, "ingest.copied") == [mark]
    assert told(station, "device.docked")[0]["handling"] == str(handling)
    assert bay(station) == shown
    assert len(station.pipeline.resting()) == rests


def test_a_conflict_is_copied_and_each_claim_stands_with_the_copy(world):
    station = world.start()
    docked(station, volume_uuid="7B2E-1D4C")
    [identity] = told(station, "ingest.copied")
    assert (identity["verdict"], identity["reasons"][0]) == ("conflict", OTHER_RECORDERS)
    assert {one["recorder"] for one in identity["claims"]} >= {"DSJ0731", "DSJ0732"}
    assert bay(station) == (BayState.SAFE_WITH_WARNINGS, ("identity-conflict:2",))
    assert station.pipeline.resting() == []  # nothing on it is erased before people have settled it


def test_an_id_on_the_card_that_disagrees_with_the_serial_is_a_conflict(world):
    world.put("config.json", b'{"ID": "5555555", "BadgeId": "000007"}')
    world.put("DCIM/100MEDIA/MOVI0001.mp4")
    world.put("DCIM/100MEDIA/MOVI0002.mp4")
    station = world.start()
    docked(station)
    assert records(station, "device.docked")[0].block("camera")["card_ids"] == ["5555555"]
    assert {tuple(one["reasons"]) for one in told(station, "ingest.copied")} == {(CARD_DIFFERS,)}


def test_without_a_register_nothing_is_said_of_copies(world):
    world.registry, world.unregistered = World(world.folder).registry, Handling.ACCEPT
    station = world.start()
    docked(station)
    assert told(station, "device.docked")[0]["verdict"] == "unchecked"
    assert "identity" not in records(station, "ingest.copied")[0].payload


def test_what_is_handed_in_without_a_bay_is_no_recorder(world):
    station = world.start()
    station.pipeline.docked(replace(station.event(), bay=0))
    assert told(station, "device.docked")[0]["verdict"] == "unchecked"


# Two recorders with one serial.


@pytest.fixture
def second(world) -> RecorderDocked:
    card = world.folder / "second"
    card.mkdir()
    world.put("other.MP4").rename(card / "other.MP4")
    event: RecorderDocked = world.start().event()
    return replace(event, node=str(card), bay=2, identity=replace(event.identity, volume_uuid="FFFF-0002"))


def test_a_second_recorder_with_the_serial_of_one_that_was_read_makes_both_doubtful(world, second):
    station = world.start()
    docked(station)
    assert bay(station, 1)[0] is BayState.WAITING_UPLOAD
    station.pipeline.docked(second)
    for number, other in ((1, 2), (2, 1)):
        assert bay(station, number) == (BayState.SAFE_WITH_WARNINGS, ("identity-conflict:1",))
        said = records(station, "device.identified" if number == 1 else "device.docked")[-1]
        assert (said.block("camera")["bay"], said.block("identity")["twin_bays"]) == (number, [other])
        assert said.block("identity")["reasons"] == [SAME_SERIAL]
    assert station.pipeline.resting() == []
    assert told(station, "ingest.copied")[1]["verdict"] == "conflict"


def test_a_second_recorder_that_comes_while_the_first_is_read_makes_what_follows_doubtful(world, second):
    station = world.start()
    started, go_on = threading.Event(), threading.Event()

    def during() -> None:
        started.set()
        go_on.wait(5)

    world.copier.during = during
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(station.pipeline.docked, station.event())
        assert started.wait(5)
        waiting = station.pipeline.announced(second)
        go_on.set()
        station.pipeline.read(waiting)
        one.result()
    assert [one["verdict"] for one in told(station, "device.identified")] == ["conflict"]
    assert bay(station, 1) == bay(station, 2) == (BayState.SAFE_WITH_WARNINGS, ("identity-conflict:1",))


def test_a_second_recorder_that_comes_while_the_first_is_being_announced_is_told_too(world, second, monkeypatch):
    station = world.start()
    append = station.seal.append

    def announced_in_between(event: str, body: Any) -> Any:
        if event == "device.docked":
            monkeypatch.undo()
            station.pipeline.announced(second)
        return append(event, body)

    monkeypatch.setattr(station.seal, "append", announced_in_between)
    docked(station)
    assert [one["verdict"] for one in told(station, "device.docked")] == ["registered"]
    assert [one["verdict"] for one in told(station, "device.identified")] == ["conflict"]


@pytest.mark.parametrize(
    "change", [{"serial": "0000000"}, {"serial": ""}, {"serial": "EC2300472", "volume_uuid": "7B2E-1D4C"}]
)
def test_a_default_serial_and_another_serial_make_no_twins(world, second, change):
    world.unregistered = Handling.ACCEPT
    station = world.start()
    docked(station, **({"serial": change["serial"]} if change["serial"] in ("", "0000000") else {}))
    station.pipeline.docked(replace(second, identity=replace(second.identity, **change)))
    assert records(station, "device.identified") == []


def test_two_volumes_of_one_recorder_in_one_bay_are_no_twins(world, second):
    station = world.start()
    docked(station)
    station.pipeline.docked(replace(second, bay=1))
    assert [one["verdict"] for one in told(station, "device.docked")] == ["registered"] * 2


def test_a_recorder_that_left_before_the_other_came_is_no_twin(world, second):
    station = world.start()
    event = docked(station)
    station.pipeline.undocked(RecorderUndocked(event.node, 0))
    station.pipeline.docked(second)
    assert [one["verdict"] for one in told(station, "device.docked")] == ["registered"] * 2


# Ids on the card.


def ids_of(world: World, family: str) -> CardIds:
    root = world.card
    files = [SourceFile(str(p.relative_to(root)).encode(), 1, 0) for p in sorted(root.rglob("*")) if p.is_file()]
    return recorders_card_ids(root, files, Card(family))


@pytest.mark.parametrize(
    ("family", "name", "content", "ids"),
    [
        ("eylog", "CONFIG.JSON", b'{"ID": "A100023", "BadgeId": "000007", "CardId": "77"}', ("A100023",)),
        ("eylog", "config.json", b'{"Id": 100023}', ("100023",)),
        ("eylog", "config.json", b'["ID"]', ()),
        ("eylog", "config.json", b"\xff\xfe{", ()),
        ("eylog", "config.json", b"[" * 5000, ()),
        (
            "gopro",
            "MISC/version.txt",
            b'{\n"camera type":"HERO9",\n"camera serial number":"C3441325",\n}',
            ("C3441325",),
        ),
        ("gopro", "MISC/version.txt", b"", ()),
        ("sony", "PRIVATE/M4ROOT/MEDIAPRO.XML", b'<System systemId="" systemKind="ILCE"/>', ()),
        ("sony", "PRIVATE/M4ROOT/MEDIAPRO.XML", b'<System systemKind="X" systemId="0AF0"/>', ("0AF0",)),
        (
            "sony",
            "PRIVATE/M4ROOT/CLIP/C0001M01.XML",
            b'<Device manufacturer="Sony" modelName="ILCE-7M4" serialNo="4294967295"/><Lens serialNo="1"/>',
            ("4294967295",),
        ),
        ("dsj", "config.json", b'{"ID": "A100023"}', ()),
        ("generic", "config.json", b'{"ID": "A100023"}', ()),
    ],
)
def test_ids_in_settings_files_that_a_family_knows(tmp_path, family, name, content, ids):
    world = World(tmp_path)
    world.put(name, content)
    assert ids_of(world, family).settings == ids


def test_little_is_read_of_few_files_and_nothing_through_a_link(tmp_path):
    world = World(tmp_path)
    for number in range(MAX_SETTINGS + 2):
        world.put(f"{number}.json", b'{"ID": "R%d"}' % number)
    world.put("0.json", b" " * MAX_HEAD_BYTES + b'{"ID": "LATE"}')
    world.put("1.json").unlink()
    (world.card / "1.json").symlink_to(world.card / "2.json")
    found = ids_of(world, "eylog")
    assert found.settings == ("R2", "R3")
    assert found.unread == ("1.json: not-a-file",)


def test_the_longest_that_a_card_can_state_fits_beside_a_full_list(world):
    worst = tuple(chr(0x20000 + number) * MAX_ID for number in range(MAX_IDS))
    ids, longest = CardIds(worst, worst, worst[:MAX_SETTINGS]), "\U00020000" * MAX_TEXT
    station = world.start()
    station.pipeline._reader = replace(station.pipeline._reader, card_ids=lambda _root, _files, _card: ids)
    docked(station, volume_uuid="7B2E-1D4C", volume_label=longest, interfaces=longest)
    [copied] = told(station, "ingest.copied")
    assert (copied["verdict"], len(copied["claims"])) == ("conflict", 3 + 2 * MAX_IDS)
    [docking] = station.pipeline._dockings.values()
    assert len(canonical_bytes(docking.seen([]))) + MAX_LIST_BYTES < MAX_PAYLOAD_BYTES - 2_000  # the record's head


def test_a_settings_file_that_is_refused_is_not_opened(tmp_path):
    world = World(tmp_path)
    world.put("config.json", b'{"ID": "R1"}')
    refused = SourceFile(b"config.json", 1, 0, "ambiguous-name")
    assert recorders_card_ids(world.card, [refused], Card("eylog")) == CardIds()


def test_names_state_each_recorder_once_and_never_a_default(tmp_path):
    world = World(tmp_path)
    for device in ("1234567", "7654321", "0000000", *(f"A{number:06}" for number in range(MAX_IDS))):
        world.put(f"{device}_000007_20240131123456.MP4")
    world.put("1234567_000008_20240131123456.MP4")
    found = ids_of(world, "dsj").names
    assert len(found) == MAX_IDS
    assert found[:2] == ("1234567", "7654321")

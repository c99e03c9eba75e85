"""What a docked card says of its recordings stands in the log, and what its label says reaches the description."""

import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from station_agent import recorders
from station_agent.model import Card, MountedVolume, SourceFile
from station_agent.service import claimed
from tests.conftest import ROOT
from tests.fakes.station_world import Station, World

GUIDE = ROOT / "docs/adding-a-recorder.md"


def copied(station: Station) -> dict[str, Any]:
    entries = [e.record for e in station.seal.entries(0) if e.record.event == "ingest.copied"]
    return {str(record.block("source")["path"]): record.payload for record in entries}


def test_chapters_and_side_files_say_in_the_log_that_they_are_one_recording(tmp_path):
    world = World(tmp_path)
    names = [f"DCIM/100GOPRO/{name}" for name in ("GH010001.MP4", "GH020001.MP4", "GH010001.THM", "GH010002.MP4")]
    for name in names:
        world.put(name, name.encode())
    station = world.start()
    station.pipeline.docked(station.event())
    said = copied(station)
    assert {body["camera"]["family"] for body in said.values()} == {"gopro"}
    first, second, thumb, other = (said[name]["recording"] for name in names)
    assert first == {"key": first["key"], "part": 1, "parts": 2, "role": "clip"}
    assert second == {**first, "part": 2}
    assert thumb == {**first, "role": "side"}
    assert other["key"] != first["key"]


def test_every_copied_file_of_a_card_has_its_place(tmp_path):
    world = World(tmp_path)
    for name in ("a.mp4", "LOG/20240131.txt", "\n.mp4"):
        world.put(name, name.encode())
    station = world.start()
    station.pipeline.docked(station.event())
    said = copied(station)
    assert len(said) == len({body["recording"]["key"] for body in said.values()}) == 3


def test_the_label_of_a_volume_names_the_recorder_and_a_person_outranks_it(tmp_path):
    world = World(tmp_path)
    world.put("files/data/0001.avi")
    station = world.start()
    event = station.event()
    station.pipeline.docked(replace(event, identity=replace(event.identity, volume_label="CAM07")))
    [body] = copied(station).values()
    assert (body["camera"]["family"], body["camera"]["label"]) == ("tecsar", "CAM07")
    card = Card(body["camera"]["family"], body["camera"]["label"])
    assert claimed(b"files/data/0001.avi", card, {}).device == "CAM07"
    assert claimed(b"files/data/0001.avi", card, {"recorder": "R1"}).device == "R1"


def test_the_officer_in_the_log_is_read_as_the_cards_family_reads_names(tmp_path):
    world = World(tmp_path)
    doubtful = "DCIM/220318/12345_12345620220318123456_0001.MP4"
    for name in (doubtful, "FILE/100RECOR/12345_12345620220318124456_0002.MP4"):
        world.put(name, name.encode())
    station = world.start()
    station.pipeline.docked(station.event())
    camera = copied(station)[doubtful]["camera"]
    assert (camera["family"], camera["officer_as_stated"]) == ("cammpro", "123456")
    assert recorders.claims(doubtful.encode()).officer == "12345_123456"


def test_what_was_handed_in_by_many_hands_is_no_card(tmp_path):
    world = World(tmp_path)
    path = world.put("GH010001.MP4")
    station = world.start()
    volume = MountedVolume(world.card, "", "folder", "folder", ("ro",), device_read_only=False)
    file = SourceFile(b"GH010001.MP4", path.stat().st_size, path.stat().st_mtime_ns)
    station.pipeline.take(station.event(), volume, [file], {})
    [body] = copied(station).values()
    assert "recording" not in body
    assert body["camera"]["family"] == "dropfolder"


@pytest.fixture
def guide(tmp_path) -> dict[str, Any]:
    """The page's family and its test, run as they stand there."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    path = tmp_path / "falke.py"
    path.write_text("\n".join(blocks))
    return runpy.run_path(str(path))


def test_the_example_of_the_page_works_as_it_stands(guide):
    tests = [thing for name, thing in guide.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_the_page_names_every_family_and_every_field():
    text = GUIDE.read_text()
    assert [family.id for family in recorders.FAMILIES if f"`{family.id}`" not in text] == []
    assert [field for field in recorders.Place.__dataclass_fields__ if f"`{field}`" not in text] == []
    assert [field for field in recorders.Claims.__dataclass_fields__ if f"`{field}`" not in text] == []


def test_the_table_has_a_file_for_each_row():
    folder = Path(recorders.__file__).parent
    assert {family.id for family in recorders.FAMILIES} == {
        path.stem for path in folder.glob("*.py") if path.stem not in {"__init__", "family", "grouping"}
    }

import os
import threading
from pathlib import Path
from types import SimpleNamespace

from custody.profile import Profile
from station_agent import service
from station_agent.dropfolder import DropFolder
from station_agent.pipeline import Summary
from station_agent.service import opened
from tests.fakes.station_world import Station, World
from tests.station_agent.test_profile import station


def take_all(station: Station, folder: Path) -> list[Summary]:
    """Everything that is delivered in the folder, as the running station takes it."""
    rooms = SimpleNamespace(pipeline=station.pipeline, clock=station.world.clock)
    dropped = DropFolder(folder, settle_s=0)
    list(dropped._settled(0.0))
    return [service._take_dropped(rooms, folder, file) for file in dropped._settled(1.0)]  # type: ignore[arg-type]  # the two rooms it uses


def test_what_is_handed_in_is_sealed_and_what_is_refused_is_recorded(tmp_path):
    world = World(tmp_path)
    world.put("clip.mp4")
    world.put("clip.mp4.json", b'{"officer": "\\ud800", "recorder": "%s", "case": "2024-1"}' % (b"x" * 60_000))
    world.put("export.json", b"[1,2]")
    (world.card / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(world.card / "fifo.mp4")
    station = world.start()
    summaries = take_all(station, world.card)
    assert sum(summary.sealed for summary in summaries) == 3
    assert sum(summary.refused for summary in summaries) == 2
    records = [entry.record for entry in station.seal.entries(0)]
    failed = {r.block("source")["path"]: r.payload["reason"] for r in records if r.event == "ingest.failed"}
    assert failed == {"link.mp4": "symlink", "fifo.mp4": "fifo"}
    copied = {r.block("source")["path"]: r for r in records if r.event == "ingest.copied"}
    assert set(copied) == {"clip.mp4", "clip.mp4.json", "export.json"}
    stated = copied["clip.mp4"].block("stated")
    assert stated["case"] == "2024-1"
    assert "officer" not in stated
    assert "recorder" in str(stated["problem"])
    assert take_all(station, world.card)
    assert len(list(station.seal.entries(0))) == len(records)


def test_links_of_a_describer_that_was_killed_are_gone_at_the_next_start_and_what_they_lead_to_is_not(tmp_path):
    config = station(tmp_path, Profile.STD)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"footage")
    left = config.work / "describe-0dxhfvis"
    left.mkdir(parents=True)
    (left / "media.mp4").symlink_to(clip)
    with opened(config, threading.Event(), patient=False):
        assert not config.work.exists()
    assert clip.read_bytes() == b"footage"

from pathlib import Path

import pytest

from station_agent import status
from station_agent.model import RecorderDocked
from station_agent.states import BayState
from station_agent.status import Board, CentreLink, LogHead, Tile, status_of
from tests.fakes.station_world import ORIGIN, World

HEAD = LogHead(ORIGIN, 5, "00")
LINK = CentreLink(online=True, since_ms=1)


def test_safe_only_when_uploaded_and_receipted(tmp_path: Path):
    world = World(tmp_path)
    world.put("a.MP4")
    station = world.start()
    station.pipeline.docked(station.event())

    def bay():
        return status_of("station-01", "running", station.board, station.journal, HEAD, LINK)["bays"][0]

    assert (bay()["state"], bay()["files_done"], bay()["files_total"]) == ("waiting-upload", 1, 1)
    [clip] = station.journal.clips(station.event().identity.key).values()
    station.journal.receipted(clip.object_id, b"receipt")
    assert bay()["state"] == "waiting-upload"
    job = station.journal.due_job("upload", 2**52, 0)
    assert job is not None
    station.journal.finish(job)
    assert bay()["state"] == "safe"
    assert bay()["serial"] == "EC2300471"


@pytest.mark.parametrize("state", BayState)
def test_a_bay_can_be_shown_in_every_state(state):
    assert status._least_done([Tile(1, "", "", "", "", kernel_event=True, state=state)], 1).state is state


def test_progress_rate_and_rest(tmp_path: Path):
    now = [100.0]
    board = Board([1, 2], lambda: now[0])
    station = World(tmp_path).start()
    event = station.event()
    board.begin("one", event, kernel_event=True)
    board.plan("one", 2, 1000)
    board.progress("one", "a", 400, "reading")
    now[0] = 102.0
    bays = status_of("station-01", "running", board, station.journal, HEAD, LINK)["bays"]
    assert [(b["bay"], b["state"]) for b in bays] == [(1, "reading"), (2, "idle")]
    assert (bays[0]["bytes_done"], bays[0]["rate_bytes_s"], bays[0]["eta_s"]) == (400, 200, 3)
    board.progress("one", "a", 10, "verifying")
    assert board.tiles()[0].state is BayState.VERIFYING
    board.progress("one", "b", 10, "reading")
    assert board.tiles()[0].state is BayState.READING


@pytest.mark.parametrize("last", [BayState.READING, BayState.ERROR])
def test_of_two_volumes_in_a_bay_the_one_that_is_least_done_is_shown(tmp_path: Path, last):
    board = Board()
    event = World(tmp_path).start().event()
    for node, state in (("/dev/a1", BayState.NO_NEW_DATA), ("/dev/a2", last)):
        board.begin(node, RecorderDocked(node, 1, event.identity, "exfat", 1), kernel_event=True)
        board.show(node, state)
    assert [tile.state for tile in board.tiles()] == [last]
    board.end("/dev/a2")
    assert [tile.state for tile in board.tiles()] == [BayState.NO_NEW_DATA]


def test_comparing_moves_the_bar_and_says_verifying(tmp_path: Path):
    board, station = Board([1]), World(tmp_path).start()
    board.begin("one", station.event(), kernel_event=True)
    board.plan("one", 1, 100)
    board.progress("one", "a", 40, "comparing")
    [bay] = status_of("station-01", "running", board, station.journal, HEAD, LINK)["bays"]
    assert (bay["state"], bay["bytes_done"]) == ("verifying", 40)


def test_a_docking_that_ends_late_says_nothing_of_the_next_one(tmp_path: Path):
    board, event = Board([1]), World(tmp_path).start().event()
    board.begin("old", event, kernel_event=True)
    board.leave("old")
    board.begin("new", event, kernel_event=True)
    board.show("old", BayState.PULLED_EARLY)
    assert [tile.state for tile in board.tiles()] == [BayState.IDENTIFYING]
    board.end("old")
    assert [tile.serial for tile in board.tiles()] == [event.identity.serial]

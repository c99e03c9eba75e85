"""Clocks of recorders and backlogs of units, asked through a whole centre."""

import json
from datetime import UTC, datetime

import pytest

from ingestd import flag_life
from ingestd.decisions import Person
from ingestd.rules.rule import DAY_MS
from ingestd.watch import impossible_time, offset_of
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import World

CLOCK = "clock-drift:REC1"
BACKLOG = "unlinked-backlog:城管一队"
NOWHERE = "unlinked-backlog:"


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def station(world):
    return world.stations[0]


def open_flags(world, rule):
    return {row.flag_id for row in world.queries.flags("open", rule).rows}


def dock(world, offset_ms, day=0, uncertainty_ms=0, **beside):
    """A recorder is docked on a day, its clock measured, one clip copied."""
    station = world.stations[0]
    station.utc_ms = max(station.utc_ms, NOW_MS + day * DAY_MS)
    world.clock.ms = max(world.clock.ms, station.utc_ms)
    clock = {"offset_ms": offset_ms, "uncertainty_ms": uncertainty_ms, "method": "connect-write", **beside}
    clip = station.clip(station.utc_ms - 3_600_000, clock=clock)
    world.pipeline.handle([station.message()])
    return clip


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ([(60_000, 0)], False),
        ([(60_001, 0)], True),
        ([(60_001, 1)], False),
        ([(-60_001, 0)], True),
        ([(0, 0), (3_000, 0)], False),
        ([(0, 0), (3_002, 0)], True),
        ([(0, 0), (3_002, 1_000)], False),
        ([(50_000, 0), (0, 0)], False),
        ([(None, None)], False),
        ([(90_000, 0), (None, None)], True),
    ],
)
def test_a_clock_that_is_off_or_drifts_is_told(world, readings, told):
    for day, (offset_ms, uncertainty_ms) in enumerate(readings):
        dock(world, offset_ms, day, uncertainty_ms)

    assert open_flags(world, "clock-drift") == ({CLOCK} if told else set())


@pytest.mark.parametrize(
    ("station", "uncertainty_ms"),
    [({}, 5), ({"station": {"uncertainty_ms": 7}}, 12), ({"station": {"uncertainty_ms": None}}, 60_005)],
    ids=["an earlier station", "synchronised", "not synchronised"],
)
def test_what_the_stations_clock_may_be_off_by_is_not_the_recorders_fault(station, uncertainty_ms):
    clock = {"offset_ms": 90_000, "uncertainty_ms": 5, "method": "connect-write", **station}
    assert offset_of({"clock": clock}, 60_000) == (90_000, uncertainty_ms)


def test_a_clock_that_an_unsynchronised_station_found_wrong_is_told_only_beyond_both(world):
    dock(world, 120_000, station={"synchronised": "no", "uncertainty_ms": None})
    assert open_flags(world, "clock-drift") == set()
    dock(world, 120_001, station={"synchronised": "no", "uncertainty_ms": None})
    assert open_flags(world, "clock-drift") == {CLOCK}


def test_a_good_reading_withdraws_it_and_a_late_message_of_an_earlier_docking_does_not(world, station):
    dock(world, 90_000)
    assert open_flags(world, "clock-drift") == {CLOCK}
    before = len(station.entries)
    dock(world, 0, 1)
    assert open_flags(world, "clock-drift") == set()
    assert len(station.entries) > before


def test_many_clips_of_one_docking_are_one_reading(world):
    for _ in range(4):
        dock(world, 0)
    for _ in range(4):
        dock(world, 5_000, 1)

    [flag] = world.queries.flags("open", "clock-drift").rows
    assert 4_900 < flag.inputs["drift_millis"] <= 5_000
    assert world.events().count("flag.set") == 1


def later(world, days):
    world.clock.ms += round(days * DAY_MS)
    world.pipeline.sweep()


def test_a_backlog_is_told_by_unit_once_the_oldest_has_waited_too_long(world, station):
    officer = {"officers": [{"number": "000001", "name": "王", "unit": "城管一队"}]}
    world.pipeline.import_cases(json.dumps(officer).encode(), "officers.json")
    station.clip(NOW_MS - 100 * 3_600_000, officer_as_stated="000001")
    station.clip(NOW_MS - 100 * 3_600_000, officer_as_stated="")
    world.pipeline.handle([station.message()])
    later(world, 6.9)
    assert open_flags(world, "unlinked-backlog") == set()

    later(world, 0.2)
    later(world, 1)
    assert open_flags(world, "unlinked-backlog") == {BACKLOG, NOWHERE}
    assert "未登记单位" in {row.flag_id: row.detail for row in world.queries.flags("open").rows}[NOWHERE]


def test_whoever_looks_at_a_clip_has_dealt_with_it(world, station):
    clips = [station.clip(NOW_MS - 100 * 3_600_000) for _ in range(2)]
    world.pipeline.handle([station.message()])
    later(world, 8)
    [flag] = world.queries.flags("open", "unlinked-backlog").rows

    world.pipeline.viewed(clips[0], "detail", "甲")
    world.pipeline.sweep()
    [still] = world.queries.flags("open", "unlinked-backlog").rows
    assert still.inputs["oldest_ms"] > flag.inputs["oldest_ms"]

    world.pipeline.viewed(clips[1], "detail", "甲")
    world.pipeline.sweep()
    assert open_flags(world, "unlinked-backlog") == set()


def test_explained_backlog_is_not_told_anew_by_each_sweep(world, station):
    station.clip(NOW_MS - 100 * 3_600_000)
    world.pipeline.handle([station.message()])
    later(world, 8)
    world.pipeline.decide(flag_life.explain(NOWHERE, Person("甲", "正在整理")))
    entries = len(world.events())

    later(world, 1)

    assert len([one for one in world.events()[entries:] if one.startswith("flag.")]) == 0
    [flag] = world.queries.flags("explained", "unlinked-backlog").rows
    assert flag.flag_id == NOWHERE


def named(world, *notes, day=0):
    """One clip for each note on the time that it states, all of one docking."""
    station = world.stations[0]
    station.utc_ms = max(station.utc_ms, NOW_MS + day * DAY_MS)
    world.clock.ms = max(world.clock.ms, station.utc_ms)
    for note in notes:
        station.clip(times=[{"source": "file-name", "raw": "20010101003600", "zone": "UTC", "utc_ms": 1, "note": note}])
    world.pipeline.handle([station.message()])


@pytest.mark.parametrize(
    ("source", "note", "told"),
    [
        ("file-name", "factory-default", True),
        ("file-name", "before-2000", True),
        ("exif", "factory-default", True),
        ("file-name", "chosen", False),
        ("file-name", "future", False),
        ("container", "before-2000", False),
        ("mtime", "before-2000", False),
    ],
)
def test_a_time_that_only_a_clock_without_its_date_states(source, note, told):
    times = [
        {"source": "mtime", "raw": "1", "note": "chosen"},
        {"source": source, "raw": "20010101003600", "note": note},
    ]
    assert impossible_time({"times": times}) == ("20010101003600" if told else "")


def test_one_file_of_the_latest_docking_is_enough_and_sound_dates_at_the_next_withdraw_it(world):
    named(world, "chosen", "factory-default", "chosen")
    [flag] = world.queries.flags("open", "clock-reset").rows
    assert flag.inputs["stated"] == "20010101003600"
    named(world, "chosen", day=1)
    assert open_flags(world, "clock-reset") == set()


def issue(world, start_ms, end_ms=None, recorder="REC1", officer="000001"):
    when = {"start": moment_text(start_ms), **({"end": moment_text(end_ms)} if end_ms else {})}
    ledger = {"assignments": [{"recorder": recorder, "officer": officer, **when}]}
    read, _ = world.pipeline.import_cases(json.dumps(ledger).encode(), "ledger.json")
    assert not read.errors


def moment_text(at_ms):
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


UNSEEN = {"recorder-not-seen:REC1"}


def test_a_recorder_that_somebody_holds_and_that_comes_to_no_dock_is_told_until_it_comes(world, station):
    issue(world, NOW_MS)
    later(world, 7)
    assert open_flags(world, "recorder-not-seen") == set()
    later(world, 0.01)
    assert open_flags(world, "recorder-not-seen") == UNSEEN

    station.utc_ms = world.clock.ms
    station.docked()
    world.pipeline.handle([station.message()])
    later(world, 0)
    assert open_flags(world, "recorder-not-seen") == set()

    later(world, 7.01)
    assert open_flags(world, "recorder-not-seen") == UNSEEN
    station.utc_ms = world.clock.ms
    station.seen("a.mp4")
    world.pipeline.handle([station.message()])
    later(world, 0)
    assert open_flags(world, "recorder-not-seen") == set(), "files of it came in without a dock"


def test_a_recorder_that_was_handed_back_is_not_asked_after(world):
    issue(world, NOW_MS, NOW_MS + 8 * DAY_MS)
    later(world, 7.5)
    assert open_flags(world, "recorder-not-seen") == UNSEEN
    later(world, 0.51)
    assert open_flags(world, "recorder-not-seen") == set()


def test_of_a_recorder_that_is_to_be_issued_the_present_holder_is_asked(world):
    issue(world, NOW_MS)
    issue(world, NOW_MS + 20 * DAY_MS, officer="000002")
    later(world, 7.01)
    [flag] = world.queries.flags("open", "recorder-not-seen").rows
    assert flag.inputs["officer"] == "000001"

"""Clocks of recorders and backlogs of units, asked through a whole centre."""

import json

import pytest

from ingestd import flag_life
from ingestd.decisions import Person
from ingestd.rules.rule import DAY_MS
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


def dock(world, offset_ms, day=0, uncertainty_ms=0):
    """A recorder is docked on a day, its clock measured, one clip copied."""
    station = world.stations[0]
    station.utc_ms = max(station.utc_ms, NOW_MS + day * DAY_MS)
    world.clock.ms = max(world.clock.ms, station.utc_ms)
    clock = {"offset_ms": offset_ms, "uncertainty_ms": uncertainty_ms, "method": "connect-write"}
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

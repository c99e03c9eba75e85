"""What the centre tells the stations of planned acts."""

import json

import pytest

from custody.plans import MAX_TEXT, read_plans
from ingestd.model import EnforcementAction, Interval, Level
from ingestd.upcoming import AHEAD_MS, Upcoming, acts_of
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import ORIGIN, SIGNER, World
from tests.ingestd.test_registers import at

HOUR = 3_600_000


def plan(name, start_ms, level="full"):
    return {
        "id": name,
        "case": "案〔2026〕1号",
        "type": "查封、扣押",
        "level": level,
        "officers": ["000001"],
        "planned_start": at(start_ms),
        "planned_end": at(start_ms + HOUR),
    }


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation(), FakeStation("station-02", 2)]).started()
    yield made
    made.close()


def test_every_station_is_told_of_the_acts_of_the_next_day(world):
    told = {}
    types = world.settings.catalogue.spoken()
    upcoming = Upcoming(world.engine, world.pipeline, ORIGIN, types, world.clock.now_ms, told.__setitem__)
    plans = [plan("P1", NOW_MS + HOUR), plan("P2", NOW_MS + AHEAD_MS + HOUR), plan("P0", NOW_MS - HOUR)]
    imported, _ = world.pipeline.import_cases(json.dumps({"plans": plans}).encode(), "plans.json")
    assert imported.errors == ()
    upcoming.once()
    assert told.keys() == {"station-01", "station-02"}
    assert told["station-01"] == told["station-02"]
    found = read_plans(told["station-01"], ORIGIN, [SIGNER.verify_key()])
    assert [(act.action, act.type, act.officers) for act in found.acts] == [("P1", "查封扣押", ("000001",))]
    assert (found.made_ms, found.left_out) == (NOW_MS, 0)


def test_only_acts_that_must_be_recorded_in_full_are_told_and_long_texts_are_cut():
    def told(level=Level.FULL, kind="t"):
        return acts_of([EnforcementAction("A", "c", kind, level, Interval(1, 2), ())], {})

    assert [level for level in Level if told(level)] == [Level.FULL]
    assert told(kind="类" * 300)[0].type == "类" * MAX_TEXT
    assert told(kind="")[0].type == "–"

"""The ledger that stations write at the dock: one table with what is imported, and what it re-links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from ingestd.index import tables as t
from ingestd.index.ledger import IMPORTED, Issue, entered
from tests.fakes.centre_station import AUTHORITY, NOW_MS, FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import HOUR, START, load

SOURCE = f"{AUTHORITY}/station-01"


def line(officer, start_ms, end_ms=None, source=f"{SOURCE}:1"):
    return {"recorder": "REC1", "officer": officer, "start_ms": start_ms, "end_ms": end_ms, "source": source}


def issue(officer, at_ms, *, back=False):
    return Issue("REC1", officer, at_ms, f"{SOURCE}:9", back)


def told(*issues):
    lines = {}
    for one in issues:
        for changed in entered(list(lines.values()), one):
            lines[changed["start_ms"]] = changed
    return [(row["officer"], row["start_ms"], row["end_ms"]) for _, row in sorted(lines.items())]


def test_an_issue_begins_a_line_and_the_return_ends_it():
    assert told(issue("1", 10)) == [("1", 10, None)]
    assert told(issue("1", 10), issue("1", 20, back=True)) == [("1", 10, 20)]
    assert told(issue("1", 10), issue("1", 20, back=True), issue("2", 30)) == [("1", 10, 20), ("2", 30, None)]


def test_the_next_issue_ends_the_one_before_also_when_it_comes_first():
    assert told(issue("1", 10), issue("2", 20)) == [("1", 10, 20), ("2", 20, None)]
    assert told(issue("2", 20), issue("1", 10)) == [("1", 10, 20), ("2", 20, None)]


def test_a_return_by_whoever_does_not_hold_it_or_before_it_was_taken_ends_nothing():
    assert told(issue("1", 10), issue("2", 20, back=True)) == [("1", 10, None)]
    assert told(issue("1", 10), issue("1", 10, back=True)) == [("1", 10, None)]
    assert told(issue("1", 10), issue("2", 30), issue("1", 20, back=True)) == [("1", 10, 20), ("2", 30, None)]


def test_what_was_imported_is_never_ended_or_counted_by_a_station():
    imported = line("7", 5, source=IMPORTED)
    assert entered([imported], issue("1", 10)) == [line("1", 10, source=f"{SOURCE}:9")]
    assert entered([imported, line("7", 30, source=IMPORTED)], issue("1", 10))[0]["end_ms"] is None
    assert entered([imported], issue("7", 10, back=True)) == []


@given(st.permutations([("1", 10), ("2", 20), ("3", 30), ("4", 40)]))
def test_issues_of_several_stations_give_one_ledger_in_whatever_order_they_come(order):
    assert told(*(issue(*one) for one in order)) == [("1", 10, 20), ("2", 20, 30), ("3", 30, 40), ("4", 40, None)]


# In the centre.


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation(), FakeStation("station-02", 2)]).started()
    yield made
    made.close()


def ledger(world):
    with world.engine.connect() as connection:
        rows = connection.execute(select(t.assignment).order_by(t.assignment.c.recorder, t.assignment.c.start_ms))
        return [tuple(row) for row in rows]


def test_taking_a_recorder_out_decides_whose_clips_they_are_and_bringing_it_back_ends_that(world):
    station, other = world.stations
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000002")
    world.pipeline.handle([station.message()])
    load(world)
    assert world.queries.clip(object_id).row.links == 0

    out = other.issued("000001", at_ms=START - HOUR)
    world.pipeline.handle([other.message()])

    row = world.queries.clip(object_id).row
    assert (row.officer, row.officer_source, row.links) == ("000001", "ledger", 1)
    assert ledger(world) == [("REC1", out.record.utc_ms, "000001", None, f"{other.origin}:{out.seq}")]

    other.returned("000001", at_ms=START - HOUR // 2)
    world.pipeline.handle([other.message(1)])

    row = world.queries.clip(object_id).row
    assert (row.officer, row.officer_source, row.links) == ("000002", "stated", 0)
    assert "case.unlinked" in world.events()


def test_a_station_whose_clock_is_ahead_issues_no_recorder_in_the_future(world):
    station = world.stations[0]
    station.issued("000001", at_ms=NOW_MS + 10 * HOUR)
    world.pipeline.handle([station.message()])
    assert [row[1] for row in ledger(world)] == [NOW_MS]


def test_an_issue_of_no_recorder_is_listed_and_enters_no_ledger(world):
    station = world.stations[0]
    station.issued("000001", recorder="")
    world.pipeline.handle([station.message()])
    assert ledger(world) == []
    assert "station.entries" in world.events()


def test_the_database_made_again_from_the_logs_has_the_same_ledger(world):
    station, other = world.stations
    station.clip(START, 10 * 60_000)
    station.issued("000001", at_ms=START - 2 * HOUR)
    world.pipeline.handle([station.message()])
    load(world, assignments=[("REC1", "000002", START - HOUR)])
    other.issued("000002", at_ms=START)
    other.returned("000002", at_ms=START + HOUR)
    world.pipeline.handle([other.message()])
    lines = ledger(world)
    assert [row[2] for row in lines] == ["000001", "000002", "000002"]
    assert (lines[0][3], lines[1][3]) == (lines[2][1], None)
    assert {row[4].partition(":")[0] for row in lines} == {IMPORTED, station.origin, other.origin}
    compared = world.compared("assignment")
    assert (compared.differences, compared.tables["assignment"].rows) == ([], 3)

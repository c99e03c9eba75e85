"""Every list and every look-up of a decision is served by an index: asked of the database's own query plan.

The index is empty and never analysed, so the plan follows from the statement and the indexes alone. A list is read in
its own order, a page at a time; what a filter drops on the way is not sorted. Asked on PostgreSQL too, with reading a
whole table made so dear that it is done only where no index helps.
"""

import re

import pytest
from sqlalchemy import event

from ingestd.index.acts import ActionFilter
from ingestd.index.database import open_engine
from ingestd.index.queries import ClipFilter, Queries
from ingestd.index.repository import Repository
from tests.ingestd.worlds import T0, action

SMALL = {"hold", "state", "mirror", "configuration"}
"""Tables of a few rows for each station, or for what people do by hand."""
FEW = {"actions of a case", "flags of an action", "a clip", "an action", "holds"}
"""Lists of a few rows, which may be sorted."""
FILTERS = {
    "unlinked": ClipFilter(linked=False),
    "linked": ClipFilter(linked=True),
    "quarantined": ClipFilter(status="quarantined"),
    "of an officer": ClipFilter(officer="000001"),
    "of a recorder": ClipFilter(recorder="REC1"),
    "of a station": ClipFilter(station="station-01"),
    "of a case": ClipFilter(case="C"),
    "of a time": ClipFilter(from_ms=1, until_ms=2),
    "of a unit": ClipFilter(unit="U"),
    "of no unit": ClipFilter(unit="-"),
    "handed in late": ClipFilter(late_ms=1),
}
ACTS = {
    "of an outcome": ActionFilter(outcome="missing", grace_over_ms=1),
    "explained": ActionFilter(explained=True, grace_over_ms=1),
    "of a unit": ActionFilter(unit="U"),
    "of an officer": ActionFilter(officer="000001"),
    "of a type and a time": ActionFilter(type="seizure", level="full", from_ms=1, until_ms=2),
}
LISTS = {
    "clips": lambda q: q.clips(),
    "clips, next page": lambda q: q.clips(after="x"),
    **{f"clips {name}": lambda q, w=wanted: q.clips(w, after="x") for name, wanted in FILTERS.items()},
    "a clip": lambda q: q.clip("x"),
    "open flags": lambda q: q.flags(),
    "all flags": lambda q: q.flags(""),
    **{f"flags {state}": lambda q, s=state: q.flags(s) for state in ("unexplained", "explained", "closed")},
    "a flag": lambda q: q.flag("x"),
    "flags of a rule": lambda q: q.flags(rule="r"),
    "flags of an action": lambda q: q.flags("", action_id="A1"),
    "files": lambda q: q.files("pending"),
    "actions": lambda q: q.actions(),
    "actions of a case": lambda q: q.actions(ActionFilter(case="C")),
    **{f"actions {name}": lambda q, w=wanted: q.actions(w, after="x") for name, wanted in ACTS.items()},
    "an action": lambda q: q.action("A1"),
    "cases": lambda q: q.cases(),
    "cases, next page": lambda q: q.cases("C"),
    "audits": lambda q: q.audits(10),
    "holds": lambda q: q.holds(),
}
LOOKUPS = {
    "actions near": lambda r: r.actions_near(["000001"], T0, T0 + 1),
    "actions near, of several officers": lambda r: r.actions_near(["000001", "000002"], T0, T0 + 1),
    "links of several clips": lambda r: r.links_of_clips(["x", "y"]),
    "actions of cases": lambda r: r.actions_of_cases(["c"]),
    "actions of officers": lambda r: r.actions_of_officers(["000001"]),
    "clips near": lambda r: r.clips_near(action()),
    "clips of a recorder": lambda r: r.clips_of_recorder("REC1", T0, T0 + 1),
    "links of clips": lambda r: r.links_of_clips(["x"]),
    "links of actions": lambda r: r.links_of_actions(["A1"]),
    "suggestions of clips": lambda r: r.suggestions_of_clips(["x"]),
    "coverages": lambda r: r.coverages(["A1"]),
    "open flags of actions": lambda r: r.open_flags_of_actions(["A1"]),
    "ledger of officers": lambda r: r.issued_to(["000001"]),
    "parted": lambda r: r.people.parted(["x"]),
    "flags of one rule": lambda r: r.open_flags_of_rule("r"),
    "clocks of a recorder": lambda r: list(r.measured_clips("REC1")),
    "backlogs": lambda r: r.people.backlogs(T0),
    "proposable": lambda r: r.people.unlinked_verified(T0),
    "actions awaiting": lambda r: r.actions_awaiting(T0, 500),
    "actions due": lambda r: r.actions_due(T0, 1, 500),
    "checks due": lambda r: r.checks_due(T0, 500),
    "files overdue": lambda r: r.overdue_files(T0, "r", 500),
}


@pytest.fixture
def engine(database_url):
    made = open_engine(database_url)
    yield made
    made.dispose()


def plans(engine, ask):
    """The plan of every SELECT that ``ask`` makes the database answer, line by line."""
    said = []

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    ask()
    event.remove(engine, "before_cursor_execute", keep)
    assert said
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        return [row[-1] for one in said for row in connection.exec_driver_sql(explain + one[0], one[1])]


def whole_tables(lines):
    """Tables that are read from end to end without an index."""
    found = (re.match(r"SCAN (\w+)$", line) or re.search(r"Seq Scan on (\w+)", line) for line in lines)
    return {one[1] for one in found if one} - SMALL


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_by_index_and_in_its_order(engine, name):
    lines = plans(engine, lambda: LISTS[name](Queries(engine)))

    assert whole_tables(lines) == set()
    assert name in FEW or "USE TEMP B-TREE FOR ORDER BY" not in lines


@pytest.mark.parametrize("name", LOOKUPS)
def test_what_a_decision_needs_is_looked_up_by_index(engine, name):
    def ask():
        with engine.connect() as connection:
            LOOKUPS[name](Repository(connection))

    assert whole_tables(plans(engine, ask)) == set()


def test_a_table_read_from_end_to_end_is_noticed(engine):
    with engine.connect() as connection:
        reading = plans(engine, lambda: connection.exec_driver_sql("SELECT * FROM clip WHERE size = 1"))
    assert whole_tables(reading) == {"clip"}


def test_open_flags_of_an_action_are_found_by_action_not_by_reading_all_that_are_open(engine):
    if engine.dialect.name == "postgresql":
        return  # its planner weighs both by the rows there are
    lines = plans(engine, lambda: Queries(engine).actions())
    assert any("ix_flag_action_id_state (action_id=? AND state=?)" in line for line in lines)

"""Every list and every look-up of a decision is served by an index: asked of the database's own query plan.

Each list is asked with every filter that it has, for its first page and for one deep in it, of an index full of rows,
where few are what is asked for: on SQLite with and without statistics, and on PostgreSQL, with reading a whole table
made so dear that it is done only where no index helps.
"""

import inspect
import re
from dataclasses import fields

import pytest
from sqlalchemy import event

from ingestd.index import tables as t
from ingestd.index.acts import ActionFilter
from ingestd.index.database import open_engine
from ingestd.index.queries import ClipFilter, Queries
from ingestd.index.repository import Repository
from tests.fakes.full_index import (
    CASE,
    FIRST_MS,
    HOUR_MS,
    OFFICER,
    RARE_UNIT,
    UNIT,
    action_id,
    clip_id,
    fill,
    flag_id,
)
from tests.ingestd.worlds import T0, action

SMALL = {"hold", "state", "mirror", "configuration"}
"""Tables of a few rows for each station, or for what people do by hand."""
PARTIAL = {
    index.name
    for table in t.metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
}
"""Indexes that hold only what is asked for: reading them from their end is no detour."""
CLIPS = {
    "linked": (False, True),
    "status": ("quarantined", "received", "indexed"),
    "verdict": ("failed", "verified"),
    "station": ("station-99", "station-01"),
    "recorder": ("REC-rare", "REC7"),
    "officer": (OFFICER, "-"),
    "kind": ("image", "video"),
    "case": ("rare", CASE),
    "text": (clip_id(7), "RARE"),
    "from_ms": (FIRST_MS,),
    "until_ms": (FIRST_MS + 10 * HOUR_MS,),
    "unit": (UNIT, RARE_UNIT, "-"),
    "below": (True,),
    "late_ms": (24 * HOUR_MS, HOUR_MS),
}
ACTIONS = {
    "case": ("rare", CASE),
    "unit": (UNIT, RARE_UNIT, "-"),
    "below": (True,),
    "officer": ("rare", OFFICER),
    "type": ("rare", "seizure"),
    "level": ("text", "full"),
    "outcome": ("missing",),
    "explained": (True,),
    "from_ms": (FIRST_MS,),
    "until_ms": (FIRST_MS + 10 * HOUR_MS,),
    "grace_over_ms": (FIRST_MS,),
}
FLAGS = {
    "state": ("open", "cleared", "closed", "", "unexplained", "explained", "returned", "reviewed"),
    "rule": ("rule-rare", "rule-1"),
    "action_id": (action_id(7),),
}
FILES = {"state": ("failed", "pending", "copied")}
ASKED = {
    "clips": (CLIPS, lambda q, after, f: q.clips(ClipFilter(**f), after), clip_id(3000)),
    "actions": (ACTIONS, lambda q, after, f: q.actions(ActionFilter(**f), after), action_id(300)),
    "flags": (FLAGS, lambda q, after, f: q.flags(**{"state": "", **f}, after=after), flag_id(300)),
    "files": (FILES, lambda q, after, f: q.files(f["state"], after), f"{300:064x}"),
    "cases": ({}, lambda q, after, _: q.cases(after), CASE),
}
"""Each list: its filters with values that few and many rows meet, how it is asked, and a key deep in it."""
WALKED = {
    ("clips", "status", "indexed"): "nearly every clip",
    ("clips", "text", "RARE"): "part of a path is in no index",
    ("clips", "late_ms", HOUR_MS): "an agency that allows less than a day",
    ("actions", "unit", "-"): "what is registered nowhere",
    ("actions", "outcome", "missing"): "follows from coverage and time",
    ("actions", "explained", True): "follows from flags",
    ("actions", "grace_over_ms", FIRST_MS): "narrows only together with an outcome",
}
"""Read in the order of the list until a page is full."""
SORTED = {("actions", "unit"), ("actions", "officer")}
"""The keys of what one unit or one officer did are sorted, and one page of the rows."""
CASES = [
    (name, field, value, deep)
    for name, (filters, _, _) in ASKED.items()
    for field, value in [(None, None), *((field, value) for field in filters for value in filters[field])]
    for deep in (False, True)
    if not (name == "files" and field is None)
]
FIXED = {
    "a clip": lambda q: q.clip("x"),
    "a flag": lambda q: q.flag("x"),
    "an action": lambda q: q.action("A1"),
    "a plan": lambda q: q.plan("A1"),
    "audits": lambda q: q.audits(10),
    "holds": lambda q: q.holds(),
    "summary": lambda q: q.summary(),
}
LOOKUPS = {
    "actions near": lambda r: r.actions_near(["000001"], T0, T0 + 1),
    "actions near, of several officers": lambda r: r.actions_near(["000001", "000002"], T0, T0 + 1),
    "links of several clips": lambda r: r.links_of_clips(["x", "y"]),
    "media copied": lambda r: r.media_copied("REC7", T0, T0 + 1),
    "stated otherwise": lambda r: r.stated_otherwise(["REC7", "REC8"]),
    "empty dockings": lambda r: r.empty_dockings(T0, T0 + 1),
    "plans": lambda r: r.plans(T0, T0 + 1),
    "files left": lambda r: r.with_files_left(["REC7", "REC8"]),
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


@pytest.fixture(scope="module", params=["sqlite, never analysed", "sqlite", "postgresql"])
def lists(request, tmp_path_factory):
    """An index full of rows, of which the database has no statistics, as SQLite has none of itself, and has them."""
    cluster = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    made = open_engine(cluster.new_database() if cluster else f"sqlite:///{tmp_path_factory.mktemp('lists')}/index.db")
    fill(made, 4000, counted=request.param != "sqlite, never analysed")
    yield made
    made.dispose()


def plans(engine, ask):
    """The plan of every SELECT that ``ask`` makes the database answer, line by line."""
    said = []

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith(("SELECT", "WITH")):
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
    found = (
        re.match(r"SCAN (?!worn|named|tree)(\w+)$", line) or re.search(r"Seq Scan on (\w+)", line) for line in lines
    )
    return {one[1] for one in found if one} - SMALL


def read_in_vain(lines):
    """Indexes of SQLite that are read from an end, though they hold more than what is asked for."""
    found = (re.match(r"SCAN (\w+) USING (?:COVERING )?INDEX (\w+)", line) for line in lines)
    return {one[2] for one in found if one and one[1] not in SMALL} - PARTIAL


def sorts(lines):
    return [line for line in lines if "USE TEMP B-TREE" in line]


@pytest.mark.parametrize(("name", "field", "value", "deep"), CASES)
def test_every_page_of_every_list_is_found_by_index_and_read_in_its_order(lists, name, field, value, deep):
    _, ask, key = ASKED[name]
    wanted = {} if field is None else {field: value}

    lines = plans(lists, lambda: ask(Queries(lists), key if deep else None, wanted))

    assert whole_tables(lines) == set()
    assert (name, field) in SORTED or sorts(lines) == []
    whole_list = field in (None, "below") or (name, field, value) == ("flags", "state", "")
    assert (not deep and whole_list) or (name, field, value) in WALKED or read_in_vain(lines) == set()


@pytest.mark.parametrize("name", ["clips", "actions"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_unit_and_those_below_it_are_found_by_index(lists, name, deep):
    _, ask, key = ASKED[name]

    lines = plans(lists, lambda: ask(Queries(lists), key if deep else None, {"unit": RARE_UNIT, "below": True}))

    assert whole_tables(lines) <= {"officer"}, "a roster is short, and SQLite 3.46 reads it"
    assert read_in_vain(lines) == set()


@pytest.mark.parametrize("name", FIXED)
def test_what_one_page_shows_is_read_by_index(lists, name):
    assert whole_tables(plans(lists, lambda: FIXED[name](Queries(lists)))) == set()


def test_no_filter_is_forgotten():
    assert set(CLIPS) == {field.name for field in fields(ClipFilter)}
    assert set(ACTIONS) == {field.name for field in fields(ActionFilter)}
    assert set(FLAGS) == set(inspect.signature(Queries.flags).parameters) - {"self", "after", "limit"}
    assert set(FILES) == set(inspect.signature(Queries.files).parameters) - {"self", "after", "limit"}
    assert set(inspect.signature(Queries.cases).parameters) == {"self", "after", "limit"}


def test_what_the_plans_are_searched_for_is_found_in_them():
    assert whole_tables(["SCAN clip", "Seq Scan on flag  (cost=1)", "SCAN hold"]) == {"clip", "flag"}
    assert read_in_vain(["SCAN clip USING INDEX a", "SCAN clip USING COVERING INDEX b"]) == {"a", "b"}
    assert read_in_vain(["SCAN clip USING INDEX ix_clip_late", "SEARCH clip USING INDEX a (object_id<?)"]) == set()
    assert len(sorts(["USE TEMP B-TREE FOR RIGHT PART OF ORDER BY", "USE TEMP B-TREE FOR ORDER BY"])) == 2


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

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect, text

from ingestd.errors import DatabaseError
from ingestd.index import tables as t
from ingestd.index.database import connect, open_engine
from ingestd.index.repository import CHUNK, Repository
from ingestd.judge import relink
from ingestd.model import (
    Assignment,
    Case,
    EnforcementAction,
    Import,
    Interval,
    Level,
    Officer,
    Position,
    Recorder,
    case_key,
)

HOUR = 3_600_000


@pytest.fixture
def engine(database_url):
    made = open_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def repository(engine):
    with engine.begin() as connection:
        yield Repository(connection)


def action(number="A1", officers=("1", "2"), start=10 * HOUR, **more):
    return EnforcementAction(
        number, "案〔2026〕1号", "seizure", Level.FULL, Interval(start, start + HOUR), officers, **more
    )


EVERYTHING = Import(
    officers=(Officer("1", "张三", "一队"),),
    recorders=(Recorder("REC1", "一号"),),
    assignments=(Assignment("REC1", "1", 0, None),),
    cases=(Case("案〔2026〕1号", "查封", "一队"),),
    actions=(action(place=Position(1, 2, 3), radius_m=7), action("A2", ("2",), 20 * HOUR)),
)


def test_migrations_lead_to_exactly_the_tables(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, t.metadata) == []


def test_opening_twice_migrates_once(bare_database_url):
    open_engine(bare_database_url).dispose()
    engine = open_engine(bare_database_url)
    assert "clip" in inspect(engine).get_table_names()
    engine.dispose()


def test_sqlite_waits_syncs_and_writes_ahead(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'deep' / 'i.db'}")
    with engine.connect() as connection:
        pragma = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")}
    engine.dispose()
    assert pragma == {"journal_mode": "wal", "synchronous": 2}


def test_unreachable_database_is_an_error_of_ours(tmp_path):
    with pytest.raises(DatabaseError):
        open_engine(f"postgresql+psycopg://nobody@/none?host={tmp_path}")


def test_import_is_new_once(repository):
    assert repository.changed(EVERYTHING) == EVERYTHING
    repository.put_import(EVERYTHING)
    assert repository.changed(EVERYTHING) == Import()


def test_values_come_back_as_they_went_in(repository):
    repository.put_import(EVERYTHING)

    assert set(repository.actions(["A1", "A2", "A3"]).values()) == set(EVERYTHING.actions)
    assert repository.assignments(["REC1", "REC2"]) == {"REC1": list(EVERYTHING.assignments)}
    assert repository.issued_to(["1", "2"]) == {"1": list(EVERYTHING.assignments)}
    assert repository.officers() == list(EVERYTHING.officers)


def test_without_any_assignment_no_ledger_is_kept(repository):
    assert repository.issued_to(["1"]) is None


def test_empty_title_never_replaces_a_known_one(repository):
    repository.put_import(EVERYTHING)

    changes = repository.changed(Import(cases=(Case("案〔2026〕1号", "", "二队"),)))

    assert changes.cases == (Case("案〔2026〕1号", "查封", "二队"),)


@pytest.mark.parametrize("count", [0, 1, 2, CHUNK, CHUNK + 1])
def test_one_value_or_many_find_the_same_rows(repository, count):
    acts = tuple(action(f"A{n:04}", (f"{n:06}",)) for n in range(CHUNK + 2))
    repository.put_import(Import(actions=acts))
    asked = acts[:count]

    assert set(repository.actions(a.action_id for a in asked).values()) == set(asked)
    span = asked[0].interval if asked else Interval(0, 0)
    found = repository.actions_near((a.officers[0] for a in asked), span.start_ms, span.end_ms)
    assert set(found.values()) == set(asked)


@pytest.mark.parametrize(("fresh", "tables"), [(True, ["action"]), (False, ["action", "link", "parting"])])
def test_of_a_new_clip_only_the_actions_are_asked(engine, repository, fresh, tables):
    asked = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: asked.append(statement))
    row = {
        **dict.fromkeys(t.clip.c.keys()),
        "object_id": "c1",
        "status": "indexed",
        "kind": "video",
        "officer": "1",
        "start_ms": 0,
        "end_ms": HOUR,
        "problems": "[]",
        "case_stated": "",
        "verdict": "verified",
        "officer_source": "ledger",
    }

    relink(repository, [row], lambda _: fresh)

    assert [statement.split("FROM ")[1].split()[0] for statement in asked] == tables


def test_actions_are_found_by_officer_and_time_with_margins(repository):
    repository.put_import(EVERYTHING)
    margin = action().margin_ms

    def near(officers, start, end):
        return set(repository.actions_near(officers, start, end))

    assert near(["1"], 10 * HOUR, 10 * HOUR) == {"A1"}
    assert near(["1"], 10 * HOUR - margin - 5, 10 * HOUR - margin) == {"A1"}
    assert near(["1"], 10 * HOUR - margin - 5, 10 * HOUR - margin - 1) == set()
    assert near(["2"], 0, 30 * HOUR) == {"A1", "A2"}
    assert near(["3"], 0, 30 * HOUR) == set()


def test_officer_removed_from_an_action_is_no_longer_found(repository):
    repository.put_import(EVERYTHING)
    repository.put_import(Import(actions=(action(officers=("2",)),)))

    assert repository.actions_near(["1"], 0, 30 * HOUR) == {}
    assert repository.actions_of_officers({"2"}) == {"A1", "A2"}


def test_case_is_found_however_its_brackets_are_written(repository):
    repository.put_import(EVERYTHING)
    assert set(repository.actions_of_cases([case_key("案[2026]1号")])) == {"A1", "A2"}


def test_following_is_remembered(repository):
    assert repository.following() is None
    repository.follow("custody.example/centre")
    repository.applied(7, "root")
    assert repository.following() == ("custody.example/centre", 7)


def test_more_values_than_one_statement_holds(repository):
    many = tuple(Officer(str(n), "", "") for n in range(1300))
    repository.put_import(Import(officers=many))
    assert len(repository.officers()) == 1300
    assert repository.changed(Import(officers=many)) == Import()


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT object_id FROM clip WHERE verdict <> 'verified' AND check_ms <= 5", "ix_clip_unchecked"),
        ("SELECT object_id FROM clip WHERE clip.links = 0 ORDER BY object_id DESC LIMIT 50", "ix_clip_unlinked"),
        ("SELECT * FROM seen_file WHERE state = 'pending' AND seen_ms < 5", "ix_seen_file_state_seen_ms"),
        ("SELECT * FROM entry WHERE object_id = 'x'", "ix_entry_object_id"),
        ("SELECT * FROM clip WHERE officer = 'x' AND start_ms BETWEEN 1 AND 2", "ix_clip_officer_start_ms"),
    ],
)
def test_sqlite_plans_use_the_indexes(tmp_path, statement, index):
    engine = open_engine(f"sqlite:///{tmp_path / 'i.db'}")
    with engine.connect() as connection:
        plan = " ".join(row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")))
    engine.dispose()
    assert index in plan

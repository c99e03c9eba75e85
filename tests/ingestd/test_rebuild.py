"""The database made again from the logs, beside the one that served, and in the place of one that was lost."""

import base64
import json
import os
import signal
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update

from custody.merkle import root
from custody.signer import Ed25519Signer
from custody.verdicts import Finding, Outcome
from ingestd import decisions, flag_life
from ingestd.audit.rebuild import check, write
from ingestd.disclosure.decide import Kind, Made, PartyKind, record
from ingestd.enrolment.decide import Approval, Revocation
from ingestd.errors import BusyError, RefusedError, StateError
from ingestd.index import tables as t
from ingestd.index.compare import PROGRESS, compared_columns
from ingestd.index.database import open_engine
from ingestd.logfiles import exclusive
from ingestd.pipeline import ReadBack, Received
from ingestd.review.decide import submit
from ingestd.running import Running
from ingestd.web.api.tokens import Scope, create, fresh
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import HOUR, START, load, registers

TABLES = sorted(t.metadata.tables)


ACT = {"case": "案〔2026〕1号", "type": "查封、扣押", "officers": ["000001", "000002"]}
REGISTERS = json.dumps(
    {
        "units": [{"name": "一大队", "parent": "支队"}],
        "stages": [{"case": ACT["case"], "stage": "启动", "start": "2026-11-01 09:00"}],
        "plans": [{"id": "P1", **ACT, "planned_start": "2027-11-25 09:00", "planned_end": "2027-11-25 10:00"}],
        "actions": [{"id": "A3", **ACT, "start": "2026-11-01 09:00", "end": "2026-11-01 10:00", "failed": ["000001"]}],
    }
).encode()


def busy(world):
    """A history in which every table gets rows."""
    station, other = world.stations
    station.seen("a.mp4", "b.mp4", "c.mp4")
    first = station.clip(START, 5 * 60_000, officer_as_stated="000001")
    station.failed("b.mp4")
    station.proxied(first)
    world.pipeline.handle([station.message(0, 4)])
    load(world, assignments=[("REC1", "000001", START - HOUR)])
    load(world, action="A2")
    last = station.clip(START + 60_000, officer_as_stated="000002")
    other.docked("REC2")
    other.issued("000002", "REC2", START - HOUR)
    altered = other.clip(START + 5 * 60_000, 60_000, officer_as_stated="000001", case_as_stated="案〔2026〕9号")
    world.pipeline.handle([station.message(3), other.message(), Received("bwc/v1/station-01/records", b"odd")])
    checks = [one if one.object_id != altered else ReadBack(altered, 1, "00" * 32) for one in world.read_back()]
    world.pipeline.record_checks(checks)
    world.clock.ms += 30 * HOUR
    world.pipeline.sweep()
    load(world, minutes=3)
    world.pipeline.import_cases(REGISTERS, "registers.json")
    decided(world, first, last)
    world.pipeline.checkpoint()
    return world


def decided(world, first, last):
    """What people do with it."""
    decide, viewed = world.pipeline.decide, world.pipeline.viewed
    viewed(last, "detail", "甲")
    viewed(last, "proxy", "address 10.0.0.7")
    flag = world.queries.flags("").rows[0].flag_id
    decide(flag_life.explain(flag, decisions.Person("甲", "电池耗尽")))
    decide(decisions.link(last, "A2", decisions.Person("甲", "画面可辨")))
    decide(decisions.unlink(last, "A2", decisions.Person("乙", "看错了")))
    decide(decisions.link(first, "A2", decisions.Person("甲", "画面可辨")))
    [held] = decide(decisions.hold(last, "", decisions.Person("甲", "复议")))
    decide(decisions.hold("", "案〔2026〕9号", decisions.Person("甲", "诉讼")))
    decide(decisions.release(held.record.block("hold")["id"], decisions.Person("乙", "已结")))
    world.clock.ms += 200 * 24 * HOUR
    for who in ("甲", "乙"):
        decide(decisions.approve_disposal(last, decisions.Person(who, "已过保存期"), 183))
    decide(decisions.record_disposal(last, decisions.Person("丙", "已移除"), lambda _name: False))
    decide(submit("案〔2026〕1号", "查封", world.clock.ms - HOUR, decisions.Person("甲", "卷宗")))
    told = Made("案〔2026〕1号", Kind.PENALTY, world.clock.ms, "张三", PartyKind.PERSON, "占道", "罚款500元")
    decide(record(told, decisions.Person("甲", "结案")))
    decide(create(fresh(world.clock.ms), "oa", [Scope.READ], 30, decisions.Person("甲", "对接")))


@pytest.fixture
def world(tmp_path, database_url):
    stations = [FakeStation(), FakeStation("station-02", 2)]
    running = Running({"rules.unmeasured_clock_ms": "60000"}, b"catalogue")
    made = busy(World(tmp_path, database_url, stations, running=running).started())
    yield made
    made.close()


def rows_of(engine):
    with engine.connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(select(*compared_columns(t.metadata.tables[name])))))
            for name in TABLES
        }


def test_history_fills_every_table(world):
    empty = [name for name, rows in rows_of(world.engine).items() if not rows]
    assert not empty, f"{empty}: extend the history, or their comparison is not tested"


def test_database_of_a_working_centre_is_what_the_logs_make(world):
    report = world.compared()

    assert (report.differences, report.reasons, report.outcome) == ([], [], Outcome.OK)
    assert {name: counts.rows for name, counts in report.tables.items()} == {
        name: len(rows) for name, rows in rows_of(world.engine).items()
    }


def other(value):
    """Another value that the column takes as well."""
    if isinstance(value, str) and len(value) == 64:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    longer = {int: lambda v: v + 100_000, str: lambda v: v + "x", bytes: lambda v: v + b"x"}
    return longer.get(type(value), lambda _: 7)(value)


def one_row(connection, table):
    row = connection.execute(select(table).order_by(*table.primary_key).limit(1)).mappings().one()
    key = {column.name: row[column.name] for column in table.primary_key}
    return dict(row), key, [table.c[name] == value for name, value in key.items()]


@pytest.mark.parametrize("name", TABLES)
def test_altered_deleted_or_inserted_row_is_found_by_table_key_and_column(world, name):
    table = t.metadata.tables[name]
    names = [column.name for column in compared_columns(table) if not column.primary_key]
    names = [column for column in names if (name, column) != ("state", "applied_seq")]  # a test of its own, below
    assert names, f"{name} is all key"
    with world.engine.begin() as connection:
        row, key, mine = one_row(connection, table)
        connection.execute(update(table).where(*mine).values({column: other(row[column]) for column in names}))

    altered = world.compared()

    assert [(one.table, dict(one.key), one.kind, one.column) for one in altered.differences] == [
        (name, key, "differs", column) for column in names
    ]
    assert all(one.by_log != one.in_row for one in altered.differences)
    assert altered.outcome is Outcome.NOT_AS_RECORDED
    assert altered.findings == [Finding.PROJECTION_MISMATCH]

    with world.engine.begin() as connection:
        connection.execute(delete(table).where(*mine))
    deleted = world.compared(name)

    assert [(one.table, dict(one.key), one.kind) for one in deleted.differences] == [(name, key, "missing")]
    assert deleted.outcome is Outcome.NOT_AS_RECORDED

    another = {column: other(value) for column, value in key.items()}
    with world.engine.begin() as connection:
        connection.execute(insert(table).values([row, {**row, **another}]))
    inserted = world.compared(name)

    assert [(one.table, dict(one.key), one.kind) for one in inserted.differences] == [(name, another, "extra")]
    assert inserted.outcome is Outcome.NOT_AS_RECORDED


def test_finding_names_the_entry_that_the_row_rests_on(world):
    with world.engine.begin() as connection:
        connection.execute(update(t.link).values(score=7))
        link = connection.execute(select(t.link).order_by(*t.link.primary_key).limit(1)).one()

    facts = world.compared("link").as_json()["findings"][0]

    assert facts["log_seq"] == link.log_seq
    assert (facts["finding"], facts["column"], facts["in_row"]) == ("projection-mismatch", "score", 7)


def test_only_named_columns_are_not_compared_and_each_has_a_reason():
    columns = {f"{table.name}.{column.name}" for table in t.metadata.tables.values() for column in table.columns}
    assert PROGRESS.keys() <= columns
    assert all(PROGRESS.values())
    assert not any(t.metadata.tables[name.split(".")[0]].c[name.split(".")[1]].primary_key for name in PROGRESS)


def test_comparing_changes_nothing(world):
    world.files["centre"].data += b'{"half an entry'
    before, logs = rows_of(world.engine), {name: bytes(files.data) for name, files in world.files.items()}

    assert world.compared().outcome is Outcome.OK

    assert rows_of(world.engine) == before
    assert {name: bytes(files.data) for name, files in world.files.items()} == logs


def test_centre_that_goes_on_meanwhile_is_no_finding(world):
    origins = world.origins()
    seen = []

    def meanwhile(what, _done, _of):
        if what == "replay" and not seen:
            seen.append(what)
            world.stations[0].clip(START + HOUR, officer_as_stated="000001")
            world.pipeline.handle([world.stations[0].message(5)])
            world.pipeline.record_checks(world.read_back())

    report = check(origins, world.engine, world.folder, progress=meanwhile)

    assert seen
    assert (report.differences, report.outcome) == ([], Outcome.OK)
    assert world.compared().outcome is Outcome.OK


def test_log_ahead_of_the_database_is_no_finding(world):
    with world.engine.connect() as connection:
        held = connection.execute(select(t.state.c.applied_seq)).scalar_one()
    world.pipeline.record([("log.recovered", {"reason": "something more"})])
    with world.engine.begin() as connection:
        connection.execute(delete(t.entry).where(t.entry.c.seq == held, t.entry.c.log == world.books.centre.origin))
        connection.execute(update(t.state).values(applied_seq=held, applied_root=root_at(world, held)))

    report = world.compared()

    assert (report.entries, report.differences, report.outcome) == (held, [], Outcome.OK)


def root_at(world, size):
    leaves = [entry.leaf for entry in world.books.centre.entries()][:size]
    return base64.b64encode(root(leaves)).decode()


def test_database_ahead_of_the_log_is_a_truncated_log(world):
    with world.engine.begin() as connection:
        connection.execute(update(t.state).values(applied_seq=10_000))

    report = world.compared("state")

    assert Finding.LOG_TRUNCATED in report.findings
    assert report.outcome is Outcome.NOT_AS_RECORDED


@pytest.mark.parametrize("what", ["mirror", "log", "import", "import altered"])
def test_logs_that_cannot_be_replayed_are_said_and_nothing_is_compared(world, what):
    files = world.files["station-01" if what == "mirror" else "centre"]
    if what.startswith("import"):
        for path in world.folder.glob("imports/*.resolved.json"):
            path.unlink() if what == "import" else path.write_bytes(b"{}")
    else:
        files.data[40] ^= 1

    report = world.compared()

    assert report.outcome is Outcome.COULD_NOT_CHECK
    assert report.reasons
    assert not report.tables


def test_mirror_with_other_entries_than_the_log_names_is_not_replayed(world):
    """As many as there were, and signed with the station's own key."""
    forger = FakeStation()
    for number in range(len(world.stations[0].entries)):
        forger.seen(f"another past {number}")
    world.files["station-01"].data[:] = b"".join(line + b"\n" for line in forger.entries)
    world.files["station-01"].small.clear()

    report = world.compared()

    assert report.outcome is Outcome.COULD_NOT_CHECK
    assert "is not what entry" in report.reasons[0]


def test_nothing_to_compare_is_not_ok(tmp_path, database_url):
    world = World(tmp_path, database_url)

    report = world.compared()

    assert report.outcome is not Outcome.OK
    world.close()


def test_table_without_rows_is_not_ok(tmp_path, database_url):
    world = World(tmp_path, database_url).started()

    assert world.compared("clip").outcome is Outcome.COULD_NOT_CHECK
    assert world.compared().outcome is Outcome.OK
    world.close()


def test_one_comparison_at_a_time(world):
    with exclusive(world.folder / "rebuild.lock"), pytest.raises(BusyError):
        world.compared()


# A lost database.


def lost(world, url):
    """The same centre with an empty database in the place of the lost one."""
    world.close()
    world.url = url
    world.engine = open_engine(url)
    world.queries = type(world.queries)(world.engine)
    world.restart()
    return world


@pytest.fixture
def another_url(request, tmp_path, database_url):
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'another.db'}"
    return request.getfixturevalue("postgres").new_database()


def test_lost_database_is_made_again_and_the_centre_goes_on(world, another_url):
    world.pipeline.sweep()
    before, standing = rows_of(world.engine), since(world)
    events = world.events()
    lost(world, another_url)
    with pytest.raises(StateError, match="ingestd audit rebuild --write"):
        world.pipeline.start()

    assert write(world.origins(), world.engine, world.clock.ms) == ""
    world.restart()
    world.pipeline.start()

    assert rows_of(world.engine) == before
    assert world.events() == events
    assert world.compared().outcome is Outcome.OK
    [answer] = world.pipeline.handle([world.stations[0].message()])
    assert answer.receipts.entries
    world.stations[0].utc_ms = world.clock.ms
    world.stations[0].clip(world.clock.ms - HOUR)
    world.pipeline.handle([world.stations[0].message(5)])
    world.pipeline.record_checks(world.read_back())
    world.pipeline.sweep()
    assert world.compared().outcome is Outcome.OK
    assert {flag: at for flag, at in since(world).items() if flag in standing}.items() <= standing.items()


def since(world):
    """Open flags, and since when each is."""
    return {row.flag_id: row.set_ms for row in world.queries.flags("open").rows}


def test_database_that_is_not_empty_is_not_written_over(world):
    before = rows_of(world.engine)

    with pytest.raises(StateError, match="not empty"):
        write(world.origins(), world.engine, world.clock.ms)

    assert rows_of(world.engine) == before


def test_replaced_database_is_kept_as_a_copy(world, tmp_path):
    right = rows_of(world.engine)
    with world.engine.begin() as connection:
        connection.execute(update(t.link).values(score=1))
    wrong = rows_of(world.engine)

    kept = write(world.origins(), world.engine, world.clock.ms, replace=tmp_path)
    world.restart()
    world.pipeline.start()

    assert rows_of(world.engine) == right
    if kept.startswith("schema "):
        with world.engine.connect() as connection:
            connection.execute(text(f'SET LOCAL search_path TO "{kept.removeprefix("schema ")}"'))
            assert set(connection.execute(select(t.link.c.score)).scalars()) == {1}
    else:
        old = open_engine(f"sqlite:///{kept}")
        assert rows_of(old) == wrong
        old.dispose()


def test_nothing_is_made_from_an_empty_log(tmp_path, database_url):
    world = World(tmp_path, database_url)

    with pytest.raises(StateError, match="nothing to make a database"):
        write(world.origins(), world.engine, world.clock.ms)
    world.close()


def test_what_a_crash_cut_short_before_the_loss_is_completed_by_the_next_start(world, another_url):
    """The last unit is in the log up to its first entry; the links that follow from it were never written."""
    station = world.stations[0]
    load(world, action="A3", start=START + 6 * HOUR)
    size = world.books.centre.size
    clip = station.clip(START + 6 * HOUR, officer_as_stated="000001")
    world.clock.ms += 1
    world.pipeline.handle([station.message(5)])
    entries = [entry.data for entry in world.books.centre.entries()]
    assert world.events()[size] == "station.entries"
    assert "case.linked" in world.events()[size:]
    world.files["centre"].data[:] = b"".join(line + b"\n" for line in entries[: size + 1])
    lost(world, another_url)

    write(world.origins(), world.engine, world.clock.ms)
    world.restart()
    world.pipeline.start()

    assert world.queries.clip(clip).row.links
    assert world.compared().outcome is Outcome.OK


@pytest.mark.parametrize("moment", [1, 4, 9])
def test_killed_at_any_moment_of_writing_the_database_is_as_empty_as_before(world, another_url, moment):
    before = rows_of(world.engine)
    lost(world, another_url)
    child = os.fork()
    if child == 0:
        calls = iter(range(1, moment))
        engine = open_engine(another_url)
        write(
            world.origins(),
            engine,
            world.clock.ms,
            lambda *_: next(calls, None) or os.kill(os.getpid(), signal.SIGKILL),
        )
        os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    write(world.origins(), world.engine, world.clock.ms)
    world.restart()
    world.pipeline.start()

    assert rows_of(world.engine) == before


def test_logs_whose_keys_followed_each_other_make_the_same_database(tmp_path, database_url, another_url):
    station, following, ours = FakeStation("station-07"), *(Ed25519Signer.from_seed(one * 32) for one in (b"2", b"C"))
    world = World(tmp_path, database_url, []).started()

    def deliver():
        station.clip()
        world.pipeline.handle([station.message()])

    world.pipeline.approve(Approval(station.request(), ("007", "013"), "12345", "0f" * 32))
    deliver()
    world.pipeline.approve(Approval(station.request(following), ("007", "013"), "12345", "0f" * 32))
    station.hand_over(following)
    deliver()
    world.books._own._holders = lambda keys: [one for one in (ours,) if one.verify_key() in keys.keys]
    world.pipeline.hand_over([ours], ("007", "013"))
    deliver()
    old = next(row["keyid"] for row in world.pipeline.log_keys() if row["log"] == station.origin)
    world.pipeline.revoke(Revocation("station-07", old, world.clock.ms, "stolen", ("007", "013")))
    right = rows_of(world.engine)
    keep = world.books._own._holders

    def origins():
        found = world.origins()
        found.books._own._holders = keep
        return found

    report = check(origins(), world.engine, tmp_path)
    assert (report.differences, report.reasons, report.outcome) == ([], [], Outcome.OK)
    lost(world, another_url)
    world.books._own._holders = keep
    write(origins(), world.engine, world.clock.ms)
    world.pipeline.start()
    assert rows_of(world.engine) == right
    world.close()


# Random histories.

NUMBERS = st.integers(0, 1)
MINUTES = st.integers(-3, 12)
OFFICERS = st.sampled_from(["000001", "000002", "4000001", ""])


def step(name, *values):
    return st.tuples(st.just(name), *values)


STEPS = st.lists(
    st.one_of(
        step("clip", NUMBERS, MINUTES, OFFICERS),
        step("describe", NUMBERS, MINUTES, OFFICERS),
        step("odd", NUMBERS),
        step("deliver", NUMBERS),
        step("registers", st.sampled_from(["A1", "A2"]), st.integers(1, 15), OFFICERS.filter(bool), st.booleans()),
        step("roster"),
        step("check", st.booleans()),
        step("sweep", st.integers(0, 30)),
        step("restart"),
        step("reconfigured", st.integers(1, 3)),
        step("by_hand", NUMBERS, st.booleans()),
        step("explained"),
    ),
    min_size=3,
    max_size=14,
)


class History:
    def __init__(self, world):
        self.world = world
        self.clips = {0: [], 1: []}

    def clip(self, number, minute, officer):
        station = self.world.stations[number]
        self.clips[number].append(station.clip(START + minute * 60_000, 90_000, officer_as_stated=officer))

    def describe(self, number, minute, officer):
        for object_id in self.clips[number][-1:]:
            self.world.stations[number].described(object_id, START + minute * 60_000, officer_as_stated=officer)

    def odd(self, number):
        station = self.world.stations[number]
        if self.clips[1 - number]:
            station.described(self.clips[1 - number][-1], START)
        unknown = station.uuid()
        station.described(unknown, START)
        station.seen(f"{len(station.entries)}.mp4")
        station.failed(f"{len(station.entries) - 1}.mp4")

    def deliver(self, number):
        self.world.pipeline.handle([self.world.stations[number].message()])

    def registers(self, action, minutes, officer, ledger):
        assignments = [("REC1", officer, START + minutes * 60_000)] if ledger else ()
        told = registers(action=action, minutes=minutes, officer=officer, assignments=assignments)
        self.world.pipeline.import_cases(told, "cases.json")

    def roster(self):
        load_more = b'{"officers": [{"number": "19094000001", "name": "x"}]}'
        self.world.pipeline.import_cases(load_more, "more.json")

    def check(self, honest):
        results = self.world.read_back()
        self.world.pipeline.record_checks(results if honest else [ReadBack(r.object_id, 1, "0" * 64) for r in results])

    def sweep(self, hours):
        self.world.clock.ms += hours * HOUR
        self.world.pipeline.sweep()

    def restart(self):
        self.world.restart()

    def reconfigured(self, seconds):
        self.world.unmeasured_clock_ms = seconds * 1000
        self.world.running = Running({"rules.unmeasured_clock_ms": str(seconds)})
        self.world.restart()
        self.world.pipeline.start()

    def by_hand(self, number, together):
        """A person links the newest clip that arrived, or undoes its first link."""
        with suppress(RefusedError):
            for object_id in self.clips[number][-1:]:
                links = [one.action_id for one in clip.links] if (clip := self.world.queries.clip(object_id)) else []
                act = decisions.link if together else decisions.unlink
                self.world.pipeline.decide(act(object_id, (links or ["A1"])[0], decisions.Person("甲", "亲眼所见")))

    def explained(self):
        for flag in self.world.queries.flags("").rows[:1]:
            self.world.pipeline.decide(flag_life.explain(flag.flag_id, decisions.Person("甲", "电池耗尽")))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_random_history_made_again_equals_the_living_database(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("history")
    world = World(folder, f"sqlite:///{folder / 'i.db'}", [FakeStation(), FakeStation("station-02", 2)]).started()
    history = History(world)
    for name, *values in steps:
        getattr(history, name)(*values)

    report = world.compared()

    assert (report.differences, report.reasons, report.outcome) == ([], [], Outcome.OK)
    live = rows_of(world.engine)
    write(world.origins(), lost(world, f"sqlite:///{folder / 'j.db'}").engine, world.clock.ms)
    world.pipeline.start()
    assert rows_of(world.engine) == live
    world.close()

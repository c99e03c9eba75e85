"""All writes of the index, and the reads that a unit of work decides upon, inside its one transaction.

Rows go in by executemany and by upsert, so that doing the same work twice leaves the same rows. Conditions of partial
indexes are written as literal SQL: SQLite uses such an index only when the condition stands in the statement itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from itertools import groupby, islice
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from custody.authority import approvers_of, revocation_in
from custody.canonical import JsonObject
from custody.chain import Entry
from custody.identifiers import first_origin, station_of
from custody.keyring import keys_in, profile_of, successor_in
from ingestd.index import tables as t
from ingestd.index.decided import Decided
from ingestd.index.ledger import IMPORTED, Issue, entered
from ingestd.index.people import MEDIA, People
from ingestd.index.rows import (
    Row,
    action_value,
    clip_in,
    coverage_value,
    dumps,
    key_in,
    link_value,
    mirrored,
    object_in,
    officer_value,
    plan_value,
    suggestion_value,
    text_in,
)
from ingestd.index.stations import Arrivals, entry_row
from ingestd.link import ending
from ingestd.model import (
    MAX_CLIP_MS,
    Assignment,
    Case,
    CaseStage,
    Coverage,
    EnforcementAction,
    Import,
    Link,
    Officer,
    Recorder,
    Stage,
    Suggestion,
    Unit,
    case_key,
)

V = TypeVar("V")

CHUNK: Final = 500
"""Most values in one IN list (SQLite allows 32,766 variables, PostgreSQL 65,535)."""
_READINGS: Final = 500
"""Clips among which the readings of a recorder's clock are looked for: more than a card brings at one docking."""
STANDING: Final = ("open", "closed")
"""States of a flag that facts have not withdrawn."""


class Repository:
    """The tables, inside one transaction of ``connection``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._insert: Callable[[Table], Any] = (
            sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        )
        self.people = People(connection, self._put_new)
        self.decided = Decided(connection, self._put)

    # How far the tables follow the logs.

    def following(self) -> tuple[str, int] | None:
        """Origin of the centre log and number of its entries in these tables, or None in an empty database."""
        row = self._db.execute(select(t.state.c.origin, t.state.c.applied_seq)).one_or_none()
        return None if row is None else (row.origin, row.applied_seq)

    def follow(self, origin: str) -> None:
        """Make these tables follow the centre log ``origin`` from its beginning."""
        self._db.execute(t.state.insert(), {"id": 1, "origin": origin, "applied_seq": 0, "applied_root": ""})

    def applied(self, size: int, root: str) -> None:
        """Record that the tables hold ``size`` entries of the centre log."""
        self._db.execute(update(t.state).values(applied_seq=size, applied_root=root))

    def mirrors(self) -> dict[str, Row]:
        """Enrolled stations by log origin."""
        return {row["log"]: dict(row) for row in self._db.execute(select(t.mirror)).mappings()}

    def heard(self) -> list[tuple[str, str, int, int]]:
        """Station, log, the time of its newest entry here (with none, when it was enrolled), and how many are here."""
        m, newest, enrolled = t.mirror.c, t.entry.alias(), t.entry.alias()
        origin = select(t.state.c.origin).scalar_subquery()
        joined = t.mirror.outerjoin(newest, (newest.c.log == m.log) & (newest.c.seq == m.size - 1)).outerjoin(
            enrolled, (enrolled.c.log == origin) & (enrolled.c.seq == m.log_seq)
        )
        told = func.coalesce(newest.c.utc_ms, enrolled.c.utc_ms)
        rows = self._db.execute(select(m.station, m.log, told, m.size).select_from(joined).where(told.is_not(None)))
        return [(station, log, utc_ms, size) for station, log, utc_ms, size in rows]

    def log_keys(self) -> list[Row]:
        """Every key of every log, in the order of its enrolment."""
        listed = select(t.log_key).order_by(t.log_key.c.log, t.log_key.c.log_seq)
        return [dict(row) for row in self._db.execute(listed).mappings()]

    def succeeded(self, entries: Iterable[Entry]) -> None:
        """Write from which entry on the keys sign that ``entries`` of their own logs hand over to."""
        c = t.log_key.c
        for entry in entries:
            keys = successor_in(entry.record)
            if keys is not None:
                known = and_(c.log == keys.origin, c.keyid == keys.keyid, c.from_seq.is_(None))
                values = {"from_seq": entry.seq + 1, "from_ms": entry.record.utc_ms}
                self._db.execute(update(t.log_key).where(known).values(values))

    def leaves(self, log: str, start: int, stop: int) -> list[str]:
        """Leaf hashes (hex) of entries [start, stop) of a log."""
        within = and_(t.entry.c.log == log, t.entry.c.seq >= start, t.entry.c.seq < stop)
        return list(self._db.execute(select(t.entry.c.leaf).where(within).order_by(t.entry.c.seq)).scalars())

    # What stations say.

    def put_arrivals(self, arrivals: Arrivals, clips: Iterable[Row]) -> None:
        """Write the rows of ``arrivals``; ``clips`` are its new clips, completed."""
        self._put_new(t.entry, arrivals.entries)
        for state, rows in groupby(arrivals.files, lambda row: str(row["state"])):
            self._put_files(state, list(rows))
        self._put_new(t.clip, clips)
        self._put_new(t.proxy, arrivals.proxies)
        self._put_new(t.docking, arrivals.dockings)

    def put_issues(self, issues: Iterable[Issue]) -> list[Assignment]:
        """Enter what stations issued and took back, in order; returns the lines that changed, as they were and are."""
        changed: list[Assignment] = []
        for told in issues:
            before = [dict(row) for row in self._rows(t.assignment, t.assignment.c.recorder, [told.recorder])]
            after = entered(before, told)
            self._put(t.assignment, after, ("officer", "end_ms", "source"))
            moments = {line["start_ms"] for line in after}
            changed += [_assignment(line) for line in before if line["start_ms"] in moments]
            changed += [_assignment(line) for line in after]
        return changed

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is done inside is undone as a whole when it raises, and the transaction goes on."""
        with self._db.begin_nested():
            yield

    @contextmanager
    def glimpse(self) -> Iterator[None]:
        """What is done inside is seen there and undone afterwards."""
        with self._db.begin_nested() as ahead:
            yield
            ahead.rollback()

    def clips(self, object_ids: Iterable[str]) -> dict[str, Row]:
        """Clip rows by object id."""
        return {row["object_id"]: row for row in self._rows(t.clip, t.clip.c.object_id, object_ids)}

    def update_clips(self, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """Write ``columns`` of existing clips."""
        if not rows:
            return
        statement = (
            update(t.clip)
            .where(t.clip.c.object_id == bindparam("key"))
            .values({name: bindparam(f"new_{name}") for name in columns})
        )
        values = [{"key": row["object_id"], **{f"new_{name}": row[name] for name in columns}} for row in rows]
        self._db.execute(statement, values)

    def receipts(self, log: str, start: int, stop: int) -> list[bytes]:
        """Receipts that answer entries [start, stop) of a station's log."""
        within = and_(t.receipt.c.log == log, t.receipt.c.seq >= start, t.receipt.c.seq < stop)
        return list(self._db.execute(select(t.receipt.c.data).where(within).order_by(t.receipt.c.seq)).scalars())

    # What decisions need.

    def assignments(self, recorders: Iterable[str]) -> dict[str, list[Assignment]]:
        """The ledger, by recorder."""
        return self._assignments(t.assignment.c.recorder, recorders, lambda a: a.recorder)

    def issued_to(self, officers: Iterable[str]) -> dict[str, list[Assignment]] | None:
        """The ledger, by officer; None when no ledger is kept at all."""
        if self._db.execute(_ANY_ASSIGNMENT).first() is None:
            return None
        return self._assignments(t.assignment.c.officer, officers, lambda a: a.officer)

    def actions(self, action_ids: Iterable[str]) -> dict[str, EnforcementAction]:
        """Actions by id."""
        return self._actions(t.action.c.action_id, action_ids)

    def actions_near(self, officers: Iterable[str], start_ms: int, end_ms: int) -> dict[str, EnforcementAction]:
        """Actions of any of ``officers`` that, margins included, meet [start_ms, end_ms]."""
        span = {"from": start_ms, "until": end_ms}
        rows = self._among(_ACTIONS_NEAR_ONE, _ACTIONS_NEAR, officers, span)
        return {row["action_id"]: action_value(row) for row in rows}

    def actions_of_officers(self, officers: Iterable[str]) -> set[str]:
        """Ids of the actions in which any of ``officers`` took part."""
        c = t.action_officer.c
        queries = (select(c.action_id).where(c.officer.in_(names)) for names in _chunks(officers))
        return {action_id for query in queries for action_id in self._db.execute(query).scalars()}

    def in_parts(self, table: str) -> Iterator[list[str]]:
        """First key column of all rows of a table, in order, a part at a time."""
        key = next(iter(t.metadata.tables[table].primary_key.columns))
        last = ""
        while part := list(self._db.execute(select(key).where(key > last).order_by(key).limit(CHUNK)).scalars()):
            yield part
            last = part[-1]

    def every_action(self) -> set[str]:
        """Ids of all actions."""
        return set(self._db.execute(select(t.action.c.action_id)).scalars())

    def actions_of_cases(self, keys: Iterable[str]) -> dict[str, EnforcementAction]:
        """Actions by id of cases by ``link.case_key``."""
        return self._actions(t.action.c.case_key, keys)

    def links_of_clips(self, object_ids: Iterable[str]) -> list[Link]:
        """Links of these clips."""
        return self._links(t.link.c.object_id, object_ids)

    def links_of_actions(self, action_ids: Iterable[str]) -> list[Link]:
        """Links of these actions."""
        return self._links(t.link.c.action_id, action_ids)

    def suggestions_of_clips(self, object_ids: Iterable[str]) -> list[Suggestion]:
        """Suggestions of these clips."""
        return [suggestion_value(row) for row in self._rows(t.suggestion, t.suggestion.c.object_id, object_ids)]

    def coverages(self, action_ids: Iterable[str]) -> dict[str, Coverage]:
        """What was computed of the coverage of these actions, by action."""
        rows = self._rows(t.coverage, t.coverage.c.action_id, action_ids)
        return {row["action_id"]: coverage_value(row) for row in rows}

    def clips_near(self, action: EnforcementAction) -> set[str]:
        """Described clips that ``action`` may concern: of its officers and time, of its case, or linked already."""
        begin, end = action.interval.start_ms - action.margin_ms, action.interval.end_ms + action.margin_ms
        asked = {
            "officers": action.officers,
            "first": begin - MAX_CLIP_MS,
            "begin": begin,
            "end": end,
            "case_key": case_key(action.case),
            "action_id": action.action_id,
        }
        return set(self._db.execute(_CLIPS_NEAR, asked).scalars())

    def clips_of_recorder(self, recorder: str, start_ms: int, end_ms: int | None) -> set[str]:
        """Described clips of a recorder that meet [start_ms, end_ms]; None is for ever."""
        c = t.clip.c
        meets = c.end_ms >= start_ms if end_ms is None else and_(c.end_ms >= start_ms, c.start_ms <= end_ms)
        return set(self._db.execute(select(c.object_id).where(c.recorder == recorder, meets)).scalars())

    def open_flags(self, flag_ids: Iterable[str]) -> dict[str, Row]:
        """Flags that facts have not withdrawn, by id, those that people closed among them."""
        return self._flags(t.flag.c.flag_id, flag_ids)

    def open_flags_of_actions(self, action_ids: Iterable[str]) -> dict[str, Row]:
        """Such flags about these actions, by id."""
        return self._flags(t.flag.c.action_id, action_ids)

    def open_flags_of_rule(self, rule: str) -> list[Row]:
        """Such flags of one rule."""
        found = select(t.flag).where(t.flag.c.rule == rule, t.flag.c.state.in_(STANDING))
        return [dict(row) for row in self._db.execute(found).mappings()]

    def measured_clips(self, recorder: str) -> Iterator[Row]:
        """What described clips of a recorder say of its clock, latest first, read as they are asked for."""
        c = t.clip.c
        columns = (c.log, c.seq, c.recorder, c.station, c.copied_ms, c.media)
        described = select(*columns).where(c.recorder == recorder, c.media != "").order_by(c.object_id.desc())
        yield from (dict(row) for row in self._db.execute(described.limit(_READINGS)).mappings())

    def arrived_flags(self, places: Iterable[str], rule: str) -> list[Row]:
        """Open flags of ``rule`` about files at these places (``seen_file.place_id``) that have arrived."""
        rows = {row["key"]: row for row in self.open_flags_of_rule(rule)}
        if not rows:
            return []
        c = t.seen_file.c
        arrived = {
            f"{row.seen_in}:{row.path}"
            for ids in _chunks(places)
            for row in self._db.execute(select(c.seen_in, c.path).where(c.place_id.in_(ids), c.state != "pending"))
        }
        return [row for key, row in rows.items() if key in arrived]

    def stated_otherwise(self, recorders: Iterable[str]) -> list[Row]:
        """Clips of these recorders whose ledger and device name officers, by recorder and pair of them.

        ``recorder``, ``ledger``, ``stated``, how many (``clips``), the earliest of them (``first``) and its time
        (``start_ms``).
        """
        c = t.clip.c
        beside = text("officer_source = 'ledger' AND (officer_stated <> '' OR officer_camera <> '')")
        stated = func.coalesce(func.nullif(c.officer_stated, ""), c.officer_camera)
        pairs = select(
            c.recorder,
            c.officer.label("ledger"),
            stated.label("stated"),
            func.count().label("clips"),
            func.min(c.object_id).label("first"),
            func.min(c.start_ms).label("start_ms"),
        ).where(beside, c.officer != stated)
        queries = (
            pairs.where(c.recorder.in_(part)).group_by(c.recorder, c.officer, stated) for part in _chunks(recorders)
        )
        return [dict(row) for query in queries for row in self._db.execute(query).mappings()]

    def clips_set_aside(self, reason: str, recorders: Iterable[str]) -> set[str]:
        """Clips of these recorders that are set aside for this reason."""
        c = t.clip.c
        queries = (select(c.object_id).where(c.recorder.in_(part), c.reason == reason) for part in _chunks(recorders))
        return {object_id for query in queries for object_id in self._db.execute(query).scalars()}

    def registered(self, recorders: Iterable[str]) -> set[str]:
        """Which of these recorders are on the list that the agency imports."""
        return {row["serial"] for row in self._rows(t.recorder, t.recorder.c.serial, set(recorders))}

    def media_copied(self, recorder: str, from_ms: int, until_ms: int) -> list[Row]:
        """Media of a recorder, of known time, that were copied in [from_ms, until_ms).

        ``object_id``, ``station``, ``recorder``, ``end_ms``, ``copied_ms``.
        """
        c = t.clip.c
        found = select(c.object_id, c.station, c.recorder, c.end_ms, c.copied_ms).where(
            c.recorder == recorder,
            c.copied_ms >= from_ms,
            c.copied_ms < until_ms,
            c.end_ms.is_not(None),
            c.kind.in_(MEDIA),
        )
        return [dict(row) for row in self._db.execute(found).mappings()]

    def empty_dockings(self, from_ms: int, until_ms: int) -> list[Row]:
        """Dockings in [from_ms, until_ms) after which, until the recorder was docked again, no new file was seen.

        ``log``, ``seq``, ``station``, ``recorder``, ``docked_ms``, and ``before_ms``, when it was docked before.
        """
        d, other = t.docking.c, t.docking.alias()
        mine = other.c.recorder == d.recorder
        before = select(func.max(other.c.docked_ms)).where(mine, other.c.docked_ms < d.docked_ms).scalar_subquery()
        after = select(func.min(other.c.docked_ms)).where(mine, other.c.docked_ms > d.docked_ms).scalar_subquery()
        f = t.seen_file.c
        meanwhile = (f.recorder == d.recorder, f.seen_ms >= d.docked_ms)
        seen = exists().where(*meanwhile, or_(after.is_(None), f.seen_ms < after))
        found = select(t.docking, before.label("before_ms")).where(
            d.docked_ms >= from_ms, d.docked_ms < until_ms, d.recorder != "", ~seen
        )
        return [dict(row) for row in self._db.execute(found.order_by(d.docked_ms)).mappings()]

    def actions_between(self, officer: str, ended_after_ms: int, ended_by_ms: int) -> list[EnforcementAction]:
        """Acts of an officer that ended in (ended_after_ms, ended_by_ms]."""
        near = self.actions_near([officer], ended_after_ms, ended_by_ms).values()
        return [one for one in near if ended_after_ms < one.interval.end_ms <= ended_by_ms]

    def failures(self) -> list[tuple[str, str, int]]:
        """Officer, act and when, of failures that a review found."""
        c = t.checkpoint_failure.c
        return [(row[0], row[1], row[2]) for row in self._db.execute(select(c.officer, c.action_id, c.at_ms))]

    def plans(self, from_ms: int, until_ms: int) -> list[EnforcementAction]:
        """Acts planned to begin in (from_ms, until_ms], but for those that have taken place."""
        c = t.plan.c
        done = exists().where(t.action.c.action_id == c.action_id)
        found = select(t.plan).where(c.start_ms > from_ms, c.start_ms <= until_ms, ~done).order_by(c.start_ms)
        return [plan_value(row) for row in self._db.execute(found).mappings()]

    def held(self, now_ms: int) -> list[tuple[str, str, int, int | None]]:
        """Recorders that somebody holds now by the ledger: recorder, officer, since when, and when it was last seen.

        Seen is docked, or files of it were: those that are handed in without a dock come in too.
        """
        a, d, f = t.assignment.c, t.docking.c, t.seen_file.c
        docked = select(func.max(d.docked_ms)).where(d.recorder == a.recorder).scalar_subquery()
        came = select(func.max(f.seen_ms)).where(f.recorder == a.recorder).scalar_subquery()
        now = select(a.recorder, a.officer, a.start_ms, docked, came).where(
            a.start_ms <= now_ms, or_(a.end_ms.is_(None), a.end_ms > now_ms)
        )
        rows = self._db.execute(now.order_by(a.recorder, a.start_ms))
        return [(row[0], row[1], row[2], max(filter(None, row[3:]), default=None)) for row in rows]

    def with_files_left(self, recorders: Iterable[str]) -> set[str]:
        """Which of these recorders hold files that were seen and not copied yet."""
        c = t.seen_file.c
        queries = (
            select(c.recorder).where(text("state = 'pending'"), c.recorder.in_(part)).distinct()
            for part in _chunks(recorders)
        )
        return {recorder for query in queries for recorder in self._db.execute(query).scalars()}

    def gone_and_linked(self) -> dict[str, int]:
        """Originals that were disposed of and belong to an act all the same, and when they went (ms)."""
        c = t.disposal.c
        found = select(c.object_id, c.done_ms).where(exists().where(t.link.c.object_id == c.object_id))
        return {row.object_id: row.done_ms for row in self._db.execute(found)}

    def overdue_files(self, before_ms: int, rule: str, limit: int) -> list[Row]:
        """Files seen before ``before_ms``, not arrived, and not flagged by ``rule`` yet."""
        c = t.seen_file.c
        flagged = select(t.flag.c.flag_id).where(t.flag.c.flag_id == rule + ":" + c.seen_in + ":" + c.path)
        overdue = select(t.seen_file).where(text("state = 'pending'"), c.seen_ms < before_ms, ~exists(flagged))
        return [dict(row) for row in self._db.execute(overdue.order_by(c.seen_ms).limit(limit)).mappings()]

    def actions_due(self, ended_before_ms: int, grace_ms: int, limit: int) -> list[str]:
        """Actions that ended before ``ended_before_ms`` and were not judged since their grace ran out."""
        c = t.action.c
        due = select(c.action_id).where(c.end_ms <= ended_before_ms, c.judged_ms < c.end_ms + grace_ms)
        return list(self._db.execute(due.order_by(c.end_ms).limit(limit)).scalars())

    def actions_awaiting(self, judged_before_ms: int, limit: int) -> list[str]:
        """Actions of which something is still to happen by a certain day, and that were not judged since."""
        c = t.action.c
        open_ones = select(c.action_id).where(text("awaited = 1"), c.judged_ms < judged_before_ms)
        return list(self._db.execute(open_ones.order_by(c.judged_ms).limit(limit)).scalars())

    def checks_due(self, now_ms: int, limit: int) -> list[Row]:
        """Clips whose stored object should be read back now, longest waiting first."""
        c = t.clip.c
        due = select(c.object_id, c.name, c.size, c.sha256).where(
            text("verdict <> 'verified'"), c.verdict != "disposed", c.check_ms <= now_ms
        )
        return [dict(row) for row in self._db.execute(due.order_by(c.check_ms).limit(limit)).mappings()]

    def known_offences(self, digests: Iterable[str]) -> set[str]:
        """Which of these offending bytes (SHA-256) are in quarantine already."""
        c = t.quarantined_message.c.offence
        return {one for ids in _chunks(digests) for one in self._db.execute(select(c).where(c.in_(ids))).scalars()}

    # What was decided.

    def put_suggestions(self, object_ids: Iterable[str], suggestions: Iterable[Suggestion]) -> None:
        """Replace the suggestions of these clips."""
        for ids in _chunks(object_ids):
            self._db.execute(_FORGET_SUGGESTIONS, {"values": ids})
        rows = [
            {"object_id": s.object_id, "action_id": s.action_id, "score": s.score, "reasons": dumps(s.reasons)}
            for s in suggestions
        ]
        self._put(t.suggestion, rows, ("score", "reasons"))

    def put_coverage(self, coverages: Sequence[Coverage], now_ms: int) -> None:
        """Replace what is known of the coverage of these actions, judged at ``now_ms``."""
        rows = [
            {
                "action_id": c.action_id,
                "nominal_ppm": c.nominal_ppm,
                "guaranteed_ppm": c.guaranteed_ppm,
                "gaps": dumps([[g.interval.start_ms, g.interval.end_ms, g.reason] for g in c.gaps]),
                "clips": dumps(c.clips),
            }
            for c in coverages
        ]
        self._put(t.coverage, rows, ("nominal_ppm", "guaranteed_ppm", "gaps", "clips"))
        self.judged((c.action_id for c in coverages), now_ms)

    def judged(self, action_ids: Iterable[str], now_ms: int) -> None:
        """Record when the rules looked at these actions."""
        for ids in _chunks(action_ids):
            self._db.execute(_JUDGED, {"values": ids, "now_ms": now_ms})

    # What people import.

    def changed(self, imported: Import) -> Import:
        """The part of ``imported`` that differs from these tables."""
        return Import(
            officers=tuple(self._changed_officers(imported.officers)),
            recorders=tuple(self._changed(imported.recorders, self._recorders)),
            assignments=tuple(self._changed(imported.assignments, self._same_assignments)),
            cases=tuple(self._changed_cases(imported.cases)),
            actions=tuple(self._changed_actions(imported.actions)),
            units=tuple(self._changed(imported.units, self._units)),
            stages=tuple(self._changed(imported.stages, self._same_stages)),
            plans=tuple(self._changed(imported.plans, self._same_plans)),
        )

    def _changed_actions(self, actions: Sequence[EnforcementAction]) -> Iterator[EnforcementAction]:
        """A part of the known ones is in memory at a time. A fact that is not given never replaces a known one."""
        for part in _chunks(actions):
            known = self.actions(action.action_id for action in part)
            for action in part:
                before = known.get(action.action_id)
                after = replace(action, facts=action.facts.over(before.facts)) if before else action
                if after != before:
                    yield after

    def officers(self) -> list[Officer]:
        """Every known officer."""
        return [officer_value(row) for row in self._db.execute(select(t.officer)).mappings()]

    def roster(self, endings: Iterable[str]) -> set[str]:
        """Certificate numbers that end in one of ``endings``."""
        wanted = set(endings)
        if not wanted:
            return set()
        return {number for number in self._db.execute(select(t.officer.c.number)).scalars() if ending(number) in wanted}

    def clips_stating(self, officers: Iterable[str]) -> set[str]:
        """Clips whose wearer is known by what a device states, where these officers may be meant."""
        endings = {ending(number) for number in officers}
        c = t.clip.c
        stated = self._db.execute(select(c.officer).where(c.officer_source == "stated").distinct()).scalars()
        numbers = [number for number in stated if ending(number) in endings]
        queries = (
            select(c.object_id).where(c.officer.in_(part), c.officer_source == "stated") for part in _chunks(numbers)
        )
        return {object_id for query in queries for object_id in self._db.execute(query).scalars()}

    def put_import(self, changes: Import) -> None:
        """Write officers, recorders, assignments, cases and actions; rows of a part are in memory at a time."""
        for officers in _chunks(changes.officers):
            rows = [asdict(o) for o in officers]
            self._put(t.officer, rows, [name for name in rows[0] if name != "number"])
        for recorders in _chunks(changes.recorders):
            rows = [{"serial": r.serial, "name": r.name, "unit": r.unit} for r in recorders]
            self._put(t.recorder, rows, ("name", "unit"))
        for cases in _chunks(changes.cases):
            rows = [{"number": c.number, "title": c.title, "unit": c.unit} for c in cases]
            self._put(t.case_file, rows, ("title", "unit"))
        for assignments in _chunks(changes.assignments):
            self._put(t.assignment, [_assignment_row(a) for a in assignments], ("officer", "end_ms", "source"))
        for actions in _chunks(changes.actions):
            self._put_actions(actions)
        for units in _chunks(changes.units):
            self._put(t.unit, [asdict(unit) for unit in units], ["parent"])
        for stages in _chunks(changes.stages):
            self._put(t.case_stage, [_stage_row(one) for one in stages], ["stage"])
        for plans in _chunks(changes.plans):
            rows = [_plan_row(one) for one in plans]
            self._put(t.plan, rows, [name for name in rows[0] if name != "action_id"])

    # The centre log.

    def project(self, entries: Sequence[Entry], keyid_of: Callable[[int], str]) -> None:
        """Write what entries of the centre log say into their tables; ``keyid_of`` says who signed which."""
        self._put_new(t.entry, [entry_row(e, keyid_of(e.seq), clip_in(e.record.payload)) for e in entries])
        by_event: dict[str, list[Entry]] = {}
        for entry in entries:
            by_event.setdefault(entry.record.event, []).append(entry)
        for event, projector in self._projectors():
            if event in by_event:
                projector(by_event[event])

    def _projectors(self) -> list[tuple[str, Callable[[list[Entry]], None]]]:
        """Events in the order in which their rows can be written."""
        return [
            ("station.enrolled", self._enrolled),
            ("key.enrolled", self._keyed),
            ("key.revoked", self._revoked),
            ("station.entries", self._mirrored),
            ("message.quarantined", self._quarantined),
            ("cases.imported", self._imported),
            ("central.verified", self._verified),
            ("integrity.checked", self._checked),
            ("case.unlinked", self._unlinked),
            ("case.linked", self._linked),
            ("flag.set", self._flag_set),
            ("flag.changed", self._flag_changed),
            ("flag.cleared", self._flag_cleared),
            *self.people.projectors(),
            *self.decided.projectors(),
        ]

    def _enrolled(self, entries: list[Entry]) -> None:
        rows = [
            {
                "log": key_in(e.record.block("station"), "log"),
                "station": key_in(e.record.block("station"), "id"),
                "vkey": text_in(e.record.block("key"), "vkey"),
                "size": 0,
                "log_seq": e.seq,
            }
            for e in entries
        ]
        self._put_new(t.mirror, rows)
        self._put_new(t.log_key, [{**key_row(e), "from_seq": 0, "from_ms": e.record.utc_ms} for e in entries])

    def _keyed(self, entries: list[Entry]) -> None:
        self._put_new(t.log_key, [key_row(e) for e in entries])
        self.succeeded(entries)

    def _revoked(self, entries: list[Entry]) -> None:
        c = t.log_key.c
        for entry in entries:
            key, since_ms = revocation_in(entry.record)
            named = and_(c.log == first_origin(key.name), (c.vkey == key.vkey()) | (c.vkey_sm3 == key.vkey()))
            values = {
                "revoked_ms": since_ms,
                "revoked_by": dumps(approvers_of(entry.record)),
                "revoked_reason": text_in(entry.record.payload, "reason"),
                "revoked_code": text_in(entry.record.block("revocation"), "code"),
            }
            earlier = c.revoked_ms.is_(None) | (c.revoked_ms > since_ms)
            self._db.execute(update(t.log_key).where(named, earlier).values(values))

    def _mirrored(self, entries: list[Entry]) -> None:
        for entry in entries:
            log, size = mirrored(entry)
            self._db.execute(update(t.mirror).where(t.mirror.c.log == log).values(size=size))

    def _quarantined(self, entries: list[Entry]) -> None:
        rows = []
        for entry in entries:
            message = entry.record.block("message")
            rows.append(
                {
                    "offence": key_in(message, "offence"),
                    "station": key_in(message, "station"),
                    "finding": key_in(message, "finding"),
                    "reason": text_in(entry.record.payload, "reason"),
                    "size": message["size"],
                    "sha256": key_in(message, "sha256"),
                    "received_ms": entry.record.utc_ms,
                    "log_seq": entry.seq,
                }
            )
        self._put_new(t.quarantined_message, rows)

    def _imported(self, entries: list[Entry]) -> None:
        rows = []
        for entry in entries:
            source = entry.record.block("import")
            rows.append(
                {
                    "log_seq": entry.seq,
                    "name": text_in(source, "name"),
                    "sha256": key_in(source, "sha256"),
                    "imported_ms": entry.record.utc_ms,
                }
            )
        self._put_new(t.imported_file, rows)

    def _verified(self, entries: list[Entry]) -> None:
        rows = []
        for entry in entries:
            answered = entry.record.block("entry")
            rows.append(
                {
                    "object_id": clip_in(entry.record.payload),
                    "log": answered["log"],
                    "seq": answered["seq"],
                    "data": entry.data,
                    "log_seq": entry.seq,
                }
            )
        self._put(t.receipt, rows, ("log", "seq", "data", "log_seq"))
        self.update_clips([{"object_id": row["object_id"], "verdict": "verified"} for row in rows], ["verdict"])

    def _checked(self, entries: list[Entry]) -> None:
        checked = [entry.record.payload for entry in entries]
        rows = [{"object_id": clip_in(payload), "verdict": text_in(payload, "result")} for payload in checked]
        self.update_clips(rows, ["verdict"])

    def _unlinked(self, entries: list[Entry]) -> None:
        pairs = [(key_in(e.record.block("link"), "object"), key_in(e.record.block("link"), "action")) for e in entries]
        gone = and_(t.link.c.object_id == bindparam("clip"), t.link.c.action_id == bindparam("act"))
        self._db.execute(delete(t.link).where(gone), [{"clip": clip, "act": act} for clip, act in pairs])
        self._count_links(clip for clip, _ in pairs)
        self.people.part(entries)

    def _linked(self, entries: list[Entry]) -> None:
        rows = [_link_row(entry.record.block("link"), entry.seq) for entry in entries]
        self._put(t.link, rows, ("method", "score", "reasons", "rule_version", "log_seq"))
        self._count_links(row["object_id"] for row in rows)
        self.people.join(entries)

    def _count_links(self, object_ids: Iterable[str]) -> None:
        count = select(func.count()).where(t.link.c.object_id == t.clip.c.object_id).scalar_subquery()
        for ids in _chunks(dict.fromkeys(object_ids)):
            self._db.execute(update(t.clip).where(t.clip.c.object_id.in_(ids)).values(links=count))

    def _flag_set(self, entries: list[Entry]) -> None:
        rows = [{**_flag_row(e), "set_ms": e.record.utc_ms, "cleared_ms": None, "state": "open"} for e in entries]
        self._put(t.flag, rows, [name for name in rows[0] if name != "flag_id"])
        self.people.lapse_reviews([row["flag_id"] for row in rows])

    def _flag_changed(self, entries: list[Entry]) -> None:
        rows = [{**_flag_row(e), "set_ms": e.record.utc_ms, "cleared_ms": None, "state": "open"} for e in entries]
        self._put(t.flag, rows, [name for name in rows[0] if name not in {"flag_id", "set_ms"}])
        self.people.lapse_reviews([row["flag_id"] for row in rows])

    def _flag_cleared(self, entries: list[Entry]) -> None:
        rows = [
            {**_flag_row(e), "set_ms": e.record.utc_ms, "cleared_ms": e.record.utc_ms, "state": "cleared"}
            for e in entries
        ]
        self._put(t.flag, rows, ("state", "changed_ms", "cleared_ms", "log_seq"))

    # Statements.

    def _put_new(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert what is not there; what is there stays."""
        values = list(rows)
        if values:
            self._db.execute(self._insert(table).on_conflict_do_nothing(), values)

    def _put(self, table: Table, rows: Sequence[Row], columns: Iterable[str]) -> None:
        """Insert, or replace ``columns`` of what is there."""
        if not rows:
            return
        statement = self._insert(table)
        replaced = {name: statement.excluded[name] for name in columns}
        keys = list(table.primary_key.columns)
        self._db.execute(statement.on_conflict_do_update(index_elements=keys, set_=replaced), rows)

    def _put_files(self, state: str, rows: Sequence[Row]) -> None:
        """What a run of entries said of files; runs come in the order of the log."""
        if state == "pending":
            self._put_seen(rows)
        elif state == "copied":
            self._put(t.seen_file, rows, ("state", "reason"))
        else:
            self._put_failed(rows)

    def _put_seen(self, rows: Sequence[Row]) -> None:
        """A file that failed and is seen again is waited for again; what is pending or copied stays so."""
        statement = self._insert(t.seen_file)
        again = {name: statement.excluded[name] for name in ("state", "reason", "seen_ms", "seen_in")}
        failed = t.seen_file.c.state == "failed"
        self._db.execute(
            statement.on_conflict_do_update(index_elements=[t.seen_file.c.file_id], set_=again, where=failed), rows
        )

    def _put_failed(self, rows: Sequence[Row]) -> None:
        """A failure marks every file of the path that was not copied; one that nobody had seen becomes a row.

        A failure names no size, so it cannot tell files of one path apart.
        """
        c = t.seen_file.c
        places = {row["place_id"] for row in rows}
        known = {(row["place_id"], row["mtime_ms"]) for row in self._rows(t.seen_file, c.place_id, places)}
        self._put_new(t.seen_file, [row for row in rows if (row["place_id"], row["mtime_ms"]) not in known])
        pending = and_(t.seen_file.c.place_id == bindparam("place"), t.seen_file.c.state != "copied")
        values = [{"place": row["place_id"], "why": row["reason"]} for row in rows]
        self._db.execute(update(t.seen_file).where(pending).values(state="failed", reason=bindparam("why")), values)

    def _put_actions(self, actions: Sequence[EnforcementAction]) -> None:
        """Who no longer takes part is found by who did: to look for an act alone would read the whole table."""
        known = self.actions(a.action_id for a in actions)
        rows = [_action_row(a) for a in actions]
        self._put(t.action, rows, [name for name in rows[0] if name != "action_id"])
        gone = [{"who": officer, "act": a.action_id} for a in known.values() for officer in a.officers]
        if gone:
            c = t.action_officer.c
            took_part = and_(c.officer == bindparam("who"), c.action_id == bindparam("act"))
            self._db.execute(delete(t.action_officer).where(took_part), gone)
        parts = [
            {
                "officer": officer,
                "action_id": a.action_id,
                "from_ms": a.interval.start_ms - a.margin_ms,
                "until_ms": a.interval.end_ms + a.margin_ms,
            }
            for a in actions
            for officer in dict.fromkeys(a.officers)
        ]
        self._put_new(t.action_officer, parts)
        for ids in _chunks(a.action_id for a in actions):
            self._db.execute(delete(t.checkpoint_failure).where(t.checkpoint_failure.c.action_id.in_(ids)))
        failures = [
            {"officer": officer, "action_id": a.action_id, "at_ms": a.interval.start_ms}
            for a in actions
            for officer in dict.fromkeys(a.facts.failed or ())
        ]
        self._put_new(t.checkpoint_failure, failures)

    def _actions(self, column: ColumnElement[str], values: Iterable[str]) -> dict[str, EnforcementAction]:
        return {row["action_id"]: action_value(row) for row in self._rows(t.action, column, values)}

    def _links(self, column: ColumnElement[str], values: Iterable[str]) -> list[Link]:
        return [link_value(row) for row in self._rows(t.link, column, values)]

    def _flags(self, column: ColumnElement[str], values: Iterable[str]) -> dict[str, Row]:
        rows = self._rows(t.flag, column, values)
        return {row["flag_id"]: dict(row) for row in rows if row["state"] in STANDING}

    def _assignments(
        self, column: ColumnElement[str], values: Iterable[str], by: Callable[[Assignment], str]
    ) -> dict[str, list[Assignment]]:
        found: dict[str, list[Assignment]] = {}
        for row in self._rows(t.assignment, column, values):
            one = _assignment(row)
            found.setdefault(by(one), []).append(one)
        return found

    def _changed(self, given: Sequence[V], known: Callable[[Sequence[V]], set[V]]) -> Iterator[V]:
        there = known(given)
        return (value for value in dict.fromkeys(given) if value not in there)

    def _changed_officers(self, given: Sequence[Officer]) -> Iterator[Officer]:
        """A qualification that is not given never replaces a known one."""
        rows = self._rows(t.officer, t.officer.c.number, (o.number for o in given))
        known = {row["number"]: officer_value(row) for row in rows}
        for officer in given:
            before = known.get(officer.number)
            after = officer.over(before) if before else officer
            if after != before:
                yield after

    def _units(self, given: Sequence[Unit]) -> set[Unit]:
        rows = self._rows(t.unit, t.unit.c.name, (one.name for one in given))
        return {Unit(row["name"], row["parent"]) for row in rows}

    def _same_stages(self, given: Sequence[CaseStage]) -> set[CaseStage]:
        keys = {case_key(one.case): one.case for one in given}
        rows = self._rows(t.case_stage, t.case_stage.c.case_key, keys)
        return {CaseStage(keys[row["case_key"]], Stage(row["stage"]), row["start_ms"]) for row in rows}

    def _same_plans(self, given: Sequence[EnforcementAction]) -> set[EnforcementAction]:
        return set(map(plan_value, self._rows(t.plan, t.plan.c.action_id, (one.action_id for one in given))))

    def _recorders(self, given: Sequence[Recorder]) -> set[Recorder]:
        rows = self._rows(t.recorder, t.recorder.c.serial, (r.serial for r in given))
        return {Recorder(row["serial"], row["name"], row["unit"]) for row in rows}

    def _same_assignments(self, given: Sequence[Assignment]) -> set[Assignment]:
        rows = self._rows(t.assignment, t.assignment.c.recorder, {a.recorder for a in given})
        return {_assignment(row) for row in rows}

    def _changed_cases(self, given: Sequence[Case]) -> Iterator[Case]:
        """An empty title or unit means «not given here» and never replaces a known one."""
        rows = self._rows(t.case_file, t.case_file.c.number, (c.number for c in given))
        known = {row["number"]: Case(row["number"], row["title"], row["unit"]) for row in rows}
        for case in given:
            old = known.get(case.number, Case(case.number))
            new = Case(case.number, case.title or old.title, case.unit or old.unit)
            if case.number not in known or new != old:
                known[case.number] = new
                yield new

    def _rows(self, table: Table, column: ColumnElement[str], values: Iterable[str]) -> Iterator[Row]:
        return self._among(_one_of(table, column), _some_of(table, column), values)

    def _among(
        self, one: Select[Any], some: Select[Any], values: Iterable[str], more: Mapping[str, object] | None = None
    ) -> Iterator[Row]:
        """Rows by ``some`` values, or by ``one``: a list is put into the words of a statement each time it is asked."""
        for part in _chunks(values):
            statement, asked = (one, {"value": part[0]}) if len(part) == 1 else (some, {"values": part})
            yield from map(dict, self._db.execute(statement, {**asked, **(more or {})}).mappings())


_VALUE: Final[BindParameter[str]] = bindparam("value")
_VALUES: Final[BindParameter[str]] = bindparam("values", expanding=True)


@cache
def _one_of(table: Table, column: ColumnElement[str]) -> Select[Any]:
    """Rows of ``table`` whose ``column`` is ``value``; building a statement costs more than asking it."""
    return select(table).where(column == _VALUE)


@cache
def _some_of(table: Table, column: ColumnElement[str]) -> Select[Any]:
    """Rows of ``table`` whose ``column`` is among ``values``."""
    return select(table).where(column.in_(_VALUES))


_OF_TIME: Final = (
    select(t.action)
    .join(t.action_officer, t.action_officer.c.action_id == t.action.c.action_id)
    .where(t.action_officer.c.from_ms <= bindparam("until"), t.action_officer.c.until_ms >= bindparam("from"))
)
_ACTIONS_NEAR_ONE: Final = _OF_TIME.where(t.action_officer.c.officer == _VALUE)
_ACTIONS_NEAR: Final = _OF_TIME.where(t.action_officer.c.officer.in_(_VALUES))
_ANY_ASSIGNMENT: Final = select(t.assignment.c.recorder).limit(1)
_FORGET_SUGGESTIONS: Final = delete(t.suggestion).where(t.suggestion.c.object_id.in_(_VALUES))
_JUDGED: Final = update(t.action).where(t.action.c.action_id.in_(_VALUES)).values(judged_ms=bindparam("now_ms"))

_CLIPS_NEAR: Final = union(
    select(t.clip.c.object_id)
    .where(t.clip.c.officer.in_(bindparam("officers", expanding=True)), t.clip.c.end_ms >= bindparam("begin"))
    .where(t.clip.c.start_ms.between(bindparam("first"), bindparam("end"))),
    select(t.clip.c.object_id).where(t.clip.c.case_key == bindparam("case_key"), text("case_key <> ''")),
    select(t.link.c.object_id).where(t.link.c.action_id == bindparam("action_id")),
    select(t.suggestion.c.object_id).where(t.suggestion.c.action_id == bindparam("action_id")),
)


def key_row(entry: Entry) -> Row:
    """The row of keys that an entry of the centre log brings in, not signing yet."""
    payload = entry.record.payload
    keys, station = keys_in(entry.record.block("key")), object_in(payload, "station")
    return {
        "log": keys.origin,
        "keyid": keys.keyid,
        "station": key_in(station, "id") or station_of(keys.origin),
        "profile": profile_of(keys).value,
        "vkey": keys.note.vkey(),
        "vkey_sm3": keys.second.vkey() if keys.second else "",
        "replaces": key_in(object_in(payload, "replaces"), "keyid"),
        "approvers": dumps(approvers_of(entry.record)),
        "fingerprint": text_in(payload, "fingerprint"),
        "certificates": dumps(object_in(payload, "certificates")),
        "enrolled_ms": entry.record.utc_ms,
        "from_seq": None,
        "from_ms": None,
        "revoked_ms": None,
        "revoked_by": "[]",
        "revoked_reason": "",
        "revoked_code": "",
        "log_seq": entry.seq,
    }


def _link_row(link: JsonObject, seq: int) -> Row:
    return {
        "object_id": key_in(link, "object"),
        "action_id": key_in(link, "action"),
        "method": key_in(link, "method"),
        "score": link["score"],
        "reasons": dumps(link["reasons"]),
        "rule_version": key_in(link, "rule_version"),
        "log_seq": seq,
    }


def _flag_row(entry: Entry) -> Row:
    flag = entry.record.block("flag")
    return {
        "flag_id": text_in(flag, "id"),
        "rule": key_in(flag, "rule"),
        "rule_version": key_in(flag, "rule_version"),
        "key": text_in(flag, "key"),
        "action_id": key_in(flag, "action"),
        "case_number": key_in(flag, "case"),
        "article": text_in(flag, "article"),
        "detail": text_in(flag, "detail"),
        "inputs": dumps(object_in(flag, "inputs")),
        "changed_ms": entry.record.utc_ms,
        "log_seq": entry.seq,
    }


def _assignment(row: Mapping[str, Any]) -> Assignment:
    return Assignment(row["recorder"], row["officer"], row["start_ms"], row["end_ms"])


def _assignment_row(one: Assignment) -> Row:
    return {**asdict(one), "source": IMPORTED}


def _stage_row(one: CaseStage) -> Row:
    return {"case_key": case_key(one.case), "start_ms": one.start_ms, "stage": one.stage.value}


def _plan_row(plan: EnforcementAction) -> Row:
    return {
        "action_id": plan.action_id,
        "case_number": plan.case,
        "type": plan.type,
        "level": plan.level.value,
        "start_ms": plan.interval.start_ms,
        "end_ms": plan.interval.end_ms,
        "officers": dumps(plan.officers),
    }


def _action_row(action: EnforcementAction) -> Row:
    place = action.place
    return {
        "action_id": action.action_id,
        "case_number": action.case,
        "case_key": case_key(action.case),
        "type": action.type,
        "level": action.level.value,
        "start_ms": action.interval.start_ms,
        "end_ms": action.interval.end_ms,
        "officers": dumps(action.officers),
        "lat_e7": place.lat_e7 if place else None,
        "lon_e7": place.lon_e7 if place else None,
        "accuracy_m": place.accuracy_m if place else 0,
        "radius_m": action.radius_m,
        "tolerated_gap_ms": action.tolerated_gap_ms,
        "margin_ms": action.margin_ms,
        "facts": dumps({name: value for name, value in asdict(action.facts).items() if value is not None}),
        "awaited": int(action.facts.awaited),
        "judged_ms": 0,
    }


def _chunks(values: Iterable[V]) -> Iterator[list[V]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk

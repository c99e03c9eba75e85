"""All reads of the index. Pages, commands and rules get frozen values; nobody else sees a session.

Each method is one consistent read. Lists come newest first and are paged by ``after``, the last row's id of the page
before (keyset paging: a page never shifts while clips arrive).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Subquery,
    TextClause,
    and_,
    exists,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import SQLAlchemyError

from custody.canonical import JsonObject, JsonValue
from custody.identifiers import is_uuid7, station_of
from ingestd.errors import DatabaseError
from ingestd.index import acts, decided
from ingestd.index import tables as t
from ingestd.index.acts import NONE, ActionFilter
from ingestd.index.database import snapshot_reads
from ingestd.index.rows import AnyRow, Row, action_value, coverage_value, loads, officer_value, place_of, plan_value
from ingestd.model import MAX_CLIP_MS, Case, Coverage, EnforcementAction, MediaKind, Officer, Position

T = TypeVar("T")
Condition = ColumnElement[bool] | TextClause
"""The condition of a partial index stands in the index's own words, as text: a planner compares it with the index's.

SQLAlchemy would add ``= 1`` to an expression that it knows to be true or false, and SQLite use no partial index.
"""
Order = tuple[ColumnElement[Any], ...]
"""Columns by which a list is read, each the greatest first; the last is the key."""

PAGE_ROWS: Final = 50
"""Rows of a page unless the caller says otherwise."""
_AT_ONCE: Final = 500
"""Most values of one ``IN``."""
_ENDS: Final = frozenset({"", "open", "cleared", "closed"})
"""What a list of flags is asked for by state alone."""
_ROWS_AT_ONCE: Final = 1000
"""Rows in memory of a list that is read to its end."""
_BEFORE_ALL_MS: Final = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows and, when there are more, the ``after`` of the next page."""

    rows: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips; an empty or None field does not narrow. ``linked`` counts only video, audio and images."""

    linked: bool | None = None
    status: str = ""
    """``received`` (not described yet), ``indexed`` or ``quarantined``."""
    verdict: str = ""
    """``unchecked``, ``verified``, ``failed`` or ``missing``."""
    station: str = ""
    recorder: str = ""
    officer: str = ""
    kind: str = ""
    case: str = ""
    """Case of a linked action."""
    text: str = ""
    """Part of the path on the recorder or of the object id."""
    from_ms: int | None = None
    until_ms: int | None = None
    unit: str = ""
    """Unit of who wore the recorder, ``acts.NONE`` where none is registered."""
    below: bool = False
    """Also the units below ``unit``."""
    late_ms: int | None = None
    """Media that were copied more than this after they ended."""


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip as a list shows it."""

    object_id: str
    station: str
    recorder: str
    path: str
    """Printable path on the recorder."""
    kind: MediaKind | None
    """None while it is not described."""
    status: str
    reason: str
    """Why it is quarantined: ``zero-byte``, ``unreadable-media``, ``unknown-content``, ``unregistered-recorder``,
    ``undecidable``; or empty."""
    start_ms: int | None
    end_ms: int | None
    uncertainty_ms: int
    officer: str
    officer_name: str
    officer_source: str
    case_stated: str
    size_bytes: int
    sha256: str
    verdict: str
    copied_ms: int
    links: int
    suggestions: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link with what a page says about both ends."""

    object_id: str
    action_id: str
    action_type: str
    case: str
    case_title: str
    method: str
    score: int
    reasons: tuple[str, ...]
    rule_version: str
    log_seq: int
    """Entry of the centre log that made it."""
    stage: str = ""
    """Where the case stood when the clip began (``model.Stage``); empty where no register says."""


@dataclass(frozen=True, slots=True)
class SuggestionRow:
    """A clip that may belong to an action."""

    object_id: str
    action_id: str
    action_type: str
    case: str
    case_title: str
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProxyRow:
    """A derived object that plays in a browser."""

    object_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CustodyEvent:
    """One signed entry about a clip."""

    event: str
    utc_ms: int
    log: str
    seq: int
    leaf: str
    """Hex leaf hash: the entry's identity."""
    signer: str
    """Key id of the signature."""


@dataclass(frozen=True, slots=True)
class ViewRow:
    """Somebody looked at a clip: its page (``detail``) or its ``proxy``."""

    actor: str
    what: str
    viewed_ms: int
    log_seq: int


@dataclass(frozen=True, slots=True)
class ClipDetail:
    """Everything a page shows of one clip."""

    row: ClipRow
    name: str
    """Name in the evidence store."""
    media_type: str
    digests: Mapping[str, str]
    place: Position | None
    media: JsonObject | None
    """The signed ``media`` block, None while it is not described."""
    links: tuple[LinkRow, ...]
    suggestions: tuple[SuggestionRow, ...]
    proxies: tuple[ProxyRow, ...]
    events: tuple[CustodyEvent, ...]
    views: tuple[ViewRow, ...] = ()


@dataclass(frozen=True, slots=True)
class FlagAct:
    """What somebody did about a flag."""

    event: str
    """``flag.explained``, ``flag.reviewed`` or ``flag.closed``."""
    actor: str
    said: str
    result: str
    """``accepted`` or ``returned`` of a review, the ground of a closing."""
    at_ms: int
    log_seq: int


@dataclass(frozen=True, slots=True)
class FlagRow:
    """A flag and what became of it."""

    flag_id: str
    rule: str
    rule_version: str
    state: str
    """``open``, ``cleared`` when facts have withdrawn it, or ``closed`` by people."""
    action_id: str
    case: str
    article: str
    detail: str
    set_ms: int
    changed_ms: int
    cleared_ms: int | None
    log_seq: int
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    explanation: str = ""
    """What a person said of it last."""
    explained_by: str = ""
    explained_ms: int | None = None
    status: str = "open"
    """Where it stands: ``flag_life.Status``."""
    acts: tuple[FlagAct, ...] = ()
    """What people did about it, earliest first."""


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold on a clip or a case; in force while ``released_ms`` is None."""

    hold_id: str
    object_id: str
    case: str
    reason: str
    set_by: str
    set_ms: int
    released_by: str
    release_reason: str
    released_ms: int | None
    log_seq: int


@dataclass(frozen=True, slots=True)
class DisposalRow:
    """An original of which somebody approved that it may go. ``done_ms`` is None while it was not recorded as gone."""

    object_id: str
    approved_by: tuple[str, ...]
    reasons: tuple[str, ...]
    done_ms: int | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that a station saw on a recorder. ``state`` is ``pending``, ``copied`` or ``failed``."""

    file_id: str
    station: str
    recorder: str
    path: str
    size: int
    seen_ms: int
    state: str
    reason: str
    """Why it could not be copied; empty unless it failed."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An action as a list shows it. The figures are parts per million, None while nothing was computed."""

    action: EnforcementAction
    case_title: str
    nominal_ppm: int | None
    guaranteed_ppm: int | None
    links: int
    open_flags: int


@dataclass(frozen=True, slots=True)
class ActionDetail:
    """Everything a page shows of one action. ``clips`` are those linked or suggested, by object id."""

    action: EnforcementAction
    case: Case | None
    officer_names: Mapping[str, str]
    coverage: Coverage | None
    links: tuple[LinkRow, ...]
    suggestions: tuple[SuggestionRow, ...]
    flags: tuple[FlagRow, ...]
    clips: Mapping[str, ClipRow]
    unqualified: tuple[str, ...] = ()
    """Officers whose certificate, as the roster has it, had ended when the act began."""


@dataclass(frozen=True, slots=True)
class PlanDetail:
    """Everything a page shows of an act that is planned; the interval of ``plan`` is the one planned."""

    plan: EnforcementAction
    case: Case | None
    officer_names: Mapping[str, str]
    flags: tuple[FlagRow, ...]


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as a list shows it."""

    case: Case
    actions: int
    open_flags: int


@dataclass(frozen=True, slots=True)
class ClipCounts:
    """Clips by what became of them; ``linked`` and ``unlinked`` count indexed video, audio and images."""

    found: int
    offloaded: int
    failed: int
    verified: int
    indexed: int
    linked: int
    unlinked: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class LogState:
    """The centre log as far as the tables follow it. ``root`` is base64, as in a checkpoint."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class MirrorRow:
    """A station's log and how many of its entries the centre holds."""

    log: str
    station: str
    size: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of the first page."""

    clips: ClipCounts
    open_flags: int
    messages_quarantined: int
    log: LogState

    def as_json(self) -> dict[str, object]:
        """The shape of ``/api/v1/summary``."""
        counts = {name: getattr(self.clips, name) for name in ClipCounts.__slots__}
        return {
            "clips": counts,
            "flags": {"open": self.open_flags},
            "messages_quarantined": self.messages_quarantined,
            "log": {"origin": self.log.origin, "size": self.log.size, "root": self.log.root},
        }


class Queries:
    """Reads over one engine; safe to share between threads. Raises ``DatabaseError`` when it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = snapshot_reads(engine)

    def summary(self) -> Summary:
        """Counts of clips, flags and quarantined messages, and where the log stands."""
        return self.read(_summary)

    def clips(
        self, wanted: ClipFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ClipRow]:
        """Clips, newest docking first; those of a time, the one that began last first."""
        return self.read(lambda db: _clip_page(db, wanted or ClipFilter(), after, limit))

    def every_clip(self, wanted: ClipFilter) -> Iterator[ClipRow]:
        """All clips of a list in its order, from one snapshot, and never more than some of them in memory."""
        return self._every(lambda db, after: _clip_page(db, wanted, after, _ROWS_AT_ONCE))

    def clip(self, object_id: str) -> ClipDetail | None:
        """One clip, or None when there is none of that id."""
        return self.read(lambda db: _clip_detail(db, object_id))

    def flags(
        self, state: str = "open", rule: str = "", action_id: str = "", after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[FlagRow]:
        """Flags, newest first; an empty ``state`` means all, a ``flag_life.Status`` that status.

        ``open`` are all that neither facts nor people have ended, ``unexplained`` those of which nothing was said yet.
        """
        return self.read(lambda db: _flag_page(db, _flag_conditions(state, rule, action_id), after, limit))

    def every_flag(self, state: str, rule: str) -> Iterator[FlagRow]:
        """All flags of a list in its order, from one snapshot, and never more than some of them in memory."""
        return self._every(lambda db, after: _flag_page(db, _flag_conditions(state, rule, ""), after, _ROWS_AT_ONCE))

    def open_flags_by_rule(self) -> dict[str, int]:
        """How many flags of each rule are open; a rule without any is not there."""
        c = t.flag.c
        statement = select(c.rule, func.count()).where(c.state == "open").group_by(c.rule).order_by(c.rule)
        return self.read(lambda db: {row.rule: row[1] for row in db.execute(statement)})

    def flag(self, flag_id: str) -> FlagRow | None:
        """One flag, or None when there never was one of that id."""
        statement = select(t.flag).where(t.flag.c.flag_id == flag_id)
        return self.read(lambda db: next(iter(_flag_rows(db, statement)), None))

    def files(self, state: str, after: str | None = None, limit: int = PAGE_ROWS) -> Page[FileRow]:
        """Files of one state that were seen on recorders, latest first."""
        c = t.seen_file.c
        statement = select(t.seen_file).where(c.state == state)
        return self.read(
            lambda db: _page(
                db, _from(db, statement, (c.seen_ms, c.file_id), after), limit, _file_row, lambda row: row.file_id
            )
        )

    def actions(
        self, wanted: ActionFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ActionRow]:
        """Actions, latest start first."""
        return self.read(lambda db: _action_page(db, wanted or ActionFilter(), after, limit))

    def action(self, action_id: str) -> ActionDetail | None:
        """One action, or None when there is none of that id."""
        return self.read(lambda db: _action_detail(db, action_id))

    def plan(self, action_id: str) -> PlanDetail | None:
        """One act that is planned, or None when there never was a plan of that id."""
        return self.read(lambda db: _plan_detail(db, action_id))

    def audits(self, limit: int) -> list[int]:
        """Numbers of the newest entries of the centre log that say what an audit found, newest first."""
        c = t.entry.c
        ours = select(t.state.c.origin).scalar_subquery()
        statement = select(c.seq).where(c.log == ours, text("entry.event = 'audit.done'"))
        return self.read(lambda db: list(db.scalars(statement.order_by(c.seq.desc()).limit(limit))))

    def mirrors(self) -> list[MirrorRow]:
        """The stations' logs as far as they are held, by station."""
        statement = select(t.mirror.c.log, t.mirror.c.station, t.mirror.c.size).order_by(t.mirror.c.station)
        return self.read(lambda db: [MirrorRow(*row) for row in db.execute(statement)])

    def cases(self, after: str | None = None, limit: int = PAGE_ROWS) -> Page[CaseRow]:
        """Cases by number."""
        statement = _CASES.order_by(t.case_file.c.number)
        if after:
            statement = statement.where(t.case_file.c.number > after)
        return self.read(lambda db: _page(db, statement, limit, _case_row, lambda row: row.case.number))

    def holds(self, *, every: bool = False) -> list[HoldRow]:
        """Holds in force, oldest first; ``every`` one when asked."""
        c = t.hold.c
        statement = select(t.hold).order_by(c.set_ms, c.hold_id)
        wanted = statement if every else statement.where(c.released_ms.is_(None))
        return self.read(lambda db: [_hold_row(row) for row in db.execute(wanted).mappings()])

    def reviews(self) -> list[Row]:
        """Every legal review, the one whose material was complete last first."""
        return self.read(decided.reviews)

    def decisions(self) -> list[Row]:
        """Every decision, newest first."""
        return self.read(decided.decisions)

    def token(self, token_id: str) -> Mapping[str, Any] | None:
        """A token of another system by its id, or None."""
        return next((row for row in self.tokens() if row["token_id"] == token_id), None)

    def tokens(self) -> list[dict[str, Any]]:
        """Tokens of other systems, in the order in which they were made."""
        found = select(t.api_token).order_by(t.api_token.c.created_ms, t.api_token.c.token_id)
        return self.read(lambda db: [dict(row) for row in db.execute(found).mappings()])

    def disposals(self) -> list[DisposalRow]:
        """What was approved, and what is recorded as gone, in the order of the first approval."""
        return self.read(_disposals)

    def read(self, reading: Callable[[Connection], T]) -> T:
        """What ``reading`` makes of one snapshot of the tables."""
        try:
            with self._engine.connect() as connection:
                return reading(connection)
        except SQLAlchemyError as error:
            raise _unanswered(error) from error

    def _every(self, page_after: Callable[[Connection, str | None], Page[T]]) -> Iterator[T]:
        try:
            with self._engine.connect() as connection:
                page = page_after(connection, None)
                yield from page.rows
                while page.next:
                    page = page_after(connection, page.next)
                    yield from page.rows
        except SQLAlchemyError as error:
            raise _unanswered(error) from error


def _unanswered(error: SQLAlchemyError) -> DatabaseError:
    return DatabaseError(f"database: {str(error).splitlines()[0][:300]}")


_CLIPS: Final = select(t.clip, t.officer.c.name.label("officer_name")).outerjoin(
    t.officer, t.officer.c.number == t.clip.c.officer
)
_LINKS_OF_ACTION: Final = (
    select(func.count()).where(t.link.c.action_id == t.action.c.action_id).correlate(t.action).scalar_subquery()
)
_FLAGS_OF_ACTION: Final = (
    select(func.count())
    .where(t.flag.c.action_id == t.action.c.action_id, t.flag.c.state == "open")
    .correlate(t.action)
    .scalar_subquery()
)
_ACTIONS: Final = (
    select(
        t.action,
        t.case_file.c.title,
        t.coverage.c.nominal_ppm,
        t.coverage.c.guaranteed_ppm,
        _LINKS_OF_ACTION.label("links"),
        _FLAGS_OF_ACTION.label("open_flags"),
    )
    .outerjoin(t.case_file, t.case_file.c.number == t.action.c.case_number)
    .outerjoin(t.coverage, t.coverage.c.action_id == t.action.c.action_id)
)
_ACTIONS_OF_CASE: Final = (
    select(func.count()).where(t.action.c.case_number == t.case_file.c.number).correlate(t.case_file).scalar_subquery()
)
_FLAGS_OF_CASE: Final = (
    select(func.count())
    .where(t.flag.c.case_number == t.case_file.c.number, t.flag.c.state == "open")
    .correlate(t.case_file)
    .scalar_subquery()
)
_CASES: Final = select(t.case_file, _ACTIONS_OF_CASE.label("actions"), _FLAGS_OF_CASE.label("open_flags"))


def _summary(db: Connection) -> Summary:
    files = _by(db, t.seen_file.c.state)
    state = db.execute(select(t.state)).one_or_none()
    c = t.clip.c
    any_id = (
        c.object_id > ""
    )  # true of all: with statistics, SQLite counts in the table where nothing leads to the index
    few = {status: _count(db, and_(text(condition), any_id)) for status, condition in t.FEW_STATUSES.items()}
    counts = ClipCounts(
        found=sum(files.values()),
        offloaded=files.get("copied", 0),
        failed=files.get("failed", 0),
        verified=_count(db, c.verdict == "verified"),
        indexed=db.execute(select(func.count()).select_from(t.clip)).scalar_one() - sum(few.values()),
        linked=_count(db, and_(text(t.MEDIA_LINKED), any_id)),
        unlinked=_count(db, and_(text(t.MEDIA_UNLINKED), any_id)),
        quarantined=few["quarantined"],
    )
    return Summary(
        clips=counts,
        open_flags=_count(db, t.flag.c.state == "open"),
        messages_quarantined=db.execute(select(func.count()).select_from(t.quarantined_message)).scalar_one(),
        log=LogState(state.origin, state.applied_seq, state.applied_root) if state else LogState("", 0, ""),
    )


def _count(db: Connection, condition: ColumnElement[bool]) -> int:
    return db.execute(select(func.count()).where(condition)).scalar_one()


def _by(db: Connection, column: ColumnElement[str]) -> dict[str, int]:
    """How many rows there are of each value."""
    counted = select(column, func.count()).group_by(column)
    return {row[0]: row[1] for row in db.execute(counted)}


def _equal(*pairs: tuple[ColumnElement[str], str]) -> list[Condition]:
    return [column == value for column, value in pairs if value]


def _conditions(wanted: ClipFilter) -> list[Condition]:
    c = t.clip.c
    conditions = _equal(
        (c.verdict, wanted.verdict),
        (c.station, wanted.station),
        (c.recorder, wanted.recorder),
        (c.kind, wanted.kind),
    )
    if wanted.status:
        few = t.FEW_STATUSES.get(wanted.status)
        conditions.append(text(few) if few else c.status == wanted.status)
    if wanted.linked is not None:
        conditions.append(text(t.MEDIA_LINKED if wanted.linked else t.MEDIA_UNLINKED))
    if wanted.case:
        link, action = t.link.c, t.action.c
        of_case = select(link.object_id).join(t.action, action.action_id == link.action_id)
        conditions.append(c.object_id.in_(of_case.where(action.case_number == wanted.case)))
    if wanted.officer:
        conditions.append(c.officer == ("" if wanted.officer == NONE else wanted.officer))
    if wanted.late_ms is not None:
        conditions += [text(t.MEDIA_LATE)] if wanted.late_ms >= t.LATE_MS else []
        conditions.append(literal_column(t.MEDIA_DELAY, BigInteger) > wanted.late_ms)
    if wanted.text:
        conditions.append(_found(wanted.text))
    if wanted.from_ms is not None:
        conditions += [c.start_ms >= wanted.from_ms - MAX_CLIP_MS, c.end_ms >= wanted.from_ms]
    if wanted.until_ms is not None:
        conditions.append(c.start_ms < wanted.until_ms)
    return conditions


def _found(words: str) -> ColumnElement[bool]:
    """An id is looked up; part of a path is looked for in one clip after the other, which no index spares."""
    c = t.clip.c
    return c.object_id == words if is_uuid7(words) else c.path.contains(words, autoescape=True)


def _clip_page(db: Connection, wanted: ClipFilter, after: str | None, limit: int) -> Page[ClipRow]:
    c = t.clip.c
    timed = wanted.from_ms is not None or wanted.until_ms is not None
    order: Order = (c.start_ms, c.object_id) if timed else (c.object_id,)
    conditions = [*_conditions(wanted), *_after(db, order, after)]
    if wanted.unit:
        conditions = [_newest_of_each(_wearers(wanted.unit, below=wanted.below), conditions, order[0], limit)]
    statement = _CLIPS.where(*conditions).order_by(*(column.desc() for column in order))
    return _page(db, statement, limit, _clip_row, lambda row: row.object_id)


def _wearers(unit: str, *, below: bool) -> Subquery:
    """Numbers of a unit's officers; of ``acts.NONE`` those that clips name and that no unit has."""
    o = t.officer.c
    if unit != NONE:
        units = o.unit.in_(select(acts.units_below(unit).c.name)) if below else o.unit == unit
        return select(o.number).where(units).subquery("wearer")
    named = select(func.min(t.clip.c.officer).label("number")).cte("named", recursive=True)
    following = select(func.min(t.clip.c.officer)).where(t.clip.c.officer > named.c.number).correlate(named)
    named = named.union_all(select(following.scalar_subquery()).where(named.c.number.is_not(None)))
    of_a_unit = exists().where(o.number == named.c.number, o.unit != "")
    return select(named.c.number).where(named.c.number.is_not(None), ~of_a_unit).subquery("wearer")


def _newest_of_each(
    wearers: Subquery, conditions: Sequence[Condition], column: ColumnElement[Any], limit: int
) -> ColumnElement[bool]:
    """Whether a clip is among the first ``limit`` + 1 of its wearer in the order of ``column``: no page shows another.

    Each wearer's are read from an index, instead of sorting all clips of a unit or reading those of all others.
    """
    c = t.clip.c
    theirs = [c.officer == wearers.c.number, *conditions]
    last = select(column).where(*theirs).order_by(column.desc()).limit(1).offset(limit).correlate(wearers)
    least: Any = "" if column is c.object_id else _BEFORE_ALL_MS
    found = select(c.object_id).select_from(wearers).join(t.clip, c.officer == wearers.c.number)
    return c.object_id.in_(
        found.where(*conditions, column >= func.coalesce(last.scalar_subquery(), least)).correlate(None)
    )


def _page(
    db: Connection, statement: Select[Any], limit: int, value: Callable[[AnyRow], T], key: Callable[[T], str]
) -> Page[T]:
    rows = [value(row) for row in db.execute(statement.limit(limit + 1)).mappings()]
    return Page(tuple(rows[:limit]), key(rows[limit - 1]) if len(rows) > limit else None)


def _flag_conditions(state: str, rule: str, action_id: str) -> list[Condition]:
    c = t.flag.c
    state, stage = (state, None) if state in _ENDS else ("open", "" if state == "unexplained" else state)
    narrowed = _equal((c.state, state), (c.rule, rule), (c.action_id, action_id))
    return narrowed if stage is None else [*narrowed, c.stage == stage]


def _flag_page(db: Connection, wanted: list[Condition], after: str | None, limit: int) -> Page[FlagRow]:
    statement = _from(db, select(t.flag).where(*wanted), (t.flag.c.changed_ms, t.flag.c.flag_id), after)
    page = _page(db, statement, limit, _flag_row, lambda flag: flag.flag_id)
    return replace(page, rows=tuple(_with_acts(db, page.rows)))


def _flag_rows(db: Connection, statement: Select[Any]) -> list[FlagRow]:
    return _with_acts(db, [_flag_row(row) for row in db.execute(statement).mappings()])


def _with_acts(db: Connection, flags: Sequence[FlagRow]) -> list[FlagRow]:
    acts: dict[str, list[FlagAct]] = defaultdict(list)
    spoken_of = [flag.flag_id for flag in flags if flag.explained_ms is not None]
    for start in range(0, len(spoken_of), _AT_ONCE):
        part = t.flag_act.c.flag_id.in_(spoken_of[start : start + _AT_ONCE])
        for row in db.execute(select(t.flag_act).where(part).order_by(t.flag_act.c.log_seq)).mappings():
            acts[row["flag_id"]].append(FlagAct(**{name: row[name] for name in FlagAct.__slots__}))
    return [replace(flag, acts=tuple(acts[flag.flag_id])) if flag.flag_id in acts else flag for flag in flags]


def _from(db: Connection, statement: Select[Any], order: Order, after: str | None) -> Select[Any]:
    """The list in its order, latest first, from the row after ``after`` on."""
    return statement.where(*_after(db, order, after)).order_by(*(column.desc() for column in order))


def _after(db: Connection, order: Order, after: str | None) -> list[Condition]:
    """Rows after the one whose key is ``after``; one that is gone narrows nothing.

    They are compared as rows (SQL:2016 8.2, row value constructors), so that an index finds the place.
    """
    key = order[-1]
    if not after:
        return []
    if order == (key,):
        return [key < after]
    last = db.execute(select(*order).where(key == after)).one_or_none()
    return [] if last is None else [tuple_(*order) < tuple_(*last)]


def _file_row(row: AnyRow) -> FileRow:
    return FileRow(
        file_id=row["file_id"],
        station=station_of(row["log"]),
        recorder=row["recorder"],
        path=row["path"],
        size=row["size"],
        seen_ms=row["seen_ms"],
        state=row["state"],
        reason=row["reason"],
    )


def _clip_detail(db: Connection, object_id: str) -> ClipDetail | None:
    row = db.execute(_CLIPS.where(t.clip.c.object_id == object_id)).mappings().one_or_none()
    if row is None:
        return None
    return ClipDetail(
        row=_clip_row(row),
        name=row["name"],
        media_type=row["media_type"],
        digests={"sha256": row["sha256"]},
        place=place_of(row),
        media=loads(row["media"]) if row["media"] else None,
        links=_links(db, t.link.c.object_id == object_id),
        suggestions=_suggestions(db, t.suggestion.c.object_id == object_id),
        proxies=_proxies(db, object_id),
        events=_events(db, object_id),
        views=_views(db, object_id),
    )


def _action_page(db: Connection, wanted: ActionFilter, after: str | None, limit: int) -> Page[ActionRow]:
    c, asked = t.action.c, acts.conditions(wanted)
    order: Order = (c.start_ms, c.action_id)
    if wanted.officer or wanted.unit not in ("", NONE):
        # No index holds these in order. Their keys are sorted, by what no index is ordered by lest all others' be read
        # in order instead; and what a row shows is read of one page alone.
        keys = _ACTIONS.with_only_columns(c.action_id).where(*asked, *_after(db, order, after))
        latest = keys.order_by((c.start_ms + 0).desc(), c.action_id.desc()).limit(limit + 1)
        asked, after = [c.action_id.in_(latest.correlate(None))], None
    statement = _from(db, _ACTIONS.where(*asked), order, after)
    return _page(db, statement, limit, _action_row, lambda row: row.action.action_id)


def _action_detail(db: Connection, action_id: str) -> ActionDetail | None:
    row = db.execute(select(t.action).where(t.action.c.action_id == action_id)).mappings().one_or_none()
    if row is None:
        return None
    action = action_value(row)
    links = _links(db, t.link.c.action_id == action_id)
    suggestions = _suggestions(db, t.suggestion.c.action_id == action_id)
    officers = _officers(db, action.officers)
    return ActionDetail(
        action=action,
        case=_case(db, action.case),
        officer_names={one.number: one.name for one in officers},
        unqualified=tuple(one.number for one in officers if not one.is_qualified(action.interval.start_ms)),
        coverage=_coverage(db, action_id),
        links=links,
        suggestions=suggestions,
        flags=_flags_about(db, action_id),
        clips=_clips_by_id(db, [*(one.object_id for one in links), *(one.object_id for one in suggestions)]),
    )


def _plan_detail(db: Connection, action_id: str) -> PlanDetail | None:
    row = db.execute(select(t.plan).where(t.plan.c.action_id == action_id)).mappings().one_or_none()
    if row is None:
        return None
    plan = plan_value(row)
    names = {one.number: one.name for one in _officers(db, plan.officers)}
    return PlanDetail(plan, _case(db, plan.case), names, _flags_about(db, action_id))


def _flags_about(db: Connection, action_id: str) -> tuple[FlagRow, ...]:
    """Whatever was flagged about an act, what changed last first."""
    flags = select(t.flag).where(t.flag.c.action_id == action_id).order_by(t.flag.c.changed_ms.desc())
    return tuple(_flag_rows(db, flags))


def _case(db: Connection, number: str) -> Case | None:
    row = db.execute(select(t.case_file).where(t.case_file.c.number == number)).one_or_none()
    return None if row is None else Case(row.number, row.title, row.unit)


def _officers(db: Connection, numbers: Sequence[str]) -> list[Officer]:
    """Those of them who are on the roster."""
    found = select(t.officer).where(t.officer.c.number.in_(numbers)).order_by(t.officer.c.number)
    return [officer_value(row) for row in db.execute(found).mappings()]


def _coverage(db: Connection, action_id: str) -> Coverage | None:
    row = db.execute(select(t.coverage).where(t.coverage.c.action_id == action_id)).mappings().one_or_none()
    return None if row is None else coverage_value(row)


def _clips_by_id(db: Connection, object_ids: Iterable[str]) -> dict[str, ClipRow]:
    wanted = _CLIPS.where(t.clip.c.object_id.in_(list(object_ids)))
    return {row["object_id"]: _clip_row(row) for row in db.execute(wanted).mappings()}


def _links(db: Connection, condition: ColumnElement[bool]) -> tuple[LinkRow, ...]:
    statement = (
        select(t.link, t.action.c.type, t.action.c.case_number, t.case_file.c.title, _STAGE.label("stage"))
        .outerjoin(t.action, t.action.c.action_id == t.link.c.action_id)
        .outerjoin(t.clip, t.clip.c.object_id == t.link.c.object_id)
        .outerjoin(t.case_file, t.case_file.c.number == t.action.c.case_number)
        .where(condition)
        .order_by(t.link.c.score.desc(), t.link.c.object_id, t.link.c.action_id)
    )
    return tuple(
        LinkRow(
            **_link_ends(row),
            method=row["method"],
            rule_version=row["rule_version"],
            log_seq=row["log_seq"],
            stage=row["stage"] or "",
        )
        for row in db.execute(statement).mappings()
    )


_STAGE: Final = (
    select(t.case_stage.c.stage)
    .where(t.case_stage.c.case_key == t.action.c.case_key, t.case_stage.c.start_ms <= t.clip.c.start_ms)
    .order_by(t.case_stage.c.start_ms.desc())
    .limit(1)
    .correlate(t.action, t.clip)
    .scalar_subquery()
)
"""The stage that the case of an action had entered last when a clip began."""


def _suggestions(db: Connection, condition: ColumnElement[bool]) -> tuple[SuggestionRow, ...]:
    statement = (
        select(t.suggestion, t.action.c.type, t.action.c.case_number, t.case_file.c.title)
        .outerjoin(t.action, t.action.c.action_id == t.suggestion.c.action_id)
        .outerjoin(t.case_file, t.case_file.c.number == t.action.c.case_number)
        .where(condition)
        .order_by(t.suggestion.c.score.desc(), t.suggestion.c.object_id, t.suggestion.c.action_id)
    )
    return tuple(SuggestionRow(**_link_ends(row)) for row in db.execute(statement).mappings())


def _link_ends(row: AnyRow) -> dict[str, Any]:
    return {
        "object_id": row["object_id"],
        "action_id": row["action_id"],
        "action_type": row["type"] or "",
        "case": row["case_number"] or "",
        "case_title": row["title"] or "",
        "score": row["score"],
        "reasons": tuple(loads(row["reasons"])),
    }


def _proxies(db: Connection, object_id: str) -> tuple[ProxyRow, ...]:
    c = t.proxy.c
    own = and_(t.clip.c.object_id == c.parent_id, t.clip.c.log == c.log)
    statement = select(t.proxy).join(t.clip, own).where(c.parent_id == object_id).order_by(c.object_id.desc())
    return tuple(ProxyRow(r.object_id, r.name, r.media_type, r.size, r.sha256) for r in db.execute(statement))


def _events(db: Connection, object_id: str) -> tuple[CustodyEvent, ...]:
    c = t.entry.c
    statement = select(t.entry).where(c.object_id == object_id).order_by(c.utc_ms, c.log.desc(), c.seq)
    return tuple(CustodyEvent(r.event, r.utc_ms, r.log, r.seq, r.leaf, r.keyid) for r in db.execute(statement))


def _views(db: Connection, object_id: str) -> tuple[ViewRow, ...]:
    c = t.viewing.c
    statement = select(t.viewing).where(c.object_id == object_id).order_by(c.log_seq)
    return tuple(ViewRow(r.actor, r.what, r.viewed_ms, r.log_seq) for r in db.execute(statement))


def _clip_row(row: AnyRow) -> ClipRow:
    return ClipRow(
        object_id=row["object_id"],
        station=row["station"],
        recorder=row["recorder"],
        path=row["path"],
        kind=MediaKind(row["kind"]) if row["kind"] else None,
        status=row["status"],
        reason=row["reason"],
        start_ms=row["start_ms"],
        end_ms=row["end_ms"],
        uncertainty_ms=row["uncertainty_ms"],
        officer=row["officer"],
        officer_name=row["officer_name"] or "",
        officer_source=row["officer_source"],
        case_stated=row["case_stated"],
        size_bytes=row["size"],
        sha256=row["sha256"],
        verdict=row["verdict"],
        copied_ms=row["copied_ms"],
        links=row["links"],
        suggestions=row["suggestions"],
        problems=tuple(loads(row["problems"])),
    )


def _flag_row(row: AnyRow) -> FlagRow:
    return FlagRow(
        flag_id=row["flag_id"],
        rule=row["rule"],
        rule_version=row["rule_version"],
        state=row["state"],
        action_id=row["action_id"],
        case=row["case_number"],
        article=row["article"],
        detail=row["detail"],
        set_ms=row["set_ms"],
        changed_ms=row["changed_ms"],
        cleared_ms=row["cleared_ms"],
        log_seq=row["log_seq"],
        inputs=loads(row["inputs"]),
        explanation=row["explanation"],
        explained_by=row["explained_by"],
        explained_ms=row["explained_ms"],
        status=row["state"] if row["state"] != "open" else row["stage"] or "open",
    )


def _hold_row(row: AnyRow) -> HoldRow:
    same = ("hold_id", "object_id", "reason", "set_by", "set_ms", "released_by", "release_reason", "released_ms")
    return HoldRow(**{name: row[name] for name in same}, case=row["case_number"], log_seq=row["log_seq"])


def _disposals(db: Connection) -> list[DisposalRow]:
    c = t.approval.c
    done = {row.object_id: row.done_ms for row in db.execute(select(t.disposal))}
    approved: dict[str, list[tuple[str, str]]] = {}
    for row in db.execute(select(t.approval).order_by(c.log_seq)):
        approved.setdefault(row.object_id, []).append((row.actor, row.reason))
    return [
        DisposalRow(key, tuple(who for who, _ in said), tuple(why for _, why in said), done.get(key))
        for key, said in approved.items()
    ]


def _action_row(row: AnyRow) -> ActionRow:
    return ActionRow(
        action=action_value(row),
        case_title=row["title"] or "",
        nominal_ppm=row["nominal_ppm"],
        guaranteed_ppm=row["guaranteed_ppm"],
        links=row["links"],
        open_flags=row["open_flags"],
    )


def _case_row(row: AnyRow) -> CaseRow:
    return CaseRow(Case(row["number"], row["title"], row["unit"]), row["actions"], row["open_flags"])

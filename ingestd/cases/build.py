"""Rows to the values of the model; every field that is wrong is found, not only the first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import pairwise
from typing import Final, Generic, TypeVar

from ingestd.cases import fields
from ingestd.cases.columns import Column
from ingestd.cases.rows import Cell, Findings, Row, Sheet
from ingestd.catalogue import ActionType, Catalogues
from ingestd.model import (
    ActFacts,
    Assignment,
    Case,
    CaseStage,
    EnforcementAction,
    Import,
    Interval,
    Level,
    Officer,
    Position,
    Recorder,
    Stage,
    Unit,
    case_key,
)
from ingestd.rules.wording import Both

LONG_ACTION_MS: Final = 7 * 24 * 60 * 60 * 1000
"""An act longer than a week is more likely a slip of the month; it is imported with a warning."""

MAX_OFFICERS: Final = 50
"""Officers of one act; more is a column that slipped, or several acts in one row."""

_Value = TypeVar("_Value")

STAGES: Final = {
    Stage.OPENING: Both("启动", "opening"),
    Stage.INVESTIGATION: Both("调查取证", "investigation"),
    Stage.REVIEW: Both("审核", "review"),
    Stage.DECISION: Both("决定", "decision"),
    Stage.SERVICE: Both("送达", "service"),
    Stage.EXECUTION: Both("执行", "execution"),
}
"""Stages of a case as people write them (行政处罚法 第四十七条)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a row is read against, beside the file itself."""

    catalogues: Catalogues
    zone: tzinfo
    known_officers: Sequence[Officer]
    progress: Callable[[int], None]


PROGRESS_ROWS: Final = 1000
"""After how many rows progress is told."""


@dataclass(slots=True)
class _Counted:
    """All sheets, and how many of their rows have been read."""

    sheets: Sequence[Sheet]
    told: Callable[[int], None]
    rows: int = 0

    def rows_of(self, table: str) -> Iterator[Row]:
        """The rows of one table, from every sheet that has it."""
        for sheet in self.sheets:
            if sheet.table.name == table:
                for row in sheet.rows:
                    self.rows += 1
                    if self.rows % PROGRESS_ROWS == 0:
                        self.told(self.rows)
                    yield row


def build(sheets: Sequence[Sheet], around: Surroundings, findings: Findings) -> Import:
    """The values of all rows. Errors and warnings go to ``findings``; with an error the values mean nothing."""
    rows = _Counted(sheets, around.progress)
    units = _unique(_Table("units", _unit, lambda u: u.name), rows, findings)
    _refuse_rings(units, findings)
    people = _Table("officers", lambda reader: _officer(reader, around.zone), lambda o: o.number)
    officers = _values(_unique(people, rows, findings))
    recorders = _values(_unique(_Table("recorders", _recorder, lambda r: r.serial), rows, findings))
    cases = _Cases(_values(_unique(_Table("cases", _case, lambda c: case_key(c.number)), rows, findings)))
    roster = _Roster([*around.known_officers, *officers])
    held = _Held()
    ledger = _Table("assignments", lambda reader: _assignment(reader, roster, around.zone, held), _ledger_key)
    assignments = _unique(ledger, rows, findings)
    acts = _Table("actions", lambda reader: _action(reader, roster, cases, around), lambda a: a.action_id)
    actions = _values(_unique(acts, rows, findings))
    planned = _Table("plans", lambda reader: _plan(reader, roster, cases, around), lambda a: a.action_id)
    plans = _values(_unique(planned, rows, findings))
    stages = _unique(_Table("stages", lambda reader: _stage(reader, cases, around.zone), _stage_key), rows, findings)
    _warn_two_holders(assignments, findings)
    return Import(
        officers=tuple(officers),
        recorders=tuple(recorders),
        assignments=tuple(_values(assignments)),
        cases=cases.all(),
        actions=tuple(actions),
        units=tuple(_values(units)),
        stages=tuple(_values(stages)),
        plans=tuple(plans),
        rows=rows.rows,
    )


class _Reader:
    """Takes the fields of one row one by one.

    A wrong field is reported and answered with an empty value, so that the whole row is read; what is made of such a
    row is thrown away, because ``failed`` is set.
    """

    def __init__(self, row: Row, findings: Findings) -> None:
        self.row = row
        self.failed = False
        self._findings = findings

    def text(self, name: str) -> str:
        return self._parsed(name, fields.text, "")

    def identifier(self, name: str) -> str:
        return self._parsed(name, fields.identifier, "")

    def identifiers(self, name: str) -> tuple[str, ...]:
        nobody: tuple[str, ...] = ()
        return self._parsed(name, fields.identifiers, nobody)

    def time_ms(self, name: str, zone: tzinfo) -> int | None:
        """None when the field is empty or wrong."""
        return self._parsed(name, lambda raw: fields.time_ms(raw, zone), None)

    def interval(self, zone: tzinfo, start: str = "start", end: str = "end") -> Interval:
        start_ms, end_ms = self.time_ms(start, zone), self.time_ms(end, zone)
        if start_ms is None or end_ms is None:
            return Interval(0, 0)
        if end_ms < start_ms:
            self.wrong(end, Both("结束时间早于开始时间。", "It ends before it starts."))
            return Interval(0, 0)
        return Interval(start_ms, end_ms)

    def day_end_ms(self, name: str, zone: tzinfo) -> int | None:
        return self._parsed(name, lambda raw: fields.day_end_ms(raw, zone), None)

    def listed(self, name: str, several: Callable[[str], tuple[str, ...]]) -> tuple[str, ...] | None:
        """What ``several`` reads; empty when the field says that there is none, and None when it says nothing."""
        return self._parsed(name, lambda raw: () if fields.is_none(raw) else several(raw), None)

    def degrees_e7(self, name: str, limit: int) -> int | None:
        return self._parsed(name, lambda raw: fields.degrees_e7(raw, limit), None)

    def metres(self, name: str) -> int | None:
        return self._parsed(name, fields.metres, None)

    def days(self, name: str) -> int | None:
        return self._parsed(name, fields.days, None)

    def yes(self, name: str) -> bool | None:
        return self._parsed(name, fields.yes, None)

    def decision(self, name: str, zone: tzinfo) -> int | bool | None:
        """When it was decided, or True for not yet."""
        return self._parsed(name, lambda raw: fields.is_pending(raw) or fields.time_ms(raw, zone), None)

    def cell(self, name: str) -> Cell:
        return self.row.cells.get(name) or Cell(self._column(name).name, "")

    def wrong(self, name: str, reason: Both) -> None:
        self.failed = True
        self._findings.error(self.row.line, self.cell(name), reason, self.row.sheet)

    def warn(self, name: str, text: str, reason: Both) -> None:
        self._findings.warn(self.row.line, Cell(self.cell(name).heading, text), reason, self.row.sheet)

    def _parsed(self, name: str, parse: Callable[[str], _Value], empty: _Value) -> _Value:
        raw = self.cell(name).text
        if not raw.strip():
            if self._column(name).required:
                self.wrong(name, Both("必填，不能为空。", "It is required and empty."))
            return empty
        try:
            return parse(raw)
        except fields.FieldError as error:
            self.wrong(name, error.reason)
            return empty

    def _column(self, name: str) -> Column:
        return next(column for column in self.row.table.columns if column.name == name)


class _Roster:
    """Officers by number and by name."""

    def __init__(self, officers: Iterable[Officer]) -> None:
        self._numbers: set[str] = set()
        self._by_name: dict[str, set[str]] = {}
        self._mentioned: set[str] = set()
        for officer in officers:
            self._numbers.add(officer.number)
            self._by_name.setdefault(officer.name, set()).add(officer.number)

    def resolve(self, reader: _Reader, column: str, written: str) -> str:
        """The certificate number for what was written: a number as it is, a name by its number if only one has it.

        Somebody who is not on the roster is mentioned once in a file.
        """
        if not written or written in self._numbers:
            return written
        named = self._by_name.get(written, set())
        if len(named) == 1:
            return next(iter(named))
        if named:
            reader.wrong(column, _namesakes(written, sorted(named)))
            return written
        if written in self._mentioned:
            return written
        self._mentioned.add(written)
        unknown = Both(
            f"名册中没有“{written}”，已按执法证号保存；若是姓名，请先导入名册，再重新导入本文件。",
            f"{written} is not on the roster; kept as a number. If it is a name, import the roster first and then this"
            " file again.",
        )
        reader.warn(column, written, unknown)
        return written


@dataclass(slots=True)
class _Held:
    """Who took which recorder when, as the file has said so far.

    A ledger is corrected by giving another officer for the same recorder and start; a file that gives two of them says
    nothing, and which of them was kept would be a matter of the order of its rows.
    """

    _taken: dict[tuple[str, int], tuple[str, Row]] = field(default_factory=dict)

    def take(self, reader: _Reader, entry: Assignment) -> None:
        if reader.failed:
            return
        officer, row = self._taken.setdefault((entry.recorder, entry.start_ms), (entry.officer, reader.row))
        if officer != entry.officer:
            reader.wrong("officer", _taken_by(officer, _where(row, reader.row.sheet)))


@dataclass(slots=True)
class _Cases:
    """Cases of the file, and those that only its actions name."""

    listed: list[Case]
    _by_key: dict[str, Case] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_key = {case_key(case.number): case for case in self.listed}

    def all(self) -> tuple[Case, ...]:
        return tuple(self._by_key.values())

    def known_as(self, number: str) -> str:
        """A case number as the file spelt it first."""
        known = self._by_key.get(case_key(number))
        return known.number if known else number

    def number_for(self, reader: _Reader) -> str:
        """The case of an action, entered if it is new; its number as it was first spelt."""
        number, title, unit = reader.identifier("case"), reader.text("case_title"), reader.text("unit")
        known = self._by_key.get(case_key(number)) or Case(number)
        if title and known.title and title != known.title:
            reader.wrong("case_title", _other_title(known.title))
        if number:
            self._by_key[case_key(number)] = Case(known.number, known.title or title, known.unit or unit)
        return known.number


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_Value]):
    """A good row's value and the line it stands on."""

    line: int
    value: _Value
    sheet: str


@dataclass(frozen=True, slots=True)
class _Table(Generic[_Value]):
    """How the rows of one table are read, and what makes two of them the same."""

    name: str
    value: Callable[[_Reader], _Value]
    key: Callable[[_Value], object]


def _unique(read: _Table[_Value], rows: _Counted, findings: Findings) -> list[_Kept[_Value]]:
    """The good rows of one table; a second row about the same thing is an error that names the first."""
    first: dict[object, _Kept[_Value]] = {}
    for row in rows.rows_of(read.name):
        reader = _Reader(row, findings)
        value = read.value(reader)
        if reader.failed:
            continue
        key = read.key(value)
        if key in first:
            reader.wrong(row.table.columns[0].name, _duplicate(_where(first[key], row.sheet)))
        else:
            first[key] = _Kept(row.line, value, row.sheet)
    return list(first.values())


def _duplicate(where: Both) -> Both:
    return Both(f"与{where.zh}重复。", f"It repeats {where.en}.")


def _where(row: "Row | _Kept[_Value]", sheet: str) -> Both:
    """Where another row stands, as said on ``sheet``."""
    zh, en = ("", "") if row.sheet == sheet else (f"工作表“{row.sheet}”", f" of sheet {row.sheet}")
    return Both(f"{zh}第 {row.line} 行", f"line {row.line}{en}")


def _taken_by(officer: str, where: Both) -> Both:
    return Both(
        f"{where.zh}已记载同一记录仪在同一时间由“{officer}”领用，请更正其中一行。",
        f"{where.en[0].upper()}{where.en[1:]} has the same recorder issued at the same time to {officer}; correct one"
        " of them.",
    )


def _namesakes(written: str, numbers: Sequence[str]) -> Both:
    several = "、".join(numbers)
    return Both(
        f"有多人叫“{written}”（{several}），请填执法证号。",
        f"Several officers are called {written} ({several}); give the certificate number.",
    )


def _other_title(title: str) -> Both:
    return Both(f"同一案号的案由不一致，前文为“{title}”。", f"The same case has the title “{title}” above.")


def _unknown_type(allowed: Both) -> Both:
    return Both(f"目录中没有这一类型，可用：{allowed.zh}。", f"The catalogue has no such type; known: {allowed.en}.")


def _officer(reader: _Reader, zone: tzinfo) -> Officer:
    return Officer(
        reader.identifier("number"),
        reader.text("name"),
        reader.text("unit"),
        reader.text("qualification"),
        reader.day_end_ms("qualified_until", zone),
    )


def _unit(reader: _Reader) -> Unit:
    return Unit(reader.text("name"), reader.text("parent"))


def _refuse_rings(units: Sequence[_Kept[Unit]], findings: Findings) -> None:
    """A unit that belongs to itself, however many steps away, would be above and below every other of the ring."""
    parents = {kept.value.name: kept.value.parent for kept in units}
    for kept in units:
        above, seen = kept.value.parent, {kept.value.name}
        while above and above not in seen:
            seen.add(above)
            above = parents.get(above, "")
        if above == kept.value.name:
            findings.error(kept.line, Cell("parent", kept.value.parent), _RING, kept.sheet)


_RING: Final = Both(
    "单位最终隶属于自己，请更正上级单位。", "The unit belongs to itself in the end; correct its parent."
)


def _stage(reader: _Reader, cases: "_Cases", zone: tzinfo) -> CaseStage:
    written = reader.text("stage")
    stage = next((one for one, name in STAGES.items() if written.casefold() in {one.value, name.zh, name.en}), None)
    if written and stage is None:
        allowed = Both("、".join(name.zh for name in STAGES.values()), ", ".join(STAGES))
        reader.wrong(
            "stage", Both(f"没有这一阶段，可用：{allowed.zh}。", f"There is no such stage; known: {allowed.en}.")
        )
    return CaseStage(
        cases.known_as(reader.identifier("case")), stage or Stage.OPENING, reader.time_ms("start", zone) or 0
    )


def _stage_key(one: CaseStage) -> tuple[str, int]:
    return case_key(one.case), one.start_ms


def _recorder(reader: _Reader) -> Recorder:
    return Recorder(reader.identifier("serial"), reader.text("name"), reader.text("unit"))


def _case(reader: _Reader) -> Case:
    return Case(reader.identifier("number"), reader.text("title"), reader.text("unit"))


def _assignment(reader: _Reader, roster: _Roster, zone: tzinfo, held: _Held) -> Assignment:
    recorder, officer = reader.identifier("recorder"), reader.identifier("officer")
    start_ms, end_ms = reader.time_ms("start", zone) or 0, reader.time_ms("end", zone)
    if end_ms is not None and end_ms < start_ms and not reader.failed:
        reader.wrong("end", Both("归还时间早于领用时间。", "It was returned before it was issued."))
    assignment = Assignment(recorder, roster.resolve(reader, "officer", officer), start_ms, end_ms)
    held.take(reader, assignment)
    return assignment


def _action(reader: _Reader, roster: _Roster, cases: _Cases, around: Surroundings) -> EnforcementAction:
    action_id, case = reader.identifier("action_id"), cases.number_for(reader)
    interval = reader.interval(around.zone)
    action_type = _type(reader, around.catalogues, interval.start_ms)
    if interval.length_ms > LONG_ACTION_MS:
        long = Both("历时超过 7 天，请核对。", "It lasts over 7 days; please check.")
        reader.warn("end", reader.cell("end").text, long)
    officers = _officers(reader, roster)
    radius_m = reader.metres("radius_m")
    return EnforcementAction(
        action_id=action_id,
        case=case,
        type=action_type.type_id,
        level=action_type.level,
        interval=interval,
        officers=officers,
        place=_place(reader),
        radius_m=action_type.radius_m if radius_m is None else radius_m,
        tolerated_gap_ms=action_type.tolerated_gap_ms,
        margin_ms=action_type.margin_ms,
        facts=_facts(reader, around, roster, interval.start_ms),
    )


def _plan(reader: _Reader, roster: _Roster, cases: _Cases, around: Surroundings) -> EnforcementAction:
    action_id, case = reader.identifier("action_id"), cases.number_for(reader)
    interval = reader.interval(around.zone, "planned_start", "planned_end")
    action_type = _type(reader, around.catalogues, interval.start_ms)
    officers = _officers(reader, roster)
    return EnforcementAction(action_id, case, action_type.type_id, action_type.level, interval, officers)


def _evidenced(reader: _Reader, catalogues: Catalogues, began_ms: int) -> tuple[str, ...] | None:
    """Ids of steps that are shown; by id or name, and each of them known to the catalogue of the day."""
    written = reader.listed("evidenced", fields.names)
    if written is None:
        return None
    known = catalogues.at(began_ms).checkpoints
    by_name = {name.casefold(): one.checkpoint_id for one in known.values() for name in (one.name.zh, one.name.en)}
    found = [one if one in known else by_name.get(one.casefold(), "") for one in written]
    if "" in found:
        allowed = "、".join(f"{one.name.zh}（{key}）" for key, one in known.items())
        unknown = written[found.index("")]
        reader.wrong("evidenced", _unknown_step(unknown, Both(allowed, ", ".join(known))))
    return tuple(sorted(set(found)))


def _unknown_step(written: str, allowed: Both) -> Both:
    return Both(
        f"目录中没有环节“{written}”，可用：{allowed.zh}。", f"The catalogue has no step {written}; known: {allowed.en}."
    )


def _failed(reader: _Reader, roster: _Roster) -> tuple[str, ...] | None:
    written = reader.listed("failed", fields.identifiers)
    if written is None:
        return None
    return tuple(dict.fromkeys(roster.resolve(reader, "failed", one) for one in written))


def _facts(reader: _Reader, around: Surroundings, roster: _Roster, began_ms: int) -> ActFacts:
    """What the row says beside who and when; nothing where a cell is empty or there is no such column."""
    zone = around.zone
    decided = reader.decision("decided", zone)
    return ActFacts(
        emergency=reader.yes("emergency"),
        approved_ms=reader.time_ms("approved", zone),
        written=reader.yes("written_record"),
        extended=reader.yes("extended"),
        excluded_days=reader.days("excluded_days"),
        decided_ms=decided if isinstance(decided, int) and decided is not True else None,
        pending=True if decided is True else None,
        evidenced=_evidenced(reader, around.catalogues, began_ms),
        failed=_failed(reader, roster),
    )


def _officers(reader: _Reader, roster: _Roster) -> tuple[str, ...]:
    written = reader.identifiers("officers")
    if len(written) > MAX_OFFICERS:
        reader.wrong("officers", _too_many(len(written)))
        return ()
    return tuple(dict.fromkeys(roster.resolve(reader, "officers", one) for one in written))


def _too_many(count: int) -> Both:
    return Both(
        f"共 {count} 人，一个执法行为最多 {MAX_OFFICERS} 人；请核对，或分成多个执法行为。",
        f"These are {count} officers; an act has at most {MAX_OFFICERS}. Please check, or split the act.",
    )


_NO_TYPE: Final = ActionType("none", Both("无", "none"), (), Level.TEXT, "", 0, 0, 0)
"""Stands in while no catalogue is configured; its row has failed."""
_NO_CATALOGUE: Final = Both(
    "未配置执法行为目录，请在 ingestd.toml 的 [catalogue] file 中指定后再导入执法行为。",
    "No catalogue of acts is configured; name one as [catalogue] file in ingestd.toml before acts are imported.",
)


def _type(reader: _Reader, catalogues: Catalogues, began_ms: int) -> ActionType:
    """The type that was written, as it was when the act began; with a wrong one any, since the row has failed."""
    written, catalogue = reader.text("type"), catalogues.at(began_ms)
    if not catalogue.types:
        reader.wrong("type", _NO_CATALOGUE)
        return _NO_TYPE
    action_type = catalogues.named(written, began_ms)
    if action_type is None and written:
        reader.wrong("type", _unknown_type(catalogue.allowed()))
    return action_type or next(iter(catalogue.types.values()))


def _place(reader: _Reader) -> Position | None:
    lat_e7, lon_e7 = reader.degrees_e7("lat", 90), reader.degrees_e7("lon", 180)
    given = [name for name in ("lat", "lon") if reader.cell(name).text.strip()]
    if len(given) == 1:
        missing = "lon" if given == ["lat"] else "lat"
        reader.wrong(missing, Both("经纬度应同时填写。", "Latitude and longitude go together."))
    return None if lat_e7 is None or lon_e7 is None else Position(lat_e7, lon_e7)


def _warn_two_holders(assignments: Sequence[_Kept[Assignment]], findings: Findings) -> None:
    """A recorder issued to two officers at once proves neither of them; the ledger should be put right."""
    held = sorted(assignments, key=lambda kept: (kept.value.recorder, kept.value.start_ms))
    for earlier, later in pairwise(held):
        if _at_once(earlier.value, later.value):
            shown = f"{later.value.recorder}: {earlier.value.officer}、{later.value.officer}"
            two = Both("同一记录仪在同一时间由两人领用。", "The recorder is issued to two officers at once.")
            findings.warn(later.line, Cell("recorder", shown), two, later.sheet)


def _values(kept: Sequence[_Kept[_Value]]) -> list[_Value]:
    return [row.value for row in kept]


def _ledger_key(entry: Assignment) -> tuple[str, str, int]:
    return entry.recorder, entry.officer, entry.start_ms


def _at_once(earlier: Assignment, later: Assignment) -> bool:
    same = earlier.recorder == later.recorder and earlier.officer != later.officer
    return same and (earlier.end_ms is None or later.start_ms < earlier.end_ms)

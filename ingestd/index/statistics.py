"""Counting over the index: every figure is the length of a list that ``queries`` gives for the same filter."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, String, and_, case, func, literal, select, text

from ingestd.index import tables as t
from ingestd.index.acts import EXPLAINED, NONE, UNIT, ActionFilter, Outcome, conditions, outcome
from ingestd.index.people import MEDIA
from ingestd.model import Level

Span = tuple[str, int, int]
"""A name and the moments [from, until) it stands for, in ms."""


@dataclass(frozen=True, slots=True)
class ActFigures:
    """Acts that must be recorded in full, by what became of their recording; ``explained`` of partial and missing."""

    full: int = 0
    partial: int = 0
    missing: int = 0
    pending: int = 0
    explained: int = 0

    @property
    def must(self) -> int:
        """All of them."""
        return self.full + self.partial + self.missing + self.pending


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """Media that could be read: linked or not, since when the oldest unlinked one is here, and how many came late."""

    linked: int = 0
    unlinked: int = 0
    oldest_unlinked_ms: int | None = None
    late: int = 0


@dataclass(frozen=True, slots=True)
class RecorderFigures:
    """One recorder: what came from it, what could not be copied, when it was last docked with something new."""

    recorder: str
    unit: str
    clips: int
    failed: int
    last_ms: int
    clock_wrong: bool


def acts(db: Connection, by: str, wanted: ActionFilter, spans: Sequence[Span] = ()) -> dict[str, ActFigures]:
    """Figures by ``unit``, ``officer``, ``type`` or, with ``spans``, ``period``; by anything else all in one, ``""``.

    An act of two officers is counted with each.
    """
    key = _act_key(by, spans)
    became, explained = outcome(wanted.grace_over_ms), case((EXPLAINED, literal(1)), else_=literal(0))
    source = t.action.outerjoin(t.case_file, t.case_file.c.number == t.action.c.case_number)
    source = source.outerjoin(t.coverage, t.coverage.c.action_id == t.action.c.action_id)
    if by == "officer":
        source = source.join(t.action_officer, t.action_officer.c.action_id == t.action.c.action_id)
    one = (
        select(key.label("key"), became.label("became"), explained.label("explained"))
        .select_from(source)
        .where(t.action.c.level == Level.FULL.value, *conditions(wanted))
        .subquery()
    )
    counted = select(one.c.key, one.c.became, one.c.explained, func.count()).group_by(
        one.c.key, one.c.became, one.c.explained
    )
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in db.execute(counted):
        found[row[0]][row[1]] += row[3]
        found[row[0]]["explained"] += row[3] if row[2] and row[1] in _LACKING else 0
    return {key: ActFigures(**figures) for key, figures in found.items()}


def clips(
    db: Connection, by: str, span: tuple[int | None, int | None], late_ms: int, spans: Sequence[Span] = ()
) -> dict[str, ClipFigures]:
    """Figures of media that meet ``span``, as ``acts`` groups them; a clip of no known time is in no bounded span.

    Late is what was copied more than ``late_ms`` after it ended. A clip over two periods is counted in each.
    """
    if spans:
        parts = {name: clips(db, "", (start, until), late_ms) for name, start, until in spans}
        return {name: part[""] for name, part in parts.items() if part}
    c = t.clip.c
    key: ColumnElement[str] = literal("", String)
    source: Any = t.clip
    if by == "unit":
        key = func.coalesce(func.nullif(t.officer.c.unit, ""), literal(NONE, String))
        source = t.clip.outerjoin(t.officer, t.officer.c.number == c.officer)
    elif by == "officer":
        key = func.coalesce(func.nullif(c.officer, ""), literal(NONE, String))
    counted = (
        select(
            key.label("key"),
            func.sum(case((c.links > 0, 1), else_=0)),
            func.sum(case((c.links == 0, 1), else_=0)),
            func.min(case((c.links == 0, c.copied_ms))),
            func.sum(case((c.copied_ms - c.end_ms > late_ms, 1), else_=0)),
        )
        .select_from(source)
        .where(c.status == "indexed", c.kind.in_(MEDIA), *_meets(span))
        .group_by(text("1"))
    )
    rows = db.execute(counted).all()
    return {row[0]: ClipFigures(int(row[1]), int(row[2]), row[3], int(row[4] or 0)) for row in rows}


def recorders(db: Connection, clock_rule: str) -> list[RecorderFigures]:
    """Every recorder that ever brought a file, by name."""
    c, f = t.clip.c, t.seen_file.c
    brought = {
        row[0]: row for row in db.execute(select(c.recorder, func.count(), func.max(c.copied_ms)).group_by(c.recorder))
    }
    failed = dict(_pairs(db, select(f.recorder, func.count()).where(f.state == "failed").group_by(f.recorder)))
    units = dict(_pairs(db, select(t.recorder.c.serial, t.recorder.c.unit)))
    wrong = set(db.scalars(select(t.flag.c.key).where(t.flag.c.rule == clock_rule, t.flag.c.state == "open")))
    return [
        RecorderFigures(
            recorder=name,
            unit=units.get(name) or NONE,
            clips=brought[name][1] if name in brought else 0,
            failed=failed.get(name, 0),
            last_ms=brought[name][2] if name in brought else 0,
            clock_wrong=name in wrong,
        )
        for name in sorted({*brought, *failed})
    ]


def officer_names(db: Connection) -> Mapping[str, str]:
    """Names by number."""
    return dict(_pairs(db, select(t.officer.c.number, t.officer.c.name)))


_LACKING: Final = frozenset({Outcome.PARTIAL, Outcome.MISSING})


def _act_key(by: str, spans: Sequence[Span]) -> ColumnElement[str]:
    began = t.action.c.start_ms
    if spans:
        return case(*((and_(began >= start, began < until), literal(name)) for name, start, until in spans))
    keys = {"unit": UNIT, "officer": t.action_officer.c.officer, "type": t.action.c.type}
    return keys.get(by, literal("", String))


def _meets(span: tuple[int | None, int | None]) -> list[ColumnElement[bool]]:
    c, (from_ms, until_ms) = t.clip.c, span
    asked: list[ColumnElement[bool]] = [c.end_ms >= from_ms] if from_ms is not None else []
    return [*asked, *([c.start_ms < until_ms] if until_ms is not None else [])]


def _pairs(db: Connection, statement: Any) -> list[tuple[Any, Any]]:
    return [(row[0], row[1]) for row in db.execute(statement)]

"""Which acts, and what became of their recording: one definition for the lists and for the figures that count them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import CTE, ColumnElement, Select, String, Table, case, exists, func, literal, or_, select

from ingestd.index import tables as t
from ingestd.rules.missing_video import RULE as MISSING
from ingestd.rules.video_gap import RULE as GAP

NONE: Final = "-"
"""Filter value for «none is registered»."""


class Outcome(StrEnum):
    """What became of the recording of an act, as the rules ``missing`` and ``gap`` see it."""

    FULL = "full"
    """On usable video from start to end."""
    PARTIAL = "partial"
    """On usable video with holes."""
    MISSING = "missing"
    """No usable video."""
    PENDING = "pending"
    """Still within the period of grace: footage may lie on a recorder."""


@dataclass(frozen=True, slots=True)
class ActionFilter:
    """Which acts; an empty or None field does not narrow. ``unit`` is that of the case, ``NONE`` where it has none."""

    case: str = ""
    unit: str = ""
    below: bool = False
    """Also the units below ``unit``."""
    officer: str = ""
    type: str = ""
    level: str = ""
    outcome: str = ""
    explained: bool = False
    """Only acts that lack video, and about which people have said why."""
    from_ms: int | None = None
    until_ms: int | None = None
    """Acts that began in [``from_ms``, ``until_ms``)."""
    grace_over_ms: int | None = None
    """Acts that ended later are ``pending``; without it none is."""


UNIT: Final[ColumnElement[str]] = func.coalesce(func.nullif(t.case_file.c.unit, ""), literal(NONE, String))
"""Unit of an act's case."""
EXPLAINED: Final = exists(
    select(t.flag.c.flag_id).where(
        t.flag.c.action_id == t.action.c.action_id,
        t.flag.c.state != "cleared",
        t.flag.c.rule.in_((MISSING.rule_id, GAP.rule_id)),
        or_(t.flag.c.state == "closed", t.flag.c.stage.in_(("explained", "reviewed"))),
    )
)


def outcome(grace_over_ms: int | None) -> ColumnElement[str]:
    """The ``Outcome`` of an act, over ``action`` with its ``coverage`` joined."""
    covered = t.coverage.c
    due = [] if grace_over_ms is None else [(t.action.c.end_ms > grace_over_ms, literal(Outcome.PENDING.value))]
    return case(
        *due,
        (or_(covered.clips.is_(None), covered.clips == "[]"), literal(Outcome.MISSING.value)),
        (covered.gaps == "[]", literal(Outcome.FULL.value)),
        else_=literal(Outcome.PARTIAL.value),
    )


def of_unit(table: Table, key: ColumnElement[str], unit: str, *, below: bool) -> Select[str]:
    """Keys of what belongs to this unit, or with ``below`` also to one that belongs to it, however many steps down."""
    if not below:
        return select(key).where(table.c.unit == unit)
    tree = units_below(unit)
    # An outer join keeps its order: SQLite looks each unit up. Nothing equals the unknown key of a unit without any.
    return select(key).select_from(tree.outerjoin(table, table.c.unit == tree.c.name))


def units_below(unit: str) -> CTE:
    """``name`` of a unit and of all that belong to it."""
    tree = select(literal(unit, String).label("name")).cte("tree", recursive=True)
    return tree.union(select(t.unit.c.name).where(t.unit.c.parent == tree.c.name))


def conditions(wanted: ActionFilter) -> list[ColumnElement[bool]]:
    """What the filter asks, over ``action`` with its ``case_file`` and ``coverage`` joined."""
    c = t.action.c
    pairs = [(c.case_number, wanted.case), (c.type, wanted.type), (c.level, wanted.level)]
    asked: list[Any] = [column == value for column, value in pairs if value]
    if wanted.unit == NONE:
        asked.append(UNIT == NONE)
    elif wanted.unit:
        cases = of_unit(t.case_file, t.case_file.c.number, wanted.unit, below=wanted.below)
        asked.append(c.case_number.in_(cases))
    if wanted.officer:
        part = t.action_officer.c
        asked.append(c.action_id.in_(select(part.action_id).where(part.officer == wanted.officer)))
    if wanted.outcome:
        asked.append(outcome(wanted.grace_over_ms) == wanted.outcome)
    if wanted.explained:
        asked += [EXPLAINED, outcome(wanted.grace_over_ms).in_((Outcome.PARTIAL.value, Outcome.MISSING.value))]
    asked += [c.start_ms >= wanted.from_ms] if wanted.from_ms is not None else []
    asked += [c.start_ms < wanted.until_ms] if wanted.until_ms is not None else []
    return asked

"""Makes the figures of one moment: all of them from one snapshot of the index."""

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from ingestd.index import statistics as counted
from ingestd.index import tables as t
from ingestd.index.acts import ActionFilter
from ingestd.index.queries import Queries
from ingestd.index.statistics import ActFigures, ClipFigures, Span
from ingestd.model import Level
from ingestd.rules.clock_drift import RULE as CLOCK
from ingestd.rules.rule import Policy
from ingestd.rules.wording import Both
from ingestd.stats.report import TOTAL, Line, Report, label, months

Bounds = tuple[int | None, int | None]
"""From (included) and until (excluded), ms; None: no bound."""


def make(queries: Queries, by: str, bounds: Bounds, now_ms: int, policy: Policy) -> Report:
    """The figures by one of ``report.BY``. Raises ``DatabaseError``."""
    return queries.read(lambda db: _report(db, by, bounds, now_ms, policy))


def _report(db: Connection, by: str, bounds: Bounds, now_ms: int, policy: Policy) -> Report:
    wanted = ActionFilter(from_ms=bounds[0], until_ms=bounds[1], grace_over_ms=now_ms - policy.grace_ms)
    spans = _months(db, bounds, now_ms, policy) if by == "period" else ()
    acts = counted.acts(db, by, wanted, spans)
    by_clip = by != "type"
    clips = counted.clips(db, by, bounds, policy.offload_ms, spans) if by_clip else {}
    names = _names(db, by, policy)
    order = sorted({*acts, *clips}, reverse=by == "period")
    lines = (
        Line(
            key,
            names.get(key) or label(key),
            acts.get(key, ActFigures()),
            clips.get(key, ClipFigures()) if by_clip else None,
        )
        for key in order
    )
    whole = counted.clips(db, "", bounds, policy.offload_ms).get("", ClipFigures())
    total = Line("", TOTAL, counted.acts(db, "", wanted).get("", ActFigures()), whole)
    recorders = tuple(counted.recorders(db, CLOCK.rule_id))
    return Report(by, *bounds, now_ms, tuple(lines), total, recorders)


def _names(db: Connection, by: str, policy: Policy) -> Mapping[str, Both]:
    if by == "officer":
        return {number: label(number, name) for number, name in counted.officer_names(db).items()}
    return {type_id: known.name for type_id, known in policy.types.items()} if by == "type" else {}


def _months(db: Connection, bounds: Bounds, now_ms: int, policy: Policy) -> list[Span]:
    """The months of the bounds; without a bound from the first act that must be recorded, or until now."""
    first = select(func.min(t.action.c.start_ms)).where(t.action.c.level == Level.FULL.value)
    from_ms = bounds[0] if bounds[0] is not None else db.execute(first).scalar_one_or_none()
    until_ms = bounds[1] if bounds[1] is not None else now_ms + 1
    return [
        (name, max(start, from_ms or start), min(until, until_ms))
        for name, start, until in months(now_ms if from_ms is None else from_ms, until_ms, policy.zone)
    ]

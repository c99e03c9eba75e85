"""One build of the published site: what it shows, what it takes down, and the entries that say so."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from custody.canonical import JsonObject
from ingestd.catalogue import Catalogue
from ingestd.disclosure.content import Settled, is_public, newest_first, public
from ingestd.disclosure.decide import Kind
from ingestd.disclosure.site import Published
from ingestd.index import statistics
from ingestd.index import tables as t
from ingestd.index.acts import ActionFilter
from ingestd.index.decided import decisions
from ingestd.index.rows import Row
from ingestd.index.statistics import ActFigures
from ingestd.model import Level
from ingestd.rules.rule import Policy
from ingestd.rules.wording import Both

MOST_IDS: Final = 1_000
"""Decisions that one entry names."""
_LEVELS: Final = {
    Level.FULL: Both("全程音像记录", "full process on video"),
    Level.SPECIFIED: Both("按清单音像记录", "specified content"),
    Level.TEXT: Both("文字记录", "written record"),
}
Fact = tuple[str, JsonObject]


def read(  # noqa: PLR0913  # everything that is shown comes from somewhere
    db: Connection, settled: Settled, catalogue: Catalogue, steps: Sequence[str], policy: Policy, now_ms: int
) -> Published:
    """Everything the site shows now, fit to be shown."""
    rows = decisions(db)
    c = t.officer.c
    officers = select(c.name, c.number, c.unit).order_by(c.unit, c.number)
    return Published(
        agency=settled.agency,
        fields=tuple(settled.fields),
        decisions=tuple(_shown(row, settled) for row in newest_first(rows) if is_public(row)),
        officers=tuple((name, number, unit) for name, number, unit in db.execute(officers)),
        items=tuple((one.name, one.article, _LEVELS[one.level].zh) for one in catalogue.types.values()),
        steps=tuple(steps),
        years=tuple(year_figures(db, rows, year, policy, now_ms) for year in years_over(rows, policy, now_ms)),
    )


def years_over(rows: Iterable[Row], policy: Policy, now_ms: int) -> list[int]:
    """Years with decisions that have ended, latest first."""
    this = policy.day(now_ms).year
    return sorted({year for row in rows if (year := policy.day(row["made_ms"]).year) < this}, reverse=True)


def year_figures(db: Connection, rows: Iterable[Row], year: int, policy: Policy, now_ms: int) -> dict[str, Any]:
    """The figures of a year (统计年报): decisions by kind, major and withdrawn ones, acts on video."""
    of_year = [row for row in rows if policy.day(row["made_ms"]).year == year]
    wanted = ActionFilter(
        from_ms=_new_year_ms(year, policy),
        until_ms=_new_year_ms(year + 1, policy),
        grace_over_ms=now_ms - policy.grace_ms,
    )
    acts = statistics.acts(db, "", wanted).get("", ActFigures())
    return {
        "year": year,
        **{kind.value: sum(row["kind"] == kind for row in of_year) for kind in Kind},
        "major": sum(bool(row["major"]) for row in of_year),
        "withdrawn": sum(row["withdrawn_ms"] is not None for row in of_year),
        "must": acts.must,
        "full": acts.full,
    }


def told(
    rows: Iterable[Row], sha256: str, actors: list[JsonObject], shown: Callable[[Row], bool] = is_public
) -> list[Fact]:
    """Entries for a build: what stands on the site for the first time, and what no longer does; none without either."""
    known = list(rows)
    published = [row["decision_id"] for row in known if shown(row) and row["published_ms"] is None]
    removed = [
        row["decision_id"]
        for row in known
        if not shown(row) and row["published_ms"] is not None and row["removed_ms"] is None
    ]
    parts = max(len(published), len(removed))
    return [
        (
            "disclosure.published",
            {
                "disclosure": {
                    "sha256": sha256,
                    "published": list(published[start : start + MOST_IDS]),
                    "removed": list(removed[start : start + MOST_IDS]),
                },
                "actors": list(actors),
            },
        )
        for start in range(0, parts, MOST_IDS)
    ]


def _shown(row: Row, settled: Settled) -> Mapping[str, str]:
    day = datetime.fromtimestamp(row["made_ms"] // 1000, UTC).astimezone(settled.zone)
    return {"id": row["decision_id"], "month": f"{day:%Y-%m}", **public(row, settled)}


def _new_year_ms(year: int, policy: Policy) -> int:
    return int(datetime(year, 1, 1, tzinfo=policy.zone).timestamp() * 1000)

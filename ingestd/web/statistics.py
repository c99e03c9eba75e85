"""Statistics: figures by unit, officer, type or month, each leading to the list that it counts."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.stats.report import BY, COLUMNS, Line, Report
from ingestd.stats.sheet import as_csv
from ingestd.web.actions import OUTCOMES
from ingestd.web.asked import one_of, time_of
from ingestd.web.language import phrase
from ingestd.web.site import Site

Counted = Callable[[str, tuple[int | None, int | None], int], Report]
"""By what, between which moments, and now (ms)."""
NAMES: Final = {
    "unit": phrase("Unit"),
    "officer": phrase("Officer"),
    "type": phrase("Type of act"),
    "period": phrase("Month"),
}


def add_pages(app: FastAPI, site: Site, counted: Counted) -> None:
    """Add ``/stats`` and ``/stats.csv``."""

    def report(request: Request) -> Report:
        asked = request.query_params
        bounds = time_of(asked, "from", site.zone), time_of(asked, "to", site.zone, end=True)
        return counted(one_of(asked, "by", BY) or "unit", bounds, int(site.now().timestamp() * 1000))

    @app.get("/stats", include_in_schema=False)
    def stats(request: Request) -> Response:
        made, asked = report(request), request.query_params
        days = {name: asked[name] for name in ("from", "to") if asked.get(name)}
        rows = [(line, _cells(line, made, days)) for line in made.lines]
        return site.page(
            request,
            "stats.html",
            report=made,
            names=NAMES,
            columns=COLUMNS,
            rows=rows,
            total=_cells(made.total, made, days),
            asked={name: asked.get(name, "") for name in ("from", "to")},
            sheet="/stats.csv?" + urlencode({"by": made.by, **days}),
        )

    @app.get("/stats.csv", include_in_schema=False)
    def sheet(request: Request) -> Response:
        made = report(request)
        named = {"Content-Disposition": f'attachment; filename="stats-{made.by}.csv"'}
        return Response(as_csv(made), media_type="text/csv; charset=utf-8", headers=named)


def _cells(line: Line, report: Report, days: dict[str, str]) -> list[tuple[str, int | None, str]]:
    """Name, figure and the address of its list; a period that cannot be asked for as days has no address."""
    return [(name, value, _list(name, line, report, days)) for name, value in line.figures(report.made_ms).items()]


def _list(name: str, line: Line, report: Report, days: dict[str, str]) -> str:
    narrowed = _month(line.key, days) if report.by == "period" else {report.by: line.key, **days}
    narrowed = narrowed if line.key else days
    acts = {"level": "full", **narrowed}
    lists = {
        "must": ("/actions", acts),
        "explained": ("/actions", {**acts, "explained": "yes"}),
        **{outcome: ("/actions", {**acts, "outcome": outcome}) for outcome in OUTCOMES},
        "linked": ("/clips", {"linked": "yes", **narrowed}),
        "unlinked": ("/clips", {"linked": "no", **narrowed}),
        "late": ("/clips", {"late": "yes", **narrowed}),
    }
    page, query = lists.get(name, ("", {}))
    return f"{page}?{urlencode(query)}" if page else ""


def _month(key: str, days: dict[str, str]) -> dict[str, str]:
    """The days of a month as far as they are within the days that were asked for."""
    first = date.fromisoformat(f"{key}-01") if key else date.min
    last = (first.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return {"from": max(days.get("from", ""), f"{first}"), "to": min(days.get("to", f"{last}"), f"{last}")}

"""Legal reviews under way and done, and decisions that are to be published or taken down, with their last days."""

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.calendar_cn import Deadline
from ingestd.disclosure.due import due
from ingestd.index.rows import Row
from ingestd.rules.rule import Policy
from ingestd.web.site import Site


@dataclass(frozen=True, slots=True)
class Awaited:
    """A review with the last day of its opinion; ``by`` is None once the opinion is there."""

    row: Row
    by: Deadline | None
    overdue: bool


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/reviews``."""

    @app.get("/reviews", include_in_schema=False)
    def reviews(request: Request) -> Response:
        now_ms = int(site.now().timestamp() * 1000)
        decisions = site.reads.decisions()
        return site.page(
            request,
            "reviews.html",
            reviews=[_awaited(row, now_ms, site.policy) for row in site.reads.reviews()],
            due=due(decisions, now_ms, site.policy),
            titles=_titles(decisions),
        )


def _awaited(row: Row, now_ms: int, policy: Policy) -> Awaited:
    if row["state"] != "submitted":
        return Awaited(row, None, overdue=False)
    days = policy.review_working_days + (policy.review_extension_working_days if row["extended"] else 0)
    by = policy.calendar.working_day_after(policy.day(row["complete_ms"]), days)
    return Awaited(row, by, policy.is_over(by, now_ms))


def _titles(decisions: list[Row]) -> dict[str, Any]:
    return {row["decision_id"]: row["title"] for row in decisions}

"""Enforcement actions: which of them are on video, how far, and where the holes are."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.index.acts import ActionFilter, Outcome
from ingestd.model import Level
from ingestd.web.asked import one_of, text_of, time_of
from ingestd.web.language import phrase
from ingestd.web.site import PageError, Site
from ingestd.web.timeline import timeline

OUTCOMES: Final = tuple(one.value for one in Outcome)
LEVELS: Final = tuple(one.value for one in Level)
_TEXTS: Final = ("case", "unit", "officer", "type")
FIELDS: Final = (*_TEXTS, "below", "level", "outcome", "explained", "from", "to")


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/actions`` and ``/actions/{id}``."""

    @app.get("/actions", include_in_schema=False)
    def actions(request: Request) -> Response:
        asked = request.query_params
        page = site.reads.actions(wanted(asked, site), asked.get("after") or None)
        return site.page(
            request,
            "actions.html",
            rows=page.rows,
            next=page.next,
            later=bool(asked.get("after")),
            asked={name: asked.get(name, "") for name in FIELDS},
            narrowed=any(asked.get(name) for name in FIELDS),
        )

    @app.get("/actions/{action_id:path}", include_in_schema=False)
    def action(request: Request, action_id: str) -> Response:
        detail = site.reads.action(action_id)
        if detail is not None:
            line = timeline(detail, site.zone)
            return site.page(request, "action.html", detail=detail, action=detail.action, line=line)
        planned = site.reads.plan(action_id)
        if planned is None:
            raise PageError(404, phrase("There is no action %(id)s."), id=action_id)
        return site.page(request, "plan.html", detail=planned, plan=planned.plan)


def wanted(asked: Mapping[str, str], site: Site) -> ActionFilter:
    """The filter that a query string asks for. Raises ``PageError`` 400 naming the field and what is allowed."""
    texts: dict[str, Any] = {name: text_of(asked, name) for name in _TEXTS}
    return ActionFilter(
        level=one_of(asked, "level", LEVELS),
        outcome=one_of(asked, "outcome", OUTCOMES),
        below=bool(one_of(asked, "below", ("yes",))),
        explained=bool(one_of(asked, "explained", ("yes",))),
        from_ms=time_of(asked, "from", site.zone),
        until_ms=time_of(asked, "to", site.zone, end=True),
        grace_over_ms=int(site.now().timestamp() * 1000) - site.policy.grace_ms,
        **texts,
    )

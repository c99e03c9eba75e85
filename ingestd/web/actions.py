"""Enforcement actions: which of them are on video, how far, and where the holes are."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.web.language import phrase
from ingestd.web.site import PageError, Site
from ingestd.web.timeline import timeline


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/actions`` and ``/actions/{id}``."""

    @app.get("/actions", include_in_schema=False)
    def actions(request: Request) -> Response:
        asked = request.query_params
        case = asked.get("case", "").strip()
        page = site.reads.actions(case, asked.get("after") or None)
        later = bool(asked.get("after"))
        return site.page(request, "actions.html", rows=page.rows, next=page.next, later=later, case=case)

    @app.get("/actions/{action_id:path}", include_in_schema=False)
    def action(request: Request, action_id: str) -> Response:
        detail = site.reads.action(action_id)
        if detail is None:
            raise PageError(404, phrase("There is no action %(id)s."), id=action_id)
        return site.page(request, "action.html", detail=detail, action=detail.action, line=timeline(detail, site.zone))

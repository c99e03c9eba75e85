"""The same facts as JSON for other systems. Only reading; the schema is at ``/openapi.json``."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse

from ingestd.web.clips import wanted
from ingestd.web.flags import rule_of, state_of
from ingestd.web.site import Site

MOST_ROWS: Final = 500
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/api/v1/…`` and ``/healthz``."""

    @app.get("/api/v1/summary")
    def summary() -> JSONResponse:
        """Counts of clips and flags, and where the centre log stands."""
        return JSONResponse(site.reads.summary().as_json())

    @app.get("/api/v1/clips")
    def clips(request: Request, limit: Limit = 50) -> JSONResponse:
        """Clips by the filters of the page ``/clips``; ``next`` is the ``after`` of the following page, or null."""
        asked = request.query_params
        page = site.reads.clips(wanted(asked, site), asked.get("after") or None, limit)
        return JSONResponse({"clips": plain(page.rows), "next": page.next})

    @app.get("/api/v1/flags")
    def flags(request: Request, limit: Limit = 50) -> JSONResponse:
        """Flags by ``state`` (open, cleared, all), ``rule`` and ``action``."""
        asked = request.query_params
        state, rule = state_of(asked.get("state", "")), rule_of(asked.get("rule", ""))
        action, after = asked.get("action", ""), asked.get("after") or None
        page = site.reads.flags("" if state == "all" else state, rule, action, after, limit)
        return JSONResponse({"flags": plain(page.rows), "next": page.next})

    @app.get("/healthz")
    def healthz(request: Request) -> dict[str, str]:
        """Whether the pages and the index answer, and what hinders messages. Raises 503 when the index does not."""
        site.reads.summary()
        hindrance = request.app.state.hindrance()
        return {"pages": "answer", "index": "answers", "broker": hindrance or "answers"}


def plain(value: Any) -> Any:
    """A frozen value as JSON knows it, field names kept."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value

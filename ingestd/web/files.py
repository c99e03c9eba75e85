"""Files seen on recorders that did not arrive: what could not be copied, by name and reason, and what is awaited."""

from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.web.language import phrase
from ingestd.web.site import PageError, Site

STATES: Final = ("failed", "pending")
_BAD: Final = phrase("The filter “%(name)s” is not usable. Allowed: %(allowed)s")


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/files``."""

    @app.get("/files", include_in_schema=False)
    def files(request: Request) -> Response:
        state = request.query_params.get("state") or STATES[0]
        if state not in STATES:
            raise PageError(400, _BAD, name="state", allowed=" | ".join(STATES))
        after = request.query_params.get("after") or None
        page = site.reads.files(state, after)
        return site.page(request, "files.html", rows=page.rows, next=page.next, later=bool(after), state=state)

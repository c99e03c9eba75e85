"""Flags: what should have been filmed, kept or checked and was not, each with its reason."""

from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.flag_life import LISTED
from ingestd.rules import RULES_BY_ID
from ingestd.web.language import phrase
from ingestd.web.site import PageError, Site

STATES: Final = LISTED
_BAD: Final = phrase("The filter “%(name)s” is not usable. Allowed: %(allowed)s")


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/flags``."""

    @app.get("/flags", include_in_schema=False)
    def flags(request: Request) -> Response:
        asked = request.query_params
        state, rule = state_of(asked.get("state", "")), rule_of(asked.get("rule", ""))
        action = asked.get("action", "")
        page = site.reads.flags("" if state == "all" else state, rule, action, asked.get("after") or None)
        return site.page(
            request,
            "flags.html",
            rows=page.rows,
            next=page.next,
            later=bool(asked.get("after")),
            state=state,
            states=STATES,
            rule=rule,
            action=action,
        )


def state_of(value: str) -> str:
    """The state asked for, ``open`` when none is. Raises ``PageError`` 400."""
    if value and value not in STATES:
        raise PageError(400, _BAD, name="state", allowed=" | ".join(STATES))
    return value or "open"


def rule_of(value: str) -> str:
    """The rule asked for, or all. Raises ``PageError`` 400."""
    if value and value not in RULES_BY_ID:
        raise PageError(400, _BAD, name="rule", allowed=" | ".join(RULES_BY_ID))
    return value

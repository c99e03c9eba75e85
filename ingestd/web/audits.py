"""What audits have found, where the logs stand, and who outside vouches for them."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from custody.verdicts import Outcome
from ingestd import vocabulary
from ingestd.web.ports import AuditReads
from ingestd.web.site import Site

_ICONS = {Outcome.OK: "tick", Outcome.NOT_AS_RECORDED: "cross", Outcome.COULD_NOT_CHECK: "triangle"}
_TONES = {Outcome.OK: "good", Outcome.NOT_AS_RECORDED: "bad", Outcome.COULD_NOT_CHECK: "bad"}


def add_pages(app: FastAPI, site: Site, audits: AuditReads) -> None:
    """Add ``/audits``."""

    @app.get("/audits", include_in_schema=False)
    def page(request: Request) -> Response:
        return site.page(
            request,
            "audits.html",
            audits=audits.audits(),
            head=audits.head(),
            mirrors=audits.mirrors(),
            anchors=audits.anchors(),
            anchored=audits.configured,
            word=vocabulary.word,
            outcome=_outcome,
        )


def _outcome(code: int) -> tuple[vocabulary.Word, str, str]:
    """Word, icon and tone of an exit code; one that nobody knows is no OK."""
    known = Outcome(code) if code in set(Outcome) else Outcome.COULD_NOT_CHECK
    return vocabulary.OUTCOMES[known], _ICONS[known], _TONES[known]

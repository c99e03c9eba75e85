"""What is kept, by whose word: holds, approvals to dispose of an original, and what may be proposed. Read-only.

Nothing goes from here. Two people approve each for himself (``ingestd disposals approve``), the keeper of the store
removes, and what is gone is recorded then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from custody.authority import APPROVERS
from custody.identifiers import person_key
from ingestd.index.queries import DisposalRow
from ingestd.web.site import Site

PROPOSED_SHOWN: Final = 50
"""Clips that may be proposed, oldest first; ``ingestd disposals propose --limit`` names more."""

Proposable = Callable[[int], Sequence[str]]
"""So many clips at most that may be proposed for disposal, oldest first (``retention.proposable``)."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An original somebody approved of, and how far it has come: ``one-more``, ``approved`` or ``gone``."""

    row: DisposalRow
    state: str


def add_pages(app: FastAPI, site: Site, proposable: Proposable) -> None:
    """Add ``/retention``."""

    @app.get("/retention", include_in_schema=False)
    def retention(request: Request) -> Response:
        found = proposable(PROPOSED_SHOWN + 1)
        return site.page(
            request,
            "retention.html",
            holds=site.reads.holds(),
            disposals=[Approved(row, _state(row)) for row in site.reads.disposals()],
            proposable=found[:PROPOSED_SHOWN],
            more=len(found) > PROPOSED_SHOWN,
            keep_days=site.policy.keep_days,
        )


def _state(row: DisposalRow) -> str:
    if row.done_ms is not None:
        return "gone"
    return "approved" if len({*map(person_key, row.approved_by)}) >= APPROVERS else "one-more"

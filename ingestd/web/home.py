"""The first page: work queues, each an exact number that leads to its list."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ingestd.index.queries import ClipFilter, Summary
from ingestd.web.language import phrase
from ingestd.web.ports import Reads
from ingestd.web.site import Site

_FLAGS_READ: Final = 500
_SHOWN: Final = 6
"""Rows under each heading; the queue's card leads to the rest."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A card: what waits for people, how many, and where the list is."""

    title: str
    count: int
    href: str
    icon: str
    tone: str
    help: str


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/``."""

    @app.get("/", include_in_schema=False)
    def home(request: Request) -> Response:
        summary = site.reads.summary()
        return site.page(
            request,
            "home.html",
            summary=summary,
            queues=queues(summary, open_flags_by_rule(site.reads)),
            flags=site.reads.flags(limit=_SHOWN).rows,
            clips=site.reads.clips(ClipFilter(linked=False), limit=_SHOWN).rows,
        )


def queues(summary: Summary, flags: Counter[str]) -> tuple[Queue, ...]:
    """The work queues in the order in which a supervisor works. A count of nothing is said calmly, not hidden."""
    by_rule = [
        (rule, phrase_of, help_text, icon)
        for rule, phrase_of, help_text, icon in _FLAG_QUEUES
        if flags[rule] or rule in _ALWAYS
    ]
    return (
        _queue(
            phrase("Unlinked clips"),
            summary.clips.unlinked,
            "/clips?linked=no",
            "unlinked",
            phrase("footage that belongs to no action yet"),
        ),
        *(_queue(title, flags[rule], f"/flags?rule={rule}", icon, help_) for rule, title, help_, icon in by_rule),
        _queue(
            phrase("Needs handling"),
            summary.clips.quarantined,
            "/clips?status=quarantined",
            "triangle",
            phrase("unreadable, empty or unknown files, kept and verified"),
        ),
    )


def open_flags_by_rule(reads: Reads) -> Counter[str]:
    """Open flags of each rule, all of them: a number on a card equals the length of its list."""
    counts: Counter[str] = Counter()
    after: str | None = None
    while True:
        page = reads.flags(after=after, limit=_FLAGS_READ)
        counts.update(flag.rule for flag in page.rows)
        if page.next is None:
            return counts
        after = page.next


def _queue(title: str, count: int, href: str, icon: str, help_text: str) -> Queue:
    return Queue(title, count, href, icon, "due" if count else "clear", help_text)


_FLAG_QUEUES: Final = (
    (
        "missing-full-process-video",
        phrase("Missing recording"),
        phrase("acts that must be recorded in full and have no video"),
        "video-off",
    ),
    ("full-process-gap", phrase("Gaps"), phrase("acts whose video has holes"), "gap"),
    (
        "clip-not-arrived",
        phrase("Not arrived"),
        phrase("files seen on a recorder, neither copied nor reported as failed"),
        "arrow",
    ),
    (
        "original-not-as-recorded",
        phrase("Original not as recorded"),
        phrase("stored bytes differ from their signed digest"),
        "cross",
    ),
    (
        "message-unverifiable",
        phrase("Unverifiable messages"),
        phrase("messages kept in quarantine with their reason"),
        "shield",
    ),
    (
        "set-aside",
        phrase("Set aside"),
        phrase("signed facts that contradict others, kept and not believed"),
        "shield",
    ),
    (
        "anchor-missing",
        phrase("Not anchored outside"),
        phrase("nobody outside has vouched for the centre log lately"),
        "shield",
    ),
)
_ALWAYS: Final = frozenset({"missing-full-process-video", "full-process-gap", "clip-not-arrived"})
"""Queues that are shown even when empty; the others appear when there is something in them."""

"""Clips: the list with its filters in the URL, and one clip with everything known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from custody.identifiers import is_uuid7
from ingestd.index.queries import ClipDetail, ClipFilter
from ingestd.web.asked import one_of, text_of, time_of
from ingestd.web.language import phrase
from ingestd.web.site import PageError, Site

LINKED: Final = {"yes": True, "no": False}
STATUSES: Final = ("received", "indexed", "quarantined")
VERDICTS: Final = ("unchecked", "verified", "failed", "missing", "disposed")
KINDS: Final = ("video", "audio", "image", "sidecar", "other", "empty")
_TEXTS: Final = ("station", "recorder", "officer", "unit", "case", "text")
FIELDS: Final = ("linked", "status", "verdict", "kind", "late", "below", *_TEXTS, "from", "to")


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/clips`` and ``/clips/{id}``."""

    @app.get("/clips", include_in_schema=False)
    def clips(request: Request) -> Response:
        asked = request.query_params
        page = site.reads.clips(wanted(asked, site), asked.get("after") or None)
        return site.page(
            request,
            "clips.html",
            rows=page.rows,
            next=page.next,
            later=bool(asked.get("after")),
            asked={name: asked.get(name, "") for name in FIELDS},
            narrowed=any(asked.get(name) for name in FIELDS),
        )

    @app.get("/clips/{object_id}", include_in_schema=False)
    def clip(request: Request, object_id: str) -> Response:
        existing_clip(site, object_id)
        site.record_view(request, object_id, "detail")
        return site.page(request, "clip.html", 200, **_facts(existing_clip(site, object_id)))


def existing_clip(site: Site, object_id: str) -> ClipDetail:
    """The clip of that id. Raises ``PageError`` 404."""
    found = site.reads.clip(object_id) if is_uuid7(object_id) else None
    if found is None:
        raise PageError(404, phrase("There is no clip %(id)s."), id=object_id)
    return found


def wanted(asked: Mapping[str, str], site: Site) -> ClipFilter:
    """The filter that a query string asks for; times without an offset are the site's.

    Raises ``PageError`` 400 naming the field and what is allowed.
    """
    linked = one_of(asked, "linked", tuple(LINKED))
    texts: dict[str, Any] = {name: text_of(asked, name) for name in _TEXTS}
    return ClipFilter(
        late_ms=site.policy.offload_ms if one_of(asked, "late", ("yes",)) else None,
        below=bool(one_of(asked, "below", ("yes",))),
        linked=LINKED[linked] if linked else None,
        status=one_of(asked, "status", STATUSES),
        verdict=one_of(asked, "verdict", VERDICTS),
        kind=one_of(asked, "kind", KINDS),
        from_ms=time_of(asked, "from", site.zone),
        until_ms=time_of(asked, "to", site.zone, end=True),
        **texts,
    )


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clip's times side by side; none is merged with another. Milliseconds, UTC."""

    stated_ms: int | None
    stated_source: str
    stated_clock: str
    offset_ms: int | None
    offset_uncertainty_ms: int | None
    offset_method: str
    station_said: bool
    """Whether the station said how right its own clock was when it measured."""
    station_uncertainty_ms: int | None
    """How far that clock was off at most; None: it was not synchronised."""


def clocks_of(detail: ClipDetail) -> Clocks:
    """The times that the station signed."""
    media = detail.media or {}
    start, clock = media.get("start"), media.get("clock")
    start = start if isinstance(start, Mapping) else {}
    clock = clock if isinstance(clock, Mapping) else {}
    return Clocks(
        stated_ms=_whole(start.get("utc_ms")),
        stated_source=str(start.get("source") or ""),
        stated_clock=str(start.get("clock") or ""),
        offset_ms=_whole(clock.get("offset_ms")),
        offset_uncertainty_ms=_whole(clock.get("uncertainty_ms")),
        offset_method=str(clock.get("method") or "unmeasured"),
        station_said="station" in clock,
        station_uncertainty_ms=_whole(_part(clock, "station").get("uncertainty_ms")),
    )


def _facts(detail: ClipDetail) -> dict[str, Any]:
    media = detail.media or {}
    times = media.get("times")
    return {
        "clip": detail,
        "row": detail.row,
        "clocks": clocks_of(detail),
        "raw_times": [time for time in times if isinstance(time, Mapping)] if isinstance(times, list | tuple) else [],
        "video": _part(media, "video"),
        "audio": _part(media, "audio"),
        "proxy": detail.proxies[0] if detail.proxies else None,
    }


def _part(media: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = media.get(name)
    return part if isinstance(part, Mapping) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None

"""Proxies for the player, by byte range. Originals are not served here: opening one needs a reason and a log entry."""

import re
from collections.abc import Iterator
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from ingestd.index.queries import ProxyRow
from ingestd.web.clips import existing_clip
from ingestd.web.language import phrase
from ingestd.web.ports import Media
from ingestd.web.site import PageError, Site

PIECE_BYTES: Final = 1 << 20
"""Bytes read from the store at once, whatever the range."""
PLAYABLE: Final = frozenset({"video/mp4", "audio/mp4", "audio/mpeg", "image/jpeg", "image/png"})
"""What our own transcoder makes. Anything else, whoever signed it, is handed out as plain bytes."""
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def add_pages(app: FastAPI, site: Site) -> None:
    """Add ``/media/{id}/proxy``."""

    @app.api_route("/media/{object_id}/proxy", methods=["GET", "HEAD"], include_in_schema=False)
    def proxy(request: Request, object_id: str) -> Response:
        proxies = existing_clip(site, object_id).proxies
        if not proxies:
            raise PageError(404, phrase("There is no proxy of clip %(id)s."), id=object_id)
        if request.method != "HEAD":
            site.record_view(request, object_id, "proxy")
        return ranged(request, site.media, proxies[0])


def ranged(request: Request, media: Media, proxy: ProxyRow) -> Response:
    """The object or the range asked for: 200, 206 or 416 (RFC 9110 §14). A stale ``If-Range`` gets the whole."""
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{proxy.sha256}"',
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": "inline",
    }
    asked = request.headers.get("range")
    if request.headers.get("if-range") not in {None, headers["ETag"]}:
        asked = None
    span = byte_range(asked, proxy.size_bytes)
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{proxy.size_bytes}"})
    start, end = span
    if asked and _RANGE.fullmatch(asked):
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{proxy.size_bytes}"
    headers["Content-Length"] = str(end - start)
    status = 206 if "Content-Range" in headers else 200
    media_type = proxy.media_type if proxy.media_type in PLAYABLE else "application/octet-stream"
    if request.method == "HEAD" or start == end:
        return Response(status_code=status, headers=headers, media_type=media_type)
    # The first piece is read before the head is sent, so that a store that fails is a 503 and not a broken film.
    first = media.read_range(proxy.name, start, min(end, start + PIECE_BYTES))
    body = _pieces(media, proxy.name, first, start + len(first), end)
    return StreamingResponse(body, status, headers, media_type)


def byte_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """The half-open range meant by a ``Range`` header; None when it cannot be satisfied.

    No header, several ranges or another unit mean the whole object, as RFC 9110 §14.2 allows.
    """
    match = _RANGE.fullmatch(asked or "")
    if match is None or match[1] == match[2] == "":
        return 0, size
    if match[1] == "":
        return (max(0, size - int(match[2])), size) if int(match[2]) and size else None
    start, last = int(match[1]), int(match[2] or size - 1)
    return (start, min(last + 1, size)) if start < size and start <= last else None


def _pieces(media: Media, name: str, first: bytes, start: int, end: int) -> Iterator[bytes]:
    yield first
    while start < end:
        piece = media.read_range(name, start, min(end, start + PIECE_BYTES))
        if not piece:
            return
        start += len(piece)
        yield piece

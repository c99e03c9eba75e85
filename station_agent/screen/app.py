"""The dock screen's server: a page, a stream of frames, a frame to poll, and the status itself as JSON.

It listens on loopback only and asks for no login: whoever stands before the dock may read it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import segno
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from station_agent.screen import language
from station_agent.screen.counter import Counter, Desk, add_counter
from station_agent.screen.headers import SecurityHeaders
from station_agent.screen.tiles import FAILURES, Json, board_of, inside_of

StatusSource = Callable[[], Json]
"""The station's status, the value of ``/api/status``; called once a second for each open screen."""
Beside = Callable[[Json], Json]
"""From the status what stands beside it, the value of ``/api/dock``."""
View = Literal["board", "technician"]
"""Template of a picture: for officers, for technicians."""

TICK_S: Final = 1.0
"""Every frame carries the clock, so that a screen without frames knows within seconds that it is stale."""
_YEAR_S: Final = 365 * 24 * 3600
_ROOT: Final = "station_agent.screen"


@dataclass(frozen=True, slots=True)
class Screen:
    """What the routes share."""

    status: StatusSource
    beside: Beside
    counter: Counter | None
    zone: ZoneInfo
    now: Callable[[], datetime]
    stopped: Callable[[], bool]

    def frame(self, tongue: str, view: str = "board") -> dict[str, Any]:
        """One picture of the dock: status for programs, HTML for the page, the clock for both."""
        status = self.status()
        beside = self.beside(status)
        board, inside = board_of(status, beside), inside_of(status, beside)
        html = environment(tongue).get_template(f"{view}.html").render(board=board, inside=inside, qr=qr)
        return {"clock": self.clock(), "html": html, "status": dict(status)}

    def clock(self) -> str:
        """The station's time with its zone named."""
        return f"{self.now().astimezone(self.zone):%Y-%m-%d %H:%M:%S} {self.zone.key}"


def create_app(  # noqa: PLR0913  # what the screen needs from the station
    status: StatusSource,
    *,
    beside: Beside = lambda _status: {},
    desk: Desk | None = None,
    zone: ZoneInfo | None = None,
    now: Callable[[], datetime] | None = None,
    stopped: Callable[[], bool] | None = None,
    metrics: CollectorRegistry | None = None,
) -> FastAPI:
    """The dock screen over ``status`` and what stands ``beside`` it (``/api/dock``). Officers act at the ``desk``.

    Open streams end within a second after ``stopped`` turns true. Without ``metrics`` there is no ``/metrics``.
    """
    zone = zone or ZoneInfo("Asia/Shanghai")
    screen = Screen(
        status=status,
        beside=beside,
        counter=Counter(desk, zone, lambda: _bays_of(status()), environment) if desk else None,
        zone=zone,
        now=now or (lambda: datetime.now(tz=ZoneInfo("UTC"))),
        stopped=stopped or (lambda: False),
    )
    app = FastAPI(title="station-agent", docs_url=None, redoc_url=None)
    app.add_middleware(SecurityHeaders)
    app.mount("/static", StaticFiles(directory=_static_folder()), name="static")
    _add_pages(app, screen)
    _add_data(app, screen)
    if metrics is not None:
        _add_metrics(app, metrics)
    if screen.counter:
        add_counter(app, screen.counter)
    return app


@cache
def environment(tongue: str) -> Environment:
    """Templates in one language. Everything is escaped; an unknown name is an error, not an empty string."""
    made = Environment(
        loader=PackageLoader(_ROOT),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(tongue=tongue, tongues=language.LANGUAGES, failures=FAILURES)
    words = language.translations(tongue)
    made.extend(newstyle_gettext=True)
    made.install_gettext_callables(words.gettext, words.ngettext, newstyle=True)  # type: ignore[attr-defined]  # added by the i18n extension
    return made


@lru_cache(maxsize=64)
def qr(text: str) -> Markup:
    """The text as a QR code (ISO/IEC 18004), dark on light in either colour scheme, without style attributes."""
    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(border=4, omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None))  # noqa: S704  # segno draws modules, it never copies the text


async def stream(
    frame: Callable[[], Awaitable[dict[str, Any]]], stopped: Callable[[], bool], tick_s: float = TICK_S
) -> AsyncIterator[str]:
    """Server-sent events: ``screen`` every tick, ``status`` when the status changed (WHATWG HTML §9.2)."""
    last_status: Any = None
    while not stopped():
        current = await frame()
        if current["status"] != last_status:
            last_status = current["status"]
            yield _event("status", last_status)
        yield _event("screen", {"clock": current["clock"], "html": current["html"]})
        await asyncio.sleep(tick_s)


def _add_pages(app: FastAPI, screen: Screen) -> None:
    @app.get("/", include_in_schema=False)
    def page(request: Request) -> Response:
        return shown(request, "board")

    @app.get("/technician", include_in_schema=False)
    def technician(request: Request) -> Response:
        return shown(request, "technician")

    def shown(request: Request, view: str) -> Response:
        tongue = language.chosen(request)
        template, token = environment(tongue).get_template("page.html"), screen.counter.token if screen.counter else ""
        body = template.render(frame=screen.frame(tongue, view), view=view, token=token)
        return _remembering(request, HTMLResponse(body))

    @app.get("/frame/{view}", include_in_schema=False)
    def frame(request: Request, view: View) -> JSONResponse:
        return JSONResponse(screen.frame(language.chosen(request), view))

    @app.get("/events/{view}", include_in_schema=False)
    async def events(request: Request, view: View) -> StreamingResponse:
        tongue = language.chosen(request)
        frames = stream(lambda: run_in_threadpool(screen.frame, tongue, view), screen.stopped)
        return StreamingResponse(frames, media_type="text/event-stream")


def _add_data(app: FastAPI, screen: Screen) -> None:
    @app.get("/api/status")
    def api_status() -> JSONResponse:
        """The station's status."""
        return JSONResponse(dict(screen.status()))

    @app.get("/api/dock")
    def api_dock() -> JSONResponse:
        """What the screen shows beside the status."""
        return JSONResponse(dict(screen.beside(screen.status())))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the screen answers; says nothing about the dock."""
        return {"screen": "answers"}


def _add_metrics(app: FastAPI, registry: CollectorRegistry) -> None:
    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _remembering(request: Request, answer: Response) -> Response:
    if request.query_params.get("lang") in language.LANGUAGES:
        answer.set_cookie(language.COOKIE, language.chosen(request), max_age=_YEAR_S, samesite="strict")
    return answer


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


def _bays_of(status: Json) -> list[int]:
    return sorted(int(bay["bay"]) for bay in status.get("bays") or ())


def _static_folder() -> Path:
    with as_file(files(_ROOT) / "static") as folder:
        return Path(folder)

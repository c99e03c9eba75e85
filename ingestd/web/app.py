"""Puts the page families together. The only place that knows FastAPI's switches."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.exceptions import HTTPException

from ingestd.errors import CentreError, ObjectMissingError
from ingestd.rules import Policy, TypeName
from ingestd.stations import StationRow
from ingestd.web import actions, audits, clips, files, flags, home, language, log, media, retention, reviews, statistics
from ingestd.web import stations as station_pages
from ingestd.web.api.resources import Importer, add_resources
from ingestd.web.api.shapes import problem
from ingestd.web.api.tokens import Nobody, Tokens
from ingestd.web.assets import assets
from ingestd.web.headers import SecurityHeaders
from ingestd.web.language import phrase
from ingestd.web.ports import AuditReads, LogReads, Media, Reads, Viewed
from ingestd.web.retention import Proposable
from ingestd.web.site import PageError, Site
from ingestd.web.statistics import Counted

FOR_EVER = "public, max-age=31536000, immutable"
"""An asset's address changes with its bytes."""


def create_app(  # noqa: PLR0913  # the composition root names every part
    reads: Reads,
    store: Media,
    *,
    zone: ZoneInfo | None = None,
    types: Mapping[str, TypeName] | None = None,
    now: Callable[[], datetime] | None = None,
    published: LogReads | None = None,
    history: AuditReads | None = None,
    counted: Counted | None = None,
    proposable: Proposable | None = None,
    policy: Policy | None = None,
    tokens: Tokens | None = None,
    importer: Importer | None = None,
    hindrance: Callable[[], str] = str,
    viewed: Viewed = lambda _object_id, _what, _actor: None,
    user_header: str = "",
    metrics: CollectorRegistry | None = None,
    stations: Callable[[], Sequence[StationRow]] | None = None,
) -> FastAPI:
    """The pages over ``reads`` and ``store``; times are shown in ``zone``, action types by their names in ``types``.

    ``published`` is the centre log for witnesses; without it there is no ``/api/v1/log``.
    ``history`` are the audits; without it there is no ``/audits``. ``counted`` makes statistics; without it there is no
    ``/stats``. ``proposable`` names what may be disposed of; without it there is no ``/retention``. ``policy`` says how
    long footage may be on its way, and when it is late. ``tokens`` knows those of other systems; without ``importer``
    nothing is imported here.
    ``hindrance`` says why no message arrives from the broker, or an empty string. ``viewed`` records who looks at a
    clip before it is shown; ``user_header`` is the header in which a login in front of the pages names the user.
    Without ``metrics`` there is no ``/metrics``, without ``stations`` no ``/stations``.
    """
    site = Site(
        reads=reads,
        media=store,
        zone=zone or ZoneInfo("Asia/Shanghai"),
        types=types or {},
        now=now or (lambda: datetime.now(tz=ZoneInfo("UTC"))),
        has_audits=history is not None,
        has_stats=counted is not None,
        has_retention=proposable is not None,
        has_stations=stations is not None,
        policy=policy or Policy(),
        viewed=viewed,
        user_header=user_header,
    )
    # Swagger UI and ReDoc load from public hosts; nothing of ours does.
    app = FastAPI(title="ingestd", docs_url=None, redoc_url=None, dependencies=[Depends(_without_nul)])
    app.state.hindrance = hindrance
    app.add_middleware(SecurityHeaders)
    for family in (home, clips, files, flags, actions, media, reviews):
        family.add_pages(app, site)
    add_resources(app, site, tokens or Nobody(), counted, importer)
    if history is not None:
        audits.add_pages(app, site, history)
    if counted is not None:
        statistics.add_pages(app, site, counted)
    if proposable is not None:
        retention.add_pages(app, site, proposable)
    if stations is not None:
        station_pages.add_pages(app, site, stations)
    if published is not None:
        log.add_pages(app, published)
    if metrics is not None:
        _add_metrics(app, metrics)
    _add_assets(app)
    _add_errors(app, site)
    return app


def _without_nul(request: Request) -> None:
    """No name of ours holds a NUL, and PostgreSQL refuses it as text. Raises ``PageError`` 400."""
    given = [request.url.path, *request.path_params.values(), *request.query_params.values()]
    if any("\0" in str(value) for value in given):
        raise PageError(400, phrase("A request may not contain the NUL character."))


def _add_metrics(app: FastAPI, registry: CollectorRegistry) -> None:
    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _add_assets(app: FastAPI) -> None:
    @app.get("/assets/{sha256}/{name}", include_in_schema=False)
    def asset(sha256: str, name: str) -> Response:
        found = assets().get(name)
        if found is None or found.sha256 != sha256:
            raise PageError(404, phrase("There is no such page."))
        return Response(found.body, media_type=found.media_type, headers={"Cache-Control": FOR_EVER})


def _add_errors(app: FastAPI, site: Site) -> None:
    def answer(request: Request, status: int, message: str, **values: str) -> Response:
        if request.url.path.startswith(("/api/", "/healthz")):
            told = language.translations(language.asked_for(request)).gettext(message)
            return problem(status, told % values if values else told)
        return site.page(request, "error.html", status, message=message, values=values, code=status)

    @app.exception_handler(PageError)
    def on_page_error(request: Request, error: PageError) -> Response:
        return answer(request, error.status, error.message, **error.values)

    @app.exception_handler(HTTPException)
    def on_http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:  # noqa: PLR2004  # HTTP: not found
            return answer(request, 404, phrase("There is no such page."))
        answered = answer(request, error.status_code, phrase("This cannot be done here."))
        answered.headers.update(error.headers or {})
        return answered

    @app.exception_handler(RequestValidationError)
    def on_bad_request(request: Request, error: RequestValidationError) -> Response:
        where = ", ".join(str(problem["loc"][-1]) for problem in error.errors())
        return answer(request, 400, phrase("Not usable: %(where)s"), where=where)

    @app.exception_handler(CentreError)
    def on_centre_error(request: Request, error: CentreError) -> Response:
        if isinstance(error, ObjectMissingError):
            return answer(request, 404, phrase("The store has no such object."))
        return answer(request, 503, phrase("The index or the store does not answer. Nothing is lost; try again later."))

"""What may be asked: lists with the filters of the pages, single things, counts, and imports."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ingestd.flag_life import LISTED
from ingestd.index.queries import (
    ActionDetail,
    ActionRow,
    CaseRow,
    ClipDetail,
    ClipRow,
    FlagRow,
)
from ingestd.model import IMPORTED, Import
from ingestd.rules import RULES_BY_ID
from ingestd.stats.report import BY
from ingestd.web import actions as action_pages
from ingestd.web import clips as clip_pages
from ingestd.web.api.shapes import Problem, page_of, plain, shape
from ingestd.web.api.tokens import Scope, Token, Tokens
from ingestd.web.asked import LONGEST, one_of, time_of
from ingestd.web.language import phrase
from ingestd.web.site import PageError, Site
from ingestd.web.statistics import Counted

MOST_ROWS: Final = 500
MOST_BYTES: Final = 64 << 20
"""Largest file that is taken over this way; a larger one comes by the watched folder or the command."""
Importer = Callable[[bytes, str, bool], tuple[Import, Import]]
"""A file's bytes, its name, whether to change nothing; what was read and what changed (``Pipeline.import_cases``)."""
Day = Annotated[
    str,
    Field(
        pattern=r"^(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}$",
        description="A day such as 2026-11-22, by the clock of the site.",
        json_schema_extra={"format": "date"},
    ),
]
_NO_NUL: Final = r"^[^\x00]*$"
"""No name of ours holds one, and PostgreSQL refuses it."""
Text = Annotated[str, Field(max_length=LONGEST, pattern=_NO_NUL)]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of a page.")]
After = Annotated[str, Field(max_length=1_000, pattern=_NO_NUL, description="``next`` of the page before.")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class ClipQuery(_Asked):
    """Filters of clips."""

    linked: Literal["", "yes", "no"] = ""
    status: Literal["", *clip_pages.STATUSES] = ""  # type: ignore[valid-type]  # one place for each word
    verdict: Literal["", *clip_pages.VERDICTS] = ""  # type: ignore[valid-type]  # the same
    kind: Literal["", *clip_pages.KINDS] = ""  # type: ignore[valid-type]  # the same
    late: Literal["", "yes"] = ""
    station: Text = ""
    recorder: Text = ""
    officer: Text = ""
    unit: Text = ""
    below: Literal["", "yes"] = ""
    case: Text = ""
    text: Text = ""
    since: Day = Field("", alias="from")
    until: Day = Field("", alias="to")
    after: After = ""
    limit: Limit = 50


class ActionQuery(_Asked):
    """Filters of acts."""

    case: Text = ""
    unit: Text = ""
    below: Literal["", "yes"] = ""
    officer: Text = ""
    type: Text = ""
    level: Literal["", *action_pages.LEVELS] = ""  # type: ignore[valid-type]  # one place for each word
    outcome: Literal["", *action_pages.OUTCOMES] = ""  # type: ignore[valid-type]  # the same
    explained: Literal["", "yes"] = ""
    since: Day = Field("", alias="from")
    until: Day = Field("", alias="to")
    after: After = ""
    limit: Limit = 50


class FlagQuery(_Asked):
    """Filters of flags."""

    state: Literal["", *LISTED] = ""  # type: ignore[valid-type]  # one place for each word
    rule: Literal["", *RULES_BY_ID] = ""  # type: ignore[valid-type]  # the same
    action: Text = ""
    after: After = ""
    limit: Limit = 50


class CaseQuery(_Asked):
    """Pages of cases."""

    after: After = ""
    limit: Limit = 50


class StatsQuery(_Asked):
    """What to count."""

    by: Literal[*BY] = "unit"  # type: ignore[valid-type]  # one place for each word
    since: Day = Field("", alias="from")
    until: Day = Field("", alias="to")


def _said(told: str) -> dict[str, Any]:
    return {
        "description": told,
        "content": {"application/problem+json": {"schema": shape(Problem).model_json_schema()}},
    }


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: _said("Not usable; says which field and what is allowed."),
    401: _said("The token is unknown, expired or revoked."),
    404: _said("There is no such thing."),
    503: _said("The index or the store does not answer; try again later."),
}
_bearer = HTTPBearer(auto_error=False, description="A token of `ingestd tokens create`.")


def add_resources(app: FastAPI, site: Site, tokens: Tokens, counted: Counted | None, importer: Importer | None) -> None:
    """Add ``/api/v1/…`` and ``/healthz``."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS, dependencies=[Depends(_whoever(tokens))])
    _add_lists(router, site)
    _add_things(router, site)
    if counted is not None:
        _add_stats(router, site, counted)
    if importer is not None:
        _add_imports(router, tokens, importer)
    app.include_router(router)

    @app.get("/healthz", responses={503: PROBLEMS[503]})
    def healthz(request: Request) -> dict[str, str]:
        """Whether the pages and the index answer, and what hinders messages. 503 when the index does not."""
        site.reads.summary()
        hindrance = request.app.state.hindrance()
        return {"pages": "answer", "index": "answers", "broker": hindrance or "answers"}


def _add_lists(router: APIRouter, site: Site) -> None:
    @router.get("/summary")
    def summary() -> dict[str, Any]:
        """Counts of clips and flags, and where the centre log stands."""
        return site.reads.summary().as_json()

    @router.get("/clips", response_model=page_of("clips", ClipRow))
    def clips(asked: Annotated[ClipQuery, Query()]) -> JSONResponse:
        """Clips, newest docking first; those of a time, the one that began last first."""
        page = site.reads.clips(clip_pages.wanted(_words(asked), site), asked.after or None, asked.limit)
        return JSONResponse({"clips": plain(page.rows), "next": page.next})

    @router.get("/actions", response_model=page_of("actions", ActionRow))
    def actions(asked: Annotated[ActionQuery, Query()]) -> JSONResponse:
        """Acts, latest start first."""
        page = site.reads.actions(action_pages.wanted(_words(asked), site), asked.after or None, asked.limit)
        return JSONResponse({"actions": plain(page.rows), "next": page.next})

    @router.get("/flags", response_model=page_of("flags", FlagRow))
    def flags(asked: Annotated[FlagQuery, Query()]) -> JSONResponse:
        """Flags, newest first; without ``state`` those that nobody and nothing has ended."""
        state = "" if asked.state == "all" else asked.state or "open"
        page = site.reads.flags(state, asked.rule, asked.action, asked.after or None, asked.limit)
        return JSONResponse({"flags": plain(page.rows), "next": page.next})

    @router.get("/cases", response_model=page_of("cases", CaseRow))
    def cases(asked: Annotated[CaseQuery, Query()]) -> JSONResponse:
        """Cases by number."""
        page = site.reads.cases(asked.after or None, asked.limit)
        return JSONResponse({"cases": plain(page.rows), "next": page.next})


def _add_things(router: APIRouter, site: Site) -> None:
    Id = Annotated[str, Path(max_length=1_000, pattern=_NO_NUL)]  # noqa: N806  # a type

    @router.get("/clips/{object_id}", response_model=shape(ClipDetail))
    def clip(request: Request, object_id: Id) -> JSONResponse:
        """One clip with everything known about it; asking for it is entered like looking at its page."""
        clip_pages.existing_clip(site, object_id)
        site.record_view(request, object_id, "detail")
        return JSONResponse(plain(clip_pages.existing_clip(site, object_id)))

    @router.get("/actions/{action_id:path}", response_model=shape(ActionDetail))
    def action(action_id: Id) -> JSONResponse:
        """One act with its coverage, links and flags."""
        found = site.reads.action(action_id)
        if found is None:
            raise PageError(404, phrase("There is no action %(id)s."), id=action_id)
        return JSONResponse(plain(found))

    @router.get("/flags/{flag_id:path}", response_model=shape(FlagRow))
    def flag(flag_id: Id) -> JSONResponse:
        """One flag with what people did about it."""
        found = site.reads.flag(flag_id)
        if found is None:
            raise PageError(404, phrase("There is no such page."))
        return JSONResponse(plain(found))


def _add_stats(router: APIRouter, site: Site, counted: Counted) -> None:
    @router.get("/stats")
    def stats(asked: Annotated[StatsQuery, Query()]) -> dict[str, Any]:
        """Figures as on the page of statistics."""
        words = _words(asked)
        bounds = time_of(words, "from", site.zone), time_of(words, "to", site.zone, end=True)
        return counted(one_of(words, "by", BY), bounds, int(site.now().timestamp() * 1000)).as_json()


def _add_imports(router: APIRouter, tokens: Tokens, importer: Importer) -> None:
    told = {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "required": True,
    }

    @router.post(
        "/imports",
        dependencies=[Security(_allowed(tokens, Scope.IMPORT))],
        openapi_extra={"requestBody": told},
        responses={
            403: _said("The token has not the scope for this."),
            413: _said(f"More than {MOST_BYTES} bytes."),
            422: {"model": dict[str, Any], "description": "Rows are not usable; nothing was imported."},
        },
    )
    async def imports(
        request: Request,
        name: Annotated[str, Query(min_length=5, max_length=200, pattern=r"^[^/\\\x00]+\.(csv|xlsx|json)$")],
        dry_run: Annotated[bool, Query(description="Say what would happen, change nothing.")] = False,  # noqa: FBT002  # a query parameter
        content_length: Annotated[int | None, Header(ge=0)] = None,
    ) -> JSONResponse:
        """Import cases, acts, officers, recorders, assignments: all of the file or nothing; again changes nothing."""
        if content_length is not None and content_length > MOST_BYTES:
            raise PageError(413, phrase("The file is larger than %(most)s bytes."), most=str(MOST_BYTES))
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                raise PageError(413, phrase("The file is larger than %(most)s bytes."), most=str(MOST_BYTES))
        read, changed = await run_in_threadpool(importer, bytes(data), name, dry_run)
        return JSONResponse(imported(read, changed, dry_run=dry_run), 422 if read.errors else 200)


def imported(read: Import, changed: Import, *, dry_run: bool) -> dict[str, Any]:
    """What an import did, with every row that was not usable: line, column, value, reason."""
    return {
        "ok": not read.errors,
        "dry_run": dry_run,
        "rows": read.rows,
        "read": {name: len(getattr(read, name)) for name in IMPORTED},
        "changed": {name: len(getattr(changed, name)) for name in IMPORTED},
        "errors": plain(read.errors),
        "warnings": plain(read.warnings),
    }


def _whoever(tokens: Tokens) -> Callable[[Request], None]:
    """Who asks: nobody in particular may read as he may read the pages; a token that is shown must hold."""

    def check(request: Request) -> None:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if shown.strip() and kind.lower() == "bearer":
            _known(tokens, request, shown.strip())

    return check


def _allowed(tokens: Tokens, scope: Scope) -> Callable[..., None]:
    """Only a token with this scope."""

    def check(request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> None:
        token = _known(tokens, request, shown.credentials if shown else "")
        if scope not in token.scopes:
            raise PageError(403, phrase("The token has not the scope %(scope)s."), scope=scope.value)

    return check


def _known(tokens: Tokens, request: Request, shown: str) -> Token:
    token = tokens.holds(shown)
    if token is None:
        raise PageError(401, phrase("A token is needed that is known, in force and not revoked."))
    request.state.visitor = f"token {token.name}"
    return token


def _words(asked: _Asked) -> Mapping[str, str]:
    """The filters as the pages read them."""
    told = asked.model_dump(by_alias=True, exclude={"after", "limit"})
    return {name: str(value) for name, value in told.items() if value}

"""What all page families share: the ports, the look, the language, and how an error is said."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from ingestd.rules import RULES_BY_ID, Policy, TypeName
from ingestd.rules.exemption import GROUNDS
from ingestd.web import assets, language, show, words
from ingestd.web.language import phrase
from ingestd.web.ports import Media, Reads, Viewed

THEMES: Final = {"auto": phrase("Auto"), "light": phrase("Light"), "dark": phrase("Dark")}
THEME_COOKIE: Final = "theme"
_LONGEST_NAME: Final = 200
_YEAR_S: Final = 365 * 24 * 3600


class PageError(Exception):
    """A request that gets a clear page instead of what it asked for.

    ``message`` is a catalogue phrase, its ``%(name)s`` filled from ``values``; the status is HTTP's.
    """

    def __init__(self, status: int, message: str, **values: str) -> None:
        super().__init__(message % values if values else message)
        self.status = status
        self.message = message
        self.values = values


@dataclass(frozen=True, slots=True)
class Site:
    """Ports and settings of one running set of pages."""

    reads: Reads
    media: Media
    zone: ZoneInfo
    types: Mapping[str, TypeName] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(tz=ZoneInfo("UTC"))
    has_audits: bool = False
    """Whether there is an audit page to lead to."""
    has_stats: bool = False
    has_retention: bool = False
    has_stations: bool = False
    policy: Policy = field(default_factory=Policy)
    """What the agency has settled: how long footage may be on its way, and when it is late."""
    viewed: Viewed = lambda _object_id, _what, _actor: None
    user_header: str = ""

    def record_view(self, request: Request, object_id: str, what: str) -> None:
        """Enter into the log who is about to see what, before a byte of it leaves. Raises what the log raises."""
        self.viewed(object_id, what, self.visitor(request))

    def visitor(self, request: Request) -> str:
        """Whose token asks; else the user whom the login in front of the pages names; else the address that asks."""
        if known := getattr(request.state, "visitor", ""):
            return str(known)
        named = _as_sent(request.headers.get(self.user_header, "")) if self.user_header else ""
        plain = "".join(char if char.isprintable() else "\ufffd" for char in named.strip())[:_LONGEST_NAME]
        return plain or f"address {request.client.host if request.client else 'unknown'}"

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """A page in the visitor's language and theme; both are remembered when the URL chose them."""
        tongue, theme = language.chosen(request), _theme(request)
        here = self.now().astimezone(self.zone)
        body = (
            _environment(tongue, self.zone)
            .get_template(template)
            .render(
                theme=theme,
                themes=THEMES,
                path=request.url.path,
                has_audits=self.has_audits,
                has_stats=self.has_stats,
                has_retention=self.has_retention,
                has_stations=self.has_stations,
                query=_kept(request),
                zone_name=f"{self.zone.key} (UTC{show.offset_text(here)})",
                made_at=show.local(int(here.timestamp() * 1000), self.zone),
                type_name=partial(self.type_name, tongue=tongue),
                **values,
            )
        )
        answer = HTMLResponse(body, status_code=status)
        if request.query_params.get("lang") in language.LANGUAGES:
            answer.set_cookie(language.COOKIE, tongue, max_age=_YEAR_S, samesite="strict")
        if request.query_params.get("theme") in THEMES:
            answer.set_cookie(THEME_COOKIE, theme, max_age=_YEAR_S, samesite="strict")
        return answer

    def type_name(self, type_id: str, tongue: str) -> str:
        """Name of an action type in the visitor's language; its identifier when the catalogue has no such type."""
        known = self.types.get(type_id)
        return known.name.in_language("en" if tongue == "en" else "zh") if known else type_id


def with_query(query: Iterable[tuple[str, str]], **changes: str | None) -> str:
    """A query string with some fields replaced, or removed when None; the rest keeps its order."""
    kept = [(name, value) for name, value in query if name not in changes]
    added = [(name, value) for name, value in changes.items() if value is not None]
    return "?" + urlencode(kept + added)


@cache
def _environment(tongue: str, zone: ZoneInfo) -> Environment:
    """Templates in one language. Everything is escaped; an unknown name is an error, not an empty string."""
    made = Environment(
        loader=PackageLoader("ingestd.web"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    catalogue = language.translations(tongue)
    made.install_gettext_callables(catalogue.gettext, catalogue.ngettext, newstyle=True)  # type: ignore[attr-defined]  # added by the i18n extension
    made.globals.update(
        tongue=tongue,
        tongues=language.LANGUAGES,
        asset=assets.address,
        words=words,
        rules=RULES_BY_ID,
        grounds=GROUNDS,
        with_query=with_query,
        speech="en" if tongue == "en" else "zh",
    )
    made.filters.update(
        local=partial(show.local, zone=zone),
        length=show.length,
        seconds=show.signed_seconds,
        size=show.size,
        percent=show.percent,
        degrees=show.degrees,
        as_json=show.as_json,
        said=lambda code, table=words.CODES: catalogue.gettext(table[code]) if code in table else code,
        said_word=lambda code, table: catalogue.gettext(table[code].text) if code in table else code,
        told=lambda flag: _sentence(flag, tongue),
        whoever=partial(_whoever, catalogue.gettext),
    )
    made.globals["until"] = partial(show.until, zone=zone)
    return made


def _whoever(translated: Callable[[str], str], actor: str) -> str:
    """Who looked, in the reader's language where nobody was named; the entry itself keeps its own words."""
    kind, _, what = actor.partition(" ")
    words = {"address": phrase("address %(what)s"), "token": phrase("token %(what)s")}
    return translated(words[kind]) % {"what": what} if kind in words and what else actor


def _sentence(flag: Any, tongue: str) -> str:
    """A flag's sentence in one language. A rule unknown here keeps the words it was set with."""
    rule = RULES_BY_ID.get(flag.rule)
    if rule is None or rule.version != flag.rule_version:
        return str(flag.detail)
    try:
        return rule.say(flag.inputs, "en" if tongue == "en" else "zh")
    except KeyError:
        return str(flag.detail)


def _theme(request: Request) -> str:
    for wish in (request.query_params.get("theme"), request.cookies.get(THEME_COOKIE)):
        if wish in THEMES:
            return str(wish)
    return "auto"


def _as_sent(value: str) -> str:
    """A header's text: UTF-8 where it is, as login servers send names (RFC 9110 §5.5 leaves it open); else Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _kept(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name not in {"lang", "theme"}]

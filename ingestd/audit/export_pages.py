"""The pages of a bundle that people read: README and certificate, in English and Chinese, from one set of facts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from custody.canonical import JsonObject

_PAGES: Final = ("README.zh-CN.txt", "README.en.txt", "certificate.zh-CN.html", "certificate.en.html")


def pages(facts: JsonObject, zone: str) -> dict[str, bytes]:
    """Each page by its name in the bundle. ``zone`` is that of the times shown; each time says its zone."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ingestd.audit"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["moment"] = lambda utc_ms: _moment(utc_ms, ZoneInfo(zone))
    environment.filters["length"] = _length
    environment.filters["plain"] = _plain
    return {name: environment.get_template(name).render(_told(facts)).encode() for name in _PAGES}


def day(utc_ms: int) -> str:
    """The UTC day, as BagIt wants it."""
    return f"{datetime.fromtimestamp(utc_ms / 1000, UTC):%Y-%m-%d}"


def _told(facts: JsonObject) -> Mapping[str, Any]:
    return dict(facts)


def _moment(utc_ms: int, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(utc_ms / 1000, zone)
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment:%Z} (UTC{moment:%z})"


def _length(duration_ms: int | None) -> str:
    """h:mm:ss; a dash where nobody could tell."""
    if duration_ms is None:
        return "–"
    seconds = duration_ms // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _plain(text: object) -> str:
    """What a recorder or a person wrote, without characters that are not seen."""
    return "".join(char if char.isprintable() else "\ufffd" for char in str(text))

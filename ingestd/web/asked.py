"""Filters in a query string: each reader raises ``PageError`` 400 naming the field and what is allowed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.web.language import phrase
from ingestd.web.site import PageError

LONGEST: Final = 200
"""Characters of a text filter; longer than any path worth typing."""
_DAY: Final = timedelta(days=1)


def one_of(asked: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words, or an empty string."""
    value = asked.get(name, "")
    if value and value not in allowed:
        raise _bad(name, " | ".join(allowed))
    return value


def text_of(asked: Mapping[str, str], name: str) -> str:
    """A text without blanks around it, or an empty string."""
    value = asked.get(name, "").strip()
    if len(value) > LONGEST:
        raise _bad(name, f"≤ {LONGEST}")
    return value


def time_of(asked: Mapping[str, str], name: str, zone: ZoneInfo, *, end: bool = False) -> int | None:
    """A moment in ms, by ``zone`` where it states no offset; a day alone is its beginning or, with ``end``, its end."""
    value = asked.get(name, "").strip()
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        whole_day = end and len(value) == len("2026-11-22")
        utc = (moment + _DAY if whole_day else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(name, "2026-11-22 | 2026-11-22T08:00") from None
    return int(utc.timestamp() * 1000)


def _bad(name: str, allowed: str) -> PageError:
    return PageError(
        400, phrase("The filter “%(name)s” is not usable. Allowed: %(allowed)s"), name=name, allowed=allowed
    )

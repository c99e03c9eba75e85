"""Figures for people: times with their zone, lengths, sizes, shares. Pure; words are left to the templates."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

_PPM_OF_PERCENT: Final = 10_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def moment(utc_ms: int) -> datetime:
    """The UTC time ``utc_ms``; a value no calendar holds becomes the nearest one it does."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=utc_ms)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) - timedelta(days=2)


def local(utc_ms: int | None, zone: ZoneInfo) -> Markup:
    """A time in the site's zone with its offset, and in UTC for machines; a dash when unknown."""
    if utc_ms is None:
        return Markup("<span class=unknown>—</span>")
    utc = moment(utc_ms)
    here = utc.astimezone(zone)
    # ``format`` of Markup escapes what it fills in.
    return Markup('<time datetime="{}">{} <small>{}</small></time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%S}Z", f"{here:%Y-%m-%d %H:%M:%S}", offset_text(here)
    )


def offset_text(here: datetime) -> str:
    """Offset from UTC, such as ``+08:00``."""
    text = f"{here:%z}"
    return f"{text[:3]}:{text[3:5]}"


def until(start_ms: int, end_ms: int, zone: ZoneInfo) -> str:
    """The end of a span whose start is shown before it: the date only if it is another day."""
    start, end = moment(start_ms).astimezone(zone), moment(end_ms).astimezone(zone)
    return f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"


def length(length_ms: int) -> str:
    """A length as ``h:mm:ss`` or ``m:ss``; below a minute with tenths of a second."""
    seconds, millis = divmod(abs(length_ms), 1000)
    if seconds < _MINUTE_S:
        return f"{seconds}.{millis // 100} s"
    hours, rest = divmod(seconds, _HOUR_S)
    minutes, seconds = divmod(rest, _MINUTE_S)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def signed_seconds(offset_ms: int) -> str:
    """A clock offset with its sign, in seconds."""
    return f"{offset_ms / 1000:+.1f} s"


def size(size_bytes: int) -> str:
    """A byte count in powers of 1000."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004  # SI prefix
            return f"{value:.0f} {unit}" if unit in {"B", "kB"} else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def percent(ppm: int | None) -> str:
    """Parts per million as a percentage, rounded down so that 100 % means all of it."""
    if ppm is None:
        return "—"
    whole, rest = divmod(ppm, _PPM_OF_PERCENT)
    return f"{whole}.{rest // 1000} %" if rest else f"{whole} %"


def degrees(value_e7: int) -> str:
    """Degrees from their ten-millionths."""
    return f"{value_e7 / 10_000_000:.6f}°"


def as_json(value: Any) -> str:
    """A value as it stands in a signed record."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

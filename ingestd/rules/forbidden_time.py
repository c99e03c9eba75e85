"""Which part of an act lies at night or on a statutory holiday."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.model import Interval
from ingestd.rules.rule import Policy
from ingestd.rules.wording import Both

MOST_DAYS: Final = 60
"""Days of an act that are looked at; one that runs longer has had many nights by then."""


@dataclass(frozen=True, slots=True)
class ForbiddenTime:
    """The first forbidden moment of an act, and why it is forbidden."""

    since_ms: int
    why: Both


def forbidden_time(span: Interval, policy: Policy) -> ForbiddenTime | None:
    """The first moment of ``span`` that is night or statutory holiday; None when there is none.

    A holiday that the calendar only may know later counts once it is known (see ``calendar_missing``).
    """
    first, last = policy.day(span.start_ms), policy.day(span.end_ms)
    most = min((last - first).days + 1, MOST_DAYS)
    days = (first + timedelta(days=number) for number in range(-1, most))
    found = (part for day in days for part in _of_day(day, span, policy))
    return min(found, key=lambda part: part.since_ms, default=None)


def _of_day(day: date, span: Interval, policy: Policy) -> list[ForbiddenTime]:
    """What of the day, and of the night that begins on it, ``span`` touches."""
    found = []
    known, zone = policy.calendar.of(day), policy.zone
    if known.holiday and (since_ms := _touched(span, _at(day, 0, zone), _at(day, 24, zone))) is not None:
        found.append(ForbiddenTime(since_ms, Both(f"法定节假日（{known.festival}）", "a statutory holiday")))
    dusk, dawn = _at(day, policy.night_from_hour, zone), _at(day, 24 + policy.night_until_hour, zone)
    if (since_ms := _touched(span, dusk, dawn)) is not None:
        hours = f"{policy.night_from_hour:02}:00–{policy.night_until_hour:02}:00"
        found.append(ForbiddenTime(since_ms, Both(f"夜间（{hours}）", f"night ({hours})")))
    return found


def _touched(span: Interval, start_ms: int, end_ms: int) -> int | None:
    """Where ``span`` first lies in [start, end); a momentary act is a point."""
    since_ms = max(span.start_ms, start_ms)
    inside = since_ms < end_ms and (since_ms < span.end_ms or span.start_ms == span.end_ms == since_ms)
    return since_ms if inside else None


@lru_cache(maxsize=4096)
def _at(day: date, hour: int, zone: ZoneInfo) -> int:
    whole, rest = divmod(hour, 24)
    moment = datetime.combine(day + timedelta(days=whole), time(rest), zone)
    return round(moment.astimezone(UTC).timestamp()) * 1000

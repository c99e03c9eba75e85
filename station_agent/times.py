"""When a recording began: every reading kept as found, one of them chosen by rule. Pure.

Rules, in order:

1. A time from GPS with a fix decides: it is the only clock that nobody sets by hand.
   A start that a person stated beside a handed-in file comes next: whoever hands footage in answers for it.
2. A time in the file name is the recorder's local time, in the zone the station is configured for.
3. A time in a still's EXIF data is local, unless it states its offset.
4. A time in the container is UTC by its specification (ISO/IEC 14496-12 §8.2.2) and local time by the habit of many
   recorders. It is believed as UTC when the file name or the end of the recording (mtime) agrees, believed as local
   when they differ by exactly the zone's offset, and carries the whole offset as uncertainty when nothing can tell.
5. The modification time is the end of the recording: start = mtime - duration.

Times before 2000, the first day of years in which clocks begin, times after docking and years that are no years are
kept, marked, and never chosen. Nothing here corrects for the recorder's clock offset: the centre does.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

from custody.canonical import JsonObject

Source = Literal["gps", "sidecar", "file-name", "exif", "container", "mtime"]
ORDER: Final[tuple[Source, ...]] = ("gps", "sidecar", "file-name", "exif", "container", "mtime")

FIRST_YEAR: Final = 2000
"""No recorder of this kind is older; 1904, 1970 and 1980 are epochs of MP4, Unix and FAT."""
FACTORY_YEARS: Final = frozenset({2000, 2001, 2005})
"""A clock that was never set runs from 1 January of such a year (seen in real files: 2001-01-01 00:36)."""
FUTURE_SLACK_MS: Final = 24 * 3_600_000
"""A recorder's clock may be ahead of ours by hours; by more than a day it was not set."""
AGREEMENT_MS: Final = 120_000
"""Two honest clocks of one recorder differ by less: writing the file, and two-second steps of FAT."""

MAX_TIMES: Final = 32
"""Readings that stand in a record. A recorder states a handful; a made-up file has a time in each of 700 tracks."""
MAX_RAW: Final = 80
"""Characters kept of a stated time; nothing longer is one."""

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
GPS_UNCERTAINTY_MS: Final = 2_000
"""Receivers report up to a second late, and a sample covers a second."""
STILL_GPS_UNCERTAINTY_MS: Final = 60_000
"""A still carries the time of the last fix, not of the picture."""
MTIME_UNCERTAINTY_MS: Final = 60_000
"""Closing the file, FAT's two seconds, buffers written late."""
UNKNOWN_LENGTH_MS: Final = 2 * 3_600_000
"""The longest split a recorder is known to make: how far mtime may be after the start when the length is unknown."""

_WRITTEN: Final = re.compile(
    r"(?P<year>\d{4})[:/-]?(?P<month>\d\d)[:/-]?(?P<day>\d\d)[ T_]?"
    r"(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?"
    r" ?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_PART: Final = re.compile(r"(?!0000)\d{4}(?:[:-]\d\d(?:[:-]\d\d)?)?|\d\d:\d\d(?::\d\d)?")
PARTIAL: Final = "partial"
_CALENDAR_MS: Final = (-62_104_000_000_000, 253_370_000_000_000)
"""Years 2 to 9998: a moment in them has a date in every zone; outside of them there is no date to speak of."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement of a time. ``zone`` is stated (``Z``, ``+08:00``) or assumed (``UTC``, a zone name)."""

    source: Source
    raw: str
    zone: str
    utc_ms: int | None
    uncertainty_ms: int = SECOND_MS


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the choice depends on besides the readings."""

    zone: ZoneInfo
    docked_ms: int
    duration_ms: int | None
    """0 for what has no length (stills), None when the length is not known."""
    clock_offset_ms: int | None = None
    """Recorder clock minus station clock, when it was measured."""


@dataclass(frozen=True, slots=True)
class Choice:
    """``start`` and ``times`` as they stand in the ``media`` block."""

    start: JsonObject | None
    times: tuple[JsonObject, ...]
    problems: tuple[str, ...]
    left_out: int = 0
    """How many readings are not among ``times``."""


def read(source: Source, raw: str, assumed: tzinfo, uncertainty_ms: int = SECOND_MS) -> Reading:
    """A reading from text; a zone in the text outranks ``assumed``. What is no date and time has no ``utc_ms``."""
    match = _WRITTEN.fullmatch(raw.strip())
    if match is None:
        return Reading(source, raw, str(assumed), None, uncertainty_ms)
    zone, name = _zone(match["zone"], assumed)
    uncertainty_ms = uncertainty_ms if match["second"] else max(uncertainty_ms, MINUTE_MS)
    return Reading(source, raw, name, _utc_ms(match, zone), uncertainty_ms)


def from_mtime(mtime_ms: int, duration_ms: int | None) -> Reading:
    """The start that a modification time means: the file was closed when the recording ended."""
    raw = str(mtime_ms)
    if duration_ms is None:
        return Reading("mtime", raw, "UTC", mtime_ms, UNKNOWN_LENGTH_MS)
    return Reading("mtime", raw, "UTC", mtime_ms - duration_ms, MTIME_UNCERTAINTY_MS)


def choose(readings: Sequence[Reading], around: Circumstances) -> Choice:
    """The start by the rules above, every reading with a note on what became of it, and the problems found."""
    faults = {id(reading): fault(reading, around) for reading in readings}
    sound = [reading for reading in readings if not faults[id(reading)]]
    chosen = _first(sound)
    notes = {id(r): faults[id(r)] or _note(r, chosen, sound, around) for r in readings}
    start = _start(chosen, notes[id(chosen)], around) if chosen else None
    kept = _kept(readings, chosen)
    times = tuple(_entry(r, notes[id(r)], around) for r in kept)
    problems = tuple(_problems(readings, faults, notes, chosen))
    return Choice(start, times, problems, len(readings) - len(kept))


def fault(reading: Reading, around: Circumstances) -> str:
    """Why it cannot be a start: ``partial``, ``no-date``, ``before-2000``, ``factory-default``, ``future``; or nothing.

    ``partial`` is a year, a date or a time of day alone, which is honest and no fault of a clock.
    """
    if reading.utc_ms is None:
        return PARTIAL if _PART.fullmatch(reading.raw.strip()) else "no-date"
    local = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=reading.utc_ms)
    near_local = [local, local + timedelta(milliseconds=offset_ms(around.zone, reading.utc_ms))]
    if local.year < FIRST_YEAR:
        return "before-2000"
    if any(t.year in FACTORY_YEARS and (t.month, t.day) == (1, 1) for t in near_local):
        return "factory-default"
    ahead_ms = 0 if reading.source == "gps" else around.clock_offset_ms or 0
    return "future" if reading.utc_ms - ahead_ms > around.docked_ms + FUTURE_SLACK_MS else ""


def offset_ms(zone: ZoneInfo, utc_ms: int) -> int:
    """Local time minus UTC at that moment, in milliseconds."""
    offset = (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=utc_ms)).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)


def _zone(stated: str | None, assumed: tzinfo) -> tuple[tzinfo, str]:
    if stated is None:
        return assumed, str(assumed)
    if stated == "Z":
        return UTC, "Z"
    hours, minutes = int(stated[1:3]), int(stated[-2:])
    sign = -1 if stated[0] == "-" else 1
    if hours > 14 or minutes > 59:  # noqa: PLR2004  # no zone on Earth is further away
        return assumed, str(assumed)
    return timezone(sign * timedelta(hours=hours, minutes=minutes)), stated


def _utc_ms(match: re.Match[str], zone: tzinfo) -> int | None:
    fields = [int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    try:
        local = datetime(*fields, tzinfo=zone)  # type: ignore[arg-type,misc]  # six integers
        since = local - datetime.fromtimestamp(0, UTC)
    except (ValueError, OverflowError):
        return None
    if not _CALENDAR_MS[0] <= since.total_seconds() * 1000 <= _CALENDAR_MS[1]:
        return None
    return int(since.total_seconds()) * 1000 + int(((match["part"] or "") + "000")[:3])


def _first(sound: Iterable[Reading]) -> Reading | None:
    """The best reading: by order of source; among containers a stated zone comes before an assumed one."""

    def rank(reading: Reading) -> tuple[int, bool]:
        is_assumed = reading.source == "container" and not reading.zone.startswith(("+", "-"))
        return ORDER.index(reading.source), is_assumed

    return min(sound, key=rank, default=None)


def _kept(readings: Sequence[Reading], chosen: Reading | None) -> list[Reading]:
    """At most ``MAX_TIMES`` readings in their order: the chosen one and the first of each source before all others."""
    first: dict[str, int] = {}
    for place, reading in enumerate(readings):
        first.setdefault(reading.source, place)
    must = {*first.values(), *(place for place, reading in enumerate(readings) if reading is chosen)}
    places = sorted(range(len(readings)), key=lambda place: (place not in must, place))[:MAX_TIMES]
    return [readings[place] for place in sorted(places)]


def _note(reading: Reading, chosen: Reading | None, sound: Sequence[Reading], around: Circumstances) -> str:
    """What became of a sound reading, as one word: itself ``chosen``, or how it stands to its witness."""
    witness = chosen if chosen is not reading else _witness(reading, sound)
    if not _is_container_utc(reading):
        return "chosen" if chosen is reading else _relation(reading, chosen, around)
    if witness is None:
        return "unconfirmed"
    relation = _relation(reading, witness, around)
    return "unconfirmed" if chosen is reading and relation == "differs" else relation


def _is_container_utc(reading: Reading) -> bool:
    """Whether it is UTC only because the specification says so: rule 4."""
    return reading.source == "container" and reading.zone in {"UTC", "Z"}


def _witness(container: Reading, sound: Sequence[Reading]) -> Reading | None:
    """Whom a container time without GPS, file name or EXIF beside it can be compared with."""
    return next((r for r in sound if r is not container and r.source == "mtime"), None)


def _relation(reading: Reading, other: Reading | None, around: Circumstances) -> str:
    """``agrees``, ``local-as-utc`` or ``differs``. A container may be stamped at either end of the recording."""
    if other is None or reading.utc_ms is None or other.utc_ms is None:
        return "differs"
    ahead_ms, length_ms = reading.utc_ms - other.utc_ms, around.duration_ms or 0
    slack_ms = max(AGREEMENT_MS, reading.uncertainty_ms, other.uncertainty_ms)
    if -slack_ms <= ahead_ms <= length_ms + slack_ms:
        return "agrees"
    shifted_ms = ahead_ms - offset_ms(around.zone, reading.utc_ms)
    is_shifted = _is_container_utc(reading) and -slack_ms <= shifted_ms <= length_ms + slack_ms
    return "local-as-utc" if is_shifted else "differs"


def _start(chosen: Reading, note: str, around: Circumstances) -> JsonObject:
    """The ``start`` block. A container time that is really local is moved; one that nothing confirms is widened."""
    utc_ms, uncertainty_ms = chosen.utc_ms or 0, chosen.uncertainty_ms
    if note == "local-as-utc":
        utc_ms -= offset_ms(around.zone, utc_ms)
    if note == "unconfirmed":
        uncertainty_ms += abs(offset_ms(around.zone, utc_ms))
    clock = _CLOCKS.get(chosen.source, "device")
    return {"utc_ms": utc_ms, "source": chosen.source, "clock": clock, "uncertainty_ms": uncertainty_ms}


_CLOCKS: Final = {"gps": "gps", "sidecar": "stated"}
"""Whose clock a source tells, where it is not the recorder's own."""


def _entry(reading: Reading, note: str, around: Circumstances) -> JsonObject:
    utc_ms, zone = reading.utc_ms, reading.zone
    if note == "local-as-utc" and utc_ms is not None:
        utc_ms, zone = utc_ms - offset_ms(around.zone, utc_ms), str(around.zone)
    return {"source": reading.source, "raw": reading.raw[:MAX_RAW], "zone": zone, "utc_ms": utc_ms, "note": note}


def _problems(
    readings: Sequence[Reading], faults: dict[int, str], notes: dict[int, str], chosen: Reading | None
) -> Iterable[str]:
    if any(word not in {"", PARTIAL} for word in faults.values()):
        yield "time-implausible"
    if chosen is None:
        yield "time-unknown"
        return
    if notes[id(chosen)] == "unconfirmed":
        yield "time-unconfirmed"
    if "local-as-utc" in notes.values():
        yield "time-local-as-utc"
    others = [r for r in readings if r.source not in {chosen.source, "mtime"}]
    if any(notes[id(r)] == "differs" for r in others):
        yield "time-conflict"

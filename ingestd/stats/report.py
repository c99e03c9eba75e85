"""The figures as a table: which lines, in which order, under which names."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from ingestd.index.acts import NONE
from ingestd.index.statistics import ActFigures, ClipFigures, RecorderFigures, Span
from ingestd.rules.wording import Both

BY: Final = ("unit", "officer", "type", "period")
"""What the figures may be broken down by; a period is a calendar month."""
MOST_MONTHS: Final = 120
COLUMNS: Final = {
    "must": Both("应当全程录像的行为", "acts to be recorded in full"),
    "full": Both("全程有录像", "in full"),
    "partial": Both("有缺口", "with gaps"),
    "missing": Both("无录像", "without video"),
    "pending": Both("宽限期内", "within grace"),
    "explained": Both("已说明", "explained"),
    "linked": Both("已关联片段", "linked clips"),
    "unlinked": Both("未关联片段", "unlinked clips"),
    "oldest_unlinked_days": Both("最早未关联（天）", "oldest unlinked, days"),
    "late": Both("逾时上交片段", "clips handed in late"),
}
"""Figures of a line in their order."""
UNKNOWN: Final = Both("（未登记）", "(not registered)")
TOTAL: Final = Both("合计", "Total")


@dataclass(frozen=True, slots=True)
class Line:
    """One unit, officer, type or month. ``clips`` is None where clips are not broken down so."""

    key: str
    label: Both
    acts: ActFigures
    clips: ClipFigures | None

    def figures(self, now_ms: int) -> dict[str, int | None]:
        """By the names of ``COLUMNS``."""
        acts, clips = self.acts, self.clips
        oldest_ms = clips.oldest_unlinked_ms if clips else None
        return {
            **{name: getattr(acts, name) for name in ("must", "full", "partial", "missing", "pending", "explained")},
            "linked": clips.linked if clips else None,
            "unlinked": clips.unlinked if clips else None,
            "oldest_unlinked_days": None if oldest_ms is None else max(0, now_ms - oldest_ms) // _DAY_MS,
            "late": clips.late if clips else None,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Lines by their keys, the total over everything (no sum: an act of two officers is one act), and recorders."""

    by: str
    from_ms: int | None
    until_ms: int | None
    made_ms: int
    lines: tuple[Line, ...]
    total: Line
    recorders: tuple[RecorderFigures, ...]

    def as_json(self) -> dict[str, Any]:
        """The object of ``ingestd stats --json``."""
        return {
            "by": self.by,
            "from_ms": self.from_ms,
            "until_ms": self.until_ms,
            "made_ms": self.made_ms,
            "lines": [{"key": one.key, "name": one.label.zh, **one.figures(self.made_ms)} for one in self.lines],
            "total": self.total.figures(self.made_ms),
            "recorders": [
                {
                    "recorder": one.recorder,
                    "unit": one.unit,
                    "clips": one.clips,
                    "failed": one.failed,
                    "last_ms": one.last_ms,
                    "clock_wrong": one.clock_wrong,
                }
                for one in self.recorders
            ],
        }


def months(from_ms: int, until_ms: int, zone: ZoneInfo) -> list[Span]:
    """The calendar months that [from, until) meets, at most the last ``MOST_MONTHS``; their moments by ``zone``."""
    day, found = _day(from_ms, zone).replace(day=1), []
    while (start := _moment(day, zone)) < until_ms:
        after = (day + timedelta(days=31)).replace(day=1)
        found.append((f"{day:%Y-%m}", start, _moment(after, zone)))
        day = after
    return found[-MOST_MONTHS:]


def label(key: str, name: str = "") -> Both:
    """A line's name: the key and what it is called, or that none is registered."""
    if key == NONE:
        return UNKNOWN
    told = f"{name} {key}".strip()
    return Both(told, told)


_DAY_MS: Final = 24 * 3_600_000


def _day(at_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).date()


def _moment(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)

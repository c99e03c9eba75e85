"""Working days of China (工作日), with the notice they rest on; a year without a notice is never guessed at in silence.

Three sources, the later over the earlier: the week itself and the holidays whose date the statute fixes (全国年节及
纪念日放假办法, State Council decree 795 of 2024: 1 January, 1–2 May, 1–3 October); the State Council's yearly notice
(国务院办公厅关于部分节假日安排的通知) as the package chinesecalendar holds it; and the agency's own file
``YEAR.toml``, which may also stand in for a notice that the package does not know yet.

A weekend is a rest day (休息日) and no statutory holiday (法定节假日); the days that the notice names for a festival
are taken as its holiday, those swapped with a weekend included.

Periods in working days do not count the day on which they begin (行政处罚法 第八十五条 says which periods these are;
that the first day does not count follows 行政诉讼法 and 民法典 第二百零一条).
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

import chinese_calendar
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ingestd.errors import ConfigError

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
_DECEMBER: Final = 12
_NEW_YEARS_SWAPS: Final = 28
"""From this day of December on, the notice of the following year has moved days: 29 December 2018 was worked."""
_FIXED: Final = {
    (1, 1): "元旦",
    (5, 1): "劳动节",
    (5, 2): "劳动节",
    (10, 1): "国庆节",
    (10, 2): "国庆节",
    (10, 3): "国庆节",
}
_FIXED_SINCE: Final = 2025
_FESTIVALS: Final = {one.value: one.chinese for one in chinese_calendar.Holiday}
_NOTICED: Final = range(
    min(chinese_calendar.holidays).year,
    max(chinese_calendar.holidays).year + 1,
)
MOST_DAYS: Final = 3_660
"""Longest period that is counted, in working days."""


class Source(StrEnum):
    """Why a day is worked or not."""

    NOTICE = "notice"
    """The State Council's notice of the year."""
    AGENCY = "agency-file"
    """The agency's file for the year."""
    STATUTE = "statute"
    """A holiday whose date the statute fixes."""
    WEEK = "week"
    """A plain weekday or weekend of a year whose notice is known and does not name the day."""
    PROVISIONAL = "provisional"
    """The week alone (暂定): no notice is known that could say otherwise (日历未发布)."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is known of one day. ``festival`` is the Chinese name of the holiday it belongs to or is swapped for."""

    day: date
    working: bool
    holiday: bool
    """Belongs to a statutory holiday (法定节假日); a plain weekend does not."""
    festival: str
    source: Source

    @property
    def provisional(self) -> bool:
        """A notice that is not published yet could say otherwise."""
        return self.source is Source.PROVISIONAL

    @property
    def remarkable(self) -> bool:
        """A weekday that is not worked, or a weekend day that is."""
        return self.working is (self.day.weekday() >= _SATURDAY)


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no, and whether a notice that is not published yet could change it."""

    yes: bool
    provisional: bool

    def __bool__(self) -> bool:
        return self.yes


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day of a period; ``provisional`` (暂定) when any day that was counted is."""

    day: date
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class AgencyYear:
    """The agency's file for one year: days off by name, days worked, and the notice it rests on (empty: none)."""

    year: int
    notice: str = ""
    off: Mapping[date, tuple[str, bool]] = field(default_factory=dict)
    """Name of the day off, and whether it is a statutory holiday."""
    worked: Mapping[date, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Answers by day. Pure: reads no clock and no file."""

    agency: Mapping[int, AgencyYear] = field(default_factory=dict)
    _known: dict[date, Day] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Days that were asked for: a sweep asks for the same few hundred again and again."""

    def is_published(self, year: int) -> bool:
        """Whether a notice for ``year`` is known, from the package or from the agency's file."""
        return year in _NOTICED or bool(year in self.agency and self.agency[year].notice)

    def of(self, day: date) -> Day:
        """All that is known of ``day``."""
        known = self._known.get(day)
        if known is None:
            known = self._by_agency(day) or self._by_notice(day) or self._by_statute(day)
            self._known[day] = known
        return known

    def is_working_day(self, day: date) -> Answer:
        """Whether ``day`` is a working day."""
        known = self.of(day)
        return Answer(known.working, known.provisional)

    def is_holiday(self, day: date) -> Answer:
        """Whether ``day`` belongs to a statutory holiday (法定节假日); a weekend alone does not."""
        known = self.of(day)
        return Answer(known.holiday, known.provisional)

    def working_day_after(self, start: date, count: int) -> Deadline:
        """The ``count``-th working day after ``start``, which itself does not count. Raises ``ValueError``."""
        if not 1 <= count <= MOST_DAYS:
            raise ValueError(f"a period of 1 to {MOST_DAYS} working days, not {count}")
        last, provisional = start, False
        while count:
            last += _DAY
            known = self.of(last)
            provisional |= known.provisional
            count -= known.working
        return Deadline(last, provisional)

    def year(self, year: int) -> Iterator[Day]:
        """Every weekday of ``year`` that is not worked and every weekend day that is, in order."""
        day = date(year, 1, 1)
        for _ in range(366 if date(year, 12, 31).timetuple().tm_yday == 366 else 365):  # noqa: PLR2004  # days of a year
            known = self.of(day)
            if known.remarkable:
                yield known
            day += _DAY

    def _by_agency(self, day: date) -> Day | None:
        mine = self.agency.get(day.year)
        if mine is None:
            return None
        if day in mine.off:
            name, statutory = mine.off[day]
            return Day(day, working=False, holiday=statutory, festival=name, source=Source.AGENCY)
        if day in mine.worked:
            return Day(day, working=True, holiday=False, festival=mine.worked[day], source=Source.AGENCY)
        if mine.notice and day.year not in _NOTICED:
            return self._by_the_week(day, Source.AGENCY)
        return None

    def _by_notice(self, day: date) -> Day | None:
        if day.year not in _NOTICED:
            return None
        worked, off = chinese_calendar.workdays.get(day), chinese_calendar.holidays.get(day)
        if worked is None and off is None:
            return self._by_the_week(day, Source.WEEK)
        festival = _FESTIVALS[worked or off]
        return Day(day, working=off is None, holiday=off is not None, festival=festival, source=Source.NOTICE)

    def _by_statute(self, day: date) -> Day:
        festival = _FIXED.get((day.month, day.day), "") if day.year >= _FIXED_SINCE else ""
        if festival:
            return Day(day, working=False, holiday=True, festival=festival, source=Source.STATUTE)
        return self._by_the_week(day, Source.PROVISIONAL)

    def _by_the_week(self, day: date, source: Source) -> Day:
        known = Source.PROVISIONAL if self._is_open(day) else source
        return Day(day, working=day.weekday() < _SATURDAY, holiday=False, festival="", source=known)

    def _is_open(self, day: date) -> bool:
        """The last days of a year are settled by the next year's notice, which swaps days for New Year's Day."""
        at_the_turn = day.month == _DECEMBER and day.day >= _NEW_YEARS_SWAPS
        return at_the_turn and not self.is_published(day.year + 1)


def load(folder: Path | None) -> Calendar:
    """The calendar with every ``YEAR.toml`` of ``folder``. Raises ``ConfigError`` naming file, key and what is allowed.

    Without a folder, the published notices alone.
    """
    if folder is None:
        return Calendar()
    if not folder.is_dir():
        raise ConfigError(f"{folder}: calendar.folder: no such folder; name the one that holds YEAR.toml")
    years = [parse(path.read_bytes(), path) for path in sorted(folder.glob("*.toml"))]
    return Calendar({one.year: one for one in years})


def parse(data: bytes, path: Path) -> AgencyYear:
    """One year from the bytes of ``path``. Raises ``ConfigError``."""
    try:
        document = _Document.model_validate(tomllib.loads(data.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file in UTF-8: {error}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in problem["loc"]) or "file"
        raise ConfigError(f"{path}: {key}: {problem['msg'].removeprefix('Value error, ')}") from error
    if path.stem != str(document.year):
        raise ConfigError(f"{path}: year: is {document.year}; the file must be called {document.year}.toml")
    off = {day: (one.name, one.statutory) for one in document.off for day in one.days()}
    worked = {day: one.name for one in document.off for day in one.worked}
    both = sorted(off.keys() & worked.keys())
    if both:
        raise ConfigError(f"{path}: off: {both[0]} is both off and worked; a day is one of the two")
    strays = sorted(day for day in (*off, *worked) if day.year != document.year)
    if strays:
        raise ConfigError(f"{path}: off: {strays[0]} is not in {document.year}; put it into {strays[0].year}.toml")
    return AgencyYear(document.year, document.notice, off, worked)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Off(_Strict):
    """Days off in a row, and the weekend days worked for them."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    first: date
    last: date
    statutory: bool = True
    worked: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if not 0 <= (self.last - self.first).days <= 31:  # noqa: PLR2004  # no holiday lasts longer than a month
            raise ValueError("last: not before first, and at most a month after it")
        return self

    def days(self) -> list[date]:
        """Every day off."""
        return [self.first + number * _DAY for number in range((self.last - self.first).days + 1)]


class _Document(_Strict):
    year: Annotated[int, Field(ge=2000, le=2200)]
    notice: Annotated[str, StringConstraints(max_length=100)] = ""
    off: tuple[_Off, ...] = ()

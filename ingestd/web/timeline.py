"""Geometry of an action's coverage timeline, in per mille of its width. Pure: the same picture on screen and in print.

The picture shows the expected window, one lane for each officer or recorder, what is recorded, how unsure the edges
are, and every gap with its length.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.index.queries import ActionDetail, ClipRow
from ingestd.model import Interval
from ingestd.web.show import length, moment

WIDTH: Final = 1000.0
_SIDE_SHARE: Final = 10
"""A tenth of the action is shown before and after it."""
_LEAST_SIDE_MS: Final = 60_000
_MOST_TICKS: Final = 9
_STEPS_S: Final = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_MINUTE_S: Final = 60
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the picture from ``x``, ``width`` wide."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One clip: the part that is certain, and its two unsure edges."""

    object_id: str
    name: str
    whole: Span
    edges: tuple[Span, ...]
    style: str
    """``counted``, ``linked`` (but not usable as coverage) or ``suggested``."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What one officer or recorder recorded."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class GapMark:
    """A gap as it is drawn, with its length for people."""

    span: Span
    length: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled moment of the axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole picture."""

    expected: Span
    lanes: tuple[Lane, ...]
    gaps: tuple[GapMark, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """From UTC milliseconds to per mille of the width; what lies outside is cut off at the edge."""

    window: Interval

    def x(self, at_ms: int) -> float:
        """Place of a moment."""
        inside = min(max(at_ms, self.window.start_ms), self.window.end_ms) - self.window.start_ms
        return round(inside * WIDTH / max(1, self.window.length_ms), 2)

    def span(self, start_ms: int, end_ms: int) -> Span:
        """Place of an interval."""
        left, right = self.x(start_ms), self.x(end_ms)
        return Span(left, round(max(0.0, right - left), 2))


def timeline(detail: ActionDetail, zone: ZoneInfo) -> Timeline:
    """The picture of one action; moments are labelled in ``zone``."""
    scale = Scale(shown_window(detail.action.interval))
    coverage = detail.coverage
    return Timeline(
        expected=scale.span(detail.action.interval.start_ms, detail.action.interval.end_ms),
        lanes=_lanes(detail, scale),
        gaps=tuple(
            GapMark(scale.span(gap.interval.start_ms, gap.interval.end_ms), length(gap.interval.length_ms), gap.reason)
            for gap in (coverage.gaps if coverage else ())
        ),
        ticks=ticks(scale, zone),
    )


def shown_window(expected: Interval) -> Interval:
    """The expected window with a margin on both sides."""
    side_ms = max(_LEAST_SIDE_MS, expected.length_ms // _SIDE_SHARE)
    return Interval(expected.start_ms - side_ms, expected.end_ms + side_ms)


def ticks(scale: Scale, zone: ZoneInfo) -> tuple[Tick, ...]:
    """Round moments of the zone's own clock, at most ``_MOST_TICKS`` of them."""
    window = scale.window
    step_s = next((s for s in _STEPS_S if window.length_ms <= s * 1000 * _MOST_TICKS), None)
    if step_s is None:
        step_s = _DAY_S * -(-window.length_ms // (_DAY_S * 1000 * _MOST_TICKS))
    offset_ms = _offset_ms(window.start_ms, zone)
    step_ms = step_s * 1000
    first = -(-(window.start_ms + offset_ms) // step_ms) * step_ms - offset_ms
    return tuple(Tick(scale.x(at), _label(at, step_s, zone)) for at in range(first, window.end_ms + 1, step_ms))


def _lanes(detail: ActionDetail, scale: Scale) -> tuple[Lane, ...]:
    """One lane for each officer of the action, filmed or not, then one for each other wearer or recorder."""
    linked = {link.object_id for link in detail.links}
    by_wearer: dict[str, list[ClipRow]] = {officer: [] for officer in detail.action.officers}
    for clip in detail.clips.values():
        by_wearer.setdefault(clip.officer or clip.recorder, []).append(clip)
    counted = frozenset(detail.coverage.clips if detail.coverage else ())
    return tuple(
        Lane(_wearer(wearer, clips, detail.officer_names), tuple(_bars(clips, scale, linked, counted)))
        for wearer, clips in by_wearer.items()
    )


def _wearer(wearer: str, clips: Sequence[ClipRow], names: Mapping[str, str]) -> str:
    known = names.get(wearer) or next((clip.officer_name for clip in clips if clip.officer_name), "")
    return f"{known} {wearer}".strip()


def _bars(clips: Iterable[ClipRow], scale: Scale, linked: set[str], counted: frozenset[str]) -> Iterable[Bar]:
    for clip in clips:
        if clip.start_ms is None or clip.end_ms is None or clip.end_ms <= scale.window.start_ms:
            continue
        if clip.start_ms >= scale.window.end_ms:
            continue
        style = "counted" if clip.object_id in counted else "linked" if clip.object_id in linked else "suggested"
        yield Bar(clip.object_id, clip.path, scale.span(clip.start_ms, clip.end_ms), _edges(clip, scale), style)


def _edges(clip: ClipRow, scale: Scale) -> tuple[Span, ...]:
    """Where the clip may or may not reach, by its clock's uncertainty; one span if the two edges meet."""
    start_ms, end_ms, unsure_ms = clip.start_ms or 0, clip.end_ms or 0, clip.uncertainty_ms
    if unsure_ms <= 0:
        return ()
    if end_ms - start_ms <= 2 * unsure_ms:
        return (scale.span(start_ms - unsure_ms, end_ms + unsure_ms),)
    return (
        scale.span(start_ms - unsure_ms, start_ms + unsure_ms),
        scale.span(end_ms - unsure_ms, end_ms + unsure_ms),
    )


def _offset_ms(at_ms: int, zone: ZoneInfo) -> int:
    offset = moment(at_ms).astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds() * 1000)


def _label(at_ms: int, step_s: int, zone: ZoneInfo) -> str:
    here = moment(at_ms).astimezone(zone)
    if step_s >= _DAY_S:
        return f"{here:%m-%d}"
    return f"{here:%H:%M:%S}" if step_s < _MINUTE_S else f"{here:%H:%M}"

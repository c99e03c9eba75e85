"""Which seconds of an action are on usable video, and which are not. Pure, in whole milliseconds.

Two figures answer two questions. *Nominal* takes every clip's corrected time as it stands. *Guaranteed* first shrinks
every clip at both ends by the uncertainty of its time, and so holds however wrong the clocks were within their bounds.
Only video covers: 全程音像记录 asks for sound and picture (运政办〔2019〕3号 一（二）2), so sound alone never does.

What is sorted once is asked by bisection: a thousand clips that leave a thousand holes are no million comparisons.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from custody.verdicts import Verdict
from ingestd.model import Assignment, Clip, Coverage, EnforcementAction, Gap, Interval, MediaKind

WHOLE_PPM: Final = 1_000_000
"""Parts per million that are the whole; a figure reaches it only when not a millisecond is missing."""

UNUSABLE: Final = frozenset(
    {
        "black-picture",
        "covered-picture",
        "encrypted",
        "ffprobe-failed",
        "frozen-picture",
        "moov-missing",
        "no-decoder",
        "no-packets",
        "no-picture",
        "no-streams",
        "unreadable-media",
        "unreadable-picture",
        "unusable-picture",
        "zero-byte",
    }
)
"""Problems with which a video shows nothing, or nothing that was seen to be a picture."""

TRUNCATED: Final = frozenset({"clip-truncated", "duration-implausible", "truncated"})
"""Problems that explain why a clip ends too early; what it holds still covers.

``duration-implausible`` says that the header promised another length than the packets have; the clip's interval is that
of its packets.
"""

NOT_AS_RECORDED: Final = frozenset({Verdict.FAILED, Verdict.MISSING, Verdict.UNREADABLE, Verdict.DISPOSED})
"""Verdicts after which nobody can be shown what was recorded: the original is gone, altered or cannot be read."""

GAP_REASONS: Final = (
    "original-not-as-recorded",
    "unusable-picture",
    "clip-truncated",
    "recorder-missing",
    "no-clip",
)
"""Every word that ``Gap.reason`` can hold, the better known reason before the vaguer one."""

Span = tuple[int, int]
"""First millisecond and the one after the last; what is counted by the thousand is no ``Interval``."""

_FOR_EVER_MS: Final = 1 << 62
"""After every time: how long a recorder that was not handed back is held."""


def cover(action: EnforcementAction, clips: Sequence[Clip], issued: Sequence[Assignment] | None = None) -> Coverage:
    """How much of ``action`` the linked ``clips`` show, with every gap longer than the action tolerates.

    ``issued`` are the ledger's entries for the officers of the action; ``None`` means that no ledger is kept, and then
    no gap is blamed on a missing recorder. An act without any usable video is one gap, however short the act is.
    """
    act = action.interval
    usable = sorted((c for c in clips if _shows(c, act)), key=lambda c: c.object_id)
    nominal = _shown((_span(c.interval) for c in usable if c.interval), act)
    guaranteed = _shown((certain for c in usable if (certain := _shrunk(c))), act)
    holes = _complement(nominal, act) if usable else [_span(act)]
    tolerated_ms = action.tolerated_gap_ms if usable else -1
    untold = [(start_ms, end_ms) for start_ms, end_ms in holes if end_ms - start_ms > tolerated_ms]
    gaps = _explained(untold, clips, issued) if untold else ()
    return Coverage(
        action_id=action.action_id,
        nominal_ppm=_share_ppm(nominal, act),
        guaranteed_ppm=_share_ppm(guaranteed, act),
        gaps=tuple(gaps),
        clips=tuple(c.object_id for c in usable),
    )


def is_usable(clip: Clip) -> bool:
    """Whether a clip's picture can count: video, at a known time, stored as recorded, and with nothing to spoil it."""
    seen = clip.kind is MediaKind.VIDEO and clip.interval is not None and UNUSABLE.isdisjoint(clip.problems)
    return seen and clip.verdict not in NOT_AS_RECORDED


def union(spans: Iterable[Interval]) -> list[Interval]:
    """The same moments as disjoint spans in order; spans that touch become one."""
    return [Interval(start_ms, end_ms) for start_ms, end_ms in _union(_span(span) for span in spans)]


def _union(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start_ms, end_ms in sorted(spans):
        if merged and start_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_ms))
        else:
            merged.append((start_ms, end_ms))
    return merged


def _span(interval: Interval) -> Span:
    return interval.start_ms, interval.end_ms


def _shows(clip: Clip, act: Interval) -> bool:
    return clip.interval is not None and is_usable(clip) and _meets(_span(clip.interval), act)


def _meets(span: Span, act: Interval) -> bool:
    """Whether the span holds some of the action; a momentary act is shown by any clip that holds its moment."""
    start_ms, end_ms = span
    if act.start_ms < act.end_ms:
        return start_ms < act.end_ms and act.start_ms < end_ms and start_ms < end_ms
    return start_ms <= act.start_ms <= end_ms and start_ms < end_ms


def _shown(spans: Iterable[Span], act: Interval) -> list[Span]:
    """What of ``act`` the spans hold together, as disjoint spans in order."""
    return [(max(one[0], act.start_ms), min(one[1], act.end_ms)) for one in _union(spans) if _meets(one, act)]


def _shrunk(clip: Clip) -> Span | None:
    """What the clip shows for certain, or None when its uncertainty eats it up."""
    if clip.interval is None or clip.interval.length_ms <= 2 * clip.uncertainty_ms:
        return None
    return clip.interval.start_ms + clip.uncertainty_ms, clip.interval.end_ms - clip.uncertainty_ms


def _complement(covered: list[Span], act: Interval) -> list[Span]:
    """What of ``act`` is not in ``covered``, whose spans are disjoint, in order and inside ``act``."""
    starts = [act.start_ms, *(end_ms for _, end_ms in covered)]
    ends = [*(start_ms for start_ms, _ in covered), act.end_ms]
    return [(start_ms, end_ms) for start_ms, end_ms in zip(starts, ends, strict=True) if start_ms < end_ms]


def _share_ppm(covered: list[Span], act: Interval) -> int:
    """Rounded down, so that only the whole is called whole."""
    if not act.length_ms:
        return WHOLE_PPM if covered else 0
    return sum(end_ms - start_ms for start_ms, end_ms in covered) * WHOLE_PPM // act.length_ms


class _Sorted:
    """Spans that are asked many times whether any of them meets another one."""

    def __init__(self, spans: Iterable[Span]) -> None:
        ordered = sorted(spans)
        self._starts = [start_ms for start_ms, _ in ordered]
        self._latest = list(accumulate((end_ms for _, end_ms in ordered), max))

    def meet(self, start_ms: int, end_ms: int) -> bool:
        """Whether one of them begins before ``end_ms`` and ends after ``start_ms``."""
        begun = bisect_left(self._starts, end_ms)
        return begun > 0 and self._latest[begun - 1] > start_ms


def _explained(holes: Sequence[Span], clips: Sequence[Clip], issued: Sequence[Assignment] | None) -> list[Gap]:
    """Each hole with the best known reason."""
    filmed = [(clip, clip.interval) for clip in clips if clip.kind is MediaKind.VIDEO and clip.interval]
    lost = _Sorted(_halves(*_span(span)) for clip, span in filmed if clip.verdict in NOT_AS_RECORDED)
    spoilt = _Sorted(_halves(*_span(span)) for clip, span in filmed if not UNUSABLE.isdisjoint(clip.problems))
    broken = _Sorted(
        _halves(span.end_ms, span.end_ms) for clip, span in filmed if not TRUNCATED.isdisjoint(clip.problems)
    )
    held = None if issued is None else _Sorted((entry.start_ms, _until_ms(entry)) for entry in issued)

    def reason(start_ms: int, end_ms: int) -> str:
        touched = _halves(start_ms, end_ms)
        if lost.meet(*touched):
            return "original-not-as-recorded"
        if spoilt.meet(*touched):
            return "unusable-picture"
        if broken.meet(*touched):
            return "clip-truncated"
        if held is not None and not held.meet(start_ms, max(end_ms, start_ms + 1)):
            return "recorder-missing"
        return "no-clip"

    return [Gap(Interval(*hole), reason(*hole)) for hole in holes]


def _halves(start_ms: int, end_ms: int) -> Span:
    """In half milliseconds, where a moment reaches half of one to either side: so it touches what it borders on."""
    return (2 * start_ms, 2 * end_ms) if start_ms < end_ms else (2 * start_ms - 1, 2 * start_ms + 1)


def _until_ms(entry: Assignment) -> int:
    """The ledger is half-open: a recorder handed out as a hole ends was not there."""
    return _FOR_EVER_MS if entry.end_ms is None else entry.end_ms

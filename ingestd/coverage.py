"""Which seconds of an action are on usable video, and which are not. Pure, in whole milliseconds.

Two figures answer two questions. *Nominal* takes every clip's corrected time as it stands. *Guaranteed* first shrinks
every clip at both ends by the uncertainty of its time, and so holds however wrong the clocks were within their bounds.
Only video covers: 全程音像记录 asks for sound and picture (运政办〔2019〕3号 一（二）2), so sound alone never does.
"""

from collections.abc import Iterable, Sequence
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


def cover(action: EnforcementAction, clips: Sequence[Clip], issued: Sequence[Assignment] | None = None) -> Coverage:
    """How much of ``action`` the linked ``clips`` show, with every gap longer than the action tolerates.

    ``issued`` are the ledger's entries for the officers of the action; ``None`` means that no ledger is kept, and then
    no gap is blamed on a missing recorder. An act without any usable video is one gap, however short the act is.
    """
    span = action.interval
    usable = sorted((c for c in clips if _shows(c, span)), key=lambda c: c.object_id)
    nominal = _shown((c.interval for c in usable if c.interval), span)
    guaranteed = _shown((certain for c in usable if (certain := _shrunk(c))), span)
    holes = _complement(nominal, span) if usable else [span]
    tolerated_ms = action.tolerated_gap_ms if usable else -1
    gaps = [Gap(hole, _reason(hole, clips, issued)) for hole in holes if hole.length_ms > tolerated_ms]
    return Coverage(
        action_id=action.action_id,
        nominal_ppm=_share_ppm(nominal, span),
        guaranteed_ppm=_share_ppm(guaranteed, span),
        gaps=tuple(gaps),
        clips=tuple(c.object_id for c in usable),
    )


def is_usable(clip: Clip) -> bool:
    """Whether a clip's picture can count: video, at a known time, stored as recorded, and with nothing to spoil it."""
    seen = clip.kind is MediaKind.VIDEO and clip.interval is not None and UNUSABLE.isdisjoint(clip.problems)
    return seen and clip.verdict not in NOT_AS_RECORDED


def union(spans: Iterable[Interval]) -> list[Interval]:
    """The same moments as disjoint spans in order; spans that touch become one."""
    merged: list[list[int]] = []
    for start_ms, end_ms in sorted((span.start_ms, span.end_ms) for span in spans):
        if merged and start_ms <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end_ms)
        else:
            merged.append([start_ms, end_ms])
    return [Interval(start_ms, end_ms) for start_ms, end_ms in merged]


def _shows(clip: Clip, span: Interval) -> bool:
    return clip.interval is not None and is_usable(clip) and _meets(clip.interval, span)


def _meets(clip: Interval, span: Interval) -> bool:
    """Whether the clip holds some of the action; a momentary act is shown by any clip that holds its moment."""
    if span.length_ms:
        return clip.overlap_ms(span) > 0
    return clip.start_ms <= span.start_ms <= clip.end_ms and clip.length_ms > 0


def _shown(spans: Iterable[Interval], act: Interval) -> list[Interval]:
    """What of ``act`` the spans hold together, as disjoint spans in order."""
    return [_clipped(span, act) for span in union(spans) if _meets(span, act)]


def _clipped(clip: Interval, span: Interval) -> Interval:
    return Interval(max(clip.start_ms, span.start_ms), min(clip.end_ms, span.end_ms))


def _shrunk(clip: Clip) -> Interval | None:
    """What the clip shows for certain, or None when its uncertainty eats it up."""
    if clip.interval is None or clip.interval.length_ms <= 2 * clip.uncertainty_ms:
        return None
    return Interval(clip.interval.start_ms + clip.uncertainty_ms, clip.interval.end_ms - clip.uncertainty_ms)


def _complement(covered: list[Interval], span: Interval) -> list[Interval]:
    """What of ``span`` is not in ``covered``, whose spans are disjoint, in order and inside ``span``."""
    starts = [span.start_ms, *(c.end_ms for c in covered)]
    ends = [*(c.start_ms for c in covered), span.end_ms]
    return [Interval(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def _share_ppm(covered: list[Interval], span: Interval) -> int:
    """Rounded down, so that only the whole is called whole."""
    if not span.length_ms:
        return WHOLE_PPM if covered else 0
    return sum(c.length_ms for c in covered) * WHOLE_PPM // span.length_ms


def _reason(hole: Interval, clips: Sequence[Clip], issued: Sequence[Assignment] | None) -> str:
    if any(_is_lost(clip, hole) for clip in clips):
        return "original-not-as-recorded"
    if any(_fails_to_show(clip, hole) for clip in clips):
        return "unusable-picture"
    if any(_breaks_off_at(clip, hole) for clip in clips):
        return "clip-truncated"
    if issued is not None and not any(_issued_during(entry, hole) for entry in issued):
        return "recorder-missing"
    return "no-clip"


def _is_lost(clip: Clip, hole: Interval) -> bool:
    lost = clip.kind is MediaKind.VIDEO and clip.verdict in NOT_AS_RECORDED
    return lost and clip.interval is not None and _touches(clip.interval, hole)


def _fails_to_show(clip: Clip, hole: Interval) -> bool:
    spoilt = clip.kind is MediaKind.VIDEO and not UNUSABLE.isdisjoint(clip.problems)
    return spoilt and clip.interval is not None and _touches(clip.interval, hole)


def _breaks_off_at(clip: Clip, hole: Interval) -> bool:
    truncated = clip.kind is MediaKind.VIDEO and not TRUNCATED.isdisjoint(clip.problems)
    return truncated and clip.interval is not None and hole.start_ms <= clip.interval.end_ms <= hole.end_ms


def _issued_during(entry: Assignment, hole: Interval) -> bool:
    """Both are half-open: a recorder handed out as the hole ends was not there; a moment is held like a span."""
    begun = entry.start_ms < max(hole.end_ms, hole.start_ms + 1)
    return begun and (entry.end_ms is None or entry.end_ms > hole.start_ms)


def _touches(clip: Interval, hole: Interval) -> bool:
    if clip.length_ms and hole.length_ms:
        return clip.overlap_ms(hole) > 0
    return clip.start_ms <= hole.end_ms and hole.start_ms <= clip.end_ms

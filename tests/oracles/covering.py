"""Coverage once more, slow and obvious: every second of an act is looked at by itself.

Written apart from ``ingestd.coverage``; for worlds whose times are whole seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestd.model import Assignment, Clip, EnforcementAction, Interval, MediaKind

SPOILT = "unreadable-picture"
CUT_OFF = "truncated"


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds of an act that are on video, and the runs of seconds that are not."""

    nominal: set[int]
    guaranteed: set[int]
    holes: list[tuple[int, int]]
    """First second and the second after the last, of every hole longer than is tolerated."""


def look(action: EnforcementAction, clips: Sequence[Clip]) -> Seen:
    """Look at every second of ``action``, which lasts at least one."""
    act = _seconds(action.interval)
    nominal = {s for s in act if any(_shows(c, s, 0) for c in clips)}
    guaranteed = {s for s in act if any(_shows(c, s, c.uncertainty_ms // 1000) for c in clips)}
    holes = _runs(sorted(set(act) - nominal))
    if nominal:
        holes = [(a, b) for a, b in holes if (b - a) * 1000 > action.tolerated_gap_ms]
    return Seen(nominal, guaranteed, holes)


def why(hole: tuple[int, int], clips: Sequence[Clip], issued: Sequence[Assignment] | None) -> str:
    """What is known of a hole; ``issued`` is the ledger of the officers of the act, None where nobody keeps one."""
    seconds = set(range(*hole))
    filmed = [clip for clip in clips if clip.kind is MediaKind.VIDEO and clip.interval is not None]
    if any(SPOILT in clip.problems and seconds & set(_seconds(clip.interval)) for clip in filmed):
        return "unusable-picture"
    if any(CUT_OFF in clip.problems and clip.interval.end_ms // 1000 in {*seconds, hole[1]} for clip in filmed):
        return "clip-truncated"
    if issued is not None and not any(_has_recorder(entry, second) for entry in issued for second in seconds):
        return "recorder-missing"
    return "no-clip"


def why_ms(hole: Interval, clips: Sequence[Clip], issued: Sequence[Assignment] | None) -> str:
    """The same of a hole in milliseconds, which may be a moment: the act's own."""
    filmed = [clip for clip in clips if clip.kind is MediaKind.VIDEO and clip.interval is not None]
    if any(clip.verdict == "failed" and _touch(clip.interval, hole) for clip in filmed):
        return "original-not-as-recorded"
    if any("black-picture" in clip.problems and _touch(clip.interval, hole) for clip in filmed):
        return "unusable-picture"
    if any(CUT_OFF in clip.problems and hole.start_ms <= clip.interval.end_ms <= hole.end_ms for clip in filmed):
        return "clip-truncated"
    moments = range(hole.start_ms, max(hole.end_ms, hole.start_ms + 1))
    if issued is not None and not any(_holds(entry, moments) for entry in issued):
        return "recorder-missing"
    return "no-clip"


def shows_ms(clip: Clip, act: Interval) -> bool:
    """Whether a clip shows any millisecond of ``act``, or holds the moment that it is."""
    if clip.verdict == "failed" or "black-picture" in clip.problems:
        return False
    if act.length_ms:
        return bool(set(_milliseconds(clip.interval)) & set(_milliseconds(act)))
    return bool(clip.interval.length_ms) and _touch(clip.interval, act)


def _holds(entry: Assignment, moments: range) -> bool:
    """Whether the recorder was out when the moments began, or was handed out before they ended."""
    until_ms = moments.stop + 1 if entry.end_ms is None else entry.end_ms
    return until_ms > moments.start and entry.start_ms < moments.stop


def _touch(one: Interval, other: Interval) -> bool:
    """A moment touches what it borders on; two spans have a millisecond in common."""
    if one.length_ms and other.length_ms:
        return bool(set(_milliseconds(one)) & set(_milliseconds(other)))
    return one.start_ms <= other.end_ms and other.start_ms <= one.end_ms


def _milliseconds(span: Interval) -> range:
    return range(span.start_ms, span.end_ms)


def _has_recorder(entry: Assignment, second: int) -> bool:
    return entry.start_ms // 1000 <= second and (entry.end_ms is None or second < entry.end_ms // 1000)


def _shows(clip: Clip, second: int, unsure: int) -> bool:
    if clip.kind is not MediaKind.VIDEO or clip.interval is None or SPOILT in clip.problems:
        return False
    return clip.interval.start_ms // 1000 + unsure <= second < clip.interval.end_ms // 1000 - unsure


def _seconds(span: Interval) -> range:
    return range(span.start_ms // 1000, span.end_ms // 1000)


def _runs(seconds: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for second in seconds:
        if runs and runs[-1][1] == second:
            runs[-1] = (runs[-1][0], second + 1)
        else:
            runs.append((second, second + 1))
    return runs

"""Linking once more, slow and obvious: every question is answered by counting seconds on a clock.

Written apart from ``ingestd.link``. It works on worlds whose times are whole seconds, few enough to be looked at one by
one, and in which no interval is a mere moment.
"""

from collections.abc import Sequence

from ingestd.model import Clip, EnforcementAction, Interval, MediaKind

FAR_E7 = 500_000
"""Places of these worlds are either a street apart or, more than this many degrees times 10^7, another town."""


def belongs(clip: Clip, actions: Sequence[EnforcementAction]) -> tuple[set[str], set[str]]:
    """Identifiers of linked and of suggested actions."""
    if clip.kind in {MediaKind.SIDECAR, MediaKind.OTHER, MediaKind.EMPTY}:
        return set(), set()
    stated = [a for a in actions if clip.case_stated != "" and a.case == clip.case_stated]
    if clip.interval is None:
        return set(), {a.action_id for a in stated}
    if stated:
        return _by_case(clip.interval, stated)
    return _by_officer(clip, clip.interval, actions)


def seconds(span: Interval) -> set[int]:
    """Every second of a span."""
    return set(range(span.start_ms // 1000, span.end_ms // 1000))


def _by_case(span: Interval, stated: Sequence[EnforcementAction]) -> tuple[set[str], set[str]]:
    during = {a.action_id for a in stated if seconds(span) & seconds(a.interval)}
    if during:
        return during, set()
    around = {a.action_id for a in stated if seconds(span) & seconds(_widened(a))}
    if around:
        return around, set()
    return set(), {a.action_id for a in stated}


def _by_officer(clip: Clip, span: Interval, actions: Sequence[EnforcementAction]) -> tuple[set[str], set[str]]:
    linked: set[str] = set()
    suggested: set[str] = set()
    mine = [a for a in actions if clip.officer != "" and clip.officer in a.officers]
    during = [a for a in mine if seconds(span) & seconds(a.interval)]
    possible = [a for a in during if not _contradicted(clip, a)]
    for action in mine:
        if action in possible:
            others = [o for o in possible if o is not action]
            rivals = [o for o in others if seconds(o.interval) & seconds(action.interval)]
            (suggested if rivals else linked).add(action.action_id)
        elif action in during or (seconds(span) & seconds(_widened(action)) and not _contradicted(clip, action)):
            suggested.add(action.action_id)
    return linked, suggested


def _widened(action: EnforcementAction) -> Interval:
    return Interval(action.interval.start_ms - action.margin_ms, action.interval.end_ms + action.margin_ms)


def _contradicted(clip: Clip, action: EnforcementAction) -> bool:
    if clip.place is None or action.place is None:
        return False
    return abs(clip.place.lat_e7 - action.place.lat_e7) > FAR_E7

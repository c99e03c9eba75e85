"""Which action a clip belongs to, and why. Pure: the same facts give the same decision in any order.

The rule in five sentences. A clip belongs to an action when an officer of the action wore the recorder and the clip's
corrected time overlaps the action. A place contradicts it when both positions are known and lie farther apart than the
action's radius and the clip's accuracy together. A case number stated on the device, in the file name or in the sidecar
decides. A clip over successive actions belongs to each of them; where two actions of one officer run at the same time
and place does not tell them apart, people decide. What overlaps only the margins is a suggestion.

Whoever calls ``decide`` hands over every action of the clip's officer within the margins and every action of the case
that the clip states; further actions do no harm.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from ingestd.model import (
    Assignment,
    Clip,
    Decision,
    EnforcementAction,
    Interval,
    Link,
    MediaKind,
    Position,
    Suggestion,
    case_key,
)

__all__ = [
    "EARTH_RADIUS_M",
    "LINKABLE",
    "NO_LINK",
    "RULE_VERSION",
    "SHORT_NUMBER",
    "case_key",
    "decide",
    "distance_m",
    "overlaps",
    "place_of",
    "resolve_officer",
    "stated_number",
    "within_margin",
]

RULE_VERSION: Final = "link/1"
"""Changes whenever the same facts could be decided otherwise."""

LINKABLE: Final = frozenset({MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.IMAGE})
"""Kinds that show or tell an act; a sidecar follows the file it stands beside."""

NO_LINK: Final = (
    "kind-not-linked",
    "time-unknown",
    "officer-unknown",
    "no-action",
    "place-contradicts",
    "ambiguous",
    "margin-only",
    "case-time-apart",
)
"""Every word that ``Decision.reason`` can hold."""

SHORT_NUMBER: Final = 6
"""Characters that recorders of the common family keep for an officer's number; fewer are too few to mean one person."""

EARTH_RADIUS_M: Final = 6_371_009
"""Mean radius of the earth (IUGG); the sphere is off by at most 0.6 %, well inside any radius of an action."""

_STATED_OFFICER_COST: Final = 10
_UNCERTAIN_OVERLAP_COST: Final = 20
_PLACE_CONTRADICTS_COST: Final = 30
_MARGIN_COST: Final = 10
_AMBIGUOUS_SCORE: Final = 50
_AMBIGUOUS_PLACE_BONUS: Final = 20
_MARGIN_SCORE: Final = 40
_CASE_TIME_APART_SCORE: Final = 30
_CONTRADICTED_SCORE: Final = 20
_CASE_TIME_UNKNOWN_SCORE: Final = 60


def decide(clip: Clip, actions: Sequence[EnforcementAction]) -> Decision:
    """Links and suggestions for one clip, ordered by action; with no link, the reason why there is none."""
    if clip.kind not in LINKABLE:
        return Decision(reason="kind-not-linked")
    of_case = _of_stated_case(clip, actions)
    if clip.interval is None:
        return Decision(suggestions=_time_unknown(clip, of_case), reason="time-unknown")
    if of_case:
        return _by_case(clip, clip.interval, of_case)
    if not clip.officer:
        return Decision(reason="officer-unknown")
    return _by_officer_and_time(clip, clip.interval, [a for a in actions if clip.officer in a.officers])


def resolve_officer(
    recorder: str,
    interval: Interval | None,
    assignments: Iterable[Assignment],
    stated: str,
    roster: Collection[str] = (),
) -> tuple[str, str]:
    """Who wore the recorder and how we know: the ledger (台账) first, then what the device states.

    A recorder handed over during the clip belongs to whoever had it when the clip began. A ledger that names two
    officers for one moment proves neither; then only the device's own statement is left. Both parts are empty when
    nobody is known. ``roster`` holds the certificate numbers of the agency: recorders have room for six characters, so
    a statement that ends exactly one of those numbers means that officer.
    """
    holders, number = _holders(recorder, interval, assignments), stated_number(stated)
    if len(holders) == 1:
        return holders.pop(), "ledger"
    if _meant(number, holders) in holders:
        return _meant(number, holders), "ledger"
    stated_officer = _meant(number, holders | set(roster))
    return stated_officer, "stated" if stated_officer else ""


def stated_number(stated: str) -> str:
    """The officer's number as a device states it; recorders leave the works with a row of zeros, which is nobody."""
    number = stated.strip()
    return "" if not number.strip("0") else number


def ending(number: str) -> str:
    """The part of a certificate number that a recorder has room for."""
    return number[-SHORT_NUMBER:]


def distance_m(one: Position, other: Position) -> float:
    """Great-circle distance in metres (haversine)."""
    lat_1, lat_2 = math.radians(one.lat_e7 / 1e7), math.radians(other.lat_e7 / 1e7)
    half_lat = (lat_2 - lat_1) / 2
    half_lon = math.radians((other.lon_e7 - one.lon_e7) / 1e7) / 2
    haversine = math.sin(half_lat) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, max(0.0, haversine))))  # rounding, and odd positions


def overlaps(one: Interval, other: Interval) -> bool:
    """Whether both have a moment in common; a still picture or a momentary act is a point, and its edges count."""
    if one.length_ms and other.length_ms:
        return one.overlap_ms(other) > 0
    return one.start_ms <= other.end_ms and other.start_ms <= one.end_ms


def within_margin(clip: Interval, action: EnforcementAction) -> bool:
    """Whether the clip overlaps the action once the action is widened by its margin on both sides."""
    span = action.interval
    return overlaps(clip, Interval(span.start_ms - action.margin_ms, span.end_ms + action.margin_ms))


def place_of(clip: Clip, action: EnforcementAction) -> str:
    """What the positions say: ``confirms``, ``contradicts`` or, with one of them unknown, ``unknown``."""
    if clip.place is None or action.place is None:
        return "unknown"
    allowed_m = action.radius_m + clip.place.accuracy_m + action.place.accuracy_m
    return "contradicts" if distance_m(clip.place, action.place) > allowed_m else "confirms"


def _of_stated_case(clip: Clip, actions: Sequence[EnforcementAction]) -> list[EnforcementAction]:
    key = case_key(clip.case_stated)
    return [action for action in actions if key and case_key(action.case) == key]


def _time_unknown(clip: Clip, of_case: list[EnforcementAction]) -> tuple[Suggestion, ...]:
    reasons = ("case-stated", "time-unknown")
    return _ordered(Suggestion(clip.object_id, a.action_id, _CASE_TIME_UNKNOWN_SCORE, reasons) for a in of_case)


def _by_case(clip: Clip, span: Interval, of_case: list[EnforcementAction]) -> Decision:
    """The stated case decides between actions; time still decides which actions of that case."""
    chosen = [action for action in of_case if overlaps(span, action.interval)]
    near = chosen or [action for action in of_case if within_margin(span, action)]
    if near:
        return Decision(links=_ordered_links(_case_link(clip, span, action) for action in near))
    reasons = ("case-stated", "time-apart")
    apart = (Suggestion(clip.object_id, a.action_id, _CASE_TIME_APART_SCORE, reasons) for a in of_case)
    return Decision(suggestions=_ordered(apart), reason="case-time-apart")


def _case_link(clip: Clip, span: Interval, action: EnforcementAction) -> Link:
    reasons = ["case-stated"]
    score = 100
    if overlaps(span, action.interval):
        reasons.append("time-overlaps")
    else:
        reasons.append("within-margin")
        score -= _MARGIN_COST
    place = place_of(clip, action)
    if place != "unknown":
        reasons.append(f"place-{place}")
    if place == "contradicts":
        score -= _PLACE_CONTRADICTS_COST
    return Link(clip.object_id, action.action_id, "case-number", score, tuple(reasons), RULE_VERSION)


def _by_officer_and_time(clip: Clip, span: Interval, actions: list[EnforcementAction]) -> Decision:
    meeting = [action for action in actions if overlaps(span, action.interval)]
    fitting = [action for action in meeting if place_of(clip, action) != "contradicts"]
    contested = _concurrent(fitting)
    certain = [action for action in fitting if action not in contested]
    suggestions = [
        *(_ambiguous(clip, action) for action in contested),
        *(_contradicted(clip, action) for action in meeting if action not in fitting),
        *(_margin(clip, action) for action in actions if action not in meeting and _near(clip, span, action)),
    ]
    links = _ordered_links(_officer_link(clip, span, action) for action in certain)
    return Decision(links, _ordered(suggestions), "" if links else _why_none(suggestions))


def _concurrent(actions: list[EnforcementAction]) -> list[EnforcementAction]:
    """Those that run at the same time as another one of the list."""
    return [
        action
        for action in actions
        if any(other is not action and _at_once(action.interval, other.interval) for other in actions)
    ]


def _at_once(one: Interval, other: Interval) -> bool:
    """Whether two acts run at the same time; meeting at an edge is succession, and two equal moments are at once."""
    if one.length_ms and other.length_ms:
        return one.overlap_ms(other) > 0
    if not one.length_ms and not other.length_ms:
        return one.start_ms == other.start_ms
    moment, span = (other, one) if one.length_ms else (one, other)
    return span.start_ms < moment.start_ms < span.end_ms


def _officer_link(clip: Clip, span: Interval, action: EnforcementAction) -> Link:
    reasons = [f"officer-{clip.officer_source or 'stated'}", "time-overlaps"]
    score = 100
    if clip.officer_source != "ledger":
        score -= _STATED_OFFICER_COST
    if span.length_ms and span.overlap_ms(action.interval) <= clip.uncertainty_ms:
        reasons.append("overlap-within-uncertainty")
        score -= _UNCERTAIN_OVERLAP_COST
    if place_of(clip, action) == "confirms":
        reasons.append("place-confirms")
    return Link(clip.object_id, action.action_id, "officer-time", score, tuple(reasons), RULE_VERSION)


def _ambiguous(clip: Clip, action: EnforcementAction) -> Suggestion:
    confirmed = place_of(clip, action) == "confirms"
    score = _AMBIGUOUS_SCORE + (_AMBIGUOUS_PLACE_BONUS if confirmed else 0)
    reasons = ("time-overlaps", "concurrent-actions", *(("place-confirms",) if confirmed else ()))
    return Suggestion(clip.object_id, action.action_id, score, reasons)


def _contradicted(clip: Clip, action: EnforcementAction) -> Suggestion:
    return Suggestion(clip.object_id, action.action_id, _CONTRADICTED_SCORE, ("time-overlaps", "place-contradicts"))


def _margin(clip: Clip, action: EnforcementAction) -> Suggestion:
    return Suggestion(clip.object_id, action.action_id, _MARGIN_SCORE, ("within-margin",))


def _near(clip: Clip, span: Interval, action: EnforcementAction) -> bool:
    return within_margin(span, action) and place_of(clip, action) != "contradicts"


def _why_none(suggestions: list[Suggestion]) -> str:
    """The strongest obstacle among what was nearly a link."""
    obstacles = {reason for suggestion in suggestions for reason in suggestion.reasons}
    if "concurrent-actions" in obstacles:
        return "ambiguous"
    if "place-contradicts" in obstacles:
        return "place-contradicts"
    return "margin-only" if obstacles else "no-action"


def _meant(stated: str, numbers: Collection[str]) -> str:
    """The one certificate number that was meant, or the statement as it is."""
    if stated in numbers or len(stated) < SHORT_NUMBER:
        return stated
    ending = [number for number in numbers if number.endswith(stated)]
    return ending[0] if len(ending) == 1 else stated


def _holders(recorder: str, interval: Interval | None, assignments: Iterable[Assignment]) -> set[str]:
    """Officers who had the recorder when the clip began, or failing that at any moment of it."""
    if interval is None:
        return set()
    issued = [a for a in assignments if a.recorder == recorder]
    at_start = {a.officer for a in issued if _held_at(a, interval.start_ms)}
    return at_start or {a.officer for a in issued if _held_during(a, interval)}


def _held_at(assignment: Assignment, at_ms: int) -> bool:
    return assignment.start_ms <= at_ms and (assignment.end_ms is None or at_ms < assignment.end_ms)


def _held_during(assignment: Assignment, span: Interval) -> bool:
    return assignment.start_ms < span.end_ms and (assignment.end_ms is None or span.start_ms < assignment.end_ms)


def _ordered(suggestions: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
    return tuple(sorted(suggestions, key=lambda s: (-s.score, s.action_id)))


def _ordered_links(links: Iterable[Link]) -> tuple[Link, ...]:
    return tuple(sorted(links, key=lambda link: link.action_id))

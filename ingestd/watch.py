"""What rules ask of recorders, officers and units rather than of one act: facts gathered from rows, flags by the rules.

A recorder's clock, when its footage was handed in and whose it is are asked after whenever something new came from it;
the rest is asked after by time, for it grows while nothing comes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from custody.canonical import JsonObject
from ingestd.disclosure import due
from ingestd.index.repository import Repository
from ingestd.index.rows import Row, integer_in, list_in, loads, object_in, text_in
from ingestd.index.stations import station_error_ms
from ingestd.model import EnforcementAction, Flag, Interval
from ingestd.rules.clock_drift import RULE as CLOCK
from ingestd.rules.clock_drift import clock_drift
from ingestd.rules.clock_reset import RULE as RESET
from ingestd.rules.clock_reset import clock_reset
from ingestd.rules.decision_unreviewed import RULE as UNREVIEWED
from ingestd.rules.decision_unreviewed import decision_unreviewed
from ingestd.rules.disclosure_overdue import RULE as DISCLOSURE
from ingestd.rules.disclosure_overdue import disclosure_overdue
from ingestd.rules.empty_dock import RULE as EMPTY
from ingestd.rules.empty_dock import empty_dock
from ingestd.rules.facts import (
    Backlog,
    CheckpointFailure,
    ClockReading,
    ClockReset,
    EmptyDocking,
    Interruption,
    Offload,
    PlannedAct,
    RecorderHeld,
    WornBy,
)
from ingestd.rules.identity_conflict import RULE as IDENTITY
from ingestd.rules.identity_conflict import identity_conflict
from ingestd.rules.interruption import RULE as INTERRUPTION
from ingestd.rules.interruption import interruption
from ingestd.rules.late_offload import RULE as LATE
from ingestd.rules.late_offload import is_late, late_offload
from ingestd.rules.no_ready_recorder import RULE as UNREADY
from ingestd.rules.no_ready_recorder import no_ready_recorder
from ingestd.rules.recorder_not_seen import RULE as UNSEEN
from ingestd.rules.recorder_not_seen import recorder_not_seen
from ingestd.rules.repeated_failures import RULE as REPEATED
from ingestd.rules.repeated_failures import repeated_failures
from ingestd.rules.review_overdue import RULE as OVERDUE
from ingestd.rules.review_overdue import review_overdue
from ingestd.rules.rule import DAY_MS, HOUR_MS, Policy
from ingestd.rules.unlinked_backlog import RULE as BACKLOG
from ingestd.rules.unlinked_backlog import unlinked_backlog
from ingestd.rules.video_gap import RULE as GAP

OTHER_DOCKING_MS: Final = HOUR_MS
"""Copies of one recorder that lie farther apart belong to two dockings, each with its own reading of the clock."""
EMPTY_AFTER_MS: Final = HOUR_MS
"""A station lists what is new on a recorder within this; until then a docking is not called empty."""
EMPTY_DAYS: Final = 30
"""For so long it is asked whether a docking was empty: registers of acts come in late."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Flags that hold, and what stands so far of the same rules about the same recorders and units."""

    found: list[Flag]
    standing: list[Row]


def clocks(repository: Repository, recorders: Iterable[str], policy: Policy) -> Watched:
    """Clocks of ``recorders`` by their latest readings at a dock; a recorder that was never measured says nothing."""
    names = sorted(set(recorders))
    found = [flag for name in names for flag in _clock(repository, name, policy)]
    return Watched(found, list(repository.open_flags(f"{CLOCK.rule_id}:{name}" for name in names).values()))


def resets(repository: Repository, recorders: Iterable[str], misdated: Iterable[str], policy: Policy) -> Watched:
    """Clocks that had lost their date, by the latest files of ``recorders``.

    Only those are asked after of which something impossible came now (``misdated``), or of which that is told already.
    """
    standing = list(repository.open_flags(f"{RESET.rule_id}:{name}" for name in recorders).values())
    names = sorted({*misdated, *(row["key"] for row in standing)})
    return Watched([flag for name in names for flag in _reset(repository, name, policy)], standing)


def offloads(repository: Repository, brought: Iterable[tuple[str, date]], policy: Policy) -> Watched:
    """Footage that was handed in late, by recorder and the day on which it was copied."""
    asked = sorted(set(brought))
    late = [one for name, day in asked if (one := _late(repository, name, day, policy))]
    found = [flag for one in late for flag in late_offload(one, policy)]
    return Watched(found, list(repository.open_flags(f"{LATE.rule_id}:{name}:{day}" for name, day in asked).values()))


def came_late(clip: Row, policy: Policy) -> bool:
    """Whether a clip was copied later than it should have been; what a rule says of it is asked of ``offloads``."""
    return clip["end_ms"] is not None and is_late(_offload(clip), policy)


def _offload(row: Row) -> Offload:
    return Offload(row["object_id"], row["station"], row["recorder"], row["end_ms"], row["copied_ms"])


def _late(repository: Repository, recorder: str, day: date, policy: Policy) -> Offload | None:
    """Of what came late from a recorder on a day, that which had ended first, and how many there are."""
    span = (policy.begins_ms(day), policy.begins_ms(day + timedelta(days=1)))
    late = [one for row in repository.media_copied(recorder, *span) if is_late(one := _offload(row), policy)]
    first = min(late, key=lambda one: (one.ended_ms, one.object_id), default=None)
    return None if first is None else replace(first, clips=len(late))


def wearers(repository: Repository, recorders: Iterable[str], policy: Policy) -> Watched:
    """Recorders whose ledger and device name different officers."""
    names = sorted(set(recorders))
    pairs = [
        WornBy(row["first"], row["recorder"], row["ledger"], row["stated"], row["start_ms"] or 0, row["clips"])
        for row in repository.stated_otherwise(names)
    ]
    found = [flag for one in pairs for flag in identity_conflict(one, policy)]
    standing = [(row, loads(row["inputs"])) for row in repository.open_flags_of_rule(IDENTITY.rule_id)]
    return Watched(found, [row for row, told in standing if "ledger" in told and told["recorder"] in names])


def empty_docks(repository: Repository, now_ms: int, policy: Policy) -> Watched:
    """Recorders that came back with nothing although their holder had an act that must be on video."""
    from_ms = now_ms - EMPTY_DAYS * DAY_MS
    found: list[Flag] = []
    for row in repository.empty_dockings(from_ms, now_ms - EMPTY_AFTER_MS):
        docked_ms = row["docked_ms"]
        for officer, since_ms in _holders(repository, row["recorder"], row["before_ms"] or 0, docked_ms):
            docking = EmptyDocking(row["recorder"], officer, row["station"], docked_ms, f"{row['log']}:{row['seq']}")
            acts = repository.actions_between(officer, since_ms, docked_ms)
            found += empty_dock(docking, since_ms, acts, policy)
    standing = repository.open_flags_of_rule(EMPTY.rule_id)
    return Watched(found, [row for row in standing if loads(row["inputs"])["docked_ms"] >= from_ms])


def _holders(repository: Repository, recorder: str, from_ms: int, until_ms: int) -> list[tuple[str, int]]:
    """Who had the recorder in between, as the ledger says, and since when in that time."""
    ledger = repository.assignments([recorder]).get(recorder, [])
    held = (one for one in ledger if one.start_ms < until_ms and (one.end_ms is None or one.end_ms > from_ms))
    return sorted((one.officer, max(from_ms, one.start_ms)) for one in held)


def unseen(repository: Repository, now_ms: int, policy: Policy) -> Watched:
    """Recorders that somebody holds and that were at no dock for too long; of two holders the later one is asked."""
    held = {one[0]: RecorderHeld(*one) for one in repository.held(now_ms)}
    found = [flag for one in held.values() for flag in recorder_not_seen(one, now_ms, policy)]
    return Watched(found, repository.open_flags_of_rule(UNSEEN.rule_id))


def failures(repository: Repository, policy: Policy) -> Watched:
    """Officers who, as reviewed and found, failed again to show the certificate or to inform the party."""
    known = [CheckpointFailure(officer, act, at_ms) for officer, act, at_ms in repository.failures()]
    return Watched(repeated_failures(known, policy), repository.open_flags_of_rule(REPEATED.rule_id))


def plans(repository: Repository, now_ms: int, policy: Policy) -> Watched:
    """Planned acts that must be recorded in full and for which nobody holds a ready recorder."""
    coming = repository.plans(now_ms, now_ms + policy.ready_ms)
    officers = {officer for plan in coming for officer in plan.officers}
    ledger = repository.issued_to(officers) or {}
    ready = _ready(repository, {one.recorder for held in ledger.values() for one in held}, policy)
    found = []
    for plan in coming:
        start_ms = plan.interval.start_ms
        equipped = {
            one.officer
            for officer in plan.officers
            for one in ledger.get(officer, ())
            if one.recorder in ready and one.start_ms <= start_ms and (one.end_ms is None or one.end_ms > start_ms)
        }
        found += no_ready_recorder(PlannedAct(plan, frozenset(equipped)), now_ms, policy)
    return Watched(found, repository.open_flags_of_rule(UNREADY.rule_id))


def _ready(repository: Repository, recorders: set[str], policy: Policy) -> set[str]:
    """Recorders that hold nothing that was not copied, and whose clock, where it was measured, was right."""
    full = repository.with_files_left(recorders)
    return {name for name in recorders - full if _keeps_time(repository, name, policy)}


def _keeps_time(repository: Repository, recorder: str, policy: Policy) -> bool:
    latest = next(_readings(repository.measured_clips(recorder), policy), None)
    return latest is None or abs(latest.offset_ms) <= policy.offset_ms


def interruptions(repository: Repository, now_ms: int, policy: Policy) -> Watched:
    """Breaks in recordings whose flag nobody answered, or whose answer nobody reviewed, within the agency's days."""
    gaps = repository.open_flags_of_rule(GAP.rule_id)
    acts = repository.actions(row["action_id"] for row in gaps)
    broken = [one for row in gaps if (one := _break(row, acts.get(row["action_id"])))]
    found = [flag for one in broken for flag in interruption(one, now_ms, policy)]
    return Watched(found, repository.open_flags_of_rule(INTERRUPTION.rule_id))


def _break(row: Row, action: EnforcementAction | None) -> Interruption | None:
    gaps = loads(row["inputs"])["gaps"]
    if action is None or not gaps:
        return None
    longest = max((Interval(gap["start_ms"], gap["end_ms"]) for gap in gaps), key=lambda span: span.length_ms)
    return Interruption(action, longest, row["explanation"], reviewed=row["stage"] == "reviewed")


def backlogs(repository: Repository, now_ms: int, policy: Policy) -> Watched:
    """Units whose oldest clip that belongs to nothing, and that nobody has looked at, has waited for too long."""
    waiting = [Backlog(*one) for one in repository.people.backlogs(now_ms - policy.backlog_ms)]
    found = [flag for one in waiting for flag in unlinked_backlog(one, now_ms, policy)]
    return Watched(found, repository.open_flags_of_rule(BACKLOG.rule_id))


def decided(repository: Repository, now_ms: int, policy: Policy) -> Watched:
    """Legal reviews, major decisions and publications that are late or lacking."""
    reviews, made = repository.decided.reviews(), repository.decided.decisions()
    found = [flag for one in due.reviews(reviews) for flag in review_overdue(one, now_ms, policy)]
    found += [flag for one in due.major_decisions(made, reviews) for flag in decision_unreviewed(one, policy)]
    found += [flag for one in due.publications(made) for flag in disclosure_overdue(one, now_ms, policy)]
    rules = (OVERDUE, UNREVIEWED, DISCLOSURE)
    return Watched(found, [row for rule in rules for row in repository.open_flags_of_rule(rule.rule_id)])


def _clock(repository: Repository, recorder: str, policy: Policy) -> list[Flag]:
    readings = _readings(repository.measured_clips(recorder), policy)
    latest = next(readings, None)
    if latest is None:
        return []
    before = next((one for one in readings if one.measured_ms < latest.measured_ms - OTHER_DOCKING_MS), None)
    return clock_drift(latest, None if before is None or _was_set(latest, before) else before, policy)


def _reset(repository: Repository, recorder: str, policy: Policy) -> list[Flag]:
    """By the files of its latest docking; one that states an impossible time is enough."""
    latest_ms: int | None = None
    for row in repository.measured_clips(recorder):
        latest_ms = row["copied_ms"] if latest_ms is None else latest_ms
        if row["copied_ms"] < latest_ms - OTHER_DOCKING_MS:
            return []
        stated = impossible_time(loads(row["media"]))
        if stated:
            entry = f"{row['log']}:{row['seq']}"
            return clock_reset(ClockReset(recorder, row["station"], row["copied_ms"], stated, entry), policy)
    return []


def impossible_time(media: JsonObject) -> str:
    """A time that only a clock without its date states, as it was found; empty when there is none.

    The container's is not asked, which many recorders leave at the beginning of its calendar for good, nor the
    modification time, which a file that was handed in may have lost on its way.
    """
    told = ((text_in(one, "source"), text_in(one, "note"), text_in(one, "raw")) for one in list_in(media, "times"))
    return next((raw for source, note, raw in told if source in _DATED and note in _BEGINNINGS), "")


_DATED: Final = frozenset({"file-name", "exif"})
_BEGINNINGS: Final = frozenset({"before-2000", "factory-default"})
"""Notes of a station on a reading (``media.times``)."""


def _was_set(now: ClockReading, before: ClockReading) -> bool:
    """A clock that is nearer to the truth than it was has been set in between: it tells nothing of its drift."""
    return abs(now.offset_ms) < abs(before.offset_ms)


def _readings(rows: Iterable[Row], policy: Policy) -> Iterator[ClockReading]:
    """The clock readings that stand with a recorder's clips, latest first."""
    for row in rows:
        measured = offset_of(loads(row["media"]), policy.unmeasured_clock_ms)
        if measured:
            entry = f"{row['log']}:{row['seq']}"
            yield ClockReading(row["recorder"], row["station"], row["copied_ms"], *measured, entry)


def offset_of(media: JsonObject, unmeasured_clock_ms: int) -> tuple[int, int] | None:
    """A clock's offset and how far it may be wrong, ms, as measured at the dock; None when it was not.

    What the station's own clock may be off by is no fault of the recorder's.
    """
    clock = object_in(media, "clock")
    offset_ms, uncertainty_ms = integer_in(clock, "offset_ms"), integer_in(clock, "uncertainty_ms")
    if offset_ms is None or uncertainty_ms is None:
        return None
    return offset_ms, uncertainty_ms + station_error_ms(clock, unmeasured_clock_ms)

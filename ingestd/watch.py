"""What rules ask of recorders and units rather than of one act: facts gathered from rows, flags decided by the rules.

A recorder's clock is asked after whenever something new came from it; the backlog of a unit is asked after by time, for
it grows while nothing comes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from custody.canonical import JsonObject
from ingestd.disclosure import due
from ingestd.index.repository import Repository
from ingestd.index.rows import Row, integer_in, loads, object_in
from ingestd.model import Flag
from ingestd.rules.clock_drift import RULE as CLOCK
from ingestd.rules.clock_drift import clock_drift
from ingestd.rules.decision_unreviewed import RULE as UNREVIEWED
from ingestd.rules.decision_unreviewed import decision_unreviewed
from ingestd.rules.disclosure_overdue import RULE as DISCLOSURE
from ingestd.rules.disclosure_overdue import disclosure_overdue
from ingestd.rules.facts import Backlog, ClockReading
from ingestd.rules.review_overdue import RULE as OVERDUE
from ingestd.rules.review_overdue import review_overdue
from ingestd.rules.rule import HOUR_MS, Policy
from ingestd.rules.unlinked_backlog import RULE as BACKLOG
from ingestd.rules.unlinked_backlog import unlinked_backlog

OTHER_DOCKING_MS: Final = HOUR_MS
"""Copies of one recorder that lie farther apart belong to two dockings, each with its own reading of the clock."""


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
    readings = _readings(repository.measured_clips(recorder))
    latest = next(readings, None)
    if latest is None:
        return []
    before = next((one for one in readings if one.measured_ms < latest.measured_ms - OTHER_DOCKING_MS), None)
    return clock_drift(latest, None if before is None or _was_set(latest, before) else before, policy)


def _was_set(now: ClockReading, before: ClockReading) -> bool:
    """A clock that is nearer to the truth than it was has been set in between: it tells nothing of its drift."""
    return abs(now.offset_ms) < abs(before.offset_ms)


def _readings(rows: Iterable[Row]) -> Iterator[ClockReading]:
    """The clock readings that stand with a recorder's clips, latest first."""
    for row in rows:
        measured = offset_of(loads(row["media"]))
        if measured:
            entry = f"{row['log']}:{row['seq']}"
            yield ClockReading(row["recorder"], row["station"], row["copied_ms"], *measured, entry)


def offset_of(media: JsonObject) -> tuple[int, int] | None:
    """A clock's offset and how far it may be wrong, ms, as measured at the dock; None when it was not."""
    clock = object_in(media, "clock")
    offset_ms, uncertainty_ms = integer_in(clock, "offset_ms"), integer_in(clock, "uncertainty_ms")
    return None if offset_ms is None or uncertainty_ms is None else (offset_ms, uncertainty_ms)

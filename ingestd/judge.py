"""Which links, coverages and flags follow from the tables now: asks the pure rooms, writes nothing.

SQL narrows (actions by officer and time, clips by action), ``link.decide``, ``coverage.cover`` and ``rules.evaluate``
decide, and only the difference to what the tables hold comes out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ingestd import link
from ingestd.coverage import cover
from ingestd.index.people import MANUAL
from ingestd.index.repository import Repository
from ingestd.index.rows import Row, clip_value, flag_value, interval_of
from ingestd.model import (
    Assignment,
    Clip,
    Coverage,
    Decision,
    EnforcementAction,
    Flag,
    Interval,
    Link,
    Suggestion,
    case_key,
)
from ingestd.rules import Policy, evaluate
from ingestd.rules.rule import DAY_MS

V = TypeVar("V")


@dataclass(slots=True)
class Verdicts:
    """What has to be written. ``actions`` are those whose coverage must be computed again."""

    linked: list[tuple[Link, str]] = field(default_factory=list)
    """New or changed links, each with its case."""
    unlinked: list[tuple[Link, str]] = field(default_factory=list)
    """Links that no longer hold, each with the reason."""
    suggestions: list[Suggestion] = field(default_factory=list)
    actions: set[str] = field(default_factory=set)


@dataclass(slots=True)
class FlagChanges:
    """Flags that appear, change or no longer hold, and the coverages they rest on."""

    coverages: list[Coverage] = field(default_factory=list)
    set: list[Flag] = field(default_factory=list)
    changed: list[Flag] = field(default_factory=list)
    cleared: list[Flag] = field(default_factory=list)

    def add(self, more: "FlagChanges") -> None:
        """Take in what was found about other actions."""
        self.coverages += more.coverages
        self.set += more.set
        self.changed += more.changed
        self.cleared += more.cleared


def settle_officers(repository: Repository, rows: Iterable[Row]) -> None:
    """Fill in who wore the recorder: the ledger first, then what the media or the device state."""
    described = [row for row in rows if row["status"] != "received"]
    ledger = repository.assignments({row["recorder"] for row in described})
    stated = {row["object_id"]: row["officer_stated"] or row["officer_camera"] for row in described}
    roster = repository.roster(link.ending(number) for number in stated.values() if number)
    for row in described:
        issued: Sequence[Assignment] = ledger.get(row["recorder"], ())
        row["officer"], row["officer_source"] = link.resolve_officer(
            row["recorder"], interval_of(row), issued, stated[row["object_id"]], roster
        )


def relink(repository: Repository, rows: Iterable[Row], fresh: Callable[[str], bool] = lambda _: False) -> Verdicts:
    """Decide anew where the clips of ``rows`` belong; ``fresh`` says of which there can be no link yet.

    Nobody has linked or parted what the centre did not have: of a fresh clip neither is asked.

    Sets the ``suggestions`` count of each row.
    """
    described = [row for row in rows if row["status"] != "received"]
    clips = {row["object_id"]: clip_value(row) for row in described}
    linkable = {row["object_id"] for row in described if row["status"] == "indexed"}
    near = _Candidates(repository, [clip for clip in clips.values() if clip.object_id in linkable])
    known = [object_id for object_id in clips if not fresh(object_id)]
    before = _by(repository.links_of_clips(known), lambda one: one.object_id)
    parted = repository.people.parted(known)
    verdicts = Verdicts()
    for row in described:
        clip = clips[row["object_id"]]
        decision = link.decide(clip, near.of(clip)) if clip.object_id in linkable else Decision(reason=row["reason"])
        decision = _without(decision, parted) if parted else decision
        _compare(verdicts, before.get(clip.object_id, []), decision, near.all)
        row["suggestions"] = len(decision.suggestions)
    return verdicts


def assess(
    repository: Repository, verdicts: Verdicts, rows: Mapping[str, Row], now_ms: int, policy: Policy
) -> FlagChanges:
    """Coverage and flags of ``verdicts.actions``, as they are once ``verdicts`` are written; ``rows`` are in hand."""
    actions = repository.actions(sorted(verdicts.actions))
    linked = _links_after(repository, verdicts, actions)
    missing = {clip for clips in linked.values() for clip in clips} - rows.keys()
    known = {**repository.clips(sorted(missing)), **rows}
    issued = repository.issued_to({officer for action in actions.values() for officer in action.officers})
    standing = _by(repository.open_flags_of_actions(actions).values(), lambda row: row["action_id"])
    changes = FlagChanges()
    for action_id, action in actions.items():
        clips = [clip_value(known[i]) for i in sorted(linked[action_id]) if i in known]
        coverage = cover(action, clips, _issued(issued, action))
        changes.coverages.append(coverage)
        compare_flags(changes, standing.get(action_id, []), _found(action, coverage, clips, now_ms, policy))
    return changes


def _found(
    action: EnforcementAction, coverage: Coverage, clips: Sequence[Clip], now_ms: int, policy: Policy
) -> list[Flag]:
    return evaluate(action, coverage, now_ms, policy, {clip.recorder for clip in clips})


def compare_flags(changes: FlagChanges, standing: Iterable[Row], found: Iterable[Flag]) -> None:
    """Put the difference between open flags and those that hold now into ``changes``."""
    before = {row["flag_id"]: flag_value(row) for row in standing}
    after = {flag.flag_id: flag for flag in found}
    changes.set.extend(flag for key, flag in after.items() if key not in before)
    changes.changed.extend(flag for key, flag in after.items() if key in before and before[key] != flag)
    changes.cleared.extend(flag for key, flag in before.items() if key not in after)


def _near_in_time(spans: Iterable[tuple[str, Interval]]) -> Iterator[list[tuple[str, Interval]]]:
    """Parts that lie within a day of each other, so that a clip of a clock that was reset asks for no further years."""
    near: list[tuple[str, Interval]] = []
    last_ms = 0
    for officer, span in sorted(spans, key=lambda one: one[1].start_ms):
        if near and span.start_ms > last_ms + DAY_MS:
            yield near
            near = []
        last_ms = max(last_ms, span.end_ms) if near else span.end_ms
        near.append((officer, span))
    if near:
        yield near


class _Candidates:
    """Actions that may concern any of some clips, looked up once for all of them."""

    def __init__(self, repository: Repository, clips: Sequence[Clip]) -> None:
        spans = [(clip.officer, clip.interval) for clip in clips if clip.officer and clip.interval]
        keys = {key for clip in clips if (key := case_key(clip.case_stated))}
        self.all: dict[str, EnforcementAction] = repository.actions_of_cases(sorted(keys)) if keys else {}
        self._of_case = _by(self.all.values(), lambda action: case_key(action.case))
        self._of_officer: dict[str, list[EnforcementAction]] = defaultdict(list)
        self._look_up(repository, spans)

    def _look_up(self, repository: Repository, spans: Sequence[tuple[str, Interval]]) -> None:
        found: dict[str, EnforcementAction] = {}
        for near in _near_in_time(spans):
            officers = sorted({officer for officer, _ in near})
            first, last = min(span.start_ms for _, span in near), max(span.end_ms for _, span in near)
            found |= repository.actions_near(officers, first, last)
        self.all.update(found)
        for action in found.values():
            for officer in action.officers:
                self._of_officer[officer].append(action)

    def of(self, clip: Clip) -> list[EnforcementAction]:
        """Actions that may concern ``clip``, each once."""
        span = clip.interval
        mine = [a for a in self._of_officer.get(clip.officer, ()) if span and link.within_margin(span, a)]
        stated = self._of_case.get(case_key(clip.case_stated), []) if clip.case_stated else []
        return list({a.action_id: a for a in (*mine, *stated)}.values())


def _without(decision: Decision, parted: set[tuple[str, str]]) -> Decision:
    """What people parted is neither linked nor suggested again."""
    return replace(
        decision,
        links=tuple(one for one in decision.links if (one.object_id, one.action_id) not in parted),
        suggestions=tuple(one for one in decision.suggestions if (one.object_id, one.action_id) not in parted),
    )


def _compare(
    verdicts: Verdicts, before: Sequence[Link], decision: Decision, actions: Mapping[str, EnforcementAction]
) -> None:
    kept = {one.action_id: one for one in before if one.method == MANUAL}
    old = {one.action_id: one for one in before if one.method != MANUAL}
    new = {one.action_id: one for one in decision.links if one.action_id not in kept}
    verdicts.linked.extend((one, actions[key].case) for key, one in new.items() if old.get(key) != one)
    reason = decision.reason or "another-action-fits"
    verdicts.unlinked.extend((one, reason) for key, one in old.items() if key not in new)
    verdicts.suggestions.extend(one for one in decision.suggestions if one.action_id not in kept)
    verdicts.actions.update(old.keys(), new.keys(), kept.keys())


def _links_after(
    repository: Repository, verdicts: Verdicts, actions: Mapping[str, EnforcementAction]
) -> dict[str, set[str]]:
    """Clips of each action once ``verdicts`` are written."""
    after: dict[str, set[str]] = {action_id: set() for action_id in actions}
    for one in repository.links_of_actions(actions):
        after[one.action_id].add(one.object_id)
    for one, _ in verdicts.unlinked:
        after.get(one.action_id, set()).discard(one.object_id)
    for one, _ in verdicts.linked:
        after.get(one.action_id, set()).add(one.object_id)
    return after


def _issued(issued: Mapping[str, list[Assignment]] | None, action: EnforcementAction) -> list[Assignment] | None:
    if issued is None:
        return None
    return [entry for officer in action.officers for entry in issued.get(officer, ())]


def _by(values: Iterable[V], key: Callable[[V], str]) -> dict[str, list[V]]:
    grouped: dict[str, list[V]] = {}
    for value in values:
        grouped.setdefault(key(value), []).append(value)
    return grouped

"""Looking at clips and actions anew: what would change, in what is recorded and in what can be computed again.

The usual course re-links exactly what new facts touch. This is for everything that is no fact of a unit of work: a new
version of the rules, or somebody who wants to see that there is nothing to change. Nothing is written here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from ingestd.errors import RefusedError
from ingestd.index.repository import Repository
from ingestd.index.rows import Row
from ingestd.judge import Verdicts, assess, relink, settle_officers
from ingestd.model import Coverage, Flag, Link, Suggestion
from ingestd.rules import Policy

V = TypeVar("V")
Judge = Callable[[Sequence[str]], None]
PART: Final = 500
"""Most clips or actions that are judged, and written, in one go."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at: one clip, one action with every clip that it may concern, or with neither named everything."""

    clip: str = ""
    action: str = ""


@dataclass(slots=True)
class Relinked:
    """What changed, or would change."""

    clips: int = 0
    """How many clips were looked at."""
    actions: int = 0
    """How many actions were looked at."""
    officers: dict[str, str] = field(default_factory=dict)
    """Clips whose wearer is another one now, and who."""
    linked: list[Link] = field(default_factory=list)
    """Links that are new, or whose method, score, reasons or rule version changed."""
    unlinked: list[tuple[Link, str]] = field(default_factory=list)
    """Links that no longer hold, each with the reason."""
    suggested: dict[str, tuple[Suggestion, ...]] = field(default_factory=dict)
    """Clips whose suggestions differ, and what they are now."""
    covered: dict[str, Coverage] = field(default_factory=dict)
    """Actions whose coverage differs, and what it is now."""
    flags_set: list[Flag] = field(default_factory=list)
    flags_changed: list[Flag] = field(default_factory=list)
    flags_cleared: list[Flag] = field(default_factory=list)
    odd_clips: list[str] = field(default_factory=list)
    """Clips that cannot be judged; a real run sets them aside with a flag."""
    odd_actions: list[str] = field(default_factory=list)
    """Actions that cannot be judged."""

    @property
    def nothing(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.touched_clips or self.touched_actions)

    @property
    def touched_clips(self) -> set[str]:
        """Clips of which something changes."""
        links = {one.object_id for one in (*self.linked, *(gone for gone, _ in self.unlinked))}
        return links | self.officers.keys() | self.suggested.keys() | set(self.odd_clips)

    @property
    def touched_actions(self) -> set[str]:
        """Actions of which something changes."""
        flags = {one.action_id for one in (*self.flags_set, *self.flags_changed, *self.flags_cleared)}
        links = {one.action_id for one in (*self.linked, *(gone for gone, _ in self.unlinked))}
        return links | flags | self.covered.keys() | set(self.odd_actions)

    def add(self, more: "Relinked") -> None:
        """Take in what was done about others."""
        self.officers |= more.officers
        self.linked += more.linked
        self.unlinked += more.unlinked
        self.suggested |= more.suggested
        self.covered |= more.covered
        self.flags_set += more.flags_set
        self.flags_changed += more.flags_changed
        self.flags_cleared += more.flags_cleared
        self.odd_clips += more.odd_clips
        self.odd_actions += more.odd_actions

    def parts(self) -> Iterator[tuple[list[str], list[str]]]:
        """What is touched, clips first, a part at a time."""
        for clips in in_parts(sorted(self.touched_clips)):
            yield clips, []
        for actions in in_parts(sorted(self.touched_actions)):
            yield [], actions


@dataclass(frozen=True, slots=True)
class Look:
    """With what eyes: the present time, the agency's policy, and which faults a signed fact may make of our code."""

    now_ms: int
    policy: Policy
    faults: tuple[type[Exception], ...]


def wanted_ids(repository: Repository, wanted: Wanted) -> tuple[Iterable[str], Iterable[str]]:
    """Clips and actions to look at. Raises ``RefusedError`` when the one that is named does not exist."""
    if wanted.clip:
        if not repository.clips([wanted.clip]):
            raise RefusedError(f"there is no clip {wanted.clip}")
        return [wanted.clip], []
    if wanted.action:
        action = repository.actions([wanted.action]).get(wanted.action)
        if action is None:
            raise RefusedError(f"there is no action {wanted.action}")
        return sorted(repository.clips_near(action)), [wanted.action]
    return _every(repository, "clip"), _every(repository, "action")


def differences(repository: Repository, clips: Iterable[str], actions: Iterable[str], look: Look) -> Relinked:
    """What the rules say of ``clips``, ``actions`` and whatever the clips are linked to, and the tables do not.

    Reads only. Clips and actions are read a part at a time; what is remembered of all of them are the differences.
    """
    found, verdicts = Relinked(), Verdicts()
    for object_ids in in_parts(clips):
        found.clips += len(object_ids)
        _attempt(repository, found.odd_clips, object_ids, look, lambda ids: _clips(repository, ids, found, verdicts))
    links, linked = _by_action(verdicts), verdicts.actions
    for action_ids in in_parts(_named_first(actions, linked)):
        found.actions += len(action_ids)
        _attempt(
            repository, found.odd_actions, action_ids, look, lambda ids: _actions(repository, ids, links, look, found)
        )
    return found


def in_parts(values: Iterable[V]) -> Iterator[list[V]]:
    """``values`` in order, a part at a time."""
    iterator = iter(values)
    while part := list(islice(iterator, PART)):
        yield part


def _every(repository: Repository, table: str) -> Iterator[str]:
    return (key for part in repository.in_parts(table) for key in part)


def _named_first(actions: Iterable[str], linked: set[str]) -> Iterator[str]:
    """Each action once: those that were asked for, then the others to which looked-at clips are linked."""
    for action_id in actions:
        linked.discard(action_id)
        yield action_id
    yield from sorted(linked)


def _attempt(repository: Repository, unjudged: list[str], ids: Sequence[str], look: Look, judge: Judge) -> None:
    """Judge a part; where something in it cannot be judged, each by itself."""
    try:
        with repository.attempt():
            judge(ids)
    except look.faults:
        if len(ids) == 1:
            unjudged.append(ids[0])
            return
        for one in ids:
            _attempt(repository, unjudged, [one], look, judge)


def _clips(repository: Repository, object_ids: Sequence[str], found: Relinked, verdicts: Verdicts) -> None:
    rows = repository.clips(object_ids)
    worn = {key: (row["officer"], row["officer_source"]) for key, row in rows.items()}
    settle_officers(repository, rows.values())
    part = relink(repository, rows.values())
    before = _grouped(repository.suggestions_of_clips(object_ids))
    after = _grouped(part.suggestions)
    found.officers |= {key: row["officer"] for key, row in rows.items() if _wearer(row) != worn[key]}
    found.suggested |= {key: tuple(after.get(key, ())) for key in rows if before.get(key, []) != after.get(key, [])}
    found.linked += [one for one, _ in part.linked]
    found.unlinked += part.unlinked
    verdicts.linked += part.linked
    verdicts.unlinked += part.unlinked
    verdicts.actions |= part.actions


def _wearer(row: Row) -> tuple[str, str]:
    return row["officer"], row["officer_source"]


def _actions(
    repository: Repository, action_ids: Sequence[str], links: Mapping[str, Verdicts], look: Look, found: Relinked
) -> None:
    verdicts = Verdicts(actions=set(action_ids))
    for action_id in action_ids:
        if action_id in links:
            verdicts.linked += links[action_id].linked
            verdicts.unlinked += links[action_id].unlinked
    changes = assess(repository, verdicts, {}, look.now_ms, look.policy)
    before = repository.coverages(action_ids)
    found.covered |= {one.action_id: one for one in changes.coverages if before.get(one.action_id) != one}
    found.flags_set += changes.set
    found.flags_changed += changes.changed
    found.flags_cleared += changes.cleared


def _by_action(verdicts: Verdicts) -> dict[str, Verdicts]:
    links: dict[str, Verdicts] = {}
    for one, case in verdicts.linked:
        links.setdefault(one.action_id, Verdicts()).linked.append((one, case))
    for one, reason in verdicts.unlinked:
        links.setdefault(one.action_id, Verdicts()).unlinked.append((one, reason))
    return links


def _grouped(suggestions: Iterable[Suggestion]) -> dict[str, list[Suggestion]]:
    """By clip, in one order."""
    grouped: dict[str, list[Suggestion]] = {}
    for one in sorted(suggestions, key=lambda s: (s.object_id, s.action_id)):
        grouped.setdefault(one.object_id, []).append(one)
    return grouped

"""What people may decide, and when it is refused: each decision looks at the tables and becomes facts for the log.

A decision is made inside a unit of work (``Pipeline.decide``), so that nothing it rests on changes before it is
recorded. Refusals are ``RefusedError``: one sentence, what, why, and what would be right.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from custody.authority import APPROVERS
from custody.canonical import JsonObject
from custody.identifiers import is_uuid7, person_key, uuid7
from ingestd.errors import RefusedError
from ingestd.index.people import MANUAL
from ingestd.index.repository import Repository
from ingestd.index.rows import Row
from ingestd.link import RULE_VERSION
from ingestd.model import case_key, is_one_line

Fact = tuple[str, JsonObject]
"""An event and its blocks."""
Decision = Callable[[Repository, int], Sequence[Fact]]
"""From the tables and the time now (ms) to facts. Raises ``RefusedError``."""

LONGEST: Final = 2000
"""Characters of a reason or an explanation."""
_DAY_MS: Final = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Person:
    """Who decides, and why."""

    name: str
    reason: str

    def __post_init__(self) -> None:
        for field, value, most in (("--by", self.name, 200), ("--reason", self.reason, LONGEST)):
            if not value.strip() or len(value) > most or not is_one_line(value):
                raise RefusedError(f"{field}: 1 to {most} characters on one line are needed")

    @property
    def blocks(self) -> dict[str, JsonObject | list[JsonObject] | str]:
        """``actors`` and ``reason`` of an entry."""
        return {"actors": [{"role": "person", "id": self.name}], "reason": self.reason}


def link(object_id: str, action_id: str, who: Person) -> Decision:
    """A person says that a clip belongs to an action; no machine undoes it."""

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        clip_of(repository, object_id)
        action = repository.actions([action_id]).get(action_id)
        if action is None:
            raise RefusedError(f"there is no action {action_id}")
        if repository.people.link(object_id, action_id) == MANUAL:
            raise RefusedError(f"clip {object_id} is linked to action {action_id} by hand already")
        if repository.people.is_disposed(object_id):
            raise RefusedError(f"clip {object_id} was disposed of")
        return [("case.linked", {"link": _link(object_id, action_id, who, action.case), **who.blocks})]

    return decide


def unlink(object_id: str, action_id: str, who: Person) -> Decision:
    """A person says that a clip does not belong to an action; no machine links it again."""

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        clip_of(repository, object_id)
        if not repository.people.link(object_id, action_id):
            raise RefusedError(f"clip {object_id} is not linked to action {action_id}")
        return [("case.unlinked", {"link": _link(object_id, action_id, who, ""), **who.blocks})]

    return decide


def hold(object_id: str, case: str, who: Person) -> Decision:
    """Forbid the disposal of a clip, or of every clip of a case, until the hold is released."""

    def decide(repository: Repository, now_ms: int) -> list[Fact]:
        if bool(object_id) is bool(case):
            raise RefusedError("a hold is on --object or on --case, one of them")
        if object_id:
            clip_of(repository, object_id)
        else:
            known_case(repository, case)
        on: JsonObject = {"object": object_id} if object_id else {"case": case, "case_key": case_key(case)}
        return [("hold.set", {"hold": {"id": uuid7(now_ms, os.urandom(10)), **on}, **who.blocks})]

    return decide


def release(hold_id: str, who: Person) -> Decision:
    """End a hold."""

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        found = repository.people.hold(hold_id)
        if found is None or found["released_ms"] is not None:
            raise RefusedError(f"no hold {hold_id} is in force; `ingestd holds list` names those that are")
        return [("hold.released", {"hold": {"id": hold_id}, **who.blocks})]

    return decide


def approve_disposal(object_id: str, who: Person, keep_days: int) -> Decision:
    """One of two people agrees that an original may go. Nothing is deleted here, nor anywhere in this program.

    ``keep_days`` are counted from when the centre read it back and said so in its log.
    """

    def decide(repository: Repository, now_ms: int) -> list[Fact]:
        may_go(repository, object_id, now_ms, keep_days)
        approvers = repository.people.approvers(object_id)
        if person_key(who.name) in map(person_key, approvers):
            raise RefusedError(f"{who.name} has approved this already; a second person is needed")
        if len(approvers) >= APPROVERS:
            raise RefusedError(f"{' and '.join(approvers)} have approved this already")
        return [("disposal.approved", {"disposal": {"object": object_id}, **who.blocks})]

    return decide


def may_go(repository: Repository, object_id: str, now_ms: int, keep_days: int) -> None:
    """Raises ``RefusedError`` for an original that nobody may approve the disposal of."""
    clip = clip_of(repository, object_id)
    if repository.people.is_disposed(object_id):
        raise RefusedError(f"clip {object_id} was disposed of already")
    if clip["links"]:
        raise RefusedError(f"clip {object_id} is linked to an action: it is kept as long as the file of its case")
    _not_held(repository, object_id)
    age_ms = now_ms - _verified_ms(repository, clip)
    if age_ms < keep_days * _DAY_MS:
        raise RefusedError(f"clip {object_id} is {age_ms // _DAY_MS} days old here; it is kept for {keep_days}")
    if not repository.people.reviewed(object_id):
        raise RefusedError(f"clip {object_id} belongs to no action, and nobody has looked at it: look at it first")


def record_disposal(object_id: str, who: Person, is_stored: Callable[[str], bool]) -> Decision:
    """Record that an original whose disposal two people approved is gone, with all that was derived from it.

    ``is_stored`` asks the evidence store for a name.
    """

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        clip = clip_of(repository, object_id)
        if repository.people.is_disposed(object_id):
            raise RefusedError(f"clip {object_id} was disposed of already")
        approvers = repository.people.approvers(object_id)
        people = {*map(person_key, approvers)}
        if len(people) < APPROVERS:
            raise RefusedError(f"{len(people)} of {APPROVERS} people have approved that clip {object_id} may go")
        if clip["links"]:
            raise RefusedError(
                f"clip {object_id} was linked to an action after the approval: it is missing, not disposed"
            )
        _not_held(repository, object_id)
        derived = repository.people.derived(object_id)
        for name in (clip["name"], *(row["name"] for row in derived)):
            if is_stored(name):
                raise RefusedError(
                    f"the store still holds {name}: whoever runs the store removes it, then this is recorded"
                )
        gone: JsonObject = {
            "object": object_id,
            "sha256": clip["sha256"],
            "derived": [row["object_id"] for row in derived],
            "approved_by": list(approvers),
        }
        return [("disposal.done", {"disposal": gone, **who.blocks})]

    return decide


def known_case(repository: Repository, case: str) -> None:
    """Raises ``RefusedError`` for a case that neither a register names nor a clip states, however it is spelt."""
    if not repository.people.case_is_known(case):
        raise RefusedError(f"there is no case {case!r}: no register names it and no clip states it; import it first")


def clip_of(repository: Repository, object_id: str) -> Row:
    """Raises ``RefusedError`` for a clip that is not there."""
    found = repository.clips([object_id]).get(object_id) if is_uuid7(object_id) else None
    if found is None:
        raise RefusedError(f"there is no clip {object_id}")
    return found


def _verified_ms(repository: Repository, clip: Row) -> int:
    """When the centre last read the original back as signed, by its own clock: a station's may be years behind.

    What was lost or altered is to be looked into; a disposal would make a loss look like an order.
    """
    since_ms = repository.people.verified_ms(clip["object_id"])
    if clip["verdict"] != "verified" or since_ms is None:
        raise RefusedError(
            f"clip {clip['object_id']} is {clip['verdict']}, not verified: find out why, it is not to be disposed of"
        )
    return since_ms


def _not_held(repository: Repository, object_id: str) -> None:
    holds = repository.people.holds_on(object_id, repository.people.case_keys(object_id))
    if holds:
        raise RefusedError(f"clip {object_id} is on hold: {', '.join(holds)}")


def _link(object_id: str, action_id: str, who: Person, case: str) -> JsonObject:
    block: JsonObject = {
        "object": object_id,
        "action": action_id,
        "method": MANUAL,
        "score": 100,
        "reasons": [who.reason],
        "rule_version": RULE_VERSION,
    }
    return {**block, "case": case} if case else block

"""The life of a flag in people's hands: open → explained → reviewed → closed, each step by somebody and for good.

Facts withdraw a flag (``flag.cleared``) whatever people said of it, and facts that change reopen one that was closed:
nobody closes what he has not seen. Every explanation, review and closing stays in the log and with the flag.
Sources: 人民法院庭审录音录像的若干规定 第四条、第五条 as the model (a fault is explained in writing, reviewed and
signed); the three grounds of ``rules.exemption``.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from custody.canonical import JsonObject
from custody.identifiers import person_key
from ingestd.decisions import Decision, Fact, Person
from ingestd.errors import RefusedError
from ingestd.index.repository import Repository
from ingestd.index.rows import Row
from ingestd.rules.exemption import Exemption, objections
from ingestd.rules.key_review import RULE as REVIEW
from ingestd.rules.original_changed import RULE as CHANGED
from ingestd.rules.set_aside import RULE as ASIDE


class Status(StrEnum):
    """Where a flag stands."""

    OPEN = "open"
    """Nobody has said anything of it yet."""
    EXPLAINED = "explained"
    RETURNED = "returned"
    """The explanation was not enough: another one is due."""
    REVIEWED = "reviewed"
    """The explanation was accepted; the flag stands until it is closed on one of the grounds, or facts withdraw it."""
    CLOSED = "closed"
    CLEARED = "cleared"
    """Withdrawn: it no longer holds."""


LISTED: Final = ("open", "unexplained", "explained", "returned", "reviewed", "closed", "cleared", "all")
"""What lists of flags may be asked for: ``open`` are all that neither facts nor people have ended."""
INTEGRITY: Final = frozenset({CHANGED.rule_id, ASIDE.rule_id, REVIEW.rule_id})
"""Rules about evidence not as recorded: a ground excuses a recording that is missing, never one that differs."""
EXPLAINABLE: Final = frozenset({Status.OPEN, Status.EXPLAINED, Status.RETURNED, Status.REVIEWED, Status.CLEARED})


def status_of(row: Row) -> Status:
    """Where a flag stands, by its row: what facts say first, then what people said."""
    return Status(row["state"]) if row["state"] != "open" else Status(row["stage"] or "open")


def explain(flag_id: str, who: Person) -> Decision:
    """Say how a flag came about; the reason is the explanation. The flag stays what it is, and awaits review."""

    def decide(flag: Row) -> Fact:
        if status_of(flag) not in EXPLAINABLE:
            raise RefusedError(f"flag {flag_id} is closed; it opens again when what it rests on changes")
        said: JsonObject = {"flag": flag_id, "text": who.reason}
        return "flag.explained", {"explanation": said, "actors": [{"role": "person", "id": who.name}]}

    return _about(flag_id, decide)


def review(flag_id: str, who: Person, *, accepted: bool) -> Decision:
    """Accept an explanation or return it; the reason is the reviewer's opinion. Nobody reviews his own words."""

    def decide(flag: Row) -> Fact:
        if status_of(flag) is not Status.EXPLAINED:
            raise RefusedError(
                f"flag {flag_id} is {status_of(flag)}: only an explanation that awaits review is reviewed"
            )
        if person_key(who.name) == person_key(flag["explained_by"]):
            raise RefusedError(f"{who.name} has explained flag {flag_id}: somebody else reviews it")
        result = "accepted" if accepted else "returned"
        return "flag.reviewed", {"review": {"flag": flag_id, "result": result}, **who.blocks}

    return _about(flag_id, decide)


def close(flag_id: str, who: Person, ground: str) -> Decision:
    """Approve that a flag rests without a recording, on one of three grounds and against a reviewed explanation."""

    def decide(flag: Row) -> Fact:
        if status_of(flag) is not Status.REVIEWED:
            raise RefusedError(
                f"flag {flag_id} is {status_of(flag)}: only a flag whose explanation was accepted is closed"
            )
        if flag["rule"] in INTEGRITY:
            raise RefusedError(
                f"flag {flag_id} tells of evidence that is not as recorded: no ground ends it, facts alone do"
            )
        against = objections(Exemption(ground, who.reason, flag["explained_by"], who.name))
        if against:
            raise RefusedError(f"flag {flag_id}: {' '.join(f'{one.zh} {one.en}' for one in against)}")
        return "flag.closed", {"closing": {"flag": flag_id, "ground": ground}, **who.blocks}

    return _about(flag_id, decide)


def _about(flag_id: str, decide: Callable[[Row], Fact]) -> Decision:
    def decision(repository: Repository, _now_ms: int) -> list[Fact]:
        flag = repository.people.flag(flag_id)
        if flag is None:
            raise RefusedError(
                f"there is no flag {flag_id}; `ingestd flags list --state all --json` names them (flag_id)"
            )
        return [decide(flag)]

    return decision

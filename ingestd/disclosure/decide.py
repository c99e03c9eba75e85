"""Decisions of cases: recorded when made, withdrawn when they no longer stand. A major one needs its review."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from custody.canonical import JsonObject
from custody.identifiers import uuid7
from ingestd.decisions import Decision, Fact, Person, known_case
from ingestd.errors import RefusedError
from ingestd.index.repository import Repository
from ingestd.model import case_key, is_one_line
from ingestd.rules.wording import Both

LONGEST: Final = 2000
"""Characters of any text of a decision."""


class Kind(StrEnum):
    """What was decided."""

    PENALTY = "penalty"
    LICENCE = "licence"
    COERCION = "coercion"
    OTHER = "other"


class PartyKind(StrEnum):
    """Whom it concerns: a natural person's name is masked, an organisation's is published."""

    PERSON = "person"
    ORGANISATION = "organisation"


class Withheld(StrEnum):
    """Why a decision is not published (运政办〔2019〕3号 一（一）: 国家秘密、商业秘密、个人隐私)."""

    STATE_SECRET = "state-secret"  # noqa: S105  # a ground, no password
    TRADE_SECRET = "trade-secret"  # noqa: S105  # the same
    PRIVACY = "privacy"


KINDS: Final = {
    Kind.PENALTY: Both("行政处罚", "penalty"),
    Kind.LICENCE: Both("行政许可", "licence"),
    Kind.COERCION: Both("行政强制", "coercion"),
    Kind.OTHER: Both("其他行政执法决定", "other decision"),
}


@dataclass(frozen=True, slots=True)
class Made:
    """A decision as it is recorded. ``made_ms``: when it was made; ``review``: the passed review of a major one."""

    case: str
    kind: Kind
    made_ms: int
    party: str
    party_kind: PartyKind
    title: str
    conclusion: str
    unit: str = ""
    major: bool = False
    review: str = ""
    withheld: Withheld | None = None

    def __post_init__(self) -> None:
        texts = (("--party", self.party), ("--title", self.title), ("--conclusion", self.conclusion))
        for name, value in texts:
            if not value.strip() or len(value) > LONGEST or not is_one_line(value):
                raise RefusedError(f"{name}: 1 to {LONGEST} characters on one line are needed")


def record(made: Made, who: Person) -> Decision:
    """Record a decision. Without a review of this case that was passed before, a major one is refused."""

    def decide(repository: Repository, now_ms: int) -> list[Fact]:
        if made.made_ms > now_ms:
            raise RefusedError("--made: a decision cannot have been made in the future")
        known_case(repository, made.case)
        if made.major or made.review:
            _passed(repository, made)
        block: JsonObject = {
            "id": uuid7(now_ms, os.urandom(10)),
            "case": made.case,
            "case_key": case_key(made.case),
            "kind": made.kind.value,
            "major": int(made.major),
            "made_ms": made.made_ms,
            "unit": made.unit,
            "party": made.party,
            "party_kind": made.party_kind.value,
            "title": made.title,
            "conclusion": made.conclusion,
            "withheld": made.withheld.value if made.withheld else "",
            "review": made.review,
        }
        return [("decision.made", {"decision": block, **who.blocks})]

    return decide


def withdraw(decision_id: str, withdrawn_ms: int, who: Person) -> Decision:
    """Say that a decision was changed, revoked or found unlawful or void since; what is published of it comes down."""

    def decide(repository: Repository, now_ms: int) -> list[Fact]:
        found = repository.decided.decision(decision_id)
        if found is None:
            raise RefusedError(f"there is no decision {decision_id}; `ingestd decisions list` names them")
        if found["withdrawn_ms"] is not None:
            raise RefusedError(f"decision {decision_id} was withdrawn already")
        if not found["made_ms"] <= withdrawn_ms <= now_ms:
            raise RefusedError("--on: a day between the decision and today is needed")
        block: JsonObject = {"id": decision_id, "withdrawn_ms": withdrawn_ms}
        return [("decision.withdrawn", {"decision": block, **who.blocks})]

    return decide


def _passed(repository: Repository, made: Made) -> None:
    review = repository.decided.review(made.review) if made.review else None
    if review is None or review["case_key"] != case_key(made.case):
        raise RefusedError(
            f"a major decision of case {made.case} needs --review with a legal review of this case that was passed;"
            " 未经法制审核或者审核未通过的，不得作出决定"
        )
    if review["state"] != "agreed" or review["concluded_ms"] > made.made_ms:
        raise RefusedError(
            f"review {made.review} is {review['state']}, and must have been agreed to before the decision;"
            " 未经法制审核或者审核未通过的，不得作出决定"
        )

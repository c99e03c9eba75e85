"""What is to be published or taken down, and by when: facts for the rule ``disclosure-overdue``, and their list."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ingestd.calendar_cn import Deadline
from ingestd.disclosure.decide import Kind
from ingestd.index.rows import Row
from ingestd.rules.disclosure_overdue import days_of
from ingestd.rules.facts import Disclosure, MajorDecision, Publication, Review
from ingestd.rules.rule import Policy

_PUBLISHED_AS: Final = {Kind.PENALTY.value: Publication.PENALTY, Kind.LICENCE.value: Publication.LICENCE}


@dataclass(frozen=True, slots=True)
class Due:
    """One thing to be done, and its last working day, provisional where the calendar is."""

    fact: Disclosure
    by: Deadline
    overdue: bool


def publications(rows: Iterable[Row]) -> list[Disclosure]:
    """Every decision that has to be published, and every published one that was withdrawn since.

    What is withheld as secret or private is left out, and so is what was withdrawn before it was published.
    """
    found = []
    for row in rows:
        stands = row["withdrawn_ms"] is None
        if not row["withheld"] and (stands or row["published_ms"] is not None):
            kind = _PUBLISHED_AS.get(row["kind"], Publication.DECISION)
            found.append(_fact(row, kind, row["made_ms"], row["published_ms"]))
        if not stands and row["published_ms"] is not None:
            found.append(_fact(row, Publication.WITHDRAWAL, row["withdrawn_ms"], row["removed_ms"]))
    return found


def due(rows: Iterable[Row], now_ms: int, policy: Policy) -> list[Due]:
    """What is still to be done, the most pressing first."""
    waiting = (fact for fact in publications(rows) if fact.published_ms is None)
    found = (Due(fact, by := deadline(fact, policy), policy.is_over(by, now_ms)) for fact in waiting)
    return sorted(found, key=lambda one: (one.by.day, one.fact.subject))


def deadline(fact: Disclosure, policy: Policy) -> Deadline:
    """The last working day on which it is in time."""
    return policy.calendar.working_day_after(policy.day(fact.made_ms), days_of(fact.kind, policy))


def reviews(rows: Iterable[Row]) -> list[Review]:
    """Legal reviews as their rule sees them."""
    return [Review(row["case_number"], row["complete_ms"], bool(row["extended"]), row["concluded_ms"]) for row in rows]


def major_decisions(decisions: Iterable[Row], reviewed: Iterable[Row]) -> list[MajorDecision]:
    """Major decisions and when their review was passed."""
    passed = {row["review_id"]: row["concluded_ms"] for row in reviewed if row["state"] == "agreed"}
    return [
        MajorDecision(row["case_number"], row["made_ms"], passed.get(row["review_id"]))
        for row in decisions
        if row["major"]
    ]


def _fact(row: Row, kind: Publication, made_ms: int, published_ms: int | None) -> Disclosure:
    return Disclosure(row["decision_id"], row["case_number"], kind, made_ms, published_ms)

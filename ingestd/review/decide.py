"""What may be said in a legal review, and when it is refused: submitted → agreed, or problems → submitted again.

The clock runs from the day on which the material is complete, in working days (rule ``legal-review-overdue``). Whoever
submits does not review; the reviewing body's opinion is written and stays in the log.
"""

import os
from enum import StrEnum

from custody.canonical import JsonObject
from custody.identifiers import person_key, uuid7
from ingestd.decisions import Decision, Fact, Person, known_case
from ingestd.errors import RefusedError
from ingestd.index.repository import Repository
from ingestd.index.rows import Row
from ingestd.model import case_key, is_one_line

LONGEST_SUBJECT = 500
"""Characters of what is to be decided."""


class Result(StrEnum):
    """What an opinion comes to."""

    AGREED = "agreed"
    PROBLEMS = "problems"


def submit(case: str, subject: str, complete_ms: int, who: Person, review_id: str = "") -> Decision:
    """Hand a case in for review, its material complete since ``complete_ms``; ``review_id`` for a further round."""

    def decide(repository: Repository, now_ms: int) -> list[Fact]:
        if not subject.strip() or len(subject) > LONGEST_SUBJECT or not is_one_line(subject):
            raise RefusedError(f"--subject: 1 to {LONGEST_SUBJECT} characters on one line are needed")
        if complete_ms > now_ms:
            raise RefusedError("--complete: the material cannot be complete in the future")
        known_case(repository, case)
        if review_id:
            _returned(_review(repository, review_id), case)
        block: JsonObject = {
            "id": review_id or uuid7(now_ms, os.urandom(10)),
            "case": case,
            "case_key": case_key(case),
            "subject": subject,
            "complete_ms": complete_ms,
        }
        return [("review.submitted", {"review": block, **who.blocks})]

    return decide


def extend(review_id: str, who: Person) -> Decision:
    """Take the further working days that local rules allow for a difficult case, once in a round."""

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        review = _under_way(repository, review_id)
        if review["extended"]:
            raise RefusedError(f"review {review_id} was extended already")
        return [("review.extended", {"review": {"id": review_id}, **who.blocks})]

    return decide


def conclude(review_id: str, who: Person, result: Result) -> Decision:
    """Give the written opinion: agreed, or problems that are to be mended and submitted again."""

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        review = _under_way(repository, review_id)
        if person_key(who.name) == person_key(review["submitted_by"]):
            raise RefusedError(f"{who.name} has submitted review {review_id}: somebody else reviews it")
        block: JsonObject = {"id": review_id, "result": result.value}
        return [("review.concluded", {"review": block, **who.blocks})]

    return decide


def _review(repository: Repository, review_id: str) -> Row:
    found = repository.decided.review(review_id)
    if found is None:
        raise RefusedError(f"there is no review {review_id}; `ingestd review list` names them")
    return found


def _under_way(repository: Repository, review_id: str) -> Row:
    review = _review(repository, review_id)
    if review["state"] != "submitted":
        raise RefusedError(
            f"review {review_id} has its opinion already ({review['state']}); submit it again for another"
        )
    return review


def _returned(review: Row, case: str) -> None:
    if review["state"] != Result.PROBLEMS:
        raise RefusedError(f"review {review['review_id']} is {review['state']}: what had problems is submitted again")
    if review["case_key"] != case_key(case):
        raise RefusedError(f"review {review['review_id']} is of case {review['case_number']}, not of {case}")

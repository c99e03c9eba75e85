"""Until when an original is kept, and why: of catalogue, case and holds the longest wins, and nothing goes by itself.

Sources: 公安机关现场执法视音频记录工作规定 第十三条 (six months at least; for good where it is evidence, of coercive
enforcement or of obstruction), borrowed as a default by agencies that it does not bind; 运政办〔2019〕3号 一（二）3.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from ingestd.catalogue import Catalogues
from ingestd.catalogue import Retention as Term
from ingestd.decisions import may_go
from ingestd.errors import RefusedError
from ingestd.index.repository import Repository
from ingestd.index.rows import Row
from ingestd.model import case_key
from ingestd.rules.facts import Retention
from ingestd.rules.retention_conflict import RULE as CONFLICT
from ingestd.rules.retention_conflict import retention_conflict
from ingestd.rules.rule import DAY_MS, Policy
from ingestd.rules.wording import Both
from ingestd.watch import Watched


class Why(StrEnum):
    """What asks for the longest."""

    HOLD = "hold"
    PERMANENT = "permanent"
    CASE_FILE = "case-file"
    TERM = "term"
    """Days that the catalogue asks for an act."""
    MINIMUM = "minimum"
    """The least for every original."""


WHY: Final = {
    Why.HOLD: Both("已封存", "on hold"),
    Why.PERMANENT: Both("永久保存", "kept for good"),
    Why.CASE_FILE: Both("与案卷同期保存", "kept as long as the case file"),
    Why.TERM: Both("按执法行为目录的期限", "for the term of the catalogue"),
    Why.MINIMUM: Both("最低保存期限", "for the least term"),
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Until when an original is kept at least, in ms; None: no day is known on which it could go."""

    object_id: str
    until_ms: int | None
    why: Why
    proposable: bool
    """Whether it may be proposed for disposal now; two people and the store's keeper still have to act."""
    against: str = ""
    """Why not, in one sentence."""


def longest(terms: Iterable[Term], since_ms: int, keep_days: int, *, held: bool) -> tuple[int | None, Why]:
    """The longest of what asks for an original, counted from ``since_ms``."""
    asked = list(terms)
    if held:
        return None, Why.HOLD
    if "permanent" in asked:
        return None, Why.PERMANENT
    if "case-file" in asked:
        return None, Why.CASE_FILE
    days = max((term for term in asked if isinstance(term, int)), default=0)
    return since_ms + max(days, keep_days) * DAY_MS, Why.TERM if days > keep_days else Why.MINIMUM


def kept(repository: Repository, clip: Row, catalogues: Catalogues, now_ms: int, keep_days: int) -> Kept:
    """Until when this original is kept, by all that is known of it."""
    object_id = clip["object_id"]
    actions = repository.actions(link.action_id for link in repository.links_of_clips([object_id]))
    terms = [term for action in actions.values() for term in _terms(catalogues, action.type, action.interval.start_ms)]
    cases = repository.people.case_keys(object_id) | {case_key(action.case) for action in actions.values()}
    holds = repository.people.holds_on(object_id, cases)
    since_ms = repository.people.verified_ms(object_id) or clip["copied_ms"]
    until_ms, why = longest(terms, since_ms, keep_days, held=bool(holds))
    try:
        may_go(repository, object_id, now_ms, keep_days)
    except RefusedError as refusal:
        return Kept(object_id, until_ms, why, proposable=False, against=str(refusal))
    return Kept(object_id, until_ms, why, proposable=True)


def gone_too_soon(repository: Repository, catalogues: Callable[[], Catalogues], policy: Policy) -> Watched:
    """Originals recorded as gone that, by the acts they turned out to belong to, should have been kept for longer."""
    gone = repository.gone_and_linked()
    rows = repository.clips(gone)
    facts = (_as_gone(repository, row, gone[object_id], catalogues()) for object_id, row in rows.items())
    found = [flag for fact in facts for flag in retention_conflict(fact, policy)]
    return Watched(found, repository.open_flags_of_rule(CONFLICT.rule_id))


def _as_gone(repository: Repository, clip: Row, done_ms: int, catalogues: Catalogues) -> Retention:
    actions = repository.actions(link.action_id for link in repository.links_of_clips([clip["object_id"]]))
    terms = [term for action in actions.values() for term in _terms(catalogues, action.type, action.interval.start_ms)]
    days = max((term for term in terms if isinstance(term, int)), default=0)
    of_case = "case-file" in terms
    return Retention(
        object_id=clip["object_id"],
        taken_ms=clip["copied_ms"],
        kept_until_ms=done_ms,
        case=next((action.case for action in actions.values()), ""),
        case_until_ms=None if of_case else clip["copied_ms"] + days * DAY_MS,
        permanent="permanent" in terms,
    )


def proposable(repository: Repository, now_ms: int, keep_days: int, limit: int) -> list[str]:
    """At most ``limit`` clips that may be proposed for disposal, oldest first: those that no approval would refuse."""
    candidates = repository.people.unlinked_verified(now_ms - keep_days * DAY_MS)
    return list(islice(_allowed(repository, candidates, now_ms, keep_days), limit))


def _allowed(repository: Repository, candidates: Iterable[str], now_ms: int, keep_days: int) -> Iterator[str]:
    for object_id in candidates:
        try:
            may_go(repository, object_id, now_ms, keep_days)
        except RefusedError:
            continue
        yield object_id


def _terms(catalogues: Catalogues, type_id: str, at_ms: int) -> Iterator[Term]:
    """What the catalogue asked on the day of the act, and what it asks by now: a later version shortens nothing."""
    for found in (catalogues.named(type_id, at_ms), catalogues.versions[-1].catalogue.types.get(type_id)):
        if found is not None:
            yield found.retention

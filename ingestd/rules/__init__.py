"""Everything the product can notice: one pure rule a file, and ``RULES``, the ordered list of them.

A rule about an action is a function of the action, its coverage, the present time and the agency's policy. A rule about
integrity is found where the bytes are checked, and its file holds what it means and how its flag is made.
"""

from collections.abc import Callable
from typing import Final

from ingestd.model import Coverage, EnforcementAction, Flag
from ingestd.rules import anchor_missing as _unanchored
from ingestd.rules import clip_not_arrived as _not_arrived
from ingestd.rules import key_review as _review
from ingestd.rules import message_unverifiable as _unverifiable
from ingestd.rules import missing_video as _missing
from ingestd.rules import original_changed as _changed
from ingestd.rules import set_aside as _aside
from ingestd.rules import video_gap as _gap
from ingestd.rules.anchor_missing import anchor_missing
from ingestd.rules.clip_not_arrived import SeenFile, clip_not_arrived
from ingestd.rules.key_review import key_review
from ingestd.rules.message_unverifiable import message_unverifiable
from ingestd.rules.original_changed import original_changed
from ingestd.rules.rule import Policy, Rule, TypeName
from ingestd.rules.set_aside import set_aside
from ingestd.rules.wording import Both, Inputs, Language

__all__ = [
    "RULES",
    "RULES_BY_ID",
    "Both",
    "Policy",
    "Rule",
    "SeenFile",
    "TypeName",
    "anchor_missing",
    "clip_not_arrived",
    "evaluate",
    "explain",
    "key_review",
    "message_unverifiable",
    "original_changed",
    "set_aside",
]

RULES: Final[tuple[Rule, ...]] = (
    _missing.RULE,
    _gap.RULE,
    _unverifiable.RULE,
    _changed.RULE,
    _not_arrived.RULE,
    _unanchored.RULE,
    _aside.RULE,
    _review.RULE,
)
RULES_BY_ID: Final = {rule.rule_id: rule for rule in RULES}

_ActionRule = Callable[[EnforcementAction, Coverage, int, Policy], list[Flag]]
_ACTION_RULES: Final[tuple[_ActionRule, ...]] = (_missing.missing_video, _gap.video_gap)


def evaluate(action: EnforcementAction, coverage: Coverage, now_ms: int, policy: Policy) -> list[Flag]:
    """Every flag that the action deserves now, in the order of ``RULES``.

    A flag of these rules that is not in the answer does not hold (any more).
    """
    return [flag for rule in _ACTION_RULES for flag in rule(action, coverage, now_ms, policy)]


def explain(rule_id: str, inputs: Inputs, language: Language) -> str:
    """The sentence of a flag again, in one language. Raises ``KeyError`` for a rule this version does not have."""
    return RULES_BY_ID[rule_id].say(inputs, language)

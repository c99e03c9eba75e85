"""A major decision was made without a passed legal review (R28)."""

from typing import Final

from ingestd.calendar_cn import Deadline
from ingestd.model import Flag
from ingestd.rules.facts import MajorDecision
from ingestd.rules.rule import Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="decision-without-review",
    version="1",
    title=Both("重大执法决定未经法制审核通过", "A major decision without a passed legal review"),
    asks=Both(
        "作出重大执法决定前必须进行法制审核；未经法制审核或者审核未通过的，不得作出决定。",
        "A major decision is reviewed before it is made; without a review, or a passed one, it may not be made.",
    ),
    noticed=Both(
        "重大执法决定登记作出时没有已通过的法制审核，或者审核通过晚于决定；登记更正后自动撤销。",
        "When the decision was registered as made there was no passed review, or it was passed later. It is withdrawn"
        " when the register is corrected.",
    ),
    sentence=Both(
        "案件 {case} 的重大执法决定于 {made_ms} 作出，此前没有通过法制审核。",
        "Case {case}: the major decision was made at {made_ms}; no review had been passed before.",
    ),
    acts=Both("负责人立即停止执行并补正程序。", "The head stops its enforcement and puts the procedure right."),
    article="运政办〔2019〕3号 一（三）；行政处罚法 第五十八条",
)


def decision_unreviewed(decision: MajorDecision, policy: Policy) -> list[Flag]:
    """One flag for one decision; a review passed at the very moment of the decision is in time."""
    if decision.passed_ms is not None and decision.passed_ms <= decision.made_ms:
        return []
    inputs = {
        "case": decision.case,
        "made_ms": decision.made_ms,
        "passed_ms": decision.passed_ms,
        **asked(decision.made_ms, Deadline(policy.day(decision.made_ms)), policy),
    }
    return [RULE.flag(f"{decision.case}:{decision.made_ms}", inputs, case=decision.case)]

"""An officer failed again to show the certificate or to inform the party (R36)."""

from collections.abc import Iterable
from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import CheckpointFailure
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

MAX_ACTS: Final = 50
"""Acts named in one flag; all are counted."""

RULE: Final = Rule(
    rule_id="repeated-certificate-failures",
    version="1",
    title=Both("多次未出示证件或未告知", "Certificate not shown or party not informed, repeatedly"),
    asks=Both(
        "执法人员不主动出示证件、不主动告知执法事由、依据和权利义务的，记入执法资格管理档案，违反两次以上的取消执法"
        "资格；“以上”通常包括本数，次数可配置。",
        "Failures to show the certificate or to tell the party the reason, basis and rights enter the officer's"
        " qualification record, and cost the qualification from the second on; the figure is the agency's to set.",
    ),
    noticed=Both(
        "经审核认定的次数达到规定值（默认两次，同一执法行为只计一次）；认定被更正后自动撤销。",
        "As many acts as the agency says (2 by default) were reviewed and found to lack it; one act counts once. It is"
        " withdrawn when a finding is corrected.",
    ),
    sentence=Both(
        "执法人员 {officer} 在 {act_count} 个执法行为中未出示证件或未告知：{acts}。",
        "Officer {officer} did not show the certificate or did not inform the party in {act_count} acts: {acts}.",
    ),
    acts=Both("法制机构核实并记入执法资格管理档案。", "The legal unit verifies and enters it into the record."),
    article="运政办〔2019〕3号 一（一）3",
)


def repeated_failures(failures: Iterable[CheckpointFailure], policy: Policy) -> list[Flag]:
    """One flag for each officer who has reached the figure, since the failure that reached it."""
    by_officer: dict[str, dict[str, int]] = {}
    for one in failures:
        acts = by_officer.setdefault(one.officer, {})
        acts[one.action_id] = min(one.at_ms, acts.get(one.action_id, one.at_ms))
    return [
        _flag(officer, acts, policy)
        for officer, acts in sorted(by_officer.items())
        if len(acts) >= max(1, policy.failures)
    ]


def _flag(officer: str, acts: dict[str, int], policy: Policy) -> Flag:
    in_order = sorted(acts, key=lambda action_id: (acts[action_id], action_id))
    since_ms = acts[in_order[max(1, policy.failures) - 1]]
    inputs = {
        "officer": officer[:MAX_SHOWN],
        "acts": [*in_order[:MAX_ACTS]],
        "act_count": len(acts),
        **asked(since_ms, policy.answer_by(since_ms), policy),
    }
    return RULE.flag(officer, inputs)

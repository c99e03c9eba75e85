"""A decision was not published, or a withdrawn one not taken down, in time (R27)."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import Disclosure, Publication
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="disclosure-overdue",
    version="1",
    title=Both("执法结果逾期未公示", "A result is not published in time"),
    asks=Both(
        "执法决定作出之日起二十个工作日内公布结果，行政许可、行政处罚为七个工作日；"
        "已公开的处罚决定被变更、撤销、确认违法或者无效的，三个工作日内撤回并说明理由。",
        "Results are published within 20 working days of the decision, licences and penalties within 7; a published"
        " penalty that is changed, revoked or found unlawful or void is withdrawn within 3, with reasons.",
    ),
    noticed=Both(
        "期限届满没有公示（或撤回）记录，或者晚于期限；补登按时的记录后自动撤销。",
        "The period is over without a record that it was published (or withdrawn), or it was later. It is withdrawn"
        " when one in time is registered.",
    ),
    sentence=Both(
        "{subject}（{kind}，{made_ms}）应在 {days} 个工作日内公示或撤回。",
        "{subject} ({kind}, {made_ms}) had to be published or withdrawn within {days} working days.",
    ),
    acts=Both("公示责任人公示或撤回，并说明逾期原因。", "Whoever publishes does so, and explains the delay."),
    article="运政办〔2019〕3号 一（一）4；行政处罚法 第四十八条、第八十五条",
)

_KINDS: Final = {
    Publication.DECISION: Both("行政执法决定", "a decision"),
    Publication.LICENCE: Both("行政许可", "a licence"),
    Publication.PENALTY: Both("行政处罚", "a penalty"),
    Publication.WITHDRAWAL: Both("撤回", "a withdrawal"),
}


def disclosure_overdue(subject: Disclosure, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for one publication; the last working day itself is in time."""
    days = days_of(subject.kind, policy)
    by = policy.calendar.working_day_after(policy.day(subject.made_ms), days)
    known_ms = now_ms if subject.published_ms is None else subject.published_ms
    if not policy.is_over(by, known_ms):
        return []
    kind = _KINDS[subject.kind]
    inputs = {
        "subject": subject.subject[:MAX_SHOWN],
        "kind_zh": kind.zh,
        "kind_en": kind.en,
        "made_ms": subject.made_ms,
        "published_ms": subject.published_ms,
        "days": days,
        **asked(subject.made_ms, by, policy),
    }
    return [RULE.flag(f"{subject.kind.value}:{subject.subject}", inputs, case=subject.case)]


def days_of(kind: Publication, policy: Policy) -> int:
    """Working days within which it is published, or taken down."""
    if kind is Publication.WITHDRAWAL:
        return policy.withdrawal_working_days
    if kind in {Publication.LICENCE, Publication.PENALTY}:
        return policy.penalty_disclosure_working_days
    return policy.disclosure_working_days

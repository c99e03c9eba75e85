"""A seizure ends soon, or has ended and nothing was decided (R10)."""

from datetime import timedelta
from typing import Final

from custody.canonical import JsonValue
from ingestd.calendar_cn import Deadline
from ingestd.model import Flag
from ingestd.rules.act import about_act
from ingestd.rules.facts import Seizure
from ingestd.rules.rule import DAY_MS, Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="seizure-term",
    version="1",
    title=Both("查封扣押期限将满或已满", "A seizure ends soon or has ended"),
    asks=Both(
        "查封、扣押的期限不得超过三十日；情况复杂的，经负责人批准可以延长，不得超过三十日，并书面告知当事人。"
        "检测、检验、检疫或者技术鉴定的期间不计入。",
        "A seizure lasts at most 30 days; where the case is complex the head may extend it by at most 30, and the party"
        " is told in writing. Time for testing, inspection, quarantine or appraisal does not count.",
    ),
    noticed=Both(
        "距期满不足规定日数（默认五日，自然日），或者已经期满，而没有解除、没收或者其他处理决定；作出处理或批准延长后"
        "自动撤销。",
        "Fewer days than the agency wants to be reminded at are left (5 calendar days by default), or none, and nothing"
        " was decided. It is withdrawn when it is decided or extended.",
    ),
    sentence=Both(
        "{type}（{seized_ms} 起，执法人员 {officers}）共可查封扣押 {days} 日，期满日 {last_day}，尚无处理决定。",
        "{type} (since {seized_ms}, officers {officers}) may last {days} days, until {last_day}; nothing is decided.",
    ),
    acts=Both("承办人员作出处理决定，或者报请批准延长。", "The officers in charge decide, or ask for an extension."),
    article="行政强制法 第二十五条、第二十七条",
)


def seizure_term(seizure: Seizure, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag from the reminder on, until the seizure is decided upon; the day of seizure does not count."""
    days = policy.seizure_days + seizure.excluded_days
    days += policy.seizure_extension_days if seizure.extended else 0
    last = policy.day(seizure.seized_ms) + timedelta(days=days)
    reminded = last - timedelta(days=policy.seizure_reminder_days)
    if seizure.ended_ms is not None or policy.day(now_ms) < reminded:
        return []
    since_ms = seizure.seized_ms + (days - policy.seizure_reminder_days) * DAY_MS
    more: dict[str, JsonValue] = {
        "seized_ms": seizure.seized_ms,
        "days": days,
        "last_day": last.isoformat(),
        "extended": int(seizure.extended),
    }
    return [about_act(RULE, seizure.action, since_ms, policy, more, by=Deadline(last))]

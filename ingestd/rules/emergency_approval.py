"""A measure taken in an emergency was not approved in time (R09)."""

from typing import Final

from custody.canonical import JsonValue
from ingestd.calendar_cn import Deadline
from ingestd.model import Flag
from ingestd.rules.act import about_act
from ingestd.rules.facts import EmergencyMeasure
from ingestd.rules.rule import HOUR_MS, Policy, Rule
from ingestd.rules.wording import Both

APPROVAL_MS: Final = 24 * HOUR_MS
PERSONAL_LIBERTY: Final = "personal-liberty"

RULE: Final = Rule(
    rule_id="emergency-approval-late",
    version="1",
    title=Both("紧急情况下的强制措施未按时补办批准", "A measure taken in an emergency is not approved in time"),
    asks=Both(
        "情况紧急，需要当场实施行政强制措施的，应当在二十四小时内报告并补办批准手续；"
        "限制公民人身自由的，返回后立即报告并补办。",
        "A measure taken on the spot in an emergency is reported and approved within 24 hours; one that restricts"
        " personal liberty at once on return.",
    ),
    noticed=Both(
        "实施满二十四小时没有批准记录，或者批准晚于二十四小时。限制人身自由的，自行为结束时起算，不待二十四小时。"
        "补登按时批准后自动撤销。",
        "There is no approval 24 hours after the measure, or it came later. For personal liberty it counts from the end"
        " of the act, without the 24 hours. It is withdrawn when an approval in time is registered.",
    ),
    sentence=Both(
        "{type}（执法人员 {officers}）于 {taken_ms} 当场实施，应于 {due_ms} 前批准，批准时间：{approval}。",
        "{type} (officers {officers}) was taken on the spot at {taken_ms} and had to be approved by {due_ms};"
        " approved: {approval}.",
    ),
    acts=Both(
        "执法人员立即报告；负责人批准或者立即解除。", "The officers report; the head approves, or it is lifted at once."
    ),
    article="行政强制法 第十九条、第二十条",
)


def emergency_approval(measure: EmergencyMeasure, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag when the approval is late or overdue; approval exactly at the end of the period is in time."""
    action = measure.action
    due_ms = action.interval.end_ms if action.type == PERSONAL_LIBERTY else measure.taken_ms + APPROVAL_MS
    known_ms = now_ms if measure.approved_ms is None else measure.approved_ms
    if known_ms <= due_ms:
        return []
    more: dict[str, JsonValue] = {
        "taken_ms": measure.taken_ms,
        "due_ms": due_ms,
        "approved_ms": measure.approved_ms,
        "approval_zh": "尚未批准" if measure.approved_ms is None else "逾期",
        "approval_en": "not yet" if measure.approved_ms is None else "late",
    }
    by = Deadline(policy.day(due_ms))
    return [about_act(RULE, action, due_ms, policy, more, by=by)]

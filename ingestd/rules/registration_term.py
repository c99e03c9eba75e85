"""Evidence was registered and preserved, and no decision followed within seven working days (R11)."""

from typing import Final

from custody.canonical import JsonValue
from ingestd.model import Flag
from ingestd.rules.act import about_act
from ingestd.rules.facts import Registration
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="registration-preservation-term",
    version="1",
    title=Both("先行登记保存逾期未作处理决定", "No decision in time after registration and preservation"),
    asks=Both(
        "先行登记保存证据的，应当在七日内及时作出处理决定；该“七日”为工作日。",
        "A decision follows within seven days of registration and preservation; they are working days.",
    ),
    noticed=Both(
        "登记次日起满七个工作日没有处理决定，或者决定晚于该日；补登按时的决定后自动撤销。",
        "Seven working days after the day of registration there is no decision, or it came later. It is withdrawn when"
        " a decision in time is registered.",
    ),
    sentence=Both(
        "{type}（{registered_ms} 登记，执法人员 {officers}）应于第 {days} 个工作日前作出处理决定。",
        "{type} (registered at {registered_ms}, officers {officers}) had to be decided upon within {days} working"
        " days.",
    ),
    acts=Both(
        "承办人员作出处理决定；负责人说明逾期原因。", "The officers in charge decide; the head explains the delay."
    ),
    article="行政处罚法 第五十六条、第八十五条",
)


def registration_term(registration: Registration, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag when the decision is late or overdue; the last working day itself is in time."""
    start = policy.day(registration.registered_ms)
    by = policy.calendar.working_day_after(start, policy.registration_working_days)
    known_ms = now_ms if registration.decided_ms is None else registration.decided_ms
    if not policy.is_over(by, known_ms):
        return []
    more: dict[str, JsonValue] = {
        "registered_ms": registration.registered_ms,
        "decided_ms": registration.decided_ms,
        "days": policy.registration_working_days,
    }
    return [about_act(RULE, registration.action, registration.registered_ms, policy, more, by=by)]

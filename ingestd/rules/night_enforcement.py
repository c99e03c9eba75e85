"""Coercive enforcement at night or on a statutory holiday, which the law forbids but in an emergency (R08)."""

from typing import Final

from custody.canonical import JsonValue
from ingestd.model import EnforcementAction, Flag
from ingestd.rules.act import about_act
from ingestd.rules.forbidden_time import forbidden_time
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="enforcement-at-forbidden-time",
    version="1",
    title=Both("夜间或法定节假日实施行政强制执行", "Coercive enforcement at night or on a statutory holiday"),
    asks=Both(
        "行政机关不得在夜间或者法定节假日实施行政强制执行，情况紧急的除外。",
        "Coercive enforcement does not take place at night or on statutory holidays, except in an emergency.",
    ),
    noticed=Both(
        "强制拆除等行政强制执行的任何一刻处于夜间（时段由单位规定，法律没有定义）或者法定节假日（不含普通周末），"
        "且未登记为情况紧急；时间更正或登记紧急情况后自动撤销。",
        "Any moment of a forced demolition or other enforcement lies at night (the agency says when; no law does) or on"
        " a statutory holiday (a plain weekend is none), and no emergency is registered. It is withdrawn when the time"
        " is corrected or the emergency registered.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）自 {forbidden_ms} 起处于{why}。",
        "{type} ({start_ms} to {end_ms}, officers {officers}) takes place at {forbidden_ms}: {why}.",
    ),
    acts=Both("单位负责人说明紧急情况及批准人。", "The head of the unit names the emergency and who approved."),
    article="行政强制法 第四十三条",
)


def night_enforcement(action: EnforcementAction, now_ms: int, policy: Policy, *, emergency: bool = False) -> list[Flag]:
    """One flag as soon as the act has reached a forbidden moment."""
    if action.type not in policy.enforcement_types or emergency:
        return []
    found = forbidden_time(action.interval, policy)
    if found is None or now_ms < found.since_ms:
        return []
    more: dict[str, JsonValue] = {"forbidden_ms": found.since_ms, "why_zh": found.why.zh, "why_en": found.why.en}
    return [about_act(RULE, action, found.since_ms, policy, more)]

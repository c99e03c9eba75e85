"""A coercive measure at night or on a statutory holiday: the law does not name it, so at most a hint (R08, N1)."""

from typing import Final

from custody.canonical import JsonValue
from ingestd.model import EnforcementAction, Flag
from ingestd.rules.act import about_act
from ingestd.rules.forbidden_time import forbidden_time
from ingestd.rules.rule import Policy, Rule, Weight
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="measure-at-unusual-time",
    version="1",
    title=Both("夜间或法定节假日采取行政强制措施", "A coercive measure at night or on a statutory holiday"),
    asks=Both(
        "行政强制法第四十三条只禁止夜间和法定节假日实施行政强制执行，未提及查封扣押等行政强制措施。",
        "Article 43 forbids enforcement at night and on statutory holidays; it does not name measures such as seizure.",
    ),
    noticed=Both(
        "查封扣押等行政强制措施的任何一刻处于夜间或者法定节假日，且未登记为情况紧急。仅作提示，不表示违法。",
        "Any moment of a seizure or other measure lies at night or on a statutory holiday, and no emergency is"
        " registered. A notice only: it says of nothing that it was unlawful.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）自 {forbidden_ms} 起处于{why}。",
        "{type} ({start_ms} to {end_ms}, officers {officers}) takes place at {forbidden_ms}: {why}.",
    ),
    acts=Both("单位负责人知悉。", "The head of the unit takes note."),
    article="行政强制法 第四十三条（参照）",
    weight=Weight.NOTICE,
)


def night_measure(action: EnforcementAction, now_ms: int, policy: Policy, *, emergency: bool = False) -> list[Flag]:
    """One notice as soon as the measure has reached such a moment."""
    if action.type not in policy.measure_types or emergency:
        return []
    found = forbidden_time(action.interval, policy)
    if found is None or now_ms < found.since_ms:
        return []
    more: dict[str, JsonValue] = {"forbidden_ms": found.since_ms, "why_zh": found.why.zh, "why_en": found.why.en}
    return [about_act(RULE, action, found.since_ms, policy, more)]

"""Fewer than two officers took part, as far as the register and the recorders tell (R07)."""

from collections.abc import Collection
from typing import Final

from ingestd.model import EnforcementAction, Flag
from ingestd.rules.act import about_act
from ingestd.rules.full_process import due_ms
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

ENOUGH: Final = 2

RULE: Final = Rule(
    rule_id="fewer-than-two-officers",
    version="1",
    title=Both("执法人员少于两人", "Fewer than two officers"),
    asks=Both(
        "行政强制措施由两名以上行政执法人员实施；调查、检查时执法人员不得少于两人。",
        "A coercive measure is taken by two or more officers, and no fewer make an inquiry or inspection.",
    ),
    noticed=Both(
        "行政强制或调查检查行为结束并经过宽限期后，登记的执法人员不足两人，关联片段也不来自两台以上记录仪；"
        "补登第二名人员或关联第二台记录仪的片段后自动撤销。",
        "A coercive act or an inquiry has ended, the period of grace has passed, fewer than two officers are registered"
        " and the linked clips come from fewer than two recorders. It is withdrawn when a second officer is registered"
        " or a clip of a second recorder is linked.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}）只登记了执法人员 {officers}，关联片段来自 {recorder_count} 台记录仪。",
        "{type} ({start_ms} to {end_ms}): only {officers} is registered, and linked clips come from {recorder_count}"
        " recorders.",
    ),
    acts=Both("单位负责人核实并补登。", "The head of the unit finds out and completes the register."),
    article="行政强制法 第十八条；行政处罚法 第四十二条",
)


def two_officers(action: EnforcementAction, recorders: Collection[str], now_ms: int, policy: Policy) -> list[Flag]:
    """One flag when an act that needs two shows one; ``recorders`` are those of its linked clips."""
    since_ms = due_ms(action, policy)
    needs_two = policy.enforcement_types | policy.measure_types | policy.inquiry_types
    shown = max(len(set(action.officers)), len(set(recorders)))
    if action.type not in needs_two or shown >= ENOUGH or now_ms < since_ms:
        return []
    return [about_act(RULE, action, since_ms, policy, {"recorder_count": len(set(recorders))})]

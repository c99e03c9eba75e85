"""A coercive act lacks evidence of steps that the law asks for (R06)."""

from typing import Final

from custody.canonical import JsonValue
from ingestd.model import Flag
from ingestd.rules.act import about_act
from ingestd.rules.facts import Checkpoints
from ingestd.rules.full_process import due_ms
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

MAX_STEPS: Final = 50
"""Steps named in one flag; all are counted."""

RULE: Final = Rule(
    rule_id="checkpoint-missing",
    version="2",
    title=Both("法定程序环节缺少证明", "No evidence of a step that the law asks for"),
    asks=Both(
        "实施行政强制措施应当事前报批、两人以上、出示证件、通知到场、当场告知、听取陈述申辩、制作笔录、签名或注明，"
        "查封扣押还应当当场交付决定书和一式二份的清单。",
        "A coercive measure is approved beforehand, taken by two or more officers who show their certificates, call and"
        " inform the party, hear it, make a record and have it signed; a seizure also hands over its decision and its"
        " list in duplicate on the spot.",
    ),
    noticed=Both(
        "执法行为结束并经过宽限期后，目录要求的环节没有片段或文书证明；补齐后自动撤销。",
        "The act has ended, the period of grace has passed, and a step that the catalogue asks for has neither clip nor"
        " document. It is withdrawn when all have.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）有 {step_count} 个环节缺少证明：{steps}。",
        "{type} ({start_ms} to {end_ms}, officers {officers}): steps without evidence: {step_count}: {steps}.",
    ),
    acts=Both("执法人员标注片段或补交文书。", "The officers mark the clip or hand in the document."),
    article="行政强制法 第十八条、第二十四条",
)


def checkpoints(steps: Checkpoints, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for an act, naming every step it lacks in the order of the list."""
    since_ms = due_ms(steps.action, policy)
    lacking = [step for step in steps.required if step not in steps.evidenced]
    if not lacking or now_ms < since_ms:
        return []
    names = [policy.step(steps.action, step) for step in lacking[:MAX_STEPS]]
    more: dict[str, JsonValue] = {
        "lacking": [*lacking[:MAX_STEPS]],
        "steps_zh": [name.zh for name in names],
        "steps_en": [name.en for name in names],
        "step_count": len(lacking),
    }
    return [about_act(RULE, steps.action, since_ms, policy, more)]

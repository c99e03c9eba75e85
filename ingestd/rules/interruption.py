"""A recording was interrupted, and nobody has said why, or nobody has reviewed what was said (R04)."""

from typing import Final

from ingestd.model import Flag, Level
from ingestd.rules.act import act_inputs
from ingestd.rules.facts import Interruption
from ingestd.rules.full_process import due_ms
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="interruption-unexplained",
    version="1",
    title=Both("录像中断未说明或未审核", "An interruption without explanation or review"),
    asks=Both(
        "全程录像因故中断的，应当说明起止时间和原因，经负责人审核签字后归档（参照庭审录音录像的规定）。",
        "Where a full recording breaks off, when and why is explained, reviewed, signed and filed (after the rules for"
        " recordings of court hearings).",
    ),
    noticed=Both(
        "超过容许时长的中断，在宽限期后没有原因说明或者没有审核人签字；两者齐备即自动撤销。",
        "A break longer than is tolerated has no reason or no reviewer once the period of grace has passed. It is"
        " withdrawn when both are there.",
    ),
    sentence=Both(
        "{type}（执法人员 {officers}）的录像自 {break_start_ms} 至 {break_end_ms} 中断，尚缺：{lacks}。",
        "{type} (officers {officers}): the recording breaks off from {break_start_ms} to {break_end_ms}; lacking:"
        " {lacks}.",
    ),
    acts=Both(
        "执法人员说明原因；单位负责人审核签字。", "The officers explain; the head of the unit reviews and signs."
    ),
    article="最高人民法院关于人民法院庭审录音录像的若干规定 第三条、第四条（参照）；运政办〔2019〕3号 一（二）2",
)


def interruption(broken: Interruption, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for one break; its identity is the act and the moment at which the break began."""
    action, since_ms = broken.action, due_ms(broken.action, policy)
    settled = broken.reason and broken.reviewer
    short = broken.span.length_ms <= action.tolerated_gap_ms
    if action.level is not Level.FULL or settled or short or now_ms < since_ms:
        return []
    lacks = Both("审核签字", "a reviewer's signature") if broken.reason else Both("原因说明", "an explanation")
    inputs = {
        **act_inputs(action, policy),
        "break_start_ms": broken.span.start_ms,
        "break_end_ms": broken.span.end_ms,
        "reason": broken.reason[:MAX_SHOWN],
        "lacks_zh": lacks.zh,
        "lacks_en": lacks.en,
        **asked(since_ms, policy.answer_by(since_ms), policy),
    }
    key = f"{action.action_id}:{broken.span.start_ms}"
    return [RULE.flag(key, inputs, action_id=action.action_id, case=action.case)]

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
    version="2",
    title=Both("录像中断未说明或未审核", "An interruption without explanation or review"),
    asks=Both(
        "全程录像因故中断的，应当说明起止时间和原因，经负责人审核签字后归档（参照庭审录音录像的规定）。",
        "Where a full recording breaks off, when and why is explained, reviewed, signed and filed (after the rules for"
        " recordings of court hearings).",
    ),
    noticed=Both(
        "录像中断的提示（缺口）到期未说明原因，或者说明后没有审核人签字；两者齐备或者缺口消失即自动撤销。",
        "The flag about a gap in the recording is past its day and has no reason, or no reviewer of the reason. It is"
        " withdrawn when both are there, or the gap is gone.",
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
    """One flag for one act, about its longest break, once the gap itself should have been answered for."""
    action, since_ms = broken.action, due_ms(broken.action, policy)
    settled = broken.reason and broken.reviewed
    short = broken.span.length_ms <= action.tolerated_gap_ms
    in_time = not policy.is_over(policy.answer_by(since_ms), now_ms)
    if action.level is not Level.FULL or settled or short or in_time:
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
    return [RULE.flag(action.action_id, inputs, action_id=action.action_id, case=action.case)]

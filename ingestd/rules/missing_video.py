"""An act that must be recorded from start to end has no usable video at all (R01)."""

from typing import Final

from ingestd.model import Coverage, EnforcementAction, Flag
from ingestd.rules.full_process import FULL_PROCESS_ARTICLE, inputs_of, is_due
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="missing-full-process-video",
    version="2",
    title=Both("应当全程录像而无录像", "No video of an act that must be recorded in full"),
    asks=Both(
        "查封扣押财产、强制拆除等直接涉及人身自由、生命健康、重大财产权益的现场执法活动，应当实行全程音像记录。",
        "Seizures, forced demolitions and other acts on the scene that touch liberty, life and health or major property"
        " rights must be recorded in sound and picture from start to end.",
    ),
    noticed=Both(
        "执法行为结束并经过宽限期后，没有任何与之关联的可用录像（仅有录音、照片，或画面不可用，均不算）；"
        "一旦有可用录像与之关联，即自动撤销。",
        "The act has ended, the period of grace has passed, and no usable video is linked to it (sound alone, stills"
        " and spoilt pictures do not count). It is withdrawn as soon as one usable video is linked.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）应当全程录像，但没有任何可用录像。",
        "{type} ({start_ms} to {end_ms}, officers {officers}) must be recorded in full, but there is no usable video"
        " of it.",
    ),
    acts=Both(
        "执法人员说明原因并补交录像；单位负责人审核。",
        "The officers explain and hand in any footage; the head of the unit reviews.",
    ),
    article=FULL_PROCESS_ARTICLE,
)


def missing_video(action: EnforcementAction, coverage: Coverage, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag when the act is due and nothing usable shows any of it."""
    if not is_due(action, now_ms, policy) or coverage.clips:
        return []
    inputs = inputs_of(action, coverage, policy)
    article = policy.type_of(action).article
    return [RULE.flag(action.action_id, inputs, action_id=action.action_id, case=action.case, article=article)]

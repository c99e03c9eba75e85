"""An act that must be recorded from start to end is on video only in part (R04)."""

from typing import Final

from ingestd.model import Coverage, EnforcementAction, Flag
from ingestd.rules.full_process import FULL_PROCESS_ARTICLE, inputs_of, is_due
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="full-process-gap",
    version="2",
    title=Both("全程录像有缺口", "A hole in a recording that must be whole"),
    asks=Both(
        "应当实行全程音像记录的现场执法活动，从始至终都要有记录（“不间断”由“全程”推出，容许时长由单位规定）。",
        "An act that must be recorded in full is recorded from its start to its end (that there be no break follows"
        " from “in full”; how short a break is tolerated is for the agency to say).",
    ),
    noticed=Both(
        "执法行为结束并经过宽限期后，有可用录像与之关联，但所有录像合在一起仍有超过容许时长的缺口（默认 1 秒）；"
        "缺口补齐后自动撤销。",
        "The act has ended, the period of grace has passed, and the usable videos linked to it leave, all together, a"
        " hole longer than is tolerated (1 second by default). It is withdrawn when the hole is filled.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）全程录像有 {gap_count} 处缺口，"
        "录像覆盖 {nominal_ppm}：{gaps}。",
        "{type} ({start_ms} to {end_ms}, officers {officers}): {nominal_ppm} is on video, gaps: {gap_count}: {gaps}.",
    ),
    acts=Both(
        "执法人员逐一说明中断原因；单位负责人审核签字。",
        "The officers explain every break; the head of the unit reviews and signs.",
    ),
    article=FULL_PROCESS_ARTICLE,
)


def video_gap(action: EnforcementAction, coverage: Coverage, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag when the act is due, something shows it, and not all of it is shown."""
    if not is_due(action, now_ms, policy) or not coverage.clips or not coverage.gaps:
        return []
    inputs = inputs_of(action, coverage, policy)
    article = policy.type_of(action).article
    return [RULE.flag(action.action_id, inputs, action_id=action.action_id, case=action.case, article=article)]

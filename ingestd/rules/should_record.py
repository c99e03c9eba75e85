"""An act whose recording the agency specifies, without any usable video: a notice, no breach (R02)."""

from typing import Final

from ingestd.model import Coverage, EnforcementAction, Flag, Level
from ingestd.rules.act import about_act
from ingestd.rules.full_process import FULL_PROCESS_ARTICLE, due_ms
from ingestd.rules.rule import Policy, Rule, Weight
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="specified-act-without-video",
    version="1",
    title=Both("由单位明确记录内容的行为无录像", "No video of an act whose recording the agency specifies"),
    asks=Both(
        "现场执法、调查取证、举行听证、留置送达和公告送达等容易引发争议的执法过程，由单位根据具体情况明确记录内容。",
        "For acts on the scene, inquiries, hearings and service by leaving or by public notice, the agency specifies by"
        " the circumstances what is recorded.",
    ),
    noticed=Both(
        "执法行为结束并经过宽限期后，没有任何与之关联的可用录像；有可用录像与之关联即自动撤销。"
        "仅作提示：本单位的清单未必要求录像。",
        "The act has ended, the period of grace has passed, and no usable video is linked to it. It is withdrawn when"
        " one is. A notice only: the agency's list may not ask for video here.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）没有任何可用录像。",
        "{type} ({start_ms} to {end_ms}, officers {officers}): there is no usable video of it.",
    ),
    acts=Both("单位负责人按本单位清单判断是否需要说明。", "The head of the unit judges by the agency's list."),
    article=FULL_PROCESS_ARTICLE,
    weight=Weight.NOTICE,
)


def should_record(action: EnforcementAction, coverage: Coverage, now_ms: int, policy: Policy) -> list[Flag]:
    """One notice when the footage should have come in and nothing usable shows the act."""
    since_ms = due_ms(action, policy)
    if action.level is not Level.SPECIFIED or coverage.clips or now_ms < since_ms:
        return []
    return [about_act(RULE, action, since_ms, policy, {}, article=policy.type_of(action).article)]

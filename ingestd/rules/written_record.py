"""An act for which a written record suffices has none that is complete; with a complete one nothing is asked (R03)."""

from typing import Final

from ingestd.model import Coverage, Flag, Level
from ingestd.rules.act import about_act
from ingestd.rules.facts import WrittenRecord
from ingestd.rules.full_process import due_ms
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="written-record-incomplete",
    version="1",
    title=Both("文字记录不完整且无录像", "Neither a complete written record nor a video"),
    asks=Both(
        "文字记录能够全面有效记录执法行为的，可以不进行音像记录。",
        "Where a written record shows an act fully, no recording in sound and picture is needed.",
    ),
    noticed=Both(
        "文字记录即可的行为结束并经过宽限期后，文字记录不完整，也没有可用录像；补齐任一项即自动撤销。"
        "文字记录完整的，绝不提示。",
        "An act of the level “text” has ended, the period of grace has passed, its written record is not complete and"
        " no usable video is linked. It is withdrawn when either comes. With a complete record it is never raised.",
    ),
    sentence=Both(
        "{type}（{start_ms} 至 {end_ms}，执法人员 {officers}）的文字记录不完整，也没有录像。",
        "{type} ({start_ms} to {end_ms}, officers {officers}): the written record is not complete and there is no"
        " video.",
    ),
    acts=Both("执法人员补齐文字记录。", "The officers complete the written record."),
    article="运政办〔2019〕3号 一（二）2",
)


def written_record(record: WrittenRecord, coverage: Coverage, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag when a text-level act is due and nothing tells of it."""
    since_ms = due_ms(record.action, policy)
    if record.action.level is not Level.TEXT or record.complete or coverage.clips or now_ms < since_ms:
        return []
    return [about_act(RULE, record.action, since_ms, policy, {})]

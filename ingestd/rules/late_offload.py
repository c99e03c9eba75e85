"""Footage was handed in late (R12)."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import Offload
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="late-offload",
    version="2",
    title=Both("录像未按时上交", "Footage was handed in late"),
    asks=Both(
        "执法记录应当在执法结束后及时（默认二十四小时内）存储到指定设备；该时限取自一份省级公安规定，可配置。",
        "Recordings are handed in soon after duty, within 24 hours by default; the figure is taken from one provincial"
        " police rule and is the agency's to set.",
    ),
    noticed=Both(
        "文件采集时间晚于录像结束时间加时限；同一记录仪同一天上交的合为一条。事实不会改变，除更正记录仪时钟外不会撤销，"
        "由人说明后关闭。",
        "Files were copied later than the end of what they show plus the limit; those of one recorder and day are one"
        " flag. The fact does not change: only a corrected clock withdraws it; otherwise people explain and close it.",
    ),
    sentence=Both(
        "记录仪 {recorder} 的 {clips} 个片段上交超过时限 {limit_s}：最早的 {object} 结束于 {ended_ms}，{copied_ms} 才在"
        "采集站 {station} 采集。",
        "Recorder {recorder}: {clips} clips were handed in after the limit of {limit_s}; the first of them, {object},"
        " ended at {ended_ms} and was copied at station {station} only at {copied_ms}.",
    ),
    acts=Both("佩戴人说明原因；单位负责人审核。", "Whoever wore the recorder explains; the head of the unit reviews."),
    article="运政办〔2019〕3号 一（二）3",
)


def is_late(offload: Offload, policy: Policy) -> bool:
    """Exactly at the limit is in time."""
    return offload.copied_ms > offload.ended_ms + policy.offload_ms


def late_offload(offload: Offload, policy: Policy) -> list[Flag]:
    """One flag for one recorder and day of copying."""
    since_ms = offload.ended_ms + policy.offload_ms
    if not is_late(offload, policy):
        return []
    inputs = {
        "object": offload.object_id,
        "recorder": offload.recorder[:MAX_SHOWN],
        "station": offload.station[:MAX_SHOWN],
        "ended_ms": offload.ended_ms,
        "copied_ms": offload.copied_ms,
        "clips": offload.clips,
        "limit_s": policy.offload_ms // 1000,
        **asked(since_ms, policy.answer_by(offload.copied_ms), policy),
    }
    return [RULE.flag(f"{offload.recorder}:{policy.day(offload.copied_ms).isoformat()}", inputs)]

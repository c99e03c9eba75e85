"""Clips of a unit belong to no act, and nobody has looked at them for long."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import Backlog
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="unlinked-backlog",
    version="2",
    title=Both("未关联片段积压", "A backlog of unlinked clips"),
    asks=Both(
        "音像记录应当与文字记录衔接，归入案卷；未关联的片段不能证明任何执法行为。",
        "Recordings belong with the written record of their act; a clip that belongs to none proves nothing.",
    ),
    noticed=Both(
        "单位最早的未关联片段超过规定时长（默认七日）无人处理；最早的一个处理后按余下的重新计算。",
        "The oldest unlinked clip of a unit has waited for longer than the agency allows (7 days by default). Once it"
        " is dealt with, the next one counts.",
    ),
    sentence=Both(
        "单位 {unit} 有未关联片段积压，最早的采集于 {oldest_ms}，已超过规定的 {allowed_s}。",
        "Unit {unit} has a backlog of unlinked clips; the oldest came in at {oldest_ms}, longer ago than the"
        " {allowed_s} that are allowed.",
    ),
    acts=Both(
        "单位指定人员逐一关联，或者注明与执法无关。", "The unit links each clip, or notes that it shows no enforcement."
    ),
    article="运政办〔2019〕3号 一（二）2、3",
)


def unlinked_backlog(backlog: Backlog, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for one unit; the count is no part of it, for it changes with every clip and says nothing new."""
    since_ms = backlog.oldest_ms + policy.backlog_ms
    if backlog.count == 0 or now_ms <= since_ms:
        return []
    unit = backlog.unit[:MAX_SHOWN]
    inputs = {
        "unit": unit,
        "unit_zh": unit or "（佩戴人未登记单位）",
        "unit_en": unit or "(none registered)",
        "oldest_ms": backlog.oldest_ms,
        "allowed_s": policy.backlog_ms // 1000,
        **asked(since_ms, policy.answer_by(since_ms), policy),
    }
    return [RULE.flag(unit, inputs)]

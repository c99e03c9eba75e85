"""A recorder's clock had lost its date: it began at the first day of its making, as after a flat battery."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import ClockReset
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="clock-reset",
    version="1",
    title=Both("记录仪时钟被复位", "A recorder's clock was reset"),
    asks=Both(
        "视听资料的制作时间应当清楚；电池耗尽会使记录仪时钟回到出厂日期，其后的录像时间都不可信。",
        "When a recording was made must be clear; a flat battery sets a recorder's clock back to the day of its making,"
        " and what it dates from then on cannot be trusted.",
    ),
    noticed=Both(
        "最近一次接入所采集的文件，其文件名或者照片信息载有 2000 年以前或者出厂默认日期；"
        "下一次接入的文件日期正常后自动撤销。",
        "Of what was copied when the recorder was last docked, a file's name or photo data states a day before 2000 or"
        " one on which clocks begin. It is withdrawn when what it brings next is dated soundly.",
    ),
    sentence=Both(
        "记录仪 {recorder} 于 {copied_ms} 在采集站 {station} 采集的文件自载时间为 {stated}，时钟曾被复位。",
        "A file of recorder {recorder}, copied at station {station} at {copied_ms}, states the time {stated}: its clock"
        " had been reset.",
    ),
    acts=Both(
        "设备管理员校时、检查电池；这些片段的时间由人核对。",
        "The administrator sets the clock and checks the battery; the times of those clips are checked by people.",
    ),
    article="最高人民法院关于适用《中华人民共和国刑事诉讼法》的解释 第一百零八条、第一百零九条（参照）",
)


def clock_reset(reset: ClockReset, policy: Policy) -> list[Flag]:
    """One flag for one recorder, by what it brought last."""
    inputs = {
        "recorder": reset.recorder[:MAX_SHOWN],
        "station": reset.station[:MAX_SHOWN],
        "copied_ms": reset.copied_ms,
        "stated": reset.stated[:MAX_SHOWN],
        "entry": reset.entry,
        **asked(reset.copied_ms, policy.answer_by(reset.copied_ms), policy),
    }
    return [RULE.flag(reset.recorder, inputs)] if reset.stated else []

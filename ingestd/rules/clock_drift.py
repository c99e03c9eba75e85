"""A recorder's clock runs wrong, or was far off at the dock (R20)."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import ClockReading
from ingestd.rules.rule import DAY_MS, MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="clock-drift",
    version="1",
    title=Both("记录仪时钟不准", "A recorder's clock is wrong"),
    asks=Both(
        "视听资料的制作时间应当清楚；记录仪时钟应当定期核对（每日误差不超过三秒为他人转引的行业标准数值，可配置）。",
        "When a recording was made must be clear; clocks of recorders are compared regularly (3 seconds a day is a"
        " figure of an industry standard as others quote it, and the agency's to set).",
    ),
    noticed=Both(
        "入坞时测得的时钟偏差超过规定值，或者与上次测量相比每日漂移超过规定值；扣除两次测量误差后仍超出才提示。"
        "下一次测量合格后自动撤销。",
        "The clock was off by more than is allowed when docked, or drifted by more a day since the last reading, beyond"
        " what the readings themselves may be wrong by. It is withdrawn when the next reading is good.",
    ),
    sentence=Both(
        "记录仪 {recorder} 于 {measured_ms} 在采集站 {station} 测得时钟偏差 {offset_millis} 毫秒，"
        "漂移每日至少 {drift_millis} 毫秒。",
        "The clock of recorder {recorder} was {offset_millis} ms off at station {station} at {measured_ms}, and drifts"
        " by at least {drift_millis} ms a day.",
    ),
    acts=Both(
        "设备管理员校时并检查记录仪；时间有疑问的片段由人核对。", "The administrator sets and checks the recorder."
    ),
    article="最高人民法院关于适用《中华人民共和国刑事诉讼法》的解释 第一百零八条、第一百零九条（参照）",
)


def clock_drift(reading: ClockReading, before: ClockReading | None, policy: Policy) -> list[Flag]:
    """One flag for one recorder by its latest reading; exactly at a limit is good.

    ``before`` is the reading before, None when there is none or when the clock was set in between.
    """
    off = abs(reading.offset_ms) - reading.uncertainty_ms > policy.offset_ms
    drift = 0 if before is None else _least_drift(reading, before)
    if not off and drift <= policy.drift_ms_per_day:
        return []
    inputs = {
        "recorder": reading.recorder[:MAX_SHOWN],
        "station": reading.station[:MAX_SHOWN],
        "measured_ms": reading.measured_ms,
        "offset_millis": reading.offset_ms,
        "uncertainty_millis": reading.uncertainty_ms,
        "drift_millis": drift,
        "entry": reading.entry,
        **asked(reading.measured_ms, policy.answer_by(reading.measured_ms), policy),
    }
    return [RULE.flag(reading.recorder, inputs)]


def _least_drift(now: ClockReading, before: ClockReading) -> int:
    """Milliseconds a day that the clock drifted at least, whatever the two readings were wrong by."""
    moved = abs(now.offset_ms - before.offset_ms) - now.uncertainty_ms - before.uncertainty_ms
    between = now.measured_ms - before.measured_ms
    return max(0, moved) * DAY_MS // between if between > 0 else 0

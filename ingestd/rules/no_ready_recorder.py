"""An act that must be recorded in full is planned, and none of its officers holds a ready recorder."""

from typing import Final

from ingestd.calendar_cn import Deadline
from ingestd.model import Flag, Level
from ingestd.rules.act import about_act
from ingestd.rules.facts import PlannedAct
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="no-ready-recorder",
    version="2",
    title=Both("计划的行为没有可用的记录仪", "No ready recorder for a planned act"),
    asks=Both(
        "应当全程音像记录的执法活动，出发前检查记录仪的电量、存储空间和日期时间。",
        "Before an act that must be recorded in full, the recorder's battery, memory and clock are checked.",
    ),
    noticed=Both(
        "计划开始前规定时长内（默认二十四小时），没有一名执法人员按台账领用了已采集完、时钟（测量过的）准确的记录仪；"
        "有人领用或者行为开始后自动撤销。电量和剩余空间不在核对之列，出发前由人检查。",
        "Within the set time before the planned start (24 hours by default) none of its officers has, by the ledger, a"
        " recorder of which everything was copied and whose clock was right when it was last measured. It is withdrawn"
        " when one has, or when the act has begun. Battery and free memory are not known here; people look at them.",
    ),
    sentence=Both(
        "计划于 {start_ms} 开始的{type}（执法人员 {officers}）没有人持有可用的记录仪。",
        "{type}, planned for {start_ms} (officers {officers}): nobody holds a ready recorder.",
    ),
    acts=Both("设备管理员在行为开始前发放可用的记录仪。", "The administrator issues a ready recorder before the act."),
    article="运政办〔2019〕3号 一（二）2",
)


def no_ready_recorder(planned: PlannedAct, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag from ``ready_ms`` before the planned start until the start."""
    action, start_ms = planned.action, planned.action.interval.start_ms
    ready = planned.ready_officers.intersection(action.officers)
    if action.level is not Level.FULL or ready or not start_ms - policy.ready_ms <= now_ms < start_ms:
        return []
    by = Deadline(policy.day(start_ms))
    return [about_act(RULE, action, start_ms - policy.ready_ms, policy, {}, by=by)]

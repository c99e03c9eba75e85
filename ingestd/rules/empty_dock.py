"""A recorder came back empty although its officer had an act that must be recorded in full (R35)."""

from collections.abc import Iterable
from typing import Final

from ingestd.model import EnforcementAction, Flag, Level
from ingestd.rules.facts import EmptyDocking
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="empty-dock",
    version="1",
    title=Both("应当录像而记录仪归还时没有新文件", "A recorder came back empty after an act that must be on video"),
    asks=Both(
        "应当全程音像记录的执法活动必须有录像；记录仪归还时没有文件，说明没有录制或者录像已经丢失。",
        "An act that must be recorded in full must be on video; a recorder that comes back empty did not record or has"
        " lost what it did.",
    ),
    noticed=Both(
        "记录仪归还且没有新文件，而领用人自上次归还以来有应当全程录像的执法行为；行为更正后自动撤销。",
        "A recorder is docked with no new file, and since it was last docked its holder had an act that must be"
        " recorded in full. It is withdrawn when the act is corrected.",
    ),
    sentence=Both(
        "执法人员 {officer} 的记录仪 {recorder} 于 {docked_ms} 在采集站 {station} 归还，没有新文件；"
        "其间有应当全程录像的行为 {action}。",
        "Recorder {recorder} of officer {officer} was docked at station {station} at {docked_ms} with no new file; in"
        " between there was the act {action}, which must be recorded in full.",
    ),
    acts=Both(
        "执法人员立即说明；设备管理员保留记录仪备查。", "The officer explains; the administrator keeps the recorder."
    ),
    article="运政办〔2019〕3号 一（二）2",
)


def empty_dock(
    docking: EmptyDocking, since_ms: int, actions: Iterable[EnforcementAction], policy: Policy
) -> list[Flag]:
    """One flag for each act of the officer that ended after ``since_ms`` (docked before) and by this docking."""
    return [
        _flag(docking, action, policy)
        for action in sorted(actions, key=lambda one: one.action_id)
        if action.level is Level.FULL
        and docking.officer in action.officers
        and since_ms < action.interval.end_ms <= docking.docked_ms
    ]


def _flag(docking: EmptyDocking, action: EnforcementAction, policy: Policy) -> Flag:
    inputs = {
        "officer": docking.officer[:MAX_SHOWN],
        "recorder": docking.recorder[:MAX_SHOWN],
        "station": docking.station[:MAX_SHOWN],
        "docked_ms": docking.docked_ms,
        "action": action.action_id,
        "entry": docking.entry,
        **asked(docking.docked_ms, policy.answer_by(docking.docked_ms), policy),
    }
    return RULE.flag(f"{docking.entry}:{action.action_id}", inputs, action_id=action.action_id, case=action.case)

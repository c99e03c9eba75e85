"""A recorder that somebody holds was at no dock for too long: what it recorded is seen by nobody."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import RecorderHeld
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, Weight, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="recorder-not-seen",
    version="1",
    title=Both("记录仪长时间没有归还采集", "A recorder was at no dock for long"),
    asks=Both(
        "音像记录应当及时采集、归档；长时间没有接入采集站的记录仪里可能有未采集的录像，也可能已经遗失。",
        "Recordings are handed in in time; a recorder that comes to no dock may hold footage that nobody has, or be"
        " lost.",
    ),
    noticed=Both(
        "按台账有人领用的记录仪，自领用或者最近一次接入采集站、交来文件起超过规定时长（默认七日）没有再接入；"
        "接入、交来文件或者台账归还后自动撤销。休假、停用的，归还登记即可。",
        "By the ledger somebody holds the recorder, and since it was issued, or last docked, or files of it were handed"
        " in, more time has passed than the agency allows (7 days by default). It is withdrawn when it is docked, files"
        " of it come in, or the ledger has it back: before a leave it is handed back.",
    ),
    sentence=Both(
        "执法人员 {officer} 领用的记录仪 {recorder} 自 {seen_ms} 以来没有接入采集站，已超过规定的 {allowed_s}。",
        "Recorder {recorder}, which officer {officer} holds, has been at no dock since {seen_ms}, for longer than the"
        " {allowed_s} that are allowed.",
    ),
    acts=Both(
        "执法人员交回采集或者说明；设备管理员核对记录仪是否还在。",
        "The officer brings it to a dock or explains; the administrator sees that it is still there.",
    ),
    article="运政办〔2019〕3号 一（二）3",
    weight=Weight.NOTICE,
)


def recorder_not_seen(held: RecorderHeld, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for one recorder; exactly at the limit it is in time."""
    seen_ms = max(held.since_ms, held.seen_ms or 0)
    since_ms = seen_ms + policy.unseen_ms
    if now_ms <= since_ms:
        return []
    inputs = {
        "recorder": held.recorder[:MAX_SHOWN],
        "officer": held.officer[:MAX_SHOWN],
        "seen_ms": seen_ms,
        "allowed_s": policy.unseen_ms // 1000,
        **asked(since_ms, policy.answer_by(since_ms), policy),
    }
    return [RULE.flag(held.recorder, inputs)]

"""A station has sent nothing for too long: footage may be waiting there unseen."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import StationHeard
from ingestd.rules.rule import Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="silent-station",
    version="2",
    title=Both("采集站长时间没有消息", "A station is silent"),
    asks=Both(
        "加强执法案卷管理，确保所有执法行为有据可查；沉默的采集站里可能有尚未上传的录像。",
        "Every act of enforcement can be traced; a silent station may hold footage that nobody has seen.",
    ),
    noticed=Both(
        "已登记的采集站超过规定时长（默认七日，按其最新记录自载的时间）没有任何新记录，其间也没有报告称日志已全部送达；"
        "收到新记录或者这样的报告后自动撤销。",
        "An enrolled station has sent no new entry for longer than the agency allows (7 days by default, by the time"
        " that its newest entry states), nor a heartbeat by which its whole log has arrived. It is withdrawn when one"
        " of them comes.",
    ),
    sentence=Both(
        "采集站 {station} 自 {heard_ms} 以来没有任何新记录，已超过规定的 {silent_s}。",
        "Station {station} has sent nothing new since {heard_ms}, for longer than the {silent_s} that are allowed.",
    ),
    acts=Both(
        "系统管理员检查采集站和网络；停用的采集站应当注销。", "The administrator checks the station and the network."
    ),
    article="运政办〔2019〕3号 一（二）3",
)


def silent_station(heard: StationHeard, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for one station by when it was last heard of; exactly at the limit it is not silent yet.

    A heartbeat is only believed to say that nothing waits: one that names entries the centre lacks breaks no silence.
    """
    since_ms = max(heard.heard_ms, heard.complete_ms) + policy.silent_ms
    if now_ms <= since_ms:
        return []
    inputs = {
        "station": heard.station,
        "log": heard.log,
        "heard_ms": heard.heard_ms,
        "silent_s": policy.silent_ms // 1000,
        **asked(since_ms, policy.answer_by(since_ms), policy),
    }
    return [RULE.flag(heard.log, inputs)]

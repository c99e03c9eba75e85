"""A signed fact, or a whole station log, that cannot be worked with: kept, not believed, and the rest goes on."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.rule import Rule
from ingestd.rules.wording import Both

MAX_REASON_CHARS: Final = 300

RULE: Final = Rule(
    rule_id="set-aside",
    version="1",
    title=Both("已搁置的记录", "A record is set aside"),
    asks=Both(
        "电子数据的完整性应当可以验证；有疑问的记录不得冒充或者覆盖他人的记录。",
        "The integrity of electronic data can be verified; a doubtful record neither replaces nor passes for another.",
    ),
    noticed=Both(
        "签名有效的记录声称了另一条记录已有的对象、派生自别处的原件，或者内容无法处理；或者某采集站日志的副本已损坏。"
        "记录原样保存，不予采信，其余照常处理。副本恢复后自动撤销，其余由人工查明后关闭。",
        "A signed record claims an object that another record brought, derives from an original that is not its own, or"
        " cannot be worked with; or the copy of a station's log is damaged. It is kept as it is and not believed, and"
        " everything else goes on. Withdrawn when the copy is restored; otherwise people close it.",
    ),
    sentence=Both(
        "{subject} 已搁置（{finding}）：{reason}。",
        "{subject} is set aside ({finding}): {reason}.",
    ),
    acts=Both("系统管理员查明原因。", "The administrator finds out why."),
    article="电子签名法 第十三条",
)


def set_aside(subject: str, finding: str, reason: str) -> Flag:
    """The flag for ``subject``: an entry as ``log:seq``, a log, or an action."""
    return RULE.flag(subject, {"subject": subject, "finding": finding, "reason": reason[:MAX_REASON_CHARS]})

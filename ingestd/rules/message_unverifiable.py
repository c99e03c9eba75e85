"""A station's message cannot be verified; it lies in quarantine."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.rule import MAX_SHOWN, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="message-unverifiable",
    version="1",
    title=Both("采集站消息无法验证", "A station's message cannot be verified"),
    asks=Both(
        "电子数据的完整性应当可以通过电子签名、哈希值校验等方式验证；能够发现签署后对内容的任何改动。",
        "The integrity of electronic data can be verified by signature and digest, and any change after signing can be"
        " detected.",
    ),
    noticed=Both(
        "收到的消息签名不符、来源密钥未登记、日志不连续或格式错误；原始字节隔离保存，绝不丢弃。人工查明后关闭。",
        "A message came whose signature does not fit, whose key is not enrolled, whose log does not continue, or which"
        " cannot be read. Its bytes are kept in quarantine and never dropped. People close it when it is explained.",
    ),
    sentence=Both(
        "采集站 {station} 发来的消息无法验证（{finding}），已隔离保存，编号 {message}。",
        "A message from station {station} cannot be verified ({finding}); it is kept in quarantine as {message}.",
    ),
    acts=Both("系统管理员查明来源。", "The administrator finds out where it came from."),
    article="电子签名法 第十三条；最高人民法院关于互联网法院审理案件若干问题的规定 第十一条",
)


def message_unverifiable(message_sha256: str, station: str, finding: str) -> Flag:
    """The flag for one quarantined message; ``finding`` is a word of ``custody.verdicts``."""
    inputs = {"message": message_sha256, "station": station[:MAX_SHOWN], "finding": finding[:MAX_SHOWN]}
    return RULE.flag(message_sha256, inputs)

"""A stored original is missing or is not what the station recorded."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.rule import MAX_SHOWN, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="original-not-as-recorded",
    version="1",
    title=Both("原始文件与记录不符", "A stored original is not as recorded"),
    asks=Both(
        "音像资料和电子数据应当内容完整、未被更改，可通过比对完整性校验值审查。",
        "Recordings and electronic data are whole and unchanged, which is examined by comparing their integrity value.",
    ),
    noticed=Both(
        "从存储中重新读取原始文件，文件缺失、长时间无法读取或其 SHA-256 与采集时签名的值不同；再次核验相符后自动撤销。",
        "The original was read again from the store and is missing, cannot be read for long, or its SHA-256 is not the"
        " one signed when it was offloaded. Such a clip covers no act. It is withdrawn when a later check finds it as"
        " recorded.",
    ),
    sentence=Both(
        "原始文件 {name}（{object}）与记录不符：应为 {expected}，实为 {found}。",
        "Original {name} ({object}) is not as recorded: it should be {expected} and is {found}.",
    ),
    acts=Both(
        "立即停止擦除来源记录仪，系统管理员从备份恢复并查明原因。",
        "Do not erase the recorder it came from; the administrator restores it from a backup and finds the cause.",
    ),
    article=(
        "最高人民法院关于适用《中华人民共和国刑事诉讼法》的解释 第一百一十一条；"
        "最高人民法院关于互联网法院审理案件若干问题的规定 第十一条；电子签名法 第五条"
    ),
)


def original_changed(object_id: str, name: str, expected_sha256: str, found: str) -> Flag:
    """The flag for one original; ``found`` is the digest that was read, or ``missing``, or ``unreadable``."""
    inputs = {
        "object": object_id,
        "name": name[:MAX_SHOWN],
        "expected": expected_sha256[:MAX_SHOWN],
        "found": found[:MAX_SHOWN],
    }
    return RULE.flag(object_id, inputs)

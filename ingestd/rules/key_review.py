"""Entries came under a key that had been revoked by then: kept, mirrored and indexed, and people must look at them."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.rule import Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="key-review",
    version="1",
    title=Both("已吊销密钥签名的记录", "Records signed by a revoked key"),
    asks=Both(
        "电子签名制作数据签署时仅由签名人控制；失密后应当及时告知并终止使用。",
        "At the time of signing the signing data are under the signer's sole control; once lost, use ends and is told.",
    ),
    noticed=Both(
        "中心在密钥失效时间之后才收到由该密钥签名的记录。记录原样保存、照常入库，"
        "需人工核实；失效时间之前收到的记录不受影响。",
        "The centre took in records under a key that was revoked by then. They are kept and indexed like any others,"
        " and people must verify them; records taken in before the time of revocation count as they did.",
    ),
    sentence=Both(
        "{log} 的密钥 {key} 自 {since} 起吊销，此后收到的记录（自第 {first} 条起）需人工核实。",
        "Key {key} of {log} is revoked from {since} on; what came from then on (from entry {first}) needs review.",
    ),
    acts=Both("审计人员核实来源。", "The auditor verifies where they came from."),
    article="电子签名法 第十三条、第十五条",
)


def key_review(log: str, keyid: str, since: str, first: int) -> Flag:
    """The one flag for a key; ``since`` is a time for people, ``first`` the number of the first entry since then."""
    return RULE.flag(f"{log}:{keyid}", {"log": log, "key": keyid, "since": since, "first": first})

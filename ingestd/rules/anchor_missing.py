"""Nobody outside the house has vouched for the centre log lately."""

from typing import Final
from zoneinfo import ZoneInfo

from custody.canonical import JsonValue
from ingestd.model import Flag
from ingestd.rules.rule import Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="anchor-missing",
    version="1",
    title=Both("中心日志未按期取得外部证明", "The centre log is not anchored outside in time"),
    asks=Both(
        "电子数据的真实性、完整性可以通过可信时间戳等技术手段验证；由第三方见证，才能发现内部人员重写历史。",
        "Electronic data can be verified by trusted time stamps and the like; only a third party's witness shows that"
        " somebody inside has rewritten the past.",
    ),
    noticed=Both(
        "已配置时间戳机构或见证单位，但超过规定时长没有取得新的时间戳或见证签名；取得后自动撤销。未配置的单位不提示，"
        "但审计报告会写明：没有外部证明，就不能发现掌握全部密钥的内部人员重写历史。",
        "Time-stamping authorities or witnesses are configured, and none has vouched for the log for longer than the"
        " agency allows. It is withdrawn when one does. Where none is configured there is no flag; audits say instead"
        " that without anybody outside, an insider who holds all keys can rewrite the past unseen.",
    ),
    sentence=Both(
        "中心日志 {log} 最近一次外部证明在 {last_ms}（第 {last_size} 条），已超过规定的 {max_age_s}。",
        "The centre log {log} was last anchored outside at {last_ms} (entry {last_size}), longer ago than the"
        " {max_age_s} that are allowed.",
    ),
    acts=Both(
        "系统管理员恢复与时间戳机构或见证单位的联系，并用 ingestd anchors verify 核验已有证明。",
        "The administrator restores the connection to the authority or witness, and checks what there is with ingestd"
        " anchors verify.",
    ),
    article="最高人民法院关于互联网法院审理案件若干问题的规定 第十一条；电子签名法 第五条",
)


def anchor_missing(log: str, last_ms: int | None, last_size: int, max_age_s: int, zone: ZoneInfo) -> Flag:
    """The flag for one log; ``last_ms`` is None while it was never anchored."""
    inputs: dict[str, JsonValue] = {
        "log": log,
        "last_ms": last_ms,
        "last_size": last_size,
        "max_age_s": max_age_s,
        "zone": zone.key,
    }
    return RULE.flag(log, inputs)

"""The register says one officer wore the recorder, the device says another."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import WornBy
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="identity-conflict",
    version="2",
    title=Both("台账与记录仪所载人员不一致", "Register and device name different officers"),
    asks=Both(
        "记录仪的领用、归还应当登记人员和时间；电子数据的制作人应当清楚。",
        "Who takes and returns a recorder, and when, is registered; who made electronic data must be clear.",
    ),
    noticed=Both(
        "台账登记的佩戴人与记录仪或文件所载人员不是同一人；台账更正后自动撤销。",
        "The register names another officer than the device or the file does. It is withdrawn when the register is"
        " corrected.",
    ),
    sentence=Both(
        "记录仪 {recorder} 的 {clips} 个片段（自 {start_ms} 的 {object} 起）台账登记为 {ledger}，设备所载为 {stated}。",
        "{clips} clips of recorder {recorder}, from {object} ({start_ms}) on: the register names {ledger}, the device"
        " {stated}.",
    ),
    acts=Both("设备管理员核实台账；关联由人确认。", "The administrator checks the register; people confirm the link."),
    article="最高人民法院关于适用《中华人民共和国刑事诉讼法》的解释 第一百零八条（参照）",
)


def identity_conflict(worn: WornBy, policy: Policy) -> list[Flag]:
    """One flag for a recorder and two officers; whoever states the end of the registered number means that officer."""
    if not worn.ledger or not worn.stated or worn.ledger.endswith(worn.stated):
        return []
    inputs = {
        "object": worn.object_id,
        "recorder": worn.recorder[:MAX_SHOWN],
        "ledger": worn.ledger[:MAX_SHOWN],
        "stated": worn.stated[:MAX_SHOWN],
        "start_ms": worn.start_ms,
        "clips": worn.clips,
        **asked(worn.start_ms, policy.answer_by(worn.start_ms), policy),
    }
    return [RULE.flag(f"{worn.recorder}:{worn.ledger}:{worn.stated}", inputs)]

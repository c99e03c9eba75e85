"""Whose recorder it is, or who wore it, is told in two ways: by register and device, or by the device's own sources."""

from collections.abc import Mapping, Sequence
from typing import Final

from custody.canonical import JsonValue
from ingestd.model import Flag
from ingestd.rules.facts import Claim, Contradiction, WornBy
from ingestd.rules.rule import MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both, Inputs, Language, Spoken

RULE: Final = Rule(
    rule_id="identity-conflict",
    version="3",
    title=Both("记录仪身份或佩戴人不一致", "It is told in two ways whose recorder it is"),
    asks=Both(
        "记录仪的领用、归还应当登记人员和时间；电子数据的制作人和所用设备应当清楚。",
        "Who takes and returns a recorder, and when, is registered; who made electronic data with which device is"
        " clear.",
    ),
    noticed=Both(
        "台账登记的佩戴人与记录仪或文件所载人员不是同一人，台账更正后自动撤销；或者采集站发现记录仪的身份来源"
        "（序列号、卷标识、卷标、卡内编号、文件名）互相矛盾、与登记不符，或者两台记录仪序列号相同，由人查明后处理。",
        "The register names another officer than the device or the file does; withdrawn when the register is corrected."
        " Or a station found that the sources of a recorder's identity (serial, volume, label, id on the card, names of"
        " files) contradict each other or the register, or that two recorders have one serial; people settle it.",
    ),
    sentence=Both("记录仪 {recorder}：{told}。", "Recorder {recorder}: {told}."),
    acts=Both(
        "设备管理员核实台账、登记表和设备；关联由人确认。",
        "The administrator checks ledger, register and device; people confirm the link.",
    ),
    article="最高人民法院关于适用《中华人民共和国刑事诉讼法》的解释 第一百零八条（参照）",
)
_WORN: Final = Both(
    "{clips} 个片段（自 {start_ms} 的 {object} 起）台账登记为 {ledger}，设备所载为 {stated}",
    "{clips} clips, from {object} ({start_ms}) on: the register names {ledger}, the device {stated}",
)
_CLAIMED: Final = Both(
    "{start_ms} 插入 {station} 的 {bay} 号仓位，{why}；各来源：{claims}",
    "docked at {station}, bay {bay}, {start_ms}: {why}; its sources: {claims}",
)
_LANGUAGES: Final[tuple[Language, Language]] = ("zh", "en")
REASONS: Final[Mapping[str, Both]] = {
    "different-recorders": Both("身份来源指向不同的记录仪", "sources point to different recorders"),
    "serial-differs": Both("序列号与登记的不同", "its serial is not the registered one"),
    "card-id-differs": Both("卡内编号与登记的不同", "the id on its card is not the registered one"),
    "same-serial": Both("另一台序列号相同的记录仪同时插着", "another recorder with its serial was docked as well"),
}
"""Why a station cannot tell whose recorder it is."""
SOURCES: Final[Mapping[str, Both]] = {
    "serial": Both("序列号", "serial"),
    "volume-uuid": Both("卷标识", "volume"),
    "volume-label": Both("卷标", "label"),
    "zfy-info": Both("产品序号（ZFY_INFO）", "product number (ZFY_INFO)"),
    "card-id": Both("卡内编号", "id on the card"),
    "file-name": Both("文件名", "file name"),
}


def identity_conflict(worn: WornBy, policy: Policy) -> list[Flag]:
    """One flag for a recorder and two officers; whoever states the end of the registered number means that officer."""
    if not worn.ledger or not worn.stated or worn.ledger.endswith(worn.stated):
        return []
    inputs: dict[str, JsonValue] = {
        "object": worn.object_id,
        "recorder": worn.recorder[:MAX_SHOWN],
        "ledger": worn.ledger[:MAX_SHOWN],
        "stated": worn.stated[:MAX_SHOWN],
        "start_ms": worn.start_ms,
        "clips": worn.clips,
        **asked(worn.start_ms, policy.answer_by(worn.start_ms), policy),
    }
    return [RULE.flag(f"{worn.recorder}:{worn.ledger}:{worn.stated}", _told(_WORN, inputs))]


def contradicted(docking: Contradiction, policy: Policy) -> Flag:
    """One flag for a recorder and the way in which its sources disagree, however often it is docked."""
    named = sorted({claim.recorder for claim in docking.claims if claim.recorder})
    inputs: dict[str, JsonValue] = {
        "recorder": docking.recorder[:MAX_SHOWN],
        "station": docking.station,
        "bay": docking.bay,
        "entry": docking.entry,
        "reasons": [*docking.reasons],
        **_both("why", [_word(REASONS, one) for one in docking.reasons]),
        **_both("claims", [_claim(one) for one in docking.claims]),
        "start_ms": docking.docked_ms,
        **asked(docking.docked_ms, policy.answer_by(docking.docked_ms), policy),
    }
    key = ":".join([docking.recorder, *named, *docking.reasons])[:MAX_SHOWN]
    return RULE.flag(f"device:{key}", _told(_CLAIMED, inputs))


def _told(sentence: Both, inputs: Inputs) -> Inputs:
    """The inputs, and what they say in either language."""
    zh, en = (sentence.in_language(each).format_map(Spoken(inputs, each)) for each in _LANGUAGES)
    return {**inputs, "told_zh": zh, "told_en": en}


def _claim(claim: Claim) -> Both:
    source, points_to = _word(SOURCES, claim.source), claim.recorder or "—"
    return Both(f"{source.zh} {claim.value} → {points_to}", f"{source.en} {claim.value} → {points_to}")


def _both(name: str, words: Sequence[Both]) -> dict[str, JsonValue]:
    """A list of words as one input in either language, no longer than a flag may repeat."""
    zh, en = "；".join(word.zh for word in words), "; ".join(word.en for word in words)
    return {f"{name}_zh": zh[:MAX_SHOWN], f"{name}_en": en[:MAX_SHOWN]}


def _word(words: Mapping[str, Both], code: str) -> Both:
    """A word of a later station stands for itself."""
    return words.get(code, Both(code, code))

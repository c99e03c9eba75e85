"""An original would be kept for less long than something asks (R13, R14, R15)."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import Retention
from ingestd.rules.rule import DAY_MS, MAX_SHOWN, Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="retention-conflict",
    version="2",
    title=Both("保存期限短于要求", "Kept for less long than is asked"),
    asks=Both(
        "现场执法视音频资料至少保存六个月；作为证据使用的、行政强制执行和阻碍执法的永久保存；"
        "与案件关联的与案卷同期保存。多项要求并存的，从长。",
        "Recordings are kept for at least six months; those used as evidence, of coercive enforcement or of obstruction"
        " for good; those of a case as long as its file. The longest wins.",
    ),
    noticed=Both(
        "已记载处置的原始文件，按现有的行为、案件和目录，本应保存得更久；记载更正后自动撤销。警用规定为借用的默认值，"
        "不是对所有机关的要求。",
        "An original is recorded as gone, and by the acts, cases and catalogue known now it should have been kept for"
        " longer. It is withdrawn when those are corrected. The police rule is a borrowed default, not a duty of every"
        " agency.",
    ),
    sentence=Both(
        "片段 {object} 只保存至 {kept_until_ms}，而应当保存{asked_for}。",
        "Clip {object} was kept until {kept_until_ms} only; asked for: {asked_for}.",
    ),
    acts=Both("档案管理人员查明处置经过并寻找备份。", "The archivist finds out how it went and looks for a backup."),
    article="公安机关现场执法视音频记录工作规定 第十三条（参照）；行政处罚法 第四十七条",
)


def retention_conflict(kept: Retention, policy: Policy) -> list[Flag]:
    """One flag for one original, naming the longest term it falls short of; exactly that term is enough."""
    if kept.kept_until_ms is None:
        return []
    reason = _longer(kept, kept.kept_until_ms, policy)
    if reason is None:
        return []
    inputs = {
        "object": kept.object_id,
        "case": kept.case[:MAX_SHOWN],
        "kept_until_ms": kept.kept_until_ms,
        "asked_for_zh": reason.zh,
        "asked_for_en": reason.en,
        **asked(kept.taken_ms, policy.answer_by(kept.taken_ms), policy),
    }
    return [RULE.flag(kept.object_id, inputs, case=kept.case)]


def _longer(kept: Retention, until_ms: int, policy: Policy) -> Both | None:
    if kept.permanent:
        return Both("永久", "for good")
    if kept.case and (kept.case_until_ms is None or until_ms < kept.case_until_ms):
        return Both("与案卷同期", "as long as the case file")
    if until_ms < kept.taken_ms + policy.keep_days * DAY_MS:
        return Both(f"至少 {policy.keep_days} 日", f"at least {policy.keep_days} days")
    return None

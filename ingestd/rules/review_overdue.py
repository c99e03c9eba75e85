"""A legal review is not concluded in time (R29)."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.facts import Review
from ingestd.rules.rule import Policy, Rule, asked
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="legal-review-overdue",
    version="1",
    title=Both("法制审核逾期", "A legal review is overdue"),
    asks=Both(
        "法制审核机构自材料齐备之日起在规定工作日内提出书面审核意见；日数由本地规定（默认五日，可延长三日）。",
        "The reviewing body gives its written opinion within the set working days from when the material is complete;"
        " local rules set the figure (5 by default, 3 more if extended).",
    ),
    noticed=Both(
        "材料齐备次日起满规定工作日没有书面意见，或者意见晚于该日；补登按时的意见后自动撤销。材料未齐备的不起算。",
        "The set working days after the day the material was complete have passed without an opinion, or it came later."
        " It is withdrawn when one in time is registered. Without complete material nothing runs.",
    ),
    sentence=Both(
        "案件 {case} 的法制审核材料于 {complete_ms} 齐备，应在 {days} 个工作日内提出意见。",
        "Case {case}: the material was complete at {complete_ms}, and an opinion was due within {days} working days.",
    ),
    acts=Both(
        "法制审核机构提出书面意见，说明逾期原因。", "The reviewing body gives its opinion and explains the delay."
    ),
    article="运政办〔2019〕3号 一（三）4；行政处罚法 第五十八条",
)


def review_overdue(review: Review, now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for one round of review; the last working day itself is in time."""
    days = policy.review_working_days + (policy.review_extension_working_days if review.extended else 0)
    by = policy.calendar.working_day_after(policy.day(review.complete_ms), days)
    known_ms = now_ms if review.concluded_ms is None else review.concluded_ms
    if not policy.is_over(by, known_ms):
        return []
    inputs = {
        "case": review.case,
        "complete_ms": review.complete_ms,
        "concluded_ms": review.concluded_ms,
        "days": days,
        **asked(review.complete_ms, by, policy),
    }
    return [RULE.flag(f"{review.case}:{review.complete_ms}", inputs, case=review.case)]

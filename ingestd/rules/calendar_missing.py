"""The notice of this year's holidays is not known: what counts working days or holidays is provisional."""

from typing import Final

from ingestd.model import Flag
from ingestd.rules.rule import Policy, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="calendar-missing",
    version="1",
    title=Both("本年工作日历未发布或未录入", "This year's calendar is not published or not entered"),
    asks=Both(
        "期限以工作日计算的，应当依照国务院办公厅公布的当年放假和调休安排。",
        "Periods in working days follow the State Council's notice of the year's holidays and swapped days.",
    ),
    noticed=Both(
        "程序和单位的日历文件中都没有本年的通知：各期限仅按周末推算，标为“暂定”，法定节假日可能漏判；"
        "录入本年日历后自动撤销。",
        "Neither the program nor the agency's file has this year's notice: periods are counted by the week alone and"
        " marked provisional, and holidays may be missed. It is withdrawn when the year's file is there.",
    ),
    sentence=Both(
        "{year} 年没有放假通知，期限均为暂定。",
        "There is no notice of holidays for {year}; all periods are provisional.",
    ),
    acts=Both("系统管理员录入本年日历文件。", "The administrator writes the year's file."),
    article="行政处罚法 第八十五条；全国年节及纪念日放假办法",
)


def calendar_missing(now_ms: int, policy: Policy) -> list[Flag]:
    """One flag for the present year."""
    year = policy.day(now_ms).year
    return [] if policy.calendar.is_published(year) else [RULE.flag(str(year), {"year": str(year)})]

"""The figures as CSV and xlsx. A name that a spreadsheet would take for a formula is written as text."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ingestd.stats.report import COLUMNS, Line, Report

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NAMES: Final = {
    "unit": "单位 unit",
    "officer": "执法人员 officer",
    "type": "行为类型 type of act",
    "period": "月份 month",
}
RECORDERS: Final = (
    "执法记录仪 recorder",
    "单位 unit",
    "片段 clips",
    "采集失败 copy failed",
    "时钟不准 clock wrong",
)


def as_csv(report: Report) -> bytes:
    """Lines and total as CSV (RFC 4180), UTF-8 with the mark by which spreadsheets know it."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(_rows(report))
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def write_xlsx(report: Report, path: Path) -> None:
    """The same, with a second sheet for recorders. Raises ``OSError``."""
    from xlsxwriter import Workbook  # noqa: PLC0415  # only who asks for a workbook pays for loading its writer

    with Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}) as book:
        for name, rows in (("统计 statistics", list(_rows(report))), ("记录仪 recorders", list(_recorders(report)))):
            sheet, bold = book.add_worksheet(name), book.add_format({"bold": True})
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row, None if number else bold)
            sheet.freeze_panes(1, 1)
            sheet.autofit()


def _rows(report: Report) -> Iterator[list[Any]]:
    yield [_NAMES[report.by], *(f"{words.zh} {words.en}" for words in COLUMNS.values())]
    for line in (*report.lines, report.total):
        yield [
            as_text(_name(line)),
            *("" if value is None else value for value in line.figures(report.made_ms).values()),
        ]


def _recorders(report: Report) -> Iterator[list[Any]]:
    yield list(RECORDERS)
    for one in report.recorders:
        yield [as_text(one.recorder), as_text(one.unit), one.clips, one.failed, "是 yes" if one.clock_wrong else ""]


def _name(line: Line) -> str:
    return line.label.zh if line.label.zh == line.label.en else f"{line.label.zh} {line.label.en}"


def as_text(value: str) -> str:
    """What starts like a formula starts with an apostrophe, as the OWASP guide on CSV injection asks."""
    return f"'{value}" if value.startswith(_FORMULA) else value

"""Spreadsheets as people make them, and as nobody should; each is opened by the program that the centre uses."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import xlsxwriter

from ingestd.cases import Source, parse, spreadsheet_file
from ingestd.cases.spreadsheet import text_of
from ingestd.catalogue import load
from ingestd.model import Officer

ROOT = Path(__file__).parents[2]
CATALOGUE = load(ROOT / "config" / "catalogue.toml")
HEAD = ["行为编号", "案号", "行为类型", "开始时间", "结束时间", "执法人员"]
GOOD = ["CF-01", "云〔2026〕1号", "查封扣押", "2026-11-22 09:30", "2026-11-22 10:30", "007"]
CHEN = Officer("007", "陈国栋")


def workbook(**sheets):
    """A spreadsheet; a datetime in a row becomes a date cell, as a person's program makes it."""
    written = io.BytesIO()
    made = xlsxwriter.Workbook(written, {"in_memory": True})
    moment = made.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    for name, rows in sheets.items():
        sheet = made.add_worksheet(name)
        for at, row in enumerate(rows):
            for column, value in enumerate(row):
                if isinstance(value, datetime):
                    sheet.write_datetime(at, column, value, moment)
                elif value is not None:
                    sheet.write(at, column, value)
    made.close()
    return written.getvalue()


def read(data, **more):
    return parse(data, "x.xlsx", CATALOGUE, known_officers=[CHEN], **more)


def told(findings):
    return [(f.sheet, f.line, f.column, f.value) for f in findings]


def test_a_sheet_says_what_a_csv_file_says():
    in_csv = parse("\n".join(map(",".join, [HEAD, GOOD])).encode(), "x.csv", CATALOGUE, known_officers=[CHEN])
    assert read(workbook(行为=[HEAD, GOOD])) == in_csv


def test_dates_and_numbers_in_cells_of_their_own_kind():
    start, end = datetime(2026, 11, 22, 9, 30), datetime(2026, 11, 22, 10, 30)  # noqa: DTZ001  # a cell has no zone
    found = read(workbook(行为=[[*HEAD, "半径"], ["CF-01", "云〔2026〕1号", "查封扣押", start, end, 19090114007, 300]]))
    assert found.errors == ()
    [act] = found.actions
    assert act.interval.start_ms == int(datetime(2026, 11, 22, 1, 30, tzinfo=UTC).timestamp() * 1000)
    assert (act.interval.length_ms, act.officers, act.radius_m) == (3_600_000, ("19090114007",), 300)


def test_sheets_are_tables_of_one_import_in_whatever_order():
    roster = [["执法证号", "姓名"], ["008", "林晓燕"]]
    found = read(workbook(行为=[HEAD, [*GOOD[:5], "林晓燕"]], 人员=roster))
    assert (found.errors, found.warnings, found.rows) == ((), (), 2)
    assert found.actions[0].officers == ("008",)


def test_errors_name_sheet_line_column_and_value():
    rows = [[], HEAD, [], GOOD, [*GOOD[:4], "2026-11-22 09:29", "007"]]
    found = read(workbook(十一月=rows, 十二月=[HEAD, GOOD]))
    assert told(found.errors) == [("十一月", 5, "结束时间", "2026-11-22 09:29"), ("十二月", 2, "行为编号", "CF-01")]
    assert "工作表“十一月”第 4 行" in found.errors[1].reason_zh
    assert found.actions == ()


def test_instructions_are_mentioned_and_a_table_that_lacks_a_column_is_an_error():
    notes = read(workbook(填表说明=[["请逐行填写"]], 行为=[HEAD, GOOD], 空=[]))
    assert (notes.errors, told(notes.warnings)) == ((), [("填表说明", 1, "", "")])
    lacking = read(workbook(行为=[HEAD, GOOD], 另=[HEAD[:5], GOOD[:5]]))
    assert told(lacking.errors) == [("另", 1, "", "")]
    assert "执法人员" in lacking.errors[0].reason_zh


@pytest.mark.parametrize("number", [190901140071234567, 1.5e15])
def test_a_number_that_lost_digits_is_refused(number):
    found = read(workbook(行为=[HEAD, [*GOOD[:5], number]]))
    assert [(f.line, f.column) for f in found.errors] == [(2, "执法人员")]
    assert "科学计数法" in found.errors[0].reason_zh


@pytest.mark.parametrize(
    ("value", "text"), [(7.0, "7"), (0.5, "0.5"), (999_999_999_999_999, "9" * 15), (True, "true"), ("x", "x")]
)
def test_cells_as_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (workbook(空=[]), "没有内容"),
        (workbook(说明=[["请逐行填写"]]), "没有一张工作表"),
        (workbook(行为=[HEAD]), "没有数据行"),
        (workbook(行为=[HEAD, GOOD])[:-200], "不是可读的 xlsx"),
        (b"PK\x03\x04 and nothing", "不是可读的 xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    ],
    ids=["empty", "notes", "heading", "cut", "no-zip", "old"],
)
def test_a_spreadsheet_that_cannot_be_read_says_why(data, sentence):
    found = read(data)
    assert sentence in found.errors[0].reason_zh
    assert (found.actions, found.cases) == ((), ())


def _stray_cell():
    """A few hundred bytes that ask for a rectangle of 17,179,869,184 cells."""
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
        "</sheetData></worksheet>"
    )
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(行为=[HEAD]))) as usual, zipfile.ZipFile(written, "w") as made:
        for name in usual.namelist():
            made.writestr(name, sheet if name.endswith("sheet1.xml") else usual.read(name))
    return written.getvalue()


def test_a_spreadsheet_that_asks_for_all_memory_is_refused_and_we_live_on():
    found = read(_stray_cell())
    assert [error.reason_zh for error in found.errors] == [spreadsheet_file._TOO_MUCH.zh]


def test_the_headings_of_a_source():
    source = Source.of("oa", {"流水号": "action_id", "经办人 证号": "officers", "执法人员": "", "内部备注": ""})
    head = ["流水号", "案号", "行为类型", "开始时间", "结束时间", "经办人（证号）", "执法人员", "内部备注"]
    head[5] = "经办人证号"
    rows = [head, [*GOOD, "陈某", "x"]]
    found = read(workbook(行为=rows), source=source)
    assert (found.errors, found.warnings, found.actions[0].officers) == ((), (), ("007",))
    in_csv = parse("\n".join(map(",".join, rows)).encode(), "x.csv", CATALOGUE, known_officers=[CHEN], source=source)
    assert in_csv == found
    assert read(workbook(行为=rows)).errors

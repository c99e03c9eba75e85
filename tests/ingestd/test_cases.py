import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.cases import MAX_FILE_BYTES, Source, csv_file, parse, resolved
from ingestd.cases.build import MAX_OFFICERS
from ingestd.cases.columns import TABLES, heading_key, recognise
from ingestd.cases.document import document
from ingestd.cases.fields import FieldError, identifiers, time_ms
from ingestd.cases.rows import Findings
from ingestd.catalogue import Catalogue, load
from ingestd.model import Assignment, Case, Level, Officer, Position, Recorder

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "fixtures" / "cases"
CATALOGUE = load(ROOT / "config" / "catalogue.toml")
SHANGHAI = ZoneInfo("Asia/Shanghai")
HEAD = "行为编号,案号,行为类型,开始时间,结束时间,执法人员"
GOOD = "CF-01,云〔2026〕1号,查封扣押,2026-11-22 09:30,2026-11-22 10:30,007"
CHEN = Officer("007", "陈国栋")


def read(text, name="x.csv", encoding="utf-8", **more):
    return parse(text.encode(encoding), name, CATALOGUE, **more)


def actions(*rows, head=HEAD, **more):
    return read("\n".join([head, *rows]), **more)


def told(findings):
    return [(f.line, f.column, f.value) for f in findings]


def utc_ms(year, month, day, hour=0, minute=0, second=0):
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("name", [p.name for p in sorted(EXAMPLES.iterdir()) if p.name != "with_errors.csv"])
def test_every_example_is_imported_without_an_error(name):
    found = parse((EXAMPLES / name).read_bytes(), name, CATALOGUE)
    assert found.errors == ()
    assert found.rows > 0


def test_the_example_with_errors_shows_one_sentence_for_each():
    found = parse((EXAMPLES / "with_errors.csv").read_bytes(), "with_errors.csv", CATALOGUE)
    assert told(found.errors) == [
        (2, "结束时间", "2026-11-20 09:12"),
        (3, "开始时间", "2026-11-31 10:00"),
        (3, "行为类型", "查验"),
        (3, "执法人员", "1.90901E+10"),
        (4, "执法人员", ""),
    ]
    assert "查封扣押（seizure）" in found.errors[2].reason_zh
    assert "seizure, demolition" in found.errors[2].reason_en


def test_the_document_shows_what_is_accepted():
    examples = {file.name: file.read_text(encoding="utf-8") for file in EXAMPLES.iterdir()}
    written = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    assert written == document(examples), "python -m ingestd.cases fixtures/cases > docs/import.md"


def test_an_action_with_its_case_in_chinese():
    found = parse((EXAMPLES / "actions.csv").read_bytes(), "actions.csv", CATALOGUE)
    act = found.actions[0]
    assert (act.action_id, act.case, act.type, act.level) == ("CF-01", "云执案〔2026〕第0317号", "seizure", Level.FULL)
    assert act.interval.start_ms == utc_ms(2026, 11, 20, 2, 2)
    assert act.officers == ("19090114007", "19090126013")
    assert (act.place, act.radius_m) == (Position(350_268_000, 1_110_075_000), 300)
    assert found.cases[0] == Case("云执案〔2026〕第0317号", "涉嫌无照经营危险物品查封案")


def test_chinese_and_english_files_say_the_same():
    chinese = parse((EXAMPLES / "actions.csv").read_bytes(), "a.csv", CATALOGUE)
    english = parse((EXAMPLES / "actions_en.csv").read_bytes(), "b.csv", CATALOGUE)
    assert [(a.action_id, a.type, a.interval, a.officers) for a in english.actions] == [
        (a.action_id, a.type, a.interval, a.officers) for a in chinese.actions[:2]
    ]


def test_roster_recorders_and_ledger():
    found = parse((EXAMPLES / "officers.csv").read_bytes(), "a.csv", CATALOGUE)
    assert found.officers[0] == Officer("19090114007", "陈国栋", "云溪市综合行政执法局")
    found = parse((EXAMPLES / "recorders.csv").read_bytes(), "a.csv", CATALOGUE)
    assert found.recorders[0] == Recorder("DSJ0731", "执法记录仪 07-31", "云溪市综合行政执法局")
    found = parse((EXAMPLES / "assignments.csv").read_bytes(), "a.csv", CATALOGUE)
    assert found.assignments[1] == Assignment("DSJ0732", "19090153028", utc_ms(2026, 11, 17), utc_ms(2026, 11, 19, 10))
    assert found.assignments[0].end_ms is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_encodings_and_line_ends_of_the_spreadsheets_in_use(encoding, line_end):
    found = read(line_end.join([HEAD, GOOD, ""]), encoding=encoding)
    assert (found.errors, found.actions[0].case) == ((), "云〔2026〕1号")


def test_tabs_separate_too_and_quoted_fields_may_span_lines():
    assert read(f"{HEAD}\n{GOOD}".replace(",", "\t")).errors == ()
    two_lines = 'CF-01,云1,查封,2026-11-22 09:30,2026-11-22 10:30,"007\n013"'
    found = actions(two_lines, "CF-02,云1,查封,x,2026-11-22 10:30,007")
    assert told(found.errors) == [(4, "开始时间", "x")]


def test_blank_lines_are_passed_over_and_lines_still_counted():
    assert told(actions("", GOOD, ",,,,,", "CF-02,,查封,2026-11-22 09:30,2026-11-22 10:30,007").errors) == [
        (5, "案号", "")
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-22 09:30", utc_ms(2026, 11, 22, 1, 30)),
        ("2026/11/22 9:30", utc_ms(2026, 11, 22, 1, 30)),
        ("2026年11月22日 9:30", utc_ms(2026, 11, 22, 1, 30)),
        ("2026年11月22日 9时30分05秒", utc_ms(2026, 11, 22, 1, 30, 5)),
        ("２０２６-11-22 09：30", utc_ms(2026, 11, 22, 1, 30)),
        ("2026-11-22T09:30:00+08:00", utc_ms(2026, 11, 22, 1, 30)),
        ("2026-11-22T09:30:00-0330", utc_ms(2026, 11, 22, 13)),
        ("2026-11-22T09:30:00Z", utc_ms(2026, 11, 22, 9, 30)),
        ("2026-11-22T09:30:00.250Z", utc_ms(2026, 11, 22, 9, 30) + 250),
    ],
)
def test_times_as_people_write_them(written, expected):
    assert time_ms(written, SHANGHAI) == expected


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22",
        "09:30",
        "2026-13-01 00:00",
        "2026-02-30 10:00",
        "2026-11-22 24:01",
        "1026-11-22 09:30",
        "22/11/2026 9:30",
    ],
)
def test_what_is_no_time_is_refused(written):
    with pytest.raises(FieldError):
        time_ms(written, SHANGHAI)


def test_a_time_without_a_zone_is_one_of_the_configured_zone():
    found = actions(GOOD, zone=ZoneInfo("Asia/Urumqi"))
    assert found.actions[0].interval.start_ms == utc_ms(2026, 11, 22, 3, 30)


@given(st.datetimes(datetime(1990, 1, 2), datetime(2100, 12, 30)))  # noqa: DTZ001  # wall-clock times are the point
def test_any_time_written_is_the_time_read(moment):
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    assert time_ms(whole.isoformat(), SHANGHAI) == round(whole.timestamp() * 1000)


@pytest.mark.parametrize("written", ["007;013", "007；013", "007、013", "007，013", "007, 013 ", "007;;013;007"])
def test_officers_are_separated_as_people_separate_them(written):
    assert identifiers(written) == ("007", "013")


def test_the_roster_turns_a_name_into_a_number():
    found = actions(GOOD.replace("007", "陈国栋"), known_officers=[CHEN])
    assert (found.actions[0].officers, found.warnings) == (("007",), ())


def test_two_of_one_name_are_an_error():
    found = actions(GOOD.replace("007", "陈国栋"), known_officers=[CHEN, Officer("008", "陈国栋")])
    assert told(found.errors) == [(2, "执法人员", "陈国栋")]
    assert "007、008" in found.errors[0].reason


def test_an_officer_nobody_knows_is_only_a_warning():
    found = actions(GOOD)
    assert (found.errors, told(found.warnings)) == ((), [(2, "执法人员", "007")])
    assert actions(GOOD, known_officers=[CHEN]).warnings == ()


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (GOOD.replace("10:30", "09:29"), "结束时间"),
        (GOOD.replace("查封扣押", "查验"), "行为类型"),
        (GOOD.replace("CF-01", ""), "行为编号"),
        (GOOD.replace("云〔2026〕1号", " "), "案号"),
        (GOOD.replace("2026-11-22 09:30", ""), "开始时间"),
        (GOOD.replace(",007", ",；"), "执法人员"),
        (GOOD.replace(",007", ",1.9E+10"), "执法人员"),
        (GOOD.replace("CF-01", "CF\x0001"), "行为编号"),
        (GOOD.replace("CF-01", "CF\u202e01"), "行为编号"),
        (GOOD.replace("CF-01", "C" * 201), "行为编号"),
    ],
)
def test_a_wrong_field_is_told_with_line_column_value_and_reason_and_nothing_is_imported(row, column):
    found = actions("CF-00" + GOOD[5:], row)
    assert [(f.line, f.column) for f in found.errors] == [(3, column)]
    assert found.errors[0].reason_zh.endswith("。")
    assert found.errors[0].reason_en.endswith(".")
    assert (found.actions, found.cases, found.rows) == ((), (), 2)


def test_an_act_may_end_as_it_starts():
    assert actions(GOOD.replace("10:30", "09:30")).errors == ()


@pytest.mark.parametrize(("end", "count"), [("2026-11-29 09:30", 0), ("2026-11-29 09:31", 1)])
def test_an_act_of_over_a_week_is_mentioned(end, count):
    found = actions(GOOD.replace("2026-11-22 10:30", end), known_officers=[CHEN])
    assert (found.errors, len(found.warnings)) == ((), count)


def test_every_wrong_field_of_every_row_is_told():
    found = actions(",,,,,", "x,,,,,", ",y,,,,")
    assert [line for line, _, _ in told(found.errors)] == [3] * 5 + [4] * 5


def test_duplicates_name_the_first_line():
    found = actions(GOOD, GOOD)
    assert told(found.errors) == [(3, "行为编号", "CF-01")]
    assert "第 2 行" in found.errors[0].reason
    roster = read("执法证号,姓名\n007,陈国栋\n007,陈国栋")
    assert told(roster.errors) == [(3, "执法证号", "007")]
    cases = read("案号,案由\n云〔2026〕1号,x\n云(2026) 1号,x")
    assert told(cases.errors) == [(3, "案号", "云(2026) 1号")]


def test_two_rows_on_one_line_of_json_may_repeat_each_other():
    found = read('{"officers":[{"number":"7","name":"a"},{"number":"7","name":"a"}]}', "x.json")
    assert told(found.errors) == [(1, "number", "7")]


def test_actions_of_one_case_make_one_case_spelt_as_first():
    found = actions(GOOD, "CF-02" + GOOD[5:].replace("云〔2026〕1号", "云(2026)1号"))
    assert [case.number for case in found.cases] == ["云〔2026〕1号"]
    assert {act.case for act in found.actions} == {"云〔2026〕1号"}


def test_two_titles_of_one_case_contradict_each_other():
    head = HEAD + ",案由"
    found = actions(GOOD + ",甲", "CF-02" + GOOD[5:] + ",乙", head=head)
    assert told(found.errors) == [(3, "案由", "乙")]
    assert actions(GOOD + ",甲", "CF-02" + GOOD[5:] + ",", head=head).cases == (Case("云〔2026〕1号", "甲"),)


@pytest.mark.parametrize(
    ("lat", "lon", "radius", "wrong"),
    [
        ("35.1", "111.1", "", []),
        ("-90", "180", "0", []),
        ("90.0000001", "111.1", "", ["纬度"]),
        ("35.1", "-180.1", "", ["经度"]),
        ("NaN", "111.1", "", ["纬度"]),
        ("35.1", "", "", ["经度"]),
        ("35.1", "111.1", "-1", ["半径"]),
        ("35.1", "111.1", "100001", ["半径"]),
        ("35.1", "111.1", "100000米", []),
    ],
)
def test_places(lat, lon, radius, wrong):
    found = actions(f"{GOOD},{lat},{lon},{radius}", head=HEAD + ",纬度,经度,半径(米)")
    assert [heading_key(f.column) for f in found.errors] == wrong


def test_a_place_without_a_radius_has_that_of_its_type():
    found = actions(f"{GOOD},35.12345678,111.1", head=HEAD + ",纬度,经度")
    assert (found.actions[0].place, found.actions[0].radius_m) == (Position(351_234_568, 1_111_000_000), 500)


def test_the_ledger_is_checked():
    head = "记录仪编号,领用人,领用时间,归还时间"
    backwards = read(f"{head}\nR1,007,2026-11-22 10:00,2026-11-22 09:00", known_officers=[CHEN])
    assert told(backwards.errors) == [(2, "归还时间", "2026-11-22 09:00")]
    twice = read(f"{head}\nR1,007,2026-11-22 10:00,\nR1,007,2026-11-22 10:00,")
    assert [f.line for f in twice.errors] == [3]
    shared = f"{head}\nR1,007,2026-11-22 10:00,2026-11-22 12:00\nR1,008,2026-11-22 11:59,"
    known = [CHEN, Officer("008", "x")]
    assert [f.line for f in read(shared, known_officers=known).warnings] == [3]
    assert read(shared.replace("11:59", "12:00"), known_officers=known).warnings == ()


def test_unknown_columns_are_mentioned_and_not_used():
    found = actions(GOOD + ",x", head=HEAD + ",备注", known_officers=[CHEN])
    assert (found.errors, told(found.warnings)) == ((), [(1, "备注", "")])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "没有内容"),
        (HEAD, "没有数据行"),
        ("甲,乙\n1,2", "表头无法识别"),
        ("行为编号,案号\n1,2", "还缺少列：行为类型、开始时间、结束时间、执法人员"),
        (HEAD + ",start\n" + GOOD + ",x", "出现了两次"),
        (HEAD + "\n" + GOOD + ",surplus", "列数比表头多"),
        (HEAD + '\n"abc', "不是合法的 CSV"),
        ("PK\x03\x04", "xlsx"),
    ],
)
def test_a_csv_that_cannot_be_read_says_why(text, sentence):
    found = read(text)
    assert len(found.errors) == 1
    assert sentence in found.errors[0].reason
    assert found.actions == ()


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("{", 1, "不是合法的 JSON"),
        ('{"actions": [\n{"id": 1},\nno]}', 3, "不是合法的 JSON"),
        ("[]", 1, '应为 {"officers"'),
        ("{}", 0, "没有数据行"),
        ('{"acts": []}', 0, "没有数据行"),
        ('{"acts":\n [{}]}', 2, "没有名为“acts”的表"),
        ('{"cases": {"number": 1}, "cases": 3}', 1, '应为 {"officers"'),
        ('{"cases": [\n\n7]}', 3, '应为 {"officers"'),
        ('{"cases": [{"number": "1",\n "number": "2"}]}', 1, "同一字段出现了两次"),
        ('{"cases": [{"number": "1", "案号": "2"}]}', 1, "与另一字段含义相同"),
        ('{"cases": [\n{"number": true}]}', 2, "应为文本、数字或文本列表"),
        ('{"cases": [{"number": "\\ud800"}]}', 1, "控制字符"),
        ("[" * 100_000, 0, "嵌套过深"),
    ],
)
def test_a_json_that_cannot_be_read_says_why_and_where(text, line, sentence):
    found = read(text, "x.json")
    assert found.errors[0].line == line
    assert sentence in found.errors[0].reason
    assert found.cases == ()


def test_json_rows_know_their_line_and_numbers_stay_as_written():
    found = read('{"officers": [\n {"number": 007e, "name": "x"}]}', "x.json")
    assert found.errors[0].line == 2
    found = read('{\n"officers": [\n {"number": 19090114007, "name": "x"},\n\n {"number": "8"}\n]}', "x.json")
    assert told(found.errors) == [(5, "name", "")]


def test_unknown_json_fields_are_mentioned_once():
    found = read('{"cases": [{"number": "1", "x": 1},\n {"number": "2", "x": 2}]}', "x.json")
    assert (found.errors, told(found.warnings)) == ((), [(1, "x", "")])


def test_a_file_beyond_the_bound_is_not_read():
    found = parse(b" " * (MAX_FILE_BYTES + 1), "x.json", CATALOGUE)
    assert "64 MiB" in found.errors[0].reason


def test_bytes_of_no_encoding():
    assert "GB18030" in parse(b"\xff\xff\xff\x00", "x.csv", CATALOGUE).errors[0].reason


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_table_is_recognised_by_its_own_headings(table, language):
    required = [c.name for c in table.columns if c.required]
    headings = [c.name if language == "en" or not c.also else c.also[0] for c in table.columns]
    assert recognise(headings) is table
    assert recognise(required) is table


@pytest.mark.parametrize("lacking", [c.name for c in TABLES[0].columns if c.required])
def test_acts_that_lack_a_column_are_not_taken_for_a_table_of_cases(lacking):
    headings = [c.name for c in TABLES[0].columns if c.name != lacking]
    assert recognise(headings) is None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_heading_means_two_columns_of_one_table(table):
    keys = [heading_key(h) for column in table.columns for h in {heading_key(h) for h in column.headings}]
    assert len(keys) == len(set(keys))


@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.json"]))
def test_no_bytes_make_it_raise_and_nothing_is_half_imported(data, name):
    found = parse(data, name, CATALOGUE)
    assert found.errors or found.rows
    if found.errors:
        assert (found.officers, found.recorders, found.assignments, found.cases, found.actions) == ((),) * 5


_values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))


_names = st.sampled_from([c.name for t in TABLES for c in t.columns])
_rows = st.lists(st.dictionaries(_names, st.one_of(_values, st.lists(_values))), max_size=3)


@given(st.dictionaries(st.sampled_from([t.name for t in TABLES]), _rows, max_size=3))
def test_no_json_of_about_the_right_shape_makes_it_raise(tables):
    found = read(json.dumps(tables), "x.json")
    assert found.rows <= sum(len(rows) for rows in tables.values())


@given(st.lists(st.lists(st.text(max_size=6), min_size=6, max_size=6), max_size=4))
def test_no_csv_of_about_the_right_shape_makes_it_raise(rows):
    text = io.StringIO()
    csv.writer(text).writerows([HEAD.split(","), *rows])
    found = parse(text.getvalue().encode("utf-8", "surrogatepass"), "x.csv", CATALOGUE)
    assert found.errors or found.actions


def test_two_holders_from_one_moment_are_refused_in_either_order():
    rows = ["REC1,A,2026-11-01 08:00,", "REC1,B,2026-11-01 08:00,"]
    for order in (rows, rows[::-1]):
        found = read("recorder,officer,start,end\n" + "\n".join(order))
        [error] = found.errors
        assert (error.line, error.column, error.value) == (3, "officer", order[1].split(",")[1])
        assert "2" in error.reason_zh
        assert "Line 2" in error.reason_en
        assert found.assignments == ()


def test_an_act_has_a_bounded_number_of_officers():
    def of(count):
        many = "；".join(f"{number:03d}" for number in range(count))
        return actions(f"CF-01,云〔2026〕1号,查封扣押,2026-11-22 09:30,2026-11-22 10:30,{many}")

    assert of(MAX_OFFICERS).errors == ()
    [error] = of(MAX_OFFICERS + 1).errors
    assert (error.line, error.column) == (2, "执法人员")
    assert str(MAX_OFFICERS) in error.reason


def test_without_a_catalogue_an_act_is_refused_in_a_sentence():
    found = parse(f"{HEAD}\n{GOOD}\n".encode(), "x.csv", Catalogue("none", {}))
    [error] = found.errors
    assert (error.line, error.column, error.value) == (2, "行为类型", "查封扣押")
    assert "[catalogue] file" in error.reason


def test_a_file_name_that_is_no_text_is_refused_in_a_sentence():
    found = read(f"{HEAD}\n{GOOD}\n", name="f\udcff.csv")
    assert ["UTF-8" in error.reason for error in found.errors] == [True]
    assert found.actions == ()


def test_a_name_before_its_roster_says_what_to_do():
    found = actions(GOOD.replace("007", "陈国栋"))
    assert ["先导入名册" in warning.reason_zh for warning in found.warnings] == [True]


def test_a_resolved_import_is_read_as_it_was_written():
    for example in sorted(EXAMPLES.glob("*")):
        imported = parse(example.read_bytes(), example.name, CATALOGUE)
        again = resolved.read(resolved.write(imported))
        assert again == replace(imported, errors=(), warnings=(), rows=0)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version": 2}', b'{"version": 1, "officers": [{}]}', b"\xff"])
def test_what_is_no_resolved_import_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        resolved.read(data)


def test_progress_is_told_and_no_more_than_a_row_is_held_at_a_time():
    """Rows are read while they are asked for: what a million of them take is what the values take."""
    rows, seen = 2_500, []
    text = "\n".join([HEAD, *(GOOD.replace("CF-01", f"CF-{number}") for number in range(rows))])
    found = read(text, known_officers=[CHEN], progress=seen.append)
    assert (found.rows, seen) == (rows, [1_000, 2_000])

    sheets = csv_file.read(text, Source(), Findings())
    assert isinstance(sheets[0].rows, Iterator)


def test_somebody_who_is_on_no_roster_is_mentioned_once():
    found = actions(GOOD, GOOD.replace("CF-01", "CF-02"), GOOD.replace("CF-01", "CF-03").replace(",007", ",008"))
    assert told(found.warnings) == [(2, "执法人员", "007"), (4, "执法人员", "008")]

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import chinese_calendar
import pytest

from ingestd import calendar_cn
from ingestd.calendar_cn import AgencyYear, Calendar, Deadline, Source
from ingestd.errors import ConfigError

ROOT = Path(__file__).parents[2]
PLAIN = Calendar()
D = date.fromisoformat


def test_a_swapped_saturday_is_worked_and_a_swapped_friday_is_not():
    assert PLAIN.is_working_day(D("2026-01-04"))
    assert not PLAIN.is_working_day(D("2026-01-02"))
    assert not PLAIN.is_holiday(D("2026-01-04"))
    assert PLAIN.is_holiday(D("2026-01-02"))


def test_a_weekend_is_no_statutory_holiday():
    saturday = D("2026-11-21")
    assert not PLAIN.is_working_day(saturday)
    assert not PLAIN.is_holiday(saturday)


@pytest.mark.parametrize(
    ("start", "count", "last"),
    [
        ("2026-11-20", 1, "2026-11-23"),
        ("2026-11-20", 7, "2026-12-01"),
        ("2026-09-30", 1, "2026-10-08"),
        ("2026-10-08", 2, "2026-10-10"),
        ("2026-02-13", 2, "2026-02-24"),
    ],
)
def test_the_first_day_does_not_count_and_only_working_days_do(start, count, last):
    assert PLAIN.working_day_after(D(start), count) == Deadline(D(last), provisional=False)


def test_every_day_of_the_known_years_is_as_the_notices_have_it():
    day = D("2006-01-01")
    while day < D("2026-12-28"):
        assert PLAIN.is_working_day(day).yes is chinese_calendar.is_workday(day), day
        assert not PLAIN.is_working_day(day).provisional, day
        day += timedelta(days=1)


def test_a_year_without_a_notice_is_provisional_day_by_day_and_in_every_deadline():
    assert PLAIN.of(D("2027-02-08")).source is Source.PROVISIONAL
    assert PLAIN.is_working_day(D("2027-02-08")).provisional
    assert PLAIN.is_holiday(D("2027-02-08")).provisional
    assert PLAIN.working_day_after(D("2027-02-05"), 1) == Deadline(D("2027-02-08"), provisional=True)
    assert not PLAIN.is_published(2027)


def test_what_the_statute_fixes_needs_no_notice():
    may = PLAIN.of(D("2027-05-01"))
    assert (may.holiday, may.working, may.provisional) == (True, False, False)
    assert PLAIN.of(D("2002-05-01")).source is Source.PROVISIONAL


def test_the_last_days_of_a_year_are_open_until_the_next_notice():
    last = D("2026-12-28")
    assert PLAIN.is_working_day(last).provisional
    assert not PLAIN.is_working_day(last - timedelta(days=1)).provisional
    assert not Calendar({2027: AgencyYear(2027, "国办发明电〔2026〕1号")}).is_working_day(last).provisional


def test_the_agencys_file_stands_over_the_notice_and_for_one_that_is_not_known():
    local = AgencyYear(2026, "", {D("2026-11-23"): ("停工日", False)}, {D("2026-11-22"): "停工日"})
    coming = AgencyYear(2027, "国办发明电〔2026〕1号", {D("2027-02-08"): ("春节", True)})
    calendar = Calendar({2026: local, 2027: coming})
    assert calendar.of(D("2026-11-23")).source is Source.AGENCY
    assert not calendar.is_working_day(D("2026-11-23"))
    assert not calendar.is_holiday(D("2026-11-23"))
    assert calendar.is_working_day(D("2026-11-22"))
    assert calendar.working_day_after(D("2027-02-05"), 1) == Deadline(D("2027-02-09"), provisional=False)


def test_a_file_without_a_notice_leaves_its_year_provisional():
    calendar = Calendar({2027: AgencyYear(2027, "", {D("2027-02-08"): ("春节", True)})})
    assert not calendar.is_published(2027)
    assert not calendar.of(D("2027-02-08")).provisional
    assert calendar.of(D("2027-02-09")).provisional


@pytest.mark.parametrize("count", [0, -1, 3661])
def test_a_period_of_no_days_is_refused(count):
    with pytest.raises(ValueError, match="working days"):
        PLAIN.working_day_after(D("2026-11-20"), count)


def test_the_example_says_what_the_published_notice_says():
    with_file = calendar_cn.load(ROOT / "config" / "calendar")
    assert with_file.agency[2026].notice == "国办发明电〔2025〕7号"
    for day in (D("2026-01-01") + timedelta(days=n) for n in range(365)):
        mine, theirs = with_file.of(day), PLAIN.of(day)
        assert (mine.working, mine.holiday, mine.festival) == (theirs.working, theirs.holiday, theirs.festival)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("year = 2027\nnotise = 'x'", "notise"),
        ("year = 2026", r"must be called 2026\.toml"),
        ("year = 2027\n[[off]]\nname='a'\nfirst=2027-01-02\nlast=2027-01-01", "not before first"),
        ("year = 2027\n[[off]]\nname='a'\nfirst=2026-12-31\nlast=2027-01-01", "put it into 2026.toml"),
        (
            "year = 2027\n[[off]]\nname='a'\nfirst=2027-01-01\nlast=2027-01-01\nworked=[2027-01-01]",
            "both off and worked",
        ),
        ("year = ", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, says):
    (tmp_path / "2027.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=says) as refused:
        calendar_cn.load(tmp_path)
    assert "2027.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        calendar_cn.load(tmp_path / "gone")


def shown(folder, *arguments):
    code = "from ingestd.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "calendar", "show", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    return run.returncode, run.stdout, run.stderr


def test_a_published_year_is_shown_with_its_sources(tmp_path):
    code, out, _ = shown(tmp_path, "2026", "--json")
    facts = json.loads(out)
    assert (code, facts["published"]) == (0, True)
    assert {"day": "2026-01-04", "is": "working", "festival": "元旦", "source": "notice"} in facts["days"]
    assert {"day": "2026-10-05", "is": "off", "festival": "国庆节", "source": "notice"} in facts["days"]
    assert "2026-11-21" not in out, "a plain weekend is not worth telling"


def test_a_year_without_a_notice_is_shown_as_provisional_and_is_not_ok(tmp_path):
    code, out, err = shown(tmp_path, "2027", "--json")
    facts = json.loads(out)
    assert (code, facts["provisional"]) == (2, True)
    assert [day["source"] for day in facts["days"]] == ["statute"] * len(facts["days"])
    assert "日历未发布" in err

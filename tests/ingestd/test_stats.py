"""Statistics: the figures of a known story, and every figure as long as the list it leads to."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from html import unescape
from urllib.parse import parse_qsl

import pytest
from fastapi.testclient import TestClient
from python_calamine import CalamineWorkbook

from ingestd import flag_life
from ingestd.decisions import Person
from ingestd.rules import Policy
from ingestd.stats.make import make
from ingestd.stats.report import BY, months
from ingestd.stats.sheet import as_csv, write_xlsx
from ingestd.web.actions import wanted as acts_wanted
from ingestd.web.app import create_app
from ingestd.web.clips import wanted as clips_wanted
from ingestd.web.site import Site
from tests.fakes import audit_story
from tests.fakes.audited import audited_world, ingestd
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import World

POLICY = Policy()


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    made.close()


@pytest.fixture
def story(world):
    audit_story.tell(world)
    return world


def report(world, by="unit", bounds=(None, None)):
    return make(world.queries, by, bounds, world.clock.ms, POLICY)


def visitor(world):
    now = datetime.fromtimestamp(world.clock.ms / 1000, UTC)
    counted = lambda by, bounds, now_ms: make(world.queries, by, bounds, now_ms, POLICY)  # noqa: E731
    return TestClient(create_app(world.queries, None, counted=counted, now=lambda: now, policy=POLICY))


def site(world):
    now = datetime.fromtimestamp(world.clock.ms / 1000, UTC)
    return Site(world.queries, None, POLICY.zone, now=lambda: now, policy=POLICY)


def test_the_story_of_an_audit_gives_exactly_its_numbers(story):
    total = report(story).total.figures(story.clock.ms)
    within = sum(audit_story.began_ms(n) + 5 * 60_000 > story.clock.ms - POLICY.grace_ms for n in range(100))
    assert total["must"] == audit_story.DISPATCHES
    assert total["pending"] == within == 0
    assert total["missing"] == audit_story.UNFILMED
    assert (total["full"], total["partial"], total["explained"]) == (80, 0, 0)
    assert (total["linked"], total["unlinked"], total["late"]) == (80, audit_story.BACKLOG, audit_story.LATE)


@pytest.mark.parametrize("by", BY)
def test_lines_add_up_to_the_total(story, by):
    made = report(story, by)
    total = made.total.figures(made.made_ms)
    shared = 2 if by == "officer" else 1
    for name in ("must", "full", "partial", "missing", "pending"):
        assert sum(line.figures(made.made_ms)[name] for line in made.lines) == shared * total[name], name
    if by != "type":
        for name in ("linked", "unlinked", "late"):
            assert sum(line.figures(made.made_ms)[name] for line in made.lines) == total[name], name


@pytest.mark.parametrize("days", ["", "&from=2026-11-20&to=2026-11-21"])
@pytest.mark.parametrize("by", BY)
def test_every_figure_is_as_long_as_the_list_it_leads_to(story, by, days):
    flag = next(one for one in story.queries.flags(limit=500).rows if one.rule == "missing-full-process-video")
    story.pipeline.decide(flag_life.explain(flag.flag_id, Person("甲", "电池耗尽")))

    page = visitor(story).get(f"/stats?by={by}{days}").text

    figures = re.findall(r'<td class="figure"><a href="(/(?:actions|clips)\?[^"]*)">(\d+)</a>', page)
    assert len(figures) > 4
    for href, figure in figures:
        path, _, query = unescape(href).partition("?")
        asked = dict(parse_qsl(query))
        rows = (
            story.queries.actions(acts_wanted(asked, site(story)), limit=1000).rows
            if path == "/actions"
            else story.queries.clips(clips_wanted(asked, site(story)), limit=1000).rows
        )
        assert len(rows) == int(figure), href
    assert "explained=yes" in page or days


def test_within_grace_nothing_is_missing_yet(story):
    story.clock.ms = audit_story.began_ms(audit_story.DISPATCHES - 1) + 5 * 60_000 + POLICY.grace_ms - 1
    total = report(story).total.figures(story.clock.ms)
    assert total["pending"] == 1
    assert total["must"] == sum(total[name] for name in ("full", "partial", "missing", "pending")) == 100


def test_an_empty_centre_counts_nothing_and_says_so(world):
    assert report(world).lines == ()
    assert report(world, "period").total.acts.must == 0
    page = visitor(world).get("/stats")
    assert (page.status_code, "该时段没有可统计的内容" in page.text) == (200, True)


def test_a_bad_question_is_answered_with_what_is_allowed(world):
    for query in ("by=age", "from=yesterday"):
        assert visitor(world).get(f"/stats?{query}").status_code == 400
    assert "full | partial | missing | pending" in visitor(world).get("/actions?outcome=good").text


def test_months_are_the_calendar_of_the_place():
    found = months(NOW_MS, NOW_MS + 40 * 86_400_000, POLICY.zone)
    assert [name for name, _, _ in found] == ["2026-11", "2026-12", "2027-01"]
    assert all(found[n][2] == found[n + 1][1] for n in range(2))
    assert datetime.fromtimestamp(found[0][1] / 1000, POLICY.zone).isoformat() == "2026-11-01T00:00:00+08:00"


def test_sheets_hold_the_same_figures_and_no_formula(world, tmp_path):
    evil = {
        "officers": [{"number": "7", "name": "王"}],
        "cases": [{"number": "C1", "title": "", "unit": '=HYPERLINK("x")'}],
    }
    acts = [{"id": "A1", "case": "C1", "type": "seizure", "officers": ["7"], **_times()}]
    imported, _ = world.pipeline.import_cases(json.dumps({**evil, "actions": acts}).encode(), "evil.json")
    assert imported.errors == ()
    made = report(world)

    rows = list(csv.reader(io.StringIO(as_csv(made).decode("utf-8-sig"))))
    write_xlsx(made, tmp_path / "s.xlsx")
    book = CalamineWorkbook.from_path(tmp_path / "s.xlsx")

    names = [row[0] for row in rows[1:]]
    assert names == ['\'=HYPERLINK("x")', "合计 Total"]
    assert rows[-1][1] == str(made.total.acts.must) == "1"
    sheet = book.get_sheet_by_index(0).to_python()
    assert [str(row[0]) for row in sheet[1:]] == names
    assert [int(row[1]) for row in sheet[1:]] == [1, 1]


def _times():
    start = NOW_MS - 100 * 3_600_000
    return {"start": audit_story.moment(start), "end": audit_story.moment(start + 60_000)}


def test_command(tmp_path):
    world = audited_world(tmp_path)
    data = ("--data-dir", world.folder)
    told = json.loads(ingestd("stats", "--by", "officer", "--json", *data).out)
    assert told["total"]["must"] == sum(told["total"][name] for name in ("full", "partial", "missing", "pending")) > 0
    written = ingestd("stats", "--csv", tmp_path / "s.csv", "--xlsx", tmp_path / "s.xlsx", *data)
    assert (written.code, (tmp_path / "s.xlsx").stat().st_size > 1000) == (0, True)
    assert "合计" in written.out
    assert (tmp_path / "s.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    for wrong in (("--by", "age"), ("--from", "x"), ("--csv", tmp_path / "s.csv")):
        refused = ingestd("stats", *wrong, *data)
        assert (refused.code, refused.err.count("\n")) == (64, 1)

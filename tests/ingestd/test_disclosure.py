"""Publication: what is due when, what never leaves the house, and a site that is the same for the same data."""

import csv
import io
import json
import re
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from ingestd.catalogue import load as load_catalogue
from ingestd.decisions import Person
from ingestd.disclosure import build, site
from ingestd.disclosure.content import FIELDS, MASK, Settled, clean, is_public, masked, public
from ingestd.disclosure.decide import Kind, Made, PartyKind, Withheld, record, withdraw
from ingestd.disclosure.due import due
from ingestd.errors import RefusedError
from ingestd.index.decided import decisions
from ingestd.review.decide import Result, conclude, extend, submit
from ingestd.rules import Policy
from ingestd.web.app import create_app
from tests.fakes.audited import CASE, audited_world, ingestd
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import load

DAY = 24 * 3_600_000
POLICY = Policy()
SETTLED = Settled(tuple(FIELDS), "运城市城市管理局", POLICY.zone)
CLERK, LAWYER = Person("甲", "材料清单一份"), Person("乙", "同意")
NUMBER = "案〔2026〕1号"
CATALOGUE = Path(__file__).parents[2] / "config" / "catalogue.toml"


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    load(made)
    yield made
    assert made.compared().outcome == 0
    made.close()


def made(**changes):
    told = {
        "case": NUMBER,
        "kind": Kind.PENALTY,
        "made_ms": NOW_MS - DAY,
        "party": "张三丰",
        "party_kind": PartyKind.PERSON,
        "title": "占道经营",
        "conclusion": "罚款500元",
    }
    return Made(**{**told, **changes})


def decided(world, **changes):
    [entry] = world.pipeline.decide(record(made(**changes), CLERK))
    return entry.record.block("decision")["id"]


def reviewed(world, *, complete_ms=NOW_MS - 3 * DAY, result=Result.AGREED, by=LAWYER):
    [entry] = world.pipeline.decide(submit(NUMBER, "吊销许可证", complete_ms, CLERK))
    review = entry.record.block("review")["id"]
    if result:
        world.pipeline.decide(conclude(review, by, result))
    return review


def rows(world):
    return world.queries.read(decisions)


def shown(world, settled=SETTLED):
    catalogue = load_catalogue(CATALOGUE)
    return world.queries.read(lambda db: build.read(db, settled, catalogue, ("立案", "决定"), POLICY, world.clock.ms))


# Legal review.


def test_a_major_decision_is_refused_without_a_review_of_this_case_that_was_passed_before(world):
    with pytest.raises(RefusedError, match="不得作出决定"):
        decided(world, major=True)
    for result in (None, Result.PROBLEMS):
        with pytest.raises(RefusedError, match="不得作出决定"):
            decided(world, major=True, review=reviewed(world, result=result), made_ms=world.clock.ms)
    passed = reviewed(world)
    with pytest.raises(RefusedError, match="before the decision"):
        decided(world, major=True, review=passed, made_ms=world.clock.ms - DAY)
    assert rows(world) == []

    world.clock.ms += 1_000
    decided(world, major=True, review=passed, made_ms=world.clock.ms)
    assert [row["major"] for row in rows(world)] == [1]


def test_whoever_submits_does_not_review_and_an_opinion_is_given_once(world):
    review = reviewed(world, result=None)
    with pytest.raises(RefusedError, match="somebody else reviews"):
        world.pipeline.decide(conclude(review, Person(" 甲", "同意"), Result.AGREED))
    world.pipeline.decide(conclude(review, LAWYER, Result.PROBLEMS))
    for again in (conclude(review, LAWYER, Result.AGREED), extend(review, CLERK)):
        with pytest.raises(RefusedError, match="opinion already"):
            world.pipeline.decide(again)


def test_what_had_problems_is_handed_in_again_and_its_clock_starts_anew(world):
    review = reviewed(world, complete_ms=NOW_MS - 30 * DAY, result=Result.PROBLEMS)
    world.pipeline.import_cases(json.dumps({"cases": [{"number": "另案"}]}).encode(), "x.json")
    with pytest.raises(RefusedError, match="not of"):
        world.pipeline.decide(submit("另案", "x", NOW_MS, CLERK, review))
    world.pipeline.decide(submit(NUMBER, "吊销许可证", NOW_MS, CLERK, review))
    with pytest.raises(RefusedError, match="submitted again"):
        world.pipeline.decide(submit(NUMBER, "吊销许可证", NOW_MS, CLERK, review))
    world.pipeline.decide(conclude(review, LAWYER, Result.AGREED))
    decided(world, major=True, review=review, made_ms=world.clock.ms)


@pytest.mark.parametrize("extended", [False, True])
def test_a_review_that_takes_too_long_is_flagged(world, extended):
    review = reviewed(world, complete_ms=NOW_MS, result=None)
    if extended:
        world.pipeline.decide(extend(review, CLERK))
    days = 0
    while not world.queries.flags("open", "legal-review-overdue").rows:
        world.clock.ms += DAY
        days += 1
        world.pipeline.sweep()
    assert days == (11 if extended else 8), "5 working days, 3 more when extended, and the weekends between"
    world.pipeline.decide(conclude(review, LAWYER, Result.AGREED))
    world.pipeline.sweep()
    assert world.queries.flags("open", "legal-review-overdue").rows, "a late opinion stays late"


# Deadlines.


@pytest.mark.parametrize(
    ("kind", "days"), [(Kind.PENALTY, 7), (Kind.LICENCE, 7), (Kind.COERCION, 20), (Kind.OTHER, 20)]
)
def test_what_is_not_published_in_its_working_days_is_flagged(world, kind, days):
    decided(world, kind=kind, made_ms=NOW_MS)
    [one] = due(rows(world), world.clock.ms, POLICY)
    assert POLICY.calendar.working_day_after(POLICY.day(NOW_MS), days) == one.by
    world.clock.ms = int(one.by.day.strftime("%s")) * 1000
    world.pipeline.sweep()
    assert not world.queries.flags("open", "disclosure-overdue").rows
    world.clock.ms += 2 * DAY
    world.pipeline.sweep()
    [flag] = world.queries.flags("open", "disclosure-overdue").rows
    assert flag.case == NUMBER


def test_what_is_withdrawn_comes_down_and_is_due_to(world):
    kept, gone = decided(world), decided(world, party="李四")
    world.pipeline.decide(lambda repository, _: build.told(repository.decided.decisions(), "0" * 64, []))
    world.pipeline.decide(withdraw(gone, NOW_MS - DAY // 2, CLERK))
    assert [one["id"] for one in shown(world).decisions] == [kept]
    [one] = due(rows(world), world.clock.ms, POLICY)
    assert (one.fact.subject, one.fact.kind.value) == (gone, "withdrawal")

    told = build.told(rows(world), "1" * 64, [])
    assert [fact["disclosure"]["removed"] for _, fact in told] == [[gone]]
    world.pipeline.decide(lambda *_: told)
    assert due(rows(world), world.clock.ms, POLICY) == []
    assert build.told(rows(world), "1" * 64, []) == [], "nothing is said twice"
    with pytest.raises(RefusedError, match="withdrawn already"):
        world.pipeline.decide(withdraw(gone, NOW_MS, CLERK))


def test_what_is_withheld_is_neither_shown_nor_due(world):
    decided(world, withheld=Withheld.PRIVACY)
    assert due(rows(world), world.clock.ms, POLICY) == []
    assert shown(world).decisions == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"case": "无此案"}, "no case"),
        ({"made_ms": NOW_MS + DAY * 400}, "future"),
        ({"title": " "}, "--title"),
        ({"party": "x\ny"}, "--party"),
    ],
)
def test_wrong_decisions_are_refused(world, changes, why):
    with pytest.raises(RefusedError, match=why):
        decided(world, **changes)
    assert rows(world) == []


def test_page_shows_reviews_and_what_is_due_with_their_last_days(world):
    visitor = TestClient(
        create_app(world.queries, None, now=lambda: datetime.fromtimestamp(world.clock.ms / 1000, UTC))
    )
    assert "尚无报送审核的案件" in visitor.get("/reviews").text
    reviewed(world, complete_ms=NOW_MS - 30 * DAY, result=None)
    reviewed(world, result=Result.PROBLEMS)
    decided(world, made_ms=NOW_MS - 30 * DAY)
    zh, en = (visitor.get(f"/reviews?lang={tag}").text for tag in ("zh-CN", "en"))
    for told in ("吊销许可证", "审核中", "存在问题", "公示处罚", "占道经营", "同意"):
        assert told in zh
    assert zh.count("逾期") == en.count("overdue") == 2
    assert "take it down" not in en


# What never leaves the house.

NAMES = st.text("张王李欧阳司马三丰某当事人＊ABab", min_size=1, max_size=5).filter(lambda name: name.strip())
NUMBERS = st.from_regex(
    r"[0-9]{15}|[0-9]{17}[0-9X]|1[0-9]{10}|0[0-9]{3}-[0-9]{7,8}|[0-9]{4}( [0-9]{4}){3}", fullmatch=True
)


def plainly(text):
    """As somebody reads it who looks for a name."""
    return re.sub(r"[\s·•‧・.]", "", unicodedata.normalize("NFKC", text)).casefold()


def a_row(**changes):
    told = {
        "decision_id": "1",
        "case_number": "案1",
        "kind": "penalty",
        "made_ms": NOW_MS,
        "unit": "城管一队",
        "party": "张三",
        "party_kind": "person",
        "title": "t",
        "conclusion": "c",
        "withheld": "",
        "withdrawn_ms": None,
    }
    return {**told, **changes}


@given(
    name=NAMES,
    number=NUMBERS,
    before=NAMES,
    after=NAMES,
    space=st.sampled_from(["", " ", "\u3000", "·", "•"]),
    wide=st.booleans(),
)
def test_no_name_of_a_person_and_no_long_number_is_in_what_is_published(name, number, before, after, space, wide):
    spaced = space.join(name.swapcase())
    spaced = "".join(chr(ord(char) + 0xFEE0) if "A" <= char <= "z" else char for char in spaced) if wide else spaced
    text = f"{before}{spaced}{after}，身份证{number}，{name}"
    told = public(a_row(party=name, title=text, conclusion=text), SETTLED)

    for field in ("party", "title", "conclusion"):
        assert plainly(name) not in plainly(told[field]), field
        assert number not in told[field]
        assert max((len(run) for run in re.findall(r"\d+", told[field])), default=0) < 7


def test_masks_are_readable_and_organisations_and_dates_are_not_masked():
    assert (masked("张三丰"), masked("王"), masked("某某"), masked("某")) == ("张某", "某", "当事人", "当事人")
    told = public(a_row(party="张三", conclusion="对张三罚款500元，于2026-11-20缴纳，电话13800138000"), SETTLED)
    assert told["conclusion"] == f"对张某罚款500元，于2026-11-20缴纳，电话{MASK}"
    firm = public(a_row(party="运城某某有限公司", party_kind="organisation"), SETTLED)
    assert firm["party"] == "运城某某有限公司"
    assert clean("x", "") == "x"
    assert clean("ＬＩ MING与阿不都·热合曼", "Li Ming") == "L某与阿不都·热合曼"
    assert clean("罚阿不都 热合曼五百元", "阿不都·热合曼") == "罚阿某五百元"


def test_only_fields_that_are_let_out_are_published():
    told = public(a_row(), Settled(("case", "made"), "x", POLICY.zone))
    assert told == {"case": "案1", "made": "2026-11-23"}
    assert [is_public(a_row(**change)) for change in ({}, {"withheld": "privacy"}, {"withdrawn_ms": 1})] == [
        True,
        False,
        False,
    ]


def test_an_unknown_party_kind_is_taken_for_a_person():
    assert public(a_row(party="张三", party_kind=""), SETTLED)["party"] == "张某"


# The site.


class Outside(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.inline, self.langs = [], [], []

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.found += [told[name] for name in ("href", "src", "action") if name in told]
        self.inline += [name for name in told if name == "style" or name.startswith("on")]
        if tag == "html":
            self.langs.append(told.get("lang"))


def test_the_site_is_whole_the_same_each_time_and_loads_nothing_from_elsewhere(world, tmp_path):
    decided(world)
    decided(world, party="甲公司", party_kind=PartyKind.ORGANISATION, title='<script>alert("x")</script>')
    content = site.files(shown(world))

    assert content == site.files(shown(world))
    assert "2026-11.html" in content
    for name, data in content.items():
        assert "张三丰" not in data.decode(), name
        if name.endswith(".html"):
            read = Outside()
            read.feed(data.decode())
            assert read.langs == ["zh-CN"]
            assert read.inline == []
            assert not [one for one in read.found if ":" in one or one.startswith("/")]
            assert {one.split("#")[0] for one in read.found} - {""} <= content.keys()
            assert "<script>alert" not in data.decode()
    told = json.loads(content["decisions.json"])["decisions"]
    schema = json.loads(content["schema.json"])["properties"]["decisions"]["items"]
    assert all(one.keys() == schema["properties"].keys() for one in told)
    table = list(csv.DictReader(io.StringIO(content["decisions.csv"].decode("utf-8-sig"))))
    assert [row["id"] for row in table] == [one["id"] for one in told]


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("theirs")
    with pytest.raises(RefusedError, match="was not made by"):
        site.replace_folder(tmp_path / "www", {"index.html": b"ours"})
    assert (tmp_path / "www" / "index.html").read_text() == "theirs"

    for data in (b"one", b"two"):
        site.replace_folder(tmp_path / "ours", {"index.html": data})
    assert (tmp_path / "ours" / "index.html").read_bytes() == b"two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "www"]


def test_a_killed_build_leaves_the_site_of_before_and_the_next_one_goes_through(tmp_path):
    site.replace_folder(tmp_path / "out", {"index.html": b"one"})
    code = (
        "import os, sys, pathlib\nfrom ingestd.disclosure import site\n"
        "rename = pathlib.Path.rename\n"
        "def die(self, target):\n"
        "    rename(self, target) if sys.argv[2] == 'after' else None\n    os.kill(os.getpid(), 9)\n"
        "pathlib.Path.rename = die\nsite.replace_folder(pathlib.Path(sys.argv[1]), {'index.html': b'two'})"
    )
    for moment in ("before", "after"):
        subprocess.run([sys.executable, "-c", code, tmp_path / "out", moment], check=False)
        site.replace_folder(tmp_path / "out", {"index.html": b"three"})
        assert (tmp_path / "out" / "index.html").read_bytes() == b"three"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_commands_from_review_to_site(tmp_path):
    world = audited_world(tmp_path)
    data = ("--data-dir", world.folder)
    text = (world.folder / "ingestd.toml").read_text()
    day = "2020-01-02"
    submitted = ingestd(
        "review", "submit", CASE, "--subject", "强制拆除", "--complete", day, "--by", "甲", "--reason", "卷宗", *data
    )
    assert submitted.code == 0, submitted.err
    [review] = json.loads(ingestd("review", "list", "--json", *data).out)["reviews"]
    args = ("--by", "乙", "--opinion", "同意", "--result", "agreed")
    assert ingestd("review", "conclude", review["review_id"], *args, *data).code == 0
    seen = json.loads(ingestd("review", "show", review["review_id"], "--json", *data).out)
    assert [one["action"] for one in seen["actions"]] == ["A1"]
    assert ingestd("review", "show", "nothing", *data).code == 64

    told = (
        "--kind",
        "penalty",
        "--party",
        "张三丰",
        "--party-kind",
        "person",
        "--title",
        "占道",
        "--conclusion",
        "罚款500元",
    )
    refused = ingestd(
        "decisions", "record", CASE, *told, "--made", day, "--major", "--by", "甲", "--reason", "x", *data
    )
    assert (refused.code, refused.err.count("\n")) == (64, 1)
    assert ingestd("decisions", "record", CASE, *told, "--made", day, "--by", "甲", "--reason", "x", *data).code == 0
    late = ingestd("disclosure", "due", "--json", *data)
    assert (late.code, json.loads(late.out)["overdue"]) == (1, 1)
    assert "agency" in ingestd("disclosure", "build", "--out", tmp_path / "www", "--by", "甲", *data).err

    (world.folder / "ingestd.toml").write_text(text + '\n[disclosure]\nagency = "运城市城市管理局"\n')
    built = ingestd("disclosure", "build", "--out", tmp_path / "www", "--by", "甲", "--json", *data)
    assert (built.code, json.loads(built.out)["decisions"]) == (0, 1), built.err
    assert "张某" in (tmp_path / "www" / "2020-01.html").read_text()
    assert not [path for path in (tmp_path / "www").iterdir() if "张三丰".encode() in path.read_bytes()]
    assert json.loads(ingestd("disclosure", "due", "--json", *data).out) == {"due": [], "overdue": 0}
    again = json.loads(ingestd("disclosure", "build", "--out", tmp_path / "www", "--by", "甲", "--json", *data).out)
    assert (again["entries"], again["sha256"]) == (0, json.loads(built.out)["sha256"])
    year = json.loads(ingestd("disclosure", "annual", "2020", "--json", *data).out)
    assert (year["penalty"], year["due"]) == (1, "2021-01-15")
    [one] = json.loads(ingestd("decisions", "list", "--json", *data).out)["decisions"]
    gone = ingestd(
        "decisions", "withdraw", one["decision_id"], "--on", "2020-02-01", "--by", "甲", "--reason", "复议撤销", *data
    )
    assert gone.code == 0, gone.err
    assert "已撤销" in ingestd("decisions", "list", *data).out

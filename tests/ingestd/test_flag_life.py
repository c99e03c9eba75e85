"""A flag from open to closed: who may say what, in which order, and what facts do to all of it."""

import json

import pytest
from fastapi.testclient import TestClient

from ingestd import flag_life
from ingestd.decisions import Person
from ingestd.errors import RefusedError
from ingestd.flag_life import LISTED, Status
from ingestd.pipeline import ReadBack
from ingestd.relinking import Wanted
from ingestd.web.app import create_app
from tests.fakes.audited import audited_world, ingestd, rows
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import HOUR, START, load

OFFICER = Person("甲", "电池耗尽")
HEAD = Person("乙", "情况属实")
CHIEF = Person("丙", "现场断电，无法录像")


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def flag(world):
    """An act that must be on video and is not."""
    load(world)
    return only(world).flag_id


def only(world, state=""):
    [one] = world.queries.flags(state).rows
    return one


def listed(world, flag_id):
    """In which lists the flag stands."""
    return {
        state
        for state in LISTED
        if flag_id in {row.flag_id for row in world.queries.flags("" if state == "all" else state).rows}
    }


def closed(world, flag_id):
    world.pipeline.decide(flag_life.explain(flag_id, OFFICER))
    world.pipeline.decide(flag_life.review(flag_id, HEAD, accepted=True))
    world.pipeline.decide(flag_life.close(flag_id, CHIEF, "impossibility"))


def test_each_step_is_listed_where_it_is_looked_for(world, flag):
    steps = [
        (None, {"open", "unexplained", "all"}),
        (flag_life.explain(flag, OFFICER), {"open", "explained", "all"}),
        (flag_life.review(flag, HEAD, accepted=False), {"open", "returned", "all"}),
        (flag_life.explain(flag, OFFICER), {"open", "explained", "all"}),
        (flag_life.review(flag, HEAD, accepted=True), {"open", "reviewed", "all"}),
        (flag_life.close(flag, CHIEF, "impossibility"), {"closed", "all"}),
    ]
    for decision, lists in steps:
        if decision is not None:
            world.pipeline.decide(decision)
        assert listed(world, flag) == lists
    acts = [(one.event, one.actor, one.said, one.result) for one in only(world).acts]
    assert acts == [
        ("flag.explained", "甲", "电池耗尽", ""),
        ("flag.reviewed", "乙", "情况属实", "returned"),
        ("flag.explained", "甲", "电池耗尽", ""),
        ("flag.reviewed", "乙", "情况属实", "accepted"),
        ("flag.closed", "丙", "现场断电，无法录像", "impossibility"),
    ]
    assert world.queries.summary().open_flags == 0


@pytest.mark.parametrize(
    ("before", "decision", "why"),
    [
        ([], lambda flag: flag_life.review(flag, HEAD, accepted=True), "is open"),
        ([], lambda flag: flag_life.close(flag, CHIEF, "emergency"), "is open"),
        (["explain"], lambda flag: flag_life.close(flag, CHIEF, "emergency"), "is explained"),
        (["explain"], lambda flag: flag_life.review(flag, Person("  甲 ", "行"), accepted=True), "somebody else"),
        (["explain", "review"], lambda flag: flag_life.review(flag, HEAD, accepted=False), "is reviewed"),
        (["explain", "review"], lambda flag: flag_life.close(flag, Person("甲", "断电"), "emergency"), "不得自己批准"),
        (["explain", "review"], lambda flag: flag_life.close(flag, CHIEF, "forgotten"), "ground must be one of"),
        (["explain", "review", "close"], lambda flag: flag_life.explain(flag, OFFICER), "is closed"),
        (["explain", "review", "close"], lambda flag: flag_life.close(flag, CHIEF, "emergency"), "is closed"),
        ([], lambda _: flag_life.explain("nothing", OFFICER), "no flag nothing"),
    ],
)
def test_what_is_out_of_order_is_refused_and_leaves_nothing(world, flag, before, decision, why):
    steps = {
        "explain": flag_life.explain(flag, OFFICER),
        "review": flag_life.review(flag, HEAD, accepted=True),
        "close": flag_life.close(flag, CHIEF, "emergency"),
    }
    for name in before:
        world.pipeline.decide(steps[name])
    was = only(world)

    with pytest.raises(RefusedError, match=why):
        world.pipeline.decide(decision(flag))

    assert only(world) == was


def test_an_original_that_differs_is_explained_and_reviewed_but_never_closed_away(world):
    world.stations[0].clip(START, officer_as_stated="000001")
    world.pipeline.handle([world.stations[0].message()])
    [clip] = [row.object_id for row in world.queries.clips().rows]
    world.pipeline.record_checks([ReadBack(clip, 1, "00" * 32)])
    flag = only(world).flag_id
    world.pipeline.decide(flag_life.explain(flag, OFFICER))
    world.pipeline.decide(flag_life.review(flag, HEAD, accepted=True))

    with pytest.raises(RefusedError, match="facts alone do"):
        world.pipeline.decide(flag_life.close(flag, CHIEF, "impossibility"))

    assert (only(world).rule, only(world).status) == ("original-not-as-recorded", Status.REVIEWED)


def test_facts_withdraw_what_is_closed_and_what_comes_back_is_open_with_its_history(world, flag):
    closed(world, flag)
    world.stations[0].clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([world.stations[0].message()])
    assert (only(world).status, listed(world, flag)) == (Status.CLEARED, {"cleared", "all"})

    load(world, action="A1", start=START + 9 * HOUR)

    back = only(world, "open")
    assert (back.flag_id, back.status, len(back.acts)) == (flag, Status.EXPLAINED, 3)


def test_the_same_facts_found_again_leave_a_flag_closed(world, flag):
    closed(world, flag)
    before = only(world)
    world.pipeline.sweep()
    assert world.pipeline.relink(Wanted()).nothing
    world.restart()

    assert only(world) == before


def test_facts_that_change_reopen_what_was_closed(world, flag):
    closed(world, flag)

    load(world, start=START + HOUR)

    now = only(world)
    assert (now.flag_id, now.status, now.state) == (flag, Status.EXPLAINED, "open")


def test_page_shows_where_a_flag_stands_and_who_said_what(world, flag):
    closed(world, flag)
    visitor = TestClient(create_app(world.queries, None))
    zh, en = (visitor.get(f"/flags?state=closed&lang={tag}").text for tag in ("zh-CN", "en"))
    for said in ("已关闭", "电池耗尽", "审核，认可说明", "客观原因无法记录", "现场断电，无法录像"):
        assert said in zh
    for said in ("Closed", "reviewed, explanation accepted", "it could not be recorded for objective reasons"):
        assert said in en
    assert flag not in visitor.get("/flags").text
    assert visitor.get("/flags?state=done").status_code == 400


def test_commands_walk_the_same_way(tmp_path):
    world = audited_world(tmp_path)
    [[flag]] = rows(world, "SELECT flag_id FROM flag LIMIT 1")
    data = ("--data-dir", world.folder)
    steps = [
        ("explain", "--by", "甲", "--reason", "电池耗尽"),
        ("review", "--by", "乙", "--reason", "属实"),
        ("close", "--by", "丙", "--reason", "断电", "--ground", "impossibility"),
    ]
    assert [ingestd("flags", step, flag, *rest, *data).code for step, *rest in steps] == [0, 0, 0]
    refused = ingestd("flags", "close", flag, *steps[2][1:], *data)
    assert (refused.code, refused.err.count("\n")) == (64, 1)

    told = json.loads(ingestd("flags", "show", flag, "--json", *data).out)
    assert (told["status"], [one["actor"] for one in told["acts"]]) == ("closed", ["甲", "乙", "丙"])
    text = ingestd("flags", "show", flag, *data).out
    assert "客观原因无法记录" in text
    listed = {
        state: [
            one["flag_id"]
            for one in json.loads(ingestd("flags", "list", "--state", state, "--json", *data).out)["flags"]
        ]
        for state in ("open", "closed")
    }
    assert flag in listed["closed"]
    assert flag not in listed["open"]
    assert ingestd("flags", "list", "--state", "gone", *data).code == 64
    assert ingestd("flags", "show", "gone", *data).code == 64

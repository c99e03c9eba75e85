"""Until when originals are kept: of all that asks the longest wins; what may be proposed is what may be approved."""

import json

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from ingestd import decisions
from ingestd.errors import RefusedError
from ingestd.retention import Kept, Why, longest
from ingestd.rules.rule import DAY_MS
from ingestd.web.app import create_app
from tests.fakes.audited import audited_world, ingestd
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_people import OTHER, WHO, approve
from tests.ingestd.test_pipeline import HOUR, START, load

KEEP = 183


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


def clips(world, *starts):
    station = world.stations[0]
    made = [station.clip(start, officer_as_stated="000001") for start in starts]
    world.pipeline.handle([station.message()])
    world.pipeline.record_checks(world.read_back())
    return made


TERMS = st.lists(st.one_of(st.integers(KEEP, 4000), st.sampled_from(["case-file", "permanent"])), max_size=4)


@given(terms=TERMS, held=st.booleans())
def test_the_longest_wins_in_whatever_order_it_is_asked(terms, held):
    until, why = longest(terms, NOW_MS, KEEP, held=held)
    assert (until, why) == longest(list(reversed(terms)), NOW_MS, KEEP, held=held)
    for_good = held or {"permanent", "case-file"} & {*terms}
    assert (until is None) == bool(for_good)
    if until is not None:
        assert until == NOW_MS + max([KEEP, *terms]) * DAY_MS
    if held:
        assert why is Why.HOLD


@pytest.mark.parametrize(
    ("terms", "days", "why"),
    [
        ([], KEEP, Why.MINIMUM),
        ([KEEP], KEEP, Why.MINIMUM),
        ([KEEP + 1], KEEP + 1, Why.TERM),
        ([1], KEEP, Why.MINIMUM),
        (["case-file", 9999], None, Why.CASE_FILE),
        (["case-file", "permanent"], None, Why.PERMANENT),
    ],
)
def test_terms(terms, days, why):
    until = None if days is None else NOW_MS + days * DAY_MS
    assert longest(terms, NOW_MS, KEEP, held=False) == (until, why)


def test_a_linked_clip_is_kept_by_what_the_catalogue_asks_of_its_act(world):
    load(world)
    [clip] = clips(world, START)
    kept = world.pipeline.kept(clip)
    assert (kept.why, kept.proposable) == (Why.CASE_FILE, False)
    assert "linked" in kept.against
    world.pipeline.decide(decisions.hold("", "案〔2026〕1号", WHO))
    assert world.pipeline.kept(clip).why is Why.HOLD


def test_what_may_be_proposed_is_exactly_what_may_be_approved(world):
    load(world)
    linked, looked, unseen, held, young = clips(world, START, *(START - hours * HOUR for hours in (5, 6, 7, 8)))
    for one in (looked, held):
        world.pipeline.viewed(one, "detail", "甲")
    world.pipeline.decide(decisions.hold(held, "", WHO))
    assert world.pipeline.proposable(10) == []
    world.clock.ms += KEEP * DAY_MS + HOUR

    found = world.pipeline.proposable(10)

    assert found == [looked]
    assert world.pipeline.kept(looked) == Kept(
        looked, world.pipeline.kept(looked).until_ms, Why.MINIMUM, proposable=True
    )
    for one in (linked, unseen, held, young):
        kept = world.pipeline.kept(one)
        assert not kept.proposable
        with pytest.raises(RefusedError) as refused:
            world.pipeline.decide(decisions.approve_disposal(one, OTHER, KEEP))
        assert str(refused.value) == kept.against
    approve(world, looked)
    world.pipeline.decide(decisions.record_disposal(looked, WHO, lambda _name: False))
    assert world.pipeline.proposable(10) == []


def test_the_page_shows_holds_approvals_and_what_may_be_proposed(world):
    looked, held, half, gone = clips(world, *(START - hours * HOUR for hours in (5, 6, 7, 8)))
    for one in (looked, held, half, gone):
        world.pipeline.viewed(one, "detail", "甲")
    world.clock.ms += KEEP * DAY_MS + HOUR
    visitor = TestClient(create_app(world.queries, None, proposable=world.pipeline.proposable))
    empty = TestClient(create_app(world.queries, None, proposable=lambda _limit: [])).get("/retention").text
    assert "没有封存" in empty
    assert "没有可提请销毁的片段" in empty
    world.pipeline.decide(decisions.hold(held, "", WHO))
    world.pipeline.decide(decisions.approve_disposal(half, WHO, KEEP))
    approve(world, gone)
    world.pipeline.decide(decisions.record_disposal(gone, WHO, lambda _name: False))

    page = visitor.get("/retention").text
    on_hold, approved, proposed = page.split("<section>")[1:]

    assert held in on_hold
    assert half not in on_hold
    assert "还需一人批准" in approved.split(half)[2].split("</tr>")[0]
    assert "已按批准销毁" in approved.split(gone)[2].split("</tr>")[0]
    assert looked in proposed
    assert held not in proposed
    assert gone not in proposed
    assert 'href="/retention"' in visitor.get("/").text
    assert TestClient(create_app(world.queries, None)).get("/retention").status_code == 404


def test_the_last_day_itself_still_keeps(world):
    [clip] = clips(world, START - 5 * HOUR)
    world.pipeline.viewed(clip, "detail", "甲")
    until_ms = world.pipeline.kept(clip).until_ms
    world.clock.ms = until_ms - 1
    assert world.pipeline.proposable(10) == []
    world.clock.ms = until_ms
    assert world.pipeline.proposable(10) == [clip]


def test_commands(tmp_path):
    world = audited_world(tmp_path)
    data = ("--data-dir", world.folder)
    told = json.loads(ingestd("retention", "show", world.clips[0], "--json", *data).out)
    assert (told["proposable"], bool(told["against"])) == (False, True)
    assert "不可提请销毁" in ingestd("retention", "show", world.clips[0], *data).out
    assert ingestd("retention", "show", "nothing", *data).code == 64
    assert json.loads(ingestd("disposals", "propose", "--json", *data).out) == {"proposable": [], "count": 0}

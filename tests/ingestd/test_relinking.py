"""Deciding anew: nothing changes where nothing changed, whatever came in first; and what differs is mended and said."""

from pathlib import Path

import pytest
from sqlalchemy import delete, update

from ingestd import decisions, relinking
from ingestd.decisions import Person
from ingestd.errors import RefusedError
from ingestd.index import tables as t
from ingestd.link import RULE_VERSION
from ingestd.relinking import Wanted
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import HOUR, START, load
from tests.oracles.histories import history
from tests.oracles.many import difference, first_difference
from tests.oracles.playing import Ground
from tests.oracles.rooms import said
from tests.oracles.verdict import told

MINUTE = 60_000
WHO = Person("甲", "亲眼所见")


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return Ground(tmp_path_factory.mktemp("histories"))


@pytest.mark.parametrize("first", range(0, 30, 10))
def test_whatever_came_in_first_a_centre_says_what_the_oracles_say(ground, first):
    """The same in any number: ``python -m tests.oracles.many 10000``; docs/histories.md holds a report of it."""
    for number in range(first, first + 10):
        past = history(number)
        for order in (number, -number - 1):
            assert difference(past, told(past), order, ground) == "", f"history {number}, order {order}"


def test_the_pure_rooms_say_what_the_oracles_say():
    for number in range(400):
        past = history(number)
        assert first_difference(said(past), told(past)) == "", f"history {number}"


def test_the_oracles_tell_histories_apart():
    """A comparison that never fails would prove nothing."""
    assert first_difference(told(history(1)), told(history(2))).startswith("officers: the centre alone")


@pytest.fixture
def world(tmp_path, database_url):
    """Half of A1 is on a clip, A2 has none, and one clip is only near to both."""
    made = World(tmp_path, database_url, [FakeStation()]).started()
    load(made)
    load(made, action="A2", start=START + 2 * HOUR)
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def half(world):
    object_id = world.stations[0].clip(START, 5 * MINUTE, officer_as_stated="000001")
    world.pipeline.handle([world.stations[0].message()])
    return object_id


@pytest.fixture
def near(world, half):
    object_id = world.stations[0].clip(START - 10 * MINUTE, 5 * MINUTE, officer_as_stated="000001")
    world.pipeline.handle([world.stations[0].message(2)])
    return object_id


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(action="A1"), "clip"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_with_nothing_changed_it_says_so_and_writes_nothing(world, half, near, wanted, dry_run):
    before = world.events()

    found = world.pipeline.relink(Wanted(clip=half) if wanted == "clip" else wanted, dry_run=dry_run)

    assert found.nothing
    looked = (1, 1) if wanted == "clip" else (2, 2) if wanted == Wanted() else (2, 1)
    assert (found.clips, found.actions) == looked
    assert world.events() == before


def spoil(world):
    """What an older version of the rules may have left, in every table that is decided."""
    with world.engine.begin() as connection:
        connection.execute(update(t.link).values(rule_version="link/0", score=1))
        connection.execute(update(t.clip).values(officer="000002"))
        connection.execute(delete(t.suggestion))
        connection.execute(update(t.coverage).values(nominal_ppm=7))
        connection.execute(update(t.flag).where(t.flag.c.state == "open").values(detail="otherwise"))


@pytest.mark.parametrize("part", [1, 500])
def test_what_differs_is_said_in_a_rehearsal_then_mended_and_said_again(world, half, near, monkeypatch, part):
    monkeypatch.setattr(relinking, "PART", part)
    spoil(world)
    before = world.events()

    rehearsed = world.pipeline.relink(Wanted(), dry_run=True)
    assert world.events() == before
    done = world.pipeline.relink(Wanted())

    for found in (rehearsed, done):
        assert {(one.object_id, one.action_id, one.rule_version) for one in found.linked} == {
            (half, "A1", RULE_VERSION)
        }
        assert found.officers == {half: "000001", near: "000001"}
        assert {clip: [one.action_id for one in ones] for clip, ones in found.suggested.items()} == {near: ["A1"]}
        assert {action: one.nominal_ppm for action, one in found.covered.items()} == {"A1": 500_000, "A2": 0}
        assert {flag.action_id for flag in found.flags_changed} == {"A1", "A2"}
        assert (found.unlinked, found.flags_set, found.flags_cleared) == ([], [], [])
    assert sorted(world.events()[len(before) :]) == ["case.linked", "flag.changed", "flag.changed"]
    assert world.pipeline.relink(Wanted()).nothing


def test_a_clip_alone_and_an_action_alone_are_mended_and_no_more(world, half, near):
    spoil(world)

    assert world.pipeline.relink(Wanted(clip=near)).touched_clips == {near}
    assert world.pipeline.relink(Wanted(action="A2")).touched_actions == {"A2"}

    left = world.pipeline.relink(Wanted(), dry_run=True)
    assert (left.touched_clips, left.touched_actions) == ({half}, {"A1"})
    world.pipeline.relink(Wanted())


def test_what_people_decided_stays(world, half, near):
    world.pipeline.decide(decisions.unlink(half, "A1", WHO))
    world.pipeline.decide(decisions.link(near, "A2", WHO))

    assert world.pipeline.relink(Wanted()).nothing
    assert world.queries.clip(half).links == ()
    assert [link.method for link in world.queries.clip(near).links] == ["manual"]


def test_a_clip_that_cannot_be_judged_is_named_and_does_not_hold_up_the_others(world, half, near):
    with world.engine.begin() as connection:
        connection.execute(update(t.clip).where(t.clip.c.object_id == half).values(problems="no JSON"))
        connection.execute(delete(t.suggestion))

    found = world.pipeline.relink(Wanted(), dry_run=True)

    assert (found.odd_clips, found.odd_actions, set(found.suggested)) == ([half], ["A1"], {near})
    with world.engine.begin() as connection:
        connection.execute(update(t.clip).where(t.clip.c.object_id == half).values(problems="[]"))
    world.pipeline.relink(Wanted())


@pytest.mark.parametrize(("wanted", "why"), [(Wanted(clip="c"), "no clip c"), (Wanted(action="A9"), "no action A9")])
def test_what_does_not_exist_is_refused(world, wanted, why):
    with pytest.raises(RefusedError, match=why):
        world.pipeline.relink(wanted)


def test_another_ledger_entry_touches_only_the_clips_of_its_time(world):
    """The recorder changed hands; correcting the later entry looks at no clip of the earlier holder."""
    load(world, assignments=[("REC1", "000001", START - HOUR)])
    station = world.stations[0]
    early = station.clip(START, 5 * MINUTE, officer_as_stated="")
    late = station.clip(START + 2 * HOUR, 5 * MINUTE, officer_as_stated="")
    world.pipeline.handle([station.message()])
    load(world, assignments=[("REC1", "000002", START + HOUR)])
    before = world.events()

    load(world, assignments=[("REC1", "000001", START + HOUR)])

    assert world.queries.clip(early).row.officer == world.queries.clip(late).row.officer == "000001"
    assert world.events()[len(before) :].count("case.linked") == 1


def test_the_report_of_the_many_histories_is_there():
    report = (Path(__file__).resolve().parents[2] / "docs" / "histories.md").read_text()
    assert "python -m tests.oracles.many" in report

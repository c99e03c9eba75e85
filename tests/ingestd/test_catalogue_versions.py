"""An act is judged by the catalogue in force when it began, whatever the agency writes later."""

import hashlib
from dataclasses import replace

import pytest

from ingestd.catalogue import Catalogue, Catalogues, Version, in_force_ms, parse
from ingestd.errors import StateError
from ingestd.index.repository import Repository
from ingestd.model import Level
from ingestd.running import Running
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import HOUR, START, load

DAY = 24 * HOUR
FIRST = """version = "1"
[[types]]
id = "seizure"
zh = "查封扣押"
en = "Seizure"
level = "full"
article = "甲 第一条"
"""
SECOND = FIRST.replace('"1"', '"2"').replace('"full"', '"text"').replace("甲 第一条", "乙 第二条")
SAMPLING = SECOND + '[[types]]\nid = "sampling"\nzh = "抽样"\nen = "Sampling"\nlevel = "specified"\narticle = "丙"\n'


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()])
    with_catalogue(made, FIRST)
    yield made
    made.close()


def with_catalogue(world, text):
    """Start the centre again with another catalogue."""
    world.catalogue = text.encode()
    world.running = Running({"program.version": "1"}, world.catalogue)
    world.restart()
    world.pipeline.start()


def versions(world):
    with world.engine.connect() as connection:
        return Repository(connection).people.catalogues()


def level(world, action):
    return world.queries.action(action).action.level


def flags(world):
    return {flag.flag_id: flag for flag in world.queries.flags("").rows}


def test_each_change_is_one_entry_and_every_text_is_kept(world):
    with_catalogue(world, FIRST)
    with_catalogue(world, SECOND)

    assert world.events().count("catalogue.changed") == 2
    told = [(row["version"], row["sha256"]) for row in versions(world)]
    assert told == [(text[11], hashlib.sha256(text.encode()).hexdigest()) for text in (FIRST, SECOND)]
    kept = [(world.folder / "configurations" / f"{sha256}.toml").read_text() for _, sha256 in told]
    assert kept == [FIRST, SECOND]


def test_an_act_has_the_level_of_the_catalogue_of_its_day(world):
    load(world, action="BEFORE", start=START)
    world.clock.ms += 2 * DAY
    with_catalogue(world, SECOND)
    load(world, action="LATE-IMPORT", start=START)
    load(world, action="AFTER", start=world.clock.ms + HOUR)

    assert [level(world, action) for action in ("BEFORE", "LATE-IMPORT", "AFTER")] == [
        Level.FULL,
        Level.FULL,
        Level.TEXT,
    ]
    assert load(world, action="BEFORE", start=START).actions == ()
    assert world.compared().differences == []


def test_judging_again_under_a_later_catalogue_changes_no_flag(world):
    load(world, action="A1", start=START)
    before = flags(world)
    assert any("甲 第一条" in flag.article for flag in before.values())
    world.clock.ms += 2 * DAY
    with_catalogue(world, SECOND)
    while world.pipeline.sweep():
        pass
    load(world, action="A1", minutes=11)

    after = flags(world)
    assert after.keys() == before.keys()
    assert {flag.article for flag in after.values()} == {flag.article for flag in before.values()}


def test_a_type_that_came_later_is_that_of_the_first_version_which_has_it(world):
    world.clock.ms += DAY
    with_catalogue(world, SAMPLING)
    csv = "id,case,type,start,end,officers\nS1,案1,抽样,2026-01-02 09:00,2026-01-02 10:00,000001\n"
    imported, _ = world.pipeline.import_cases(csv.encode(), "x.csv")
    assert (imported.errors, imported.actions[0].level) == ((), Level.SPECIFIED)


def test_a_kept_catalogue_that_was_altered_stops_the_centre(world):
    old = versions(world)[0]["sha256"]
    path = world.folder / "configurations" / f"{old}.toml"
    path.write_text(FIRST.replace("full", "text"))
    world.clock.ms += DAY
    with pytest.raises(StateError, match="restore it"):
        with_catalogue(world, SECOND)
    path.write_text(FIRST)
    with_catalogue(world, SECOND)


def test_without_a_catalogue_nothing_is_entered(tmp_path):
    made = World(tmp_path, f"sqlite:///{tmp_path}/i.db", running=Running({"a": "1"}, b""))
    made.pipeline.start()
    assert "catalogue.changed" not in made.events()
    made.close()


def named(version):
    return Catalogue(version, parse(FIRST.encode(), "c").types)


def test_which_version_is_in_force():
    first, second, third = (named(name) for name in "123")
    told = Catalogues((Version(100, first), Version(900, second), Version(200, third)))
    assert [told.at(ms).version for ms in (0, 100, 199, 200, 899, 900, 9000)] == list("1113333")
    assert told.earlier() == [(200, first)], "the second was replaced before it began"
    in_order = Catalogues((Version(100, first), Version(200, second), Version(300, third)))
    assert [in_order.at(ms).version for ms in (99, 199, 200, 299, 300)] == list("11223")
    assert in_order.earlier() == [(200, first), (300, second)]
    assert Catalogues.of(first).earlier() == []


@pytest.mark.parametrize(
    ("stated", "first", "expected"),
    [(None, True, 500), (100, True, 100), (900, True, 900), (None, False, 500), (100, False, 500), (900, False, 900)],
)
def test_a_catalogue_never_holds_for_what_an_earlier_one_has_judged(stated, first, expected):
    assert in_force_ms(stated, 500, first=first) == expected


def test_the_day_it_states_begins_in_the_agencys_zone(world):
    dated = parse(("valid_from = 2026-12-01\n" + FIRST).encode(), "c")
    assert dated.stated_ms(world.settings.zone) == 1_796_054_400_000
    assert replace(dated, valid_from=None).stated_ms(world.settings.zone) is None

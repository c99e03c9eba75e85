"""What a station says of whose recorder it is, as the centre takes it: flags, clips set aside, numbers of recorders."""

import json

import pytest

from ingestd.rules import Policy
from ingestd.rules.facts import Claim, Contradiction
from ingestd.rules.identity_conflict import REASONS, SOURCES, contradicted
from station_agent import registry
from tests.fakes.centre_station import NOW_MS, FakeStation, camera
from tests.fakes.centre_world import World
from tests.ingestd.test_registers import DAY, HOUR, act, at, flags, good

CLAIMS = [
    {"source": "serial", "value": "REC1", "recorder": "DSJ0731"},
    {"source": "volume-uuid", "value": "7B2E-1D4C", "recorder": "DSJ0732"},
]
CONFLICT = {"verdict": "conflict", "recorder": "", "reasons": ["different-recorders"], "claims": CLAIMS}
SET_ASIDE = {"verdict": "unregistered", "recorder": "", "handling": "quarantine"}
FLAG = "identity-conflict:device:REC1:DSJ0731:DSJ0732:different-recorders"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, f"sqlite:///{tmp_path / 'index.db'}", [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def station(world):
    return world.stations[0]


def clip(world, object_id):
    return world.queries.clip(object_id).row


def test_a_conflict_at_the_dock_is_one_flag_that_names_each_source(world, station):
    first = station.docked(identity=CONFLICT)
    station.docked(identity=CONFLICT)
    world.pipeline.handle([station.message()])
    [(flag_id, inputs)] = flags(world, "identity-conflict").items()
    assert (flag_id, inputs["entry"]) == (FLAG, f"{station.origin}:{first.seq}")
    assert "序列号 REC1 → DSJ0731；卷标识 7B2E-1D4C → DSJ0732" in inputs["told_zh"]
    assert "sources point to different recorders" in inputs["told_en"]


def test_it_stays_with_its_first_entry_however_often_the_recorder_comes_again(world, station):
    station.docked(identity=CONFLICT)
    world.pipeline.handle([station.message()])
    before = flags(world, "identity-conflict")
    station.docked(identity=CONFLICT)
    station.clip(NOW_MS - HOUR)
    world.pipeline.handle([station.message(1)])
    assert flags(world, "identity-conflict") == before


def test_the_ledger_withdraws_what_it_said_and_nothing_else(world, station):
    held = {"recorder": "REC1", "officer": "000009", "start": at(NOW_MS - DAY)}
    good(world, assignments=[held])
    station.docked(identity=CONFLICT)
    station.clip(NOW_MS - HOUR, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    assert flags(world, "identity-conflict").keys() == {FLAG, "identity-conflict:REC1:000009:000001"}
    good(world, assignments=[{**held, "officer": "000001"}])
    assert flags(world, "identity-conflict").keys() == {FLAG}


def test_what_became_doubtful_after_the_docking_is_told_as_well(world, station):
    station.identified(verdict="conflict", reasons=["same-serial"], claims=CLAIMS[:1], twin_bays=[2])
    world.pipeline.handle([station.message()])
    assert flags(world, "identity-conflict").keys() == {"identity-conflict:device:REC1:DSJ0731:same-serial"}


@pytest.mark.parametrize(
    "identity",
    [
        {},
        {"verdict": "registered", "reasons": []},
        {"verdict": "unregistered", "handling": "refuse"},
        {"verdict": ["conflict"]},
        "conflict",
    ],
)
def test_nothing_else_is_a_conflict(world, station, identity):
    station.docked(identity=identity)
    world.pipeline.handle([station.message()])
    assert not flags(world, "identity-conflict")


def test_nonsense_in_a_conflict_stops_nobody(world, station):
    for claims in (None, "x", [1, {"source": 5}], [{"value": "\n" * 900}] * 24):
        station.docked(identity={**CONFLICT, "claims": claims, "reasons": [7, "of-a-later-station"]})
    world.pipeline.handle([station.message()])
    told = flags(world, "identity-conflict")
    assert told.keys() == {"identity-conflict:device:REC1:of-a-later-station"}


# Clips that are set aside.


def set_aside(world, station, **media):
    object_id = station.copied(identity=SET_ASIDE)
    assert clip_is_received(world, station, object_id)
    station.described(object_id, NOW_MS - 2 * HOUR, **media)
    world.pipeline.handle([station.message(1)])
    return object_id


def clip_is_received(world, station, object_id):
    world.pipeline.handle([station.message()])
    return clip(world, object_id).status == "received"


def test_a_clip_of_an_unregistered_recorder_is_linked_to_nothing_until_its_recorder_is_registered(world, station):
    began = at(NOW_MS - 2 * HOUR - 60_000)
    good(world, actions=[{**act("A1"), "start": began, "end": at(NOW_MS - HOUR)}])
    object_id = set_aside(world, station, officer_as_stated="000001")
    row = clip(world, object_id)
    assert (row.status, row.reason, row.links) == ("quarantined", "unregistered-recorder", 0)

    good(world, recorders=[{"serial": "OTHER"}])
    assert clip(world, object_id).reason == "unregistered-recorder"
    good(world, recorders=[{"serial": "REC1"}])
    row = clip(world, object_id)
    assert (row.status, row.reason, row.links) == ("indexed", "", 1)


def test_a_clip_that_cannot_be_opened_stays_set_aside_for_that(world, station):
    object_id = set_aside(world, station, playable="no")
    assert clip(world, object_id).reason == "unregistered-recorder"
    good(world, recorders=[{"serial": "REC1"}])
    assert (clip(world, object_id).status, clip(world, object_id).reason) == ("quarantined", "unreadable-media")


def test_a_clip_that_was_not_described_yet_goes_its_way(world, station):
    object_id = station.copied(identity=SET_ASIDE)
    world.pipeline.handle([station.message()])
    good(world, recorders=[{"serial": "REC1"}])
    station.described(object_id, NOW_MS - HOUR)
    world.pipeline.handle([station.message(1)])
    assert clip(world, object_id).status == "indexed"


@pytest.mark.parametrize("roster", [(), ("REC1",)])
@pytest.mark.parametrize("handling", ["quarantine", "accept"])
def test_what_the_agency_lists_or_the_station_accepts_is_not_set_aside(world, station, roster, handling):
    good(world, recorders=[{"serial": one} for one in (*roster, "ANY")])
    object_id = station.copied(identity={**SET_ASIDE, "handling": handling})
    station.described(object_id, NOW_MS - HOUR)
    world.pipeline.handle([station.message()])
    is_set_aside = handling == "quarantine" and not roster
    assert clip(world, object_id).status == ("quarantined" if is_set_aside else "indexed")


# Numbers of recorders.


def test_the_ledger_knows_a_recorder_by_the_number_that_the_station_found(world, station):
    good(world, assignments=[{"recorder": "DSJ0731", "officer": "000009", "start": at(NOW_MS - DAY)}])
    numbered = {**camera("0000000"), "recorder": "DSJ0731"}
    object_id = station.copied(camera=numbered)
    station.described(object_id, NOW_MS - HOUR)
    world.pipeline.handle([station.message()])
    row = clip(world, object_id)
    assert (row.recorder, row.officer, row.officer_source) == ("DSJ0731", "000009", "ledger")


def test_a_recorder_that_is_registered_in_between_brings_the_same_file(world, station):
    station.seen("DCIM/1.MP4")
    station.copied("DCIM/1.MP4", camera={**camera("REC1"), "recorder": "DSJ0731"})
    world.pipeline.handle([station.message()])
    world.clock.ms += 30 * DAY
    world.pipeline.sweep()
    assert not flags(world, "clip-not-arrived")


# The rule.


def test_every_word_of_a_station_has_a_name():
    reasons = {registry.OTHER_RECORDERS, registry.SERIAL_DIFFERS, registry.CARD_DIFFERS, registry.SAME_SERIAL}
    assert REASONS.keys() == reasons
    assert SOURCES.keys() == set(registry.Source)


def test_a_flag_is_bounded_and_the_same_for_the_same_contradiction():
    claims = tuple(Claim("file-name", "x" * 256, "R" * 256) for _ in range(24))
    docking = Contradiction("S" * 256, "station-01", 1, NOW_MS, "log:1", tuple(REASONS), claims)
    flag = contradicted(docking, Policy())
    assert len(json.dumps(dict(flag.inputs), ensure_ascii=False)) < 8_000
    assert len(flag.flag_id) < 600

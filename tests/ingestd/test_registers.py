"""What registers bring beside acts: units, stages, qualifications, plans; and the rules that rest on them."""

import json

import pytest

from ingestd import decisions, flag_life
from ingestd.catalogue import parse
from ingestd.decisions import Person
from ingestd.index.acts import ActionFilter
from ingestd.index.queries import ClipFilter
from ingestd.model import Officer
from ingestd.rules import Policy
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import CATALOGUE, World
from tests.ingestd.test_act_facts import DAY, HOUR, MORNING, at, flagged, later, told

DOCKED = {"serial": "REC1"}


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()], offload_ms=Policy().offload_ms).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def station(world):
    return world.stations[0]


def load(world, **tables):
    data = json.dumps(tables, ensure_ascii=False).encode()
    return world.pipeline.import_cases(data, "registers.json")


def good(world, **tables):
    read, changed = load(world, **tables)
    assert read.errors == ()
    return changed


def flags(world, rule, state="open"):
    return {row.flag_id: row.inputs for row in world.queries.flags(state, rule).rows}


UNITS = [
    {"name": "市局"},
    {"name": "支队", "parent": "市局"},
    {"name": "一大队", "parent": "支队"},
    {"name": "二大队", "parent": "支队"},
    {"name": "别局"},
]


def test_a_unit_is_asked_for_alone_or_with_all_below_it(world, station):
    good(
        world,
        units=UNITS,
        officers=[
            {"number": f"00000{place}", "name": f"甲{place}", "unit": unit}
            for place, unit in enumerate(("支队", "一大队", "二大队", "别局"), 1)
        ],
        cases=[{"number": f"案{unit}", "unit": unit} for unit in ("支队", "一大队", "别局")],
        actions=[act(f"A{unit}", f"案{unit}") for unit in ("支队", "一大队", "别局")],
    )
    for place in range(1, 5):
        station.clip(NOW_MS - 100 * HOUR, officer_as_stated=f"00000{place}")
    world.pipeline.handle([station.message()])

    def seen(unit, below):
        clips = {row.officer for row in world.queries.clips(ClipFilter(unit=unit, below=below)).rows}
        acts = {row.action.action_id for row in world.queries.actions(ActionFilter(unit=unit, below=below)).rows}
        return clips, acts

    assert seen("支队", below=False) == ({"000001"}, {"A支队"})
    assert seen("支队", below=True) == ({"000001", "000002", "000003"}, {"A支队", "A一大队"})
    assert seen("市局", below=True) == seen("支队", below=True)
    assert seen("一大队", below=True) == ({"000002"}, {"A一大队"})
    assert seen("无此单位", below=True) == (set(), set())


@pytest.mark.parametrize("parents", [{"甲": "甲"}, {"甲": "乙", "乙": "甲"}])
def test_a_unit_that_belongs_to_itself_is_refused(world, parents):
    read, _ = load(world, units=[{"name": name, "parent": parent} for name, parent in parents.items()])

    assert [finding.column for finding in read.errors] == ["parent"] * len(parents)
    assert "隶属于自己" in read.errors[0].reason


def test_a_ring_that_two_files_make_still_ends(world):
    good(world, units=[{"name": "甲", "parent": "乙"}])
    good(world, units=[{"name": "乙", "parent": "甲"}])

    assert world.queries.clips(ClipFilter(unit="甲", below=True)).rows == ()


def act(action_id, case="案1", start=MORNING, **more):
    return {
        "action_id": action_id,
        "case": case,
        "type": "inspection",
        "start": at(start),
        "end": at(start + HOUR),
        "officers": ["000001"],
        **more,
    }


def test_a_link_says_at_which_stage_of_the_case_the_clip_was_taken(world, station):
    good(
        world,
        actions=[act("A1")],
        stages=[
            {"case": "案1", "stage": "启动", "start": at(MORNING - DAY)},
            {"case": "案 1", "stage": "investigation", "start": at(MORNING)},
            {"case": "案1", "stage": "决定", "start": at(MORNING + 30 * 60_000)},
        ],
    )
    taken = [station.clip(MORNING + after, officer_as_stated="000001") for after in (-60_000, 60_000, 1_800_000)]
    world.pipeline.handle([station.message()])

    assert [world.queries.clip(one).links[0].stage for one in taken if world.queries.clip(one).links] == [
        "investigation",
        "decision",
    ]
    read, _ = load(world, stages=[{"case": "案1", "stage": "喝茶", "start": at(MORNING)}])
    assert "调查取证" in read.errors[0].reason


def test_a_roster_that_does_not_speak_of_qualifications_takes_none_back(world):
    first = {"number": "000001", "name": "甲", "qualification": "行政处罚", "qualified_until": "2027年12月31日"}
    [officer] = good(world, officers=[first]).officers
    assert officer.is_qualified(officer.qualified_until_ms - 1)
    assert not officer.is_qualified(officer.qualified_until_ms)
    assert at(officer.qualified_until_ms) == "2027-12-31T16:00:00Z"

    assert good(world, officers=[{"number": "000001", "name": "甲"}]).officers == ()
    [moved] = good(world, officers=[{"number": "000001", "name": "甲", "unit": "一大队"}]).officers
    assert moved == Officer("000001", "甲", "一大队", "行政处罚", officer.qualified_until_ms)
    read, _ = load(world, officers=[{**first, "qualified_until": "明年"}])
    assert "2026-11-22" in read.errors[0].reason


def test_the_page_of_an_act_names_officers_whose_certificate_had_ended(world):
    day = at(MORNING)[:10]
    good(
        world,
        officers=[
            {"number": "000001", "name": "甲", "qualified_until": "2020-01-01"},
            {"number": "000002", "name": "乙", "qualified_until": day},
            {"number": "000003", "name": "丙"},
        ],
        actions=[act("A1", officers=["000001", "000002", "000003", "000004"])],
    )

    assert world.queries.action("A1").unqualified == ("000001",)


def plan(start, **more):
    return {
        "action_id": "P1",
        "case": "案1",
        "type": "查封、扣押",
        "planned_start": at(start),
        "planned_end": at(start + HOUR),
        "officers": ["000001", "000002"],
        **more,
    }


def test_a_planned_seizure_without_a_ready_recorder_is_told_before_it_begins(world, station):
    start = NOW_MS + 30 * HOUR
    good(world, plans=[plan(start)])
    world.pipeline.sweep()
    assert not flags(world, "no-ready-recorder")

    later(world, 7 * HOUR)
    [told_of] = flags(world, "no-ready-recorder").values()
    assert (told_of["action"], told_of["since_ms"]) == ("P1", start - DAY)
    shown = world.queries.plan("P1")
    assert (shown.plan.interval.start_ms, [flag.rule for flag in shown.flags]) == (start, ["no-ready-recorder"])
    assert world.queries.plan("P9") is None

    good(world, assignments=[{"recorder": "REC1", "officer": "000002", "start": at(NOW_MS)}])
    world.pipeline.sweep()
    assert not flags(world, "no-ready-recorder")

    station.seen("left.mp4")
    world.pipeline.handle([station.message()])
    world.pipeline.sweep()
    assert flags(world, "no-ready-recorder"), "files were left on it"

    later(world, 24 * HOUR)
    assert not flags(world, "no-ready-recorder"), "the act has begun"


@pytest.mark.parametrize(
    ("taken", "returned", "is_told"),
    [(-1, None, False), (0, None, False), (1, None, True), (-1, HOUR, False), (-1, 1, False), (-1, 0, True)],
)
def test_a_recorder_is_ready_for_a_plan_only_if_it_is_in_hand_when_the_act_begins(world, taken, returned, is_told):
    start = NOW_MS + 2 * HOUR
    held = {"recorder": "REC1", "officer": "000001", "start": at(start + taken * 1000)}
    end = {} if returned is None else {"end": at(start + returned * 1000)}
    good(world, plans=[plan(start)], assignments=[{**held, **end}])
    world.pipeline.sweep()

    assert bool(flags(world, "no-ready-recorder")) is is_told


@pytest.mark.parametrize(("offset_ms", "is_told"), [(0, False), (60_000, False), (60_001, True)])
def test_a_recorder_whose_clock_is_off_is_not_ready(world, station, offset_ms, is_told):
    clock = {"offset_ms": offset_ms, "uncertainty_ms": 0, "method": "connect-write"}
    station.clip(NOW_MS - HOUR, clock=clock)
    world.pipeline.handle([station.message()])
    good(
        world,
        plans=[plan(NOW_MS + 2 * HOUR)],
        assignments=[{"recorder": "REC1", "officer": "000002", "start": at(NOW_MS)}],
    )
    world.pipeline.sweep()

    assert bool(flags(world, "no-ready-recorder")) is is_told


def test_a_plan_that_took_place_or_needs_no_video_is_not_asked_after(world):
    good(world, plans=[plan(NOW_MS + HOUR), plan(NOW_MS + HOUR, action_id="P2", type="inspection")])
    world.pipeline.sweep()
    assert len(flags(world, "no-ready-recorder")) == 1

    good(world, actions=[act("P1", type="查封、扣押", start=NOW_MS + HOUR)])
    world.pipeline.sweep()
    assert not flags(world, "no-ready-recorder")


SHOWN = "approval;two-officers;id-shown;party-called;party-told;heard;record-made;record-signed"
ALL = f"{SHOWN};witness;decision-handed-over;list-in-duplicate;counted"


@pytest.mark.parametrize(
    ("cell", "is_told"), [("", False), ("无", True), (SHOWN, True), (ALL, False), ("出示执法身份证件", True)]
)
def test_steps_without_evidence_are_told_where_the_register_speaks_of_steps(world, cell, is_told):
    told(world, evidenced=cell)

    assert flagged(world, "checkpoint-missing") is is_told


def test_missing_steps_are_called_by_their_names_and_an_unknown_one_is_refused(world):
    told(world, evidenced=SHOWN)
    [row] = world.queries.flags("open", "checkpoint-missing").rows
    assert "清单一式二份" in row.detail
    assert "id-shown" not in row.detail

    read, _ = load(world, actions=[act("A9", evidenced="喝茶")])
    assert "出示执法身份证件（id-shown）" in read.errors[0].reason


CHECKPOINTS = parse(CATALOGUE.read_bytes(), "catalogue.toml").checkpoints


@pytest.mark.parametrize("step", CHECKPOINTS)
def test_a_step_is_known_by_its_id_and_by_each_of_its_names_as_the_catalogue_spells_them(world, step):
    name = CHECKPOINTS[step].name
    for number, written in enumerate((step, name.zh, name.en, f"{name.zh}；{name.en}\n{step}")):
        [changed] = good(world, actions=[act(f"A{number}", evidenced=written)]).actions
        assert changed.facts.evidenced == (step,)


def test_an_officer_found_wanting_twice_is_listed_until_a_finding_is_corrected(world):
    good(
        world, actions=[act("A1", failed=["000001"]), act("A2", failed=["000001", "000002"], start=MORNING + 2 * HOUR)]
    )
    world.pipeline.sweep()
    assert flags(world, "repeated-certificate-failures").keys() == {"repeated-certificate-failures:000001"}

    good(world, actions=[act("A2", failed="无", start=MORNING + 2 * HOUR)])
    world.pipeline.sweep()
    assert not flags(world, "repeated-certificate-failures")


def test_late_footage_of_one_docking_is_one_flag(world, station):
    for hours in (30, 27, 26):
        station.clip(NOW_MS - hours * HOUR, 60_000)
    station.clip(NOW_MS - HOUR)
    world.pipeline.handle([station.message()])

    [inputs] = flags(world, "late-offload").values()
    assert (inputs["clips"], inputs["recorder"], inputs["ended_ms"]) == (3, "REC1", NOW_MS - 30 * HOUR + 60_000)


def test_late_footage_is_counted_by_the_day_however_much_came_in_time(world, station):
    for number in range(520):
        station.clip(NOW_MS - (26 if number == 0 else 2) * HOUR)
    world.pipeline.handle([station.message(first, first + 260) for first in range(0, 1040, 260)])
    [(flag_id, inputs)] = flags(world, "late-offload").items()
    assert inputs["clips"] == 1

    station.utc_ms += DAY
    station.clip(NOW_MS - 30 * HOUR)
    world.clock.ms = station.utc_ms
    world.pipeline.handle([station.message(2 * 520)])
    told = flags(world, "late-offload")
    assert len(told) == 2
    assert {one["clips"] for one in told.values()} == {1}
    assert told[flag_id] == inputs


def test_a_message_of_an_earlier_day_that_comes_later_counts_for_its_own_day(tmp_path, database_url):
    stations = [FakeStation(), FakeStation("station-02", 2)]
    world = World(tmp_path, database_url, stations, offload_ms=Policy().offload_ms).started()
    stations[1].utc_ms += DAY
    world.clock.ms = stations[1].utc_ms
    for station in reversed(stations):
        station.clip(NOW_MS - 30 * HOUR)
        world.pipeline.handle([station.message()])

    told = flags(world, "late-offload").values()
    assert sorted((one["station"], one["clips"]) for one in told) == [("station-01", 1), ("station-02", 1)]
    world.close()


def test_a_corrected_clock_takes_back_that_footage_came_late(world, station):
    clip = station.clip(NOW_MS - 30 * HOUR)
    world.pipeline.handle([station.message()])
    assert flags(world, "late-offload")

    station.described(clip, NOW_MS - 2 * HOUR)
    world.pipeline.handle([station.message(2)])
    assert not flags(world, "late-offload")


def test_what_the_recorder_states_at_the_dock_is_held_against_the_ledger_as_well(world, station):
    good(world, assignments=[{"recorder": "REC1", "officer": "000009", "start": at(NOW_MS - DAY)}])
    object_id = station.copied(officer="000001")
    station.described(object_id, NOW_MS - HOUR, officer_as_stated="")
    world.pipeline.handle([station.message()])

    assert flags(world, "identity-conflict").keys() == {"identity-conflict:REC1:000009:000001"}


def test_an_empty_docking_stays_told_when_the_next_one_brings_files_and_when_a_month_has_passed(world, station):
    good(
        world,
        assignments=[{"recorder": "REC1", "officer": "000001", "start": at(MORNING - HOUR)}],
        actions=[act("A1", type="查封、扣押")],
    )
    station.docked()
    station.docked()
    station.seen("new.mp4")
    world.pipeline.handle([station.message()])
    later(world, 2 * HOUR)
    assert len(flags(world, "empty-dock")) == 1

    later(world, 40 * DAY)
    assert len(flags(world, "empty-dock")) == 1


def test_an_act_before_the_officer_had_the_recorder_does_not_make_it_empty(world, station):
    held = {"recorder": "REC1", "officer": "000001", "start": at(MORNING + 2 * HOUR)}
    good(world, assignments=[held], actions=[act("A1", type="查封、扣押")])
    station.docked()
    world.pipeline.handle([station.message()])
    later(world, 2 * HOUR)

    assert not flags(world, "empty-dock")


@pytest.mark.parametrize(("kind", "term"), [("查封、扣押", "与案卷同期"), ("强制拆除", "永久")])
def test_an_original_that_went_and_turns_out_to_belong_to_an_act_is_told(world, station, kind, term):
    clip = station.clip(MORNING, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    world.pipeline.record_checks(world.read_back())
    world.pipeline.viewed(clip, "detail", "甲")
    world.clock.ms += 200 * DAY
    for who in ("甲", "乙"):
        world.pipeline.decide(decisions.approve_disposal(clip, Person(who, "已过保存期"), 183))
    world.pipeline.decide(decisions.record_disposal(clip, Person("丙", "已移除"), lambda _name: False))
    world.pipeline.sweep()
    assert not flags(world, "retention-conflict")

    good(world, actions=[act("A1", type=kind)])
    world.pipeline.sweep()
    [inputs] = flags(world, "retention-conflict").values()
    assert (inputs["object"], inputs["case"], inputs["asked_for_zh"]) == (clip, "案1", term)

    good(world, actions=[act("A1", type=kind, officers=["000007"])])
    world.pipeline.sweep()
    assert not flags(world, "retention-conflict")


def test_ledger_and_device_that_name_different_officers_are_one_flag_until_the_ledger_is_corrected(world, station):
    good(world, assignments=[{"recorder": "REC1", "officer": "000009", "start": at(NOW_MS - DAY)}])
    for minutes in (30, 20):
        station.clip(NOW_MS - minutes * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    [(flag_id, inputs)] = flags(world, "identity-conflict").items()
    assert (flag_id, inputs["clips"]) == ("identity-conflict:REC1:000009:000001", 2)

    good(world, assignments=[{"recorder": "REC1", "officer": "000001", "start": at(NOW_MS - DAY)}])
    assert not flags(world, "identity-conflict")


@pytest.mark.parametrize(
    ("files", "level", "is_told"), [(0, "查封、扣押", True), (1, "查封、扣押", False), (0, "inspection", False)]
)
def test_a_recorder_that_comes_back_empty_after_an_act_that_must_be_on_video(world, station, files, level, is_told):
    good(
        world,
        assignments=[{"recorder": "REC1", "officer": "000001", "start": at(MORNING - HOUR)}],
        actions=[act("A1", type=level)],
    )
    station.docked()
    if files:
        station.seen("new.mp4")
    world.pipeline.handle([station.message()])
    world.pipeline.sweep()
    assert not flags(world, "empty-dock"), "the station may still be listing"

    later(world, 2 * HOUR)
    assert bool(flags(world, "empty-dock")) is is_told

    good(world, actions=[act("A1", type="inspection")])
    world.pipeline.sweep()
    assert not flags(world, "empty-dock")


def test_a_gap_that_nobody_answers_for_in_time_is_told_again_and_rests_once_reviewed(world, station):
    start = MORNING - 20 * DAY
    good(world, actions=[act("A1", type="查封、扣押", start=start)])
    station.clip(start, 20 * 60_000, officer_as_stated="000001")
    station.clip(start + 30 * 60_000, 40 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    world.pipeline.sweep()
    assert flagged(world, "full-process-gap")
    [row] = world.queries.flags("open", "interruption-unexplained").rows
    assert "原因说明" in row.detail

    world.pipeline.decide(flag_life.explain("full-process-gap:A1", Person("甲", "换电池")))
    world.pipeline.sweep()
    [row] = world.queries.flags("open", "interruption-unexplained").rows
    assert "审核签字" in row.detail

    world.pipeline.decide(flag_life.review("full-process-gap:A1", Person("乙", "属实"), accepted=True))
    world.pipeline.sweep()
    assert not flags(world, "interruption-unexplained")

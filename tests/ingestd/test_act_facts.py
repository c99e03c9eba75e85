"""What registers say of an act beside who and when, from the file to the flag and back."""

import json
from datetime import UTC, datetime

import pytest

from ingestd.model import ActFacts
from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_cases import GOOD, HEAD, actions

HOUR = 3_600_000
DAY = 24 * HOUR
# A working day, 10:00 in Shanghai, long enough ago for every period of grace.
MORNING = NOW_MS - (NOW_MS + 8 * HOUR) % DAY + 10 * HOUR - 3 * DAY


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


def at(ms):
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(world, kind="seizure", start=MORNING, **facts):
    officers = [{"number": number, "name": f"甲{number}"} for number in ("000001", "000002")]
    act = {
        "id": "A1",
        "case": "案1",
        "type": kind,
        "start": at(start),
        "end": at(start + HOUR),
        "officers": ["000001", "000002"],
        **facts,
    }
    data = json.dumps({"officers": officers, "actions": [act]}, ensure_ascii=False).encode()
    imported, changed = world.pipeline.import_cases(data, "acts.json")
    assert imported.errors == ()
    world.pipeline.sweep()
    return changed


def flagged(world, rule):
    return [row.flag_id for row in world.queries.flags("open", rule).rows] == [f"{rule}:A1"]


def later(world, ms):
    world.clock.ms += ms
    world.pipeline.sweep()


@pytest.mark.parametrize(
    ("column", "cell", "facts"),
    [
        ("紧急", "是", ActFacts(emergency=True)),
        ("紧急", "否", ActFacts(emergency=False)),
        ("批准时间", "2026-11-20 10:00", ActFacts(approved_ms=1_795_140_000_000)),
        ("文字记录完整", "不完整", ActFacts(written=False)),
        ("是否延长", "yes", ActFacts(extended=True)),
        ("鉴定日数", "12天", ActFacts(excluded_days=12)),
        ("处理决定时间", "2026-11-20 10:00", ActFacts(decided_ms=1_795_140_000_000)),
        ("处理决定时间", "未决定", ActFacts(pending=True)),
        ("处理决定时间", "", ActFacts()),
    ],
)
def test_each_column_is_read(column, cell, facts):
    [act] = actions(f"{GOOD},{cell}", head=f"{HEAD},{column}").actions
    assert act.facts == facts


@pytest.mark.parametrize(
    ("column", "cell"),
    [("紧急", "可能"), ("鉴定日数", "-1"), ("鉴定日数", "9999"), ("处理决定时间", "明天"), ("批准时间", "x")],
)
def test_what_is_not_usable_is_named_with_its_column(column, cell):
    found = actions(f"{GOOD},{cell}", head=f"{HEAD},{column}")
    assert [(one.column, one.value) for one in found.errors] == [(column, cell)]


def test_a_file_that_does_not_say_never_takes_back_what_another_said(world):
    told(world, emergency="是", decided="未决定")
    assert len(told(world).actions) == 0
    told(world, extended="是")
    world.restart()
    facts = world.queries.action("A1").action.facts
    assert facts == ActFacts(emergency=True, pending=True, extended=True)
    told(world, decided=at(MORNING + DAY), emergency="否")
    assert world.queries.action("A1").action.facts.awaited is False


def test_an_act_whose_written_record_is_incomplete(world):
    told(world, kind="other", written_record="否")
    assert flagged(world, "written-record-incomplete")
    told(world, kind="other", written_record="是")
    assert not flagged(world, "written-record-incomplete")


def test_an_emergency_is_approved_within_24_hours(world):
    now = world.clock.ms
    told(world, start=now - 2 * HOUR, emergency="是")
    assert not flagged(world, "emergency-approval-late")
    later(world, 22 * HOUR)
    assert not flagged(world, "emergency-approval-late"), "24 hours exactly are in time"
    later(world, HOUR + 1)
    assert flagged(world, "emergency-approval-late")
    told(world, start=now - 2 * HOUR, approved=at(now + 23 * HOUR))
    assert flagged(world, "emergency-approval-late"), "approved, and late"
    told(world, start=now - 2 * HOUR, approved=at(now + 20 * HOUR))
    assert not flagged(world, "emergency-approval-late")


def test_a_demolition_at_night_is_excused_by_an_emergency_alone(world):
    night = MORNING + 13 * HOUR
    told(world, kind="demolition", start=night)
    assert flagged(world, "enforcement-at-forbidden-time")
    told(world, kind="demolition", start=night, emergency="是")
    assert not flagged(world, "enforcement-at-forbidden-time")


def test_a_seizure_is_reminded_of_before_its_term_ends_by_its_register(world):
    told(world)
    later(world, 40 * DAY)
    assert not flagged(world, "seizure-term"), "the register does not follow it"
    told(world, decided="未决定")
    assert flagged(world, "seizure-term")
    told(world, extended="是")
    assert not flagged(world, "seizure-term")
    later(world, 20 * DAY)
    assert flagged(world, "seizure-term")
    told(world, decided=at(world.clock.ms))
    assert not flagged(world, "seizure-term")


def test_what_is_registered_in_advance_is_decided_upon_in_seven_working_days(world):
    told(world, kind="registration-preservation", decided="未决定")
    days = 0
    while not flagged(world, "registration-preservation-term"):
        later(world, DAY)
        days += 1
        assert days < 20
    assert days >= 5
    told(world, kind="registration-preservation", decided=at(MORNING + DAY))
    assert not flagged(world, "registration-preservation-term")

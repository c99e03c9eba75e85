"""Whether a recorder is ready: each fact alone, on both sides of its bound."""

from dataclasses import replace

import pytest

from station_agent.checkout import Facts, readiness

GOOD = Facts(
    known=True,
    busy=False,
    holder="",
    open=0,
    left=0,
    is_emptied_here=True,
    offset_ms=0,
    battery_percent=100,
    free_bytes=64_000_000_000,
)
HOUR_BYTES = 3_600_000_000


def found(**facts):
    return [str(one) for one in readiness(replace(GOOD, **facts), "00417", 8).findings]


def ready(**facts):
    return readiness(replace(GOOD, **facts), "00417", 8).ready


def test_a_recorder_with_nothing_against_it_is_ready():
    assert (found(), ready()) == ([], True)


@pytest.mark.parametrize(
    ("facts", "finding"),
    [
        ({"known": False}, "unknown-recorder"),
        ({"busy": True}, "busy"),
        ({"holder": "00418"}, "held"),
        ({"holder": "00417"}, "held-by-you"),
        ({"open": 1}, "open:1"),
        ({"left": 1}, "left:1"),
        ({"offset_ms": 1_001}, "clock-offset:1001"),
        ({"offset_ms": -1_001}, "clock-offset:-1001"),
        ({"battery_percent": 29}, "battery-low:29"),
        ({"free_bytes": 4 * HOUR_BYTES - 1}, "room-low:3"),
    ],
)
def test_each_thing_that_keeps_a_recorder_back(facts, finding):
    assert (found(**facts), ready(**facts)) == ([finding], False)


@pytest.mark.parametrize(
    ("facts", "remark"),
    [
        ({"left": None}, ["left-unreadable"]),
        ({"left": 3, "is_emptied_here": False}, ["left:3"]),
        ({"offset_ms": None}, ["clock-unmeasured"]),
        ({"battery_percent": None}, ["battery-unreadable"]),
        ({"free_bytes": None}, ["room-unreadable"]),
        ({"offset_ms": 1_000}, []),
        ({"offset_ms": -1_000}, []),
        ({"battery_percent": 30}, []),
        ({"free_bytes": 4 * HOUR_BYTES}, []),
    ],
)
def test_what_cannot_be_read_is_said_and_keeps_nothing_back(facts, remark):
    assert (found(**facts), ready(**facts)) == (remark, True)


def test_of_a_recorder_that_nobody_knows_nothing_else_is_said():
    assert found(known=False, open=5, offset_ms=99_999) == ["unknown-recorder"]

import json
from dataclasses import replace

import pytest

from custody.errors import UnparsableError
from custody.heartbeat import MAX_HEARTBEAT_BYTES, Health, Heartbeat, decode_heartbeat

WELL = Health(
    agent="0.1.0",
    boot_id="5a0c3f0e-93ad-4a0f-9d3e-6f1c0f6a5b11",
    utc_ms=1_795_612_613_955,
    clock_source="chrony",
    clock_synchronised="yes",
    clock_offset_ms=-2,
    clock_uncertainty_ms=7,
    disk_free_bytes=1 << 40,
    disk_size_bytes=1 << 42,
    log_entries=61,
    outbox_entries=3,
    clips_open=1,
    receipts_waiting=2,
    jobs_waiting=4,
    jobs_failing=0,
    alarms=0,
)


@pytest.mark.parametrize("health", [WELL, replace(WELL, clock_offset_ms=None, clock_uncertainty_ms=None), None])
def test_what_was_said_is_what_is_read(health):
    said = Heartbeat(online=health is not None, health=health)
    assert decode_heartbeat(said.encode()) == said
    assert len(said.encode()) < MAX_HEARTBEAT_BYTES


def test_a_later_version_may_say_more():
    fields = json.loads(Heartbeat(online=True, health=WELL).encode())
    fields["health"]["temperature"] = 31
    assert decode_heartbeat(json.dumps({**fields, "mood": "fine"}).encode()).health == WELL


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"type": "bwc.heartbeat/v2"}, "bwc.heartbeat/v1"),
        ({"online": "maybe"}, "online"),
        ({"health": "fine"}, "health"),
    ],
)
def test_what_is_no_heartbeat_is_refused(changed, named):
    fields = json.loads(Heartbeat(online=True, health=WELL).encode())
    with pytest.raises(UnparsableError, match=named):
        decode_heartbeat(json.dumps({**fields, **changed}).encode())


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": 5},
        {"boot_id": "x" * 65},
        {"clock_source": "chrony\n"},
        {"clock_synchronised": "perhaps"},
        {"clock_offset_ms": "2"},
        {"disk_free_bytes": -1},
        {"log_entries": "61"},
        {"alarms": None},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_figure_that_is_none_is_refused_by_its_name(changed):
    fields = json.loads(Heartbeat(online=True, health=WELL).encode())
    fields["health"].update(changed)
    with pytest.raises(UnparsableError, match=next(iter(changed))):
        decode_heartbeat(json.dumps(fields).encode())


def test_more_bytes_than_a_heartbeat_has_are_not_read():
    with pytest.raises(UnparsableError, match="4096"):
        decode_heartbeat(b" " * (MAX_HEARTBEAT_BYTES + 1))


def test_figures_that_only_grow_are_no_change_of_condition():
    assert replace(WELL, log_entries=62, outbox_entries=9, disk_free_bytes=5).condition == WELL.condition


@pytest.mark.parametrize(
    "changed", [{"clock_synchronised": "no"}, {"boot_id": "x"}, {"clips_open": 0}, {"jobs_failing": 1}, {"alarms": 1}]
)
def test_what_is_told_at_once(changed):
    assert replace(WELL, **changed).condition != WELL.condition

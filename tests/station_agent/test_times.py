from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import canonical_bytes
from station_agent import times

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000
START_MS = int(datetime(2026, 3, 2, 1, 0, tzinfo=UTC).timestamp() * 1000)
LENGTH_MS = 600_000
DOCKED_MS = START_MS + 10 * HOUR_MS
AROUND = times.Circumstances(SHANGHAI, DOCKED_MS, LENGTH_MS)


def written(utc_ms: int, zone=UTC, suffix: str = "") -> str:
    return datetime.fromtimestamp(utc_ms / 1000, zone).strftime("%Y-%m-%dT%H:%M:%S") + suffix


def container(utc_ms: int) -> times.Reading:
    return times.read("container", written(utc_ms, suffix="Z"), UTC)


def name(utc_ms: int) -> times.Reading:
    local = datetime.fromtimestamp(utc_ms / 1000, SHANGHAI)
    return times.read("file-name", local.strftime("%Y%m%d%H%M%S"), SHANGHAI)


def choose(*readings: times.Reading, around: times.Circumstances = AROUND) -> times.Choice:
    return times.choose(readings, around)


def start(choice: times.Choice) -> dict[str, Any]:
    assert choice.start is not None
    return dict(choice.start)


@pytest.mark.parametrize(
    ("raw", "expected", "zone"),
    [
        ("20240131123456", datetime(2024, 1, 31, 4, 34, 56, tzinfo=UTC), "Asia/Shanghai"),
        ("2017:04:17 19:27:58.28313", datetime(2017, 4, 17, 11, 27, 58, 283000, tzinfo=UTC), "Asia/Shanghai"),
        ("2019:07:24 11:25:40+03:00", datetime(2019, 7, 24, 8, 25, 40, tzinfo=UTC), "+03:00"),
        ("2024-11-13T16:39:10.000000Z", datetime(2024, 11, 13, 16, 39, 10, tzinfo=UTC), "Z"),
        ("20240131T123456Z", None, "Asia/Shanghai"),
        ("202511292256", datetime(2025, 11, 29, 14, 56, tzinfo=UTC), "Asia/Shanghai"),
    ],
)
def test_reads_the_forms_that_devices_write(raw, expected, zone):
    reading = times.read("file-name", raw, SHANGHAI)
    wanted = datetime(2024, 1, 31, 12, 34, 56, tzinfo=UTC) if expected is None else expected
    assert reading.utc_ms == int(wanted.timestamp() * 1000)
    assert reading.zone == ("Z" if expected is None else zone)


def test_a_time_without_seconds_is_a_minute_uncertain():
    assert times.read("file-name", "202511292256", SHANGHAI).uncertainty_ms == times.MINUTE_MS
    assert times.read("file-name", "20251129225600", SHANGHAI).uncertainty_ms == times.SECOND_MS


@pytest.mark.parametrize(
    "raw", ["", "0000:00:00 00:00:00", "42603-01-01T00:00:00Z", "2024-02-30 00:00:00", "2024-01-01T25:00:00Z", "x" * 99]
)
def test_what_is_no_date_is_kept_without_a_time(raw):
    reading = times.read("container", raw, UTC)
    assert reading.utc_ms is None
    assert reading.raw == raw


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("0000:00:00 00:00:00", "no-date"),
        ("42603-01-01T00:00:00Z", "no-date"),
        ("1904-01-01T00:00:00Z", "before-2000"),
        ("1970-01-01T00:00:00Z", "before-2000"),
        ("1980-01-01T00:00:00Z", "before-2000"),
        ("2001-01-01T00:36:35Z", "factory-default"),
        ("2000-12-31T16:30:00Z", "factory-default"),  # 00:30 on 1 January in the recorder's zone
        ("2033-05-18T03:33:20Z", "future"),
        ("22:40:18", "partial"),
        ("2005", "partial"),
        ("2020-08-28", "partial"),
        ("2026-03-02T01:00:00Z", ""),
    ],
)
def test_faults_of_a_time(raw, word):
    assert times.fault(times.read("container", raw, UTC), AROUND) == word


def test_an_implausible_time_is_a_problem_and_a_partial_one_is_not():
    assert "time-implausible" in choose(times.read("container", "1904-01-01T00:00:00Z", UTC)).problems
    assert "time-implausible" not in choose(times.read("container", "22:40:18", UTC), name(START_MS)).problems


def test_a_clock_known_to_be_ahead_is_not_from_the_future():
    ahead_ms = 48 * HOUR_MS
    reading = name(DOCKED_MS + ahead_ms - LENGTH_MS)
    measured = times.Circumstances(SHANGHAI, DOCKED_MS, LENGTH_MS, ahead_ms)
    assert times.fault(reading, AROUND) == "future"
    assert times.fault(reading, measured) == ""


def test_gps_outranks_everything():
    gps = times.read("gps", written(START_MS), UTC, times.GPS_UNCERTAINTY_MS)
    choice = choose(name(START_MS + HOUR_MS), container(START_MS - HOUR_MS), gps)
    assert choice.start == {"utc_ms": START_MS, "source": "gps", "clock": "gps", "uncertainty_ms": 2_000}
    assert "time-conflict" in choice.problems


def test_a_file_name_is_local_time_and_outranks_the_container():
    choice = choose(container(START_MS), name(START_MS))
    assert choice.start == {"utc_ms": START_MS, "source": "file-name", "clock": "device", "uncertainty_ms": 1_000}
    assert choice.problems == ()
    assert [t["note"] for t in choice.times] == ["agrees", "chosen"]


def test_local_time_written_as_utc_is_found_by_the_file_name():
    choice = choose(container(START_MS + 8 * HOUR_MS), name(START_MS))
    assert choice.problems == ("time-local-as-utc",)
    assert choice.times[0] == {
        "source": "container",
        "raw": written(START_MS + 8 * HOUR_MS, suffix="Z"),
        "zone": "Asia/Shanghai",
        "utc_ms": START_MS,
        "note": "local-as-utc",
    }


def test_local_time_written_as_utc_is_found_by_the_end_of_the_recording():
    choice = choose(container(START_MS + 8 * HOUR_MS), times.from_mtime(START_MS + LENGTH_MS, LENGTH_MS))
    assert start(choice)["utc_ms"] == START_MS
    assert start(choice)["source"] == "container"
    assert "time-local-as-utc" in choice.problems


def test_a_container_time_that_the_end_of_the_recording_confirms_is_believed():
    choice = choose(container(START_MS), times.from_mtime(START_MS + LENGTH_MS, LENGTH_MS))
    assert choice.start == {"utc_ms": START_MS, "source": "container", "clock": "device", "uncertainty_ms": 1_000}
    assert choice.problems == ()


def test_a_container_time_that_nothing_confirms_carries_the_zone_as_uncertainty():
    choice = choose(container(START_MS), times.from_mtime(START_MS + 5 * HOUR_MS, LENGTH_MS))
    assert start(choice)["uncertainty_ms"] == 8 * HOUR_MS + 1_000
    assert "time-unconfirmed" in choice.problems


def test_a_seven_hour_difference_is_a_conflict_not_a_zone():
    choice = choose(container(START_MS + 7 * HOUR_MS), name(START_MS))
    assert choice.problems == ("time-conflict",)


def test_a_container_stamped_when_the_recording_ended_agrees():
    assert choose(container(START_MS + LENGTH_MS), name(START_MS)).problems == ()


def test_a_stated_zone_outranks_an_assumed_one_of_the_same_source():
    stated = times.read("container", "2026-03-02T09:00:10+08:00", UTC)
    assert start(choose(container(START_MS), stated))["utc_ms"] == START_MS + 10_000


def test_mtime_is_the_end_of_the_recording():
    choice = choose(times.from_mtime(START_MS + LENGTH_MS, LENGTH_MS))
    assert choice.start == {"utc_ms": START_MS, "source": "mtime", "clock": "device", "uncertainty_ms": 60_000}


def test_mtime_of_a_recording_of_unknown_length_may_be_two_hours_late():
    assert times.from_mtime(START_MS, None).uncertainty_ms == 2 * HOUR_MS


def test_without_any_sound_time_there_is_no_start():
    choice = choose(times.read("container", "1904-01-01T00:00:00Z", UTC), times.from_mtime(315_532_800_000, LENGTH_MS))
    assert choice.start is None
    assert set(choice.problems) == {"time-implausible", "time-unknown"}
    assert len(choice.times) == 2


READINGS = st.builds(
    times.read,
    st.sampled_from(times.ORDER),
    st.one_of(st.text(max_size=30), st.datetimes().map(lambda d: d.isoformat()), st.from_regex(times._WRITTEN)),
    st.sampled_from([UTC, SHANGHAI, ZoneInfo("Asia/Kathmandu")]),
)


@given(st.lists(READINGS, max_size=6), st.none() | st.integers(0, 10**9), st.none() | st.integers(-(10**9), 10**9))
def test_any_readings_give_a_choice_that_a_record_can_hold(readings, duration_ms, offset_ms):
    around = times.Circumstances(SHANGHAI, DOCKED_MS, duration_ms, offset_ms)
    choice = times.choose(readings, around)
    assert len(choice.times) == len(readings)
    for entry in choice.times:
        canonical_bytes({k: v for k, v in entry.items() if k != "raw"})
    if choice.start is None:
        assert "time-unknown" in choice.problems
    else:
        assert start(choice)["uncertainty_ms"] > 0
        sound = [r for r in readings if not times.fault(r, around)]
        assert start(choice)["source"] == min((r.source for r in sound), key=times.ORDER.index)


@given(st.integers(-(8 * HOUR_MS), 0))
def test_the_start_of_a_container_is_never_moved_but_by_the_zone(early_ms):
    choice = choose(container(START_MS), times.from_mtime(START_MS + LENGTH_MS + early_ms, LENGTH_MS))
    assert start(choice)["utc_ms"] in {START_MS, START_MS - 8 * HOUR_MS}


def test_the_first_and_the_last_year_have_no_date_in_every_zone():
    edges = [times.read("exif", raw, SHANGHAI) for raw in ("00010101000000", "99991231235959")]
    assert [edge.utc_ms for edge in edges] == [None, None]

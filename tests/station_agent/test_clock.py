import time

import pytest

from station_agent.clock import SystemClock, measure_offset
from station_agent.model import ClockReading, SourceFile

DOCKED_MS = 1_706_700_896_000
HOUR_MS = 3_600_000


def written(path: bytes, offset_ms: int, refused: str = "") -> SourceFile:
    return SourceFile(path, 10, (DOCKED_MS + offset_ms) * 1_000_000, refused)


def test_a_log_written_at_docking_measures_the_clock():
    files = [written(b"DCIM/a.mp4", -HOUR_MS), written(b"LOG/20240131.txt", 42_000)]
    assert measure_offset(files, DOCKED_MS) == ClockReading(42_000, 5_000, "connect-write")


@pytest.mark.parametrize("path", [b"LOG/20240131.txt", b"log/device.log", b"SYSLOG.TXT", b"DATA/Logs/x.csv"])
def test_log_like_names(path):
    assert measure_offset([written(path, -3_000)], DOCKED_MS).offset_ms == -3_000


@pytest.mark.parametrize("path", [b"DCIM/a.mp4", b"catalogue.mp4", b"LOG/a.mp4", b"dialogue.jpg"])
def test_names_that_are_no_log(path):
    assert measure_offset([written(path, -3_000)], DOCKED_MS).method == "unmeasured"


def test_the_newest_of_several_logs_counts():
    files = [written(b"LOG/1.txt", -90_000), written(b"LOG/2.txt", -7_000)]
    assert measure_offset(files, DOCKED_MS).offset_ms == -7_000


def test_an_old_log_measures_nothing():
    assert measure_offset([written(b"LOG/1.txt", -120_001)], DOCKED_MS) == ClockReading(None, None, "unmeasured")


def test_a_file_from_the_future_is_a_lower_bound():
    files = [written(b"a.mp4", HOUR_MS), written(b"b.mp4", 2 * HOUR_MS), written(b"LOG/1.txt", -HOUR_MS)]
    assert measure_offset(files, DOCKED_MS) == ClockReading(2 * HOUR_MS, None, "future-mtime")


def test_what_is_refused_says_nothing_about_the_clock():
    assert measure_offset([written(b"LOG/1.txt", 1_000, "symlink")], DOCKED_MS).method == "unmeasured"


def test_an_empty_recorder_measures_nothing():
    assert measure_offset([], DOCKED_MS) == ClockReading(None, None, "unmeasured")


def test_the_system_clock_says_what_it_is():
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert abs(first.utc_ms - time.time() * 1000) < 10_000
    assert first.source in {"ntp", "none"}
    assert first.boot_id == second.boot_id
    assert len(first.boot_id) == 36
    assert second.mono_ns > first.mono_ns

import threading
import time
from dataclasses import replace

import pytest

from station_agent import service
from station_agent.clock import Step, StepWatch, SystemClock, measure_offset, step_between
from station_agent.model import ClockReading, SourceFile, StationTime
from tests.fakes.station_world import World

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


BEFORE = StationTime(DOCKED_MS, "ntp", "boot-a", 5_000_000_000)
DAY_MS = 86_400_000


def later(wall_ms: int, boot_ms: int, boot_id: str = "boot-a") -> StationTime:
    return StationTime(DOCKED_MS + wall_ms, "ntp", boot_id, BEFORE.mono_ns + boot_ms * 1_000_000)


@pytest.mark.parametrize(
    ("now", "step_ms"),
    [
        (later(10_000, 10_000), 0),
        (later(10_000 + 1_000 + 10_000 // 12, 10_000), 0),
        (later(10_000 + 1_001 + 10_000 // 12, 10_000), 1_001 + 10_000 // 12),
        (later(10_000 - 1_001 - 10_000 // 12, 10_000), -1_001 - 10_000 // 12),
        (later(10_000 + HOUR_MS, 10_000), HOUR_MS),
        (later(-HOUR_MS, 10_000), -HOUR_MS - 10_000),
        (later(3 * DAY_MS, 20_000, "boot-b"), 0),
        (later(-1, 20_000, "boot-b"), -1),
        (later(0, 20_000, "boot-b"), 0),
    ],
)
def test_a_clock_that_was_set_shows_against_the_time_since_boot(now, step_ms):
    assert step_between(BEFORE, now) == step_ms


class Readings:
    """A clock that tells what it is given, one reading after the other."""

    def __init__(self, *readings: StationTime) -> None:
        self.readings = list(readings)

    def now(self) -> StationTime:
        return self.readings.pop(0)


def test_a_step_is_noticed_once_and_told_with_the_time_before():
    stepped = [later(HOUR_MS + wall, wall) for wall in (10_000, 10_001, 20_000, 20_001)]
    watch = StepWatch(Readings(*stepped), BEFORE)
    step = watch.look()
    assert step == Step(HOUR_MS, BEFORE)
    assert watch.look() is None


def test_one_reading_that_was_torn_apart_is_no_step():
    watch = StepWatch(Readings(later(10_000, 16_000), later(16_000, 16_000), later(20_000, 20_000)), BEFORE)
    assert watch.look() is None


def test_an_empty_log_is_watched_from_its_first_moment_on():
    watch = StepWatch(Readings(BEFORE, later(1_000, 1_000), later(1_000, 1_000)), None)
    assert watch.look() is None


def test_the_time_of_an_entry_is_read_back():
    assert StationTime.read(BEFORE.block()) == BEFORE


@pytest.mark.parametrize("block", [None, {"utc_ms": 1, "source": "ntp"}, {"utc_ms": "1", "mono_ns": "1"}])
def test_an_entry_that_does_not_say_when_the_machine_started_is_no_witness(block):
    assert StationTime.read(block) is None


class Stopping(Readings):
    """The same, and stops whoever watches once all are told."""

    def __init__(self, stop: threading.Event, *readings: StationTime) -> None:
        super().__init__(*readings)
        self.stop = stop

    def now(self) -> StationTime:
        if len(self.readings) == 1:
            self.stop.set()
        return super().now()


@pytest.mark.parametrize(("step_ms", "events"), [(-DAY_MS, ["clock.stepped"]), (0, [])])
def test_a_clock_that_was_set_while_the_station_was_off_stands_in_the_log(tmp_path, step_ms, events):
    world = World(tmp_path)
    first = world.start()
    first.pipeline.docked(first.event())
    again, newest, stop = world.start(), world.clock.now(), threading.Event()
    known = len(again.events())
    now = replace(newest, utc_ms=newest.utc_ms + step_ms)
    service.watch_clock(again.seal, Stopping(stop, now, now), stop)
    assert again.events()[known:] == events
    for entry in list(again.seal.entries(known)):
        told = entry.record.block("clock")
        assert step_ms - 1_000 < told["step_ms"] <= step_ms
        assert told["before"] == again.seal.found_time

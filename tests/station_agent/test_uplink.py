import threading
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.config import load
from station_agent.errors import ConfigError, StoppingError
from station_agent.model import StationTime
from station_agent.service import _uploads_begin
from station_agent.uplink import TokenBucket, Window, paced
from tests.station_agent.test_config import HEAD, KEYS, written


@pytest.mark.parametrize(
    ("opens", "closes", "now", "is_open"),
    [
        ((20, 0), (6, 0), (19, 59), False),
        ((20, 0), (6, 0), (20, 0), True),
        ((20, 0), (6, 0), (0, 0), True),
        ((20, 0), (6, 0), (5, 59), True),
        ((20, 0), (6, 0), (6, 0), False),
        ((9, 0), (17, 0), (8, 59), False),
        ((9, 0), (17, 0), (9, 0), True),
        ((9, 0), (17, 0), (17, 0), False),
        ((9, 0), (17, 0), (0, 0), False),
    ],
)
def test_a_window_over_midnight_or_within_a_day(opens, closes, now, is_open):
    assert Window(time(*opens), time(*closes)).is_open(time(*now)) is is_open


@given(st.times(), st.times(), st.times())
def test_two_windows_that_meet_are_a_whole_day(opens, closes, now):
    if opens != closes:
        assert Window(opens, closes).is_open(now) is not Window(closes, opens).is_open(now)


@given(
    st.integers(1, 10**9),
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**9)), min_size=1, max_size=30),
)
def test_never_more_than_the_rate_and_one_second_of_it_and_no_waiting_without_need(rate, asked):
    bucket, now_s, sent = TokenBucket(rate), 0.0, 0
    for pause_s, size in asked:
        now_s += pause_s
        wait_s = bucket.wait_s(size, now_s)
        now_s += wait_s
        sent += size
        assert sent <= rate * (now_s + 1) * (1 + 1e-9) + 1e-3
        if pause_s >= 1 and size <= rate:
            assert wait_s == 0


def test_a_debt_is_waited_for_once():
    bucket = TokenBucket(1000)
    assert bucket.wait_s(1000, 5.0) == 0
    assert bucket.wait_s(4000, 5.0) == pytest.approx(4.0)
    assert bucket.wait_s(1000, 9.0) == pytest.approx(1.0)
    assert bucket.wait_s(3000, 1000.0) == pytest.approx(2.0)  # what it did not use is no credit


def test_a_stop_ends_the_waiting():
    stop = threading.Event()
    paced(0, stop)(10**18)
    wait = paced(10, stop)
    wait(10)
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppingError):
        wait(1000)


WINDOW = '[upload]\nfrom = "20:00"\nuntil = "06:00"\n'


@pytest.mark.parametrize(
    ("local", "zone", "begin"),
    [((21, 0), "Asia/Shanghai", True), ((12, 0), "Asia/Shanghai", False), ((21, 0), "Asia/Urumqi", True)],
)
def test_the_window_is_one_of_the_stations_zone(tmp_path, local, zone, begin):
    head = HEAD + f'timezone = "{zone}"\n'
    config = load(written(tmp_path, head + KEYS + WINDOW))
    now_ms = int(datetime(2026, 11, 25, *local, tzinfo=ZoneInfo(zone)).timestamp() * 1000)

    class Clock:
        def now(self) -> StationTime:
            return StationTime(now_ms, "none", "", 0)

    assert _uploads_begin(config, Clock()) is begin


def test_without_a_window_uploads_begin_at_any_time(tmp_path):
    config = load(written(tmp_path, HEAD + KEYS))
    assert config.upload.window is None
    assert config.upload.bytes_per_s == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('from = "20:00"\n', "are needed together"),
        ('until = "20:00"\n', "are needed together"),
        ('from = "06:00"\nuntil = "06:00"\n', "two different times"),
        ('from = "24:00"\nuntil = "06:00"\n', 'upload.from: a time of day such as "20:00" is allowed'),
        ('from = "8 pm"\nuntil = "06:00"\n', "upload.from"),
        ('opens = "20:00"\nuntil = "06:00"\n', "upload.opens: unknown key"),
        ("bytes_per_s = -1\n", "upload.bytes_per_s"),
    ],
)
def test_what_is_no_window_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(written(tmp_path, HEAD + KEYS + "[upload]\n" + text))

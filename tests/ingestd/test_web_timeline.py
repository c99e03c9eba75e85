"""Geometry of the coverage timeline."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.model import Interval
from ingestd.web.timeline import WIDTH, Scale, shown_window, ticks, timeline
from tests.fakes.web_queries import ZONE, at, clip, story

HOUR_MS = 3_600_000


def seizure():
    return story().acts[0]


def test_the_window_is_shown_with_a_margin_and_gaps_with_their_length():
    line = timeline(seizure(), ZONE)
    assert line.expected.x == pytest.approx(WIDTH / 12, abs=0.1)
    assert line.expected.width == pytest.approx(WIDTH / 1.2, abs=0.1)
    assert [gap.length for gap in line.gaps] == ["12:30", "30.0 s"]
    first = line.gaps[0].span
    assert first.width / line.expected.width == pytest.approx(12.5 / 42, abs=0.001)


def test_each_officer_has_a_lane_even_without_video():
    act = story().acts[1]
    lanes = timeline(act, ZONE).lanes
    assert [lane.name for lane in lanes] == ["王建国 140801023", "赵敏 140801112"]
    assert [bar.style for bar in lanes[0].bars] == ["suggested"]
    assert lanes[1].bars == ()


def test_sound_is_drawn_but_does_not_count():
    act = story().acts[2]
    styles = [bar.style for bar in timeline(act, ZONE).lanes[0].bars]
    assert styles == ["counted", "linked"]


def test_unsure_edges_are_as_wide_as_the_uncertainty():
    act = seizure()
    scale = Scale(shown_window(act.action.interval))
    bar = timeline(act, ZONE).lanes[1].bars[0]
    assert len(bar.edges) == 2
    assert bar.edges[0].width == pytest.approx(8000 * WIDTH / scale.window.length_ms, abs=0.02)
    assert bar.edges[0].x < bar.whole.x < bar.edges[0].x + bar.edges[0].width


def test_a_clip_shorter_than_its_uncertainty_is_unsure_all_over():
    act = seizure()
    short = clip(20, "S.MP4", "20 09:20:00", 0.1, uncertainty_ms=60_000).row
    bars = timeline(replace(act, clips={short.object_id: short}), ZONE).lanes[0].bars
    assert len(bars[0].edges) == 1


def test_clips_outside_the_window_or_without_time_are_not_drawn():
    act = seizure()
    rows = [clip(30, "A", "20 03:00:00", 1).row, clip(31, "B", "20 23:00:00", 1).row, clip(32, "C", None, 0).row]
    lanes = timeline(replace(act, clips={row.object_id: row for row in rows}), ZONE).lanes
    assert all(lane.bars == () for lane in lanes)


def test_ticks_are_round_moments_of_the_sites_own_clock():
    scale = Scale(Interval(at("20 08:55:48"), at("20 09:46:12")))
    assert [tick.label for tick in ticks(scale, ZONE)] == ["09:00", "09:10", "09:20", "09:30", "09:40"]
    kathmandu = ticks(Scale(Interval(at("20 00:00:00"), at("21 00:00:00"))), ZoneInfo("Asia/Kathmandu"))
    assert {label.label[-2:] for label in kathmandu} == {"00"}


@given(start=st.integers(0, 4_000_000_000_000), length=st.integers(0, 400 * 24 * HOUR_MS))
def test_any_window_has_few_ticks_inside_the_picture(start, length):
    scale = Scale(shown_window(Interval(start, start + length)))
    found = ticks(scale, ZONE)
    assert 1 <= len(found) <= 10
    assert all(0 <= tick.x <= WIDTH for tick in found)


@given(a=st.integers(-(10**12), 10**13), b=st.integers(-(10**12), 10**13))
def test_nothing_is_drawn_outside_the_picture(a, b):
    span = Scale(Interval(10**12, 10**12 + HOUR_MS)).span(min(a, b), max(a, b))
    assert 0 <= span.x <= WIDTH
    assert 0 <= span.width <= WIDTH - span.x + 0.02

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.coverage import GAP_REASONS, TRUNCATED, UNUSABLE, WHOLE_PPM, cover, is_usable, union
from ingestd.model import Assignment, Gap, Interval, MediaKind
from tests.ingestd.worlds import MINUTE, T0, action, actions, clip, clips, intervals, span
from tests.oracles import covering


class Counted(list):
    """Counts how many of its values were looked at, one after the other."""

    looked_at = 0

    def __iter__(self):
        for value in super().__iter__():
            self.looked_at += 1
            yield value


BRIEF = st.builds(
    lambda start, length: Interval(T0 + start, T0 + start + length), st.integers(0, 9), st.sampled_from([0, 0, 1, 2, 4])
)
"""A few milliseconds, or a moment."""
CLIPS = st.lists(
    st.builds(
        clip,
        object_id=st.uuids().map(str),
        interval=BRIEF,
        problems=st.sampled_from([(), (), ("truncated",), ("black-picture",)]),
        verdict=st.sampled_from(["verified", "verified", "failed"]),
    ),
    max_size=6,
)
ISSUED = st.lists(
    st.builds(Assignment, st.just("r"), st.just("007"), st.integers(T0, T0 + 9), st.none() | st.integers(T0, T0 + 14)),
    max_size=3,
)


def test_one_clip_over_the_whole_act_covers_all_of_it():
    found = cover(action(), [clip(interval=span(-1, 11), uncertainty_ms=MINUTE)])
    assert (found.nominal_ppm, found.guaranteed_ppm, found.gaps, found.clips) == (WHOLE_PPM, WHOLE_PPM, (), ("c1",))


def test_many_recorders_combine():
    found = cover(action(), [clip("c1", span(0, 6)), clip("c2", span(4, 10), recorder="DSJ0732", officer="013")])
    assert (found.nominal_ppm, found.gaps, found.clips) == (WHOLE_PPM, (), ("c1", "c2"))


def test_what_no_clip_shows_is_a_gap():
    found = cover(action(), [clip("c1", span(-5, 3)), clip("c2", span(7, 20))])
    assert found.nominal_ppm == 600_000
    assert found.gaps == (Gap(span(3, 7), "no-clip"),)


@pytest.mark.parametrize(("hole_ms", "count"), [(999, 0), (1000, 0), (1001, 1)])
def test_a_hole_is_a_gap_when_longer_than_tolerated(hole_ms, count):
    before, after = Interval(T0, T0 + MINUTE), Interval(T0 + MINUTE + hole_ms, T0 + 10 * MINUTE)
    found = cover(action(), [clip("c1", before), clip("c2", after)])
    assert len(found.gaps) == count
    assert found.nominal_ppm < WHOLE_PPM


@pytest.mark.parametrize("where", ["start", "end"])
def test_a_late_start_and_an_early_end_are_gaps(where):
    interval = span(1, 10) if where == "start" else span(0, 9)
    assert len(cover(action(), [clip(interval=interval)]).gaps) == 1


def test_guaranteed_is_shrunk_by_each_clips_own_uncertainty():
    found = cover(action(), [clip("c1", span(0, 5), uncertainty_ms=30_000), clip("c2", span(5, 10))])
    assert (found.nominal_ppm, found.guaranteed_ppm) == (WHOLE_PPM, 900_000)


@pytest.mark.parametrize(("uncertainty_ms", "guaranteed"), [(149_999, True), (150_000, False), (200_000, False)])
def test_uncertainty_can_eat_a_clip_up(uncertainty_ms, guaranteed):
    found = cover(action(), [clip(interval=span(0, 5), uncertainty_ms=uncertainty_ms)])
    assert (found.guaranteed_ppm > 0) is guaranteed
    assert found.nominal_ppm == 500_000


@pytest.mark.parametrize("kind", [kind for kind in MediaKind if kind is not MediaKind.VIDEO])
def test_only_video_covers(kind):
    found = cover(action(), [clip(kind=kind)])
    assert (found.nominal_ppm, found.clips, found.gaps) == (0, (), (Gap(span(0, 10), "no-clip"),))


@pytest.mark.parametrize("problem", sorted(UNUSABLE))
def test_a_spoilt_picture_does_not_cover_and_is_the_reason(problem):
    found = cover(action(), [clip(problems=(problem,))])
    assert (found.nominal_ppm, found.gaps) == (0, (Gap(span(0, 10), "unusable-picture"),))


@pytest.mark.parametrize("verdict", ["failed", "missing", "unreadable"])
def test_an_original_that_is_not_as_recorded_does_not_cover_and_is_the_reason(verdict):
    found = cover(action(), [clip(interval=span(0, 4), verdict=verdict), clip("c2", span(4, 8), verdict="verified")])
    assert (found.nominal_ppm, found.clips) == (400_000, ("c2",))
    assert [gap.reason for gap in found.gaps] == ["original-not-as-recorded", "no-clip"]


def test_sound_that_cannot_be_played_is_no_unusable_picture():
    assert cover(action(), [clip(kind=MediaKind.AUDIO, problems=("unreadable-media",))]).gaps[0].reason == "no-clip"


def test_a_rejected_reading_of_time_does_not_spoil_the_picture():
    assert is_usable(clip(problems=("time-implausible", "time-conflict", "type-mismatch")))
    assert not is_usable(replace(clip(), interval=None))


@pytest.mark.parametrize("problem", sorted(TRUNCATED))
def test_a_truncated_clip_covers_what_it_holds_and_explains_the_rest(problem):
    found = cover(action(), [clip(interval=span(0, 4), problems=(problem,)), clip("c2", span(6, 8))])
    assert found.nominal_ppm == 600_000
    assert found.gaps == (Gap(span(4, 6), "clip-truncated"), Gap(span(8, 10), "no-clip"))


def test_without_a_ledger_no_recorder_is_missing():
    assert cover(action(), [], None).gaps[0].reason == "no-clip"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "recorder-missing"),
        (Assignment("r", "007", T0 - MINUTE, T0), "recorder-missing"),  # returned as the act began
        (Assignment("r", "007", T0 - MINUTE, T0 + 1), "no-clip"),
        (Assignment("r", "007", T0 - MINUTE, None), "no-clip"),
        (Assignment("r", "007", T0 + 10 * MINUTE - 1, None), "no-clip"),
        (Assignment("r", "007", T0 + 10 * MINUTE, None), "recorder-missing"),  # handed out as the act ended
    ],
)
def test_the_ledger_tells_whether_anybody_had_a_recorder(entry, reason):
    assert cover(action(), [], [entry] if entry else []).gaps[0].reason == reason


def test_an_act_shorter_than_the_tolerance_is_still_one_gap_when_nothing_shows_it():
    brief = action(interval=Interval(T0, T0 + 500))
    assert cover(brief, []).gaps == (Gap(brief.interval, "no-clip"),)


@pytest.mark.parametrize(
    ("interval", "uncertainty_ms", "nominal", "guaranteed"),
    [
        (span(-1, 1), 0, WHOLE_PPM, WHOLE_PPM),
        (span(-1, 1), 2 * MINUTE, WHOLE_PPM, 0),
        (span(0, 1), 0, WHOLE_PPM, WHOLE_PPM),
        (span(0, 1), 1, WHOLE_PPM, 0),
        (span(1, 2), 0, 0, 0),
    ],
)
def test_a_momentary_act_is_shown_or_not(interval, uncertainty_ms, nominal, guaranteed):
    moment = action(interval=Interval(T0, T0))
    found = cover(moment, [clip(interval=interval, uncertainty_ms=uncertainty_ms)])
    assert (found.nominal_ppm, found.guaranteed_ppm) == (nominal, guaranteed)
    assert bool(found.gaps) == (nominal == 0)


def test_one_millisecond_missing_is_not_the_whole():
    long = action(interval=Interval(T0, T0 + 100_000_000))
    found = cover(long, [clip(interval=Interval(T0, T0 + 99_999_999))])
    assert found.nominal_ppm == WHOLE_PPM - 1


@given(actions(max_size=1).filter(bool), clips())
def test_agrees_with_the_oracle(some, footage):
    (act,) = some
    found, seen = cover(act, footage), covering.look(act, footage)
    length = act.interval.length_ms // 1000
    assert found.nominal_ppm == len(seen.nominal) * WHOLE_PPM // length
    assert found.guaranteed_ppm == len(seen.guaranteed) * WHOLE_PPM // length
    assert [(g.interval.start_ms // 1000, g.interval.end_ms // 1000) for g in found.gaps] == seen.holes
    assert found.guaranteed_ppm <= found.nominal_ppm
    assert {g.reason for g in found.gaps} <= set(GAP_REASONS)


@given(BRIEF, CLIPS, st.none() | ISSUED)
@settings(max_examples=1500)
def test_to_the_millisecond_moments_included_a_gap_has_the_best_known_reason(interval, footage, issued):
    found = cover(action(interval=interval, tolerated_gap_ms=0), footage, issued)
    assert [gap.reason for gap in found.gaps] == [covering.why_ms(g.interval, footage, issued) for g in found.gaps]
    assert found.clips == tuple(sorted(c.object_id for c in footage if covering.shows_ms(c, interval)))


def test_a_thousand_clips_that_leave_a_thousand_holes_are_no_million_comparisons():
    step_ms = 3600
    act = action(interval=Interval(T0, T0 + 1000 * step_ms))
    footage = Counted(clip(f"c{n}", Interval(T0 + n * step_ms, T0 + n * step_ms + 1500)) for n in range(1000))
    assert len(cover(act, footage).gaps) == 1000
    assert footage.looked_at < 10 * len(footage)


@given(actions(max_size=1).filter(bool), clips(), st.randoms())
def test_the_order_of_the_clips_does_not_matter(some, footage, random):
    assert cover(some[0], random.sample(footage, len(footage))) == cover(some[0], footage)


def test_spans_that_touch_become_one():
    assert union([span(1, 2), span(0, 1), span(3, 4)]) == [span(0, 2), span(3, 4)]


@given(st.lists(intervals(), max_size=8))
def test_a_union_holds_the_same_moments_in_disjoint_order(spans):
    merged = union(spans)
    seconds = [second for s in merged for second in covering._seconds(s)]
    assert seconds == sorted({second for s in spans for second in covering._seconds(s)})
    assert all(a.end_ms < b.start_ms for a, b in itertools.pairwise(merged))

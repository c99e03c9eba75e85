import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestd import link
from ingestd.model import Assignment, Decision, Interval, MediaKind, Position
from tests.ingestd.worlds import CASES, ELSEWHERE, HERE, MINUTE, NEARBY, T0, action, actions, clip, one_clip, span
from tests.oracles import linking


def linked(decision: Decision) -> list[str]:
    return [one.action_id for one in decision.links]


def suggested(decision: Decision) -> list[str]:
    return [one.action_id for one in decision.suggestions]


def test_a_clip_of_an_officer_of_the_action_during_it_belongs_to_it():
    decision = link.decide(clip(), [action()])
    (one,) = decision.links
    assert (one.object_id, one.action_id, one.method, one.score) == ("c1", "a1", "officer-time", 100)
    assert one.reasons == ("officer-ledger", "time-overlaps")
    assert one.rule_version == link.RULE_VERSION
    assert decision.reason == ""


def test_another_officers_clip_does_not_belong():
    assert link.decide(clip(officer="099"), [action()]) == Decision(reason="no-action")


def test_without_an_officer_there_is_no_link_and_the_reason_says_so():
    assert link.decide(clip(officer=""), [action()]) == Decision(reason="officer-unknown")


@pytest.mark.parametrize("kind", [MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.IMAGE])
def test_video_sound_and_stills_are_linked(kind):
    assert linked(link.decide(clip(kind=kind), [action()])) == ["a1"]


@pytest.mark.parametrize("kind", [MediaKind.SIDECAR, MediaKind.OTHER, MediaKind.EMPTY])
def test_nothing_else_is_linked(kind):
    assert link.decide(clip(kind=kind), [action()]) == Decision(reason="kind-not-linked")


def test_a_stated_officer_counts_less_than_the_ledger():
    (one,) = link.decide(clip(officer_source="stated"), [action()]).links
    assert one.score == 90
    assert "officer-stated" in one.reasons


def test_unknown_time_links_nothing_but_a_stated_case_is_suggested():
    timeless = replace(clip(), interval=None)
    assert link.decide(timeless, [action()]) == Decision(reason="time-unknown")
    decision = link.decide(replace(timeless, case_stated=action().case), [action()])
    assert (linked(decision), suggested(decision), decision.reason) == ([], ["a1"], "time-unknown")


@pytest.mark.parametrize(
    ("interval", "is_linked", "is_suggested"),
    [
        (Interval(T0 - 5000, T0), False, True),  # ends where the act begins: only the margin
        (Interval(T0 - 5000, T0 + 1), True, False),  # one millisecond inside
        (Interval(T0 + 10 * MINUTE - 1, T0 + 20 * MINUTE), True, False),
        (Interval(T0 + 10 * MINUTE, T0 + 20 * MINUTE), False, True),
        (Interval(T0 + 40 * MINUTE - 1, T0 + 50 * MINUTE), False, True),  # the last of the 30 minutes after
        (Interval(T0 + 40 * MINUTE, T0 + 50 * MINUTE), False, False),
        (Interval(T0 - 40 * MINUTE, T0 - 30 * MINUTE), False, False),
        (Interval(T0 - 40 * MINUTE, T0 - 30 * MINUTE + 1), False, True),
    ],
)
def test_overlap_links_and_margin_suggests_to_the_millisecond(interval, is_linked, is_suggested):
    decision = link.decide(clip(interval=interval), [action()])
    assert (bool(decision.links), bool(decision.suggestions)) == (is_linked, is_suggested)
    assert decision.reason == ("" if is_linked else "margin-only" if is_suggested else "no-action")


@pytest.mark.parametrize(("at_ms", "expected"), [(-1, []), (0, ["a1"]), (10 * MINUTE, ["a1"]), (10 * MINUTE + 1, [])])
def test_a_still_is_a_point_and_both_edges_of_the_act_count(at_ms, expected):
    still = clip(kind=MediaKind.IMAGE, interval=Interval(T0 + at_ms, T0 + at_ms))
    assert linked(link.decide(still, [action()])) == expected


def test_a_momentary_act_is_met_by_the_clip_that_holds_its_moment():
    moment = action(interval=Interval(T0, T0))
    assert linked(link.decide(clip(interval=span(-1, 1)), [moment])) == ["a1"]
    assert linked(link.decide(clip(interval=span(1, 2)), [moment])) == []


def test_place_contradicts_beyond_radius_and_accuracy():
    decision = link.decide(clip(place=ELSEWHERE), [action(place=HERE)])
    assert (linked(decision), suggested(decision), decision.reason) == ([], ["a1"], "place-contradicts")


def test_place_confirms_within_radius():
    (one,) = link.decide(clip(place=NEARBY), [action(place=HERE)]).links
    assert "place-confirms" in one.reasons


@pytest.mark.parametrize(("mine", "theirs"), [(None, HERE), (ELSEWHERE, None)])
def test_one_unknown_position_contradicts_nothing(mine, theirs):
    assert linked(link.decide(clip(place=mine), [action(place=theirs)])) == ["a1"]


def test_the_boundary_of_the_place_is_radius_plus_both_accuracies():
    far_m = math.ceil(link.distance_m(HERE, NEARBY))
    at = action(place=HERE, radius_m=far_m - 20)
    assert link.place_of(clip(place=NEARBY), at) == "confirms"
    assert link.place_of(clip(place=NEARBY), replace(at, radius_m=far_m - 22)) == "contradicts"
    assert link.place_of(clip(place=replace(NEARBY, accuracy_m=13)), replace(at, radius_m=far_m - 22)) == "confirms"


def test_a_margin_with_a_contradicting_place_is_not_even_suggested():
    assert link.decide(clip(interval=span(15, 20), place=ELSEWHERE), [action(place=HERE)]) == Decision(
        reason="no-action"
    )


def test_a_clip_over_successive_actions_belongs_to_each():
    first, second = action("a1", span(0, 10)), action("a2", span(10, 20))
    assert linked(link.decide(clip(interval=span(5, 15)), [second, first])) == ["a1", "a2"]


def test_two_concurrent_actions_are_ambiguous_and_both_suggested():
    both = [action("a1", span(0, 10)), action("a2", span(5, 15))]
    decision = link.decide(clip(interval=span(6, 9)), both)
    assert (linked(decision), suggested(decision), decision.reason) == ([], ["a1", "a2"], "ambiguous")


def test_suggestions_of_one_score_are_in_the_order_of_their_actions():
    both = [action("a2"), action("a1")]
    assert suggested(link.decide(clip(), both)) == suggested(link.decide(clip(), both[::-1])) == ["a1", "a2"]


def test_place_tells_concurrent_actions_apart():
    both = [action("a1", place=ELSEWHERE), action("a2", place=HERE)]
    decision = link.decide(clip(place=NEARBY), both)
    assert (linked(decision), suggested(decision)) == (["a2"], ["a1"])


def test_place_that_fits_one_and_is_unknown_of_the_other_does_not_decide_but_ranks():
    decision = link.decide(clip(place=NEARBY), [action("a1"), action("a2", place=HERE)])
    assert (linked(decision), suggested(decision)) == ([], ["a2", "a1"])


def test_a_third_action_at_another_time_is_still_linked():
    three = [action("a1", span(0, 10)), action("a2", span(5, 10)), action("a3", span(10, 20))]
    decision = link.decide(clip(interval=span(0, 20)), three)
    assert (linked(decision), suggested(decision)) == (["a3"], ["a1", "a2"])


def test_a_stated_case_decides_between_concurrent_actions_whoever_wore_it():
    both = [action("a1", case=CASES[0]), action("a2", case=CASES[1])]
    decision = link.decide(clip(officer="", case_stated="云(2026) 2号"), both)
    (one,) = decision.links
    assert (one.action_id, one.method, one.score) == ("a2", "case-number", 100)


def test_a_stated_case_decides_within_the_margin_and_against_the_place():
    (near,) = link.decide(clip(interval=span(12, 15), case_stated=action().case), [action()]).links
    assert (near.score, near.reasons) == (90, ("case-stated", "within-margin"))
    (far,) = link.decide(clip(place=ELSEWHERE, case_stated=action().case), [action(place=HERE)]).links
    assert far.score == 70


def test_a_stated_case_far_from_its_time_is_left_to_people():
    decision = link.decide(clip(interval=span(600, 610), case_stated=action().case), [action()])
    assert (linked(decision), suggested(decision), decision.reason) == ([], ["a1"], "case-time-apart")


def test_a_stated_case_nobody_knows_leaves_officer_and_time():
    assert linked(link.decide(clip(case_stated="no such case"), [action()])) == ["a1"]


@pytest.mark.parametrize(("overlap_ms", "score"), [(2000, 80), (2001, 100)])
def test_an_overlap_no_longer_than_the_clocks_error_is_worth_less(overlap_ms, score):
    late = clip(interval=Interval(T0 - MINUTE, T0 + overlap_ms), uncertainty_ms=2000)
    assert link.decide(late, [action()]).links[0].score == score


LEDGER = [Assignment("DSJ0731", "007", T0, T0 + 60 * MINUTE), Assignment("DSJ0731", "013", T0 + 60 * MINUTE, None)]


@pytest.mark.parametrize(
    ("interval", "stated", "expected"),
    [
        (span(0, 1), "028", ("007", "ledger")),
        (span(59, 61), "", ("007", "ledger")),  # handed over during the clip
        (span(60, 61), "", ("013", "ledger")),
        (span(-5, 1), "", ("007", "ledger")),  # issued during the clip
        (span(-5, -1), "028", ("028", "stated")),
        (span(-5, -1), "", ("", "")),
        (span(-5, 0), "", ("", "")),
        (span(-5, -1), "000000", ("", "")),  # as it left the works
        (None, "028", ("028", "stated")),
    ],
)
def test_the_ledger_first_then_the_statement(interval, stated, expected):
    assert link.resolve_officer("DSJ0731", interval, LEDGER, stated) == expected


def test_the_ledger_of_another_recorder_says_nothing():
    assert link.resolve_officer("DSJ0732", span(0, 1), LEDGER, "") == ("", "")


def test_a_ledger_that_names_two_proves_neither():
    two = [Assignment("r", "007", T0, None), Assignment("r", "013", T0, None)]
    assert link.resolve_officer("r", span(0, 1), two, "") == ("", "")
    assert link.resolve_officer("r", span(0, 1), two, "013") == ("013", "ledger")
    assert link.resolve_officer("r", span(0, 1), two, "028") == ("028", "stated")


def test_a_short_statement_means_the_holder_that_ends_so_whoever_else_is_on_the_roster():
    two = [Assignment("r", "19090114007", T0, None), Assignment("r", "013", T0, None)]
    for roster in ((), ("77114007",), ("77114007", "19090114007")):
        assert link.resolve_officer("r", span(0, 1), two, "114007", roster) == ("19090114007", "ledger")


def test_a_short_statement_means_the_one_number_that_ends_so():
    roster = {"19090114007", "19090126013", "29090126013"}
    assert link.resolve_officer("r", None, [], "114007", roster) == ("19090114007", "stated")
    assert link.resolve_officer("r", None, [], "126013", roster) == ("126013", "stated")
    assert link.resolve_officer("r", None, [], "14007", roster) == ("14007", "stated")


@pytest.mark.parametrize("written", ["云（2026）1号", "云 [2026] 1 号", "云〔２０２６〕1号"])
def test_a_case_number_is_the_same_however_its_brackets_are_written(written):
    assert link.case_key(written) == link.case_key("云〔2026〕1号")
    assert link.case_key(written) != link.case_key("云〔2026〕11号")


def test_distance_of_a_known_arc():
    degree_m = link.distance_m(Position(0, 0), Position(10_000_000, 0))
    assert degree_m == pytest.approx(math.pi * link.EARTH_RADIUS_M / 180)
    assert link.distance_m(Position(0, -1_800_000_000), Position(0, 1_800_000_000)) == pytest.approx(0, abs=1e-3)


@given(one_clip("c"), actions(), st.booleans())
def test_agrees_with_the_oracle(one, some, far):
    placed = replace(one, place=ELSEWHERE if far and one.place else one.place)
    decision = link.decide(placed, some)
    assert (set(linked(decision)), set(suggested(decision))) == linking.belongs(placed, some)
    assert bool(decision.links) == (decision.reason == "")
    assert decision.reason in {"", *link.NO_LINK}


@given(one_clip("c"), actions(), st.randoms())
def test_the_order_of_the_actions_does_not_matter(one, some, random):
    shuffled = random.sample(some, len(some))
    assert link.decide(one, shuffled) == link.decide(one, some)


_whole = st.integers(-(2**53), 2**53)


@given(_whole, _whole, _whole, _whole)
@example(900_000_000, 0, 10_000_000_000, 0)
@example(1_449_999_993, -690_000_000, 350_000_007, 1_110_000_000)
def test_any_two_positions_have_a_distance(lat_1, lon_1, lat_2, lon_2):
    assert 0 <= link.distance_m(Position(lat_1, lon_1), Position(lat_2, lon_2)) <= math.pi * link.EARTH_RADIUS_M + 1


def test_rounding_beyond_the_poles_makes_no_distance_imaginary():
    for number in range(20_000):
        lat = 350_000_000 + number * 7
        assert link.distance_m(Position(1_800_000_000 - lat, -690_000_000), Position(lat, 1_110_000_000)) >= 0

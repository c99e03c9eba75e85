"""Linking, coverage and rules together: what is flagged depends on the facts and not on the order they came in."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.coverage import cover
from ingestd.link import decide
from ingestd.model import EnforcementAction, Level
from ingestd.rules import Policy, evaluate
from tests.ingestd.worlds import T0, action, actions, clip, clips, span
from tests.oracles.judging import flagged

GRACE_MS = 20_000
FILMING = {"missing-full-process-video", "full-process-gap"}
"""Rules of which the oracle knows; the others are tried in test_rule_trials.py."""


def judge(some_clips, some_actions, now_ms):
    """The product's three pure rooms in a row."""
    links = {(one.object_id, one.action_id) for c in some_clips for one in decide(c, some_actions).links}
    return [
        flag
        for act in some_actions
        for flag in evaluate(act, cover(act, _linked(links, some_clips, act)), now_ms, Policy(grace_ms=GRACE_MS))
    ]


def _linked(links: set[tuple[str, str]], some_clips, act: EnforcementAction):
    return [c for c in some_clips if (c.object_id, act.action_id) in links]


@given(clips(), actions(), st.integers(0, 120))
@settings(max_examples=400)
def test_agrees_with_the_oracle(some_clips, some_actions, after_s):
    now_ms = T0 + after_s * 1000
    found = {(flag.rule, flag.action_id) for flag in judge(some_clips, some_actions, now_ms) if flag.rule in FILMING}
    assert found == flagged(some_clips, some_actions, now_ms, GRACE_MS)


@given(clips(), actions(), st.randoms())
def test_the_order_of_arrival_does_not_matter(some_clips, some_actions, random):
    mixed_clips = random.sample(some_clips, len(some_clips))
    mixed_actions = random.sample(some_actions, len(some_actions))
    later = T0 + 10**9
    before, after = judge(some_clips, some_actions, later), judge(mixed_clips, mixed_actions, later)
    assert sorted(before, key=lambda f: f.flag_id) == sorted(after, key=lambda f: f.flag_id)


def test_the_worlds_hold_every_kind_of_flag():
    """The oracle can only be asked about what the worlds hold: both flags and none must be among them."""
    bare, short, whole = action("a1", span(0, 1)), action("a2", span(2, 3)), action("a3", span(4, 5))
    footage = [clip("c2", span(2, 2.5)), clip("c3", span(4, 5))]
    assert flagged(footage, [bare, short, whole], T0 + 10**9, 0) == {
        ("missing-full-process-video", "a1"),
        ("full-process-gap", "a2"),
    }
    assert whole.level is Level.FULL

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent import states
from station_agent.errors import JournalError
from station_agent.states import BAY_TRANSITIONS, CLIP_TRANSITIONS, BayState, ClipState, bay_after, clip_after

DOCS = Path(__file__).resolve().parents[2] / "docs" / "states.md"


def test_the_diagram_is_drawn_from_the_table():
    assert DOCS.read_text("utf-8") == states.diagram()


def test_every_state_is_reached():
    assert {*CLIP_TRANSITIONS.values(), ClipState.SEEN} == set(ClipState)
    assert {s for after in BAY_TRANSITIONS.values() for s in after} == set(BayState)
    assert set(BAY_TRANSITIONS) == set(BayState)


@given(st.sampled_from(ClipState), st.sampled_from(["reserve", "copied", "discard", "seal", "fail"]))
def test_only_the_table_moves_a_clip(state, event):
    if (state, event) in CLIP_TRANSITIONS:
        assert clip_after(state, event) is CLIP_TRANSITIONS[state, event]
    else:
        with pytest.raises(JournalError):
            clip_after(state, event)


def test_what_is_sealed_stays_sealed():
    assert not [event for state, event in CLIP_TRANSITIONS if state is ClipState.SEALED]


@pytest.mark.parametrize("state", [BayState.READING, BayState.VERIFYING, BayState.IDENTIFYING, BayState.NO_SPACE])
def test_no_bay_turns_safe_before_it_was_proved(state):
    with pytest.raises(JournalError):
        bay_after(state, BayState.SAFE)

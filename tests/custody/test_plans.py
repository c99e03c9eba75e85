"""Plans of the centre: what fits into a message, and what no station takes for one."""

from dataclasses import replace

import pytest

from custody.canonical import canonical_bytes
from custody.envelope import MAX_ENTRY_BYTES, PAYLOAD_TYPE, seal
from custody.errors import LogError, SignatureError, UnknownKeyError, UnparsableError
from custody.plans import MAX_ACTS, MAX_OFFICERS, MAX_TEXT, TYPE, Act, Plans, read_plans, seal_plans
from custody.plans import PAYLOAD_TYPE as PLANS_TYPE
from custody.signer import Ed25519Signer

CENTRE = Ed25519Signer.from_seed(b"c" * 32)
OTHER = Ed25519Signer.from_seed(b"o" * 32)
LOG = "custody.example/centre"
ACT = Act("A1", "查封、扣押", 1_000, 2_000, ("000001", "000002"))
PLANS = Plans(LOG, 500, (ACT, replace(ACT, action="A2", officers=())))


def read(data):
    return read_plans(data, LOG, [CENTRE.verify_key()])


def forged(**changes):
    fields = {"type": TYPE, "log": LOG, "made_ms": 1, "acts": [ACT.block()], "left_out": 0, **changes}
    return seal(canonical_bytes(fields), [CENTRE], PLANS_TYPE)


def test_what_is_sealed_is_read():
    assert read(seal_plans(PLANS, [CENTRE])) == PLANS
    assert read(seal_plans(Plans(LOG, 1, ()), [CENTRE])).acts == ()


@pytest.mark.parametrize("length", [1, MAX_TEXT])
def test_more_acts_than_fit_are_left_out_from_the_end_and_counted(length):
    acts = tuple(Act(f"A{n}", "类" * length, n, n + 1, ("1" * length,) * 3) for n in range(MAX_ACTS + 100))
    data = seal_plans(Plans(LOG, 1, acts, 7), [CENTRE, OTHER])
    found = read(data)
    assert len(data) <= MAX_ENTRY_BYTES
    assert found.acts == acts[: len(found.acts)]
    assert found.left_out == 7 + len(acts) - len(found.acts)
    assert (len(found.acts) == MAX_ACTS) == (length == 1)
    assert len(found.acts) > 20


def test_even_acts_too_large_to_be_told_leave_a_message():
    act = Act("A" * MAX_TEXT, "类" * MAX_TEXT, 1, 2, ("类" * MAX_TEXT,) * MAX_OFFICERS)
    assert read(seal_plans(Plans(LOG, 1, (act,) * 2), [CENTRE])).left_out >= 1


def test_what_somebody_else_signed_is_none():
    with pytest.raises(UnknownKeyError):
        read(seal_plans(PLANS, [OTHER]))


def test_an_entry_of_the_log_is_no_plan_and_a_plan_no_entry():
    with pytest.raises(SignatureError, match="payload type"):
        read(seal(canonical_bytes({"type": TYPE}), [CENTRE], PAYLOAD_TYPE))


def test_plans_of_another_centre_are_none():
    with pytest.raises(LogError, match="none of"):
        read(forged(log="custody.example/other"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"type": "bwc.custody/v1"}, "type"),
        ({"made_ms": -1}, "made_ms"),
        ({"made_ms": "1"}, "made_ms"),
        ({"left_out": None}, "left_out"),
        ({"acts": None}, "acts"),
        ({"acts": ["A1"]}, "acts"),
        ({"acts": [ACT.block()] * (MAX_ACTS + 1)}, "acts: at most"),
        ({"acts": [{**ACT.block(), "officers": "000001"}]}, "officers"),
        ({"acts": [{**ACT.block(), "officers": ["1"] * (MAX_OFFICERS + 1)}]}, "officers"),
        ({"acts": [{**ACT.block(), "officers": [""]}]}, "officers"),
        ({"acts": [{**ACT.block(), "action": ""}]}, "action"),
        ({"acts": [{**ACT.block(), "action": 5}]}, "action"),
        ({"acts": [{**ACT.block(), "type": "x" * (MAX_TEXT + 1)}]}, "type"),
        ({"acts": [{**ACT.block(), "start_ms": None}]}, "start_ms"),
        ({"acts": [{**ACT.block(), "end_ms": -1}]}, "end_ms"),
    ],
)
def test_another_form_is_refused_and_the_field_is_named(changes, complaint):
    with pytest.raises(UnparsableError, match=complaint):
        read(forged(**changes))


def test_the_bounds_themselves_are_allowed():
    full = replace(ACT, type="类" * MAX_TEXT, officers=("1",) * MAX_OFFICERS)
    assert read(forged(acts=[full.block()])).acts == (full,)
    assert len(read(forged(acts=[ACT.block()] * MAX_ACTS)).acts) == MAX_ACTS

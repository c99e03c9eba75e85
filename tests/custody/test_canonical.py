import json
import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import MAX_DEPTH, MAX_INTEGER, canonical_bytes, parse_object
from custody.errors import ContractError, UnparsableError

values = st.recursive(
    st.none() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), values, max_size=4))
def test_what_is_written_is_read_back_and_written_the_same(value):
    written = canonical_bytes(value)
    assert parse_object(written) == value
    assert canonical_bytes(parse_object(written)) == written


@given(values)
def test_it_is_the_form_of_rfc_8785_itself(value):
    assert canonical_bytes(value) == rfc8785.dumps(value)


loose = st.recursive(
    values | st.booleans() | st.integers() | st.sampled_from(["\ud800", "\U0001f600", "true", "\\u", "\x00", "\x7f"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), loose, max_size=4), st.booleans())
def test_what_is_refused_on_the_way_out_is_refused_on_the_way_in(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    try:
        written = canonical_bytes(value)
    except ContractError:
        with pytest.raises(UnparsableError):
            parse_object(text)
    else:
        assert canonical_bytes(parse_object(text)) == written


def test_keys_are_sorted_by_utf16_code_units_as_rfc_8785_says():
    assert canonical_bytes({"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\ufb33": 5}) == (
        '{"\\r":2,"1":3,"€":1,"😀":4,"\ufb33":5}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        math.nan,
        True,
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        "\ud800",
        {1: 2},
        {"\ud800": 1},
        b"bytes",
        [[1.5]],
        {"a": False},
    ],
)
def test_values_outside_the_contract_are_refused_on_the_way_out(value):
    with pytest.raises(ContractError, match="not allowed"):
        canonical_bytes({"value": value})


def test_nesting_is_bounded():
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert canonical_bytes(value)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="nesting"):
        canonical_bytes([value])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":1.0}', "not an integer"),
        (b'{"a":1e3}', "not an integer"),
        (b'{"a":NaN}', "not an integer"),
        (b'{"a":true}', "boolean"),
        (b'{"a":9007199254740992}', "beyond"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b"[1]", "not a JSON object"),
        (b'{"a":', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", "nesting"),
        (b"", "not JSON"),
    ],
)
def test_what_is_no_record_is_refused_on_the_way_in(text, complaint):
    with pytest.raises(UnparsableError, match=complaint):
        parse_object(text)

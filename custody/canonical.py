"""Canonical JSON (RFC 8785, JCS) over a narrower set of values.

Allowed: object, array, string, null and integers with ``|n| <= 2**53 - 1``. Floats and booleans are refused on the way
out and on the way in, so that no two programs can disagree about how a number is written.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

import rfc8785

from custody.errors import ContractError, UnparsableError

JsonValue = None | str | int | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, JsonValue]

MAX_INTEGER = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly (RFC 8785 §3.2.2.3 by way of IEEE 754)."""
MAX_DEPTH = 16
"""Deeper nesting than any record of ours; bounds recursion on hostile input."""
_BEYOND_BMP = "\U00010000"


def canonical_bytes(value: JsonValue) -> bytes:
    """UTF-8 bytes of ``value`` in canonical form.

    Raises ``ContractError`` for a float, a boolean, an integer beyond ``MAX_INTEGER``, a non-string key, nesting beyond
    ``MAX_DEPTH`` or a lone surrogate.
    """
    problem = _first_forbidden(value)
    if problem:
        raise ContractError(f"not allowed in a record: {problem}")
    return _encoded(value)


def is_canonical(data: bytes, value: JsonValue) -> bool:
    """Whether ``data`` is the canonical form of ``value``, which was parsed from it."""
    return _encoded(value) == data


def parse_object(data: bytes) -> dict[str, JsonValue]:
    """Parse one JSON object strictly: no duplicate keys, no floats, no booleans, no NaN.

    Raises ``UnparsableError``.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except UnparsableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnparsableError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnparsableError("not a JSON object")
    problem = "" if _is_harmless(data) else _first_forbidden(value)
    if problem:
        raise UnparsableError(f"not allowed in a record: {problem}")
    return value


def _encoded(value: JsonValue) -> bytes:
    # The encoder in C gives the bytes of RFC 8785, but for the order of keys beyond the Basic Multilingual Plane.
    text = _ENCODER.encode(value)
    return text.encode() if text.isascii() or max(text) < _BEYOND_BMP else rfc8785.dumps(value)


def _is_harmless(data: bytes) -> bool:
    """Whether JSON text cannot hold what ``_first_forbidden`` looks for, as seen without looking at each value.

    Numbers were judged while it was parsed, and UTF-8 holds no surrogate but as an escape.
    """
    return (
        b"\\u" not in data
        and b"true" not in data
        and b"false" not in data
        and data.count(b"{") + data.count(b"[") <= MAX_DEPTH
    )


def _without_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise UnparsableError("a key appears twice")
    return unique


def _integer(text: str) -> int:
    number = int(text)
    problem = _beyond(number)
    if problem:
        raise UnparsableError(f"not allowed in a record: {problem}")
    return number


def _beyond(number: int) -> str:
    return "" if -MAX_INTEGER <= number <= MAX_INTEGER else f"integer {number} beyond 2^53-1"


def _refuse_number(text: str) -> NoReturn:
    raise UnparsableError(f"number {text[:40]} is not an integer")


def _first_forbidden(value: object, depth: int = 0) -> str:  # noqa: PLR0911  # one line per kind of value
    """A few words naming the first value outside the allowed set, or an empty string."""
    if depth > MAX_DEPTH:
        return f"nesting deeper than {MAX_DEPTH}"
    if value is None:
        return ""
    if isinstance(value, str):
        return "" if value.isascii() else _surrogate(value)
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return _beyond(value)
    if isinstance(value, (dict, Mapping)):  # an abstract class alone takes ten times as long to answer
        return _first_in_mapping(value, depth)
    if isinstance(value, (list, tuple)):
        return next((p for item in value if (p := _first_forbidden(item, depth + 1))), "")
    return f"a {type(value).__name__}"


def _first_in_mapping(value: Mapping[object, object], depth: int) -> str:
    for key, item in value.items():
        if not isinstance(key, str):
            return f"key {key!r}, which is no string"
        if depth < MAX_DEPTH and key.isascii() and type(item) is str and item.isascii():
            continue  # most of what a record holds
        problem = _surrogate(key) or _first_forbidden(item, depth + 1)
        if problem:
            return problem
    return ""


def _surrogate(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "a lone surrogate"
    return ""


_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":"))
_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_int=_integer,
    parse_float=_refuse_number,
    parse_constant=_refuse_number,
)

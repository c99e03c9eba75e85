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


def canonical_bytes(value: JsonValue) -> bytes:
    """UTF-8 bytes of ``value`` in canonical form.

    Raises ``ContractError`` for a float, a boolean, an integer beyond ``MAX_INTEGER``, a non-string key, nesting beyond
    ``MAX_DEPTH`` or a lone surrogate.
    """
    problem = _first_forbidden(value)
    if problem:
        raise ContractError(f"not allowed in a record: {problem}")
    return rfc8785.dumps(value)


def is_canonical(data: bytes, value: JsonValue) -> bool:
    """Whether ``data`` is the canonical form of ``value``, which was parsed from it."""
    # The C encoder gives the same bytes as RFC 8785 for nearly everything; where it does not, the slow one decides.
    quick = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return quick == data or rfc8785.dumps(value) == data


def parse_object(data: bytes) -> dict[str, JsonValue]:
    """Parse one JSON object strictly: no duplicate keys, no floats, no booleans, no NaN.

    Raises ``UnparsableError``.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except UnparsableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnparsableError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnparsableError("not a JSON object")
    problem = _first_forbidden(value)
    if problem:
        raise UnparsableError(f"not allowed in a record: {problem}")
    return value


def _without_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise UnparsableError("a key appears twice")
    return unique


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
        return "" if -MAX_INTEGER <= value <= MAX_INTEGER else f"integer {value} beyond 2^53-1"
    if isinstance(value, Mapping):
        return _first_in_mapping(value, depth)
    if isinstance(value, (list, tuple)):
        return next((p for item in value if (p := _first_forbidden(item, depth + 1))), "")
    return f"a {type(value).__name__}"


def _first_in_mapping(value: Mapping[object, object], depth: int) -> str:
    for key, item in value.items():
        if not isinstance(key, str):
            return f"key {key!r}, which is no string"
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

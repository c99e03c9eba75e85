"""Rows of the index as values, and what signed JSON becomes in a row.

Whatever a station signed, however odd, becomes a row: a missing or mistyped field reads as unknown, never as a crash.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from custody.canonical import JsonObject, JsonValue
from custody.chain import Entry
from ingestd.model import (
    ActFacts,
    Clip,
    Coverage,
    EnforcementAction,
    Flag,
    Gap,
    Interval,
    Level,
    Link,
    MediaKind,
    Officer,
    Position,
    Suggestion,
)

if TYPE_CHECKING:
    from sqlalchemy import RowMapping  # what an entry says is read without a database, and quickly

Row = dict[str, Any]
"""One row by column name, as SQLAlchemy Core takes it."""
AnyRow: TypeAlias = "Mapping[str, Any] | RowMapping"
"""One row by column name, ours or as SQLAlchemy Core gives it."""

_OBJECT = (dict, Mapping)
"""An object of JSON. ``dict`` is asked first: an abstract class takes ten times as long to answer."""
MAX_PATH_CHARS = 500
"""Longest path that a row shows; the signed entry holds all of it. Part of the key of a flag, hence the bound."""
MAX_KEY_CHARS = 200
"""Longest text that goes into an indexed column (PostgreSQL refuses index entries beyond about 2,700 bytes)."""


def text_in(block: JsonValue, field: str, limit: int = 4000) -> str:
    """A string field, or an empty string. U+0000 becomes U+2400: PostgreSQL text cannot hold it."""
    value = block.get(field) if isinstance(block, _OBJECT) else None
    return value[:limit].replace("\x00", "\u2400") if isinstance(value, str) else ""


def key_in(block: JsonValue, field: str) -> str:
    """A string field that is looked up by index."""
    return text_in(block, field, MAX_KEY_CHARS)


def integer_in(block: JsonValue, field: str) -> int | None:
    """An integer field, or None."""
    value = block.get(field) if isinstance(block, _OBJECT) else None
    return value if isinstance(value, int) else None


def object_in(block: JsonValue, field: str) -> JsonObject:
    """An object field, or an empty one."""
    value = block.get(field) if isinstance(block, _OBJECT) else None
    return value if isinstance(value, _OBJECT) else {}


def list_in(block: JsonValue, field: str) -> list[JsonValue]:
    """An array field, or an empty one."""
    value = block.get(field) if isinstance(block, _OBJECT) else None
    return list(value) if isinstance(value, (list, tuple)) else []


def clip_in(payload: JsonObject) -> str:
    """The clip that an entry of the centre's log is about by name, or an empty string."""
    named = (key_in(object_in(payload, block), "object") for block in ("link", "view", "hold", "disposal"))
    return next(filter(None, named), "") or key_in(object_in(payload, "object"), "id")


def actor_in(payload: JsonObject) -> str:
    """Id of the first of the ``actors``, or an empty string."""
    actors = list_in(payload, "actors")
    return key_in(actors[0], "id") if actors else ""


def mirrored(entry: Entry) -> tuple[str, int]:
    """Log and size of the mirror after a ``station.entries`` entry."""
    mirror = entry.record.block("mirror")
    leaves = mirror.get("leaves")
    count = len(leaves) if isinstance(leaves, (list, tuple)) else 0
    return str(mirror["log"]), int(str(mirror["from"])) + count


def dumps(value: object) -> str:
    """JSON text for a column; the same value gives the same text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Any:
    """What ``dumps`` wrote."""
    return json.loads(text)


def clip_value(row: AnyRow) -> Clip:
    """A described clip as decisions take it."""
    return Clip(
        object_id=row["object_id"],
        station=row["station"],
        recorder=row["recorder"],
        kind=MediaKind(row["kind"] or MediaKind.OTHER),
        interval=interval_of(row),
        uncertainty_ms=row["uncertainty_ms"],
        officer=row["officer"],
        officer_source=row["officer_source"],
        case_stated=row["case_stated"],
        place=place_of(row),
        problems=tuple(loads(row["problems"])),
        verdict=row["verdict"],
    )


def interval_of(row: AnyRow) -> Interval | None:
    """The clip's time, or None while it is unknown."""
    return None if row["start_ms"] is None else Interval(row["start_ms"], row["end_ms"])


def place_of(row: AnyRow) -> Position | None:
    """Where it was, or None."""
    return None if row["lat_e7"] is None else Position(row["lat_e7"], row["lon_e7"], row["accuracy_m"])


_NO_FACTS: Final = ActFacts()


def action_value(row: AnyRow) -> EnforcementAction:
    """An action as decisions take it."""
    return EnforcementAction(
        **_act(row),
        place=place_of(row),
        radius_m=row["radius_m"],
        tolerated_gap_ms=row["tolerated_gap_ms"],
        margin_ms=row["margin_ms"],
        facts=_NO_FACTS if row["facts"] == "{}" else ActFacts.of(loads(row["facts"])),
    )


def plan_value(row: AnyRow) -> EnforcementAction:
    """An act that is planned."""
    return EnforcementAction(**_act(row))


def _act(row: AnyRow) -> dict[str, Any]:
    """What a plan has as well: what, when and by whom."""
    return {
        "action_id": row["action_id"],
        "case": row["case_number"],
        "type": row["type"],
        "level": Level(row["level"]),
        "interval": Interval(row["start_ms"], row["end_ms"]),
        "officers": tuple(loads(row["officers"])),
    }


def officer_value(row: AnyRow) -> Officer:
    """An officer as the roster has them."""
    return Officer(row["number"], row["name"], row["unit"], row["qualification"], row["qualified_until_ms"])


def link_value(row: AnyRow) -> Link:
    """A link as the linker made it."""
    return Link(
        row["object_id"],
        row["action_id"],
        row["method"],
        row["score"],
        tuple(loads(row["reasons"])),
        row["rule_version"],
    )


def suggestion_value(row: AnyRow) -> Suggestion:
    """A suggestion as the linker made it."""
    return Suggestion(row["object_id"], row["action_id"], row["score"], tuple(loads(row["reasons"])))


def coverage_value(row: AnyRow) -> Coverage:
    """The coverage of an action as it was computed."""
    gaps = tuple(Gap(Interval(start, end), reason) for start, end, reason in loads(row["gaps"]))
    clips = tuple(loads(row["clips"]))
    return Coverage(row["action_id"], row["nominal_ppm"], row["guaranteed_ppm"], gaps, clips)


def flag_value(row: AnyRow) -> Flag:
    """A flag as a rule made it."""
    return Flag(
        rule=row["rule"],
        rule_version=row["rule_version"],
        key=row["key"],
        action_id=row["action_id"],
        case=row["case_number"],
        article=row["article"],
        detail=row["detail"],
        inputs=loads(row["inputs"]),
    )

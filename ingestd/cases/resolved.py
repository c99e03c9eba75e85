"""An import as it was understood: names, types and zones resolved, so that doing it again needs nothing but itself.

What a file of cases means depends on the catalogue, the zone and the roster of the day. A crash may have the import
done again after all three have changed; it must then become what it was, not what the file would mean now.
"""

import json
from dataclasses import asdict
from typing import Any

from ingestd.model import (
    IMPORTED,
    ActFacts,
    Assignment,
    Case,
    CaseStage,
    EnforcementAction,
    Import,
    Interval,
    Level,
    Officer,
    Position,
    Recorder,
    Stage,
    Unit,
)

_VERSION = 1


def write(imported: Import) -> bytes:
    """The tables of ``imported`` as JSON; the same import gives the same bytes.

    Written row by row: as one value of dictionaries a long import would take many times the memory of its text.
    """
    written = bytearray(b"{")
    for name in sorted(IMPORTED):
        written += f'"{name}": ['.encode()
        for number, one in enumerate(getattr(imported, name)):
            row = json.dumps(asdict(one), ensure_ascii=False, sort_keys=True)
            written += f"{', ' if number else ''}{row}".encode()
        written += b"], "
    written += f'"version": {_VERSION}}}'.encode()
    return bytes(written)


def read(data: bytes) -> Import:
    """What ``write`` wrote. Raises ``ValueError`` for anything else."""
    try:
        found = json.loads(data)
        if found["version"] != _VERSION:
            raise ValueError(f"version {found['version']}, not {_VERSION}")
        return Import(
            officers=tuple(Officer(**one) for one in found["officers"]),
            recorders=tuple(Recorder(**one) for one in found["recorders"]),
            assignments=tuple(Assignment(**one) for one in found["assignments"]),
            cases=tuple(Case(**one) for one in found["cases"]),
            actions=tuple(_action(one) for one in found["actions"]),
            units=tuple(Unit(**one) for one in found.get("units", ())),
            stages=tuple(_stage(one) for one in found.get("stages", ())),
            plans=tuple(_action(one) for one in found.get("plans", ())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a resolved import: {error}") from error


def _stage(found: dict[str, Any]) -> CaseStage:
    return CaseStage(**{**found, "stage": Stage(found["stage"])})


def _action(found: dict[str, Any]) -> EnforcementAction:
    place = found["place"]
    return EnforcementAction(
        **{
            **found,
            "level": Level(found["level"]),
            "interval": Interval(**found["interval"]),
            "officers": tuple(found["officers"]),
            "place": None if place is None else Position(**place),
            "facts": ActFacts.of(found.get("facts", {})),
        }
    )

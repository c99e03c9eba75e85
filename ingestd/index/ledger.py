"""The ledger of who held which recorder (台账), as stations write it at the dock. Pure.

What a station signed (``recorder.issued``, ``recorder.returned``) stands in the same table as what was imported, with
its source. A recorder is held by one officer at a time: the next issue, at whichever station, ends the one before.
Imported lines are somebody else's statement; nothing that a station says ends or changes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ingestd.index.rows import Row

IMPORTED: Final = "import"
"""Source of a line that a file brought; of any other the station's entry, ``origin:seq``."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One entry of a station's ledger."""

    recorder: str
    officer: str
    at_ms: int
    """By the station's clock, and no later than the centre received it."""
    source: str
    is_return: bool


def entered(lines: Iterable[Row], told: Issue) -> list[Row]:
    """Lines that are new or changed once ``told`` is entered; ``lines`` are those of the same recorder.

    An issue that comes late, from a station that was away, ends where the next one began.
    """
    own = [line for line in lines if line["source"] != IMPORTED]
    ended = [
        {**line, "end_ms": told.at_ms}
        for line in own
        if line["start_ms"] < told.at_ms
        and (line["end_ms"] is None or line["end_ms"] > told.at_ms)
        and (not told.is_return or line["officer"] == told.officer)
    ]
    if told.is_return:
        return ended
    later = [line["start_ms"] for line in own if line["start_ms"] > told.at_ms]
    line = {
        "recorder": told.recorder,
        "officer": told.officer,
        "start_ms": told.at_ms,
        "end_ms": min(later, default=None),
        "source": told.source,
    }
    return [*ended, line]

"""Do the clocks of stations and centre agree with the order of the logs? Pure: entries in, complaints out.

A log's order is proven; the times in it are its writer's. So an entry dated where its place forbids is a finding,
``time-regression``. The clocks of recorders are not meant: what they say is a claim, and is kept as one.

1. Within a log no entry is dated more than ``TOLERANCE_MS`` before one that stands before it.
2. No station entry is dated more than that after the centre entry that mirrored it.
3. No station entry is dated more than that before the newest entry of the centre checkpoint that it says its station
   had seen (``centre_seen``).
"""

import base64
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from custody.canonical import JsonValue
from custody.chain import Entry
from ingestd.index.rows import integer_in, text_in

TOLERANCE_MS: Final = 120_000
"""How far two honest clocks may disagree before it is a finding."""
MOST: Final = 10
"""Complaints of one kind about one log that are written out; the last of them says that there are more."""
_ROOT_BYTES: Final = 32


@dataclass(slots=True)
class Order:
    """Feed it the entries of one log in order. After a step back later entries are held against the new time."""

    newest_ms: int = 0
    newest_seq: int = 0

    def step(self, entry: Entry) -> str:
        """What is wrong with this entry's time, or an empty string."""
        back_ms = self.newest_ms - entry.record.utc_ms
        before = self.newest_seq
        if back_ms < 0 or back_ms > TOLERANCE_MS:
            self.newest_ms, self.newest_seq = entry.record.utc_ms, entry.seq
        if back_ms <= TOLERANCE_MS:
            return ""
        return f"entry {entry.seq} is dated {back_ms // 1000} s before entry {before}, which stands before it"


@dataclass(slots=True)
class Mirrored:
    """When the centre took in the entries of one station, by its own entries: spans of numbers, in order."""

    starts: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    """For each start where the span ends, and the centre's time."""

    def add(self, start: int, count: int, utc_ms: int) -> None:
        """``count`` entries from ``start`` on were mirrored at this time."""
        self.starts.append(start)
        self.spans.append((start + count, utc_ms))

    def at_ms(self, seq: int) -> int | None:
        """The centre's time for one entry, or None when it names none."""
        place = bisect_right(self.starts, seq) - 1
        if place < 0 or seq >= self.spans[place][0]:
            return None
        return self.spans[place][1]

    def ahead(self, entry: Entry) -> str:
        """What is wrong with this entry's time, or an empty string."""
        at_ms = self.at_ms(entry.seq)
        if at_ms is None or entry.record.utc_ms <= at_ms + TOLERANCE_MS:
            return ""
        return f"entry {entry.seq} is dated {(entry.record.utc_ms - at_ms) // 1000} s after the centre had it"


@dataclass(frozen=True, slots=True)
class CentreSeen:
    """The centre's checkpoint that a station had verified when it wrote an entry."""

    origin: str
    size: int
    root: str

    def behind(self, entry: Entry, checkpoint_ms: int) -> str:
        """What is wrong with this entry's time, or an empty string; ``checkpoint_ms`` is the checkpoint's newest."""
        late_ms = checkpoint_ms - entry.record.utc_ms
        if late_ms <= TOLERANCE_MS:
            return ""
        return f"entry {entry.seq} is dated {late_ms // 1000} s before the centre checkpoint at {self.size} it has seen"


def centre_seen(entry: Entry) -> CentreSeen | None:
    """What an entry says it has seen; None when it says nothing. Raises ``ValueError`` for what nobody can read."""
    block: JsonValue = entry.record.payload.get("centre_seen")
    if block is None:
        return None
    origin, size, root = text_in(block, "origin"), integer_in(block, "size"), text_in(block, "root")
    if not origin or size is None or size < 1 or not _is_root(root):
        raise ValueError(f"entry {entry.seq}: centre_seen: origin, a size from 1 and a root in base64 are needed")
    return CentreSeen(origin, size, root)


def _is_root(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _ROOT_BYTES
    except ValueError:
        return False

"""What a centre's log says of keys: who was enrolled, which keys may succeed, which were revoked, what was seen when.

Feed it the verified entries of the centre's log in order. Nothing here asks a clock: an entry is judged by where and
when the centre's log first named it, never by today (FORMAT.md §12).
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from custody.checkpoint import NoteKey
from custody.identifiers import person_key
from custody.keyring import ENROLLED, LogKeys, keys_in
from custody.record import Record

STATION: Final = "station.enrolled"
REVOKED: Final = "key.revoked"
MIRRORED: Final = "station.entries"
APPROVER: Final = "approver"
"""Role of the actors whose word brings a key in or takes it out."""
APPROVERS: Final = 2
"""So many different people are needed."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The first keys of a station's log. ``approvers`` is empty for a station that a configuration file enrolled."""

    station: str
    keys: LogKeys
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """When the centre's log first named an entry, and by which of its own entries."""

    utc_ms: int
    seq: int


@dataclass(slots=True)
class Authority:
    """The keys of an agency as its centre's log tells of them."""

    enrolled: dict[str, Enrolled] = field(default_factory=dict)
    """By log."""
    approved: dict[str, dict[LogKeys, int]] = field(default_factory=dict)
    """By log the keys that two people let succeed, each with the number of the entry that says so."""
    revoked: dict[NoteKey, int] = field(default_factory=dict)
    """From when on a key is not trusted, in ms; of several revocations the earliest time counts."""
    _seen: dict[str, list[tuple[int, Seen]]] = field(default_factory=dict)
    """By log: up to which number (exclusive) its entries were named, ascending."""

    def hear(self, record: Record) -> None:
        """Take the next entry of the centre's log. Raises ``UnparsableError`` for a key that cannot be read."""
        if record.event == STATION:
            keys, station = keys_in(record.block("key")), record.block("station")
            self.enrolled.setdefault(keys.origin, Enrolled(str(station.get("id")), keys, approvers_of(record)))
        elif record.event == ENROLLED:
            keys = keys_in(record.block("key"))
            if keys.origin != record.log and len(approvers_of(record)) >= APPROVERS:
                self.approved.setdefault(keys.origin, {}).setdefault(keys, record.seq)
        elif record.event == REVOKED:
            key, at_ms = revocation_in(record)
            self.revoked[key] = min(at_ms, self.revoked.get(key, at_ms))
        elif record.event == MIRRORED:
            self._mirror(record)

    def successors(self, log: str) -> tuple[LogKeys, ...]:
        """Keys that may succeed in ``log``."""
        return tuple(self.approved.get(log, ()))

    def seen(self, log: str, seq: int) -> Seen | None:
        """When the centre's log first named entry ``seq`` of ``log``; None if it did not yet."""
        named = self._seen.get(log, [])
        place = bisect_right(named, seq, key=lambda one: one[0])
        return named[place][1] if place < len(named) else None

    def in_time(self, log: str, seq: int, keys: LogKeys) -> bool:
        """Whether ``keys`` were approved before the centre took entry ``seq``, which hands over to them."""
        approved, seen = self.approved.get(log, {}).get(keys), self.seen(log, seq)
        return approved is not None and (seen is None or approved < seen.seq)

    def doubtful(self, keys: LogKeys, at_ms: int) -> bool:
        """Whether an entry signed by ``keys`` that the centre first saw at ``at_ms`` needs review (``key-review``)."""
        return doubtful(self.revoked, keys, at_ms)

    def _mirror(self, record: Record) -> None:
        mirror = record.block("mirror")
        leaves = mirror["leaves"]
        stop = int(str(mirror["from"])) + (len(leaves) if isinstance(leaves, list) else 0)
        named = self._seen.setdefault(str(mirror["log"]), [])
        if not named or stop > named[-1][0]:
            named.append((stop, Seen(record.utc_ms, record.seq)))


def doubtful(revoked: Mapping[NoteKey, int], keys: LogKeys, at_ms: int) -> bool:
    """Whether any of ``keys`` was revoked from ``at_ms`` or earlier; ``revoked`` says from when on."""
    return any(at_ms >= revoked[key] for key in keys.note_keys if key in revoked)


def approvers_of(record: Record) -> tuple[str, ...]:
    """Different people who approved what an entry says, in the order and spelling in which it first names them."""
    actors = record.payload.get("actors")
    named = [one for one in actors if isinstance(one, Mapping)] if isinstance(actors, list) else []
    people: dict[str, str] = {}
    for person in (one.get("id") for one in named if one.get("role") == APPROVER):
        if isinstance(person, str) and person_key(person):
            people.setdefault(person_key(person), person)
    return tuple(people.values())


def revocation_in(record: Record) -> tuple[NoteKey, int]:
    """The key that ``key.revoked`` names, and from when on it is not trusted. Raises ``UnparsableError``."""
    key, revocation = record.block("key"), record.block("revocation")
    return NoteKey.parse(str(key["vkey"])), int(str(revocation["invalid_from_ms"]))

"""Which entries tell the story of some clips; a pure decision over one reading of each log.

Of a station's log: the docking and the listing in which a clip was first seen, its copy, everything said of it later,
what was derived from it, and the erasure of its recorder. Of the centre's log: that it mirrored each of those entries,
what it read back, links and flags and what people said of them, holds and disposals, who looked and who took away, and
every word about keys.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from custody.canonical import JsonObject, JsonValue
from custody.chain import Entry
from custody.keyring import ENROLLED
from ingestd.index.rows import clip_in
from ingestd.model import case_key

KEYS: Final = ("station.enrolled", "key.", "checkpoint.anchored")
"""Beginnings of events that concern every bundle."""


@dataclass(slots=True)
class StationChoice:
    """Feed it a station's entries in order; afterwards ``chosen`` holds their numbers."""

    wanted: Collection[str]
    chosen: set[int] = field(default_factory=set)
    handed_over: set[int] = field(default_factory=set)
    """Entries by which one key followed another: without them nobody knows whose signature to look for."""
    copies: dict[str, Entry] = field(default_factory=dict)
    """``ingest.copied`` by object."""
    derived: dict[str, Entry] = field(default_factory=dict)
    """``proxy.created`` by object."""
    media: dict[str, Entry] = field(default_factory=dict)
    """``media.described`` by object."""
    _docked: dict[str, int] = field(default_factory=dict)
    _seen: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def see(self, entry: Entry) -> None:
        """Take the next entry."""
        record = entry.record.payload
        serial = _text(_object(record, "camera"), "serial")
        if entry.record.event == ENROLLED:
            self.handed_over.add(entry.seq)
        if entry.record.event == "device.docked":
            self._docked[serial] = entry.seq
        if entry.record.event == "ingest.seen":
            for file in _objects(record, "files"):
                self._seen[serial, _text(file, "path"), _text(file, "path_b64")] = entry.seq
        if self._is_about(record):
            self.chosen.add(entry.seq)
            self._remember(entry, serial)

    def numbers(self) -> set[int]:
        """What belongs in the bundle: nothing of a log that tells nothing of the clips."""
        return self.chosen | self.handed_over if self.chosen else set()

    def _is_about(self, record: JsonObject) -> bool:
        objects = [_object(record, "object"), *_objects(record, "parents"), *_objects(record, "objects")]
        return any(one.get("id") in self.wanted for one in objects if isinstance(one.get("id"), str))

    def _remember(self, entry: Entry, serial: str) -> None:
        object_id = _text(_object(entry.record.payload, "object"), "id")
        if entry.record.event == "ingest.copied":
            source = _object(entry.record.payload, "source")
            place = serial, _text(source, "path"), _text(source, "path_b64")
            self.chosen |= {seq for seq in (self._seen.get(place), self._docked.get(serial)) if seq is not None}
            self.copies[object_id] = entry
        if entry.record.event == "proxy.created":
            self.derived[object_id] = entry
        if entry.record.event == "media.described":
            self.media[object_id] = entry


@dataclass(frozen=True, slots=True)
class _Dependent:
    """An entry that names no clip, and belongs where something else does: an action, a case, a flag, a hold."""

    seq: int
    on: tuple[str, str]
    brings: tuple[str, str] = ("", "")
    """What belongs with it, and may have entries of its own."""


@dataclass(slots=True)
class CentreChoice:
    """Feed it the centre's entries in order; then ``chosen()`` gives their numbers."""

    wanted: Collection[str]
    leaves: Mapping[str, Collection[int]]
    """Chosen entries by station log."""
    keys: tuple[str, ...] = KEYS
    """Beginnings of events that are wanted whatever they are about."""
    _chosen: set[int] = field(default_factory=set)
    _topics: set[tuple[str, str]] = field(default_factory=set)
    """Actions and cases that a clip was linked to, flags about it, holds on it: kind and key."""
    _dependents: list[_Dependent] = field(default_factory=list)

    def see(self, entry: Entry) -> None:
        """Take the next entry."""
        record = entry.record.payload
        named = clip_in(record) in self.wanted or _text(_object(record, "flag"), "key") in self.wanted
        if named:
            self._topics |= {(kind, key) for kind, key in _topics_of(record) if key}
        else:
            self._dependents += _dependent(entry)
        if (
            named
            or entry.record.event.startswith(self.keys)
            or self._tells_of(_object(record, "export").get("objects"))
            or self._mirrors(_object(record, "mirror"))
        ):
            self._chosen.add(entry.seq)

    def chosen(self) -> set[int]:
        """Numbers of the entries that belong in the bundle."""
        topics, chosen = set(self._topics), set(self._chosen)
        for one in self._dependents:
            if one.on in topics:
                topics.add(one.brings)
                chosen.add(one.seq)
        return chosen

    def _tells_of(self, objects: JsonValue) -> bool:
        return isinstance(objects, list) and any(one in self.wanted for one in objects if isinstance(one, str))

    def _mirrors(self, mirror: JsonObject) -> bool:
        start, leaves = mirror.get("from"), mirror.get("leaves")
        if not isinstance(start, int) or not isinstance(leaves, list):
            return False
        wanted = self.leaves.get(_text(mirror, "log"), ())
        return any(start <= seq < start + len(leaves) for seq in wanted)


def _topics_of(record: JsonObject) -> list[tuple[str, str]]:
    """What an entry that is about a clip makes part of its story."""
    link = _object(record, "link")
    return [
        ("action", _text(link, "action")),
        ("case", case_key(_text(link, "case"))),
        ("flag", _text(_object(record, "flag"), "id")),
        ("hold", _text(_object(record, "hold"), "id")),
    ]


def _dependent(entry: Entry) -> list[_Dependent]:
    """What an entry that names no clip hangs on: a flag on its action, a hold on its case, words on their flag."""
    record = entry.record.payload
    flag, hold = _object(record, "flag"), _object(record, "hold")
    said = next(filter(None, (_object(record, name) for name in ("explanation", "review", "closing"))), {})
    found = [
        _Dependent(entry.seq, ("action", _text(flag, "action")), ("flag", _text(flag, "id"))),
        _Dependent(entry.seq, ("case", _text(hold, "case_key")), ("hold", _text(hold, "id"))),
        _Dependent(entry.seq, ("flag", _text(said, "flag"))),
    ]
    if entry.record.event == "hold.released":
        found.append(_Dependent(entry.seq, ("hold", _text(hold, "id"))))
    return [one for one in found if one.on[1]]


def _object(record: JsonObject, name: str) -> JsonObject:
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def _objects(record: JsonObject, name: str) -> list[JsonObject]:
    value = record.get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(block: JsonObject, name: str) -> str:
    value = block.get(name)
    return value if isinstance(value, str) else ""

"""What the entries of a station's log say, as rows. Pure.

Status of a clip: ``received`` until it is described; then ``indexed``, or ``quarantined`` with a reason: ``zero-byte``,
``unreadable-media`` or ``unknown-content``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from custody.canonical import JsonObject, JsonValue
from custody.chain import Entry
from ingestd.index.rows import MAX_PATH_CHARS, Row, dumps, integer_in, key_in, list_in, object_in, text_in
from ingestd.model import MAX_CLIP_MS, MediaKind, case_key

UNOPENABLE: Final = frozenset({"unreadable-media", "moov-missing"})
"""Problems with which no tool opens the file."""
_MAX_PROBLEMS: Final = 50
_KINDS: Final = {kind.value: kind for kind in MediaKind}


@dataclass(slots=True)
class Arrivals:
    """Rows of one run of entries of one log."""

    log: str
    station: str
    keyid: str
    entries: list[Row] = field(default_factory=list)
    seen: list[Row] = field(default_factory=list)
    copied: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    clips: dict[str, Row] = field(default_factory=dict)
    media: dict[str, JsonObject] = field(default_factory=dict)
    proxies: list[Row] = field(default_factory=list)


def gather(entries: Iterable[Entry], log: str, station: str, keyid: str) -> Arrivals:
    """Sort the facts of ``entries``, in order, into rows; an event nobody here knows is listed like any other."""
    arrivals = Arrivals(log, station, keyid)
    for entry in entries:
        about = _READERS.get(entry.record.event, _other)(arrivals, entry)
        arrivals.entries.append(entry_row(entry, keyid, about))
    return arrivals


def entry_row(entry: Entry, keyid: str, object_id: str) -> Row:
    """Any log's entry as a row; ``object_id`` is the clip it is about."""
    return {
        "log": entry.record.log,
        "seq": entry.seq,
        "leaf": entry.leaf.hex(),
        "event": entry.record.event,
        "utc_ms": entry.record.utc_ms,
        "keyid": keyid,
        "object_id": object_id,
    }


def described(media: JsonObject, unmeasured_clock_ms: int) -> Row:
    """Columns of a clip that its signed ``media`` block decides."""
    kind = _kind(media)
    problems = _problems(media)
    status, reason = status_of(kind, text_in(media, "playable"), problems)
    stated_case = key_in(media, "case_as_stated")
    return {
        "kind": kind.value,
        "status": status,
        "reason": reason,
        **_time(media, unmeasured_clock_ms),
        **_place(object_in(media, "place")),
        "officer_stated": key_in(media, "officer_as_stated"),
        "case_stated": stated_case,
        "case_key": case_key(stated_case),
        "problems": dumps(problems),
        "media": dumps(media),
    }


def status_of(kind: MediaKind, playable: str, problems: Iterable[str]) -> tuple[str, str]:
    """Status and, for a quarantined clip, the reason."""
    if kind is MediaKind.EMPTY:
        return "quarantined", "zero-byte"
    if kind is MediaKind.OTHER:
        return "quarantined", "unknown-content"
    if kind is not MediaKind.SIDECAR and (playable == "no" or not UNOPENABLE.isdisjoint(problems)):
        return "quarantined", "unreadable-media"
    return "indexed", ""


def _seen(arrivals: Arrivals, entry: Entry) -> str:
    recorder = _recorder(entry)
    for file in list_in(entry.record.payload, "files"):
        row = _file_row(arrivals, entry, recorder, file)
        arrivals.seen.append({**row, "size": integer_in(file, "size") or 0, "state": "pending", "reason": ""})
    return ""


def _copied(arrivals: Arrivals, entry: Entry) -> str:
    stored, source = entry.record.block("object"), entry.record.block("source")
    recorder, object_id = _recorder(entry), str(stored["id"])
    file = _file_row(arrivals, entry, recorder, source)
    arrivals.copied.append({**file, "size": _size(stored), "state": "copied", "reason": ""})
    arrivals.clips[object_id] = {
        **_UNDESCRIBED,
        "object_id": object_id,
        "log": arrivals.log,
        "seq": entry.seq,
        "leaf": entry.leaf.hex(),
        "station": arrivals.station,
        "recorder": recorder,
        "name": text_in(stored, "name"),
        "size": _size(stored),
        "sha256": text_in(object_in(stored, "digests"), "sha256"),
        "media_type": text_in(stored, "media_type"),
        "path": file["path"],
        "copied_ms": entry.record.utc_ms,
        "officer_camera": key_in(object_in(entry.record.payload, "camera"), "officer_as_stated"),
        "check_ms": entry.record.utc_ms,
    }
    return object_id


def _failed(arrivals: Arrivals, entry: Entry) -> str:
    file = _file_row(arrivals, entry, _recorder(entry), entry.record.block("source"))
    reason = key_in(entry.record.payload, "reason")
    arrivals.failed.append({**file, "size": 0, "state": "failed", "reason": reason})
    return ""


def _described(arrivals: Arrivals, entry: Entry) -> str:
    object_id = str(entry.record.block("object")["id"])
    arrivals.media[object_id] = object_in(entry.record.payload, "media")
    return object_id


def _proxy(arrivals: Arrivals, entry: Entry) -> str:
    stored, parent = entry.record.block("object"), _parent(entry)
    arrivals.proxies.append(
        {
            "object_id": str(stored["id"]),
            "parent_id": parent,
            "log": arrivals.log,
            "seq": entry.seq,
            "name": text_in(stored, "name"),
            "size": _size(stored),
            "sha256": text_in(object_in(stored, "digests"), "sha256"),
            "media_type": text_in(stored, "media_type") or "video/mp4",
        }
    )
    return parent


def _proxy_failed(_arrivals: Arrivals, entry: Entry) -> str:
    return _parent(entry)


def _other(_arrivals: Arrivals, entry: Entry) -> str:
    return key_in(object_in(entry.record.payload, "object"), "id")


_READERS: Final[Mapping[str, Callable[[Arrivals, Entry], str]]] = {
    "ingest.seen": _seen,
    "ingest.copied": _copied,
    "ingest.failed": _failed,
    "media.described": _described,
    "proxy.created": _proxy,
    "proxy.failed": _proxy_failed,
}
_UNDESCRIBED: Final[Mapping[str, Any]] = {
    "kind": "",
    "status": "received",
    "reason": "",
    "start_ms": None,
    "end_ms": None,
    "uncertainty_ms": 0,
    "officer": "",
    "officer_source": "",
    "officer_stated": "",
    "case_stated": "",
    "case_key": "",
    "lat_e7": None,
    "lon_e7": None,
    "accuracy_m": 0,
    "problems": "[]",
    "media": "",
    "links": 0,
    "suggestions": 0,
    "verdict": "unchecked",
}


def _recorder(entry: Entry) -> str:
    return key_in(object_in(entry.record.payload, "camera"), "serial")


def _parent(entry: Entry) -> str:
    parents = list_in(entry.record.payload, "parents")
    return key_in(parents[0], "id") if parents else ""


def _size(stored: JsonObject) -> int:
    return integer_in(stored, "size") or 0


def _file_row(arrivals: Arrivals, entry: Entry, recorder: str, file: JsonValue) -> Row:
    """A file on a recorder; its identity is log, recorder, exact path and modification time."""
    path, mtime_ms = text_in(file, "path"), integer_in(file, "mtime_ms")
    place = f"{arrivals.log}\n{recorder}\n{text_in(file, 'path_b64', len(path) * 8) or path}"
    return {
        "file_id": hashlib.sha256(f"{place}\n{mtime_ms}".encode()).hexdigest(),
        "place_id": hashlib.sha256(place.encode()).hexdigest(),
        "log": arrivals.log,
        "recorder": recorder,
        "path": path[:MAX_PATH_CHARS],
        "mtime_ms": mtime_ms or 0,
        "seen_ms": entry.record.utc_ms,
        "seen_in": f"{arrivals.log}:{entry.seq}",
    }


def _kind(media: JsonObject) -> MediaKind:
    return _KINDS.get(text_in(media, "kind"), MediaKind.OTHER)


def _problems(media: JsonObject) -> list[str]:
    stated = [item for item in list_in(media, "problems") if isinstance(item, str)][:_MAX_PROBLEMS]
    endless = (integer_in(media, "duration_ms") or 0) > MAX_CLIP_MS and "duration-implausible" not in stated
    return [*stated, "duration-implausible"] if endless else stated


def _time(media: JsonObject, unmeasured_clock_ms: int) -> Row:
    """Corrected UTC: a time of the device's clock less its measured offset; a GPS time as it is.

    A clip that claims to last longer than any can has no known time, so that every way of looking it up agrees.
    """
    start, clock = object_in(media, "start"), object_in(media, "clock")
    utc_ms, length_ms = integer_in(start, "utc_ms"), max(0, integer_in(media, "duration_ms") or 0)
    if utc_ms is None or length_ms > MAX_CLIP_MS:
        return {"start_ms": None, "end_ms": None, "uncertainty_ms": 0}
    uncertainty_ms = integer_in(start, "uncertainty_ms") or 0
    if text_in(start, "clock") != "gps":
        offset_ms = integer_in(clock, "offset_ms")
        measured_ms = integer_in(clock, "uncertainty_ms")
        utc_ms -= offset_ms or 0
        uncertainty_ms += unmeasured_clock_ms if offset_ms is None or measured_ms is None else measured_ms
    return {"start_ms": utc_ms, "end_ms": utc_ms + length_ms, "uncertainty_ms": max(0, uncertainty_ms)}


def _place(place: JsonObject) -> Row:
    lat, lon = integer_in(place, "lat_e7"), integer_in(place, "lon_e7")
    if lat is None or lon is None:
        return {"lat_e7": None, "lon_e7": None, "accuracy_m": 0}
    return {"lat_e7": lat, "lon_e7": lon, "accuracy_m": integer_in(place, "accuracy_m") or 0}

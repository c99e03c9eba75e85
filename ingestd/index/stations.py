"""What the entries of a station's log say, as rows. Pure.

Status of a clip: ``received`` until it is described; then ``indexed``, or ``quarantined`` with a reason: ``zero-byte``,
``unreadable-media``, ``unknown-content``, ``unregistered-recorder`` until somebody registers it, or ``undecidable``
when what was signed about it cannot be worked with.

A station's clock is its own claim. Waiting (for a file, for a stored object) counts from the earlier of that claim and
the moment the centre received the entry, so that a clock ahead silences nothing.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from custody.canonical import JsonObject, JsonValue
from custody.chain import Entry
from ingestd.index.ledger import Issue
from ingestd.index.rows import MAX_PATH_CHARS, Row, dumps, integer_in, key_in, list_in, loads, object_in, text_in
from ingestd.model import MAX_CLIP_MS, MediaKind, case_key
from ingestd.rules.facts import Claim, Contradiction

UNOPENABLE: Final = frozenset({"unreadable-media", "moov-missing"})
"""Problems with which no tool opens the file."""
_MAX_PROBLEMS: Final = 50
UNDECIDABLE: Final[Row] = {"status": "quarantined", "reason": "undecidable"}
"""Columns of a clip about which something was signed that cannot be worked with."""
UNREGISTERED: Final = "unregistered-recorder"
"""Reason of a clip whose recorder the station does not know, and keeps apart; said from the copy on."""
_MAX_CLAIMS: Final = 24
_MAX_LAT_E7: Final = 90 * 10**7
_MAX_LON_E7: Final = 180 * 10**7
_KINDS: Final = {kind.value: kind for kind in MediaKind}


@dataclass(slots=True)
class Arrivals:
    """Rows of one run of entries of one log."""

    log: str
    station: str
    keyid_of: Callable[[int], str]
    """Who signed an entry, by its number."""
    received_ms: int
    entries: list[Row] = field(default_factory=list)
    files: list[Row] = field(default_factory=list)
    """What was said of files on recorders, in the order of the log; ``state`` is what became of each."""
    clips: dict[str, Row] = field(default_factory=dict)
    media: dict[str, JsonObject] = field(default_factory=dict)
    proxies: list[Row] = field(default_factory=list)
    dockings: list[Row] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    """Recorders whose sources of identity disagreed, one for each time that a station said so."""
    issues: list[Issue] = field(default_factory=list)


def gather(  # noqa: PLR0913  # who said it, when it came, and what of it is only listed
    entries: Iterable[Entry],
    log: str,
    station: str,
    keyid_of: Callable[[int], str],
    received_ms: int,
    aside: Collection[int] = (),
) -> Arrivals:
    """Sort the facts of ``entries``, in order, into rows; an event nobody here knows is listed like any other.

    Entries whose ``seq`` is in ``aside`` are listed, and nothing they say is believed.
    """
    arrivals = Arrivals(log, station, keyid_of, received_ms)
    for entry in entries:
        read = _other if entry.seq in aside else _READERS.get(entry.record.event, _other)
        about = read(arrivals, entry)
        arrivals.entries.append(entry_row(entry, keyid_of(entry.seq), about))
    return arrivals


def about(entry: Entry) -> str:
    """Id of the clip that an entry is about, or an empty string."""
    if entry.record.event in {"proxy.created", "proxy.failed"}:
        return _parent(entry)
    return key_in(object_in(entry.record.payload, "object"), "id")


def disputed(entries: Iterable[Entry], log: str, known: Mapping[str, Row]) -> dict[int, str]:
    """Entries about an object that another entry brought, by ``seq``, and what is wrong; ``known`` are clips by id.

    An object belongs to the first entry that brought it. Only its own log describes it or derives from it, and from
    the very bytes that were copied.
    """
    owners = {key: (row["log"], row["seq"], row["sha256"]) for key, row in known.items()}
    found: dict[int, str] = {}
    for entry in entries:
        object_id = about(entry)
        finding = _dispute(entry, log, owners[object_id]) if object_id in owners else ""
        if finding:
            found[entry.seq] = finding
        elif entry.record.event == "ingest.copied":
            owners[object_id] = (log, entry.seq, _sha256(entry.record.block("object")))
    return found


def _dispute(entry: Entry, log: str, owner: tuple[str, int, str]) -> str:
    event, (owner_log, owner_seq, sha256) = entry.record.event, owner
    if event == "ingest.copied" and (owner_log, owner_seq) != (log, entry.seq):
        return "object-claimed-twice"
    if event in {"media.described", "proxy.created"} and owner_log != log:
        return "object-of-another-log"
    if event == "proxy.created" and key_in(list_in(entry.record.payload, "parents")[0], "sha256") != sha256:
        return "parent-differs"
    return ""


def entry_row(entry: Entry, keyid: str, object_id: str) -> Row:
    """Any log's entry as a row; ``object_id`` is the clip it is about."""
    return {
        "log": entry.record.log,
        "seq": entry.seq,
        "leaf": entry.leaf.hex(),
        "event": key_in(entry.record.payload, "event"),
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


def redescribed(row: Row, told: Row) -> Row:
    """The same columns for this clip: one of a recorder that nobody registered stays set aside, whatever it shows."""
    return {**told, "status": "quarantined", "reason": UNREGISTERED} if row["reason"] == UNREGISTERED else told


def let_in(row: Row) -> Row:
    """Status and reason of a clip that was set aside for its recorder alone, now that somebody registered it."""
    if not row["media"]:
        return {"status": "received", "reason": ""}
    media = loads(row["media"])
    status, reason = status_of(_kind(media), text_in(media, "playable"), _problems(media))
    return {"status": status, "reason": reason}


def status_of(kind: MediaKind, playable: str, problems: Iterable[str]) -> tuple[str, str]:
    """Status and, for a quarantined clip, the reason."""
    if kind is MediaKind.EMPTY:
        return "quarantined", "zero-byte"
    if kind is MediaKind.OTHER:
        return "quarantined", "unknown-content"
    if kind is not MediaKind.SIDECAR and (playable == "no" or not UNOPENABLE.isdisjoint(problems)):
        return "quarantined", "unreadable-media"
    return "indexed", ""


def _docked(arrivals: Arrivals, entry: Entry) -> str:
    arrivals.dockings.append(
        {
            "log": arrivals.log,
            "seq": entry.seq,
            "station": arrivals.station,
            "recorder": _recorder(entry),
            "docked_ms": min(entry.record.utc_ms, arrivals.received_ms),
        }
    )
    return _identified(arrivals, entry)


def _identified(arrivals: Arrivals, entry: Entry) -> str:
    """What a station says of whose recorder it is: kept where people have to settle it."""
    identity, camera = object_in(entry.record.payload, "identity"), object_in(entry.record.payload, "camera")
    if text_in(identity, "verdict") == "conflict":
        claims = (one for one in list_in(identity, "claims")[:_MAX_CLAIMS] if isinstance(one, Mapping))
        arrivals.contradictions.append(
            Contradiction(
                recorder=_serial(entry),
                station=arrivals.station,
                bay=integer_in(camera, "bay") or 0,
                docked_ms=min(entry.record.utc_ms, arrivals.received_ms),
                entry=f"{arrivals.log}:{entry.seq}",
                reasons=tuple(sorted(one for one in list_in(identity, "reasons") if isinstance(one, str))),
                claims=tuple(Claim(key_in(c, "source"), key_in(c, "value"), key_in(c, "recorder")) for c in claims),
            )
        )
    return ""


def _ledger(arrivals: Arrivals, entry: Entry) -> str:
    """Taking a recorder out, and bringing it back; one without a serial number is none that a ledger can name."""
    recorder, officer = _recorder(entry), key_in(entry.record.block("issue"), "officer")
    if recorder:
        at_ms = min(entry.record.utc_ms, arrivals.received_ms)
        is_return = entry.record.event == "recorder.returned"
        arrivals.issues.append(Issue(recorder, officer, at_ms, f"{arrivals.log}:{entry.seq}", is_return))
    return ""


def _seen(arrivals: Arrivals, entry: Entry) -> str:
    for file in list_in(entry.record.payload, "files"):
        row = _file_row(arrivals, entry, file, integer_in(file, "size") or 0)
        arrivals.files.append({**row, "state": "pending", "reason": ""})
    return ""


def _copied(arrivals: Arrivals, entry: Entry) -> str:
    stored, source = entry.record.block("object"), entry.record.block("source")
    object_id = str(stored["id"])
    file = _file_row(arrivals, entry, source, _size(stored))
    arrivals.files.append({**file, "state": "copied", "reason": ""})
    arrivals.clips[object_id] = {
        **_UNDESCRIBED,
        "object_id": object_id,
        "log": arrivals.log,
        "seq": entry.seq,
        "leaf": entry.leaf.hex(),
        "station": arrivals.station,
        "recorder": file["recorder"],
        "reason": UNREGISTERED if _is_set_aside(entry) else "",
        "name": text_in(stored, "name"),
        "size": _size(stored),
        "sha256": _sha256(stored),
        "media_type": text_in(stored, "media_type"),
        "path": file["path"],
        "copied_ms": file["seen_ms"],
        "officer_camera": key_in(object_in(entry.record.payload, "camera"), "officer_as_stated"),
        "check_ms": 0,
    }
    return object_id


def _failed(arrivals: Arrivals, entry: Entry) -> str:
    file = _file_row(arrivals, entry, entry.record.block("source"), 0)
    reason = key_in(entry.record.payload, "reason")
    arrivals.files.append({**file, "state": "failed", "reason": reason})
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
            "sha256": _sha256(stored),
            "media_type": text_in(stored, "media_type") or "video/mp4",
        }
    )
    return parent


def _proxy_failed(_arrivals: Arrivals, entry: Entry) -> str:
    return _parent(entry)


def _other(_arrivals: Arrivals, entry: Entry) -> str:
    return key_in(object_in(entry.record.payload, "object"), "id")


_READERS: Final[Mapping[str, Callable[[Arrivals, Entry], str]]] = {
    "device.docked": _docked,
    "device.identified": _identified,
    "ingest.seen": _seen,
    "ingest.copied": _copied,
    "ingest.failed": _failed,
    "media.described": _described,
    "proxy.created": _proxy,
    "proxy.failed": _proxy_failed,
    "recorder.issued": _ledger,
    "recorder.returned": _ledger,
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
    """The number under which the station's register has it, which the ledger knows; else the serial it states."""
    return key_in(object_in(entry.record.payload, "camera"), "recorder") or _serial(entry)


def _serial(entry: Entry) -> str:
    return key_in(object_in(entry.record.payload, "camera"), "serial")


def _is_set_aside(entry: Entry) -> bool:
    identity = object_in(entry.record.payload, "identity")
    return (text_in(identity, "verdict"), text_in(identity, "handling")) == ("unregistered", "quarantine")


def _parent(entry: Entry) -> str:
    parents = list_in(entry.record.payload, "parents")
    return key_in(parents[0], "id") if parents else ""


def _sha256(stored: JsonObject) -> str:
    return text_in(object_in(stored, "digests"), "sha256")


def _size(stored: JsonObject) -> int:
    return integer_in(stored, "size") or 0


def _file_row(arrivals: Arrivals, entry: Entry, file: JsonValue, size: int) -> Row:
    """A file on a recorder; its identity is log, serial, exact path, modification time and size.

    The serial as stated, for whoever registers the recorder in between does not make it another file.
    """
    path, mtime_ms = text_in(file, "path"), integer_in(file, "mtime_ms")
    place = f"{arrivals.log}\n{_serial(entry)}\n{text_in(file, 'path_b64', len(path) * 8) or path}"
    return {
        "file_id": hashlib.sha256(f"{place}\n{mtime_ms}\n{size}".encode()).hexdigest(),
        "place_id": hashlib.sha256(place.encode()).hexdigest(),
        "log": arrivals.log,
        "recorder": _recorder(entry),
        "path": path[:MAX_PATH_CHARS],
        "size": size,
        "mtime_ms": mtime_ms or 0,
        "seen_ms": min(entry.record.utc_ms, arrivals.received_ms),
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
        uncertainty_ms += 0 if offset_ms is None else station_error_ms(clock, unmeasured_clock_ms)
    return {"start_ms": utc_ms, "end_ms": utc_ms + length_ms, "uncertainty_ms": max(0, uncertainty_ms)}


def station_error_ms(clock: JsonObject, unmeasured_clock_ms: int) -> int:
    """How far the clock may be off that a recorder's was held against; one that nobody disciplines is unmeasured too.

    Entries of before stations said so count it as right, as they always did.
    """
    if "station" not in clock:
        return 0
    known_ms = integer_in(object_in(clock, "station"), "uncertainty_ms")
    return unmeasured_clock_ms if known_ms is None else max(0, known_ms)


def _place(place: JsonObject) -> Row:
    lat, lon = integer_in(place, "lat_e7"), integer_in(place, "lon_e7")
    if lat is None or lon is None or abs(lat) > _MAX_LAT_E7 or abs(lon) > _MAX_LON_E7:
        return {"lat_e7": None, "lon_e7": None, "accuracy_m": 0}
    return {"lat_e7": lat, "lon_e7": lon, "accuracy_m": integer_in(place, "accuracy_m") or 0}

"""What the log says of each docking as a whole: whose footage, how much, how it was checked, and its receipt.

Folds of the journal like any other (``journal.remember``), kept apart because they only serve people who look: nothing
that is copied, sealed or sent depends on them. A journal of before has no rows for what it took in then; such a visit
says less, and nothing wrong.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from custody.canonical import JsonObject, JsonValue
from custody.chain import Entry

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS visits (
    docking TEXT PRIMARY KEY, offset_ms INTEGER, free_bytes INTEGER, mark TEXT NOT NULL DEFAULT '',
    failed INTEGER NOT NULL DEFAULT 0, erased_bytes INTEGER NOT NULL DEFAULT 0, seq INTEGER,
    leaf TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS erased (object_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS marks (bay INTEGER PRIMARY KEY, mark TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS issues (
    seq INTEGER PRIMARY KEY, recorder TEXT NOT NULL, officer TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER);
CREATE INDEX IF NOT EXISTS issues_by_recorder ON issues (recorder);
CREATE INDEX IF NOT EXISTS issues_by_officer ON issues (officer);
CREATE TABLE IF NOT EXISTS footage (
    object_id TEXT PRIMARY KEY, docking TEXT NOT NULL, officer TEXT NOT NULL, reread TEXT NOT NULL,
    size INTEGER NOT NULL, recording TEXT NOT NULL, part INTEGER NOT NULL, start_ms INTEGER, duration_ms INTEGER);
CREATE TABLE IF NOT EXISTS failures (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, bay INTEGER NOT NULL, serial TEXT NOT NULL, path TEXT NOT NULL,
    reason TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS footage_by_docking ON footage (docking);
CREATE INDEX IF NOT EXISTS footage_by_officer ON footage (officer);
"""
GAP_MS: Final = 2_000
"""Chapters of one recording further apart than this leave a gap: FAT writes times in steps of two seconds."""
MOST_SHOWN: Final = 500
"""Clips of one visit that are looked at for its gaps."""

Ask = Callable[..., list[tuple[Any, ...]]]
"""``Journal.ask``."""


@dataclass(frozen=True, slots=True)
class Footage:
    """One clip that a docking brought, as far as it is described yet."""

    officer: str
    reread: str
    size: int
    recording: str
    part: int
    start_ms: int | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One docking, from the log alone. ``seq`` and ``leaf`` are of its ``device.undocked``: the receipt's number."""

    docking: str
    device_key: str
    bay: int
    docked_ms: int
    undocked_ms: int | None
    reason: str
    offset_ms: int | None
    free_bytes: int | None
    """Room on the recorder: as it was at docking, and what was erased since."""
    mark: str
    failed: int
    seq: int | None
    leaf: str
    footage: tuple[Footage, ...] = ()

    @property
    def serial(self) -> str:
        """Serial number of the recorder."""
        return self.device_key.partition("/")[0]

    @property
    def officer(self) -> str:
        """Whose footage it is, when all of it that says so says the same."""
        named = {clip.officer for clip in self.footage if clip.officer}
        return named.pop() if len(named) == 1 else ""

    @property
    def duration_ms(self) -> int | None:
        """Length of what is described; None before anything is."""
        known = [clip.duration_ms for clip in self.footage if clip.duration_ms is not None]
        return sum(known) if known else None

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """From the first start to the last end that is known."""
        known = [(c.start_ms, c.start_ms + (c.duration_ms or 0)) for c in self.footage if c.start_ms is not None]
        return (min(start for start, _ in known), max(end for _, end in known)) if known else None

    @property
    def level(self) -> str:
        """The weakest way in which a clip of it was read back (``custody.record.REREAD``); empty without clips."""
        found = {clip.reread for clip in self.footage}
        return next((word for word in ("none", "cached", "uncached") if word in found), "")

    @property
    def gaps_ms(self) -> list[tuple[int, int]]:
        """Holes between the chapters of one recording; what lies between two recordings is no gap."""
        known = [(c.recording, c.part, c.start_ms, c.duration_ms) for c in self.footage if c.recording]
        spans = sorted((key, part, start, start + length) for key, part, start, length in known if start and length)
        return [
            (end, start)
            for (key, _, _, end), (next_key, _, start, _) in pairwise(spans)
            if key == next_key and start - end > GAP_MS
        ]


def visit_in(ask: Ask, bay: int) -> Visit | None:
    """The docking that goes on in a bay."""
    return _first(ask, "bay = ? AND undocked_ms IS NULL ORDER BY d.rowid DESC LIMIT 1", bay)


def removed_since(ask: Ask, since_ms: int) -> list[Visit]:
    """Dockings that ended in order after ``since_ms``, oldest first."""
    return _visits(ask, "undocked_ms > ? AND d.reason = 'removed' AND bay > 0 ORDER BY undocked_ms", since_ms)


def last_of_officer(ask: Ask, officer: str, most: int) -> list[Visit]:
    """The newest dockings of an officer, newest first: whose footage says so, or who held the recorder at the time.

    Recorders state the last digits of a number at best, so a stated end of at least six counts.
    """
    return _visits(
        ask,
        "d.record_id IN (SELECT docking FROM footage WHERE officer = ?1 OR length(officer) > 5"
        " AND substr(?1, -length(officer)) = officer) OR EXISTS (SELECT 1 FROM issues i WHERE i.officer = ?1"
        " AND substr(device_key, 1, length(recorder) + 1) = recorder || '/' AND docked_ms >= start_ms"
        " AND docked_ms <= coalesce(end_ms, docked_ms)) ORDER BY d.rowid DESC LIMIT ?2",
        officer,
        most,
    )


def last_of_recorder(ask: Ask, recorder: str) -> Visit | None:
    """The newest docking of a recorder, of whichever of its volumes."""
    return _first(ask, f"{_OF_RECORDER} ORDER BY d.rowid DESC LIMIT 1", *_named(recorder))


def open_of_recorder(ask: Ask, recorder: str, settled: Collection[str]) -> int:
    """Files of a recorder that are not taken in, or not receipted; those that failed for a ``settled`` reason aside."""
    rows = ask(
        f"SELECT state, reason FROM clips WHERE {_OF_RECORDER} AND (state <> 'sealed' OR receipt IS NULL)",  # noqa: S608  # a constant of this module
        *_named(recorder),
    )
    return sum(state != "failed" or reason not in settled for state, reason in rows)


def not_erased(ask: Ask, object_ids: Iterable[str]) -> int:
    """How many of these files of a recorder were not erased from it."""
    return sum(not ask("SELECT 1 FROM erased WHERE object_id = ?", object_id) for object_id in object_ids)


def held_by(ask: Ask, officer: str) -> list[str]:
    """Recorders that an officer holds by the ledger of this station."""
    rows = ask("SELECT recorder FROM issues WHERE officer = ? AND end_ms IS NULL ORDER BY seq", officer)
    return [str(recorder) for (recorder,) in rows]


def holder_of(ask: Ask, recorder: str) -> str:
    """Who holds a recorder by the ledger of this station; empty when nobody does."""
    rows = ask("SELECT officer FROM issues WHERE recorder = ? AND end_ms IS NULL ORDER BY seq DESC LIMIT 1", recorder)
    return str(rows[0][0]) if rows else ""


def mark_waiting(ask: Ask, bay: int) -> str:
    """What was said of the next docking in a bay."""
    rows = ask("SELECT mark FROM marks WHERE bay = ?", bay)
    return str(rows[0][0]) if rows else ""


def dockings_since(ask: Ask, since_ms: int) -> int:
    """How many recorders were put into a bay since then."""
    return int(ask("SELECT count(*) FROM dockings WHERE docked_ms >= ? AND bay > 0", since_ms)[0][0])


@dataclass(frozen=True, slots=True)
class Failure:
    """One ``ingest.failed`` of the log."""

    seq: int
    at_ms: int
    bay: int
    serial: str
    path: str
    reason: str


def last_failures(ask: Ask, most: int) -> list[Failure]:
    """The newest failures, newest first."""
    return [Failure(*row) for row in ask("SELECT * FROM failures ORDER BY seq DESC LIMIT ?", most)]


def set_aside(ask: Ask) -> dict[str, int]:
    """Files that were seen and could not be taken in, by reason; they are on their recorders, and in the log."""
    return {str(r): int(n) for r, n in ask("SELECT reason, count(*) FROM clips WHERE state = 'failed' GROUP BY reason")}


_OF_RECORDER: Final = "substr(device_key, 1, length(?)) = ? AND ? <> '/'"
"""All volumes of one serial number: ``DeviceIdentity.key`` begins with it. An empty serial names nothing."""


def _named(recorder: str) -> tuple[str, str, str]:
    return (f"{recorder}/",) * 3


_VISIT: Final = (
    "SELECT d.record_id, device_key, bay, docked_ms, undocked_ms, d.reason, offset_ms, free_bytes + erased_bytes,"
    " coalesce(mark, ''), coalesce(failed, 0), seq, coalesce(leaf, '')"
    " FROM dockings d LEFT JOIN visits v ON v.docking = d.record_id WHERE "
)
_FOOTAGE: Final = (
    "SELECT officer, reread, size, recording, part, start_ms, duration_ms FROM footage WHERE docking = ? LIMIT ?"
)


def _first(ask: Ask, where: str, *values: object) -> Visit | None:
    return next(iter(_visits(ask, where, *values)), None)


def _visits(ask: Ask, where: str, *values: object) -> list[Visit]:
    return [replace(Visit(*row), footage=_footage(ask, str(row[0]))) for row in ask(_VISIT + where, *values)]


def _footage(ask: Ask, docking: str) -> tuple[Footage, ...]:
    return tuple(Footage(*row) for row in ask(_FOOTAGE, docking, MOST_SHOWN))


def _docked(db: sqlite3.Connection, entry: Entry) -> None:
    """The mark that an officer left for this bay goes to the first docking that comes."""
    clock, bay = entry.record.payload.get("clock"), _number(entry.record.block("camera").get("bay")) or 0
    offset = clock.get("offset_ms") if isinstance(clock, Mapping) else None
    free = entry.record.block("volume").get("free_bytes")
    db.execute(
        "INSERT OR REPLACE INTO visits (docking, offset_ms, free_bytes, mark)"
        " VALUES (?, ?, ?, coalesce((SELECT mark FROM marks WHERE bay = ?), ''))",
        (entry.record.record_id, _number(offset), _number(free), bay),
    )
    db.execute("DELETE FROM marks WHERE bay = ?", (bay,))


def _undocked(db: sqlite3.Connection, entry: Entry) -> None:
    docking = _docking(db, entry.record.block("camera"), entry.record.payload.get("volume_uuid"))
    db.execute("UPDATE visits SET seq = ?, leaf = ? WHERE docking = ?", (entry.seq, entry.leaf.hex(), docking))


def _copied(db: sqlite3.Connection, entry: Entry) -> None:
    record = entry.record
    camera, stored, placed = record.block("camera"), record.block("object"), record.payload.get("recording")
    place: JsonObject = placed if isinstance(placed, Mapping) and placed.get("role") == "clip" else {}
    db.execute(
        "INSERT OR REPLACE INTO footage VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
        (
            stored["id"],
            _docking(db, camera, record.block("source").get("volume_uuid")),
            str(camera.get("officer_as_stated", "")),
            record.block("copy")["reread"],
            stored["size"],
            str(place.get("key", "")),
            _number(place.get("part")) or 0,
        ),
    )


def _failed(db: sqlite3.Connection, entry: Entry) -> None:
    camera, source = entry.record.block("camera"), entry.record.block("source")
    docking = _docking(db, camera, source.get("volume_uuid"))
    db.execute("UPDATE visits SET failed = failed + 1 WHERE docking = ?", (docking,))
    place = _number(camera.get("bay")) or 0, str(camera.get("serial", "")), str(source["path"])
    reason = str(entry.record.payload["reason"])
    db.execute(
        "INSERT OR IGNORE INTO failures VALUES (?, ?, ?, ?, ?, ?)", (entry.seq, entry.record.utc_ms, *place, reason)
    )


def _described(db: sqlite3.Connection, entry: Entry) -> None:
    media = entry.record.block("media")
    if media.get("kind") not in {"video", "audio"}:
        return
    start = media.get("start")
    start_ms = start.get("utc_ms") if isinstance(start, Mapping) else None
    db.execute(
        "UPDATE footage SET start_ms = ?, duration_ms = ? WHERE object_id = ?",
        (_number(start_ms), _number(media.get("duration_ms")), entry.record.block("object")["id"]),
    )


def _erased(db: sqlite3.Connection, entry: Entry) -> None:
    camera, objects = entry.record.block("camera"), entry.record.payload["objects"]
    here = camera.get("bay", 0), *_named(str(camera.get("serial", "")))
    for one in objects if isinstance(objects, list) else []:
        if isinstance(one, Mapping):
            db.execute("INSERT OR IGNORE INTO erased VALUES (?)", (str(one.get("id")),))
            db.execute(_MORE_ROOM, (_number(one.get("size")) or 0, *here))


_MORE_ROOM: Final = (
    "UPDATE visits SET erased_bytes = erased_bytes + ? WHERE docking = (SELECT record_id FROM dockings"  # noqa: S608  # a constant of this module
    f" WHERE bay = ? AND {_OF_RECORDER} AND undocked_ms IS NULL ORDER BY rowid DESC LIMIT 1)"
)


def _marked(db: sqlite3.Connection, entry: Entry) -> None:
    marking = entry.record.block("marking")
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (_number(marking.get("bay")), str(marking.get("mark"))))


def _issued(db: sqlite3.Connection, entry: Entry) -> None:
    recorder, officer = str(entry.record.block("camera").get("serial")), entry.record.block("issue")["officer"]
    db.execute(
        "INSERT OR REPLACE INTO issues VALUES (?, ?, ?, ?, NULL)", (entry.seq, recorder, officer, entry.record.utc_ms)
    )


def _returned(db: sqlite3.Connection, entry: Entry) -> None:
    db.execute(
        "UPDATE issues SET end_ms = ? WHERE recorder = ? AND end_ms IS NULL",
        (entry.record.utc_ms, str(entry.record.block("camera").get("serial"))),
    )


Fold = Callable[[sqlite3.Connection, Entry], None]
FOLDS: Final[Mapping[str, Fold]] = {
    "camera.erased": _erased,
    "device.docked": _docked,
    "device.undocked": _undocked,
    "docking.marked": _marked,
    "ingest.copied": _copied,
    "ingest.failed": _failed,
    "media.described": _described,
    "recorder.issued": _issued,
    "recorder.returned": _returned,
}
"""What each event means for visits; run after the journal's own fold, in the same transaction."""


def _docking(db: sqlite3.Connection, camera: JsonObject, volume_uuid: JsonValue) -> str:
    """The newest docking of this recorder in this bay; empty for what was handed in without one."""
    key = f"{camera.get('serial', '')}/{volume_uuid or ''}"
    row = db.execute(
        "SELECT record_id FROM dockings WHERE device_key = ? AND bay = ? ORDER BY rowid DESC LIMIT 1",
        (key, camera.get("bay", 0)),
    ).fetchone()
    return str(row[0]) if row else ""


def _number(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

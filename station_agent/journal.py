"""Memory of progress: which clip stands where, what is still to be done, what the centre has not answered.

The station log is the truth; this SQLite file (WAL, ``synchronous=FULL``) can be rebuilt from it. Every log entry
enters through ``remember``, live and at replay alike, in one transaction with its outbox row. Only the states
``copying`` and ``copied``, which no entry speaks of yet, are written directly.

A file of a recorder is known by (recorder, path, size, modification time in ms): all of these stand in the log. Where
other content was found under the same four, it is another edition of the file, a clip of its own.
"""

import base64
import binascii
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from custody.canonical import JsonObject, JsonValue, canonical_bytes
from custody.chain import Entry
from custody.record import Record
from station_agent import visits
from station_agent.errors import JournalError
from station_agent.model import SourceFile
from station_agent.states import ClipState, clip_after

DESCRIBE: Final = "describe"
TRANSCODE: Final = "transcode"
UPLOAD: Final = "upload"
STORED_BY: Final = frozenset({"ingest.copied", "proxy.created"})
"""Events whose object is to be in the evidence store."""
_VERSION: Final = 2
_BUSY_S: Final = 30.0
"""How long to wait for another process's lock; ``status`` only ever reads for milliseconds."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE dockings (
    record_id TEXT PRIMARY KEY, device_key TEXT NOT NULL, bay INTEGER NOT NULL,
    docked_ms INTEGER NOT NULL, undocked_ms INTEGER, reason TEXT NOT NULL DEFAULT '');
CREATE TABLE clips (
    object_id TEXT PRIMARY KEY, device_key TEXT NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL,
    mtime_ms INTEGER NOT NULL, state TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT '',
    body BLOB NOT NULL DEFAULT x'', seq INTEGER, reason TEXT NOT NULL DEFAULT '', receipt BLOB,
    edition INTEGER NOT NULL DEFAULT 1,
    UNIQUE (device_key, path, size, mtime_ms, edition));
CREATE INDEX clips_by_state ON clips (state);
CREATE TABLE jobs (
    kind TEXT NOT NULL, object_id TEXT NOT NULL, due_ms INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', body BLOB NOT NULL, PRIMARY KEY (kind, object_id));
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, object_id TEXT, data BLOB NOT NULL, due_ms INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX outbox_by_object ON outbox (object_id);
"""
_LATER_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS erasing (object_id TEXT PRIMARY KEY, device_key TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS urgent (object_id TEXT PRIMARY KEY);
"""
"""Joined the schema later, changing nothing of it: a journal of before goes on."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One file of a recorder as the journal remembers it. ``name`` is its store name, empty until reserved."""

    object_id: str
    device_key: str
    file: SourceFile
    state: ClipState
    name: str = ""
    sha256: str = ""
    body: bytes = b""
    """Body of the ``ingest.copied`` entry to come, canonical; set with the digest."""
    seq: int | None = None
    reason: str = ""
    edition: int = 1
    """1 for the first content found under this name, size and time; counted up for each other one."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do for a sealed object: ``describe``, ``transcode`` or ``upload``. ``record`` asked for it."""

    kind: str
    object_id: str
    attempts: int
    reason: str
    record: JsonObject


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much is still to be done."""

    describe: int
    transcode: int
    upload: int
    receipts: int
    outbox: int
    unfinished: int

    def block(self) -> dict[str, int]:
        """As the status shows it."""
        return {
            "describe": self.describe,
            "transcode": self.transcode,
            "upload": self.upload,
            "receipts": self.receipts,
            "outbox": self.outbox,
        }


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a journal knows of its log, for those who check it."""

    applied: int = 0
    last_leaf: str = ""
    cosigned: bytes = b""
    """The newest checkpoint with the witness's signature; empty before the first."""
    unfinished: frozenset[str] = frozenset()
    """Store names of copies that are being made and have no entry yet."""
    deriving: frozenset[str] = frozenset()
    """Object ids whose proxy is being made."""
    alarm: str = ""
    """``finding: reason`` of an answer of the centre's that speaks against the log; empty when none does."""


def remembered(path: Path) -> Remembered:
    """Read a journal that may be in use, changing nothing; empty when there is none. Raises ``JournalError``."""
    if not path.is_file():
        return Remembered()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
            db.execute("BEGIN")
            facts = {str(key): str(value) for key, value in db.execute("SELECT key, value FROM meta")}
            names = db.execute("SELECT name FROM clips WHERE state IN ('copying', 'copied')").fetchall()
            parents = db.execute("SELECT object_id FROM jobs WHERE kind = ?", (TRANSCODE,)).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    return Remembered(
        int(facts.get("applied", "0")),
        facts.get("last_leaf", ""),
        facts.get("cosigned", "").encode(),
        frozenset(str(name) for (name,) in names),
        frozenset(str(parent) for (parent,) in parents),
        facts.get("alarm", ""),
    )


class Journal:
    """The journal of one station. Safe for use by several threads. Raises ``JournalError`` throughout."""

    def __init__(self, path: Path, origin: str, new_id: Callable[[], str]) -> None:
        """Open or create; ``new_id`` gives object ids (UUIDv7). Refuses the journal of another log."""
        self._path = path
        self._new_id = new_id
        self._lock = threading.RLock()
        with self._translated():
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._prepare(origin)

    def close(self) -> None:
        """Close the file; the journal is of no use afterwards."""
        with self._lock, self._translated():
            self._db.close()

    @property
    def applied(self) -> int:
        """Number of log entries this journal knows."""
        return int(self.fact("applied") or 0)

    @property
    def last_leaf(self) -> str:
        """Hex leaf hash of the last known entry; empty before the first."""
        return self.fact("last_leaf")

    def fact(self, key: str) -> str:
        """A small remembered text, or an empty string."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else ""

    def set_fact(self, key: str, value: str) -> None:
        """Remember a small text."""
        with self._transaction() as db:
            _set_fact(db, key, value)

    def remember(self, entries: Sequence[Entry]) -> None:
        """Take in log entries, in order and all or none: what they say, their outbox rows, the jobs they ask for.

        Entries already known are passed over; a gap raises.
        """
        with self._transaction() as db:
            known = int(self.fact("applied") or 0)
            for entry in entries:
                if entry.seq > known:
                    raise JournalError(f"{self._path}: entry {entry.seq} comes before entry {known}")
                if entry.seq == known:
                    self._apply(db, entry)
                    known += 1
            _set_fact(db, "applied", str(known))

    def clips(self, device_key: str) -> dict[tuple[bytes, int, int], Clip]:
        """All remembered files of a recorder by (path, size, mtime_ms); of several editions the newest."""
        rows = self._rows(f"{_CLIP} WHERE device_key = ? ORDER BY edition", device_key)
        return {_identity(clip.file): clip for clip in map(_clip, rows)}

    def digests(self, clip: Clip) -> frozenset[str]:
        """SHA-256 of every sealed edition of a file."""
        rows = self._rows(
            "SELECT sha256 FROM clips WHERE state = 'sealed'"
            " AND device_key = ? AND path = ? AND size = ? AND mtime_ms = ?",
            clip.device_key,
            *_identity(clip.file),
        )
        return frozenset(str(sha256) for (sha256,) in rows)

    def clip(self, object_id: str) -> Clip:
        """One clip by its object id."""
        rows = self._rows(f"{_CLIP} WHERE object_id = ?", object_id)
        if not rows:
            raise JournalError(f"{self._path}: no clip {object_id}")
        return _clip(rows[0])

    def in_state(self, *states: ClipState) -> list[Clip]:
        """Clips in any of these states, in order of their ids."""
        marks = ", ".join("?" * len(states))
        return [_clip(row) for row in self._rows(f"{_CLIP} WHERE state IN ({marks}) ORDER BY object_id", *states)]

    def reserve(self, named: Sequence[tuple[Clip, str]]) -> list[Clip]:
        """Begin to copy: each object keeps its id and store name over any number of restarts. All or none."""
        kept = [replace(clip, name=clip.name or name) for clip, name in named]
        return self._move("reserve", kept)

    def copied(self, proved: Sequence[tuple[Clip, str, JsonObject]]) -> list[Clip]:
        """These copies were read back equal: their SHA-256, and what each log entry will say. All or none."""
        kept = [replace(clip, sha256=sha256, body=canonical_bytes(body)) for clip, sha256, body in proved]
        return self._move("copied", kept)

    def discard(self, clip: Clip) -> None:
        """What was copied is not there any more: copy again under the same object id."""
        self._move("discard", [replace(clip, sha256="", body=b"")])

    def urge(self, object_id: str) -> None:
        """The work for this object goes before other work. A lost journal forgets it, and nothing but the order."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO urgent VALUES (?)", (object_id,))

    def is_urgent(self, object_id: str) -> bool:
        """Whether work for this object goes before other work."""
        return bool(self._rows("SELECT 1 FROM urgent WHERE object_id = ?", object_id))

    def due_job(self, kind: str, now_ms: int, longest_ms: int, *, urgent_only: bool = False) -> Job | None:
        """The job of a kind that has waited longest for its turn, or None; urgent ones first, or alone.

        No wait is longer than ``longest_ms``: a job due later than that was put off before the clock was set back, and
        is due now.
        """
        rows = self._rows(
            "SELECT kind, jobs.object_id, attempts, reason, body FROM jobs LEFT JOIN urgent USING (object_id)"
            " WHERE kind = ? AND due_ms NOT BETWEEN ? AND ? AND (urgent.object_id IS NOT NULL OR NOT ?)"
            " ORDER BY urgent.object_id IS NULL, due_ms, jobs.object_id LIMIT 1",
            kind,
            now_ms + 1,
            now_ms + longest_ms,
            urgent_only,
        )
        return _job(rows[0]) if rows else None

    def troubled_jobs(self) -> list[Job]:
        """Jobs that failed at least once and are still to be done."""
        rows = self._rows("SELECT kind, object_id, attempts, reason, body FROM jobs WHERE attempts > 0")
        return [_job(row) for row in rows]

    def failing(self) -> dict[str, int]:
        """How many jobs of each kind failed at least once and are still to be done."""
        rows = self._rows("SELECT kind, count(*) FROM jobs WHERE attempts > 0 GROUP BY kind")
        return {DESCRIBE: 0, TRANSCODE: 0, UPLOAD: 0, **{str(kind): int(count) for kind, count in rows}}

    def postpone(self, job: Job, due_ms: int, reason: str) -> None:
        """The job failed; try again at ``due_ms``."""
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET due_ms = ?, attempts = attempts + 1, reason = ? WHERE kind = ? AND object_id = ?",
                (due_ms, reason, job.kind, job.object_id),
            )

    def finish(self, job: Job) -> None:
        """The job is done."""
        with self._transaction() as db:
            _finish(db, job.kind, job.object_id)

    def due_entries(self, now_ms: int, limit: int, longest_ms: int) -> list[tuple[int, bytes]]:
        """Entries to be sent now with their sequence numbers, in log order; ``longest_ms`` as in ``due_job``."""
        rows = self._rows(
            "SELECT seq, data FROM outbox WHERE due_ms NOT BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            now_ms + 1,
            now_ms + longest_ms,
            limit,
        )
        return [(int(seq), bytes(data)) for seq, data in rows]

    def sent(self, seqs: Sequence[int], now_ms: int, pause_ms: int, most: int) -> None:
        """These were sent; without an answer they are due again after ``pause_ms``, up to ``most`` times it."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE outbox SET due_ms = ? + ? * min(?, 1 << min(attempts, 20)), attempts = attempts + 1"
                " WHERE seq = ?",
                [(now_ms, pause_ms, most, seq) for seq in seqs],
            )

    def hasten(self, object_id: str, due_ms: int) -> None:
        """The centre can now read this object: its row is due at ``due_ms`` at the latest."""
        with self._transaction() as db:
            db.execute("UPDATE outbox SET due_ms = min(due_ms, ?) WHERE object_id = ?", (due_ms, object_id))

    def cosigned(self, note: bytes, size: int, signed_s: int) -> None:
        """The newest checkpoint that the centre's witness signed, and when, in seconds."""
        with self._transaction() as db:
            _set_fact(db, "cosigned", note.decode())
            _set_fact(db, "cosigned_size", str(size))
            _set_fact(db, "cosigned_s", str(signed_s))

    def alarm(self, sentence: str) -> None:
        """Something a person must look into (``finding: reason``), until it is taken back with an empty sentence."""
        if sentence != self.fact("alarm"):
            self.set_fact("alarm", sentence)

    def settle(self, cosigned_size: int) -> None:
        """The centre cosigned so many entries: all but clips that wait for their receipt leave the outbox."""
        with self._transaction() as db:
            db.execute("DELETE FROM outbox WHERE object_id IS NULL AND seq < ?", (cosigned_size,))

    def rewind(self, entries: Sequence[Entry]) -> None:
        """The centre lacks these entries of the log: send them again, at once.

        It may have lost the files with them, so those are offered to the store again; one that has them keeps them.
        """
        with self._transaction() as db:
            for entry in entries:
                _post(db, entry)
                if entry.record.event in STORED_BY:
                    _ask(db, str(entry.record.block("object")["id"]), entry.record, UPLOAD)
            if entries:
                db.execute("UPDATE outbox SET due_ms = 0 WHERE seq >= ?", (entries[0].seq,))

    def first_waiting(self) -> int | None:
        """The lowest sequence number in the outbox, or None when it is empty."""
        return self._rows("SELECT min(seq) FROM outbox")[0][0]  # type: ignore[no-any-return]  # SQLite's integer or null

    def receipted(self, object_id: str, receipt: bytes) -> None:
        """A valid receipt for this clip is in hand: keep it, and let the clip leave the outbox."""
        with self._transaction() as db:
            db.execute("UPDATE clips SET receipt = ? WHERE object_id = ?", (receipt, object_id))
            db.execute("DELETE FROM outbox WHERE object_id = ?", (object_id,))

    def receipt(self, object_id: str) -> bytes | None:
        """The receipt kept for a clip, or None."""
        rows = self._rows("SELECT receipt FROM clips WHERE object_id = ? AND receipt IS NOT NULL", object_id)
        return bytes(rows[0][0]) if rows else None

    def intend_erasure(self, device_key: str, bodies: Mapping[str, JsonObject]) -> None:
        """These objects (id → what must be known later) are about to be erased from a recorder. Before the act."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO erasing VALUES (?, ?, ?)",
                [(object_id, device_key, canonical_bytes(body)) for object_id, body in bodies.items()],
            )

    def intended_erasure(self, device_key: str) -> dict[str, JsonObject]:
        """What was about to be erased from a recorder and is not settled yet; ``camera.erased`` settles it."""
        rows = self._rows("SELECT object_id, body FROM erasing WHERE device_key = ? ORDER BY object_id", device_key)
        return {str(object_id): json.loads(body) for object_id, body in rows}

    def forgo_erasure(self, device_key: str) -> None:
        """What of it is still on the recorder stays there."""
        with self._transaction() as db:
            db.execute("DELETE FROM erasing WHERE device_key = ?", (device_key,))

    def knows(self, object_id: str) -> bool:
        """Whether this is a clip of ours; derived objects are none."""
        return bool(self._rows("SELECT 1 FROM clips WHERE object_id = ?", object_id))

    def open_for(self, device_key: str) -> int:
        """Sealed clips of a recorder that are not uploaded or lack their receipt."""
        rows = self._rows(
            "SELECT count(*) FROM clips c WHERE device_key = ? AND state = 'sealed' AND (receipt IS NULL OR EXISTS"
            " (SELECT 1 FROM jobs j WHERE j.object_id = c.object_id AND j.kind = 'upload'))",
            device_key,
        )
        return int(rows[0][0])

    def waiting(self) -> Waiting:
        """How much is still to be done."""
        jobs = {str(kind): int(n) for kind, n in self._rows("SELECT kind, count(*) FROM jobs GROUP BY kind")}
        receipts = self._rows("SELECT count(*) FROM outbox WHERE object_id IS NOT NULL")
        outbox = self._rows("SELECT count(*) FROM outbox")
        unfinished = self._rows("SELECT count(*) FROM clips WHERE state IN ('seen', 'copying', 'copied')")
        return Waiting(
            jobs.get(DESCRIBE, 0),
            jobs.get(TRANSCODE, 0),
            jobs.get(UPLOAD, 0),
            int(receipts[0][0]),
            int(outbox[0][0]),
            int(unfinished[0][0]),
        )

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows for those who only look (``station_agent.visits``)."""
        return self._rows(query, *values)

    def _prepare(self, origin: str) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            self.set_fact("origin", origin)
        elif version != _VERSION:
            raise JournalError(f"{self._path}: version {version} of the journal; this program reads {_VERSION}")
        self._db.executescript(_LATER_SCHEMA + visits.SCHEMA)
        if self.fact("origin") not in ("", origin):
            raise JournalError(f"{self._path}: belongs to {self.fact('origin')}, not to {origin}")

    def _apply(self, db: sqlite3.Connection, entry: Entry) -> None:
        fold = _FOLDS.get(entry.record.event)
        if fold is not None:
            fold(db, entry, self._new_id)
        if (told := visits.FOLDS.get(entry.record.event)) is not None:
            told(db, entry)
        _post(db, entry)
        _set_fact(db, "last_leaf", entry.leaf.hex())

    def _move(self, event: str, clips: Sequence[Clip]) -> list[Clip]:
        """One transition of each clip; the state in the file must still be the one it was read with."""
        moved = [(clip, replace(clip, state=clip_after(clip.state, event))) for clip in clips]
        with self._transaction() as db:
            for before, after in moved:
                done = db.execute(
                    "UPDATE clips SET state = ?, name = ?, sha256 = ?, body = ? WHERE object_id = ? AND state = ?",
                    (after.state, after.name, after.sha256, after.body, before.object_id, before.state),
                )
                if done.rowcount != 1:
                    raise JournalError(f"{self._path}: clip {before.object_id} is not {before.state} any more")
        return [after for _, after in moved]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._translated():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from error


def source_path(source: Mapping[str, JsonValue]) -> bytes:
    """The exact path bytes of a ``source`` or ``files`` item of a record."""
    exact = source.get("path_b64")
    if not isinstance(exact, str):
        return str(source.get("path", "")).encode()
    try:
        return base64.b64decode(exact, validate=True)
    except (ValueError, binascii.Error) as error:
        raise JournalError(f"path_b64 {exact[:40]!r} in a record is not base64") from error


_CLIP: Final = (
    "SELECT object_id, device_key, path, size, mtime_ms, state, name, sha256, body, seq, reason, edition FROM clips"
)


def _clip(row: Sequence[Any]) -> Clip:
    object_id, device_key, path, size, mtime_ms, state, name, sha256, body, seq, reason, edition = row
    return Clip(
        object_id=str(object_id),
        device_key=str(device_key),
        file=SourceFile(bytes(path), int(size), int(mtime_ms) * 1_000_000),
        state=ClipState(str(state)),
        name=str(name),
        sha256=str(sha256),
        body=bytes(body),
        seq=seq,
        reason=str(reason),
        edition=int(edition),
    )


def _job(row: Sequence[Any]) -> Job:
    kind, object_id, attempts, reason, body = row
    return Job(str(kind), str(object_id), int(attempts), str(reason), json.loads(body))


def _identity(file: SourceFile) -> tuple[bytes, int, int]:
    return file.path, file.size, file.mtime_ms


def _set_fact(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))


def _post(db: sqlite3.Connection, entry: Entry) -> None:
    object_id = str(entry.record.block("object")["id"]) if entry.record.event == "ingest.copied" else None
    db.execute(
        "INSERT OR IGNORE INTO outbox (seq, object_id, data) VALUES (?, ?, ?)", (entry.seq, object_id, entry.data)
    )


def _finish(db: sqlite3.Connection, kind: str, object_id: str) -> None:
    db.execute("DELETE FROM jobs WHERE kind = ? AND object_id = ?", (kind, object_id))


def _ask(db: sqlite3.Connection, object_id: str, record: Record, *kinds: str) -> None:
    body = canonical_bytes(record.payload)
    db.executemany(
        "INSERT OR IGNORE INTO jobs (kind, object_id, body) VALUES (?, ?, ?)",
        [(kind, object_id, body) for kind in kinds],
    )


Fold = Callable[[sqlite3.Connection, Entry, Callable[[], str]], None]


def _docked(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    del new_id
    camera, volume = entry.record.block("camera"), entry.record.block("volume")
    db.execute(
        "INSERT INTO dockings (record_id, device_key, bay, docked_ms) VALUES (?, ?, ?, ?)",
        (entry.record.record_id, _key(camera, volume.get("uuid")), camera.get("bay", 0), entry.record.utc_ms),
    )


def _undocked(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    del new_id
    camera = entry.record.block("camera")
    db.execute(
        "UPDATE dockings SET undocked_ms = ?, reason = ? WHERE undocked_ms IS NULL AND bay = ? AND device_key = ?",
        (
            entry.record.utc_ms,
            str(entry.record.payload.get("reason")),
            camera.get("bay", 0),
            _key(camera, entry.record.payload.get("volume_uuid")),
        ),
    )


def _seen(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    key = _key(entry.record.block("camera"), entry.record.payload.get("volume_uuid"))
    files = entry.record.payload.get("files")
    for item in files if isinstance(files, list) else []:
        _insert(db, new_id(), key, item)


def _sealed(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    del new_id
    stored, source = entry.record.block("object"), entry.record.block("source")
    key, object_id = _key(entry.record.block("camera"), source.get("volume_uuid")), str(stored["id"])
    digests = stored["digests"]
    sha256 = str(digests["sha256"]) if isinstance(digests, Mapping) else ""
    state = _state(db, "object_id = ?", object_id)
    if state is None:
        # The journal was lost: what it knew of this file is in the entry.
        db.execute(
            f"DELETE FROM clips WHERE {_AT_PLACE}",  # noqa: S608  # a constant of this module
            _place(key, source),
        )
        _insert(db, object_id, key, source)
    else:
        clip_after(state, "seal")
    db.execute(
        "UPDATE clips SET state = 'sealed', seq = ?, name = ?, sha256 = ?, body = x'', reason = '' WHERE object_id = ?",
        (entry.seq, stored["name"], sha256, object_id),
    )
    _ask(db, object_id, entry.record, DESCRIBE, UPLOAD)


def _failed(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    source = entry.record.block("source")
    key = _key(entry.record.block("camera"), source.get("volume_uuid"))
    if "size" not in source:
        return  # The whole volume failed; there is no clip to remember.
    state = _state(db, _AT_PLACE, *_place(key, source))
    if state is None:
        _insert(db, new_id(), key, source)
    elif state is not ClipState.SEALED:
        clip_after(state, "fail")
    db.execute(
        f"UPDATE clips SET state = 'failed', reason = ?, sha256 = '', body = x'' WHERE {_AT_PLACE}"  # noqa: S608  # a constant of this module
        " AND state <> 'sealed'",
        (str(entry.record.payload.get("reason")), *_place(key, source)),
    )


def _described(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    del new_id
    object_id = str(entry.record.block("object")["id"])
    _finish(db, DESCRIBE, object_id)
    if entry.record.block("media").get("kind") in {"video", "audio"}:
        _ask(db, object_id, entry.record, TRANSCODE)


def _derived(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    del new_id
    for parent in _parents(entry.record):
        _finish(db, TRANSCODE, parent)
    if entry.record.event == "proxy.created":
        _ask(db, str(entry.record.block("object")["id"]), entry.record, UPLOAD)


def _erased(db: sqlite3.Connection, entry: Entry, new_id: Callable[[], str]) -> None:
    del new_id
    objects = entry.record.payload.get("objects")
    for one in objects if isinstance(objects, list) else []:
        if isinstance(one, Mapping):
            db.execute("DELETE FROM erasing WHERE object_id = ?", (str(one.get("id")),))


_FOLDS: Final[Mapping[str, Fold]] = {
    "camera.erased": _erased,
    "device.docked": _docked,
    "device.undocked": _undocked,
    "ingest.seen": _seen,
    "ingest.copied": _sealed,
    "ingest.failed": _failed,
    "media.described": _described,
    "proxy.created": _derived,
    "proxy.failed": _derived,
}
"""What each event means for the journal; events not named here only enter the outbox."""


def _key(camera: JsonObject, volume_uuid: JsonValue) -> str:
    """``DeviceIdentity.key`` from what a record says."""
    return f"{camera.get('serial', '')}/{volume_uuid or ''}"


_AT_PLACE: Final = "device_key = ? AND path = ? AND size = ? AND mtime_ms = ? AND edition = ?"


def _place(key: str, source: Mapping[str, JsonValue]) -> tuple[str, bytes, int, int, int]:
    size, mtime_ms = int(str(source.get("size", 0))), int(str(source.get("mtime_ms", 0)))
    return key, source_path(source), size, mtime_ms, int(str(source.get("edition", 1)))


def _insert(db: sqlite3.Connection, object_id: str, key: str, item: JsonValue) -> None:
    if not isinstance(item, Mapping):
        raise JournalError("a file in a record is no object")
    db.execute(
        "INSERT OR IGNORE INTO clips (object_id, device_key, path, size, mtime_ms, edition, state)"
        " VALUES (?, ?, ?, ?, ?, ?, 'seen')",
        (object_id, *_place(key, item)),
    )


def _state(db: sqlite3.Connection, where: str, *values: object) -> ClipState | None:
    row = db.execute(f"SELECT state FROM clips WHERE {where}", values).fetchone()  # noqa: S608  # constants of this module
    return ClipState(row[0]) if row else None


def _parents(record: Record) -> list[str]:
    parents = record.payload.get("parents")
    items = parents if isinstance(parents, list) else []
    return [str(item.get("id")) for item in items if isinstance(item, Mapping)]

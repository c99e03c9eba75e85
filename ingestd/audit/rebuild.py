"""The database made again from the logs: to compare it with the one that serves, or to have it back when it was lost.

Rows are made by the code that brings a centre up to its logs at every start (``ingestd.pipeline.Unit``). What is
replayed is the centre log; the station entries that it names come from the mirrors, imports from ``imports``.
Suggestions and coverage are in no log: they are decided again from the finished tables.
"""

import base64
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, Engine, Table, delete, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from custody.chain import EMPTY_TREE
from custody.log import CHECKPOINT, SECOND_CHECKPOINT, SNAPSHOT, LogFiles
from custody.verdicts import Finding, Outcome, Verdict, outcome
from ingestd.errors import DatabaseError, StateError
from ingestd.index import tables as t
from ingestd.index.compare import Compared, Difference, compare, tables
from ingestd.index.database import connect, migrate, snapshot_reads
from ingestd.index.repository import Repository
from ingestd.logbooks import Logbooks
from ingestd.logfiles import exclusive, fsync_dir, make_dirs
from ingestd.pipeline import Places, Settings, Unit, runs

MOST_LISTED: Final = 1000
"""Differences of one table that are listed; all are counted."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


def silent(_what: str, _done: int, _all: int) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Origins:
    """What a database is made from."""

    books: Logbooks
    places: Places
    settings: Settings


@dataclass(slots=True)
class Comparison:
    """How the serving database stands beside what the logs make of it."""

    entries: int = 0
    """Entries of the centre log that the database says it holds, and that were replayed."""
    tables: dict[str, Compared] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    """A sentence for each finding that is not about a row."""

    @property
    def outcome(self) -> Outcome:
        """0 only when at least one row was compared and all are as the logs say."""
        right = any(counts.right for counts in self.tables.values())
        nothing = [] if any(counts.rows for counts in self.tables.values()) else [Finding.NOTHING_CHECKED]
        return outcome([Verdict.VERIFIED] if right else [], [*self.findings, *nothing])

    def note(self, finding: Finding, reason: str) -> None:
        """Take down what is wrong apart from rows."""
        self.findings.append(finding)
        self.reasons.append(f"{finding}: {reason}")

    def as_json(self) -> dict[str, Any]:
        """The object that ``audit rebuild --check --json`` prints."""
        return {
            "ok": self.outcome is Outcome.OK,
            "outcome": int(self.outcome),
            "entries": self.entries,
            "tables": {name: asdict(counts) for name, counts in self.tables.items()},
            "findings": [{"finding": str(Finding.PROJECTION_MISMATCH), **_said(one)} for one in self.differences],
            "reasons": self.reasons,
        }


def check(origins: Origins, live: Engine, data: Path, table: str = "", progress: Progress = silent) -> Comparison:
    """Compare every row, or those of one table. Writes neither to the logs nor to the database that serves.

    The centre may work meanwhile: one state of the database is compared with exactly the entries it says it holds.
    Raises ``DatabaseError`` when the database cannot be read, ``BusyError`` while another comparison runs.
    """
    report = Comparison()
    try:
        with (
            snapshot_reads(live).connect() as serving,
            exclusive(data / "rebuild.lock", 0),
            _scratch(live, data) as scratch,
        ):
            held = serving.execute(select(t.state.c.applied_seq)).scalar()
            try:
                _make(report, origins, scratch, held, progress)
            except StateError as error:
                report.note(Finding.UNPARSABLE, f"the logs cannot be replayed: {error}")
                return report
            for one in tables(table):
                counts = report.tables[one.name] = Compared()
                _take_down(report, one, compare(scratch, serving, one, origins.books.centre.origin, counts))
                progress(f"compare {one.name}", counts.rows, counts.rows)
    except SQLAlchemyError as error:
        raise DatabaseError(f"database: {str(error).splitlines()[0][:300]}") from error
    return report


def _make(report: Comparison, origins: Origins, scratch: Connection, held: int | None, progress: Progress) -> None:
    size = origins.books.centre.size
    if held is not None and held > size:
        report.note(Finding.LOG_TRUNCATED, f"the database holds {held} entries, the centre log only {size}")
    report.entries = size if held is None else min(held, size)
    replay(origins, scratch, report.entries, 0, progress)


def _take_down(report: Comparison, table: Table, differences: Iterator[Difference]) -> None:
    report.differences.extend(islice(differences, MOST_LISTED))
    for _ in differences:
        pass
    counts = report.tables[table.name]
    if counts.right < counts.rows:
        report.findings.append(Finding.PROJECTION_MISMATCH)


def replay(origins: Origins, connection: Connection, size: int, now_ms: int, progress: Progress = silent) -> None:
    """Fill the empty tables of ``connection`` with what the first ``size`` entries of the centre log say.

    Raises ``StateError`` when the log, a mirror or an import is not what it should be. A run of entries is in memory
    at a time, never all.
    """
    books = origins.books
    repository, tree = Repository(connection), EMPTY_TREE
    unit = Unit(repository, books, origins.places, origins.settings, now_ms)
    repository.follow(books.centre.origin)
    unit.foresee(0)
    for event, run in runs(islice(books.centre.entries(), size)):
        unit.replay(event, run)
        unit.forget()
        tree = tree.extend(entry.leaf for entry in run)
        progress("replay", tree.size, size)
    if tree.size != size or (size == books.centre.size and tree.root() != books.centre.chain.root()):
        raise StateError(f"the entries of {books.centre.origin} are not those that were signed for: restore the log")
    unit.decide_again()
    repository.applied(size, base64.b64encode(tree.root()).decode())


def write(
    origins: Origins, engine: Engine, now_ms: int, progress: Progress = silent, replace: Path | None = None
) -> str:
    """Have a lost database back, in one transaction: after a crash it is as empty as before. Returns what was kept.

    What the last unit of work decided may have been cut short by the crash that lost the database; its entries are
    left to the next ordinary start, which completes them. With ``replace`` (a folder) a database that is not empty is
    copied there, or to a schema of its own, before it is emptied. Raises ``StateError`` for one that is not empty, and
    when there is no log to make it from.
    """
    with exclusive(origins.places.lock):
        if not origins.books.centre.size:
            raise StateError(
                f"the log {origins.books.centre.origin} is empty: there is nothing to make a database from"
            )
        try:
            with engine.begin() as connection:
                kept = _emptied(connection, replace, now_ms)
                replay(origins, connection, _settled(origins.books), now_ms, progress)
        except SQLAlchemyError as error:
            raise DatabaseError(f"database: {str(error).splitlines()[0][:300]}") from error
    return kept


def _settled(books: Logbooks) -> int:
    """Entries of the centre log but those of its last unit of work, which all bear one time."""
    stop = 0
    for _, unit in groupby(books.centre.entries(), key=lambda entry: entry.record.utc_ms):
        start, stop = stop, stop + sum(1 for _ in unit)
    return start


def _emptied(connection: Connection, replace: Path | None, now_ms: int) -> str:
    """Make room; returns where the old rows were kept, or an empty string when there were none."""
    full = [table.name for table in tables() if connection.execute(select(table).limit(1)).first()]
    if not full:
        return ""
    if replace is None:
        raise StateError(
            f"the database is not empty ({', '.join(full)}): nothing was changed;"
            " --replace keeps a copy of it and makes it anew"
        )
    kept = _keep_copy(connection, replace, now_ms)
    for table in tables():
        connection.execute(delete(table))
    return kept


def _keep_copy(connection: Connection, folder: Path, now_ms: int) -> str:
    """A whole copy of the database beside it: a file of SQLite, a schema of PostgreSQL."""
    name = f"replaced_{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%SZ}"
    if connection.dialect.name == "sqlite":
        return _keep_file(connection, folder / f"{name}.db")
    connection.execute(CreateSchema(name))
    for table in tables():
        quoted = connection.dialect.identifier_preparer.quote(table.name)
        connection.execute(text(f'CREATE TABLE "{name}".{quoted} AS TABLE {quoted}'))
    return f"schema {name}"


def _keep_file(connection: Connection, path: Path) -> str:
    """The transaction has written nothing yet, so a second reader sees what it sees."""
    make_dirs(path.parent)
    with sqlite3.connect(str(connection.engine.url.database)) as old, sqlite3.connect(path) as copy:
        old.backup(copy)
    old.close()
    copy.close()
    fsync_dir(path.parent)
    return str(path)


@contextmanager
def _scratch(live: Engine, data: Path) -> Iterator[Connection]:
    """Empty tables of the same kind of database, gone afterwards: a file below ``data``, or a schema never committed.

    The same kind, because what a database refuses decides what becomes of an entry.
    """
    if live.dialect.name == "sqlite":
        with _scratch_file(data) as connection:
            yield connection
        return
    with live.connect() as connection, connection.begin() as transaction:
        name = f"rebuild_{uuid.uuid4().hex}"
        connection.execute(CreateSchema(name))
        connection.execute(text(f'SET LOCAL search_path TO "{name}"'))
        migrate(connection)
        yield connection
        transaction.rollback()


@contextmanager
def _scratch_file(data: Path) -> Iterator[Connection]:
    folder = data / "rebuild"
    make_dirs(folder)
    _clear(folder)  # what a killed comparison left
    engine = connect(f"sqlite:///{folder / 'scratch.db'}")
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            migrate(connection)
            yield connection
            transaction.rollback()
    finally:
        engine.dispose()
        _clear(folder)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


class FrozenFiles:
    """A log as it is now, for reading beside the centre that goes on writing it; what is written stays in memory.

    The notes are read before the entries are measured, so that no checkpoint speaks of more than is seen. Half an
    entry at the end, which a crash left or which is being written, is cut off here and stays where it is. The snapshot
    is left out, so that whoever opens the log verifies it from its first entry on.
    """

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._index: dict[str, BinaryIO] = {}
        self._small = {name: files.get(name) for name in (SECOND_CHECKPOINT, CHECKPOINT)} | {SNAPSHOT: None}
        self._size = sum(len(chunk) for chunk in files.read(0))

    def read(self, offset: int) -> Iterator[bytes]:
        """Entries up to where they ended then."""
        left = self._size - offset
        for chunk in self._files.read(offset) if left > 0 else ():
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    def append(self, _data: bytes) -> None:
        """Raises ``StateError``: nothing is written while the log is only read."""
        raise StateError("a log that is being compared was to be written")

    def truncate(self, size: int) -> None:
        """See no further than ``size``."""
        self._size = size

    def get(self, name: str) -> bytes | None:
        """A small file: the notes as they were, no snapshot, and whatever else there is."""
        return self._small[name] if name in self._small else self._files.get(name)

    def put(self, name: str, data: bytes) -> None:
        """Remember it here."""
        self._small[name] = data

    def length(self, name: str) -> int:
        """Bytes in an index file, which is made anew, here, and gone afterwards."""
        return self._made(name).seek(0, os.SEEK_END)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes of an index file."""
        self._made(name).seek(offset)
        return self._made(name).read(size)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Write into an index file."""
        self._made(name).seek(offset)
        self._made(name).write(data)

    def _made(self, name: str) -> BinaryIO:
        if name not in self._index:
            self._index[name] = TemporaryFile()  # noqa: SIM115  # lives as long as the log is read
        return self._index[name]


def _said(one: Difference) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(one).items() if value not in (None, "")}
    origin, _, seq = one.entry.rpartition(":")
    central = origin.endswith("/centre") and seq.isdecimal()
    return {**facts, "log_seq": int(seq)} if central else facts

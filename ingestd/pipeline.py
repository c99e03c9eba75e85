"""The centre's story: receive → verify → mirror → index → link → cover → flag → record → answer.

One unit of work (``_unit``) holds the lock of the data folder and one database transaction. Inside it, in this order:

1. station entries are verified and appended to their mirrors (one fsync each);
2. they become rows; links, coverages and flags are decided from the tables as they are inside the transaction;
3. the centre's own entries are appended to its log (one fsync);
4. those entries become rows, with ``applied_seq``, and the transaction commits;
5. only then are messages acknowledged, checkpoints cosigned and receipts released.

The log leads. Whatever a crash leaves behind is a log ahead of the tables, and every unit begins by catching up: mirror
entries and centre entries that the tables do not know become rows before anything new is done.
"""

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

from custody.authority import REVOKED, STATION, doubtful
from custody.canonical import JsonObject, JsonValue
from custody.chain import Entry
from custody.checkpoint import NoteKey, SignedCheckpoint
from custody.errors import CustodyError
from custody.identifiers import uuid7
from custody.keyring import ENROLLED, KeyHistory, LogKeys
from custody.log import Log
from custody.messages import MAX_ENTRIES, MAX_MESSAGE_BYTES, Receipts
from custody.record import Draft
from custody.signer import Signer, VerifyKey
from ingestd import cases
from ingestd import catalogue as catalogue_file
from ingestd.cases import resolved
from ingestd.catalogue import Catalogue, Catalogues, Version, in_force_ms
from ingestd.decisions import Decision, Fact, clip_of
from ingestd.enrolment.decide import Approval, Issue, Revocation, actors_of, approval_of, revocation_of
from ingestd.enrolment.standing import centre_row, enrolled
from ingestd.errors import ConfigError, DatabaseError, MessageError, MirrorError, StateError
from ingestd.heartbeats import Heartbeats
from ingestd.index.database import snapshot_reads
from ingestd.index.people import by_hand, unmeasured_clock_ms
from ingestd.index.repository import Repository
from ingestd.index.rows import Row, list_in, mirrored, object_in, text_in
from ingestd.index.stations import UNDECIDABLE, UNREGISTERED, about, described, disputed, gather, let_in, redescribed
from ingestd.judge import FlagChanges, Verdicts, assess, compare_flags, relink, settle_officers
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.logfiles import exclusive, make_dirs, replace_file
from ingestd.model import IMPORTED, Assignment, EnforcementAction, Flag, Import, Link, Recorder
from ingestd.progress import Progress, Step, unwatched
from ingestd.relinking import PART, Look, Relinked, Wanted, differences, in_parts, wanted_ids
from ingestd.retention import Kept, gone_too_soon, kept, proposable
from ingestd.rules import (
    Policy,
    SeenFile,
    calendar_missing,
    clip_not_arrived,
    key_review,
    message_unverifiable,
    original_changed,
    set_aside,
    silent_station,
)
from ingestd.rules.calendar_missing import RULE as CALENDAR
from ingestd.rules.clip_not_arrived import RULE as NOT_ARRIVED
from ingestd.rules.facts import StationHeard
from ingestd.rules.identity_conflict import contradicted
from ingestd.rules.original_changed import RULE as CHANGED
from ingestd.rules.set_aside import RULE as ASIDE
from ingestd.rules.silent_station import RULE as SILENT
from ingestd.running import MOST_KEYS, Running, changed_keys
from ingestd.verify import Follower, Station, open_message
from ingestd.watch import (
    Watched,
    backlogs,
    came_late,
    clocks,
    decided,
    empty_docks,
    failures,
    impossible_time,
    interruptions,
    offloads,
    offset_of,
    plans,
    resets,
    unseen,
    wearers,
)

V = TypeVar("V")
ENTRY_EVENTS_BYTES: Final = 20_000
"""A ``station.entries`` entry names at most this many bytes of leaf hashes; an entry is at most 65,535 bytes."""
LEAVES_PER_ENTRY: Final = ENTRY_EVENTS_BYTES // 67
_MOST_REMEMBERED: Final = 10_000
REPLAY_ROWS: Final = 500
"""Most entries of the centre log that are replayed in one go."""
SWEEP_ROWS: Final = 500
"""Most actions or files one sweep looks at; the next sweep goes on."""
ASKED_AGAIN_MS: Final = 60 * 60 * 1000
"""How often an act is judged of which something is still to happen by a certain day."""
DATA_FAULTS: Final = (DataError, ValueError, KeyError, TypeError, ArithmeticError, CustodyError)
"""What a signed fact that nobody can work with makes of our code: never a reason to wait, never to stop the others."""
VERDICTS: Final = frozenset({"case.linked", "case.unlinked", "flag.set", "flag.changed", "flag.cleared"})
"""Entries that say what the rules make of facts."""
KEY_EVENTS: Final = frozenset({STATION, ENROLLED, REVOKED})
"""Entries of the centre log after which other keys may sign."""
NO_LINES: Final = b"PK"
"""How an xlsx file begins, which is no text."""
_RECHECK_MIN_MS: Final = 2_000
_RECHECK_MAX_MS: Final = 600_000
_FAILED_RECHECK_MS: Final = 3_600_000


class Clock(Protocol):
    """Time of the centre."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Received:
    """A message as the broker gave it."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What to publish to one station."""

    station: str
    receipts: Receipts


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the store returned for one clip: size and digest, or ``missing``, or why it could not be read."""

    object_id: str
    size: int = 0
    sha256: str = ""
    missing: bool = False
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file to import: its bytes and name, how its source calls columns, and who wants to know how far it is."""

    data: bytes
    name: str
    source: cases.Source
    progress: Progress

    @property
    def lines(self) -> int:
        """How many lines a file of lines has; 0 for one whose rows are counted only while they are read."""
        is_text = not self.data.startswith(NO_LINES) and not self.name.casefold().endswith(".json")
        return self.data.count(b"\n") if is_text else 0


@dataclass(frozen=True, slots=True)
class Places:
    """Where the centre keeps what is neither log nor table."""

    lock: Path
    quarantine: Path
    imports: Path
    configurations: Path
    heartbeats: Path

    @classmethod
    def under(cls, data: Path) -> "Places":
        """The usual places in a data folder."""
        names = ("lock", "quarantine", "imports", "configurations", "heartbeats")
        return cls(*(data / name for name in names))


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agency has settled."""

    policy: Policy
    catalogue: Catalogue
    zone: ZoneInfo
    unmeasured_clock_ms: int = 60_000
    arrival_ms: int = 24 * 3_600_000
    missing_after_ms: int = 3_600_000
    view_window_ms: int = 30 * 60_000
    """Somebody who looks at the same thing again within this is not entered twice."""
    running: Running | None = None
    """The whole configuration, as the log names it; None where nobody configured anything."""


class Pipeline:
    """Every write of the centre goes through here, one unit of work at a time; safe to call from several threads.

    Raises ``DatabaseError``, ``OSError`` or ``BusyError`` when a unit could not be done: nothing of it is
    half-done, and doing it again is harmless. Raises ``StateError`` when log and tables contradict each other.
    """

    def __init__(  # noqa: PLR0913  # the composition root names every part
        self,
        engine: Engine,
        books: Logbooks,
        cosigner: Cosigner,
        places: Places,
        settings: Settings,
        clock: Clock,
        remains: Callable[[], str] = str,
    ) -> None:
        """``remains`` says what mirrors or store hold; asked only beside an empty log and an empty database."""
        self._remains = remains
        self._engine = engine
        self._books = books
        self._cosigner = cosigner
        self._places = places
        self._settings = settings
        self._clock = clock
        self._turn = threading.Lock()
        self._claimed = False
        self._viewed: dict[tuple[str, str, str], int] = {}
        for folder in (places.quarantine, places.imports, places.configurations):
            make_dirs(folder)

    def start(self) -> None:
        """Bring the tables up to the logs and enrol stations that are new in the configuration."""
        with self._unit() as unit:
            unit.enrol(self._books.stations.values())

    def begin(self, *, anew: bool = False) -> None:
        """Make the empty database of a new site ours, so that a station may fill the store before the first start.

        A site that has begun stays as it is. ``anew`` begins one even though mirrors or store are not empty. Raises
        ``StateError`` when log or database is lost.
        """
        with self._turn, exclusive(self._places.lock):
            self._books.refresh()
            self._claim(anew=anew)

    def handle(self, messages: Sequence[Received]) -> list[Answer]:
        """Take messages as one unit of work; when this returns they may be acknowledged.

        A message that cannot be verified is kept in quarantine and flagged; the others are not touched by it.
        """
        with self._unit() as unit:
            for message in messages:
                unit.take(message)
            unit.mirror_and_index()
        return unit.answers()

    def checks_due(self, limit: int) -> list[Row]:
        """Clips whose stored object should be read back now: ``object_id``, ``name``, ``size``, ``sha256``."""
        with self._engine.connect() as connection:
            return Repository(connection).checks_due(self._clock.now_ms(), limit)

    def record_checks(self, results: Sequence[ReadBack]) -> list[Answer]:
        """Record what the store returned; the answers carry the receipts."""
        with self._unit() as unit:
            unit.record_checks(results)
        return unit.answers()

    def import_cases(
        self,
        data: bytes,
        name: str,
        *,
        dry_run: bool = False,
        source: cases.Source = cases.Source(),  # noqa: B008  # frozen
        progress: Progress = unwatched,
    ) -> tuple[Import, Import]:
        """Import a file as a whole: what it says, and what of that was new.

        With a wrong row nothing is imported and ``errors`` of the first value say why. Importing twice changes nothing.
        One entry of the log decides: whatever a crash cuts short after it is completed by the next unit of work.
        ``source`` says how headings are to be understood; ``progress`` is told what is being done, and how far it is.
        """
        with self._unit() as unit:
            return unit.import_cases(ImportFile(data, name, source, progress), dry_run=dry_run)

    def relink(self, wanted: Wanted, *, dry_run: bool = False) -> Relinked:
        """Decide anew where clips belong and what actions lack; returns what changed, or would.

        Whatever the rules say otherwise of is written, a part in one unit of work; where they say the same, nothing is.
        Raises ``RefusedError`` when what is named does not exist.
        """
        with self._unit() as unit:
            look = unit.look()  # the tables are up to the logs now
        with snapshot_reads(self._engine).connect() as connection:
            repository = Repository(connection)
            found = differences(repository, *wanted_ids(repository, wanted), look)
        if dry_run:
            return found
        done = Relinked(found.clips, found.actions)
        for clips, actions in found.parts():
            with self._unit() as unit:
                done.add(unit.relink(clips, actions))
        return done

    def sweep(self) -> int:
        """Notice what time alone brings to light; returns how many actions and files were looked at."""
        with self._unit() as unit:
            return unit.sweep()

    def checkpoint(self) -> SignedCheckpoint:
        """Sign the centre log as it is."""
        with self._unit():
            return self._books.checkpoint()

    def record(self, facts: Sequence[tuple[str, JsonObject]]) -> None:
        """Append further entries to the centre log: each an event and its blocks."""
        with self._unit() as unit:
            unit.record(facts)

    def approve(self, asked: Approval, issue: Issue = dict) -> bytes:
        """Let keys in by the word of two people; returns the entry that says so, which is the answer to the station.

        ``issue`` makes the certificates that go with them. Raises ``EnrolmentError`` when they cannot be let in; a
        request that was approved already is answered again.
        """
        with self._unit() as unit:
            answered = unit.answer_to(asked)
            if not answered:
                unit.approve(asked, self._cosigner.key, issue)
        told = (entry for entry in unit.appended if entry.record.payload.get("request_sha256") == asked.request_sha256)
        return answered or next(told).data

    def history(self) -> KeyHistory:
        """Whose keys signed the centre's log, and whose sign next."""
        with self._unit():
            return self._books.centre.history

    def revoke(self, asked: Revocation) -> bytes:
        """Trust a key no longer from a time on; returns the entry that says so. Raises ``EnrolmentError``."""
        with self._unit() as unit:
            unit.revoke(asked)
        return next(entry.data for entry in unit.appended if entry.record.event == REVOKED)

    def hand_over(self, signers: Sequence[Signer], approvers: Sequence[str]) -> bytes:
        """Hand the centre's own log over to other keys; returns the entry that says so, signed by the old ones."""
        with self._unit():
            pass  # whatever is left over from before is said by the old key, in entries of its own
        with self._unit() as unit:
            unit.hand_over(signers, approvers)
        return unit.appended[-1].data

    def stations(self) -> list[Station]:
        """Everybody who is enrolled, by configuration or by two people."""
        with self._unit():
            return list(self._books.stations.values())

    def log_keys(self) -> list[Row]:
        """Every key of every log, as the tables have it, beginning with those of the centre's own log."""
        with self._unit() as unit:
            return unit.log_keys()

    def signers(self) -> list[Signer]:
        """Who signs the centre's log now."""
        with self._unit():
            return self._books.signing()

    def decide(self, decision: Decision) -> list[Entry]:
        """Record what a person decided, and what follows. Raises ``RefusedError``; then nothing was recorded."""
        with self._unit() as unit:
            return unit.enter(decision(unit.repository, unit.now_ms))

    def kept(self, object_id: str) -> Kept:
        """Until when an original is kept, and why. Raises ``RefusedError`` for a clip that is not there."""
        with self._unit() as unit:
            return unit.kept(object_id)

    def proposable(self, limit: int) -> list[str]:
        """Originals that may be proposed for disposal, oldest first."""
        with self._unit() as unit:
            return proposable(unit.repository, unit.now_ms, self._settings.policy.keep_days, limit)

    def viewed(self, object_id: str, what: str, actor: str) -> None:
        """Record that somebody is about to look at a clip, before he does; soon again is no new entry.

        Raises like every unit of work: what cannot be recorded is not shown.
        """
        seen, now_ms = (object_id, what, actor), self._clock.now_ms()
        if now_ms < self._viewed.get(seen, 0) <= now_ms + self._settings.view_window_ms:
            return
        with self._unit() as unit:
            unit.view(object_id, what, actor)
        if len(self._viewed) >= _MOST_REMEMBERED:
            self._viewed.clear()
        self._viewed[seen] = now_ms + self._settings.view_window_ms

    def settle_flag(self, rule: str, key: str, flag: Flag | None) -> None:
        """Raise ``flag``, or withdraw the one of ``rule`` about ``key`` when there is none; again changes nothing."""
        with self._unit() as unit:
            unit.settle_flag(rule, key, flag)

    @contextmanager
    def _unit(self) -> Iterator["Unit"]:
        with self._turn, exclusive(self._places.lock):
            try:
                self._books.refresh()
                if not self._claimed:
                    self._claim()
                    self._claimed = True
                with self._engine.begin() as connection:
                    unit = Unit(Repository(connection), self._books, self._places, self._settings, self._clock.now_ms())
                    unit.learn()
                    unit.catch_up()
                    yield unit
                    unit.conclude()
                unit.release(self._cosigner)
            except SQLAlchemyError as error:
                self._books.forget()
                raise DatabaseError(f"database: {str(error).splitlines()[0][:300]}") from error
            except BaseException:
                self._books.forget()
                raise

    def _claim(self, *, anew: bool = False) -> None:
        """Make an empty database ours, in a transaction of its own that ends before anything is logged or received.

        So an empty database beside a log, a mirror or a stored original is always a loss, never a crash of the first
        unit: that one finds its claim. Raises ``StateError``.
        """
        with self._engine.begin() as connection:
            repository, centre = Repository(connection), self._books.centre
            if repository.following() is not None:
                return
            if centre.size:
                raise StateError(
                    f"the database is empty, but the log {centre.origin} has {centre.size} entries: give the right"
                    " [database] url, or make the database again with `ingestd audit rebuild --write`;"
                    " nothing was changed"
                )
            left = "" if anew else self._remains()
            if left:
                raise StateError(
                    f"the database and the log {centre.origin} are empty, but {left}: restore the data folder and run"
                    " `ingestd audit rebuild --write`; where no copy of it is left, `ingestd init --anew` begins a new"
                    " log; nothing was changed"
                )
            repository.follow(centre.origin)


@dataclass(slots=True)
class Unit:
    """One unit of work; what it has still to decide and to record."""

    repository: Repository
    books: Logbooks
    places: Places
    settings: Settings
    now_ms: int
    drafts: list[Draft] = field(default_factory=list)
    touched: dict[str, Row] = field(default_factory=dict)
    """Clips to link anew, in hand."""
    concerned: set[str] = field(default_factory=set)
    """Further clips to link anew: more, maybe, than can be held."""
    fresh: set[str] = field(default_factory=set)
    """Clips that this unit brought."""
    actions: set[str] = field(default_factory=set)
    """Actions to judge anew."""
    flags: FlagChanges = field(default_factory=FlagChanges)
    followers: dict[str, Follower] = field(default_factory=dict)
    offences: dict[str, tuple[str, MessageError, bytes]] = field(default_factory=dict)
    recorders: set[str] = field(default_factory=set)
    """Recorders that something new came from."""
    clocked: set[str] = field(default_factory=set)
    """Those of them whose clock was measured."""
    misdated: set[str] = field(default_factory=set)
    """Those of them of which something states a time that only a clock without its date does."""
    late: set[tuple[str, date]] = field(default_factory=set)
    """Recorders and days of copying of clips that came late, or that did by what was known before."""
    """Recorders whose clock was measured."""
    arrived: set[str] = field(default_factory=set)
    """Places (``seen_file.place_id``) of files that were copied or failed."""
    aside: dict[str, Flag] = field(default_factory=dict)
    contradictions: dict[str, Flag] = field(default_factory=dict)
    """Flags about recorders whose sources of identity disagree, by id."""
    """Flags about facts that are kept but not believed, by key."""
    damaged: dict[str, MirrorError] = field(default_factory=dict)
    """Logs whose mirror cannot be opened; their stations wait, the others are served."""
    reviewed: dict[tuple[str, LogKeys], int] = field(default_factory=dict)
    """Keys under which entries came after they were revoked, by log, and the first such entry."""
    appended: list[Entry] = field(default_factory=list)
    """Entries that this unit wrote into the centre log, but for its verdicts, which may be more than can be held."""
    receipts: dict[str, list[bytes]] = field(default_factory=dict)
    """Receipts to send, by station log."""
    ready: list[Answer] = field(default_factory=list)
    progress: Progress = unwatched
    unmeasured_clock_ms: int = field(init=False)
    """Of the settings in force where the log is being replayed; else ours."""

    def __post_init__(self) -> None:
        self.unmeasured_clock_ms = self.settings.unmeasured_clock_ms

    # Catching up: the log leads, the tables follow.

    def catch_up(self) -> None:
        """Turn into rows what the logs hold and the tables do not. Raises ``StateError`` on a contradiction."""
        applied = self._applied()
        behind = self.books.centre.size - applied
        if behind < 0:
            raise StateError(
                f"the database holds {applied} entries of {self.books.centre.origin}, the log only"
                f" {self.books.centre.size}: the log was truncated or is another one; restore it"
            )
        self._report_torn(self.books.centre)
        self._restore_settings()
        if behind:
            self.foresee(applied)
        for event, run in runs(self.books.centre.entries(applied) if behind else ()):
            self.replay(event, run)
        self._settle_configuration()
        for log, row in self.repository.mirrors().items():
            self._index_unindexed(log, row)

    def _report_torn(self, log: Log) -> None:
        """Half an entry that a crash left at the end of a log was cut off; the centre's next entry says so."""
        if log.torn_bytes:
            self._draft("log.recovered", {"reason": f"{log.origin}: {log.torn_bytes} bytes of a torn entry cut off"})
            log.torn_bytes = 0

    def learn(self) -> None:
        """Who is enrolled, as the tables have it: another process may have approved somebody since."""
        self.books.learn(enrolled(self.repository.log_keys(), self.books.configured, self.books.centre.origin))

    def _applied(self) -> int:
        origin, size = self.repository.following() or ("", 0)
        if origin != self.books.centre.origin:
            raise StateError(f"the database follows {origin}, not {self.books.centre.origin}: it is another centre's")
        return size

    def replay(self, event: str, run: Sequence[Entry]) -> None:
        """Make rows of one run of the centre log (``runs``), as they were made when it was written."""
        if event == "station.entries":
            self._replay_mirrored(run[0])
        if event == "cases.imported":
            self._replay_import(run[0])
        self.repository.project(run, self.books.keyid_of)
        if event == "config.changed":
            self.unmeasured_clock_ms = unmeasured_clock_ms(run[-1])
        if event in {"integrity.checked", "central.verified"}:
            judged = (text_in(entry.record.block("object"), "id") for entry in run)
            self.touched.update(self.repository.clips(judged))
        self._look_again(run)

    def _restore_settings(self) -> None:
        """What is replayed was understood by the settings of its time."""
        before = self.repository.people.configuration()
        self.unmeasured_clock_ms = before["unmeasured_clock_ms"] if before else self.settings.unmeasured_clock_ms

    def _settle_configuration(self) -> None:
        """The log says with what configuration everything that follows is done, before it is done."""
        self.unmeasured_clock_ms = self.settings.unmeasured_clock_ms
        running, before = self.settings.running, self.repository.people.configuration()
        if running is None:
            return
        if not before or (before["sha256"], before["catalogue_sha256"]) != (running.sha256, running.catalogue_sha256):
            self.enter([("config.changed", {"config": self._configuration(running, before)})])
        self._settle_catalogue(running)
        self._catalogues()  # An earlier one that is not what was kept stops the centre before anything is judged.

    def _settle_catalogue(self, running: Running) -> None:
        """The log says which catalogue holds from when; ``config.changed`` has seen to it that its bytes are kept."""
        versions = self.repository.people.catalogues()
        if not running.catalogue or (versions and versions[-1]["sha256"] == running.catalogue_sha256):
            return
        stated_ms = self.settings.catalogue.stated_ms(self.settings.zone)
        told: JsonObject = {
            "sha256": running.catalogue_sha256,
            "version": self.settings.catalogue.version,
            "valid_from_ms": in_force_ms(stated_ms, self.now_ms, first=not versions),
        }
        self.enter([("catalogue.changed", {"catalogue": told})])

    def _catalogues(self) -> Catalogues:
        """Every version that was entered; ours alone where none was, or none is configured any more."""
        rows = self.repository.people.catalogues()
        if not rows or not self.settings.catalogue.types:
            return Catalogues.of(self.settings.catalogue)
        return Catalogues(tuple(Version(row["valid_from_ms"], self._kept_catalogue(row["sha256"])) for row in rows))

    def _kept_catalogue(self, sha256: str) -> Catalogue:
        """A version by its digest. Raises ``StateError`` when its bytes are not what was kept."""
        running = self.settings.running
        if running is not None and sha256 == running.catalogue_sha256:
            return self.settings.catalogue
        path = self.places.configurations / f"{sha256}.toml"
        try:
            return _read_catalogue(path, sha256)
        except (OSError, ConfigError) as error:
            raise StateError(f"{path}: an earlier catalogue cannot be read; restore it: {error}") from error

    def _policy(self) -> Policy:
        """The policy, with the names and articles that earlier catalogues gave."""
        earlier = self._catalogues().earlier()
        return replace(self.settings.policy, earlier=tuple((until, one.spoken()) for until, one in earlier))

    def _configuration(self, running: Running, before: Row | None) -> JsonObject:
        """Keep the settings and the catalogue, durably, and name them."""
        kept = self.places.configurations / f"{before['sha256']}.json" if before else None
        changed = changed_keys(kept.read_bytes() if kept and kept.exists() else None, running)
        if before is None or before["catalogue_sha256"] != running.catalogue_sha256:
            changed.append("catalogue")
        replace_file(self.places.configurations / f"{running.sha256}.json", running.data)
        replace_file(self.places.configurations / f"{running.catalogue_sha256}.toml", running.catalogue)
        return {
            "sha256": running.sha256,
            "catalogue_sha256": running.catalogue_sha256,
            "changed": list(changed[:MOST_KEYS]),
            "changed_count": len(changed),
            "decides": {"unmeasured_clock_ms": self.settings.unmeasured_clock_ms},
        }

    def enter(self, facts: Iterable[Fact]) -> list[Entry]:
        """Record facts at once and make rows of them, so that what this unit decides rests on them."""
        self.record(facts)
        entries = self._append()
        self._look_again(entries)
        return entries

    def kept(self, object_id: str) -> Kept:
        """Until when an original is kept."""
        clip = clip_of(self.repository, object_id)
        return kept(self.repository, clip, self._catalogues(), self.now_ms, self.settings.policy.keep_days)

    def view(self, object_id: str, what: str, actor: str) -> None:
        """Somebody is about to look at a clip."""
        since_ms = self.now_ms - self.settings.view_window_ms
        if not self.repository.people.viewed_within(object_id, actor, what, since_ms, self.now_ms):
            view: JsonObject = {"object": object_id, "what": what}
            self._draft("access.viewed", {"view": view, "actors": [{"role": "person", "id": actor}]})

    def _look_again(self, entries: Iterable[Entry]) -> None:
        """What a person linked or parted is judged anew."""
        for entry in entries:
            if entry.record.event in {"case.linked", "case.unlinked"} and by_hand(entry):
                block = entry.record.block("link")
                self.touched.update(self.repository.clips([text_in(block, "object")]))
                self.actions.add(text_in(block, "action"))

    def _append(self) -> list[Entry]:
        """Make the drafts so far entries of the centre log, durably, and rows."""
        drafts, self.drafts = self.drafts, []
        entries = self.books.append(drafts) if drafts else []
        self.repository.project(entries, self.books.keyid_of)
        self.appended += [entry for entry in entries if entry.record.event not in VERDICTS]
        self._collect_receipts(entries)
        return entries

    def foresee(self, applied: int) -> None:
        """Learn whose keys the log lets in from entry ``applied`` on, before any of it is replayed.

        A mirror is opened as a whole, also with entries by keys that the log came to know only later.
        """
        told = [entry for entry in self.books.centre.entries(applied) if entry.record.event in KEY_EVENTS]
        with self.repository.glimpse():
            self.repository.project(told, self.books.keyid_of)
            self.learn()

    def forget(self) -> None:
        """Let go of what was replayed: who rebuilds the tables decides once, at the end (``decide_again``)."""
        pending = (
            self.touched,
            self.concerned,
            self.fresh,
            self.actions,
            self.recorders,
            self.clocked,
            self.misdated,
            self.late,
            self.arrived,
            self.aside,
            self.contradictions,
        )
        for one in pending:
            one.clear()

    def decide_again(self) -> None:
        """Suggestions of all clips and coverage of all actions, from the tables as they are. Nothing is recorded.

        When the rules last looked at an action is not known any more; the next sweep looks at all of them.
        """
        for object_ids in self.repository.in_parts("clip"):
            self.touched = self.repository.clips(object_ids)
            self._put_suggestions(self._verdicts())
            self.forget()
        for action_ids in self.repository.in_parts("action"):
            changes = self._changes(Verdicts(actions=set(action_ids)))
            self.repository.put_coverage(changes.coverages, 0)
            self.forget()

    def _replay_mirrored(self, entry: Entry) -> None:
        """Rows of the station entries that ``entry`` names. Raises ``StateError`` when the mirror holds others."""
        log, stop = mirrored(entry)
        start = self.repository.mirrors()[log]["size"]
        entries = self._mirror_entries(log, start, stop)
        if [one.leaf.hex() for one in entries] != list_in(entry.record.block("mirror"), "leaves"):
            raise StateError(f"the mirror of {log} from {start} on is not what entry {entry.seq} names: restore it")
        self._index(log, entries, entry.record.utc_ms, replayed=True)

    def _replay_import(self, entry: Entry) -> None:
        """Do again what was imported, as it was understood then: catalogue, zone and roster may have changed since."""
        digest = text_in(entry.record.block("import"), "resolved_sha256")
        path = self.places.imports / f"{digest}{_RESOLVED}"
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise StateError(f"{path}: gone, and an import has to be done again after a crash; restore it") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise StateError(f"{path}: not what was imported; restore it")
        try:
            imported = resolved.read(data)
        except ValueError as error:
            raise StateError(f"{path}: imported before, but can no longer be read: {error}") from error
        self._apply_import(self.repository.changed(imported))

    def _index_unindexed(self, log: str, row: Row) -> None:
        """Mirror entries of which the centre log does not know yet: a crash came between the two."""
        station = self.books.by_log.get(log)
        if station is None:
            return
        try:
            mirror = self.books.mirror(station)
        except MirrorError as error:
            self.damaged[log] = error
            return
        self._report_torn(mirror)
        size = mirror.size
        if size < row["size"]:
            raise StateError(f"the mirror of {log} has {size} entries, {row['size']} were recorded: restore it")
        if size > row["size"]:
            self._take_in(log, self._mirror_entries(log, row["size"], size))

    def _mirror_entries(self, log: str, start: int, stop: int) -> list[Entry]:
        station = self._station_of(log)
        size = self.books.mirror(station).size
        if size < stop:
            raise StateError(f"the mirror of {log} has {size} entries, {stop} were recorded: restore it")
        return self.books.mirrored(station, start, stop)

    def _station_of(self, log: str) -> Station:
        station = self.books.by_log.get(log)
        if station is None:
            raise StateError(f"{log} is not enrolled")
        return station

    # Stations.

    def enrol(self, stations: Iterable[Station]) -> None:
        """Record stations that are new; a station's key never changes under its log."""
        known = self.repository.mirrors()
        for station in stations:
            vkey = station.note_key.vkey()
            if station.log not in known:
                told: JsonObject = {"id": station.station, "log": station.log}
                self._draft(STATION, {"station": told, "key": station.first.block()})
            elif known[station.log]["vkey"] != vkey:
                raise StateError(f"{station.log} was enrolled with {known[station.log]['vkey']}, not with {vkey}")

    def approve(self, asked: Approval, witness: VerifyKey, issue: Issue) -> None:
        """Keys of a station that is new, or that succeed those it has."""
        ours = {witness, *(key for keys in self.books.centre.history.candidates() for key in keys.keys)}
        event, body = approval_of(asked, self.repository.log_keys(), ours, issue)
        self._draft(event, body)

    def answer_to(self, asked: Approval) -> bytes:
        """The entry that approved this very request, if one did."""
        named = asked.enrolment.keys
        rows = [row for row in self.repository.log_keys() if (row["log"], row["keyid"]) == (named.origin, named.keyid)]
        entries = [self.books.centre.entry(row["log_seq"]) for row in rows]
        same = [one for one in entries if one.record.payload.get("request_sha256") == asked.request_sha256]
        return same[0].data if same else b""

    def revoke(self, asked: Revocation) -> None:
        """From when on a key is not trusted; what came since is flagged now."""
        row, body = revocation_of(asked, self.repository.log_keys())
        self._draft(REVOKED, body)
        station = self.books.by_log.get(row["log"])
        if station is not None and row["log"] not in self.damaged:
            revoked = {**station.revoked, NoteKey.parse(row["vkey"]): asked.invalid_from_ms}
            self.books.learn([*self.books.stations.values(), replace(station, revoked=revoked)])
            for numbers, seen_ms in self._seen_since(row["log"], asked.invalid_from_ms):
                self._review(self.books.by_log[row["log"]], numbers, seen_ms)

    def _seen_since(self, log: str, since_ms: int) -> Iterator[tuple[range, int]]:
        """Entries of a station's log that the centre's log first named at that time or later."""
        for entry in self.books.centre.entries():
            if entry.record.event == "station.entries" and entry.record.utc_ms >= since_ms:
                named, stop = mirrored(entry)
                if named == log:
                    yield range(int(str(entry.record.block("mirror")["from"])), stop), entry.record.utc_ms

    def hand_over(self, signers: Sequence[Signer], approvers: Sequence[str]) -> None:
        """The centre's own log goes over to other keys."""
        old, keys = self.books.centre.history.current, self.books.hand_over(signers)
        self._draft(ENROLLED, {"key": keys.block(), "replaces": old.block(), "actors": actors_of(approvers)})

    def log_keys(self) -> list[Row]:
        """Rows of all keys; the first of the centre's log stands in no entry and is known from the log itself."""
        (_, first), *_ = self.books.centre.history.spans
        return [centre_row(first), *self.repository.log_keys()]

    def take(self, message: Received) -> None:
        """Verify one message against the logs as this unit has them so far.

        A station whose mirror is damaged gets no answer, and so sends again once it was restored.
        """
        try:
            station, records = open_message(message.topic, message.payload, self.books.stations)
            if station.log not in self.damaged:
                self._follower(station).take(records)
        except MessageError as error:
            digest = hashlib.sha256(message.payload).hexdigest()
            self.offences.setdefault(digest, (message.topic, error, message.payload))

    def mirror_and_index(self) -> None:
        """Make verified entries durable, then rows."""
        for follower in self.followers.values():
            self._mirror(follower)
            self._take_in(follower.station.log, follower.entries)
            for start, stop in follower.resent:
                again = self.repository.receipts(follower.station.log, start, stop)
                self.receipts.setdefault(follower.station.log, []).extend(again)

    def _follower(self, station: Station) -> Follower:
        if station.log not in self.followers:
            mirror = self.books.mirror(station)
            kept = mirror.latest.checkpoint if mirror.latest else None
            self.followers[station.log] = Follower(
                station, mirror.chain, self._leaves(station.log), kept, mirror.history
            )
            self.receipts.setdefault(station.log, [])
        return self.followers[station.log]

    def _leaves(self, log: str) -> Callable[[int, int], list[str]]:
        return lambda start, stop: self.repository.leaves(log, start, stop)

    def _mirror(self, follower: Follower) -> None:
        """Append to the mirror; the newest settled checkpoint is kept at exactly the size it speaks of."""
        mirror, written = self.books.mirror(follower.station), 0
        if follower.notes:
            chain, count = follower.settled[-1]
            mirror.mirror(follower.entries[:count], chain)
            mirror.keep(follower.notes[-1], follower.seconds[-1])
            written = count
        mirror.mirror(follower.entries[written:], follower.chain)

    def _take_in(self, log: str, entries: Sequence[Entry]) -> None:
        """Rows, and ``station.entries``: the centre's own log names every station leaf that it holds.

        One such entry is one run of rows, so that replaying the log makes the very same rows.
        """
        for first in range(0, len(entries), LEAVES_PER_ENTRY):
            run = entries[first : first + LEAVES_PER_ENTRY]
            self._index(log, run, self.now_ms)
            leaves: list[JsonValue] = [entry.leaf.hex() for entry in run]
            self._draft("station.entries", {"mirror": {"log": log, "from": run[0].seq, "leaves": leaves}})

    def _index(self, log: str, entries: Sequence[Entry], received_ms: int, *, replayed: bool = False) -> None:
        """Rows of station entries; their clips are linked when the unit concludes.

        When entries are ``replayed``, links of their clips may stand in the log already. An entry that cannot become
        rows is listed, flagged and goes no further; the others are not touched by it.
        """
        if not entries:
            return
        try:
            self._index_run(log, entries, received_ms, replayed=replayed)
        except DATA_FAULTS:
            for entry in entries:
                self._index_alone(log, entry, received_ms, replayed=replayed)

    def _index_alone(self, log: str, entry: Entry, received_ms: int, *, replayed: bool) -> None:
        try:
            self._index_run(log, [entry], received_ms, replayed=replayed)
        except DATA_FAULTS as error:
            self._index_run(log, [entry], received_ms, [entry.seq], replayed=replayed)
            self._set_aside(f"{log}:{entry.seq}", "undecidable", error)
            clips = self.repository.clips([about(entry)]).values()
            self._undecidable([clip for clip in clips if clip["log"] == log])

    def _index_run(
        self, log: str, entries: Sequence[Entry], received_ms: int, aside: Collection[int] = (), *, replayed: bool
    ) -> None:
        station = self._station_of(log)
        with self.repository.attempt():
            known = self.repository.clips(about(entry) for entry in entries)
            doubtful = disputed(entries, log, known)
            history = self.books.mirror(station).history
            arrivals = gather(
                entries, log, station.station, lambda seq: history.at(seq).keyid, received_ms, {*aside, *doubtful}
            )
            rows = {**{key: dict(self.touched.get(key, row)) for key, row in known.items()}, **arrivals.clips}
            told = {key: rows[key] for key in arrivals.media if key in rows}
            self._let_in(arrivals.clips.values())
            for object_id, row in told.items():
                was_late = came_late(row, self.settings.policy)
                row.update(redescribed(row, described(arrivals.media[object_id], self.unmeasured_clock_ms)))
                if was_late or came_late(row, self.settings.policy):
                    self.late.add((row["recorder"], self.settings.policy.day(row["copied_ms"])))
            settle_officers(self.repository, told.values())
            self.repository.put_arrivals(arrivals, arrivals.clips.values())
            first_ledger = bool(arrivals.issues) and self.repository.issued_to(()) is None
            ledger = self.repository.put_issues(arrivals.issues)
            self.repository.update_clips([row for key, row in told.items() if key in known], _DESCRIBED)
            self.repository.succeeded(entries)
        for seq, finding in doubtful.items():
            self._set_aside(f"{log}:{seq}", finding)
        for docking in arrivals.contradictions:
            flag = contradicted(docking, self.settings.policy)
            self.contradictions.setdefault(flag.flag_id, flag)
        self._review(station, [entry.seq for entry in entries], received_ms)
        self.touched.update(told)
        self.recorders.update(row["recorder"] for row in told.values())
        self.clocked.update(
            row["recorder"] for key, row in told.items() if offset_of(arrivals.media[key], self.unmeasured_clock_ms)
        )
        self.misdated.update(row["recorder"] for key, row in told.items() if impossible_time(arrivals.media[key]))
        self.fresh.update(() if replayed else arrivals.clips.keys() - known.keys())
        self.arrived.update(row["place_id"] for row in arrivals.files if row["state"] != "pending")
        if ledger:
            self._look_at_holders(ledger, set(), first_ledger=first_ledger)

    def _review(self, station: Station, numbers: Iterable[int], seen_ms: int) -> None:
        """Entries that came under a key that was revoked by then: one flag a key, raised by the first of them."""
        history = self.books.mirror(station).history if station.revoked else None
        for seq in numbers if history else ():
            keys = history.at(seq) if history else station.first
            if doubtful(station.revoked, keys, seen_ms):
                self.reviewed.setdefault((station.log, keys), seq)

    def _undecidable(self, clips: Iterable[Row]) -> None:
        """Clips about which something was signed that cannot be worked with: quarantined, and linked to nothing."""
        for clip in clips:
            row = {**self.touched.get(clip["object_id"], clip), **UNDECIDABLE}
            self.repository.update_clips([row], list(UNDECIDABLE))
            self.touched[row["object_id"]] = row
            self.fresh.discard(row["object_id"])

    def _set_aside(self, subject: str, finding: str, error: Exception | None = None) -> None:
        why = f"{type(error).__name__}: {error}".splitlines()[0] if error else finding
        self.aside[subject] = set_aside(subject, finding, why)

    def _quarantine(self) -> None:
        known = self.repository.known_offences(self.offences)
        for digest, (topic, error, payload) in self.offences.items():
            if digest in known:
                continue
            sha256 = hashlib.sha256(payload).hexdigest()
            replace_file(self.places.quarantine / sha256, payload)
            station = topic[:200]
            message: JsonObject = {
                "station": station,
                "offence": digest,
                "finding": error.finding,
                "size": len(payload),
                "sha256": sha256,
            }
            self._draft("message.quarantined", {"message": message, "reason": str(error)[:1000]})
            self._flag(message_unverifiable(sha256, station, error.finding))

    # The evidence store.

    def record_checks(self, results: Sequence[ReadBack]) -> None:
        """Receipts for what is as recorded; a finding and a flag for what is not; patience for what is on its way."""
        rows = self.repository.clips(result.object_id for result in results)
        for result in results:
            row = rows.get(result.object_id)
            if row is not None and row["verdict"] not in _SETTLED and row["log"] not in self.damaged:
                self._record_check(row, result)
        self.repository.update_clips(list(rows.values()), ["check_ms"])

    def _record_check(self, row: Row, result: ReadBack) -> None:
        row["check_ms"] = self.now_ms + _patience_ms(self.now_ms - row["copied_ms"])
        if result.unreadable or result.missing:
            self._record_absence(row, result)
        elif self._is_as_signed(row) and (result.size, result.sha256) == (row["size"], row["sha256"]):
            answered: JsonObject = {"log": row["log"], "seq": row["seq"], "leaf": row["leaf"]}
            self._draft("central.verified", {"object": _stored(row), "entry": answered})
            self._clear(CHANGED.rule_id, row["object_id"])
            if row["verdict"] != "unchecked":
                self._judge_again(row, "verified")
        elif row["log"] not in self.damaged:
            row["check_ms"] = self.now_ms + _FAILED_RECHECK_MS
            why = f"the store returned {result.size} bytes with SHA-256 {result.sha256}"
            self._record_finding(row, "failed", result.sha256, why)

    def _is_as_signed(self, row: Row) -> bool:
        """Whether the row says of the object what its station signed: a receipt rests on the entry, not on a row."""
        try:
            entry = self.books.entry(self._station_of(row["log"]), row["seq"])
        except MirrorError as error:
            self.damaged[row["log"]] = error
            return False
        return _says(row) == _signed(entry)

    def _record_absence(self, row: Row, result: ReadBack) -> None:
        """What cannot be had is on its way, or the store is being mended, but not for ever."""
        if self.now_ms - row["copied_ms"] < self.settings.missing_after_ms:
            return
        if result.missing:
            self._record_finding(row, "missing", "missing", "the store has no such object")
        elif row["verdict"] != "failed":
            self._record_finding(row, "unreadable", "unreadable", result.unreadable[:1000])

    def _judge_again(self, row: Row, verdict: str) -> None:
        """What this clip's actions have to show depends on what became of its original."""
        self.touched.setdefault(row["object_id"], row)["verdict"] = verdict

    def _record_finding(self, row: Row, verdict: str, found: str, why: str) -> None:
        if row["verdict"] == verdict:
            return
        self._judge_again(row, verdict)
        self._draft("integrity.checked", {"object": _stored(row), "result": verdict, "reason": why})
        flag = original_changed(row["object_id"], row["name"], row["sha256"], found)
        compare_flags(self.flags, self.repository.open_flags([flag.flag_id]).values(), [flag])

    # Imports and the sweep.

    def import_cases(self, file: ImportFile, *, dry_run: bool) -> tuple[Import, Import]:
        """Parse, compare, and unless it is a rehearsal, record and apply."""
        data, name, self.progress = file.data, file.name, file.progress
        imported = self._parse(file)
        self.progress(Step(_READ, imported.rows, imported.rows))
        changes = self.repository.changed(imported)
        if imported.errors or dry_run or not _any(changes):
            return imported, changes
        sha256 = hashlib.sha256(data).hexdigest()
        replace_file(self.places.imports / sha256, data)
        understood = resolved.write(changes)
        understood_sha256 = hashlib.sha256(understood).hexdigest()
        replace_file(self.places.imports / f"{understood_sha256}{_RESOLVED}", understood)
        counts: JsonObject = {kind: len(getattr(changes, kind)) for kind in IMPORTED}
        source: JsonObject = {"name": name, "sha256": sha256, "size": len(data), "resolved_sha256": understood_sha256}
        self._draft("cases.imported", {"import": {**source, **counts}})
        self._apply_import(changes)
        return imported, changes

    def _parse(self, file: ImportFile) -> Import:
        return cases.parse(
            file.data,
            file.name,
            self._catalogues(),
            zone=self.settings.zone,
            known_officers=self.repository.officers(),
            source=file.source,
            progress=self._told(_READ, file.lines),
        )

    def _apply_import(self, changes: Import) -> None:
        """Write it, a part at a time, and have every clip and action that it concerns looked at again."""
        issued = self._replaced(changes.assignments)
        first_ledger = bool(changes.assignments) and self.repository.issued_to(()) is None
        self.repository.put_import(replace(changes, actions=()))
        parts = self._parts("enter 写入", changes.actions)
        clips = {clip for actions in parts for clip in self._enter_actions(actions)}
        clips |= self.repository.clips_stating(officer.number for officer in changes.officers)
        clips |= self._admit(changes.recorders)
        self._look_at_holders((*changes.assignments, *issued), clips, first_ledger=first_ledger)
        self.actions.update(action.action_id for action in changes.actions)

    def _look_at_holders(self, ledger: Sequence[Assignment], clips: set[str], *, first_ledger: bool) -> None:
        """Have what the lines of the ledger concern, as they were and as they are, looked at again; ``clips`` too."""
        for one in ledger:
            clips |= self.repository.clips_of_recorder(one.recorder, one.start_ms, one.end_ms)
        self._settle_wearers(self.touched)
        for part in self._parts("wearers 佩戴人", sorted(clips - self.touched.keys())):
            self._settle_wearers(self.repository.clips(part))
        self.concerned |= clips
        self.recorders |= {one.recorder for one in ledger}
        holders = {one.officer for one in ledger}
        self.actions.update(
            self.repository.every_action() if first_ledger else self.repository.actions_of_officers(holders)
        )

    def _admit(self, recorders: Iterable[Recorder]) -> set[str]:
        """Let in what was set aside of recorders that somebody registers now; returns those clips."""
        admitted = self.repository.clips_set_aside(UNREGISTERED, (one.serial for one in recorders))
        for part in in_parts(sorted(admitted)):
            rows = self.repository.clips(part)
            self._let_in(rows.values())
            self.repository.update_clips(list(rows.values()), ("status", "reason"))
        return admitted

    def _let_in(self, rows: Iterable[Row]) -> None:
        waiting = [row for row in rows if row["reason"] == UNREGISTERED]
        registered = self.repository.registered(row["recorder"] for row in waiting)
        for row in waiting:
            if row["recorder"] in registered:
                row.update(let_in(row))

    def _enter_actions(self, actions: Sequence[EnforcementAction]) -> set[str]:
        """Write acts; returns the clips that they concern as they are now, or as they were before."""
        before = self.repository.actions(action.action_id for action in actions)
        self.repository.put_import(Import(actions=tuple(actions)))
        return {clip for action in (*before.values(), *actions) for clip in self.repository.clips_near(action)}

    def _parts(self, what: str, values: Sequence[V]) -> Iterator[list[V]]:
        """``values`` a part at a time; says after each how far that is."""
        told, done = self._told(what, len(values)), 0
        for part in in_parts(values):
            yield part
            done += len(part)
            told(done)

    def _told(self, what: str, of: int) -> Callable[[int], None]:
        return lambda done: self.progress(Step(what, done, of))

    def _replaced(self, changed: Sequence[Assignment]) -> list[Assignment]:
        """What the ledger said in place of ``changed`` so far: the same recorder, taken at the same moment."""
        taken = {(one.recorder, one.start_ms) for one in changed}
        known = self.repository.assignments({one.recorder for one in changed})
        return [one for ledger in known.values() for one in ledger if (one.recorder, one.start_ms) in taken]

    def look(self) -> Look:
        """With what eyes this unit judges."""
        return Look(self.now_ms, self._policy(), DATA_FAULTS)

    def relink(self, clips: Sequence[str], actions: Sequence[str]) -> Relinked:
        """Have clips and actions judged anew when the unit concludes; says what that will change."""
        found = differences(self.repository, clips, actions, self.look())
        rows = self.repository.clips(clips)
        self._settle_wearers(rows)
        self.touched.update(rows)
        self.actions.update(actions)
        return found

    def _settle_wearers(self, rows: Mapping[str, Row]) -> None:
        """Who wore the recorders of these clips, in the rows at hand and in the table."""
        settle_officers(self.repository, rows.values())
        self.repository.update_clips(list(rows.values()), ("officer", "officer_source"))

    def sweep(self) -> int:
        """Actions whose grace has run out, and files that never arrived."""
        grace_ms = self.settings.policy.grace_ms
        due = self.repository.actions_due(self.now_ms - grace_ms, grace_ms, SWEEP_ROWS)
        self.actions.update(due)
        self.actions.update(self.repository.actions_awaiting(self.now_ms - ASKED_AGAIN_MS, SWEEP_ROWS))
        before_ms = self.now_ms - self.settings.arrival_ms
        overdue = self.repository.overdue_files(before_ms, NOT_ARRIVED.rule_id, SWEEP_ROWS)
        for row in overdue:
            station = self.books.by_log.get(row["log"])
            name = station.station if station else row["log"]
            seen = SeenFile(name, row["recorder"], row["path"], row["seen_ms"], row["seen_in"])
            self._flag(clip_not_arrived(seen, self.settings.zone))
        self._settle_standing()
        return len(due) + len(overdue)

    def _settle_standing(self) -> None:
        """What holds of the centre as a whole: stations that are silent, and a year without a calendar."""
        policy = self.settings.policy
        said = Heartbeats(self.places.heartbeats).all()
        heard = [
            StationHeard(station, log, utc_ms, said[station].complete_ms(size) if station in said else 0)
            for station, log, utc_ms, size in self.repository.heard()
        ]
        found = [flag for one in heard for flag in silent_station(one, self.now_ms, policy)]
        found += calendar_missing(self.now_ms, policy)
        year = policy.day(self.now_ms).year
        known = [f"{SILENT.rule_id}:{one.log}" for one in heard]
        known += [f"{CALENDAR.rule_id}:{past}" for past in (year - 1, year)]
        compare_flags(self.flags, self.repository.open_flags(known).values(), found)
        self._settle(backlogs(self.repository, self.now_ms, policy))
        self._settle(decided(self.repository, self.now_ms, policy))
        for asked in (empty_docks, interruptions, plans, unseen):
            self._settle(asked(self.repository, self.now_ms, policy))
        self._settle(failures(self.repository, policy))
        self._settle(gone_too_soon(self.repository, self._catalogues, policy))

    def record(self, facts: Iterable[tuple[str, JsonObject]]) -> None:
        """Entries that somebody outside this file has decided upon."""
        for event, body in facts:
            self._draft(event, body)

    def settle_flag(self, rule: str, key: str, flag: Flag | None) -> None:
        """The one flag of a rule about a key, as it is now."""
        if flag is None:
            self._clear(rule, key)
        else:
            self._flag(flag)

    # Conclusion.

    def conclude(self) -> None:
        """Decide what follows, record it in the centre log, and make the tables follow.

        What concerns more clips or actions than can be held is recorded a part at a time, all of it before the commit;
        when a crash comes between two parts, the log has the first of them, and the next unit decides the others.
        """
        self._judge(self._link())
        self._settle_notices()
        self._draft_flags(self.flags)
        self._append()
        self._applied_to(self.books.centre.size)

    def _link(self) -> Verdicts:
        """Where clips belong; returns what of it is not in the tables yet, and ``actions`` that have to be judged."""
        actions = self.actions
        for part in self._parts("link 关联", sorted(self.concerned - self.touched.keys())):
            if self.touched and len(self.touched) + len(part) > PART:
                actions |= self._write_verdicts(self._verdicts()).actions
                self._append()
                self.touched.clear()
            self.touched.update(self.repository.clips(part))
        verdicts = self._write_verdicts(self._verdicts())
        verdicts.actions |= actions
        return verdicts

    def _judge(self, verdicts: Verdicts) -> None:
        """Coverage and flags of actions; no more than a part of them waits to be appended."""
        for part in self._parts("judge 研判", sorted(verdicts.actions)):
            if len(self.drafts) > PART:
                self._append()
            changes = self._changes(replace(verdicts, actions=set(part)))
            self.repository.put_coverage(changes.coverages, self.now_ms)
            self._draft_flags(changes)

    def _verdicts(self) -> Verdicts:
        """Where clips belong; one that cannot be judged is set aside, and the others are judged without it."""
        try:
            return self._relinked(self.touched.values())
        except DATA_FAULTS:
            for row in list(self.touched.values()):
                self._try_linking(row)
            return self._relinked(self.touched.values())

    def _relinked(self, rows: Iterable[Row]) -> Verdicts:
        with self.repository.attempt():
            return relink(self.repository, rows, self.fresh.__contains__)

    def _try_linking(self, row: Row) -> None:
        try:
            self._relinked([row])
        except DATA_FAULTS as error:
            self._set_aside(f"{row['log']}:{row['seq']}", "undecidable", error)
            self._undecidable([row])

    def _changes(self, verdicts: Verdicts) -> FlagChanges:
        """Coverages and flags; an action that cannot be judged is flagged, and the others are judged."""
        try:
            return self._assessed(verdicts)
        except DATA_FAULTS:
            changes = FlagChanges()
            for action_id in sorted(verdicts.actions):
                self._try_assessing(changes, replace(verdicts, actions={action_id}), action_id)
            return changes

    def _assessed(self, verdicts: Verdicts) -> FlagChanges:
        with self.repository.attempt():
            return assess(self.repository, verdicts, self.touched, self.now_ms, self._policy())

    def _try_assessing(self, changes: FlagChanges, verdicts: Verdicts, action_id: str) -> None:
        try:
            changes.add(self._assessed(verdicts))
        except DATA_FAULTS as error:
            self._set_aside(action_id, "undecidable", error)
            self.repository.judged([action_id], self.now_ms)

    def _settle_notices(self) -> None:
        """Compared only now that whatever the log said already has become rows: nothing is said twice."""
        self._quarantine()
        for flag in self.aside.values():
            self._flag(flag)
        for flag_id in self.contradictions.keys() - self.repository.open_flags(self.contradictions).keys():
            self._flag(self.contradictions[flag_id])
        self._flag_reviewed()
        torn = [set_aside(log, "mirror-mismatch", str(error)) for log, error in self.damaged.items()]
        mirrors = [f"{ASIDE.rule_id}:{log}" for log in self.books.by_log]
        compare_flags(self.flags, self.repository.open_flags(mirrors).values(), torn)
        if self.clocked:
            self._settle(clocks(self.repository, self.clocked, self._policy()))
        if self.recorders:
            self._settle(resets(self.repository, self.recorders, self.misdated, self._policy()))
            self._settle(wearers(self.repository, self.recorders, self._policy()))
        if self.late:
            self._settle(offloads(self.repository, self.late, self._policy()))
        if self.arrived:
            compare_flags(self.flags, self.repository.arrived_flags(self.arrived, NOT_ARRIVED.rule_id), [])

    def _settle(self, watched: Watched) -> None:
        compare_flags(self.flags, watched.standing, watched.found)

    def _flag_reviewed(self) -> None:
        """A flag that stands already keeps the entry it began with."""
        for (log, keys), first in self.reviewed.items():
            since_ms = min(self.books.by_log[log].revoked.get(key, self.now_ms) for key in keys.note_keys)
            since = datetime.fromtimestamp(since_ms / 1000, self.settings.zone).isoformat(" ", "seconds")
            flag = key_review(log, keys.keyid, since, first)
            if not self.repository.open_flags([flag.flag_id]):
                self._flag(flag)

    def release(self, cosigner: Cosigner) -> None:
        """After the commit: what stations may now rely on, and how far our own log is signed."""
        latest = self.books.centre.latest
        centre = latest.note if latest else b""
        for log, receipts in self.receipts.items():
            station = self.books.by_log[log]
            mirror = self.books.mirror(station)
            cosigned = cosigner.cosigned(mirror, self.now_ms)
            self.ready.extend(
                Answer(station.station, Receipts(log, mirror.size, part, cosigned, centre)) for part in _parts(receipts)
            )

    def answers(self) -> list[Answer]:
        """What to publish once the unit is committed."""
        return self.ready

    def _put_suggestions(self, verdicts: Verdicts) -> None:
        linked = [object_id for object_id in self.touched if self.touched[object_id]["status"] != "received"]
        self.repository.put_suggestions((i for i in linked if i not in self.fresh), verdicts.suggestions)
        self.repository.update_clips([self.touched[i] for i in linked if self._suggestions_differ(i)], ["suggestions"])

    def _write_verdicts(self, verdicts: Verdicts) -> Verdicts:
        self._put_suggestions(verdicts)
        for one, reason in verdicts.unlinked:
            self._draft("case.unlinked", {"link": _link_block(one, ""), "reason": reason, "actors": _ACTORS})
        for one, case in verdicts.linked:
            self._draft("case.linked", {"link": _link_block(one, case), "actors": _ACTORS})
        return verdicts

    def _suggestions_differ(self, object_id: str) -> bool:
        return object_id not in self.fresh or self.touched[object_id]["suggestions"] > 0

    def _draft_flags(self, changes: FlagChanges) -> None:
        for flag in changes.set:
            self._draft("flag.set", {"flag": _flag_block(flag)})
        for flag in changes.changed:
            self._draft("flag.changed", {"flag": _flag_block(flag), "reason": "facts-changed"})
        for flag in changes.cleared:
            self._draft("flag.cleared", {"flag": _flag_block(flag), "reason": "no-longer-holds"})

    def _flag(self, flag: Flag) -> None:
        if flag.flag_id not in {one.flag_id for one in self.flags.set}:
            compare_flags(self.flags, self.repository.open_flags([flag.flag_id]).values(), [flag])

    def _clear(self, rule: str, key: str) -> None:
        compare_flags(self.flags, self.repository.open_flags([f"{rule}:{key}"]).values(), [])

    def _collect_receipts(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.record.event == "central.verified":
                log = str(entry.record.block("entry")["log"])
                self.receipts.setdefault(log, []).append(entry.data)

    def _applied_to(self, size: int) -> None:
        root = base64.b64encode(self.books.centre.chain.root()).decode()
        self.repository.applied(size, root)

    def _draft(self, event: str, body: Mapping[str, JsonValue]) -> None:
        time: JsonObject = {"utc_ms": self.now_ms, "source": "system"}
        self.drafts.append(Draft(event, uuid7(self.now_ms, os.urandom(10)), time, body))


def runs(entries: Iterable[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Entries of the centre log in order, those of one event together as far as they follow each other.

    What brings rows of other logs or files with it stands alone, because it was decided alone.
    """
    for event, group in groupby(entries, key=lambda entry: entry.record.event):
        most = 1 if event in {"station.entries", "cases.imported"} else REPLAY_ROWS
        while run := list(islice(group, most)):
            yield event, run


_DESCRIBED: Final = (*described({}, 0), "officer", "officer_source")
_READ: Final = "read 读取"
_RESOLVED: Final = ".resolved.json"
_SETTLED: Final = frozenset({"verified", "disposed"})
"""Verdicts that a late answer of the store does not touch."""
_ACTORS: Final[JsonValue] = [{"role": "system", "id": "ingestd"}]


def _any(changes: Import) -> bool:
    return any(getattr(changes, kind) for kind in IMPORTED)


def _stored(row: Row) -> dict[str, JsonValue]:
    return {"id": row["object_id"], "name": row["name"], "size": row["size"], "digests": {"sha256": row["sha256"]}}


def _says(row: Row) -> tuple[object, ...]:
    return (row["leaf"], row["object_id"], row["name"], row["size"], row["sha256"])


def _signed(entry: Entry) -> tuple[object, ...]:
    """What a station signed of a stored object, in the order of ``_says``."""
    stored = entry.record.block("object")
    return (entry.leaf.hex(), stored["id"], stored["name"], stored["size"], object_in(stored, "digests")["sha256"])


def _link_block(link: Link, case: str) -> JsonObject:
    block: dict[str, JsonValue] = {
        "object": link.object_id,
        "action": link.action_id,
        "method": link.method,
        "score": link.score,
        "reasons": list(link.reasons),
        "rule_version": link.rule_version,
    }
    return {**block, "case": case} if case else block


def _flag_block(flag: Flag) -> JsonObject:
    return {
        "id": flag.flag_id,
        "rule": flag.rule,
        "rule_version": flag.rule_version,
        "key": flag.key,
        "action": flag.action_id,
        "case": flag.case,
        "article": flag.article,
        "detail": flag.detail,
        "inputs": flag.inputs,
    }


def _patience_ms(age_ms: int) -> int:
    """How long to wait before asking the store again: a quarter of how long we have waited already, in bounds."""
    return min(max(age_ms // 4, _RECHECK_MIN_MS), _RECHECK_MAX_MS)


def _parts(receipts: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Receipts in parts that fit a message; at least one part, for ``size`` and ``cosigned`` are an answer too."""
    part: list[bytes] = []
    size, bound = 0, MAX_MESSAGE_BYTES - 70_000
    for receipt in receipts:
        if part and (size + len(receipt) > bound or len(part) == MAX_ENTRIES):
            yield tuple(part)
            part, size = [], 0
        part.append(receipt)
        size += len(receipt) + 1
    yield tuple(part)


@lru_cache(maxsize=64)
def _read_catalogue(path: Path, sha256: str) -> Catalogue:
    """A kept catalogue. Raises ``OSError`` and ``ConfigError``."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ConfigError(f"{path}: is not what was kept under its name")
    return catalogue_file.parse(data, str(path))

"""Does what is due: ask each authority, keep what it signs, say so in the centre log, raise or withdraw the flag.

Order: token on disk, then its entry in the log, then the mark. A crash leaves a token without a mark, which the next
round enters into the log; a token is never asked for twice because of it, at worst entered twice.
"""

import base64
import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import structlog

from custody.canonical import JsonObject
from custody.checkpoint import Checkpoint, NoteKey, SignedCheckpoint, parse_note
from custody.errors import CheckpointError, EvidenceError
from ingestd.anchors.decide import ATTEMPTS, Anchored, Schedule, due, newest, overdue, pause_s
from ingestd.anchors.published import PublishedLog
from ingestd.anchors.store import RFC3161, WITNESS, AnchorStore, Kept, slug
from ingestd.anchors.tsa import Tsa, stated_ms
from ingestd.errors import AnchorError, CentreError, TokenError
from ingestd.logfiles import exclusive
from ingestd.model import Flag
from ingestd.receive import passes
from ingestd.rules import anchor_missing
from ingestd.rules.anchor_missing import RULE

EVENT: Final = "checkpoint.anchored"
EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Centre(Protocol):
    """What anchoring needs of the centre (``ingestd.pipeline.Pipeline``)."""

    def checkpoint(self) -> SignedCheckpoint:
        """Sign the centre log as it is."""
        ...

    def record(self, facts: Sequence[tuple[str, JsonObject]]) -> None:
        """Append entries to the centre log."""
        ...

    def settle_flag(self, rule: str, key: str, flag: Flag | None) -> None:
        """Raise the flag, or withdraw it."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to ask, how often, and how a failed attempt is waited out."""

    tsas: Sequence[Tsa]
    witnesses: Sequence[NoteKey]
    schedule: Schedule
    zone: ZoneInfo
    wait: Callable[[float], bool]
    """Waits so many seconds; True when the wait was cut short because everything stops."""
    chance: Callable[[], float] = random.random


@dataclass(slots=True)
class Round:
    """What one round did."""

    anchored: list[Kept] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Authorities whose answer somebody has to bring."""
    failures: list[str] = field(default_factory=list)
    overdue: bool = False

    def as_json(self) -> dict[str, Any]:
        """The object that ``anchors run --json`` prints."""
        return {
            "anchored": [{"size": one.size, "kind": one.kind, "name": one.name} for one in self.anchored],
            "waiting": self.waiting,
            "failures": self.failures,
            "overdue": self.overdue,
        }


class Anchorer:
    """Anchors one centre log; one process at a time does so (``.lock`` beside the anchors)."""

    def __init__(
        self, centre: Centre, log: PublishedLog, store: AnchorStore, plan: Plan, now: Callable[[], int]
    ) -> None:
        self._centre = centre
        self._published = log
        self._store = store
        self._plan = plan
        self._now = now

    def run(self, stop: threading.Event, every_s: float = EVERY_S) -> None:
        """Rounds until ``stop``; a passing failure is left to the next, any other is raised."""
        while not stop.is_set():
            try:
                self.round()
            except (CentreError, OSError) as error:
                if not passes(error):
                    raise
                _log.warning("anchors-wait", error=str(error))
            stop.wait(every_s)

    def round(self, *, force: bool = False) -> Round:
        """Take what was brought, ask whoever is due (everybody, with ``force``), and judge the age."""
        with exclusive(self._store.folder / ".lock"):
            return self._round(force=force)

    def _round(self, *, force: bool) -> Round:
        done = Round()
        self._log_unlogged()
        for tsa in self._plan.tsas:
            self._attempt(done, partial(self._collect, done, tsa))
        signed = self._centre.checkpoint()
        for tsa in self._plan.tsas:
            if self._is_due(tsa, signed.checkpoint.size, force=force):
                self._attempt(done, partial(self._ask, done, tsa, signed))
        done.overdue = self._settle_age(signed.checkpoint.origin)
        return done

    def add_witness(self, note: bytes, centre_keys: Sequence[NoteKey]) -> list[Kept]:
        """Keep a note that witnesses cosigned. Raises ``TokenError`` unless it vouches for this log as it is now."""
        signed, times = cosigned(note, centre_keys, self._plan.witnesses)
        self._compare(signed.checkpoint)
        with exclusive(self._store.folder / ".lock"):
            self._store.put_checkpoint(signed.checkpoint.size, signed.note)
            kept = [self._store.put(signed.checkpoint.size, WITNESS, name, note) for name in times]
            self._log_unlogged()
            self._settle_age(signed.checkpoint.origin)
        return kept

    def _attempt(self, done: Round, work: Callable[[], None]) -> None:
        """A failure of one authority is told and leaves the others alone."""
        try:
            work()
        except (AnchorError, TokenError) as error:
            _log.warning("anchor-failed", error=str(error))
            done.failures.append(str(error))

    def _collect(self, done: Round, tsa: Tsa) -> None:
        for size, token in tsa.replies():
            try:
                tsa.trust.check(token, self._asked(tsa, size))
            except TokenError:
                tsa.settle(size, accepted=False)
                raise
            self._keep(done, tsa, size, token)
            tsa.settle(size, accepted=True)

    def _asked(self, tsa: Tsa, size: int) -> bytes:
        note = self._store.checkpoint(size)
        if note is None:
            raise TokenError(f"{tsa.name}: an answer about {size} entries that nobody asked for")
        return note

    def _ask(self, done: Round, tsa: Tsa, signed: SignedCheckpoint) -> None:
        size, note = signed.checkpoint.size, self._store.put_checkpoint(signed.checkpoint.size, signed.note)
        token = self._patiently(tsa, size, note)
        if token is None:
            done.waiting.append(tsa.name)
        else:
            self._keep(done, tsa, size, token)

    def _patiently(self, tsa: Tsa, size: int, note: bytes) -> bytes | None:
        for attempt in range(ATTEMPTS - 1):
            try:
                return tsa.ask(size, note)
            except AnchorError as error:
                _log.info("anchor-attempt-failed", attempt=attempt, error=str(error))
                if self._plan.wait(pause_s(attempt, self._plan.chance())):
                    raise
        return tsa.ask(size, note)

    def _keep(self, done: Round, tsa: Tsa, size: int, token: bytes) -> None:
        done.anchored.append(self._store.put(size, RFC3161, tsa.name, token))
        self._log_unlogged()

    def _log_unlogged(self) -> None:
        unlogged = self._store.unlogged()
        if unlogged:
            self._centre.record([(EVENT, {"anchor": _block(one, self._plan.witnesses)}) for one in unlogged])
            for one in unlogged:
                self._store.mark_logged(one)

    def _is_due(self, tsa: Tsa, size: int, *, force: bool) -> bool:
        mine = (one for one in self._store.kept() if (one.kind, one.name) == (RFC3161, tsa.name))
        last = newest(Anchored(one.size, one.kept_ms()) for one in mine)
        asked_ms = tsa.asked_ms(last.size if last else 0)
        if asked_ms is not None and self._now() - asked_ms < self._plan.schedule.every_ms:
            return False
        return size > (last.size if last else 0) if force else due(self._plan.schedule, last, size, self._now())

    def _settle_age(self, origin: str) -> bool:
        last = newest(Anchored(one.size, vouched_ms(one, self._plan.witnesses)) for one in self._store.kept())
        began_ms = None if last else self._published.began_ms()
        late = overdue(self._plan.schedule, last, self._now() if began_ms is None else began_ms, self._now())
        self._centre.settle_flag(RULE.rule_id, origin, self._flag(origin, last) if late else None)
        return late

    def _flag(self, origin: str, last: Anchored | None) -> Flag:
        max_age_s = self._plan.schedule.max_age_ms // 1000
        last_ms, last_size = (last.utc_ms, last.size) if last else (None, 0)
        return anchor_missing(origin, last_ms, last_size, max_age_s, self._plan.zone)

    def _compare(self, vouched: Checkpoint) -> None:
        found = self._published.root_at(vouched.size)
        if found is None:
            raise TokenError(f"{vouched.size} entries were vouched for, the log has fewer: it was truncated")
        if found != vouched.root:
            raise TokenError(f"the first {vouched.size} entries are not those that were vouched for")


def cosigned(
    note: bytes, centre_keys: Sequence[NoteKey], witnesses: Sequence[NoteKey]
) -> tuple[SignedCheckpoint, dict[str, int]]:
    """A cosigned note without its cosignatures, and which witnesses signed when, in seconds.

    The centre must have signed it too: a witness vouches for our checkpoint, it does not make one. Raises
    ``TokenError`` with the finding.
    """
    try:
        signed = parse_note(note)
        signed.verify(centre_keys)
        times = signed.verify(witnesses)
        if signed.checkpoint.origin not in {key.name for key in centre_keys}:
            raise CheckpointError(f"this is a checkpoint of {signed.checkpoint.origin}", "log-forked")
    except EvidenceError as error:
        raise TokenError(str(error), error.finding) from error
    ours = {key.name for key in centre_keys}
    lines = [line for line in note.split(b"\n") if line.startswith("\u2014 ".encode())]
    kept = [line for line in lines if line.split(b" ")[1].decode() in ours]
    bare = signed.checkpoint.body() + b"\n" + b"".join(line + b"\n" for line in kept)
    return parse_note(bare), times


def vouched_ms(one: Kept, witnesses: Sequence[NoteKey]) -> int:
    """When an anchor states that it was made; 0, long ago, when it cannot be read or its witness is unknown."""
    try:
        if one.kind == RFC3161:
            return stated_ms(one.path.read_bytes())
        times = parse_note(one.path.read_bytes()).verify(witnesses)
    except (TokenError, EvidenceError):
        return 0
    return 1000 * next((time_s for name, time_s in times.items() if slug(name) == one.name), 0)


def _block(one: Kept, witnesses: Sequence[NoteKey]) -> JsonObject:
    checkpoint = parse_note(one.checkpoint.read_bytes()).checkpoint
    return {
        "kind": one.kind,
        "name": next((key.name for key in witnesses if slug(key.name) == one.name), one.name),
        "size": one.size,
        "root": base64.b64encode(checkpoint.root).decode(),
        "sha256": hashlib.sha256(one.path.read_bytes()).hexdigest(),
        "utc_ms": vouched_ms(one, witnesses),
    }

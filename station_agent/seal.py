"""Facts become entries: the one writer of the station log.

Threads that seal at the same moment share one write and one fsync: whoever gets the writer's lock writes for all that
wait. The order inside the log is therefore the order of that one writer. Each write is followed by the journal's
transaction, so an entry that is announced to anybody is durable in both.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from custody.canonical import JsonObject
from custody.chain import Entry
from custody.checkpoint import Checkpoint, SignedCheckpoint
from custody.errors import ContractError, CustodyError
from custody.identifiers import station_of, uuid7
from custody.keyring import ENROLLED, KeyHistory
from custody.log import Log, LogFiles
from custody.record import Draft, compose
from custody.signer import Signer
from keystore import OwnKeys
from keystore.succession import Holders
from station_agent.errors import AgentError, JournalError, LogFilesError
from station_agent.journal import Journal
from station_agent.ports import Clock

Fact = tuple[str, JsonObject]
"""Event and body of an entry to come."""


MAX_PAYLOAD_BYTES: Final = 48_000
"""Largest payload whose entry, base64 with one signature, stays within ``custody.envelope.MAX_ENTRY_BYTES``."""


def new_id(utc_ms: int) -> str:
    """A fresh UUIDv7."""
    return uuid7(utc_ms, os.urandom(10))


def agent_version() -> str:
    """Version of this program as installed."""
    try:
        return version("bodycam-custody")
    except PackageNotFoundError:
        return "0"


_AGENT: Final = agent_version()
_SEEN: Final = "centre_seen"
"""Name of the block in entries, and of the journal's fact."""


@dataclass(slots=True)
class _Request:
    drafts: list[Draft]
    entries: list[Entry] = field(default_factory=list)
    done: bool = False


class Seal:
    """The station log with its journal. Safe for use by several threads.

    After an error of the medium the log's tail is unknown: every later call raises ``LogFilesError`` until the agent
    has been started again.
    """

    def __init__(  # noqa: PLR0913  # the composition root names every part
        self,
        files: LogFiles,
        origin: str,
        signer: Signer,
        clock: Clock,
        journal: Journal,
        second: Signer | None = None,
        holders: Holders = lambda _keys: (),
    ) -> None:
        """Open the log and bring the journal up to it. Raises ``EvidenceError`` for a log that contradicts itself.

        ``second`` is the SM2 signer of a log in profile ``gm``; ``holders`` finds those that the log has gone over to,
        or ``KeystoreError`` is raised.
        """
        self._own = OwnKeys(files, origin, [signer, second] if second else [signer], holders)
        self._clock = clock
        self._journal = journal
        self._waiting: list[_Request] = []
        self._waiting_lock = threading.Lock()
        self._writer = threading.Lock()
        self._broken = ""
        self._centre_seen = _remembered(journal.fact(_SEEN))
        first, *later = self._own.succession()
        self._log = Log(files, origin, first.keys, later)
        self._signers = self._own.signers(self._log.history.current)
        self._replay()
        self.found_time = self._log.entry(self.size - 1).record.block("time") if self.size else None
        """The ``time`` of the entry that was the newest when the log was opened; None in an empty log."""
        if self._log.torn_bytes:
            self.append("log.recovered", {"reason": f"half an entry of {self._log.torn_bytes} bytes was cut off"})

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._log.origin

    @property
    def size(self) -> int:
        """Number of durable entries."""
        return self._log.size

    @property
    def history(self) -> KeyHistory:
        """Whose keys signed what so far, and whose sign now."""
        return self._log.history

    def hand_over(self, signers: Sequence[Signer], body: JsonObject) -> None:
        """The keys of now sign that ``signers`` follow; from the next entry on those sign. Durable when this returns.

        After a crash the log says which of the two it was.
        """
        with self._writer:
            self._check()
            keys = self._own.add(signers)
            self._log.approve(self._own.succession())
            draft = self._draft(ENROLLED, {"key": keys.block(), "replaces": self.history.current.block(), **body})
            self._write([draft])
            self._signers = self._own.signers(self.history.current)

    @property
    def root(self) -> str:
        """Root hash over all entries, hex."""
        return self._log.chain.root().hex()

    def append(self, event: str, body: JsonObject) -> Entry:
        """Seal one fact; durable in log and journal when this returns."""
        return self.append_all([(event, body)])[0]

    def append_all(self, facts: Sequence[Fact]) -> list[Entry]:
        """Seal facts in this order, next to each other, sharing one durable write with whoever else is waiting.

        Raises ``ContractError`` for a body that no reader would take; nothing is written then.
        """
        request = _Request([self._draft(event, body) for event, body in facts])
        with self._waiting_lock:
            self._waiting.append(request)
        with self._writer:
            if not request.done:
                self._write_waiting()
        return request.entries

    @property
    def centre_seen(self) -> Checkpoint | None:
        """The newest checkpoint of the centre's log that was verified here, or None before the first."""
        return self._centre_seen

    def see(self, checkpoint: Checkpoint) -> None:
        """Remember a checkpoint of the centre's log, durably; entries from now on name it, so they are no older."""
        self._journal.set_fact(_SEEN, json.dumps(_seen_block(checkpoint)))
        self._centre_seen = checkpoint

    def require_fit(self, event: str, body: JsonObject) -> None:
        """Raise ``ContractError`` when ``append`` would."""
        self._draft(event, body)

    def checkpoint(self) -> SignedCheckpoint:
        """Sign the present state, durably."""
        return self.checkpoints()[0]

    def checkpoints(self) -> tuple[SignedCheckpoint, SignedCheckpoint | None]:
        """Sign the present state, durably: the checkpoint and, in profile ``gm``, the SM3 one of the same size."""
        with self._writer:
            self._check()
            try:
                return self._log.checkpoint(*self._signers), self._log.latest_second
            except OSError as error:
                raise self._break(error) from error
            except AgentError as error:
                self._broken = str(error)
                raise

    @property
    def latest(self) -> SignedCheckpoint | None:
        """The newest checkpoint, or None before the first."""
        return self._log.latest

    def entries(self, first: int) -> list[Entry]:
        """All durable entries from ``first`` on, read from the medium; for the rare centre that lost some."""
        with self._writer:
            return list(self._log.entries(first))

    def read(self, first: int) -> Iterator[Entry]:
        """The entries from ``first`` on that are durable now, one at a time, while others go on writing."""
        return self._log.entries(first)

    def root_at(self, size: int) -> bytes:
        """Root of our log when it had ``size`` entries."""
        return self._log.root_at(size)

    def _write_waiting(self) -> None:
        with self._waiting_lock:
            requests, self._waiting = self._waiting, []
        self._check()
        entries = self._write([draft for request in requests for draft in request.drafts])
        for request in requests:
            request.entries, entries = entries[: len(request.drafts)], entries[len(request.drafts) :]
            request.done = True

    def _write(self, drafts: Sequence[Draft]) -> list[Entry]:
        try:
            entries = self._log.append(drafts, self._signers)
            self._journal.remember(entries)
        except OSError as error:
            raise self._break(error) from error
        except (AgentError, CustodyError) as error:
            self._broken = str(error)
            raise
        return entries

    def _check(self) -> None:
        if self._broken:
            raise LogFilesError(f"the log must be opened anew after: {self._broken}")

    def _break(self, error: OSError) -> LogFilesError:
        self._broken = str(error)
        return LogFilesError(f"{self.origin}: {error}")

    def _replay(self) -> None:
        known = self._journal.applied
        if known > self._log.size:
            raise JournalError(
                f"{self.origin}: the journal knows {known} entries, the log holds {self._log.size}: "
                "log and journal are not of one station, or the log was cut"
            )
        if known and self._log.entry(known - 1).leaf.hex() != self._journal.last_leaf:
            raise JournalError(f"{self.origin}: entry {known - 1} is not the one the journal knows")
        if known < self._log.size:
            self._journal.remember(list(self._log.entries(known)))

    def _draft(self, event: str, body: JsonObject) -> Draft:
        now = self._clock.now()
        station = {"id": station_of(self._log.origin), "agent": _AGENT}
        seen: JsonObject = {"centre_seen": _seen_block(self._centre_seen)} if self._centre_seen else {}
        draft = Draft(event, new_id(now.utc_ms), dict(now.block()), {"station": station, **seen, **body})
        # Tried alone first, so that one bad body cannot spoil the write it would share with others.
        size = len(compose(draft, self.origin, 0, ""))
        if size > MAX_PAYLOAD_BYTES:
            raise ContractError(f"{event}: a payload of {size} bytes exceeds {MAX_PAYLOAD_BYTES}")
        return draft


def _seen_block(checkpoint: Checkpoint) -> JsonObject:
    root = base64.b64encode(checkpoint.root).decode()
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": root}


def _remembered(fact: str) -> Checkpoint | None:
    if not fact:
        return None
    block = json.loads(fact)
    return Checkpoint(block["origin"], block["size"], base64.b64decode(block["root"]))

"""Looks after a store that is no folder of this machine: proves it before evidence goes there, and reads it back.

An outcome of the proof stands in the log (``store.proved``) and in the journal, with the digest of the settings it is
about. A kept one holds until they change; a broken one is tried again, by each start and then once an hour, because
what is mended in the store changes no setting of ours.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Protocol

import structlog

from custody.canonical import JsonObject, JsonValue, canonical_bytes
from station_agent.bucket import Bucket
from station_agent.config import Store
from station_agent.erase import LockPolicy, Shown, Stored, unlocked
from station_agent.errors import StoreProofError
from station_agent.journal import Journal
from station_agent.ports import Clock
from station_agent.seal import Fact, new_id
from station_agent.store_proof import Broken, Promise, Writer, prove

FACT: Final = "store-proof"
"""Name of the journal's fact."""
AGAIN_MS: Final = 3_600_000
"""A broken store is asked again after this long."""
PLACES: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID")
"""What of the environment says which store it is; nothing secret."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of a proof, and of which settings."""

    url: str
    config_sha256: str
    lock_days: int
    broken: tuple[Broken, ...]
    at_ms: int

    @property
    def is_kept(self) -> bool:
        """Whether the store kept every promise."""
        return not self.broken

    def sentence(self) -> str:
        """For people, Chinese first."""
        if self.is_kept:
            return f"{self.url}: 保留锁已证明有效 · the store proved that it keeps its retention locks"
        why = "; ".join(map(str, self.broken))
        return f"{self.url}: 保留锁未获证明，不清除任何记录仪 · nothing is erased, the store broke a promise: {why}"

    def facts(self) -> Fact:
        """The entry that says so."""
        broken: list[JsonValue] = [{"promise": str(one.promise), "detail": one.detail} for one in self.broken]
        settings: JsonObject = {"url": self.url, "config_sha256": self.config_sha256, "lock_days": self.lock_days}
        result = "kept" if self.is_kept else "broken"
        return "store.proved", {"store": {**settings, "broken": broken}, "result": result}


class Sealer(Protocol):
    """Who writes entries."""

    def append(self, event: str, body: JsonObject) -> object:
        """One entry, durable when this returns."""
        ...


class Warden:
    """Satisfies ``followup.FarStore`` and ``emptying.Locks``. Safe for use by several threads.

    Raises ``StoreError`` where the store does not answer: then nothing is known of it, and nothing goes there.
    """

    def __init__(  # noqa: PLR0913  # the rooms it connects
        self,
        settings: Store,
        shelf: Writer,
        journal: Journal,
        seal: Sealer,
        clock: Clock,
        bucket: Callable[[str], Bucket] = Bucket,
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._journal = journal
        self._seal = seal
        self._clock = clock
        self._open = bucket
        self._bucket: Bucket | None = None
        self._tried_ms: int | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Prove the store, where a lock is wanted and this was not done with these settings."""
        if self._settings.require_lock:
            self.proof()

    def found(self, object_id: str, name: str) -> JsonObject:
        """What the store gives back, read in full, and what it shows of the lock."""
        size, sha256 = self._shelf.size(name), self._shelf.digest(name)
        found: JsonObject = {"size": size or 0, "sha256": sha256}
        if not self._settings.require_lock:
            return found
        shown = self.shown(name)
        why = unlocked(Stored(size or 0, sha256, shown), object_id, self.policy())
        if why:
            _log.warning("stored-without-lock", object=object_id, reason=str(why))
        return {**found, "lock": shown.block() if shown else {}, "unlocked": str(why or "")}

    def policy(self) -> LockPolicy:
        """What a lock must be, and whether this store proved itself."""
        proof = self.proof()
        return LockPolicy(self._settings.lock_days, proof.is_kept, self._clock.now().utc_ms)

    def shown(self, name: str) -> Shown | None:
        """What the store shows of an object now."""
        return self._opened().shown(name)

    def proof(self) -> Proof:
        """The outcome that holds; proved now where none does, and said in the log when it is news."""
        with self._lock:
            known, now_ms = remembered_proof(self._journal), self._clock.now().utc_ms
            if known and known.config_sha256 == config_digest(self._settings) and self._holds(known, now_ms):
                return known
            proof = proof_of(self._settings, self._shelf, self._opened(), now_ms)
            self._tried_ms = now_ms
            if known is None or known.facts() != proof.facts():
                self._seal.append(*proof.facts())
            remember_proof(self._journal, proof)
            _log.info("store-proved", kept=proof.is_kept, said=proof.sentence())
            return proof

    def _holds(self, known: Proof, now_ms: int) -> bool:
        return known.is_kept or (self._tried_ms is not None and now_ms - self._tried_ms < AGAIN_MS)

    def _opened(self) -> Bucket:
        if self._bucket is None:
            self._bucket = self._open(self._settings.url)
        return self._bucket


def proof_of(settings: Store, writer: Writer, bucket: Bucket, now_ms: int) -> Proof:
    """Prove a store now. Raises ``StoreError`` where it does not answer."""
    broken = prove(writer, bucket, new_id(now_ms), settings.lock_days, now_ms)
    return Proof(settings.url, config_digest(settings), settings.lock_days, tuple(broken), now_ms)


def required(proof: Proof) -> str:
    """What is said of a kept proof. Raises ``StoreProofError`` for a broken one."""
    if not proof.is_kept:
        raise StoreProofError(proof.sentence())
    return proof.sentence()


def config_digest(settings: Store) -> str:
    """SHA-256 (hex) of what says which store it is and what is wanted of it."""
    places = {name: os.environ.get(name, "") for name in PLACES}
    told: JsonObject = {"url": settings.url, "lock_days": settings.lock_days, **places}
    return hashlib.sha256(canonical_bytes(told)).hexdigest()


def remember_proof(journal: Journal, proof: Proof) -> None:
    """Keep the outcome of now; it replaces any of before."""
    journal.set_fact(FACT, json.dumps(asdict(proof), ensure_ascii=False))


def forget_proof(journal: Journal) -> None:
    """No lock is wanted any more."""
    if journal.fact(FACT):
        journal.set_fact(FACT, "")


def remembered_proof(journal: Journal) -> Proof | None:
    """The outcome that the journal remembers, whatever settings it is of."""
    text = journal.fact(FACT)
    if not text:
        return None
    fields = json.loads(text)
    broken = tuple(Broken(Promise(one["promise"]), one["detail"]) for one in fields["broken"])
    return Proof(fields["url"], fields["config_sha256"], fields["lock_days"], broken, fields["at_ms"])

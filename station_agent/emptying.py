"""The step that empties a docked recorder, and what is told of it.

    examined (read-only) → intention journalled → erase process → listed again (read-only) → camera.erased

``camera.erased`` names what was to be erased and is not on the recorder any more: what a listing shows, never what
somebody reported. The intention outlives a pulled recorder and a killed station; the next docking of this recorder
settles it.
"""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from custody.canonical import JsonObject
from custody.signer import VerifyKey
from station_agent import recorders
from station_agent.config import Policy
from station_agent.docking import Docking, identity_of, recordable, recorded_path
from station_agent.durable import make_dirs, replace_file
from station_agent.erase import (
    DONE,
    WORDS,
    Candidate,
    Decision,
    Forbidden,
    LockPolicy,
    Plan,
    Sealed,
    Shown,
    Stored,
    Wanted,
    erasable,
)
from station_agent.errors import CopyError, JournalError, MountError, StoreError
from station_agent.journal import Clip, Journal
from station_agent.model import MountedVolume, SourceFile
from station_agent.mount import mount_point
from station_agent.pipeline import Copier, Reader
from station_agent.seal import Seal
from station_agent.states import BayState, ClipState
from station_agent.status import Board

BATCH_OBJECTS: Final = 50
"""Objects in one ``camera.erased``: with their receipts they fit into an entry several times."""
LOOK_S: Final = 1.0
"""Pause between looks for a recorder to be emptied."""
ORDER, ANSWER = ".order", ".answer"
"""Suffixes of an order of a person's and of the station's answer to it."""
UNIDENTIFIED: Final = "the recorder cannot be told from others by its serial and volume id"
NEVER_MOUNTED: Final = (
    "a volume that was read without being mounted is never erased: "
    "freeing clusters by structures that no driver trusts could destroy files that they do not show"
)
MISSED: Final = "the erasure was interrupted; these files are not on the recorder at its next listing"

_log = structlog.get_logger(__name__)


class Locks(Protocol):
    """What is asked of a store where a retention lock is wanted. Raises ``StoreError``."""

    def policy(self) -> LockPolicy:
        """What a lock must be, and whether the store has proved that it keeps one."""
        ...

    def shown(self, name: str) -> Shown | None:
        """What the store shows of an object now."""
        ...


class Shelf(Protocol):
    """What is asked of the evidence store. Raises ``StoreError``."""

    def size(self, name: str) -> int | None:
        """Size of a stored object in bytes, or None."""
        ...

    def digest(self, name: str) -> str:
        """SHA-256 of its bytes, read back in full; empty when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants which recorder emptied. ``by`` is empty when the policy does."""

    by: str = ""
    bay: int = 0
    serial: str = ""
    dry_run: bool = False

    def means(self, docking: Docking) -> bool:
        """Whether it is about this docked recorder."""
        event = docking.event
        return event.bay == self.bay if self.bay else bool(self.serial) and event.identity.serial == self.serial

    @property
    def why(self) -> JsonObject:
        """The ``reason`` and ``actors`` of ``camera.erased``."""
        actor = {"role": "person", "id": self.by} if self.by else {"role": "station", "id": "policy"}
        return {"reason": str(Policy.MANUAL if self.by else Policy.AFTER_RECEIPT), "actors": [actor]}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order. ``gone`` are the object ids that are not on the recorder any more."""

    decisions: Sequence[Decision]
    gone: frozenset[str] = frozenset()
    problem: str = ""

    def block(self) -> dict[str, Any]:
        """The answer to an order; complete when nothing that may be erased is left."""
        wanted = {d.candidate.sealed.object_id for d in self.decisions if d.basis and d.candidate.sealed}
        return {
            "erased": sorted(self.gone),
            "left": sorted(wanted - self.gone),
            "problem": self.problem,
            "files": [_told(decision) for decision in self.decisions],
        }


class Emptying:
    """Empties recorders whose reading is over. One at a time: it is never urgent."""

    def __init__(  # noqa: PLR0913  # the rooms it connects
        self,
        journal: Journal,
        seal: Seal,
        copier: Copier,
        reader: Reader,
        board: Board,
        shelf: Shelf,
        mounts: Path,
        zone: str,
        centre_log: str,
        keys: Collection[VerifyKey],
        argv: Sequence[str] = (sys.executable, "-m", "station_agent.erase"),
        locks: Locks | None = None,
    ) -> None:
        """``keys`` are the pinned keys of ``centre_log``; ``argv`` starts the erase process.

        Without ``locks`` no retention lock is wanted.
        """
        self._journal = journal
        self._seal = seal
        self._copier = copier
        self._reader = reader
        self._board = board
        self._shelf = shelf
        self._mounts = mounts
        self._zone = zone
        self._centre_log = centre_log
        self._keys = keys
        self._argv = argv
        self._locks = locks

    def empty(self, docking: Docking, order: Order) -> Outcome:
        """Examine a recorder and erase what may be erased; only tell it when the order is a dry run.

        A recorder that shares its name with another, or that cannot be mounted, is left alone with a sentence.
        """
        if not docking.is_known:
            return Outcome((), problem=UNIDENTIFIED)
        if not isinstance(docking.root, Path):
            return Outcome((), problem=NEVER_MOUNTED)
        decisions: Sequence[Decision] = ()
        try:
            decisions = self._examined(docking)
            allowed = [decision for decision in decisions if decision.basis]
            if order.dry_run or not allowed:
                return Outcome(decisions)
            self._journal.intend_erasure(docking.key, dict(_intention(decision, order) for decision in allowed))
        except (MountError, StoreError) as error:
            return Outcome(decisions, problem=str(error))
        return self._emptied(docking, decisions)

    def _emptied(self, docking: Docking, decisions: Sequence[Decision]) -> Outcome:
        """The act and what is told of it; when the recorder was pulled in it, the next docking tells."""
        self._board.show(docking.id, BayState.ERASING)
        problem = self._erase(docking, [decision for decision in decisions if decision.basis])
        if docking.gone.is_set():
            return Outcome(decisions, problem=f"the recorder was pulled; {problem}")
        try:
            gone = self._settled(docking, problem)
        except MountError as error:
            self._board.show(docking.id, BayState.ERROR)
            return Outcome(decisions, problem=f"{problem}; {error}")
        self._board.show(docking.id, state_after(decisions), [f"erased:{len(gone)}"])
        return Outcome(decisions, gone, problem)

    def _examined(self, docking: Docking) -> list[Decision]:
        with self._mounted(docking) as volume:
            clips = self._journal.clips(docking.key)
            files = self._files(volume)
            footage = recorders.footage(self._reader.recordings(files, docking.card))
            found = [
                self._candidate(volume, file, clips.get(identity_of(file)), is_footage=file.path in footage)
                for file in files
            ]
        return erasable(found, self._centre_log, self._keys, self._locks.policy() if self._locks else None)

    @contextmanager
    def _mounted(self, docking: Docking) -> Iterator[MountedVolume]:
        with self._reader.mounted(docking.event) as volume:
            if not isinstance(volume.root, Path):
                raise MountError(NEVER_MOUNTED)
            yield volume

    def _files(self, volume: MountedVolume) -> list[SourceFile]:
        try:
            return [recordable(file) for file in self._reader.list_files(volume)]
        except OSError as error:
            raise MountError(f"{volume.node} was mounted and cannot be listed: {error.strerror}") from error

    def _candidate(self, volume: MountedVolume, file: SourceFile, clip: Clip | None, *, is_footage: bool) -> Candidate:
        if file.refused or clip is None or clip.state is not ClipState.SEALED or clip.seq is None:
            return Candidate(file, "", None, None, None, is_footage)
        sealed, receipt = sealed_in(self._seal, clip.seq), self._journal.receipt(clip.object_id)
        if receipt is None or not is_footage:
            return Candidate(file, "", sealed, receipt, None, is_footage)
        read = ""
        with suppress(CopyError):  # said as a file that could not be read
            read = self._copier.digest(volume.root, file.path, lambda _done, _phase: None)
        return Candidate(file, read, sealed, receipt, self._stored(sealed.name), is_footage)

    def _stored(self, name: str) -> Stored | None:
        size = self._shelf.size(name)
        if size is None:
            return None
        return Stored(size, self._shelf.digest(name), self._locks.shown(name) if self._locks else None)

    def _erase(self, docking: Docking, allowed: Sequence[Decision]) -> str:
        """Run the erase process; returns what went wrong, empty when it said that all is done."""
        files = [_wanted(decision) for decision in allowed]
        with mount_point(docking.event, self._mounts) as target:
            plan = Plan(docking.event, target, self._zone, files)
            done = subprocess.run(self._argv, input=plan.encode(), capture_output=True, check=False)
        lines = done.stdout.decode().splitlines()
        for line in lines:
            _log.info("erase", bay=docking.event.bay, said=line)
        if lines[-1:] == [DONE] and done.returncode == 0:
            return ""
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return f"the erase process ended with {done.returncode}: {said[-1] if said else 'it was killed'}"

    def _settled(self, docking: Docking, problem: str) -> frozenset[str]:
        """List the recorder again and tell what is gone; a recorder that cannot be listed is settled when docked."""
        with self._mounted(docking) as volume:
            return settle(self._journal, self._seal, docking, self._files(volume), note=problem)


def settle(
    journal: Journal, seal: Seal, docking: Docking, files: Iterable[SourceFile], note: str = MISSED
) -> frozenset[str]:
    """Seal ``camera.erased`` for what was to be erased and is not among ``files``; forget the rest of the intention.

    Of a recorder that cannot be told from another, or whose volume could not be mounted, nothing is told. What lies
    where the listing could not look may still be there: it goes on being intended, and another docking tells.
    """
    if not docking.is_known or not isinstance(docking.root, Path):
        return frozenset()
    listed = list(files)
    intended = journal.intended_erasure(docking.key)
    present = {identity_of(file) for file in listed}
    unseen = [file.path for file in listed if file.refused]
    absent = {one: body for one, body in intended.items() if _identity(body) not in present}
    hidden = {one for one, body in absent.items() if _is_below(_identity(body)[0], unseen)}
    gone = {one: body for one, body in absent.items() if one not in hidden}
    ids = sorted(gone)
    for first in range(0, len(ids), BATCH_OBJECTS):
        seal.append(
            "camera.erased", _erased_body(docking, [gone[one] for one in ids[first : first + BATCH_OBJECTS]], note)
        )
    if intended and not hidden:
        journal.forgo_erasure(docking.key)
        _log.info("erasure-settled", bay=docking.event.bay, intended=len(intended), gone=len(gone))
    return frozenset(gone)


def sealed_in(seal: Seal, seq: int) -> Sealed:
    """What the station's log says at ``seq``, read from its medium. Raises ``JournalError`` for another event."""
    entry = next(seal.read(seq), None)
    if entry is None or entry.record.event != "ingest.copied":
        raise JournalError(f"{seal.origin}: entry {seq} is not the ingest.copied that the journal remembers")
    stored = entry.record.block("object")
    digests = stored["digests"]
    sha256 = str(digests["sha256"]) if isinstance(digests, Mapping) else ""
    return Sealed(
        str(stored["id"]), str(stored["name"]), int(str(stored["size"])), sha256, seal.origin, seq, entry.leaf.hex()
    )


class Orders:
    """Orders of people, handed over as files: the station alone holds the recorder and the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def give(self, order: Order, number: str) -> Path:
        """Leave an order; returns where the answer will be. Raises ``OSError``."""
        make_dirs(self._folder)
        replace_file(self._folder / f"{number}{ORDER}", json.dumps(asdict(order)).encode())
        return self._folder / f"{number}{ANSWER}"

    def forget(self) -> None:
        """Orders that nobody carried out when they were given: another recorder may be in the bay by now."""
        for path in self._folder.glob(f"*{ORDER}"):
            path.unlink()

    def answer(self, carry_out: Callable[[Order], dict[str, Any]]) -> None:
        """Carry out each order that waits. It is taken away first: one that kills the station is not tried again."""
        for path in sorted(self._folder.glob(f"*{ORDER}")) if self._folder.is_dir() else ():
            try:
                order = Order(**json.loads(path.read_bytes()))
                path.unlink()
            except FileNotFoundError:
                continue  # taken back
            except (ValueError, TypeError, OSError) as error:
                _log.warning("order-refused", path=str(path), reason=str(error))
                path.unlink()
                continue
            replace_file(path.with_suffix(ANSWER), json.dumps(carry_out(order)).encode())


class Steward:
    """Looks after the docked recorders: empties them by policy or by order."""

    def __init__(
        self, emptying: Emptying, policy: Policy, orders: Orders, resting: Callable[[], list[Docking]], journal: Journal
    ) -> None:
        """``resting`` gives the recorders whose reading is over and that are still in their bays."""
        self._emptying = emptying
        self._policy = policy
        self._orders = orders
        self._resting = resting
        self._journal = journal
        self._over: set[str] = set()
        """Dockings that the policy was applied to: once each."""

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. Orders of before the start count no more."""
        self._orders.forget()
        while not stop.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Carry out what waits."""
        self._orders.answer(self._ordered)
        if self._policy is not Policy.AFTER_RECEIPT:
            return
        for docking in self._resting():
            if docking.id not in self._over and not docking.failed and self._journal.open_for(docking.key) == 0:
                self._over.add(docking.id)
                outcome = self._emptying.empty(docking, Order())
                _log.info("emptied", bay=docking.event.bay, gone=len(outcome.gone), problem=outcome.problem)

    def _ordered(self, order: Order) -> dict[str, Any]:
        meant = [docking for docking in self._resting() if order.means(docking)]
        if self._policy is Policy.NEVER and not order.dry_run:
            return Outcome((), problem="[erase] policy is never").block()
        if len(meant) != 1 or not (order.by or order.dry_run):
            problem = f"{len(meant)} recorders that were read to the end and are nobody's question are meant;"
            problem += " exactly one is needed, and a name"
            return Outcome((), problem=problem).block()
        return self._emptying.empty(meant[0], order).block()


def _intention(decision: Decision, order: Order) -> tuple[str, JsonObject]:
    sealed, basis = decision.candidate.sealed, decision.basis
    if sealed is None or basis is None:
        raise ValueError("only a file with a basis can be meant to be erased")
    file = decision.candidate.file
    source: JsonObject = {
        "path_b64": base64.b64encode(recorded_path(file)).decode(),
        "size": file.size,
        "mtime_ms": file.mtime_ms,
    }
    stored: JsonObject = {
        "id": sealed.object_id,
        "name": sealed.name,
        "size": sealed.size,
        "digests": {"sha256": sealed.sha256},
    }
    shown = decision.candidate.stored.shown if decision.candidate.stored else None
    lock: JsonObject = {"lock": shown.block()} if shown else {}
    return sealed.object_id, {**source, "object": stored, "receipt": basis.block(), **lock, **order.why}


def _is_below(path: bytes, places: Iterable[bytes]) -> bool:
    """Whether a path is one of ``places`` or lies in one; an empty place is the root."""
    return any(not place or path == place or path.startswith(place + b"/") for place in places)


def _identity(body: JsonObject) -> tuple[bytes, int, int]:
    """``identity_of`` the file that was to be erased."""
    return base64.b64decode(str(body["path_b64"])), int(str(body["size"])), int(str(body["mtime_ms"]))


def _wanted(decision: Decision) -> Wanted:
    file = decision.candidate.file
    return Wanted(file.path, file.size, file.mtime_ns, decision.candidate.read_sha256)


def _erased_body(docking: Docking, intended: Sequence[JsonObject], note: str) -> JsonObject:
    locks = [one.get("lock") for one in intended]
    return {
        "camera": docking.camera(),
        "volume_uuid": docking.event.identity.volume_uuid,
        "objects": [one["object"] for one in intended],
        "receipts": [one["receipt"] for one in intended],
        **({"locks": locks} if None not in locks else {}),
        "reason": intended[0]["reason"],
        "actors": intended[0]["actors"],
        "note": note,
    }


def _told(decision: Decision) -> dict[str, Any]:
    sealed, forbidden = decision.candidate.sealed, decision.forbidden
    return {
        "path": decision.candidate.file.printable,
        "object": sealed.object_id if sealed else None,
        "may_be_erased": "yes" if decision.basis else "no",
        "reason": str(forbidden or ""),
        "words": words_of(forbidden),
    }


def state_after(decisions: Iterable[Decision]) -> BayState:
    """The word for an emptied recorder: one that still has a file nobody could seal goes on calling for help."""
    unsealed = [d for d in decisions if d.forbidden is Forbidden.NEVER_SEALED and not d.candidate.file.refused]
    return BayState.ERROR if unsealed else BayState.WAITING_UPLOAD


def words_of(forbidden: Forbidden | None) -> str:
    """The reason for people, Chinese first; of a file that may be erased, that it may."""
    return WORDS[forbidden] if forbidden else "可以清除 · may be erased"

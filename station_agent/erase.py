"""Emptying a recorder: what may be erased, and the one process that does it.

``erasable`` is pure. It says of every file of a recorder what allows it to be erased, or the first reason that forbids
it. Only a receipt of the centre's allows it (custody/FORMAT.md §6), verified here from its stored bytes with the pinned
keys; the file must be read anew from the recorder, and the object read back in full from the evidence store. Where the
policy wants a retention lock, the store must have proved that it keeps one and show it of this very object, now.

``python -m station_agent.erase`` is the act: a process of its own that reads a plan from standard input, mounts the
volume writable at a mount point that is its alone, and unlinks what the plan names, each file only if its size, time
and digest are at that moment those of the plan. It answers a line for each file, and ``done`` after the file system was
synced and unmounted. Nothing else in this program can write to a recorder.
"""

import base64
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from custody.canonical import JsonObject
from custody.envelope import open_envelope
from custody.errors import CustodyError
from custody.merkle import leaf_hash
from custody.receipt import Receipt, read_receipt
from custody.record import parse_record
from custody.signer import VerifyKey
from station_agent.detect import require_same
from station_agent.errors import AgentError, CopyError, MountError
from station_agent.model import DeviceIdentity, RecorderDocked, SourceFile
from station_agent.mount import writable
from station_agent.offload import opened_below, sha256_of

COMPLIANCE: Final = "COMPLIANCE"
"""The one mode that nobody can lift, not even the owner of the store; GOVERNANCE can be."""
DAY_MS: Final = 86_400_000
DONE: Final = "done"
"""The line that says that all is on the medium and the volume is unmounted."""


class Forbidden(StrEnum):
    """Why a file stays on the recorder."""

    NOT_READ = "not-read"
    NEVER_SEALED = "never-sealed"
    NOT_FOOTAGE = "not-footage"
    DIFFERS = "differs-from-sealed"
    NO_RECEIPT = "no-receipt"
    RECEIPT_INVALID = "receipt-invalid"
    RECEIPT_OTHER = "receipt-of-other-content"
    NOT_STORED = "not-stored"
    STORED_SIZE = "stored-size-differs"
    STORED_DIGEST = "stored-digest-differs"
    STORE_UNPROVEN = "store-unproven"
    LOCK_UNSHOWN = "lock-unshown"
    LOCK_SIZE = "lock-size-differs"
    LOCK_DIGEST = "lock-digest-differs"
    LOCK_VERSION = "lock-without-version"
    LOCK_MODE = "lock-not-compliance"
    LOCK_DATE = "lock-without-date"
    LOCK_SHORT = "lock-too-short"
    LOCK_OVER = "lock-over"


WORDS: Final = {
    Forbidden.NOT_READ: "记录仪上的文件无法读取 · the recorder's file could not be read",
    Forbidden.NEVER_SEALED: "该文件从未采集入证 · this file was never sealed",
    Forbidden.NOT_FOOTAGE: "不是录像或其附属文件，可能是记录仪的设置 · no recording, maybe the recorder's settings",
    Forbidden.DIFFERS: "记录仪上的文件与已采集的不一致 · the recorder's file is not the one that was sealed",
    Forbidden.NO_RECEIPT: "尚无中心回执 · the centre's receipt is not in hand",
    Forbidden.RECEIPT_INVALID: "回执验签不通过 · the receipt is not signed by the pinned key of the centre",
    Forbidden.RECEIPT_OTHER: "回执所指不是该文件 · the receipt is for another object, size, digest or station entry",
    Forbidden.NOT_STORED: "证据库中没有该文件 · the evidence store does not hold it",
    Forbidden.STORED_SIZE: "证据库中的文件大小不符 · the evidence store holds another size",
    Forbidden.STORED_DIGEST: "证据库中的文件摘要不符 · the evidence store holds other bytes",
    Forbidden.STORE_UNPROVEN: "证据库未证明其保留锁有效 · the evidence store has not proved that it keeps its locks",
    Forbidden.LOCK_UNSHOWN: "证据库未显示该文件 · the evidence store shows nothing of it when asked for its lock",
    Forbidden.LOCK_SIZE: "证据库显示的大小缺失或不符 · the size that the store shows is missing or another",
    Forbidden.LOCK_DIGEST: "证据库显示的摘要不符 · the SHA-256 that the store shows is another",
    Forbidden.LOCK_VERSION: "证据库未显示版本号 · the store shows no version of it, so it can be overwritten",
    Forbidden.LOCK_MODE: "证据库未显示合规模式保留锁 · the store shows no retention lock in mode COMPLIANCE",
    Forbidden.LOCK_DATE: "保留锁没有到期日 · the retention lock has no date",
    Forbidden.LOCK_SHORT: "保留锁期限短于规定 · the retention lock ends before the policy's days are over",
    Forbidden.LOCK_OVER: "保留锁已到期 · the retention lock is over",
}
"""Each reason for people, Chinese first."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the station's own log says of a file: the ``ingest.copied`` entry, and where it stands."""

    object_id: str
    name: str
    size: int
    sha256: str
    log: str
    seq: int
    leaf: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the store's answer to a HEAD shows of an object. What is absent there is absent here, and never right."""

    size: int | None
    sha256: str = ""
    """Of ``x-amz-checksum-sha256``, where that covers the whole object; the bytes themselves are read all the same."""
    mode: str = ""
    until_ms: int | None = None
    version: str = ""

    def block(self) -> JsonObject:
        """As it stands in ``locks`` of ``camera.erased`` and in ``stored.lock`` of ``integrity.checked``."""
        return {"mode": self.mode, "until_ms": self.until_ms, "version": self.version}


@dataclass(frozen=True, slots=True)
class LockPolicy:
    """What a lock must be: in mode COMPLIANCE, of a store that proved itself, for so many days after the docking."""

    days: int
    is_proven: bool
    now_ms: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What the evidence store gave back when the object was read in full, and what it shows of its lock."""

    size: int
    sha256: str
    shown: Shown | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file of the recorder with all that is known of it now."""

    file: SourceFile
    read_sha256: str
    """Of a fresh read from the recorder; empty when it could not be read, or is no regular file."""
    sealed: Sealed | None
    receipt: bytes | None
    """As it was stored; not yet believed."""
    stored: Stored | None
    is_footage: bool
    """Whether it was recorded or lies beside what was (``recorders.footage``)."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What allows a file to be erased: the receipt's place in the centre's log."""

    log: str
    seq: int
    leaf: str

    def block(self) -> JsonObject:
        """As it stands in ``receipts`` of ``camera.erased``."""
        return {"log": self.log, "seq": self.seq, "leaf": self.leaf}


@dataclass(frozen=True, slots=True)
class Decision:
    """One file, and either ``basis`` or the first reason against."""

    candidate: Candidate
    basis: Basis | None
    forbidden: Forbidden | None = None


def erasable(
    candidates: Iterable[Candidate], centre_log: str, keys: Collection[VerifyKey], policy: LockPolicy | None = None
) -> list[Decision]:
    """For every file of the recorder, in order: what allows it to be erased, or what forbids it first.

    Without ``policy`` no lock is wanted.
    """
    return [_decide(candidate, centre_log, keys, policy) for candidate in candidates]


def unlocked(stored: Stored, object_id: str, policy: LockPolicy) -> Forbidden | None:
    """Why an object whose bytes are right does not count as locked; None when it does."""
    shown = stored.shown
    if not policy.is_proven:
        return Forbidden.STORE_UNPROVEN
    if shown is None:
        return Forbidden.LOCK_UNSHOWN
    if shown.size != stored.size:
        return Forbidden.LOCK_SIZE
    if shown.sha256 and shown.sha256 != stored.sha256:
        return Forbidden.LOCK_DIGEST
    if not shown.version:
        return Forbidden.LOCK_VERSION
    return _too_weak(shown, made_ms(object_id) + policy.days * DAY_MS, policy.now_ms)


def _too_weak(shown: Shown, due_ms: int, now_ms: int) -> Forbidden | None:
    if shown.mode != COMPLIANCE:
        return Forbidden.LOCK_MODE
    if shown.until_ms is None:
        return Forbidden.LOCK_DATE
    if shown.until_ms < due_ms:
        return Forbidden.LOCK_SHORT
    return Forbidden.LOCK_OVER if shown.until_ms <= now_ms else None


def made_ms(object_id: str) -> int:
    """When an object got its id: the first 48 bits of a UUIDv7 (RFC 9562 §5.7)."""
    return int(object_id.replace("-", "")[:12], 16)


def _decide(candidate: Candidate, centre_log: str, keys: Collection[VerifyKey], policy: LockPolicy | None) -> Decision:
    sealed = candidate.sealed
    if sealed is None:
        return Decision(candidate, None, Forbidden.NEVER_SEALED)
    if not candidate.is_footage:
        return Decision(candidate, None, Forbidden.NOT_FOOTAGE)
    basis = _basis(candidate.receipt, sealed, centre_log, keys)
    if isinstance(basis, Forbidden):
        return Decision(candidate, None, basis)
    forbidden = _not_as_sealed(candidate, sealed) or _not_as_stored(candidate.stored, sealed, policy)
    return Decision(candidate, None if forbidden else basis, forbidden)


def _basis(data: bytes | None, sealed: Sealed, centre_log: str, keys: Collection[VerifyKey]) -> Basis | Forbidden:
    if not data:
        return Forbidden.NO_RECEIPT
    try:
        receipt = read_receipt(data, centre_log, keys)
        place = parse_record(open_envelope(data).payload)
    except CustodyError:
        return Forbidden.RECEIPT_INVALID
    if _spoken_of(receipt) != sealed:
        return Forbidden.RECEIPT_OTHER
    return Basis(place.log, place.seq, leaf_hash(data).hex())


def _not_as_sealed(candidate: Candidate, sealed: Sealed) -> Forbidden | None:
    if not candidate.read_sha256:
        return Forbidden.NOT_READ
    same = (candidate.file.size, candidate.read_sha256) == (sealed.size, sealed.sha256)
    return None if same else Forbidden.DIFFERS


def _not_as_stored(stored: Stored | None, sealed: Sealed, policy: LockPolicy | None) -> Forbidden | None:
    if stored is None:
        return Forbidden.NOT_STORED
    if stored.size != sealed.size:
        return Forbidden.STORED_SIZE
    if stored.sha256 != sealed.sha256:
        return Forbidden.STORED_DIGEST
    return unlocked(stored, sealed.object_id, policy) if policy else None


def _spoken_of(receipt: Receipt) -> Sealed:
    """What a receipt vouches for; the entry of ours that it answers is part of it."""
    return Sealed(
        receipt.object_id,
        receipt.name,
        receipt.size,
        receipt.sha256,
        receipt.station_log,
        receipt.station_seq,
        receipt.station_leaf,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to be unlinked, and what it must be at that moment."""

    path: bytes
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the erase process is told; it does nothing else."""

    event: RecorderDocked
    target: Path
    """Its mount point: an empty folder."""
    zone: str
    files: Sequence[Wanted]

    def encode(self) -> bytes:
        """For the process's standard input."""
        files = [{**asdict(file), "path": base64.b64encode(file.path).decode()} for file in self.files]
        plan = {"event": asdict(self.event), "target": str(self.target), "zone": self.zone, "files": files}
        return json.dumps(plan).encode()

    @staticmethod
    def decode(data: bytes) -> "Plan":
        """What ``encode`` wrote. Raises ``AgentError`` for anything else."""
        try:
            fields: dict[str, Any] = json.loads(data)
            event = fields["event"]
            return Plan(
                RecorderDocked(**{**event, "identity": DeviceIdentity(**event["identity"])}),
                Path(fields["target"]),
                fields["zone"],
                [Wanted(**{**file, "path": base64.b64decode(file["path"])}) for file in fields["files"]],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise AgentError(f"standard input holds no plan: {error!r}") from error


def carry_out(plan: Plan) -> Iterator[str]:
    """Erase what the plan names; a line for each file, and ``done`` when it is all on the medium.

    Raises ``MountError`` where the volume is not the one of the plan or cannot be written; ``OSError`` where what was
    done may not have reached the medium. Then there is no ``done``.
    """
    with writable(plan.event, plan.target, ZoneInfo(plan.zone)) as root:
        require_same(plan.event)
        for file in plan.files:
            yield _erased(root, file)
    yield DONE


def _erased(root: Path, file: Wanted) -> str:
    where = base64.b64encode(file.path).decode()
    try:
        _erase(root, file)
    except CopyError as error:
        return f"kept {where} {error.reason}"
    except OSError as error:
        return f"kept {where} {error.strerror}"
    return f"erased {where}"


def _erase(root: Path, file: Wanted) -> None:
    """Unlink one file if it is, read now, what the plan says. The name must still lead to what was read."""
    folder, _, name = file.path.rpartition(b"/")
    with opened_below(root, folder, directory=True) as parent, opened_below(root, file.path) as fd:
        before = os.fstat(fd)
        digest = sha256_of(fd)
        after, named = os.fstat(fd), os.stat(name, dir_fd=parent, follow_symlinks=False)
        if {_traits(before), _traits(after), _traits(named)} != {(before.st_ino, file.size, file.mtime_ns)}:
            raise CopyError("source-changed", "size or time is not that of the plan")
        if digest != file.sha256:
            raise CopyError("source-changed", "the content is not that of the plan")
        os.unlink(name, dir_fd=parent)


def _traits(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def main() -> int:
    """The process: exit 0 when ``done`` was said, else the class's exit code and one sentence."""
    try:
        plan = Plan.decode(sys.stdin.buffer.read())
        for line in carry_out(plan):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except (AgentError, OSError) as error:
        sys.stderr.write(f"station-agent erase: {error}\n")
        return error.exit_code if isinstance(error, AgentError) else MountError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

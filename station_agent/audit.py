"""Checks the station's own log and spool, trusting nothing but the keys: what ``station-agent verify-log`` does.

1 every entry: envelope, key, schema, log, ``seq``, ``prev`` → 2 the root against the newest checkpoint → 3 the log
against what the journal and the centre's witness saw of it → 4 every sealed file in the spool read in full and compared
with its entry → 5 every file in the spool has an entry.

A log can be cut together with its checkpoint; 3 and 5 find that out. The journal is only believed where it knows more
than the log.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from custody.checkpoint import NoteKey, SignedCheckpoint, parse_note
from custody.errors import CheckpointError, EvidenceError
from custody.index import OwnIndex
from custody.keyring import LogKeys
from custody.layout import is_store_name, proxy_name
from custody.log import Log, LogFiles
from custody.record import Record
from custody.signer import VerifyKey
from custody.verdicts import Finding, Outcome, Verdict, outcome
from station_agent.durable import open_regular
from station_agent.errors import LogFilesError
from station_agent.followup import PART, proxy_identity
from station_agent.journal import STORED_BY, Remembered, remembered


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and how it came out."""

    entries: int
    root: str
    checkpoint_size: int
    torn_bytes: int
    verdicts: dict[str, Verdict]
    """Store name → verdict of the file in the spool."""
    findings: tuple[tuple[Finding, str], ...]

    @property
    def outcome(self) -> Outcome:
        """Exit code; nothing checked is never right."""
        return outcome(self.verdicts.values(), [finding for finding, _ in self.findings])

    def block(self) -> dict[str, object]:
        """As ``--json`` prints it."""
        counts = Counter(str(verdict) for verdict in self.verdicts.values())
        return {
            "entries": self.entries,
            "root": self.root,
            "checkpoint_size": self.checkpoint_size,
            "torn_bytes": self.torn_bytes,
            "files": {word: counts.get(word, 0) for word in _WORDS},
            "not_verified": {n: str(v) for n, v in sorted(self.verdicts.items()) if v is not Verdict.VERIFIED},
            "findings": [{"finding": str(finding), "detail": detail} for finding, detail in self.findings],
            "exit_code": int(self.outcome),
        }


def verify_log(  # noqa: PLR0913  # what is checked, and whom to believe
    files: LogFiles,
    origin: str,
    key: VerifyKey,
    spool: Path,
    journal: Path | None = None,
    witness: NoteKey | None = None,
    second: VerifyKey | None = None,
    successors: Sequence[LogKeys] = (),
) -> Report:
    """Check log and spool. Findings are reported, not raised; errors of the medium are raised.

    ``key`` signed the first entry and ``successors`` may have followed it; ``second`` is the SM2 key of a log in
    profile ``gm``.

    The order matters beside a running station: what is in the spool first, what the journal knows second, the log last.
    """
    present = set(_names(spool))
    memory = remembered(journal) if journal else Remembered()
    try:
        log = Log(files, origin, [key, second] if second else [key], successors)
        verdicts = dict(_verdicts(log, spool))
    except EvidenceError as error:
        return Report(0, "", 0, 0, {}, ((Finding(error.finding), str(error)),))
    findings = [
        *_of_log(log, verdicts),
        *_of_memory(log, memory, witness),
    ]
    strays = present - verdicts.keys() - memory.unfinished - {_proxy_of(parent) for parent in memory.deriving}
    verdicts |= dict.fromkeys(sorted(strays), Verdict.UNRECORDED)
    signed = log.latest.checkpoint.size if log.latest else 0
    return Report(log.size, log.chain.root().hex(), signed, log.torn_bytes, verdicts, tuple(findings))


class NoLog(OwnIndex):
    """Files of a log that is not there: what the journal and the spool know of it is checked all the same."""

    def read(self, offset: int) -> Iterator[bytes]:
        """Nothing from any ``offset``."""
        del offset
        return iter(())

    def get(self, name: str) -> bytes | None:
        """Nothing of any ``name``."""
        del name
        return None  # the value of a small file that is not there

    def append(self, data: bytes) -> None:
        """Refused."""
        raise LogFilesError(f"there is no log that takes {len(data)} bytes")

    def truncate(self, size: int) -> None:
        """Nothing is there to be cut to ``size``."""

    def put(self, name: str, data: bytes) -> None:
        """Refused."""
        raise LogFilesError(f"there is no log that takes {name} of {len(data)} bytes")


_WORDS: Final = ("verified", "failed", "missing", "unreadable", "unrecorded")


def _of_log(log: Log, verdicts: Mapping[str, Verdict]) -> Iterator[tuple[Finding, str]]:
    if not verdicts:
        yield Finding.NOTHING_CHECKED, f"{log.origin} has {log.size} entries and no sealed file"
    if log.size and log.latest is None:
        yield Finding.LOG_TRUNCATED, f"{log.origin}: no checkpoint over {log.size} entries: there may have been more"


def _of_memory(log: Log, memory: Remembered, witness: NoteKey | None) -> Iterator[tuple[Finding, str]]:
    """The log against what was known of it when it was whole."""
    if memory.applied > log.size:
        yield Finding.LOG_TRUNCATED, f"{log.origin}: {log.size} entries, the journal knows {memory.applied}"
    elif memory.applied and log.entry(memory.applied - 1).leaf.hex() != memory.last_leaf:
        yield Finding.LOG_FORKED, f"{log.origin}: entry {memory.applied - 1} is not the one the journal knows"
    if memory.alarm:
        finding, _, why = memory.alarm.partition(": ")
        yield Finding(finding), f"the centre's last answer: {why}"
    if memory.cosigned:
        try:
            _check_cosigned(log, parse_note(memory.cosigned), witness)
        except EvidenceError as error:
            yield Finding(error.finding), f"{log.origin}: what the centre signed: {error}"


def _check_cosigned(log: Log, note: SignedCheckpoint, witness: NoteKey | None) -> None:
    checkpoint = note.checkpoint
    keys = [*(keys.note for keys in log.history.of_checkpoint(checkpoint.size)), *([witness] if witness else [])]
    signed = note.verify(keys)
    if missing := [key.name for key in keys if key.name not in signed]:
        raise CheckpointError(f"{missing[0]} did not sign", "key-unknown")
    if checkpoint.size > log.size:
        raise CheckpointError(f"it saw {checkpoint.size} entries, there are {log.size}", "log-truncated")
    if log.root_at(checkpoint.size) != checkpoint.root:
        raise CheckpointError(f"it saw other entries before entry {checkpoint.size}", "log-forked")


def _names(spool: Path) -> Iterator[str]:
    """Everything in the spool but folders and copies in the making."""
    for path in spool.rglob("*"):
        if not path.is_dir() and path.suffix != PART:
            yield os.fsencode(path.relative_to(spool)).decode("utf-8", "replace")


def _proxy_of(parent_id: str) -> str:
    return proxy_name(*proxy_identity(parent_id))


def _verdicts(log: Log, spool: Path) -> Iterator[tuple[str, Verdict]]:
    for entry in log.entries():
        if entry.record.event in STORED_BY:
            stored = entry.record.block("object")
            yield str(stored["name"]), _verdict(entry.record, spool / _safe(str(stored["name"])))


def _safe(name: str) -> str:
    return name if is_store_name(name) else "no-such-name"


def _verdict(record: Record, path: Path) -> Verdict:
    stored = record.block("object")
    digests = stored["digests"]
    try:
        with open_regular(path, os.O_NOFOLLOW) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return Verdict.MISSING
    except OSError:
        return Verdict.UNREADABLE
    right = isinstance(digests, dict) and digests.get("sha256") == found and size == stored["size"]
    return Verdict.VERIFIED if right else Verdict.FAILED

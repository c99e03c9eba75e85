"""Checks every anchor: against its checkpoint and its signer, and against the centre log as it is *now*.

What it proves is in the last comparison: whoever rewrote the log and signed it anew cannot make the token of last year
fit. So copies of the anchors that somebody else kept count most (``Subject.stores`` may hold several folders).
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from custody.canonical import JsonObject
from custody.checkpoint import Checkpoint, NoteKey, parse_note
from custody.errors import EvidenceError
from custody.index import split_lines
from custody.log import CHECKPOINT, LogFiles, entry_of
from custody.merkle import CompactRange, leaf_hash
from custody.verdicts import Finding, Outcome, Verdict, outcome
from ingestd.anchors.decide import CAVEAT, Schedule, holes
from ingestd.anchors.run import EVENT, cosigned
from ingestd.anchors.store import RFC3161, AnchorStore, Kept, slug
from ingestd.anchors.tsa import Trust
from ingestd.errors import TokenError

TOLERANCE_MS: Final = 120_000
"""How far two honest clocks may disagree before it is a finding (attack 11)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked, and by whose word."""

    files: LogFiles
    """The centre log."""
    keys: Sequence[NoteKey]
    """Keys of the centre log, its former ones included."""
    stores: Sequence[AnchorStore]
    """The centre's anchors, then copies that others kept."""
    trusts: Mapping[str, Trust]
    witnesses: Sequence[NoteKey]
    schedule: Schedule | None
    """None: nobody outside is configured, and no series is expected."""
    now_ms: int


@dataclass(frozen=True, slots=True)
class Checked:
    """One anchor and what became of it."""

    size: int
    kind: str
    name: str
    verdict: Verdict
    utc_ms: int = 0
    reason: str = ""
    where: str = ""

    def as_json(self) -> dict[str, Any]:
        """Fields that say something."""
        return {key: value for key in self.__slots__ if (value := getattr(self, key)) not in ("", 0)}


@dataclass(slots=True)
class Report:
    """What ``anchors verify`` prints."""

    origin: str
    size: int = 0
    root: str = ""
    anchors: list[Checked] = field(default_factory=list)
    findings: list[tuple[Finding, str]] = field(default_factory=list)
    caveat: bool = False

    @property
    def outcome(self) -> Outcome:
        """0 only when at least one anchor was checked and everything fits."""
        return outcome((one.verdict for one in self.anchors), (finding for finding, _ in self.findings))

    def note(self, finding: Finding, reason: str) -> None:
        """Add a finding, once."""
        if (finding, reason) not in self.findings:
            self.findings.append((finding, reason))

    def as_json(self) -> dict[str, Any]:
        """The object that ``anchors verify --json`` prints."""
        return {
            "ok": self.outcome is Outcome.OK,
            "outcome": int(self.outcome),
            "log": {"origin": self.origin, "size": self.size, "root": self.root},
            "anchors": [one.as_json() for one in self.anchors],
            "findings": [{"finding": finding.value, "reason": reason} for finding, reason in self.findings],
            "caveat": {"zh": CAVEAT.zh, "en": CAVEAT.en} if self.caveat else None,
        }


@dataclass(slots=True)
class _Log:
    """The centre log in one pass: roots at the sizes that are wanted, and the anchors that it names itself."""

    tree: CompactRange = field(default_factory=CompactRange)
    roots: dict[int, bytes] = field(default_factory=dict)
    latest_ms: dict[int, int] = field(default_factory=dict)
    """Newest time among the first so many entries."""
    named: dict[tuple[int, str], JsonObject] = field(default_factory=dict)


def verify(subject: Subject) -> Report:
    """Check everything; never raises for what is wrong with the evidence, only reports it."""
    report = Report(subject.keys[0].name, caveat=subject.schedule is None)
    kept = [(store, one) for store in subject.stores for one in store.kept()]
    log = _read(report, subject, {one.size for _, one in kept})
    for store, one in kept:
        report.anchors.append(_check(report, subject, log, one, str(store.folder)))
    if not kept:
        report.note(Finding.NOTHING_CHECKED, "there is no anchor")
    _named_are_there(report, log, subject.stores)
    _series(report, subject)
    for store in subject.stores:
        for path in store.strangers():
            report.note(Finding.UNPARSABLE, f"{path}: neither an anchor nor a checkpoint")
    return report


def _read(report: Report, subject: Subject, sizes: set[int]) -> _Log:
    log, newest_ms = _Log(), 0
    note = subject.files.get(CHECKPOINT)  # before the entries: the log may grow meanwhile
    if 0 in sizes:
        log.roots[0], log.latest_ms[0] = log.tree.root(), 0
    try:
        for line in split_lines(subject.files.read(0), []):
            log.tree = log.tree.extend([leaf_hash(line)])
            record = entry_of(line).record
            newest_ms = max(newest_ms, record.utc_ms)
            if record.event == EVENT:
                block = record.block("anchor")
                log.named[int(str(block.get("size"))), slug(str(block.get("name")))] = block
            if log.tree.size in sizes:
                log.roots[log.tree.size], log.latest_ms[log.tree.size] = log.tree.root(), newest_ms
        _signed(report, note, log)
    except (EvidenceError, ValueError) as error:
        report.note(Finding.UNPARSABLE, f"entry {log.tree.size} of the log cannot be read: {error}")
    except OSError as error:
        report.note(Finding.UNPARSABLE, f"the log cannot be read: {error}")
    report.size, report.root = log.tree.size, base64.b64encode(log.tree.root()).decode()
    return log


def _signed(report: Report, note: bytes | None, log: _Log) -> None:
    """The log is at least as long as its own checkpoint says."""
    if note is not None and log.tree.size < (size := parse_note(note).checkpoint.size):
        report.note(Finding.LOG_TRUNCATED, f"{log.tree.size} entries, but {size} were signed for")


def _check(report: Report, subject: Subject, log: _Log, one: Kept, where: str) -> Checked:
    """One anchor: its checkpoint is ours, its signer vouches for those bytes, and the log still is what it was."""
    try:
        note, data = one.checkpoint.read_bytes(), one.path.read_bytes()
        _logged(log, one, data)
        checkpoint = _checkpoint(note, subject, one)
        utc_ms = _vouched(subject, one, note, data)
    except TokenError as error:
        return _failed(report, one, where, error.finding, str(error))
    except EvidenceError as error:
        return _failed(report, one, where, error.finding, str(error))
    except OSError as error:
        return Checked(one.size, one.kind, one.name, Verdict.UNREADABLE, reason=f"{error}", where=where)
    except _UnknownSignerError as error:
        return Checked(one.size, one.kind, one.name, Verdict.UNCHECKED, reason=str(error), where=where)
    return _against_log(
        report, log, one, Checked(one.size, one.kind, one.name, Verdict.VERIFIED, utc_ms, "", where), checkpoint
    )


class _UnknownSignerError(Exception):
    """Nobody configured the signer of this anchor, so it cannot be judged."""


def _checkpoint(note: bytes, subject: Subject, one: Kept) -> Checkpoint:
    signed = parse_note(note)
    signed.verify(subject.keys)
    if (signed.checkpoint.origin, signed.checkpoint.size) != (subject.keys[0].name, one.size):
        found = f"{signed.checkpoint.origin} at {signed.checkpoint.size}"
        raise TokenError(f"the checkpoint is of {found}, not of {subject.keys[0].name} at {one.size}")
    return signed.checkpoint


def _vouched(subject: Subject, one: Kept, note: bytes, data: bytes) -> int:
    """When the anchor was made, by the word of its signer."""
    if one.kind == RFC3161:
        trust = subject.trusts.get(one.name)
        if trust is None:
            raise _UnknownSignerError(f"[[anchors.tsa]] names no authority {one.name}")
        return trust.check(data, note)
    witnesses = [key for key in subject.witnesses if slug(key.name) == one.name]
    if not witnesses:
        raise _UnknownSignerError(f"anchors.witnesses names no witness {one.name}")
    signed, times = cosigned(data, subject.keys, witnesses)
    if signed.checkpoint != parse_note(note).checkpoint:
        raise TokenError("the witness vouches for another checkpoint than the one beside it")
    return 1000 * max(times.values())


def _logged(log: _Log, one: Kept, data: bytes) -> None:
    """The log names this anchor by its digest, if it names it at all."""
    block = log.named.get((one.size, one.name))
    if block is not None and block.get("sha256") != hashlib.sha256(data).hexdigest():
        raise TokenError("the file is not the one whose digest stands in the log")


def _against_log(report: Report, log: _Log, one: Kept, good: Checked, checkpoint: Checkpoint) -> Checked:
    if log.tree.size < one.size:
        report.note(Finding.LOG_TRUNCATED, f"{one.size} entries were anchored, the log has {log.tree.size}")
        why = f"the log has only {log.tree.size} entries"
        return _failed(report, one, good.where, Finding.ANCHOR_MISMATCH, why)
    if log.roots.get(one.size) != checkpoint.root:
        why = f"the first {one.size} entries are not those that {one.name} vouched for"
        return _failed(report, one, good.where, Finding.ANCHOR_MISMATCH, why)
    if log.latest_ms[one.size] > good.utc_ms + TOLERANCE_MS:
        ahead_s = (log.latest_ms[one.size] - good.utc_ms) // 1000
        why = f"{one.size} {one.name}: an entry is dated {ahead_s} s after the token that covers it"
        report.note(Finding.TIME_REGRESSION, why)
    return good


def _failed(report: Report, one: Kept, where: str, finding: str, why: str) -> Checked:
    report.note(Finding(finding), f"{one.size} {one.name}: {why}")
    unreadable = finding == Finding.UNPARSABLE
    verdict = Verdict.UNREADABLE if unreadable else Verdict.FAILED
    return Checked(one.size, one.kind, one.name, verdict, reason=why, where=where)


def _named_are_there(report: Report, log: _Log, stores: Sequence[AnchorStore]) -> None:
    """Looked up anew: an anchor may have come while the log was read."""
    there = {(one.size, one.name) for store in stores for one in store.kept()}
    for size, name in sorted(log.named.keys() - there):
        report.note(Finding.ANCHOR_MISSING, f"{size} {name}: the log names this anchor, its file is gone")


def _series(report: Report, subject: Subject) -> None:
    """No time without an anchor is longer than the agency allows; only anchors that verified count."""
    if subject.schedule is None:
        return
    good = [one for one in report.anchors if one.verdict is Verdict.VERIFIED]
    if not good and report.size:
        report.note(Finding.ANCHOR_MISSING, "anchors are configured, and not one verifies")
    for start_ms, end_ms in holes((one.utc_ms for one in good), subject.now_ms, subject.schedule.max_age_ms):
        report.note(Finding.ANCHOR_MISSING, f"no anchor for {(end_ms - start_ms) // 3_600_000} h from {start_ms} on")
    _in_order(report, good)


def _in_order(report: Report, good: Sequence[Checked]) -> None:
    """More entries cannot have been vouched for earlier, by the same authority."""
    last: dict[tuple[str, str], Checked] = {}
    for one in sorted(good, key=lambda one: one.size):
        before = last.setdefault((one.kind, one.name), one)
        if one.utc_ms + TOLERANCE_MS < before.utc_ms:
            report.note(Finding.TIME_REGRESSION, f"{one.name}: {one.size} entries before {before.size} entries")
        last[one.kind, one.name] = one

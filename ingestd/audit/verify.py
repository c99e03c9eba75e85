"""Re-reads every original and proxy from the store and compares it with the *signed entry*, not with a row.

Needs neither the database nor a running service: only logs, keys and the store. Steps:

1. the centre log: each entry's signature, ``seq``, ``prev``; its checkpoint's signature, and the root there; where a
   database is at hand, the entries it knows of, and the root there;
2. every mirror the same way, and leaf by leaf against what the centre log says was mirrored: what one names and the
   other lacks is a finding, and so is a log that only one of centre log and configuration names;
3. every object that ``ingest.copied`` or ``proxy.created`` announces: size and SHA-256 of what the store returns;
4. every object in the store that no entry announces.

An original announced only a moment ago and not in the store yet is ``unchecked``, not ``missing``. A derived object of
a moment ago that is only in the log, or only in the store, is on its way and counts as nothing. What was announced
later than now is not on its way: a clock that runs ahead excuses nothing.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from custody.canonical import JsonObject
from custody.chain import EMPTY_SM3_TREE, Chain, Entry
from custody.checkpoint import NoteKey, SignedCheckpoint, parse_note
from custody.errors import EvidenceError
from custody.identifiers import is_uuid7
from custody.layout import PROXIES
from custody.log import CHECKPOINT, SECOND_CHECKPOINT, LogFiles
from custody.verdicts import Finding, Outcome, Verdict, outcome
from ingestd.errors import ObjectMissingError, StoreError
from ingestd.index.repository import mirrored
from ingestd.index.rows import integer_in, list_in, object_in, text_in
from ingestd.verify import Station

ORIGINAL: Final = "original"
PROXY: Final = "proxy"


class Store(Protocol):
    """What the audit asks of the evidence store (``ingestd.store.EvidenceReader``)."""

    def digest(self, name: str) -> tuple[int, str]:
        """Size and SHA-256 of what the store returns; raises ``ObjectMissingError`` or ``StoreError``."""
        ...

    def list(self) -> Iterator[tuple[str, int]]:
        """Name and size of every object; raises ``StoreError``."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a signed entry announces it."""

    kind: str
    object_id: str
    name: str
    size: int
    sha256: str
    station: str
    path: str
    announced_ms: int


@dataclass(frozen=True, slots=True)
class Bad:
    """One thing that is not right: an object's verdict or a log's finding, and why."""

    verdict: str
    reason: str
    object_id: str = ""
    kind: str = ""
    path: str = ""
    name: str = ""
    log: str = ""

    def as_json(self) -> dict[str, str]:
        """Fields that say something."""
        return {key: value for key in self.__slots__ if (value := getattr(self, key))}


@dataclass(frozen=True, slots=True)
class LogReport:
    """One log that was read from its first entry to its last."""

    origin: str
    size: int
    root: str


@dataclass(slots=True)
class Report:
    """What the audit found. Counts are of originals; proxies are counted apart."""

    originals: dict[Verdict, int] = field(default_factory=dict)
    proxies: dict[Verdict, int] = field(default_factory=dict)
    logs: list[LogReport] = field(default_factory=list)
    findings: list[Bad] = field(default_factory=list)
    log_findings: list[Finding] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """0 only when at least one original was verified and nothing is wrong."""
        verdicts = [*self.originals, *self.proxies]
        nothing = [] if self.originals else [Finding.NOTHING_CHECKED]
        return outcome(verdicts, [*self.log_findings, *nothing])

    def as_json(self) -> dict[str, Any]:
        """The object that ``audit verify --json`` prints."""
        return {
            "ok": self.outcome is Outcome.OK,
            "outcome": int(self.outcome),
            **_counts(self.originals),
            "proxies": _counts(self.proxies),
            "logs": [{"origin": log.origin, "size": log.size, "root": log.root} for log in self.logs],
            "findings": [bad.as_json() for bad in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Applied:
    """How much of the centre log the database has seen, and the root there (base64)."""

    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What is audited."""

    centre: NoteKey
    stations: Sequence[Station]
    files: Callable[[str], LogFiles]
    """Files of a log by the name of who writes it; the centre's is ``centre``."""
    strangers: Sequence[str]
    """Mirrors of stations that are not enrolled."""
    store: Store
    now_ms: int
    patience_ms: int
    """An object announced less than this ago may still be on its way."""
    readers: int = 2
    centre_second: NoteKey | None = None
    """The SM2 key of a centre log in profile ``gm``."""
    applied: Applied | None = None
    """What a database says of the centre log; None when there is none to ask. Read it before the logs."""


@dataclass(slots=True)
class Centre:
    """What the centre log says."""

    verified: set[str] = field(default_factory=set)
    """Objects that were verified before."""
    leaves: dict[str, dict[int, str]] = field(default_factory=dict)
    """Per station log the leaves that were mirrored, by their number."""
    enrolled: dict[str, str] = field(default_factory=dict)
    """Station by log."""


Progress = Callable[[int, int], None]
"""Called with objects done and objects in all."""


def audit(subject: Subject, progress: Progress = lambda _done, _all: None) -> Report:
    """Check everything; never raises for what is wrong with the evidence, only reports it."""
    report = Report()
    centre = _centre(report, subject)
    unnamed: dict[str, dict[int, str]] = {}
    expected = [stored for station in subject.stations for stored in _mirror(report, subject, station, centre, unnamed)]
    _strangers(report, subject, centre)
    _objects(report, subject, _once(report, expected), centre.verified, progress)
    _unrecorded(report, subject, {stored.name for stored in expected})
    _unmirrored(report, subject, unnamed)
    return report


def _centre(report: Report, subject: Subject) -> Centre:
    """What the centre log says; one that says nothing, or that nobody signed for, vouches for nothing."""
    said, files = Centre(), subject.files("centre")
    roots = {subject.applied.size: subject.applied.root} if subject.applied else {}
    size = 0
    for entry in _entries(report, files, subject.centre, subject.centre_second, roots):
        _hear(said, entry)
        size = entry.seq + 1
    origin = subject.centre.name
    if not size:
        _note(report, Finding.NOTHING_CHECKED, "the centre log is empty: nothing says what was mirrored", origin)
    elif not _has_checkpoint(files):
        _note(report, Finding.NOTHING_CHECKED, "the centre log has no checkpoint: its end may be gone", origin)
    return said


def _has_checkpoint(files: LogFiles) -> bool:
    try:
        return files.get(CHECKPOINT) is not None
    except OSError:
        return True  # noted already, when the log was read


def _hear(said: Centre, entry: Entry) -> None:
    payload = entry.record.payload
    if entry.record.event == "central.verified":
        said.verified.add(text_in(object_in(payload, "object"), "id"))
    if entry.record.event == "station.enrolled":
        station = object_in(payload, "station")
        said.enrolled[text_in(station, "log")] = text_in(station, "id")
    if entry.record.event == "station.entries":
        log, _ = mirrored(entry)
        start = integer_in(object_in(payload, "mirror"), "from") or 0
        named = list_in(object_in(payload, "mirror"), "leaves")
        said.leaves.setdefault(log, {}).update({start + i: str(leaf) for i, leaf in enumerate(named)})


def _mirror(
    report: Report, subject: Subject, station: Station, centre: Centre, unnamed: dict[str, dict[int, str]]
) -> Iterator[Stored]:
    """Objects that a station's mirrored log announces, while its entries are compared with the centre's leaves.

    Entries that are not a moment old and that the centre log does not name go into ``unnamed``.
    """
    named = dict(centre.leaves.get(station.log, {}))
    for entry in _entries(report, subject.files(station.station), station.note_key, station.second_key):
        leaf = named.pop(entry.seq, None)
        if leaf is not None and leaf != entry.leaf.hex():
            _note(report, Finding.MIRROR_MISMATCH, f"entry {entry.seq} is not the one the centre mirrored", station.log)
        if leaf is None and not _fresh(entry.record.utc_ms, subject):
            unnamed.setdefault(station.log, {})[entry.seq] = entry.leaf.hex()
        stored = _announced(entry, station.station)
        if stored is not None:
            yield stored
    if named:
        _note(report, Finding.LOG_TRUNCATED, f"{len(named)} mirrored entries are gone, from {min(named)}", station.log)


def _strangers(report: Report, subject: Subject, centre: Centre) -> None:
    """Mirrors without a station, and logs of the centre's that no station is configured for."""
    for name in subject.strangers:
        _note(report, Finding.KEY_UNKNOWN, f"mirrors/{name}: no such station is enrolled", name)
    configured = {station.log for station in subject.stations}
    for log in sorted((centre.leaves.keys() | centre.enrolled.keys()) - configured):
        count, name = len(centre.leaves.get(log, {})), centre.enrolled.get(log, "?")
        reason = f"the centre log names {count} entries of station {name}, which is not configured: put it back"
        _note(report, Finding.KEY_UNKNOWN, reason, log)


def _unmirrored(report: Report, subject: Subject, unnamed: Mapping[str, Mapping[int, str]]) -> None:
    """Mirrored entries that the centre log does not name, unless it came to name them while the audit ran."""
    if not unnamed:
        return
    now = Centre()
    for entry in _entries(Report(), subject.files("centre"), subject.centre, subject.centre_second):
        _hear(now, entry)
    for log, leaves in unnamed.items():
        named = now.leaves.get(log, {})
        strange = [seq for seq, leaf in leaves.items() if named.get(seq) != leaf]
        if strange:
            reason = f"the centre log does not name {len(strange)} entries of the mirror, from {min(strange)}"
            _note(report, Finding.MIRROR_MISMATCH, reason, log)


def _entries(
    report: Report,
    files: LogFiles,
    key: NoteKey,
    second: NoteKey | None,
    roots: Mapping[int, str] = MappingProxyType({}),
) -> Iterator[Entry]:
    """Entries that follow from the first on; the first fault ends the log and is noted.

    ``second`` is the SM2 key of a log in profile ``gm``. ``roots`` are those that a database knows, in base64 by the
    log's size there.
    """
    chain = Chain(key.name, second=EMPTY_SM3_TREE if second else None)
    keys = [one.key for one in (key, second) if one]
    try:
        signed = _checkpoint(files, key)
        gm = _checkpoint(files, second, SECOND_CHECKPOINT) if second else None
        if second and signed and gm is None:
            _note(report, Finding.LOG_TRUNCATED, "its SM3 checkpoint is gone", second.name)
        for data in _lines(files):
            entry, chain = chain.follow(data, keys)
            _check_second(report, chain, gm)
            if signed and chain.size == signed.checkpoint.size and chain.root() != signed.checkpoint.root:
                _note(report, Finding.ROOT_MISMATCH, f"the root at {chain.size} is not the signed one", key.name)
            if roots.get(chain.size) and roots[chain.size] != _root(chain):
                reason = f"the root at {chain.size} is not the one the database has"
                _note(report, Finding.PROJECTION_MISMATCH, reason, key.name)
            yield entry
        if signed and chain.size < signed.checkpoint.size:
            reason = f"{chain.size} entries, but {signed.checkpoint.size} were signed for"
            _note(report, Finding.LOG_TRUNCATED, reason, key.name)
        if gm and chain.size < gm.checkpoint.size:
            reason = f"{chain.size} entries, but {gm.checkpoint.size} were signed for"
            _note(report, Finding.LOG_TRUNCATED, reason, gm.checkpoint.origin)
        if max(roots, default=0) > chain.size:
            reason = f"{chain.size} entries, but the database has seen {max(roots)}"
            _note(report, Finding.LOG_TRUNCATED, reason, key.name)
    except EvidenceError as error:
        _note(report, Finding(error.finding), str(error), key.name)
    except OSError as error:
        _note(report, Finding.UNPARSABLE, f"the log cannot be read: {error}", key.name)
    report.logs.append(LogReport(key.name, chain.size, _root(chain)))


def _check_second(report: Report, chain: Chain, gm: SignedCheckpoint | None) -> None:
    """In profile ``gm`` the SM3 tree must lead to the root of the second note."""
    if gm and chain.second and chain.size == gm.checkpoint.size and chain.second.root() != gm.checkpoint.root:
        reason = f"the SM3 root at {chain.size} is not the signed one"
        _note(report, Finding.ROOT_MISMATCH, reason, gm.checkpoint.origin)


def _root(chain: Chain) -> str:
    return base64.b64encode(chain.root()).decode()


def _checkpoint(files: LogFiles, key: NoteKey, name: str = CHECKPOINT) -> SignedCheckpoint | None:
    note = files.get(name)
    if note is None:
        return None
    signed = parse_note(note)
    signed.verify([key])
    return signed


def _lines(files: LogFiles) -> Iterator[bytes]:
    """Whole entries; what stands after the last newline is being written, or was torn by a crash."""
    rest = b""
    for chunk in files.read(0):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _announced(entry: Entry, station: str) -> Stored | None:
    if entry.record.event == "ingest.copied":
        return _stored(ORIGINAL, entry, station, text_in(entry.record.block("source"), "path"))
    if entry.record.event == "proxy.created":
        return _stored(PROXY, entry, station, "")
    return None


def _stored(kind: str, entry: Entry, station: str, path: str) -> Stored:
    stored: JsonObject = entry.record.block("object")
    sha256 = text_in(object_in(stored, "digests"), "sha256")
    size, name = integer_in(stored, "size") or 0, text_in(stored, "name")
    return Stored(kind, text_in(stored, "id"), name, size, sha256, station, path, entry.record.utc_ms)


def _once(report: Report, expected: Iterable[Stored]) -> list[Stored]:
    """Each object once; two entries that announce one name differently are a finding."""
    known: dict[str, Stored] = {}
    for stored in expected:
        first = known.setdefault(stored.name, stored)
        if (first.size, first.sha256) != (stored.size, stored.sha256):
            _note(
                report, Finding.LOG_FORKED, f"{stored.name} is announced twice with different digests", stored.station
            )
    return list(known.values())


def _objects(
    report: Report, subject: Subject, expected: Sequence[Stored], receipts: set[str], progress: Progress
) -> None:
    """Read back, largest first so that no reader is left with a long tail."""
    ordered = sorted(expected, key=lambda stored: -stored.size)
    with ThreadPoolExecutor(subject.readers, "audit") as pool:
        results = pool.map(lambda stored: _check(subject, stored, receipts), ordered)
        for number, (stored, (verdict, reason)) in enumerate(zip(ordered, results, strict=True), 1):
            if verdict is not None:
                _count(report, stored, verdict, reason)
            progress(number, len(ordered))


def _count(report: Report, stored: Stored, verdict: Verdict, reason: str) -> None:
    counts = report.originals if stored.kind == ORIGINAL else report.proxies
    counts[verdict] = counts.get(verdict, 0) + 1
    if verdict is not Verdict.VERIFIED:
        bad = Bad(verdict, reason, stored.object_id, stored.kind, stored.path, stored.name, stored.station)
        report.findings.append(bad)


def _check(subject: Subject, stored: Stored, receipts: set[str]) -> tuple[Verdict | None, str]:
    """Verdict and reason; no verdict for a derived object that is on its way."""
    try:
        size, sha256 = subject.store.digest(stored.name)
    except ObjectMissingError as error:
        fresh = _fresh(stored.announced_ms, subject)
        if fresh and stored.kind == PROXY:
            return None, "on its way"
        if fresh and stored.object_id not in receipts:
            return Verdict.UNCHECKED, "announced a moment ago and not in the store yet"
        return Verdict.MISSING, str(error)
    except StoreError as error:
        return Verdict.UNREADABLE, str(error)
    if (size, sha256) == (stored.size, stored.sha256):
        return Verdict.VERIFIED, ""
    return Verdict.FAILED, f"signed: {stored.size} bytes, {stored.sha256}; stored: {size} bytes, {sha256}"


def _unrecorded(report: Report, subject: Subject, names: set[str]) -> None:
    try:
        for name, size in subject.store.list():
            if name not in names and not _on_its_way(name, subject):
                counts = report.proxies if name.startswith(PROXIES) else report.originals
                counts[Verdict.UNRECORDED] = counts.get(Verdict.UNRECORDED, 0) + 1
                report.findings.append(Bad(Verdict.UNRECORDED, f"{size} bytes that no entry announces", name=name))
    except StoreError as error:
        report.originals[Verdict.UNREADABLE] = report.originals.get(Verdict.UNREADABLE, 0) + 1
        report.findings.append(Bad(Verdict.UNREADABLE, str(error)))


def _on_its_way(name: str, subject: Subject) -> bool:
    """Whether a derived object was made so recently that its entry may still be on its way (its id tells the time)."""
    object_id = name.rpartition("/")[2].partition(".")[0]
    if not name.startswith(PROXIES) or not is_uuid7(object_id):
        return False
    return _fresh(int(object_id.replace("-", "")[:12], 16), subject)


def _fresh(at_ms: int, subject: Subject) -> bool:
    """Whether this was a moment ago; what has not happened yet was not."""
    return 0 <= subject.now_ms - at_ms < subject.patience_ms


def _note(report: Report, finding: Finding, reason: str, log: str) -> None:
    report.log_findings.append(finding)
    report.findings.append(Bad(finding, reason, log=log))


def _counts(verdicts: Mapping[Verdict, int]) -> dict[str, int]:
    """Unreadable objects count as unchecked too: nobody knows what they hold."""
    counts = {verdict.value: verdicts.get(verdict, 0) for verdict in Verdict}
    counts["unchecked"] += counts["unreadable"]
    return counts

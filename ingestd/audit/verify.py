"""Re-reads originals and proxies from the store and compares them with the *signed entry*, not with a row.

Needs neither the database nor a running service: only logs, keys and the store. Steps:

1. the centre log: each entry's signature, ``seq``, ``prev``; its checkpoint's signature, and the root there; where a
   database is at hand, the entries it knows of, and the root there;
2. every mirror the same way, by the keys that the centre log let in for it (``custody.authority``), and leaf by leaf
   against what the centre log says was mirrored: what one names and the other lacks is a finding, and so is a log that
   only one of centre log and configuration names, unless two people approved it;
3. the times in the logs against their order (``clocks``), and the centre log against those checkpoints of it that
   stations say they had seen;
4. every object that ``ingest.copied`` or ``proxy.created`` announces and the selection wants: size and SHA-256 of what
   the store returns (``reread``);
5. every object in the store that no entry announces.

Where anybody outside vouches for the centre log, it is held against their anchors too (``run``).

Logs are always verified whole. An original announced only a moment ago and not in the store yet is ``unchecked``, not
``missing``. A derived object of a moment ago that is only in the log, or only in the store, is on its way and counts as
nothing. What was announced later than now is not on its way: a clock that runs ahead excuses nothing.
"""

import base64
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from custody.authority import APPROVERS, Authority
from custody.canonical import JsonObject
from custody.chain import EMPTY_SM3_TREE, EMPTY_TREE, Chain, Entry
from custody.checkpoint import NoteKey, SignedCheckpoint, parse_note
from custody.errors import EvidenceError
from custody.identifiers import person_key
from custody.index import split_lines
from custody.keyring import KeyHistory, LogKeys
from custody.log import CHECKPOINT, SECOND_CHECKPOINT, LogFiles
from custody.merkle import leaf_hash
from custody.verdicts import Finding
from ingestd.audit.clocks import MOST, CentreSeen, Mirrored, Order, centre_seen
from ingestd.audit.found import ORIGINAL, PROXY, LogReport, Report, Stored
from ingestd.audit.reread import Keep, Progress, Reading, Result, Store, fresh, reread, unrecorded
from ingestd.audit.selection import Said, Selection, choose, unknown
from ingestd.index.rows import actor_in, integer_in, list_in, mirrored, object_in, text_in
from ingestd.index.stations import described
from ingestd.verify import Station


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
    """Mirrors of stations that are not configured."""
    store: Store
    now_ms: int
    patience_ms: int
    """An object announced less than this ago may still be on its way."""
    readers: int = 2
    centre_second: NoteKey | None = None
    """The SM2 key of a centre log in profile ``gm``."""
    centre_successors: Sequence[LogKeys] = ()
    """Keys that may succeed those that the centre log began with."""
    applied: Applied | None = None
    """What a database says of the centre log; None when there is none to ask. Read it before the logs."""
    selection: Selection = field(default_factory=Selection)
    """Which objects are read back."""
    earlier: Callable[[Stored], Result | None] = lambda _stored: None
    """What an interrupted run found of an object that is announced as it was then."""
    keep: Keep = lambda _stored, _result: None


@dataclass(slots=True)
class Centre:
    """What the centre log says."""

    verified: set[str] = field(default_factory=set)
    """Objects that were verified before."""
    approved: dict[str, set[str]] = field(default_factory=dict)
    """Who approved that an object may go."""
    held: dict[str, str] = field(default_factory=dict)
    """Clips on hold, by the hold."""
    disposed: dict[str, frozenset[str]] = field(default_factory=dict)
    """Originals that are gone as two people approved, each with what was derived from it and is gone too."""
    leaves: dict[str, dict[int, str]] = field(default_factory=dict)
    """Per station log the leaves that were mirrored, by their number."""
    authority: Authority = field(default_factory=Authority)
    """Whose keys it let in, and which it took out."""
    said: Said = field(default_factory=Said)
    """What a selection asks about."""
    times: "array[int]" = field(default_factory=lambda: array("q"))
    """Time of each entry, by its number."""
    mirrored: dict[str, Mirrored] = field(default_factory=dict)
    """When the entries of each station log were taken in."""
    seen: dict[tuple[int, str], str] = field(default_factory=dict)
    """Checkpoints of this log, size and root, that stations say they had seen, and the first entry that says so."""


def audit(subject: Subject, progress: Progress = lambda _count: None) -> Report:
    """Check everything; never raises for what is wrong with the evidence, only reports it."""
    report = Report(selection=subject.selection.as_json())
    centre = _centre(report, subject)
    stations = _stations(report, subject, centre.authority)
    unnamed: dict[str, dict[int, str]] = {}
    expected = [stored for station in stations for stored in _mirror(report, subject, station, centre, unnamed)]
    _strangers(report, subject, centre, stations)
    _seen_by_stations(report, subject, centre)
    announced = _once(report, expected)
    wanted = _wanted(report, subject, announced, centre.said)
    reading = replace(_reading(subject, wanted, progress), disposed=centre.disposed)
    reread(report, reading, wanted, centre.verified)
    unrecorded(report, reading, {stored.name for stored in announced})
    _unmirrored(report, subject, unnamed)
    return report


def centre_log(report: Report, subject: Subject) -> Iterator[Entry]:
    """The centre's entries as far as they hold; what is wrong is noted."""
    return (entry for entry, _ in _centre_entries(report, subject))


def station_log(report: Report, subject: Subject, station: Station) -> Iterator[tuple[Entry, KeyHistory]]:
    """A station's entries in our mirror with the keys up to each, as far as they hold; what is wrong is noted."""
    begun = KeyHistory.begin(station.first, station.successors)
    return _entries(report, subject.files(station.station), begun)


def _centre_entries(
    report: Report, subject: Subject, roots: Mapping[int, str] = MappingProxyType({})
) -> Iterator[tuple[Entry, KeyHistory]]:
    begun = KeyHistory.begin(LogKeys(subject.centre, subject.centre_second), subject.centre_successors)
    return _entries(report, subject.files("centre"), begun, roots)


def _wanted(report: Report, subject: Subject, announced: Sequence[Stored], said: Said) -> Sequence[Stored]:
    """What the selection leaves of the announced objects: originals, and what was derived from them."""
    originals = [stored for stored in announced if stored.kind == ORIGINAL]
    report.announced = report.selected = len(originals)
    if subject.selection.everything:
        return announced
    chosen = choose(subject.selection, originals, said)
    report.selected, ids = len(chosen), {stored.object_id for stored in chosen}
    for object_id in unknown(subject.selection, originals):
        report.note(Finding.NOTHING_CHECKED, f"no signed entry announces a clip {object_id}", "")
    if not chosen:
        reason = f"nothing fits the selection: none of {len(originals)} originals was re-read"
        report.note(Finding.NOTHING_CHECKED, reason, "")
    return [*chosen, *(stored for stored in announced if stored.kind == PROXY and not ids.isdisjoint(stored.parents))]


def _reading(subject: Subject, wanted: Iterable[Stored], progress: Progress) -> Reading:
    earlier = {stored.name: result for stored in wanted if (result := subject.earlier(stored)) is not None}
    return Reading(subject.store, subject.now_ms, subject.patience_ms, subject.readers, earlier, subject.keep, progress)


def _centre(report: Report, subject: Subject) -> Centre:
    """What the centre log says; one that says nothing, or that nobody signed for, vouches for nothing."""
    said, files = Centre(), subject.files("centre")
    roots = {subject.applied.size: subject.applied.root} if subject.applied else {}
    origin, complain = subject.centre.name, _Complaints(report, subject.centre.name)
    order, history = Order(), None
    for entry, history in _centre_entries(report, subject, roots):  # noqa: B007  # its end is used
        _hear(said, entry)
        said.times.append(entry.record.utc_ms)
        complain.of("order", order.step(entry))
    if not said.times:
        report.note(Finding.NOTHING_CHECKED, "the centre log is empty: nothing says what was mirrored", origin)
    elif not _has_checkpoint(files):
        report.note(Finding.NOTHING_CHECKED, "the centre log has no checkpoint: its end may be gone", origin)
    review = Review(said.authority)
    if history is not None and said.authority.revoked:
        for seq, at_ms in enumerate(said.times):
            review.of(seq, history.at(seq), at_ms)
    review.note(report, origin)
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
    said.authority.hear(entry.record)
    _hear_of_disposals(said, entry.record.event, payload)
    if entry.record.event == "station.entries":
        log, _ = mirrored(entry)
        start = integer_in(object_in(payload, "mirror"), "from") or 0
        named = list_in(object_in(payload, "mirror"), "leaves")
        said.leaves.setdefault(log, {}).update({start + i: str(leaf) for i, leaf in enumerate(named)})
        said.mirrored.setdefault(log, Mirrored()).add(start, len(named), entry.record.utc_ms)
    if entry.record.event in {"case.linked", "case.unlinked"}:
        link = object_in(payload, "link")
        one = text_in(link, "object"), text_in(link, "action")
        said.said.links.pop(one, None)
        if entry.record.event == "case.linked":
            said.said.links[one] = text_in(link, "case")


def _hear_of_disposals(said: Centre, event: str, payload: JsonObject) -> None:
    """What may go and what is gone: by these entries alone, whatever rows said when they were written.

    A disposal counts when two people approved it before, and no link and no hold on the clip stood in the log.
    """
    about = object_in(payload, "hold" if event.startswith("hold.") else "disposal")
    object_id = text_in(about, "object")
    if event == "hold.set":
        said.held[text_in(about, "id")] = object_id
    elif event == "hold.released":
        said.held.pop(text_in(about, "id"), None)
    elif event == "disposal.approved":
        said.approved.setdefault(object_id, set()).add(person_key(actor_in(payload)))
    elif event == "disposal.done":
        people, linked = said.approved.get(object_id, ()), any(clip == object_id for clip, _ in said.said.links)
        if len(people) >= APPROVERS and not linked and object_id not in said.held.values():
            said.disposed[object_id] = frozenset(map(str, list_in(about, "derived")))


def _stations(report: Report, subject: Subject, authority: Authority) -> list[Station]:
    """The stations whose logs are read; one that is configured with another key than it was enrolled with is noted."""
    found = stations_of(subject, authority)
    for station in found:
        one = authority.enrolled.get(station.log)
        if one is not None and one.keys != station.first:
            reason = f"it was enrolled with key {one.keys.keyid}, and another one is configured"
            report.note(Finding.KEY_UNKNOWN, reason, station.log)
    return found


def stations_of(subject: Subject, authority: Authority) -> list[Station]:
    """Configured stations, and those that two people approved, each with the keys that may succeed in its log."""
    found = {station.log: station for station in subject.stations}
    for log, one in authority.enrolled.items():
        if len(one.approvers) >= APPROVERS:
            found.setdefault(log, Station(one.station, one.keys.note, one.keys.second))
    return [replace(one, successors=frozenset(authority.successors(log))) for log, one in found.items()]


@dataclass(slots=True)
class Review:
    """Entries that need review because their key was revoked when the centre first saw them, by key."""

    authority: Authority
    numbers: dict[LogKeys, list[int]] = field(default_factory=dict)

    def of(self, seq: int, keys: LogKeys, seen_ms: int) -> None:
        """Judge one entry."""
        if self.authority.doubtful(keys, seen_ms):
            self.numbers.setdefault(keys, []).append(seq)

    def note(self, report: Report, log: str) -> None:
        """One finding a key, which names the entries."""
        for keys, numbers in self.numbers.items():
            reason = f"key {keys.keyid} was revoked when the centre first saw {len(numbers)} entries: {spans(numbers)}"
            report.note(Finding.KEY_REVIEW, reason, log)


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers for people: ``3-5, 9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _mirror(
    report: Report, subject: Subject, station: Station, centre: Centre, unnamed: dict[str, dict[int, str]]
) -> Iterator[Stored]:
    """Objects that a station's mirrored log announces, while its entries are compared with the centre's leaves.

    Entries that are not a moment old and that the centre log does not name go into ``unnamed``.
    """
    named = dict(centre.leaves.get(station.log, {}))
    clocks = _StationClocks(_Complaints(report, station.log), centre, subject.centre.name, station.log)
    review, authority = Review(centre.authority), centre.authority
    for entry, history in station_log(report, subject, station):
        seen = authority.seen(station.log, entry.seq)
        review.of(entry.seq, history.at(entry.seq), seen.utc_ms if seen else subject.now_ms)
        if history.spans[-1][0] == entry.seq + 1 and not authority.in_time(station.log, entry.seq, history.current):
            reason = f"entry {entry.seq} hands over to key {history.current.keyid}, which was approved only later"
            report.note(Finding.KEY_UNKNOWN, reason, station.log)
        leaf = named.pop(entry.seq, None)
        if leaf is not None and leaf != entry.leaf.hex():
            report.note(Finding.MIRROR_MISMATCH, f"entry {entry.seq} is not the one the centre mirrored", station.log)
        if leaf is None and not fresh(entry.record.utc_ms, subject.now_ms, subject.patience_ms):
            unnamed.setdefault(station.log, {})[entry.seq] = entry.leaf.hex()
        clocks.check(entry)
        if subject.selection.days and entry.record.event == "media.described":
            _started(centre.said, entry, station.station)
        stored = _announced(entry, station.station)
        if stored is not None:
            yield stored
    review.note(report, station.log)
    if named:
        report.note(Finding.LOG_TRUNCATED, f"{len(named)} mirrored entries are gone, from {min(named)}", station.log)


@dataclass(slots=True)
class _Complaints:
    """Complaints about the times of one log: the first few of each kind, then that there are more."""

    report: Report
    log: str
    counted: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str, reason: str) -> None:
        """Note a reason; an empty one is none."""
        if not reason:
            return
        self.counted[kind] = self.counted.get(kind, 0) + 1
        if self.counted[kind] < MOST:
            self.report.note(Finding.TIME_REGRESSION, reason, self.log)
        elif self.counted[kind] == MOST:
            self.report.note(Finding.TIME_REGRESSION, f"{reason}; there are more like it", self.log)


@dataclass(slots=True)
class _StationClocks:
    """The times of one station's entries against their order and against the centre log."""

    complain: _Complaints
    centre: Centre
    origin: str
    """Of the centre log."""
    log: str
    order: Order = field(default_factory=Order)
    strange: bool = False
    """Whether a claim that nobody can use was noted."""

    def check(self, entry: Entry) -> None:
        self.complain.of("order", self.order.step(entry))
        mirrored_at = self.centre.mirrored.get(self.log)
        if mirrored_at:
            self.complain.of("mirrored", mirrored_at.ahead(entry))
        try:
            seen = centre_seen(entry)
        except ValueError as error:
            self._note(Finding.UNPARSABLE, str(error))
        else:
            if seen is not None:
                self._check_seen(entry, seen)

    def _check_seen(self, entry: Entry, seen: CentreSeen) -> None:
        if seen.origin != self.origin:
            self._note(Finding.LOG_FORKED, f"entry {entry.seq} has seen a centre {seen.origin}")
            return
        self.centre.seen.setdefault((seen.size, seen.root), f"{self.log}:{entry.seq}")
        if seen.size <= len(self.centre.times):
            self.complain.of("seen", seen.behind(entry, self.centre.times[seen.size - 1]))

    def _note(self, finding: Finding, reason: str) -> None:
        if not self.strange:
            self.complain.report.note(finding, reason, self.log)
        self.strange = True


def _seen_by_stations(report: Report, subject: Subject, centre: Centre) -> None:
    """The centre log is still the one whose checkpoints stations have seen: whoever rewrote it cannot rewrite those."""
    wanted = {size for size, _ in centre.seen}
    roots, tree = dict[int, str](), EMPTY_TREE
    try:
        for line in split_lines(subject.files("centre").read(0), []) if wanted else ():
            tree = tree.extend([leaf_hash(line)])
            if tree.size in wanted:
                roots[tree.size] = base64.b64encode(tree.root()).decode()
    except OSError:
        return  # noted already, when the log was read
    for (size, root), where in sorted(centre.seen.items()):
        if size > tree.size:
            reason = f"{tree.size} entries, but {where} has seen a checkpoint at {size}"
            report.note(Finding.LOG_TRUNCATED, reason, subject.centre.name)
        elif roots[size] != root:
            reason = f"the root at {size} is not the one that {where} has seen signed"
            report.note(Finding.ROOT_MISMATCH, reason, subject.centre.name)


def _strangers(report: Report, subject: Subject, centre: Centre, stations: Sequence[Station]) -> None:
    """Mirrors without a station, and logs of the centre's of a station that nobody approved and nobody configured."""
    for name in sorted({*subject.strangers} - {station.station for station in stations}):
        report.note(Finding.KEY_UNKNOWN, f"mirrors/{name}: no such station is enrolled", name)
    known, enrolled = {station.log for station in stations}, centre.authority.enrolled
    for log in sorted((centre.leaves.keys() | enrolled.keys()) - known):
        count, name = len(centre.leaves.get(log, {})), enrolled[log].station if log in enrolled else "?"
        reason = f"the centre log names {count} entries of station {name}, which is not configured: put it back"
        report.note(Finding.KEY_UNKNOWN, reason, log)


def _unmirrored(report: Report, subject: Subject, unnamed: Mapping[str, Mapping[int, str]]) -> None:
    """Mirrored entries that the centre log does not name, unless it came to name them while the audit ran."""
    if not unnamed:
        return
    now = Centre()
    for entry in centre_log(Report(), subject):
        _hear(now, entry)
    for log, leaves in unnamed.items():
        named = now.leaves.get(log, {})
        strange = [seq for seq, leaf in leaves.items() if named.get(seq) != leaf]
        if strange:
            reason = f"the centre log does not name {len(strange)} entries of the mirror, from {min(strange)}"
            report.note(Finding.MIRROR_MISMATCH, reason, log)


def _entries(
    report: Report,
    files: LogFiles,
    history: KeyHistory,
    roots: Mapping[int, str] = MappingProxyType({}),
) -> Iterator[tuple[Entry, KeyHistory]]:
    """Entries that follow from the first on, with the keys up to each; the first fault ends the log and is noted.

    ``roots`` are those that a database knows, in base64 by the log's size there.
    """
    first = history.current
    key, candidates = first.note, [one for keys in history.candidates() for one in keys.note_keys]
    chain = Chain(key.name, second=EMPTY_SM3_TREE if first.second else None)
    try:
        signed = _checkpoint(files, candidates)
        gm = _checkpoint(files, candidates, SECOND_CHECKPOINT) if first.second else None
        if first.second and signed and gm is None:
            report.note(Finding.LOG_TRUNCATED, "its SM3 checkpoint is gone", first.second.name)
        for data in split_lines(files.read(0), []):
            entry, chain, history = history.follow(chain, data)
            _check_signers(history, chain.size, [note for note in (signed, gm) if note])
            _check_second(report, chain, gm)
            if signed and chain.size == signed.checkpoint.size and chain.root() != signed.checkpoint.root:
                report.note(Finding.ROOT_MISMATCH, f"the root at {chain.size} is not the signed one", key.name)
            if roots.get(chain.size) and roots[chain.size] != _root(chain):
                reason = f"the root at {chain.size} is not the one the database has"
                report.note(Finding.PROJECTION_MISMATCH, reason, key.name)
            yield entry, history
        if signed and chain.size < signed.checkpoint.size:
            reason = f"{chain.size} entries, but {signed.checkpoint.size} were signed for"
            report.note(Finding.LOG_TRUNCATED, reason, key.name)
        if gm and chain.size < gm.checkpoint.size:
            reason = f"{chain.size} entries, but {gm.checkpoint.size} were signed for"
            report.note(Finding.LOG_TRUNCATED, reason, gm.checkpoint.origin)
        if max(roots, default=0) > chain.size:
            reason = f"{chain.size} entries, but the database has seen {max(roots)}"
            report.note(Finding.LOG_TRUNCATED, reason, key.name)
    except EvidenceError as error:
        report.note(Finding(error.finding), str(error), key.name)
    except OSError as error:
        report.note(Finding.UNPARSABLE, f"the log cannot be read: {error}", key.name)
    report.logs.append(LogReport(key.name, chain.size, _root(chain)))


def _check_signers(history: KeyHistory, size: int, notes: Sequence[SignedCheckpoint]) -> None:
    """A checkpoint of this size is signed by the keys of its time. Raises ``CheckpointError``."""
    for note in notes:
        if note.checkpoint.size == size:
            note.verify([one for keys in history.of_checkpoint(size) for one in keys.note_keys])


def _check_second(report: Report, chain: Chain, gm: SignedCheckpoint | None) -> None:
    """In profile ``gm`` the SM3 tree must lead to the root of the second note."""
    if gm and chain.second and chain.size == gm.checkpoint.size and chain.second.root() != gm.checkpoint.root:
        reason = f"the SM3 root at {chain.size} is not the signed one"
        report.note(Finding.ROOT_MISMATCH, reason, gm.checkpoint.origin)


def _root(chain: Chain) -> str:
    return base64.b64encode(chain.root()).decode()


def _checkpoint(files: LogFiles, keys: Sequence[NoteKey], name: str = CHECKPOINT) -> SignedCheckpoint | None:
    note = files.get(name)
    if note is None:
        return None
    signed = parse_note(note)
    signed.verify(keys)
    return signed


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
    parents = tuple(text_in(parent, "id") for parent in list_in(entry.record.payload, "parents"))
    place = station, path, entry.record.utc_ms
    return Stored(kind, text_in(stored, "id"), name, size, sha256, *place, entry.leaf.hex(), parents)


def _started(said: Said, entry: Entry, station: str) -> None:
    """When a recording began, as the index understands the signed description."""
    start_ms = described(object_in(entry.record.payload, "media"), 0)["start_ms"]
    object_id = text_in(object_in(entry.record.payload, "object"), "id")
    if start_ms is None:
        said.starts.pop((station, object_id), None)
    else:
        said.starts[station, object_id] = start_ms


def _once(report: Report, expected: Iterable[Stored]) -> list[Stored]:
    """Each object once; two entries that announce one name differently are a finding."""
    known: dict[str, Stored] = {}
    for stored in expected:
        first = known.setdefault(stored.name, stored)
        if (first.size, first.sha256) != (stored.size, stored.sha256):
            report.note(Finding.LOG_FORKED, f"{stored.name} is announced twice with different digests", stored.station)
    return list(known.values())

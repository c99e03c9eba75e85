"""The story of one clip from the signed entries of every log, in order, and what the index says otherwise.

Nothing here comes from a row. Each log is verified from its first entry on as far as it holds; a fault ends it and is a
finding. A time is its writer's word, so each event carries the bounds that others give it:

* a station's entry was not written before the centre checkpoint that it says its station had seen, and not after the
  centre had it;
* a centre's entry was not written before the newest anchor that it stands behind, and not after the first one that
  covers it. Without anchors the centre's times are the centre's word alone.

A time outside its bounds by more than ``clocks.TOLERANCE_MS`` is a ``time-regression``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from custody.authority import Authority
from custody.canonical import JsonObject
from custody.chain import Entry
from custody.verdicts import Finding, Outcome, Verdict, outcome
from ingestd.audit.clocks import TOLERANCE_MS, Mirrored, centre_seen
from ingestd.audit.export_select import CentreChoice, StationChoice
from ingestd.audit.found import Report
from ingestd.audit.verify import Review, Subject, centre_log, station_log, stations_of
from ingestd.index.rows import integer_in, list_in, mirrored, object_in, text_in
from ingestd.verify import Station

_ANCHORED: Final = "checkpoint.anchored"
_SYSTEM: Final = "system"
_MIRRORING: Final = "station.entries"


@dataclass(frozen=True, slots=True)
class Bound:
    """A time that somebody else than the writer gives, and where it stands."""

    utc_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class Event:
    """One signed entry about the clip."""

    log: str
    seq: int
    leaf: str
    event: str
    utc_ms: int
    clock: str
    """Quality of the writer's clock, as it states it."""
    host: str
    actor: str
    what: str
    verified: bool
    """Signed, in its place, and for a station's entry named by the centre log."""
    not_before: Bound | None = None
    not_after: Bound | None = None

    def as_json(self) -> dict[str, Any]:
        """For machines; yes and no as in records."""
        return {**asdict(self), "verified": "yes" if self.verified else "no"}


@dataclass(slots=True)
class Chain:
    """Everything that was signed about one clip."""

    clip: str
    events: list[Event] = field(default_factory=list)
    report: Report = field(default_factory=Report)
    copied: dict[str, Any] = field(default_factory=dict)
    """What the entry that brought the clip says of it, by the columns of the index."""
    links: set[str] = field(default_factory=set)
    """Actions that it is linked to now."""
    compared: bool = False
    """Whether there was an index to compare with."""

    @property
    def outcome(self) -> Outcome:
        """0 only when there is an event, each is verified, and nothing is wrong."""
        verdicts = [Verdict.VERIFIED if one.verified else Verdict.FAILED for one in self.events]
        return outcome(verdicts, self.report.log_findings)

    def as_json(self) -> dict[str, Any]:
        """The object that ``audit chain --json`` prints."""
        return {
            "ok": self.outcome is Outcome.OK,
            "outcome": int(self.outcome),
            "clip": self.clip,
            "events": [one.as_json() for one in self.events],
            "compared_with_index": "yes" if self.compared else "no",
            "logs": [asdict(log) for log in self.report.logs],
            "findings": [bad.as_json() for bad in self.report.findings],
        }


@dataclass(slots=True)
class _Centre:
    """What the centre log says of times and of the stations' entries."""

    times: list[int] = field(default_factory=list)
    leaves: dict[str, dict[int, str]] = field(default_factory=dict)
    mirrored: dict[str, Mirrored] = field(default_factory=dict)
    authority: Authority = field(default_factory=Authority)
    """Whose keys it let in, and which it took out."""
    anchors: list[tuple[int, int, Bound]] = field(default_factory=list)
    """For each anchor its own entry, the size that it covers, and its time."""

    def hear(self, entry: Entry) -> None:
        """Take the next entry."""
        self.times.append(entry.record.utc_ms)
        self.authority.hear(entry.record)
        if entry.record.event == _MIRRORING:
            log, _ = mirrored(entry)
            block = object_in(entry.record.payload, "mirror")
            start, leaves = integer_in(block, "from") or 0, list_in(block, "leaves")
            self.leaves.setdefault(log, {}).update({start + i: str(leaf) for i, leaf in enumerate(leaves)})
            self.mirrored.setdefault(log, Mirrored()).add(start, len(leaves), entry.record.utc_ms)
        if entry.record.event == _ANCHORED:
            block = object_in(entry.record.payload, "anchor")
            utc_ms, size = integer_in(block, "utc_ms"), integer_in(block, "size")
            if utc_ms and size:
                by = f"{text_in(block, 'kind')} {text_in(block, 'name')} @ {size}"
                self.anchors.append((entry.seq, size, Bound(utc_ms, by)))

    def bounds_of_own(self, seq: int) -> tuple[Bound | None, Bound | None]:
        """Bounds of an entry of the centre's."""
        behind = [bound for at, _, bound in self.anchors if at < seq]
        over = [(size, bound) for _, size, bound in self.anchors if size > seq]
        return (behind[-1] if behind else None), (min(over, key=lambda one: one[0])[1] if over else None)

    def bounds_of(self, entry: Entry, origin: str) -> tuple[Bound | None, Bound | None]:
        """Bounds of an entry of a station's."""
        log = entry.record.log
        at_ms = self.mirrored[log].at_ms(entry.seq) if log in self.mirrored else None
        after = Bound(at_ms, origin) if at_ms is not None else None
        try:
            seen = centre_seen(entry)
        except ValueError:
            seen = None
        if seen is None or seen.origin != origin or seen.size > len(self.times):
            return None, after
        return Bound(self.times[seen.size - 1], f"{origin} @ {seen.size}"), after


def chain_of(clip: str, subject: Subject) -> Chain:
    """Read every log and tell the story; never raises for what is wrong with the evidence, only reports it."""
    chain, centre = Chain(clip), _Centre()
    for entry in centre_log(chain.report, subject):
        centre.hear(entry)
    stations = stations_of(subject, centre.authority)
    told = [one for station in stations for one in _station(chain, subject, station, centre)]
    leaves = _chosen_leaves(told)
    told += _centre_events(chain, subject, centre, leaves)
    chain.events = _in_order(told, subject.centre.name, centre)
    for one in chain.events:
        if reason := _out_of_bounds(one):
            chain.report.note(Finding.TIME_REGRESSION, reason, one.log)
    if not any(one.event == "ingest.copied" for one in told):
        chain.report.note(Finding.NOTHING_CHECKED, f"no signed entry announces a clip {clip}", "")
    return chain


def _station(chain: Chain, subject: Subject, station: Station, centre: _Centre) -> Iterator[Event]:
    """Events of one station's log; the second reading fetches what only the first one showed to belong here."""
    choice = StationChoice(frozenset([chain.clip]))
    for entry, _ in station_log(chain.report, subject, station):
        choice.see(entry)
    named, review = centre.leaves.get(station.log, {}), Review(centre.authority)
    for entry, history in station_log(Report(), subject, station) if choice.chosen else ():
        if entry.seq in choice.chosen:
            seen = centre.authority.seen(station.log, entry.seq)
            review.of(entry.seq, history.at(entry.seq), seen.utc_ms if seen else subject.now_ms)
            known = named.get(entry.seq) == entry.leaf.hex()
            if not known:
                reason = f"the centre log does not name entry {entry.seq} as it stands in the mirror"
                chain.report.note(Finding.MIRROR_MISMATCH, reason, station.log)
            _remember(chain, entry)
            yield _event(entry, station.station, known, *centre.bounds_of(entry, subject.centre.name))
    review.note(chain.report, station.log)


def _centre_events(
    chain: Chain, subject: Subject, centre: _Centre, leaves: Mapping[str, Sequence[int]]
) -> Iterator[Event]:
    choice = CentreChoice(frozenset([chain.clip]), leaves, keys=())
    for entry in centre_log(Report(), subject):
        choice.see(entry)
    chosen = choice.chosen()
    for entry in centre_log(Report(), subject) if chosen else ():
        if entry.seq in chosen:
            _remember(chain, entry)
            yield _event(entry, "centre", True, *centre.bounds_of_own(entry.seq))  # noqa: FBT003  # it was read as verified


def _remember(chain: Chain, entry: Entry) -> None:
    """What an index has to agree with."""
    payload, event = entry.record.payload, entry.record.event
    if event == "ingest.copied" and not chain.copied:
        stored = object_in(payload, "object")
        chain.copied = {
            "log": entry.record.log,
            "seq": entry.seq,
            "leaf": entry.leaf.hex(),
            "name": text_in(stored, "name"),
            "size": integer_in(stored, "size"),
            "sha256": text_in(object_in(stored, "digests"), "sha256"),
        }
    link = object_in(payload, "link")
    if event in {"case.linked", "case.unlinked"} and text_in(link, "object") == chain.clip:
        change = chain.links.add if event == "case.linked" else chain.links.discard
        change(text_in(link, "action"))


def _chosen_leaves(events: Iterable[Event]) -> Mapping[str, Sequence[int]]:
    leaves: dict[str, list[int]] = {}
    for one in events:
        leaves.setdefault(one.log, []).append(one.seq)
    return leaves


def _in_order(events: Iterable[Event], origin: str, centre: _Centre) -> list[Event]:
    """By time, which within a log is by number; a station's entry never stands behind the one that mirrored it."""

    def place(one: Event) -> tuple[int, int, str, int]:
        if one.log == origin:
            return centre.times[one.seq], 1, one.log, one.seq
        at_ms = centre.mirrored[one.log].at_ms(one.seq) if one.log in centre.mirrored else None
        return one.utc_ms if at_ms is None else min(one.utc_ms, at_ms), 0, one.log, one.seq

    return sorted(events, key=place)


def _out_of_bounds(one: Event) -> str:
    if one.not_before and one.utc_ms < one.not_before.utc_ms - TOLERANCE_MS:
        return f"entry {one.seq} is dated {(one.not_before.utc_ms - one.utc_ms) // 1000} s before {one.not_before.by}"
    if one.not_after and one.utc_ms > one.not_after.utc_ms + TOLERANCE_MS:
        return f"entry {one.seq} is dated {(one.utc_ms - one.not_after.utc_ms) // 1000} s after {one.not_after.by}"
    return ""


def _event(entry: Entry, host: str, verified: bool, before: Bound | None, after: Bound | None) -> Event:  # noqa: FBT001  # a fact, not a switch
    record = entry.record
    return Event(
        log=record.log,
        seq=entry.seq,
        leaf=entry.leaf.hex(),
        event=record.event,
        utc_ms=record.utc_ms,
        clock=text_in(object_in(record.payload, "time"), "source"),
        host=_host(record.payload) or host,
        actor=_actor(record.payload) or f"{_SYSTEM} {host}",
        what=_what(record.payload),
        verified=verified,
        not_before=before,
        not_after=after,
    )


def _host(payload: JsonObject) -> str:
    for block in ("export", "audit", "station"):
        told = object_in(payload, block)
        if host := text_in(told, "host") or (text_in(told, "id") if block == "station" else ""):
            return host
    return ""


def _actor(payload: JsonObject) -> str:
    actors = [f"{text_in(one, 'role')} {text_in(one, 'id')}".strip() for one in list_in(payload, "actors")]
    return ", ".join(actor for actor in actors if actor)


def _what(payload: JsonObject) -> str:
    """The one fact that a reader looks for, as it was signed."""
    told = [
        text_in(object_in(payload, "source"), "path", 200),
        text_in(object_in(payload, "copy"), "reread"),
        text_in(object_in(payload, "link"), "case") or text_in(object_in(payload, "link"), "action"),
        text_in(object_in(payload, "flag"), "rule"),
        text_in(object_in(payload, "explanation"), "text", 200),
        text_in(object_in(payload, "review"), "result"),
        text_in(object_in(payload, "closing"), "ground"),
        text_in(object_in(payload, "view"), "what"),
        text_in(object_in(payload, "hold"), "case"),
        text_in(payload, "result"),
        text_in(payload, "reason", 200),
        _mirror(object_in(payload, "mirror")),
        text_in(object_in(payload, "camera"), "serial") if "files" in payload or "volume" in payload else "",
    ]
    return "; ".join(one for one in told if one)


def _mirror(block: JsonObject) -> str:
    start = integer_in(block, "from")
    return f"{text_in(block, 'log')}:{start}–{start + len(list_in(block, 'leaves')) - 1}" if start is not None else ""

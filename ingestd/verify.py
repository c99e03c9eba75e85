"""Does a station's message continue its log? Pure: bytes in, entries out; nothing is written here.

Steps, in this order; the first that fails ends the message, and what went before stays good:

1. the message is at most ``MAX_MESSAGE_BYTES``;
2. it is a ``Records`` message;
3. its topic belongs to an enrolled station, and it speaks of that station's log;
4. entries we have are the same byte for byte (an entry that differs is a fork);
5. each new entry opens, is signed by the station's key of that place, parses, and continues the log in ``seq`` and
   ``prev``; one that hands over to another key names a key that was approved (``custody.keyring``);
6. whatever became of the entries: the checkpoint, where it covers entries we have now, leads to the same root and is
   signed by the station's key of that size; in profile ``gm`` the second one too, over SM3 and of the same size. It
   travels outside the signed entries, so a bad one never keeps a good entry out. One of the size of the newest we keep
   must be of the same root.

A gap (the message starts beyond what we have) is no fault: the answer tells the station where to go on. A checkpoint of
entries still to come is left for the message that brings them. The digest of the stored object (7) is re-read by
``recheck``.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from custody.chain import Chain, Entry
from custody.checkpoint import Checkpoint, NoteKey, SignedCheckpoint, parse_note
from custody.errors import EvidenceError
from custody.keyring import KeyHistory, LogKeys
from custody.merkle import CompactRange, leaf_hash
from custody.messages import Records, decode_records
from custody.signer import VerifyKey
from custody.topics import station_in
from custody.verdicts import Finding
from ingestd.errors import MessageError

Leaves = Callable[[int, int], list[str]]
"""Leaf hashes (hex) of entries [start, stop) that are mirrored and indexed."""


@dataclass(frozen=True, slots=True)
class Station:
    """An enrolled station: its name, and the key its log began with; in profile ``gm`` also that of the second note."""

    station: str
    note_key: NoteKey
    second_key: NoteKey | None = None
    successors: frozenset[LogKeys] = frozenset()
    """Keys that two people let succeed the first ones."""
    revoked: Mapping[NoteKey, int] = field(default_factory=dict)
    """From when on a key is not trusted, in ms."""

    @property
    def first(self) -> LogKeys:
        """The keys that its log began with."""
        return LogKeys(self.note_key, self.second_key)

    @property
    def admitted(self) -> frozenset[LogKeys]:
        """Keys that may succeed in what is still to come: those of ``successors`` that nobody revoked."""
        return frozenset(keys for keys in self.successors if not {*keys.note_keys} & self.revoked.keys())

    @property
    def log(self) -> str:
        """Origin of its log."""
        return self.note_key.name

    @property
    def keys(self) -> tuple[VerifyKey, ...]:
        """The keys that must all sign its first entry."""
        return self.first.keys


Notes = tuple[SignedCheckpoint, SignedCheckpoint | None]
"""A checkpoint and, in profile ``gm``, the second one."""


@dataclass(slots=True)
class Follower:
    """The log of one station during one unit of work."""

    station: Station
    chain: Chain
    leaves: Leaves
    kept: Checkpoint | None = None
    """The newest checkpoint that is kept."""
    history: KeyHistory | None = None
    """Whose keys signed what so far; by default those the log began with."""
    entries: list[Entry] = field(default_factory=list)
    """New entries, verified."""
    notes: list[SignedCheckpoint] = field(default_factory=list)
    """New checkpoints whose root was found right, oldest first, together with ``settled``."""
    seconds: list[SignedCheckpoint | None] = field(default_factory=list)
    """For each of ``notes`` the second one, in profile ``gm``."""
    settled: list[tuple[Chain, int]] = field(default_factory=list)
    """For each of ``notes`` the chain it describes and how many of ``entries`` that is."""
    resent: list[tuple[int, int]] = field(default_factory=list)
    """Ranges [start, stop) of entries that came again."""
    start: int = field(init=False)
    """Size of the log before this unit of work."""
    _keys: KeyHistory = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.chain.size
        known = self.history or KeyHistory.begin(self.station.first)
        self._keys = known.approving(self.station.admitted)

    def take(self, records: Records) -> None:
        """Steps 4 to 6. Raises ``MessageError``; what was right before the fault is kept."""
        known = min(max(0, self.chain.size - records.first), len(records.entries))
        self._check_known(records, known)
        if known:
            self.resent.append((records.first, records.first + known))
        if records.first > self.chain.size:
            return
        states = [(self.chain, len(self.entries))]
        try:
            for data in records.entries[known:]:
                self._follow(data)
                states.append((self.chain, len(self.entries)))
        except MessageError:
            with suppress(MessageError):  # the entry is the graver fault, and the whole message is kept
                self._settle(records, states)
            raise
        self._settle(records, states)

    def _check_known(self, records: Records, known: int) -> None:
        stop = min(records.first + known, self.start)
        there = self.leaves(records.first, stop) if records.first < stop else []
        there += [e.leaf.hex() for e in self.entries[max(0, records.first - self.start) :]]
        for number, (data, leaf) in enumerate(zip(records.entries[:known], there, strict=False)):
            if leaf_hash(data).hex() != leaf:
                place = f"{self.station.log}: entry {records.first + number}"
                raise MessageError(f"{place} differs from the one we hold", Finding.LOG_FORKED, data)

    def _follow(self, data: bytes) -> None:
        try:
            entry, self.chain, self._keys = self._keys.follow(self.chain, data)
        except EvidenceError as error:
            raise MessageError(str(error), error.finding, data) from error
        self.entries.append(entry)

    def _notes(self, records: Records) -> Notes | None:
        if not records.checkpoint:
            return None
        note = self._note(records.checkpoint, self.station.note_key.name)
        if self.station.second_key is None:
            return note, None
        if not records.checkpoint_sm3:
            raise MessageError(
                f"{self.station.log}: a log of profile gm has two checkpoints", Finding.SIG_BAD, records.checkpoint
            )
        return note, self._note(records.checkpoint_sm3, self.station.second_key.name)

    def _note(self, checkpoint: bytes, origin: str) -> SignedCheckpoint:
        try:
            note = parse_note(checkpoint)
        except EvidenceError as error:
            raise MessageError(f"{origin}: {error}", error.finding, checkpoint) from error
        if note.checkpoint.origin != origin:
            raise MessageError(
                f"{origin}: the checkpoint is of {note.checkpoint.origin}", Finding.LOG_FORKED, checkpoint
            )
        return note

    def _settle(self, records: Records, states: Sequence[tuple[Chain, int]]) -> None:
        """Step 6, for the state among ``states`` that has the size of the checkpoint."""
        notes = self._notes(records)
        if notes is None:
            return
        note, second = notes
        self._check_kept(note)
        chain, count = next((one for one in states if one[0].size == note.checkpoint.size), states[0])
        if chain.size != note.checkpoint.size or not chain.size:
            return
        keys = [key for one in self._keys.of_checkpoint(chain.size) for key in one.note_keys]
        self._check_note(note, chain.tree, keys)
        if second and chain.second is not None:
            self._check_note(second, chain.second, keys)
        if chain.size > self._settled_size():
            self.notes.append(note)
            self.seconds.append(second)
            self.settled.append((chain, count))

    def _check_kept(self, note: SignedCheckpoint) -> None:
        """Two roots of one size are two histories."""
        kept = self.notes[-1].checkpoint if self.notes else self.kept
        if kept and kept.size == note.checkpoint.size and kept.root != note.checkpoint.root:
            raise MessageError(
                f"{self.station.log}: another root is kept for size {kept.size}", Finding.ROOT_MISMATCH, note.note
            )

    def _check_note(self, note: SignedCheckpoint, tree: CompactRange, keys: Sequence[NoteKey]) -> None:
        origin = note.checkpoint.origin
        if (note.checkpoint.size, note.checkpoint.root) != (tree.size, tree.root()):
            raise MessageError(
                f"{origin}: the entries do not lead to the root signed at {note.checkpoint.size}",
                Finding.ROOT_MISMATCH,
                note.note,
            )
        try:
            note.verify([key for key in keys if key.name == origin])
        except EvidenceError as error:
            raise MessageError(f"{origin}: {error}", error.finding, note.note) from error

    def _settled_size(self) -> int:
        newest = self.notes[-1].checkpoint if self.notes else self.kept
        return newest.size if newest else 0


def open_message(topic: str, payload: bytes, stations: Mapping[str, Station]) -> tuple[Station, Records]:
    """Steps 1 to 3. Raises ``MessageError``."""
    name = station_in(topic)
    station = stations.get(name or "")
    try:
        records = decode_records(payload)
    except EvidenceError as error:
        raise MessageError(f"{name or topic[:100]}: {error}", error.finding, payload) from error
    if station is None:
        raise MessageError(f"station {name or topic[:100]!r} is not enrolled", Finding.KEY_UNKNOWN, payload)
    if records.log != station.log:
        raise MessageError(f"station {name} speaks of log {records.log}", Finding.LOG_FORKED, payload)
    return station, records

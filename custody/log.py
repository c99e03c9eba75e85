"""An append-only log over a file port: what is written when, and how a crash is survived.

The port's promises are the only I/O this module relies on, so every crash can be played in memory. A log consists of

* ``entries``: the entries, each followed by one newline; only ever appended to;
* ``checkpoint``: the newest signed checkpoint;
* ``snapshot``: the chain state at that checkpoint and its byte offset, so that opening need not read the whole log.
  It is a cache: it is used only when it leads to the root of the signed checkpoint;
* in profile ``gm``, ``checkpoint.sm3``: the second note. It is written first, so it is never behind ``checkpoint``;
* the index of ``custody.index``: leaf hashes, nodes of the SHA-256 tree, and where entries end. A cache as well; proofs
  in the SM3 tree are made from the entries.

Crash rules: half an entry at the end is cut off and reported (``torn_bytes``); whole entries after the checkpoint are
kept. A log shorter than its own checkpoint, or another than it, never opens.
"""

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import Protocol

from custody import sm2
from custody.canonical import JsonObject, JsonValue, canonical_bytes, parse_object
from custody.chain import EMPTY_SM3_TREE, Chain, Entry
from custody.checkpoint import Checkpoint, NoteKey, SignedCheckpoint, parse_note, sign_checkpoint
from custody.envelope import MAX_ENTRY_BYTES, open_envelope, seal
from custody.errors import CheckpointError, ContractError, CustodyError, LogError, StaleIndexError, UnparsableError
from custody.identifiers import SECOND, second_origin
from custody.index import Index, IndexFiles, Proofs, split_lines
from custody.keyring import KeyHistory, LogKeys, keys_in
from custody.merkle import CompactRange, leaf_hash, sm3
from custody.record import Draft, parse_record, placed
from custody.signer import Signer, VerifyKey, verify_key

HOLE = b"\0"
"""No entry holds a NUL; a crash can leave pages of them where an append was under way."""
CHECKPOINT = "checkpoint"
SECOND_CHECKPOINT = "checkpoint.sm3"
SNAPSHOT = "snapshot"


class LogFiles(IndexFiles, Protocol):
    """Where a log lives. Errors of the medium pass through unchanged; after one, the log must be opened anew."""

    def append(self, data: bytes) -> None:
        """Add ``data`` to ``entries``; durable when this returns, possibly torn when it does not."""
        ...

    def truncate(self, size: int) -> None:
        """Cut ``entries`` to ``size`` bytes; durable when this returns."""
        ...

    def get(self, name: str) -> bytes | None:
        """Content of a small file, or None when it does not exist."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Replace a small file as a whole; durable when this returns, old or new content when it does not."""
        ...


class Log:
    """One log: ours, when there are signers, or the mirror of somebody else's.

    Not thread-safe: one writer. ``size``, ``root`` and ``prev`` describe what is durable.
    """

    def __init__(
        self, files: LogFiles, origin: str, keys: Collection[VerifyKey], approved: Iterable[LogKeys] = ()
    ) -> None:
        """Open the log. Raises ``LogError``, ``CheckpointError`` or ``UnknownKeyError`` when it contradicts itself.

        ``keys`` signed its first entry, ``approved`` may succeed them (``custody.keyring``); the newest checkpoint must
        be signed by the keys of its time. An SM2 key among them makes it a log of profile ``gm``, with a second tree
        and a second note.
        """
        self._files = files
        self._index = Index(files)
        first = LogKeys.of(origin, keys)
        self._history = KeyHistory.begin(first, approved)
        self._chain = Chain(origin, second=EMPTY_SM3_TREE if first.second else None)
        self._offset = 0
        self.torn_bytes = 0
        self.latest: SignedCheckpoint | None = None
        self.latest_second: SignedCheckpoint | None = None
        """The newest second note; a crash can leave it one checkpoint ahead of ``latest``."""
        self._open()

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._chain.origin

    @property
    def size(self) -> int:
        """Number of durable entries."""
        return self._chain.size

    @property
    def chain(self) -> Chain:
        """The state after the last durable entry."""
        return self._chain

    @property
    def history(self) -> KeyHistory:
        """Whose keys signed what so far, and whose sign next."""
        return self._history

    def approve(self, approved: Iterable[LogKeys]) -> None:
        """From now on these keys may succeed, and no others."""
        self._history = self._history.approving(approved)

    def append(self, drafts: Sequence[Draft], signers: Sequence[Signer]) -> list[Entry]:
        """Seal drafts as the next entries with one durable write; all or, after a crash, a prefix of them.

        Raises ``ContractError`` when the signers are not those whose signatures the log needs: a reader would refuse
        it. An entry that hands over to other keys is therefore the last of its write.
        """
        chain, history, entries = self._chain, self._history, []
        keys = {verify_key(signer) for signer in signers}
        for draft in drafts:
            if keys != {*history.current.keys}:
                raise ContractError(f"{chain.origin}: entry {chain.size} is to be signed by {history.current.keyid}")
            payload, record = placed(draft, chain.origin, chain.size, chain.prev)
            history = history.after(record)
            data = seal(payload, signers)
            after = chain.push(data)
            entries.append(Entry(chain.size, after.last_leaf, data, record))
            chain = after
        self._write(entries, chain, history)
        return entries

    def verify_next(self, data: Iterable[bytes]) -> tuple[list[Entry], Chain]:
        """Check that ``data`` continue this log, without writing; raises what ``KeyHistory.follow`` raises."""
        chain, history, entries = self._chain, self._history, []
        for item in data:
            entry, chain, history = history.follow(chain, item)
            entries.append(entry)
        return entries, chain

    def mirror(self, entries: Sequence[Entry], chain: Chain) -> None:
        """Append what ``verify_next`` returned, byte for byte, with one durable write."""
        if chain.size != self.size + len(entries):
            raise LogError("these entries were verified against another state of the log", "prev-break")
        history = self._history
        for entry in entries:
            history = history.after(entry.record)
        self._write(entries, chain, history)

    def checkpoint(self, *signers: Signer) -> SignedCheckpoint:
        """Sign the present state, durably; returns the old checkpoint when nothing was appended since.

        ``signers`` are those of the entries: in profile ``gm`` the SM2 one signs the second note. Raises
        ``ContractError`` when one is missing.
        """
        if self.latest and self.latest.checkpoint.size == self.size:
            return self.latest
        signed, *second = (parse_note(sign_checkpoint(claim, _signer_of(claim, signers))) for claim in self._claims())
        self.keep(signed, *second)
        return signed

    def keep(self, signed: SignedCheckpoint, second: SignedCheckpoint | None = None) -> None:
        """Make ``signed`` the newest checkpoint, durably; in profile ``gm`` together with the ``second`` note.

        Raises ``CheckpointError`` unless they are of this log as it is now.
        """
        claims = self._claims()
        keys = self._history.of_checkpoint(self.size)
        _check_claim(signed, claims[0], _firsts(keys))
        if self._is_gm:
            if second is None:
                raise CheckpointError(f"{self.origin}: its SM3 checkpoint is missing")
            _check_claim(second, claims[1], _seconds(keys))
            self._files.put(SECOND_CHECKPOINT, second.note)
            self.latest_second = second
        self._files.put(CHECKPOINT, signed.note)
        self._files.put(SNAPSHOT, canonical_bytes(_snapshot(self._chain, self._offset, self._history)))
        self.latest = signed

    def entry(self, seq: int) -> Entry:
        """Entry ``seq``, re-read from the medium in a time that does not depend on the log; not checked against keys.

        Raises ``LogError`` when the log has no such entry, ``StaleIndexError`` when another stands in its place.
        """
        if not 0 <= seq < self.size:
            raise LogError(f"{self.origin}: there is no entry {seq} among {self.size}", "log-truncated")
        try:
            return self._indexed(seq)
        except StaleIndexError:
            self._index.rebuild(self.size)
            return self._indexed(seq)

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Entries from ``start`` on, re-read from the medium, not checked against keys; raises like ``entry``."""
        if start >= self.size:
            return
        first = self._index.start(self.entry(start).seq) if start else 0
        for data in islice(split_lines(self._files.read(first), []), self.size - start):
            yield entry_of(data)

    def root_at(self, size: int) -> bytes:
        """Root when this log had ``size`` entries; it is proved that what is here now continues that.

        Raises ``ContractError`` for more entries than there are.
        """
        return Proofs(self._files, self._claims()[0]).root_at(size)

    def _indexed(self, seq: int) -> Entry:
        entry = entry_of(self._index.line(seq))
        if (entry.record.log, entry.seq) != (self.origin, seq):
            raise StaleIndexError(f"{self.origin}: entry {entry.seq} of {entry.record.log} in the place of {seq}")
        return entry

    def refresh(self) -> None:
        """Read what another process appended since; for programs that share a log under a lock."""
        self._replay()

    @property
    def _is_gm(self) -> bool:
        return self._chain.second is not None

    def _write(self, entries: Sequence[Entry], chain: Chain, history: KeyHistory) -> None:
        if not entries:
            return
        data = b"".join(entry.data + b"\n" for entry in entries)
        self._files.append(data)
        ends = accumulate((len(entry.data) + 1 for entry in entries), initial=self._offset)
        self._index.extend(self._chain.size, [entry.leaf for entry in entries], list(ends)[1:])
        self._chain, self._offset, self._history = chain, self._offset + len(data), history

    def _claims(self) -> list[Checkpoint]:
        """What this log says of itself now: one checkpoint, in profile ``gm`` two."""
        claims = [Checkpoint(self.origin, self.size, self._chain.root())]
        if self._chain.second is not None:
            claims.append(Checkpoint(second_origin(self.origin), self.size, self._chain.second.root()))
        return claims

    def _paired(self) -> bool:
        """Whether the two notes are of one size, or one is all there is."""
        sizes = {note.checkpoint.size for note in (self.latest, self.latest_second) if note}
        return len(sizes) < 2  # noqa: PLR2004  # two sizes are no pair

    def _open(self) -> None:
        candidates = self._history.candidates()
        self.latest = self._stored_note(CHECKPOINT, self.origin, _firsts(candidates))
        if self._is_gm:
            second_name = second_origin(self.origin)
            self.latest_second = self._stored_note(SECOND_CHECKPOINT, second_name, _seconds(candidates))
        size = self.latest.checkpoint.size if self.latest else 0
        second = self.latest_second.checkpoint.size if self.latest_second else 0
        if self.latest and self._is_gm and (self.latest_second is None or second < size):
            raise LogError(f"{self.origin}: its SM3 checkpoint of size {size} is gone", "log-truncated")
        if self.latest and self._paired():
            self._restore(self.latest.checkpoint)
        self._check_note(self._chain, self._history)
        self._replay()
        if self.size < max(size, second):
            raise LogError(
                f"{self.origin}: {self.size} entries, but {max(size, second)} were signed for", "log-truncated"
            )

    def _stored_note(self, name: str, origin: str, keys: Collection[NoteKey]) -> SignedCheckpoint | None:
        note = self._files.get(name)
        if note is None:
            return None
        signed = parse_note(note)
        signed.verify(keys)
        if signed.checkpoint.origin != origin:
            raise LogError(f"checkpoint of {signed.checkpoint.origin} stands in {origin}", "log-forked")
        return signed

    def _restore(self, signed: Checkpoint) -> None:
        """Start from the snapshot if, and only if, it leads to the signed root and its last entry is still there."""
        data = self._files.get(SNAPSHOT)
        if data is None:
            return
        try:
            fields = parse_object(data)
            chain, offset = _unsnapshot(fields, self._chain)
            history = _unsnapshot_keys(fields, self._history)
            self._check_note(chain, history)
        except CustodyError:
            return
        if chain.size == signed.size and self._ends_with(chain.last_leaf, offset):
            self._chain, self._offset, self._history = chain, offset, history

    def _ends_with(self, leaf: bytes, offset: int) -> bool:
        """Whether the last entry before ``offset`` is there and has ``leaf``."""
        start = max(0, offset - MAX_ENTRY_BYTES - 2)
        tail = b""
        for chunk in self._files.read(start):
            tail += chunk
            if len(tail) >= offset - start:
                break
        before, newline, rest = tail[: offset - start].rpartition(b"\n")
        whole = bool(newline) and not rest and len(tail) >= offset - start
        return whole and leaf_hash(before.rpartition(b"\n")[2]) == leaf

    def _replay(self) -> None:
        torn: list[int] = []
        chain, offset, history = self._chain, self._offset, self._history
        lines = split_lines(self._files.read(offset), torn)
        for data in lines:
            if HOLE in data:
                torn = [len(data) + 1 + sum(len(line) + 1 for line in lines) + sum(torn)]
                break
            _, chain, history = history.follow(chain, data)
            offset += len(data) + 1
            self._check_note(chain, history)
        self._chain, self._offset, self._history = chain, offset, history
        if torn:
            self.torn_bytes = torn[0]
            self._files.truncate(offset)
        self._index.catch_up(self.size, offset)

    def _check_note(self, chain: Chain, history: KeyHistory) -> None:
        """At the size of the newest checkpoint the entries must lead to the signed root, by the keys of that time."""
        if not self._fits(chain):
            raise CheckpointError(f"{self.origin}: the entries do not lead to the signed root at {chain.size}")
        keys = history.of_checkpoint(chain.size)
        for note, known in ((self.latest, _firsts(keys)), (self.latest_second, _seconds(keys))):
            if note and note.checkpoint.size == chain.size:
                note.verify(known)

    def _fits(self, chain: Chain) -> bool:
        """Whether no checkpoint of the chain's size says otherwise."""
        pairs = [(self.latest, chain.tree), (self.latest_second, chain.second)]
        claims = [(note.checkpoint, tree) for note, tree in pairs if note and tree is not None]
        return all(claim.size != tree.size or claim.root == tree.root() for claim, tree in claims)


def entry_of(data: bytes) -> Entry:
    """An entry from its bytes, taken as verified before. Raises ``UnparsableError``."""
    record = parse_record(open_envelope(data).payload)
    return Entry(record.seq, leaf_hash(data), data, record)


def _firsts(keys: Iterable[LogKeys]) -> list[NoteKey]:
    return [one.note for one in keys]


def _seconds(keys: Iterable[LogKeys]) -> list[NoteKey]:
    return [one.second for one in keys if one.second]


def _signer_of(claim: Checkpoint, signers: Sequence[Signer]) -> Signer:
    """Who signs this note: SM2 the second one, the other suite the first."""
    by_sm2 = claim.origin.endswith(SECOND)
    found = next((signer for signer in signers if (signer.suite() == sm2.SUITE) == by_sm2), None)
    if found is None:
        raise ContractError(f"no signer for the checkpoint of {claim.origin}")
    return found


def _check_claim(signed: SignedCheckpoint, claim: Checkpoint, keys: Collection[NoteKey]) -> None:
    signed.verify(keys)
    if signed.checkpoint != claim:
        raise CheckpointError(f"{claim.origin}: checkpoint of size {signed.checkpoint.size} is not of this log")


def _snapshot(chain: Chain, offset: int, history: KeyHistory) -> JsonObject:
    fields: JsonObject = {"size": chain.size, "offset": offset, "last_leaf": chain.prev, "peaks": _peaks(chain.tree)}
    second: JsonObject = {"peaks_sm3": _peaks(chain.second)} if chain.second is not None else {}
    spans: list[JsonValue] = [{"from": start, "key": keys.block()} for start, keys in history.spans[1:]]
    return {**fields, **second, **({"keys": spans} if spans else {})}


def _peaks(tree: CompactRange) -> list[JsonValue]:
    return [base64.b64encode(peak).decode() for peak in tree.peaks]


def _unsnapshot(fields: JsonObject, empty: Chain) -> tuple[Chain, int]:
    """The chain that a snapshot describes, with the trees that ``empty`` has."""
    size, offset, last_leaf = (fields.get(k) for k in ("size", "offset", "last_leaf"))
    if not isinstance(size, int) or not isinstance(offset, int) or not isinstance(last_leaf, str):
        raise UnparsableError("a snapshot needs size, offset and last_leaf")
    try:
        tree = CompactRange(size, _nodes(fields.get("peaks"), size))
        second = CompactRange(size, _nodes(fields.get("peaks_sm3"), size), sm3) if empty.second is not None else None
        return Chain(empty.origin, tree, bytes.fromhex(last_leaf), second), offset
    except ValueError as error:
        raise UnparsableError(f"a snapshot holds base64 and hex: {error}") from error


def _unsnapshot_keys(fields: JsonObject, opened: KeyHistory) -> KeyHistory:
    """The history that a snapshot tells; only approved keys count, whatever it says."""
    spans, listed = list(opened.spans), fields.get("keys", [])
    for one in listed if isinstance(listed, list) else [listed]:
        start, block = (one.get("from"), one.get("key")) if isinstance(one, Mapping) else (None, None)
        if not isinstance(start, int) or start <= spans[-1][0] or not isinstance(block, Mapping):
            raise UnparsableError("a snapshot names keys with the entries from which they sign, ascending")
        spans.append((start, keys_in(block)))
    if not {keys for _, keys in spans[1:]} <= opened.approved:
        raise UnparsableError("a snapshot names keys that are not approved")
    return replace(opened, spans=tuple(spans))


def _nodes(peaks: JsonValue, size: int) -> tuple[bytes, ...]:
    if not isinstance(peaks, list) or len(peaks) != size.bit_count():
        raise UnparsableError("a snapshot needs the peaks of its size")
    return tuple(base64.b64decode(str(peak), validate=True) for peak in peaks)

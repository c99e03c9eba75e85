"""An append-only log over a file port: what is written when, and how a crash is survived.

The port's promises are the only I/O this module relies on, so every crash can be played in memory. A log consists of

* ``entries``: the entries, each followed by one newline; only ever appended to;
* ``checkpoint``: the newest signed checkpoint;
* ``snapshot``: the chain state at that checkpoint and its byte offset, so that opening need not read the whole log.
  It is a cache: it is used only when it leads to the root of the signed checkpoint;
* in profile ``gm``, ``checkpoint.sm3``: the second note. It is written first, so it is never behind ``checkpoint``.

Crash rules: half an entry at the end is cut off and reported (``torn_bytes``); whole entries after the checkpoint are
kept. A log shorter than its own checkpoint, or another than it, never opens.
"""

import base64
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from custody import sm2
from custody.canonical import JsonObject, JsonValue, canonical_bytes, parse_object
from custody.chain import EMPTY_SM3_TREE, Chain, Entry
from custody.checkpoint import Checkpoint, NoteKey, SignedCheckpoint, parse_note, sign_checkpoint
from custody.envelope import MAX_ENTRY_BYTES, open_envelope, seal
from custody.errors import CheckpointError, ContractError, CustodyError, LogError, UnparsableError
from custody.identifiers import SECOND, second_origin
from custody.merkle import CompactRange, leaf_hash, sm3
from custody.record import Draft, compose, parse_record
from custody.signer import Signer, VerifyKey

HOLE = b"\0"
"""No entry holds a NUL; a crash can leave pages of them where an append was under way."""
CHECKPOINT = "checkpoint"
SECOND_CHECKPOINT = "checkpoint.sm3"
SNAPSHOT = "snapshot"


class LogFiles(Protocol):
    """Where a log lives. Errors of the medium pass through unchanged; after one, the log must be opened anew."""

    def read(self, offset: int) -> Iterator[bytes]:
        """Bytes of ``entries`` from ``offset`` to the end, in chunks of any size."""
        ...

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

    def __init__(self, files: LogFiles, origin: str, keys: Collection[VerifyKey]) -> None:
        """Open the log. Raises ``LogError`` or ``CheckpointError`` when it contradicts itself.

        ``keys`` are the keys whose entries this log holds; the newest checkpoint must be signed by one of them. An SM2
        key among them makes it a log of profile ``gm``, with a second tree and a second note.
        """
        self._files = files
        self._keys = tuple(keys)
        self._note_keys = [NoteKey(origin, key) for key in keys if key.suite != sm2.SUITE]
        self._second_keys = [NoteKey(second_origin(origin), key) for key in keys if key.suite == sm2.SUITE]
        self._chain = Chain(origin, second=EMPTY_SM3_TREE if self._second_keys else None)
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

    def append(self, drafts: Sequence[Draft], signers: Sequence[Signer]) -> list[Entry]:
        """Seal drafts as the next entries with one durable write; all or, after a crash, a prefix of them."""
        chain, entries = self._chain, []
        for draft in drafts:
            payload = compose(draft, chain.origin, chain.size, chain.prev)
            data = seal(payload, signers)
            after = chain.push(data)
            entries.append(Entry(chain.size, after.last_leaf, data, parse_record(payload)))
            chain = after
        self._write(entries, chain)
        return entries

    def verify_next(self, data: Iterable[bytes]) -> tuple[list[Entry], Chain]:
        """Check that ``data`` continue this log, without writing; raises what ``Chain.follow`` raises."""
        chain, entries = self._chain, []
        for item in data:
            entry, chain = chain.follow(item, self._keys)
            entries.append(entry)
        return entries, chain

    def mirror(self, entries: Sequence[Entry], chain: Chain) -> None:
        """Append what ``verify_next`` returned, byte for byte, with one durable write."""
        if chain.size != self.size + len(entries):
            raise LogError("these entries were verified against another state of the log", "prev-break")
        self._write(entries, chain)

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
        _check_claim(signed, claims[0], self._note_keys)
        if self._second_keys:
            if second is None:
                raise CheckpointError(f"{self.origin}: its SM3 checkpoint is missing")
            _check_claim(second, claims[1], self._second_keys)
            self._files.put(SECOND_CHECKPOINT, second.note)
            self.latest_second = second
        self._files.put(CHECKPOINT, signed.note)
        self._files.put(SNAPSHOT, canonical_bytes(_snapshot(self._chain, self._offset)))
        self.latest = signed

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Entries from ``start`` on, re-read from the medium and checked against each other, not against keys."""
        for data in islice(_split(self._files.read(0), []), start, self.size):
            yield entry_of(data)

    def refresh(self) -> None:
        """Read what another process appended since; for programs that share a log under a lock."""
        self._replay()

    def _write(self, entries: Sequence[Entry], chain: Chain) -> None:
        if not entries:
            return
        data = b"".join(entry.data + b"\n" for entry in entries)
        self._files.append(data)
        self._chain, self._offset = chain, self._offset + len(data)

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
        self.latest = self._stored_note(CHECKPOINT, self.origin, self._note_keys)
        if self._second_keys:
            self.latest_second = self._stored_note(SECOND_CHECKPOINT, second_origin(self.origin), self._second_keys)
        size = self.latest.checkpoint.size if self.latest else 0
        second = self.latest_second.checkpoint.size if self.latest_second else 0
        if self.latest and self._second_keys and (self.latest_second is None or second < size):
            raise LogError(f"{self.origin}: its SM3 checkpoint of size {size} is gone", "log-truncated")
        if self.latest and self._paired():
            self._restore(self.latest.checkpoint)
        self._check_root(self._chain)
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
            chain, offset = _unsnapshot(parse_object(data), self._chain)
        except CustodyError:
            return
        if chain.size == signed.size and self._fits(chain) and self._ends_with(chain.last_leaf, offset):
            self._chain, self._offset = chain, offset

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
        chain, offset = self._chain, self._offset
        lines = _split(self._files.read(offset), torn)
        for data in lines:
            if HOLE in data:
                torn = [len(data) + 1 + sum(len(line) + 1 for line in lines) + sum(torn)]
                break
            _, chain = chain.follow(data, self._keys)
            offset += len(data) + 1
            self._check_root(chain)
        self._chain, self._offset = chain, offset
        if torn:
            self.torn_bytes = torn[0]
            self._files.truncate(offset)

    def _check_root(self, chain: Chain) -> None:
        """At the size of the newest checkpoint the entries must lead to the signed root."""
        if not self._fits(chain):
            raise CheckpointError(f"{self.origin}: the entries do not lead to the signed root at {chain.size}")

    def _fits(self, chain: Chain) -> bool:
        """Whether no checkpoint of the chain's size says otherwise."""
        pairs = [(self.latest, chain.tree), (self.latest_second, chain.second)]
        claims = [(note.checkpoint, tree) for note, tree in pairs if note and tree is not None]
        return all(claim.size != tree.size or claim.root == tree.root() for claim, tree in claims)


def entry_of(data: bytes) -> Entry:
    """An entry from its bytes, taken as verified before. Raises ``UnparsableError``."""
    record = parse_record(open_envelope(data).payload)
    return Entry(record.seq, leaf_hash(data), data, record)


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


def _split(chunks: Iterable[bytes], torn: list[int]) -> Iterator[bytes]:
    """Lines without their newline; how many bytes stand after the last newline is put into ``torn``."""
    rest, length = b"", 0
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        length = len(rest) if lines else length + len(chunk)
        yield from lines
        # A crash can leave a tail of any length, such as pages of zeros; beyond an entry only its length matters.
        rest = rest[: MAX_ENTRY_BYTES + 1]
    if rest:
        torn.append(length)


def _snapshot(chain: Chain, offset: int) -> JsonObject:
    fields: JsonObject = {"size": chain.size, "offset": offset, "last_leaf": chain.prev, "peaks": _peaks(chain.tree)}
    return {**fields, "peaks_sm3": _peaks(chain.second)} if chain.second is not None else fields


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


def _nodes(peaks: JsonValue, size: int) -> tuple[bytes, ...]:
    if not isinstance(peaks, list) or len(peaks) != size.bit_count():
        raise UnparsableError("a snapshot needs the peaks of its size")
    return tuple(base64.b64decode(str(peak), validate=True) for peak in peaks)

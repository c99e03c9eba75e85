"""An append-only log over a file port: what is written when, and how a crash is survived.

The port's promises are the only I/O this module relies on, so every crash can be played in memory. A log consists of

* ``entries``: the entries, each followed by one newline; only ever appended to;
* ``checkpoint``: the newest signed checkpoint;
* ``snapshot``: the chain state at that checkpoint and its byte offset, so that opening need not read the whole log.
  It is a cache: it is used only when it leads to the root of the signed checkpoint.

Crash rules: half an entry at the end is cut off and reported (``torn_bytes``); whole entries after the checkpoint are
kept. A log shorter than its own checkpoint, or another than it, never opens.
"""

import base64
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from custody.canonical import JsonObject, canonical_bytes, parse_object
from custody.chain import Chain, Entry
from custody.checkpoint import Checkpoint, NoteKey, SignedCheckpoint, parse_note, sign_checkpoint
from custody.envelope import MAX_ENTRY_BYTES, open_envelope, seal
from custody.errors import CheckpointError, CustodyError, LogError, UnparsableError
from custody.merkle import CompactRange, leaf_hash
from custody.record import Draft, compose, parse_record
from custody.signer import Signer, VerifyKey

HOLE = b"\0"
"""No entry holds a NUL; a crash can leave pages of them where an append was under way."""
CHECKPOINT = "checkpoint"
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

        ``keys`` are the keys whose entries this log holds; the newest checkpoint must be signed by one of them.
        """
        self._files = files
        self._keys = tuple(keys)
        self._note_keys = [NoteKey(origin, key) for key in keys]
        self._chain = Chain(origin)
        self._offset = 0
        self.torn_bytes = 0
        self.latest: SignedCheckpoint | None = None
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
            leaf = leaf_hash(data)
            entries.append(Entry(chain.size, leaf, data, parse_record(payload)))
            chain = chain.push(leaf)
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

    def checkpoint(self, signer: Signer) -> SignedCheckpoint:
        """Sign the present state, durably; returns the old checkpoint when nothing was appended since."""
        if self.latest and self.latest.checkpoint.size == self.size:
            return self.latest
        note = sign_checkpoint(Checkpoint(self.origin, self.size, self._chain.root()), signer)
        signed = parse_note(note)
        self.keep(signed)
        return signed

    def keep(self, signed: SignedCheckpoint) -> None:
        """Make ``signed`` the newest checkpoint, durably. Raises ``CheckpointError`` unless it is of this log now."""
        signed.verify(self._note_keys)
        if signed.checkpoint != Checkpoint(self.origin, self.size, self._chain.root()):
            raise CheckpointError(f"{self.origin}: checkpoint of size {signed.checkpoint.size} is not of this log")
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

    def _open(self) -> None:
        note = self._files.get(CHECKPOINT)
        if note is not None:
            self.latest = parse_note(note)
            self.latest.verify(self._note_keys)
            if self.latest.checkpoint.origin != self.origin:
                raise LogError(f"checkpoint of {self.latest.checkpoint.origin} stands in {self.origin}", "log-forked")
            self._restore(self.latest.checkpoint)
        self._check_root(self._chain)
        self._replay()
        if self.latest and self.size < self.latest.checkpoint.size:
            raise LogError(
                f"{self.origin}: {self.size} entries, but {self.latest.checkpoint.size} were signed for",
                "log-truncated",
            )

    def _restore(self, signed: Checkpoint) -> None:
        """Start from the snapshot if, and only if, it leads to the signed root and its last entry is still there."""
        data = self._files.get(SNAPSHOT)
        if data is None:
            return
        try:
            chain, offset = _unsnapshot(parse_object(data), self.origin)
        except CustodyError:
            return
        if (chain.size, chain.root()) == (signed.size, signed.root) and self._ends_with(chain.last_leaf, offset):
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
        signed = self.latest.checkpoint if self.latest else None
        if signed and chain.size == signed.size and chain.root() != signed.root:
            raise CheckpointError(f"{self.origin}: the entries do not lead to the signed root at {chain.size}")


def entry_of(data: bytes) -> Entry:
    """An entry from its bytes, taken as verified before. Raises ``UnparsableError``."""
    record = parse_record(open_envelope(data).payload)
    return Entry(record.seq, leaf_hash(data), data, record)


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
    peaks = [base64.b64encode(peak).decode() for peak in chain.tree.peaks]
    return {"size": chain.size, "offset": offset, "last_leaf": chain.prev, "peaks": peaks}


def _unsnapshot(fields: JsonObject, origin: str) -> tuple[Chain, int]:
    size, offset, last_leaf, peaks = (fields.get(k) for k in ("size", "offset", "last_leaf", "peaks"))
    if not isinstance(size, int) or not isinstance(offset, int) or not isinstance(last_leaf, str):
        raise UnparsableError("a snapshot needs size, offset and last_leaf")
    if not isinstance(peaks, list) or len(peaks) != size.bit_count():
        raise UnparsableError("a snapshot needs the peaks of its size")
    try:
        nodes = tuple(base64.b64decode(str(peak), validate=True) for peak in peaks)
        return Chain(origin, CompactRange(size, nodes), bytes.fromhex(last_leaf)), offset
    except ValueError as error:
        raise UnparsableError(f"a snapshot holds base64 and hex: {error}") from error

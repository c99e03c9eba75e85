"""Following a log entry by entry: signature, origin, ``seq``, ``prev`` and the Merkle tree over the leaves."""

from collections.abc import Collection
from dataclasses import dataclass

from custody.envelope import open_envelope, verify
from custody.errors import LogError
from custody.merkle import CompactRange, leaf_hash, sm3
from custody.record import Record, parse_record
from custody.signer import VerifyKey

EMPTY_TREE = CompactRange()
"""The tree of a log without entries."""
EMPTY_SM3_TREE = CompactRange(hasher=sm3)
"""The second tree of a log in profile ``gm`` without entries."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log: its exact bytes, its leaf hash and the record inside."""

    seq: int
    leaf: bytes
    data: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class Chain:
    """Where a log stands after its last entry. ``last_leaf`` is empty before the first.

    ``second`` is the SM3 tree over the same entries, in profile ``gm``.
    """

    origin: str
    tree: CompactRange = EMPTY_TREE
    last_leaf: bytes = b""
    second: CompactRange | None = None

    @property
    def size(self) -> int:
        """Number of entries, which is also the next ``seq``."""
        return self.tree.size

    @property
    def prev(self) -> str:
        """What the next record must carry as ``prev``."""
        return self.last_leaf.hex()

    def root(self) -> bytes:
        """Root hash of the tree over all entries."""
        return self.tree.root()

    def push(self, data: bytes) -> "Chain":
        """The chain after one more entry, whose leaf hash is then ``last_leaf``."""
        leaf = leaf_hash(data)
        second = self.second.extend([leaf_hash(data, sm3)]) if self.second is not None else None
        return Chain(self.origin, self.tree.extend([leaf]), leaf, second)

    def follow(self, data: bytes, keys: Collection[VerifyKey]) -> tuple[Entry, "Chain"]:
        """Verify that ``data`` is the next entry of this log, signed by one of ``keys``.

        Order: 1 envelope opens, 2 an enrolled key signed it, 3 the record parses, 4 it names this log, 5 ``seq`` is the
        next, 6 ``prev`` is the leaf hash before it. Raises ``UnparsableError``, ``UnknownKeyError``, ``SignatureError``
        or ``LogError`` with the finding ``log-forked``, ``seq-gap``, ``seq-duplicate`` or ``prev-break``.
        """
        envelope = open_envelope(data)
        verify(envelope, keys)
        record = parse_record(envelope.payload)
        self._check_place(record)
        after = self.push(data)
        return Entry(record.seq, after.last_leaf, data, record), after

    def _check_place(self, record: Record) -> None:
        if record.log != self.origin:
            raise LogError(f"entry of log {record.log} stands in {self.origin}", "log-forked")
        if record.seq > self.size:
            raise LogError(f"{self.origin}: entries {self.size} to {record.seq - 1} are missing", "seq-gap")
        if record.seq < self.size:
            raise LogError(f"{self.origin}: entry {record.seq} appears again", "seq-duplicate")
        if record.prev != self.prev:
            raise LogError(f"{self.origin}: entry {record.seq} does not follow entry {self.size - 1}", "prev-break")

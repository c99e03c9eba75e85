"""What can be derived from a log, kept beside it, so that no question is answered by reading from the beginning.

Files, each only a list of fields of one width, so that a field's place follows from its number:

* ``tree.0``: the leaf hash of each entry, 32 bytes;
* ``tree.1``, ``tree.2`` …: the roots of the perfect subtrees of 256, 65,536 … entries, 32 bytes. The nodes between are
  hashed when asked for. Bytes [8192·N, 8192·(N + 1)) of ``tree.L`` are tile N of level L of C2SP tlog-tiles;
* ``ends``: where each entry ends in the file of entries, its newline included, 8 bytes, big-endian.

None of it is evidence and none of it is believed: a line must have the leaf hash it is looked up by, a proof must lead
to the signed root. What does not is derived anew from the entries. It is written after the entries are durable and need
not be durable itself; a crash leaves it behind the log, which is caught up when the log is opened. Writing twice is
harmless, since everybody derives the same bytes for the same place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol, TypeVar

from custody.checkpoint import Checkpoint
from custody.envelope import MAX_ENTRY_BYTES
from custody.errors import EvidenceError, LogError, ProofError, StaleIndexError
from custody.merkle import (
    HASH_BYTES,
    consistency_path,
    inclusion_path,
    leaf_hash,
    range_root,
    root,
    verify_consistency,
    verify_inclusion,
)

ENDS: Final = "ends"
END_BYTES: Final = 8
TILE_LEVELS: Final = 8
"""Levels of the tree between two files, as in C2SP tlog-tiles."""
TILE_WIDTH: Final = 1 << TILE_LEVELS
_BATCH: Final = 16 * TILE_WIDTH
"""Entries that are indexed with one write a file while catching up."""
_MAX_END: Final = 1 << 43
"""8 TiB, thousands of millions of entries: what is beyond is damage, and some file systems refuse to look there."""
_T = TypeVar("_T")


class IndexFiles(Protocol):
    """Where the entries are read and the index is kept. Errors of the medium pass through unchanged."""

    def read(self, offset: int) -> Iterator[bytes]:
        """Bytes of ``entries`` from ``offset`` to the end, in chunks of any size."""
        ...

    def length(self, name: str) -> int:
        """Bytes in an index file; 0 when it is not there."""
        ...

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Bytes of an index file: as many as there are, at most ``size``."""
        ...

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Write into an index file, making it or making it longer; a crash may lose that, or any part of it."""
        ...


class OwnIndex:
    """Index files in memory: for a reader who writes nothing and believes no index that others wrote."""

    def __init__(self) -> None:
        self._index: dict[str, bytearray] = {}

    def length(self, name: str) -> int:
        """Bytes in an index file."""
        return len(self._index.get(name, b""))

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes of an index file."""
        return bytes(self._index.get(name, b"")[offset : offset + size])

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Write into an index file."""
        file = self._index.setdefault(name, bytearray())
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(data)] = data


class Index:
    """Leaf hashes, nodes and ends of the entries of one log.

    Every reading may raise ``StaleIndexError``; ``rebuild`` then, and ask once more.
    """

    def __init__(self, files: IndexFiles) -> None:
        self._files = files

    def size(self) -> int:
        """Of how many entries everything is there."""
        size = min(self._files.length(ENDS) // END_BYTES, self._files.length(_tree(0)) // HASH_BYTES)
        level = 1
        while size >> TILE_LEVELS * level:
            nodes = self._files.length(_tree(level)) // HASH_BYTES
            size = min(size, (nodes + 1 << TILE_LEVELS * level) - 1)
            level += 1
        return size

    def extend(self, first: int, leaves: Sequence[bytes], ends: Sequence[int]) -> None:
        """Index entries from number ``first`` on; those before are indexed already."""
        self._files.write_at(_tree(0), first * HASH_BYTES, b"".join(leaves))
        self._files.write_at(ENDS, first * END_BYTES, b"".join(end.to_bytes(END_BYTES, "big") for end in ends))
        level, start, stop = 1, first >> TILE_LEVELS, first + len(leaves) >> TILE_LEVELS
        while start < stop:
            nodes = [root(self._hashes(level - 1, tile << TILE_LEVELS, TILE_WIDTH)) for tile in range(start, stop)]
            self._files.write_at(_tree(level), start * HASH_BYTES, b"".join(nodes))
            level, start, stop = level + 1, start >> TILE_LEVELS, stop >> TILE_LEVELS

    def catch_up(self, size: int, end: int) -> None:
        """Index what a crash left out of the first ``size`` entries, which end at byte ``end``."""
        known = self.size()
        if known < size and not self._continues(known, size, end):
            self.rebuild(size)

    def rebuild(self, size: int) -> None:
        """Derive everything anew from the first ``size`` entries. Raises ``LogError`` when there are fewer."""
        self._index_from(0, size)

    def line(self, number: int) -> bytes:
        """One entry, re-read from the entries; it has the leaf hash that the index gives it."""
        start, end = self.start(number), self._end(number)
        data = _beginning(self._files.read(start), end - start) if 0 < end - start <= MAX_ENTRY_BYTES + 1 else b""
        if len(data) != end - start or leaf_hash(data[:-1]) != self.node(0, number):
            raise StaleIndexError(f"the index says nothing true of entry {number}")
        return data[:-1]

    def start(self, number: int) -> int:
        """Where entry ``number`` begins."""
        return self._end(number - 1) if number else 0

    def node(self, level: int, number: int) -> bytes:
        """Root of the perfect subtree that is ``number`` of its level (``custody.merkle.Nodes``)."""
        file, inner = divmod(level, TILE_LEVELS)
        return root(self._hashes(file, number << inner, 1 << inner))

    def _end(self, number: int) -> int:
        field = self._files.read_at(ENDS, number * END_BYTES, END_BYTES)
        end = int.from_bytes(field, "big")
        if len(field) != END_BYTES or end > _MAX_END:
            raise StaleIndexError(f"the index does not say where entry {number} ends")
        return end

    def _hashes(self, level: int, first: int, count: int) -> list[bytes]:
        data = self._files.read_at(_tree(level), first * HASH_BYTES, count * HASH_BYTES)
        if len(data) != count * HASH_BYTES:
            raise StaleIndexError(f"{_tree(level)} ends before hash {first + count}")
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

    def _continues(self, known: int, size: int, end: int) -> bool:
        """Index entries [known, size), if those before are indexed as they are."""
        try:
            return self._index_from(known, size) == end
        except EvidenceError:
            return False

    def _index_from(self, first: int, size: int) -> int:
        """Index entries [first, size); returns where the last one ends."""
        end = self.start(first)
        lines = islice(split_lines(self._files.read(end), []), size - first)
        while batch := list(islice(lines, _BATCH)):
            ends = [end := end + len(line) + 1 for line in batch]
            self.extend(first, [leaf_hash(line) for line in batch], ends)
            first += len(batch)
        if first < size:
            raise LogError(f"{size} entries were recorded, there are {first}", "log-truncated")
        return end


class Proofs:
    """Entries of a log and proofs under one checkpoint; nothing is handed out that does not lead to its root.

    The caller has verified who signed the checkpoint. Raises ``ContractError`` for what lies outside it, ``LogError``
    or ``ProofError`` when the entries, after the index was derived anew from them, do not lead to its root.
    """

    def __init__(self, files: IndexFiles, checkpoint: Checkpoint) -> None:
        self._index = Index(files)
        self._size = checkpoint.size
        self._root = checkpoint.root

    def entry(self, number: int) -> tuple[bytes, list[bytes]]:
        """Entry ``number``, byte for byte, and its inclusion proof."""
        return self._tried(lambda: self._entry(number))

    def consistency(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """Proof that the log of ``new_size``, the checkpoint's unless said, continues that of ``old_size``."""
        return self._tried(lambda: self._consistency(old_size, self._size if new_size is None else new_size))

    def root_at(self, size: int) -> bytes:
        """Root over the first ``size`` entries."""
        return self._tried(lambda: self._root_at(size))

    def _tried(self, ask: Callable[[], _T]) -> _T:
        """An answer from the index as it is, or else from the index made anew."""
        try:
            return ask()
        except (StaleIndexError, ProofError):
            self._index.rebuild(self._size)
            return ask()

    def _entry(self, number: int) -> tuple[bytes, list[bytes]]:
        path = inclusion_path(self._index.node, number, self._size)
        data = self._index.line(number)
        verify_inclusion(leaf_hash(data), number, self._size, path, self._root)
        return data, path

    def _consistency(self, old_size: int, new_size: int) -> list[bytes]:
        new_root = self._root_at(new_size)
        path = consistency_path(self._index.node, old_size, new_size)
        verify_consistency(old_size, new_size, path, range_root(self._index.node, 0, old_size), new_root)
        return path

    def _root_at(self, size: int) -> bytes:
        if not size:
            return root([])
        path = consistency_path(self._index.node, size, self._size)
        found = range_root(self._index.node, 0, size)
        verify_consistency(size, self._size, path, found, self._root)
        return found


def split_lines(chunks: Iterable[bytes], torn: list[int]) -> Iterator[bytes]:
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


def _beginning(chunks: Iterable[bytes], size: int) -> bytes:
    """The first ``size`` bytes, or all there are."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) >= size:
            break
    return data[:size]


def _tree(level: int) -> str:
    return f"tree.{level}"

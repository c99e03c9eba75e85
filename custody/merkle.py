"""Merkle tree of RFC 6962 §2.1, over SHA-256 or, in the national profile, SM3.

``CompactRange`` keeps only the roots of the perfect subtrees, so appending costs O(log n) memory and time however long
the log is. Proofs are made of the roots of perfect subtrees, whoever keeps them: a list of leaf hashes, or an index.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from custody.errors import ContractError, ProofError

Hasher = Callable[[bytes], bytes]
Nodes = Callable[[int, int], bytes]
"""Gives the root of a perfect subtree by its level and its number there: (l, i) covers leaves [i·2ˡ, (i+1)·2ˡ)."""
HASH_BYTES = 32
"""Both SHA-256 and SM3 give 32 bytes."""


def sha256(data: bytes) -> bytes:
    """SHA-256 digest."""
    return hashlib.sha256(data).digest()


def sm3(data: bytes) -> bytes:
    """SM3 digest (GB/T 32905). Only after ``custody.profile.probe``: not every OpenSSL has it."""
    return hashlib.new("sm3", data).digest()


def leaf_hash(entry: bytes, hasher: Hasher = sha256) -> bytes:
    """Hash of one entry: H(0x00 ‖ entry)."""
    return hasher(b"\x00" + entry)


def node_hash(left: bytes, right: bytes, hasher: Hasher = sha256) -> bytes:
    """Hash of an inner node: H(0x01 ‖ left ‖ right)."""
    return hasher(b"\x01" + left + right)


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The state of a growing tree: its size and the roots of its perfect subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    hasher: Hasher = sha256

    def extend(self, leaves: Iterable[bytes]) -> "CompactRange":
        """The same tree with more leaf hashes."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            _check_hash(leaf)
            node, bits = leaf, size
            while bits & 1:
                node, bits = node_hash(peaks.pop(), node, self.hasher), bits >> 1
            peaks.append(node)
            size += 1
        return CompactRange(size, tuple(peaks), self.hasher)

    def root(self) -> bytes:
        """Root hash; of the empty tree H("")."""
        if not self.peaks:
            return self.hasher(b"")
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node, self.hasher)
        return node


def root(leaves: Sequence[bytes], hasher: Hasher = sha256) -> bytes:
    """Root hash of a whole list of leaf hashes."""
    return CompactRange(hasher=hasher).extend(leaves).root()


def perfect_subtrees(leaves: Sequence[bytes], hasher: Hasher = sha256) -> Nodes:
    """Roots of the perfect subtrees over a list of leaf hashes."""
    return lambda level, index: root(leaves[index << level : (index + 1) << level], hasher)


def inclusion_proof(leaves: Sequence[bytes], index: int, hasher: Hasher = sha256) -> list[bytes]:
    """Audit path of leaf ``index`` in the tree over ``leaves``. Raises ``ContractError``."""
    return inclusion_path(perfect_subtrees(leaves, hasher), index, len(leaves), hasher)


def consistency_proof(leaves: Sequence[bytes], old_size: int, hasher: Hasher = sha256) -> list[bytes]:
    """Proof that the tree over ``leaves[:old_size]`` is a prefix of that over ``leaves``. Raises ``ContractError``."""
    return consistency_path(perfect_subtrees(leaves, hasher), old_size, len(leaves), hasher)


def inclusion_path(nodes: Nodes, index: int, size: int, hasher: Hasher = sha256) -> list[bytes]:
    """Audit path of leaf ``index`` in a tree of ``size`` (RFC 6962 §2.1.1). Raises ``ContractError``."""
    if not 0 <= index < size:
        raise ContractError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(range_root(nodes, middle, high, hasher))
            high = middle
        else:
            path.append(range_root(nodes, low, middle, hasher))
            low = middle
    return path[::-1]


def consistency_path(nodes: Nodes, old_size: int, size: int, hasher: Hasher = sha256) -> list[bytes]:
    """Proof that the first ``old_size`` leaves of a tree of ``size`` are its prefix (RFC 6962 §2.1.2).

    Raises ``ContractError`` for size 0 and for an old size beyond the new one.
    """
    if not 0 < old_size <= size:
        raise ContractError(f"no consistency proof from {old_size} to {size}")
    path: list[bytes] = []
    low, high, whole = 0, size, True
    while old_size != high:
        middle = low + _split(high - low)
        if old_size <= middle:
            path.append(range_root(nodes, middle, high, hasher))
            high = middle
        else:
            path.append(range_root(nodes, low, middle, hasher))
            low, whole = middle, False
    if not whole:
        path.append(range_root(nodes, low, high, hasher))
    return path[::-1]


def range_root(nodes: Nodes, low: int, high: int, hasher: Hasher = sha256) -> bytes:
    """Root over leaves [low, high); ``low`` is a multiple of the largest power of two that the range holds."""
    level = (high - low).bit_length() - 1
    middle = low + (1 << level)
    left = nodes(level, low >> level)
    return left if middle == high else node_hash(left, range_root(nodes, middle, high, hasher), hasher)


def verify_inclusion(  # noqa: PLR0913  # the six parts of the statement that is proved
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes, hasher: Hasher = sha256
) -> None:
    """Check that ``leaf`` stands at ``index`` of the tree of ``size`` with ``expected_root``. Raises ``ProofError``."""
    _check_hashes([leaf, expected_root, *proof])
    if not 0 <= index < size:
        raise ProofError(f"index {index} is outside a tree of {size}")
    inner, border = _decompose(index, size)
    if len(proof) != inner + border:
        raise ProofError(f"an inclusion proof here has {inner + border} hashes, not {len(proof)}")
    node = leaf
    for level, sibling in enumerate(proof):
        if level >= inner or index >> level & 1:
            node = node_hash(sibling, node, hasher)
        else:
            node = node_hash(node, sibling, hasher)
    if node != expected_root:
        raise ProofError("the inclusion proof leads to another root")


def verify_consistency(  # noqa: PLR0913  # the six parts of the statement that is proved
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes, hasher: Hasher = sha256
) -> None:
    """Check that the tree of ``old_size`` is a prefix of the tree of ``new_size``.

    Size 0 is always refused (an empty tree proves nothing about its successor), equal sizes demand an empty proof and
    equal roots. Raises ``ProofError``.
    """
    if not 0 < old_size <= new_size:
        raise ProofError(f"no consistency from {old_size} to {new_size}")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise ProofError("equal sizes need an empty proof and equal roots")
        return
    _check_hashes([old_root, new_root, *proof])
    shift = (old_size & -old_size).bit_length() - 1
    inner, border = _decompose(old_size - 1, new_size)
    inner -= shift
    # A perfect old tree is itself the first node of both paths; otherwise the proof brings that node.
    nodes = [old_root, *proof] if old_size == 1 << shift else list(proof)
    if len(nodes) != 1 + inner + border:
        raise ProofError(f"a consistency proof from {old_size} to {new_size} has another length than {len(proof)}")
    seed, path = nodes[0], nodes[1:]
    mask = (old_size - 1) >> shift
    old_node = new_node = seed
    for level, sibling in enumerate(path):
        if level >= inner or mask >> level & 1:
            old_node = node_hash(sibling, old_node, hasher)
            new_node = node_hash(sibling, new_node, hasher)
        else:
            new_node = node_hash(new_node, sibling, hasher)
    if old_node != old_root or new_node != new_root:
        raise ProofError("the consistency proof leads to another root")


def _decompose(index: int, size: int) -> tuple[int, int]:
    """Length of the part of a path inside the largest perfect subtree, and of the part along the right border."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _split(size: int) -> int:
    """Largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_hash(value: bytes) -> None:
    if len(value) != HASH_BYTES:
        raise ContractError(f"a hash has {HASH_BYTES} bytes, not {len(value)}")


def _check_hashes(values: Iterable[bytes]) -> None:
    for value in values:
        if len(value) != HASH_BYTES:
            raise ProofError(f"a hash has {HASH_BYTES} bytes, not {len(value)}")

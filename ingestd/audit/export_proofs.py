"""Many proofs over one large log: the perfect subtrees are kept, so that each proof costs O(log² n), not O(n)."""

import base64
from collections.abc import Sequence

from custody.merkle import consistency_proof, node_hash


class Tree:
    """A grown RFC 6962 tree with all its perfect subtrees: 64 bytes a leaf."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels: list[list[bytes]] = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = zip(below[0::2], below[1::2], strict=False)  # an odd last node has no parent yet
            self._levels.append([node_hash(left, right) for left, right in pairs])

    @property
    def leaves(self) -> Sequence[bytes]:
        """Leaf hashes."""
        return self._levels[0]

    def root(self, low: int = 0, high: int | None = None) -> bytes:
        """Root over leaves [low, high); ``low`` is a multiple of the largest power of two that the range holds."""
        high = len(self.leaves) if high is None else high
        size = high - low
        if size & (size - 1) == 0:
            level = size.bit_length() - 1
            return self._levels[level][low >> level]
        middle = low + (1 << (size.bit_length() - 1))
        return node_hash(self.root(low, middle), self.root(middle, high))

    def inclusion(self, index: int) -> list[bytes]:
        """Audit path of leaf ``index`` (RFC 6962 §2.1.1)."""
        path: list[bytes] = []
        low, high = 0, len(self.leaves)
        while high - low > 1:
            middle = low + (1 << ((high - low - 1).bit_length() - 1))
            if index < middle:
                path.append(self.root(middle, high))
                high = middle
            else:
                path.append(self.root(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old_size: int) -> list[bytes]:
        """Proof that the first ``old_size`` leaves are the beginning of this tree (RFC 6962 §2.1.2)."""
        return consistency_proof(self.leaves, old_size)


def tlog_proof(index: int, path: Sequence[bytes], note: bytes) -> bytes:
    """The text form of an inclusion proof with its checkpoint (C2SP tlog-proof@v1)."""
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hash_lines(path)}\n".encode() + note


def hash_lines(hashes: Sequence[bytes]) -> str:
    """Hashes in base64, one a line."""
    return "".join(f"{base64.b64encode(one).decode()}\n" for one in hashes)

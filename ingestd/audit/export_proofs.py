"""Many proofs over one large log: the perfect subtrees are kept, so that each proof costs O(log² n), not O(n)."""

import base64
from collections.abc import Sequence

from custody.merkle import consistency_path, inclusion_path, node_hash, range_root


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

    def root(self) -> bytes:
        """Root over all leaves, of which there is at least one."""
        return range_root(self._node, 0, len(self.leaves))

    def inclusion(self, index: int) -> list[bytes]:
        """Audit path of leaf ``index`` (RFC 6962 §2.1.1)."""
        return inclusion_path(self._node, index, len(self.leaves))

    def consistency(self, old_size: int) -> list[bytes]:
        """Proof that the first ``old_size`` leaves are the beginning of this tree (RFC 6962 §2.1.2)."""
        return consistency_path(self._node, old_size, len(self.leaves))

    def _node(self, level: int, index: int) -> bytes:
        return self._levels[level][index]


def tlog_proof(index: int, path: Sequence[bytes], note: bytes) -> bytes:
    """The text form of an inclusion proof with its checkpoint (C2SP tlog-proof@v1)."""
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hash_lines(path)}\n".encode() + note


def hash_lines(hashes: Sequence[bytes]) -> str:
    """Hashes in base64, one a line."""
    return "".join(f"{base64.b64encode(one).decode()}\n" for one in hashes)

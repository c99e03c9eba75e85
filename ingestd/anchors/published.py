"""What the centre publishes of its own log: the newest checkpoint, and proofs that it only grew.

A proof needs the leaf hashes; they are read once and then only what was appended since (32 bytes an entry in memory).
"""

import base64
import json
import threading
from collections.abc import Iterable, Sequence

from custody.log import CHECKPOINT, LogFiles, entry_of
from custody.merkle import consistency_proof, leaf_hash, root
from ingestd.errors import TokenError

PUBLICATION = "bwc.publication/v1"
"""``type`` of a publication in one file, for a witness that no wire reaches."""


class PublishedLog:
    """The centre log as anybody may see it; safe to use from several threads beside its writer."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._leaves: list[bytes] = []
        self._offset = 0
        self._turn = threading.Lock()

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None before the first."""
        return self._files.get(CHECKPOINT)

    def consistency(self, start: int, stop: int) -> list[bytes] | None:
        """RFC 6962 §2.1.2 proof from size ``start`` to size ``stop``; None when the log has no such sizes."""
        leaves = self.leaves()
        if not 0 < start <= stop <= len(leaves):
            return None
        return consistency_proof(leaves[:stop], start)

    def root_at(self, size: int) -> bytes | None:
        """Root of the first ``size`` entries as they are now, or None when there are fewer."""
        leaves = self.leaves()
        return root(leaves[:size]) if size <= len(leaves) else None

    def began_ms(self) -> int | None:
        """Time of the first entry, or None in an empty log. Raises ``EvidenceError`` when it cannot be read."""
        head = b""
        for chunk in self._files.read(0):
            head, newline, _ = (head + chunk).partition(b"\n")
            if newline:
                return entry_of(head).record.utc_ms
        return None

    def leaves(self) -> Sequence[bytes]:
        """Leaf hashes of all whole entries."""
        with self._turn:
            rest = b""
            for chunk in self._files.read(self._offset):
                *lines, rest = (rest + chunk).split(b"\n")
                self._leaves.extend(leaf_hash(line) for line in lines)
                self._offset += sum(len(line) + 1 for line in lines)
            return tuple(self._leaves)

    def publication(self, sizes: Iterable[int]) -> bytes:
        """Checkpoint and proofs from each of ``sizes`` in one file. Raises ``TokenError`` when there is none yet."""
        note = self.checkpoint()
        if note is None:
            raise TokenError("the centre log has no checkpoint yet: nothing to publish", "nothing-checked")
        stop = int(note.split(b"\n")[1])
        proofs = {str(size): proof for size in sizes if (proof := self.consistency(size, stop)) is not None}
        text = {size: [base64.b64encode(node).decode() for node in proof] for size, proof in proofs.items()}
        return json.dumps({"type": PUBLICATION, "checkpoint": note.decode(), "consistency": text}, indent=1).encode()

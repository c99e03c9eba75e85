"""What the centre publishes of its own log: the newest checkpoint, and proofs that it only grew.

Proofs are made from the index beside the log (``custody.index``), whatever its length.
"""

import base64
import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from custody.chain import EMPTY_TREE
from custody.checkpoint import Checkpoint, parse_note
from custody.errors import EvidenceError
from custody.index import Proofs, split_lines
from custody.log import CHECKPOINT, LogFiles, entry_of
from custody.merkle import leaf_hash
from ingestd.errors import TokenError

_T = TypeVar("_T")
PUBLICATION = "bwc.publication/v1"
"""``type`` of a publication in one file, for a witness that no wire reaches."""


class PublishedLog:
    """The centre log as anybody may see it; safe to use from several threads beside its writer.

    What it says leads to the root of the newest checkpoint; raises ``TokenError`` when the entries do not.
    """

    def __init__(self, files: LogFiles) -> None:
        self._files = files

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None before the first."""
        return self._files.get(CHECKPOINT)

    def consistency(self, start: int, stop: int) -> list[bytes] | None:
        """RFC 6962 §2.1.2 proof from size ``start`` to size ``stop``; None when the log has signed no such sizes."""
        newest = self._newest()
        if newest is None or not 0 < start <= stop <= newest.size:
            return None
        return _told(lambda: Proofs(self._files, newest).consistency(start, stop))

    def root_at(self, size: int) -> bytes | None:
        """Root of the first ``size`` entries, signed for or not, or None when there are fewer."""
        newest = self._newest()
        if newest is not None and size <= newest.size:
            return _told(lambda: Proofs(self._files, newest).root_at(size))
        lines = islice(split_lines(self._files.read(0), []), size)
        tree = EMPTY_TREE.extend(leaf_hash(line) for line in lines)
        return tree.root() if tree.size == size else None

    def began_ms(self) -> int | None:
        """Time of the first entry, or None in an empty log. Raises ``EvidenceError`` when it cannot be read."""
        head = b""
        for chunk in self._files.read(0):
            head, newline, _ = (head + chunk).partition(b"\n")
            if newline:
                return entry_of(head).record.utc_ms
        return None

    def publication(self, sizes: Iterable[int]) -> bytes:
        """Checkpoint and proofs from each of ``sizes`` in one file. Raises ``TokenError`` when there is none yet."""
        note = self.checkpoint()
        if note is None:
            raise TokenError("the centre log has no checkpoint yet: nothing to publish", "nothing-checked")
        stop = int(note.split(b"\n")[1])
        proofs = {str(size): proof for size in sizes if (proof := self.consistency(size, stop)) is not None}
        text = {size: [base64.b64encode(node).decode() for node in proof] for size, proof in proofs.items()}
        return json.dumps({"type": PUBLICATION, "checkpoint": note.decode(), "consistency": text}, indent=1).encode()

    def _newest(self) -> Checkpoint | None:
        note = self.checkpoint()
        return None if note is None else _told(lambda: parse_note(note).checkpoint)


def _told(ask: Callable[[], _T]) -> _T:
    """What is wrong with the evidence, in the words of this room."""
    try:
        return ask()
    except EvidenceError as error:
        raise TokenError(f"the centre log is not what it signed: {error}", error.finding) from error

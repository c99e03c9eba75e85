"""What the audit page shows: recorded audits, heads of the logs, anchors. Each audit is proven, not just looked up.

The index only says where ``audit.done`` entries are; what they say is read from the centre log, together with the proof
that the entry stands under the newest signed checkpoint. An entry that cannot be proven is shown as such.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from custody.checkpoint import Checkpoint, NoteKey, parse_note
from custody.errors import EvidenceError
from custody.index import Proofs
from custody.log import CHECKPOINT, LogFiles, entry_of
from ingestd.anchors.run import vouched_ms
from ingestd.anchors.store import AnchorStore
from ingestd.audit.found import EVENT
from ingestd.index.queries import MirrorRow
from ingestd.index.rows import integer_in, list_in, object_in, text_in

NEWEST: Final = 30
"""Audits, and anchors, on the page; the log has all of them."""


class Index(Protocol):
    """What is asked of ``ingestd.index.queries.Queries``."""

    def audits(self, limit: int) -> list[int]:
        """Numbers of the newest ``audit.done`` entries, newest first."""
        ...

    def mirrors(self) -> list[MirrorRow]:
        """The stations' logs."""
        ...


@dataclass(frozen=True, slots=True)
class AuditDone:
    """One recorded audit. When it is not ``proven``, ``reason`` says why and nothing else is known."""

    seq: int
    proven: bool
    reason: str = ""
    utc_ms: int = 0
    outcome: int = 2
    selection: Mapping[str, Any] = field(default_factory=dict)
    announced: int = 0
    selected: int = 0
    read_bytes: int = 0
    earlier: int = 0
    originals: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)
    duration_ms: int = 0
    host: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Anchored:
    """An anchor as it lies there; ``utc_ms`` is what it states, 0 when it cannot be read. Nothing is verified."""

    size: int
    kind: str
    name: str
    utc_ms: int


@dataclass(frozen=True, slots=True)
class History:
    """Reads for the audit page; safe to use from several threads beside the log's writer."""

    index: Index
    files: LogFiles
    """The centre log."""
    keys: Sequence[NoteKey]
    """Those that signed it or may come to."""
    store: AnchorStore
    witnesses: Sequence[NoteKey] = ()
    configured: bool = False
    """Whether the agency has configured anybody outside."""

    def audits(self, limit: int = NEWEST) -> list[AuditDone]:
        """The newest recorded audits, newest first."""
        head, reason = self._head()
        return [self._done(seq, head, reason) for seq in self.index.audits(limit)]

    def head(self) -> Checkpoint | None:
        """The newest checkpoint of the centre log that its key signed, or None."""
        return self._head()[0]

    def mirrors(self) -> list[MirrorRow]:
        """The stations' logs as far as they are held."""
        return self.index.mirrors()

    def anchors(self, limit: int = NEWEST) -> list[Anchored]:
        """The newest anchors, newest first."""
        kept = self.store.kept()[::-1][:limit]
        return [Anchored(one.size, one.kind, one.name, vouched_ms(one, self.witnesses)) for one in kept]

    def _head(self) -> tuple[Checkpoint | None, str]:
        note = self.files.get(CHECKPOINT)
        if note is None:
            return None, "the centre log has no checkpoint yet"
        try:
            signed = parse_note(note)
            signed.verify(self.keys)
        except EvidenceError as error:
            return None, f"{error.finding}: {error}"
        return signed.checkpoint, ""

    def _done(self, seq: int, head: Checkpoint | None, reason: str) -> AuditDone:
        if head is None or seq >= head.size:
            return AuditDone(seq, proven=False, reason=reason or "no signed checkpoint covers it yet")
        try:
            data, _ = Proofs(self.files, head).entry(seq)
            record = entry_of(data).record
        except EvidenceError as error:
            return AuditDone(seq, proven=False, reason=f"{error.finding}: {error}")
        if record.event != EVENT:
            return AuditDone(seq, proven=False, reason=f"the entry is {record.event}")
        told, number = object_in(record.payload, "audit"), _numbers(record.payload)
        actors = [text_in(one, "id") for one in list_in(record.payload, "actors")]
        return AuditDone(
            seq=seq,
            proven=True,
            utc_ms=record.utc_ms,
            outcome=number("outcome", 2),
            selection=object_in(told, "selection"),
            announced=number("announced"),
            selected=number("selected"),
            read_bytes=number("read_bytes"),
            earlier=number("earlier"),
            originals=_counts(told, "originals"),
            findings=_counts(told, "findings"),
            duration_ms=number("duration_ms"),
            host=text_in(told, "host"),
            actor=", ".join(actors),
        )


def _numbers(payload: Mapping[str, Any]) -> Callable[..., int]:
    told = object_in(payload, "audit")

    def number(name: str, absent: int = 0) -> int:
        value = integer_in(told, name)
        return absent if value is None else value

    return number


def _counts(told: Mapping[str, Any], name: str) -> Mapping[str, int]:
    return {word: count for word, count in object_in(told, name).items() if isinstance(count, int) and count}

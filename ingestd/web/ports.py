"""What the pages need: reads of the index, and bytes of derived objects. ``tests/fakes`` keeps the same promises."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from custody.checkpoint import Checkpoint
from ingestd.index.acts import ActionFilter
from ingestd.index.queries import (
    PAGE_ROWS,
    ActionDetail,
    ActionRow,
    CaseRow,
    ClipDetail,
    ClipFilter,
    ClipRow,
    DisposalRow,
    FileRow,
    FlagRow,
    HoldRow,
    MirrorRow,
    Page,
    PlanDetail,
    Summary,
)
from ingestd.index.rows import Row

Viewed = Callable[[str, str, str], None]
"""Records that somebody is about to look: clip, ``detail`` or ``proxy``, and who (``Pipeline.viewed``)."""


class Reads(Protocol):
    """The part of ``ingestd.index.queries.Queries`` that pages use; its docstrings hold."""

    def summary(self) -> Summary:
        """Figures of the first page."""
        ...

    def clips(
        self, wanted: ClipFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ClipRow]:
        """Clips, newest docking first; those of a time, the one that began last first."""
        ...

    def clip(self, object_id: str) -> ClipDetail | None:
        """One clip, or None."""
        ...

    def flags(
        self, state: str = "open", rule: str = "", action_id: str = "", after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[FlagRow]:
        """Flags, newest first."""
        ...

    def flag(self, flag_id: str) -> FlagRow | None:
        """One flag, or None."""
        ...

    def cases(self, after: str | None = None, limit: int = PAGE_ROWS) -> Page[CaseRow]:
        """Cases by number."""
        ...

    def reviews(self) -> list[Row]:
        """Every legal review, the one whose material was complete last first."""
        ...

    def decisions(self) -> list[Row]:
        """Every decision, newest first."""
        ...

    def holds(self) -> list[HoldRow]:
        """Holds in force, oldest first."""
        ...

    def disposals(self) -> list[DisposalRow]:
        """What was approved, and what is recorded as gone."""
        ...

    def files(self, state: str, after: str | None = None, limit: int = PAGE_ROWS) -> Page[FileRow]:
        """Files of one state that were seen on recorders, latest first."""
        ...

    def actions(
        self, wanted: ActionFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ActionRow]:
        """Actions, latest start first."""
        ...

    def action(self, action_id: str) -> ActionDetail | None:
        """One action, or None."""
        ...

    def plan(self, action_id: str) -> PlanDetail | None:
        """One act that is planned, or None."""
        ...


class Media(Protocol):
    """Bytes of stored objects (``ingestd.store.EvidenceReader``)."""

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes [start, end). Raises ``errors.StoreError``, ``errors.ObjectMissingError`` when there is no object."""
        ...


class LogReads(Protocol):
    """The centre log as anybody may see it (``ingestd.anchors.published.PublishedLog``)."""

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None before the first."""
        ...

    def consistency(self, start: int, stop: int) -> list[bytes] | None:
        """RFC 6962 proof from one size to another, or None when the log has no such sizes."""
        ...


class AuditReads(Protocol):
    """Audits, log heads and anchors (``ingestd.audit.history.History``); its docstrings hold."""

    @property
    def configured(self) -> bool:
        """Whether the agency has configured anchors."""
        ...

    def audits(self) -> Sequence[Any]:
        """The newest recorded audits (``AuditDone``), newest first."""
        ...

    def head(self) -> Checkpoint | None:
        """The newest checkpoint of the centre log that holds."""
        ...

    def mirrors(self) -> Sequence[MirrorRow]:
        """The stations' logs."""
        ...

    def anchors(self) -> Sequence[Any]:
        """The newest anchors (``Anchored``), newest first."""
        ...

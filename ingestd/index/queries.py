"""All reads of the index. Pages, commands and rules get frozen values; nobody else sees a session.

Each method is one consistent read. Lists come newest first and are paged by ``after``, the last row's id of the page
before (keyset paging: a page never shifts while clips arrive).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from sqlalchemy import Engine

from custody.canonical import JsonObject, JsonValue
from ingestd.model import Case, Coverage, EnforcementAction, MediaKind, Position

T = TypeVar("T")

PAGE_ROWS: Final = 50
"""Rows of a page unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows and, when there are more, the ``after`` of the next page."""

    rows: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips; an empty or None field does not narrow. ``linked`` counts only video, audio and images."""

    linked: bool | None = None
    status: str = ""
    """``received`` (not described yet), ``indexed`` or ``quarantined``."""
    verdict: str = ""
    """``unchecked``, ``verified``, ``failed`` or ``missing``."""
    station: str = ""
    recorder: str = ""
    officer: str = ""
    kind: str = ""
    case: str = ""
    """Case of a linked action."""
    text: str = ""
    """Part of the path on the recorder or of the object id."""
    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One clip as a list shows it."""

    object_id: str
    station: str
    recorder: str
    path: str
    """Printable path on the recorder."""
    kind: MediaKind | None
    """None while it is not described."""
    status: str
    reason: str
    """Why it is quarantined: ``zero-byte``, ``unreadable-media`` or ``unknown-content``; else empty."""
    start_ms: int | None
    end_ms: int | None
    uncertainty_ms: int
    officer: str
    officer_name: str
    officer_source: str
    case_stated: str
    size_bytes: int
    sha256: str
    verdict: str
    copied_ms: int
    links: int
    suggestions: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link with what a page says about both ends."""

    object_id: str
    action_id: str
    action_type: str
    case: str
    case_title: str
    method: str
    score: int
    reasons: tuple[str, ...]
    rule_version: str
    log_seq: int
    """Entry of the centre log that made it."""


@dataclass(frozen=True, slots=True)
class SuggestionRow:
    """A clip that may belong to an action."""

    object_id: str
    action_id: str
    action_type: str
    case: str
    case_title: str
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProxyRow:
    """A derived object that plays in a browser."""

    object_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CustodyEvent:
    """One signed entry about a clip."""

    event: str
    utc_ms: int
    log: str
    seq: int
    leaf: str
    """Hex leaf hash: the entry's identity."""
    signer: str
    """Key id of the signature."""


@dataclass(frozen=True, slots=True)
class ClipDetail:
    """Everything a page shows of one clip."""

    row: ClipRow
    name: str
    """Name in the evidence store."""
    media_type: str
    digests: Mapping[str, str]
    place: Position | None
    media: JsonObject | None
    """The signed ``media`` block, None while it is not described."""
    links: tuple[LinkRow, ...]
    suggestions: tuple[SuggestionRow, ...]
    proxies: tuple[ProxyRow, ...]
    events: tuple[CustodyEvent, ...]


@dataclass(frozen=True, slots=True)
class FlagRow:
    """A flag, open or cleared."""

    flag_id: str
    rule: str
    rule_version: str
    state: str
    """``open`` or ``cleared``."""
    action_id: str
    case: str
    article: str
    detail: str
    set_ms: int
    changed_ms: int
    cleared_ms: int | None
    log_seq: int
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An action as a list shows it. The figures are parts per million, None while nothing was computed."""

    action: EnforcementAction
    case_title: str
    nominal_ppm: int | None
    guaranteed_ppm: int | None
    links: int
    open_flags: int


@dataclass(frozen=True, slots=True)
class ActionDetail:
    """Everything a page shows of one action. ``clips`` are those linked or suggested, by object id."""

    action: EnforcementAction
    case: Case | None
    officer_names: Mapping[str, str]
    coverage: Coverage | None
    links: tuple[LinkRow, ...]
    suggestions: tuple[SuggestionRow, ...]
    flags: tuple[FlagRow, ...]
    clips: Mapping[str, ClipRow]


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as a list shows it."""

    case: Case
    actions: int
    open_flags: int


@dataclass(frozen=True, slots=True)
class ClipCounts:
    """Clips by what became of them; ``linked`` and ``unlinked`` count indexed video, audio and images."""

    found: int
    offloaded: int
    failed: int
    verified: int
    indexed: int
    linked: int
    unlinked: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class LogState:
    """The centre log as far as the tables follow it. ``root`` is base64, as in a checkpoint."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of the first page."""

    clips: ClipCounts
    open_flags: int
    messages_quarantined: int
    log: LogState

    def as_json(self) -> dict[str, object]:
        """The shape of ``/api/v1/summary``."""
        counts = {name: getattr(self.clips, name) for name in ClipCounts.__slots__}
        return {
            "clips": counts,
            "flags": {"open": self.open_flags},
            "messages_quarantined": self.messages_quarantined,
            "log": {"origin": self.log.origin, "size": self.log.size, "root": self.log.root},
        }


class Queries:
    """Reads over one engine; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def summary(self) -> Summary:
        """Counts of clips, flags and quarantined messages, and where the log stands."""
        raise NotImplementedError

    def clips(
        self, wanted: ClipFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ClipRow]:
        """Clips, newest docking first."""
        raise NotImplementedError

    def clip(self, object_id: str) -> ClipDetail | None:
        """One clip, or None when there is none of that id."""
        raise NotImplementedError

    def flags(
        self, state: str = "open", rule: str = "", action_id: str = "", after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[FlagRow]:
        """Flags, newest first; an empty ``state`` means all."""
        raise NotImplementedError

    def actions(self, case: str = "", after: str | None = None, limit: int = PAGE_ROWS) -> Page[ActionRow]:
        """Actions, latest start first."""
        raise NotImplementedError

    def action(self, action_id: str) -> ActionDetail | None:
        """One action, or None when there is none of that id."""
        raise NotImplementedError

    def cases(self, after: str | None = None, limit: int = PAGE_ROWS) -> Page[CaseRow]:
        """Cases by number."""
        raise NotImplementedError

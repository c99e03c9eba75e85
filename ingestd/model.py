"""Frozen values of the centre. Times ending in ``_ms`` are milliseconds since 1970 UTC.

Decisions (``link``, ``coverage``, ``rules``) take and return only these values and read no table and no clock.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from custody.canonical import JsonValue


class Level(StrEnum):
    """How far an act must be recorded (运政办〔2019〕3号 一（二）2)."""

    FULL = "full"
    """全程音像记录: from start to end, on video."""
    SPECIFIED = "specified"
    """明确记录内容: the agency says what."""
    TEXT = "text"
    """文字记录即可."""

    @property
    def duty(self) -> str:
        """``must``, ``should`` or ``optional``: what is asked of the officers."""
        return {"full": "must", "specified": "should", "text": "optional"}[self.value]


class MediaKind(StrEnum):
    """What a file turned out to be."""

    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    SIDECAR = "sidecar"
    OTHER = "other"
    EMPTY = "empty"


MAX_CLIP_MS: Final = 48 * 3600 * 1000
"""No recorder films for two days in one file; a clip that claims to be longer has a length, and so a time, unknown."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open span of time [start, end)."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.end_ms < self.start_ms:
            raise ValueError(f"interval ends before it starts: {self.start_ms} > {self.end_ms}")

    @property
    def length_ms(self) -> int:
        """Length in milliseconds."""
        return self.end_ms - self.start_ms

    def overlap_ms(self, other: "Interval") -> int:
        """Milliseconds both have in common."""
        return max(0, min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms))


@dataclass(frozen=True, slots=True)
class Position:
    """A point on earth, WGS-84, degrees times 10^7."""

    lat_e7: int
    lon_e7: int
    accuracy_m: int = 0


@dataclass(frozen=True, slots=True)
class Clip:
    """One file from a recorder (片段), as far as the centre knows it.

    ``interval`` is in corrected UTC and None while the clip's time is unknown; ``uncertainty_ms`` is the half-width by
    which either end may be off. ``officer`` is resolved from the ledger first, then from what the device states.
    """

    object_id: str
    station: str
    recorder: str
    kind: MediaKind
    interval: Interval | None
    uncertainty_ms: int
    officer: str
    officer_source: str
    """``ledger``, ``stated`` or empty."""
    case_stated: str = ""
    place: Position | None = None
    problems: tuple[str, ...] = ()
    verdict: str = "unchecked"
    """What the last check of the stored original found (``custody.verdicts.Verdict``)."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A recorder was issued to an officer for a while (台账); ``end_ms`` None means still issued."""

    recorder: str
    officer: str
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Officer:
    """An enforcement officer, known by certificate number (执法证号)."""

    number: str
    name: str
    unit: str = ""
    qualification: str = ""
    """For what, as the qualification record (执法资格管理档案) has it; empty: not given here."""
    qualified_until_ms: int | None = None
    """When the certificate ends; None: not given here."""

    def over(self, known: "Officer") -> "Officer":
        """This row, and where it does not speak of the qualification what was known of it."""
        until_ms = known.qualified_until_ms if self.qualified_until_ms is None else self.qualified_until_ms
        return replace(self, qualification=self.qualification or known.qualification, qualified_until_ms=until_ms)

    def is_qualified(self, at_ms: int) -> bool:
        """Whether the certificate was good then; nobody is in breach of what the register does not say."""
        return self.qualified_until_ms is None or at_ms < self.qualified_until_ms


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of the agency (单位) and the one it belongs to; an empty parent stands at the top."""

    name: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Recorder:
    """A body-worn recorder (执法记录仪), known by the serial number it states."""

    serial: str
    name: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A case (案件). An empty title or unit means «not given here» and never replaces a known one."""

    number: str
    title: str = ""
    unit: str = ""


class Stage(StrEnum):
    """Where a case stands (行政处罚法 第四十七条: 启动、调查取证、审核、决定、送达、执行)."""

    OPENING = "opening"
    INVESTIGATION = "investigation"
    REVIEW = "review"
    DECISION = "decision"
    SERVICE = "service"
    EXECUTION = "execution"


@dataclass(frozen=True, slots=True)
class CaseStage:
    """A case entered a stage."""

    case: str
    stage: Stage
    start_ms: int


_BRACKETS: Final = str.maketrans("〔【{<《〈(", "[[[[[[[") | str.maketrans("〕】}>》〉)", "]]]]]]]")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, formats, halves of characters, and ends of lines and paragraphs."""


def case_key(number: str) -> str:
    """A case number as people mean it: brackets, width, spaces and letter case make no difference."""
    plain = unicodedata.normalize("NFKC", number).translate(_BRACKETS)
    return "".join(plain.split()).casefold()


def is_one_line(text: str) -> bool:
    """Whether a text neither ends its line, moves the cursor nor turns round what follows it."""
    return not any(unicodedata.category(char) in _UNSEEN for char in text)


@dataclass(frozen=True, slots=True)
class ActFacts:
    """What the register says of an act beside who and when; None: it says nothing, and never replaces what is known."""

    emergency: bool | None = None
    """It could not wait: for its approval (行政强制法 第十九条), nor for day or working day (第四十三条)."""
    approved_ms: int | None = None
    """When it was approved."""
    written: bool | None = None
    """Whether the written record (文字记录) is complete."""
    extended: bool | None = None
    """Whether the term of a seizure was extended (行政强制法 第二十五条)."""
    excluded_days: int | None = None
    """Days of inspection, testing, quarantine or appraisal, which do not count."""
    decided_ms: int | None = None
    """When it was decided upon what was seized or registered."""
    pending: bool | None = None
    """That nothing is decided yet; a moment of decision outweighs it."""
    evidenced: tuple[str, ...] | None = None
    """Steps that the law asks for and that a clip or a document shows, by ``catalogue.Checkpoint.checkpoint_id``."""
    failed: tuple[str, ...] | None = None
    """Officers who, as reviewed and found, did not show the certificate or did not inform the party."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "ActFacts":
        """From JSON, in which a tuple is an array."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**plain)

    @property
    def awaited(self) -> bool:
        """Whether something is still to happen by a certain day, so that time must ask."""
        return bool(self.pending and self.decided_ms is None) or bool(self.emergency and self.approved_ms is None)

    def over(self, known: "ActFacts") -> "ActFacts":
        """These facts, and where they say nothing what was known."""
        mine = {part.name: getattr(self, part.name) for part in fields(self)}
        return replace(known, **{name: value for name, value in mine.items() if value is not None})


@dataclass(frozen=True, slots=True)
class EnforcementAction:
    """One act of a case (执法行为) with the time in which it took place."""

    action_id: str
    case: str
    type: str
    level: Level
    interval: Interval
    officers: tuple[str, ...]
    place: Position | None = None
    radius_m: int = 0
    tolerated_gap_ms: int = 1000
    margin_ms: int = 30 * 60 * 1000
    facts: ActFacts = ActFacts()


@dataclass(frozen=True, slots=True)
class Link:
    """A clip belongs to an action, and why."""

    object_id: str
    action_id: str
    method: str
    """``officer-time``, ``case-number`` or ``manual``."""
    score: int
    """0 to 100; 100 is certain."""
    reasons: tuple[str, ...]
    rule_version: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A clip may belong to an action; a person decides."""

    object_id: str
    action_id: str
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a clip belongs, as far as the facts tell; ``reason`` is empty when there is at least one link."""

    links: tuple[Link, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    reason: str = ""
    """Why there is no link, one of ``ingestd.link.NO_LINK``."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Seconds of an action that no usable video shows."""

    interval: Interval
    reason: str
    """One of ``ingestd.coverage.GAP_REASONS``."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an action is on usable video. Both figures are parts per million of the action's length."""

    action_id: str
    nominal_ppm: int
    guaranteed_ppm: int
    gaps: tuple[Gap, ...]
    clips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that should have been filmed, kept or checked and was not.

    ``key`` makes it one flag however often it is found.
    """

    rule: str
    rule_version: str
    key: str
    action_id: str
    case: str
    article: str
    detail: str
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def flag_id(self) -> str:
        """Stable identity: the rule and what it is about."""
        return f"{self.rule}:{self.key}"


@dataclass(frozen=True, slots=True)
class RowFinding:
    """One thing to say about one row of an import: an error that stops it, or a warning that does not.

    ``line`` counts from 1 as an editor does; 0 means the file as a whole. ``column`` is the heading as it stands in the
    file. Each finding is one sentence in either language.
    """

    line: int
    column: str
    value: str
    reason_zh: str
    reason_en: str
    sheet: str = ""
    """Name of the sheet of a spreadsheet; empty in files that have none."""

    @property
    def reason(self) -> str:
        """Both sentences, Chinese first."""
        return f"{self.reason_zh} {self.reason_en}"


IMPORTED: Final = ("officers", "recorders", "assignments", "cases", "actions", "units", "stages", "plans")
"""Tables of an import, in the order in which they are counted."""


@dataclass(frozen=True, slots=True)
class Import:
    """What a file of cases, actions and rosters says. With any error the tables are empty: nothing is half-imported."""

    officers: tuple[Officer, ...] = ()
    recorders: tuple[Recorder, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    cases: tuple[Case, ...] = ()
    actions: tuple[EnforcementAction, ...] = ()
    units: tuple[Unit, ...] = ()
    stages: tuple[CaseStage, ...] = ()
    plans: tuple[EnforcementAction, ...] = ()
    """Acts that are to take place; the interval is the one planned."""
    errors: tuple[RowFinding, ...] = ()
    warnings: tuple[RowFinding, ...] = ()
    rows: int = 0
    """How many rows were read, good and bad."""

"""Facts that rules decide on and that are not values of ``ingestd.model``. Times ending in ``_ms``: since 1970 UTC.

Each says one thing that a person, a device or a register states; none carries a verdict.
"""

from dataclasses import dataclass
from enum import StrEnum

from ingestd.model import EnforcementAction, Interval


@dataclass(frozen=True, slots=True)
class WrittenRecord:
    """Whether the written record (文字记录) of an act is complete, as the unit states."""

    action: EnforcementAction
    complete: bool


@dataclass(frozen=True, slots=True)
class Interruption:
    """The longest break in the recording of one act, what the officers said of it, and whether that was reviewed."""

    action: EnforcementAction
    span: Interval
    reason: str = ""
    reviewed: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Steps that an act needs (行政强制法 第十八条、第二十四条, local lists) and those that are evidenced."""

    action: EnforcementAction
    required: tuple[str, ...]
    evidenced: frozenset[str]


@dataclass(frozen=True, slots=True)
class EmergencyMeasure:
    """A coercive measure taken on the spot before it was approved (行政强制法 第十九条); None: not approved yet."""

    action: EnforcementAction
    taken_ms: int
    approved_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Seizure:
    """Property sealed or seized (查封、扣押), and what became of it.

    ``excluded_days`` are those of inspection, testing, quarantine or appraisal, which do not count.
    """

    action: EnforcementAction
    seized_ms: int
    extended: bool = False
    excluded_days: int = 0
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """Evidence registered and preserved in advance (先行登记保存); ``decided_ms`` None: no decision yet."""

    action: EnforcementAction
    registered_ms: int
    decided_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Offload:
    """A file that was copied from a recorder, and when what it shows had ended."""

    object_id: str
    station: str
    recorder: str
    ended_ms: int
    copied_ms: int
    clips: int = 1
    """How many came late at that docking; this is the one that ended first."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """A recorder's clock against the station's at one docking: device minus reference, in milliseconds."""

    recorder: str
    station: str
    measured_ms: int
    offset_ms: int
    uncertainty_ms: int
    entry: str
    """The log entry that says so."""


@dataclass(frozen=True, slots=True)
class ClockReset:
    """What a recorder brought last, and the impossible time that something of it states; empty: all are possible."""

    recorder: str
    station: str
    copied_ms: int
    stated: str
    entry: str
    """The log entry that says so."""


@dataclass(frozen=True, slots=True)
class RecorderHeld:
    """Who holds a recorder by the ledger, since when, and when it was last docked or files of it came in."""

    recorder: str
    officer: str
    since_ms: int
    seen_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EmptyDocking:
    """A recorder came back with no new file."""

    recorder: str
    officer: str
    station: str
    docked_ms: int
    entry: str


@dataclass(frozen=True, slots=True)
class CheckpointFailure:
    """An officer did not show the certificate or did not inform the party in one act, as a reviewer found."""

    officer: str
    action_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class WornBy:
    """Who wore the recorder of a clip: as the ledger (台账) has it, and as the device states."""

    object_id: str
    recorder: str
    ledger: str
    stated: str
    start_ms: int
    clips: int = 1
    """Of how many clips of this recorder that is so; this is the first."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source of identity states of a recorder, and the registered recorder that it points to, if any."""

    source: str
    value: str
    recorder: str = ""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A recorder was docked whose sources of identity disagree, as the station found."""

    recorder: str
    """The serial it states, which may be a default."""
    station: str
    bay: int
    docked_ms: int
    entry: str
    """The log entry that says so."""
    reasons: tuple[str, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class StationHeard:
    """When the centre last heard of a station, or enrolled it if never since."""

    station: str
    log: str
    heard_ms: int
    complete_ms: int = 0
    """When it last claimed, in a heartbeat, that its log holds nothing that is not here; 0: never."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Clips of one unit that belong to no act and that nobody has looked at; ``oldest_ms``: when the oldest came in."""

    unit: str
    count: int
    oldest_ms: int


@dataclass(frozen=True, slots=True)
class Retention:
    """Until when an original was or is kept, and what asks for how long; None means for ever."""

    object_id: str
    taken_ms: int
    kept_until_ms: int | None
    case: str = ""
    case_until_ms: int | None = 0
    permanent: bool = False
    """Case evidence, coercive enforcement or obstruction: never disposed of by time."""


class Publication(StrEnum):
    """What has to be published (行政执法公示)."""

    DECISION = "decision"
    LICENCE = "licence"
    PENALTY = "penalty"
    WITHDRAWAL = "withdrawal"
    """A published penalty decision that was changed, revoked or found unlawful or void."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A decision, licence, penalty or withdrawal, and when it was published; None: not yet."""

    subject: str
    case: str
    kind: Publication
    made_ms: int
    published_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A legal review (重大执法决定法制审核); its clock starts when the material is complete (材料齐备之日)."""

    case: str
    complete_ms: int
    extended: bool = False
    concluded_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MajorDecision:
    """A major decision (重大执法决定) that was made, and when its review was passed; None: never."""

    case: str
    made_ms: int
    passed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedAct:
    """An act that is planned, and those of its officers who hold a recorder that is read out and in time."""

    action: EnforcementAction
    ready_officers: frozenset[str]

"""Whether a recorder is ready to be taken on a shift. Pure: facts in, findings out.

Ready means that nothing on it is still to be taken in, that its clock can be believed, that it can record for a while,
and that the station knows it and nobody holds it. What cannot be read is said, and never counted as good or bad: a
mass-storage recorder tells nobody its battery. People may issue a recorder that is not ready, and say why; the log
keeps both (``recorder.issued``).
"""

from dataclasses import dataclass
from typing import Final

CLOCK_TOLERANCE_MS: Final = 1_000
"""A measured clock further off than this is set right before the shift."""
LEAST_BATTERY_PERCENT: Final = 30
LEAST_HOURS: Final = 4
"""Hours of video for which there must be room: half a shift of continuous recording."""
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Facts:
    """What the station knows of one recorder now. None means that it cannot be read, or was not."""

    known: bool
    """It was read at this station before."""
    busy: bool
    """It is in a bay in which it must stay."""
    holder: str
    """Officer who holds it by the ledger of this station; empty when nobody does."""
    open: int
    """Files of it that are not taken in, or not receipted by the centre."""
    left: int | None
    """Files on it that were not erased, where it was listed in the bay in which it is now."""
    is_emptied_here: bool
    """The station's policy empties recorders; where it does not, files that are left say nothing."""
    offset_ms: int | None
    """Its clock minus the station's, at its last docking."""
    battery_percent: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; ``number`` where it counts something. A remark does not keep the recorder back."""

    code: str
    number: int | None = None
    is_remark: bool = False

    def __str__(self) -> str:
        """``code:number``, as warnings of the status are written."""
        return self.code if self.number is None else f"{self.code}:{self.number}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was found, in the order in which people look."""

    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing keeps the recorder back."""
        return all(finding.is_remark for finding in self.findings)


def readiness(facts: Facts, officer: str, video_mbit_s: float) -> Readiness:
    """Whether ``officer`` can be given the recorder as it is; ``video_mbit_s`` is what an hour is reckoned with."""
    if not facts.known:
        return Readiness((Finding("unknown-recorder"),))
    return Readiness(
        (
            *([Finding("held-by-you" if facts.holder == officer else "held")] if facts.holder else []),
            *([Finding("busy")] if facts.busy else []),
            *([Finding("open", facts.open)] if facts.open else []),
            *_left(facts),
            *_clock(facts.offset_ms),
            *_battery(facts.battery_percent),
            *_room(facts.free_bytes, video_mbit_s),
        )
    )


def _left(facts: Facts) -> list[Finding]:
    if facts.left is None:
        return [Finding("left-unreadable", is_remark=True)]
    return [Finding("left", facts.left, is_remark=not facts.is_emptied_here)] if facts.left else []


def _clock(offset_ms: int | None) -> list[Finding]:
    if offset_ms is None:
        return [Finding("clock-unmeasured", is_remark=True)]
    return [Finding("clock-offset", offset_ms)] if abs(offset_ms) > CLOCK_TOLERANCE_MS else []


def _battery(percent: int | None) -> list[Finding]:
    if percent is None:
        return [Finding("battery-unreadable", is_remark=True)]
    return [Finding("battery-low", percent)] if percent < LEAST_BATTERY_PERCENT else []


def _room(free_bytes: int | None, video_mbit_s: float) -> list[Finding]:
    if free_bytes is None:
        return [Finding("room-unreadable", is_remark=True)]
    hours = int(free_bytes * 8 / (video_mbit_s * 1_000_000) / _HOUR_S)
    return [Finding("room-low", hours)] if hours < LEAST_HOURS else []

"""Stations as supervisors see them: what the centre holds of each, and what each last claimed of itself. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from custody.heartbeat import Health
from ingestd.heartbeats import LastHeard
from ingestd.index.queries import MirrorRow

LATE_MS: Final = 3 * 60_000
"""Three heartbeats that did not come."""


class Standing(StrEnum):
    """Whether a station is there, as far as it can be known."""

    ONLINE = "online"
    OVERDUE = "overdue"
    """The broker still holds it for connected, and its heartbeats do not come."""
    OFFLINE = "offline"
    NEVER = "never"
    """It is enrolled and was never heard of."""


@dataclass(frozen=True, slots=True)
class StationRow:
    """One enrolled station."""

    station: str
    log: str
    entries: int
    """Entries of its log that the centre holds."""
    standing: Standing
    heard_ms: int | None
    """When it last spoke; None: never."""
    health: Health | None
    """Its own claim, of that moment."""

    @property
    def missing(self) -> int:
        """How many entries it claims to have written that are not here."""
        return max(0, self.health.log_entries - self.entries) if self.health else 0


def rows(mirrors: Iterable[MirrorRow], heard: Mapping[str, LastHeard], now_ms: int) -> list[StationRow]:
    """Every enrolled station by name; of others nothing is shown, whatever was said in their name."""
    return [_row(mirror, heard.get(mirror.station), now_ms) for mirror in sorted(mirrors, key=lambda one: one.station)]


def _row(mirror: MirrorRow, heard: LastHeard | None, now_ms: int) -> StationRow:
    heard_ms, health = (heard.heard_ms or None, heard.health) if heard else (None, None)
    return StationRow(mirror.station, mirror.log, mirror.size, standing(heard, now_ms), heard_ms, health)


def standing(heard: LastHeard | None, now_ms: int) -> Standing:
    """By the last word; exactly at the limit it is still in time."""
    if heard is None:
        return Standing.NEVER
    if not heard.online:
        return Standing.OFFLINE
    return Standing.ONLINE if now_ms - heard.heard_ms <= LATE_MS else Standing.OVERDUE

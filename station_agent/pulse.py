"""When a heartbeat is due: at each connection, every minute, and as soon as the station's condition changes."""

import time
from collections.abc import Callable
from typing import Final

from custody.heartbeat import Health, Heartbeat

EVERY_S: Final = 60.0
LOOK_EVERY_S: Final = 5.0
"""A change is told within this; looking asks the journal a few questions."""
FAREWELL: Final = Heartbeat(online=False)
"""What the broker says of a station it lost, and what a station says that stops."""


class Pulse:
    """The heartbeats of one station. Used by one thread; ``connected`` may come from another."""

    def __init__(self, health: Callable[[], Health], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._monotonic_s = monotonic_s
        self._told: tuple[object, ...] = ()
        self._told_s = self._looked_s = float("-inf")

    def connected(self) -> None:
        """Whatever was told, the last will may stand there now: tell again."""
        self._looked_s = self._told_s = float("-inf")

    def due(self) -> bytes | None:
        """The heartbeat to send now, or None; it counts as told, and one that gets lost is followed by the next."""
        now_s = self._monotonic_s()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return None
        self._looked_s = now_s
        health = self._health()
        if health.condition == self._told and now_s - self._told_s < EVERY_S:
            return None
        self._told, self._told_s = health.condition, now_s
        return Heartbeat(online=True, health=health).encode()

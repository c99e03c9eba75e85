"""How right the station's own clock is: asked of chronyd where it runs, else of the kernel.

``timedatectl`` is not asked: what it calls synchronised is the kernel's answer, which is asked here without a process.
A clock that nobody disciplines has no offset and no uncertainty that could be stated; that is a fact of its own.
"""

import threading
import time
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import Final

from station_agent import linux
from station_agent.errors import ToolError
from station_agent.model import StationClock
from station_agent.tools import chronyc

KEPT_S: Final = 15.0
"""A reading holds this long: the heartbeat, the metrics and a full dock ask often, and a clock moves slowly."""


def ask(tracking: Callable[[], chronyc.Tracking] = chronyc.tracking) -> StationClock:
    """The station's clock as its best witness has it now."""
    try:
        return of_chrony(tracking())
    except ToolError:
        return of_kernel(linux.clock_error_us())


def of_chrony(tracked: chronyc.Tracking) -> StationClock:
    """A clock that chronyd disciplines; while it has no source it knows nothing."""
    if not tracked.synchronised:
        return StationClock("chrony", synchronised=False)
    uncertainty_s = abs(tracked.offset_s) + tracked.uncertainty_s
    return StationClock(
        "chrony", synchronised=True, offset_ms=round(tracked.offset_s * 1000), uncertainty_ms=_up_ms(uncertainty_s)
    )


def of_kernel(error_us: int | None) -> StationClock:
    """A clock of which the kernel says how far it is off at most; None: nobody disciplines it."""
    if error_us is None:
        return StationClock("kernel", synchronised=False)
    return StationClock("kernel", synchronised=True, uncertainty_ms=_up_ms(Decimal(error_us) / 1_000_000))


class TimeSource:
    """Asks now and then, answers at once. Safe for use by several threads."""

    def __init__(
        self, asked: Callable[[], StationClock] = ask, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._asked = asked
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._read_s = float("-inf")
        self._reading: StationClock | None = None

    def reading(self) -> StationClock:
        """The clock as it was at most ``KEPT_S`` ago."""
        with self._lock:
            now_s = self._monotonic_s()
            if self._reading is None or now_s - self._read_s > KEPT_S:
                self._reading, self._read_s = self._asked(), now_s
            return self._reading


def _up_ms(seconds: Decimal) -> int:
    return int((seconds * 1000).to_integral_value(ROUND_CEILING))

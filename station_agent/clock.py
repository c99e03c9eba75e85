"""The station's clock and its quality, and how far a recorder's clock is off at docking.

A mass-storage recorder has no clock that could be read, so its offset is taken from what it wrote last, and only
where that says something; otherwise the reading is ``unmeasured``, which is a fact of its own and never zero.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from custody.canonical import JsonObject
from station_agent import linux
from station_agent.model import ClockReading, SourceFile, StationTime
from station_agent.ports import Clock

CONNECT_WRITE_WINDOW_MS: Final = 120_000
"""A log line counts as written at docking when its time is at most this far from the docking."""
CONNECT_WRITE_UNCERTAINTY_MS: Final = 5_000
"""Step of FAT times (2 s), the recorder's delay before it writes, and the kernel's before it announces the volume."""

STEP_MS: Final = 1_000
"""A wall clock that moved by less against the time since boot was not set."""
SLEW: Final = 12
"""Nor was one that moved by up to a twelfth of that time: chronyd slews no faster (maxslewrate, chrony.conf(5))."""

# Many recorders note the connection in a log of the day (LOG/20240131.txt, SYSLOG.TXT, log/device.log).
_LOG_LIKE: Final = re.compile(rb"(?:^|/)(?:logs?/[^/]+\.(?:txt|log|csv)|[^/]*log[^/]*\.(?:txt|log))$", re.IGNORECASE)


class SystemClock:
    """The kernel's clock. Satisfies ``ports.Clock``."""

    def __init__(self) -> None:
        # The boot id cannot change while this process lives.
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def now(self) -> StationTime:
        """Wall clock, its source (``ntp`` when the kernel is disciplined, else ``none``), boot id, boot-time clock."""
        return StationTime(
            utc_ms=time.time_ns() // 1_000_000,
            source="none" if linux.clock_error_us() is None else "ntp",
            boot_id=self._boot_id,
            mono_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """The station's clock was set: by how much at least, and the time it told before."""

    step_ms: int
    before: StationTime

    def body(self) -> JsonObject:
        """Body of ``clock.stepped``; the entry's own time is the one after."""
        return {"clock": {"step_ms": self.step_ms, "before": dict(self.before.block())}}


def step_between(before: StationTime, now: StationTime) -> int:
    """How far the wall clock was set between two readings, ms; 0 where nothing shows that it was.

    Within one boot its progress is held against the time since boot. Across a boot only a clock that went back shows.
    """
    passed_ms = now.utc_ms - before.utc_ms
    if now.boot_id != before.boot_id:
        return min(0, passed_ms)
    since_ms = (now.mono_ns - before.mono_ns) // 1_000_000
    moved_ms = passed_ms - since_ms
    return moved_ms if abs(moved_ms) > STEP_MS + since_ms // SLEW else 0


class StepWatch:
    """Notices that the station's clock was set, from one look to the next."""

    def __init__(self, clock: Clock, before: StationTime | None) -> None:
        """``before`` is the time of the log's last entry; None in an empty log."""
        self._clock = clock
        self._before = before or clock.now()

    def look(self) -> Step | None:
        """The step since the last look, if there was one.

        Read twice and believed when both say so: a process that is stopped in the middle of one reading misreads.
        """
        before = self._before
        readings = [self._clock.now(), self._clock.now()]
        self._before = readings[-1]
        steps = [step_between(before, now) for now in readings]
        return Step(min(steps, key=abs), before) if all(steps) else None


def measure_offset(files: Iterable[SourceFile], docked_ms: int) -> ClockReading:
    """Recorder clock minus station clock, from modification times alone.

    ``connect-write``: the newest log-like file was written within two minutes of docking, so its time is the
    recorder's idea of now. ``future-mtime``: the newest file lies after the docking, so the recorder is ahead by at
    least that much (a lower bound, hence no uncertainty). Else ``unmeasured``.
    """
    listed = [file for file in files if not file.refused]
    written = [_offset(file, docked_ms) for file in listed if _LOG_LIKE.search(file.path)]
    fresh = [offset for offset in written if abs(offset) <= CONNECT_WRITE_WINDOW_MS]
    if fresh:
        return ClockReading(max(fresh), CONNECT_WRITE_UNCERTAINTY_MS, "connect-write")
    ahead = max((_offset(file, docked_ms) for file in listed), default=0)
    if ahead > 0:
        return ClockReading(ahead, None, "future-mtime")
    return ClockReading(None, None, "unmeasured")


def _offset(file: SourceFile, docked_ms: int) -> int:
    return file.mtime_ms - docked_ms

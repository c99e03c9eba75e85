"""The station's clock and its quality, and how far a recorder's clock is off at docking.

A mass-storage recorder has no clock that could be read, so its offset is taken from what it wrote last, and only
where that says something; otherwise the reading is ``unmeasured``, which is a fact of its own and never zero.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from station_agent import linux
from station_agent.model import ClockReading, SourceFile, StationTime

CONNECT_WRITE_WINDOW_MS: Final = 120_000
"""A log line counts as written at docking when its time is at most this far from the docking."""
CONNECT_WRITE_UNCERTAINTY_MS: Final = 5_000
"""Step of FAT times (2 s), the recorder's delay before it writes, and the kernel's before it announces the volume."""

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

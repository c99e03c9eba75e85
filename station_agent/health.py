"""How the station is: the figures of its heartbeat and of its metrics, taken from journal, log, disk and clock."""

import shutil
from pathlib import Path

from custody.heartbeat import Health
from station_agent.journal import Journal
from station_agent.model import StationClock, StationTime
from station_agent.seal import agent_version


def health_of(now: StationTime, clock: StationClock, journal: Journal, log_entries: int, spool: Path) -> Health:
    """The station at this moment. Raises ``JournalError`` or ``OSError`` when its own memory cannot be asked."""
    waiting, disk = journal.waiting(), shutil.disk_usage(spool)
    return Health(
        agent=agent_version(),
        boot_id=now.boot_id,
        utc_ms=now.utc_ms,
        clock_source=clock.source,
        clock_synchronised=clock.said,
        clock_offset_ms=clock.offset_ms,
        clock_uncertainty_ms=clock.uncertainty_ms,
        disk_free_bytes=disk.free,
        disk_size_bytes=disk.total,
        log_entries=log_entries,
        outbox_entries=waiting.outbox,
        clips_open=waiting.unfinished,
        receipts_waiting=waiting.receipts,
        jobs_waiting=waiting.describe + waiting.transcode + waiting.upload,
        jobs_failing=sum(journal.failing().values()),
        alarms=int(bool(journal.fact("alarm"))),
    )

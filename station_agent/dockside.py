"""What the dock's screen and terminal show beside the status: clock, room, the day, whose recorder, receipts.

``/api/status`` is for programs and stays as it is; this is for people who stand before the dock. Numbers of officers
are masked here, before they leave the program: whoever passes by can read the screen.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from station_agent.config import Config
from station_agent.journal import Journal
from station_agent.model import StationTime
from station_agent.pipeline import CLOCK_TOLERANCE_MS, SPARE_BYTES
from station_agent.status import Board
from station_agent.visits import (
    Visit,
    dockings_since,
    holder_of,
    last_failures,
    mark_waiting,
    removed_since,
    set_aside,
    visit_in,
)

Json = dict[str, Any]
"""JSON objects, arrays, strings, numbers and booleans."""

RECEIPT_S: Final = 20
"""How long a receipt stands over its bay."""
MASK: Final = "***"
SHOWN_CHARS: Final = 4
"""The end of an officer's number that is shown: enough to know one's own by, too little to learn another's."""
FAILURES_SHOWN: Final = 8
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Dockside:
    """Answers with the value of ``/api/dock``."""

    config: Config
    journal: Journal
    board: Board

    def seen(self, now: StationTime, bays: Sequence[Mapping[str, Any]]) -> Json:
        """The dock at ``now``; ``bays`` is that part of the status."""
        ask, at_ms = self.journal.ask, now.utc_ms
        removed = removed_since(ask, at_ms - RECEIPT_S * 1000)
        return {
            "clock": {"source": now.source, "utc_ms": at_ms},
            "disk": room(_free_bytes(self.config.spool), self.config.screen.video_mbit_s),
            "dockings_today": dockings_since(ask, midnight_ms(at_ms, self.config.zone)),
            "bays": {str(bay["bay"]): self._beside(bay) for bay in bays},
            "receipts": [receipt(visit, self.config.origin, at_ms, self.config.zone) for visit in removed],
            "technician": self._inside(),
        }

    def _beside(self, bay: Mapping[str, Any]) -> Json:
        """Of the recorder in this bay, or of the one that is awaited; no word of another one by the log.

        The officer is who holds it by the ledger, else whom its footage names.
        """
        ask, number = self.journal.ask, int(bay["bay"])
        if bay["state"] == "idle":
            return {"mark": mark_waiting(ask, number)}
        visit = visit_in(ask, number)
        if visit is None or visit.serial != bay["serial"]:
            return {}
        return {"officer": masked(holder_of(ask, visit.serial) or visit.officer), "mark": visit.mark}

    def _inside(self) -> Json:
        """What a technician asks for: ports, errors, what was set aside, and how far the centre has signed the log."""
        ask, fact = self.journal.ask, self.journal.fact
        ports = {tile.bay: tile.port for tile in self.board.tiles()}
        zone = self.config.zone
        return {
            "ports": {
                str(bay): {"wanted": pattern, "found": ports.get(bay, "")}
                for bay, pattern in sorted(self.config.bay_patterns.items())
            },
            "failures": [
                {**asdict(one), "at": f"{datetime.fromtimestamp(one.at_ms / 1000, zone):%m-%d %H:%M:%S %z}"}
                for one in last_failures(ask, FAILURES_SHOWN)
            ],
            "set_aside": set_aside(ask),
            "cosigned": {"size": int(fact("cosigned_size") or 0), "at_s": int(fact("cosigned_s") or 0)},
        }


def room(free_bytes: int, video_mbit_s: float) -> Json:
    """Free space as whole hours of video, rounded down; what the station keeps for its own memory is not promised."""
    usable_bytes = max(0, free_bytes - SPARE_BYTES)
    return {"free_bytes": free_bytes, "video_hours": int(usable_bytes * 8 / (video_mbit_s * 1_000_000) / _HOUR_S)}


def midnight_ms(at_ms: int, zone: ZoneInfo) -> int:
    """When the day of ``at_ms`` began in ``zone``."""
    day = datetime.fromtimestamp(at_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(day.timestamp() * 1000)


def masked(officer: str) -> str:
    """An officer's number by its end; of a short one less than half of it."""
    shown = min(SHOWN_CHARS, len(officer) // 2)
    return f"{MASK}{officer[len(officer) - shown :]}" if officer else ""


def receipt(visit: Visit, origin: str, at_ms: int, zone: ZoneInfo) -> Json:
    """What an officer takes along: how much was taken in, how it was checked, and where the signed log says so."""
    span = visit.span_ms
    return {
        "bay": visit.bay,
        "left_s": RECEIPT_S - (at_ms - (visit.undocked_ms or at_ms)) // 1000,
        "recorder": visit.serial,
        "officer": masked(visit.officer),
        "files": len(visit.footage),
        "bytes": sum(clip.size for clip in visit.footage),
        "duration_ms": visit.duration_ms,
        "described": sum(clip.duration_ms is not None for clip in visit.footage),
        "span": said_span(*span, zone) if span else "",
        "warnings": _warnings(visit, zone),
        "level": visit.level,
        "number": {"log": origin, "seq": visit.seq, "leaf": visit.leaf},
    }


def said_span(start_ms: int, end_ms: int, zone: ZoneInfo) -> str:
    """From–to to the minute, with the zone's offset once."""
    start, end = (datetime.fromtimestamp(moment / 1000, zone) for moment in (start_ms, end_ms))
    return f"{start:%m-%d %H:%M} – {end:%m-%d %H:%M %z}"


def _warnings(visit: Visit, zone: ZoneInfo) -> list[str]:
    """``code:number`` as in the status; ``gap:from–to`` with both times of day."""
    off = visit.offset_ms if visit.offset_ms is not None and abs(visit.offset_ms) > CLOCK_TOLERANCE_MS else None
    gaps = [[f"{datetime.fromtimestamp(t / 1000, zone):%H:%M:%S}" for t in gap] for gap in visit.gaps_ms]
    return [
        *([f"clock-offset:{off}"] if off is not None else []),
        *([f"failed:{visit.failed}"] if visit.failed else []),
        *(f"gap:{start}–{end}" for start, end in gaps),
    ]


def _free_bytes(spool: Path) -> int:
    return shutil.disk_usage(spool if spool.exists() else spool.parent).free

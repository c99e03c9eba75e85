"""What each station last claimed of its health, one small file a station; the service writes, everybody reads.

It is kept beside the index, which is a projection of signed logs: a heartbeat is signed by nobody and is no evidence.
Whatever is lost here comes again within a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from custody.canonical import canonical_bytes, parse_object
from custody.errors import CustodyError, UnparsableError
from custody.heartbeat import Health, Heartbeat, decode_heartbeat
from custody.identifiers import is_station_id

_SUFFIX: Final = ".json"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LastHeard:
    """The last word of a station, or of the broker about it. Times are the centre's own."""

    online: bool
    said_ms: int
    """When that word came."""
    heard_ms: int
    """When the station itself last spoke; 0: never."""
    health: Health | None
    """What it last claimed; None: nothing yet."""

    def complete_ms(self, entries: int) -> int:
        """When it last claimed to have written no more than the ``entries`` that are here; 0: it never did."""
        return self.heard_ms if self.health and self.health.log_entries <= entries else 0


class Heartbeats:
    """The folder of last words."""

    def __init__(self, folder: Path, now_ms: Callable[[], int] = lambda: 0) -> None:
        """``now_ms`` is asked by ``take`` alone."""
        self._folder = folder
        self._now_ms = now_ms

    def take(self, station: str, data: bytes, retained: bool) -> None:  # noqa: FBT001  # as ``receive.Beat``
        """Keep a heartbeat as the last one of its station; what is none, or cannot be kept, is said and passed over."""
        try:
            heard = after(self.of(station), decode_heartbeat(data), self._now_ms(), retained=retained)
            self._write(station, heard)
        except (CustodyError, OSError) as error:
            _log.warning("heartbeat-refused", station=station, reason=str(error))

    def of(self, station: str) -> LastHeard | None:
        """The last word of one station; None where there is none that can be read."""
        try:
            return _read(self._path(station).read_bytes())
        except (CustodyError, OSError):
            return None

    def all(self) -> dict[str, LastHeard]:
        """The last word of each station that ever said one."""
        names = sorted(path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))
        return {name: heard for name in names if is_station_id(name) and (heard := self.of(name))}

    def _path(self, station: str) -> Path:
        return self._folder / f"{station}{_SUFFIX}"

    def _write(self, station: str, heard: LastHeard) -> None:
        """Not synced: a power cut loses one heartbeat, and the next is a minute away."""
        self._folder.mkdir(exist_ok=True)
        path = self._path(station)
        temporary = path.with_suffix(".part")
        temporary.write_bytes(
            canonical_bytes(
                {
                    "said_ms": heard.said_ms,
                    "heard_ms": heard.heard_ms,
                    "heartbeat": Heartbeat(heard.online, heard.health).encode().decode(),
                }
            )
        )
        temporary.replace(path)


def after(before: LastHeard | None, said: Heartbeat, now_ms: int, *, retained: bool) -> LastHeard:
    """What is known once ``said`` came.

    What the broker had kept may be old: it was said when it says so itself, and never after now. The very one that is
    known already tells nothing new of when the station spoke.
    """
    heard_ms, known = (before.heard_ms, before.health) if before else (0, None)
    if said.health is None:
        return LastHeard(said.online, now_ms, heard_ms, known)
    if not retained:
        heard_ms = now_ms
    elif said.health != known:
        heard_ms = max(heard_ms, min(now_ms, said.health.utc_ms))
    return LastHeard(said.online, now_ms, heard_ms, said.health)


def _read(data: bytes) -> LastHeard:
    fields = parse_object(data)
    said_ms, heard_ms, text = fields.get("said_ms"), fields.get("heard_ms"), fields.get("heartbeat")
    if not isinstance(said_ms, int) or not isinstance(heard_ms, int) or not isinstance(text, str):
        raise UnparsableError("a kept heartbeat has said_ms, heard_ms and heartbeat")
    heartbeat = decode_heartbeat(text.encode())
    return LastHeard(heartbeat.online, said_ms, heard_ms, heartbeat.health)

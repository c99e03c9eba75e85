"""Unlocks what waits in a bay, and knows it again when it comes back as a disk.

A recorder leaves the bus when it is told to become a disk and returns under other numbers, so nothing it says of
itself connects the two but the USB port and the time. Both its leaving and its return are waited for: no answer of the
device counts as success.
"""

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from custody.canonical import JsonObject
from station_agent.errors import UnlockError
from station_agent.model import RecorderDocked
from station_agent.ports import Clock
from station_agent.unlock import DRIVERS, ZfyDriver, sg
from station_agent.unlock.transport import Transport
from station_agent.unlock.zfy_info import ZfyInfo

LEAVE_WITHIN_S: Final = 10.0
RETURN_WITHIN_S: Final = 30.0
"""A recorder starts its storage anew in a few seconds."""

_USB_PORT: Final = re.compile(r"(?:^|.*-)usb-[0-9]+:[0-9.]+(?=:|$)")

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Away:
    """One that was told to become a disk, until it has."""

    facts: JsonObject
    back: threading.Event = field(default_factory=threading.Event)


class Unlocker:
    """Satisfies ``pipeline.Unlocking``. Safe for several bays at once."""

    def __init__(  # noqa: PLR0913  # what is configured, and the world
        self,
        drivers: Sequence[str],
        clock: Clock,
        zone: ZoneInfo,
        *,
        sets_clock: bool,
        opened: Callable[[str], AbstractContextManager[Transport]] = sg.opened,
        leave_within_s: float = LEAVE_WITHIN_S,
        return_within_s: float = RETURN_WITHIN_S,
    ) -> None:
        self._drivers = drivers
        self._clock = clock
        self._zone = zone
        self._sets_clock = sets_clock
        self._opened = opened
        self._leave_within_s = leave_within_s
        self._return_within_s = return_within_s
        self._away: dict[str, _Away] = {}
        """USB port → who left it."""
        self._lock = threading.Lock()

    def unlock(self, event: RecorderDocked, gone: threading.Event) -> None:
        """Have the recorder of ``event`` come back as a disk; one that no driver knows is let be.

        ``gone`` is set when its node goes away. Raises ``UnlockError``.
        """
        with self._opened(event.node) as transport:
            known = self._known(transport)
            if known is None:
                _log.info("no-medium", node=event.node)
                return
            name, driver, id_code = known
            away = _Away({"driver": name, "id_code": id_code, **_told_by(driver), "unlocked_ms": self._now_ms()})
            port = usb_port(event.identity.port)
            with self._lock:
                self._away[port] = away
            try:
                driver.switch_to_storage()
            except UnlockError:
                self._forget(port, away)
                raise
        try:
            if not gone.wait(self._leave_within_s):
                raise UnlockError("the recorder was told to become a disk and stayed as it was")
            if not away.back.wait(self._return_within_s):
                raise UnlockError("the recorder left to become a disk and did not come back")
        finally:
            self._forget(port, away)

    def returned(self, event: RecorderDocked) -> JsonObject:
        """What the recorder at this port had said before it left it; empty for one that was not unlocked.

        It is said once: whoever comes to the port next is somebody else.
        """
        with self._lock:
            away = None if event.locked else self._away.pop(usb_port(event.identity.port), None)
        if away is None:
            return {}
        away.back.set()
        return away.facts

    def set_clock(self, event: RecorderDocked) -> bool:
        """Set the clock of a recorder by ours, where that is configured; whether it took it. Raises ``UnlockError``."""
        if not self._sets_clock:
            return False
        with self._opened(event.node) as transport:
            known = self._known(transport)
            if known is None:
                raise UnlockError("as a disk the recorder does not answer its driver")
            known[1].set_clock(datetime.fromtimestamp(self._now_ms() / 1000, UTC).astimezone(self._zone))
        return True

    def _known(self, transport: Transport) -> tuple[str, ZfyDriver, str] | None:
        for name in self._drivers:
            driver = DRIVERS[name](transport)
            id_code = driver.identify()
            if id_code is not None:
                return name, driver, id_code
        return None

    def _forget(self, port: str, away: _Away) -> None:
        with self._lock:
            if self._away.get(port) is away:
                del self._away[port]

    def _now_ms(self) -> int:
        return self._clock.now().utc_ms


def usb_port(id_path: str) -> str:
    """The part of udev's ``ID_PATH`` that names the USB port, without the interface, which changes with the mode."""
    found = _USB_PORT.match(id_path)
    return found[0] if found else id_path


def _told_by(driver: ZfyDriver) -> JsonObject:
    """What it says of itself; a question that it does not answer keeps nothing from being copied, and is said."""
    told: dict[str, JsonObject | int | str] = {}
    info: ZfyInfo | None = None
    try:
        info = driver.read_info()
    except UnlockError as error:
        told["problem"] = str(error)
    with suppress(UnlockError):
        told["battery_percent"] = driver.read_battery()
    return {**told, **({"as_stated": info.block()} if info else {})}

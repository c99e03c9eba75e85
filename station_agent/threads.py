"""The threads of a running station. The first one that cannot go on stops all; its reason is what is raised."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from custody.errors import CustodyError
from station_agent.errors import AgentError

STOP_WITHIN_S: Final = 8.0
"""After a stop the threads have this long together; whatever is left is safe to be cut off."""

_log = structlog.get_logger(__name__)


class Threads:
    """Started by the main thread, or by threads of its own."""

    def __init__(self, stop: threading.Event) -> None:
        """``stop`` ends all of them; it is set here when one fails."""
        self._stop = stop
        self._error: Exception | None = None
        self._all: list[threading.Thread] = []
        self._lasting: list[threading.Thread] = []
        """Those whose work has no end before the station's."""

    def keep(self, name: str, work: Callable[[], object]) -> None:
        """Start work that has no end before the stop; ending before it is a failure, also without an error."""
        self._lasting.append(self.start(name, work))

    def start(self, name: str, work: Callable[[], object]) -> threading.Thread:
        """Start work that comes to an end."""
        thread = threading.Thread(target=lambda: self._guarded(name, work), name=name, daemon=True)
        self._all = [t for t in self._all if t.is_alive()] + [thread]
        thread.start()
        return thread

    def tend(self, pause_s: float, feed: Callable[[], None]) -> None:
        """Return at the stop. Every ``pause_s`` seconds ``feed`` the watchdog, if all lasting work goes on."""
        while not self._stop.wait(pause_s):
            ended = [thread.name for thread in self._lasting if not thread.is_alive()]
            if not ended:
                feed()
            elif not self._stop.is_set():
                self._fail(AgentError(f"{', '.join(ended)} ended although the station goes on"))

    def join(self) -> None:
        """Wait for all threads, but not for ever. Raises the error that made going on impossible, if any."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        for thread in self._all:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        left = [thread.name for thread in self._all if thread.is_alive()]
        if left:
            _log.warning("cut-off", rooms=left)
        if self._error:
            raise self._error

    def _guarded(self, name: str, work: Callable[[], object]) -> None:
        ended_well = False
        try:
            work()
            ended_well = True
        except (AgentError, CustodyError, OSError) as error:
            _log.error("room-failed", room=name, reason=str(error))  # the trace goes with the raise
            self._fail(error)
            ended_well = True
        finally:
            if not ended_well:  # a fault of ours: the interpreter prints its trace, the station ends in order
                self._fail(AgentError(f"{name} ended unexpectedly; the trace is in the journal"))

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._stop.set()

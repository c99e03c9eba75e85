"""What the detector says of one dock while a test runs."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from station_agent.bays import BayMap
from station_agent.clock import SystemClock
from station_agent.detect import Detector
from station_agent.model import RecorderDocked, RecorderUndocked
from tests.rig.loopdock import LoopDock

Event = TypeVar("Event", RecorderDocked, RecorderUndocked)


class Watch:
    """Collects the detector's events of one dock while the test runs."""

    def __init__(self, dock: LoopDock) -> None:
        self._bays = BayMap(dock.bays())
        self._stop = threading.Event()
        self.events: list[RecorderDocked | RecorderUndocked] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        detector = Detector(self._bays, SystemClock(), require_tag=True)
        for event in detector.events(self._stop):
            self.events.append(event)

    def docked(self, node: str, time_number: int = 1) -> RecorderDocked:
        """The so many-th announcement of a readable volume; udev may announce the bare medium before it."""
        return self._wait(node, RecorderDocked, time_number, readable)

    def bare(self, node: str, time_number: int = 1) -> RecorderDocked:
        """The so many-th announcement of a medium without a file system."""
        return self._wait(node, RecorderDocked, time_number, lambda event: not readable(event))

    def undocked(self, node: str) -> None:
        self._wait(node, RecorderUndocked, 1, readable)

    def _wait(self, node: str, kind: type[Event], time_number: int, fits: Callable[[Event], bool]) -> Event:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            here = [event for event in self.events if isinstance(event, kind) and event.node == node]
            hits = [event for event in here if fits(event)]
            if len(hits) >= time_number:
                return hits[time_number - 1]
            time.sleep(0.02)
        pytest.fail(f"no {kind.__name__} of {node}; there were {self.events}")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def readable(event: RecorderDocked | RecorderUndocked) -> bool:
    return isinstance(event, RecorderUndocked) or event.filesystem != ""

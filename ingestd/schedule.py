"""The sweep: an absence sends no message, so time must ask. Runs at start and then every minute."""

import threading
from typing import Final

import structlog

from ingestd.errors import CentreError
from ingestd.pipeline import SWEEP_ROWS, Pipeline
from ingestd.receive import passes

EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Schedule:
    """Sweeps, and signs the centre log."""

    def __init__(self, pipeline: Pipeline, every_s: float = EVERY_S) -> None:
        self._pipeline = pipeline
        self._every_s = every_s

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``; a passing failure is left to the next sweep, any other is raised."""
        while True:
            try:
                self.once()
            except (CentreError, OSError) as error:
                if not passes(error):
                    raise
                _log.warning("sweep-waits", error=str(error))
            if stop.wait(self._every_s):
                return

    def once(self) -> None:
        """Look at everything that is due, then sign the log as it is."""
        while self._pipeline.sweep() >= SWEEP_ROWS:
            pass
        self._pipeline.checkpoint()

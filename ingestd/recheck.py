"""Reads stored originals back and compares them with what was signed; receipts rest on this, never on an upload's 200.

Step 7 of ``verify``: it runs beside the messages, several objects at once, and records many results as one unit.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog

from ingestd.errors import CentreError, ObjectMissingError, StoreError
from ingestd.index.rows import Row
from ingestd.pipeline import Answer, Pipeline, ReadBack
from ingestd.receive import passes

BATCH: Final = 64
"""Objects recorded as one unit of work."""
_IDLE_S: Final = 0.3
_PAUSE_S: Final = 2.0

_log = structlog.get_logger(__name__)


class Digests(Protocol):
    """The part of the evidence store that is needed here."""

    def digest(self, name: str) -> tuple[int, str]:
        """Size and SHA-256 of what the store returns; raises ``ObjectMissingError`` or ``StoreError``."""
        ...


class Rechecker:
    """Reads back whatever is due, until told to stop."""

    def __init__(
        self, store: Digests, pipeline: Pipeline, publish: Callable[[Sequence[Answer]], None], readers: int
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._publish = publish
        self._readers = readers

    def run(self, stop: threading.Event) -> None:
        """Rounds until ``stop``; a passing failure is waited out, any other is raised."""
        with ThreadPoolExecutor(self._readers, "recheck") as pool:
            while not stop.is_set():
                try:
                    done = self.round(pool)
                except (CentreError, OSError) as error:
                    if not passes(error):
                        raise
                    _log.warning("recheck-waits", error=str(error))
                    stop.wait(_PAUSE_S)
                else:
                    if not done:
                        stop.wait(_IDLE_S)

    def round(self, pool: ThreadPoolExecutor) -> int:
        """Read back what is due now; returns how many objects that were."""
        due = self._pipeline.checks_due(BATCH)
        if due:
            self._publish(self._pipeline.record_checks(list(pool.map(self._read, due))))
        return len(due)

    def _read(self, row: Row) -> ReadBack:
        try:
            size, sha256 = self._store.digest(row["name"])
        except ObjectMissingError:
            return ReadBack(row["object_id"], missing=True)
        except StoreError as error:
            _log.warning("store-unreadable", name=row["name"], error=str(error))
            return ReadBack(row["object_id"], unreadable=str(error))
        return ReadBack(row["object_id"], size, sha256)

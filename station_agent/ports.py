"""Ports of the station: what the pipeline needs from the world.

Real adapters and ``tests/fakes`` keep the same promises.
"""

from pathlib import Path
from typing import Protocol

from station_agent.model import StationTime


class Clock(Protocol):
    """Time of the station."""

    def now(self) -> StationTime:
        """The station's time with its quality; never goes through a cache."""
        ...


class Store(Protocol):
    """The evidence store. Retries inside; raises ``errors.StoreError`` when it gives up."""

    def put(self, source: Path, name: str, sha256: str) -> None:
        """Upload a file under ``name``; durable as far as the store can promise when this returns.

        ``sha256`` (hex) is what the entry says of it; other bytes are never stored: ``errors.DamagedCopyError``. An
        object that already has this digest is left as it is.
        """
        ...

    def size(self, name: str) -> int | None:
        """Size in bytes of a stored object, or None when there is none."""
        ...

"""When originals and proxies leave for the store, and how fast. Entries and receipts are small and never wait here.

The window says when an upload may begin; one that has begun goes on to its end, or the largest files would never
arrive. The rate is held by a token bucket: over any time no more bytes go than ``bytes_per_s`` times it, and one second
of them at once.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from station_agent.errors import StoppingError


@dataclass(frozen=True, slots=True)
class Window:
    """From one time of day to another, over midnight where the second is the earlier one."""

    opens: dt.time
    closes: dt.time

    def is_open(self, now: dt.time) -> bool:
        """Whether it is open at this time of day; it opens with the first time and is closed from the second on."""
        if self.opens < self.closes:
            return self.opens <= now < self.closes
        return now >= self.opens or now < self.closes


class TokenBucket:
    """How long bytes have to wait. Pure: the time is told, in seconds of any clock that never goes back."""

    def __init__(self, bytes_per_s: int) -> None:
        """It begins full, and holds the bytes of one second."""
        self._bytes_per_s = bytes_per_s
        self._tokens = float(bytes_per_s)
        self._filled_s: float | None = None

    def wait_s(self, size: int, now_s: float) -> float:
        """Take so many bytes; they may be sent after this many seconds. More than it holds is a debt, waited for."""
        since_s = now_s - self._filled_s if self._filled_s is not None else 0.0
        self._tokens = min(self._bytes_per_s, self._tokens + since_s * self._bytes_per_s) - size
        self._filled_s = now_s
        return max(0.0, -self._tokens / self._bytes_per_s)


def paced(
    bytes_per_s: int, stop: threading.Event, now_s: Callable[[], float] = time.monotonic
) -> Callable[[int], None]:
    """Called before so many bytes are sent, by one thread; waits until they may. 0: there is no bound.

    Raises ``StoppingError`` when the station stops meanwhile.
    """
    if not bytes_per_s:
        return lambda _size: None
    bucket = TokenBucket(bytes_per_s)

    def wait(size: int) -> None:
        if stop.wait(bucket.wait_s(size, now_s())):
            raise StoppingError("the station stops")

    return wait

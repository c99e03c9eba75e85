"""How far an audit is, on standard error: one line rewritten on a terminal, a new line now and then elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TextIO

from ingestd.audit.reread import Count

_TERMINAL_S: Final = 0.2
_ELSEWHERE_S: Final = 10.0
_MB: Final = 1_000_000


@dataclass(slots=True)
class Meter:
    """Called with each count; says something when it is time to, and at the end on a terminal."""

    stream: TextIO
    clock_s: Callable[[], float] = time.monotonic
    started_s: float = field(init=False)
    spoken_s: float = field(init=False)
    _first: Count | None = None

    def __post_init__(self) -> None:
        self.started_s = self.spoken_s = self.clock_s()

    def __call__(self, count: Count) -> None:
        """Say it, if it is time."""
        terminal, now_s = self.stream.isatty(), self.clock_s()
        if self._first is None:
            self._first, self.started_s = count, now_s
        ended = count.done == count.of
        if now_s - self.spoken_s < (_TERMINAL_S if terminal else _ELSEWHERE_S) and not (terminal and ended):
            return
        self.spoken_s = now_s
        text = line(count, self._first, now_s - self.started_s)
        self.stream.write(f"\r{text}\x1b[K{chr(10) if ended else ''}" if terminal else f"{text}\n")
        self.stream.flush()


def line(count: Count, first: Count, elapsed_s: float) -> str:
    """``12/200 objects, 240/4000 MB, 812 MB/s, 0:05 left 剩余``; the rate is that of this run alone."""
    parts = [f"{count.done}/{count.of} objects 个", f"{count.done_bytes // _MB}/{count.of_bytes // _MB} MB"]
    if elapsed_s > 0 and count.done > first.done:
        parts.append(f"{count.done_bytes / elapsed_s / _MB:.0f} MB/s")
        share = _share(count, first)
        if share:
            parts.append(f"{_duration(elapsed_s * (1 - share) / share)} left 剩余")
    return ", ".join(parts)


def _share(count: Count, first: Count) -> float:
    """How much of the work is done: by bytes, or by number when there are none."""
    if count.of_bytes:
        return count.done_bytes / count.of_bytes
    return (count.done - first.done) / (count.of - first.done)


def _duration(seconds: float) -> str:
    minutes, whole_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"

"""How far long work is, on standard error: one line rewritten on a terminal, a new line now and then elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TextIO, TypeVar

_TERMINAL_S: Final = 0.2
_ELSEWHERE_S: Final = 10.0


class Counted(Protocol):
    """How much of one piece of work is done."""

    @property
    def what(self) -> str:
        """Which piece it is."""

    @property
    def done(self) -> int:
        """How much is done."""

    @property
    def of(self) -> int:
        """How much there is."""


C = TypeVar("C", bound=Counted)
Line = Callable[[C, C, float], str]
"""What to say of a count, beside the first one of this run and the seconds since."""


@dataclass(slots=True)
class Meter(Generic[C]):
    """Called with each count; says something when it is time to, and at the end of a piece of work on a terminal."""

    stream: TextIO
    line: Line[C]
    clock_s: Callable[[], float] = time.monotonic
    started_s: float = field(init=False)
    spoken_s: float = field(init=False)
    _first: C | None = None

    def __post_init__(self) -> None:
        self.started_s = self.spoken_s = self.clock_s()

    def __call__(self, count: C) -> None:
        """Say it, if it is time."""
        terminal, now_s = self.stream.isatty(), self.clock_s()
        if self._first is None or self._first.what != count.what:
            self._first, self.started_s = count, now_s
        ended = count.done == count.of
        if now_s - self.spoken_s < (_TERMINAL_S if terminal else _ELSEWHERE_S) and not (terminal and ended):
            return
        self.spoken_s = now_s
        text = self.line(count, self._first, now_s - self.started_s)
        self.stream.write(f"\r{text}\x1b[K{chr(10) if ended else ''}" if terminal else f"{text}\n")
        self.stream.flush()


@dataclass(frozen=True, slots=True)
class Step:
    """How far one step of a long piece of work is, in rows; ``of`` is 0 as long as nobody knows how many there are."""

    what: str
    done: int
    of: int


Progress = Callable[[Step], None]


def unwatched(_step: Step) -> None:
    """A progress that nobody watches."""


def line(step: Step, first: Step, elapsed_s: float) -> str:
    """``read 读取: 24000/100000 rows 行, 8000/s, 0:10 left 剩余``; the rate is that since the first count."""
    parts = [f"{step.what}: {step.done}{f'/{step.of}' if step.of else ''} rows 行"]
    if elapsed_s > 0 and step.done > first.done:
        rate = (step.done - first.done) / elapsed_s
        parts.append(f"{rate:.0f}/s")
        if step.of:
            parts.append(f"{duration(max(0, step.of - step.done) / rate)} left 剩余")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``0:05`` or ``1:00:05``."""
    minutes, whole_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"

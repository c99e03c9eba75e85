"""How every benchmark here measures.

Both sides in one run, interleaved A B A B, median of at least five, spread printed; name and version of the peer
printed; caches dropped the same way for both; ``unquiet`` when the load average is over 2 or the baseline spreads more
than 1.3 times. A benchmark prints; it never fails a test.
"""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIN_ROUNDS: Final = 5
MAX_LOAD: Final = 2.0
MAX_BASELINE_SPREAD: Final = 1.3


@dataclass(frozen=True, slots=True)
class Side:
    """One contender: ``run`` is timed, ``prepare`` before it is not."""

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Series:
    """Wall times of one side, in seconds, in the order of the rounds."""

    name: str
    seconds: Sequence[float]

    @property
    def median_s(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest over fastest round."""
        return max(self.seconds) / min(self.seconds)

    def line(self, amount_mib: float = 0.0) -> str:
        """For people: median, range and, for an amount of data, the rate."""
        rate = f"  {amount_mib / self.median_s:7.0f} MiB/s" if amount_mib else ""
        return f"{self.name:<34} {self.median_s:7.3f} s  [{min(self.seconds):.3f}–{max(self.seconds):.3f}]{rate}"


def interleave(sides: Sequence[Side], rounds: int = MIN_ROUNDS) -> Mapping[str, Series]:
    """Run all sides in turn, ``rounds`` times (at least five); the first round of warming up is not counted."""
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(max(rounds, MIN_ROUNDS) + 1):
        for side in sides:
            side.prepare()
            started = time.perf_counter()
            side.run()
            if number:
                times[side.name].append(time.perf_counter() - started)
    return {name: Series(name, seconds) for name, seconds in times.items()}


def ratio_line(ours: Series, peer: Series, goal: float) -> str:
    """Median ratio, and the range of the ratios round by round, against a goal that is printed and never asserted."""
    each = [mine / theirs for mine, theirs in zip(ours.seconds, peer.seconds, strict=True)]
    ratio = ours.median_s / peer.median_s
    verdict = "met" if ratio <= goal else "NOT met"
    return f"{ours.name} / {peer.name}: {ratio:.2f} × [{min(each):.2f}–{max(each):.2f}]  goal ≤ {goal:.2f}: {verdict}"


def throughput_line(ours: Series, peer: Series, goal: float) -> str:
    """The same the other way round: how many times the peer's throughput, which should be at least ``goal``."""
    each = [theirs / mine for mine, theirs in zip(ours.seconds, peer.seconds, strict=True)]
    ratio = peer.median_s / ours.median_s
    verdict = "met" if ratio >= goal else "NOT met"
    return f"throughput to {peer.name}: {ratio:.2f} × [{min(each):.2f}–{max(each):.2f}]  goal ≥ {goal:.2f}: {verdict}"


def drop_caches() -> None:
    """Write everything back and empty the page cache; needs root. The same for every side."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")


def quietness(baseline: Series, load_before: float) -> str:
    """``quiet``, or ``unquiet`` with the reason: then the figures are not to be believed."""
    reasons = []
    if load_before > MAX_LOAD:
        reasons.append(f"load average {load_before:.1f} at the start")
    if baseline.spread > MAX_BASELINE_SPREAD:
        reasons.append(f"{baseline.name} spreads {baseline.spread:.2f} ×")
    return f"unquiet: {', '.join(reasons)}" if reasons else "quiet"


def machine() -> str:
    """Cores, kernel and Python of this run."""
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def version_of(program: str) -> str:
    """First line of ``program --version``."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]

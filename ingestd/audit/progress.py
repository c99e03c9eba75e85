"""How far an audit is, in a line."""

from typing import Final

from ingestd.audit.reread import Count
from ingestd.progress import duration

_MB: Final = 1_000_000


def line(count: Count, first: Count, elapsed_s: float) -> str:
    """``12/200 objects, 240/4000 MB, 812 MB/s, 0:05 left 剩余``; the rate is that of this run alone."""
    parts = [f"{count.done}/{count.of} {count.what}", f"{count.done_bytes // _MB}/{count.of_bytes // _MB} MB"]
    if elapsed_s > 0 and count.done > first.done:
        parts.append(f"{count.done_bytes / elapsed_s / _MB:.0f} MB/s")
        share = _share(count, first)
        if share:
            parts.append(f"{duration(elapsed_s * (1 - share) / share)} left 剩余")
    return ", ".join(parts)


def _share(count: Count, first: Count) -> float:
    """How much of the work is done: by bytes, or by number when there are none."""
    if count.of_bytes:
        return count.done_bytes / count.of_bytes
    return (count.done - first.done) / (count.of - first.done)

"""What is due, what is overdue, and what a witness signs. Pure: no file, no clock, no socket."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from custody.checkpoint import Checkpoint
from custody.errors import ProofError
from custody.merkle import root, verify_consistency
from ingestd.errors import TokenError
from ingestd.rules import Both

ATTEMPTS: Final = 4
"""How often one authority is asked in one round; the next round comes a minute later."""
CLOCKS_DISAGREE_MS: Final = 600_000
"""How far an authority's clock may be ahead of ours."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 8.0

CAVEAT: Final = Both(
    "未配置外部锚定（时间戳机构或见证单位）：掌握采集站和中心全部密钥的内部人员可以重写历史而不被发现。",
    "No anchor outside the agency is configured: an insider who holds the keys of stations and centre can rewrite the"
    " past unseen.",
)
"""What a site without anchors is told instead of a flag."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often the centre log is anchored, and how old its newest anchor may become."""

    every_ms: int
    every_entries: int
    """0: the log's growth alone asks for nothing."""
    max_age_ms: int


@dataclass(frozen=True, slots=True)
class Anchored:
    """Somebody vouched for the first ``size`` entries at ``utc_ms`` (or was asked to)."""

    size: int
    utc_ms: int


def due(schedule: Schedule, last: Anchored | None, size: int, now_ms: int) -> bool:
    """Whether an authority that answered last as in ``last``, by our clock, is to be asked about so large a log."""
    if last is None:
        return size > 0
    if size <= last.size:
        return False
    grown = schedule.every_entries and size - last.size >= schedule.every_entries
    return bool(grown) or now_ms - last.utc_ms >= schedule.every_ms


def overdue(schedule: Schedule, last: Anchored | None, began_ms: int, now_ms: int) -> bool:
    """Whether the flag holds: the newest anchor, or the log's first entry while there is none, is too long ago.

    An anchor from the future does not count: one clock is wrong, and the flag must not stay away for years.
    """
    since_ms = last.utc_ms if last else began_ms
    return now_ms - since_ms > schedule.max_age_ms or since_ms - now_ms > CLOCKS_DISAGREE_MS


def newest(anchors: Iterable[Anchored]) -> Anchored | None:
    """The one that vouches for the most entries, and of these the earliest."""
    return max(anchors, key=lambda one: (one.size, -one.utc_ms), default=None)


def holes(times_ms: Iterable[int], now_ms: int, max_age_ms: int) -> list[tuple[int, int]]:
    """Spans longer than allowed without an anchor, from the first anchor to now: what is missing from the series.

    A rewritten log can be anchored again now, but not then; so a whole series is itself evidence.
    """
    moments = sorted(times_ms)
    spans = pairwise([*moments, max(now_ms, *moments)]) if moments else ()
    return [(start, end) for start, end in spans if end - start > max_age_ms]


def pause_s(attempt: int, chance: float) -> float:
    """Pause after failed attempt number ``attempt`` (from 0): doubling, ``chance`` in [0, 1) is the full jitter."""
    return min(_FIRST_PAUSE_S * 2.0**attempt, _LONGEST_PAUSE_S) * chance


def witness_accepts(last: Checkpoint | None, seen: Checkpoint, proof: Sequence[bytes]) -> None:
    """Whether a witness that last vouched for ``last`` may vouch for ``seen``.

    The first checkpoint is taken as it is, and so is what follows an empty log. Raises ``TokenError``: ``log-forked``
    when the log is another one, ``log-truncated`` when it became smaller.
    """
    if last is None:
        return
    if seen.origin != last.origin:
        raise TokenError(f"this is the log {seen.origin}; the state is about {last.origin}", "log-forked")
    if seen.size < last.size:
        raise TokenError(f"{seen.origin} has {seen.size} entries, {last.size} were vouched for", "log-truncated")
    if last.size == 0 and last.root == root([]) and seen.size > 0:
        return
    try:
        if last.size or seen != last:
            verify_consistency(last.size, seen.size, proof, last.root, seen.root)
    except ProofError as error:
        why = f"{seen.origin} at {seen.size} does not continue what was vouched for at {last.size}: {error}"
        raise TokenError(why, "log-forked") from error

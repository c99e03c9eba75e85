"""Who wore a recorder and when a clip was filmed, slow and obvious. Written apart from ``ingestd.link``."""

from collections.abc import Sequence

from ingestd.model import Assignment, Interval

NOBODY = "000000"
"""As recorders leave the works."""


def wearer(span: Interval | None, ledger: Sequence[Assignment], stated: str, roster: Sequence[str]) -> tuple[str, str]:
    """Officer and how he is known; ``ledger`` is that of the clip's recorder, ``roster`` everybody's number."""
    holders = _holders(span, ledger)
    if len(holders) == 1:
        return holders[0], "ledger"
    if stated in {"", NOBODY}:
        return "", ""
    among_holders = [number for number in holders if number.endswith(stated)]
    if len(among_holders) == 1:
        return among_holders[0], "ledger"
    everybody = {*holders, *roster}
    if stated in everybody:
        return stated, "stated"
    among_all = [number for number in everybody if number.endswith(stated)]
    return (among_all[0] if len(among_all) == 1 else stated), "stated"


def corrected(shown_ms: int, offset_ms: int | None, read_error_ms: int, clock_error_ms: int) -> tuple[int, int]:
    """True start of a clip and its uncertainty; an unmeasured clock (offset None) is believed to a minute."""
    if offset_ms is None:
        return shown_ms, read_error_ms + 60_000
    return shown_ms - offset_ms, read_error_ms + clock_error_ms


def _holders(span: Interval | None, ledger: Sequence[Assignment]) -> list[str]:
    if span is None:
        return []
    first = span.start_ms // 1000
    at_start = {entry.officer for entry in ledger if _holds(entry, first)}
    seconds = range(first, span.end_ms // 1000)
    return sorted(at_start or {entry.officer for entry in ledger if any(_holds(entry, s) for s in seconds)})


def _holds(entry: Assignment, second: int) -> bool:
    return entry.start_ms // 1000 <= second and (entry.end_ms is None or second < entry.end_ms // 1000)

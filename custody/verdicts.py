"""The one vocabulary of verdicts, findings and exit codes for code, commands, pages and reports."""

from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """What is known of one object after a check."""

    VERIFIED = "verified"
    FAILED = "failed"
    MISSING = "missing"
    UNRECORDED = "unrecorded"
    UNREADABLE = "unreadable"
    UNCHECKED = "unchecked"
    DISPOSED = "disposed"
    """Gone from the store, as two people approved and the log says: no fault, and never enough for OK."""


class Finding(StrEnum):
    """What can be wrong with a log, a signature or a projection."""

    SIG_BAD = "sig-bad"
    KEY_UNKNOWN = "key-unknown"
    KEY_REVIEW = "key-review"
    SEQ_GAP = "seq-gap"
    SEQ_DUPLICATE = "seq-duplicate"
    PREV_BREAK = "prev-break"
    LOG_TRUNCATED = "log-truncated"
    LOG_FORKED = "log-forked"
    ROOT_MISMATCH = "root-mismatch"
    MIRROR_MISMATCH = "mirror-mismatch"
    ANCHOR_MISMATCH = "anchor-mismatch"
    ANCHOR_MISSING = "anchor-missing"
    TIME_REGRESSION = "time-regression"
    PROJECTION_MISMATCH = "projection-mismatch"
    UNPARSABLE = "unparsable"
    NOTHING_CHECKED = "nothing-checked"


class Outcome(IntEnum):
    """Exit code of a verification: 0 is reserved for «something was checked and all of it is right»."""

    OK = 0
    NOT_AS_RECORDED = 1
    COULD_NOT_CHECK = 2


_COULD_NOT_CHECK: frozenset[str] = frozenset(
    {Verdict.UNREADABLE, Verdict.UNCHECKED, Finding.UNPARSABLE, Finding.NOTHING_CHECKED}
)


def outcome(verdicts: Iterable[Verdict], findings: Iterable[Finding] = ()) -> Outcome:
    """Exit code for a set of verdicts and findings; when both 1 and 2 apply, 1 wins."""
    seen: set[str] = {str(v) for v in verdicts}
    bad = (seen - {Verdict.VERIFIED, Verdict.DISPOSED}) | {str(f) for f in findings}
    if bad - _COULD_NOT_CHECK:
        return Outcome.NOT_AS_RECORDED
    if bad or Verdict.VERIFIED not in seen:
        return Outcome.COULD_NOT_CHECK
    return Outcome.OK

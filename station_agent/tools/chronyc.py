"""chronyc: how far this machine's clock is from its time source, and how far that may be wrong.

Optional: where chrony does not run, the kernel alone says whether its clock is disciplined.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from station_agent.errors import ToolError
from station_agent.tools.process import Limits, run

TRACKING: Final = ("chronyc", "-c", "tracking")
"""chronyc(1): one line of values separated by commas, in the order of the report for people."""
LIMITS: Final = Limits(time_s=2, output_bytes=4096)
"""It answers from memory within milliseconds; who waits longer has no chronyd."""
_FIELDS: Final = 14
_SLOW_BY, _ROOT_DELAY, _ROOT_DISPERSION, _LEAP = 4, 10, 11, 13
_UNSYNCHRONISED: Final = "Not synchronised"


@dataclass(frozen=True, slots=True)
class Tracking:
    """The clock as chronyd sees it, in seconds."""

    synchronised: bool
    offset_s: Decimal
    """System clock minus the time of its source."""
    uncertainty_s: Decimal
    """How far the source's time itself may be wrong: half the root delay and the root dispersion (RFC 5905 §11.2.1)."""


def tracking(command: Sequence[str] = TRACKING) -> Tracking:
    """What chronyd says now. Raises ``ToolError`` when it is not here, does not answer or says something else."""
    done = run(command, LIMITS)
    if done.returncode:
        raise ToolError(f"chronyc: no answer from chronyd: exit {done.returncode}")
    return read(done.stdout.decode("utf-8", "replace"))


def read(line: str) -> Tracking:
    """One line of ``chronyc -c tracking``. Raises ``ToolError`` when it is none."""
    rows = list(csv.reader(line.splitlines()))
    if len(rows) != 1 or len(rows[0]) != _FIELDS:
        raise ToolError(f"chronyc: one line of {_FIELDS} values is needed, not {line[:80]!r}")
    values = rows[0]
    try:
        slow_by, delay, dispersion = (Decimal(values[place]) for place in (_SLOW_BY, _ROOT_DELAY, _ROOT_DISPERSION))
    except InvalidOperation as error:
        raise ToolError(f"chronyc: seconds are needed in {line[:80]!r}") from error
    if not all(value.is_finite() for value in (slow_by, delay, dispersion)):
        raise ToolError(f"chronyc: seconds are needed in {line[:80]!r}")
    return Tracking(values[_LEAP] != _UNSYNCHRONISED, -slow_by, abs(delay) / 2 + abs(dispersion))

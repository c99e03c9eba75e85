"""Rows as they stand in a file, before anything in them is believed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingestd.cases.columns import Table
from ingestd.model import RowFinding
from ingestd.rules.wording import Both


@dataclass(frozen=True, slots=True)
class Cell:
    """One field: the heading as it stands in the file, and its text."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a known table. ``line`` counts from 1; ``cells`` go by the column's name."""

    table: Table
    line: int
    cells: Mapping[str, Cell]
    sheet: str = ""
    """Name of the sheet of a spreadsheet; empty in files that have none."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of one table that stand together. They are read while they are asked for, once, and never all held."""

    table: Table
    rows: Iterable[Row]


@dataclass(slots=True)
class Findings:
    """What is wrong with a file, collected while it is read."""

    errors: list[RowFinding] = field(default_factory=list)
    warnings: list[RowFinding] = field(default_factory=list)

    def error(self, line: int, cell: Cell, reason: Both, sheet: str = "") -> None:
        """Something that stops the import."""
        self.errors.append(_finding(line, cell, reason, sheet))

    def warn(self, line: int, cell: Cell, reason: Both, sheet: str = "") -> None:
        """Something to look at that does not stop it."""
        self.warnings.append(_finding(line, cell, reason, sheet))


NO_CELL = Cell("", "")
"""For a finding about a whole row or file."""

_MAX_SHOWN = 80
"""Longest value repeated in a finding, in characters."""


def _finding(line: int, cell: Cell, reason: Both, sheet: str) -> RowFinding:
    shown = cell.text if len(cell.text) <= _MAX_SHOWN else f"{cell.text[:_MAX_SHOWN]}…"
    return RowFinding(line, cell.heading, shown, reason.zh, reason.en, sheet)

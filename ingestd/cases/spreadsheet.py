"""``python -m ingestd.cases.spreadsheet``: a spreadsheet on standard input to lines of JSON on standard output.

A line is the name of a sheet, or a line of it: its number and the texts of its cells. Run as a program of its own, so
that the bounds below are those of this one spreadsheet and no more than it is lost when they are reached.
"""

import json
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum

from ingestd.cases.spreadsheet_file import MEMORY_LIMIT, NOT_READABLE, TIME_LIMIT_S

OUTPUT_LIMIT: Final = 1024**3
_MOST_EXACT: Final = 10**15
"""Spreadsheets keep 15 digits; a longer number has lost its last ones."""


def main() -> None:
    """Read one spreadsheet within bounds."""
    for bound, limit in (
        (resource.RLIMIT_AS, MEMORY_LIMIT),
        (resource.RLIMIT_CPU, TIME_LIMIT_S),
        (resource.RLIMIT_FSIZE, OUTPUT_LIMIT),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(bound, (limit, limit))
    try:
        with CalamineWorkbook.from_filelike(sys.stdin.buffer) as workbook:
            for line in lines(workbook):
                sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    except CalamineError:
        sys.exit(NOT_READABLE)


def lines(workbook: CalamineWorkbook) -> Iterator[Any]:
    """Every sheet's name, and its lines that hold anything."""
    for found in workbook.sheets_metadata:
        if found.typ == SheetTypeEnum.WorkSheet:
            yield found.name
            yield from _sheet(workbook.get_sheet_by_name(found.name))


def _sheet(sheet: CalamineSheet) -> Iterator[list[int | str]]:
    for number, cells in enumerate(sheet.iter_rows(), 1):
        texts = [text_of(cell) for cell in cells]
        if any(text.strip() for text in texts):
            yield [number, *texts]


def text_of(value: object) -> str:
    """What a cell says, as a person would write it into a text file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, date | time | timedelta):
        return str(value)
    if isinstance(value, int | float):
        return _number(value)
    return str(value)


def _number(value: float) -> str:
    """Digits without an exponent where they are exact; one that has lost digits keeps its exponent, and is refused."""
    if abs(value) >= _MOST_EXACT:
        return f"{float(value):.14E}"
    return str(int(value)) if float(value).is_integer() else repr(value)


if __name__ == "__main__":
    main()

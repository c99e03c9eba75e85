"""A CSV file to its one table, line by line."""

import csv
import io
from collections.abc import Iterator

from ingestd.cases.columns import Source
from ingestd.cases.grid import Grid, Line, table_of
from ingestd.cases.rows import NO_CELL, Findings, Sheet
from ingestd.rules.wording import Both


def read(text: str, source: Source, findings: Findings) -> list[Sheet]:
    """The one table in the file, or none; what hinders reading is put in ``findings``, at the latest with the rows."""
    lines = _filled_lines(text, findings)
    heading = next(lines, None)
    if heading is None:
        if not findings.errors:
            findings.error(0, NO_CELL, Both("文件中没有内容。", "The file is empty."))
        return []
    table = table_of(Grid(heading, lines), source, findings)
    return [table] if table else []


def _filled_lines(text: str, findings: Findings) -> Iterator[Line]:
    """Records that hold anything, each with the line on which it begins; ends where the file is no CSV any more."""
    first_line = text[: text.find("\n")] if "\n" in text else text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first_line else ",", strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        findings.error(0, NO_CELL, Both(f"不是合法的 CSV：{error}。", f"It is not well-formed CSV: {error}."))

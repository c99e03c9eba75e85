"""A CSV file to rows: encoding, headings, lines."""

import csv
import io
from collections.abc import Iterator, Sequence

from ingestd.cases.columns import TABLES, Table, closest, recognise
from ingestd.cases.rows import NO_CELL, Cell, Findings, Row
from ingestd.rules.wording import Both


def read(text: str, findings: Findings) -> list[Row]:
    """The rows of the one table in the file; what hinders reading is put in ``findings``."""
    try:
        lines = list(_filled_lines(text))
    except csv.Error as error:
        findings.error(0, NO_CELL, Both(f"不是合法的 CSV：{error}。", f"It is not well-formed CSV: {error}."))
        return []
    if not lines:
        findings.error(0, NO_CELL, Both("文件中没有内容。", "The file is empty."))
        return []
    (heading_line, headings), *body = lines
    table = recognise(headings)
    if table is None:
        findings.error(heading_line, NO_CELL, _unrecognised(headings))
        return []
    names = _names(table, heading_line, headings, findings)
    if findings.errors:
        return []
    return [row for line, cells in body if (row := _row(table, line, headings, names, cells, findings))]


def _filled_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records that hold anything, each with the line on which it begins. Raises ``csv.Error``."""
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _unrecognised(headings: Sequence[str]) -> Both:
    nearest = closest(headings)
    lacking = [c.also[0] if c.also else c.name for c in nearest.missing(headings)]
    lacking_en = ", ".join(c.name for c in nearest.missing(headings))
    tables = "、".join(table.title.zh for table in TABLES)
    tables_en = ", ".join(table.title.en for table in TABLES)
    return Both(
        f"表头无法识别；可导入的表有：{tables}。最接近的是“{nearest.title.zh}”，还缺少列：{'、'.join(lacking)}。",
        f"The heading fits no table ({tables_en}). Nearest is {nearest.title.en}; missing columns: {lacking_en}.",
    )


def _names(table: Table, line: int, headings: Sequence[str], findings: Findings) -> list[str]:
    """Column name for every heading, empty for one that is not used."""
    names: list[str] = []
    for heading in headings:
        column = table.column_of(heading)
        if column is not None and column.name in names:
            twice = Both("该列出现了两次，请只保留一列。", "This column is there twice; keep one of them.")
            findings.error(line, Cell(heading, ""), twice)
        if column is None and heading.strip():
            unused = Both("该列不认识，未使用。", "This column is not known and was not used.")
            findings.warn(line, Cell(heading, ""), unused)
        names.append(column.name if column else "")
    return names


def _row(  # noqa: PLR0913  # a row is all of these
    table: Table, line: int, headings: Sequence[str], names: Sequence[str], cells: Sequence[str], findings: Findings
) -> Row | None:
    surplus = [cell for cell in cells[len(headings) :] if cell.strip()]
    if surplus:
        more = Both(
            "该行的列数比表头多；含逗号的内容应加引号。", "The row has more fields than the heading; quote commas."
        )
        findings.error(line, Cell("", surplus[0]), more)
        return None
    filled = zip(headings, names, cells, strict=False)
    return Row(table, line, {name: Cell(heading, cell) for heading, name, cell in filled if name})

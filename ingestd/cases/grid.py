"""A heading and the lines under it to the rows of one table: what a CSV file and a sheet have in common."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingestd.cases.columns import TABLES, Source, Table, closest, recognise
from ingestd.cases.rows import NO_CELL, Cell, Findings, Row, Sheet
from ingestd.rules.wording import Both

Line = tuple[int, Sequence[str]]
"""A line that holds anything: its number, from 1, and its fields."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A heading with its line number, the lines under it, and the name of the sheet if there is one."""

    heading: Line
    body: Iterable[Line]
    sheet: str = ""


def table_of(grid: Grid, source: Source, findings: Findings) -> Sheet | None:
    """The rows of the table that the heading is of; None when it is of none, which ``findings`` then say."""
    line, headings = grid.heading
    plain = [source.plain(heading) for heading in headings]
    table = recognise(plain)
    if table is None:
        findings.error(line, NO_CELL, _unrecognised(plain), grid.sheet)
        return None
    before = len(findings.errors)
    names = _names(table, grid, plain, findings)
    return Sheet(table, _rows(table, grid, names, findings)) if len(findings.errors) == before else None


def is_about_something_else(grid: Grid, source: Source) -> bool:
    """Whether no heading is one of ours: a cover sheet or instructions."""
    plain = [source.plain(heading) for heading in grid.heading[1]]
    return all(closest(plain).column_of(heading) is None for heading in plain)


def _rows(table: Table, grid: Grid, names: Sequence[str], findings: Findings) -> Iterator[Row]:
    headings = grid.heading[1]
    for line, cells in grid.body:
        surplus = [cell for cell in cells[len(headings) :] if cell.strip()]
        if surplus:
            findings.error(line, Cell("", surplus[0]), _SURPLUS, grid.sheet)
            continue
        filled = zip(headings, names, cells, strict=False)
        yield Row(table, line, {name: Cell(heading, cell) for heading, name, cell in filled if name}, grid.sheet)


def _names(table: Table, grid: Grid, plain: Sequence[str], findings: Findings) -> list[str]:
    """Column name for every heading, empty for one that is not used."""
    line, headings = grid.heading
    names: list[str] = []
    for heading, known in zip(headings, plain, strict=True):
        column = table.column_of(known)
        if column is not None and column.name in names:
            findings.error(line, Cell(heading, ""), _TWICE, grid.sheet)
        if column is None and known.strip():
            findings.warn(line, Cell(heading, ""), _UNUSED, grid.sheet)
        names.append(column.name if column else "")
    return names


_TWICE = Both("该列出现了两次，请只保留一列。", "This column is there twice; keep one of them.")
_UNUSED = Both("该列不认识，未使用。", "This column is not known and was not used.")
_SURPLUS = Both("该行的列数比表头多；含逗号的内容应加引号。", "The row has more fields than the heading; quote commas.")


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

"""A spreadsheet (xlsx) to its tables, one for each sheet.

A program of its own opens it (``ingestd.cases.spreadsheet``), with bounds on memory, time and output: a few kilobytes
of spreadsheet can ask for any amount of memory, and the centre must outlive that.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any, Final

from ingestd.cases.columns import Source
from ingestd.cases.grid import Grid, Line, is_about_something_else, table_of
from ingestd.cases.rows import NO_CELL, Findings, Sheet
from ingestd.rules.wording import Both

MAGIC: Final = b"PK\x03\x04"
"""An xlsx file is a ZIP archive."""
TIME_LIMIT_S: Final = 120
"""Seconds of processor time for one spreadsheet; 100,000 rows of acts take a few."""
MEMORY_LIMIT: Final = 2 * 1024**3
"""Bytes of address space for one spreadsheet; 100,000 rows of acts take a quarter."""
NOT_READABLE: Final = 3
"""Exit code of the program for what is no spreadsheet."""


def read(data: bytes, source: Source, findings: Findings) -> list[Sheet]:
    """The tables of all sheets; what hinders reading is put in ``findings``."""
    opened = tempfile.TemporaryFile()  # noqa: SIM115  # the rows are read from it long after this returns
    if not _open(data, opened, findings):
        return []
    sheets: list[Sheet] = []
    seen = False
    for name, start in _starts(opened):
        lines = _lines(opened, start)
        heading = next(lines, None)
        if heading is None:
            continue
        seen = True
        grid = Grid(heading, lines, name)
        if is_about_something_else(grid, source):
            findings.warn(heading[0], NO_CELL, _OTHER_SHEET, name)
            continue
        table = table_of(grid, source, findings)
        sheets += [table] if table else []
    if not sheets and not findings.errors:
        findings.error(0, NO_CELL, _NO_TABLE if seen else _EMPTY)
    return sheets


def _open(data: bytes, opened: IO[bytes], findings: Findings) -> bool:
    """Have the sheets written into ``opened``; whether that went well."""
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "ingestd.cases.spreadsheet"],
                stdin=given,
                stdout=opened,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=2 * TIME_LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            findings.error(0, NO_CELL, _TOO_MUCH)
            return False
    if done.returncode:
        findings.error(0, NO_CELL, _BROKEN if done.returncode == NOT_READABLE else _TOO_MUCH)
    return not done.returncode


def _starts(opened: IO[bytes]) -> list[tuple[str, int]]:
    """Every sheet: its name, and where in the file its first line stands."""
    opened.seek(0)
    found = []
    while line := opened.readline():
        if line.startswith(b'"'):
            found.append((str(json.loads(line)), opened.tell()))
    return found


def _lines(opened: IO[bytes], start: int) -> Iterator[Line]:
    """Lines of the sheet that begins at ``start``. Somebody else may read the file between two of them."""
    while True:
        opened.seek(start)
        written = opened.readline()
        start = opened.tell()
        if not written.startswith(b"["):
            return
        found: list[Any] = json.loads(written)
        yield int(found[0]), [str(cell) for cell in found[1:]]


_BROKEN: Final = Both(
    "不是可读的 xlsx 表格，或设有打开密码；请用表格软件打开后另存为 xlsx 或 CSV UTF-8 再导入。",
    "It is no readable xlsx spreadsheet, or it has a password; open it, save it as xlsx or CSV UTF-8 and import that.",
)
_TOO_MUCH: Final = Both(
    "表格过大，读取超出限度；请删除空白区域之外的多余内容，或另存为 CSV UTF-8 分批导入。",
    "The spreadsheet is too large to be read within bounds; remove stray cells, or save it as CSV UTF-8 in parts.",
)
_EMPTY: Final = Both("文件中没有内容。", "The file is empty.")
_NO_TABLE: Final = Both(
    "没有一张工作表的表头可以识别；表头应在第一行。",
    "No sheet has a heading that is known; it should be the first line.",
)
_OTHER_SHEET: Final = Both("该工作表的表头不认识，未使用。", "The heading of this sheet is not known; it was not used.")

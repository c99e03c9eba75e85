"""Import of cases, actions, officers, recorders and the recorder ledger from CSV, xlsx and JSON files: bytes to values.

Nothing is half-imported: with one error anywhere the answer holds no value at all, only what is wrong and where.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.cases import csv_file, json_file, spreadsheet_file
from ingestd.cases.build import Surroundings, build
from ingestd.cases.columns import Source
from ingestd.cases.rows import NO_CELL, Findings, Sheet
from ingestd.catalogue import Catalogue, Catalogues
from ingestd.model import Import, Officer, RowFinding
from ingestd.rules.wording import Both

__all__ = ["MAX_FILE_BYTES", "Source", "parse"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Bound of one file: some 400,000 rows; larger exports come in parts."""
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


def parse(  # noqa: PLR0913  # what a file is read against
    data: bytes,
    name: str,
    catalogue: Catalogue | Catalogues,
    *,
    zone: ZoneInfo = SHANGHAI,
    known_officers: Sequence[Officer] = (),
    source: Source = Source(),  # noqa: B008  # frozen
    progress: Callable[[int], None] = lambda _rows: None,
) -> Import:
    """What the file called ``name`` says, or everything that is wrong with it. Never raises for what the file holds.

    ``zone`` is that of times written without one; ``known_officers`` are already in the index; ``source`` says how
    headings are to be understood; of several catalogues, an act has that of its day. ``progress`` is told
    how many rows have been read, now and then.
    """
    findings = Findings()
    if not _is_text(name):
        findings.error(0, NO_CELL, _FILE_NAME)
    sheets = _sheets(data, name, source, findings)
    catalogues = Catalogues.of(catalogue) if isinstance(catalogue, Catalogue) else catalogue
    read = build(sheets, Surroundings(catalogues, zone, known_officers, progress), findings)
    if not read.rows and not findings.errors:
        findings.error(0, NO_CELL, Both("文件中没有数据行。", "The file has no rows."))
    warnings = tuple(findings.warnings)
    if findings.errors:
        return Import(errors=_in_order(findings.errors), warnings=warnings, rows=read.rows)
    return replace(read, warnings=warnings)


def _in_order(errors: Sequence[RowFinding]) -> tuple[RowFinding, ...]:
    """By line, sheet after sheet in the order in which they first came up."""
    sheets = list(dict.fromkeys(finding.sheet for finding in errors))
    return tuple(sorted(errors, key=lambda finding: (sheets.index(finding.sheet), finding.line)))


def _sheets(data: bytes, name: str, source: Source, findings: Findings) -> list[Sheet]:
    if len(data) > MAX_FILE_BYTES:
        findings.error(0, NO_CELL, _TOO_LARGE)
        return []
    if data.startswith(spreadsheet_file.MAGIC):
        return spreadsheet_file.read(data, source, findings)
    if data.startswith(_OLD_SPREADSHEET):
        findings.error(0, NO_CELL, _OLD)
        return []
    text = _decoded(data)
    if text is None:
        findings.error(0, NO_CELL, _ENCODING)
        return []
    is_json = name.casefold().endswith(".json") or text[:1000].lstrip().startswith(("{", "["))
    return json_file.read(text, source, findings) if is_json else csv_file.read(text, source, findings)


def _decoded(data: bytes) -> str | None:
    """The text in the first encoding that fits, or None. Nearly any bytes are GB 18030, so it comes last."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _is_text(name: str) -> bool:
    """Whether a file's name is text at all; what is not cannot be signed for."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


_FILE_NAME: Final = Both(
    "文件名不是有效的 UTF-8，请改名后再导入。", "The name of the file is not UTF-8; rename it and import it again."
)
_TOO_LARGE: Final = Both(
    f"文件过大，最多 {MAX_FILE_BYTES // 1024**2} MiB，请分批导入。",
    f"The file is too large; at most {MAX_FILE_BYTES // 1024**2} MiB, import it in parts.",
)
_OLD_SPREADSHEET: Final = b"\xd0\xcf\x11\xe0"
"""An OLE file: xls, or an xlsx with a password."""
_OLD: Final = Both(
    "这是旧格式（xls）或设有密码的表格，请另存为不设密码的 xlsx 或 CSV UTF-8 后导入。",
    "This is an old spreadsheet (xls) or one with a password; save it as xlsx without one, or as CSV UTF-8.",
)
_ENCODING: Final = Both("文件编码应为 UTF-8 或 GB18030。", "The file should be encoded in UTF-8 or GB 18030.")

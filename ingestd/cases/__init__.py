"""Import of cases, actions, officers, recorders and the recorder ledger from CSV and JSON files. Pure: bytes to values.

Nothing is half-imported: with one error anywhere the answer holds no value at all, only what is wrong and where.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.cases import csv_file, json_file
from ingestd.cases.build import Surroundings, build
from ingestd.cases.rows import NO_CELL, Findings, Row
from ingestd.catalogue import Catalogue
from ingestd.model import Import, Officer
from ingestd.rules.wording import Both

__all__ = ["MAX_FILE_BYTES", "parse"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Bound of one file: some 400,000 rows; larger exports come in parts."""
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


def parse(
    data: bytes,
    name: str,
    catalogue: Catalogue,
    *,
    zone: ZoneInfo = SHANGHAI,
    known_officers: Sequence[Officer] = (),
) -> Import:
    """What the file called ``name`` says, or everything that is wrong with it. Never raises for what the file holds.

    ``zone`` is that of times written without one; ``known_officers`` are already in the index.
    """
    findings = Findings()
    if not _is_text(name):
        findings.error(0, NO_CELL, _FILE_NAME)
    rows = _rows(data, name, findings)
    if not rows and not findings.errors:
        findings.error(0, NO_CELL, Both("文件中没有数据行。", "The file has no rows."))
    read = build(rows, Surroundings(catalogue, zone, known_officers), findings)
    warnings = tuple(findings.warnings)
    if findings.errors:
        errors = sorted(findings.errors, key=lambda finding: finding.line)
        return Import(errors=tuple(errors), warnings=warnings, rows=read.rows)
    return replace(read, warnings=warnings)


def _rows(data: bytes, name: str, findings: Findings) -> list[Row]:
    if len(data) > MAX_FILE_BYTES:
        findings.error(0, NO_CELL, _TOO_LARGE)
        return []
    if data.startswith(b"PK\x03\x04"):
        findings.error(0, NO_CELL, _SPREADSHEET)
        return []
    text = _decoded(data)
    if text is None:
        findings.error(0, NO_CELL, _ENCODING)
        return []
    is_json = name.casefold().endswith(".json") or text.lstrip().startswith(("{", "["))
    return json_file.read(text, findings) if is_json else csv_file.read(text, findings)


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
_SPREADSHEET: Final = Both(
    "这是表格文件（xlsx），请另存为 CSV UTF-8 后导入。",
    "This is a spreadsheet (xlsx); save it as CSV UTF-8 and import that.",
)
_ENCODING: Final = Both("文件编码应为 UTF-8 或 GB18030。", "The file should be encoded in UTF-8 or GB 18030.")

"""What an import came to, as sentences for people: on the command line and in the report beside an imported file."""

from collections.abc import Iterator, Mapping

from ingestd.model import IMPORTED, Import, RowFinding


def counts(imported: Import) -> dict[str, int]:
    """How many rows of each kind."""
    return {kind: len(getattr(imported, kind)) for kind in IMPORTED}


def sentence(file: object, finding: RowFinding) -> str:
    """``FILE:SHEET:LINE: COLUMN=VALUE: reason``, as far as each is known."""
    sheet = f":{finding.sheet}" if finding.sheet else ""
    place = f"{file}{sheet}:{finding.line}" if finding.line else f"{file}{sheet}"
    cell = f" {finding.column}={finding.value!r}:" if finding.column else ""
    return f"{place}:{cell} {finding.reason}"


def summary(changed: Mapping[str, int], *, dry_run: bool = False) -> str:
    """One line: what was imported, or would be."""
    what = ", ".join(f"{count} {kind}" for kind, count in changed.items() if count) or "nothing new 无变化"
    return f"{'would import 将导入' if dry_run else 'imported 已导入'}: {what}"


def refusal(file: object, imported: Import) -> str:
    """One line: that nothing was imported."""
    return f"{file}: {len(imported.errors)} wrong, nothing imported 有误，未导入任何内容"


def report(file: str, imported: Import, changes: Import) -> Iterator[str]:
    """Everything there is to say about one file, line by line."""
    yield refusal(file, imported) if imported.errors else summary(counts(changes))
    yield f"{imported.rows} rows read 行已读取"
    yield from (sentence(file, finding) for finding in imported.errors)
    yield from (f"warning 提示: {sentence(file, finding)}" for finding in imported.warnings)

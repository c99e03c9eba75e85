"""``ingestd cases import``."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from ingestd import service
from ingestd.cases.said import counts, refusal, sentence, summary
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.errors import ImportFileError, RefusedError
from ingestd.model import Import
from ingestd.progress import Meter, line
from ingestd.stats.sheet import as_text

_MAX_SHOWN: Final = 100
"""Most findings told on standard error; a file with one mistake in each of its rows is one mistake."""
_HEADING: Final = (
    "类别 kind",
    "工作表 sheet",
    "行 line",
    "列 column",
    "原值 value",
    "原因",
    "reason",
)


def import_cases(  # noqa: PLR0913  # options of one command
    file: Path,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    source: Annotated[str, typer.Option("--source", help="Whose headings it has: [imports.NAME] 来源.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,  # noqa: FBT002  # typer's form of a switch
    findings: Annotated[
        Path | None, typer.Option("--findings", help="New CSV file for everything that was found 全部问题写入此新文件.")
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Import cases, actions, officers, recorders and assignments from CSV, xlsx or JSON; all of it or nothing."""
    loaded = load_config(config, data_dir)
    headings = loaded.imports.source(source)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{file}: cannot be read: {error.strerror}") from error
    with _new_file(findings) as out:
        imported, changes = service.build(loaded).pipeline.import_cases(
            data, file.name, dry_run=dry_run, source=headings, progress=Meter(sys.stderr, line)
        )
        if out is not None:
            csv.writer(out).writerows(_finding_rows(imported))
    _complain(file, imported)
    facts = _import_facts(imported, changes, dry_run=dry_run)
    show(facts, as_json, lambda: [] if imported.errors else [summary(facts["changed"], dry_run=dry_run)])
    if imported.errors:
        raise ImportFileError(refusal(file, imported))


@contextmanager
def _new_file(path: Path | None) -> Iterator[TextIO | None]:
    """The file for the findings, there before anything is imported; it never takes the place of another."""
    if path is None:
        yield None
        return
    try:
        out = path.open("x", encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise RefusedError(f"--findings {path}: a file that is not there yet is wanted: {error.strerror}") from error
    with out:
        yield out


def _finding_rows(imported: Import) -> Iterator[list[Any]]:
    """Everything that was found, errors first; the heading alone says that nothing was."""
    yield list(_HEADING)
    for kind, found in (("错误 error", imported.errors), ("提示 warning", imported.warnings)):
        for one in found:
            texts = (as_text(text) for text in (one.column, one.value, one.reason_zh, one.reason_en))
            yield [kind, as_text(one.sheet), one.line, *texts]


def _complain(file: Path, imported: Import) -> None:
    """Tell the first findings, errors before warnings, and how many more there are."""
    found = (*imported.errors, *imported.warnings)
    for finding in found[:_MAX_SHOWN]:
        print(printable(sentence(file, finding)), file=sys.stderr)  # noqa: T201  # complaints go to standard error
    if (more := len(found) - _MAX_SHOWN) > 0:
        print(f"{more} more 另有, all of them with --findings FILE 可全部写出", file=sys.stderr)  # noqa: T201  # the same


def _import_facts(imported: Import, changes: Import, *, dry_run: bool) -> dict[str, Any]:
    return {
        "ok": not imported.errors,
        "dry_run": dry_run,
        "rows": imported.rows,
        "read": counts(imported),
        "changed": counts(changes),
        "errors": [asdict(finding) for finding in imported.errors],
        "warnings": [asdict(finding) for finding in imported.warnings],
    }

"""``ingestd cases import``."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ingestd import service
from ingestd.cases.said import counts, refusal, sentence, summary
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.errors import ImportFileError
from ingestd.model import Import

_PROGRESS_ROWS: Final = 10_000


def import_cases(  # noqa: PLR0913  # options of one command
    file: Path,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    source: Annotated[str, typer.Option("--source", help="Whose headings it has: [imports.NAME] 来源.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Import cases, actions, officers, recorders and assignments from CSV, xlsx or JSON; all of it or nothing."""
    loaded = load_config(config, data_dir)
    headings = loaded.imports.source(source)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{file}: cannot be read: {error.strerror}") from error
    imported, changes = service.build(loaded).pipeline.import_cases(
        data, file.name, dry_run=dry_run, source=headings, progress=_say_progress
    )
    for finding in (*imported.errors, *imported.warnings):
        print(printable(sentence(file, finding)), file=sys.stderr)  # noqa: T201  # complaints go to standard error
    facts = _import_facts(imported, changes, dry_run=dry_run)
    show(facts, as_json, lambda: [] if imported.errors else [summary(facts["changed"], dry_run=dry_run)])
    if imported.errors:
        raise ImportFileError(refusal(file, imported))


def _say_progress(rows: int) -> None:
    if rows % _PROGRESS_ROWS == 0:
        print(f"{rows} rows read 行已读取", file=sys.stderr)  # noqa: T201  # progress goes to standard error


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

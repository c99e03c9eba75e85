"""Command line of the centre: the one place where errors become exit codes.

Facts go to standard output (``--json``: one JSON object), progress and complaints to standard error.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer

from ingestd import calendar_commands, people_commands, service
from ingestd.anchors import setup as anchors
from ingestd.anchors.commands import anchors_app, witness
from ingestd.audit import (
    chain_commands,
    export_commands,
    prove_commands,
    rebuild_commands,
    report_commands,
    verify_commands,
)
from ingestd.cases.said import counts, refusal, sentence, summary
from ingestd.console import ConfigOption, DataOption, JsonOption, printable
from ingestd.console import load_config as _load
from ingestd.console import show as _print
from ingestd.enrolment.commands import keys_app
from ingestd.errors import CentreError, ImportFileError
from ingestd.index.queries import ClipFilter, ClipRow, FlagRow, Page
from ingestd.model import Import

_PAGE: Final = 500
_PROGRESS_ROWS: Final = 10_000

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="执法记录中心 ingestd"
)
cases_app = typer.Typer(no_args_is_help=True, help="Cases, actions, officers, recorders, assignments.")
clips_app = typer.Typer(no_args_is_help=True, help="Clips (片段).")
flags_app = typer.Typer(no_args_is_help=True, help="Flags (疑点).")
audit_app = typer.Typer(no_args_is_help=True, help="What an auditor runs.")
config_app = typer.Typer(no_args_is_help=True, help="Configuration.")
for name, group in (
    ("cases", cases_app),
    ("clips", clips_app),
    ("flags", flags_app),
    ("audit", audit_app),
    ("config", config_app),
    ("anchors", anchors_app),
    ("keys", keys_app),
):
    app.add_typer(group, name=name)
app.command("witness")(witness)
for commands in (
    verify_commands,
    prove_commands,
    chain_commands,
    report_commands,
    export_commands,
    rebuild_commands,
):
    commands.add_to(audit_app)
people_commands.add_to(app, flags_app)
calendar_commands.add_to(app)


def main() -> None:
    """Console script. Every error of ours is one line on standard error and an exit code of its class."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        app()
    except CentreError as error:
        print(printable(f"ingestd: {error}"), file=sys.stderr)  # noqa: T201  # the command line speaks on standard error
        sys.exit(error.exit_code)


@app.command()
def run(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Serve: receive, verify, index, link, flag, show; ends in order on SIGTERM or Ctrl-C."""
    from ingestd import serve  # noqa: PLC0415  # no other command needs a web server

    serve.run(_load(config, data_dir), serve.stop_on_signals())


@app.command()
def init(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin a new log beside what an old one left.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make the centre's keys where there are none, print the vkeys that stations need, and begin the database."""
    loaded = _load(config, data_dir)
    vkeys = service.make_keys(loaded)
    _print({"vkeys": vkeys}, as_json, lambda: [f"{name}\t{vkey}" for name, vkey in vkeys.items()])
    service.begin(loaded, anew=anew)


@config_app.command("check")
def check_config(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """Read the configuration and say what is wrong with it."""
    loaded = _load(config, data_dir)
    service.load_catalogue(loaded)
    anchors.check(loaded)
    runs = service.settings(loaded, service.load_catalogue(loaded)).running
    facts = {
        "ok": True,
        "stations": [station.id for station in loaded.stations],
        "log": loaded.origin,
        "sha256": runs.sha256 if runs else "",
    }
    _print(
        facts, as_json, lambda: [f"OK: {loaded.origin}, {len(loaded.stations)} stations, settings {facts['sha256']}"]
    )


@cases_app.command("import")
def import_cases(  # noqa: PLR0913  # options of one command
    file: Path,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    source: Annotated[str, typer.Option("--source", help="Whose headings it has: [imports.NAME] 来源.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Import cases, actions, officers, recorders and assignments from CSV, xlsx or JSON; all of it or nothing."""
    loaded = _load(config, data_dir)
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
    _print(facts, as_json, lambda: [] if imported.errors else [summary(facts["changed"], dry_run=dry_run)])
    if imported.errors:
        raise ImportFileError(refusal(file, imported))


def _say_progress(rows: int) -> None:
    if rows % _PROGRESS_ROWS == 0:
        print(f"{rows} rows read 行已读取", file=sys.stderr)  # noqa: T201  # progress goes to standard error


@clips_app.command("list")
def list_clips(  # noqa: PLR0913  # options of one command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    unlinked: Annotated[bool, typer.Option("--unlinked", help="Only clips that belong to no action.")] = False,  # noqa: FBT002  # typer's form of a switch
    linked: Annotated[bool, typer.Option("--linked", help="Only clips that belong to an action.")] = False,  # noqa: FBT002  # typer's form of a switch
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Only clips in quarantine.")] = False,  # noqa: FBT002  # typer's form of a switch
    officer: Annotated[str, typer.Option("--officer", help="Certificate number.")] = "",
    case: Annotated[str, typer.Option("--case", help="Case number.")] = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List clips, newest docking first."""
    if linked and unlinked:
        raise typer.BadParameter("--linked and --unlinked exclude each other")
    wanted = ClipFilter(
        linked=True if linked else False if unlinked else None,
        status="quarantined" if quarantined else "",
        officer=officer,
        case=case,
    )
    queries = service.index(_load(config, data_dir)).queries
    rows = _all(lambda after: queries.clips(wanted, after, _PAGE))
    facts = {"clips": [asdict(row) for row in rows], "count": len(rows)}
    columns = ("object_id", "recorder", "path", "kind", "status", "reason", "officer", "verdict", "links")
    _print(facts, as_json, lambda: _table(columns, rows))


@flags_app.command("list")
def list_flags(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    every: Annotated[bool, typer.Option("--all", help="Cleared flags as well.")] = False,  # noqa: FBT002  # typer's form of a switch
    rule: Annotated[str, typer.Option("--rule", help="Only flags of this rule.")] = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List flags, newest first."""
    queries = service.index(_load(config, data_dir)).queries
    rows = _all(lambda after: queries.flags("" if every else "open", rule, "", after, _PAGE))
    facts = {"flags": [{**asdict(row), "action": row.action_id} for row in rows], "count": len(rows)}
    _print(facts, as_json, lambda: _table(("rule", "state", "case", "action_id", "detail"), rows))


def _all(page: Callable[[str | None], Page[Any]]) -> list[Any]:
    rows: list[Any] = []
    after: str | None = None
    while True:
        part = page(after)
        rows.extend(part.rows)
        after = part.next
        if after is None:
            return rows


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


def _table(columns: Sequence[str], rows: Sequence[ClipRow | FlagRow]) -> list[str]:
    """Tab-separated, to be cut and searched; no name from a recorder reaches the terminal as control characters."""
    lines = ["\t".join(_cell(getattr(row, column)) for column in columns) for row in rows]
    return ["\t".join(columns), *lines]


def _cell(value: object) -> str:
    return "" if value is None else printable(str(value)).replace("\t", "\ufffd")


if __name__ == "__main__":
    main()

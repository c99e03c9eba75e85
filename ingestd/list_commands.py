"""``ingestd clips list`` and ``ingestd flags list``."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer

from ingestd import service
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable
from ingestd.errors import RefusedError
from ingestd.flag_life import LISTED
from ingestd.index.queries import ClipFilter, ClipRow, FlagRow

Row = TypeVar("Row", ClipRow, FlagRow)


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
    queries = service.index(load_config(config, data_dir)).queries
    columns = ("object_id", "recorder", "path", "kind", "status", "reason", "officer", "verdict", "links")
    _show("clips", columns, queries.every_clip(wanted), asdict, as_json)


def list_flags(  # noqa: PLR0913  # options of one command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    every: Annotated[bool, typer.Option("--all", help="As --state all.")] = False,  # noqa: FBT002  # typer's form of a switch
    state: Annotated[str, typer.Option("--state", help=f"One of: {', '.join(LISTED)}.")] = "open",
    rule: Annotated[str, typer.Option("--rule", help="Only flags of this rule.")] = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List flags, newest first."""
    queries = service.index(load_config(config, data_dir)).queries
    if state not in LISTED:
        raise RefusedError(f"--state {state}: one of {', '.join(LISTED)} is allowed")
    rows = queries.every_flag("" if every or state == "all" else state, rule)
    columns = ("rule", "status", "case", "action_id", "detail")
    _show("flags", columns, rows, lambda row: {**asdict(row), "action": row.action_id}, as_json)


def _show(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Row],
    facts: Callable[[Row], dict[str, Any]],
    as_json: bool,  # noqa: FBT001  # typer's form of a switch
) -> None:
    """Each row as it comes: a list of ten million takes no more memory than one of ten."""
    pieces = _json(name, rows, facts) if as_json else _table(columns, rows)
    for piece in pieces:
        print(piece, end="" if as_json else "\n")  # noqa: T201  # facts go to standard output


def _json(name: str, rows: Iterable[Row], facts: Callable[[Row], dict[str, Any]]) -> Iterator[str]:
    """One JSON object in pieces; where reading fails midway it is never closed, so that nobody takes it for all."""
    count = 0
    yield f'{{"{name}": ['
    for count, row in enumerate(rows, 1):
        yield (", " if count > 1 else "") + json.dumps(facts(row), ensure_ascii=False, default=dict)
    yield f'], "count": {count}}}\n'


def _table(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Tab-separated, to be cut and searched; no name from a recorder reaches the terminal as control characters."""
    yield "\t".join(columns)
    for row in rows:
        yield "\t".join(_cell(getattr(row, column)) for column in columns)


def _cell(value: object) -> str:
    return "" if value is None else printable(str(value)).replace("\t", "\ufffd")

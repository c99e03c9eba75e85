"""``ingestd clips list`` and ``ingestd flags list``."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Final

import typer

from ingestd import service
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.errors import RefusedError
from ingestd.flag_life import LISTED
from ingestd.index.queries import ClipFilter, ClipRow, FlagRow

_EVERY: Final = 10**9
"""Rows of a list: all in one read, so that what changes meanwhile is neither left out nor listed twice."""


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
    rows = queries.clips(wanted, limit=_EVERY).rows
    facts = {"clips": [asdict(row) for row in rows], "count": len(rows)}
    columns = ("object_id", "recorder", "path", "kind", "status", "reason", "officer", "verdict", "links")
    show(facts, as_json, lambda: _table(columns, rows))


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
    rows = queries.flags("" if every or state == "all" else state, rule, limit=_EVERY).rows
    facts = {"flags": [{**asdict(row), "action": row.action_id} for row in rows], "count": len(rows)}
    show(facts, as_json, lambda: _table(("rule", "status", "case", "action_id", "detail"), rows))


def _table(columns: Sequence[str], rows: Sequence[ClipRow | FlagRow]) -> list[str]:
    """Tab-separated, to be cut and searched; no name from a recorder reaches the terminal as control characters."""
    lines = ["\t".join(_cell(getattr(row, column)) for column in columns) for row in rows]
    return ["\t".join(columns), *lines]


def _cell(value: object) -> str:
    return "" if value is None else printable(str(value)).replace("\t", "\ufffd")

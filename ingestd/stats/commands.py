"""``ingestd stats``."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ingestd import service
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, moment_of, show
from ingestd.errors import RefusedError
from ingestd.premises import SystemClock
from ingestd.stats.make import make
from ingestd.stats.report import BY, COLUMNS, Line, Report
from ingestd.stats.sheet import as_csv, write_xlsx


def stats(  # noqa: PLR0913  # options of one command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    by: Annotated[str, typer.Option("--by", help=f"One of: {', '.join(BY)}.")] = "unit",
    from_day: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")] = "",
    to_day: Annotated[str, typer.Option("--to", help="Last day, included.")] = "",
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the figures to this file as CSV.")] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="Write them to this file as a workbook.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Count what must be on video and is, unlinked clips and their age, lateness, recorders (统计分析)."""
    if by not in BY:
        raise RefusedError(f"--by {by}: one of {', '.join(BY)} is allowed")
    loaded = load_config(config, data_dir)
    span = _moment(loaded, "--from", from_day), _moment(loaded, "--to", to_day, days=1)
    for path in filter(None, (csv, xlsx)):
        if path.exists():
            raise RefusedError(f"{path} is there already; name a file that is not")
    centre = service.index(loaded)
    try:
        report = make(centre.queries, by, span, SystemClock().now_ms(), service.policy(loaded, centre.catalogue))
    finally:
        centre.engine.dispose()
    if csv:
        csv.write_bytes(as_csv(report))
    if xlsx:
        write_xlsx(report, xlsx)
    show(report.as_json(), as_json, lambda: _lines(report))


def _moment(config: Config, option: str, day: str, days: int = 0) -> int | None:
    if not day:
        return None
    try:
        asked = date.fromisoformat(day) + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise RefusedError(f"{option} {day}: a day such as 2026-11-22 is allowed") from error
    return moment_of(option, asked.isoformat(), config.zone)


def _lines(report: Report) -> list[str]:
    head = "\t".join((report.by, *(f"{words.zh} {words.en}" for words in COLUMNS.values())))
    return [head, *(_line(one, report.made_ms) for one in (*report.lines, report.total))]


def _line(line: Line, now_ms: int) -> str:
    return "\t".join((line.label.zh, *("" if value is None else str(value) for value in line.figures(now_ms).values())))

"""``ingestd audit rebuild``: the database beside the logs, and the database back from the logs."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy import make_url

from ingestd import premises, service
from ingestd.audit.rebuild import Comparison, FrozenFiles, Origins, check, write
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.errors import DatabaseError
from ingestd.index.compare import DIFFERS, Difference, tables
from ingestd.index.database import connect, open_engine
from ingestd.pipeline import Places

_EVERY_S: Final = 1.0


def rebuild(  # noqa: PLR0913  # options of one command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    checking: Annotated[bool, typer.Option("--check", help="Compare each row with the logs 逐行核对.")] = False,  # noqa: FBT002  # typer's form of a switch
    writing: Annotated[bool, typer.Option("--write", help="Have a lost database back 恢复丢失的数据库.")] = False,  # noqa: FBT002  # typer's form of a switch
    replace: Annotated[bool, typer.Option("--replace", help="Keep a copy of what is there, and make it anew.")] = False,  # noqa: FBT002  # typer's form of a switch
    table: Annotated[str, typer.Option("--table", help="Compare this table alone.")] = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make the database again from logs, mirrors and imports: to compare it (exit 0, 1, 2), or to write it."""
    if checking is writing:
        raise typer.BadParameter("give --check or --write, one of them")
    if (replace and checking) or (table and writing):
        raise typer.BadParameter("--replace belongs to --write, --table to --check")
    if table and table not in {one.name for one in tables()}:
        raise typer.BadParameter(f"--table: one of {', '.join(one.name for one in tables())}")
    loaded = load_config(config, data_dir)
    if writing:
        _write(loaded, as_json, replace=replace)
        return
    report = _check(loaded, table)
    show(report.as_json(), as_json, lambda: _lines(report))
    raise typer.Exit(int(report.outcome))


def _check(config: Config, table: str) -> Comparison:
    url = make_url(config.database.url)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
        raise DatabaseError(f"database {url.database}: there is none; `ingestd audit rebuild --write` makes it again")
    engine = connect(config.database.url)
    try:
        return check(_origins(config), engine, config.paths.data, table, _Progress())
    finally:
        engine.dispose()


def _write(config: Config, as_json: bool, *, replace: bool) -> None:  # noqa: FBT001  # typer's form of a switch
    engine = open_engine(config.database.url)
    try:
        kept = write(
            _origins(config),
            engine,
            premises.SystemClock().now_ms(),
            _Progress(),
            config.paths.data if replace else None,
        )
    finally:
        engine.dispose()
    centre = service.build(config)
    try:
        centre.pipeline.start()
        entries = centre.queries.summary().log.size
    finally:
        centre.engine.dispose()
    lines = [f"made again from {entries} entries 已由日志恢复", *([f"old one kept 原库保留: {kept}"] if kept else [])]
    show({"ok": True, "entries": entries, "kept": kept}, as_json, lambda: lines)


def _origins(config: Config) -> Origins:
    """Logs to read; nothing is written to them."""
    settings = service.settings(config, service.load_catalogue(config))
    return Origins(service.logbooks(config, FrozenFiles), Places.under(config.paths.data), settings)


class _Progress:
    """A line on standard error each second, with the rate and the time left."""

    def __init__(self) -> None:
        self._what, self._since, self._said = "", 0.0, 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._since, self._said = what, now, 0.0
        if now - self._said < _EVERY_S and done != of:
            return
        self._said = now
        rate = done / max(now - self._since, 0.001)
        left = f", {(of - done) / rate:.0f} s left" if rate and done < of else ""
        print(f"{what}: {done}/{of}, {rate:.0f}/s{left}", file=sys.stderr)  # noqa: T201  # progress


def _lines(report: Comparison) -> list[str]:
    lines = [f"{counts.right:>8} of {counts.rows} as the logs say  {name}" for name, counts in report.tables.items()]
    return [*lines, *report.reasons, *map(_line, report.differences)]


def _line(one: Difference) -> str:
    key = " ".join(f"{name}={value!r}" for name, value in one.key.items())
    what = f" {one.column}: by the log {one.by_log!r}, in the row {one.in_row!r}" if one.kind == DIFFERS else ""
    entry = f" (entry {one.entry})" if one.entry else ""
    return f"projection-mismatch {one.table} {key} {one.kind}{what}{entry}"

"""What every command of the centre shares: its common options, reading the configuration, saying facts."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from ingestd import config as configuration
from ingestd.config import Config
from ingestd.errors import ConfigError, RefusedError

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Configuration file.")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder that holds ingestd.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def load_config(config: Path | None, data_dir: Path | None) -> Config:
    """The configuration that the options name. Raises ``ConfigError``."""
    if config is not None and data_dir is not None:
        raise ConfigError("give --config or --data-dir, not both")
    path = config or (data_dir or Path()) / configuration.FILE_NAME
    return configuration.load(path)


def show(facts: dict[str, Any], as_json: bool, lines: Callable[[], Sequence[str]]) -> None:  # noqa: FBT001  # typer's form of a switch
    """Facts go to standard output: one JSON object, or lines for people."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, default=dict))  # noqa: T201  # facts go to standard output
        return
    for line in lines():
        print(printable(line))  # noqa: T201  # facts go to standard output


def moment_of(option: str, text: str, zone: ZoneInfo) -> int:
    """A day or a moment of the command line in ms, by ``zone`` where it states no offset. Raises ``RefusedError``."""
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise RefusedError(
            f"{option} {text}: a day such as 2026-11-22 or a time such as 2026-11-22T08:00 is allowed"
        ) from error


def printable(line: str) -> str:
    """One line that stays one: no name from a recorder moves the cursor, turns the text round or adds a line."""
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line)

"""``ingestd calendar show YEAR``: the days of a year that are not as the week has them, and who says so."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from ingestd import calendar_cn
from ingestd.calendar_cn import Calendar, Day
from ingestd.config import FILE_NAME
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show

NOTHING_KNOWN: Final = 2
"""Exit code for a year whose notice is not known: nothing could be checked against anything."""


def show_year(
    year: Annotated[int, typer.Argument(min=2000, max=2200, help="The year.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List weekdays that are not worked and weekend days that are; exit 2 for a year without a published notice.

    Without a configuration, the notices that the program brings along are all there is.
    """
    calendar = _calendar(config, data_dir)
    published = calendar.is_published(year)
    days = [_facts(day) for day in calendar.year(year)]
    facts = {"year": year, "published": published, "provisional": not published, "days": days}
    show(facts, as_json, lambda: ["\t".join(str(value) for value in day.values()) for day in days])
    if not published:
        told = (
            f"ingestd: {year}: 日历未发布，各日均为暂定；通知发布后写入 {year}.toml"
            f" no notice is known, all other days are provisional; once it is published, write it into {year}.toml"
        )
        print(printable(told), file=sys.stderr)  # noqa: T201  # complaints go to standard error
        raise typer.Exit(NOTHING_KNOWN)


def _calendar(config: Path | None, data_dir: Path | None) -> Calendar:
    if config is None and data_dir is None and not Path(FILE_NAME).exists():
        return Calendar()
    return calendar_cn.load(load_config(config, data_dir).calendar.folder)


def _facts(day: Day) -> dict[str, str]:
    return {
        "day": day.day.isoformat(),
        "is": "working" if day.working else "off",
        "festival": day.festival,
        "source": day.source.value,
    }

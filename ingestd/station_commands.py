"""``ingestd stations list``."""

import json
from dataclasses import asdict
from typing import Any

from ingestd import service
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config
from ingestd.stations import StationRow


def list_stations(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List enrolled stations: what is held of each, and what each last claimed of its health, which is no evidence."""
    stations = service.index(load_config(config, data_dir)).stations()
    if as_json:
        told = {"stations": [described(one) for one in stations], "count": len(stations)}
        print(json.dumps(told, ensure_ascii=False))  # noqa: T201  # facts go to standard output
        return
    columns = ("station", "standing", "heard_ms", "entries", "missing")
    for line in (columns, *([described(one)[name] for name in columns] for one in stations)):
        print("\t".join("" if value is None else str(value) for value in line))  # noqa: T201  # facts go to standard output


def described(one: StationRow) -> dict[str, Any]:
    """All that is known of a station; ``health`` is null where it never said anything."""
    return {**asdict(one), "standing": one.standing.value, "missing": one.missing}

"""``ingestd run``, ``ingestd init`` and ``ingestd config check``."""

from typing import Annotated

import typer

from ingestd import service
from ingestd.anchors import setup as anchors
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show


def run(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Serve: receive, verify, index, link, flag, show; ends in order on SIGTERM or Ctrl-C."""
    from ingestd import serve  # noqa: PLC0415  # no other command needs a web server

    serve.run(load_config(config, data_dir), serve.stop_on_signals())


def init(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    anew: Annotated[bool, typer.Option("--anew", help="Begin a new log beside what an old one left.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make the centre's keys where there are none, print the vkeys that stations need, and begin the database."""
    loaded = load_config(config, data_dir)
    vkeys = service.make_keys(loaded)
    show({"vkeys": vkeys}, as_json, lambda: [f"{name}\t{vkey}" for name, vkey in vkeys.items()])
    service.begin(loaded, anew=anew)


def check_config(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """Read the configuration and say what is wrong with it."""
    loaded = load_config(config, data_dir)
    service.load_catalogue(loaded)
    anchors.check(loaded)
    runs = service.settings(loaded, service.load_catalogue(loaded)).running
    facts = {
        "ok": True,
        "stations": [station.id for station in loaded.stations],
        "log": loaded.origin,
        "sha256": runs.sha256 if runs else "",
    }
    show(facts, as_json, lambda: [f"OK: {loaded.origin}, {len(loaded.stations)} stations, settings {facts['sha256']}"])

"""``ingestd audit prove``."""

from pathlib import Path
from typing import Annotated

import typer

from ingestd import service
from ingestd.audit import verify_bundle
from ingestd.audit.export_house import house_of, order_of
from ingestd.audit.prove import prove
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show


def prove_clip(
    clip: str,
    out: Annotated[Path, typer.Option("--out", help="Folder to make; it must not be there yet.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Write the proof of one clip: its signed entries, their places in the logs, how to check that; exit 0, 1, 2."""
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        centre.pipeline.start()
        centre.pipeline.checkpoint()  # so that the newest entries are under a signed head
        order = order_of(loaded, [clip], "", "", mhl=False, proxies=False)
        done = prove(order, house_of(loaded, centre.pipeline), out.absolute())
    finally:
        centre.engine.dispose()
    facts = {"folder": str(done.folder), "clip": done.clip, **done.report.as_json()}
    show(facts, as_json, lambda: [*verify_bundle.lines(done.report), f"written 已写出: {done.folder}"])
    raise typer.Exit(done.report.exit_code)

"""``ingestd retention show`` and ``ingestd disposals propose``."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ingestd import service
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.people_commands import Clip
from ingestd.retention import WHY, Kept


def show_retention(
    clip: Clip,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Say until when an original is kept at least, why, and whether it may be proposed for disposal (保存期限)."""
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        kept = centre.pipeline.kept(clip)
    finally:
        centre.engine.dispose()
    show(_facts(kept, loaded), as_json, lambda: _lines(kept, loaded))


def propose(
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Most clips to name.")] = 100,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Name originals that may be proposed for disposal, oldest first. Two people decide, each for himself."""
    centre = service.build(load_config(config, data_dir))
    try:
        found = centre.pipeline.proposable(limit)
    finally:
        centre.engine.dispose()
    facts = {"proposable": found, "count": len(found)}
    show(facts, as_json, lambda: found or ["没有可提请销毁的片段 nothing may be proposed"])


def _facts(kept: Kept, config: Config) -> dict[str, Any]:
    until = None if kept.until_ms is None else _day(kept.until_ms, config)
    return {**asdict(kept), "until": until, "why_zh": WHY[kept.why].zh, "why_en": WHY[kept.why].en}


def _lines(kept: Kept, config: Config) -> list[str]:
    words = WHY[kept.why]
    until = "无期限 no day is set" if kept.until_ms is None else f"至少至 at least until {_day(kept.until_ms, config)}"
    told = (
        "可提请销毁 may be proposed for disposal"
        if kept.proposable
        else f"不可提请销毁 not to be proposed: {kept.against}"
    )
    return [f"{kept.object_id}\t{until}\t{words.zh} {words.en}", told]


def _day(at_ms: int, config: Config) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(config.zone):%Y-%m-%d}"

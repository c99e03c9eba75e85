"""A centre on disk with six clips to choose from, and its command line in this process."""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog

from ingestd import cli, service
from ingestd.index.database import open_engine
from ingestd.pipeline import Pipeline
from tests.fakes.bundle import START, BundleWorld, bundle_world
from tests.fakes.centre_station import FakeStation

CASE = "案〔2026〕1号"
DAY_MS = 24 * 3_600_000


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def ingestd(*arguments: object) -> Said:
    """The console script, errors and exit codes included."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["ingestd", *map(str, arguments)]
    with patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        finally:
            structlog.reset_defaults()
    return Said(code, out.getvalue(), err.getvalue())


def audited_world(folder: Path) -> BundleWorld:
    """The clips of ``bundle_world``, recorded on 2026-11-21 in Shanghai by 000001 and linked to ``CASE``; two of the
    next day by 000002 of another unit; one without a time, docked on 2026-11-23; one more of 000001, of no case.
    """
    world = bundle_world(folder, station=FakeStation())
    station = world.station
    for number in (3, 4):
        clip = station.copied(path=f"DCIM/{number}.MP4", officer="000002", recorder="REC2")
        station.described(clip, START + DAY_MS + number * 600_000, officer_as_stated="000002")
        world.clips.append(clip)
    untimed = station.copied(path="DCIM/5.MP4", recorder="REC3")
    station.described(untimed, None)
    stray = station.copied(path="DCIM/6.MP4", officer="000001")
    station.described(stray, START + DAY_MS // 2, officer_as_stated="000001")
    world.clips += [untimed, stray]
    registers = {
        "officers": [
            {"number": "000001", "name": "甲", "unit": "一大队"},
            {"number": "000002", "name": "乙", "unit": "二大队"},
        ],
        "units": [{"name": "支队"}, *({"name": name, "parent": "支队"} for name in ("一大队", "二大队", "器材室"))],
        "recorders": [{"serial": "REC2", "unit": "二大队"}, {"serial": "REC3", "unit": "器材室"}],
        "cases": [{"number": CASE, "title": "查封", "unit": "一大队"}],
        "actions": [
            {
                "id": "A1",
                "case": CASE,
                "type": "seizure",
                "start": "2026-11-21T02:00:00Z",
                "end": "2026-11-21T02:10:00Z",
                "officers": ["000001"],
            }
        ],
    }
    centre = service.build(world.config)
    imported, _ = centre.pipeline.import_cases(json.dumps(registers).encode(), "cases.json")
    assert not imported.errors, imported.errors
    centre.engine.dispose()
    world.deliver()
    signed(world)
    return world


@contextlib.contextmanager
def centre_of(world: BundleWorld) -> Iterator[Pipeline]:
    """The centre at work; at the end it signs its log as it is, as it does once a minute."""
    centre = service.build(world.config)
    try:
        yield centre.pipeline
        centre.pipeline.checkpoint()
    finally:
        centre.engine.dispose()


def signed(world: BundleWorld) -> None:
    """The centre signs its log as it is."""
    with centre_of(world):
        pass


def rows(world: BundleWorld, sql: str) -> list[Any]:
    """A statement on the index, as somebody with the database's password would send it."""
    engine = open_engine(world.config.database.url)
    try:
        with engine.begin() as connection:
            result = connection.exec_driver_sql(sql)
            return list(result) if result.returns_rows else []
    finally:
        engine.dispose()

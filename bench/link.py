"""What linking costs beside the bare look-up, and what coverage and the sweep take (``python -m bench.link``).

* One new clip against every action: ``judge.relink`` (look-ups, decision, comparison with what stands; the write apart)
  beside the one indexed statement that no linker can do without, on the driver itself.
* One new action against every clip: the same the other way round.
* Coverage of one act with 1,000 clips, pure.
* The sweep over open actions: flags are decided, signed, logged, and become rows.

SQLite. The default sizes are smaller than an agency's ten years, so that a run takes a few minutes; ``--clips 10000000
--actions 1000000`` asks for all of it. Rows are written without a log, which only a benchmark may do.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine

from bench.harness import Side, interleave, machine, quietness, ratio_line
from custody.signer import Ed25519Signer
from ingestd.catalogue import load
from ingestd.coverage import cover
from ingestd.index.database import open_engine
from ingestd.index.repository import Repository
from ingestd.judge import relink
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.logfiles import PosixLogFiles
from ingestd.model import Clip, EnforcementAction, Import, Interval, Level, MediaKind
from ingestd.pipeline import Pipeline, Places, Settings
from ingestd.premises import SystemClock
from ingestd.rules import Policy
from tests.fakes.centre_station import AUTHORITY, NOW_MS

HOUR_MS: Final = 3_600_000
YEARS_MS: Final = 3 * 365 * 24 * HOUR_MS
OFFICERS: Final = 5000
ASKED: Final = 300
"""Clips and actions that are linked in one round."""
GOAL_RATIO: Final = 3.0
GOAL_COVERAGE_MS: Final = 5.0
GOAL_SWEEP_S: Final = 30.0
SWEEP_OF_GOAL: Final = 100_000
_BATCH: Final = 20_000
_MEDIA: Final = '{"pad":"' + "x" * 500 + '"}'
"""Makes a row about as wide as a described clip's."""
_CATALOGUE: Final = Path(__file__).resolve().parent.parent / "config" / "catalogue.toml"
_ACTIONS_OF_CLIP: Final = (
    "SELECT action.* FROM action_officer JOIN action USING (action_id)"
    " WHERE officer = ? AND from_ms <= ? AND until_ms >= ?"
)
_CLIPS_OF_ACTION: Final = "SELECT clip.* FROM clip WHERE officer IN (?, ?) AND start_ms BETWEEN ? AND ? AND end_ms >= ?"


def main() -> None:
    """Run and print."""
    options = _options()
    load_before = os.getloadavg()[0]
    print(f"{machine()}; SQLite, {options.actions:,} actions, {options.clips:,} clips, {OFFICERS:,} officers")
    with tempfile.TemporaryDirectory(prefix="bench-link-") as folder:
        engine = open_engine(f"sqlite:///{folder}/index.db")
        begun = time.perf_counter()
        _fill(engine, options.actions, options.clips)
        print(f"filled in {time.perf_counter() - begun:.0f} s, {_size_mib(Path(folder)):,.0f} MiB")
        _link(engine, options, load_before)
        engine.dispose()
    _coverage()
    _sweep(options.open)


def _link(engine: Engine, options: argparse.Namespace, load_before: float) -> None:
    chance = random.Random(7)
    with engine.connect() as connection:
        repository = Repository(connection)
        rows = _rows_of(repository, chance.sample(range(options.clips), min(ASKED, options.clips)))
        acts = repository.actions(_name("A", n) for n in chance.sample(range(options.actions), ASKED))
        sides = [
            Side("one clip, linked", lambda: [relink(repository, [dict(row)]) for row in rows]),
            Side("as many clips in one unit, linked", lambda: relink(repository, [dict(row) for row in rows])),
            Side("one clip, bare look-up", lambda: [_bare_actions(connection, row) for row in rows]),
            Side("one action, its clips found", lambda: [repository.clips_near(act) for act in acts.values()]),
            Side("one action, bare look-up", lambda: [_bare_clips(connection, act) for act in acts.values()]),
        ]
        series = interleave(sides, options.runs)
    for side in series.values():
        print(f"{side.line()}  {side.median_s / ASKED * 1e6:8.0f} µs each")
    clip, together, bare, action, bare_clips = series.values()
    print(ratio_line(clip, bare, GOAL_RATIO))
    print(ratio_line(together, bare, GOAL_RATIO))
    print(ratio_line(action, bare_clips, GOAL_RATIO))
    print(quietness(bare, load_before))


def _coverage() -> None:
    act = _action(0, random.Random(1))
    step_ms = act.interval.length_ms // 1000
    clips = [_clip(n, Interval(start := act.interval.start_ms + n * step_ms, start + step_ms)) for n in range(1000)]
    taken = interleave([Side("coverage of 1,000 clips", lambda: cover(act, clips))])["coverage of 1,000 clips"]
    met = "met" if taken.median_s * 1000 < GOAL_COVERAGE_MS else "NOT met"
    print(f"{taken.name}: {taken.median_s * 1000:.2f} ms  goal < {GOAL_COVERAGE_MS:.0f} ms: {met}")


def _sweep(count: int) -> None:
    """Acts that ended, whose grace has run out, and of which nothing was filmed: the dearest case."""
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as folder:
        engine = open_engine(f"sqlite:///{folder}/index.db")
        pipeline = centre(engine, Path(folder))
        chance = random.Random(3)
        with engine.begin() as connection:
            acts = tuple(_action(n, chance) for n in range(count))
            Repository(connection).put_import(Import(actions=acts))
        begun, looked = time.perf_counter(), 0
        while found := pipeline.sweep():
            looked += found
        seconds = time.perf_counter() - begun
        engine.dispose()
    scaled = seconds * SWEEP_OF_GOAL / max(1, looked)
    met = "met" if scaled < GOAL_SWEEP_S else "NOT met"
    print(
        f"sweep: {looked:,} open actions in {seconds:.1f} s, every one flagged; for {SWEEP_OF_GOAL:,} that is"
        f" {scaled:.0f} s  goal < {GOAL_SWEEP_S:.0f} s: {met}"
    )


def centre(engine: Engine, folder: Path) -> Pipeline:
    """A centre of its own, with no station, over a folder and a database."""
    custody, witness = Ed25519Signer.from_seed(b"c" * 32), Ed25519Signer.from_seed(b"w" * 32)
    books = Logbooks(f"{AUTHORITY}/centre", custody, {}, lambda name: PosixLogFiles(folder / name))
    cosigner = Cosigner(f"{AUTHORITY}/centre-witness", witness)
    settings = Settings(Policy(), load(_CATALOGUE), Policy().zone)
    made = Pipeline(engine, books, cosigner, Places.under(folder), settings, SystemClock())
    made.start()
    return made


def _fill(engine: Engine, actions: int, clips: int) -> None:
    chance = random.Random(1)
    with engine.begin() as connection:
        for part in _parts(_action(n, chance) for n in range(actions)):
            Repository(connection).put_import(Import(actions=tuple(part)))
    with engine.begin() as connection:
        for rows in _parts(_clip_row(n, chance) for n in range(clips)):
            names = list(rows[0])
            marks = ", ".join("?" * len(names))
            statement = f"INSERT INTO clip ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  # our own names
            connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])


def _action(number: int, chance: random.Random) -> EnforcementAction:
    start_ms = NOW_MS - 48 * HOUR_MS - chance.randrange(YEARS_MS)
    return EnforcementAction(
        action_id=_name("A", number),
        case=f"案〔2026〕{number // 3}号",
        type="seizure",
        level=Level.FULL,
        interval=Interval(start_ms, start_ms + HOUR_MS),
        officers=(_officer(chance), _officer(chance)),
    )


def _clip(number: int, span: Interval) -> Clip:
    return Clip(_name("C", number), "station-01", "REC1", MediaKind.VIDEO, span, 500, "000001", "ledger")


def _clip_row(number: int, chance: random.Random) -> dict[str, Any]:
    start_ms = NOW_MS - chance.randrange(YEARS_MS)
    return {
        "object_id": _name("C", number),
        "log": f"{AUTHORITY}/station-01",
        "seq": number,
        "leaf": f"{number:064x}",
        "station": "station-01",
        "recorder": f"REC{number % OFFICERS}",
        "name": f"originals/2026/{number:036}.MP4",
        "size": 1 << 30,
        "sha256": f"{number:064x}",
        "media_type": "video/mp4",
        "path": f"DCIM/{number}.MP4",
        "copied_ms": start_ms + HOUR_MS,
        "officer_camera": "",
        "kind": "video",
        "status": "indexed",
        "reason": "",
        "start_ms": start_ms,
        "end_ms": start_ms + HOUR_MS // 2,
        "uncertainty_ms": 500,
        "officer": _officer(chance),
        "officer_source": "stated",
        "officer_stated": "",
        "case_stated": "",
        "case_key": "",
        "lat_e7": None,
        "lon_e7": None,
        "accuracy_m": 0,
        "problems": "[]",
        "media": _MEDIA,
        "links": 0,
        "suggestions": 0,
        "verdict": "verified",
        "check_ms": 0,
    }


def _rows_of(repository: Repository, numbers: Iterable[int]) -> list[dict[str, Any]]:
    return list(repository.clips(_name("C", number) for number in numbers).values())


def _bare_actions(connection: Connection, row: dict[str, Any]) -> Sequence[Any]:
    asked = (row["officer"], row["end_ms"], row["start_ms"])
    return _driver(connection).execute(_ACTIONS_OF_CLIP, asked).fetchall()  # type: ignore[no-any-return]


def _bare_clips(connection: Connection, act: EnforcementAction) -> Sequence[Any]:
    begin, end = act.interval.start_ms - act.margin_ms, act.interval.end_ms + act.margin_ms
    asked = (act.officers[0], act.officers[-1], begin - 48 * HOUR_MS, end, begin)
    return _driver(connection).execute(_CLIPS_OF_ACTION, asked).fetchall()  # type: ignore[no-any-return]


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _officer(chance: random.Random) -> str:
    return f"{chance.randrange(OFFICERS):06}"


def _name(kind: str, number: int) -> str:
    return f"{kind}{number:08}"


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(values)
    while part := list(islice(iterator, _BATCH)):
        yield part


def _size_mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / (1 << 20)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=500_000)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--open", type=int, default=20_000, help="open actions of the sweep")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()

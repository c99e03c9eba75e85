"""What linking costs beside the bare look-up, and what coverage, sweep and re-linking take (``python -m bench.link``).

* One new clip against every action: ``judge.relink`` (look-up and decision; the write apart) beside the one indexed
  statement that no linker can do without, on the driver itself. A clip known before is also asked for its links and for
  what people parted.
* One new action against every clip: the same the other way round.
* Coverage of one act with 1,000 clips, pure: one picture without a hole, and the dearest, a hole after every clip.
* The sweep over open actions: flags are decided, signed, logged, and become rows; then once more, with nothing new.
* Every clip and every action judged anew (``relinking.differences``), gaps included, beside DuckDB doing the same join
  on the same rows. Needs the extra ``bench``; both must find the same gaps.

SQLite. The default sizes are smaller than an agency's ten years, so that a run takes a few minutes; ``--clips 10000000
--actions 1000000 --open 100000 --relink-clips 1000000 --relink-actions 100000`` asks for all of it. Rows are written
without a log, which only a benchmark may do.
"""

import argparse
import csv
import os
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
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
from ingestd.relinking import Look, Relinked, Wanted, differences, wanted_ids
from ingestd.rules import Policy
from tests.fakes.centre_station import AUTHORITY, NOW_MS

HOUR_MS: Final = 3_600_000
YEARS_MS: Final = 3 * 365 * 24 * HOUR_MS
OFFICERS: Final = 5000
FEW_OFFICERS: Final = 20
"""So few that many clips meet an act, and some meet two at once."""
ASKED: Final = 300
"""Clips and actions that are linked in one round."""
GOAL_RATIO: Final = 3.0
GOAL_COVERAGE_MS: Final = 5.0
GOAL_SWEEP_S: Final = 30.0
GOAL_FULL_RATIO: Final = 2.0
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
_SHARED: Final = {
    "clip": "SELECT object_id, officer, start_ms, end_ms FROM clip",
    "act": "SELECT action_id, start_ms, end_ms, tolerated_gap_ms FROM action",
    "part": "SELECT DISTINCT officer, action_id FROM action_officer",
}
"""What DuckDB gets to see, by the name of its table."""
_SHARED_TYPES: Final = {"clip": {"officer": "VARCHAR"}, "act": {"action_id": "VARCHAR"}, "part": {"officer": "VARCHAR"}}
"""Numbers of officers begin with zeros, which a reader of CSV would drop."""
_SAME_JOIN: Final = """
WITH pair AS (
  SELECT DISTINCT clip.object_id, act.action_id, act.start_ms, act.end_ms, act.tolerated_gap_ms,
         greatest(clip.start_ms, act.start_ms) AS shown_ms, least(clip.end_ms, act.end_ms) AS until_ms
  FROM part JOIN act USING (action_id)
  JOIN clip ON clip.officer = part.officer AND clip.start_ms < act.end_ms AND clip.end_ms > act.start_ms
), linked AS (
  SELECT * FROM pair WHERE NOT EXISTS (
    SELECT 1 FROM pair AS other WHERE other.object_id = pair.object_id AND other.action_id <> pair.action_id
    AND other.start_ms < pair.end_ms AND other.end_ms > pair.start_ms)
), reached AS (
  SELECT *, coalesce(max(until_ms) OVER (
    PARTITION BY action_id ORDER BY shown_ms, object_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ), start_ms) AS from_ms FROM linked
), gap AS (
  SELECT from_ms, shown_ms AS to_ms FROM reached WHERE shown_ms - from_ms > tolerated_gap_ms
  UNION ALL
  SELECT max(until_ms) AS from_ms, any_value(end_ms) AS to_ms FROM linked GROUP BY action_id
  HAVING any_value(end_ms) - max(until_ms) > any_value(tolerated_gap_ms)
  UNION ALL
  SELECT start_ms, end_ms FROM act WHERE action_id NOT IN (SELECT action_id FROM linked)
) SELECT count(*), sum(to_ms - from_ms) FROM gap
"""
"""Links, then every gap: before a clip, after the last, and acts without any; of concurrent acts people decide."""


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
    _full(options)


def _link(engine: Engine, options: argparse.Namespace, load_before: float) -> None:
    chance = random.Random(7)
    with engine.connect() as connection:
        repository = Repository(connection)
        rows = _rows_of(repository, chance.sample(range(options.clips), min(ASKED, options.clips)))
        acts = repository.actions(_name("A", n) for n in chance.sample(range(options.actions), ASKED))
        sides = [
            Side("one new clip, linked", lambda: [relink(repository, [dict(row)], _is_new) for row in rows]),
            Side("one known clip, linked", lambda: [relink(repository, [dict(row)]) for row in rows]),
            Side("as many clips in one unit, linked", lambda: relink(repository, [dict(row) for row in rows])),
            Side("one clip, bare look-up", lambda: [_bare_actions(connection, row) for row in rows]),
            Side("one action, its clips found", lambda: [repository.clips_near(act) for act in acts.values()]),
            Side("one action, bare look-up", lambda: [_bare_clips(connection, act) for act in acts.values()]),
        ]
        series = interleave(sides, options.runs)
    for side in series.values():
        print(f"{side.line()}  {side.median_s / ASKED * 1e6:8.0f} µs each")
    clip, known, together, bare, action, bare_clips = series.values()
    print(ratio_line(clip, bare, GOAL_RATIO))
    print(ratio_line(known, bare, GOAL_RATIO))
    print(ratio_line(together, bare, GOAL_RATIO))
    print(ratio_line(action, bare_clips, GOAL_RATIO))
    print(quietness(bare, load_before))


def _coverage() -> None:
    act = _action(0, random.Random(1))
    step_ms = act.interval.length_ms // 1000
    begun_ms = act.interval.start_ms
    for name, short_ms in (("whole", 0), ("1,000 holes", 1500)):
        spans = [Interval(begun_ms + n * step_ms, begun_ms + (n + 1) * step_ms - short_ms) for n in range(1000)]
        clips = [_clip(n, span) for n, span in enumerate(spans)]
        side = Side(f"coverage of 1,000 clips, {name}", lambda clips=clips: cover(act, clips))  # type: ignore[misc]
        taken = interleave([side])[side.name]
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
        _swept("every one flagged", pipeline)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE action SET judged_ms = 0")
        _swept("looked at again, nothing new", pipeline)
        engine.dispose()


def _swept(what: str, pipeline: Pipeline) -> None:
    begun, worked, looked = time.perf_counter(), time.process_time(), 0
    while found := pipeline.sweep():
        looked += found
    seconds, processor = time.perf_counter() - begun, time.process_time() - worked
    scale = SWEEP_OF_GOAL / max(1, looked)
    met = "met" if seconds * scale < GOAL_SWEEP_S else "NOT met"
    print(
        f"sweep: {looked:,} open actions in {seconds:.1f} s, {what}; for {SWEEP_OF_GOAL:,} that is"
        f" {seconds * scale:.0f} s ({processor * scale:.0f} s of processor)  goal < {GOAL_SWEEP_S:.0f} s: {met}"
    )


def _full(options: argparse.Namespace) -> None:
    """Every clip and every action judged anew, and the same join in DuckDB."""
    with tempfile.TemporaryDirectory(prefix="bench-relink-") as folder:
        engine = open_engine(f"sqlite:///{folder}/index.db")
        _fill(engine, options.relink_actions, options.relink_clips, FEW_OFFICERS)
        with engine.connect() as connection:
            repository, look = Repository(connection), Look(NOW_MS, Policy(), ())
            begun = time.perf_counter()
            found = differences(repository, *wanted_ids(repository, Wanted()), look)
            seconds = time.perf_counter() - begun
            links = f"{len(found.linked):,} links"
            print(f"full re-link: {found.clips:,} clips, {found.actions:,} actions, {links} in {seconds:.1f} s")
            if find_spec("duckdb") is None:
                print("not compared with DuckDB: the extra `bench` is not installed")
            else:
                _beside_duckdb(connection, Path(folder), found, seconds)
        engine.dispose()


def _beside_duckdb(connection: Connection, folder: Path, found: Relinked, seconds: float) -> None:
    import duckdb  # noqa: PLC0415  # only here, and only when it is installed

    other = duckdb.connect()
    for table, statement in _SHARED.items():
        rows = _driver(connection).execute(statement)
        with (folder / f"{table}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([column[0] for column in rows.description])
            writer.writerows(rows)
        other.execute(f"CREATE TABLE {table} AS FROM read_csv('{folder / table}.csv', types = {_SHARED_TYPES[table]})")
    begun = time.perf_counter()
    theirs = other.execute(_SAME_JOIN).fetchone()
    duck_s = time.perf_counter() - begun
    gaps = [gap.interval.length_ms for covered in found.covered.values() for gap in covered.gaps]
    same = (
        f"the same {len(gaps):,} gaps"
        if theirs == (len(gaps), sum(gaps))
        else f"OTHER GAPS: {theirs}, ours {len(gaps), sum(gaps)}"
    )
    ratio = seconds / duck_s
    met = "met" if ratio <= GOAL_FULL_RATIO else "NOT met"
    print(f"DuckDB {duckdb.__version__}: {duck_s:.2f} s, {same}: {ratio:.0f} ×  goal ≤ {GOAL_FULL_RATIO:.0f}: {met}")


def centre(engine: Engine, folder: Path) -> Pipeline:
    """A centre of its own, with no station, over a folder and a database."""
    custody, witness = Ed25519Signer.from_seed(b"c" * 32), Ed25519Signer.from_seed(b"w" * 32)
    books = Logbooks(f"{AUTHORITY}/centre", custody, {}, lambda name: PosixLogFiles(folder / name))
    cosigner = Cosigner(f"{AUTHORITY}/centre-witness", witness)
    settings = Settings(Policy(), load(_CATALOGUE), Policy().zone)
    made = Pipeline(engine, books, cosigner, Places.under(folder), settings, SystemClock())
    made.start()
    return made


def _fill(engine: Engine, actions: int, clips: int, officers: int = OFFICERS) -> None:
    chance = random.Random(1)
    with engine.begin() as connection:
        for part in _parts(_action(n, chance, officers) for n in range(actions)):
            Repository(connection).put_import(Import(actions=tuple(part)))
    with engine.begin() as connection:
        for rows in _parts(_clip_row(n, chance, clips, officers) for n in range(clips)):
            names = list(rows[0])
            marks = ", ".join("?" * len(names))
            statement = f"INSERT INTO clip ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  # our own names
            connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])


def _action(number: int, chance: random.Random, officers: int = OFFICERS) -> EnforcementAction:
    start_ms = NOW_MS - 48 * HOUR_MS - chance.randrange(YEARS_MS)
    return EnforcementAction(
        action_id=_name("A", number),
        case=f"案〔2026〕{number // 3}号",
        type="seizure",
        level=Level.FULL,
        interval=Interval(start_ms, start_ms + HOUR_MS),
        officers=(_officer(chance, officers), _officer(chance, officers)),
    )


def _clip(number: int, span: Interval) -> Clip:
    return Clip(_name("C", number), "station-01", "REC1", MediaKind.VIDEO, span, 500, "000001", "ledger")


def _clip_row(number: int, chance: random.Random, count: int, officers: int) -> dict[str, Any]:
    """Clips are numbered as they come in, as by UUIDv7: within a day of when they were taken."""
    officer = _officer(chance, officers)
    start_ms = NOW_MS - YEARS_MS + number * YEARS_MS // count - chance.randrange(24 * HOUR_MS)
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
        "officer": officer,
        "officer_source": "stated",
        "officer_stated": officer,
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


def _is_new(_object_id: str) -> bool:
    return True


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


def _officer(chance: random.Random, officers: int) -> str:
    return f"{chance.randrange(officers) + 1:06}"


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
    parser.add_argument("--relink-actions", type=int, default=10_000, help="actions of the full re-link")
    parser.add_argument("--relink-clips", type=int, default=100_000, help="clips of the full re-link")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()

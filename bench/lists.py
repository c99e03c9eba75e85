"""What a page of each list costs beside the best bare SQL for the same rows (``python -m bench.lists``).

Three figures a list: the bare statement, written by hand for the index that serves it best; the statements that
``Queries`` makes, both on the driver itself; and the whole call, which makes the statement and a value of each row. The
first page, and one deep in the list. Few rows of a filter are the oldest, where a list that is read in its order finds
them last.

SQLite, 200,000 clips of about 1 kB unless ``--clips 10000000`` asks for more. Rows are written without a log, which
only a benchmark may do.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from bench.harness import Series, Side, interleave, machine, quietness
from ingestd.index import tables as t
from ingestd.index.acts import ActionFilter
from ingestd.index.database import open_engine
from ingestd.index.queries import PAGE_ROWS, ClipFilter, Queries
from tests.fakes.full_index import CASE, FIRST_MS, HOUR_MS, OFFICER, RARE_UNIT, STEP_MS, UNIT, action_id, clip_id, fill
from tests.fakes.full_index import flag_id as flag_id_of

GOAL_RATIO: Final = 2.0
_PAGE: Final = PAGE_ROWS + 1
_REPEATED: Final = 5
"""Times that each side asks in a round: one page takes less than a millisecond."""
_CLIP: Final = "SELECT clip.*, officer.name FROM clip LEFT JOIN officer ON officer.number = clip.officer WHERE "
_NEWEST: Final = f" ORDER BY clip.object_id DESC LIMIT {_PAGE}"
_BEGAN: Final = f" ORDER BY clip.start_ms DESC, clip.object_id DESC LIMIT {_PAGE}"
_FLAG: Final = "SELECT * FROM flag WHERE "
_CHANGED: Final = f" ORDER BY changed_ms DESC, flag_id DESC LIMIT {_PAGE}"
_ACT: Final = (
    "SELECT action.*, case_file.title, coverage.nominal_ppm, coverage.guaranteed_ppm,"
    " (SELECT count(*) FROM link WHERE link.action_id = action.action_id),"
    " (SELECT count(*) FROM flag WHERE flag.action_id = action.action_id AND flag.state = 'open')"
    " FROM action LEFT JOIN case_file ON case_file.number = action.case_number"
    " LEFT JOIN coverage ON coverage.action_id = action.action_id WHERE "
)
_CASE: Final = (
    "SELECT case_file.*, (SELECT count(*) FROM action WHERE action.case_number = case_file.number),"
    " (SELECT count(*) FROM flag WHERE flag.case_number = case_file.number AND state = 'open') FROM case_file"
)
_FILE: Final = "SELECT * FROM seen_file WHERE "
_SEEN: Final = f" ORDER BY seen_ms DESC, file_id DESC LIMIT {_PAGE}"
_ACTED: Final = f" ORDER BY action.start_ms DESC, action.action_id DESC LIMIT {_PAGE}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page: how it is asked, and the statement written by hand."""

    name: str
    ask: Callable[[Queries], object]
    bare: str


def main() -> None:
    """Run and print."""
    options = _options()
    load_before = os.getloadavg()[0]
    print(f"{machine()}; SQLite, {options.clips:,} clips, a tenth as many actions, flags and files")
    with tempfile.TemporaryDirectory(prefix="bench-lists-", dir=options.folder) as folder:
        engine = open_engine(f"sqlite:///{folder}/index.db")
        begun = time.perf_counter()
        fill(engine, options.clips, counted=options.analysed)
        print(f"filled in {time.perf_counter() - begun:.0f} s, {_size_mib(Path(folder)):,.0f} MiB")
        print(f"{'':<30} {'bare':>9} {'ours':>9} {'call':>9}   ours / bare, goal ≤ {GOAL_RATIO}")
        baselines = [_measure(engine, listed, options.runs) for listed in _lists(options.clips)]
        engine.dispose()
    print(quietness(max(baselines, key=lambda series: series.median_s), load_before))


def _measure(engine: Engine, listed: Listed, runs: int) -> Series:
    queries = Queries(engine)
    with _statements(engine) as said:
        listed.ask(queries)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        sides = [
            Side("bare", lambda: _repeat(lambda: _all(driver, [(listed.bare, ())]))),
            Side("ours", lambda: _repeat(lambda: _all(driver, said))),
            Side("call", lambda: _repeat(lambda: listed.ask(queries))),
        ]
        bare, ours, call = interleave(sides, runs).values()
    each = sorted(mine / theirs for mine, theirs in zip(ours.seconds, bare.seconds, strict=True))
    ratio = ours.median_s / bare.median_s
    met = "met" if ratio <= GOAL_RATIO else "NOT met"
    times = " ".join(f"{series.median_s / _REPEATED * 1000:6.2f} ms" for series in (bare, ours, call))
    print(f"{listed.name:<30} {times}   {ratio:.2f} × [{each[0]:.2f}–{each[-1]:.2f}]  {met}", flush=True)
    return bare


def _lists(clips: int) -> Iterator[Listed]:
    yield from _clip_lists(clips)
    yield from _act_lists(clips // 10)
    yield from _flag_lists(clips // 10)
    yield Listed("summary", lambda q: q.summary(), _SUMMARY)


def _clip_lists(clips: int) -> Iterator[Listed]:
    deep = clip_id(clips // 2)
    day_ms = FIRST_MS + clips // 20 * STEP_MS
    began_ms = FIRST_MS + clips // 2 * STEP_MS - 5 * HOUR_MS
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("", {}, "1"),
        ("unlinked", {"linked": False}, t.MEDIA_UNLINKED),
        ("linked", {"linked": True}, t.MEDIA_LINKED),
        ("quarantined", {"status": "quarantined"}, "status = 'quarantined'"),
        ("failed", {"verdict": "failed"}, "verdict = 'failed'"),
        ("verified", {"verdict": "verified"}, "verdict = 'verified'"),
        ("of a station", {"station": "station-99"}, "station = 'station-99'"),
        ("of a recorder", {"recorder": "REC7"}, "recorder = 'REC7'"),
        ("of an officer", {"officer": OFFICER}, f"officer = '{OFFICER}'"),
        ("images", {"kind": "image"}, "kind = 'image'"),
        ("of a case", {"case": CASE}, _of_case(CASE)),
        ("late", {"late_ms": t.LATE_MS}, t.MEDIA_LATE),
        ("of a small unit", {"unit": RARE_UNIT}, _of_unit(RARE_UNIT)),
        ("of a unit", {"unit": UNIT}, _of_unit(UNIT)),
        ("of no unit", {"unit": "-"}, "officer NOT IN (SELECT number FROM officer WHERE unit <> '')"),
        ("of a text in few paths", {"text": "RARE"}, "path LIKE '%RARE%'"),
    ]
    for name, filters, condition in asked:
        wanted = ClipFilter(**filters)
        yield Listed(f"clips {name}", partial(_clips_asked, wanted, None), _CLIP + condition + _NEWEST)
        after = f" AND clip.object_id < '{deep}'"
        if name in ("", "unlinked", "verified", "of a unit"):
            yield Listed(
                f"clips {name}, deep", partial(_clips_asked, wanted, deep), _CLIP + condition + after + _NEWEST
            )
    day = f"clip.start_ms >= {day_ms - 48 * HOUR_MS} AND end_ms >= {day_ms} AND clip.start_ms < {day_ms + 24 * HOUR_MS}"
    old = ClipFilter(from_ms=day_ms, until_ms=day_ms + 24 * HOUR_MS)
    yield Listed("clips of an old day", lambda q: q.clips(old), _CLIP + day + _BEGAN)
    late = ClipFilter(until_ms=began_ms + 1)
    place = f"(clip.start_ms, clip.object_id) < ({began_ms}, '{deep}')"
    yield Listed("clips until a day, deep", lambda q: q.clips(late, deep), _CLIP + place + _BEGAN)


def _act_lists(acts: int) -> Iterator[Listed]:
    deep, start_ms = action_id(acts // 2), FIRST_MS + acts // 2 * 10 * STEP_MS
    place = f"(action.start_ms, action.action_id) < ({start_ms}, '{deep}')"
    of_unit = f"action.case_number IN (SELECT number FROM case_file WHERE unit = '{UNIT}')"  # noqa: S608  # our own names
    of_officer = f"action.action_id IN (SELECT action_id FROM action_officer WHERE officer = '{OFFICER}')"  # noqa: S608  # the same
    yield Listed("acts", lambda q: q.actions(), _ACT + "1" + _ACTED)
    yield Listed("acts, deep", lambda q: q.actions(after=deep), _ACT + place + _ACTED)
    for name, wanted, condition in (
        ("of a case", ActionFilter(case=CASE), f"action.case_number = '{CASE}'"),
        ("of a rare type", ActionFilter(type="rare"), "action.type = 'rare'"),
        ("of a unit", ActionFilter(unit=UNIT), of_unit),
        ("of an officer", ActionFilter(officer=OFFICER), of_officer),
        ("without video", ActionFilter(outcome="missing"), "(coverage.clips IS NULL OR coverage.clips = '[]')"),
    ):
        yield Listed(f"acts {name}", partial(_acts_asked, wanted), _ACT + condition + _ACTED)
    yield Listed("cases", lambda q: q.cases(), f"{_CASE} ORDER BY number LIMIT {_PAGE}")


def _flag_lists(flags: int) -> Iterator[Listed]:
    deep, changed_ms = flag_id_of(flags // 2), FIRST_MS + flags // 2 // 4 * STEP_MS
    place = f"(changed_ms, flag_id) < ({changed_ms}, '{deep}')"
    for name, state, rule, condition in (
        ("open flags", "open", "", "state = 'open'"),
        ("all flags", "", "", "1"),
        ("explained flags", "explained", "", "state = 'open' AND stage = 'explained'"),
        ("flags of a rare rule", "", "rule-rare", "rule = 'rule-rare'"),
    ):
        first = _FLAG + condition + _CHANGED
        yield Listed(name, partial(_flags_asked, state, rule, None), first)
        after = _FLAG + condition + " AND " + place + _CHANGED
        yield Listed(f"{name}, deep", partial(_flags_asked, state, rule, deep), after)
    yield Listed("files that failed", lambda q: q.files("failed"), _FILE + "state = 'failed'" + _SEEN)


def _clips_asked(wanted: ClipFilter, after: str | None, queries: Queries) -> object:
    return queries.clips(wanted, after)


def _acts_asked(wanted: ActionFilter, queries: Queries) -> object:
    return queries.actions(wanted)


def _flags_asked(state: str, rule: str, after: str | None, queries: Queries) -> object:
    return queries.flags(state, rule, after=after)


def _of_case(number: str) -> str:
    return (
        "clip.object_id IN (SELECT link.object_id FROM action JOIN link ON link.action_id = action.action_id"  # noqa: S608  # our own names
        f" WHERE action.case_number = '{number}')"
    )


def _of_unit(unit: str) -> str:
    return f"clip.officer IN (SELECT number FROM officer WHERE unit = '{unit}')"  # noqa: S608  # our own names


_COUNTS: Final = (
    "seen_file WHERE state = 'copied'",
    "seen_file",
    "clip WHERE verdict = 'verified'",
    "clip",
    f"clip INDEXED BY ix_clip_media_linked WHERE {t.MEDIA_LINKED}",
    f"clip INDEXED BY ix_clip_media_unlinked WHERE {t.MEDIA_UNLINKED}",
    "clip WHERE status = 'quarantined'",
    "flag WHERE state = 'open'",
)
_SUMMARY: Final = " UNION ALL ".join("SELECT count(*) FROM " + counted for counted in _COUNTS)  # noqa: S608  # our own names


@contextmanager
def _statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Statements that the engine is asked meanwhile, with their parameters."""
    said: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    yield said
    event.remove(engine, "before_cursor_execute", keep)


def _all(driver: Any, statements: Sequence[tuple[str, Any]]) -> None:
    for statement, parameters in statements:
        driver.execute(statement, parameters).fetchall()


def _repeat(ask: Callable[[], object]) -> None:
    for _ in range(_REPEATED):
        ask()


def _size_mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / (1 << 20)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", help="where the index is made; it takes 2 kB a clip")
    parser.add_argument("--analysed", action="store_true", help="with statistics, which SQLite has none of by itself")
    return parser.parse_args()


if __name__ == "__main__":
    main()

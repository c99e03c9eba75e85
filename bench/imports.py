"""How many rows a second an import enters, and what memory it needs (``python -m bench.imports``).

A register of acts that nobody filmed, the dearest case: every row is read, checked, compared, kept as understood,
entered and judged, and each act's flags are signed and logged. Ours runs in a fresh interpreter over a new data folder
each round; its start is not part of the time. The peer reads the same rows with the ``csv`` module and puts them into
the same tables by executemany, in one transaction; it checks, logs and judges nothing.

``--once 100000`` measures a longer file once, without a spread: five rounds of it would take a quarter of an hour.
"""

import argparse
import csv
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import xlsxwriter

from bench.harness import Series, Side, interleave, machine, quietness
from bench.link import centre
from ingestd.index.database import open_engine
from ingestd.model import case_key
from ingestd.progress import Step

OFFICERS: Final = 1000
GOAL_PEAK_MIB: Final = 400
HEADING: Final = ("action_id", "case", "case_title", "unit", "type", "start", "end", "officers")
FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES: Final = 300 * 24 * 60
_ACTION: Final = (
    "INSERT INTO action (action_id, case_number, case_key, type, level, start_ms, end_ms, officers, accuracy_m,"
    " radius_m, tolerated_gap_ms, margin_ms, judged_ms) VALUES (?, ?, ?, ?, 'full', ?, ?, ?, 0, 0, 1000, 1800000, 0)"
)


def main() -> None:
    """Run and print."""
    options = _options()
    if options.one:
        print(json.dumps(import_once(*options.one)))
        return
    load_before = os.getloadavg()[0]
    print(f"{machine()}; SQLite {sqlite3.sqlite_version}; a register of acts, none of them filmed")
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as folder:
        for rows in options.rows:
            _measure(Path(folder), rows, load_before)
        for rows in options.once:
            for file in _files(Path(folder), rows):
                ours = _Ours(Path(folder), file)
                ours.run()
                print(f"{rows:>7,} rows, {file.suffix[1:]:<4} once: {_said(ours.said[0], rows)}")


def import_once(folder: Path, file: Path) -> dict[str, Any]:
    """Import into a new centre in ``folder``: seconds as a whole and by step, and peak memory in MiB."""
    engine = open_engine(f"sqlite:///{folder}/index.db")
    pipeline, ends = centre(engine, folder), {}
    data = file.read_bytes()
    begun = time.perf_counter()

    def watch(step: Step) -> None:
        ends[step.what.split()[0]] = time.perf_counter() - begun

    imported, changes = pipeline.import_cases(data, file.name, progress=watch)
    seconds = time.perf_counter() - begun
    if imported.errors or len(changes.actions) != imported.rows:
        sys.exit(f"{file.name} was not imported: {imported.errors[:1]}")
    engine.dispose()
    starts = [0.0, *ends.values()]
    steps = {what: end - start for (what, end), start in zip(ends.items(), starts, strict=False)}
    return {"seconds": seconds, "steps": steps, "peak_mib": _peak_mib()}


def _measure(folder: Path, rows: int, load_before: float) -> None:
    files = _files(folder, rows)
    ours = [_Ours(folder, file) for file in files]
    bare = _Bare(folder, files[0])
    sides = [Side("csv + executemany", bare.run, bare.prepare), *(Side(one.file.name, one.run) for one in ours)]
    peer = interleave(sides)[sides[0].name]
    print(f"{rows:>7,} rows, peer {peer.line()}  {rows / peer.median_s:7,.0f} rows/s")
    for one in ours:
        mine = Series(one.file.name, [said["seconds"] for said in one.said[1:]])  # round 0 is the warm-up
        each = [a / b for a, b in zip(mine.seconds, peer.seconds, strict=True)]
        ratio = f"{mine.median_s / peer.median_s:.1f} × [{min(each):.1f}–{max(each):.1f}] the peer's time"
        print(f"{rows:>7,} rows, ours {mine.line()}  {rows / mine.median_s:7,.0f} rows/s  {ratio}")
        usual = next(said for said in one.said if said["seconds"] == mine.median_s)
        print(f"{'':>20}{_said(usual, rows)}")
    print(quietness(peer, load_before))


def _said(said: dict[str, Any], rows: int) -> str:
    steps = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in said["steps"].items())
    met = "met" if said["peak_mib"] < GOAL_PEAK_MIB else "NOT met"
    rate = rows / said["seconds"]
    return f"{rate:,.0f} rows/s ({steps}), peak {said['peak_mib']:.0f} MiB  goal < {GOAL_PEAK_MIB}: {met}"


class _Ours:
    """The import in a fresh interpreter over a new folder, so that its peak memory is its own."""

    def __init__(self, folder: Path, file: Path) -> None:
        self._folder, self.file = folder, file
        self.said: list[dict[str, Any]] = []

    def run(self) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder) as made:
            argv = [sys.executable, "-m", "bench.imports", "--one", made, str(self.file)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the import failed: {done.stderr.strip()}")
        self.said.append(json.loads(done.stdout.splitlines()[-1]))


class _Bare:
    """The same rows into the same tables, by the means of the standard library."""

    def __init__(self, folder: Path, file: Path) -> None:
        self._database, self._file = folder / "bare.db", file

    def prepare(self) -> None:
        for path in self._database.parent.glob("bare.db*"):
            path.unlink()
        open_engine(f"sqlite:///{self._database}").dispose()

    def run(self) -> None:
        database = sqlite3.connect(self._database)
        with database, self._file.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
            cases = {row["case"]: (row["case"], row["case_title"], row["unit"]) for row in rows}
            database.executemany("INSERT INTO case_file VALUES (?, ?, ?)", cases.values())
            database.executemany(_ACTION, map(_action_row, rows))
            database.executemany("INSERT INTO action_officer VALUES (?, ?, ?, ?)", _parts(rows))
        database.close()


def _action_row(row: dict[str, str]) -> tuple[str | int, ...]:
    officers = json.dumps(row["officers"].split(";"))
    key = case_key(row["case"])
    return row["action_id"], row["case"], key, row["type"], _ms(row["start"]), _ms(row["end"]), officers


def _parts(rows: Sequence[dict[str, str]]) -> Iterator[tuple[str, str, int, int]]:
    for row in rows:
        for officer in row["officers"].split(";"):
            yield officer, row["action_id"], _ms(row["start"]) - 1_800_000, _ms(row["end"]) + 1_800_000


def _ms(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp()) * 1000


def _files(folder: Path, rows: int) -> list[Path]:
    """The same register as CSV and as a spreadsheet."""
    found = [HEADING, *_register(rows)]
    lines, sheet = folder / f"{rows}.csv", folder / f"{rows}.xlsx"
    with lines.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(found)
    with xlsxwriter.Workbook(sheet, {"constant_memory": True}) as book:
        page = book.add_worksheet()
        for number, row in enumerate(found):
            page.write_row(number, 0, row)
    return [lines, sheet]


def _register(rows: int) -> Iterator[tuple[str, ...]]:
    chance = random.Random(1)
    for number in range(rows):
        start = FIRST + timedelta(minutes=chance.randrange(MINUTES))
        times = (f"{moment:%Y-%m-%d %H:%M}" for moment in (start, start + timedelta(minutes=30)))
        officers = f"{chance.randrange(OFFICERS):06};{OFFICERS + chance.randrange(OFFICERS):06}"
        yield (f"A{number:07}", f"案〔2026〕{number // 3}号", "查封", "一中队", "seizure", *times, officers)


def _peak_mib() -> float:
    """High-water mark of this process's resident memory (proc(5), VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000, 10_000], help="measured in rounds, with spread")
    parser.add_argument("--once", type=int, nargs="*", default=[], help="measured once")
    parser.add_argument("--one", type=Path, nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

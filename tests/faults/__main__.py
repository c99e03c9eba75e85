"""``./dev faults``: the whole matrix on the loop dock in its full size, and its report."""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.conftest import ROOT
from tests.faults.matrix import MATRIX, Row
from tests.faults.report import BROKEN, NOT_RUN, PROVED, Line, Report, printed
from tests.faults.run import Outcome, run
from tests.faults.scenarios import FULL, Sizes

PAGE: Final = ROOT / "docs/faults.md"
TITLE: Final = "The fault matrix on the loop dock"


def main() -> int:
    """Exit code: 0 when all that was run holds, 1 when something does not."""
    options = _parser().parse_args()
    sizes = replace(FULL, kills=options.kills, small_files=options.small_files, big_bytes=options.big_mib << 20)
    rows = [row for row in MATRIX if not options.only or row.fault in options.only]
    report = Report(TITLE, "环回坞站故障矩阵", "./dev faults", [_not_run(row) for row in MATRIX], notes=_notes(sizes))

    def said(outcome: Outcome) -> None:
        """The report is true at any moment: a run that is interrupted says what it did not come to."""
        nonlocal report
        line = line_of(outcome, sizes)
        lines = [line if line.fault == old.fault else old for old in report.lines]
        report = replace(report, lines=lines)
        options.report.write_text(report.markdown(), encoding="utf-8")
        print(printed([line]), flush=True)  # noqa: T201  # a command that says what it does

    with tempfile.TemporaryDirectory(prefix="faults-", dir=options.work) as work:
        run(rows, sizes, Path(work), said)
    print(f"{options.report}")  # noqa: T201  # the same
    return 0 if report.is_good else 1


def line_of(outcome: Outcome, sizes: Sizes) -> Line:
    """One outcome as a row of the report."""
    row = outcome.row
    kills = f", {sizes.kills} kills" if row.fault == "kill -9" else ""
    count = f"{outcome.entries} entries, {outcome.copied} copies{kills}"
    verdict = BROKEN if outcome.problems else PROVED
    return Line(row.fault, row.chinese, row.injected, row.holds, verdict, outcome.seconds, count, outcome.problems)


def _not_run(row: Row) -> Line:
    return Line(row.fault, row.chinese, row.injected, row.holds, NOT_RUN)


def _notes(sizes: Sizes) -> list[str]:
    named = {test for row in MATRIX for test in row.tests}
    clips = f"{sizes.clips} × {sizes.clip_bytes >> 20} MiB clips, {sizes.small_files} small files"
    others = f"one file of {sizes.big_bytes >> 20} MiB, {sizes.recorders} recorders, {sizes.kills} kills"
    named_zh = f"另有 {len(named)} 个集成测试证明同样的故障，见 `tests/faults/matrix.py`。"
    named_en = f"{len(named)} integration tests prove the same from other sides; the matrix names them."
    return [
        "条目与副本按采集站累计。Entries and copies add up over the scenarios of one station.",
        f"规模 sizes: {clips}, {others}.",
        f"{named_zh}{named_en}",
        "真实记录仪、真实坞站、带逐口供电的集线器未测。No real recorder, vendor's dock or hub with per-port power.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=FULL.kills, help="kill -9 so many times (default %(default)s)")
    parser.add_argument("--small-files", type=int, default=FULL.small_files, help="default %(default)s")
    parser.add_argument("--big-mib", type=int, default=FULL.big_bytes >> 20, help="the big file (default %(default)s)")
    parser.add_argument("--only", action="append", metavar="FAULT", help="run this row alone; may be given again")
    parser.add_argument("--report", type=Path, default=PAGE, metavar="FILE", help="default docs/faults.md")
    parser.add_argument("--work", type=Path, metavar="DIR", help="a folder on a disk with room for twice the footage")
    return parser


if __name__ == "__main__":
    sys.exit(main())

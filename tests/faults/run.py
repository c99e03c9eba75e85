"""Runs rows of the matrix, site by site, and asks the checker after each."""

import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.matrix import Row
from tests.faults.scenarios import Cards, Sizes
from tests.faults.site import Site

ERASE: Final = '\n[erase]\npolicy = "after-receipt"\n'
"""Of the site with a centre: there every invariant about erasing has something to look at."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one row went. ``problems`` are findings of the checker, and what else had to hold."""

    row: Row
    seconds: float
    problems: tuple[str, ...] = ()
    entries: int = 0
    copied: int = 0


def run(
    rows: Sequence[Row], sizes: Sizes, work: Path, said: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Every row's outcome, in order. ``said`` is told of each as it ends."""
    outcomes: list[Outcome] = []
    left = list(rows)
    while left:
        folder = Path(tempfile.mkdtemp(prefix="site-", dir=work))
        for outcome in _at_one_site(list(_together(left)), sizes, folder):
            outcomes.append(outcome)
            said(outcome)
        left = left[len(outcomes) - (len(rows) - len(left)) :]
        shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def _together(rows: Sequence[Row]) -> Iterator[Row]:
    """The first row, and those behind it that share its site."""
    for row in rows:
        if row is not rows[0] and (not row.site or row.site != rows[0].site):
            return
        yield row


def _at_one_site(rows: Sequence[Row], sizes: Sizes, folder: Path) -> Iterator[Outcome]:
    """Up to the first row that does not hold: what a fault has spoilt is no place for the next one.

    After the last of them the station is stopped, and must have left nothing.
    """
    is_system = rows[0].site == "system"
    with Site(folder, sizes.recorders, ERASE if is_system else "") as site:
        began_s = time.monotonic()
        if is_system:
            site.stack.broker.start()
            site.stack.ingestd.start()
        if rows[0].starts:
            site.start()
        if is_system:
            site.stack.ready()
        cards = Cards(folder / "cards", sizes, random.Random())
        for row in rows:
            problems = _played(row, site, cards)
            is_last = row is rows[-1] or problems
            if is_last:
                problems += _after_the_end(site)
            scene = site.scene()
            yield Outcome(row, time.monotonic() - began_s, tuple(problems), len(scene.lines), len(scene.copied))
            if is_last:
                return
            began_s = time.monotonic()


def _played(row: Row, site: Site, cards: Cards) -> list[str]:
    problems: list[str] = []
    try:
        if row.scenario:
            row.scenario(site, cards)
    except Exception as error:  # noqa: BLE001  # whatever went wrong is this row's outcome, and the next row runs
        problems.append(f"{type(error).__name__}: {error}")
    return problems + [str(finding).replace(f"{site.folder}/", "") for finding in site.findings()]


def _after_the_end(site: Site) -> list[str]:
    try:
        site.stop()
    except subprocess.TimeoutExpired:
        return ["the station did not end when it was told to"]
    return [f"after the end: {finding}".replace(f"{site.folder}/", "") for finding in site.findings()]

"""The watched folder: whoever puts a file there has it imported; it then lies in ``done`` or ``refused``.

Looked at every few seconds rather than watched by the kernel, which says nothing about what another machine puts on a
network share. A file is taken when it stayed as it was from one look to the next. A crash between import and move has
it imported again, which changes nothing.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from ingestd import cases
from ingestd.cases.said import report
from ingestd.config import DONE, REFUSED, Imports
from ingestd.console import printable
from ingestd.errors import CentreError
from ingestd.logfiles import make_dirs, replace_file
from ingestd.model import Import
from ingestd.pipeline import Pipeline
from ingestd.receive import passes

EVERY_S: Final = 5.0
MAX_FINDINGS: Final = 10_000
"""Most lines of a report; a file with one mistake in each of its rows is one mistake."""
REPORT: Final = ".report.txt"
_LONG_NAME: Final = 200
"""Bytes of a file's name that are kept beside the time; a file system takes 255, a letter is at most four."""
_UNFINISHED: Final = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")

_log = structlog.get_logger(__name__)

Stamp = tuple[int, int]
"""Size and time of change of a file, by which one that is still being written is told."""


@dataclass(slots=True)
class ImportFolder:
    """Imports what is put into a folder and into the folders of its sources, in the order in which it was put there."""

    folder: Path
    imports: Imports
    pipeline: Pipeline
    zone: ZoneInfo
    every_s: float = EVERY_S
    now: Callable[[ZoneInfo], datetime] = datetime.now
    _seen: dict[Path, Stamp] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``; a passing failure is left to the next look, any other is raised."""
        while True:
            try:
                self.once()
            except OSError as error:
                _log.warning("imports-wait", error=str(error))
            if stop.wait(self.every_s):
                return

    def once(self) -> int:
        """Import every file that is whole; returns how many were."""
        found = {path: stamp for path in self._files() if (stamp := _stamp(path))}
        whole = [path for path, stamp in found.items() if self._seen.get(path) == stamp]
        self._seen = found
        for path in sorted(whole, key=lambda one: (found[one][1], str(one))):
            self._try(path)
        return len(whole)

    def _try(self, path: Path) -> None:
        """One file that cannot be read or moved now does not keep the others waiting."""
        try:
            self._take(path)
        except (CentreError, OSError) as error:
            if not passes(error):
                raise
            _log.warning("import-waits", file=path.name, error=str(error))

    def _files(self) -> list[Path]:
        places = [self.folder, *(self.folder / name for name in self.imports.names)]
        for place in places:
            make_dirs(place)
        return [path for place in places for path in place.iterdir() if _is_meant(path)]

    def _take(self, path: Path) -> None:
        name = "" if path.parent == self.folder else path.parent.name
        with path.open("rb") as file:
            data = file.read(cases.MAX_FILE_BYTES + 1)
        imported, changes = self.pipeline.import_cases(data, path.name, source=self.imports.source(name))
        target = self._target(path, REFUSED if imported.errors else DONE)
        replace_file(target.with_name(target.name + REPORT), _text(path.name, imported, changes))
        path.rename(target)
        del self._seen[path]
        _log.info("import-read", file=path.name, source=name, refused=bool(imported.errors), rows=imported.rows)

    def _target(self, path: Path, kind: str) -> Path:
        """Where the file goes: under its own name after the time, so that nothing is ever written over."""
        folder = path.parent / kind
        make_dirs(folder)
        name = path.name if len(os.fsencode(path.name)) <= _LONG_NAME else path.name[-_LONG_NAME // 4 :]
        stem = f"{self.now(self.zone):%Y%m%dT%H%M%S}-{name}"
        names = (f"{number}-{stem}" if number else stem for number in range(1_000_000))
        return next(folder / name for name in names if not (folder / name).exists())


def _is_meant(path: Path) -> bool:
    """A file somebody has finished putting there, not one a program is still writing beside it."""
    usual = not path.name.startswith((".", "~")) and not path.name.endswith(_UNFINISHED)
    return usual and path.is_file() and not path.is_symlink()


def _stamp(path: Path) -> Stamp | None:
    """None for a file that has gone meanwhile."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _text(name: str, imported: Import, changes: Import) -> bytes:
    """The report, with the mark by which every text program knows UTF-8."""
    lines = [printable(line) for line, _ in zip(report(name, imported, changes), range(MAX_FINDINGS), strict=False)]
    return ("\ufeff" + "\n".join(lines) + "\n").encode("utf-8", "replace")

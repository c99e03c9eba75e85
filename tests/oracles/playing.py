"""A history played through a real centre: real signatures, logs, imports, units of work and SQLite."""

import json
import random
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from custody.signer import Ed25519Signer
from ingestd import decisions
from ingestd.catalogue import parse
from ingestd.decisions import Person
from ingestd.index.database import connect, open_engine
from ingestd.index.queries import ActionDetail, Queries
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.model import Assignment, EnforcementAction, Position
from ingestd.pipeline import Pipeline, Places, Settings
from ingestd.relinking import Relinked, Wanted
from ingestd.rules import Policy
from tests.fakes.centre_station import AUTHORITY, FakeClock, FakeStation
from tests.fakes.log_files import MemoryLogFiles
from tests.oracles.histories import CATALOGUE, Description, History, Step
from tests.oracles.verdict import Told

RULES = {"missing-full-process-video", "full-process-gap"}
"""Rules of which the oracles know."""
WHO = Person("甲", "亲眼所见")
_FILES = {"officer": "officers", "assignment": "assignments", "action": "actions"}


@dataclass
class Ground:
    """A folder in which one centre after another begins with an empty index, migrated once and copied."""

    folder: Path

    def __post_init__(self) -> None:
        self._empty = self.folder / "empty.db"
        made = open_engine(f"sqlite:///{self._empty}")
        with made.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        made.dispose()
        self.place = self.folder / "centre"
        self.engine = connect(f"sqlite:///{self.place / 'index.db'}")

    def cleared(self) -> "Ground":
        """The same place, as if nobody had been here."""
        self.engine.dispose()
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        shutil.copyfile(self._empty, self.place / "index.db")
        return self


@dataclass
class Centre:
    """One centre with one station; what comes in waits a little, so that files and messages hold several things."""

    history: History
    chance: random.Random
    ground: Ground
    ids: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Step] = field(default_factory=dict)
    sent: int = 0

    def __post_init__(self) -> None:
        self.station = FakeStation()
        self.files: dict[str, MemoryLogFiles] = {}
        self.queries = Queries(self.ground.engine)
        self.pipeline = self._started()

    def play(self, order: int) -> None:
        """Everything that the history holds, in the order of this number."""
        for step in self.history.steps(order):
            getattr(self, f"_{step.what}")(step)
            if self.chance.random() < 0.4:
                self._flush()
            if self.chance.random() < 0.05:
                self._flush()
                self.pipeline = self._started()
        self._flush()
        self.pipeline.sweep()

    def told(self) -> Told:
        """What the centre says now."""
        names = {object_id: name for name, object_id in self.ids.items()}
        clips = {name: self.queries.clip(object_id) for name, object_id in self.ids.items()}
        actions = {name: self.queries.action(name) for name in self.history.actions}
        return Told(
            officers={name: (clip.row.officer, clip.row.officer_source) for name, clip in clips.items()},
            links={(names[o.object_id], o.action_id, o.method == "manual") for c in clips.values() for o in c.links},
            suggestions={(names[one.object_id], one.action_id) for c in clips.values() for one in c.suggestions},
            covered={name: (d.coverage.nominal_ppm, d.coverage.guaranteed_ppm) for name, d in actions.items()},
            gaps={gap for name, detail in actions.items() for gap in _gaps(name, detail)},
            flags={(f.rule, f.action_id) for f in self.queries.flags(limit=1000).rows if f.rule in RULES},
        )

    def rehearsed(self) -> Relinked:
        """What deciding everything anew would change: nothing."""
        return self.pipeline.relink(Wanted(), dry_run=True)

    def _started(self) -> Pipeline:
        custody, witness = Ed25519Signer.from_seed(b"c" * 32), Ed25519Signer.from_seed(b"w" * 32)
        books = Logbooks(
            f"{AUTHORITY}/centre",
            custody,
            {self.station.name: self.station.enrolled},
            lambda name: self.files.setdefault(name, MemoryLogFiles(chunk=1 << 16)),
        )
        cosigner = Cosigner(f"{AUTHORITY}/centre-witness", witness)
        catalogue = parse(CATALOGUE.encode(), "histories")
        settings = Settings(Policy(types=catalogue.spoken()), catalogue, Policy().zone)
        made = Pipeline(self.ground.engine, books, cosigner, Places.under(self.ground.place), settings, FakeClock())
        made.start()
        return made

    def _officer(self, step: Step) -> None:
        self._row(step)

    def _assignment(self, step: Step) -> None:
        self._row(step)

    def _action(self, step: Step) -> None:
        self._row(step)

    def _row(self, step: Step) -> None:
        key = f"{step.what} {step.key}"
        if key in self.rows:
            self._import()
        self.rows[key] = step

    def _clip(self, step: Step) -> None:
        if step.key not in self.ids:
            self.ids[step.key] = self.station.copied(f"DCIM/{step.key}.MP4", self.history.recorders[step.key])
        self.station.described(self.ids[step.key], **media_of(step.value))

    def _link(self, step: Step) -> None:
        self._flush()
        clip, action = step.key.split()
        self.pipeline.decide(decisions.link(self.ids[clip], action, WHO))

    def _part(self, step: Step) -> None:
        self._flush()
        clip, action = step.key.split()
        if action not in {one.action_id for one in self.queries.clip(self.ids[clip]).links}:
            self.pipeline.decide(decisions.link(self.ids[clip], action, WHO))
        self.pipeline.decide(decisions.unlink(self.ids[clip], action, WHO))

    def _flush(self) -> None:
        for deliver in self.chance.sample([self._import, self._send], 2):
            deliver()

    def _import(self) -> None:
        if not self.rows:
            return
        tables: dict[str, list[dict[str, object]]] = {}
        for step in self.rows.values():
            tables.setdefault(_FILES[step.what], []).append(_told(step))
        self.rows.clear()
        data = json.dumps(tables, ensure_ascii=False).encode()
        for _ in range(self.chance.choice([1, 1, 2])):
            imported, _ = self.pipeline.import_cases(data, "history.json")
            assert imported.errors == (), imported.errors

    def _send(self) -> None:
        size = len(self.station.entries)
        if size > self.sent:
            again = self.chance.randint(0, self.sent) if self.chance.random() < 0.2 else self.sent
            self.pipeline.handle([self.station.message(again)])
            self.sent = size


def played(history: History, order: int, ground: Ground) -> tuple[Told, Relinked]:
    """What a centre says to which the history came in this order, and what it would decide otherwise when asked."""
    centre = Centre(history, random.Random(-1 - order), ground.cleared())
    centre.play(order)
    return centre.told(), centre.rehearsed()


def _gaps(name: str, detail: ActionDetail) -> set[tuple[str, int, int, str]]:
    return {(name, g.interval.start_ms // 1000, g.interval.end_ms // 1000, g.reason) for g in detail.coverage.gaps}


def _told(step: Step) -> dict[str, object]:
    value = step.value
    if isinstance(value, Assignment):
        row = {"recorder": value.recorder, "officer": value.officer, "start": _moment(value.start_ms)}
        return row if value.end_ms is None else {**row, "end": _moment(value.end_ms)}
    if isinstance(value, EnforcementAction):
        row = {
            "action_id": value.action_id,
            "case": value.case,
            "type": value.type,
            "start": _moment(value.interval.start_ms),
            "end": _moment(value.interval.end_ms),
            "officers": list(value.officers),
        }
        return {**row, **_scene(value.place)}
    return {"number": step.key, "name": f"officer {step.key}"}


def _scene(place: Position | None) -> dict[str, object]:
    return {} if place is None else {"lat": str(place.lat_e7 / 1e7), "lon": str(place.lon_e7 / 1e7)}


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def media_of(said: Description) -> dict[str, object]:
    """The fields of a signed ``media`` block that a description decides."""
    start = {"utc_ms": said.shown_ms, "source": "container", "clock": "device", "uncertainty_ms": said.read_error_ms}
    measured = said.offset_ms is not None
    place = said.place
    return {
        "kind": said.kind.value,
        "duration_ms": said.length_ms,
        "start": start if said.shown_ms is not None else None,
        "clock": {
            "offset_ms": said.offset_ms,
            "uncertainty_ms": said.clock_error_ms if measured else None,
            "method": "mtime" if measured else "none",
        },
        "place": place and {"lat_e7": place.lat_e7, "lon_e7": place.lon_e7, "accuracy_m": place.accuracy_m},
        "officer_as_stated": said.stated,
        "case_as_stated": said.case,
        "problems": list(said.problems),
    }

"""A long import: memory hardly grows with its rows, nothing is judged for nothing, a kill leaves all or nothing."""

import csv
import json
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from ingestd import cases, config, service
from ingestd.index import tables as t
from ingestd.progress import Meter, Step, line
from ingestd.relinking import PART
from tests.fakes.centre_station import AUTHORITY, FakeStation
from tests.fakes.centre_world import CATALOGUE
from tests.ingestd.test_audit_verify import Screen

FEW, MANY = 2_000, 12_000
MOST_KIB_A_ROW = 5
"""What a row of the register, understood, needs itself is some 2.5; holding what is judged of it needed 24."""
OFFICERS = 40
FIRST = datetime(2026, 1, 5, 9, tzinfo=cases.SHANGHAI)
HEADING = ("action_id", "case", "case_title", "type", "start", "end", "officers")


def register(path, rows, **changed):
    """Acts of half an hour, one after another for each officer; ``changed`` maps an act to its minutes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADING)
        for number in range(rows):
            name, start = f"A{number:06}", FIRST + timedelta(hours=number // OFFICERS)
            end = start + timedelta(minutes=changed.get(name, 30))
            officers = f"{number % OFFICERS:06};{900_000 + number % OFFICERS:06}"
            writer.writerow([name, f"案〔2026〕{number // 3}号", "查封", "seizure", start, end, officers])
    return path


def importing(folder, file, *killed):
    asked = [sys.executable, "-m", "tests.fakes.import_process", folder / "ingestd.toml", file, *killed]
    return subprocess.run([*map(str, asked)], capture_output=True, text=True, check=False)


def imported(folder, file):
    done = importing(folder, file)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["errors"] == 0
    return said


def centre_in(folder, station=None):
    told = f'[[stations]]\nid = "station-01"\nvkey = "{station.enrolled.note_key.vkey()}"\n' if station else ""
    folder.mkdir()
    (folder / "ingestd.toml").write_text(f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
{told}
[store]
url = "store"
[database]
url = "sqlite:///central/index.db"
[catalogue]
file = "{CATALOGUE}"
""")
    init = [sys.executable, "-m", "ingestd.cli", "init", "--data-dir", str(folder)]
    subprocess.run(init, check=True, capture_output=True)
    return folder


def opened(folder):
    return service.build(config.load(folder / "ingestd.toml"))


def rows_of(folder, table, *columns):
    centre = opened(folder)
    try:
        with centre.engine.connect() as connection:
            found = connection.execute(select(*(table.c[name] for name in columns)))
            return sorted(tuple(row) for row in found)
    finally:
        centre.engine.dispose()


def events(folder):
    return [event for _, event in rows_of(folder, t.entry, "seq", "event")]


@pytest.fixture(scope="module")
def long_import(tmp_path_factory):
    """A centre after an import of many acts, of which each one is flagged; and its peak beside that of few."""
    made = tmp_path_factory.mktemp("long")
    few = imported(centre_in(made / "few"), register(made / "few.csv", FEW))
    many = imported(centre_in(made / "many"), register(made / "many.csv", MANY))
    return made / "many", made / "many.csv", few, many


def test_memory_hardly_grows_with_the_rows(long_import):
    folder, _, few, many = long_import
    assert (few["changed"], many["changed"]) == (FEW, MANY)
    assert len(rows_of(folder, t.flag, "flag_id")) >= MANY
    assert (many["peak_kib"] - few["peak_kib"]) / (MANY - FEW) < MOST_KIB_A_ROW


def test_the_same_file_again_changes_and_judges_nothing(long_import):
    folder, file, *_ = long_import
    said, judged = events(folder), rows_of(folder, t.action, "action_id", "judged_ms")
    assert min(at_ms for _, at_ms in judged) > 0

    assert imported(folder, file)["changed"] == 0

    assert events(folder) == said
    assert rows_of(folder, t.action, "action_id", "judged_ms") == judged


def test_only_the_row_that_changed_is_judged(tmp_path):
    folder = centre_in(tmp_path / "centre")
    imported(folder, register(tmp_path / "a.csv", PART))
    before = dict(rows_of(folder, t.action, "action_id", "judged_ms"))

    assert imported(folder, register(tmp_path / "a.csv", PART, A000007=45))["changed"] == 1

    after = dict(rows_of(folder, t.action, "action_id", "judged_ms"))
    assert [name for name in after if after[name] != before[name]] == ["A000007"]


ACTS, CLIPS = 3 * PART, 2 * PART + 100
JUDGED = {
    t.action: ("action_id", "start_ms", "end_ms", "officers"),
    t.action_officer: ("officer", "action_id", "from_ms", "until_ms"),
    t.case_file: ("number", "title"),
    t.link: ("object_id", "action_id", "method", "score"),
    t.suggestion: ("object_id", "action_id", "score"),
    t.coverage: ("action_id", "nominal_ppm", "gaps", "clips"),
    t.flag: ("flag_id", "state", "detail", "inputs"),
    t.clip: ("object_id", "officer", "links", "suggestions"),
}


def state(folder):
    return {table.name: rows_of(folder, table, *columns) for table, columns in JUDGED.items()}


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """The story of a station whose clips, of a third of the acts, are at the centre before any act is."""
    made = tmp_path_factory.mktemp("filmed")
    station = FakeStation()
    for number in range(CLIPS):
        start = FIRST + timedelta(hours=number // OFFICERS)
        station.clip(int(start.timestamp()) * 1000, 25 * 60_000, officer_as_stated=f"{number % OFFICERS:06}")
    return station, register(made / "acts.csv", ACTS)


def with_clips(folder, station):
    centre = opened(centre_in(folder, station))
    centre.pipeline.start()
    for first in range(0, 2 * CLIPS, 400):
        centre.pipeline.handle([station.message(first, min(first + 400, 2 * CLIPS))])
    centre.engine.dispose()
    return folder


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory, filmed):
    station, file = filmed
    folder = with_clips(tmp_path_factory.mktemp("untroubled") / "centre", station)
    imported(folder, file)
    found = state(folder)
    assert len(found["link"]) > PART
    assert len(found["flag"]) > PART
    return found, sorted(events(folder))


@pytest.mark.parametrize(
    ("step", "rows", "recorded"),
    [
        ("read", 1000, False),
        ("enter", 2 * PART, False),
        ("link", PART, False),
        ("link", 2 * PART, True),
        ("judge", 2 * PART, True),
        ("judge", ACTS, True),
    ],
)
def test_killed_in_the_middle_leaves_nothing_or_everything(tmp_path, filmed, untroubled, step, rows, recorded):
    (found, said), (station, file) = untroubled, filmed
    folder = with_clips(tmp_path / "centre", station)
    before = state(folder)

    assert importing(folder, file, step, str(rows)).returncode == -9
    assert state(folder) == before, "the tables show nothing of it before the next start"
    centre = opened(folder)
    centre.pipeline.start()
    centre.engine.dispose()

    assert state(folder) == (found if recorded else before)
    assert ("cases.imported" in events(folder)) is recorded
    assert imported(folder, file)["changed"] == (0 if recorded else ACTS)
    assert state(folder) == found
    assert sorted(events(folder)) == said, "nothing is said twice"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step("read 读取", 1000, 0), "read 读取: 1000 rows 行"),
        (Step("read 读取", 9000, 0), "read 读取: 9000 rows 行, 2000/s"),
        (Step("judge 研判", 9000, 29_000), "judge 研判: 9000/29000 rows 行, 2000/s, 0:10 left 剩余"),
        (Step("read 读取", 9000, 8500), "read 读取: 9000/8500 rows 行, 2000/s, 0:00 left 剩余"),
    ],
)
def test_progress_says_rate_and_time_left(step, said):
    assert line(step, Step(step.what, 1000, step.of), 4.0) == said


def test_each_step_has_a_line_and_a_rate_of_its_own():
    seconds = iter(range(100))
    screen = Screen(terminal=True)
    meter = Meter(screen, line, clock_s=lambda: next(seconds))
    for what in ("read", "judge"):
        for done in (10, 20):
            meter(Step(what, done, 20))
    first, second, rest = screen.getvalue().split("\n")
    assert first.endswith("\rread: 20/20 rows 行, 10/s, 0:00 left 剩余\x1b[K")
    assert second.endswith("\rjudge: 20/20 rows 行, 10/s, 0:00 left 剩余\x1b[K")
    assert rest == ""

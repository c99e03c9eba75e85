"""A power cut at every write of the logs and at every commit: the centre restarts and ends where it would have."""

import pytest
from sqlalchemy import event, select

from ingestd.errors import CentreError
from ingestd.index import tables as t
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.fakes.log_files import Fault
from tests.ingestd.test_pipeline import START, registers

PROJECTED = ("mirror", "entry", "seen_file", "clip", "proxy", "link", "suggestion", "coverage", "flag", "action")
"""Tables that must end alike; columns that name a place in the centre log may differ after a crash."""
_PLACES = {"log_seq", "check_ms", "judged_ms", "leaf", "seq"}
MOST_CRASHES = 3


class PowerCutError(OSError):
    pass


def story(world):
    """What happens to the centre, in steps that a station and an operator repeat until they are answered."""
    station = world.stations[0]
    yield world.pipeline.start
    yield lambda: world.pipeline.import_cases(registers(), "cases.json")
    yield lambda: world.pipeline.handle([station.message(0, 5)])
    yield lambda: world.pipeline.record_checks(world.read_back())
    yield lambda: world.pipeline.handle([station.message(3)])
    yield lambda: world.pipeline.import_cases(registers(minutes=20), "cases.json")
    yield lambda: world.pipeline.record_checks(world.read_back())
    yield world.pipeline.checkpoint


def told():
    station = FakeStation()
    station.seen("a.mp4", "b.mp4")
    station.clip(START, 5 * 60_000, officer_as_stated="000001")
    station.failed("b.mp4")
    station.clip(START + 5 * 60_000, 5 * 60_000, officer_as_stated="000001")
    station.proxied(station.clip(kind="empty"))
    return station


def play(world, cut=lambda: None):
    """Every step until it succeeds, with a restart after each crash; returns how often that was."""
    crashes = 0
    for number in range(len(list(story(world)))):
        while True:
            try:
                list(story(world))[number]()
            except (CentreError, OSError):
                crashes += 1
                if crashes > MOST_CRASHES:
                    raise
                cut()
                world.restart()
            else:
                break
    return crashes


def tables(world):
    found = {}
    with world.engine.connect() as connection:
        for name in PROJECTED:
            table = t.metadata.tables[name]
            rows = connection.execute(select(*(c for c in table.columns if c.name not in _PLACES))).all()
            if name == "entry":
                rows = [row for row in rows if row.log != "custody.example/centre"]
            found[name] = sorted(map(repr, rows))
    return found


def log_says(world):
    """Facts of the centre log; how they are spread over entries may differ after a crash."""
    said = [event for event in world.events() if event not in {"station.entries", "log.recovered", "cases.imported"}]
    return sorted(said)


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untroubled")
    world = World(folder, f"sqlite:///{folder / 'i.db'}", [told()])
    assert play(world) == 0
    writes = {name: files.writes for name, files in world.files.items()}
    return tables(world), log_says(world), writes


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("log", ["centre", "station-01"])
def test_power_cut_at_every_write_of_a_log(tmp_path, untroubled, log, fault):
    rows, said, writes = untroubled
    assert writes[log] > 3
    for number in range(writes[log]):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, f"sqlite:///{folder / 'i.db'}", [told()])
        files = world.files.setdefault(log, type(world.stations[0].files)(chunk=1 << 16))
        files.fail_at, files.fault = number, fault

        crashes = play(world, cut=lambda files=files: setattr(files, "fail_at", -1))

        assert crashes == 1, (log, fault, number)
        assert tables(world) == rows, (log, fault, number)
        assert log_says(world) == said, (log, fault, number)
        world.close()


def test_power_cut_before_every_commit(tmp_path, untroubled):
    rows, said, _ = untroubled
    for number in range(9):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, f"sqlite:///{folder / 'i.db'}", [told()])
        commits: list[int] = []

        def fail(_connection, commits=commits, number=number):
            commits.append(1)
            if len(commits) == number + 1:
                raise PowerCutError("before the commit")

        event.listen(world.engine, "commit", fail)
        crashes = play(world)
        event.remove(world.engine, "commit", fail)

        assert crashes == (1 if len(commits) > number else 0), number
        assert tables(world) == rows, number
        assert log_says(world) == said, number
        world.close()


def test_torn_entry_is_cut_off_and_the_log_says_so(tmp_path):
    world = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", [told()]).started()
    world.files["centre"].data += b'{"half an entry'
    world.restart()

    world.pipeline.start()

    assert world.events() == ["station.enrolled", "log.recovered"]
    world.close()

"""The watched folder over a real pipeline: what is put there is imported whole or refused whole, with a report."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from ingestd.config import Imports
from ingestd.errors import BusyError, ConfigError, StateError
from ingestd.imports import ImportFolder
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import registers

NOON = datetime(2026, 11, 22, 12, 0, 0)  # noqa: DTZ001  # the folder asks in its own zone
ROSTER = "执法证号,姓名\n007,陈国栋\n"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "data", f"sqlite:///{tmp_path}/index.db", [FakeStation()]).started()
    yield made
    made.close()


@pytest.fixture
def watched(world, tmp_path):
    imports = Imports.model_validate({"oa": {"columns": {"工牌": "number"}}})
    return ImportFolder(tmp_path / "in", imports, world.pipeline, world.settings.zone, now=lambda _zone: NOON)


def put(folder: Path, name: str, text: str, age_s: float = 60.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    moment = path.stat().st_mtime - age_s
    os.utime(path, (moment, moment))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_imported_once_it_stays_as_it_is(world, watched):
    path = put(watched.folder, "cases.json", registers().decode())
    assert watched.once() == 0
    path.write_text(registers(minutes=20).decode())
    assert watched.once() == 0, "it changed between two looks"
    assert watched.once() == 1

    assert [row.case.number for row in world.queries.cases().rows] == ["案〔2026〕1号"]
    done = watched.folder / "done"
    assert names(done) == ["20261122T120000-cases.json", "20261122T120000-cases.json.report.txt"]
    report = (done / "20261122T120000-cases.json.report.txt").read_text("utf-8-sig")
    assert report.startswith("imported 已导入: 3 officers, 2 recorders, 1 cases, 1 actions")
    assert (watched.once(), watched.once()) == (0, 0)


def test_a_file_with_a_wrong_row_is_refused_whole_with_a_report(world, watched):
    put(watched.folder, "cases.json", registers().decode().replace('"seizure"', '"dancing"'))
    watched.once()
    watched.once()

    assert world.queries.cases().rows == ()
    [refused, report] = names(watched.folder / "refused")
    assert refused == "20261122T120000-cases.json"
    said = (watched.folder / "refused" / report).read_text("utf-8-sig")
    assert "nothing imported" in said
    assert "cases.json:1: type='dancing':" in said


def test_a_file_of_a_source_is_read_with_its_headings(world, watched):
    put(watched.folder / "oa", "roster.csv", ROSTER.replace("执法证号", "工牌"))
    put(watched.folder, "roster.csv", ROSTER.replace("执法证号", "工牌"))
    watched.once()
    assert watched.once() == 2
    assert names(watched.folder / "oa" / "done")[0].endswith("roster.csv")
    assert names(watched.folder / "refused")[0].endswith("roster.csv")


def test_the_same_name_again_is_written_over_nothing(watched):
    for _ in range(2):
        put(watched.folder, "roster.csv", ROSTER)
        watched.once()
        watched.once()
    kept = [name for name in names(watched.folder / "done") if name.endswith(".csv")]
    assert kept == ["1-20261122T120000-roster.csv", "20261122T120000-roster.csv"]


def test_the_older_file_comes_first(world, watched):
    put(watched.folder, "a.csv", ROSTER.replace("陈国栋", "后来"), age_s=10)
    put(watched.folder, "b.csv", ROSTER.replace("陈国栋", "先前"), age_s=20)
    watched.once()
    watched.once()
    with world.engine.connect() as connection:
        from ingestd.index.repository import Repository  # noqa: PLC0415  # asked for once

        assert [one.name for one in Repository(connection).officers()] == ["后来"]


def test_what_is_being_written_is_left_alone(watched):
    for name in (".hidden", "~$x.xlsx", "x.csv.part", "x.tmp"):
        put(watched.folder, name, ROSTER)
    watched.once()
    assert watched.once() == 0


def test_a_crash_after_the_import_leads_to_the_same_end(world, watched, monkeypatch):
    put(watched.folder, "cases.json", registers().decode())
    watched.once()
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
        watched.once()
    before = world.events()
    watched.once()
    assert world.events() == before
    assert [name for name in names(watched.folder / "done") if name.endswith(".json")]
    assert names(watched.folder) == ["done", "oa"]


def test_a_busy_centre_is_waited_for_and_a_broken_one_is_not(watched, monkeypatch):
    put(watched.folder, "roster.csv", ROSTER)
    watched.once()

    def fail(error):
        def raise_it(*_args, **_more):
            raise error

        monkeypatch.setattr(watched.pipeline, "import_cases", raise_it)

    fail(BusyError("the lock is held"))
    watched.once()
    assert "roster.csv" in names(watched.folder)
    fail(StateError("log and tables contradict each other"))
    with pytest.raises(StateError):
        watched.once()


def test_a_long_name_in_chinese_is_kept_short_enough(watched):
    put(watched.folder, "台" * 83 + ".csv", ROSTER)
    watched.once()
    watched.once()
    assert [name for name in names(watched.folder / "done") if name.endswith(".csv")]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"oa": {"columns": {"经办人": "officer_s"}}}, "'officer_s' is no column of ours"),
        ({"OA": {}}, "a source is called by"),
        ({"done": {}}, "folder of files that were read"),
        ({"oa": {"column": {}}}, "Extra inputs"),
    ],
)
def test_a_wrong_source_is_refused_when_the_configuration_is_read(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        Imports.model_validate(given)


def test_an_unknown_source_is_one_sentence():
    with pytest.raises(ConfigError, match=r"imports\.oa: no such source is configured; known: hr"):
        Imports.model_validate({"hr": {}}).source("oa")

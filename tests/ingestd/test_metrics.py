"""What Prometheus reads at the centre, compared with the lists behind the pages."""

import shutil

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from custody.heartbeat import Heartbeat
from ingestd.heartbeats import Heartbeats
from ingestd.metrics import Sources, registry_of
from ingestd.rules import RULES_BY_ID
from ingestd.stations import rows
from ingestd.web.app import create_app
from tests.custody.test_heartbeat import WELL
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.fakes.web_queries import FakeMedia
from tests.ingestd.test_pipeline import START, registers

OFFICER = "000001"


@pytest.fixture
def world(tmp_path):
    made = World(
        tmp_path, f"sqlite:///{tmp_path / 'index.db'}", [FakeStation(), FakeStation("station-02", 2)]
    ).started()
    first, second = made.stations
    first.clip(START, officer_as_stated=OFFICER)
    first.clip(kind="empty")
    second.clip(START + 20 * 3_600_000, recorder="REC2", officer_as_stated="000002")
    made.pipeline.import_cases(registers(), "cases.json")
    made.pipeline.handle([first.message(), second.message()])
    made.clock.ms += 30 * 24 * 3_600_000
    made.pipeline.sweep()
    yield made
    made.close()


def scraped(world, hindrance=""):
    """Each sample by its name and labels, as the scraper's own parser reads them."""
    heard = Heartbeats(world.folder / "heartbeats").all()
    stations = lambda: rows(world.queries.mirrors(), heard, world.clock.now_ms())  # noqa: E731  # said where it is used
    registry = registry_of(Sources(world.queries, lambda: hindrance, world.folder, stations))
    answer = TestClient(create_app(world.queries, FakeMedia(), metrics=registry)).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}, samples


def test_the_figures_are_those_of_the_lists(world):
    figures, _ = scraped(world)
    summary = world.queries.summary()
    assert figures["ingestd_log_entries_total",] == summary.log.size
    assert figures["ingestd_clips", "quarantined"] == summary.clips.quarantined == 1
    assert figures["ingestd_messages_quarantined",] == 0
    assert figures["ingestd_broker_connected",] == 1
    assert figures["ingestd_data_size_bytes",] == shutil.disk_usage(world.folder).total
    for station in world.stations:
        [mirror] = [row for row in world.queries.mirrors() if row.station == station.name]
        assert figures["ingestd_station_entries_total", station.name] == mirror.size > 0


def test_a_station_that_reports_is_online_and_one_that_never_did_has_no_time(world):
    first, second = world.stations
    heartbeats = Heartbeats(world.folder / "heartbeats", world.clock.now_ms)
    heartbeats.take(first.name, Heartbeat(online=True, health=WELL).encode(), retained=False)
    figures, _ = scraped(world)
    assert figures["ingestd_station_online", first.name] == 1
    assert figures["ingestd_station_heard_timestamp_seconds", first.name] == world.clock.now_ms() / 1000
    assert figures["ingestd_station_online", second.name] == 0
    assert ("ingestd_station_heard_timestamp_seconds", second.name) not in figures


def test_each_rule_has_the_number_of_its_open_flags(world):
    figures, _ = scraped(world)
    assert sum(figures["ingestd_flags_open", rule] for rule in RULES_BY_ID) == world.queries.summary().open_flags > 0
    assert figures["ingestd_flags_open", "silent-station"] == len(
        list(world.queries.every_flag("open", "silent-station"))
    )


def test_what_keeps_messages_away_shows(world):
    assert scraped(world, "broker-gone: somewhere")[0]["ingestd_broker_connected",] == 0


def test_no_label_names_anybody(world):
    _, samples = scraped(world)
    ours = [sample for sample in samples if sample.name.startswith("ingestd_")]
    assert {label for sample in ours for label in sample.labels} == {"version", "count", "rule", "station"}
    assert OFFICER not in {value for sample in ours for value in sample.labels.values()}


def test_pages_without_figures_have_no_such_page(world):
    assert TestClient(create_app(world.queries, FakeMedia())).get("/metrics").status_code == 404

"""What Prometheus reads at the station, compared with what the station itself knows."""

import re
import shutil

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from station_agent.health import health_of
from station_agent.metrics import Sources, registry_of
from station_agent.model import StationClock
from station_agent.screen import create_app
from station_agent.seal import agent_version
from station_agent.status import CentreLink
from tests.fakes.station_world import START_MS, World
from tests.fakes.web_dock import busy

SYNCHRONISED = StationClock("chrony", synchronised=True, offset_ms=-1_250, uncertainty_ms=1_300)
LABELS = {"version", "kind", "state"}
UNITS = re.compile(r".*_(?:bytes|seconds|total|info|entries|waiting|failing|open|alarm|connected|synchronised|bays)")


@pytest.fixture
def station(tmp_path):
    world = World(tmp_path)
    for name in ("a.MP4", "b.MP4"):
        world.put(name, name.encode())
    made = world.start()
    made.pipeline.docked(made.event())
    return made


def scraped(station, clock=SYNCHRONISED):
    """Each sample by its name and labels, as the scraper's own parser reads them."""
    world = station.world

    def health():
        return health_of(world.clock.now(), clock, station.journal, station.seal.size, world.spool)

    link = CentreLink(online=False, since_ms=START_MS)
    registry = registry_of(Sources(health, station.journal, station.board, lambda: link))
    answer = TestClient(create_app(busy, metrics=registry)).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]


def figure(samples, name, **labels):
    [value] = [sample.value for sample in samples if sample.name == name and sample.labels == labels]
    return value


def test_the_figures_are_those_of_the_station(station):
    job = station.journal.due_job("upload", 2**52, 0)
    station.journal.postpone(job, START_MS, "the store is down")
    samples = scraped(station)
    assert figure(samples, "station_agent_build_info", version=agent_version()) == 1
    assert figure(samples, "station_agent_log_entries_total") == station.seal.size
    assert figure(samples, "station_agent_outbox_entries") == station.seal.size
    assert figure(samples, "station_agent_receipts_waiting") == 2
    assert figure(samples, "station_agent_jobs_waiting", kind="upload") == 2
    assert figure(samples, "station_agent_jobs_failing", kind="upload") == 1
    assert figure(samples, "station_agent_jobs_failing", kind="describe") == 0
    assert figure(samples, "station_agent_clips_open") == 0
    assert figure(samples, "station_agent_spool_size_bytes") == shutil.disk_usage(station.world.spool).total
    assert figure(samples, "station_agent_broker_connected") == 0
    assert figure(samples, "station_agent_broker_since_timestamp_seconds") == START_MS / 1000
    assert figure(samples, "station_agent_bays", state="waiting-upload") == 1
    assert figure(samples, "station_agent_bays", state="error") == 0
    assert figure(samples, "process_resident_memory_bytes") > 0


def test_a_file_that_is_not_copied_yet_and_an_alarm_are_counted(station):
    seen = {"camera": {"serial": "X"}, "volume_uuid": "Y", "files": [{"path": "c.MP4", "size": 1, "mtime_ms": 1}]}
    station.seal.append("ingest.seen", seen)
    station.journal.alarm("log-forked: two histories")
    samples = scraped(station)
    assert figure(samples, "station_agent_clips_open") == 1
    assert figure(samples, "station_agent_log_alarm") == 1


def test_a_clock_that_was_measured_says_by_how_much_it_is_off(station):
    samples = scraped(station)
    assert figure(samples, "station_agent_clock_synchronised") == 1
    assert figure(samples, "station_agent_clock_offset_seconds") == -1.25
    assert figure(samples, "station_agent_clock_uncertainty_seconds") == 1.3


def test_a_clock_that_nobody_measured_is_not_right_by_default(station):
    samples = scraped(station, StationClock("kernel", synchronised=False))
    assert figure(samples, "station_agent_clock_synchronised") == 0
    assert not [sample for sample in samples if re.search("clock_(offset|uncertainty)", sample.name)]


def test_every_name_has_its_unit_and_no_label_names_anybody(station):
    samples = [sample for sample in scraped(station) if sample.name.startswith("station_agent_")]
    assert [sample.name for sample in samples if not UNITS.fullmatch(sample.name)] == []
    assert {label for sample in samples for label in sample.labels} == LABELS
    said = " ".join(value for sample in samples for value in sample.labels.values())
    assert station.event().identity.serial not in said


def test_two_stations_in_one_process_do_not_share_their_figures(station, tmp_path):
    other = World(tmp_path / "other").start()
    assert figure(scraped(station), "station_agent_log_entries_total") == station.seal.size
    assert figure(scraped(other), "station_agent_log_entries_total") == other.seal.size != station.seal.size


def test_a_screen_without_figures_has_no_such_page():
    assert TestClient(create_app(busy)).get("/metrics").status_code == 404

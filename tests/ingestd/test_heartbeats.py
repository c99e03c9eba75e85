"""What a station claims of itself at the centre: kept, shown, believed as little as it must be."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from custody.canonical import canonical_bytes
from custody.heartbeat import Heartbeat
from ingestd.heartbeats import Heartbeats, LastHeard
from ingestd.index.queries import MirrorRow
from ingestd.stations import LATE_MS, Standing, StationRow, rows, standing
from ingestd.web.app import create_app
from tests.custody.test_heartbeat import WELL
from tests.fakes.audited import ingestd
from tests.fakes.bundle import bundle_world
from tests.fakes.centre_station import FakeStation
from tests.fakes.web_queries import FakeMedia, story

NOW_MS = WELL.utc_ms + 10_000
BEAT = Heartbeat(online=True, health=WELL).encode()
LOST = Heartbeat(online=False).encode()
MIRROR = MirrorRow("custody.example/station-01", "station-01", 61)


class Centre:
    def __init__(self, folder):
        self.now_ms = NOW_MS
        self.heartbeats = Heartbeats(folder / "heartbeats", lambda: self.now_ms)

    def take(self, data, *, retained=False, after_ms=0):
        self.now_ms += after_ms
        self.heartbeats.take("station-01", data, retained)
        return self.heartbeats.of("station-01")


@pytest.fixture
def centre(tmp_path):
    return Centre(tmp_path)


def test_the_last_word_is_kept_and_another_process_reads_it(centre, tmp_path):
    assert centre.take(BEAT) == LastHeard(online=True, said_ms=NOW_MS, heard_ms=NOW_MS, health=WELL)
    centre.take(Heartbeat(online=True, health=replace(WELL, log_entries=62)).encode(), after_ms=60_000)
    [kept] = Heartbeats(tmp_path / "heartbeats").all().values()
    assert (kept.heard_ms, kept.health.log_entries) == (NOW_MS + 60_000, 62)


def test_a_last_will_keeps_what_the_station_said_before_and_when(centre):
    centre.take(BEAT)
    assert centre.take(LOST, after_ms=90_000) == LastHeard(
        online=False, said_ms=NOW_MS + 90_000, heard_ms=NOW_MS, health=WELL
    )


def test_a_last_will_alone_is_no_word_of_the_station(centre):
    assert centre.take(LOST) == LastHeard(online=False, said_ms=NOW_MS, heard_ms=0, health=None)


def test_what_the_broker_had_kept_was_said_when_it_says_and_not_now(centre):
    assert centre.take(BEAT, retained=True, after_ms=3_600_000).heard_ms == WELL.utc_ms


def test_the_same_kept_word_again_is_no_sign_of_life(centre):
    centre.take(BEAT)
    assert centre.take(BEAT, retained=True, after_ms=3_600_000).heard_ms == NOW_MS


def test_the_same_kept_word_of_a_clock_that_is_ahead_is_no_sign_of_life_either(centre):
    ahead = Heartbeat(online=True, health=replace(WELL, utc_ms=NOW_MS + 9_000_000)).encode()
    centre.take(ahead)
    assert centre.take(ahead, retained=True, after_ms=3_600_000).heard_ms == NOW_MS


def test_a_kept_word_from_the_future_was_not_said_after_now(centre):
    ahead = Heartbeat(online=True, health=replace(WELL, utc_ms=NOW_MS + 9_000_000)).encode()
    assert centre.take(ahead, retained=True).heard_ms == NOW_MS


@pytest.mark.parametrize("data", [b"", b"online", b"{}", b'{"online": "yes"}', b"x" * 5000])
def test_what_is_no_heartbeat_changes_nothing(centre, data):
    before = centre.take(BEAT)
    assert centre.take(data, after_ms=60_000) == before


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / "heartbeats").write_text("a file")
    assert Centre(tmp_path).take(BEAT) is None


@pytest.mark.parametrize("data", [b"", b"{", canonical_bytes({"said_ms": 1, "heard_ms": 1})])
def test_a_file_that_a_power_cut_left_is_as_good_as_none(centre, tmp_path, data):
    centre.take(BEAT)
    (tmp_path / "heartbeats/station-01.json").write_bytes(data)
    assert centre.heartbeats.all() == {}
    assert centre.take(BEAT)


def test_only_a_log_that_is_here_as_a_whole_breaks_the_silence(centre):
    heard = centre.take(BEAT)
    assert heard.complete_ms(61) == NOW_MS
    assert heard.complete_ms(60) == 0
    assert LastHeard(online=False, said_ms=1, heard_ms=1, health=None).complete_ms(0) == 0


@pytest.mark.parametrize(
    ("heard", "after_ms", "expected"),
    [
        (None, 0, Standing.NEVER),
        (LastHeard(online=True, said_ms=NOW_MS, heard_ms=NOW_MS, health=WELL), LATE_MS, Standing.ONLINE),
        (LastHeard(online=True, said_ms=NOW_MS, heard_ms=NOW_MS, health=WELL), LATE_MS + 1, Standing.OVERDUE),
        (LastHeard(online=False, said_ms=NOW_MS, heard_ms=NOW_MS, health=WELL), 0, Standing.OFFLINE),
    ],
)
def test_whether_a_station_is_there(heard, after_ms, expected):
    assert standing(heard, NOW_MS + after_ms) is expected


def test_stations_that_nobody_enrolled_are_not_shown():
    heard = LastHeard(online=True, said_ms=NOW_MS, heard_ms=NOW_MS, health=replace(WELL, log_entries=64))
    [row] = rows([MIRROR], {"station-01": heard, "stranger": heard}, NOW_MS)
    assert row == StationRow("station-01", MIRROR.log, 61, Standing.ONLINE, NOW_MS, heard.health)
    assert row.missing == 3


def page(*stations, query=""):
    app = create_app(story(), FakeMedia(), stations=lambda: stations)
    answer = TestClient(app).get(f"/stations{query}")
    assert answer.status_code == 200
    return answer.text


def test_the_page_says_in_chinese_first_what_each_station_claims():
    bad = replace(WELL, clock_synchronised="no", alarms=1, jobs_failing=2, log_entries=64, agent="<b>0.1</b>")
    text = page(StationRow("station-01", MIRROR.log, 61, Standing.OVERDUE, NOW_MS, bad))
    for words in (
        "未按时报告",
        "未同步",
        "其日志与中心所知不一致",
        "3 条尚未到达",
        "失败：2",
        "自述不是证据",
        "-2 毫秒",
    ):
        assert words in text
    assert "<b>0.1" not in text
    assert "Does not report" in page(StationRow("s", "l", 1, Standing.OVERDUE, 1, bad), query="?lang=en")


def test_a_station_that_never_said_anything_stands_there_all_the_same():
    text = page(StationRow("station-02", "custody.example/station-02", 0, Standing.NEVER, None, None))
    assert "从未有消息" in text
    assert "尚无消息" in text
    assert "没有已登记的采集站" in page()


def test_pages_without_stations_do_not_lead_there():
    plain = TestClient(create_app(story(), FakeMedia()))
    assert plain.get("/stations").status_code == 404
    assert "/stations" not in plain.get("/").text


def test_the_command_lists_what_the_service_was_told(tmp_path):
    world = bundle_world(tmp_path, station=FakeStation())
    Heartbeats(world.config.paths.data / "heartbeats", lambda: NOW_MS).take("station-01", BEAT, retained=False)
    said = ingestd("stations", "list", "--json", "--data-dir", world.folder).facts
    [station] = said["stations"]
    assert said["count"] == 1
    assert (station["station"], station["standing"], station["heard_ms"]) == ("station-01", "overdue", NOW_MS)
    assert station["health"]["disk_free_bytes"] == WELL.disk_free_bytes
    assert station["missing"] == WELL.log_entries - station["entries"] > 0
    table = ingestd("stations", "list", "--data-dir", world.folder).out.splitlines()
    assert table[1].split("\t")[:2] == ["station-01", "overdue"]

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from station_agent.docking import UNMEASURED
from station_agent.errors import ToolError
from station_agent.followup import (
    GIVE_UP_AFTER,
    LONGEST_PAUSE_MS,
    FollowUp,
    Media,
    pause_ms,
    proxy_identity,
    undescribed,
)
from station_agent.journal import DESCRIBE, TRANSCODE, UPLOAD
from station_agent.model import Card, Described, Proxy, StationClock
from tests.fakes.station_world import FakeStore, Station, World

PROXY_SHA256 = hashlib.sha256(b"proxy").hexdigest()


class Tools:
    """Media tools that do what they are told."""

    def __init__(self) -> None:
        self.kind = "video"
        self.failures = 0
        self.missing = False
        self.derives = True
        self.recipe = ""
        self.times: list[str] = []

    def describe(self, path, file, card, clock, docked_ms, stated):
        self._fail()
        assert path.is_file()
        assert file.path == b"a.MP4"
        assert card == Card("generic", "DSJ")
        assert docked_ms > 0
        assert stated == {}
        return Described({**undescribed(clock, ""), "kind": self.kind, "times": self.times})

    def derive(self, _path, _media, target):
        self._fail()
        if not self.derives:
            return None
        target.write_bytes(b"proxy")
        return Proxy(target, 5, PROXY_SHA256, {"program": "ffmpeg", "note": self.recipe})

    def ready(self):
        if self.missing:
            raise ToolError("ffprobe is not installed")

    def _fail(self):
        if self.failures:
            self.failures -= 1
            raise ToolError("ffprobe crashed")


@pytest.fixture
def station(tmp_path: Path) -> Station:
    world = World(tmp_path)
    world.put("a.MP4")
    made = world.start()
    made.pipeline.docked(made.event())
    return made


def followup_of(station: Station, tools: Tools, store: FakeStore) -> FollowUp:
    media = Media(tools.describe, tools.derive, tools.ready)
    return FollowUp(station.world.clock, station.journal, station.seal, media, store, station.world.spool)


def drain(station: Station, work: FollowUp) -> None:
    work.drain(station.stop)


def test_described_transcoded_and_both_uploaded(station):
    store = FakeStore()
    drain(station, followup_of(station, Tools(), store))
    assert station.events()[-2:] == ["media.described", "proxy.created"]
    assert sorted(store.objects.values()) == [b"clip", b"proxy"]
    assert all((station.world.spool / name).read_bytes() == data for name, data in store.objects.items())
    assert station.journal.waiting().block() | {"receipts": 0, "outbox": 0} == dict.fromkeys(
        ("describe", "transcode", "upload", "receipts", "outbox"), 0
    )


def test_a_store_that_is_down_is_tried_again_and_shown(station):
    store = FakeStore(refusals=1)
    work = followup_of(station, Tools(), store)
    assert work.step(UPLOAD)
    assert not work.step(UPLOAD)
    assert station.journal.troubled_jobs()[0].reason == "the store is down"
    station.world.clock.utc_ms += LONGEST_PAUSE_MS * 2
    assert work.step(UPLOAD)
    assert list(store.objects.values()) == [b"clip"]


@pytest.fixture
def marked(tmp_path: Path) -> Station:
    """A station with a clip that its recorder locked, and one before it that nobody did."""
    world = World(tmp_path)
    world.put("DCIM/Movie/2026_0501_162828_000537F.MP4", b"driven")
    world.put("DCIM/Movie/RO/2026_0501_162928_000538F.MP4", b"locked")
    made = world.start()
    made.pipeline.docked(made.event())
    return made


def any_media(station: Station, store: FakeStore, begin: list[bool]) -> FollowUp:
    def derive(_path, _media, target):
        target.write_bytes(b"proxy")
        return Proxy(target, 5, PROXY_SHA256, {"program": "ffmpeg"})

    described = Described({**undescribed(UNMEASURED, ""), "kind": "video"})
    media = Media(lambda *_: described, derive, lambda: None)
    world = station.world
    return FollowUp(world.clock, station.journal, station.seal, media, store, world.spool, lambda: begin[0])


def test_outside_the_window_marked_clips_and_their_proxies_alone_are_uploaded(marked):
    store, begin = FakeStore(), [False]
    work = any_media(marked, store, begin)
    drain(marked, work)
    assert sorted(store.objects.values()) == [b"locked", b"proxy"]
    assert marked.events().count("proxy.created") == 2
    assert marked.journal.troubled_jobs() == []
    begin[0] = True
    drain(marked, work)
    assert sorted(store.objects.values()) == [b"driven", b"locked", b"proxy", b"proxy"]


def test_marked_clips_are_uploaded_first(marked):
    store = FakeStore()
    assert any_media(marked, store, [True]).step(UPLOAD)
    assert list(store.objects.values()) == [b"locked"]


def test_entries_are_due_whatever_the_hour(marked):
    drain(marked, any_media(marked, FakeStore(), [False]))
    assert len(marked.journal.due_entries(2**52, 1000, 0)) == marked.seal.size


def test_an_upload_that_a_stop_ends_is_no_failure(marked):
    assert not any_media(marked, FakeStore(stops=True), [True]).step(UPLOAD)
    assert marked.journal.troubled_jobs() == []
    assert marked.journal.waiting().upload == 2


def test_a_file_no_tool_can_open_ends_with_an_entry(station):
    tools = Tools()
    tools.failures = 100
    work = followup_of(station, tools, FakeStore())
    for _ in range(GIVE_UP_AFTER):
        assert "media.described" not in station.events()
        assert work.step(DESCRIBE)
        station.world.clock.utc_ms += LONGEST_PAUSE_MS * 2
    media = station.seal.entries(station.seal.size - 1)[0].record.block("media")
    assert "unreadable-media" in media["problems"]
    assert not work.step(DESCRIBE)


def test_a_missing_tool_is_waited_for(station):
    tools = Tools()
    tools.failures, tools.missing = GIVE_UP_AFTER * 2, True
    work = followup_of(station, tools, FakeStore())
    for _ in range(GIVE_UP_AFTER * 2):
        work.step(DESCRIBE)
        station.world.clock.utc_ms += LONGEST_PAUSE_MS * 2
    assert "media.described" not in station.events()
    tools.missing = False
    work.step(DESCRIBE)
    assert "media.described" in station.events()


def test_a_proxy_that_cannot_be_made_is_said(station):
    tools = Tools()
    work = followup_of(station, tools, FakeStore())
    work.step(DESCRIBE)
    tools.failures = 100
    for _ in range(GIVE_UP_AFTER):
        work.step(TRANSCODE)
        station.world.clock.utc_ms += LONGEST_PAUSE_MS * 2
    assert station.events()[-1] == "proxy.failed"
    assert not work.step(TRANSCODE)
    assert not list(station.world.spool.rglob("*.part"))


def test_nothing_to_derive_is_done(station):
    tools = Tools()
    tools.derives = False
    work = followup_of(station, tools, FakeStore())
    drain(station, work)
    assert station.events()[-1] == "media.described"
    assert station.journal.waiting().transcode == 0


def test_a_description_too_large_for_an_entry_ends_with_one_that_says_so(station):
    tools = Tools()
    tools.times = ["x" * 1000] * 100
    work = followup_of(station, tools, FakeStore())
    assert work.step(DESCRIBE)
    media = station.seal.entries(station.seal.size - 1)[0].record.block("media")
    assert media["problems"] == ["unreadable-media", "time-unknown"]
    assert "cannot be recorded" in media["tools"]["problem"]
    assert not work.step(DESCRIBE)


def test_a_recipe_too_large_for_an_entry_leaves_no_proxy(station):
    tools = Tools()
    tools.recipe = "x" * 100_000
    work = followup_of(station, tools, FakeStore())
    work.step(DESCRIBE)
    work.step(TRANSCODE)
    assert station.events()[-1] == "proxy.failed"
    assert not [path for path in (station.world.spool / "proxies").rglob("*") if path.is_file()]
    assert not work.step(TRANSCODE)


def test_a_rotten_copy_is_said_once_and_never_uploaded(station):
    store = FakeStore()
    work = followup_of(station, Tools(), store)
    [clip] = station.journal.clips(station.event().identity.key).values()
    copy = station.world.spool / clip.name
    copy.write_bytes(b"clix")
    for _ in range(3):
        assert work.step(UPLOAD)
        station.world.clock.utc_ms += LONGEST_PAUSE_MS * 2
    assert store.objects == {}
    assert station.events().count("integrity.checked") == 1
    assert "other bytes" in station.journal.troubled_jobs()[0].reason
    copy.write_bytes(b"clip")
    assert work.step(UPLOAD)
    assert store.objects == {clip.name: b"clip"}


def test_a_clock_set_back_leaves_no_job_waiting_for_years(station):
    store = FakeStore(refusals=1)
    work = followup_of(station, Tools(), store)
    station.world.clock.utc_ms += 75 * 365 * 86_400_000
    assert work.step(UPLOAD)
    station.world.clock.utc_ms -= 75 * 365 * 86_400_000
    assert work.step(UPLOAD)
    assert list(store.objects.values()) == [b"clip"]


def test_a_proxy_made_again_has_the_same_identity():
    parent = "01a2050e-aa93-7999-8cee-af2136fc98d4"
    assert proxy_identity(parent) == proxy_identity(parent)
    assert proxy_identity(parent)[0] != parent


def test_pauses_double_and_end():
    assert [pause_ms(n, lambda: 0.0) for n in range(4)] == [1000, 2000, 4000, 8000]
    assert pause_ms(50, lambda: 0.0) == LONGEST_PAUSE_MS
    assert UNMEASURED.block()["method"] == "unmeasured"


@pytest.mark.parametrize(
    "said",
    [
        None,
        StationClock("kernel", synchronised=False),
        StationClock("chrony", synchronised=True, offset_ms=-2, uncertainty_ms=7),
    ],
    ids=["an earlier station", "not synchronised", "synchronised"],
)
def test_how_right_the_stations_clock_was_goes_with_docking_copy_and_description(tmp_path, said):
    world = World(tmp_path)
    world.put("a.MP4")
    station = world.start()
    station.pipeline._reader = replace(
        station.pipeline._reader, measure_offset=lambda _files, _ms: replace(UNMEASURED, station=said)
    )
    station.pipeline.docked(station.event())
    followup_of(station, Tools(), FakeStore()).step(DESCRIBE)
    records = {entry.record.event: entry.record for entry in station.seal.entries(0)}
    clocks = [records[event].block("clock") for event in ("device.docked", "ingest.copied")]
    for clock in (*clocks, records["media.described"].block("media")["clock"]):
        assert clock.get("station") == (said.block() if said else None)

"""What the log says of a docking as a whole, and what stands beside the status because of it."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from station_agent.config import load
from station_agent.dockside import Dockside, masked, midnight_ms, receipt, room
from station_agent.model import RecorderUndocked, StationTime
from station_agent.visits import Footage, Visit, last_failures, removed_since, set_aside, visit_in
from tests.fakes.station_world import ORIGIN, World

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = "EC23004_123456_20261121200300.mp4"
VKEY = "custody.example/centre-witness+dfb530b1+BPqhzLsCB66+701/Yi2XzbSDm/cJGHQEcQRcJ1+o6CJK"


def visit(*clips, **more):
    plain = Visit("d", "EC2300471/u", 3, 0, 60_000, "removed", None, None, "", 0, 7, "ab" * 32)
    return replace(plain, footage=clips, **more)


def clip(start_ms=None, duration_ms=None, **more):
    return replace(Footage("A00417", "uncached", 10, "", 0, start_ms, duration_ms), **more)


@pytest.fixture
def station(tmp_path):
    world = World(tmp_path)
    world.put("a.MP4", b"one")
    world.put("b.MP4", b"three")
    return world.start()


def described(station, object_id, start_ms, duration_ms):
    media = {"kind": "video", "start": {"utc_ms": start_ms}, "duration_ms": duration_ms}
    station.seal.append("media.described", {"object": _object(station, object_id), "media": media})


def _object(station, object_id):
    found = [e.record for e in station.seal.entries(0) if e.record.event == "ingest.copied"]
    return next(r.block("object") for r in found if r.block("object")["id"] == object_id)


def docked_and_out(station):
    event = station.event()
    station.pipeline.docked(event)
    assert visit_in(station.journal.ask, 1).serial == "EC2300471"
    station.pipeline.undocked(RecorderUndocked(event.node, station.world.clock.now().utc_ms))


def test_a_docking_that_ended_has_the_entry_that_ended_it_as_its_receipt(station):
    docked_and_out(station)
    [found] = removed_since(station.journal.ask, 0)
    last = next(entry for entry in station.seal.entries(0) if entry.record.event == "device.undocked")
    assert (found.seq, found.leaf) == (last.seq, last.leaf.hex())
    assert (len(found.footage), sum(one.size for one in found.footage), found.level) == (2, 8, "uncached")
    assert (found.duration_ms, found.span_ms) == (None, None)
    assert visit_in(station.journal.ask, 1) is None


def test_what_is_described_later_joins_the_receipt_and_a_lost_journal_says_the_same(station, tmp_path):
    docked_and_out(station)
    first, second = sorted(c.object_id for c in station.journal.clips(station.event().identity.key).values())
    described(station, first, 1_000_000, 60_000)
    described(station, second, 1_100_000, 30_000)
    [found] = removed_since(station.journal.ask, 0)
    assert (found.duration_ms, found.span_ms) == (90_000, (1_000_000, 1_130_000))
    station.journal.close()
    Path(tmp_path / "journal.db").unlink()
    again = station.world.start()
    assert removed_since(again.journal.ask, 0) == [found]


def test_what_failed_is_kept_with_its_place_and_what_was_set_aside_is_counted(station):
    station.world.copier.reasons[b"b.MP4"] = "read-error"
    docked_and_out(station)
    [one] = last_failures(station.journal.ask, 8)
    assert (one.bay, one.serial, one.path, one.reason) == (1, "EC2300471", "b.MP4", "read-error")
    assert one.seq == next(e.seq for e in station.seal.entries(0) if e.record.event == "ingest.failed")
    assert set_aside(station.journal.ask) == {"read-error": 1}
    station.world.copier.reasons.clear()
    docked_and_out(station)
    assert set_aside(station.journal.ask) == {}
    assert last_failures(station.journal.ask, 8) == [one]


def test_a_recorder_pulled_early_gets_no_receipt(station):
    station.world.copier.during = lambda: station.pipeline.undocked(RecorderUndocked(str(station.world.card), 1))
    station.pipeline.docked(station.event())
    assert "device.undocked" in station.events()
    assert removed_since(station.journal.ask, 0) == []


def test_files_that_failed_are_counted(station):
    station.world.copier.reasons[b"b.MP4"] = "read-error"
    docked_and_out(station)
    [found] = removed_since(station.journal.ask, 0)
    assert found.failed == 1
    assert "failed:1" in receipt(found, ORIGIN, found.undocked_ms, SHANGHAI)["warnings"]


def test_the_weakest_reading_back_is_the_level():
    assert visit(clip(), clip(reread="cached")).level == "cached"
    assert visit(clip(), clip()).level == "uncached"
    assert visit().level == ""


def test_the_officer_is_named_only_when_all_footage_agrees():
    assert visit(clip(), clip(officer="")).officer == "A00417"
    assert visit(clip(), clip(officer="A00418")).officer == ""


@pytest.mark.parametrize(("second_start", "gaps"), [(62_000, []), (62_001, [(60_000, 62_001)])])
def test_a_hole_between_chapters_of_one_recording_is_a_gap(second_start, gaps):
    chapters = clip(1, 59_999, recording="r", part=1), clip(second_start, 10_000, recording="r", part=2)
    assert visit(*reversed(chapters)).gaps_ms == gaps
    assert visit(chapters[0], replace(chapters[1], recording="s")).gaps_ms == []


def test_an_officers_number_is_shown_by_its_end_and_never_whole():
    assert [masked(n) for n in ("", "7", "17", "00417", "440100123456")] == [
        "",
        "***",
        "***7",
        "***17",
        "***3456",
    ]


def test_room_is_told_in_whole_hours_and_never_more_than_there_is():
    hour = 3_600_000_000
    spare = 64 << 20
    assert [room(spare + n, 8)["video_hours"] for n in (-1, 0, hour - 1, hour, 100 * hour)] == [0, 0, 0, 1, 100]


def test_the_day_begins_at_midnight_of_the_stations_zone():
    noon_ms = 1_795_320_000_000
    begun = midnight_ms(noon_ms, SHANGHAI)
    assert (begun + 8 * 3_600_000) % 86_400_000 == 0
    assert 0 <= noon_ms - begun < 86_400_000


def test_a_receipt_says_each_warning_and_its_number():
    chapters = clip(1, 59_999, recording="r", part=1), clip(120_000, 10_000, recording="r", part=2)
    told = receipt(visit(*chapters, offset_ms=-94_000), ORIGIN, 65_000, SHANGHAI)
    assert told["warnings"] == ["clock-offset:-94000", "gap:08:01:00–08:02:00"]
    assert told["number"] == {"log": ORIGIN, "seq": 7, "leaf": "ab" * 32}
    assert (told["left_s"], told["span"], told["officer"]) == (
        15,
        "01-01 08:00 – 01-01 08:02 +0800",
        "***417"[:3] + "417",
    )


def test_the_dockside_shows_the_officer_masked_and_forgets_a_receipt_after_twenty_seconds(tmp_path):
    world = World(tmp_path)
    world.put(NIGHT)
    station = world.start()
    (tmp_path / "s.toml").write_text(
        f'[station]\nid="s"\nauthority="custody.example"\n[paths]\ndata="."\n[keys]\nwitness="{VKEY}"\n[bays]\n1="usb-0:1:*"\n2="usb-0:2:*"\n'
    )
    dockside = Dockside(load(tmp_path / "s.toml"), station.journal, station.board)
    station.pipeline.docked(station.event())
    docked = [{"bay": 1, "state": "safe", "serial": "EC2300471"}, {"bay": 2, "state": "idle", "serial": ""}]

    def seen(serial="EC2300471", later_ms=0):
        now = station.world.clock.now()
        return dockside.seen(
            StationTime(now.utc_ms + later_ms, "ntp", "", 0), [{**docked[0], "serial": serial}, docked[1]]
        )

    first = seen()
    assert first["bays"] == {"1": {"officer": "***456", "mark": ""}, "2": {"mark": ""}}
    assert (first["dockings_today"], first["receipts"]) == (1, [])
    assert seen()["technician"]["ports"] == {
        "1": {"wanted": "usb-0:1:*", "found": "usb-0:1:1.0"},
        "2": {"wanted": "usb-0:2:*", "found": ""},
    }
    assert seen()["technician"]["cosigned"] == {"size": 0, "at_s": 0}
    assert seen(serial="other")["bays"]["1"] == {}
    assert seen(later_ms=86_400_000)["dockings_today"] == 0
    station.pipeline.undocked(RecorderUndocked(str(station.world.card), 1))
    assert [one["bay"] for one in seen()["receipts"]] == [1]
    assert [one["bay"] for one in seen(later_ms=19_000)["receipts"]] == [1]
    assert seen(later_ms=20_000)["receipts"] == []

"""What an enrolled station may sign, and a disk may do, without stopping the centre or speaking for others."""

import hashlib
import json

import pytest
from sqlalchemy import event, select, text

from custody.canonical import canonical_bytes
from custody.checkpoint import Checkpoint, sign_checkpoint
from custody.envelope import seal
from custody.messages import Records
from ingestd import judge
from ingestd.index import stations as rows_of
from ingestd.index import tables as t
from ingestd.pipeline import ReadBack, Received
from tests.fakes.centre_station import NOW_MS, SIZE, FakeStation, camera
from tests.fakes.centre_world import World

HOUR = 3_600_000


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation(), FakeStation("station-02", 2)]).started()
    yield made
    made.close()


@pytest.fixture
def station(world):
    return world.stations[0]


@pytest.fixture
def other(world):
    return world.stations[1]


def flags(world, state="open"):
    return {(flag.rule, flag.inputs.get("finding", "")) for flag in world.queries.flags(state).rows}


def files(world):
    with world.engine.connect() as connection:
        return sorted(connection.execute(select(t.seen_file.c.state)).scalars())


def records(station, first, note):
    message = Records(station.origin, first, tuple(station.entries[first:]), note)
    return Received(f"bwc/v1/{station.name}/records", message.encode())


def claim(station, object_id, name, content=b"x"):
    sha256 = hashlib.sha256(content).hexdigest()
    stored = {"id": object_id, "name": name, "size": len(content), "digests": {"sha256": sha256}}
    copy = {"reread_sha256": sha256, "reread": "uncached"}
    station.write("ingest.copied", camera=camera("RECB"), object=stored, source={"path": "p", "mtime_ms": 1}, copy=copy)


@pytest.mark.parametrize("same_batch", [True, False])
def test_nobody_takes_over_the_clip_of_another_station(world, station, other, same_batch):
    object_id = station.clip(NOW_MS - 50 * HOUR, officer_as_stated="999999")
    claim(other, object_id, next(iter(station.store)))
    other.described(object_id, NOW_MS - HOUR, officer_as_stated="012345")
    batches = [[station, other]] if same_batch else [[station], [other]]
    for batch in batches:
        world.pipeline.handle([one.message() for one in batch])

    row = world.queries.clip(object_id).row
    assert (row.station, row.officer, row.start_ms) == ("station-01", "999999", NOW_MS - 50 * HOUR)
    assert row.sha256 == station.digests[object_id]
    assert flags(world) == {("set-aside", "object-claimed-twice"), ("set-aside", "object-of-another-log")}


def test_no_station_brings_one_object_twice(world, station):
    object_id = station.copied()
    claim(station, object_id, next(iter(station.store)))

    world.pipeline.handle([station.message()])

    assert world.queries.clip(object_id).row.sha256 == station.digests[object_id]
    assert flags(world) == {("set-aside", "object-claimed-twice")}


def test_only_its_own_log_derives_from_a_clip_and_from_its_very_bytes(world, station, other):
    object_id = station.clip()
    own = station.proxied(object_id)
    station.proxied(object_id, b"other bytes")
    other.digests[object_id] = station.digests[object_id]
    other.utc_ms += HOUR
    other.proxied(object_id)

    world.pipeline.handle([station.message(), other.message()])

    assert [proxy.object_id for proxy in world.queries.clip(object_id).proxies] == [own]
    assert flags(world) == {("set-aside", "parent-differs"), ("set-aside", "object-of-another-log")}


def test_event_with_a_nul_is_an_entry_like_any_other(world, station):
    head = {"type": "bwc.custody/v1", "event": "later\0event", "record_id": station.uuid(), "log": station.origin}
    body = {**head, "seq": 0, "prev": "", "time": {"utc_ms": NOW_MS, "source": "ntp"}}
    station.entries.append(seal(canonical_bytes(body), [station.signer]))

    [answer] = world.pipeline.handle([records(station, 0, b"")])

    assert answer.receipts.size == 1
    world.restart()
    world.pipeline.start()


def test_place_outside_the_earth_is_no_place(world, station):
    object_id = station.clip(NOW_MS - HOUR, place={"lat_e7": 1_450_000_000, "lon_e7": 0, "accuracy_m": 1})

    world.pipeline.handle([station.message()])

    assert world.queries.clip(object_id).place is None


@pytest.mark.parametrize("fault", [ValueError, KeyError, OverflowError])
def test_entry_that_cannot_become_rows_is_set_aside_alone(world, station, monkeypatch, fault):
    good, bad, late = station.clip(), station.copied(path="bad"), None
    station.described(bad, case_as_stated="poison")
    late = station.clip()
    honest = rows_of.described

    def described(media, unmeasured_clock_ms):
        if media.get("case_as_stated") == "poison":
            raise fault("nobody can work with that")
        return honest(media, unmeasured_clock_ms)

    monkeypatch.setattr("ingestd.pipeline.described", described)
    [answer] = world.pipeline.handle([station.message()])
    world.restart()
    world.pipeline.start()

    assert answer.receipts.size == 6
    found = {one: world.queries.clip(one).row for one in (good, bad, late)}
    assert [row.status for row in found.values()] == ["indexed", "quarantined", "indexed"]
    assert found[bad].reason == "undecidable"
    assert flags(world) == {("set-aside", "undecidable")}


def test_clip_that_cannot_be_linked_is_set_aside_alone(world, station, monkeypatch):
    good, bad = station.clip(), station.clip(case_as_stated="poison")
    honest = judge.link.decide

    def decide(clip, actions):
        if clip.case_stated == "poison":
            raise ValueError("math domain error")
        return honest(clip, actions)

    monkeypatch.setattr("ingestd.judge.link.decide", decide)
    world.pipeline.handle([station.message()])

    assert [world.queries.clip(one).row.status for one in (good, bad)] == ["indexed", "quarantined"]
    assert flags(world) == {("set-aside", "undecidable")}


def test_action_that_cannot_be_judged_stops_no_other(world, monkeypatch):
    told = [
        {"id": name, "case": "C1", "type": "seizure", "start": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z"}
        for name in ("A1", "A2")
    ]
    document = {"actions": [{**one, "officers": ["1", "2"]} for one in told]}
    honest = judge.cover

    def cover(action, *others):
        if action.action_id == "A1":
            raise ValueError("nobody can work with that")
        return honest(action, *others)

    monkeypatch.setattr("ingestd.judge.cover", cover)
    world.pipeline.import_cases(json.dumps(document).encode(), "a.json")
    world.pipeline.sweep()

    assert flags(world) == {("set-aside", "undecidable"), ("missing-full-process-video", "")}


def test_clock_ahead_silences_nothing(world, station):
    station.utc_ms = NOW_MS + 365 * 24 * HOUR
    station.seen("lost.mp4")
    object_id = station.copied()
    world.pipeline.handle([station.message()])
    assert len(world.pipeline.checks_due(10)) == 1

    world.clock.ms += 48 * HOUR
    world.pipeline.sweep()
    world.pipeline.record_checks([ReadBack(object_id, missing=True)])

    assert {rule for rule, _ in flags(world)} == {"clip-not-arrived", "original-not-as-recorded"}


def test_receipt_rests_on_what_was_signed_not_on_a_row(world, station):
    object_id = station.copied()
    world.pipeline.handle([station.message()])
    faked = hashlib.sha256(b"faked").hexdigest()
    with world.engine.begin() as connection:
        connection.execute(text("update clip set sha256 = :sha256, size = 5"), {"sha256": faked})

    world.pipeline.record_checks([ReadBack(object_id, 5, faked)])

    assert "central.verified" not in world.events()
    assert {rule for rule, _ in flags(world)} == {"original-not-as-recorded"}


def test_bad_checkpoint_keeps_no_good_entry_out_and_every_such_message_is_kept(world, station):
    for _ in range(2):
        first = len(station.entries)
        station.clip()
        world.pipeline.handle([records(station, first, b"garbage")])

    assert world.queries.summary().clips.indexed == 2
    assert world.queries.summary().messages_quarantined == 2
    assert len(list((world.folder / "quarantine").iterdir())) == 2


@pytest.mark.parametrize("more", [False, True])
def test_second_root_of_one_size_is_seen(world, station, more):
    station.clip()
    world.pipeline.handle([station.message()])
    forged = sign_checkpoint(Checkpoint(station.origin, 2, b"\1" * 32), station.signer)
    if more:
        station.clip()
        world.pipeline.handle([station.message(2, checkpoint=False)])

    world.pipeline.handle([records(station, 0, forged)])

    assert flags(world) == {("message-unverifiable", "root-mismatch")}


@pytest.mark.parametrize("split", [False, True])
def test_file_that_failed_and_is_seen_again_is_waited_for(world, station, split):
    station.seen("1.MP4")
    station.failed("1.MP4")
    if split:
        world.pipeline.handle([station.message()])
    station.seen("1.MP4")
    world.pipeline.handle([station.message(2 if split else 0)])
    assert files(world) == ["pending"]

    world.clock.ms += 48 * HOUR
    world.pipeline.sweep()

    assert flags(world) == {("clip-not-arrived", "")}


def test_other_file_under_the_same_name_and_time_is_another_file(world, station):
    station.seen("1.MP4")
    station.copied("1.MP4")
    other_file = {"path": "1.MP4", "size": SIZE + 1, "mtime_ms": NOW_MS - 9_000_000}
    station.write("ingest.seen", camera=camera("REC1"), files=[other_file])

    world.pipeline.handle([station.message()])

    assert files(world) == ["copied", "pending"]


def test_damaged_mirror_sets_its_station_aside_and_the_others_are_served(world, station, other):
    station.clip()
    other.clip()
    world.pipeline.handle([station.message(checkpoint=False), other.message()])
    world.files["station-01"].data[50] ^= 1
    other.clip()
    world.restart()
    world.pipeline.start()

    answers = world.pipeline.handle([station.message(), other.message()])

    assert [(answer.station, answer.receipts.size) for answer in answers] == [("station-02", 4)]
    assert flags(world) == {("set-aside", "mirror-mismatch")}

    world.files["station-01"].data[50] ^= 1
    world.restart()
    assert len(world.pipeline.handle([station.message(), other.message()])) == 2
    assert flags(world) == set()


def test_crash_at_the_commit_clears_no_flag_twice(world, station):
    station.seen("1.MP4")
    world.pipeline.handle([station.message()])
    world.clock.ms += 48 * HOUR
    world.pipeline.sweep()
    station.copied("1.MP4")
    cuts = [OSError("power cut")]

    def cut(_connection):
        if cuts:
            raise cuts.pop()

    event.listen(world.engine, "commit", cut)
    with pytest.raises(OSError, match="power cut"):
        world.pipeline.handle([station.message()])
    event.remove(world.engine, "commit", cut)
    world.restart()
    world.pipeline.start()

    assert [one for one in world.events() if one.startswith("flag")] == ["flag.set", "flag.cleared"]


def test_entry_that_is_no_longer_as_signed_gives_no_receipt_and_blames_no_original(world, station):
    station.clip()
    world.pipeline.handle([station.message()])
    world.restart()
    world.pipeline.start()
    world.files["station-01"].data[50] ^= 1

    world.pipeline.record_checks(world.read_back())
    world.pipeline.sweep()

    assert "central.verified" not in world.events()
    assert flags(world) == {("set-aside", "mirror-mismatch")}
    assert world.events().count("flag.cleared") == 0

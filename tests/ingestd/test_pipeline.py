"""One unit of work after another, over both databases; the logs lie in memory."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text, update

from custody.checkpoint import COSIGNATURE, NoteKey, parse_note
from custody.heartbeat import Heartbeat
from custody.messages import Records
from custody.receipt import covers, read_receipt
from ingestd.catalogue import Catalogue
from ingestd.errors import DatabaseError, StateError
from ingestd.heartbeats import Heartbeats
from ingestd.index import tables as t
from ingestd.index.database import open_engine
from ingestd.index.queries import ClipFilter
from ingestd.model import MAX_CLIP_MS, Level
from ingestd.pipeline import Places, ReadBack, Received
from tests.custody.test_heartbeat import WELL
from tests.fakes.centre_station import AUTHORITY, NOW_MS, FakeStation, camera
from tests.fakes.centre_world import ORIGIN, SIGNER, WITNESS, World

HOUR = 3_600_000
START = NOW_MS - 40 * HOUR


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation(), FakeStation("station-02", 2)]).started()
    yield made
    made.close()


@pytest.fixture
def station(world):
    return world.stations[0]


SECOND = "000013"
"""The other officer of every act, who wears no recorder: two have to be there."""


def registers(officer="000001", action="A1", minutes=10, start=START, assignments=()):
    def moment(ms):
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    told = {
        "officers": [{"number": number, "name": f"甲{number}"} for number in ("000001", "000002", SECOND)],
        "recorders": [{"serial": "REC1"}, {"serial": "REC2"}],
        "cases": [{"number": "案〔2026〕1号", "title": "查封"}],
        "assignments": [
            {"recorder": recorder, "officer": who, "start": moment(since)} for recorder, who, since in assignments
        ],
        "actions": [
            {
                "id": action,
                "case": "案〔2026〕1号",
                "type": "seizure",
                "start": moment(start),
                "end": moment(start + minutes * 60_000),
                "officers": [officer, SECOND],
            }
        ],
    }
    return json.dumps(told, ensure_ascii=False).encode()


def load(world, **changes):
    imported, changed = world.pipeline.import_cases(registers(**changes), "cases.json")
    assert imported.errors == ()
    return changed


def flags(world, state="open"):
    return {flag.flag_id: flag for flag in world.queries.flags(state).rows}


def test_answer_carries_the_newest_checkpoint_of_the_centre_log(world, station):
    station.clip(START)
    [first] = world.pipeline.handle([station.message()])
    signed = world.pipeline.checkpoint()
    station.clip(START)
    [later] = world.pipeline.handle([station.message(2)])

    assert (first.receipts.centre, later.receipts.centre) == (b"", signed.note)


def test_clip_is_indexed_and_answered(world, station):
    object_id = station.clip(START)

    [answer] = world.pipeline.handle([station.message()])

    assert (answer.station, answer.receipts.size, answer.receipts.entries) == ("station-01", 2, ())
    row = world.queries.clip(object_id).row
    assert (row.status, row.verdict, row.start_ms, row.links) == ("indexed", "unchecked", START, 0)
    assert world.events() == ["station.enrolled", "station.enrolled", "station.entries"]


def test_answer_carries_the_checkpoint_cosigned_by_the_witness(world, station):
    station.clip()

    [answer] = world.pipeline.handle([station.message()])

    note = parse_note(answer.receipts.cosigned)
    witness = NoteKey(f"{AUTHORITY}/centre-witness", WITNESS.verify_key(), COSIGNATURE)
    assert note.verify([witness]) == {witness.name: NOW_MS // 1000}
    assert note.verify([station.enrolled.note_key])
    assert note.checkpoint.size == 2


def test_same_message_twice_is_indexed_once_and_answered_again(world, station):
    station.clip()
    message = station.message()
    world.pipeline.handle([message, message])
    before = world.events()

    [answer] = world.pipeline.handle([message])

    assert answer.receipts.size == 2
    assert answer.receipts.cosigned
    assert world.events() == before
    assert world.queries.summary().clips.indexed == 1


def test_receipt_after_the_store_was_read_back_and_again_when_asked(world, station):
    object_id = station.clip()
    world.pipeline.handle([station.message()])

    [answer] = world.pipeline.record_checks(world.read_back())
    [again] = world.pipeline.handle([station.message()])

    [entry] = answer.receipts.entries
    receipt = read_receipt(entry, ORIGIN, [SIGNER.verify_key()])
    row = world.queries.clip(object_id).row
    assert covers(receipt, station.origin, object_id, row.size_bytes, row.sha256)
    assert row.verdict == "verified"
    assert again.receipts.entries == (entry,)
    assert world.pipeline.checks_due(10) == []


def test_verified_twice_is_one_receipt(world, station):
    station.clip()
    world.pipeline.handle([station.message()])
    results = world.read_back()

    world.pipeline.record_checks(results)
    world.pipeline.record_checks(results)

    assert world.events().count("central.verified") == 1


def test_other_digest_is_a_finding_a_flag_and_no_receipt(world, station):
    object_id = station.clip()
    world.pipeline.handle([station.message()])
    [right] = world.read_back()
    wrong = ReadBack(object_id, right.size, "ab" * 32)

    assert world.pipeline.record_checks([wrong]) == []
    assert world.pipeline.record_checks([wrong]) == []

    assert world.events()[-2:] == ["integrity.checked", "flag.set"]
    assert set(flags(world)) == {f"original-not-as-recorded:{object_id}"}
    assert world.queries.clip(object_id).row.verdict == "failed"
    assert world.pipeline.handle([station.message()])[0].receipts.entries == ()


def test_right_digest_but_other_size_is_a_finding(world, station):
    object_id = station.clip()
    world.pipeline.handle([station.message()])
    [right] = world.read_back()

    world.pipeline.record_checks([ReadBack(object_id, right.size + 1, right.sha256)])

    assert world.queries.clip(object_id).row.verdict == "failed"


def test_missing_object_is_waited_for_then_flagged_then_cleared(world, station):
    object_id = station.clip()
    world.pipeline.handle([station.message()])
    results = world.read_back()
    world.clock.ms = station.utc_ms + 10_000

    world.pipeline.record_checks([ReadBack(object_id, missing=True)])
    assert flags(world) == {}
    assert world.pipeline.checks_due(10) == []

    world.clock.ms += 2 * HOUR
    assert [row["object_id"] for row in world.pipeline.checks_due(10)] == [object_id]
    world.pipeline.record_checks([ReadBack(object_id, missing=True)])
    assert set(flags(world)) == {f"original-not-as-recorded:{object_id}"}
    assert world.queries.clip(object_id).row.verdict == "missing"

    [answer] = world.pipeline.record_checks(results)
    assert len(answer.receipts.entries) == 1
    assert flags(world) == {}
    assert world.events()[-2:] == ["central.verified", "flag.cleared"]


def test_unreadable_store_changes_nothing_but_the_next_attempt(world, station):
    object_id = station.clip()
    world.pipeline.handle([station.message()])
    before = world.events()

    world.pipeline.record_checks([ReadBack(object_id, unreadable="503")])

    assert world.events() == before
    assert world.pipeline.checks_due(10) == []


def test_original_that_cannot_be_read_for_long_is_flagged_and_withdrawn_when_it_can(world, station):
    object_id = station.copied()
    world.pipeline.handle([station.message()])
    world.clock.ms = station.utc_ms + HOUR

    for _ in range(2):
        world.pipeline.record_checks([ReadBack(object_id, unreadable="EIO")])

    [flag] = flags(world).values()
    assert (flag.rule, flag.inputs["found"]) == ("original-not-as-recorded", "unreadable")
    assert world.events().count("integrity.checked") == 1
    world.clock.ms += HOUR
    world.pipeline.record_checks(world.read_back())
    assert flags(world) == {}
    assert world.queries.clip(object_id).row.verdict == "verified"


def test_altered_original_stays_altered_while_the_store_is_away(world, station):
    object_id = station.copied()
    world.pipeline.handle([station.message()])
    world.pipeline.record_checks([ReadBack(object_id, 1, "00" * 32)])
    world.clock.ms += 9 * HOUR

    world.pipeline.record_checks([ReadBack(object_id, unreadable="503")])

    assert world.queries.clip(object_id).row.verdict == "failed"


@pytest.mark.parametrize(
    "found", [{"missing": True}, {"unreadable": "EIO"}, {"size": 1, "sha256": "00" * 32}], ids=lambda f: next(iter(f))
)
@pytest.mark.parametrize("crash", [False, True])
def test_act_is_not_covered_by_an_original_that_is_not_as_recorded(world, station, found, crash):
    load(world)
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    assert flags(world) == {}
    world.clock.ms += 30 * HOUR

    checks = [ReadBack(object_id, **found)]
    if crash:
        crash_before_commit(world, lambda: world.pipeline.record_checks(checks))
        world.pipeline.start()
    else:
        world.pipeline.record_checks(checks)

    assert {flag.rule for flag in flags(world).values()} == {"original-not-as-recorded", "missing-full-process-video"}
    coverage = world.queries.action("A1").coverage
    assert (coverage.nominal_ppm, [gap.reason for gap in coverage.gaps]) == (0, ["original-not-as-recorded"])

    world.clock.ms += HOUR
    world.pipeline.record_checks(world.read_back())
    assert flags(world) == {}
    assert world.queries.action("A1").coverage.nominal_ppm == 1_000_000


def crash_before_commit(world, step):
    """The step's entries are in the logs, its rows are not; the centre is started anew."""
    armed = [True]

    def fail(_connection):
        if armed:
            armed.clear()
            raise OSError("power cut")

    event.listen(world.engine, "commit", fail)
    with pytest.raises(OSError, match="power cut"):
        step()
    event.remove(world.engine, "commit", fail)
    world.restart()


@pytest.mark.parametrize("clip_first", [True, False])
def test_clip_of_days_has_no_time_whichever_came_first(world, station, clip_first):
    object_id = station.clip(START, MAX_CLIP_MS + 1, officer_as_stated="000001")
    steps = [lambda: world.pipeline.handle([station.message()]), lambda: load(world, start=START + 40 * HOUR)]
    for step in steps if clip_first else reversed(steps):
        step()

    row = world.queries.clip(object_id).row
    assert (row.start_ms, row.links) == (None, 0)
    assert row.problems == ("duration-implausible",)


def test_longest_clip_is_linked_whichever_came_first(world, station):
    object_id = station.clip(START, MAX_CLIP_MS, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    load(world, start=START + MAX_CLIP_MS - 60_000)

    assert world.queries.clip(object_id).row.links == 1


@pytest.mark.parametrize("ledger_first", [True, False])
def test_first_ledger_explains_gaps_whichever_came_first(world, ledger_first):
    ledger = b"recorder,officer,start\nREC9,000009,2026-11-01T00:00:00Z\n"
    steps = [lambda: world.pipeline.import_cases(ledger, "ledger.csv"), lambda: load(world)]
    for step in steps if ledger_first else reversed(steps):
        step()

    assert [gap.reason for gap in world.queries.action("A1").coverage.gaps] == ["recorder-missing"]


@pytest.mark.parametrize("catalogue", [{}, None])
def test_import_done_again_after_a_crash_is_what_it_was(world, catalogue):
    crash_before_commit(world, lambda: load(world))
    settings = world.pipeline._settings
    seizure = settings.catalogue.types["seizure"]
    types = {"seizure": replace(seizure, level=Level.TEXT)} if catalogue is None else catalogue
    world.pipeline._settings = replace(settings, catalogue=Catalogue("other", types))

    world.pipeline.start()

    assert world.queries.action("A1").action.level is Level.FULL


def test_resolved_import_that_was_altered_stops(world):
    crash_before_commit(world, lambda: load(world))
    [path] = (world.folder / "imports").glob("*.resolved.json")
    path.write_bytes(path.read_bytes().replace(b"000001", b"000002"))

    with pytest.raises(StateError, match="not what was imported"):
        world.pipeline.start()

    path.unlink()
    with pytest.raises(StateError, match="restore it"):
        world.pipeline.start()


def test_act_of_many_officers_can_be_flagged(world):
    many = "、".join(f"officer-number-{number:040d}" for number in range(50))
    row = f"A9,C1,seizure,2026-11-01T00:00:00Z,2026-11-01T01:00:00Z,{many}\n"
    world.pipeline.import_cases(f"action_id,case,type,start,end,officers\n{row}".encode(), "a.csv")

    world.pipeline.sweep()

    assert [flag.action_id for flag in flags(world).values()] == ["A9"]


def test_bad_message_is_kept_flagged_and_spoils_no_other(world, station):
    station.clip()
    other = world.stations[1]
    other.clip()
    bad = Received("bwc/v1/station-01/records", b"not a message")

    answers = world.pipeline.handle([bad, station.message(), bad, other.message()])

    assert {answer.station for answer in answers} == {"station-01", "station-02"}
    summary = world.queries.summary()
    assert (summary.clips.indexed, summary.messages_quarantined, summary.open_flags) == (2, 1, 1)
    [kept] = (world.folder / "quarantine").iterdir()
    assert kept.read_bytes() == b"not a message"
    assert next(iter(flags(world).values())).rule == "message-unverifiable"


def test_bad_message_sent_again_and_again_is_one_quarantine_and_another_is_kept_too(world, station):
    station.clip()
    forged = FakeStation(seed=9)
    forged.clip()
    for count in (1, 2, 1, 2):
        bad = Records(station.origin, 2, tuple(forged.entries[:count]), b"")
        world.pipeline.handle([station.message(), Received("bwc/v1/station-01/records", bad.encode())])

    assert world.queries.summary().messages_quarantined == 2
    assert world.events().count("message.quarantined") == 2
    assert len(list((world.folder / "quarantine").iterdir())) == 2


def test_good_part_of_a_bad_message_is_kept(world, station):
    station.clip()
    station.clip()
    entries = (*station.entries[:3], station.entries[0])
    message = Records(station.origin, 0, entries, b"")

    [answer] = world.pipeline.handle([Received("bwc/v1/station-01/records", message.encode())])

    assert answer.receipts.size == 3
    assert world.queries.summary().messages_quarantined == 1


def test_unknown_station_gets_no_answer(world):
    stranger = FakeStation("station-99", 99)
    stranger.clip()

    assert world.pipeline.handle([stranger.message()]) == []
    assert world.queries.summary().messages_quarantined == 1


def test_gap_is_answered_with_where_to_go_on(world, station):
    station.clip()
    station.clip()

    [answer] = world.pipeline.handle([station.message(2)])

    assert answer.receipts.size == 0
    assert world.queries.summary().messages_quarantined == 0
    assert world.pipeline.handle([station.message()])[0].receipts.size == 4


def test_found_is_offloaded_and_failed(world, station):
    station.seen("a.mp4", "b.mp4", "c.mp4")
    station.copied("a.mp4")
    station.failed("b.mp4")

    world.pipeline.handle([station.message()])

    counts = world.queries.summary().clips
    assert (counts.found, counts.offloaded, counts.failed) == (3, 1, 1)


def test_file_that_failed_first_and_was_copied_later_is_copied(world, station):
    station.seen("a.mp4")
    station.failed("a.mp4")
    world.pipeline.handle([station.message()])
    station.seen("a.mp4")
    station.copied("a.mp4")
    station.failed("a.mp4")

    world.pipeline.handle([station.message(2)])

    counts = world.queries.summary().clips
    assert (counts.found, counts.offloaded, counts.failed) == (1, 1, 0)


def test_seen_and_never_arrived_is_flagged_and_withdrawn_on_arrival(world, station):
    station.seen("a.mp4", "b.mp4")
    world.pipeline.handle([station.message()])
    world.pipeline.sweep()
    assert flags(world) == {}

    world.clock.ms += 25 * HOUR
    assert world.pipeline.sweep() == 2
    assert world.pipeline.sweep() == 0
    assert {flag.rule for flag in flags(world).values()} == {"clip-not-arrived"}

    station.copied("a.mp4")
    station.failed("b.mp4")
    world.pipeline.handle([station.message(1)])
    assert flags(world) == {}
    assert len(flags(world, "cleared")) == 2


@pytest.mark.parametrize(
    ("media", "status", "reason"),
    [
        ({"kind": "empty"}, "quarantined", "zero-byte"),
        ({"kind": "other"}, "quarantined", "unknown-content"),
        ({"kind": "nonsense"}, "quarantined", "unknown-content"),
        ({"kind": "video", "playable": "no"}, "quarantined", "unreadable-media"),
        ({"kind": "audio", "problems": ["moov-missing"]}, "quarantined", "unreadable-media"),
        ({"kind": "sidecar", "playable": "no"}, "indexed", ""),
        ({"kind": "image", "playable": "unknown"}, "indexed", ""),
    ],
)
def test_every_clip_ends_indexed_or_quarantined_with_a_reason(world, station, media, status, reason):
    object_id = station.clip(**media)

    world.pipeline.handle([station.message()])

    row = world.queries.clip(object_id).row
    assert (row.status, row.reason) == (status, reason)


def test_odd_but_signed_facts_crash_nothing(world, station):
    station.write("ingest.seen", camera="no object", files=[{"path": "x", "size": 0}])
    # Random letters, for PostgreSQL compresses what repeats and would take an index entry that is too long otherwise.
    long = {"path": "\u0000" + "".join(station.random.choices("执法记录仪音像", k=9000)), "size": 1, "mtime_ms": "x"}
    station.write("ingest.seen", camera=camera("R\u0000"), files=[long])
    object_id = station.copied("\u0000\n../x", recorder="长" * 4000)
    station.write("media.described", object=station._object(object_id), media="none")
    station.write("media.described", object=station._object(object_id), media={"start": [], "place": {"lat_e7": 1}})
    station.write("proxy.failed", parents="x", reason="y")
    station.proxied(object_id)
    world.clock.ms += 48 * HOUR

    world.pipeline.handle([station.message()])
    world.pipeline.sweep()

    assert world.queries.summary().messages_quarantined == 0
    assert world.queries.clip(object_id).row.status == "quarantined"


def test_no_station_describes_the_clip_of_another(world, station):
    object_id = station.clip(START)
    world.pipeline.handle([station.message()])
    other = world.stations[1]
    other.described(object_id, START + HOUR)

    world.pipeline.handle([other.message()])

    assert world.queries.clip(object_id).row.start_ms == START


def test_device_clock_is_corrected_by_its_offset(world, station):
    start = {"utc_ms": START + 5000, "source": "container", "clock": "device", "uncertainty_ms": 100}
    measured = station.clip(start=start, clock={"offset_ms": 5000, "uncertainty_ms": 20, "method": "mtime"})
    unmeasured = station.clip(start=start, clock={"offset_ms": None, "uncertainty_ms": None, "method": "none"})

    world.pipeline.handle([station.message()])

    first, second = world.queries.clip(measured).row, world.queries.clip(unmeasured).row
    assert (first.start_ms, first.uncertainty_ms) == (START, 120)
    assert (second.start_ms, second.uncertainty_ms) == (START + 5000, 60_100)


@pytest.mark.parametrize(
    ("station_said", "uncertainty_ms"),
    [
        ({}, 120),
        ({"station": {"source": "chrony", "synchronised": "yes", "offset_ms": -2, "uncertainty_ms": 7}}, 127),
        ({"station": {"source": "kernel", "synchronised": "no", "offset_ms": None, "uncertainty_ms": None}}, 60_120),
        ({"station": "well"}, 60_120),
        ({"station": {"uncertainty_ms": -90_000}}, 120),
    ],
    ids=["an earlier station", "synchronised", "not synchronised", "nonsense", "better than right"],
)
def test_a_clock_held_against_a_doubtful_one_is_no_surer_than_that(world, station, station_said, uncertainty_ms):
    start = {"utc_ms": START + 5000, "source": "container", "clock": "device", "uncertainty_ms": 100}
    measured = {"offset_ms": 5000, "uncertainty_ms": 20, "method": "connect-write", **station_said}
    object_id = station.clip(start=start, clock=measured)
    unmeasured = station.clip(start=start, clock={"offset_ms": None, "uncertainty_ms": None, **station_said})
    world.pipeline.handle([station.message()])
    row = world.queries.clip(object_id).row
    assert (row.start_ms, row.uncertainty_ms) == (START, uncertainty_ms)
    assert world.queries.clip(unmeasured).row.uncertainty_ms == 60_100, "the station's clock took no part"


@pytest.mark.parametrize("first", ["clip", "register"])
def test_six_characters_of_a_recorder_mean_the_one_officer_whose_number_ends_so(world, station, first):
    long = json.dumps({"officers": [{"number": "19090114007", "name": "甲"}]}).encode()
    if first == "register":
        world.pipeline.import_cases(long, "officers.json")
    object_id = station.clip(START, 5 * 60_000, officer_as_stated="114007")
    world.pipeline.handle([station.message()])
    world.pipeline.import_cases(long, "officers.json")
    assert world.queries.clip(object_id).row.officer == "19090114007"

    other = json.dumps({"officers": [{"number": "77114007", "name": "乙"}]}).encode()
    world.pipeline.import_cases(other, "more.json")
    assert world.queries.clip(object_id).row.officer == "114007", "two officers could be meant, so neither is"


def test_clip_is_linked_covered_and_the_hole_flagged(world, station):
    load(world)
    object_id = station.clip(START, 5 * 60_000, officer_as_stated="000001")

    world.pipeline.handle([station.message()])

    detail = world.queries.action("A1")
    assert [link.object_id for link in detail.links] == [object_id]
    assert detail.coverage.nominal_ppm == 500_000
    assert [flag.rule for flag in detail.flags if flag.state == "open"] == ["full-process-gap"]
    assert world.queries.clip(object_id).links[0].log_seq == world.events().index("case.linked")
    assert world.queries.clips(ClipFilter(linked=True)).rows[0].object_id == object_id
    assert world.queries.clips(ClipFilter(linked=False)).rows == ()


def test_actions_imported_after_the_clip_find_it(world, station):
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])

    load(world)

    detail = world.queries.action("A1")
    assert [link.object_id for link in detail.links] == [object_id]
    assert detail.coverage.nominal_ppm == 1_000_000
    assert flags(world) == {}


def test_missing_video_is_flagged_and_withdrawn_when_it_comes(world, station):
    load(world)
    assert [flag.rule for flag in flags(world).values()] == ["missing-full-process-video"]

    station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])

    assert flags(world) == {}
    assert world.events()[-2:] == ["case.linked", "flag.cleared"]


def test_no_flag_before_grace_has_run_out_and_the_sweep_brings_it(world):
    load(world, start=NOW_MS - 13 * HOUR)
    assert flags(world) == {}

    world.clock.ms += 25 * HOUR
    assert world.pipeline.sweep() == 1
    assert world.pipeline.sweep() == 0

    assert [flag.rule for flag in flags(world).values()] == ["missing-full-process-video"]


def test_measure_at_night_is_noticed_and_withdrawn_when_its_time_is_corrected(world):
    load(world, start=NOW_MS - 2 * HOUR)  # 02:40 in Shanghai
    assert list(flags(world)) == ["measure-at-unusual-time:A1"]
    load(world, start=NOW_MS - 13 * HOUR)
    assert flags(world) == {}


def test_second_recorder_stands_for_a_second_officer(world, station):
    alone = registers().replace(f', "{SECOND}"]'.encode(), b"]")
    for recorder in ("REC1", "REC2"):
        station.clip(START, 10 * 60_000, recorder=recorder, officer_as_stated="000001")
        if recorder == "REC1":
            world.pipeline.handle([station.message()])
            world.pipeline.import_cases(alone, "cases.json")
            assert list(flags(world)) == ["fewer-than-two-officers:A1"]
    world.pipeline.handle([station.message()])
    assert flags(world) == {}


def test_silent_station_is_flagged_until_it_speaks_again(world, station):
    station.clip(START)
    world.pipeline.handle([station.message()])
    world.clock.ms += 6 * 24 * HOUR
    world.pipeline.sweep()
    assert not [flag for flag in flags(world).values() if flag.rule == "silent-station"]

    world.clock.ms += 2 * 24 * HOUR
    world.pipeline.sweep()
    world.pipeline.sweep()
    silent = f"silent-station:{station.origin}"
    assert silent in flags(world)
    assert world.events().count("flag.set") == len(flags(world)), "once for each station"

    station.utc_ms = world.clock.ms
    station.clip(START)
    world.pipeline.handle([station.message()])
    world.pipeline.sweep()
    assert silent not in flags(world)


def test_a_heartbeat_breaks_the_silence_only_of_a_station_whose_log_is_here(world, station):
    station.clip(START)
    world.pipeline.handle([station.message()])
    held = world.queries.mirrors()[0].size
    world.clock.ms += 8 * 24 * HOUR
    heartbeats = Heartbeats(Places.under(world.folder).heartbeats, world.clock.now_ms)
    silent = f"silent-station:{station.origin}"

    said = Heartbeat(online=True, health=replace(WELL, log_entries=held + 1))
    heartbeats.take(station.name, said.encode(), retained=False)
    world.pipeline.sweep()
    assert silent in flags(world), "it has entries that never came"

    said = Heartbeat(online=True, health=replace(WELL, log_entries=held))
    heartbeats.take(station.name, said.encode(), retained=False)
    world.pipeline.sweep()
    assert silent not in flags(world)

    world.clock.ms += 8 * 24 * HOUR
    world.pipeline.sweep()
    assert silent in flags(world)


def test_year_without_a_calendar_is_told(world):
    world.clock.ms += 400 * 24 * HOUR
    world.pipeline.sweep()
    assert "calendar-missing:2027" in flags(world)


def test_action_that_moves_away_is_unlinked_with_a_reason(world, station):
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    load(world)

    load(world, start=START - 6 * HOUR)

    assert world.queries.clip(object_id).links == ()
    assert "case.unlinked" in world.events()
    assert [flag.rule for flag in flags(world).values()] == ["missing-full-process-video"]


def test_ledger_decides_and_its_change_relinks(world, station):
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000002")
    world.pipeline.handle([station.message()])
    load(world, assignments=[("REC1", "000001", START - HOUR)])
    row = world.queries.clip(object_id).row
    assert (row.officer, row.officer_source, row.links) == ("000001", "ledger", 1)

    load(world, assignments=[("REC1", "000002", START - HOUR)])

    row = world.queries.clip(object_id).row
    assert (row.officer, row.links) == ("000002", 0)


def test_manual_link_is_never_undone_by_the_machine(world, station):
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    load(world)
    with world.engine.begin() as connection:
        connection.execute(update(t.link).values(method="manual"))

    load(world, start=START - 6 * HOUR)

    assert [link.method for link in world.queries.clip(object_id).links] == ["manual"]


def test_manual_link_stays_manual_where_the_machine_would_link_too(world, station):
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    load(world)
    with world.engine.begin() as connection:
        connection.execute(update(t.link).values(method="manual"))
    station.described(object_id, START, 9 * 60_000, officer_as_stated="000001")

    world.pipeline.handle([station.message(2)])

    assert [link.method for link in world.queries.clip(object_id).links] == ["manual"]
    assert world.events().count("case.linked") == 1


def test_same_description_again_decides_nothing_anew(world, station):
    load(world)
    object_id = station.clip(START, 5 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    before = world.events()
    station.described(object_id, START, 5 * 60_000, officer_as_stated="000001")

    world.pipeline.handle([station.message(2)])

    assert world.events() == [*before, "station.entries"]


def test_better_description_changes_the_flag_not_the_link(world, station):
    load(world)
    object_id = station.clip(START, 5 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    before = world.events()
    station.described(object_id, START, 7 * 60_000, officer_as_stated="000001")

    world.pipeline.handle([station.message(2)])

    assert world.events() == [*before, "station.entries", "flag.changed"]
    assert world.queries.action("A1").coverage.nominal_ppm == 700_000


def test_import_twice_is_one_entry_and_a_dry_run_none(world):
    world.pipeline.import_cases(registers(), "cases.json", dry_run=True)
    assert "cases.imported" not in world.events()
    load(world)
    before = world.events()

    changed = load(world)

    assert changed.actions == ()
    assert world.events() == before
    assert before.count("cases.imported") == 1
    assert len(list((world.folder / "imports").glob("*.resolved.json"))) == 1
    assert len(list((world.folder / "imports").iterdir())) == 2


def test_import_with_a_wrong_row_imports_nothing(world):
    data = registers().replace(b'"seizure"', b'"dancing"')

    imported, _ = world.pipeline.import_cases(data, "cases.json")

    assert imported.errors
    assert world.queries.cases().rows == ()
    assert list((world.folder / "imports").iterdir()) == []


def test_nothing_new_writes_nothing(world, station):
    load(world)
    station.clip(START, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    before = world.events()

    world.pipeline.handle([station.message()])
    world.pipeline.sweep()
    world.pipeline.handle([])

    assert world.events() == before


def test_empty_database_beside_a_log_stops(world, station, tmp_path):
    station.clip()
    world.pipeline.handle([station.message()])
    world.close()
    world.engine = open_engine(f"sqlite:///{tmp_path / 'another.db'}")
    world.restart()

    with pytest.raises(StateError, match="the database is empty, but the log"):
        world.pipeline.start()


def test_log_shorter_than_the_tables_stops(world, station):
    world.files["centre"].data.clear()
    world.files["centre"].small.clear()
    world.restart()

    with pytest.raises(StateError, match="the database holds 2 entries"):
        world.pipeline.start()


def test_mirror_shorter_than_the_tables_stops(world, station):
    station.clip()
    world.pipeline.handle([station.message(checkpoint=False)])
    world.files["station-01"].data.clear()
    world.restart()

    with pytest.raises(StateError, match=r"the mirror of custody\.example/station-01 has 0 entries"):
        world.pipeline.start()


def test_station_with_another_key_than_it_was_enrolled_with_stops(world):
    world.stations[0] = FakeStation(seed=77)
    world.restart()

    with pytest.raises(StateError, match="was enrolled with"):
        world.pipeline.start()


def test_database_of_another_centre_stops(world):
    with world.engine.begin() as connection:
        connection.execute(update(t.state).values(origin="other.example/centre"))
    with pytest.raises(StateError, match="it is another centre's"):
        world.pipeline.start()


def test_database_error_is_ours_and_passes(world, station):
    station.clip()
    with world.engine.begin() as connection:
        connection.execute(text("ALTER TABLE clip RENAME TO hidden"))
    with pytest.raises(DatabaseError):
        world.pipeline.handle([station.message()])
    with world.engine.begin() as connection:
        connection.execute(text("ALTER TABLE hidden RENAME TO clip"))

    world.pipeline.handle([station.message()])

    assert world.queries.summary().clips.indexed == 1
    assert world.events().count("station.entries") == 1

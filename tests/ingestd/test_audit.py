"""The audit over real folders: every attack of the list that this form of the audit can see."""

import base64
import hashlib
from dataclasses import replace

import pytest

from custody.checkpoint import NoteKey, parse_note, sign_checkpoint
from custody.log import CHECKPOINT, SNAPSHOT, Log
from custody.record import Draft
from custody.signer import Ed25519Signer
from custody.verdicts import Finding, Outcome, Verdict
from ingestd.audit.applied import applied
from ingestd.audit.verify import Applied, Subject, audit
from ingestd.errors import DatabaseError, StoreError
from ingestd.store import EvidenceReader
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import ORIGIN, SIGNER, World
from tests.fakes.log_files import MemoryLogFiles

HEAD = {"type", "event", "record_id", "log", "seq", "prev", "time"}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", [FakeStation()]).started()
    yield made
    made.close()


@pytest.fixture
def subject(world, tmp_path):
    """Three originals and a proxy, all verified, all logs with checkpoints."""
    [station] = world.stations
    clips = [station.clip() for _ in range(3)]
    station.proxied(clips[0])
    for name, data in station.store.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    world.pipeline.handle([station.message()])
    world.pipeline.record_checks(world.read_back())
    world.pipeline.checkpoint()
    return Subject(
        centre=NoteKey(ORIGIN, SIGNER.verify_key()),
        stations=[station.enrolled],
        files=world.files.__getitem__,
        strangers=[],
        store=EvidenceReader(str(tmp_path / "store")),
        now_ms=world.clock.ms + 7_200_000,
        patience_ms=3_600_000,
    )


def stored(world, tmp_path, kind="originals"):
    [name, *_] = sorted(name for name in world.stations[0].store if name.startswith(kind))
    return tmp_path / "store" / name


def findings(report):
    return {bad.verdict for bad in report.findings}


def test_clean_evidence_is_verified(subject):
    report = audit(subject)

    facts = report.as_json()
    assert facts["ok"] is True
    assert (facts["verified"], facts["failed"], facts["missing"], facts["unchecked"], facts["unrecorded"]) == (
        3,
        0,
        0,
        0,
        0,
    )
    assert facts["proxies"]["verified"] == 1
    assert facts["findings"] == []
    assert [log["size"] for log in facts["logs"]] == [5, 7]


def test_any_flipped_byte_of_any_original_names_the_clip(subject, world, tmp_path):
    path = stored(world, tmp_path)
    right = path.read_bytes()
    for position in range(len(right)):
        wrong = bytearray(right)
        wrong[position] ^= 1
        path.write_bytes(wrong)
        report = audit(subject)
        [bad] = report.findings
        assert report.outcome is Outcome.NOT_AS_RECORDED
        assert (bad.verdict, bad.object_id, bad.path) == (Verdict.FAILED, path.stem, "DCIM/0.MP4")
        assert bad.name.endswith(path.name)


def test_two_swapped_files_are_two_failures(subject, world, tmp_path):
    first, second = sorted((tmp_path / "store" / "originals").rglob("*.MP4"))[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)

    assert audit(subject).originals == {Verdict.VERIFIED: 1, Verdict.FAILED: 2}


def test_altered_proxy_is_found(subject, world, tmp_path):
    stored(world, tmp_path, "proxies").write_bytes(b"another film")

    report = audit(subject)

    assert report.proxies == {Verdict.FAILED: 1}
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_removed_original_is_missing(subject, world, tmp_path):
    stored(world, tmp_path).unlink()

    report = audit(subject)

    assert report.as_json()["missing"] == 1
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_file_without_record_is_unrecorded(subject, world, tmp_path):
    path = stored(world, tmp_path)
    path.with_name(f"{FakeStation(seed=5).uuid()}.MP4").write_bytes(b"who am I")

    report = audit(subject)

    assert report.as_json()["unrecorded"] == 1
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_original_announced_a_moment_ago_is_unchecked(subject, world, tmp_path):
    [station] = world.stations
    station.clip()
    world.pipeline.handle([station.message()])

    fresh = audit(replace(subject, now_ms=station.utc_ms + 1000))
    later = audit(subject)

    assert fresh.originals == {Verdict.VERIFIED: 3, Verdict.UNCHECKED: 1}
    assert fresh.outcome is Outcome.COULD_NOT_CHECK
    assert later.originals == {Verdict.VERIFIED: 3, Verdict.MISSING: 1}


def test_original_with_a_receipt_is_missing_however_fresh(subject, world, tmp_path):
    stored(world, tmp_path).unlink()

    report = audit(replace(subject, now_ms=world.stations[0].utc_ms + 1000))

    assert report.originals[Verdict.MISSING] == 1


def test_proxy_on_its_way_counts_as_nothing(subject, world, tmp_path):
    [station] = world.stations
    stored(world, tmp_path, "proxies").unlink()

    assert audit(replace(subject, now_ms=station.utc_ms + 1000)).outcome is Outcome.OK
    assert audit(subject).outcome is Outcome.NOT_AS_RECORDED


def test_nothing_to_check_is_never_ok(world, subject):
    world.files["station-01"].data.clear()
    world.files["station-01"].small.clear()
    for path in (world.folder / "store").rglob("*.*"):
        path.unlink()

    assert audit(replace(subject, files=lambda _: type(world.files["centre"])())).outcome is Outcome.COULD_NOT_CHECK
    assert audit(subject).outcome is Outcome.NOT_AS_RECORDED


def test_any_flipped_byte_of_a_log_is_found(subject, world):
    for name in ("centre", "station-01"):
        data = world.files[name].data
        for position in range(0, len(data), 97):
            data[position] ^= 1
            assert audit(subject).outcome is not Outcome.OK, (name, position)
            data[position] ^= 1
    assert audit(subject).outcome is Outcome.OK


@pytest.mark.parametrize("name", ["centre", "station-01"])
def test_log_cut_short_is_truncated(subject, world, name):
    files = world.files[name]
    files.data = files.data[: files.data.rstrip(b"\n").rindex(b"\n") + 1]

    report = audit(subject)

    assert Finding.LOG_TRUNCATED in findings(report)
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_rewritten_station_log_with_the_stolen_key_is_a_mirror_mismatch(subject, world):
    forged = FakeStation()
    for _ in range(3):
        forged.clip(officer_as_stated="another")
    forged.write("device.undocked", camera={}, reason="x")
    world.files["station-01"] = forged.files
    forged.log.checkpoint(forged.signer)

    assert Finding.MIRROR_MISMATCH in findings(audit(subject))


def test_checkpoint_of_another_history_is_a_root_mismatch(subject, world):
    forged = FakeStation()
    for _ in range(3):
        forged.clip(officer_as_stated="another")
    forged.write("device.undocked", camera={}, reason="x")
    world.files["station-01"].small[CHECKPOINT] = forged.log.checkpoint(forged.signer).note
    world.files["station-01"].small.pop(SNAPSHOT)

    assert Finding.ROOT_MISMATCH in findings(audit(subject))


def test_checkpoint_signed_by_nobody_we_know_is_a_finding(subject, world):
    files = world.files["station-01"]
    rogue = Ed25519Signer.from_seed(b"r" * 32)
    files.small[CHECKPOINT] = sign_checkpoint(parse_note(files.small[CHECKPOINT]).checkpoint, rogue)

    report = audit(subject)

    assert Finding.KEY_UNKNOWN in findings(report)
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_proxies_alone_are_nothing_checked(tmp_path):
    world = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", [FakeStation()]).started()
    [station] = world.stations
    station.proxied(station.uuid())
    [(name, data)] = station.store.items()
    path = tmp_path / "store" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    world.pipeline.handle([station.message()])
    report = audit(
        Subject(
            NoteKey(ORIGIN, SIGNER.verify_key()),
            [station.enrolled],
            world.files.__getitem__,
            [],
            EvidenceReader(str(tmp_path / "store")),
            world.clock.ms,
            0,
        )
    )
    world.close()

    assert report.proxies == {Verdict.VERIFIED: 1}
    assert report.outcome is Outcome.COULD_NOT_CHECK


@pytest.fixture
def two(tmp_path):
    """Two stations, an original of each, all verified; and their subject."""
    stations = [FakeStation(), FakeStation("station-02", 2)]
    world = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", stations).started()
    for station in stations:
        station.clip()
        put(world, station)
        world.pipeline.handle([station.message()])
    world.pipeline.record_checks(world.read_back())
    world.pipeline.checkpoint()
    store = EvidenceReader(str(tmp_path / "store"))
    centre, enrolled = NoteKey(ORIGIN, SIGNER.verify_key()), [station.enrolled for station in stations]
    subject = Subject(centre, enrolled, world.files.__getitem__, [], store, world.clock.ms + 7_200_000, 3_600_000)
    assert audit(subject).outcome is Outcome.OK
    yield world, subject
    world.close()


def put(world, station):
    for name, data in station.store.items():
        path = world.folder / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def lose_second(world):
    """Mirror and originals of the second station are gone."""
    world.files["station-02"] = MemoryLogFiles()
    for name in world.stations[1].store:
        (world.folder / "store" / name).unlink()


@pytest.mark.parametrize("also_second", [False, True])
def test_deleted_centre_log_vouches_for_nothing(two, also_second):
    world, subject = two
    world.files["centre"] = MemoryLogFiles()
    if also_second:
        lose_second(world)

    report = audit(subject)

    assert report.outcome is Outcome.NOT_AS_RECORDED
    assert findings(report) == {Finding.NOTHING_CHECKED, Finding.MIRROR_MISMATCH}


def test_centre_log_without_a_checkpoint_is_not_ok(two):
    world, subject = two
    del world.files["centre"].small[CHECKPOINT]

    report = audit(subject)

    assert (report.outcome, findings(report)) == (Outcome.COULD_NOT_CHECK, {Finding.NOTHING_CHECKED})


def test_station_that_only_the_centre_log_names_is_missed(two):
    world, subject = two
    lose_second(world)

    report = audit(replace(subject, stations=subject.stations[:1]))

    assert [(bad.verdict, bad.log) for bad in report.findings] == [(Finding.KEY_UNKNOWN, world.stations[1].origin)]
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_mirror_entry_that_the_centre_log_never_named_is_a_mismatch(two):
    world, subject = two
    station = world.stations[0]
    station.write("device.undocked", camera={}, reason="x")
    world.files["station-01"].data = bytearray(station.files.data)

    assert findings(audit(subject)) == {Finding.MIRROR_MISMATCH}
    assert audit(replace(subject, now_ms=station.utc_ms + 1)).outcome is Outcome.OK


def test_mirror_entry_named_while_the_audit_ran_is_right(two):
    """Entries that were late in coming are old when they come: the centre log is asked again before it is said."""
    world, subject = two
    station, centre = world.stations[0], world.files["centre"]
    old = MemoryLogFiles()
    old.data, old.small = bytearray(centre.data), dict(centre.small)
    station.write("device.undocked", camera={}, reason="x")
    world.pipeline.handle([station.message(2)])
    reads = iter([old, centre])

    report = audit(replace(subject, files=lambda name: next(reads) if name == "centre" else world.files[name]))

    assert report.outcome is Outcome.OK


def test_end_of_the_centre_log_is_held_against_the_database(two):
    world, subject = two
    world.pipeline.record([("log.recovered", {"reason": "anything after the checkpoint"})])
    seen = applied(world.url)
    assert audit(replace(subject, applied=seen)).outcome is Outcome.OK
    assert findings(audit(replace(subject, applied=Applied(seen.size, "AAAA")))) == {Finding.PROJECTION_MISMATCH}
    centre = world.files["centre"]
    centre.data = centre.data[: centre.data.rstrip(b"\n").rindex(b"\n") + 1]

    assert findings(audit(replace(subject, applied=seen))) == {Finding.LOG_TRUNCATED}


def test_database_that_is_not_there_or_cannot_be_read(tmp_path):
    assert applied(f"sqlite:///{tmp_path / 'none.db'}") is None
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "odd.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        applied(f"sqlite:///{tmp_path / 'odd.db'}")


def test_clock_ahead_excuses_no_missing_object(subject, world, tmp_path):
    [station] = world.stations
    stored(world, tmp_path, "proxies").unlink()
    original = stored(world, tmp_path)
    original.unlink()

    report = audit(replace(subject, now_ms=station.utc_ms - 86_400_000))

    assert report.proxies == {Verdict.MISSING: 1}
    assert report.originals[Verdict.MISSING] == 1
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_mirror_of_a_stranger_is_a_finding(subject):
    assert findings(audit(replace(subject, strangers=["station-66"]))) == {Finding.KEY_UNKNOWN}


def test_row_in_the_database_changes_no_verdict(subject, world, tmp_path):
    """The audit believes the signed entry: a file and its row altered together are still found."""
    from sqlalchemy import update  # noqa: PLC0415  # only this test writes rows by hand

    from ingestd.index import tables as t  # noqa: PLC0415  # the same

    path = stored(world, tmp_path)
    path.write_bytes(b"forged")
    with world.engine.begin() as connection:
        digest = hashlib.sha256(b"forged").hexdigest()
        connection.execute(update(t.clip).where(t.clip.c.object_id == path.stem).values(sha256=digest, size=6))

    assert audit(subject).originals[Verdict.FAILED] == 1


class SilentStore:
    def digest(self, name):
        raise StoreError(f"{name}: 503")

    def list(self):
        raise StoreError("503")


def test_store_that_does_not_answer_is_not_ok_and_not_guilty(subject):
    report = audit(replace(subject, store=SilentStore()))

    assert report.outcome is Outcome.COULD_NOT_CHECK
    assert report.as_json()["unchecked"] == 4


def test_progress_counts_every_object(subject):
    seen = []
    audit(subject, lambda count: seen.append((count.done, count.of)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


# Clocks


def times(world, subject):
    """What the audit says of the times in the logs."""
    world.pipeline.checkpoint()
    report = audit(subject)
    return [bad.reason for bad in report.findings if bad.verdict is Finding.TIME_REGRESSION]


def arrive(world):
    [station] = world.stations
    world.pipeline.handle([station.message()])
    for name, data in station.store.items():
        path = world.folder / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize(("back_ms", "count"), [(120_000, 0), (121_000, 1), (48 * 3_600_000, 1)])
def test_station_clock_that_runs_backwards_is_a_time_regression(subject, world, back_ms, count):
    [station] = world.stations
    station.utc_ms -= back_ms
    station.clip()
    station.clip()
    arrive(world)

    found = times(world, subject)

    assert len(found) == count
    assert all("entry 7 is dated" in reason for reason in found)
    assert audit(subject).outcome is (Outcome.NOT_AS_RECORDED if count else Outcome.OK)


@pytest.mark.parametrize(("ahead_ms", "count"), [(119_000, 0), (125_000, 2)])
def test_entry_dated_after_the_centre_had_it_is_a_time_regression(subject, world, ahead_ms, count):
    [station] = world.stations
    station.utc_ms = world.clock.ms + ahead_ms
    station.clip()
    arrive(world)
    late = replace(subject, now_ms=world.clock.ms + 3 * 7_200_000)

    found = times(world, late)

    assert len(found) == count
    assert all("after the centre had it" in reason for reason in found)


@pytest.mark.parametrize(("back_ms", "count"), [(119_000, 0), (121_000, 1)])
def test_centre_clock_that_runs_backwards_is_a_time_regression(subject, world, back_ms, count):
    world.clock.ms -= back_ms
    world.pipeline.record([("log.recovered", {"reason": "x"})])

    assert len(times(world, subject)) == count


def test_a_clock_that_jumps_about_is_not_a_thousand_findings(subject, world):
    [station] = world.stations
    for number in range(40):
        station.utc_ms += 10_000_000 if number % 2 else -10_000_000
        station.write("device.undocked", camera={}, reason="x")
    arrive(world)

    found = [reason for reason in times(world, subject) if "before entry" in reason]

    assert len(found) == 10
    assert found[-1].endswith("there are more like it")


def seen(world, size=None, root=None, origin=ORIGIN):
    """What a station saw of the centre log."""
    signed = world.pipeline.checkpoint().checkpoint
    right = base64.b64encode(signed.root).decode()
    return {"origin": origin, "size": signed.size if size is None else size, "root": root or right}


def test_station_that_saw_the_centre_checkpoint_is_a_witness_of_it(subject, world):
    [station] = world.stations
    station.utc_ms = world.clock.ms
    station.write("device.undocked", camera={}, reason="x", centre_seen=seen(world))
    arrive(world)

    assert times(world, subject) == []
    assert audit(subject).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("claim", "finding", "log"),
    [
        ({"root": base64.b64encode(b"x" * 32).decode()}, Finding.ROOT_MISMATCH, ORIGIN),
        ({"size": 99}, Finding.LOG_TRUNCATED, ORIGIN),
        ({"origin": "elsewhere.example/centre"}, Finding.LOG_FORKED, "custody.example/station-01"),
        ({"size": 0}, Finding.UNPARSABLE, "custody.example/station-01"),
        ({"root": "%"}, Finding.UNPARSABLE, "custody.example/station-01"),
        ({"root": base64.b64encode(b"x" * 31).decode()}, Finding.UNPARSABLE, "custody.example/station-01"),
    ],
)
def test_another_centre_log_than_the_one_a_station_saw_is_found(subject, world, claim, finding, log):
    [station] = world.stations
    station.utc_ms = world.clock.ms
    for _ in range(2):
        station.write("device.undocked", camera={}, reason="x", centre_seen={**seen(world), **claim})
    arrive(world)

    found = [bad for bad in audit(subject).findings if bad.verdict is finding]

    assert [(bad.log, "station-01:7" in bad.reason or "entry 7" in bad.reason) for bad in found] == [(log, True)]


def test_entry_older_than_the_checkpoint_it_saw_is_a_time_regression(subject, world):
    [station] = world.stations
    station.write("device.undocked", camera={}, reason="x", centre_seen=seen(world))
    arrive(world)

    [reason] = times(world, subject)

    assert "before the centre checkpoint at" in reason


def test_centre_log_rewritten_with_the_stolen_centre_key_is_seen_by_a_station(subject, world):
    """The centre's own key signs the new history and its checkpoint; mirror and station are as they were."""
    [station] = world.stations
    station.utc_ms = world.clock.ms
    station.write("device.undocked", camera={}, reason="x", centre_seen=seen(world))
    arrive(world)
    world.pipeline.checkpoint()
    assert audit(subject).outcome is Outcome.OK
    honest = list(Log(world.files["centre"], ORIGIN, [SIGNER.verify_key()]).entries())
    forged = Log(MemoryLogFiles(chunk=1 << 16), ORIGIN, [SIGNER.verify_key()])
    for entry in honest:
        told = {key: value for key, value in entry.record.payload.items() if key not in HEAD}
        again = Draft(
            entry.record.event, entry.record.record_id, entry.record.payload["time"], {**told, "forged": "yes"}
        )
        forged.append([again], [SIGNER])
    forged.checkpoint(SIGNER)
    world.files["centre"] = forged._files

    report = audit(subject)

    assert {(bad.verdict, bad.log) for bad in report.findings} == {(Finding.ROOT_MISMATCH, ORIGIN)}
    assert report.outcome is Outcome.NOT_AS_RECORDED

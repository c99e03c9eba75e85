"""Keys come in, follow each other and go: the centre's unit of work over real logs and a real database."""

import json
from dataclasses import replace

import pytest

from custody.authority import APPROVER
from custody.envelope import open_envelope
from custody.keyring import KEYS, LogKeys
from custody.log import SNAPSHOT, Log, entry_of
from custody.record import Draft
from custody.signer import Ed25519Signer
from ingestd.audit.verify import Subject, audit
from ingestd.enrolment.decide import Approval, Revocation, actors_of
from ingestd.errors import EnrolmentError, StateError
from ingestd.index.queries import ClipFilter
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import ORIGIN, SIGNER, World
from tests.fakes.log_files import MemoryLogFiles

NEXT, THIRD, STRANGER, CENTRE_NEXT = (Ed25519Signer.from_seed(seed * 32) for seed in (b"2", b"3", b"9", b"C"))
TWO = ("007", "013")


@pytest.fixture
def station():
    return FakeStation("station-07")


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", []).started()
    yield made
    made.close()


def approve(world, enrolment, approvers=TWO):
    return world.pipeline.approve(Approval(enrolment, approvers, "12345", "0f" * 32))


def revoke(world, station, keyid, from_ms, reason="stolen"):
    return world.pipeline.revoke(Revocation(station, keyid, from_ms, reason, TWO))


def keyid(signer):
    return signer.verify_key().keyid


def size(world, station):
    [answer] = world.pipeline.handle([station.message()])
    return answer.receipts.size


def open_rules(world):
    return sorted(row.rule for row in world.queries.flags("open", "", "", None, 100).rows)


def audited(world, stations=(), successors=(), *, checkpoint=True):
    if checkpoint:
        world.pipeline.checkpoint()
    first = Log(world.files["centre"], ORIGIN, [SIGNER.verify_key()], successors).history.spans[0][1]
    return audit(
        Subject(
            centre=first.note,
            stations=[],
            files=lambda name: world.files[name],
            strangers=[name for name in world.files if name != "centre"],
            store=Everything(stations),
            now_ms=world.clock.ms,
            patience_ms=0,
            centre_successors=list(successors),
        )
    )


def test_an_approved_station_needs_no_line_in_the_configuration_and_no_restart(world, station):
    station.clip()
    assert world.pipeline.handle([station.message()]) == []
    assert open_rules(world) == ["message-unverifiable"]
    entry = entry_of(approve(world, station.request()))
    assert entry.record.event == "station.enrolled"
    assert entry.record.payload["actors"] == [{"role": APPROVER, "id": one} for one in TWO]
    assert size(world, station) == 2
    world.restart()
    assert size(world, station) == 2
    assert audited(world, [station]).outcome == 0


def test_another_process_approves_while_the_service_runs(tmp_path, station):
    service = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", []).started()
    command = World(tmp_path, service.url, [], service.clock, service.files).started()
    station.clip()
    assert service.pipeline.handle([station.message()]) == []
    approve(command, station.request())
    assert size(service, station) == 2
    approve(command, station.request(NEXT))
    station.hand_over(NEXT)
    station.clip()
    assert size(service, station) == 5
    assert service.files["station-07"].data == station.files.data
    service.close()
    command.close()


def test_the_next_key_signs_once_it_was_approved_and_not_before(world, station):
    approve(world, station.request())
    station.clip()
    assert size(world, station) == 2
    asked = station.request(NEXT)
    station.hand_over(NEXT)
    station.clip()
    assert size(world, station) == 2, "the succession waits, the station keeps it"
    [refused] = [e for e in centre_entries(world) if e.record.event == "message.quarantined"]
    assert refused.record.block("message")["finding"] == "key-unknown"
    assert entry_of(approve(world, asked)).record.event == "key.enrolled"
    assert size(world, station) == 5
    rows = {row["keyid"]: row for row in world.pipeline.log_keys() if row["log"] == station.origin}
    assert [row["from_seq"] for row in rows.values()] == [0, 3]
    assert rows[keyid(NEXT)]["replaces"] == next(iter(rows))
    assert [event.signer for event in world.queries.clip(last_clip(world)).events][:1] == [keyid(NEXT)]
    report = audited(world, [station])
    assert report.findings == []
    world.restart()
    assert size(world, station) == 5
    del world.files["station-07"].small[SNAPSHOT]
    world.restart()
    assert size(world, station) == 5


def centre_entries(world):
    return list(Log(world.files["centre"], ORIGIN, [SIGNER.verify_key()]).entries())


def last_clip(world):
    return world.queries.clips(ClipFilter(), None, 1).rows[0].object_id


def test_the_thief_of_the_old_key_brings_in_no_key_of_his_own(world, station):
    approve(world, station.request())
    station.clip()
    size(world, station)
    thief = FakeStation("station-07")
    thief.log, thief.files, thief.entries = station.log, station.files, list(station.entries)
    thief.hand_over(STRANGER)
    thief.clip()
    assert size(world, thief) == 2
    assert "message-unverifiable" in open_rules(world)


def test_a_revoked_key_counts_before_its_time_and_is_for_review_from_then_on(world, station):
    approve(world, station.request())
    old = keyid(station.signer)
    station.clip()
    world.clock.ms += 60_000
    size(world, station)
    world.clock.ms += 60_000
    revoke(world, "station-07", old, world.clock.ms)
    assert open_rules(world) == []
    assert audited(world, [station]).outcome == 0
    station.clip()
    station.clip()
    world.clock.ms += 1
    assert size(world, station) == 6, "never dropped"
    assert open_rules(world) == ["key-review"]
    [flag] = world.queries.flags("open", "", "", None, 10).rows
    assert "自第 2 条起" in flag.detail
    report = audited(world, [station])
    assert [(one.verdict, one.log) for one in report.findings] == [("key-review", station.origin)]
    assert report.findings[0].reason.endswith("4 entries: 2-5")
    assert report.outcome == 1


def test_a_revocation_into_the_past_flags_what_came_since(world, station):
    approve(world, station.request())
    old = keyid(station.signer)
    station.clip()
    size(world, station)
    since = world.clock.ms + 1
    world.clock.ms += 60_000
    station.clip()
    size(world, station)
    revoke(world, station.origin, old, since)
    assert open_rules(world) == ["key-review"]
    assert audited(world, [station]).findings[0].reason.endswith("2 entries: 2-3")
    with pytest.raises(EnrolmentError, match="revoked already"):
        revoke(world, "station-07", old, since + 5)
    revoke(world, "station-07", old, since - 60_000)
    assert audited(world, [station]).findings[0].reason.endswith("4 entries: 0-3")


def test_a_revoked_key_hands_over_to_none_and_is_not_handed_over_to(world, station):
    approve(world, station.request())
    approve(world, station.request(NEXT))
    revoke(world, "station-07", keyid(NEXT), world.clock.ms)
    station.hand_over(NEXT)
    assert size(world, station) == 0
    revoke(world, "station-07", keyid(FakeStation("station-07").signer), world.clock.ms)
    with pytest.raises(EnrolmentError, match="hand over to none"):
        approve(world, FakeStation("station-07").request(THIRD))


@pytest.mark.parametrize(
    "approvers",
    [
        ("007",),
        ("007", "007"),
        ("007", " 007 "),
        ("Li", "LI"),
        ("Li", "Ｌｉ"),
        ("张三", "张 三"),
        ("", "007"),
        ("a" * 200, "b"),
    ],
)
def test_two_different_people_are_needed(world, station, approvers):
    with pytest.raises(EnrolmentError, match="--by"):
        approve(world, station.request(), approvers)
    assert len(actors_of(("007", "013", "007"))) == 2


@pytest.mark.parametrize("reason", [" ", "a" * 501, "a\nb", "a\x1b[31mb", "a\u202eb"])
def test_reason_of_a_revocation_is_one_line(world, station, reason):
    approve(world, station.request())
    with pytest.raises(EnrolmentError, match="--reason"):
        revoke(world, "station-07", keyid(station.signer), 0, reason)


def test_what_cannot_be_approved_is_one_sentence(world, station):
    with pytest.raises(EnrolmentError, match="is not enrolled"):
        approve(world, station.request(NEXT))
    approve(world, station.request())
    with pytest.raises(EnrolmentError, match="enrolled already"):
        world.pipeline.approve(Approval(station.request(), TWO, "12345", "0e" * 32))
    assert approve(world, station.request()) == approve(world, station.request()), "answered again, said once"
    with pytest.raises(EnrolmentError, match="a later key comes by"):
        approve(world, replace(station.request(NEXT), replaces=None))
    other = FakeStation("station-08", seed=5)
    approve(world, other.request())
    with pytest.raises(EnrolmentError, match=r"enrolled already, for .*/station-08"):
        approve(world, replace(station.request(NEXT), keys=as_of(station, other.signer)))
    with pytest.raises(EnrolmentError, match="make a new request"):
        approve(world, replace(station.request(NEXT), replaces=as_of(station, THIRD)))
    for log, key, why in [("nobody", "x", "no such log"), ("station-07", "x", "has no key x")]:
        with pytest.raises(EnrolmentError, match=why):
            revoke(world, log, key, 1)
    with pytest.raises(EnrolmentError, match="--reason"):
        revoke(world, "station-07", keyid(station.signer), 1, " ")


def as_of(station, signer):
    return LogKeys.of(station.origin, [signer.verify_key()])


def test_an_approval_that_came_after_its_succession_is_a_finding(world, station):
    """Somebody who holds the centre's key lets a key in after the fact."""
    approve(world, station.request())
    asked = station.request(NEXT)
    station.clip()
    size(world, station)
    approve(world, asked)
    station.hand_over(NEXT)
    size(world, station)
    assert audited(world, [station]).outcome == 0
    entries = centre_entries(world)
    events = [entry.record.event for entry in entries]
    approval = events.index("key.enrolled")
    mirror = max(i for i, event in enumerate(events) if event == "station.entries")
    assert approval < mirror
    reordered = [e for i, e in enumerate(entries) if i != approval]
    reordered.insert(mirror, entries[approval])
    rewrite(world, reordered)
    assert any(
        one.verdict == "key-unknown" and "only later" in one.reason
        for one in audited(world, [station], checkpoint=False).findings
    )


def rewrite(world, entries):
    """The centre's log anew from these records, as the holder of its key can do."""
    world.files["centre"] = MemoryLogFiles(chunk=1 << 16)
    log = Log(world.files["centre"], ORIGIN, [SIGNER.verify_key()])
    head = {"type", "event", "record_id", "log", "seq", "prev", "time"}
    for entry in entries:
        payload = entry.record.payload
        body = {name: value for name, value in payload.items() if name not in head}
        log.append([Draft(entry.record.event, entry.record.record_id, payload["time"], body)], [SIGNER])
    log.checkpoint(SIGNER)


class Everything:
    """A store that returns what the stations signed."""

    def __init__(self, stations):
        self.digests = {key: digest for station in stations for key, digest in station.digests.items()}

    def digest(self, name):
        object_id = name.rpartition("/")[2].partition(".")[0]
        return 40, self.digests[object_id]

    def list(self):
        return iter(())


def test_the_centres_own_log_goes_over_to_another_key_in_two_processes(tmp_path, station):
    service = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", []).started()
    command = World(tmp_path, service.url, [], service.clock, service.files).started()
    held = [CENTRE_NEXT]
    for world in (service, command):
        world.books._own._holders = lambda keys: [one for one in held if one.verify_key() in keys.keys]
    approve(service, station.request())
    entry = entry_of(command.pipeline.hand_over([CENTRE_NEXT], TWO))
    assert entry.record.event == "key.enrolled"
    assert json.loads(open_envelope(entry.data).payload)["key"]["keyid"] == keyid(CENTRE_NEXT)
    assert [one.keyid for one in open_envelope(entry.data).signatures] == [keyid(SIGNER)]
    station.clip()
    assert size(service, station) == 2
    approved = [command.books.centre.history.current]
    log = Log(service.files["centre"], ORIGIN, [SIGNER.verify_key()], approved)
    assert {one.keyid for one in open_envelope(list(log.entries())[-1].data).signatures} == {keyid(CENTRE_NEXT)}
    assert audited(service, [station], approved).findings == []
    assert [row["keyid"] for row in service.pipeline.log_keys()][:2] == [keyid(SIGNER), keyid(CENTRE_NEXT)]
    held.clear()
    service.restart()
    with pytest.raises(StateError, match="names no place that holds it"):
        service.pipeline.start()
    service.close()
    command.close()


def test_a_file_of_keys_that_the_newest_key_did_not_sign_does_not_count(world):
    world.books._own._holders = lambda _keys: [CENTRE_NEXT]
    world.pipeline.hand_over([CENTRE_NEXT], TWO)
    world.files["centre"].small[KEYS] = world.files["centre"].small[KEYS].replace(b'"sig":"', b'"sig":"AAAA')
    world.restart()
    with pytest.raises(StateError, match="file keys"):
        world.pipeline.start()


def test_keys_whose_text_ends_in_a_plus_are_different_keys(world, station):
    """A vkey is cut at its first two plus signs: base64 has that letter too, once at the very end of a key."""
    seeds = (Ed25519Signer.from_seed(number.to_bytes(32, "big")) for number in range(100_000))
    plus = next(one for one in seeds if "+" in as_of(station, one).note.vkey().split("+", 2)[2][-3:])
    approve(world, station.request())
    approve(world, station.request(plus))
    station.hand_over(plus)
    assert size(world, station) == 1

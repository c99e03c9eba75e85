import base64
from dataclasses import replace
from pathlib import Path

import pytest

from custody.checkpoint import Checkpoint, NoteKey, cosign, parse_note, sign_checkpoint
from custody.errors import EvidenceError
from custody.identifiers import second_origin
from custody.messages import MAX_MESSAGE_BYTES, Receipts, decode_receipts
from custody.plans import Act, Plans, seal_plans
from custody.signer import Signer, verify_key
from custody.sm2 import Sm2Signer
from station_agent import publish
from station_agent.publish import Outbox, Trust, kept_plans, rewind, runs
from station_agent.status import CentreLink, LogHead, status_of
from tests.fakes.station_centre import CENTRE_KEY, CENTRE_LOG, WITNESS_KEY, WITNESS_NAME, FakeCentre
from tests.fakes.station_world import CENTRE, ORIGIN, SIGNER, START_MS, WITNESS, Station, World

RESEND_S = 30.0
TRUST = Trust(CENTRE_KEY, WITNESS_KEY)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    world = World(tmp_path)
    world.files.chunk = 65536  # type: ignore[attr-defined]
    for name in ("a.MP4", "b.MP4"):
        world.put(name, name.encode())
    made = world.start()
    made.pipeline.docked(made.event())
    return made


def outbox_of(station: Station, trust: Trust = TRUST) -> Outbox:
    return Outbox(station.world.clock, station.journal, station.seal, trust, RESEND_S)


def send(outbox: Outbox, centre: FakeCentre) -> list[bytes]:
    answers = []
    for data, seqs in outbox.messages():
        outbox.sent(seqs)
        answers.append(centre.receive(data))
    return answers


def answer_of(size: int, note: bytes, time_s: int = START_MS // 1000) -> bytes:
    return Receipts(ORIGIN, size, (), cosign(parse_note(note), WITNESS_NAME, WITNESS, time_s)).encode()


def test_receipts_and_cosignature_empty_the_outbox(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    for answer in send(outbox, centre):
        outbox.answered(answer)
    assert centre.received == [(0, station.seal.size)]
    assert station.journal.waiting().outbox == 0
    assert station.journal.fact("cosigned_size") == str(station.seal.size)


def plans_of(made_ms: int, *officers: str, signer: Signer = CENTRE) -> bytes:
    act = Act("A1", "查封、扣押", START_MS + 3_600_000, START_MS + 7_200_000, officers)
    return seal_plans(Plans(CENTRE_LOG, made_ms, (act,), 2), [signer])


def test_the_newest_plans_of_the_centre_are_kept_over_a_restart(station):
    outbox = outbox_of(station)
    assert kept_plans(station.journal).made_ms == 0
    outbox.planned(plans_of(5, "000001"))
    outbox.planned(plans_of(4, "000002"))
    outbox.planned(plans_of(5, "000003"))
    kept = kept_plans(station.journal)
    assert (kept.made_ms, kept.left_out, kept.acts[0].officers) == (5, 2, ("000001",))
    station.journal.close()
    assert kept_plans(station.world.start().journal) == kept


def test_plans_that_the_centre_did_not_sign_are_not_kept(station):
    with pytest.raises(EvidenceError):
        outbox_of(station).planned(plans_of(5, "000001", signer=WITNESS))
    outbox_of(station, Trust(None, WITNESS_KEY)).planned(plans_of(5, "000001"))
    assert kept_plans(station.journal).made_ms == 0


def test_without_receipt_a_clip_stays_and_is_sent_again_after_a_while(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    centre.give_receipts = False
    for answer in send(outbox, centre):
        outbox.answered(answer)
    assert station.journal.waiting().receipts == 2
    assert station.journal.waiting().outbox == 2
    assert send(outbox, centre) == []
    station.world.clock.utc_ms += int(RESEND_S * 1000) + 1000
    centre.give_receipts = True
    for answer in send(outbox, centre):
        outbox.answered(answer)
    assert station.journal.waiting().outbox == 0


def test_sent_is_not_answered(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    send(outbox, centre)
    assert station.journal.waiting().outbox == station.seal.size


def test_an_upload_brings_the_next_try_forward(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    centre.give_receipts = False
    for answer in send(outbox, centre):
        outbox.answered(answer)
    [clip, _] = station.journal.clips(station.event().identity.key).values()
    station.journal.hasten(clip.object_id, station.world.clock.now().utc_ms)
    assert len(send(outbox, centre)) == 1


def test_a_cosignature_by_somebody_else_settles_nothing(station):
    stranger = Trust(CENTRE_KEY, NoteKey(WITNESS_KEY.name, SIGNER.verify_key(), 4))
    centre, outbox = FakeCentre(), outbox_of(station, stranger)
    centre.give_receipts = False
    [answer] = send(outbox, centre)
    with pytest.raises(EvidenceError):
        outbox.answered(answer)
    assert station.journal.waiting().outbox == station.seal.size


def test_a_receipt_by_somebody_else_lets_nothing_go(station):
    stranger = Trust(NoteKey(CENTRE_KEY.name, SIGNER.verify_key()), WITNESS_KEY)
    [answer] = send(outbox := outbox_of(station, stranger), FakeCentre())
    with pytest.raises(EvidenceError):
        outbox.answered(answer)
    assert station.journal.waiting().receipts == 2


def test_a_centre_of_profile_gm_must_sign_its_receipts_twice(station):
    sm2 = Sm2Signer.generate()
    second = NoteKey(second_origin(CENTRE_KEY.name), verify_key(sm2))
    centre, outbox = FakeCentre(), outbox_of(station, Trust(CENTRE_KEY, WITNESS_KEY, second))
    [answer] = send(outbox, centre)
    with pytest.raises(EvidenceError, match="sm2-sm3"):
        outbox.answered(answer)
    assert station.journal.waiting().receipts == 2
    centre.sign_with(*centre.signers, sm2)
    station.world.clock.utc_ms += int(RESEND_S * 1000) + 1000
    for again in send(outbox, centre):
        outbox.answered(again)
    assert station.journal.waiting().receipts == 0


def test_an_answer_for_another_log_is_refused(station):
    with pytest.raises(EvidenceError):
        outbox_of(station).answered(Receipts("custody.example/other", 0, ()).encode())


def test_a_centre_that_lost_entries_and_signs_for_less_gets_them_again(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    station.seal.append("ingest.failed", {"camera": {}, "source": {"path": "x"}, "reason": "read-error"})
    [answer] = send(outbox, centre)
    outbox.answered(answer)
    assert station.journal.waiting().outbox == 0
    restored = FakeCentre()
    early = station.seal.size - 1
    restored.mirror.mirror(*restored.mirror.verify_next([e.data for e in station.seal.entries(0)][:early]))
    note = sign_checkpoint(Checkpoint(ORIGIN, early, restored.mirror.chain.root()), SIGNER)
    outbox.answered(answer_of(early, note, START_MS // 1000))
    assert station.journal.waiting().outbox == 0
    outbox.answered(answer_of(early, note, START_MS // 1000 + 1))
    assert station.journal.first_waiting() == early
    restored.time_s += 2
    for answer in send(outbox, restored):
        outbox.answered(answer)
    assert restored.mirror.size == station.seal.size
    assert station.journal.waiting().outbox == 0


def test_what_nobody_signed_sends_nothing_again(station):
    outbox = outbox_of(station)
    for answer in send(outbox, FakeCentre()):
        outbox.answered(answer)
    outbox.answered(Receipts(ORIGIN, 0, ()).encode())
    assert station.journal.waiting().outbox == 0


def test_the_whole_log_is_put_into_the_outbox_again_page_by_page(station, monkeypatch):
    monkeypatch.setattr(publish, "PAGE_ENTRIES", 2)
    outbox = outbox_of(station)
    for answer in send(outbox, FakeCentre()):
        outbox.answered(answer)
    assert rewind(station.journal, station.seal, 0) == station.seal.size
    assert len(station.journal.due_entries(START_MS, 1000, 0)) == station.seal.size


def test_without_a_witness_the_echo_of_our_own_checkpoint_settles_nothing(station):
    outbox = outbox_of(station, Trust(CENTRE_KEY, None))
    note = station.seal.checkpoint().note
    outbox.answered(Receipts(ORIGIN, station.seal.size, (), note).encode())
    assert station.journal.waiting().outbox == station.seal.size
    with pytest.raises(EvidenceError):
        outbox_of(station).answered(Receipts(ORIGIN, station.seal.size, (), note).encode())
    assert station.journal.waiting().outbox == station.seal.size


@pytest.mark.parametrize(("beyond", "finding"), [(0, "log-forked"), (7, "log-truncated")])
def test_a_cosigned_history_that_is_not_ours_settles_nothing_and_is_shown(station, beyond, finding):
    size = station.seal.size + beyond
    outbox = outbox_of(station)
    other = sign_checkpoint(Checkpoint(ORIGIN, size, b"o" * 32), SIGNER)
    with pytest.raises(EvidenceError) as caught:
        outbox.answered(answer_of(size, other))
    assert caught.value.finding == finding
    assert station.journal.waiting().outbox == station.seal.size
    assert station.journal.fact("cosigned_size") == ""
    link = CentreLink(online=True, since_ms=0)
    status = status_of("s", "running", station.board, station.journal, LogHead(ORIGIN, 0, ""), link)
    assert status["troubles"][0]["reason"].startswith(finding)
    for answer in send(outbox, FakeCentre()):
        outbox.answered(answer)
    assert station.journal.fact("alarm") == ""


def test_our_root_at_a_size_is_that_of_a_mirror_of_this_size(station):
    mirror = FakeCentre().mirror
    for entry in station.seal.entries(0):
        assert station.seal.root_at(mirror.size) == mirror.chain.root()
        mirror.mirror(*mirror.verify_next([entry.data]))
    assert station.seal.root_at(mirror.size) == mirror.chain.root()


def test_one_bad_receipt_does_not_spoil_the_rest_of_its_message(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    [answer] = map(decode_receipts, send(outbox, centre))
    bad = replace(answer, entries=(b"{}", *answer.entries))
    with pytest.raises(EvidenceError):
        outbox.answered(bad.encode())
    assert station.journal.waiting().outbox == 0


def test_a_clock_set_back_leaves_no_entry_waiting_for_years(station):
    outbox = outbox_of(station)
    station.world.clock.utc_ms += 75 * 365 * 86_400_000
    assert send(outbox, FakeCentre())
    station.world.clock.utc_ms -= 75 * 365 * 86_400_000
    assert send(outbox, FakeCentre())
    assert not send(outbox, FakeCentre())


def test_runs_have_no_gap_and_fit():
    due = [(seq, b"x" * 60_000) for seq in [*range(40), 50, 51]]
    made = list(runs(due))
    assert [item for run in made for item in run] == due
    for run in made:
        assert [seq for seq, _ in run] == list(range(run[0][0], run[0][0] + len(run)))
        assert sum(len(data) + 1 for _, data in run) <= MAX_MESSAGE_BYTES


# What the station has seen of the centre's own log


def centre_note(size: int = 3, root: bytes = b"r" * 32, origin: str = CENTRE_LOG, signer: Signer = CENTRE) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, root), signer)


def told(note: bytes) -> bytes:
    return Receipts(ORIGIN, 0, (), b"", note).encode()


def seen_in_next_entry(station: Station) -> object:
    return station.seal.append("log.recovered", {"reason": "test"}).record.payload.get("centre_seen")


def test_entries_name_the_newest_centre_checkpoint_that_verified(station):
    outbox = outbox_of(station)
    assert seen_in_next_entry(station) is None

    outbox.answered(told(centre_note(3)))
    outbox.answered(told(centre_note(2)))
    outbox.answered(told(b""))

    root = base64.b64encode(b"r" * 32).decode()
    assert seen_in_next_entry(station) == {"origin": CENTRE_LOG, "size": 3, "root": root}
    outbox.answered(told(centre_note(9)))
    assert seen_in_next_entry(station)["size"] == 9


def test_what_was_seen_survives_a_restart(station):
    outbox_of(station).answered(told(centre_note(3)))
    again = station.world.start()
    assert again.seal.centre_seen == Checkpoint(CENTRE_LOG, 3, b"r" * 32)
    assert seen_in_next_entry(again)["size"] == 3


@pytest.mark.parametrize(
    ("note", "finding"),
    [
        (centre_note(3, b"x" * 32), "log-forked"),
        (centre_note(9, origin=ORIGIN, signer=SIGNER), "key-unknown"),
        (centre_note(9, signer=WITNESS), "key-unknown"),
        (centre_note(9).replace(b"\n9\n", b"\n8\n"), "sig-bad"),
        (b"rubbish", "unparsable"),
    ],
)
def test_centre_checkpoint_that_is_not_what_it_claims_is_refused(station, note, finding):
    outbox = outbox_of(station)
    outbox.answered(told(centre_note(3)))

    with pytest.raises(EvidenceError) as caught:
        outbox.answered(told(note))

    assert caught.value.finding == finding
    assert station.seal.centre_seen == Checkpoint(CENTRE_LOG, 3, b"r" * 32)


def test_the_centre_signing_for_another_log_is_refused(station):
    """The centre's key and name, under a checkpoint of a log that is not the centre's."""
    body = Checkpoint(ORIGIN, 9, b"r" * 32).body()
    blob = base64.b64encode(CENTRE_KEY.key_hash() + CENTRE.sign(body)).decode()
    note = body + f"\n\u2014 {CENTRE_LOG} {blob}\n".encode()

    with pytest.raises(EvidenceError, match="is none of") as caught:
        outbox_of(station).answered(told(note))

    assert (caught.value.finding, station.seal.centre_seen) == ("log-forked", None)


def test_empty_centre_log_is_nothing_to_have_seen(station):
    outbox_of(station).answered(told(centre_note(0)))
    assert station.seal.centre_seen is None


def test_without_the_centre_key_its_checkpoint_is_nobodys_word(station):
    outbox_of(station, replace(TRUST, centre=None)).answered(told(centre_note(3)))
    assert station.seal.centre_seen is None

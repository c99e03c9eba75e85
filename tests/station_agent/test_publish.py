from pathlib import Path

import pytest

from custody.checkpoint import NoteKey
from custody.errors import EvidenceError
from custody.messages import MAX_MESSAGE_BYTES, Receipts
from station_agent.publish import Outbox, Trust, runs
from tests.fakes.station_centre import CENTRE_KEY, WITNESS_KEY, FakeCentre
from tests.fakes.station_world import ORIGIN, SIGNER, Station, World

RESEND_S = 30.0
TRUST = Trust(NoteKey(ORIGIN, SIGNER.verify_key()), CENTRE_KEY, WITNESS_KEY)


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


def test_receipts_and_cosignature_empty_the_outbox(station):
    centre, outbox = FakeCentre(), outbox_of(station)
    for answer in send(outbox, centre):
        outbox.answered(answer)
    assert centre.received == [(0, station.seal.size)]
    assert station.journal.waiting().outbox == 0
    assert station.journal.fact("cosigned_size") == str(station.seal.size)


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
    stranger = Trust(TRUST.station, CENTRE_KEY, NoteKey(WITNESS_KEY.name, SIGNER.verify_key(), 4))
    centre, outbox = FakeCentre(), outbox_of(station, stranger)
    centre.give_receipts = False
    [answer] = send(outbox, centre)
    with pytest.raises(EvidenceError):
        outbox.answered(answer)
    assert station.journal.waiting().outbox == station.seal.size


def test_a_receipt_by_somebody_else_lets_nothing_go(station):
    stranger = Trust(TRUST.station, NoteKey(CENTRE_KEY.name, SIGNER.verify_key()), WITNESS_KEY)
    [answer] = send(outbox := outbox_of(station, stranger), FakeCentre())
    with pytest.raises(EvidenceError):
        outbox.answered(answer)
    assert station.journal.waiting().receipts == 2


def test_an_answer_for_another_log_is_refused(station):
    with pytest.raises(EvidenceError):
        outbox_of(station).answered(Receipts("custody.example/other", 0, ()).encode())


def test_a_centre_that_lost_entries_gets_them_again(station):
    outbox = outbox_of(station)
    for answer in send(outbox, FakeCentre()):
        outbox.answered(answer)
    restored = FakeCentre()
    outbox.answered(Receipts(ORIGIN, 0, ()).encode())
    for answer in send(outbox, restored):
        outbox.answered(answer)
    assert restored.mirror.size == station.seal.size
    assert station.journal.waiting().outbox == 0


def test_runs_have_no_gap_and_fit():
    due = [(seq, b"x" * 60_000) for seq in [*range(40), 50, 51]]
    made = list(runs(due))
    assert [item for run in made for item in run] == due
    for run in made:
        assert [seq for seq, _ in run] == list(range(run[0][0], run[0][0] + len(run)))
        assert sum(len(data) + 1 for _, data in run) <= MAX_MESSAGE_BYTES

"""Both programs in profile gm, without a broker: what one signs twice the other takes, and answers twice."""

import threading

from custody.checkpoint import COSIGNATURE, NoteKey
from custody.identifiers import second_origin
from custody.log import CHECKPOINT, SECOND_CHECKPOINT, Log
from custody.merkle import sm3
from custody.messages import decode_receipts
from custody.receipt import read_receipt
from custody.signer import verify_key
from custody.sm2 import Sm2Signer
from ingestd.pipeline import Received
from ingestd.verify import Station
from station_agent.publish import Outbox, Trust
from station_agent.service import ingest_folder, opened, signers_of
from tests.fakes.centre_world import ORIGIN as CENTRE
from tests.fakes.centre_world import SIGNER, WITNESS, World
from tests.station_agent.test_profile import CLIP, ORIGIN, card, station

TOPIC = "bwc/v1/station-07/records"


class Enrolled:
    """A station as ``World`` wants it: a name and the keys that were read aloud."""

    name = "station-07"

    def __init__(self, keys):
        self.enrolled = Station(self.name, NoteKey(ORIGIN, keys[0]), NoteKey(second_origin(ORIGIN), keys[1]))


def test_a_clip_goes_from_a_gm_station_to_a_gm_centre_and_its_receipt_comes_back(tmp_path):
    config = station(tmp_path, "gm")
    keys = [verify_key(signer) for signer in signers_of(config)]
    second = Sm2Signer.generate()
    world = World(tmp_path / "centre", f"sqlite:///{tmp_path / 'i.db'}", [Enrolled(keys)], second=second).started()  # type: ignore[list-item]  # a name and keys are all it needs
    centre = [SIGNER.verify_key(), verify_key(second)]
    trust = Trust(
        NoteKey(CENTRE, centre[0]),
        NoteKey(f"{CENTRE}-witness", WITNESS.verify_key(), COSIGNATURE),
        NoteKey(second_origin(CENTRE), centre[1]),
    )
    with opened(config, threading.Event(), patient=False) as rooms:
        ingest_folder(rooms, card(tmp_path))
        outbox = Outbox(rooms.clock, rooms.journal, rooms.seal, trust, 30)
        messages = [Received(TOPIC, data) for data, _ in outbox.messages()]
        answers = [*world.pipeline.handle(messages), *world.pipeline.record_checks(world.read_back())]
        for answer in answers:
            outbox.answered(answer.receipts.encode())
        waiting = rooms.journal.waiting()
    assert (waiting.receipts, waiting.outbox) == (0, 0)
    mirror, ours = world.files["station-07"], Log(world.files["centre"], CENTRE, centre)
    assert ours.size == len(world.events())
    assert mirror.data == (config.log / "entries.jsonl").read_bytes()
    for name in (CHECKPOINT, SECOND_CHECKPOINT):
        assert mirror.small[name] == (config.log / name).read_bytes()
    [receipt] = [entry for answer in answers for entry in decode_receipts(answer.receipts.encode()).entries]
    assert read_receipt(receipt, CENTRE, centre).station_log == ORIGIN
    copied = next(e for e in Log(mirror, ORIGIN, keys).entries() if e.record.event == "ingest.copied")
    digests = copied.record.block("object")["digests"]
    assert isinstance(digests, dict)
    assert digests["sm3"] == sm3(CLIP).hex()
    world.close()

"""The worked bytes of FORMAT.md §12, as two readers understand them."""

import json

import pytest

from custody.authority import Authority
from custody.checkpoint import NoteKey
from custody.enrolment import fingerprint, read_request
from custody.envelope import open_envelope
from custody.keyring import LogKeys
from custody.log import CHECKPOINT, Log
from custody.record import parse_record
from fixtures import vectors_keys
from fixtures.vectors import CENTRE, STATION, STATION_LOG
from tests import independent_verifier as independent
from tests.fakes.log_files import MemoryLogFiles

VECTORS = json.loads(vectors_keys.PATH.read_text("utf-8"))
LINES = b"".join(entry.encode() + b"\n" for entry in VECTORS["entries"])
FOLLOWING = LogKeys(NoteKey.parse(VECTORS["next_vkey"]))


def test_the_file_is_what_its_generator_makes():
    assert vectors_keys.vectors() == VECTORS


def test_the_request_and_its_fingerprint():
    data = VECTORS["request"].encode()
    asked = read_request(data)
    assert (asked.keys, asked.replaces) == (FOLLOWING, LogKeys(NoteKey.parse(VECTORS["station_vkey"])))
    assert fingerprint(data) == independent.fingerprint(data) == VECTORS["fingerprint"]
    assert independent.read_request(data)["replaces"] == asked.replaces.block()


@pytest.mark.parametrize("number", [0, 1])
def test_both_follow_the_log_to_each_checkpoint(number):
    note = VECTORS["checkpoints"][number].encode()
    lines = LINES if number else b"".join(LINES.splitlines(keepends=True)[:2])
    log = Log(MemoryLogFiles(bytearray(lines), {CHECKPOINT: note}), STATION_LOG, [STATION.verify_key()], [FOLLOWING])
    theirs = independent.verify_log(lines, STATION_LOG, [STATION.public_key()], note, [FOLLOWING.note.key.raw])
    assert theirs == {"size": log.size, "root": log.chain.root().hex()}


def test_both_say_which_entries_need_review():
    records = [independent.verify_entry(entry.encode(), [CENTRE.public_key()]) for entry in VECTORS["centre_entries"]]
    authority = Authority()
    for entry in VECTORS["centre_entries"]:
        authority.hear(parse_record(open_envelope(entry.encode()).payload))
    log = Log(MemoryLogFiles(bytearray(LINES)), STATION_LOG, [STATION.verify_key()], authority.successors(STATION_LOG))
    ours = []
    for seq in range(log.size):
        keys, seen = log.history.at(seq), authority.seen(STATION_LOG, seq)
        assert seen is not None
        if authority.doubtful(keys, seen.utc_ms):
            ours.append(seq)
        assert independent.needs_review(records, STATION_LOG, seq, keys.note.key.raw) is (seq in VECTORS["key_review"])
    assert ours == VECTORS["key_review"]
    assert authority.in_time(STATION_LOG, 1, FOLLOWING)
    assert independent.approved_keys(records, STATION_LOG, 1) == [FOLLOWING.note.key.raw]

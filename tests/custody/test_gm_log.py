"""A log of profile gm: two signatures an entry, two trees, two notes; the crash rules hold for the second one too."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.checkpoint import OTHER_SIGNATURE, Checkpoint, NoteKey, cosign, parse_note, sign_checkpoint
from custody.errors import CheckpointError, ContractError, EvidenceError, LogError, UnparsableError
from custody.identifiers import is_station_id, second_origin
from custody.log import CHECKPOINT, SECOND_CHECKPOINT, SNAPSHOT, Log
from custody.merkle import inclusion_proof, leaf_hash, root, sm3, verify_inclusion
from custody.messages import Records, decode_records
from custody.signer import Ed25519Signer, Signer, VerifyKey, verify_key
from custody.sm2 import Sm2Signer
from tests.custody.conftest import ORIGIN
from tests.custody.test_log import draft
from tests.custody.test_profile import P256
from tests.fakes.log_files import Fault, MemoryLogFiles, PowerCutError

ED = Ed25519Signer.from_seed(b"s" * 32)
SM2 = Sm2Signer.generate()
SIGNERS: list[Signer] = [ED, SM2]
KEYS = [verify_key(signer) for signer in SIGNERS]
SECOND_KEY = NoteKey(second_origin(ORIGIN), KEYS[1])


def filled(count, files=None):
    files = files or MemoryLogFiles()
    log = Log(files, ORIGIN, KEYS)
    log.append([draft(i) for i in range(count)], SIGNERS)
    return log, files


def test_the_second_tree_is_the_sm3_tree_over_the_same_entries():
    log, _ = filled(5)
    leaves = [leaf_hash(entry.data, sm3) for entry in log.entries()]
    assert log.chain.second.root() == root(leaves, sm3)
    assert log.chain.root() == root([entry.leaf for entry in log.entries()])
    verify_inclusion(leaves[3], 3, 5, inclusion_proof(leaves, 3, sm3), log.chain.second.root(), sm3)


def test_two_notes_are_signed_by_their_own_suites():
    log, files = filled(3)
    first = log.checkpoint(*SIGNERS)
    second = log.latest_second
    assert first.verify([NoteKey(ORIGIN, KEYS[0])]) == {ORIGIN: 0}
    assert second.checkpoint == Checkpoint(f"{ORIGIN}.sm3", 3, log.chain.second.root())
    assert second.verify([SECOND_KEY]) == {f"{ORIGIN}.sm3": 0}
    assert (files.small[CHECKPOINT], files.small[SECOND_CHECKPOINT]) == (first.note, second.note)
    assert log.checkpoint(*SIGNERS) is first
    forged = second.note.replace(b"\n3\n", b"\n4\n")
    with pytest.raises(CheckpointError) as caught:
        parse_note(forged).verify([SECOND_KEY])
    assert caught.value.finding == "sig-bad"


def test_a_checkpoint_needs_both_signers():
    log, _ = filled(1)
    for signers in ([], [ED], [SM2]):
        with pytest.raises(ContractError, match="no signer"):
            log.checkpoint(*signers)


def test_an_entry_with_one_signature_does_not_continue_a_gm_log():
    log, files = filled(1)
    one = Log(MemoryLogFiles(), ORIGIN, KEYS[:1])
    [entry] = one.append([draft(0)], [ED])
    with pytest.raises(EvidenceError) as caught:
        Log(MemoryLogFiles(), ORIGIN, KEYS).verify_next([entry.data])
    assert caught.value.finding == "sig-bad"
    assert Log(files, ORIGIN, KEYS[:1]).chain.tree == log.chain.tree


def test_reopened_with_and_without_snapshot_it_is_the_same_log():
    log, files = filled(5)
    log.checkpoint(*SIGNERS)
    log.append([draft(9)], SIGNERS)
    assert Log(files, ORIGIN, KEYS).chain == log.chain
    del files.small[SNAPSHOT]
    assert Log(files, ORIGIN, KEYS).chain == log.chain


@pytest.mark.parametrize(
    "changed", [b'"peaks_sm3":["QQ==","QQ=="]', b'"peaks_sm3":[]', b'"other":[]', b'"peaks_sm3":["#"]']
)
def test_a_snapshot_whose_sm3_half_is_wrong_is_not_used(changed):
    log, files = filled(3)
    log.checkpoint(*SIGNERS)
    before, _, _ = files.small[SNAPSHOT].partition(b'"peaks_sm3"')
    files.small[SNAPSHOT] = before + changed + b',"size":3}'
    assert Log(files, ORIGIN, KEYS).chain == log.chain


def test_a_snapshot_is_not_used_while_the_second_note_is_ahead():
    log, files = filled(3)
    log.checkpoint(*SIGNERS)
    older = dict(files.small)
    log.append([draft(9)], SIGNERS)
    log.checkpoint(*SIGNERS)
    files.small = {**older, SECOND_CHECKPOINT: files.small[SECOND_CHECKPOINT]}
    assert Log(files, ORIGIN, KEYS).chain == log.chain
    before, _, _ = files.small[SNAPSHOT].partition(b'"peaks_sm3"')
    peak = b"A" * 43 + b"="
    files.small[SNAPSHOT] = before + b'"peaks_sm3":["' + peak + b'","' + peak + b'"],"size":3}'
    assert Log(files, ORIGIN, KEYS).chain == log.chain


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("fail_at", range(18))
def test_after_a_power_cut_at_any_write_both_notes_are_of_this_log(fail_at, fault):
    files = MemoryLogFiles(fail_at=fail_at, fault=fault)
    durable = []
    try:
        log = Log(files, ORIGIN, KEYS)
        for number in range(3):
            durable += [e.data for e in log.append([draft(2 * number), draft(2 * number + 1)], SIGNERS)]
            log.checkpoint(*SIGNERS)
    except PowerCutError:
        pass
    files.fail_at = -1
    again = Log(files, ORIGIN, KEYS)
    assert [e.data for e in again.entries()][: len(durable)] == durable
    signed = again.checkpoint(*SIGNERS)
    assert (signed.checkpoint.size, again.latest_second.checkpoint.size) == (again.size, again.size)
    assert Log(files, ORIGIN, KEYS).chain == again.chain


def test_a_second_note_that_is_gone_or_behind_is_missed():
    log, files = filled(2)
    log.checkpoint(*SIGNERS)
    old = files.small[SECOND_CHECKPOINT]
    log.append([draft(5)], SIGNERS)
    log.checkpoint(*SIGNERS)
    del files.small[SECOND_CHECKPOINT]
    for small in ({}, {SECOND_CHECKPOINT: old}):
        files.small.update(small)
        with pytest.raises(LogError, match="gone") as caught:
            Log(files, ORIGIN, KEYS)
        assert caught.value.finding == "log-truncated"


def test_entries_that_vanished_under_the_second_note_alone_are_missed():
    log, files = filled(3)
    log.checkpoint(*SIGNERS)
    for name in (CHECKPOINT, SNAPSHOT):
        del files.small[name]
    files.data = files.data[: files.data.index(b"\n") + 1]
    with pytest.raises(LogError, match="1 entries, but 3"):
        Log(files, ORIGIN, KEYS)


def test_another_sm3_root_does_not_open_the_log():
    log, files = filled(2)
    log.checkpoint(*SIGNERS)
    files.small[SECOND_CHECKPOINT] = sign_checkpoint(Checkpoint(f"{ORIGIN}.sm3", 2, log.chain.root()), SM2)
    with pytest.raises(CheckpointError, match="signed root"):
        Log(files, ORIGIN, KEYS)


def test_the_first_note_does_not_stand_for_the_second():
    log, files = filled(2)
    log.checkpoint(*SIGNERS)
    body = Checkpoint(ORIGIN, 2, log.chain.root()).body()
    line = sign_checkpoint(Checkpoint(f"{ORIGIN}.sm3", 2, log.chain.root()), SM2).rpartition(b"\n\n")[2]
    files.small[SECOND_CHECKPOINT] = body + b"\n" + line
    with pytest.raises(EvidenceError):
        Log(files, ORIGIN, KEYS)


def test_a_mirror_keeps_both_notes_or_neither():
    log, files = filled(4)
    first = log.checkpoint(*SIGNERS)
    copy = MemoryLogFiles()
    mirror = Log(copy, ORIGIN, KEYS)
    mirror.mirror(*mirror.verify_next([e.data for e in log.entries()]))
    with pytest.raises(CheckpointError, match="missing"):
        mirror.keep(first)
    wrong = parse_note(sign_checkpoint(Checkpoint(f"{ORIGIN}.sm3", 4, log.chain.root()), SM2))
    with pytest.raises(CheckpointError, match="not of this log"):
        mirror.keep(first, wrong)
    assert copy.small == {}
    mirror.keep(first, log.latest_second)
    assert (copy.data, copy.small) == (files.data, files.small)


WHOLE, WHOLE_FILES = filled(2)
WHOLE.checkpoint(*SIGNERS)


@settings(deadline=None)
@given(st.data())
def test_any_flipped_bit_of_entries_or_second_note_is_found(data):
    parts = {"entries": bytearray(WHOLE_FILES.data), "note": bytearray(WHOLE_FILES.small[SECOND_CHECKPOINT])}
    target = parts[data.draw(st.sampled_from(sorted(parts)))]
    target[data.draw(st.integers(0, 10_000)) % len(target)] ^= 1 << data.draw(st.integers(0, 7))
    small = {CHECKPOINT: WHOLE_FILES.small[CHECKPOINT], SECOND_CHECKPOINT: bytes(parts["note"])}
    with pytest.raises(EvidenceError):
        Log(MemoryLogFiles(parts["entries"], small), ORIGIN, KEYS)


@pytest.mark.parametrize("signer", [SM2, P256])
def test_other_suites_have_vkeys_of_type_ff(signer):
    key = NoteKey(ORIGIN, verify_key(signer))
    assert key.kind == OTHER_SIGNATURE
    assert NoteKey.parse(key.vkey()) == key
    assert key.key_hash() != NoteKey(second_origin(ORIGIN), key.key).key_hash()
    with pytest.raises(ContractError, match="type 04"):
        cosign(parse_note(sign_checkpoint(Checkpoint(ORIGIN, 0, b"\0" * 32), ED)), ORIGIN, signer, 0)


def test_an_ed25519_key_is_not_of_type_ff():
    with pytest.raises(ContractError, match="type ff"):
        NoteKey(ORIGIN, VerifyKey(b"\1" * 32), OTHER_SIGNATURE)


@pytest.mark.parametrize("blob", ["/3NtMi1zbTM=", "/3Jzc2E=", "/w=="])
def test_a_vkey_of_an_unknown_suite_or_without_its_point_is_refused(blob):
    with pytest.raises(UnparsableError):
        NoteKey.parse(f"{ORIGIN}+00000000+{blob}")


def test_a_p256_log_has_one_note_of_type_ff():
    key = verify_key(P256)
    files = MemoryLogFiles()
    log = Log(files, ORIGIN, [key])
    log.append([draft(0)], [P256])
    assert log.checkpoint(P256).verify([NoteKey(ORIGIN, key)]) == {ORIGIN: 0}
    assert Log(files, ORIGIN, [key]).chain == log.chain


def test_no_station_is_named_like_a_second_note():
    assert not is_station_id("station-07.sm3")
    assert is_station_id("station-07.sm4")


def test_the_second_note_travels_in_its_own_field():
    message = Records(ORIGIN, 0, (), b"first", b"second")
    assert decode_records(message.encode()) == message
    assert b"sm3" not in Records(ORIGIN, 0, (), b"first").encode()

"""The succession of a log's keys: who may follow whom, and from which entry on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import canonical_bytes, parse_object
from custody.chain import Chain
from custody.checkpoint import COSIGNATURE, Checkpoint, NoteKey, parse_note, sign_checkpoint
from custody.envelope import seal
from custody.errors import CheckpointError, ContractError, EvidenceError, UnknownKeyError, UnparsableError
from custody.identifiers import second_origin
from custody.keyring import (
    ENROLLED,
    SUCCESSION_TYPE,
    KeyHistory,
    LogKeys,
    keys_in,
    open_succession,
    profile_of,
    seal_succession,
    successor_in,
)
from custody.log import CHECKPOINT, SNAPSHOT, Log
from custody.record import Draft, compose, parse_record
from custody.signer import Ed25519Signer, Signer, verify_key
from custody.sm2 import Sm2Signer
from keystore.pem import new_pem, pem_signer
from tests.custody.conftest import ORIGIN
from tests.custody.test_log import draft, lines
from tests.fakes.log_files import Fault, MemoryLogFiles, PowerCutError

FIRST, NEXT, THIRD, STRANGER = (Ed25519Signer.from_seed(seed * 32) for seed in (b"1", b"2", b"3", b"9"))


def keys_of(*signers: Signer, origin: str = ORIGIN) -> LogKeys:
    return LogKeys.of(origin, [verify_key(signer) for signer in signers])


APPROVED = [keys_of(NEXT), keys_of(THIRD)]


def rotation(keys: LogKeys, number: int = 500) -> Draft:
    plain = draft(number)
    return Draft(ENROLLED, plain.record_id, plain.time, {"key": keys.block(), "reason": "yearly"})


def opened(files: MemoryLogFiles, approved=APPROVED) -> Log:
    return Log(files, ORIGIN, [FIRST.verify_key()], approved)


def rotated() -> tuple[Log, MemoryLogFiles]:
    """Two entries, a succession, two entries by the next key and a checkpoint."""
    files = MemoryLogFiles()
    log = opened(files)
    log.append([draft(0), draft(1)], [FIRST])
    log.append([rotation(keys_of(NEXT))], [FIRST])
    log.append([draft(3), draft(4)], [NEXT])
    log.checkpoint(NEXT)
    return log, files


def test_entries_after_the_succession_are_signed_by_the_next_key_and_so_is_every_later_checkpoint():
    log, files = rotated()
    assert log.history.spans == ((0, keys_of(FIRST)), (3, keys_of(NEXT)))
    assert log.history.origin == ORIGIN
    assert [log.history.at(seq).keyid for seq in (0, 2, 3, 99)] == [
        k.keyid for k in map(keys_of, (FIRST,) * 2 + (NEXT,) * 2)
    ]
    assert opened(files).chain == log.chain
    assert opened(files).history == log.history
    del files.small[SNAPSHOT]
    assert opened(files).history == log.history


def test_a_succession_by_a_key_that_nobody_approved_is_refused():
    log, files = rotated()
    with pytest.raises(CheckpointError, match="no known key"):
        opened(files, [keys_of(THIRD)])
    without = MemoryLogFiles(files.data)
    with pytest.raises(UnknownKeyError, match="not approved"):
        opened(without, [keys_of(THIRD)])
    with pytest.raises(UnknownKeyError, match="not approved"):
        log.append([rotation(keys_of(STRANGER))], [NEXT])
    mirror = Log(MemoryLogFiles(), ORIGIN, [FIRST.verify_key()])
    with pytest.raises(UnknownKeyError, match="not approved"):
        mirror.verify_next([line[:-1] for line in lines(files)])
    mirror.approve(APPROVED)
    entries, chain = mirror.verify_next([line[:-1] for line in lines(files)])
    mirror.mirror(entries, chain)
    assert mirror.history == log.history


def test_the_thief_of_an_old_key_signs_nothing_after_the_succession():
    log, _ = rotated()
    for payload, signers in [(draft(5), [FIRST]), (draft(5), [STRANGER]), (draft(5), [NEXT, FIRST])]:
        with pytest.raises(ContractError, match="is to be signed by"):
            log.append([payload], signers)
    forged = seal(compose(draft(5), ORIGIN, log.size, log.chain.prev), [FIRST])
    with pytest.raises(UnknownKeyError):
        log.verify_next([forged])


def test_a_succession_is_the_last_entry_of_its_write():
    log = opened(MemoryLogFiles())
    with pytest.raises(ContractError, match="is to be signed by"):
        log.append([rotation(keys_of(NEXT)), draft(2)], [FIRST])
    assert log.size == 0


def test_a_succession_signed_by_a_stranger_or_replayed_is_refused():
    log, files = rotated()
    stranger = seal(compose(rotation(keys_of(THIRD)), ORIGIN, log.size, log.chain.prev), [STRANGER])
    with pytest.raises(UnknownKeyError):
        log.verify_next([stranger])
    by_old = seal(compose(rotation(keys_of(THIRD)), ORIGIN, log.size, log.chain.prev), [FIRST])
    with pytest.raises(UnknownKeyError):
        log.verify_next([by_old])
    with pytest.raises(EvidenceError) as caught:
        log.verify_next([lines(files)[2][:-1]])
    assert caught.value.finding == "key-unknown"  # by the old key; its number is that of another entry besides


def test_a_key_never_comes_back_and_the_profile_never_changes():
    log, _ = rotated()
    p256 = pem_signer(new_pem("ecdsa-p256-sha256"), "test", "memory")
    log.approve([*APPROVED, keys_of(FIRST), keys_of(p256), keys_of(NEXT)])
    for keys, why in [(FIRST, "has signed before"), (NEXT, "has signed before"), (p256, "another profile")]:
        with pytest.raises(UnknownKeyError, match=why):
            log.append([rotation(keys_of(keys))], [NEXT])
    log.append([rotation(keys_of(THIRD))], [NEXT])
    assert log.history.current == keys_of(THIRD)


def test_either_key_signs_the_checkpoint_right_after_the_succession_and_only_that_one():
    files = MemoryLogFiles()
    log = opened(files)
    log.append([draft(0)], [FIRST])
    log.append([rotation(keys_of(NEXT))], [FIRST])
    claim = Checkpoint(ORIGIN, 2, log.chain.root())
    for signer in (FIRST, NEXT):
        log.keep(parse_note(sign_checkpoint(claim, signer)))
        assert opened(files).latest is not None
    with pytest.raises(CheckpointError, match="no known key"):
        log.keep(parse_note(sign_checkpoint(claim, THIRD)))
    log.append([draft(3)], [NEXT])
    later = Checkpoint(ORIGIN, 3, log.chain.root())
    with pytest.raises(CheckpointError, match="no known key"):
        log.keep(parse_note(sign_checkpoint(later, FIRST)))
    for note in (sign_checkpoint(later, FIRST), sign_checkpoint(Checkpoint(ORIGIN, 1, log.chain.root()), NEXT)):
        files.small[CHECKPOINT] = note
        with pytest.raises(CheckpointError):
            opened(files)


@pytest.mark.parametrize(
    "spoiled",
    [
        b'"keys":[]',
        b'"keys":{"from":3}',
        b'"keys":[{"from":0,"key":{}}]',
        b'"keys":[{"from":3,"key":"x"}]',
        b'"keys":[{"from":3,"key":{"vkey":"x"}}]',
        b'"keys":["x"]',
    ],
)
def test_a_snapshot_with_other_keys_is_not_used(spoiled):
    log, files = rotated()
    snapshot = files.small[SNAPSHOT]
    start = snapshot.index(b'"keys":')
    files.small[SNAPSHOT] = snapshot[:start] + spoiled + snapshot[snapshot.index(b'],"last_leaf"') + 1 :]
    assert opened(files).history == log.history


def test_a_snapshot_brings_in_no_key_that_is_not_approved():
    log, files = rotated()
    files.small[SNAPSHOT] = files.small[SNAPSHOT].replace(
        keys_of(NEXT).note.vkey().encode(), keys_of(STRANGER).note.vkey().encode()
    )
    assert opened(files).history == log.history
    log.checkpoint(NEXT)
    before = {"from": 2, "key": keys_of(STRANGER).block()}
    fields = parse_object(files.small[SNAPSHOT])
    files.small[SNAPSHOT] = canonical_bytes({**fields, "keys": [before, {"from": 3, "key": keys_of(NEXT).block()}]})
    assert opened(files).history == log.history, "nor between two that are"


@given(st.sampled_from(list(Fault)), st.integers(0, 9))
def test_a_crash_at_any_write_of_a_succession_leaves_a_log_that_opens(fault, fail_at):
    files = MemoryLogFiles(fail_at=fail_at, fault=fault)
    try:
        log = opened(files)
        log.append([draft(0)], [FIRST])
        log.checkpoint(FIRST)
        log.append([rotation(keys_of(NEXT))], [FIRST])
        log.checkpoint(NEXT)
        log.append([draft(2)], [NEXT])
        log.checkpoint(NEXT)
    except PowerCutError:
        pass
    files.fail_at = -1
    again = opened(files)
    signer = {keys_of(one): one for one in (FIRST, NEXT)}[again.history.current]
    again.append([draft(9)], [signer])
    again.checkpoint(signer)
    assert opened(files).chain == again.chain


def test_in_profile_gm_both_keys_go_over_together():
    old, new = (FIRST, Sm2Signer.generate()), (NEXT, Sm2Signer.generate())
    files = MemoryLogFiles()
    log = Log(files, ORIGIN, keys_of(*old).keys, [keys_of(*new)])
    log.append([draft(0)], old)
    log.checkpoint(*old)
    log.append([rotation(keys_of(*new))], old)
    with pytest.raises(ContractError):
        log.append([draft(2)], [NEXT, old[1]])
    log.append([draft(2)], new)
    log.checkpoint(*new)
    assert Log(files, ORIGIN, keys_of(*old).keys, [keys_of(*new)]).history.current == keys_of(*new)
    with pytest.raises(UnknownKeyError, match="has signed before"):
        KeyHistory.begin(keys_of(*old), [keys_of(NEXT, old[1])]).after(recorded(keys_of(NEXT, old[1])))


def recorded(keys: LogKeys, log: str = ORIGIN):
    return parse_record(compose(rotation(keys), log, 0, ""))


def test_what_is_said_of_another_log_is_no_succession():
    elsewhere = keys_of(NEXT, origin="custody.example/station-08")
    assert successor_in(recorded(elsewhere)) is None
    assert successor_in(recorded(keys_of(NEXT))) == keys_of(NEXT)
    assert successor_in(parse_record(compose(draft(0), ORIGIN, 0, ""))) is None


def test_keys_of_a_log_are_one_key_and_in_gm_two():
    sm2 = Sm2Signer.generate()
    second = NoteKey(second_origin(ORIGIN), verify_key(sm2))
    assert keys_in(keys_of(FIRST, sm2).block()) == keys_of(FIRST, sm2)
    for wrong in ([], [FIRST, NEXT], [sm2], [FIRST, sm2, Sm2Signer.generate()]):
        with pytest.raises(ContractError):
            keys_of(*wrong)
    for note, other in [
        (NoteKey(ORIGIN, FIRST.verify_key(), COSIGNATURE), None),
        (second, None),
        (NoteKey(ORIGIN, FIRST.verify_key()), NoteKey(second_origin(ORIGIN), NEXT.verify_key())),
        (NoteKey(ORIGIN, FIRST.verify_key()), NoteKey(ORIGIN, verify_key(sm2))),
    ]:
        with pytest.raises(ContractError):
            LogKeys(note, other)
    with pytest.raises(UnparsableError):
        keys_in({"vkey": keys_of(FIRST).note.vkey(), "vkey_sm3": keys_of(NEXT).note.vkey()})


@pytest.mark.parametrize("vkey", ["", "x", None, NoteKey(ORIGIN, FIRST.verify_key(), COSIGNATURE).vkey()])
def test_a_key_block_names_the_vkey_of_a_log(vkey):
    body = {"key": {"vkey": vkey, "keyid": "x"}}
    plain = rotation(keys_of(NEXT))
    with pytest.raises(ContractError, match="vkey"):
        compose(Draft(ENROLLED, plain.record_id, plain.time, body), ORIGIN, 0, "")
    good = keys_of(NEXT).block()
    if vkey != "":
        twice = {"key": {**good, "vkey_sm3": vkey}}
        allowed = vkey is None
        try:
            compose(Draft(ENROLLED, plain.record_id, plain.time, twice), ORIGIN, 0, "")
            assert allowed
        except ContractError:
            assert not allowed


def test_following_checks_chain_and_succession_together():
    _, files = rotated()
    history, chain = KeyHistory.begin(keys_of(FIRST), APPROVED), Chain(ORIGIN)
    for line in lines(files):
        _, chain, history = history.follow(chain, line[:-1])
    assert history.current == keys_of(NEXT)
    assert set(history.candidates()) == {keys_of(FIRST), *APPROVED}


def test_what_a_writer_keeps_of_its_keys_is_signed_by_the_newest():
    gm = keys_of(THIRD, sm2 := Sm2Signer.generate())
    for succession, signers in [([keys_of(FIRST), keys_of(NEXT)], [NEXT]), ([gm], [THIRD, sm2])]:
        data = seal_succession(succession, signers)
        assert open_succession(data) == tuple(succession)
    with pytest.raises(UnknownKeyError):
        open_succession(seal_succession([keys_of(FIRST), keys_of(NEXT)], [FIRST]))
    for payload in (b"", b"x\n", b"\xff", b" ".join([keys_of(FIRST).note.vkey().encode()] * 3)):
        with pytest.raises(UnparsableError):
            open_succession(seal(payload, [NEXT], SUCCESSION_TYPE))


def test_keys_are_of_a_profile():
    p256 = pem_signer(new_pem("ecdsa-p256-sha256"), "test", "memory")
    assert [profile_of(keys_of(*signers)).value for signers in ([FIRST], [FIRST, Sm2Signer.generate()], [p256])] == [
        "std",
        "gm",
        "p256",
    ]
    with pytest.raises(ContractError, match="no profile"):
        keys_of(p256, Sm2Signer.generate())

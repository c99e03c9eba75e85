import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.chain import Chain
from custody.checkpoint import Checkpoint, NoteKey, parse_note, sign_checkpoint
from custody.envelope import seal
from custody.errors import CheckpointError, EvidenceError, LogError, UnparsableError
from custody.log import CHECKPOINT, SNAPSHOT, Log, entry_of
from custody.merkle import root
from custody.record import Draft, compose
from custody.signer import Ed25519Signer
from tests.custody.conftest import ORIGIN
from tests.fakes.log_files import Fault, MemoryLogFiles, PowerCutError

SIGNER = Ed25519Signer.from_seed(b"s" * 32)
KEYS = [SIGNER.verify_key()]


def draft(number):
    record_id = f"019ab1a5-231c-7c3e-9a41-{number:012x}"
    return Draft("log.recovered", record_id, {"utc_ms": 1795373277980 + number, "source": "ntp"}, {"reason": "测试"})


def filled(count, files=None):
    files = files or MemoryLogFiles()
    log = Log(files, ORIGIN, KEYS)
    log.append([draft(i) for i in range(count)], [SIGNER])
    return log, files


def lines(files):
    return bytes(files.data).splitlines(keepends=True)


def test_entries_are_numbered_chained_and_under_one_root():
    log, files = filled(5)
    entries = list(log.entries())
    assert [e.seq for e in entries] == [0, 1, 2, 3, 4]
    assert [e.record.prev for e in entries] == ["", *[e.leaf.hex() for e in entries[:-1]]]
    assert log.chain.root() == root([e.leaf for e in entries])
    assert [e.seq for e in log.entries(3)] == [3, 4]
    assert [e.data + b"\n" for e in entries] == lines(files)


def test_appending_nothing_writes_nothing():
    log, files = filled(0)
    assert log.append([], [SIGNER]) == []
    assert files.writes == 0


def test_reopened_with_and_without_snapshot_it_is_the_same_log():
    log, files = filled(5)
    log.checkpoint(SIGNER)
    log.append([draft(9)], [SIGNER])
    assert Log(files, ORIGIN, KEYS).chain == log.chain
    del files.small[SNAPSHOT]
    assert Log(files, ORIGIN, KEYS).chain == log.chain


@pytest.mark.parametrize(
    "snapshot",
    [
        b"{}",
        b"rubbish",
        b'{"size":5,"offset":0,"last_leaf":"","peaks":["QQ=="]}',
        b'{"size":1,"offset":0,"last_leaf":"","peaks":["###"]}',
        b'{"size":1,"offset":0,"last_leaf":"zz","peaks":["QQ=="]}',
        b'{"size":1,"offset":0,"last_leaf":"aa","peaks":["QQ=="]}',
    ],
)
def test_a_snapshot_is_only_a_cache(snapshot):
    log, files = filled(5)
    log.checkpoint(SIGNER)
    files.small[SNAPSHOT] = snapshot
    assert Log(files, ORIGIN, KEYS).chain == log.chain


def test_a_checkpoint_is_made_once_per_state():
    log, _ = filled(2)
    first = log.checkpoint(SIGNER)
    assert log.checkpoint(SIGNER) is first
    log.append([draft(7)], [SIGNER])
    assert log.checkpoint(SIGNER).checkpoint.size == 3


def test_a_foreign_checkpoint_is_not_kept():
    log, _ = filled(3)
    stranger = Ed25519Signer.from_seed(b"x" * 32)
    right = Checkpoint(ORIGIN, 3, log.chain.root())
    with pytest.raises(CheckpointError, match="known key"):
        log.keep(parse_note(sign_checkpoint(right, stranger)))
    with pytest.raises(CheckpointError, match="not of this log"):
        log.keep(parse_note(sign_checkpoint(Checkpoint(ORIGIN, 2, log.chain.root()), SIGNER)))


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("fail_at", range(20))
def test_after_a_power_cut_at_any_write_the_log_is_a_prefix_with_all_that_was_reported_durable(fail_at, fault):
    files = MemoryLogFiles(fail_at=fail_at, fault=fault)
    durable = []
    try:
        log = Log(files, ORIGIN, KEYS)
        for number in range(4):
            durable += [e.data for e in log.append([draft(2 * number), draft(2 * number + 1)], [SIGNER])]
            log.checkpoint(SIGNER)
    except PowerCutError:
        pass
    files.fail_at = -1
    again = Log(files, ORIGIN, KEYS)
    kept = [e.data for e in again.entries()]
    assert kept[: len(durable)] == durable
    assert len(kept) <= len(durable) + 2
    again.append([draft(99)], [SIGNER])
    again.checkpoint(SIGNER)
    assert Log(files, ORIGIN, KEYS).size == len(kept) + 1


def test_a_torn_entry_is_cut_off_and_reported():
    log, files = filled(3)
    files.data += b'{"payload":"half'
    again = Log(files, ORIGIN, KEYS)
    assert (again.size, again.torn_bytes) == (3, 16)
    assert bytes(files.data).endswith(b"\n")
    assert log.torn_bytes == 0


def test_another_writer_s_entries_are_read_on_refresh():
    log, files = filled(2)
    other = Log(files, ORIGIN, KEYS)
    other.append([draft(8)], [SIGNER])
    log.refresh()
    assert log.chain == other.chain


def test_a_mirror_is_byte_for_byte():
    log, files = filled(4)
    copy = MemoryLogFiles()
    mirror = Log(copy, ORIGIN, KEYS)
    entries, chain = mirror.verify_next([e.data for e in log.entries()])
    mirror.mirror(entries, chain)
    mirror.keep(log.checkpoint(SIGNER))
    assert copy.data == files.data
    with pytest.raises(LogError, match="another state"):
        mirror.mirror(entries, chain)


def broken(change):
    """The findings of opening and of following a log whose lines were changed after a checkpoint of size 6."""
    log, files = filled(6)
    log.checkpoint(SIGNER)
    del files.small[SNAPSHOT]
    files.data = bytearray(b"".join(change(lines(files))))
    with pytest.raises(EvidenceError) as caught:
        Log(files, ORIGIN, KEYS)
    return caught.value.finding, str(caught.value)


def test_truncation_is_found():
    assert broken(lambda x: x[:-1])[0] == "log-truncated"


def test_a_deleted_entry_is_found_at_its_place():
    assert broken(lambda x: x[:2] + x[3:]) == ("seq-gap", f"{ORIGIN}: entries 2 to 2 are missing")


def test_a_duplicate_is_found_at_its_place():
    assert broken(lambda x: x[:3] + x[2:]) == ("seq-duplicate", f"{ORIGIN}: entry 2 appears again")


def test_reordering_is_found():
    assert broken(lambda x: [x[1], x[0], *x[2:]])[0] == "seq-gap"


def resigned(line, seq, prev, log=ORIGIN):
    return seal(compose(draft(50 + seq), log, seq, prev), [SIGNER]) + b"\n"


def test_an_entry_of_another_log_is_found():
    finding, text = broken(lambda x: [resigned(x[0], 0, "", "custody.example/station-08"), *x[1:]])
    assert finding == "log-forked"
    assert "station-08" in text


def test_a_replaced_entry_breaks_the_chain_after_it():
    assert broken(lambda x: [resigned(x[0], 0, ""), *x[1:]])[0] == "prev-break"


def test_a_whole_new_history_by_the_stolen_key_contradicts_the_checkpoint():
    def rewrite(old):
        new, prev = [], ""
        for seq, line in enumerate(old):
            new.append(resigned(line, seq, prev))
            prev = entry_of(new[-1].rstrip()).leaf.hex()
        return new

    assert broken(rewrite)[0] == "root-mismatch"


@given(st.data())
def test_any_flipped_bit_in_the_file_is_found(data):
    log, files = filled(3)
    log.checkpoint(SIGNER)
    del files.small[SNAPSHOT]
    at = data.draw(st.integers(0, len(files.data) - 1))
    files.data[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(EvidenceError):
        Log(files, ORIGIN, KEYS)


@pytest.mark.parametrize("tail", [b"\0" * 200_000, b"x" * 70_000, b"\0\0\n{}\n\0\0", b"\0\n"])
def test_whatever_a_crash_left_after_the_last_entry_is_cut_off_and_counted(tail):
    log, files = filled(3)
    whole = bytes(files.data)
    files.data += tail
    files.chunk = 4096
    again = Log(files, ORIGIN, KEYS)
    assert (again.chain, again.torn_bytes) == (log.chain, len(tail))
    assert files.data == whole


def test_an_overlong_line_is_no_crash():
    _, files = filled(3)
    files.data += b"x" * 70_000 + b"\n"
    with pytest.raises(UnparsableError):
        Log(files, ORIGIN, KEYS)


@pytest.mark.parametrize("keep", [0, 2, 5])
def test_entries_that_vanished_under_a_valid_snapshot_are_missed(keep):
    log, files = filled(6)
    log.checkpoint(SIGNER)
    files.data = bytearray(b"".join(lines(files)[:keep]))
    with pytest.raises(LogError) as caught:
        Log(files, ORIGIN, KEYS)
    assert caught.value.finding == "log-truncated"


def test_a_last_entry_that_was_exchanged_under_a_valid_snapshot_is_noticed():
    log, files = filled(2)
    log.checkpoint(SIGNER)
    first, last = lines(files)
    files.data = bytearray(first + first[:-2] * 1 + b"}\n" + last)
    with pytest.raises(EvidenceError):
        Log(files, ORIGIN, KEYS)


def test_a_checkpoint_of_another_log_does_not_open_this_one():
    log, files = filled(2)
    other = Checkpoint("custody.example/station-08", 2, log.chain.root())
    body = other.body()
    key = NoteKey(ORIGIN, SIGNER.verify_key())
    line = f"— {ORIGIN} {base64.b64encode(key.key_hash() + SIGNER.sign(body)).decode()}\n"
    files.small[CHECKPOINT] = body + b"\n" + line.encode()
    with pytest.raises(LogError) as caught:
        Log(files, ORIGIN, KEYS)
    assert caught.value.finding == "log-forked"


def test_the_empty_log_has_a_root_too():
    files = MemoryLogFiles()
    files.small[CHECKPOINT] = sign_checkpoint(Checkpoint(ORIGIN, 0, b"\1" * 32), SIGNER)
    with pytest.raises(CheckpointError):
        Log(files, ORIGIN, KEYS)


def test_a_garbled_checkpoint_file_stops_the_log():
    log, files = filled(1)
    log.checkpoint(SIGNER)
    files.small[CHECKPOINT] = b"rubbish"
    with pytest.raises(UnparsableError):
        Log(files, ORIGIN, KEYS)


def test_an_empty_chain_says_so():
    assert (Chain(ORIGIN).size, Chain(ORIGIN).prev) == (0, "")

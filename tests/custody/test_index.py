"""The index beside a log: it answers like the log itself, is caught up after a crash, and is never believed."""

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody import index as index_module
from custody.checkpoint import Checkpoint
from custody.errors import ContractError, LogError, ProofError, StaleIndexError
from custody.index import ENDS, Index, OwnIndex, Proofs
from custody.log import SNAPSHOT, Log
from custody.merkle import consistency_proof, inclusion_proof, leaf_hash, root
from tests.custody.conftest import ORIGIN
from tests.custody.test_log import KEYS, SIGNER, draft, filled
from tests.custody.test_merkle import LEAVES, ROOTS, VECTORS, naive_root, needs_vectors
from tests.fakes.log_files import Fault, MemoryLogFiles, PowerCutError


@pytest.fixture(autouse=True)
def narrow_tiles(monkeypatch):
    """Four hashes a tile, so that a few entries make a tree of several files."""
    monkeypatch.setattr(index_module, "TILE_LEVELS", 2)
    monkeypatch.setattr(index_module, "TILE_WIDTH", 4)
    monkeypatch.setattr(index_module, "_BATCH", 8)


def plain(count):
    """Files of a log whose entries are only lines; the index asks for no more."""
    files = MemoryLogFiles(chunk=1 << 16)
    files.data += b"".join(b"entry %d\n" % number for number in range(count))
    return files


def leaves(count):
    return [leaf_hash(b"entry %d" % number) for number in range(count)]


def indexed(count):
    files = plain(count)
    Index(files).rebuild(count)
    return files, Proofs(files, Checkpoint(ORIGIN, count, root(leaves(count))))


@given(st.integers(1, 300), st.data())
def test_every_answer_is_that_of_the_whole_list(size, data):
    files, proofs = indexed(size)
    number, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    new = data.draw(st.integers(old, size))

    assert proofs.entry(number) == (b"entry %d" % number, inclusion_proof(leaves(size), number))
    assert proofs.consistency(old) == consistency_proof(leaves(size), old)
    assert proofs.consistency(old, new) == consistency_proof(leaves(new), old)
    assert proofs.root_at(old) == naive_root(leaves(old))
    assert Index(files).size() == size


def test_without_entries_there_is_the_empty_root():
    assert Proofs(plain(0), Checkpoint(ORIGIN, 0, root([]))).root_at(0) == root([])


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_537])
def test_tiles_of_full_width_are_those_of_tlog_tiles(monkeypatch, size):
    monkeypatch.undo()
    files, proofs = indexed(size)
    hashes = leaves(size)
    assert proofs.entry(size - 1)[1] == inclusion_proof(hashes, size - 1)
    for level in range(3):
        width = 256**level
        nodes = [root(hashes[at : at + width]) for at in range(0, size - width + 1, width)]
        assert files.read_at(f"tree.{level}", 0, size * 32) == b"".join(nodes)


@pytest.mark.parametrize("parts", [[1] * 40, [3, 1, 16, 4, 15, 1], [40]])
def test_however_it_grew_it_is_the_same(parts):
    files, number, end = plain(40), 0, 0
    for part in parts:
        lines = [b"entry %d" % one for one in range(number, number + part)]
        ends = [end := end + len(line) + 1 for line in lines]
        Index(files).extend(number, [leaf_hash(line) for line in lines], ends)
        number += part
    assert files.index == indexed(40)[0].index


@needs_vectors
def test_the_public_proofs_that_hold_are_those_of_the_index():
    files, tried = MemoryLogFiles(chunk=1 << 16), 0
    files.data += b"".join(leaf + b"\n" for leaf in LEAVES)
    for path in VECTORS.rglob("*.json"):
        vector = json.loads(path.read_text())
        size = vector.get("treeSize", vector.get("size2"))
        tree_root = base64.b64decode(vector.get("root", vector.get("root2")) or "").hex()
        if vector["wantErr"] or tree_root != ROOTS[size]:
            continue
        proofs = Proofs(files, Checkpoint(ORIGIN, size, bytes.fromhex(tree_root)))
        found = proofs.entry(vector["leafIdx"])[1] if "leafIdx" in vector else proofs.consistency(vector["size1"])
        assert found == [base64.b64decode(node) for node in vector["proof"] or []], path.name
        tried += 1
    assert tried == 10


# Never believed


def damage(files, name, data):
    file = files.index[name]
    match data.draw(st.sampled_from(["whole", "gone", "cut", "flipped", "zeroed", "longer"])):
        case "gone":
            del files.index[name]
        case "cut":
            del file[data.draw(st.integers(0, len(file))) :]
        case "flipped" if file:
            file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case "zeroed":
            file[:] = bytes(len(file))
        case "longer":
            file += b"\xff" * data.draw(st.integers(1, 99))


@given(st.integers(1, 120), st.data())
@settings(max_examples=200)
def test_whatever_lies_in_the_index_the_answers_are_right(size, data):
    files, proofs = indexed(size)
    for name in sorted(files.index):
        damage(files, name, data)
    number, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    if data.draw(st.booleans()):
        Index(files).catch_up(size, len(files.data))
    match data.draw(st.sampled_from(["entry", "consistency", "root"])):
        case "entry":
            assert proofs.entry(number) == (b"entry %d" % number, inclusion_proof(leaves(size), number))
        case "consistency":
            assert proofs.consistency(old) == consistency_proof(leaves(size), old)
        case "root":
            assert proofs.root_at(old) == root(leaves(old))


@given(st.sampled_from(["tree.0", "tree.1", ENDS]), st.data())
def test_whatever_lies_in_the_index_a_log_finds_its_entries(name, data):
    files = MemoryLogFiles(bytearray(LINES), chunk=1 << 16)
    log = Log(files, ORIGIN, KEYS)
    at, bit = data.draw(st.integers(0, len(files.index[name]) - 1)), data.draw(st.integers(0, 7))
    files.index[name][at] ^= 1 << bit
    for number in data.draw(st.permutations(range(8))):
        assert log.entry(number).seq == number


LINES = bytes(filled(8)[1].data)


def test_a_damaged_index_does_not_make_us_read_the_whole_log():
    files, _ = indexed(10_000)
    files.chunk, read = 100, []
    plain_read = files.read
    files.read = lambda offset: (read.append(chunk) or chunk for chunk in plain_read(offset))
    files.index[ENDS][40:48] = len(files.data).to_bytes(8, "big")
    with pytest.raises(StaleIndexError):
        Index(files).line(5)
    assert not read


def test_an_index_that_was_forged_as_a_whole_does_not_lead_to_the_signed_root():
    files, proofs = indexed(20)
    others = MemoryLogFiles(bytearray(files.data.replace(b"entry", b"other")))
    Index(others).rebuild(20)
    files.index = others.index
    assert proofs.entry(7)[0] == b"entry 7"


def test_an_entry_that_was_changed_with_its_index_is_no_entry_of_this_checkpoint():
    files, proofs = indexed(20)
    at = files.data.index(b"entry 7\n")
    files.data[at : at + 7] = b"forged7"
    Index(files).rebuild(20)
    with pytest.raises(ProofError, match="another root"):
        proofs.entry(7)
    with pytest.raises(ProofError):
        proofs.consistency(9)


def test_entries_that_are_gone_are_missed():
    files, proofs = indexed(20)
    del files.data[files.data.index(b"entry 15\n") :]
    with pytest.raises(LogError) as caught:
        proofs.entry(17)
    assert caught.value.finding == "log-truncated"


def test_asking_beyond_the_checkpoint_is_our_own_fault():
    _, proofs = indexed(5)
    for ask in (
        lambda: proofs.entry(5),
        lambda: proofs.entry(-1),
        lambda: proofs.consistency(0),
        lambda: proofs.consistency(3, 6),
        lambda: proofs.root_at(6),
    ):
        with pytest.raises(ContractError):
            ask()


# Beside a log that is written


def test_any_entry_of_a_log_is_found_by_its_number():
    log, files = filled(30)
    wanted = list(log.entries())
    reads = []
    plain_read = files.read
    files.read = lambda offset: reads.append(offset) or plain_read(offset)
    assert [log.entry(number) for number in range(30)] == wanted
    assert list(log.entries(27)) == wanted[27:]
    starts = [0, *[sum(len(entry.data) + 1 for entry in wanted[:number]) for number in range(1, 30)]]
    assert reads == [*starts, starts[27], starts[27]]
    assert list(log.entries(30)) == []


@pytest.mark.parametrize("seq", [-1, 3])
def test_an_entry_that_the_log_does_not_have_is_missed(seq):
    with pytest.raises(LogError) as caught:
        filled(3)[0].entry(seq)
    assert caught.value.finding == "log-truncated"


def test_a_log_knows_its_roots_of_before():
    log, _ = filled(12)
    found = [entry.leaf for entry in log.entries()]
    assert [log.root_at(size) for size in range(13)] == [root(found[:size]) for size in range(13)]
    with pytest.raises(ContractError):
        log.root_at(13)


def test_an_entry_in_the_place_of_another_is_noticed_even_with_a_fitting_index():
    log, files = filled(6)
    lines = bytes(files.data).splitlines(keepends=True)
    files.data = bytearray(b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    files.index.clear()
    with pytest.raises(StaleIndexError, match="entry 3 of"):
        log.entry(2)


@pytest.mark.parametrize("lost", ["tree.0", "tree.1", ENDS])
def test_what_a_crash_lost_is_caught_up_when_the_log_is_opened(lost):
    log, files = filled(30)
    log.checkpoint(SIGNER)
    whole = {name: bytes(data) for name, data in files.index.items()}
    del files.index[lost][len(files.index[lost]) // 2 // 32 * 32 :]
    Log(files, ORIGIN, KEYS)
    assert files.index == whole


@pytest.mark.parametrize("end", [12, 10**9, 2**60])
def test_an_index_that_ends_with_something_wrong_is_made_anew_when_the_log_is_opened(end):
    log, files = filled(30)
    log.checkpoint(SIGNER)
    whole = {name: bytes(data) for name, data in files.index.items()}
    del files.index[ENDS][80:]
    files.index[ENDS][72:] = end.to_bytes(8, "big")
    Log(files, ORIGIN, KEYS)
    assert files.index == whole


def test_a_log_from_before_there_was_an_index_gets_one():
    log, files = filled(30)
    whole, files.index = files.index, {}
    log.checkpoint(SIGNER)
    assert SNAPSHOT in files.small
    Log(files, ORIGIN, KEYS)
    assert files.index == whole


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("fail_at", range(16))
def test_after_a_power_cut_at_any_write_the_index_is_that_of_the_log(fail_at, fault):
    files = MemoryLogFiles(fail_at=fail_at, fault=fault, chunk=1 << 16)
    try:
        log = Log(files, ORIGIN, KEYS)
        for number in range(4):
            log.append([draft(2 * number), draft(2 * number + 1)], [SIGNER])
    except PowerCutError:
        pass
    files.fail_at = -1
    again = Log(files, ORIGIN, KEYS)
    again.append([draft(99)], [SIGNER])
    made = {name: bytes(data) for name, data in files.index.items()}
    Index(files).rebuild(again.size)
    assert made == files.index
    assert [again.entry(number).seq for number in range(again.size)] == list(range(again.size))


def test_a_reader_who_believes_nobody_keeps_an_index_of_his_own():
    class Reader(OwnIndex):
        def __init__(self, files):
            super().__init__()
            self.read = files.read

    files, _ = indexed(30)
    reader = Reader(files)
    assert reader.length(ENDS) == 0
    assert Proofs(reader, Checkpoint(ORIGIN, 30, root(leaves(30)))).entry(29)[0] == b"entry 29"
    reader.write_at("new", 3, b"x")
    assert reader.read_at("new", 0, 9) == b"\0\0\0x"


def test_ends_only_grow():
    files, _ = indexed(30)
    ends = [int.from_bytes(files.read_at(ENDS, 8 * number, 8), "big") for number in range(30)]
    assert all(a < b for a, b in pairwise(ends))
    assert ends[-1] == len(files.data)

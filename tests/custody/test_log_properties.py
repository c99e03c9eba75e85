"""Whatever is done to the lines of a log, following it fails at the very entry where it was done, by the right word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import canonical_bytes, parse_object
from custody.chain import Chain
from custody.envelope import open_envelope, seal
from custody.errors import EvidenceError
from custody.log import CHECKPOINT, SNAPSHOT, Log, entry_of
from custody.record import Draft
from custody.signer import Ed25519Signer
from tests.fakes.log_files import MemoryLogFiles

ORIGIN = "custody.example/station-07"
SIGNER, STRANGER = Ed25519Signer.from_seed(b"s" * 32), Ed25519Signer.from_seed(b"t" * 32)
KEYS = [SIGNER.verify_key()]
UUID = "019ab1a5-1a2b-7d55-8b02-91c3a4e05f77"
MOST = 9


def written(count):
    log = Log(MemoryLogFiles(), ORIGIN, KEYS)
    time = {"utc_ms": 1, "source": "ntp"}
    log.append([Draft("log.recovered", UUID, time, {"reason": str(number)}) for number in range(count)], [SIGNER])
    return [entry.data for entry in log.entries()], log.checkpoint(SIGNER).note


LINES, _ = written(MOST)


def stopped(lines):
    """How many entries were followed, and the word that ended it; no word when none did."""
    chain = Chain(ORIGIN)
    for number, data in enumerate(lines):
        try:
            _, chain = chain.follow(data, KEYS)
        except EvidenceError as error:
            return number, error.finding
    return len(lines), ""


def opened(lines, note):
    """The word with which opening the log beside its checkpoint ends."""
    files = MemoryLogFiles(bytearray(b"".join(line + b"\n" for line in lines)), {CHECKPOINT: note})
    with pytest.raises(EvidenceError) as caught:
        Log(files, ORIGIN, KEYS)
    assert SNAPSHOT not in files.small
    return caught.value.finding


def otherwise(line, signer=SIGNER):
    """Another record in the place of this one, with its number and predecessor, well signed."""
    record = {**parse_object(open_envelope(line).payload), "reason": "otherwise"}
    return seal(canonical_bytes(record), [signer])


sizes = st.integers(1, MOST)
places = st.data()


def place(data, count):
    return data.draw(st.integers(0, count - 1))


@given(sizes, places)
def test_deleted(count, data):
    lines, at = LINES[:count], place(data, count)
    assert stopped(lines[:at] + lines[at + 1 :]) == ((at, "") if at == count - 1 else (at, "seq-gap"))


@given(sizes, places)
def test_truncated(count, data):
    lines, note = written(count)
    assert opened(lines[: place(data, count)], note) == "log-truncated"


@given(sizes, places)
def test_duplicated(count, data):
    lines, at = LINES[:count], place(data, count)
    assert stopped([*lines[: at + 1], *lines[at:]]) == (at + 1, "seq-duplicate")


@given(st.integers(2, MOST), places)
def test_reordered(count, data):
    lines = data.draw(st.permutations(LINES[:count]).filter(lambda mixed: mixed != LINES[:count]))
    first = next(number for number, line in enumerate(lines) if line != LINES[number])
    assert stopped(lines) == (first, "seq-gap")


@given(sizes, places)
def test_forked_by_the_key_itself(count, data):
    """The new entry is good where it stands; the next one, or else the signed root, contradicts it."""
    (lines, note), at = written(count), place(data, count)
    lines[at] = otherwise(lines[at])
    assert stopped(lines) == ((count, "") if at == count - 1 else (at + 1, "prev-break"))
    assert opened(lines, note) == ("root-mismatch" if at == count - 1 else "prev-break")


@given(sizes, places)
def test_forged_by_a_stranger(count, data):
    lines, at = LINES[:count], place(data, count)
    forged = [*lines[:at], otherwise(lines[at], STRANGER), *lines[at + 1 :]]
    assert stopped(forged) == (at, "key-unknown")


@given(sizes, places)
def test_appended(count, data):
    lines = LINES[:count]
    again = data.draw(st.sampled_from(lines))
    assert stopped([*lines, again]) == (count, "seq-duplicate")
    assert stopped([*lines, otherwise(again, STRANGER)]) == (count, "key-unknown")
    assert stopped([*lines, again[: len(again) // 2]]) == (count, "unparsable")


@given(sizes, places)
def test_any_bit_of_any_line(count, data):
    lines, at = LINES[:count], place(data, count)
    position, bit = data.draw(st.integers(0, len(lines[at]) - 1)), data.draw(st.integers(0, 7))
    hurt = bytearray(lines[at])
    hurt[position] ^= 1 << bit
    where, word = stopped([*lines[:at], bytes(hurt), *lines[at + 1 :]])
    assert (where, word in {"unparsable", "sig-bad", "key-unknown"}) == (at, True)


@given(st.integers(0, MOST - 1), places)
def test_any_bit_of_a_record_under_the_old_signature(number, data):
    envelope = parse_object(LINES[number])
    payload = bytearray(open_envelope(LINES[number]).payload)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    moved = canonical_bytes({**envelope, "payload": parse_object(seal(bytes(payload), [STRANGER]))["payload"]})
    assert stopped([*LINES[:number], moved]) == (number, "sig-bad")


def test_untouched():
    assert stopped(LINES) == (MOST, "")
    assert [entry_of(line).seq for line in LINES] == list(range(MOST))

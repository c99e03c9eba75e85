import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.checkpoint import COSIGNATURE, Checkpoint, NoteKey, cosign, parse_note, sign_checkpoint
from custody.errors import CheckpointError, ContractError, EvidenceError, UnparsableError
from custody.signer import Ed25519Signer, VerifyKey
from tests.custody.conftest import ORIGIN

# RFC 8032 §7.1 tests 1 and 2; the note below was computed apart from this code and checked with the openssl command.
STATION = Ed25519Signer.from_seed(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
WITNESS = Ed25519Signer.from_seed(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
COSIGNER = "custody.example/centre-witness"
ROOT = base64.b64decode("F3gDIFgFGAqr7uOQ5qmshiiIpCb7IzwJyCd/A3QumWo=")
CHECKPOINT = Checkpoint(ORIGIN, 3, ROOT)
GOLDEN = (
    f"{ORIGIN}\n3\nF3gDIFgFGAqr7uOQ5qmshiiIpCb7IzwJyCd/A3QumWo=\n\n"
    f"— {ORIGIN} fAcPG6RkdyOhbpqUXtTAL1cRTOOlSbD7AS6DRwAmv6ghEZenAN4/c0LG/Y1JahSXaSWUx3j2ZrtCJCgz9YVnSpLEMQU=\n"
    f"— {COSIGNER} /uWwbwAAAABrAzlY1b/6S9tsvRyk4yMwzDwOsCBKPTjfwWph"
    "AwRdlAo+68SVfI3kjXxh1x6ec/YxvZcMaTGrguSmBceA+Klw22UZDw==\n"
).encode()
KEYS = [NoteKey(ORIGIN, STATION.verify_key()), NoteKey(COSIGNER, WITNESS.verify_key(), COSIGNATURE)]


def test_the_golden_note_is_made_byte_for_byte():
    note = parse_note(sign_checkpoint(CHECKPOINT, STATION))
    assert cosign(note, COSIGNER, WITNESS, 1795373400) == GOLDEN


def test_the_golden_note_verifies_with_both_keys():
    note = parse_note(GOLDEN)
    assert note.checkpoint == CHECKPOINT
    assert note.verify(KEYS) == {ORIGIN: 0, COSIGNER: 1795373400}


def test_the_golden_vkeys():
    station = "custody.example/station-07+7c070f1b+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
    witness = "custody.example/centre-witness+fee5b06f+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"
    assert [key.vkey() for key in KEYS] == [station, witness]
    assert [NoteKey.parse(text) for text in (station, witness)] == KEYS


def test_unknown_keys_are_ignored_and_known_bad_ones_reject_the_note():
    stranger = NoteKey(ORIGIN, VerifyKey(b"\1" * 32))
    assert parse_note(GOLDEN).verify([KEYS[1], stranger]) == {COSIGNER: 1795373400}
    with pytest.raises(CheckpointError) as unknown:
        parse_note(GOLDEN).verify([stranger])
    assert unknown.value.finding == "key-unknown"
    forged = GOLDEN.replace(b"\n3\n", b"\n4\n")
    with pytest.raises(CheckpointError) as bad:
        parse_note(forged).verify(KEYS)
    assert bad.value.finding == "sig-bad"


@given(st.integers(0, len(GOLDEN) - 1), st.integers(0, 7))
def test_any_flipped_bit_is_refused_or_drops_a_signature(at, bit):
    changed = bytearray(GOLDEN)
    changed[at] ^= 1 << bit
    try:
        signed = parse_note(bytes(changed)).verify(KEYS)
    except EvidenceError:
        return
    assert signed.keys() < {ORIGIN, COSIGNER}


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"a\nb\n",
        GOLDEN[:-1],
        GOLDEN.replace(b"\n\n", b"\n"),
        GOLDEN.replace(b"\n3\n", b"\n03\n"),
        GOLDEN.replace(b"\n3\n", b"\n-3\n"),
        GOLDEN.replace(b"\n3\n", b"\n3\nextra\n"),
        GOLDEN.replace(ORIGIN.encode(), b"with space", 1),
        GOLDEN.replace(b"\n3\n", "\n٣\n".encode()),
        GOLDEN.replace(b"F3gDIFgF", b"F3gD#FgF"),
        GOLDEN.replace(b"F3gDIFgFGAqr7uOQ5qmshiiIpCb7IzwJyCd/A3QumWo=", b"QQ=="),
        GOLDEN.replace(b"QumWo=", b"QumWp="),
        GOLDEN.replace("— ".encode(), b"-- "),
        b"\n".join([*GOLDEN.split(b"\n")[:4], "— name+plus fAcPG6Rk".encode(), b""]),
        b"\n".join([*GOLDEN.split(b"\n")[:4], "— name QQ==".encode(), b""]),
        b"\n".join([*GOLDEN.split(b"\n")[:4], "— name".encode(), b""]),
        GOLDEN.split(b"\n\n")[0] + b"\n\n",
        GOLDEN + b"x" * 70_000,
        GOLDEN + b"\xff\n",
        GOLDEN + "— a\tb fAcPG6Rk\n".encode(),
        GOLDEN + "— a\u00a0b fAcPG6Rk\n".encode(),
        GOLDEN.replace(b"\n3\n", b"\n9007199254740993\n"),
    ],
)
def test_what_is_no_note_is_unparsable(note):
    with pytest.raises(UnparsableError):
        parse_note(note)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name+hash",
        "custody.example/station-07+7c070f1b+###",
        "custody.example/station-07+7c070f1b+QQ==",
        "custody.example/station-07+00000000+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
        "custody.example/station-08+7c070f1b+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
        "custody.example/station-07+7c070f1b+A9damAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
    ],
)
def test_a_vkey_that_does_not_fit_itself_is_refused(vkey):
    with pytest.raises(UnparsableError):
        NoteKey.parse(vkey)


def test_a_time_beyond_63_bits_is_no_cosignature():
    late = cosign(parse_note(sign_checkpoint(CHECKPOINT, STATION)), COSIGNER, WITNESS, 2**63)
    with pytest.raises(CheckpointError):
        parse_note(late).verify(KEYS)


def test_a_name_with_a_plus_signs_nothing():
    with pytest.raises(ContractError):
        cosign(parse_note(GOLDEN), "custody.example/a+b", WITNESS, 0)


def test_a_note_may_carry_sixteen_signatures():
    note = parse_note(sign_checkpoint(CHECKPOINT, STATION))
    for number in range(15):
        note = parse_note(cosign(note, f"custody.example/w{number}", WITNESS, number))
    assert len(note.signatures) == 16

"""A request to let keys in: who holds them, what is read aloud, and that nothing of it can be changed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import canonical_bytes
from custody.enrolment import (
    PAYLOAD_TYPE,
    Enrolment,
    fingerprint,
    payload_of,
    read_request,
    request,
    same_fingerprint,
)
from custody.envelope import open_envelope, seal, verify
from custody.errors import ContractError, EvidenceError, SignatureError, UnknownKeyError, UnparsableError
from custody.profile import Profile
from custody.sm2 import Sm2Signer
from keystore.pem import new_pem, pem_signer
from tests.custody.test_keyring import FIRST, NEXT, STRANGER, keys_of

ASKED = Enrolment(keys_of(NEXT), Profile.STD, ({"backend": "file", "exportable": "yes"},), 1_795_380_000_000, "PEM", "")
REQUEST = request(ASKED, [NEXT])
SM2 = Sm2Signer.generate()
GM = Enrolment(keys_of(NEXT, SM2), Profile.GM, (), 1, replaces=keys_of(FIRST, Sm2Signer.generate()))


def test_a_request_says_what_was_asked_and_its_keys_signed_it():
    assert read_request(REQUEST) == ASKED
    assert (ASKED.station, ASKED.log) == ("station-07", "custody.example/station-07")
    assert read_request(request(GM, [NEXT, SM2])) == GM
    p256 = pem_signer(new_pem("ecdsa-p256-sha256"), "test", "memory")
    tpm = replace(ASKED, keys=keys_of(p256), profile=Profile.P256, replaces=None)
    assert read_request(request(tpm, [p256])) == tpm


@given(st.integers(0, len(REQUEST) * 8 - 1))
def test_any_flipped_bit_of_a_request_fails(bit):
    spoiled = bytearray(REQUEST)
    spoiled[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        read_request(bytes(spoiled))


def test_the_fingerprint_is_forty_digits_over_everything_that_is_asked():
    digits = fingerprint(REQUEST)
    assert [len(group) for group in digits.split()] == [5] * 8
    assert digits.replace(" ", "").isdecimal()
    assert fingerprint(request(replace(ASKED, mqtt_csr="other"), [NEXT])) != digits
    assert fingerprint(request(ASKED, [NEXT])) == digits


def test_two_people_read_the_same_digits_however_they_write_them():
    digits = fingerprint(REQUEST)
    assert same_fingerprint(digits, digits.replace(" ", "-"))
    assert not same_fingerprint(digits, digits[:-1] + str((int(digits[-1]) + 1) % 10))
    assert not same_fingerprint("", "")
    assert not same_fingerprint("12345", "12345")
    assert not same_fingerprint(digits, digits[:-1] + "\u0661")


def test_a_request_by_other_hands_is_refused():
    with pytest.raises(ContractError):
        request(ASKED, [STRANGER])
    with pytest.raises(ContractError):
        request(GM, [NEXT])
    with pytest.raises(UnknownKeyError):
        read_request(seal(payload_of(ASKED), [STRANGER], PAYLOAD_TYPE))
    with pytest.raises(SignatureError, match="sm2"):
        read_request(seal(payload_of(GM), [NEXT], PAYLOAD_TYPE))


def test_a_request_is_no_entry_and_an_entry_is_no_request():
    with pytest.raises(SignatureError, match="payload type"):
        verify(open_envelope(REQUEST), [NEXT.verify_key()])
    with pytest.raises(SignatureError, match="payload type"):
        read_request(seal(payload_of(ASKED), [NEXT]))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "x"},
        {"key": None},
        {"key": {"vkey": "x"}},
        {"csr": None},
        {"csr": {"custody": 1, "mqtt": ""}},
        {"csr": {"custody": "x" * 9000, "mqtt": ""}},
        {"replaces": "x"},
        {"replaces": keys_of(NEXT).block()},
        {"replaces": keys_of(FIRST, origin="custody.example/station-08").block()},
        {"made_ms": -1},
        {"made_ms": None},
        {"profile": "gm"},
        {"profile": "none"},
        {"attest": None},
        {"attest": [1]},
        {"attest": [{"a": 1}]},
        {"station": "station-08"},
        {"log": "custody.example/station-08"},
        {"key": keys_of(NEXT, origin="custody.example/centre").block()},
        {"key": keys_of(NEXT, origin="custody.example/station.sm3").block()},
    ],
)
def test_what_does_not_fit_is_unparsable(change):
    fields = {**json.loads(payload_of(ASKED)), **change}
    with pytest.raises(UnparsableError):
        read_request(seal(canonical_bytes(fields), [NEXT], PAYLOAD_TYPE))


def test_a_payload_in_another_spelling_is_refused():
    spaced = json.dumps(json.loads(payload_of(ASKED))).encode()
    with pytest.raises(UnparsableError, match="canonical"):
        read_request(seal(spaced, [NEXT], PAYLOAD_TYPE))


def test_a_request_is_signed_by_its_own_keys_once_and_by_nobody_else():
    for signers in ([NEXT, STRANGER], [NEXT, NEXT]):
        with pytest.raises(UnparsableError, match="by no other"):
            read_request(seal(payload_of(ASKED), signers, PAYLOAD_TYPE))

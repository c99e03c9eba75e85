import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from custody import p256, sm2
from custody.canonical import canonical_bytes
from custody.envelope import open_envelope, seal, verify
from custody.errors import ContractError, EvidenceError, SignatureError, UnknownKeyError
from custody.merkle import sm3
from custody.p256 import ORDER, P256Signer
from custody.profile import SUITES, Profile, check_keys
from custody.signer import Ed25519Signer, VerifyKey, verify_key
from custody.sm2 import Sm2Signer

ED = Ed25519Signer.from_seed(b"e" * 32)
SM2 = Sm2Signer.generate()
P256 = P256Signer(ec.generate_private_key(ec.SECP256R1()))
KEYS = {signer.suite(): verify_key(signer) for signer in (ED, SM2, P256)}
PAYLOAD = b'{"n":1}'
GM = [KEYS["ed25519"], KEYS["sm2-sm3"]]
ENTRY = seal(PAYLOAD, [ED, SM2])


def without(entry, number):
    fields = json.loads(entry)
    del fields["signatures"][number]
    return open_envelope(canonical_bytes(fields))


def test_every_profile_is_signed_and_verified_with_its_suites():
    for profile, suites in SUITES.items():
        signers = [s for s in (ED, SM2, P256) if s.suite() in suites]
        envelope = open_envelope(seal(PAYLOAD, signers))
        keys = [KEYS[suite] for suite in suites]
        check_keys(profile, keys)
        assert verify(envelope, keys) == keys[0]
        assert verify(envelope, KEYS.values(), suites) == keys[0]


def test_keyids_say_their_suite():
    hints = [signature["keyid"] for signature in json.loads(seal(PAYLOAD, [ED, SM2, P256]))["signatures"]]
    assert [len(hint) for hint in hints] == [16, 20, 21]
    assert hints[1].startswith("sm2:")
    assert hints[2].startswith("p256:")
    assert [key.keyid for key in KEYS.values()] == hints


@pytest.mark.parametrize("number", [0, 1])
def test_profile_gm_demands_both_signatures(number):
    with pytest.raises(SignatureError, match="no enrolled key of") as caught:
        verify(without(ENTRY, number), GM)
    assert caught.value.finding == "sig-bad"


def test_a_log_of_profile_std_ignores_a_second_signature_it_knows_nothing_of():
    assert verify(open_envelope(ENTRY), [KEYS["ed25519"]]) == KEYS["ed25519"]
    assert verify(open_envelope(ENTRY), GM, SUITES[Profile.STD]) == KEYS["ed25519"]


def test_a_second_signature_by_a_stranger_does_not_count():
    stranger = Sm2Signer.generate()
    with pytest.raises(SignatureError, match="sm2-sm3"):
        verify(open_envelope(seal(PAYLOAD, [ED, stranger])), GM)
    with pytest.raises(UnknownKeyError):
        verify(open_envelope(seal(PAYLOAD, [stranger])), [KEYS["ed25519"]])


def test_a_bad_second_signature_spoils_a_good_first_one():
    fields = json.loads(ENTRY)
    fields["signatures"][1]["sig"] = json.loads(seal(b"{}", [SM2]))["signatures"][0]["sig"]
    with pytest.raises(SignatureError, match="does not fit"):
        verify(open_envelope(canonical_bytes(fields)), GM)


@given(st.integers(0, len(ENTRY) - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_gm_entry_fails(at, mask):
    changed = bytearray(ENTRY)
    changed[at] ^= mask
    with pytest.raises(EvidenceError):
        verify(open_envelope(bytes(changed)), GM)


@pytest.mark.parametrize("profile", list(Profile))
def test_a_profile_takes_keys_of_exactly_its_suites(profile):
    for suites in ([], [*KEYS], ["ed25519", "ecdsa-p256-sha256"]):
        with pytest.raises(ContractError, match=f"profile {profile} needs keys of"):
            check_keys(profile, [KEYS[suite] for suite in suites])


@pytest.mark.parametrize("suite", ["sm2-sm3", "ecdsa-p256-sha256"])
@pytest.mark.parametrize("raw", [b"", b"\x04" + b"x" * 63, b"\x02" + b"x" * 64])
def test_points_are_uncompressed_and_whole(suite, raw):
    with pytest.raises(ContractError):
        VerifyKey(raw, suite)


def test_p256_signatures_have_one_spelling():
    signature = P256.sign(PAYLOAD)
    assert P256.suite() == "ecdsa-p256-sha256"
    assert P256.attest() == {"backend": "memory", "exportable": "yes"}
    assert KEYS[P256.suite()].made(signature, PAYLOAD)
    assert not KEYS[P256.suite()].made(signature, PAYLOAD + b"!")
    r, s = p256.decode_dss_signature(signature)
    other = p256.encode_dss_signature(r, ORDER - s)
    assert s < ORDER - s
    P256._private.public_key().verify(other, PAYLOAD, p256._ECDSA)
    assert not KEYS[P256.suite()].made(other, PAYLOAD)
    assert p256.canonical(other) == signature
    assert not KEYS[P256.suite()].made(b"rubbish", PAYLOAD)


def test_a_point_off_the_curve_made_nothing():
    assert not p256.made(b"\x04" + b"\1" * 64, P256.sign(PAYLOAD), PAYLOAD)


def test_keys_on_other_curves_are_refused():
    with pytest.raises(ContractError, match="secp384r1"):
        P256Signer(ec.generate_private_key(ec.SECP384R1()))


def test_sm3_is_the_published_digest():
    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm2.SUITE in SUITES[Profile.GM]

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as ForeignEnvelope
from securesystemslib.signer import SSlibKey

from custody.canonical import canonical_bytes
from custody.envelope import MAX_ENTRY_BYTES, PAYLOAD_TYPE, open_envelope, pae, seal, verify
from custody.errors import ContractError, EvidenceError, SignatureError, UnknownKeyError, UnparsableError
from custody.signer import Ed25519Signer, VerifyKey

PAYLOAD = '{"名称":"执法记录","n":1}'.encode()
SIGNER = Ed25519Signer.from_seed(b"k" * 32)
OTHER = Ed25519Signer.from_seed(b"o" * 32)
ENTRY = seal(PAYLOAD, [SIGNER])


def test_pae_is_the_example_of_the_dsse_specification():
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_in_the_pae_count_bytes():
    assert pae("执", "法\n ".encode()) == b"DSSEv1 3 \xe6\x89\xa7 5 \xe6\xb3\x95\n "


def test_another_implementation_accepts_our_envelope():
    foreign = ForeignEnvelope.from_dict(json.loads(ENTRY))
    hint = json.loads(ENTRY)["signatures"][0]["keyid"]
    key = SSlibKey(hint, "ed25519", "ed25519", {"public": SIGNER.public_key().hex()})
    assert foreign.payload == PAYLOAD
    assert foreign.verify([key], 1)


def test_the_signing_key_is_returned_and_the_payload_unchanged():
    envelope = open_envelope(ENTRY)
    assert envelope.payload == PAYLOAD
    assert verify(envelope, [OTHER.verify_key(), SIGNER.verify_key()]) == SIGNER.verify_key()


def test_an_unknown_key_is_not_a_bad_signature():
    with pytest.raises(UnknownKeyError) as caught:
        verify(open_envelope(ENTRY), [OTHER.verify_key()])
    assert caught.value.finding == "key-unknown"


def test_the_hint_alone_proves_nothing():
    forged = json.loads(seal(PAYLOAD, [OTHER]))
    forged["signatures"][0]["keyid"] = SIGNER.verify_key().keyid
    with pytest.raises(SignatureError) as caught:
        verify(open_envelope(canonical_bytes(forged)), [SIGNER.verify_key()])
    assert caught.value.finding == "sig-bad"


def test_a_second_known_key_with_a_bad_signature_spoils_the_envelope():
    fields = json.loads(seal(PAYLOAD, [SIGNER, OTHER]))
    fields["signatures"][1]["sig"] = fields["signatures"][0]["sig"]
    with pytest.raises(SignatureError):
        verify(open_envelope(canonical_bytes(fields)), [SIGNER.verify_key(), OTHER.verify_key()])


def test_another_payload_type_is_refused_even_when_well_signed():
    with pytest.raises(SignatureError, match="payload type"):
        verify(open_envelope(seal(PAYLOAD, [SIGNER], "text/plain")), [SIGNER.verify_key()])


@given(st.integers(0, len(ENTRY) - 1), st.integers(1, 255))
def test_any_changed_byte_fails_or_leaves_the_signed_bytes_alone(at, mask):
    changed = bytearray(ENTRY)
    changed[at] ^= mask
    try:
        envelope = open_envelope(bytes(changed))
        verify(envelope, [SIGNER.verify_key()])
    except EvidenceError:
        return
    pytest.fail(f"byte {at} was changed and nobody noticed: {bytes(changed)!r}")


@pytest.mark.parametrize(
    "change",
    [
        {"payload": None},
        {"payload": "###"},
        {"payload": "QQ"},
        {"payload": "QR=="},
        {"payload": "执"},
        {"payloadType": 5},
        {"signatures": {}},
        {"signatures": []},
        {"signatures": [{"keyid": "a", "sig": "QQ=="}] * 9},
        {"signatures": ["x"]},
        {"signatures": [{"keyid": 5, "sig": "QQ=="}]},
        {"signatures": [{"keyid": "a"}]},
    ],
)
def test_malformed_envelopes_are_unparsable(change):
    with pytest.raises(UnparsableError):
        open_envelope(canonical_bytes({**json.loads(ENTRY), **change}))


@pytest.mark.parametrize(
    "respelled", [ENTRY + b"\r", ENTRY.replace(b":", b": ", 1), ENTRY.replace(b"keyid", b"\\u006beyid")]
)
def test_another_spelling_of_a_signed_envelope_is_refused(respelled):
    assert json.loads(respelled) == json.loads(ENTRY)
    with pytest.raises(UnparsableError, match="canonical"):
        open_envelope(respelled)


def test_size_is_bounded_both_ways():
    with pytest.raises(ContractError, match="exceeds"):
        seal(b"x" * MAX_ENTRY_BYTES, [SIGNER])
    with pytest.raises(UnparsableError, match="exceeds"):
        open_envelope(b" " * (MAX_ENTRY_BYTES + 1))


def test_nobody_signs_nothing():
    with pytest.raises(ContractError, match="at least one"):
        seal(PAYLOAD, [])


def test_the_payload_type_is_the_one_the_papers_name():
    assert PAYLOAD_TYPE == "application/vnd.bwc.custody.v1+json"
    assert pae(PAYLOAD_TYPE, b"").startswith(b"DSSEv1 35 ")


def test_keys_have_the_length_of_their_suite():
    with pytest.raises(ContractError):
        VerifyKey(b"short")
    with pytest.raises(ContractError):
        VerifyKey(b"k" * 32, "rsa")
    with pytest.raises(ContractError):
        Ed25519Signer.from_seed(b"short")


def test_a_signer_says_what_it_is():
    assert SIGNER.suite() == "ed25519"
    assert SIGNER.attest() == {"backend": "memory", "exportable": "yes"}
    assert base64.b64decode(json.loads(ENTRY)["payload"]) == PAYLOAD
    assert not SIGNER.verify_key().made(b"short", b"message")

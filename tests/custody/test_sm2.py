import hashlib
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from custody import sm2
from custody.errors import ContractError
from custody.profile import Profile, probe
from custody.sm2 import DEFAULT_ID, SPKI_PREFIX, Sm2Signer, Sm2UnavailableError

VECTOR = Path(__file__).parents[3] / "shared" / "vectors" / "sm2.json"
ED25519_DER = bytes.fromhex(
    "302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
)
MESSAGE = "执法记录 message".encode()


@pytest.fixture(scope="module")
def signer():
    return Sm2Signer.generate()


def openssl(*arguments, cwd):
    return subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, check=False).returncode


@pytest.mark.skipif(
    not VECTOR.is_file(), reason="the published vector is not beside the project; the module has its constants"
)
def test_the_published_vector_verifies_and_nothing_near_it():
    vector = json.loads(VECTOR.read_text("utf-8"))
    point = bytes.fromhex("04" + vector["public_key_x"] + vector["public_key_y"])
    r, s = (bytes.fromhex(vector[name]) for name in ("signature_r", "signature_s"))
    signature = b"\x30\x46\x02\x21\x00" + r + b"\x02\x21\x00" + s
    message, user_id = vector["message"].encode(), vector["user_id"].encode()
    assert sm2.made(point, signature, message, user_id)
    assert not sm2.made(point, signature, message + b"!", user_id)
    assert not sm2.made(point, signature, message, b"8765432187654321")
    assert not sm2.made(point, signature[:-1] + b"\0", message, user_id)
    assert not sm2.made(point, signature + b"\0", message, user_id)


def test_the_published_private_key_has_the_published_point():
    scalar = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
    sec1 = b"\x30\x31\x02\x01\x01\x04\x20" + scalar + bytes.fromhex("a00a06082a811ccf5501822d")
    signer = Sm2Signer(sec1)
    assert signer.public_key().hex().startswith("0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc07")
    assert sm2.made(signer.public_key(), signer.sign(MESSAGE), MESSAGE)


def test_it_signs_what_it_verifies_and_never_twice_the_same(signer):
    first, second = signer.sign(MESSAGE), signer.sign(MESSAGE)
    assert first != second
    assert all(sm2.made(signer.public_key(), signature, MESSAGE) for signature in (first, second))
    assert not sm2.made(Sm2Signer.generate().public_key(), first, MESSAGE)
    assert (signer.suite(), signer.attest()) == ("sm2-sm3", {"backend": "memory", "exportable": "yes"})


def test_the_openssl_command_accepts_our_signature_and_refuses_a_changed_message(signer, tmp_path):
    (tmp_path / "public.der").write_bytes(SPKI_PREFIX + signer.public_key())
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "signature").write_bytes(signer.sign(MESSAGE))
    check = ["dgst", "-sm3", "-verify", "public.der", "-keyform", "DER"]
    check += ["-sigopt", f"distid:{DEFAULT_ID.decode()}", "-signature", "signature", "message"]
    assert openssl(*check, cwd=tmp_path) == 0
    (tmp_path / "message").write_bytes(MESSAGE + b"!")
    assert openssl(*check, cwd=tmp_path) == 1


@pytest.mark.parametrize("form", [["genpkey", "-algorithm", "SM2"], ["ecparam", "-name", "SM2", "-genkey", "-noout"]])
def test_we_accept_what_the_openssl_command_signed(form, tmp_path):
    (tmp_path / "message").write_bytes(MESSAGE)
    assert openssl(*form, "-outform", "DER", "-out", "key.der", cwd=tmp_path) == 0
    sign = ["dgst", "-sm3", "-sign", "key.der", "-keyform", "DER", "-sigopt", f"distid:{DEFAULT_ID.decode()}"]
    assert openssl(*sign, "-out", "signature", "message", cwd=tmp_path) == 0
    signer, signature = Sm2Signer((tmp_path / "key.der").read_bytes()), (tmp_path / "signature").read_bytes()
    assert sm2.made(signer.public_key(), signature, MESSAGE)
    assert not sm2.made(signer.public_key(), signature, MESSAGE + b"!")


def test_the_openssl_command_reads_a_key_we_made(tmp_path):
    (tmp_path / "key.der").write_bytes(sm2.generate())
    assert openssl("pkey", "-in", "key.der", "-inform", "DER", "-noout", "-check", cwd=tmp_path) == 0


@pytest.mark.parametrize("der", [b"", b"rubbish", ED25519_DER])
def test_what_is_no_sm2_private_key_is_refused(der):
    with pytest.raises(ContractError):
        Sm2Signer(der)


def test_a_point_off_the_curve_made_nothing_and_one_of_another_length_is_a_bug(signer):
    assert not sm2.made(b"\x04" + b"\1" * 64, signer.sign(MESSAGE), MESSAGE)
    with pytest.raises(ContractError, match="65 bytes"):
        sm2.made(signer.public_key()[:-1], b"", MESSAGE)


def test_a_refusal_leaves_no_error_behind_for_python_s_own_tls(signer):
    assert not sm2.made(b"\x04" + b"\1" * 64, signer.sign(MESSAGE), MESSAGE)
    assert sm2.libcrypto().ERR_peek_error() == 0
    with pytest.raises(ContractError):
        Sm2Signer(b"rubbish")
    assert not sm2.made(signer.public_key(), b"rubbish", MESSAGE)
    assert sm2.libcrypto().ERR_peek_error() == 0


@pytest.mark.parametrize("name", ["libnot-there.so.3", "libc.so.6"])
def test_without_a_fit_libcrypto_the_refusal_is_one_sentence(name):
    with pytest.raises(Sm2UnavailableError, match="profile gm needs OpenSSL 3 with SM2 and SM3"):
        sm2.libcrypto(name)


class Libcrypto:
    """Says yes to every call but those named."""

    def __init__(self, **answers):
        self._answers = answers

    def __getattr__(self, name):
        return lambda *_: self._answers.get(name, 1)


@pytest.mark.parametrize("verdict", [0, 1])
def test_a_libcrypto_that_judges_the_published_example_wrongly_is_refused(verdict):
    with pytest.raises(Sm2UnavailableError, match="Annex A"):
        sm2.prove_sm2(Libcrypto(EVP_DigestVerify=verdict))


@pytest.mark.parametrize("call", ["EVP_PKEY_CTX_set1_id", "EVP_DigestVerifyInit"])
def test_a_call_that_libcrypto_refuses_is_no_verdict(call):
    with pytest.raises(Sm2UnavailableError, match="refused"):
        sm2.prove_sm2(Libcrypto(**{call: 0}))


def test_a_libcrypto_built_without_the_curve_is_refused():
    with pytest.raises(Sm2UnavailableError, match="Annex A"):
        sm2.prove_sm2(Libcrypto(d2i_PUBKEY=0))


def test_sm3_is_proven_too():
    sm2.prove_sm3()
    with pytest.raises(Sm2UnavailableError, match="no SM3"):
        sm2.prove_sm3(lambda name, data: hashlib.new(f"no-{name}", data))
    with pytest.raises(Sm2UnavailableError, match="published digest"):
        sm2.prove_sm3(lambda _name, _data: SimpleNamespace(hexdigest=lambda: "00" * 32))


def test_profiles_are_probed_at_start():
    for profile in Profile:
        probe(profile)

    def without_sm3(name, data):
        return hashlib.new(f"no-{name}", data)

    probe(Profile.STD, without_sm3)
    with pytest.raises(Sm2UnavailableError, match="no SM3"):
        probe(Profile.GM, without_sm3)

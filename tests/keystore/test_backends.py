"""One suite for every place where a key may live; each test starts what it needs: SoftHSM, swtpm, systemd-creds."""

import copy
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA384

from custody import p256, sm2
from custody.checkpoint import NoteKey
from custody.enrolment import Enrolment, fingerprint, read_request, request
from custody.envelope import open_envelope, seal, verify
from custody.keyring import LogKeys
from custody.log import Log
from custody.profile import Profile
from custody.signer import ED25519, Signer, verify_key
from ingestd.enrolment.ca import Ca, check_requests
from keystore import KeyPlaces, KeystoreError, open_signer
from keystore.certificates import CUSTODY_USAGE, is_about, request_for, require_client, signing_key
from keystore.pem import CREDENTIALS, new_pem, read_secret
from keystore.places import parse_place
from tests.custody.test_log import ORIGIN, draft
from tests.fakes.log_files import MemoryLogFiles
from tests.rig.tokens import HANDLE, SOFTHSM, SoftHsm, software_tpm

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("tokens")]

KEYS = {
    "file ed25519": (ED25519, "file", "yes"),
    "file p256": (p256.SUITE, "file", "yes"),
    "file sm2": (sm2.SUITE, "file", "yes"),
    "credential ed25519": (ED25519, "systemd-credential", "yes"),
    "credential sm2": (sm2.SUITE, "systemd-credential", "yes"),
    "pkcs11 ed25519": (ED25519, "pkcs11", "no"),
    "pkcs11 p256": (p256.SUITE, "pkcs11", "no"),
    "tpm2 p256": (p256.SUITE, "tpm2", "no"),
}
"""Key → its suite, the back end it names, and whether it says that it can be exported."""
MESSAGE = "执法记录 ".encode() * 500


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Iterator[dict[str, Path | str]]:
    folder, token = tmp_path_factory.mktemp("keys"), SoftHsm(tmp_path_factory.mktemp("hsm") / "softhsm")
    token.make("ed25519", "1.3.101.112")
    token.make("p256", "secp256r1")
    token.make("p384", "secp384r1")
    for name, suite in (("ed25519", ED25519), ("p256", p256.SUITE), ("sm2", sm2.SUITE)):
        (folder / name).write_bytes(new_pem(suite))
        (folder / name).chmod(0o600)
    with ExitStack() as stack:
        os.environ[CREDENTIALS] = str(folder)
        stack.callback(os.environ.pop, CREDENTIALS)
        yield {
            "file ed25519": folder / "ed25519",
            "file p256": f"file:{folder}/p256",
            "file sm2": f"file:{folder}/sm2",
            "credential ed25519": "credential:ed25519",
            "credential sm2": "credential:sm2",
            "pkcs11 ed25519": token.url("ed25519"),
            "pkcs11 p256": token.url("p256"),
            "pkcs11 p384": token.url("p384"),
            "tpm2 p256": stack.enter_context(software_tpm(tmp_path_factory.mktemp("tpm"))),
        }


@pytest.fixture(params=KEYS)
def key(request) -> str:
    return str(request.param)


@pytest.fixture
def signer(places, key) -> Signer:
    return open_signer(places[key])


def test_a_signature_verifies_with_the_public_key_and_for_no_other_message(signer, key):
    suite, _, _ = KEYS[key]
    signature, public = signer.sign(MESSAGE), verify_key(signer)
    assert public.suite == signer.suite() == suite
    assert public.made(signature, MESSAGE)
    assert not public.made(signature, MESSAGE[:-1])
    assert not public.made(signature[:-1] + bytes([signature[-1] ^ 1]), MESSAGE)


def test_it_says_where_the_key_lives_and_whether_it_can_leave(signer, key):
    _, backend, exportable = KEYS[key]
    words = signer.attest()
    assert (words["backend"], words["exportable"]) == (backend, exportable)


def test_opened_again_it_is_the_same_key(signer, places, key):
    again = open_signer(places[key])
    assert again.public_key() == signer.public_key()
    assert verify_key(signer).made(again.sign(b""), b"")


def test_several_threads_may_sign(signer):
    messages = [bytes([number]) * 40 for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        signatures = list(pool.map(signer.sign, messages))
    assert all(verify_key(signer).made(*pair) for pair in zip(signatures, messages, strict=True))


def test_envelopes_and_checkpoints_are_signed_with_it(signer):
    public = verify_key(signer)
    assert verify(open_envelope(seal(b"{}", [signer])), [public]) == public
    if signer.suite() == sm2.SUITE:
        return  # The second signature of a log, never the only one.
    log = Log(MemoryLogFiles(), ORIGIN, [public])
    log.append([draft(0)], [signer])
    assert log.checkpoint(signer).verify([NoteKey(ORIGIN, public)]) == {ORIGIN: 0}


def test_p256_is_accepted_by_the_openssl_command(places, tmp_path):
    for key in ("file p256", "pkcs11 p256", "tpm2 p256"):
        signer = open_signer(places[key])
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), signer.public_key())
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        (tmp_path / "public.pem").write_bytes(point.public_bytes(serialization.Encoding.PEM, form))
        (tmp_path / "message").write_bytes(MESSAGE)
        (tmp_path / "signature").write_bytes(signer.sign(MESSAGE))
        check = ["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message"]
        assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "no such object": (lambda url: url.replace("object=ed25519", "object=nobody"), "NoSuchKey"),
    "no such token": (lambda url: url.replace("token=bwc", "token=other"), "NoSuchToken"),
    "no such module": (lambda url: url.replace(str(SOFTHSM), "/nowhere/module.so"), "nowhere"),
    "no object": (lambda url: url.replace(";object=ed25519", ""), "object= is needed"),
    "no PIN": (lambda url: url.replace("file:", "file:/nowhere"), "cannot be read"),
    "another curve": (lambda url: url.replace("object=ed25519", "object=p384"), "Ed25519 or P-256"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_token_that_cannot_serve_says_why(places, case):
    change, words = WRONG[case]
    with pytest.raises(KeystoreError, match=words):
        open_signer(change(places["pkcs11 ed25519"]))


def test_a_tpm_without_the_key_or_without_answer_says_why(places, monkeypatch):
    with pytest.raises(KeystoreError, match="tpm2_readpublic"):
        open_signer(places["tpm2 p256"].replace(HANDLE, "0x81010099"))
    with pytest.raises(KeystoreError, match="handle= is needed"):
        open_signer("tpm2:key?tcti=x")
    signer = open_signer(places["tpm2 p256"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KeystoreError, match="tpm2-tools"):
        signer.sign(b"")


def test_a_tpm_that_went_away_signs_nothing(tmp_path):
    with software_tpm(tmp_path / "tpm") as place:
        signer = open_signer(place)
    with pytest.raises(KeystoreError, match="tpm2_sign"):
        signer.sign(MESSAGE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_or_pin_that_others_may_touch_is_refused(tmp_path, mode):
    (tmp_path / "k.pem").write_bytes(new_pem(ED25519))
    (tmp_path / "k.pem").chmod(mode)
    for read in (open_signer, lambda path: read_secret(f"file:{path}")):
        with pytest.raises(KeystoreError, match="0600 is needed"):
            read(tmp_path / "k.pem")


RSA = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
SM2_PUBLIC = b"-----BEGIN PUBLIC KEY-----\nBggqgRzPVQGCLQ==\n-----END PUBLIC KEY-----\n"


def p384() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)


@pytest.mark.parametrize("pem", [b"", b"rubbish", RSA, SM2_PUBLIC, p384()])
def test_what_is_no_key_of_ours_is_refused(tmp_path, pem):
    (tmp_path / "k.pem").write_bytes(pem)
    (tmp_path / "k.pem").chmod(0o600)
    with pytest.raises(KeystoreError, match=r"k\.pem"):
        open_signer(tmp_path / "k.pem")


def test_other_kinds_of_keys_are_refused(tmp_path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", tmp_path / "k.pem"], check=True)
    (tmp_path / "k.pem").chmod(0o600)
    with pytest.raises(KeystoreError, match="Ed25519, P-256 or SM2"):
        open_signer(tmp_path / "k.pem")
    with pytest.raises(KeystoreError, match="rsa"):
        new_pem("rsa")


def test_keys_we_made_are_read_by_the_openssl_command(tmp_path):
    for suite in (ED25519, p256.SUITE, sm2.SUITE):
        (tmp_path / "k.pem").write_bytes(new_pem(suite))
        done = subprocess.run(
            ["openssl", "pkey", "-in", tmp_path / "k.pem", "-noout"], capture_output=True, check=False
        )
        assert done.returncode == 0, suite


@pytest.mark.parametrize("form", [["genpkey", "-algorithm", "SM2"], ["ecparam", "-name", "SM2", "-genkey"]])
def test_sm2_keys_made_by_the_openssl_command_are_read(tmp_path, form):
    subprocess.run(["openssl", *form, "-out", tmp_path / "k.pem"], check=True)
    (tmp_path / "k.pem").chmod(0o600)
    assert open_signer(tmp_path / "k.pem").suite() == sm2.SUITE


@pytest.mark.parametrize("name", ["", "nobody", "../k.pem", ".."])
def test_a_credential_that_systemd_did_not_pass_is_refused(monkeypatch, tmp_path, name):
    monkeypatch.delenv(CREDENTIALS, raising=False)
    with pytest.raises(KeystoreError):
        open_signer(f"credential:{name}")
    (tmp_path / "k.pem").write_bytes(new_pem(ED25519))
    (tmp_path / "credentials").mkdir()
    monkeypatch.setenv(CREDENTIALS, str(tmp_path / "credentials"))
    with pytest.raises(KeystoreError):
        open_signer(f"credential:{name}")


@pytest.mark.parametrize("place", ["", "keys.pem", "sdf:device=1", "http://x/key"])
def test_other_places_are_refused(place):
    with pytest.raises(KeystoreError):
        open_signer(place)


def test_places_are_read_as_rfc_7512_writes_them():
    place = parse_place("pkcs11:token=The%20Token;object=k?module-path=/a.so&pin-source=credential:pin")
    assert place.parts == {"token": "The Token", "object": "k", "module-path": "/a.so", "pin-source": "credential:pin"}


def test_a_pin_comes_from_a_file_or_a_credential(monkeypatch, tmp_path):
    (tmp_path / "pin").write_text("1234")
    monkeypatch.setenv(CREDENTIALS, str(tmp_path))
    assert read_secret("credential:pin") == b"1234"
    with pytest.raises(KeystoreError, match="PIN"):
        read_secret("1234")


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-creds") is None,
    reason="systemd-creds --with-key=host needs root and systemd",
)
def test_a_key_goes_through_systemd_creds_and_back(monkeypatch, tmp_path):
    (tmp_path / "plain").write_bytes(new_pem(ED25519))
    name = ["--name=custody"]
    subprocess.run(
        ["systemd-creds", "encrypt", "--with-key=host", *name, tmp_path / "plain", tmp_path / "sealed"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert b"PRIVATE KEY" not in (tmp_path / "sealed").read_bytes()
    (tmp_path / "credentials").mkdir()
    opened = tmp_path / "credentials" / "custody"
    subprocess.run(["systemd-creds", "decrypt", *name, tmp_path / "sealed", opened], check=True, capture_output=True)
    monkeypatch.setenv(CREDENTIALS, str(tmp_path / "credentials"))
    (tmp_path / "plain").chmod(0o600)
    assert open_signer("credential:custody").public_key() == open_signer(tmp_path / "plain").public_key()


def test_a_key_is_enrolled_from_wherever_it_lives(places, key, signer):
    """Request, fingerprint and certificate request; SM2 is the second key of its log."""
    second = signer if signer.suite() == sm2.SUITE else None
    signers = [open_signer(places["file ed25519"]), second] if second else [signer]
    profile = Profile.GM if second else Profile.P256 if signer.suite() == p256.SUITE else Profile.STD
    keys = LogKeys.of(ORIGIN, [verify_key(one) for one in signers])
    attest = tuple(dict(one.attest()) for one in signers)
    csr = request_for("station-07", signers[0], CUSTODY_USAGE)
    data = request(Enrolment(keys, profile, attest, 1, csr), signers)
    asked = read_request(data)
    assert (asked.keys, asked.attest) == (keys, attest)
    assert len(fingerprint(data).split()) == 8
    check_requests(asked)
    ca = Ca.create(signers[0], "a CA", datetime.now(UTC).replace(microsecond=0))
    issued = ca.issue(asked, datetime.now(UTC))
    certificate = x509.load_pem_x509_certificate(issued["custody"].encode())
    certificate.verify_directly_issued_by(ca.certificate)
    assert is_about(certificate, verify_key(signers[0]))
    with pytest.raises(KeystoreError, match="clientAuth"):
        require_client(certificate, "here")


def test_no_certificates_are_made_with_sm2(places):
    with pytest.raises(KeystoreError, match="Ed25519 or P-256"):
        request_for("station-07", open_signer(places["file sm2"]), CUSTODY_USAGE)


def test_a_private_key_does_not_leave_through_its_adapter(places):
    edwards, curve = (signing_key(open_signer(places[key])) for key in ("file ed25519", "file p256"))
    for adapter in (edwards, curve):
        with pytest.raises(KeystoreError):
            adapter.private_bytes(None, None, None)  # type: ignore[arg-type]  # asked in any form
        assert copy.copy(adapter) is copy.deepcopy(adapter) is adapter
    assert isinstance(edwards, Ed25519PrivateKey)
    assert isinstance(curve, ec.EllipticCurvePrivateKey)
    assert curve.key_size == 256
    refused = [edwards.private_bytes_raw, curve.private_numbers, lambda: curve.sign(b"", ec.ECDSA(SHA384()))]
    for ask in (*refused, lambda: curve.exchange(ec.ECDH(), curve.public_key())):
        with pytest.raises(KeystoreError):
            ask()


def test_next_keys_are_found_made_and_moved(tmp_path, places):
    places_of_files = KeyPlaces([tmp_path / "custody.pem"], [None])
    [first] = places_of_files.make([ED25519])
    [again] = places_of_files.make([ED25519])
    assert again.public_key() == first.public_key()
    [following] = places_of_files.make_next([ED25519], {verify_key(first)})
    assert (tmp_path / "custody.next.pem").stat().st_mode & 0o777 == 0o600
    assert places_of_files.settle([verify_key(first)]) is False
    assert [s.public_key() for s in places_of_files.signers_of([verify_key(following)])] == [following.public_key()]
    assert places_of_files.settle([verify_key(following)]) is True
    assert not (tmp_path / "custody.next.pem").exists()
    assert places_of_files.signers()[0].public_key() == following.public_key()
    assert places_of_files.signers_of([verify_key(first)]) == []
    with pytest.raises(KeystoreError, match="of ed25519 is needed"):
        KeyPlaces([tmp_path / "custody.pem"], [places["pkcs11 p256"]]).make_next([ED25519], set())
    with pytest.raises(KeystoreError, match="has signed already"):
        KeyPlaces([tmp_path / "custody.pem"], [tmp_path / "custody.pem"]).make_next([ED25519], {verify_key(following)})
    with pytest.raises(KeystoreError, match="custody_next"):
        KeyPlaces([places["pkcs11 ed25519"]], [None]).make_next([ED25519], set())

"""X.509 (RFC 5280): the request for a certificate, and whether a certificate is one for the place it stands in.

Two kinds, of different keys. A **custody certificate** is about the key that signs a log and has, critical, the one
extended key usage ``CUSTODY_USAGE``; TLS refuses it. A **client certificate** is about the key of a connection and has
``clientAuth``; it vouches for no record. Each is refused in the other's place with one sentence.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from custody import p256
from custody.signer import ED25519, Signer, VerifyKey
from keystore.errors import KeystoreError

CUSTODY_USAGE: Final = x509.ObjectIdentifier("2.25.147696067045669932245954020403119342054")
"""Extended key usage «signs records of custody»: an arc of ITU-T X.667 that needs no registration (FORMAT.md §12)."""
CLIENT_USAGE: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_MAX_PEM_BYTES: Final = 16_384

SigningKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class _Ed25519(Ed25519PrivateKey):
    """A signer as ``cryptography`` wants it, so that a CA in a token signs like one in a file."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def public_key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self._signer.public_key())

    def sign(self, data: bytes) -> bytes:  # type: ignore[override]  # a narrower type of bytes
        return self._signer.sign(bytes(data))

    def private_bytes(self, *_: object, **__: object) -> bytes:
        raise KeystoreError("a private key does not leave its place")

    def private_bytes_raw(self) -> bytes:
        raise KeystoreError("a private key does not leave its place")

    def __copy__(self) -> "_Ed25519":
        return self

    def __deepcopy__(self, _memo: object) -> "_Ed25519":
        return self


class _P256(ec.EllipticCurvePrivateKey):
    """The same for P-256; signs with SHA-256 alone."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def curve(self) -> ec.EllipticCurve:
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        return self.curve.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self._signer.public_key())

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # type: ignore[override]  # a narrower type of bytes
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise KeystoreError("keys on P-256 sign with SHA-256")
        return self._signer.sign(bytes(data))

    def exchange(self, *_: object) -> bytes:
        raise KeystoreError("this key signs and does nothing else")

    def private_bytes(self, *_: object, **__: object) -> bytes:
        raise KeystoreError("a private key does not leave its place")

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        raise KeystoreError("a private key does not leave its place")

    def __copy__(self) -> "_P256":
        return self

    def __deepcopy__(self, _memo: object) -> "_P256":
        return self


def signing_key(signer: Signer) -> SigningKey:
    """A signer for ``cryptography.x509``. Raises ``KeystoreError`` for SM2, which it cannot write."""
    if signer.suite() == ED25519:
        return _Ed25519(signer)
    if signer.suite() == p256.SUITE:
        return _P256(signer)
    raise KeystoreError(f"certificates are made with Ed25519 or P-256, not with {signer.suite()}")


def digest_for(key: SigningKey) -> hashes.SHA256 | None:
    """The hash that goes with a key's signature; Ed25519 has its own."""
    return hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None


def name_of(common: str) -> x509.Name:
    """A distinguished name of one part, ``CN``."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def request_for(common: str, signer: Signer, usage: x509.ObjectIdentifier) -> str:
    """A request (PKCS#10, PEM) for a certificate of the signer's key, to be used as ``usage``."""
    key = signing_key(signer)
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of(common))
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=usage == CUSTODY_USAGE)
    return builder.sign(key, digest_for(key)).public_bytes(serialization.Encoding.PEM).decode("ascii")


def load_certificate(pem: bytes, where: str) -> x509.Certificate:
    """The first certificate in PEM. Raises ``KeystoreError``."""
    try:
        return x509.load_pem_x509_certificate(pem[:_MAX_PEM_BYTES])
    except ValueError as error:
        raise KeystoreError(f"{where}: not a certificate in PEM") from error


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate in a file. Raises ``KeystoreError``."""
    try:
        with path.open("rb") as file:
            return load_certificate(file.read(_MAX_PEM_BYTES), str(path))
    except OSError as error:
        raise KeystoreError(f"{path}: cannot be read: {error.strerror}") from error


def usages(certificate: x509.Certificate | x509.CertificateSigningRequest) -> tuple[x509.ObjectIdentifier, ...] | None:
    """What a certificate, or the request for one, may be used for; None when it does not say."""
    try:
        return tuple(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None


def check_custody(path: Path, keys: Collection[VerifyKey]) -> x509.Certificate:
    """Whether the certificate at ``path`` is a custody certificate of one of ``keys``. Raises ``KeystoreError``."""
    certificate = read_certificate(path)
    require_custody(certificate, str(path))
    if not any(is_about(certificate, key) for key in keys):
        raise KeystoreError(f"{path}: this certificate is about another key than the one that signs the log")
    return certificate


def require_custody(certificate: x509.Certificate | x509.CertificateSigningRequest, where: str) -> None:
    """Whether it may stand for a key that signs a log. Raises ``KeystoreError``."""
    if usages(certificate) != (CUSTODY_USAGE,):
        raise KeystoreError(
            f"{where}: a custody certificate is needed here, and this one is not (clientAuth is for [mqtt] cert)"
            " 此处需要证据签名证书，不能用连接证书"
        )


def check_client(path: Path) -> x509.Certificate:
    """Whether the certificate at ``path`` may open a connection to the broker. Raises ``KeystoreError``."""
    certificate = read_certificate(path)
    require_client(certificate, str(path))
    return certificate


def require_client(certificate: x509.Certificate | x509.CertificateSigningRequest, where: str) -> None:
    """Whether it may stand for a connection; one that says nothing of its use may. Raises ``KeystoreError``."""
    told = usages(certificate)
    if told is not None and (CLIENT_USAGE not in told or CUSTODY_USAGE in told):
        raise KeystoreError(
            f"{where}: a TLS client certificate (clientAuth) is needed here, and this one is not; a custody certificate"
            " is for [keys] custody_cert 此处需要连接证书，不能用证据签名证书"
        )


def is_about(certificate: x509.Certificate | x509.CertificateSigningRequest, key: VerifyKey) -> bool:
    """Whether it certifies, or asks to certify, exactly this key."""
    return raw_of(certificate) == (key.suite, key.raw)


def raw_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> tuple[str, bytes]:
    """Suite and raw public key that it is about; an empty suite for one that is none of ours."""
    public = certificate.public_key()
    if isinstance(public, Ed25519PublicKey):
        return ED25519, public.public_bytes_raw()
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        form = serialization.PublicFormat.UncompressedPoint
        return p256.SUITE, public.public_bytes(serialization.Encoding.X962, form)
    return "", b""


def ends(certificate: x509.Certificate) -> datetime:
    """When it runs out, in UTC."""
    return certificate.not_valid_after_utc.astimezone(UTC)

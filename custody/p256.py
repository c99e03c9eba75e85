"""ECDSA over P-256 with SHA-256 (FIPS 186-5), for stations whose key sits in a TPM or token that has no Ed25519.

Signatures are DER ``SEQUENCE{r,s}`` with the smaller of the two values that ``s`` may have. The other one would verify
as well, so whoever holds an entry could give it a second leaf hash: the verifier refuses it.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from custody.errors import ContractError

SUITE: Final = "ecdsa-p256-sha256"
POINT_BYTES: Final = 65
"""Raw public key: 0x04 ‖ X ‖ Y (SEC 1 §2.3.3)."""
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the base point (FIPS 186-5, SP 800-186 §3.2.1.3)."""
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class P256Signer:
    """Signer over a private key held in this process's memory."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, where: str = "memory") -> None:
        """Raises ``ContractError`` for a key on another curve."""
        if not isinstance(private.curve, ec.SECP256R1):
            raise ContractError(f"a key on P-256 is needed, not on {private.curve.name}")
        self._private = private
        self._where = where
        self._public = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def suite(self) -> str:
        """Signature suite."""
        return SUITE

    def public_key(self) -> bytes:
        """Raw point, 65 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """DER signature over exactly ``message``; randomised, so never the same twice."""
        return canonical(self._private.sign(message, _ECDSA))

    def attest(self) -> Mapping[str, str]:
        """Where the key lives."""
        return {"backend": self._where, "exportable": "yes"}


def canonical(signature: bytes) -> bytes:
    """The spelling a verifier takes of a DER signature. Raises ``ContractError`` for what is no signature."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError as error:
        raise ContractError("not a DER signature") from error
    return from_numbers(r, s)


def from_numbers(r: int, s: int) -> bytes:
    """DER of a signature that a token gave as two numbers."""
    return encode_dss_signature(r, min(s, ORDER - s))


def made(point: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the key ``point`` made ``signature``, in its one spelling, over exactly ``message``."""
    try:
        if canonical(signature) != signature:
            return False
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point).verify(signature, message, _ECDSA)
    except (InvalidSignature, ValueError, ContractError):
        return False
    return True

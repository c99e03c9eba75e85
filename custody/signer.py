"""Who signs, and how a signature is checked.

A ``Signer`` is a port: file, token and TPM back ends live in the programs. Signers take the exact bytes to be signed
(the DSSE PAE or a checkpoint body), never a digest of them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from custody import p256, sm2
from custody.errors import ContractError

ED25519 = "ed25519"
RAW_KEY_BYTES = 32
"""Length of a raw Ed25519 public or private key (RFC 8032 §5.1.5)."""
_UNCOMPRESSED = b"\x04"
_KEYS: Mapping[str, tuple[int, bytes, str]] = {
    ED25519: (RAW_KEY_BYTES, b"", ""),
    sm2.SUITE: (sm2.POINT_BYTES, _UNCOMPRESSED, "sm2:"),
    p256.SUITE: (p256.POINT_BYTES, _UNCOMPRESSED, "p256:"),
}
"""Suite → length of a raw public key, how it begins, and what stands before its keyid."""


class Signer(Protocol):
    """Something that holds a private key and signs with it."""

    def suite(self) -> str:
        """Signature suite, for instance ``ed25519``."""
        ...

    def public_key(self) -> bytes:
        """Raw public key bytes of the suite."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Signature over exactly ``message``; may raise the back end's own error, which the caller treats as fatal."""
        ...

    def attest(self) -> Mapping[str, str]:
        """Where the key lives and whether it can be exported, for the enrolment record."""
        ...


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key that may be asked whether it made a signature."""

    raw: bytes
    suite: str = ED25519

    def __post_init__(self) -> None:
        size, start, _ = _KEYS.get(self.suite, (-1, b"", ""))
        if len(self.raw) != size or not self.raw.startswith(start):
            raise ContractError(f"not a public key of {self.suite}: {len(self.raw)} bytes")

    @property
    def keyid(self) -> str:
        """First 16 hex digits of SHA-256 over the raw key; a hint for look-up, never proof of anything.

        Keys on curves have their suite in front: ``sm2:``, ``p256:``.
        """
        return keyid(self.raw, self.suite)

    def made(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made ``signature`` over exactly ``message``.

        Raises ``Sm2UnavailableError`` for an SM2 key on a machine that cannot judge it: that is no verdict.
        """
        if self.suite == sm2.SUITE:
            return sm2.made(self.raw, signature, message)
        if self.suite == p256.SUITE:
            return p256.made(self.raw, signature, message)
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer:
    """Signer over a private key held in this process's memory."""

    def __init__(self, private: Ed25519PrivateKey, where: str = "memory") -> None:
        self._private = private
        self._where = where
        self._public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @classmethod
    def from_seed(cls, seed: bytes, where: str = "memory") -> "Ed25519Signer":
        """Signer from the 32-byte private key of RFC 8032."""
        if len(seed) != RAW_KEY_BYTES:
            raise ContractError(f"an Ed25519 private key has {RAW_KEY_BYTES} bytes, not {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed), where)

    def suite(self) -> str:
        """Signature suite."""
        return ED25519

    def public_key(self) -> bytes:
        """Raw public key, 32 bytes."""
        return self._public

    def verify_key(self) -> VerifyKey:
        """The matching public half as a value."""
        return VerifyKey(self._public)

    def sign(self, message: bytes) -> bytes:
        """64-byte signature over exactly ``message``."""
        return self._private.sign(message)

    def attest(self) -> Mapping[str, str]:
        """Where the key lives."""
        return {"backend": self._where, "exportable": "yes"}


def verify_key(signer: Signer) -> VerifyKey:
    """The public half of any signer as a value."""
    return VerifyKey(signer.public_key(), signer.suite())


def keyid(raw_public_key: bytes, suite: str = ED25519) -> str:
    """First 16 hex digits of SHA-256 over a raw public key, after the prefix of its suite."""
    return _KEYS[suite][2] + hashlib.sha256(raw_public_key).hexdigest()[:16]

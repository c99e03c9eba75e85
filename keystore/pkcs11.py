"""Keys in a token: HSM, smart card, USB key (UKey), through PKCS#11 (OASIS v3.0).

Tried on SoftHSM 2.6 (Debian). Tokens there know Ed25519 and P-256; none of the tried ones knows SM2.
"""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.util.ec import encode_named_curve_parameters

from custody import p256
from custody.signer import ED25519, RAW_KEY_BYTES
from keystore.errors import KeystoreError
from keystore.pem import read_secret
from keystore.places import Place

_ED25519_CURVE: Final = "1.3.101.112"
_SUITES: Final = {
    encode_named_curve_parameters(_ED25519_CURVE): (ED25519, RAW_KEY_BYTES),
    encode_named_curve_parameters("secp256r1"): (p256.SUITE, p256.POINT_BYTES),
}
"""EC_PARAMS of a key → its suite and the length of its raw public key."""
_HALF: Final = 32
"""Bytes of each number in a P-256 signature as tokens give it: r ‖ s."""


@dataclass(frozen=True, slots=True)
class _Login:
    """A token we are logged in to; a process can do that once, so keys of one token share it."""

    token: Any
    session: Any
    lock: threading.Lock


class Pkcs11Signer:
    """Signer over a private key that never leaves its token. Safe for several threads, one signature at a time."""

    def __init__(self, place: Place) -> None:
        """Log in and find the key pair named ``object`` in the token named ``token``. Raises ``KeystoreError``."""
        label, token = place.need("object"), place.need("token")
        self._name = f"pkcs11:token={token};object={label}"
        try:
            self._login = _login(place.need("module-path"), token, place.need("pin-source"))
            session = self._login.session
            self._private: Any = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
            public = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label)
            self._suite, self._public = self._read(public)
        except (PKCS11Error, RuntimeError) as error:
            raise KeystoreError(f"{self._name}: {_words(error)}") from error

    def suite(self) -> str:
        """Signature suite."""
        return self._suite

    def public_key(self) -> bytes:
        """Raw public key: 32 bytes for Ed25519, a point of 65 bytes for P-256."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Signature over exactly ``message``. Raises ``KeystoreError``."""
        try:
            with self._login.lock:
                if self._suite == ED25519:
                    return bytes(self._private.sign(message, mechanism=Mechanism.EDDSA))
                digest = hashlib.sha256(message).digest()
                numbers = bytes(self._private.sign(digest, mechanism=Mechanism.ECDSA))
        except PKCS11Error as error:
            raise KeystoreError(f"{self._name}: {_words(error)}") from error
        return p256.from_numbers(int.from_bytes(numbers[:_HALF]), int.from_bytes(numbers[_HALF:]))

    def attest(self) -> Mapping[str, str]:
        """Where the key lives, in the token's own words, and whether it may leave."""
        exportable = "yes" if self._private[Attribute.EXTRACTABLE] else "no"
        return {
            "backend": "pkcs11",
            "exportable": exportable,
            "token": str(self._login.token.label),
            "model": _text(self._login.token.model),
            "manufacturer": _text(self._login.token.manufacturer_id),
        }

    def _read(self, public: Any) -> tuple[str, bytes]:
        suite, size = _SUITES.get(bytes(public[Attribute.EC_PARAMS]), ("", 0))
        point = bytes(public[Attribute.EC_POINT])[-size:]
        if not suite or len(point) != size:
            raise KeystoreError(f"{self._name}: a key of Ed25519 or P-256 is needed")
        return suite, point


@lru_cache
def _login(module: str, token_label: str, pin_source: str) -> _Login:
    token = pkcs11.lib(module).get_token(token_label=token_label)
    pin = read_secret(pin_source).decode().rstrip("\n")
    return _Login(token, token.open(user_pin=pin), threading.Lock())


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()

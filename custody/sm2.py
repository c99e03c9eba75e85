"""SM2 signatures with SM3 (GB/T 32918, GB/T 32905) through the system's libcrypto.

``cryptography`` has no SM2, so this module calls OpenSSL's EVP interface by ctypes. Before the first use it verifies
the published example of GM/T 0003.5 Annex A and refuses a libcrypto that cannot: some distributions build it without.

Software keys are a functional stand-in: they are no 密评 (商用密码应用安全性评估) conformity, which asks for certified
modules.
"""

import ctypes
import hashlib
from collections.abc import Callable, Mapping
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p, create_string_buffer
from functools import lru_cache
from typing import Final, Protocol

from custody.errors import ContractError, CustodyError

SUITE: Final = "sm2-sm3"
POINT_BYTES: Final = 65
"""Raw public key: 0x04 ‖ X ‖ Y."""
DEFAULT_ID: Final = b"1234567812345678"
"""Distinguishing user ID when none is agreed (GM/T 0009 §10)."""
SPKI_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""DER of a SubjectPublicKeyInfo for an SM2 key, up to the point."""
LIBRARY: Final = "libcrypto.so.3"
"""OpenSSL 3, as Debian and Ubuntu name it."""
MAX_SIGNATURE_BYTES: Final = 72
"""DER SEQUENCE of two 256-bit integers, each with a possible leading zero."""

_EXAMPLE_POINT: Final = bytes.fromhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_EXAMPLE_SIGNATURE: Final = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
_SM3_OF_ABC: Final = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


class Hash(Protocol):
    """What this module uses of a hashlib object."""

    def hexdigest(self) -> str:
        """The digest in hex."""
        ...


class Sm2UnavailableError(CustodyError):
    """This machine cannot do profile ``gm``: its libcrypto is missing or fails the published example of SM2 or SM3."""


class Sm2Signer:
    """Signer over an SM2 private key in PKCS#8 or SEC1 DER, held by libcrypto."""

    def __init__(self, private_der: bytes, where: str = "memory") -> None:
        """Raises ``ContractError`` unless ``private_der`` is an SM2 private key."""
        self._lib = libcrypto()
        self._key = _load(self._lib, "d2i_AutoPrivateKey", private_der)
        self._where = where
        self._public = self._encode_public()

    @classmethod
    def generate(cls, where: str = "memory") -> "Sm2Signer":
        """Signer over a fresh key of libcrypto's random generator."""
        return cls(generate(), where)

    def suite(self) -> str:
        """Signature suite."""
        return SUITE

    def public_key(self) -> bytes:
        """Raw point, 65 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """DER signature over exactly ``message``; randomised, so never the same twice."""
        with _DigestContext(self._lib, self._key) as context:
            signature, length = create_string_buffer(MAX_SIGNATURE_BYTES), c_size_t(MAX_SIGNATURE_BYTES)
            _must(self._lib.EVP_DigestSignInit(context, None, self._lib.EVP_sm3(), None, self._key))
            _must(self._lib.EVP_DigestSign(context, signature, byref(length), message, len(message)))
            return signature.raw[: length.value]

    def attest(self) -> Mapping[str, str]:
        """Where the key lives."""
        return {"backend": self._where, "exportable": "yes"}

    def _encode_public(self) -> bytes:
        der = create_string_buffer(len(SPKI_PREFIX) + POINT_BYTES)
        position = ctypes.cast(der, c_char_p)
        length = self._lib.i2d_PUBKEY(self._key, byref(position))
        if length != len(der) or not der.raw.startswith(SPKI_PREFIX):
            raise ContractError("not an SM2 private key")
        return der.raw[len(SPKI_PREFIX) :]

    def __del__(self) -> None:
        if hasattr(self, "_key"):
            self._lib.EVP_PKEY_free(self._key)


def made(point: bytes, signature: bytes, message: bytes, user_id: bytes = DEFAULT_ID) -> bool:
    """Whether the key ``point`` made ``signature`` over ``message`` under ``user_id``.

    Raises ``Sm2UnavailableError`` without a fit libcrypto, ``ContractError`` for a point of another length.
    """
    return _verify(libcrypto(), point, signature, message, user_id)


def generate() -> bytes:
    """A fresh private key in SEC 1 DER, which the openssl command reads too. Raises ``Sm2UnavailableError``."""
    library = libcrypto()
    key = library.EVP_PKEY_Q_keygen(None, None, b"SM2")
    _must(int(bool(key)))
    try:
        der = create_string_buffer(library.i2d_PrivateKey(key, None))
        library.i2d_PrivateKey(key, byref(ctypes.cast(der, c_char_p)))
        return der.raw
    finally:
        library.EVP_PKEY_free(key)


@lru_cache
def libcrypto(name: str = LIBRARY) -> ctypes.CDLL:
    """The system's libcrypto 3 with its functions declared, proven on the published example.

    Raises ``Sm2UnavailableError`` with a sentence for people; profile ``gm`` cannot be used then.
    """
    try:
        library = ctypes.CDLL(name)
        _declare(library)
    except (OSError, AttributeError) as error:
        raise Sm2UnavailableError(f"profile gm needs OpenSSL 3 with SM2 and SM3: {error}") from error
    prove_sm2(library)
    return library


def prove_sm2(library: ctypes.CDLL) -> None:
    """The published signature fits its message and no other. Raises ``Sm2UnavailableError``."""
    right = _verify(library, _EXAMPLE_POINT, _EXAMPLE_SIGNATURE, b"message digest", DEFAULT_ID)
    wrong = _verify(library, _EXAMPLE_POINT, _EXAMPLE_SIGNATURE, b"another message", DEFAULT_ID)
    if wrong or not right:
        raise Sm2UnavailableError("profile gm: libcrypto fails the SM2 example of GM/T 0003.5 Annex A")


def prove_sm3(new: Callable[..., Hash] = hashlib.new) -> None:
    """SM3 gives the published digest (GB/T 32905 Annex A). Raises ``Sm2UnavailableError``."""
    try:
        found = new("sm3", b"abc").hexdigest()
    except ValueError as error:
        raise Sm2UnavailableError("profile gm: this Python's OpenSSL has no SM3") from error
    if found != _SM3_OF_ABC:
        raise Sm2UnavailableError("profile gm: SM3 does not give the published digest of «abc»")


class _DigestContext:
    """An EVP_MD_CTX whose EVP_PKEY_CTX carries the user ID; both are freed on exit."""

    def __init__(self, library: ctypes.CDLL, key: int, user_id: bytes = DEFAULT_ID) -> None:
        self._lib, self._key, self._id = library, key, user_id

    def __enter__(self) -> int:
        self._pkey_context = self._lib.EVP_PKEY_CTX_new(self._key, None)
        _must(self._lib.EVP_PKEY_CTX_set1_id(self._pkey_context, self._id, len(self._id)))
        context: int = self._lib.EVP_MD_CTX_new()
        self._context = context
        self._lib.EVP_MD_CTX_set_pkey_ctx(context, self._pkey_context)
        return context

    def __exit__(self, *_: object) -> None:
        self._lib.EVP_MD_CTX_free(self._context)
        self._lib.EVP_PKEY_CTX_free(self._pkey_context)


def _verify(library: ctypes.CDLL, point: bytes, signature: bytes, message: bytes, user_id: bytes) -> bool:
    if len(point) != POINT_BYTES:
        raise ContractError(f"an SM2 point has {POINT_BYTES} bytes, not {len(point)}")
    try:
        key = _load(library, "d2i_PUBKEY", SPKI_PREFIX + point)
    except ContractError:
        return False
    try:
        with _DigestContext(library, key, user_id) as context:
            _must(library.EVP_DigestVerifyInit(context, None, library.EVP_sm3(), None, key))
            return bool(library.EVP_DigestVerify(context, signature, len(signature), message, len(message)) == 1)
    finally:
        library.EVP_PKEY_free(key)
        library.ERR_clear_error()


def _load(library: ctypes.CDLL, reader: str, der: bytes) -> int:
    position = c_char_p(der)
    key: int | None = getattr(library, reader)(None, byref(position), len(der))
    if not key:
        library.ERR_clear_error()  # what stays in the queue would be taken for an error of Python's own TLS
        raise ContractError("not the DER of a key that libcrypto knows")
    return key


def _must(result: int) -> None:
    if result != 1:
        raise Sm2UnavailableError("libcrypto refused an SM2 operation")


def _declare(library: ctypes.CDLL) -> None:
    """Types of every function used; without them ctypes would cut pointers to 32 bits."""
    pointer, text, size = c_void_p, c_char_p, c_size_t
    signatures: dict[str, tuple[object, list[object]]] = {
        "EVP_sm3": (pointer, []),
        "EVP_PKEY_CTX_new": (pointer, [pointer, pointer]),
        "EVP_PKEY_CTX_free": (None, [pointer]),
        "EVP_PKEY_CTX_set1_id": (c_int, [pointer, text, size]),
        "EVP_MD_CTX_new": (pointer, []),
        "EVP_MD_CTX_free": (None, [pointer]),
        "EVP_MD_CTX_set_pkey_ctx": (None, [pointer, pointer]),
        "EVP_DigestSignInit": (c_int, [pointer, pointer, pointer, pointer, pointer]),
        "EVP_DigestSign": (c_int, [pointer, text, POINTER(size), text, size]),
        "EVP_DigestVerifyInit": (c_int, [pointer, pointer, pointer, pointer, pointer]),
        "EVP_DigestVerify": (c_int, [pointer, text, size, text, size]),
        "EVP_PKEY_free": (None, [pointer]),
        "ERR_clear_error": (None, []),
        "d2i_PUBKEY": (pointer, [pointer, POINTER(text), ctypes.c_long]),
        "d2i_AutoPrivateKey": (pointer, [pointer, POINTER(text), ctypes.c_long]),
        "i2d_PUBKEY": (c_int, [pointer, POINTER(text)]),
        "i2d_PrivateKey": (c_int, [pointer, POINTER(text)]),
        "EVP_PKEY_Q_keygen": (pointer, [pointer, text, text]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments

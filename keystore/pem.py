"""Keys in PEM: a file that its owner alone may touch, or a credential that systemd decrypted for this service."""

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody import p256, sm2
from custody.errors import CustodyError
from custody.p256 import P256Signer
from custody.signer import ED25519, Ed25519Signer, Signer
from custody.sm2 import Sm2Signer
from keystore.errors import KeystoreError

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""Environment variable by which systemd names the folder of a unit's credentials (systemd.exec(5))."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MAX_PEM_BYTES: Final = 4_096
"""A key in PEM has 120 to 300 bytes; bounds what is read from a wrong file."""
_SM2_CURVE: Final = bytes.fromhex("06082a811ccf5501822d")
"""DER of the object identifier 1.2.156.10197.1.301."""


def file_signer(path: Path) -> Signer:
    """Signer over the key in ``path``. Raises ``KeystoreError``, also when group or world may touch the file."""
    return pem_signer(_read_private(path), str(path), "file")


def credential_signer(name: str) -> Signer:
    """Signer over the systemd credential ``name`` (``LoadCredentialEncrypted=``). Raises ``KeystoreError``."""
    return pem_signer(read_credential(name), f"credential {name}", "systemd-credential")


def read_credential(name: str) -> bytes:
    """Content of a systemd credential of this service. Raises ``KeystoreError``."""
    folder = os.environ.get(CREDENTIALS, "")
    if not folder or "/" in name or name in {".", ".."}:
        raise KeystoreError(f"credential {name}: systemd passes it to a unit that has LoadCredentialEncrypted={name}:…")
    try:
        with Path(folder, name).open("rb") as file:
            return file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise KeystoreError(f"credential {name}: cannot be read: {error.strerror}") from error


def read_secret(place: str) -> bytes:
    """A PIN from ``file:PATH`` (mode 0600) or ``credential:NAME``. Raises ``KeystoreError``."""
    scheme, _, path = place.partition(":")
    if scheme == "credential":
        return read_credential(path)
    if scheme == "file":
        return _read_private(Path(path))
    raise KeystoreError(f"{place}: a PIN is read from file:PATH or credential:NAME")


def pem_signer(pem: bytes, place: str, where: str) -> Signer:
    """Signer of the key's own suite. ``place`` names it in errors, ``where`` in ``attest()``."""
    der = _sm2_der(pem)
    try:
        if der:
            return Sm2Signer(der, where)
        key = serialization.load_pem_private_key(pem, password=None)
        if isinstance(key, Ed25519PrivateKey):
            return Ed25519Signer(key, where)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return P256Signer(key, where)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeystoreError(f"{place}: not an unencrypted PEM private key") from error
    except CustodyError as error:
        raise KeystoreError(f"{place}: {error}") from error
    raise KeystoreError(f"{place}: a key of Ed25519, P-256 or SM2 is needed")


def new_pem(suite: str) -> bytes:
    """A fresh private key as unencrypted PEM. Raises ``KeystoreError`` for a suite that is none of ours."""
    if suite == sm2.SUITE:
        lines = base64.encodebytes(sm2.generate())
        return b"-----BEGIN EC PRIVATE KEY-----\n" + lines + b"-----END EC PRIVATE KEY-----\n"
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    if suite == ED25519:
        key = Ed25519PrivateKey.generate()
    elif suite == p256.SUITE:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        raise KeystoreError(f"no keys of {suite} are made here")
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise KeystoreError(f"{path}: mode {stat.S_IMODE(mode):04o} lets others at the key; 0600 is needed")
            return file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise KeystoreError(f"{path}: cannot be read: {error.strerror}") from error


def _sm2_der(pem: bytes) -> bytes:
    """The last block of the PEM if it is on the SM2 curve, otherwise nothing."""
    block = pem.rpartition(b"-----BEGIN ")[2].partition(b"-----\n")[2].partition(b"-----END")[0]
    try:
        der = base64.b64decode(block.replace(b"\n", b""), validate=True)
    except binascii.Error:
        return b""
    return der if _SM2_CURVE in der else b""

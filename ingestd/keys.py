"""Private keys in PEM files (PKCS #8, Ed25519), readable by their owner only."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.signer import Ed25519Signer
from ingestd.errors import ConfigError

_OTHERS = 0o077


def load_signer(path: Path) -> Ed25519Signer:
    """Signer over the key in ``path``. Raises ``ConfigError`` when it is absent, not a key, or readable by others."""
    try:
        if path.stat().st_mode & _OTHERS:
            raise ConfigError(f"{path}: a private key must be readable by its owner only (chmod 600)")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path}: the key cannot be read: {error.strerror}; `ingestd init` makes one") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: an unencrypted PEM private key (PKCS #8, Ed25519) is needed") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: an Ed25519 key is needed")
    return Ed25519Signer(key, where=f"file {path.name}")


def create_key(path: Path) -> Ed25519Signer:
    """Make a new key in ``path``, mode 0600, durably; a key already there is loaded, never replaced."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return load_signer(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return load_signer(path)

"""Private keys in PEM files (PKCS #8, Ed25519), readable by their owner only."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.errors import CustodyError
from custody.profile import SUITES, Profile, check_keys, probe
from custody.signer import Ed25519Signer, Signer, verify_key
from ingestd.errors import ConfigError
from keystore import open_signer
from keystore.pem import new_pem

_OTHERS = 0o077


def load_signer(path: Path | str) -> Ed25519Signer:
    """Signer over the key in ``path``. Raises ``ConfigError`` when it is absent, not a key, or readable by others."""
    if isinstance(path, str):
        raise ConfigError(f"{path}: this key must be a file")
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


def open_signers(profile: Profile, custody: Path | str, sm2: Path | str | None) -> list[Signer]:
    """The signers of the centre log, in the order of their signatures. Raises ``ConfigError``.

    Also when this machine cannot do the profile, or the keys are not of its suites.
    """
    try:
        probe(profile)
        signers = [open_signer(place) for place in (custody, sm2) if place is not None]
        check_keys(profile, [verify_key(signer) for signer in signers])
    except CustodyError as error:
        raise ConfigError(f"{error}; `ingestd init` makes keys in files") from error
    return signers


def create_keys(profile: Profile, custody: Path | str, sm2: Path | str | None) -> list[Signer]:
    """The same, after making those that are to be files and are not there yet. Raises ``ConfigError``."""
    for place, suite in zip((custody, sm2), SUITES[profile], strict=False):
        if isinstance(place, Path) and not place.exists():
            _write_new(place, _new_pem(suite))
    return open_signers(profile, custody, sm2)


def create_key(path: Path) -> Ed25519Signer:
    """Make a new key in ``path``, mode 0600, durably; a key already there is loaded, never replaced."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_new(path, pem)
    return load_signer(path)


def _new_pem(suite: str) -> bytes:
    try:
        return new_pem(suite)
    except CustodyError as error:
        raise ConfigError(str(error)) from error


def _write_new(path: Path, pem: bytes) -> None:
    """Durably, mode 0600; a file already there stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())

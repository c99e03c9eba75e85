"""The station's private keys: usually PEM files, PKCS 8 (RFC 5958), Ed25519 (RFC 8410), readable by their owner alone.

Other places (systemd credential, PKCS#11, TPM 2.0) are those of ``keystore``; ``open_signers`` opens what the
configuration names.
"""

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.errors import CustodyError
from custody.profile import Profile, check_keys, probe
from custody.signer import Ed25519Signer, Signer, verify_key
from custody.sm2 import SUITE
from keystore import open_signer
from keystore.pem import new_pem
from station_agent.durable import fsync_dir, make_dirs
from station_agent.errors import KeyFileError

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MAX_PEM_BYTES: Final = 4_096
"""An Ed25519 key in PEM has about 120 bytes; bounds what is read from a wrong file."""


def load_signer(path: Path) -> Ed25519Signer:
    """Signer over the key in ``path``. Raises ``KeyFileError``, also when group or world may touch the file."""
    try:
        key = serialization.load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path}: not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: an Ed25519 key is needed")
    return Ed25519Signer(key, where="file")


def open_signers(profile: Profile, custody: Path | str, sm2: Path | str | None) -> list[Signer]:
    """The signers of the log, in the order of their signatures. Raises ``KeyFileError``.

    Also when this machine cannot do the profile, or the keys are not of its suites.
    """
    try:
        probe(profile)
        signers = [open_signer(place) for place in (custody, sm2) if place is not None]
        check_keys(profile, [verify_key(signer) for signer in signers])
    except CustodyError as error:
        raise KeyFileError(str(error)) from error
    return signers


def create_sm2_key(path: Path) -> Signer:
    """Make a new SM2 key at ``path`` with mode 0600, durably, for profile ``gm``. Raises ``KeyFileError``."""
    try:
        _create(path, new_pem(SUITE))
        return open_signer(path)
    except CustodyError as error:
        raise KeyFileError(str(error)) from error


def create_key(path: Path) -> Ed25519Signer:
    """Make a new key at ``path`` with mode 0600, durably. Raises ``KeyFileError``; a file there is never replaced."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _create(path, pem)
    return Ed25519Signer(key, where="file")


def _create(path: Path, pem: bytes) -> None:
    try:
        make_dirs(path.parent)
        _write_new(path, pem)
        fsync_dir(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be created: {error.strerror}") from error


def _write_new(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise KeyFileError(f"{path}: mode {stat.S_IMODE(mode):04o} lets others at the key; 0600 is needed")
            return file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error

"""Keys in a TPM 2.0 through the tpm2-tools commands, so that no compiler and no binding is needed.

One signature is two short processes, some ten milliseconds beside the TPM's own time. TPMs have no Ed25519 and rarely
SM2, so the suite is P-256 and the log's profile ``p256``.
"""

import hashlib
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from custody import p256
from custody.errors import ContractError
from keystore.errors import KeystoreError
from keystore.places import Place

TIMEOUT_S: Final = 30.0
"""A TPM that is busy with its own start may take seconds; one that does not answer at all must not hang the station."""


class Tpm2Signer:
    """Signer over a persistent P-256 key of the TPM. Safe for several threads, one signature at a time."""

    def __init__(self, place: Place) -> None:
        """Read the public half of the key at ``handle``. Raises ``KeystoreError``."""
        self._handle = place.need("handle")
        self._name = f"tpm2:handle={self._handle}"
        self._tcti = place.parts.get("tcti", "")
        self._lock = threading.Lock()
        self._public = self._read_public()

    def suite(self) -> str:
        """Signature suite."""
        return p256.SUITE

    def public_key(self) -> bytes:
        """Raw point, 65 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """DER signature over exactly ``message``. Raises ``KeystoreError``."""
        with self._lock, TemporaryDirectory(prefix="tpm2-") as folder:
            digest, signature = Path(folder, "digest"), Path(folder, "signature")
            digest.write_bytes(hashlib.sha256(message).digest())
            scheme = ["-g", "sha256", "-s", "ecdsa", "-f", "plain"]
            self._run("tpm2_sign", "-Q", "-c", self._handle, *scheme, "-d", "-o", str(signature), str(digest))
            try:
                return p256.canonical(signature.read_bytes())
            except (OSError, ContractError) as error:
                raise KeystoreError(f"{self._name}: tpm2_sign gave no signature") from error

    def attest(self) -> Mapping[str, str]:
        """Where the key lives. ``fixedtpm`` is the TPM's own word that it cannot leave."""
        attributes = self._run("tpm2_readpublic", "-c", self._handle)
        exportable = "no" if "fixedtpm" in attributes else "yes"
        return {"backend": "tpm2", "exportable": exportable, "handle": self._handle}

    def _read_public(self) -> bytes:
        with TemporaryDirectory(prefix="tpm2-") as folder:
            pem = Path(folder, "public.pem")
            self._run("tpm2_readpublic", "-Q", "-c", self._handle, "-f", "pem", "-o", str(pem))
            try:
                key = serialization.load_pem_public_key(pem.read_bytes())
            except (OSError, ValueError) as error:
                raise KeystoreError(f"{self._name}: tpm2_readpublic gave no key") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeystoreError(f"{self._name}: a key on P-256 is needed")
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)

    def _run(self, *command: str) -> str:
        environment = {**os.environ, **({"TPM2TOOLS_TCTI": self._tcti} if self._tcti else {})}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KeystoreError(f"{self._name}: {command[0]} (Debian: tpm2-tools): {error}") from error
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()
            raise KeystoreError(f"{self._name}: {command[0]}: {words[-1] if words else done.returncode}")
        return done.stdout

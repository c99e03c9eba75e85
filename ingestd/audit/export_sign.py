"""Signatures of a bundle in forms that other people's tools read: raw Ed25519, SSH signatures, PEM and SSH keys."""

import base64
import hashlib
from typing import Final

from custody.signer import Signer

NAMESPACE: Final = "bwc-bundle"
"""What an SSH signature of a bundle is about (``ssh-keygen -Y verify -n``)."""
_ALGORITHM: Final = b"ssh-ed25519"
_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""DER of a SubjectPublicKeyInfo for Ed25519, up to the key (RFC 8410 §4)."""
_SSH_LINE: Final = 70
_PEM_LINE: Final = 64


def sshsig(signer: Signer, message: bytes, namespace: str = NAMESPACE) -> bytes:
    """Signature over ``message`` as ``ssh-keygen -Y sign`` makes it (OpenSSH PROTOCOL.sshsig), with SHA-512."""
    told = [namespace.encode(), b"", b"sha512"]
    signature = signer.sign(b"SSHSIG" + _strings(*told, hashlib.sha512(message).digest()))
    public = _strings(_ALGORITHM, signer.public_key())
    blob = b"SSHSIG" + (1).to_bytes(4, "big") + _strings(public, *told, _strings(_ALGORITHM, signature))
    return _armour("SSH SIGNATURE", blob, _SSH_LINE)


def allowed_signers(name: str, public_key: bytes, namespace: str = NAMESPACE) -> str:
    """The line of an ``allowed_signers`` file (ssh-keygen(1)) for a raw Ed25519 key."""
    blob = base64.b64encode(_strings(_ALGORITHM, public_key)).decode()
    return f'{name} namespaces="{namespace}" {_ALGORITHM.decode()} {blob}\n'


def pem(public_key: bytes) -> bytes:
    """A raw Ed25519 public key as openssl reads it."""
    return _armour("PUBLIC KEY", _SPKI + public_key, _PEM_LINE)


def _strings(*parts: bytes) -> bytes:
    """Strings as SSH writes them (RFC 4251 §5)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _armour(kind: str, blob: bytes, width: int) -> bytes:
    text = base64.b64encode(blob).decode()
    lines = [text[i : i + width] for i in range(0, len(text), width)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""]).encode()

"""Somebody who alters a bundle and then, with the centre's own key, makes manifests and signatures right again."""

import hashlib
from pathlib import Path

from custody.signer import Ed25519Signer
from ingestd.audit import verify_bundle
from ingestd.audit.export_bag import SM3_MANIFEST, manifest
from ingestd.audit.export_sign import sshsig


def resign(bundle: Path, signer: Ed25519Signer) -> None:
    """Write manifests and signatures over whatever the bundle holds now."""
    payload = sorted(path for path in (bundle / "data").rglob("*") if path.is_file())
    sums = {path.relative_to(bundle).as_posix(): _sum(path) for path in payload}
    (bundle / verify_bundle.PAYLOAD_MANIFEST).write_bytes(manifest(sums))
    sm3 = [f"SM3 ({name}) = {_sum(bundle / name, 'sm3')}\n" for name in sums]
    (bundle / SM3_MANIFEST).write_text("".join(sm3))
    resign_tags(bundle, signer)


def resign_tags(bundle: Path, signer: Ed25519Signer) -> None:
    """The same, but the payload's manifests stay as they are."""
    tags = [
        path
        for path in bundle.rglob("*")
        if path.is_file()
        and not path.is_relative_to(bundle / "data")
        and path.relative_to(bundle).as_posix() not in verify_bundle.UNSIGNED
    ]
    data = manifest({path.relative_to(bundle).as_posix(): _sum(path) for path in tags})
    (bundle / verify_bundle.TAG_MANIFEST).write_bytes(data)
    (bundle / verify_bundle.RAW_SIGNATURE).write_bytes(signer.sign(data))
    (bundle / verify_bundle.SSH_SIGNATURE).write_bytes(sshsig(signer, data))


def flip(path: Path, position: int = 0, bit: int = 1) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= bit
    path.write_bytes(data)


def _sum(path: Path, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()

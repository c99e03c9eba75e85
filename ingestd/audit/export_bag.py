"""Writes a BagIt 1.0 bag (RFC 8493): payload first, then tag files, then the manifest over the tag files, on disk.

Every name comes from our identifiers; names that BagIt would have to encode are refused.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingestd.audit.export_mhl import Listed, c4_of
from ingestd.errors import ExportError
from ingestd.logfiles import fsync_dir

MANIFEST: Final = "manifest-sha256.txt"
SM3_MANIFEST: Final = "SM3SUMS"
TAG_MANIFEST: Final = "tagmanifest-sha256.txt"
SM3: Final = "sm3" in hashlib.algorithms_available
"""Whether this Python's OpenSSL knows SM3; without it a bundle has no ``SM3SUMS``."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class Written:
    """A payload file as it was written and read back."""

    size: int
    sha256: str
    sm3: str
    c4: str


@dataclass(slots=True)
class Bag:
    """A bag under construction in ``folder``, which does not exist before."""

    folder: Path
    payload: dict[str, Written] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each tag file."""

    def add_payload(self, name: str, pieces: Iterable[bytes], *, c4: bool = False) -> Written:
        """Write ``data/<name>`` from pieces, hashing what goes by."""
        hashers = {
            kind: hashlib.new(kind) for kind in ("sha256", *(["sm3"] if SM3 else []), *(["sha512"] if c4 else []))
        }
        path, size = self._place(f"data/{name}"), 0
        with path.open("xb") as file:
            for piece in pieces:
                size += file.write(piece)
                for hasher in hashers.values():
                    hasher.update(piece)
            file.flush()
            os.fsync(file.fileno())
        found = {kind: hasher.hexdigest() for kind, hasher in hashers.items()}
        c4_id = c4_of(hashers["sha512"].digest()) if c4 else ""
        self.payload[f"data/{name}"] = Written(size, found["sha256"], found.get("sm3", ""), c4_id)
        return self.payload[f"data/{name}"]

    def add_tag(self, name: str, data: bytes) -> None:
        """Write a tag file, which the tag manifest will cover."""
        self.add_loose(name, data)
        self.tags[name] = hashlib.sha256(data).hexdigest()

    def add_loose(self, name: str, data: bytes) -> None:
        """Write a file that no manifest covers: the signatures of the manifest."""
        with self._place(name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def listed(self) -> list[Listed]:
        """The payload for an ASC MHL list."""
        return [
            Listed(name, one.size, one.c4, (self.folder / name).stat().st_mtime)
            for name, one in sorted(self.payload.items())
        ]

    def close(self, facts: Mapping[str, str]) -> bytes:
        """Write the declarations and manifests; returns the tag manifest, to be signed."""
        self.add_tag("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        size = sum(one.size for one in self.payload.values())
        told = {**facts, "Payload-Oxum": f"{size}.{len(self.payload)}"}
        self.add_tag("bag-info.txt", "".join(f"{key}: {value}\n" for key, value in told.items()).encode())
        self.add_tag(MANIFEST, manifest({name: one.sha256 for name, one in self.payload.items()}))
        if SM3:
            lines = [f"SM3 ({name}) = {one.sm3}\n" for name, one in sorted(self.payload.items())]
            self.add_tag(SM3_MANIFEST, "".join(lines).encode())
        tag_manifest = manifest(self.tags)
        self.add_loose(TAG_MANIFEST, tag_manifest)
        return tag_manifest

    def sync(self) -> None:
        """Make the names durable."""
        for folder in (*(path for path in self.folder.rglob("*") if path.is_dir()), self.folder):
            fsync_dir(folder)

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or ".." in name.split("/"):
            raise ExportError(f"{name!r} cannot be a name in a bundle")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def manifest(digests: Mapping[str, str]) -> bytes:
    """A manifest as ``sha256sum`` writes and BagIt reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()

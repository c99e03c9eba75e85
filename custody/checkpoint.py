r"""Checkpoints as signed notes (C2SP signed-note, tlog-checkpoint and tlog-cosignature, v1).

::

    <origin>\n<size>\n<base64 root>\n
    \n
    — <name> <base64(key hash ‖ signature)>\n

In profile ``gm`` a log has a second note, of origin ``<origin>.sm3``: the SM3 root of the same entries, signed by SM2.

A log signs the body; a cosigner signs the body with a time in front. A verifier ignores signatures by keys it does not
know and rejects the whole note when a known key's signature does not fit.
"""

import base64
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from custody import p256, sm2
from custody.canonical import MAX_INTEGER
from custody.errors import CheckpointError, ContractError, UnparsableError
from custody.identifiers import is_origin
from custody.merkle import HASH_BYTES
from custody.signer import ED25519, Signer, VerifyKey, verify_key

LOG_SIGNATURE: Final = 0x01
"""Signature type of a plain Ed25519 note signature."""
COSIGNATURE: Final = 0x04
"""Signature type of a timestamped Ed25519 cosignature."""
OTHER_SIGNATURE: Final = 0xFF
"""Signature type of every other suite; the suite's name stands between it and the key (C2SP signed-note)."""
MAX_NOTE_BYTES: Final = 65_536
"""Larger than any note with sixteen signatures; bounds hostile input."""
_OTHERS: Final = (sm2.SUITE, p256.SUITE)
_DASH: Final = "\u2014 "
_KEY_HASH_BYTES: Final = 4
_TIME_BYTES: Final = 8
MAX_TIME_S: Final = 2**63 - 1
"""Largest cosignature time (C2SP tlog-cosignature)."""
_SPACE: Final = 0x20
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log claims of itself: so many entries, with this root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> bytes:
        """The bytes that are signed: three lines, each ended by a newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A named key that signs notes; its text form is the C2SP vkey ``name+hash+base64(type ‖ key)``.

    ``kind`` is by default the type of a log's signature in the key's suite. Raises ``ContractError`` for a type that
    the suite does not have; only Ed25519 cosigns.
    """

    name: str
    key: VerifyKey
    kind: int = 0

    def __post_init__(self) -> None:
        kind = self.kind or (LOG_SIGNATURE if self.key.suite == ED25519 else OTHER_SIGNATURE)
        object.__setattr__(self, "kind", kind)
        if (kind == OTHER_SIGNATURE) != (self.key.suite != ED25519):
            raise ContractError(f"a key of {self.key.suite} makes no note signatures of type {kind:02x}")

    def key_hash(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, type and key: a hint which key made a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed()).digest()[:_KEY_HASH_BYTES]

    def vkey(self) -> str:
        """Text form for configuration and policy files."""
        return f"{self.name}+{self.key_hash().hex()}+{base64.b64encode(self._typed()).decode()}"

    def _typed(self) -> bytes:
        suite = self.key.suite.encode() if self.kind == OTHER_SIGNATURE else b""
        return bytes([self.kind]) + suite + self.key.raw

    @classmethod
    def parse(cls, vkey: str) -> "NoteKey":
        """Read a vkey and check its hash. Raises ``UnparsableError``."""
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004  # name, hash, key
            raise UnparsableError("a vkey has the form name+hash+base64")
        key = cls(parts[0], *_typed_key(_decode(parts[2])))
        if not is_origin(key.name) or key.key_hash().hex() != parts[1]:
            raise UnparsableError(f"the hash in vkey {parts[0]!r} does not fit its name and key")
        return key


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the signatures that came with it; ``note`` is the exact text."""

    checkpoint: Checkpoint
    note: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def verify(self, keys: Collection[NoteKey]) -> dict[str, int]:
        """Names of the known keys that signed, each with its cosignature time in seconds (0 for a log signature).

        Raises ``CheckpointError``: ``sig-bad`` when a known key's signature does not fit, ``key-unknown`` when no known
        key signed at all.
        """
        body = self.checkpoint.body()
        signed: dict[str, int] = {}
        for name, blob in self.signatures:
            key = next((k for k in keys if k.name == name and k.key_hash() == blob[:_KEY_HASH_BYTES]), None)
            if key is None:
                continue
            message, signature, time_s = _signed_message(key.kind, body, blob[_KEY_HASH_BYTES:])
            if time_s > MAX_TIME_S or not key.key.made(signature, message):
                raise CheckpointError(f"the signature of {name} does not fit this checkpoint", "sig-bad")
            signed[name] = time_s
        if not signed:
            raise CheckpointError("no known key signed this checkpoint", "key-unknown")
        return signed


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The note of a log over itself. Persist (size, root) before releasing it: a log never signs two histories."""
    body = checkpoint.body()
    key = NoteKey(checkpoint.origin, verify_key(signer))
    return body + b"\n" + _line(key, signer.sign(body))


def cosign(note: SignedCheckpoint, name: str, signer: Signer, utc_s: int) -> bytes:
    """The note with one more line: ``name`` saw this checkpoint at ``utc_s`` and found it consistent."""
    key = NoteKey(name, verify_key(signer), COSIGNATURE)
    signature = signer.sign(_cosigned(note.checkpoint.body(), utc_s))
    return note.note + _line(key, utc_s.to_bytes(_TIME_BYTES, "big") + signature)


def parse_note(note: bytes) -> SignedCheckpoint:
    """Read a signed checkpoint; signatures are not judged yet. Raises ``UnparsableError``."""
    body, separator, tail = _text(note).rpartition("\n\n")
    if not separator:
        raise UnparsableError("a checkpoint is three lines, an empty line and signatures")
    checkpoint = _parse_body(body + "\n")
    lines = tail.split("\n")
    if lines[-1] != "" or len(lines) == 1:
        raise UnparsableError("a checkpoint ends with at least one signature line and a newline")
    return SignedCheckpoint(checkpoint, note, tuple(_signature(line) for line in lines[:-1]))


def _typed_key(blob: bytes) -> tuple[VerifyKey, int]:
    """Key and type of the last part of a vkey."""
    kind, rest, suite = blob[:1], blob[1:], ED25519
    if kind == bytes([OTHER_SIGNATURE]):
        suite = next((name for name in _OTHERS if rest.startswith(name.encode())), "")
        rest = rest[len(suite) :]
    elif kind not in (bytes([LOG_SIGNATURE]), bytes([COSIGNATURE])):
        raise UnparsableError("the key in a vkey begins with its type: 01, 04 or ff")
    try:
        return VerifyKey(rest, suite), blob[0]
    except ContractError as error:
        raise UnparsableError("a vkey holds a type and a 32-byte Ed25519 key, or ff, a suite and a point") from error


def _text(note: bytes) -> str:
    """The note as text: UTF-8, bounded, no control characters but newline (C2SP signed-note)."""
    if len(note) > MAX_NOTE_BYTES:
        raise UnparsableError(f"a checkpoint has at most {MAX_NOTE_BYTES} bytes")
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnparsableError("a checkpoint is UTF-8 text") from error
    if any(ord(c) < _SPACE and c != "\n" for c in text):
        raise UnparsableError("a checkpoint holds no control characters")
    return text


def _parse_body(body: str) -> Checkpoint:
    try:
        origin, size, root, rest = body.split("\n")
    except ValueError as error:
        raise UnparsableError("a checkpoint body has exactly origin, size and root") from error
    if rest or not is_origin(origin) or not _SIZE.fullmatch(size) or int(size) > MAX_INTEGER:
        raise UnparsableError("a checkpoint body is origin, decimal size without leading zeros, base64 root")
    digest = _decode(root)
    if len(digest) != HASH_BYTES:
        raise UnparsableError(f"a root has {HASH_BYTES} bytes")
    return Checkpoint(origin, int(size), digest)


def _signature(line: str) -> tuple[str, bytes]:
    name, space, blob = line.removeprefix(_DASH).partition(" ")
    data = _decode(blob)
    spaced = any(c.isspace() for c in name)
    if not line.startswith(_DASH) or not space or not name or spaced or "+" in name or len(data) <= _KEY_HASH_BYTES:
        raise UnparsableError(f"not a signature line: {line[:60]!r}")
    return name, data


def _signed_message(kind: int, body: bytes, blob: bytes) -> tuple[bytes, bytes, int]:
    if kind != COSIGNATURE:
        return body, blob, 0
    time_s = int.from_bytes(blob[:_TIME_BYTES], "big")
    return _cosigned(body, time_s), blob[_TIME_BYTES:], time_s


def _cosigned(body: bytes, utc_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % utc_s + body


def _line(key: NoteKey, signature: bytes) -> bytes:
    if not is_origin(key.name):
        raise ContractError(f"{key.name!r} cannot name a note key")
    return f"{_DASH}{key.name} {base64.b64encode(key.key_hash() + signature).decode()}\n".encode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError as error:
        raise UnparsableError(f"not base64: {text[:40]!r}") from error
    if base64.b64encode(data).decode() != text:
        raise UnparsableError("base64 with unused bits set")
    return data

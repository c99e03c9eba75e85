"""Messages between station and centre: a header line, then log entries byte for byte, one a line.

Entries are signed; the header is not and nothing evidential rests on it. JSON never holds a raw newline, so lines need
no escaping and the signed bytes travel unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from custody.canonical import JsonObject, canonical_bytes, parse_object
from custody.envelope import MAX_ENTRY_BYTES
from custody.errors import ContractError, UnparsableError
from custody.identifiers import is_origin

RECORDS_TYPE: Final = "bwc.records/v1"
RECEIPTS_TYPE: Final = "bwc.receipts/v1"
MAX_MESSAGE_BYTES: Final = 1 << 20
"""A station fills a message with entries up to this size; the centre refuses a larger one (1 MiB)."""
MAX_ENTRIES: Final = 1000
"""Most entries in one message: bounds one transaction at the centre."""


@dataclass(frozen=True, slots=True)
class Records:
    """Entries ``first``, ``first + 1`` … of the log ``log``, and the station's newest checkpoint at the time."""

    log: str
    first: int
    entries: tuple[bytes, ...]
    checkpoint: bytes
    checkpoint_sm3: bytes = b""
    """The second note of a log in profile ``gm``, of the same size."""

    def encode(self) -> bytes:
        """Bytes to publish. Raises ``ContractError`` beyond the bounds."""
        header: JsonObject = {"log": self.log, "first": self.first, "checkpoint": self.checkpoint.decode()}
        second: JsonObject = {"checkpoint_sm3": self.checkpoint_sm3.decode()} if self.checkpoint_sm3 else {}
        return _join({"type": RECORDS_TYPE, **header, **second}, self.entries)


@dataclass(frozen=True, slots=True)
class Receipts:
    """What the centre answers: how far it has the station's log, and signed receipts.

    ``size`` entries of ``log`` are stored and mirrored; ``cosigned`` is the station's checkpoint with the centre's
    cosignature, or empty. ``entries`` are ``central.verified`` entries of the centre log: the receipts themselves.
    ``centre`` is the newest signed checkpoint of the centre log, or empty: what the station writes as ``centre_seen``.
    """

    log: str
    size: int
    entries: tuple[bytes, ...]
    cosigned: bytes = b""
    centre: bytes = b""

    def encode(self) -> bytes:
        """Bytes to publish. Raises ``ContractError`` beyond the bounds."""
        header: JsonObject = {"log": self.log, "size": self.size, "cosigned": self.cosigned.decode()}
        centre: JsonObject = {"centre": self.centre.decode()} if self.centre else {}
        return _join({"type": RECEIPTS_TYPE, **header, **centre}, self.entries)


def decode_records(data: bytes) -> Records:
    """Read a ``Records`` message. Raises ``UnparsableError``."""
    header, entries = _part(data, RECORDS_TYPE)
    notes = _text(header, "checkpoint"), _text(header, "checkpoint_sm3")
    return Records(_origin(header), _count(header, "first"), entries, *notes)


def decode_receipts(data: bytes) -> Receipts:
    """Read a ``Receipts`` message. Raises ``UnparsableError``."""
    header, entries = _part(data, RECEIPTS_TYPE)
    notes = _text(header, "cosigned"), _text(header, "centre")
    return Receipts(_origin(header), _count(header, "size"), entries, *notes)


def _join(header: JsonObject, entries: Sequence[bytes]) -> bytes:
    data = b"\n".join([canonical_bytes(header), *entries])
    if len(entries) > MAX_ENTRIES or len(data) > MAX_MESSAGE_BYTES:
        raise ContractError(f"a message holds at most {MAX_ENTRIES} entries and {MAX_MESSAGE_BYTES} bytes")
    return data


def _part(data: bytes, kind: str) -> tuple[JsonObject, tuple[bytes, ...]]:
    if len(data) > MAX_MESSAGE_BYTES:
        raise UnparsableError(f"a message has at most {MAX_MESSAGE_BYTES} bytes, not {len(data)}")
    first, *entries = data.split(b"\n")
    header = parse_object(first)
    if header.get("type") != kind:
        raise UnparsableError(f"message type {str(header.get('type'))[:40]!r} is not {kind}")
    if len(entries) > MAX_ENTRIES or any(not 0 < len(entry) <= MAX_ENTRY_BYTES for entry in entries):
        raise UnparsableError(f"a message holds at most {MAX_ENTRIES} entries of 1 to {MAX_ENTRY_BYTES} bytes")
    return header, tuple(entries)


def _origin(header: JsonObject) -> str:
    log = header.get("log")
    if not isinstance(log, str) or not is_origin(log):
        raise UnparsableError("log: an origin is needed")
    return log


def _count(header: JsonObject, name: str) -> int:
    value = header.get(name)
    if not isinstance(value, int) or value < 0:
        raise UnparsableError(f"{name}: an integer from 0 is needed")
    return value


def _text(header: JsonObject, name: str) -> bytes:
    value = header.get(name, "")
    if not isinstance(value, str):
        raise UnparsableError(f"{name}: a string is needed")
    return value.encode()

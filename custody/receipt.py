"""The receipt: the centre's signed word that it read the stored object and its digest is right.

A receipt *is* the ``central.verified`` entry of the centre log, byte for byte; there is no second form of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from custody.canonical import JsonObject
from custody.envelope import open_envelope, verify
from custody.errors import EvidenceError, LogError, UnparsableError
from custody.record import Record, parse_record
from custody.signer import VerifyKey

EVENT = "central.verified"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a station may rely on before it lets anything be erased."""

    object_id: str
    name: str
    size: int
    sha256: str
    station_log: str
    station_seq: int
    station_leaf: str
    utc_ms: int


def body(entry_log: str, entry_seq: int, entry_leaf: str, stored: JsonObject) -> JsonObject:
    """Body of a ``central.verified`` draft for a stored object and the station entry that announced it."""
    return {"object": stored, "entry": {"log": entry_log, "seq": entry_seq, "leaf": entry_leaf}}


def read_receipt(entry: bytes, centre_log: str, keys: Collection[VerifyKey]) -> Receipt:
    """Verify and read one receipt. Raises an ``EvidenceError`` unless the centre signed it in its own log."""
    envelope = open_envelope(entry)
    verify(envelope, keys)
    record = parse_record(envelope.payload)
    if record.log != centre_log:
        raise LogError(f"a receipt of {record.log} is none of {centre_log}", "log-forked")
    if record.event != EVENT:
        raise UnparsableError(f"{record.event} is no receipt")
    return _receipt(record)


def covers(receipt: Receipt, station_log: str, object_id: str, size: int, sha256: str) -> bool:
    """Whether the receipt speaks of exactly this object of this station, with this size and digest."""
    return (receipt.station_log, receipt.object_id, receipt.size, receipt.sha256) == (
        station_log,
        object_id,
        size,
        sha256,
    )


def _receipt(record: Record) -> Receipt:
    stored, entry = record.block("object"), record.block("entry")
    digests = stored["digests"]
    if not isinstance(digests, Mapping):  # pragma: no cover  # parse_record checked it
        raise EvidenceError("digests are missing")
    return Receipt(
        object_id=str(stored["id"]),
        name=str(stored["name"]),
        size=int(str(stored["size"])),
        sha256=str(digests["sha256"]),
        station_log=str(entry["log"]),
        station_seq=int(str(entry["seq"])),
        station_leaf=str(entry["leaf"]),
        utc_ms=record.utc_ms,
    )

"""The custody record: one fact about evidence, as a JSON object.

A record has a head that every event shares and blocks that its event demands (``EVENTS``). Fields nobody here knows are
kept, because the signed bytes travel and are stored unchanged; an event nobody here knows is kept and reported.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from custody.canonical import JsonObject, JsonValue, canonical_bytes, parse_object
from custody.checkpoint import COSIGNATURE, NoteKey
from custody.errors import ContractError, UnparsableError
from custody.identifiers import is_origin, is_uuid7
from custody.layout import is_store_name

RECORD_TYPE: Final = "bwc.custody/v1"

EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    # Written by a station.
    "device.docked": ("camera", "volume"),
    "device.undocked": ("camera", "reason"),
    "device.identified": ("camera", "identity"),
    "ingest.seen": ("camera", "files"),
    "ingest.copied": ("camera", "object", "source", "copy"),
    "ingest.verified": ("camera", "object", "source", "copy"),
    "ingest.failed": ("camera", "source", "reason"),
    "media.described": ("object", "media"),
    "proxy.created": ("object", "parents", "recipe"),
    "proxy.failed": ("parents", "reason"),
    "clock.stepped": ("clock",),
    "camera.erased": ("camera", "objects", "receipts", "reason", "actors"),
    "docking.marked": ("marking", "actors"),
    "recorder.issued": ("camera", "issue", "actors"),
    "recorder.returned": ("camera", "issue", "actors"),
    "clock.set": ("camera", "clock", "result"),
    "store.proved": ("store", "result"),
    # Written by either.
    "log.recovered": ("reason",),
    "key.enrolled": ("key",),
    "integrity.checked": ("object", "result", "reason"),
    # Written by the centre.
    "station.enrolled": ("station", "key"),
    "station.entries": ("mirror",),
    "central.verified": ("object", "entry"),
    "message.quarantined": ("message", "reason"),
    "cases.imported": ("import",),
    "case.linked": ("link",),
    "case.unlinked": ("link", "reason"),
    "flag.set": ("flag",),
    "flag.changed": ("flag", "reason"),
    "flag.cleared": ("flag", "reason"),
    "access.exported": ("export", "actors", "reason"),
    "checkpoint.anchored": ("anchor",),
    "audit.done": ("audit", "actors"),
    "access.viewed": ("view", "actors"),
    "flag.explained": ("explanation", "actors"),
    "flag.reviewed": ("review", "actors", "reason"),
    "flag.closed": ("closing", "actors", "reason"),
    "review.submitted": ("review", "actors", "reason"),
    "review.extended": ("review", "actors", "reason"),
    "review.concluded": ("review", "actors", "reason"),
    "decision.made": ("decision", "actors", "reason"),
    "decision.withdrawn": ("decision", "actors", "reason"),
    "disclosure.published": ("disclosure", "actors"),
    "token.created": ("token", "actors", "reason"),
    "token.revoked": ("token", "actors", "reason"),
    "hold.set": ("hold", "actors", "reason"),
    "hold.released": ("hold", "actors", "reason"),
    "disposal.approved": ("disposal", "actors", "reason"),
    "disposal.done": ("disposal", "actors", "reason"),
    "config.changed": ("config",),
    "catalogue.changed": ("catalogue",),
    "key.revoked": ("key", "revocation", "reason", "actors"),
}
"""Each event and the blocks it needs besides the head. Later events join this table; unknown ones are kept."""

MAX_FILES: Final = 200
"""Most files in one ``ingest.seen``."""
REREAD: Final = frozenset({"uncached", "cached", "none"})
"""How a copy was read back; only ``uncached`` proves what lies on the medium."""
_HEX64: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose head and known blocks were checked. ``payload`` is the whole object, unknown fields included."""

    payload: JsonObject
    event: str
    record_id: str
    log: str
    seq: int
    prev: str
    utc_ms: int

    @property
    def known(self) -> bool:
        """Whether this version knows the event."""
        return self.event in EVENTS

    def block(self, name: str) -> JsonObject:
        """One of the object-valued blocks. Raises ``UnparsableError`` when the record has none of that name."""
        value = self.payload.get(name)
        if not isinstance(value, Mapping):
            raise UnparsableError(f"{self.event} has no {name}")
        return value


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before its log gives it ``log``, ``seq`` and ``prev``."""

    event: str
    record_id: str
    time: JsonObject
    body: JsonObject


def compose(draft: Draft, log: str, seq: int, prev: str) -> bytes:
    """Canonical payload of ``draft`` at its place in a log. Raises ``ContractError`` for what a reader would refuse."""
    return placed(draft, log, seq, prev)[0]


def placed(draft: Draft, log: str, seq: int, prev: str) -> tuple[bytes, Record]:
    """What ``compose`` gives, and the record that every reader will make of it."""
    head: dict[str, JsonValue] = {
        "type": RECORD_TYPE,
        "event": draft.event,
        "record_id": draft.record_id,
        "log": log,
        "seq": seq,
        "prev": prev,
        "time": draft.time,
    }
    taken = head.keys() & draft.body.keys()
    if taken or draft.event not in EVENTS:
        raise ContractError(f"a draft of {draft.event!r} may not carry {sorted(taken)}")
    payload = canonical_bytes({**draft.body, **head})
    try:
        return payload, parse_record(payload)
    except UnparsableError as error:
        raise ContractError(f"{draft.event}: {error}") from error


def parse_record(payload: bytes) -> Record:
    """Parse and check one payload. Raises ``UnparsableError`` naming the field and what would be right."""
    fields = parse_object(payload)
    _need(fields.get("type") == RECORD_TYPE, "type", RECORD_TYPE)
    event, record_id, log = fields.get("event"), fields.get("record_id"), fields.get("log")
    seq, prev, time = fields.get("seq"), fields.get("prev"), fields.get("time")
    time = time if isinstance(time, Mapping) else {}
    utc_ms = time.get("utc_ms")
    if not isinstance(event, str) or not 0 < len(event) <= 64:  # noqa: PLR2004  # generous for two dotted words
        raise UnparsableError("event: a short name is needed")
    if not isinstance(record_id, str) or not is_uuid7(record_id):
        raise UnparsableError("record_id: a UUIDv7 is needed")
    if not isinstance(log, str) or not is_origin(log):
        raise UnparsableError("log: an origin such as custody.example/station-07 is needed")
    if not isinstance(seq, int) or seq < 0:
        raise UnparsableError("seq: an integer from 0 is needed")
    if not isinstance(prev, str) or not (_HEX64.fullmatch(prev) if seq else prev == ""):
        raise UnparsableError("prev: the hex leaf hash of the entry before, or an empty string at seq 0, is needed")
    if not isinstance(utc_ms, int) or utc_ms < 0:
        raise UnparsableError("time.utc_ms: milliseconds since 1970 are needed")
    _text(time.get("source"), "time.source")
    for name in ("boot_id", "mono_ns"):
        _text(time.get(name, "absent"), f"time.{name}")
    for block in EVENTS.get(event, ()):
        _check_block(event, block, fields.get(block))
    return Record(fields, event, record_id, log, seq, prev, utc_ms)


def _check_block(event: str, name: str, value: JsonValue) -> None:
    if name == "files":
        _files(value, f"{event}.files")
        return
    checks = _BLOCKS.get(name)
    if checks is None:
        _need(value is not None, f"{event}.{name}", "a value")
        return
    if not isinstance(value, Mapping):
        raise UnparsableError(f"{event}.{name}: an object is needed")
    for field, check in checks.items():
        check(value.get(field), f"{event}.{name}.{field}")
    if name == "object":
        _need(str(value["id"]) in str(value["name"]), f"{event}.object.name", "a name made from the object's own id")


def _text(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and value != "", where, "a non-empty string")


def _size(value: JsonValue, where: str) -> None:
    _need(isinstance(value, int) and value >= 0, where, "a byte count from 0")


def _uuid(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and is_uuid7(value), where, "a UUIDv7")


def _sha256(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and _HEX64.fullmatch(value) is not None, where, "64 lower-case hex digits")


def _digests(value: JsonValue, where: str) -> None:
    if not isinstance(value, Mapping):
        raise UnparsableError(f"{where}: an object with sha256 is needed")
    _sha256(value.get("sha256"), f"{where}.sha256")
    if "sm3" in value:
        _sha256(value["sm3"], f"{where}.sm3")


def _store_name(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and is_store_name(value), where, "a name made by custody.layout")


def _origin(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and is_origin(value), where, "the origin of a log")


def _vkey(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and NoteKey.parse(value).kind != COSIGNATURE, where, "the vkey of a log")


def _vkey_if_any(value: JsonValue, where: str) -> None:
    if value is not None:
        _vkey(value, where)


def _reread(value: JsonValue, where: str) -> None:
    _need(isinstance(value, str) and value in REREAD, where, " or ".join(sorted(REREAD)))


def _leaves(value: JsonValue, where: str) -> None:
    listed = value if isinstance(value, list) else [None]
    _need(all(isinstance(leaf, str) and _HEX64.fullmatch(leaf) for leaf in listed), where, "a list of hex leaf hashes")


def _files(value: JsonValue, where: str) -> None:
    listed = value if isinstance(value, list) else []
    _need(0 < len(listed) <= MAX_FILES, where, f"a list of 1 to {MAX_FILES} files")
    for number, file in enumerate(listed):
        if not isinstance(file, Mapping):
            raise UnparsableError(f"{where}[{number}]: an object is needed")
        _text(file.get("path"), f"{where}[{number}].path")
        _size(file.get("size"), f"{where}[{number}].size")


def _need(held: bool, where: str, right: str) -> None:  # noqa: FBT001  # reads as «need this»
    if not held:
        raise UnparsableError(f"{where}: {right} is needed")


_BLOCKS: Final[Mapping[str, Mapping[str, Callable[[JsonValue, str], None]]]] = {
    "object": {"id": _uuid, "name": _store_name, "size": _size, "digests": _digests},
    "source": {"path": _text},
    "copy": {"reread": _reread, "reread_sha256": _sha256},
    "mirror": {"log": _origin, "from": _size, "leaves": _leaves},
    "entry": {"log": _origin, "seq": _size, "leaf": _sha256},
    "link": {"object": _uuid, "action": _text},
    "flag": {"id": _text, "rule": _text},
    "view": {"object": _uuid, "what": _text},
    "explanation": {"flag": _text, "text": _text},
    "issue": {"officer": _text},
    "hold": {"id": _uuid},
    "disposal": {"object": _uuid},
    "config": {"sha256": _sha256},
    "store": {"url": _text, "config_sha256": _sha256},
    "key": {"vkey": _vkey, "vkey_sm3": _vkey_if_any, "keyid": _text},
    "revocation": {"invalid_from_ms": _size},
}
"""Blocks whose fields are checked. A block not named here need only be present."""

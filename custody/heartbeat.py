"""The heartbeat: what a station claims of its own health, once a minute.

It is a claim and never evidence: nothing is believed of footage, let go of or deleted because of it.
It travels as one JSON object on ``topics.status``, retained, so that whoever comes later sees the last one. The broker
itself says the last word of a station that it lost (the last will): one that is not online, without figures.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from custody.canonical import JsonObject, JsonValue, canonical_bytes, parse_object
from custody.errors import UnparsableError

HEARTBEAT_TYPE: Final = "bwc.heartbeat/v1"
MAX_HEARTBEAT_BYTES: Final = 4096
MAX_TEXT: Final = 64
"""Characters of a text in it."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a station says of itself at one moment. Nothing in it names a person, a recorder or a clip."""

    agent: str
    """Version of the program."""
    boot_id: str
    utc_ms: int
    clock_source: str
    """Who says how good the clock is: ``chrony`` or ``kernel``."""
    clock_synchronised: str
    """``yes`` or ``no``."""
    clock_offset_ms: int | None
    """Station clock minus its time source, None where nobody measured it."""
    clock_uncertainty_ms: int | None
    disk_free_bytes: int
    """On the file system of the spool."""
    disk_size_bytes: int
    log_entries: int
    outbox_entries: int
    """Entries that the centre has not answered yet."""
    clips_open: int
    """Files that were seen on a recorder and are neither sealed nor recorded as failed."""
    receipts_waiting: int
    jobs_waiting: int
    jobs_failing: int
    """Jobs that failed at least once and are still to be done."""
    alarms: int
    """1 while the centre knows another history of this log."""

    @property
    def condition(self) -> tuple[str | int | bool, ...]:
        """What is told at once when it changes, and not only at the next minute."""
        troubled = self.clips_open > 0, self.jobs_failing > 0, self.alarms > 0
        return self.boot_id, self.agent, self.clock_source, self.clock_synchronised, *troubled


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``health`` is None in a last will and in a farewell."""

    online: bool
    health: Health | None = None

    def encode(self) -> bytes:
        """Bytes to publish. Raises ``ContractError`` for what JSON cannot hold."""
        health: JsonObject = {"health": asdict(self.health)} if self.health else {}
        return canonical_bytes({"type": HEARTBEAT_TYPE, "online": "yes" if self.online else "no", **health})


def decode_heartbeat(data: bytes) -> Heartbeat:
    """Read a heartbeat. Raises ``UnparsableError``; fields that nobody here knows are passed over."""
    if len(data) > MAX_HEARTBEAT_BYTES:
        raise UnparsableError(f"a heartbeat has at most {MAX_HEARTBEAT_BYTES} bytes, not {len(data)}")
    fields = parse_object(data)
    if fields.get("type") != HEARTBEAT_TYPE:
        raise UnparsableError(f"heartbeat type {str(fields.get('type'))[:40]!r} is not {HEARTBEAT_TYPE}")
    health = fields.get("health")
    return Heartbeat(_yes_or_no(fields, "online") == "yes", None if health is None else _health(health))


def _health(value: JsonValue) -> Health:
    if not isinstance(value, Mapping):
        raise UnparsableError("health: an object is needed")
    return Health(
        agent=_text(value, "agent"),
        boot_id=_text(value, "boot_id"),
        utc_ms=_count(value, "utc_ms"),
        clock_source=_text(value, "clock_source"),
        clock_synchronised=_yes_or_no(value, "clock_synchronised"),
        clock_offset_ms=_integer_or_none(value, "clock_offset_ms"),
        clock_uncertainty_ms=_integer_or_none(value, "clock_uncertainty_ms"),
        disk_free_bytes=_count(value, "disk_free_bytes"),
        disk_size_bytes=_count(value, "disk_size_bytes"),
        log_entries=_count(value, "log_entries"),
        outbox_entries=_count(value, "outbox_entries"),
        clips_open=_count(value, "clips_open"),
        receipts_waiting=_count(value, "receipts_waiting"),
        jobs_waiting=_count(value, "jobs_waiting"),
        jobs_failing=_count(value, "jobs_failing"),
        alarms=_count(value, "alarms"),
    )


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
        raise UnparsableError(f"{name}: at most {MAX_TEXT} printable characters are needed")
    return value


def _yes_or_no(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if value not in ("yes", "no"):
        raise UnparsableError(f"{name}: yes or no is needed")
    return str(value)


def _count(fields: JsonObject, name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or value < 0:
        raise UnparsableError(f"{name}: an integer from 0 is needed")
    return value


def _integer_or_none(fields: JsonObject, name: str) -> int | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, int):
        raise UnparsableError(f"{name}: an integer or null is needed")
    return value

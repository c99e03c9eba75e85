"""What is planned: the centre tells each station which acts that must be recorded begin soon, and whose they are.

A DSSE envelope of its own payload type, signed with the key of the centre's log, so that no signature over it can pass
for an entry of a log. It is news and no evidence: it stands in no log, and the newest one replaces those before it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from custody.canonical import MAX_INTEGER, JsonObject, JsonValue, canonical_bytes, parse_object
from custody.envelope import open_envelope, seal, verify
from custody.errors import LogError, UnparsableError
from custody.signer import Signer, VerifyKey

PAYLOAD_TYPE: Final = "application/vnd.bwc.plans.v1+json"
TYPE: Final = "bwc.plans/v1"
MAX_ACTS: Final = 200
"""Most acts in one message; how many more there are is said."""
MAX_PAYLOAD_BYTES: Final = 44_000
"""Largest payload whose envelope, base64 with two signatures, stays within ``custody.envelope.MAX_ENTRY_BYTES``."""
MAX_TEXT: Final = 200
MAX_OFFICERS: Final = 50


@dataclass(frozen=True, slots=True)
class Act:
    """One act that is to be recorded from start to end. Times are planned."""

    action: str
    type: str
    start_ms: int
    end_ms: int
    officers: tuple[str, ...]

    def block(self) -> JsonObject:
        """As it stands in the message."""
        officers: list[JsonValue] = list(self.officers)
        about: JsonObject = {"action": self.action, "type": self.type, "officers": officers}
        return {**about, "start_ms": self.start_ms, "end_ms": self.end_ms}


@dataclass(frozen=True, slots=True)
class Plans:
    """What was planned at ``made_ms``; ``left_out`` acts are not among ``acts``."""

    log: str
    """Origin of the centre's log, whose key signs."""
    made_ms: int
    acts: tuple[Act, ...]
    left_out: int = 0


def seal_plans(plans: Plans, signers: Sequence[Signer]) -> bytes:
    """The message, with as many of the first acts as fit into it."""
    payload, acts = b"", min(len(plans.acts), MAX_ACTS)
    while not payload or len(payload) > MAX_PAYLOAD_BYTES:
        payload = _payload(plans, acts)
        acts -= 1 + acts // 8
    return seal(payload, signers, PAYLOAD_TYPE)


def read_plans(data: bytes, centre_log: str, keys: Collection[VerifyKey]) -> Plans:
    """Verify and read a message. Raises an ``EvidenceError`` unless the centre signed it for this purpose."""
    envelope = open_envelope(data)
    verify(envelope, keys, payload_type=PAYLOAD_TYPE)
    fields = parse_object(envelope.payload)
    if fields.get("type") != TYPE:
        raise UnparsableError(f"type: {TYPE} is needed")
    log, listed = fields.get("log"), fields.get("acts")
    if log != centre_log:
        raise LogError(f"plans of {str(log)[:80]} are none of {centre_log}", "log-forked")
    acts = listed if isinstance(listed, list) else [None]
    if len(acts) > MAX_ACTS:
        raise UnparsableError(f"acts: at most {MAX_ACTS} are allowed")
    return Plans(centre_log, _count(fields, "made_ms"), tuple(map(_act, acts)), _count(fields, "left_out"))


def _payload(plans: Plans, most: int) -> bytes:
    acts: list[JsonValue] = [act.block() for act in plans.acts[:most]]
    left_out = plans.left_out + len(plans.acts) - len(acts)
    head: JsonObject = {"type": TYPE, "log": plans.log, "made_ms": plans.made_ms}
    return canonical_bytes({**head, "acts": acts, "left_out": left_out})


def _act(value: JsonValue) -> Act:
    if not isinstance(value, Mapping):
        raise UnparsableError("acts: a list of objects is needed")
    officers = value.get("officers")
    if not isinstance(officers, list) or len(officers) > MAX_OFFICERS:
        raise UnparsableError(f"acts.officers: a list of at most {MAX_OFFICERS} numbers is needed")
    numbers = tuple(_text(officer, "officers") for officer in officers)
    texts = _text(value.get("action"), "action"), _text(value.get("type"), "type")
    return Act(*texts, _count(value, "start_ms"), _count(value, "end_ms"), numbers)


def _text(value: JsonValue, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise UnparsableError(f"acts.{name}: 1 to {MAX_TEXT} characters are needed")
    return value


def _count(fields: JsonObject, name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
        raise UnparsableError(f"{name}: an integer from 0 is needed")
    return value

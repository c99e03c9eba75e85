"""The enrolment request: a station asks that its keys be let in (密钥登记申请).

A request is a DSSE envelope of its own payload type, so that no signature over it can pass for an entry of a log, and
it is signed by each of the keys that it brings: whoever asks holds them. What entitles them is not the request but the
two people who compare its ``fingerprint`` with the one on the station's own screen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from custody.canonical import JsonObject, JsonValue, canonical_bytes, is_canonical, parse_object
from custody.envelope import open_envelope, seal, verify
from custody.errors import ContractError, UnparsableError
from custody.identifiers import is_station_id, station_of
from custody.keyring import LogKeys, keys_in
from custody.profile import SUITES, Profile, check_keys
from custody.signer import Signer

PAYLOAD_TYPE: Final = "application/vnd.bwc.enrolment.v1+json"
TYPE: Final = "bwc.enrolment/v1"
MAX_CSR_CHARS: Final = 8_192
"""A certificate signing request in PEM has some 500 characters; bounds hostile input."""
RESERVED: Final = frozenset({"centre", "centre-witness"})
"""Last parts of origins that are the centre's own."""
_GROUPS: Final = 8
_GROUP_BYTES: Final = 4
_GROUP_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a request asks for."""

    keys: LogKeys
    profile: Profile
    attest: tuple[Mapping[str, str], ...]
    """Of each key where it lives and whether it can be exported (``Signer.attest``): the station's own word."""
    made_ms: int
    custody_csr: str = ""
    """PKCS#10 in PEM for the certificate of the custody key; empty asks for none."""
    mqtt_csr: str = ""
    """The same for the connection to the broker, of another key."""
    replaces: LogKeys | None = None
    """The keys that these succeed, in a rotation."""

    def __post_init__(self) -> None:
        station = station_of(self.keys.origin)
        if not is_station_id(station) or station in RESERVED:
            raise ContractError(f"{self.keys.origin}: not the log of a station")
        check_keys(self.profile, self.keys.keys)
        if self.replaces and self.replaces.origin != self.keys.origin:
            raise ContractError(f"keys of {self.keys.origin} do not replace those of {self.replaces.origin}")
        if self.replaces and {*self.replaces.keys} & {*self.keys.keys}:
            raise ContractError(f"{self.keys.origin}: a key does not replace itself")

    @property
    def station(self) -> str:
        """Name of the station."""
        return station_of(self.keys.origin)

    @property
    def log(self) -> str:
        """Origin of its log."""
        return self.keys.origin


def payload_of(enrolment: Enrolment) -> bytes:
    """The canonical bytes that are signed and of which the fingerprint is taken."""
    attest: list[JsonValue] = [dict(words) for words in enrolment.attest]
    return canonical_bytes(
        {
            "type": TYPE,
            "station": enrolment.station,
            "log": enrolment.log,
            "profile": enrolment.profile.value,
            "key": enrolment.keys.block(),
            "replaces": enrolment.replaces.block() if enrolment.replaces else None,
            "attest": attest,
            "csr": {"custody": enrolment.custody_csr, "mqtt": enrolment.mqtt_csr},
            "made_ms": enrolment.made_ms,
        }
    )


def request(enrolment: Enrolment, signers: Sequence[Signer]) -> bytes:
    """The request, signed by the very keys that it brings. Raises ``ContractError`` for other signers."""
    if [signer.public_key() for signer in signers] != [key.raw for key in enrolment.keys.keys]:
        raise ContractError("a request is signed by the keys that it brings, and by no other")
    return seal(payload_of(enrolment), signers, PAYLOAD_TYPE)


def read_request(data: bytes) -> Enrolment:
    """Read a request and verify that its keys signed it.

    Raises ``UnparsableError`` for another form, ``UnknownKeyError`` and ``SignatureError`` for a signature that is not
    there or does not fit.
    """
    envelope = open_envelope(data)
    fields = parse_object(envelope.payload)
    if not is_canonical(envelope.payload, fields):
        raise UnparsableError("the payload of a request is not in canonical form")
    try:
        enrolment = _enrolment(fields)
    except (ContractError, ValueError) as error:
        raise UnparsableError(f"enrolment request: {error}") from error
    verify(envelope, enrolment.keys.keys, SUITES[enrolment.profile], PAYLOAD_TYPE)
    if len(envelope.signatures) != len(enrolment.keys.keys):
        raise UnparsableError("a request is signed once by each key that it brings, and by no other")
    return enrolment


def fingerprint(data: bytes) -> str:
    """Forty decimal digits in eight groups, to be read aloud, over the whole payload of a request (132 bits).

    Each group is four bytes of SHA-256 modulo 100000. Raises ``UnparsableError``.
    """
    digest = hashlib.sha256(open_envelope(data).payload).digest()
    numbers = (int.from_bytes(digest[i : i + _GROUP_BYTES]) for i in range(0, _GROUPS * _GROUP_BYTES, _GROUP_BYTES))
    return " ".join(f"{number % 10**_GROUP_DIGITS:0{_GROUP_DIGITS}d}" for number in numbers)


def same_fingerprint(one: str, other: str) -> bool:
    """Whether two people read the same digits, however they wrote them down; no digits at all are never the same."""
    first, second = ("".join(char for char in text if char.isascii() and char.isdigit()) for text in (one, other))
    return first == second and len(first) == _GROUPS * _GROUP_DIGITS


def _enrolment(fields: JsonObject) -> Enrolment:
    key, replaces, csr = fields.get("key"), fields.get("replaces"), fields.get("csr")
    if fields.get("type") != TYPE or not isinstance(key, Mapping) or not isinstance(csr, Mapping):
        raise UnparsableError(f"type {TYPE} with key and csr is needed")
    if replaces is not None and not isinstance(replaces, Mapping):
        raise UnparsableError("replaces: keys or null are needed")
    made_ms = fields.get("made_ms")
    if not isinstance(made_ms, int) or made_ms < 0:
        raise UnparsableError("made_ms: milliseconds since 1970 are needed")
    enrolment = Enrolment(
        keys=keys_in(key),
        profile=Profile(str(fields.get("profile"))),
        attest=tuple(_words(one) for one in _list(fields.get("attest"))),
        made_ms=made_ms,
        custody_csr=_csr(csr, "custody"),
        mqtt_csr=_csr(csr, "mqtt"),
        replaces=keys_in(replaces) if replaces is not None else None,
    )
    if (fields.get("station"), fields.get("log")) != (enrolment.station, enrolment.log):
        raise UnparsableError("station and log must be those of the key")
    return enrolment


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise UnparsableError("attest: a list is needed")
    return value


def _words(value: JsonValue) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(word, str) for word in value.values()):
        raise UnparsableError("attest: objects of words are needed")
    return {name: str(word) for name, word in value.items()}


def _csr(block: JsonObject, name: str) -> str:
    value = block.get(name)
    if not isinstance(value, str) or len(value) > MAX_CSR_CHARS:
        raise UnparsableError(f"csr.{name}: PEM of at most {MAX_CSR_CHARS} characters is needed")
    return value

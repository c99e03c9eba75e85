"""Names: of logs, stations, objects and people."""

import re
import unicodedata
from typing import Final

from custody.errors import ContractError

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_ORIGIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)+")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SECOND: Final = ".sm3"
"""What follows the origin in the second checkpoint of a log in profile ``gm``; no station's name ends so."""
MAX_ORIGIN: Final = 200
"""Longest log origin we make; C2SP sets no bound, a topic and a file name do."""


def is_station_id(text: str) -> bool:
    """Whether ``text`` may name a station: 1–64 of ``a-z 0-9 . _ -``, fit for topic, certificate and folder."""
    return _NAME.fullmatch(text) is not None and not text.endswith(SECOND)


def is_origin(text: str) -> bool:
    """Whether ``text`` may be the origin of a log: ``authority/name``, no space and no plus sign (C2SP signed-note)."""
    return len(text) <= MAX_ORIGIN and _ORIGIN.fullmatch(text) is not None


def is_uuid7(text: str) -> bool:
    """Whether ``text`` is a UUID version 7 in lower-case canonical form (RFC 9562 §5.7)."""
    return _UUID.fullmatch(text) is not None


def log_origin(authority: str, name: str) -> str:
    """Origin of the log that ``name`` keeps, for instance ``custody.example/station-07``. Raises ``ContractError``."""
    origin = f"{authority}/{name}"
    if not is_origin(origin) or not is_station_id(name):
        raise ContractError(f"{origin!r} cannot name a log: lower-case letters, digits, '.', '_', '-' only")
    return origin


def second_origin(origin: str) -> str:
    """Origin of the second checkpoint, whose root is that of the SM3 tree over the same entries."""
    return origin + SECOND


def first_origin(origin: str) -> str:
    """Origin of the log that a checkpoint's origin, first or second, belongs to."""
    return origin.removesuffix(SECOND)


def station_of(origin: str) -> str:
    """The last part of an origin: the station, or ``centre``."""
    return origin.rpartition("/")[2]


def person_key(name: str) -> str:
    """A person's name or number as people mean it: one person under two spellings is not two people.

    Compatibility forms (Unicode NFKC), letter case and spaces make no difference; empty for a name of spaces alone.
    """
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def uuid7(utc_ms: int, randomness: bytes) -> str:
    """UUID version 7 from milliseconds since 1970 and ten random bytes (RFC 9562 §5.7)."""
    if len(randomness) != 10 or not 0 <= utc_ms < 1 << 48:  # noqa: PLR2004  # 80 random bits, 48 bits of time
        raise ContractError("a UUIDv7 needs a 48-bit time and ten random bytes")
    value = (utc_ms << 80) | int.from_bytes(randomness, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

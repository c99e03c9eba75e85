"""ASC MHL 2.0 with C4 identifiers, for people whose tools speak it. One generation, files only, no folder hashes.

ASC MHL is not signed and can be made anew over altered files; in a bundle its two files are covered by the signed tag
manifest, and that is what they are worth.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

FOLDER: Final = "ascmhl"
_DIGITS: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_C4_DIGITS: Final = 88


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of the list; ``modified_s`` is its time in seconds since 1970."""

    path: str
    size: int
    c4: str
    modified_s: float


def c4_of(sha512: bytes) -> str:
    """C4 identifier of a SHA-512 digest (SMPTE ST 2114): ``c4`` and 88 digits in base 58."""
    number, digits = int.from_bytes(sha512, "big"), ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return "c4" + digits.rjust(_C4_DIGITS, _DIGITS[0])


def history(host: str, version: str, now_ms: int, listed: Sequence[Listed], beside: Sequence[str]) -> dict[str, bytes]:
    """The two files of a history, by path. ``beside`` are names at the top that the list does not cover."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    file = f"0001_bundle_{moment:%Y-%m-%d_%H%M%S}Z.mhl"
    manifest = _manifest(host, version, moment, listed, beside)
    return {f"{FOLDER}/{file}": manifest, f"{FOLDER}/ascmhl_chain.xml": _chain(file, manifest)}


def _manifest(host: str, version: str, moment: datetime, listed: Sequence[Listed], beside: Sequence[str]) -> bytes:
    ignored = "".join(f"      <pattern>{escape(one)}</pattern>\n" for one in (FOLDER, f"{FOLDER}/", *beside))
    hashes = "".join(_hash(one, moment) for one in listed)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<hashlist version="2.0" xmlns="urn:ASC:MHL:v2.0">
  <creatorinfo>
    <creationdate>{moment.isoformat()}</creationdate>
    <hostname>{escape(host)}</hostname>
    <tool version={quoteattr(version)}>ingestd</tool>
  </creatorinfo>
  <processinfo>
    <process>transfer</process>
    <ignore>
{ignored}    </ignore>
  </processinfo>
  <hashes>
{hashes}  </hashes>
</hashlist>
""".encode()


def _hash(one: Listed, moment: datetime) -> str:
    modified = datetime.fromtimestamp(int(one.modified_s), UTC).isoformat()
    return f"""    <hash>
      <path size="{one.size}" lastmodificationdate="{modified}">{escape(one.path)}</path>
      <c4 action="original" hashdate="{moment.isoformat()}">{one.c4}</c4>
    </hash>
"""


def _chain(file: str, manifest: bytes) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ascmhldirectory xmlns="urn:ASC:MHL:DIRECTORY:v2.0">
  <hashlist sequencenr="1">
    <path>{escape(file)}</path>
    <c4>{c4_of(hashlib.sha512(manifest).digest())}</c4>
  </hashlist>
</ascmhldirectory>
""".encode()

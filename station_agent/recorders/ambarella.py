"""Body cameras with an Ambarella A9: ``DCIM/240131AA/OFFICER_000020240131123456_0001.MP4``.

Twelve characters of name and number come before the time. Names that hold a 2 or a 0 are ordinary, so nothing is
searched in them by its first digit: the last field is dropped when it is zeros alone, and all else stands as found.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists, stated

_FOLDER: Final = re.compile(rb"(?:^|/)DCIM/(?P<day>\d{6})[^/]*\Z")
_NAME: Final = re.compile(
    rb"(?P<id>[\w -]{12})(?P<start>\d{14})(?:\D(?P<rest>.*))?\.(?:MP4|JPG|WAV)", re.IGNORECASE | re.DOTALL
)
_COUNTER: Final = re.compile(rb"\d{1,6}")


def _claims(entry: Entry) -> Claims | None:
    folder, match = _FOLDER.search(entry.folder), _NAME.fullmatch(entry.name)
    if folder is None or match is None:
        return None
    if not exists(b"20" + folder["day"]) or not exists(match["start"]):
        return None
    rest = match["rest"] or b""
    return Claims(
        officer=_officer(match["id"]),
        start_raw=match["start"].decode(),
        recording=match["id"].upper() + match["start"],
        sequence=int(rest) if _COUNTER.fullmatch(rest) else None,
        series=match["id"].upper(),
    )


def _officer(field: bytes) -> str:
    name, _, number = field.rpartition(b"_")
    return stated((field if number.strip(b"0") else name).strip(b"_ "))


FAMILY: Final = Family("ambarella", _claims)

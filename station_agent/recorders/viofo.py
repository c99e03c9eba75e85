"""VIOFO and others with a Novatek chip: ``DCIM/Movie/2026_0501_162928_000538F.MP4``, clips of a minute.

Parking clips lie in ``Parking``, locked ones in ``RO``; locked ones continue their neighbours all the same. Front and
rear belong together by their time, not by their number, which counts files.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists

_FOLDER: Final = re.compile(rb"(?:^|/)DCIM/(?:MOVIE(?:/PARKING|/RO)?|PHOTO)\Z")
_NAME: Final = re.compile(
    rb"(?:(?P<date>\d{4}_\d{4})_(?P<time>\d{6})_\d{5,6}(?P<camera>P?[FIRT])"
    rb"|(?P<date_a129>\d{8})_(?P<time_a129>\d{6})_\d{5}(?P<camera_a129>[FR]))"
)


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.stem)
    if match is None or not entry.extension or not _FOLDER.search(entry.folder):
        return None
    date, time, camera = match.groups()[:3] if match["date"] else match.groups()[3:]
    start = date.replace(b"_", b"") + time
    if not exists(start):
        return None
    is_parked = camera.startswith(b"P")
    return Claims(
        start_raw=start.decode(),
        recording=start + (b"P" if is_parked else b""),
        track=camera.decode(),
        is_marked=entry.folder.endswith(b"/RO"),
        series=b"parked" if is_parked else b"driven",
    )


FAMILY: Final = Family("viofo", _claims)

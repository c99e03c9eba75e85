"""BlackVue: ``Record/20181026_135003_PF.mp4``, with positions (``.gps``) and acceleration (``.3gf``) beside the clips.

The letters say why it was recorded (``P`` parking) and which camera (``F`` front, ``R`` rear, ``I`` inside, ``O``
option). Side files of all cameras may leave the second letter out.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists

_FOLDER: Final = re.compile(rb"(?:^|/)RECORD\Z")
_NAME: Final = re.compile(rb"(?P<date>\d{8})_(?P<time>\d{6})_(?P<type>[ABDEFGILMNOPRTXY])(?P<camera>[FIOR]?)[LS]?")


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.stem)
    is_known = entry.extension in {b"MP4", b"GPS", b"3GF", b"THM"}
    if match is None or not is_known or not _FOLDER.search(entry.folder):
        return None
    start = match["date"] + match["time"]
    if not exists(start) or not (match["camera"] or entry.extension != b"MP4"):
        return None
    is_parked = match["type"] == b"P"
    return Claims(
        start_raw=start.decode(),
        recording=start,
        track=match["camera"].decode(),
        series=b"parked" if is_parked else b"driven",
    )


FAMILY: Final = Family("blackvue", _claims)

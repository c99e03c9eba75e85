"""Panasonic AG-CPD20P, for police cars: ``DATA/20240131/102339.avi`` in world time, below ``DATA/LOCAL`` in local time.

The date stands in the folder. ``_`` marks what an automatic split made, ``L``, ``B`` and ``M`` a local copy and
bookmarks. One recording may lie in both trees; both names are kept, and the store sees that the bytes are the same.
Source: the maker's manual, pages 15 and 29.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists

_FOLDER: Final = re.compile(rb"(?:^|/)DATA/(?P<local>LOCAL/)?(?P<date>\d{8})\Z")
_NAME: Final = re.compile(rb"(?P<time>\d{6})(?P<kind>[LBM_]?)(?P<number>\d{0,6})")


def _claims(entry: Entry) -> Claims | None:
    folder, match = _FOLDER.search(entry.folder), _NAME.fullmatch(entry.stem)
    if folder is None or match is None or not entry.extension:
        return None
    start = folder["date"] + match["time"]
    if not exists(start):
        return None
    return Claims(
        start_raw=start.decode() + ("" if folder["local"] else "Z"),
        recording=entry.folder + b"/" + match["time"],
        sequence=int(match["number"] or 0) if match["kind"] == b"_" else 0,
    )


FAMILY: Final = Family("panasonic", _claims)

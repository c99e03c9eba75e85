"""Axis W10x, a recording to a folder ``<user>_<serial>_<UTC>``, holding clips ``<UTC>_<recording>.mkv``.

Keys, bookmarks and the trail of positions lie beside the clips. All times are UTC.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists

_FOLDER: Final = re.compile(rb"(?:^|/)(?P<user>[0-9A-F-]{36})_(?P<serial>[0-9A-Z]{4,32})_(?P<on>\d{8}T\d{6})Z\Z")
_CLIP: Final = re.compile(rb"(?P<start>\d{8}_\d{6})_[^_]+(?:_.+)?")


def _claims(entry: Entry) -> Claims | None:
    folder = _FOLDER.search(entry.folder)
    if folder is None or not exists(folder["on"].replace(b"T", b"")):
        return None
    match = _CLIP.fullmatch(entry.stem)
    start = match["start"].replace(b"_", b"") if match else b""
    is_clip = entry.extension in {b"MKV", b"MP4"} and exists(start)
    return Claims(
        folder["serial"].decode(),
        folder["user"].decode().lower(),
        f"{start.decode()}Z" if is_clip else "",
        recording=entry.folder,
        sequence=int(start) if is_clip else None,
        is_side=not is_clip,
    )


FAMILY: Final = Family("axis", _claims)

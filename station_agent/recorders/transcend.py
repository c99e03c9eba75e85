"""Transcend DrivePro Body: ``DPB30/2024_0131_123456_01.MP4``, below a folder named after the model."""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists

_FOLDER: Final = re.compile(rb"(?:^|/)DPB?\d{2,4}[A-Z]*(?:/|\Z)")
_NAME: Final = re.compile(rb"(?P<date>\d{4}_\d{4})_(?P<time>\d{6})(?:_(?P<sequence>\d{1,6}))?")


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.stem)
    if match is None or not _FOLDER.search(entry.folder):
        return None
    start = match["date"].replace(b"_", b"") + match["time"]
    if not exists(start):
        return None
    sequence = int(match["sequence"]) if match["sequence"] else None
    return Claims(start_raw=start.decode(), recording=start, sequence=sequence, series=b"drivepro")


FAMILY: Final = Family("transcend", _claims)

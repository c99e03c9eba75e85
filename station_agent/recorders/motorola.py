"""Motorola V300, V500 and Si500 as exported: ``Officer_202511292256_311-0.mp4`` with ``.json`` and ``.vtt`` beside it.

The time is told to the minute. The counter after the hyphen begins at 0 and numbers the segments of one recording.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists, stated

_NAME: Final = re.compile(
    rb"(?P<officer>[A-Z]+)_(?P<start>\d{12})_(?P<device>[0-9A-Z]+)-(?P<segment>\d{1,6})\.[0-9A-Z]{2,4}", re.IGNORECASE
)


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.name)
    if match is None or not exists(match["start"]):
        return None
    return Claims(
        stated(match["device"]),
        match["officer"].decode(),
        match["start"].decode(),
        recording=entry.folder + b"/" + entry.stem.rpartition(b"-")[0],
        part=int(match["segment"]) + 1,
    )


FAMILY: Final = Family("motorola", _claims)

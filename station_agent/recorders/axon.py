"""Axon Body and Flex as downloaded: ``AXON_Body_2_Video_2024-11-29_2256_001.mp4``; such cameras mount no card.

The time is told to the minute. What the last number counts is not known: two recordings of one minute differ in it as
well as two pieces of one, so nothing is joined by it.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists

_NAME: Final = re.compile(
    rb"AXON_(?:BODY|FLEX)_\d{1,3}_VIDEO_(?P<date>\d{4}-\d\d-\d\d)_(?P<time>\d{4})(?:_\d+)?\.MP4", re.IGNORECASE
)


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.name)
    if match is None:
        return None
    start = match["date"].replace(b"-", b"") + match["time"]
    return Claims(start_raw=start.decode()) if exists(start) else None


FAMILY: Final = Family("axon", _claims)

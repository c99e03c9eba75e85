"""The de-facto Chinese form of names, 产品序号_警号_时间: ``1234567_123456_20240131123456.mp4``.

It lies in folders of any form. Seven characters of product number and six of officer number are the field lengths of
ZFY_INFO. What follows the time is the recorder's own; digits there number the pieces of one recording.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists, stated

_NAME: Final = re.compile(
    rb"(?P<clip>(?P<device>[0-9A-Z]{5,7})_(?P<officer>[0-9A-Z]{6})_(?P<start>\d{14}))(?:_(?P<suffix>[0-9A-Z_]+))?\.[0-9A-Z]+",
    re.IGNORECASE,
)
_COUNTER: Final = re.compile(rb"\d{1,6}")


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.name)
    if match is None or not exists(match["start"]):
        return None
    suffix = match["suffix"] or b""
    return Claims(
        stated(match["device"]),
        stated(match["officer"]),
        match["start"].decode(),
        recording=match["clip"].upper(),
        sequence=int(suffix) if _COUNTER.fullmatch(suffix) else None,
        series=(match["device"] + b"_" + match["officer"]).upper(),
    )


FAMILY: Final = Family("dsj", _claims)

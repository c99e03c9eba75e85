"""CammPro I-826 and M-852, and the generic "ZFY" recorders like them: ``1234567_12345620220318123456_0001.MP4``.

Officer number and time run together. They lie in ``FILE/100RECOR`` or ``DCIM/100RECORD``; the name is exact enough
to be believed elsewhere. A name of five characters, six and a time is an Ambarella name too, so that family is asked
first: it demands its own folders.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, exists, stated

_NAME: Final = re.compile(
    rb"(?P<device>[0-9A-Z]{1,7})_(?P<officer>[0-9A-Z]{6})(?P<start>\d{14})_(?P<sequence>\w+)\.(?:MP4|JPG|WAV)",
    re.IGNORECASE,
)
_COUNTER: Final = re.compile(rb"\d{1,6}")


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.name)
    if match is None or not exists(match["start"]):
        return None
    series = match["device"].upper() + b"_" + match["officer"].upper()
    return Claims(
        stated(match["device"]),
        stated(match["officer"]),
        match["start"].decode(),
        recording=series + match["start"],
        sequence=int(match["sequence"]) if _COUNTER.fullmatch(match["sequence"]) else None,
        series=series,
    )


FAMILY: Final = Family("cammpro", _claims)

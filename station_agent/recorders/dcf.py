"""Cameras after DCF, the rule for file systems of cameras (JEITA CP-3461): ``DCIM/100CANON/IMG_0001.JPG``.

Files of one number are one object there: a picture, its raw form and the voice memo beside it.
"""

import re
from typing import Final

from station_agent.recorders.family import CLIPS, Claims, Entry, Family

_FOLDER: Final = re.compile(rb"(?P<root>(?:.*/)?DCIM)/[1-9]\d\d[0-9A-Z_]{5}", re.DOTALL)
_STEM: Final = re.compile(rb"(?P<prefix>[0-9A-Z_]{4})(?P<number>\d{4})")


def _claims(entry: Entry) -> Claims | None:
    folder, match = _FOLDER.fullmatch(entry.folder), _STEM.fullmatch(entry.stem)
    if folder is None or match is None or entry.extension not in CLIPS | {b"THM"}:
        return None
    return Claims(
        recording=entry.folder + b"/" + entry.stem,
        sequence=int(match["number"]),
        series=folder["root"] + b"/" + match["prefix"],
        is_side=entry.extension == b"WAV",
    )


FAMILY: Final = Family("dcf", _claims)

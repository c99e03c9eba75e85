"""BOBLOV M-series: media in ``FILE/100china`` under names that say nothing, and a log for each day in ``LOG``."""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family

_FOLDER: Final = re.compile(rb"(?:^|/)FILE/100CHINA\Z")


def _claims(entry: Entry) -> Claims | None:
    is_clip = _FOLDER.search(entry.folder) and entry.extension in {b"MP4", b"JPG", b"WAV"}
    return Claims() if is_clip else None


FAMILY: Final = Family("boblov", _claims)

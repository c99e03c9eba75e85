"""Tecsar: the recorder is named by the label of its volume, ``CAM01``; its files lie in ``files/data``."""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family

_LABEL: Final = re.compile(r"CAM[0-9]{2}", re.IGNORECASE)
_FOLDER: Final = re.compile(rb"(?:^|/)FILES/DATA(?:/|\Z)")


def _claims(entry: Entry) -> Claims | None:
    is_its = _LABEL.fullmatch(entry.label) and _FOLDER.search(entry.folder)
    return Claims(device=entry.label.upper()) if is_its else None


FAMILY: Final = Family("tecsar", _claims)

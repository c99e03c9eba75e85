"""Recorders of sound: Zoom and Sound Devices (WAV), dictation machines (DSS, DS2), and what writes mp3 and the like.

One take of several microphones is several files made at once: ``Scene_1_Tr1.WAV``, ``Scene_1_TrL_R.WAV``; ``_D`` is a
twin at lower gain. Device and time stand inside (bext chunk, DSS header). Whatever else lies on a card of one of these,
no picture does.
"""

import re
from collections.abc import Sequence
from typing import Final

from station_agent.recorders.family import CLIPS, SOUND, Claims, Entry, Family

_ZOOM: Final = re.compile(rb"(?P<take>.+?)_TR(?P<track>(?:\d{1,2}|L_R)(?:_D)?)", re.DOTALL)
_SOUND_DEVICES: Final = re.compile(rb"(?P<take>[A-Z]{1,4}\d{3}_\d{1,4})(?:_(?P<track>\d{1,2}))?")


def _claims(entry: Entry) -> Claims | None:
    if entry.extension not in SOUND:
        return None
    match = _ZOOM.fullmatch(entry.stem) or _SOUND_DEVICES.fullmatch(entry.stem)
    if match is None or entry.extension != b"WAV":
        return Claims()
    return Claims(recording=entry.folder + b"/" + match["take"], track=(match["track"] or b"").decode())


def _recognised(entries: Sequence[Entry]) -> int:
    has_pictures = any(entry.extension in CLIPS - SOUND for entry in entries)
    return 0 if has_pictures else sum(entry.extension in SOUND for entry in entries)


FAMILY: Final = Family("audio", _claims, _recognised)

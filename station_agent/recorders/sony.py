"""Sony: XAVC S in ``PRIVATE/M4ROOT/CLIP`` with ``C0001M01.XML`` and ``THMBNL/C0001T01.JPG``, AVCHD in ``BDMV/STREAM``.

Names begin again on each card and say neither time nor recorder; both stand in the XML and in the stream.
"""

import re
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family

_XAVC: Final = re.compile(rb"(?P<root>(?:.*/)?PRIVATE/M4ROOT)/(?:CLIP|SUB|THMBNL)", re.DOTALL)
_XAVC_NAME: Final = re.compile(rb"(?P<clip>C(?P<number>\d{4}))(?P<beside>[MTS]\d\d)?\.(?:MP4|XML|JPG)")
_AVCHD: Final = re.compile(rb"(?P<root>(?:.*/)?PRIVATE/AVCHD/BDMV)/(?:STREAM|CLIPINF)", re.DOTALL)
_AVCHD_NAME: Final = re.compile(rb"(?P<clip>(?P<number>\d{5}))(?P<beside>)\.(?:MTS|CPI)")
_STILLS: Final = re.compile(rb"(?:^|/)DCIM/\d{3}MSDCF\Z")
_STILL_NAME: Final = re.compile(rb"[A-Z_]{3}\d{5}\.(?:JPG|ARW|MP4)")


def _claims(entry: Entry) -> Claims | None:
    name = entry.name.upper()
    for folders, names in ((_XAVC, _XAVC_NAME), (_AVCHD, _AVCHD_NAME)):
        folder, match = folders.fullmatch(entry.folder), names.fullmatch(name)
        if folder and match:
            return Claims(
                recording=folder["root"] + b"/" + match["clip"],
                sequence=int(match["number"]),
                series=folder["root"],
                is_side=bool(match["beside"]),
            )
    is_still = _STILLS.search(entry.folder) and _STILL_NAME.fullmatch(name)
    return Claims(recording=entry.folder + b"/" + entry.stem) if is_still else None


FAMILY: Final = Family("sony", _claims)

"""Sony: XAVC S in ``PRIVATE/M4ROOT/CLIP`` with ``C0001M01.XML`` and ``THMBNL/C0001T01.JPG``, AVCHD in ``BDMV/STREAM``.

Names begin again on each card and say neither time nor recorder; both stand in the XML and in the stream.
"""

import re
from collections.abc import Iterator
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, Settings

_XAVC: Final = re.compile(rb"(?P<root>(?:.*/)?PRIVATE/M4ROOT)/(?:CLIP|SUB|THMBNL)", re.DOTALL)
_XAVC_NAME: Final = re.compile(rb"(?P<clip>C(?P<number>\d{4}))(?P<beside>[MTS]\d\d)?\.(?:MP4|XML|JPG)")
_AVCHD: Final = re.compile(rb"(?P<root>(?:.*/)?PRIVATE/AVCHD/BDMV)/(?:STREAM|CLIPINF)", re.DOTALL)
_AVCHD_NAME: Final = re.compile(rb"(?P<clip>(?P<number>\d{5}))(?P<beside>)\.(?:MTS|CPI)")
_CLIP_XML: Final = re.compile(rb"C\d{4}M01\.XML")
_DEVICE: Final = re.compile(rb"<(?:Device\b[^>]*?\bserialNo|System\b[^>]*?\bsystemId)=\"(?P<id>[^\"]*)\"")
"""The recorder in the XML of a clip, and in the list of all clips."""
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


def _is_metadata(entry: Entry) -> bool:
    folder, name = entry.folder, entry.name.upper()
    is_list = folder.endswith(b"PRIVATE/M4ROOT") and name == b"MEDIAPRO.XML"
    return is_list or (folder.endswith(b"PRIVATE/M4ROOT/CLIP") and bool(_CLIP_XML.fullmatch(name)))


def _ids(head: bytes) -> Iterator[str]:
    """Searched and not parsed: the list of a full card is longer than the head that is read of it."""
    for match in _DEVICE.finditer(head):
        yield match["id"].decode("utf-8", "replace")


FAMILY: Final = Family("sony", _claims, settings=Settings(_is_metadata, _ids))

"""KTA and Eylog H22-4G: clips lie flat in ``DCIM/100MEDIA``, with the settings (ID, badge, card) as JSON in the root.

Neither recorder nor officer stands in a name. Many cameras use that folder; the settings beside it make the difference.
"""

from collections.abc import Sequence
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, by_claims


def _claims(entry: Entry) -> Claims | None:
    is_clip = entry.folder == b"DCIM/100MEDIA" and entry.extension == b"MP4"
    return Claims() if is_clip else None


def _recognised(entries: Sequence[Entry]) -> int:
    has_settings = any(not entry.folder and entry.extension == b"JSON" for entry in entries)
    return by_claims(entries, _claims) if has_settings else 0


FAMILY: Final = Family("eylog", _claims, _recognised)

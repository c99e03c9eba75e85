"""KTA and Eylog H22-4G: clips lie flat in ``DCIM/100MEDIA``, with the settings (ID, badge, card) as JSON in the root.

Neither recorder nor officer stands in a name. Many cameras use that folder; the settings beside it make the difference.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, Settings, by_claims


def _claims(entry: Entry) -> Claims | None:
    is_clip = entry.folder == b"DCIM/100MEDIA" and entry.extension == b"MP4"
    return Claims() if is_clip else None


def _recognised(entries: Sequence[Entry]) -> int:
    return by_claims(entries, _claims) if any(map(_is_settings, entries)) else 0


def _is_settings(entry: Entry) -> bool:
    return not entry.folder and entry.extension == b"JSON"


def _ids(head: bytes) -> Iterator[str]:
    """The recorder's ``ID``; ``BadgeId`` and ``CardId`` are the officer's."""
    try:
        stated = json.loads(head)
    except (ValueError, RecursionError):
        return
    for name, value in stated.items() if isinstance(stated, dict) else ():
        if name.casefold() == "id" and isinstance(value, str | int):
            yield str(value)


FAMILY: Final = Family("eylog", _claims, _recognised, Settings(_is_settings, _ids))

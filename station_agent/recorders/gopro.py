"""GoPro: ``DCIM/100GOPRO/GH010001.MP4``, where the chapter comes before the number of the recording.

Older models call the first chapter ``GOPR0001`` and the second ``GP010001``. What letters in the place of the
chapter count (loops, bursts) is not known, so that such a clip stands for itself. ``.LRV`` and ``.THM`` are
playback copy and thumbnail; newer models begin their names with ``GL``.
"""

import re
from collections.abc import Iterator
from typing import Final

from station_agent.recorders.family import Claims, Entry, Family, Settings

_FOLDER: Final = re.compile(rb"(?:^|/)DCIM/\d{3}GOPRO\Z")
_NAME: Final = re.compile(rb"G(?P<codec>[HXOPL])(?P<chapter>\d{2}|[A-Z]{2})(?P<number>\d{4})")
_SERIAL: Final = re.compile(rb'"camera serial number"\s*:\s*"(?P<id>[^"]*)"')
_EXTENSIONS: Final = frozenset([b"MP4", b"JPG", b"LRV", b"THM", b"GPR", b"WAV"])


def _claims(entry: Entry) -> Claims | None:
    match = _NAME.fullmatch(entry.stem)
    if match is None or entry.extension not in _EXTENSIONS or not _FOLDER.search(entry.folder):
        return None
    chapter = match["chapter"]
    letters = b"" if chapter.isdigit() or chapter == b"PR" else chapter
    return Claims(
        recording=b"/".join([entry.folder, letters, match["number"]]),
        part=_part(match["codec"], chapter),
        is_side=entry.extension == b"WAV",
    )


def _part(codec: bytes, chapter: bytes) -> int:
    if not chapter.isdigit():
        return 1
    return int(chapter) + (codec == b"P")


def _is_version(entry: Entry) -> bool:
    return entry.folder == b"MISC" and entry.name.upper() == b"VERSION.TXT"


def _ids(head: bytes) -> Iterator[str]:
    """The file looks like JSON and is none: some models end its last line with a comma."""
    for match in _SERIAL.finditer(head):
        yield match["id"].decode("utf-8", "replace")


FAMILY: Final = Family("gopro", _claims, settings=Settings(_is_version, _ids))

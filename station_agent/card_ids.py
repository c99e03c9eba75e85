"""Who wrote a card, by what lies on it: settings files that its family knows, and the numbers in names of files.

Read from the read-only mount alone, a bounded head of a bounded number of files. They are copied and sealed as any
other file is; this is a look at them beforehand, and what cannot be read is said with its reason.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from station_agent.errors import CopyError
from station_agent.model import MAX_ID, Card, CardIds, SourceFile, Tree, recordable
from station_agent.offload import head_of
from station_agent.recorders import Claims
from station_agent.recorders.family import Entry, Settings

MAX_HEAD_BYTES: Final = 64 << 10
"""How much of a settings file is read; those that are known have a few KiB."""
MAX_SETTINGS: Final = 4
"""How many settings files are read: a Sony card has one for each clip, and all say the same."""
MAX_IDS: Final = 8
"""Different ids that are kept of either kind; a card of more recorders than that is no recorder's card."""


def ids_on(
    root: Path | Tree,
    files: Iterable[SourceFile],
    card: Card,
    settings: Settings | None,
    claims: Callable[[bytes], Claims],
) -> CardIds:
    """The ids on a card below ``root``. Never raises for what is on the medium."""
    openable = [file for file in files if not file.refused]
    found: list[str] = []
    unread: list[str] = []
    for file in islice(_settings_files(openable, card, settings), MAX_SETTINGS):
        try:
            found += settings.ids(head_of(root, file.path, MAX_HEAD_BYTES)) if settings else ()
        except CopyError as error:
            unread.append(f"{recordable(file.printable, MAX_ID)}: {error.reason}")
    return CardIds(_different(found), _different(claims(file.path).device for file in openable), tuple(unread))


def _settings_files(files: Iterable[SourceFile], card: Card, settings: Settings | None) -> Iterator[SourceFile]:
    return (file for file in files if settings and settings.is_at(Entry.of(file.path, card.label)))


def _different(ids: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order, no more than are kept."""
    return tuple(sorted({recordable(one.strip(), MAX_ID) for one in ids if one.strip()})[:MAX_IDS])

"""What a family of recorders is: a name, what its file names claim, and how a card of it is told from others. Pure.

Names are bytes that a stranger may have written. FAT gives them in either case, so that layouts are compared in upper
case, and what a name states is kept as found.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

GENERIC: Final = "generic"
"""The family of a recorder that no table knows; its clips are judged by their content alone."""

VIDEO: Final = frozenset(b"MP4 MOV AVI MKV MTS M2TS TS 3GP M4V MPG WMV ASF".split())
SOUND: Final = frozenset(b"WAV MP3 M4A AAC AMR WMA OGG FLAC DSS DS2".split())
STILLS: Final = frozenset(b"JPG JPEG PNG HEIC GPR DNG CR2 CR3 NEF ARW RAF RW2 ORF".split())
CLIPS: Final = VIDEO | SOUND | STILLS
"""Extensions of what a recorder records, in upper case."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a card and the label of its volume, cut up once for all families."""

    folder: bytes
    """Where it lies, in upper case, without a slash at the end."""
    name: bytes
    """As found."""
    stem: bytes
    """The name without its extension, in upper case."""
    extension: bytes
    """In upper case, without its dot."""
    label: str

    @classmethod
    def of(cls, path: bytes, label: str = "") -> "Entry":
        """From a path relative to the root of the volume, and the volume's label."""
        folder, _, name = path.rpartition(b"/")
        stem, dot, extension = name.upper().rpartition(b".")
        return cls(folder.upper(), name, stem if dot else extension, extension if dot else b"", label)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file name says; a claim, not a fact. Empty values mean «not stated»."""

    device: str = ""
    officer: str = ""
    start_raw: str = ""
    """Start of the recording by the recorder's clock, as digits of the name: ``YYYYMMDDHHMM`` where it tells minutes
    only, else ``YYYYMMDDHHMMSS``; with ``Z`` behind them where the family is known to write UTC."""
    start_stated: str = ""
    """Start as a person stated it beside the file, ISO 8601."""
    case: str = ""
    """Case number as a person stated it beside the file."""
    family: str = ""
    """Whose form the name has, or whose card it lies on."""
    recording: bytes = b""
    """What the names of one recording have in common on this card."""
    part: int = 0
    """Which chapter of its recording this is, counted from 1."""
    track: str = ""
    """Which of several files that were made at the same time: a camera or a microphone."""
    sequence: int | None = None
    """The recorder's counter, which goes on from clip to clip; it says the order and nothing more."""
    series: bytes = b""
    """What a clip has in common with the one that may go on where it ends."""
    is_marked: bool = False
    """The recorder, or who wore it, marked or locked it: it is copied and uploaded before others."""
    is_side: bool = False
    """It belongs to a clip although its extension does not tell: a voice memo, a thumbnail."""


def by_claims(entries: Sequence[Entry], claims: Callable[[Entry], Claims | None]) -> int:
    """How many files bear a family out."""
    return sum(claims(entry) is not None for entry in entries)


@dataclass(frozen=True, slots=True)
class Settings:
    """A file beside the clips in which a family states which recorder it is."""

    is_at: Callable[[Entry], bool]
    ids: Callable[[bytes], Iterable[str]]
    """Ids of the recorder in the first bytes of that file, as stated; never an officer's, and none in nonsense."""


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table. ``claims`` is None for a name that is not of this family or lies where it never would."""

    id: str
    claims: Callable[[Entry], Claims | None]
    recognised: Callable[[Sequence[Entry]], int] | None = None
    """How many files of a card bear the family out, where more than the single names decide."""
    settings: Settings | None = None
    """Where the recorder states its own id, if anywhere."""

    def recognise(self, entries: Sequence[Entry]) -> int:
        """How sure: the number of files that this family accounts for; 0 when it is not this family."""
        return self.recognised(entries) if self.recognised else by_claims(entries, self.claims)


def stated(field: bytes) -> str:
    """An identifier as stated. Zeros alone are the default of a recorder nobody set up."""
    return field.decode("ascii", "replace") if field.strip(b"0") else ""


def exists(digits: bytes) -> bool:
    """Whether ``YYYYMMDD``, ``YYYYMMDDHHMM`` or ``YYYYMMDDHHMMSS`` stands in the calendar."""
    try:
        rest = (int(digits[at : at + 2]) for at in range(4, len(digits), 2))
        datetime(int(digits[:4]), *rest)  # type: ignore[arg-type]  # noqa: DTZ001  # only the calendar is asked; the zone is not known
    except ValueError:
        return False
    return True

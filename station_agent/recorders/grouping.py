"""Which files of one card make one recording: chapters, splits, parallel cameras, and what lies beside a clip. Pure.

Nothing is merged and nothing is left out: every file stands in exactly one recording, if need be in one of its own.
What is said rests on names, sizes and modification times alone, and is a claim like any other. Three things join:

1. the name: files that their family puts into one recording (chapters, cameras, takes);
2. the clock: a clip that begins when one of the same series was closed. A name tells whole seconds, FAT tells a
   modification time in steps of two, and a gap of more than one second interrupts a recording (rule R04);
3. a full file: a clip as long as FAT32 allows goes on in the next number of its series.

Side files have their clip's recording and part; without a clip they are a recording of side files.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

from custody.canonical import JsonObject
from station_agent import times
from station_agent.model import SourceFile
from station_agent.recorders.family import CLIPS, SOUND, STILLS, Claims, Entry

SIDES: Final = frozenset(b"SRT GPX GPS 3GF JSON VTT LRV THM XML KEY CPI".split())
"""Extensions of what travels with a clip of the same stem, in upper case."""
MAX_GAP_MS: Final = 1_000 + 2_000
"""One second of rule R04, and the two-second steps of FAT. A file may also be closed that much after the next began."""
FULL_BYTES: Final = 3_950_000_000
"""A clip of this size was ended by the 4 GiB limit of FAT32: recorders stop at 4,000,000,000 bytes or some MiB below
4,294,967,296."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file stands in its recording."""

    key: str
    """Same for all files of one recording, on one recorder."""
    part: int
    """From 1. Numbers that names state are kept, so that a missing chapter leaves a hole."""
    parts: int
    """The highest part that was on the card."""
    role: Literal["clip", "side"]
    track: str = ""
    """Which of several files of one part that were made at the same time."""

    def block(self) -> JsonObject:
        """As it stands in a record."""
        track: JsonObject = {"track": self.track} if self.track else {}
        return {"key": self.key, "part": self.part, "parts": self.parts, "role": self.role, **track}


@dataclass(frozen=True, slots=True)
class _File:
    """A file with what its name claims."""

    source: SourceFile
    claims: Claims
    entry: Entry

    @property
    def is_side(self) -> bool:
        return self.claims.is_side or self.entry.extension in SIDES

    @property
    def recording(self) -> bytes:
        """What the name alone puts together, told apart by families; empty when it puts nothing together."""
        said = self.claims
        return said.family.encode() + b" " + said.recording if said.recording else b""

    @property
    def group(self) -> bytes:
        """A picture and a clip that share a name are two recordings."""
        if not self.recording:
            return b"path " + self.source.path
        return (b"still " if self.entry.extension in STILLS else b"clip ") + self.recording


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Clips that their names hold together."""

    clips: tuple[_File, ...]
    start_ms: int | None
    """None where the name tells no time, or minutes only."""

    @property
    def series(self) -> bytes:
        """What goes on with what; empty where nothing does. Pictures and sound between two films do not part them."""
        claims, extension = self.clips[0].claims, self.clips[0].entry.extension
        if not claims.series or extension in STILLS:
            return b""
        return b" ".join([b"sound" if extension in SOUND else b"film", claims.family.encode(), claims.series])

    @property
    def end_ms(self) -> int:
        return max(file.source.mtime_ms for file in self.clips)

    @property
    def is_full(self) -> bool:
        return any(file.source.size >= FULL_BYTES for file in self.clips)

    @property
    def sequences(self) -> list[int]:
        return sorted({file.claims.sequence for file in self.clips if file.claims.sequence is not None})

    def parts(self) -> dict[bytes, int]:
        """Path → part within the stretch: as stated, else the rank of the recorder's counter."""
        ranks: dict[int | None, int] = {number: rank for rank, number in enumerate(self.sequences, 1)}
        return {f.source.path: f.claims.part or ranks.get(f.claims.sequence, 1) for f in self.clips}

    @property
    def order(self) -> tuple[bytes, int, int, int]:
        return self.series, self.start_ms or 0, min(self.sequences, default=0), self.end_ms


def recordings(files: Iterable[SourceFile], claims: Callable[[bytes], Claims], zone: ZoneInfo) -> dict[bytes, Place]:
    """The place of every file of one card, by its path. ``zone`` is that of the recorder's clock."""
    ordered = sorted(files, key=lambda source: source.path)
    known = [_File(source, claims(source.path), Entry.of(source.path)) for source in ordered]
    clips = [file for file in known if not file.is_side]
    places = _of_clips(clips, zone)
    return places | _of_sides([file for file in known if file.is_side], clips, places)


def footage(places: Mapping[bytes, Place]) -> frozenset[bytes]:
    """Paths of what was recorded, and of what lies beside it. Settings, logs and indexes of a recorder are neither."""
    recorded = {path for path in places if Entry.of(path).extension in CLIPS}
    keys = {places[path].key for path in recorded}
    return frozenset(recorded | {path for path, place in places.items() if place.role == "side" and place.key in keys})


def _of_clips(clips: Sequence[_File], zone: ZoneInfo) -> dict[bytes, Place]:
    stretches = [_stretch(group, zone) for group in _grouped(clips, lambda file: file.group)]
    return {path: place for chain in _chains(stretches) for path, place in _numbered(chain).items()}


def _grouped(files: Iterable[_File], key: Callable[[_File], object]) -> Iterable[list[_File]]:
    groups: defaultdict[object, list[_File]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return groups.values()


def _stretch(clips: list[_File], zone: ZoneInfo) -> _Stretch:
    start = times.read("file-name", clips[0].claims.start_raw, zone)
    tells_seconds = start.uncertainty_ms < times.MINUTE_MS
    return _Stretch(tuple(clips), start.utc_ms if tells_seconds else None)


def _chains(stretches: Iterable[_Stretch]) -> list[list[_Stretch]]:
    """Each stretch behind the one it goes on from."""
    ordered = sorted(stretches, key=lambda stretch: stretch.order)
    chains = [ordered[:1]] if ordered else []
    for before, after in pairwise(ordered):
        if _goes_on(before, after):
            chains[-1].append(after)
        else:
            chains.append([after])
    return chains


def _goes_on(before: _Stretch, after: _Stretch) -> bool:
    """Whether the later stretch begins where the earlier one ends."""
    if not before.series or before.series != after.series:
        return False
    if before.start_ms is not None and after.start_ms is not None:
        return abs(after.start_ms - before.end_ms) <= MAX_GAP_MS
    is_next = bool(before.sequences and after.sequences) and after.sequences[0] == before.sequences[-1] + 1
    return is_next and before.is_full and after.end_ms >= before.end_ms


def _numbered(chain: Sequence[_Stretch]) -> dict[bytes, Place]:
    """The places of one recording: parts counted on from stretch to stretch."""
    parts: dict[bytes, int] = {}
    last = 0
    for stretch in chain:
        own = stretch.parts()
        parts |= {path: last + part for path, part in own.items()}
        last += max(own.values())
    files = [file for stretch in chain for file in stretch.clips]
    first = min(files, key=lambda file: (parts[file.source.path], file.source.path))
    return {
        file.source.path: Place(_key(first.source), parts[file.source.path], last, "clip", file.claims.track)
        for file in files
    }


def _key(first: SourceFile) -> str:
    """Names come again after a card was formatted; path, size and time of the first clip hardly do."""
    facts = [first.path, str(first.size).encode(), str(first.mtime_ms).encode()]
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:32]


def _of_sides(sides: Sequence[_File], clips: Sequence[_File], places: Mapping[bytes, Place]) -> dict[bytes, Place]:
    """Beside its clip, or in a recording of its own kind when the clip is not on the card."""
    index: dict[object, Place] = {}
    for file in sorted(clips, key=lambda file: file.entry.extension in STILLS):  # films before their pictures
        for name in _clip_names(file):
            index.setdefault(name, places[file.source.path])
    found: dict[bytes, Place] = {}
    lone: list[_File] = []
    for file in sides:
        beside = next((index[name] for name in _wanted_names(file) if name in index), None)
        if beside is None:
            lone.append(file)
        else:
            found[file.source.path] = replace(beside, role="side", track=file.claims.track)
    for group in _grouped(lone, lambda file: file.recording or (file.entry.folder, file.entry.stem)):
        found |= _alone(group)
    return found


def _clip_names(file: _File) -> Iterable[object]:
    """What a side file may know a clip by, chapter, recording, stem or whole name."""
    entry = file.entry
    if file.recording:
        yield file.recording, file.claims.part
        yield file.recording
    yield entry.folder, entry.stem, "stem"
    yield entry.folder, entry.name.upper(), "name"


def _wanted_names(file: _File) -> Iterable[object]:
    entry = file.entry
    yield entry.folder, entry.stem, "stem"
    yield entry.folder, entry.stem, "name"  # clip.mp4.key
    if file.recording:
        yield file.recording, file.claims.part
        yield file.recording


def _alone(group: Sequence[_File]) -> dict[bytes, Place]:
    """Side files without a clip; a voice memo without a picture is a recording."""
    key = _key(min(group, key=lambda file: file.source.path).source)
    last = max(file.claims.part or 1 for file in group)
    return {
        file.source.path: Place(
            key, file.claims.part or 1, last, "clip" if file.entry.extension in SOUND else "side", file.claims.track
        )
        for file in group
    }

"""Where anchors are kept: ``anchors/<size>/checkpoint`` beside what vouches for it.

``<tsa>.tsr`` is the reply of an RFC 3161 authority over exactly the bytes of ``checkpoint``; ``<witness>.note`` is that
note with a witness's line. ``<file>.logged`` says which entry of the centre log names the file. Plain files: they are
copied to the second organisation as they are, and every one can be checked with public tools.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingestd.errors import StateError
from ingestd.logfiles import make_dirs, replace_file

CHECKPOINT: Final = "checkpoint"
REPLY: Final = ".tsr"
NOTE: Final = ".note"
_LOGGED: Final = ".logged"
RFC3161: Final = "rfc3161"
WITNESS: Final = "witness"
_KINDS: Final = {REPLY: RFC3161, NOTE: WITNESS}
_SUFFIXES: Final = {kind: suffix for suffix, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Kept:
    """One anchor on disk: ``kind`` is ``rfc3161`` or ``witness``, ``name`` a file name (``slug``)."""

    size: int
    kind: str
    name: str
    path: Path

    @property
    def checkpoint(self) -> Path:
        """The checkpoint it vouches for."""
        return self.path.with_name(CHECKPOINT)

    def kept_ms(self) -> int:
        """When it came here, by our clock; only for asking again in time, for a copy has another."""
        return self.path.stat().st_mtime_ns // 1_000_000


class AnchorStore:
    """A folder of anchors. Errors of the operating system pass through unchanged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self) -> list[Kept]:
        """Every anchor, smallest size first. A folder that is not there holds none."""
        return [one for size, folder in self._sizes() for one in _anchors(size, folder)]

    def strangers(self) -> list[Path]:
        """What lies here and is neither anchor, checkpoint nor mark: nobody can say what it is."""
        known = {path for size, folder in self._sizes() for path in _explained(size, folder)}
        found = {path for top in self._entries() for path in (top.rglob("*") if top.is_dir() else [top])}
        strange = (path for path in found - known if not path.is_dir() and not path.name.startswith("."))
        return sorted(strange)

    def checkpoint(self, size: int) -> bytes | None:
        """The checkpoint of that size, or None."""
        path = self.folder / str(size) / CHECKPOINT
        return path.read_bytes() if path.exists() else None

    def put_checkpoint(self, size: int, note: bytes) -> bytes:
        """Keep a checkpoint, durably; returns the one of that size that is kept, which is what is to be vouched for.

        Raises ``StateError`` when another root of that size was kept before: the log has been rewritten.
        """
        known = self.checkpoint(size)
        if known is not None:
            if _body(known) != _body(note):
                raise StateError(f"{self.folder / str(size)}: another checkpoint of this size was anchored before")
            return known
        make_dirs(self.folder / str(size))
        replace_file(self.folder / str(size) / CHECKPOINT, note)
        return note

    def put(self, size: int, kind: str, name: str, data: bytes) -> Kept:
        """Keep what vouches for the checkpoint of that size, durably; the first of a name stays, it proves the most."""
        one = Kept(size, kind, slug(name), self.folder / str(size) / f"{slug(name)}{_SUFFIXES[kind]}")
        if not one.path.exists():
            replace_file(one.path, data)
        return one

    def unlogged(self) -> list[Kept]:
        """Anchors that no entry of the centre log names yet: a crash came between the two."""
        return [one for one in self.kept() if not _mark(one).exists()]

    def mark_logged(self, one: Kept) -> None:
        """Remember that the centre log names this anchor."""
        replace_file(_mark(one), b"")

    def _entries(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.is_dir() else []

    def _sizes(self) -> list[tuple[int, Path]]:
        sizes = ((_size(path), path) for path in self._entries() if path.is_dir())
        return sorted((size, path) for size, path in sizes if size is not None)


def slug(name: str) -> str:
    """A name as a file name: witnesses are called like origins."""
    return name.replace("/", "_")


def _anchors(size: int, folder: Path) -> Iterator[Kept]:
    for path in sorted(folder.iterdir()):
        if path.suffix in _KINDS:
            yield Kept(size, _KINDS[path.suffix], path.stem, path)


def _explained(size: int, folder: Path) -> Iterator[Path]:
    yield folder / CHECKPOINT
    for one in _anchors(size, folder):
        yield from (one.path, _mark(one))


def _size(path: Path) -> int | None:
    return int(path.name) if path.name.isdecimal() and path.name == str(int(path.name)) else None


def _mark(one: Kept) -> Path:
    return one.path.with_name(one.path.name + _LOGGED)


def _body(note: bytes) -> bytes:
    return note.partition(b"\n\n")[0]

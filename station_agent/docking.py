"""One recorder in its bay, and what the entries say of it. Pure: whoever signs and stores is elsewhere.

Names, sizes and texts come from a medium that a stranger may have written. What is built here always fits into an
entry: paths beyond ``MAX_PATH_BYTES`` are named by their digest and their end, numbers that JSON cannot hold are
refused at the listing, texts are bounded.
"""

import base64
import hashlib
import mimetypes
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from custody.canonical import MAX_INTEGER, JsonObject, JsonValue, canonical_bytes
from station_agent.journal import Clip
from station_agent.model import (
    Card,
    CardIds,
    ClockReading,
    CopyResult,
    MountedVolume,
    RecorderDocked,
    SourceFile,
    Stated,
    Tree,
    printable,
)
from station_agent.recorders import Place
from station_agent.registry import NOTHING, Handling, Identity, Registry, Source, Verdict, identified, is_set

MAX_FILES: Final = 200
MAX_LIST_BYTES: Final = 32_000
"""Bounds of one ``ingest.seen`` entry: an entry has at most 65,535 bytes."""
MAX_PATH_BYTES: Final = 4_096
"""Longest path that stands in a record byte for byte: PATH_MAX of linux/limits.h."""
PATH_END_CHARS: Final = 200
"""What is shown of a longer path: its end, where the file's name is."""
MAX_REFUSAL: Final = 500
"""Characters kept of why a volume was not mounted."""
UNRECORDABLE: Final = "unrecordable"
"""Reason of a file whose facts no entry can hold."""
UNMEASURED: Final = ClockReading(None, None, "unmeasured")

_NANOS_PER_MS: Final = 1_000_000
_types = mimetypes.MimeTypes()  # the built-in table alone: a record must not depend on this machine's /etc/mime.types


@dataclass(slots=True, eq=False)
class Docking:
    """A recorder in its bay, from announcement to removal."""

    event: RecorderDocked
    id: str
    """Tells this docking from every other one, also at the same node."""
    gone: threading.Event = field(default_factory=threading.Event)
    over: bool = False
    """Reading it has ended."""
    complete: bool = False
    """Nothing of it was left to copy when reading ended."""
    unsaid: bool = False
    """It turned out to be no medium of its own; nothing of it is recorded."""
    marked: bool = False
    """An officer asked at check-in that the next docking in this bay goes first."""
    unlocked: JsonObject = field(default_factory=dict)
    """What it said of itself before it became a disk; empty where nobody unlocked it."""
    shares_key: bool = False
    """While it was in, another recorder with the same serial and volume was docked too."""
    twin_bays: frozenset[int] = frozenset()
    """Other bays in which, while it was in, a recorder with the same serial was docked."""
    registry: Registry = NOTHING
    """The register as it was when this recorder was docked."""
    handling: Handling = Handling.ACCEPT
    """What becomes of it if it is not registered."""
    card_ids: CardIds = field(default_factory=CardIds)
    """What its card states; nothing before it was listed."""
    said: Identity | None = None
    """What the log says of its identity."""
    family: str = "generic"
    recordings: Mapping[bytes, Place] = field(default_factory=dict)
    """Path → where the file stands in its recording; empty where no card was read as a whole."""
    clock: ClockReading = UNMEASURED
    root: Path | Tree = Path()
    no_space: bool = False
    copied: set[str] = field(default_factory=set)
    """Object ids sealed during this docking."""
    same: set[str] = field(default_factory=set)
    """Object ids sealed before that were found equal during this docking."""
    failed: set[str] = field(default_factory=set)
    """Object ids that failed during this docking; the next docking tries them again."""

    @property
    def key(self) -> str:
        """What the journal remembers this recorder by."""
        return self.event.identity.key

    @property
    def card(self) -> Card:
        """What the names on it are read by."""
        return Card(self.family, self.event.identity.volume_label)

    @property
    def is_known(self) -> bool:
        """Whether what the journal remembers under its key is surely of this very recorder."""
        return self.event.identity.tells_apart and not self.shares_key

    @property
    def identity(self) -> Identity:
        """Whose recorder it is, as far as its sources tell by now; files handed in without a bay have none."""
        registry = self.registry if self.event.bay else NOTHING
        return identified(registry, self._stated(), self.twin_bays)

    @property
    def is_refused(self) -> bool:
        """Whether nothing of it is read: no source that shows without reading points to a registered recorder."""
        return self.handling is Handling.REFUSE and self.identity.verdict is Verdict.UNREGISTERED

    @property
    def is_doubtful(self) -> bool:
        """Whether people have to settle whose it is; until then nothing on it is erased."""
        verdict = self.identity.verdict
        set_aside = verdict is Verdict.UNREGISTERED and self.handling is not Handling.ACCEPT
        return set_aside or verdict is Verdict.CONFLICT

    def is_twin_of(self, other: "Docking") -> bool:
        """Whether both state one serial that tells a recorder; two volumes in one bay are one recorder's."""
        serial = self.event.identity.serial
        return is_set(serial) and serial == other.event.identity.serial and self.event.bay != other.event.bay

    def _stated(self) -> Iterator[Stated]:
        device = self.event.identity
        yield Stated(Source.SERIAL, device.serial)
        yield Stated(Source.VOLUME_UUID, device.volume_uuid)
        yield Stated(Source.LABEL, device.volume_label)
        yield Stated(Source.ZFY_INFO, _product_number(self.unlocked))
        yield from (Stated(Source.CARD, one) for one in self.card_ids.settings)
        yield from (Stated(Source.NAME, one) for one in self.card_ids.names)

    def camera(self, officer: str = "") -> dict[str, JsonValue]:
        """The ``camera`` block: everything the recorder states of itself, by source."""
        identity, card = self.event.identity, self.card_ids
        number = self.identity.recorder
        named: JsonObject = {"recorder": number} if number else {}
        read: dict[str, list[JsonValue]] = {
            "card_ids": [*card.settings],
            "card_ids_unread": [*card.unread],
            "name_ids": [*card.names],
        }
        return {
            **named,
            "serial": identity.serial,
            "vendor_id": identity.vendor_id,
            "product_id": identity.product_id,
            "usb_interfaces": identity.interfaces,
            "label": identity.volume_label,
            "bay": self.event.bay,
            "family": self.family,
            "officer_as_stated": officer,
            **{name: values for name, values in read.items() if values},
        }

    def identified(self) -> JsonObject:
        """Body of ``device.identified``."""
        source: JsonObject = {"volume_uuid": self.event.identity.volume_uuid}
        return {"camera": self.camera(), **source, "identity": self.identity.block(self.handling)}

    def source(self, file: SourceFile, edition: int = 1) -> dict[str, JsonValue]:
        """The ``source`` block of a file."""
        return {"volume_uuid": self.event.identity.volume_uuid, **listed(file, edition)}

    def seen(self, files: list[dict[str, JsonValue]]) -> JsonObject:
        """Body of ``ingest.seen``."""
        return {"camera": self.camera(), "volume_uuid": self.event.identity.volume_uuid, "files": files}


def _product_number(unlocked: JsonObject) -> str:
    """The product number of ZFY_INFO, at most 8 bytes there; empty where nobody unlocked it or it gave no answer."""
    stated = unlocked.get("as_stated")
    return str(stated.get("serial", "")) if isinstance(stated, Mapping) else ""


def docked_body(docking: Docking, volume: MountedVolume) -> JsonObject:
    """Body of ``device.docked``."""
    identity = docking.event.identity
    described: JsonObject = {
        "filesystem": volume.filesystem,
        "driver": volume.driver,
        "flags": list(volume.flags),
        "label": identity.volume_label,
        "uuid": identity.volume_uuid,
        "node": volume.node,
        "read_only_device": "yes" if volume.device_read_only else "no",
        "identity_shared": "yes" if docking.shares_key else "no",
        "dirty": volume.dirty,
        **({"named_by": "boot-sector"} if docking.event.unnamed else {}),
        **({"free_bytes": shutil.disk_usage(volume.root).free} if isinstance(volume.root, Path) else {}),
        **({"not_mounted": printable(volume.refusal[:MAX_REFUSAL])} if volume.refusal else {}),
    }
    return {
        **({"unlocked": docking.unlocked} if docking.unlocked else {}),
        "camera": docking.camera(),
        "identity": docking.identity.block(docking.handling),
        "volume": described,
        "bay": docking.event.bay,
        "clock": docking.clock.block(),
    }


def clock_set_body(docking: Docking, result: str, note: str) -> JsonObject:
    """Body of ``clock.set``; ``clock`` is as measured before anything changed it."""
    return {"camera": docking.camera(), "clock": docking.clock.block(), "result": result, "note": note}


def copied_body(  # noqa: PLR0913  # the facts of one copy
    docking: Docking, file: SourceFile, clip: Clip, result: CopyResult, officer: str, stated: Mapping[str, str]
) -> JsonObject:
    """Body of ``ingest.copied``."""
    beside: JsonObject = {"stated": stated} if stated else {}
    place = docking.recordings.get(file.path)
    placed: JsonObject = {"recording": place.block()} if place else {}
    return {
        **beside,
        **placed,
        **_whose(docking),
        "camera": docking.camera(officer),
        "object": {
            "id": clip.object_id,
            "name": clip.name,
            "size": result.size,
            "media_type": media_type(file.path),
            "digests": {"sha256": result.sha256, **({"sm3": result.sm3} if result.sm3 else {})},
        },
        "source": docking.source(file, clip.edition),
        "copy": {
            "start_ms": result.start_ms,
            "end_ms": result.end_ms,
            "reread_sha256": result.reread_sha256,
            "reread": result.reread,
        },
        "clock": docking.clock.block(),
        "docked_ms": docking.event.at_ms,
        "note": OTHER_CONTENT if clip.edition > 1 else "",
    }


def _whose(docking: Docking) -> JsonObject:
    """What an entry about one file says of its recorder; all of it where that is in doubt."""
    identity, handling = docking.identity, docking.handling
    if identity.verdict is Verdict.UNCHECKED:
        return {}
    is_doubtful = identity.verdict is Verdict.CONFLICT
    return {"identity": identity.block(handling) if is_doubtful else identity.brief(handling)}


OTHER_CONTENT: Final = "other content was sealed before under the same recorder, path, size and time"


def listed(file: SourceFile, edition: int = 1) -> dict[str, JsonValue]:
    """A file as it stands in a record: printable path, the exact bytes where they differ, size, time, edition."""
    return {
        **_path_fields(file),
        "size": file.size,
        "mtime_ms": file.mtime_ms,
        **({"edition": edition} if edition > 1 else {}),
    }


def recorded_path(file: SourceFile) -> bytes:
    """What the journal knows a path by: its bytes, or what stands in the record where they do not fit."""
    return file.path if _fits(file) else _short_path(file).encode()


def identity_of(file: SourceFile) -> tuple[bytes, int, int]:
    """What a file of a recorder is known by: path, size, modification time in ms."""
    return recorded_path(file), file.size, file.mtime_ms


def recordable(file: SourceFile) -> SourceFile:
    """The same file with numbers that a record can hold; one whose size is none of these is refused."""
    most_ns = MAX_INTEGER * _NANOS_PER_MS
    mtime_ns = max(-most_ns, min(file.mtime_ns, most_ns))
    if file.size <= MAX_INTEGER:
        return replace(file, mtime_ns=mtime_ns)
    return replace(file, size=MAX_INTEGER, mtime_ns=mtime_ns, refused=file.refused or UNRECORDABLE)


def batches(files: Iterable[dict[str, JsonValue]]) -> Iterator[list[dict[str, JsonValue]]]:
    """Lists that fit into one ``ingest.seen`` entry each."""
    batch: list[dict[str, JsonValue]] = []
    size = 0
    for file in files:
        more = len(canonical_bytes(file)) + 1
        if batch and (len(batch) == MAX_FILES or size + more > MAX_LIST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += more
    if batch:
        yield batch


def media_type(path: bytes) -> str:
    """Media type by the name's extension; a claim, the tools look inside later."""
    kind, _ = _types.guess_type(path.rpartition(b"/")[2].decode("ascii", "replace"))
    return kind or "application/octet-stream"


def _path_fields(file: SourceFile) -> dict[str, JsonValue]:
    if not _fits(file):
        return {"path": _short_path(file), "path_sha256": hashlib.sha256(file.path).hexdigest()}
    text = file.printable or "."
    exact = {} if text.encode() == file.path else {"path_b64": base64.b64encode(file.path).decode()}
    return {"path": text, **exact}


def _fits(file: SourceFile) -> bool:
    return len(file.path) <= MAX_PATH_BYTES


def _short_path(file: SourceFile) -> str:
    """Digest and end: two long paths that end alike are still two."""
    return f"sha256-{hashlib.sha256(file.path).hexdigest()}\N{HORIZONTAL ELLIPSIS}{file.printable[-PATH_END_CHARS:]}"

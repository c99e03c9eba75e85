"""The story of one docked recorder, and of a station that was killed in the middle of it.

    docked → list → announce (device.docked, ingest.seen) → each file: reserve → copy + re-read → rename → seal → done

What makes ``kill -9`` harmless is the order around each file:

1. journal ``copying`` with the object's id and name
2. copy, fsync, uncached re-read, compare
3. journal ``copied`` with the digest and the body of the entry to come
4. rename, fsync of the folder
5. log append, fsync; then journal ``sealed`` with its outbox row in one transaction

``recover`` takes each of these up again. Nothing here writes to a recorder.
"""

import base64
import errno
import hashlib
import mimetypes
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from custody.canonical import JsonObject, JsonValue, canonical_bytes, parse_object
from custody.layout import original_name, safe_extension
from station_agent.durable import fsync_dir, make_dirs
from station_agent.errors import CopyError, DeviceGoneError, MountError, StoppingError
from station_agent.journal import Clip, Journal
from station_agent.model import (
    ClockReading,
    CopyResult,
    MountedVolume,
    RecorderDocked,
    RecorderUndocked,
    SourceFile,
)
from station_agent.ports import Clock
from station_agent.seal import Fact, Seal
from station_agent.states import BayState, ClipState
from station_agent.status import Board

PART: Final = ".part"
"""Suffix of temporary names in the spool."""
MAX_FILES: Final = 200
MAX_LIST_BYTES: Final = 32_000
"""Bounds of one ``ingest.seen`` entry: an entry has at most 65,535 bytes."""
SPARE_BYTES: Final = 64 << 20
"""Space that stays free in the spool for journal, log and the file system itself."""
NO_SPACE_PAUSE_S: Final = 5.0
"""How long a recorder that does not fit waits before it is tried again."""
GONE_PATIENCE_S: Final = 1.0
"""How long a read error waits for udev to say that the recorder was pulled."""
QUIET_REFUSALS: Final = frozenset({"symlink", "device-node", "fifo", "socket"})
"""Entries that are no recordings: a warning on the screen. Other failures call the administrator."""
CLOCK_TOLERANCE_MS: Final = 60_000
"""A recorder clock further off than this is said on the screen."""
RECOVERED: Final = "the station was stopped between copy and entry; the copy was read in full again and is equal"
UNMEASURED: Final = ClockReading(None, None, "unmeasured")
_MAYBE_GONE: Final = frozenset({"read-error", "source-vanished", "source-changed", "not-a-file"})
"""What reading looks like when the recorder is pulled."""

_log = structlog.get_logger(__name__)
_types = mimetypes.MimeTypes()  # the built-in table alone: a record must not depend on this machine's /etc/mime.types


class Copier(Protocol):
    """What the pipeline needs from ``offload.Offloader``."""

    def copy(self, source: bytes | Path, temporary: Path, on_progress: Callable[[int, str], None]) -> CopyResult:
        """Copy with proof. Raises ``CopyError``, or whatever ``on_progress`` raises."""
        ...

    def publish(self, temporary: Path, final: Path) -> None:
        """Rename, durably. Raises ``CopyError``."""
        ...


class Claimed(Protocol):
    """What a file name claims."""

    @property
    def officer(self) -> str:
        """The officer as stated in the name, or an empty string."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """How a recorder is read: the steps that belong to detection, mounting and families."""

    mounted: Callable[[RecorderDocked], AbstractContextManager[MountedVolume]]
    list_files: Callable[[MountedVolume], Iterable[SourceFile]]
    family_of: Callable[[Iterable[SourceFile]], str]
    claims: Callable[[bytes], Claimed]
    measure_offset: Callable[[Iterable[SourceFile], int], ClockReading]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a docking ended."""

    found: int = 0
    new: int = 0
    sealed: int = 0
    refused: int = 0
    """Entries that are no recordings, such as symbolic links; never opened."""
    failed: int = 0
    open: int = 0
    """Files that are still to be copied: the recorder was pulled, the spool is full, or the station stops."""
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file is sealed and every other entry is recorded as refused."""
        return self.open == 0 and self.failed == 0


@dataclass(slots=True)
class _Docking:
    """A recorder in its bay, from announcement to removal."""

    event: RecorderDocked
    gone: threading.Event = field(default_factory=threading.Event)
    over: bool = False
    """``docked`` has returned."""
    complete: bool = False
    """Nothing of it was left to copy when ``docked`` returned."""
    family: str = "generic"
    clock: ClockReading = UNMEASURED
    root: Path = Path()
    no_space: bool = False
    failed: set[str] = field(default_factory=set)
    """Object ids that failed during this docking; the next docking tries them again."""

    @property
    def node(self) -> str:
        return self.event.node

    @property
    def key(self) -> str:
        return self.event.identity.key

    def camera(self, officer: str = "") -> dict[str, JsonValue]:
        identity = self.event.identity
        return {
            "serial": identity.serial,
            "vendor_id": identity.vendor_id,
            "product_id": identity.product_id,
            "label": identity.volume_label,
            "bay": self.event.bay,
            "family": self.family,
            "officer_as_stated": officer,
        }

    def volume(self, volume: MountedVolume) -> dict[str, JsonValue]:
        return {
            "filesystem": volume.filesystem,
            "driver": volume.driver,
            "flags": list(volume.flags),
            "label": self.event.identity.volume_label,
            "uuid": self.event.identity.volume_uuid,
            "node": volume.node,
            "read_only_device": "yes" if volume.device_read_only else "no",
        }

    def source(self, file: SourceFile) -> dict[str, JsonValue]:
        return {"volume_uuid": self.event.identity.volume_uuid, **listed(file)}


class Pipeline:
    """Everything between a docked recorder and its last sealed entry. Several recorders may be worked on at once.

    Raises ``JournalError`` and ``LogFilesError`` when our own memory fails, which stops the station; what is wrong with
    a recorder or a file becomes an entry and a word on the screen.
    """

    def __init__(  # noqa: PLR0913  # the rooms it connects
        self,
        clock: Clock,
        journal: Journal,
        seal: Seal,
        copier: Copier,
        reader: Reader,
        board: Board,
        spool: Path,
        stop: threading.Event,
        *,
        workers: int = 2,
        patient: bool = True,
    ) -> None:
        """``patient``: a full spool is waited for; otherwise the docking ends with its files open."""
        self._clock = clock
        self._journal = journal
        self._seal = seal
        self._copier = copier
        self._reader = reader
        self._board = board
        self._spool = spool
        self._stop = stop
        self._workers = workers
        self._patient = patient
        self._space = Space(spool)
        self._dockings: dict[str, _Docking] = {}
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Take up what a killed station left: call once, before anything is docked."""
        make_dirs(self._spool)
        for clip in self._journal.in_state(ClipState.COPIED):
            self._recover_copied(clip)
        for stale in self._spool.rglob(f"*{PART}"):
            stale.unlink()
        self._seal.checkpoint()

    def docked(self, event: RecorderDocked) -> Summary:
        """Read one recorder to the end."""
        docking = _Docking(event)
        with self._lock:
            self._dockings[event.node] = docking
        self._board.begin(event, kernel_event=event.bay > 0)
        try:
            with self._reader.mounted(event) as volume:
                summary = self._ingest(docking, volume)
        except MountError as error:
            summary = self._not_mounted(docking, error)
        except (DeviceGoneError, StoppingError) as error:
            summary = Summary(open=1, reason=str(error))
        self._finish(docking, summary)
        return summary

    def undocked(self, event: RecorderUndocked) -> None:
        """The node went away: whoever reads it notices, and a recorder that was done leaves its bay free."""
        with self._lock:
            docking = self._dockings.pop(event.node, None)
            if docking is None:
                return
            docking.gone.set()
            over = docking.over
        if over:
            self._say_undocked(docking)

    def take(
        self, event: RecorderDocked, volume: MountedVolume, files: Sequence[SourceFile], stated: Mapping[str, str]
    ) -> Summary:
        """Files that were handed in without a recorder, with what was stated beside them, such as a drop folder's."""
        docking = _Docking(event, root=volume.root, family="dropfolder")
        self._announce(docking, files)
        return self._copy_all(docking, files, stated)

    def _ingest(self, docking: _Docking, volume: MountedVolume) -> Summary:
        files = list(self._reader.list_files(volume))
        # A recorder pulled during the listing shows unreadable folders; those are no facts about its files.
        self._check(docking)
        docking.root = volume.root
        docking.family = self._reader.family_of(files)
        docking.clock = self._reader.measure_offset(files, docking.event.at_ms)
        self._seal.append("device.docked", _docked_body(docking, volume))
        self._announce(docking, files)
        self._fail_vanished(docking, files)
        return self._copy_all(docking, files, {})

    def _announce(self, docking: _Docking, files: Sequence[SourceFile]) -> None:
        """``ingest.seen`` for each file the log does not know, before any copy."""
        known = self._journal.clips(docking.key)
        new = [listed(file) for file in files if identity_of(file) not in known]
        head: dict[str, JsonValue] = {
            "camera": docking.camera(),
            "volume_uuid": docking.event.identity.volume_uuid,
        }
        facts: list[Fact] = [("ingest.seen", {**head, "files": batch}) for batch in batches(new)]
        if facts:
            self._seal.append_all(facts)

    def _fail_vanished(self, docking: _Docking, files: Sequence[SourceFile]) -> None:
        """Files that were seen before, never copied, and are not on the recorder any more."""
        present = {identity_of(file) for file in files}
        for identity, clip in self._journal.clips(docking.key).items():
            if clip.state in (ClipState.SEEN, ClipState.COPYING) and identity not in present:
                self._fail(docking, clip, "source-vanished")

    def _copy_all(self, docking: _Docking, files: Sequence[SourceFile], stated: Mapping[str, str]) -> Summary:
        """Copy what is not sealed yet; again and again while the spool is full and the station is patient."""
        self._refuse(docking, files)
        wanted = self._wanted(docking, files)
        self._board.plan(docking.node, len(wanted), sum(clip.file.size for clip in wanted))
        if wanted:
            self._board.show(docking.node, BayState.READING)
        self._copy_once(docking, wanted, stated)
        while docking.no_space and self._patient and not docking.gone.is_set():
            self._board.show(docking.node, BayState.NO_SPACE)
            if self._stop.wait(NO_SPACE_PAUSE_S):
                break
            self._copy_once(docking, self._wanted(docking, files), stated)
        return self._summary(docking, files, len(wanted))

    def _refuse(self, docking: _Docking, files: Sequence[SourceFile]) -> None:
        """What will not be opened is said once; the same refusal at the next docking is no news."""
        known = self._journal.clips(docking.key)
        for file in files:
            clip = known[identity_of(file)]
            if file.refused and clip.state is not ClipState.SEALED and clip.reason != file.refused:
                self._fail(docking, clip, file.refused)

    def _wanted(self, docking: _Docking, files: Sequence[SourceFile]) -> list[Clip]:
        known = self._journal.clips(docking.key)
        clips = [known[identity_of(file)] for file in files if not file.refused]
        return [c for c in clips if c.state is not ClipState.SEALED and c.object_id not in docking.failed]

    def _copy_once(self, docking: _Docking, clips: Sequence[Clip], stated: Mapping[str, str]) -> None:
        docking.no_space = False
        with ThreadPoolExecutor(self._workers, thread_name_prefix=f"bay{docking.event.bay}") as pool:
            for running in [pool.submit(self._copy_one, docking, clip, stated) for clip in clips]:
                running.result()

    def _copy_one(self, docking: _Docking, clip: Clip, stated: Mapping[str, str]) -> None:
        """One file, or the reason why not."""
        if docking.gone.is_set() or self._stop.is_set():
            return
        try:
            with self._space.reserved(clip.file.size):
                self._offload(docking, clip, stated)
        except CopyError as error:
            self._judge(docking, self._put_down(docking, clip), error)
        except DeviceGoneError:
            self._fail(docking, self._put_down(docking, clip), "pulled-early")
        except StoppingError:
            self._put_down(docking, clip)

    def _offload(self, docking: _Docking, clip: Clip, stated: Mapping[str, str]) -> None:
        """Steps 1 to 5 of this module's head."""
        extension = safe_extension(clip.file.path.rpartition(b"/")[2].decode("ascii", "replace"))
        clip = self._journal.reserve(clip, original_name(clip.object_id, docking.event.at_ms, extension))
        final, temporary = self._places(clip)
        _make_dirs(final.parent)
        result = self._copier.copy(clip.file.under(docking.root), temporary, self._watch(docking, clip))
        if result.size != clip.file.size:
            raise CopyError("source-changed", f"listed with {clip.file.size} bytes, read {result.size}")
        officer = stated.get("officer") or self._reader.claims(clip.file.path).officer
        body = _copied_body(docking, clip, result, officer, stated)
        clip = self._journal.copied(clip, result.sha256, body)
        self._copier.publish(temporary, final)
        self._seal.append("ingest.copied", body)
        self._board.sealed(docking.node, clip.object_id, clip.file.size)

    def _watch(self, docking: _Docking, clip: Clip) -> Callable[[int, str], None]:
        """Shows the progress of one copy, and ends it when the recorder is gone or the station stops."""

        def on_progress(done: int, phase: str) -> None:
            self._check(docking)
            self._board.progress(docking.node, clip.object_id, done, phase)

        return on_progress

    def _check(self, docking: _Docking) -> None:
        if self._stop.is_set():
            raise StoppingError("the station stops")
        if docking.gone.is_set():
            raise DeviceGoneError("pulled-early")

    def _judge(self, docking: _Docking, clip: Clip, error: CopyError) -> None:
        """What a failed copy means: no room yet, a recorder pulled early, or a fact about this file."""
        _log.warning("copy-failed", path=clip.file.printable, reason=error.reason, detail=error.detail)
        if error.reason == "no-space":
            docking.no_space = True
        elif error.reason in _MAYBE_GONE and self._is_gone(docking):
            self._fail(docking, clip, "pulled-early")
        else:
            self._fail(docking, clip, error.reason)

    def _is_gone(self, docking: _Docking) -> bool:
        """Whether the recorder is not there any more; udev may need a moment to say so."""
        if docking.event.bay and docking.gone.wait(GONE_PATIENCE_S):
            return True
        if not Path(docking.node).exists():
            docking.gone.set()
        return docking.gone.is_set()

    def _put_down(self, docking: _Docking, clip: Clip) -> Clip:
        """Leave no temporary behind; returns the clip as the journal has it now."""
        clip = self._journal.clip(clip.object_id)
        if clip.name:
            for path in self._places(clip):
                path.unlink(missing_ok=True)
        self._board.put_down(docking.node, clip.object_id)
        return clip

    def _fail(self, docking: _Docking, clip: Clip, reason: str) -> None:
        docking.failed.add(clip.object_id)
        source = docking.source(clip.file)
        self._seal.append("ingest.failed", {"camera": docking.camera(), "source": source, "reason": reason})

    def _summary(self, docking: _Docking, files: Sequence[SourceFile], new: int) -> Summary:
        known = self._journal.clips(docking.key)
        clips = [known[identity_of(file)] for file in files]
        failed = [clip for clip in clips if clip.state is ClipState.FAILED]
        sealed = sum(clip.state is ClipState.SEALED for clip in clips)
        return Summary(
            found=len(clips),
            new=new,
            sealed=sealed,
            refused=sum(clip.reason in QUIET_REFUSALS for clip in failed),
            failed=sum(clip.reason not in QUIET_REFUSALS for clip in failed),
            open=len(clips) - sealed - len(failed),
            reason="no-space" if docking.no_space else "",
        )

    def _not_mounted(self, docking: _Docking, error: MountError) -> Summary:
        if self._is_gone(docking):
            return Summary(open=1, reason="pulled-early")
        _log.error("not-mounted", node=docking.node, reason=str(error))
        source = {"volume_uuid": docking.event.identity.volume_uuid, "path": "."}
        body: JsonObject = {
            "camera": docking.camera(),
            "source": source,
            "reason": "not-mounted",
            "note": str(error)[:500],
        }
        self._seal.append("ingest.failed", body)
        return Summary(failed=1, reason="not-mounted")

    def _finish(self, docking: _Docking, summary: Summary) -> None:
        """Say how it ended, in the log first and on the screen second."""
        with self._lock:
            docking.over = True
            docking.complete = summary.open == 0 and not (docking.gone.is_set() and summary.failed)
            gone = docking.gone.is_set()
        if gone:
            self._say_undocked(docking)
        elif docking.complete:
            self._seal.checkpoint()
            self._board.show(docking.node, *final_state(summary, docking.clock))
        else:
            self._seal.checkpoint()
            if docking.no_space:
                self._board.show(docking.node, BayState.NO_SPACE)
        _log.info("docking-over", bay=docking.event.bay, found=summary.found, sealed=summary.sealed, open=summary.open)

    def _say_undocked(self, docking: _Docking) -> None:
        reason = "removed" if docking.complete else "pulled-early"
        body: JsonObject = {
            "camera": docking.camera(),
            "volume_uuid": docking.event.identity.volume_uuid,
            "reason": reason,
        }
        self._seal.append("device.undocked", body)
        self._seal.checkpoint()
        if docking.complete:
            self._board.end(docking.node)
        else:
            self._board.show(docking.node, BayState.PULLED_EARLY)

    def _recover_copied(self, clip: Clip) -> None:
        """Read the copy in full once more; equal → seal it and say so, else copy again under the same id."""
        final, temporary = self._places(clip)
        found = next((path for path in (final, temporary) if _digest(path) == clip.sha256), None)
        if found is None:
            final.unlink(missing_ok=True)
            self._journal.discard(clip)
            return
        if found == temporary:
            self._copier.publish(temporary, final)
        fsync_dir(final.parent)
        self._seal.append("ingest.copied", {**parse_object(clip.body), "note": RECOVERED})

    def _places(self, clip: Clip) -> tuple[Path, Path]:
        final = self._spool / clip.name
        return final, final.with_name(final.name + PART)


class Space:
    """Room in the spool, promised to copies before they begin."""

    def __init__(
        self, spool: Path, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    ) -> None:
        self._spool = spool
        self._free_bytes = free_bytes
        self._promised = 0
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes for as long as the context lasts. Raises ``CopyError`` ``no-space``."""
        with self._lock:
            free = self._free_bytes(self._spool) - self._promised - SPARE_BYTES
            if size > free:
                raise CopyError("no-space", f"{size} bytes are needed, {max(0, free)} are free in the spool")
            self._promised += size
        try:
            yield
        finally:
            with self._lock:
                self._promised -= size


def listed(file: SourceFile) -> dict[str, JsonValue]:
    """A file as it stands in a record: printable path, the exact bytes where they differ, size, time."""
    printable = file.printable or "."
    exact: dict[str, JsonValue] = {}
    if printable.encode() != file.path:
        exact["path_b64"] = base64.b64encode(file.path).decode()
    return {"path": printable, **exact, "size": file.size, "mtime_ms": file.mtime_ms}


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


def final_state(summary: Summary, clock: ClockReading) -> tuple[BayState, list[str]]:
    """The word for a recorder that was read to the end, and what to say beside it."""
    warnings = _warnings(summary, clock)
    if summary.failed:
        return BayState.ERROR, warnings
    if warnings:
        return BayState.SAFE_WITH_WARNINGS, warnings
    return (BayState.WAITING_UPLOAD if summary.new else BayState.NO_NEW_DATA), warnings


def identity_of(file: SourceFile) -> tuple[bytes, int, int]:
    """What a file of a recorder is known by: path, size, modification time in ms."""
    return file.path, file.size, file.mtime_ms


def media_type(path: bytes) -> str:
    """Media type by the name's extension; a claim, the tools look inside later."""
    kind, _ = _types.guess_type(path.decode("ascii", "replace"))
    return kind or "application/octet-stream"


def _warnings(summary: Summary, clock: ClockReading) -> list[str]:
    found = []
    if clock.offset_ms is not None and abs(clock.offset_ms) > CLOCK_TOLERANCE_MS:
        found.append(f"clock-offset:{clock.offset_ms}")
    if summary.refused:
        found.append(f"refused:{summary.refused}")
    if summary.failed:
        found.append(f"failed:{summary.failed}")
    return found


def _docked_body(docking: _Docking, volume: MountedVolume) -> JsonObject:
    return {
        "camera": docking.camera(),
        "volume": docking.volume(volume),
        "bay": docking.event.bay,
        "clock": docking.clock.block(),
    }


def _copied_body(
    docking: _Docking, clip: Clip, result: CopyResult, officer: str, stated: Mapping[str, str]
) -> JsonObject:
    beside: JsonObject = {"stated": stated} if stated else {}
    return {
        **beside,
        "camera": docking.camera(officer),
        "object": {
            "id": clip.object_id,
            "name": clip.name,
            "size": result.size,
            "media_type": media_type(clip.file.path),
            "digests": {"sha256": result.sha256},
        },
        "source": docking.source(clip.file),
        "copy": {
            "start_ms": result.start_ms,
            "end_ms": result.end_ms,
            "reread_sha256": result.reread_sha256,
            "reread": result.reread,
        },
        "clock": docking.clock.block(),
        "docked_ms": docking.event.at_ms,
        "note": "",
    }


def _digest(path: Path) -> str:
    """SHA-256 of a file of our own, or an empty string when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_dirs(folder: Path) -> None:
    try:
        make_dirs(folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise CopyError("no-space" if full else "write-error", error.strerror or "") from error

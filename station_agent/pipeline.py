"""The story of one docked recorder, and of a station that was killed in the middle of it.

    announced → its turn → mounted → listed → said (device.docked, ingest.seen)
              → each new file: reserve → copy + re-read → rename → seal; each known one: compare → done

What makes ``kill -9`` harmless is the order around each file:

1. journal ``copying`` with the object's id and name
2. copy, fsync, uncached re-read, compare
3. journal ``copied`` with the digest and the body of the entry to come
4. rename, fsync of the folder
5. log append, fsync; then journal ``sealed`` with its outbox row in one transaction

``recover`` takes each of these up again. Nothing here writes to a recorder.

A name, a size and a time do not make a file: what was sealed under them before is read again and compared, unless the
station is told to trust names and the recorder can be told from all others.
"""

import errno
import hashlib
import itertools
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from custody.canonical import JsonObject, parse_object
from custody.errors import ContractError
from custody.layout import original_name, safe_extension
from station_agent.docking import (
    UNRECORDABLE,
    Docking,
    batches,
    clock_set_body,
    copied_body,
    docked_body,
    identity_of,
    listed,
    recordable,
)
from station_agent.durable import fsync_dir, make_dirs
from station_agent.errors import CopyError, DeviceGoneError, MountError, StoppingError, UnlockError
from station_agent.journal import Clip, Journal
from station_agent.model import (
    Card,
    ClockReading,
    CopyResult,
    MountedVolume,
    RecorderDocked,
    RecorderUndocked,
    SourceFile,
    printable,
)
from station_agent.ports import Clock
from station_agent.recorders import Place
from station_agent.seal import Fact, Seal
from station_agent.states import BayState, ClipState
from station_agent.status import Board
from station_agent.turns import Turns

PART: Final = ".part"
"""Suffix of temporary names in the spool."""
SPARE_BYTES: Final = 64 << 20
"""Space that stays free in the spool for journal, log and the file system itself."""
NO_SPACE_PAUSE_S: Final = 5.0
"""How long a recorder that does not fit waits before it is tried again."""
FORMAT_PATIENCE_S: Final = 2.0
"""How long a medium without file system may take to show one, or its partitions: the kernel tells of it in steps."""
GONE_PATIENCE_S: Final = 1.0
"""How long a read error waits for udev to say that the recorder was pulled."""
MAX_NOTE: Final = 500
"""Characters kept of an error's text."""
QUIET_REFUSALS: Final = frozenset({"symlink", "device-node", "fifo", "socket"})
"""Entries that are no recordings: a warning on the screen. Other failures call the administrator."""
CLOCK_TOLERANCE_MS: Final = 60_000
"""A recorder clock further off than this is said on the screen."""
RECOVERED: Final = "the station was stopped between copy and entry; the copy was read in full again and is equal"
_MAYBE_GONE: Final = frozenset({"read-error", "source-vanished", "source-changed", "not-a-file"})
"""What reading looks like when the recorder is pulled."""
COMPARED: Final = "a copy of this path, size and time was sealed before; whether it is the same could not be read"

_log = structlog.get_logger(__name__)


class Copier(Protocol):
    """What the pipeline needs from ``offload.Offloader``."""

    def copy(self, root: Path, path: bytes, temporary: Path, on_progress: Callable[[int, str], None]) -> CopyResult:
        """Copy with proof. Raises ``CopyError``, or whatever ``on_progress`` raises."""
        ...

    def digest(self, root: Path, path: bytes, on_progress: Callable[[int, str], None]) -> str:
        """SHA-256 of a file of the recorder. Raises as ``copy``."""
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


class Unlocking(Protocol):
    """Makes disks of recorders that wait for it (``unlock.unlocker``). Methods raise ``UnlockError``."""

    def unlock(self, event: RecorderDocked, gone: threading.Event) -> None:
        """Have it come back as a disk; let be what is no such recorder. ``gone``: its node went away."""
        ...

    def returned(self, event: RecorderDocked) -> JsonObject:
        """What it said before it came back; empty for one that was not unlocked. Never raises."""
        ...

    def set_clock(self, event: RecorderDocked) -> bool:
        """Set its clock by ours; False where that is not wanted."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """How a recorder is read: the steps that belong to detection, mounting and families."""

    mounted: Callable[[RecorderDocked], AbstractContextManager[MountedVolume]]
    list_files: Callable[[MountedVolume], Iterable[SourceFile]]
    family_of: Callable[[Iterable[SourceFile], str], str]
    """By the files and the volume's label."""
    claims: Callable[[bytes, Card], Claimed]
    recordings: Callable[[Iterable[SourceFile], Card], Mapping[bytes, Place]]
    measure_offset: Callable[[Iterable[SourceFile], int], ClockReading]
    still_unformatted: Callable[[RecorderDocked], bool]
    unlocker: Unlocking | None = None


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
    waiting: int = 0
    """Sealed files of this recorder, of whatever docking, whose upload or receipt is outstanding."""
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file is sealed and every other entry is recorded as refused."""
        return self.open == 0 and self.failed == 0


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
        max_bays: int = 16,
        patient: bool = True,
        trust_names: bool = False,
        settle: Callable[[Docking, Sequence[SourceFile]], object] = lambda _docking, _files: None,
    ) -> None:
        """``max_bays`` recorders are read at once; further ones wait.

        ``patient``: a full spool is waited for; otherwise the docking ends with its files open.
        ``trust_names``: a file with the path, size and time of a sealed one is taken for it unread, on recorders that
        can be told apart.
        ``settle`` tells what an interrupted erasure took from a recorder, given what is listed on it now.
        """
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
        self._trust_names = trust_names
        self._settle = settle
        self._space = Space(spool)
        self._turns = Turns(max_bays)
        self._numbers = itertools.count(1)
        self._dockings: dict[str, Docking] = {}
        """Device node → what is docked there now."""
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
        return self.read(self.announced(event))

    def announced(self, event: RecorderDocked) -> Docking:
        """A recorder was put in: its bay shows it from now on, and its removal is noticed, before its turn comes."""
        docking = self._docking(event)
        if self._reader.unlocker:
            docking.unlocked = self._reader.unlocker.returned(event)
        with self._lock:
            twins = [other for other in self._dockings.values() if other.key == docking.key]
            for one in [docking, *twins] if twins else []:
                one.shares_key = True
            self._dockings[event.node] = docking
        self._board.begin(docking.id, docking.event, kernel_event=event.bay > 0)
        return docking

    def read(self, docking: Docking) -> Summary:
        """Read an announced recorder to the end, as soon as it is its turn."""
        try:
            summary = self._read_volume(docking) if docking.event.filesystem else self._read_nothing(docking)
        except MountError as error:
            summary = self._not_readable(docking, "not-mounted", str(error))
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
        self._board.leave(docking.id)
        if over:
            self._say_undocked(docking)

    def resting(self) -> list[Docking]:
        """Recorders that were read to the end and are still in their bays."""
        with self._lock:
            return [one for one in self._dockings.values() if one.over and one.complete and not one.unsaid]

    def take(
        self, event: RecorderDocked, volume: MountedVolume, files: Sequence[SourceFile], stated: Mapping[str, str]
    ) -> Summary:
        """Files that were handed in without a recorder, with what was stated beside them, such as a drop folder's."""
        docking = self._docking(event)
        docking.root, docking.family = volume.root, "dropfolder"
        files = [recordable(file) for file in files]
        self._announce(docking, files)
        return self._copy_all(docking, files, stated)

    def _docking(self, event: RecorderDocked) -> Docking:
        event = replace(event, identity=event.identity.recordable())
        return Docking(event, f"{event.node}#{next(self._numbers)}")

    def _read_volume(self, docking: Docking) -> Summary:
        with self._turns.turn(docking.key, lambda: self._check(docking)):
            with self._reader.mounted(docking.event) as volume:
                summary = self._ingest(docking, volume)
            if summary.complete:
                self._set_clock(docking)
            return summary

    def _set_clock(self, docking: Docking) -> None:
        """Only once all of it is sealed, and only where it was measured how far the clock was off."""
        unlocker = self._reader.unlocker if docking.unlocked and docking.clock.offset_ms is not None else None
        if unlocker is None:
            return
        try:
            result, note = ("accepted", "") if unlocker.set_clock(docking.event) else ("", "")
        except UnlockError as error:
            result, note = "failed", printable(str(error)[:MAX_NOTE])
        if result:
            self._seal.append("clock.set", clock_set_body(docking, result, note))

    def _read_nothing(self, docking: Docking) -> Summary:
        """A medium without file system: a fact for the log, unless the kernel was only not done telling of it."""
        if docking.event.locked:
            return self._unlock(docking)
        gone = docking.gone.wait(FORMAT_PATIENCE_S)
        self._check_stop()
        docking.unsaid = gone or not self._reader.still_unformatted(docking.event)
        if docking.unsaid:
            return Summary()
        return self._not_readable(docking, "no-filesystem", "no file system is found on it")

    def _unlock(self, docking: Docking) -> Summary:
        """What becomes a disk is told of when it comes back as one; a reader without a card is nothing to tell of."""
        try:
            if self._reader.unlocker:
                self._reader.unlocker.unlock(docking.event, docking.gone)
        except UnlockError as error:
            _log.error("not-unlocked", node=docking.event.node, reason=str(error))
            return self._not_readable(docking, "locked", str(error))
        docking.unsaid = True
        return Summary()

    def _ingest(self, docking: Docking, volume: MountedVolume) -> Summary:
        files = self._listed(volume)
        # A recorder pulled during the listing shows unreadable folders; those are no facts about its files.
        self._check(docking)
        docking.root = volume.root
        docking.family = self._reader.family_of(files, docking.event.identity.volume_label)
        docking.recordings = self._reader.recordings(files, docking.card)
        docking.clock = self._reader.measure_offset(files, docking.event.at_ms)
        self._seal.append("device.docked", docked_body(docking, volume))
        self._settle(docking, files)
        self._announce(docking, files)
        self._fail_vanished(docking, files)
        return self._copy_all(docking, files, {})

    def _listed(self, volume: MountedVolume) -> list[SourceFile]:
        try:
            return [recordable(file) for file in self._reader.list_files(volume)]
        except OSError as error:
            raise MountError(f"{volume.node} was mounted and cannot be listed: {error.strerror}") from error

    def _announce(self, docking: Docking, files: Sequence[SourceFile]) -> None:
        """``ingest.seen`` for each file the log does not know, before any copy."""
        known = self._journal.clips(docking.key)
        new = [listed(file) for file in files if identity_of(file) not in known]
        facts: list[Fact] = [("ingest.seen", docking.seen(batch)) for batch in batches(new)]
        if facts:
            self._seal.append_all(facts)

    def _fail_vanished(self, docking: Docking, files: Sequence[SourceFile]) -> None:
        """Files that were seen before, never copied, and are not on the recorder any more.

        Said only of a recorder that is surely the one that was read then; of another, nothing has vanished.
        """
        if not docking.is_known:
            return
        present = {identity_of(file) for file in files}
        for identity, clip in self._journal.clips(docking.key).items():
            if clip.state in (ClipState.SEEN, ClipState.COPYING) and identity not in present:
                self._fail(docking, clip.file, clip, "source-vanished")

    def _copy_all(self, docking: Docking, files: Sequence[SourceFile], stated: Mapping[str, str]) -> Summary:
        """Copy and compare; again and again while the spool is full and the station is patient."""
        self._refuse(docking, files)
        wanted = self._wanted(docking, files)
        self._board.plan(docking.id, len(wanted), sum(file.size for file, _ in wanted))
        if wanted:
            comparing = all(clip.state is ClipState.SEALED for _, clip in wanted)
            self._board.show(docking.id, BayState.VERIFYING if comparing else BayState.READING)
        self._copy_once(docking, wanted, stated)
        while docking.no_space and self._patient and not docking.gone.is_set():
            self._board.show(docking.id, BayState.NO_SPACE)
            if self._stop.wait(NO_SPACE_PAUSE_S):
                break
            self._copy_once(docking, self._wanted(docking, files), stated)
        return self._summary(docking, files)

    def _refuse(self, docking: Docking, files: Sequence[SourceFile]) -> None:
        """What will not be opened is said once; the same refusal at the next docking is no news."""
        for file, clip in self._clips(docking, files):
            if file.refused and clip.state is not ClipState.SEALED and clip.reason != file.refused:
                self._fail(docking, file, clip, file.refused)

    def _clips(self, docking: Docking, files: Sequence[SourceFile]) -> list[tuple[SourceFile, Clip]]:
        """Each file as it was found, with what the journal remembers of it."""
        known = self._journal.clips(docking.key)
        return [(file, known[identity_of(file)]) for file in files]

    def _wanted(self, docking: Docking, files: Sequence[SourceFile]) -> list[tuple[SourceFile, Clip]]:
        """What is still to be copied or compared."""
        over = docking.copied | docking.same | docking.failed
        openable = [(file, clip) for file, clip in self._clips(docking, files) if not file.refused]
        return [(f, c) for f, c in openable if c.object_id not in over and not self._is_trusted(docking, c)]

    def _is_trusted(self, docking: Docking, clip: Clip) -> bool:
        return clip.state is ClipState.SEALED and self._trust_names and docking.is_known

    def _copy_once(
        self, docking: Docking, wanted: Sequence[tuple[SourceFile, Clip]], stated: Mapping[str, str]
    ) -> None:
        docking.no_space = False
        with ThreadPoolExecutor(self._workers, thread_name_prefix=f"bay{docking.event.bay}") as pool:
            for running in [pool.submit(self._copy_one, docking, file, clip, stated) for file, clip in wanted]:
                running.result()

    def _copy_one(self, docking: Docking, file: SourceFile, clip: Clip, stated: Mapping[str, str]) -> None:
        """One file, or the reason why not."""
        if docking.gone.is_set() or self._stop.is_set():
            return
        try:
            if clip.state is ClipState.SEALED:
                clip = self._compared(docking, file, clip)
            if clip.state is not ClipState.SEALED:
                with self._space.reserved(file.size):
                    self._offload(docking, file, clip, stated)
        except CopyError as error:
            self._judge(docking, file, self._put_down(docking, clip), error)
        except ContractError as error:
            _log.warning("unrecordable", path=file.printable, detail=str(error))
            self._fail(docking, file, self._put_down(docking, clip), UNRECORDABLE)
        except DeviceGoneError:
            self._pulled(docking, file, self._put_down(docking, clip))
        except StoppingError:
            self._put_down(docking, clip)

    def _compared(self, docking: Docking, file: SourceFile, clip: Clip) -> Clip:
        """The clip of this content: the sealed one, or a new one for content that was never sealed under this name."""
        digest = self._copier.digest(docking.root, file.path, self._watch(docking, clip))
        if digest in self._journal.digests(clip):
            docking.same.add(clip.object_id)
            self._board.sealed(docking.id, clip.object_id, file.size)
            return clip
        self._board.put_down(docking.id, clip.object_id)
        _log.warning("other-content", path=file.printable, sealed=clip.object_id)
        self._seal.append("ingest.seen", docking.seen([listed(file, clip.edition + 1)]))
        return self._journal.clips(docking.key)[identity_of(file)]

    def _offload(self, docking: Docking, file: SourceFile, clip: Clip, stated: Mapping[str, str]) -> None:
        """Steps 1 to 5 of this module's head."""
        extension = safe_extension(file.path.rpartition(b"/")[2].decode("ascii", "replace"))
        clip = self._journal.reserve(clip, original_name(clip.object_id, docking.event.at_ms, extension))
        final, temporary = self._places(clip)
        _make_dirs(final.parent)
        result = self._copier.copy(docking.root, file.path, temporary, self._watch(docking, clip))
        if result.size != file.size:
            raise CopyError("source-changed", f"listed with {file.size} bytes, read {result.size}")
        officer = stated.get("officer") or self._reader.claims(file.path, docking.card).officer
        body = copied_body(docking, file, clip, result, officer, stated)
        self._seal.require_fit("ingest.copied", _recovered(body))  # the longer of the two bodies it may get
        clip = self._journal.copied(clip, result.sha256, body)
        self._copier.publish(temporary, final)
        self._seal.append("ingest.copied", body)
        docking.copied.add(clip.object_id)
        self._board.sealed(docking.id, clip.object_id, file.size)

    def _watch(self, docking: Docking, clip: Clip) -> Callable[[int, str], None]:
        """Shows the progress of one copy, and ends it when the recorder is gone or the station stops."""

        def on_progress(done: int, phase: str) -> None:
            self._check(docking)
            self._board.progress(docking.id, clip.object_id, done, phase)

        return on_progress

    def _check(self, docking: Docking) -> None:
        self._check_stop()
        if docking.gone.is_set():
            raise DeviceGoneError("pulled-early")

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppingError("the station stops")

    def _judge(self, docking: Docking, file: SourceFile, clip: Clip, error: CopyError) -> None:
        """What a failed copy means: no room yet, a recorder pulled early, or a fact about this file."""
        _log.warning("copy-failed", path=file.printable, reason=error.reason, detail=error.detail)
        if error.reason == "no-space":
            docking.no_space = True
        elif error.reason in _MAYBE_GONE and self._is_gone(docking):
            self._pulled(docking, file, clip)
        else:
            self._fail(docking, file, clip, error.reason)

    def _pulled(self, docking: Docking, file: SourceFile, clip: Clip) -> None:
        """A file that is sealed is none the worse for it; whether the recorder's is still the same stays open."""
        if clip.state is not ClipState.SEALED:
            self._fail(docking, file, clip, "pulled-early")

    def _is_gone(self, docking: Docking) -> bool:
        """Whether the recorder is not there any more; udev may need a moment to say so."""
        if docking.event.bay and docking.gone.wait(GONE_PATIENCE_S):
            return True
        if not Path(docking.event.node).exists():
            docking.gone.set()
        return docking.gone.is_set()

    def _put_down(self, docking: Docking, clip: Clip) -> Clip:
        """Leave no unproved copy behind; returns the clip as the journal has it now, ready to be copied again."""
        clip = self._journal.clip(clip.object_id)
        self._board.put_down(docking.id, clip.object_id)
        if clip.state is ClipState.SEALED or not clip.name:
            return clip
        if clip.state is ClipState.COPIED:
            self._journal.discard(clip)
        for path in self._places(clip):
            path.unlink(missing_ok=True)
        return self._journal.clip(clip.object_id)

    def _fail(self, docking: Docking, file: SourceFile, clip: Clip, reason: str) -> None:
        docking.failed.add(clip.object_id)
        note: JsonObject = {"note": COMPARED} if clip.state is ClipState.SEALED else {}
        source = docking.source(file, clip.edition)
        self._seal.append("ingest.failed", {"camera": docking.camera(), "source": source, "reason": reason, **note})

    def _summary(self, docking: Docking, files: Sequence[SourceFile]) -> Summary:
        clips = [clip for _, clip in self._clips(docking, files)]
        unread = {clip.object_id for _, clip in self._wanted(docking, files)}
        failed = [c for c in clips if c.object_id not in unread and _has_failed(docking, c)]
        return Summary(
            found=len(clips),
            new=len(docking.copied),
            sealed=sum(clip.state is ClipState.SEALED for clip in clips),
            refused=sum(clip.reason in QUIET_REFUSALS for clip in failed),
            failed=sum(clip.reason not in QUIET_REFUSALS for clip in failed),
            open=len(unread),
            waiting=self._journal.open_for(docking.key),
            reason="no-space" if docking.no_space else "",
        )

    def _not_readable(self, docking: Docking, reason: str, note: str) -> Summary:
        """Nothing of the volume can be read; a fact for the log, unless the recorder is simply gone."""
        if self._is_gone(docking):
            return Summary(open=1, reason="pulled-early")
        _log.error(reason, node=docking.event.node, note=note)
        body: JsonObject = {
            "camera": docking.camera(),
            "source": {"volume_uuid": docking.event.identity.volume_uuid, "path": "."},
            "reason": reason,
            "note": printable(note[:MAX_NOTE]),
        }
        self._seal.append("ingest.failed", body)
        return Summary(failed=1, reason=reason)

    def _finish(self, docking: Docking, summary: Summary) -> None:
        """Say how it ended, in the log first and on the screen second."""
        with self._lock:
            docking.over = True
            docking.complete = summary.open == 0 and not (docking.gone.is_set() and summary.failed)
            gone = docking.gone.is_set()
        if docking.unsaid:
            self._board.end(docking.id)
        elif gone:
            self._say_undocked(docking)
        elif docking.complete:
            self._seal.checkpoint()
            self._board.show(docking.id, *final_state(summary, docking.clock))
        else:
            self._seal.checkpoint()
            if docking.no_space:
                self._board.show(docking.id, BayState.NO_SPACE)
        _log.info("docking-over", bay=docking.event.bay, found=summary.found, sealed=summary.sealed, open=summary.open)

    def _say_undocked(self, docking: Docking) -> None:
        if docking.unsaid:
            return
        body: JsonObject = {
            "camera": docking.camera(),
            "volume_uuid": docking.event.identity.volume_uuid,
            "reason": "removed" if docking.complete else "pulled-early",
        }
        self._seal.append("device.undocked", body)
        self._seal.checkpoint()
        if docking.complete:
            self._board.end(docking.id)
        else:
            self._board.show(docking.id, BayState.PULLED_EARLY)

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
        self._seal.append("ingest.copied", _recovered(parse_object(clip.body)))

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


def final_state(summary: Summary, clock: ClockReading) -> tuple[BayState, list[str]]:
    """The word for a recorder that was read to the end, and what to say beside it."""
    warnings = _warnings(summary, clock)
    if summary.failed:
        return BayState.ERROR, warnings
    if warnings:
        return BayState.SAFE_WITH_WARNINGS, warnings
    return (BayState.WAITING_UPLOAD if summary.new or summary.waiting else BayState.NO_NEW_DATA), warnings


def _warnings(summary: Summary, clock: ClockReading) -> list[str]:
    found = []
    if clock.offset_ms is not None and abs(clock.offset_ms) > CLOCK_TOLERANCE_MS:
        found.append(f"clock-offset:{clock.offset_ms}")
    if summary.refused:
        found.append(f"refused:{summary.refused}")
    if summary.failed:
        found.append(f"failed:{summary.failed}")
    return found


def _has_failed(docking: Docking, clip: Clip) -> bool:
    return clip.state is ClipState.FAILED or clip.object_id in docking.failed


def _recovered(body: JsonObject) -> JsonObject:
    return {**body, "note": f"{RECOVERED} {body.get('note') or ''}".rstrip()}


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

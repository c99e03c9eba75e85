"""The story of one docked recorder, and of a station that was killed in the middle of it.

    announced → its turn → mounted → listed → said (device.docked, ingest.seen)
              → each new file: reserve → copy + re-read → rename → seal; each known one: compare → done

Small files take these steps together, in batches that share every sync; what holds for one holds for each of them.

What makes ``kill -9`` harmless is the order around each file, or each batch:

1. journal ``copying`` with the object's id and name
2. copy, fsync, uncached re-read, compare
3. journal ``copied`` with the digest and the body of the entry to come
4. rename, fsync of the folder
5. log append, fsync; then journal ``sealed`` with its outbox row in one transaction

``recover`` takes each file up again wherever it stands. Nothing here writes to a recorder.

A name, a size and a time do not make a file: what was sealed under them before is read again and compared, unless the
station is told to trust names and the recorder can be told from all others.
"""

import errno
import hashlib
import itertools
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
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
from station_agent.errors import AgentError, CopyError, DeviceGoneError, MountError, StoppingError, UnlockError
from station_agent.journal import Clip, Journal
from station_agent.model import (
    Card,
    CardIds,
    ClockReading,
    CopyResult,
    MountedVolume,
    RecorderDocked,
    RecorderUndocked,
    SourceFile,
    Tree,
    printable,
)
from station_agent.offload import VERIFYING, Wanted
from station_agent.ports import Clock
from station_agent.recorders import Place
from station_agent.registry import NOTHING, Handling, Registry, Verdict
from station_agent.seal import Fact, Seal
from station_agent.states import BayState, ClipState
from station_agent.status import Board
from station_agent.turns import GoOn, Shares, Slots, Turns
from station_agent.visits import mark_waiting

PART: Final = ".part"
"""Suffix of temporary names in the spool."""
SPARE_BYTES: Final = 64 << 20
"""Space that stays free in the spool for journal, log and the file system itself."""
BLOCK_BYTES: Final = 4096
"""What a file takes up is a multiple of this, as on any file system of today."""
NO_SPACE_PAUSE_S: Final = 5.0
"""How long a recorder that does not fit waits before it is tried again."""
SMALL_BYTES: Final = 256 << 10
"""Files up to this size share their syncs with others: copying them costs less than waiting for the medium."""
BATCH_FILES: Final = 64
"""At so many files a sync costs each next to nothing, and other bays wait for the log for some tens of ms."""
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
IDENTITY_CONFLICT: Final = "identity-conflict"
UNREGISTERED: Final = "unregistered"
"""Warnings of a bay: sources contradict each other, so many times; nobody registered it, so many clips set aside."""
RECOVERED: Final = "the station was stopped between copy and entry; the copy was read in full again and is equal"
_MAYBE_GONE: Final = frozenset({"read-error", "source-vanished", "source-changed", "not-a-file"})
"""What reading looks like when the recorder is pulled."""
COMPARED: Final = "a copy of this path, size and time was sealed before; whether it is the same could not be read"

_log = structlog.get_logger(__name__)


class Copier(Protocol):
    """What the pipeline needs from ``offload.Offloader``."""

    def copy_all(self, root: Path | Tree, wanted: Sequence[Wanted]) -> list[CopyResult | AgentError]:
        """Copy with proof; the outcomes in order, none of files that were not begun."""
        ...

    def digest(self, root: Path | Tree, path: bytes, on_progress: Callable[[int, str], None]) -> str:
        """SHA-256 of a file of the recorder. Raises ``CopyError``, or whatever ``on_progress`` raises."""
        ...

    def publish(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Rename each temporary to its final name, durably. Raises ``CopyError``."""
        ...


class Claimed(Protocol):
    """What a file name claims."""

    @property
    def officer(self) -> str:
        """The officer as stated in the name, or an empty string."""
        ...

    @property
    def is_marked(self) -> bool:
        """Whether the recorder or its officer marked the clip, as far as name and folder tell."""
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
    card_ids: Callable[[Path | Tree, Iterable[SourceFile], Card], CardIds] = lambda _root, _files, _card: CardIds()
    """Ids of the recorder on the mounted card."""
    boot_says: Callable[[RecorderDocked], str] = lambda _event: ""
    """The file system that a medium names itself, of which udev named none; empty where it names none."""


_Known = tuple[SourceFile, Clip]
"""A file as it was found, with what the journal remembers of it."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file in hand, reserved in the journal."""

    file: SourceFile
    clip: Clip
    final: Path
    temporary: Path


@dataclass(frozen=True, slots=True)
class _Proved:
    """A copy that was read back equal, and the body of its entry to come."""

    copy: _Copy
    sha256: str
    body: JsonObject


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
        copies: int = 16,
        priority_bays: Collection[int] = (),
        patient: bool = True,
        trust_names: bool = False,
        settle: Callable[[Docking, Sequence[SourceFile]], object] = lambda _docking, _files: None,
        registry: Callable[[], Registry] = lambda: NOTHING,
        unregistered: Handling = Handling.ACCEPT,
        unlocker: Unlocking | None = None,
    ) -> None:
        """``max_bays`` recorders are read at once, by ``copies`` copies over all; further ones wait.

        ``priority_bays`` and their copies come before others.

        ``patient``: a full spool is waited for; otherwise the docking ends with its files open.
        ``trust_names``: a file with the path, size and time of a sealed one is taken for it unread, on recorders that
        can be told apart.
        ``settle`` tells what an interrupted erasure took from a recorder, given what is listed on it now.
        ``registry`` is asked at each docking; ``unregistered`` says what becomes of a recorder that it does not know.
        ``unlocker`` speaks to recorders that show no medium; None: nobody does.
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
        self._unlocker = unlocker
        self._registry = registry
        self._unregistered = unregistered
        self._space = Space(spool)
        self._turns = Turns(max_bays)
        self._slots = Slots(Shares(copies, priority_bays))
        self._priority_bays = frozenset(priority_bays)
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
        if self._unlocker:
            docking.unlocked = self._unlocker.returned(event)
        with self._lock:
            twins = [other for other in self._dockings.values() if other.key == docking.key]
            for one in [docking, *twins] if twins else []:
                one.shares_key = True
            same_serial = [other for other in self._dockings.values() if other.is_twin_of(docking)]
            for other in same_serial:
                other.twin_bays |= {event.bay}
                docking.twin_bays |= {other.event.bay}
            self._dockings[event.node] = docking
        self._board.begin(docking.id, docking.event, kernel_event=event.bay > 0)
        for other in same_serial:
            self._say_what_changed(other)
        return docking

    def read(self, docking: Docking) -> Summary:
        """Read an announced recorder to the end, as soon as it is its turn."""
        try:
            summary = self._read_anything(docking)
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

    def has_room(self, size: int) -> bool:
        """Whether a file of so many bytes could be taken now, besides all that is promised to copies in hand."""
        return room_for(size) <= self._space.free()

    def resting(self) -> list[Docking]:
        """Recorders that were read to the end, are still in their bays, and are nobody's question."""
        with self._lock:
            over = [one for one in self._dockings.values() if one.over and one.complete and not one.unsaid]
        return [one for one in over if not one.is_doubtful]

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
        number = f"{event.node}#{next(self._numbers)}"
        marked = bool(mark_waiting(self._journal.ask, event.bay))
        return Docking(event, number, registry=self._registry(), handling=self._unregistered, marked=marked)

    def _read_anything(self, docking: Docking) -> Summary:
        if not docking.event.filesystem:
            return self._read_nothing(docking)
        if docking.is_refused:
            docking.said = docking.identity
            self._seal.append("device.identified", docking.identified())
            return Summary(reason=str(BayState.UNREGISTERED))
        return self._read_volume(docking)

    def _read_volume(self, docking: Docking) -> Summary:
        bay, marked = docking.event.bay, docking.marked
        first = marked or bay in self._priority_bays
        with (
            self._turns.turn(docking.key, lambda: self._check(docking), first=first),
            self._slots.preferred(bay) if marked else nullcontext(),
        ):
            with self._reader.mounted(docking.event) as volume:
                summary = self._ingest(docking, volume)
            if summary.complete:
                self._set_clock(docking)
            return summary

    def _set_clock(self, docking: Docking) -> None:
        """Only once all of it is sealed, and only where it was measured how far the clock was off."""
        unlocker = self._unlocker if docking.unlocked and docking.clock.offset_ms is not None else None
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
        filesystem = "" if docking.is_refused else self._reader.boot_says(docking.event)
        if filesystem:
            docking.event = replace(docking.event, filesystem=filesystem, unnamed=True)
            return self._read_volume(docking)
        return self._not_readable(docking, "no-filesystem", "no file system is found on it")

    def _unlock(self, docking: Docking) -> Summary:
        """What becomes a disk is told of when it comes back as one; a reader without a card is nothing to tell of."""
        try:
            if self._unlocker:
                self._unlocker.unlock(docking.event, docking.gone)
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
        docking.card_ids = self._reader.card_ids(volume.root, files, docking.card)
        said = docking.identity
        self._seal.append("device.docked", docked_body(docking, volume))
        docking.said = said
        self._say_what_changed(docking)
        self._settle(docking, files)
        self._announce(docking, files)
        self._fail_vanished(docking, files)
        return self._copy_all(docking, files, {})

    def _say_what_changed(self, docking: Docking) -> None:
        """Once the log says whose recorder it is, whatever makes that doubtful later is said too."""
        with self._lock:
            changed = docking.said is not None and docking.said.reasons != docking.identity.reasons
            if changed:
                docking.said = docking.identity
        if changed:
            self._seal.append("device.identified", docking.identified())
            self._board.warn(docking.id, *doubts_of(docking))

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
        if docking.no_space:
            _log.error("no-space", bay=docking.event.bay, free_bytes=self._space.free())
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

    def _clips(self, docking: Docking, files: Sequence[SourceFile]) -> list[_Known]:
        """Each file with its clip."""
        known = self._journal.clips(docking.key)
        return [(file, known[identity_of(file)]) for file in files]

    def _wanted(self, docking: Docking, files: Sequence[SourceFile]) -> list[_Known]:
        """What is still to be copied or compared."""
        over = docking.copied | docking.same | docking.failed
        openable = [(file, clip) for file, clip in self._clips(docking, files) if not file.refused]
        return [(f, c) for f, c in openable if c.object_id not in over and not self._is_trusted(docking, c)]

    def _is_trusted(self, docking: Docking, clip: Clip) -> bool:
        return clip.state is ClipState.SEALED and self._trust_names and docking.is_known

    def _copy_once(self, docking: Docking, wanted: Sequence[_Known], stated: Mapping[str, str]) -> None:
        """Marked clips first, else in the order of the listing."""
        docking.no_space = False
        ordered = sorted(wanted, key=lambda known: not self._reader.claims(known[0].path, docking.card).is_marked)
        with ThreadPoolExecutor(self._workers, thread_name_prefix=f"bay{docking.event.bay}") as pool:
            for running in [pool.submit(self._copy_batch, docking, batch, stated) for batch in in_batches(ordered)]:
                running.result()

    def _copy_batch(self, docking: Docking, batch: Sequence[_Known], stated: Mapping[str, str]) -> None:
        """Each file of it, or the reason why not, in a slot that is shared with other copies."""
        if docking.gone.is_set() or self._stop.is_set():
            return
        try:
            with self._slots.slot(docking.event.bay, lambda: self._check(docking)) as go_on:
                self._copy_in_turn(docking, batch, stated, go_on)
        except (DeviceGoneError, StoppingError):
            return  # Its turn never came; nothing of it was begun.

    def _copy_in_turn(self, docking: Docking, batch: Sequence[_Known], stated: Mapping[str, str], go_on: GoOn) -> None:
        wanted = [(file, clip) for file, known in batch for clip in self._to_copy(docking, file, known, go_on)]
        if not wanted:
            return
        try:
            with self._space.reserved(sum(room_for(file.size) for file, _ in wanted)) as taken:
                self._offload(docking, wanted, stated, taken, go_on)
        except CopyError as error:
            for file, clip in wanted:
                self._give_up(docking, file, clip, error)

    def _to_copy(self, docking: Docking, file: SourceFile, clip: Clip, go_on: GoOn) -> list[Clip]:
        """The clip that this file has to become; none when it is sealed already, or could not be compared."""
        if clip.state is not ClipState.SEALED:
            return [clip]
        try:
            clip = self._compared(docking, file, clip, go_on)
        except (AgentError, ContractError) as error:
            self._give_up(docking, file, clip, error)
            return []
        return [] if clip.state is ClipState.SEALED else [clip]

    def _compared(self, docking: Docking, file: SourceFile, clip: Clip, go_on: GoOn) -> Clip:
        """The clip of this content: the sealed one, or a new one for content that was never sealed under this name."""
        digest = self._copier.digest(docking.root, file.path, self._watch(docking, clip, go_on))
        if digest in self._journal.digests(clip):
            docking.same.add(clip.object_id)
            self._board.sealed(docking.id, clip.object_id, file.size)
            return clip
        self._board.put_down(docking.id, clip.object_id)
        _log.warning("other-content", path=file.printable, sealed=clip.object_id)
        self._seal.append("ingest.seen", docking.seen([listed(file, clip.edition + 1)]))
        return self._journal.clips(docking.key)[identity_of(file)]

    def _offload(
        self, docking: Docking, wanted: Sequence[_Known], stated: Mapping[str, str], taken: "Taken", go_on: GoOn
    ) -> None:
        """Steps 1 to 5 of this module's head. Raises ``CopyError`` before any of them was begun."""
        copies = self._reserved(docking, wanted)
        taken.by(copy.temporary for copy in copies)
        orders = [Wanted(copy.file.path, copy.temporary, self._watch(docking, copy.clip, go_on)) for copy in copies]
        outcomes = self._copier.copy_all(docking.root, orders)
        proved = []
        for copy, outcome in itertools.zip_longest(copies, outcomes):
            try:
                proved.append(self._proved(docking, copy, outcome, stated))
            except (AgentError, ContractError) as error:
                self._give_up(docking, copy.file, copy.clip, error)
        if proved:
            self._seal_all(docking, proved)

    def _reserved(self, docking: Docking, wanted: Sequence[_Known]) -> list[_Copy]:
        clips = self._journal.reserve([(clip, _store_name(docking, file, clip)) for file, clip in wanted])
        copies = [_Copy(file, clip, *self._places(clip)) for (file, _), clip in zip(wanted, clips, strict=True)]
        for folder in {copy.final.parent for copy in copies}:
            _make_dirs(folder)
        return copies

    def _proved(
        self, docking: Docking, copy: _Copy, outcome: CopyResult | AgentError | None, stated: Mapping[str, str]
    ) -> _Proved:
        """The outcome of a copy with the body of its entry. Raises why there is none; nothing was begun without any."""
        if outcome is None:
            raise StoppingError("it was not begun")
        if isinstance(outcome, AgentError):
            raise outcome
        if outcome.size != copy.file.size:
            raise CopyError("source-changed", f"listed with {copy.file.size} bytes, read {outcome.size}")
        claims = self._reader.claims(copy.file.path, docking.card)
        if claims.is_marked or docking.marked:
            self._journal.urge(copy.clip.object_id)
        officer = stated.get("officer") or claims.officer
        body = copied_body(docking, copy.file, copy.clip, outcome, officer, stated)
        self._seal.require_fit("ingest.copied", _recovered(body))  # the longer of the two bodies it may get
        return _Proved(copy, outcome.sha256, body)

    def _seal_all(self, docking: Docking, proved: Sequence[_Proved]) -> None:
        """Steps 3 to 5."""
        self._journal.copied([(one.copy.clip, one.sha256, one.body) for one in proved])
        try:
            self._copier.publish([(one.copy.temporary, one.copy.final) for one in proved])
        except CopyError as error:
            for one in proved:
                self._give_up(docking, one.copy.file, one.copy.clip, error)
            return
        self._seal.append_all([("ingest.copied", one.body) for one in proved])
        for one in proved:
            docking.copied.add(one.copy.clip.object_id)
            self._board.sealed(docking.id, one.copy.clip.object_id, one.copy.file.size)

    def _watch(self, docking: Docking, clip: Clip, go_on: GoOn) -> Callable[[int, str], None]:
        """Shows the progress of one copy, and ends it when the station stops.

        A recorder that is gone ends the reading; what was read in full by then is proved and sealed all the same.
        """

        def on_progress(done: int, phase: str) -> None:
            check = self._check_stop if phase == VERIFYING else lambda: self._check(docking)
            check()
            self._board.progress(docking.id, clip.object_id, done, phase)
            go_on(check)

        return on_progress

    def _check(self, docking: Docking) -> None:
        self._check_stop()
        if docking.gone.is_set():
            raise DeviceGoneError("pulled-early")

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppingError("the station stops")

    def _give_up(self, docking: Docking, file: SourceFile, clip: Clip, error: AgentError | ContractError) -> None:
        """Put the file down, and say what its error means. An error that is not of one file is raised again."""
        match error:
            case CopyError():
                self._judge(docking, file, self._put_down(docking, clip), error)
            case ContractError():
                _log.warning("unrecordable", path=file.printable, detail=str(error))
                self._fail(docking, file, self._put_down(docking, clip), UNRECORDABLE)
            case DeviceGoneError():
                self._pulled(docking, file, self._put_down(docking, clip))
            case StoppingError():
                self._put_down(docking, clip)
            case _:
                raise error

    def _judge(self, docking: Docking, file: SourceFile, clip: Clip, error: CopyError) -> None:
        """What a failed copy means: no room yet, a recorder pulled early, or a fact about this file."""
        if error.reason == "no-space":
            docking.no_space = True
            return
        _log.warning("copy-failed", path=file.printable, reason=error.reason, detail=error.detail)
        if error.reason in _MAYBE_GONE and self._is_gone(docking):
            self._pulled(docking, file, clip)
        else:
            self._fail(docking, file, clip, error.reason, error.unread)

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

    def _fail(  # the facts of one failure
        self, docking: Docking, file: SourceFile, clip: Clip, reason: str, unread: tuple[int, int] | None = None
    ) -> None:
        docking.failed.add(clip.object_id)
        note: JsonObject = {"note": COMPARED} if clip.state is ClipState.SEALED else {}
        where: JsonObject = {"unread": _within(file, *unread)} if unread else {}
        body: JsonObject = {"camera": docking.camera(), "source": docking.source(file, clip.edition), "reason": reason}
        self._seal.append("ingest.failed", {**body, **where, **note})

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
            self._board.show(docking.id, *_shown(docking, summary))
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
            self._copier.publish([(temporary, final)])
        fsync_dir(final.parent)
        self._seal.append("ingest.copied", _recovered(parse_object(clip.body)))

    def _places(self, clip: Clip) -> tuple[Path, Path]:
        final = self._spool / clip.name
        return final, final.with_name(final.name + PART)


@dataclass(slots=True)
class Taken:
    """Room that was promised to copies, and what of it they have taken from the disk already."""

    size: int
    _temporaries: list[Path] = field(default_factory=list)

    def by(self, temporaries: Iterable[Path]) -> None:
        """These files take it."""
        self._temporaries = list(temporaries)

    def outstanding(self) -> int:
        """Bytes that are promised and not yet missing from what the disk says is free."""
        return max(0, self.size - sum(map(_allocated, self._temporaries)))


class Space:
    """Room in the spool, promised to copies before they begin. Together they are promised no more than there is."""

    def __init__(
        self, spool: Path, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    ) -> None:
        self._spool = spool
        self._free_bytes = free_bytes
        self._promised: list[Taken] = []
        self._lock = threading.Lock()

    def free(self) -> int:
        """Bytes that nobody was promised; never below zero."""
        with self._lock:
            return self._free()

    @contextmanager
    def reserved(self, size: int) -> Iterator[Taken]:
        """Hold ``size`` bytes for as long as the context lasts. Raises ``CopyError`` ``no-space``."""
        promise = Taken(size)
        with self._lock:
            free = self._free()
            if size > free:
                raise CopyError("no-space", f"{size} bytes are needed, {free} are free in the spool")
            self._promised.append(promise)
        try:
            yield promise
        finally:
            with self._lock:
                self._promised = [one for one in self._promised if one is not promise]

    def _free(self) -> int:
        # Asked in this order: what is written in between counts twice and never not at all.
        outstanding = sum(promise.outstanding() for promise in self._promised)
        return max(0, self._free_bytes(self._spool) - outstanding - SPARE_BYTES)


def room_for(size: int) -> int:
    """Bytes that a file of this size takes up on the disk."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512  # the unit of st_blocks, whatever the file system's (inode(7))
    except OSError:
        return 0  # Not made yet, or renamed: then it counts twice until its promise ends.


def in_batches(wanted: Iterable[_Known]) -> Iterator[list[_Known]]:
    """The files in their order, small neighbours together, each larger one alone. Pure."""
    batch: list[_Known] = []
    for one in wanted:
        small = one[0].size <= SMALL_BYTES
        if batch and (not small or len(batch) == BATCH_FILES):
            yield batch
            batch = []
        if small:
            batch.append(one)
        else:
            yield [one]
    if batch:
        yield batch


def _shown(docking: Docking, summary: Summary) -> tuple[BayState, list[str]]:
    if docking.is_refused:
        return BayState.UNREGISTERED, []
    return final_state(summary, docking.clock, doubts_of(docking))


def doubts_of(docking: Docking) -> list[str]:
    """What is said on the screen of a recorder whose identity people have to look at."""
    if not docking.is_doubtful:
        return []
    identity = docking.identity
    if identity.verdict is Verdict.CONFLICT:
        return [f"{IDENTITY_CONFLICT}:{len(identity.reasons)}"]
    return [f"{UNREGISTERED}:{len(docking.copied)}"]


def final_state(summary: Summary, clock: ClockReading, doubts: Sequence[str] = ()) -> tuple[BayState, list[str]]:
    """The word for a recorder that was read to the end, and what to say beside it."""
    warnings = [*_warnings(summary, clock), *doubts]
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


def _store_name(docking: Docking, file: SourceFile, clip: Clip) -> str:
    extension = safe_extension(file.path.rpartition(b"/")[2].decode("ascii", "replace"))
    return original_name(clip.object_id, docking.event.at_ms, extension)


def _within(file: SourceFile, offset: int, size: int) -> JsonObject:
    """The bytes that were asked for when reading failed; a whole buffer is asked for near the end of a file too."""
    return {"offset": offset, "size": max(0, min(size, file.size - offset))}


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

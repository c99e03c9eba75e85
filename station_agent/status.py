"""What the station shows of itself: the live bays, and what journal and log say is still to be done.

A bay is shown green only from facts of the log: ``safe`` follows from the journal, never from a hope of the pipeline.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from station_agent.journal import Journal, Waiting
from station_agent.model import RecorderDocked
from station_agent.states import BayState, bay_after
from station_agent.tools.sandbox import Sandbox
from station_agent.warden import remembered_proof

Status = dict[str, Any]
"""The value of ``/api/status``: JSON objects, arrays, strings, numbers and booleans."""

READING: Final = "reading"
VERIFYING: Final = "verifying"
"""Phase words of the copier: while it reads a new file, and while it reads its own copy back."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One recorder in its bay, as the screen needs it."""

    bay: int
    device_key: str
    serial: str
    label: str
    filesystem: str
    kernel_event: bool
    port: str = ""
    """udev ``ID_PATH``."""
    state: BayState = BayState.IDENTIFYING
    left: bool = False
    """The recorder is out of the bay, although reading it has not ended yet."""
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    started_s: float = 0.0
    copying: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Object id → bytes read so far and phase, of the copies in hand."""
    warnings: tuple[str, ...] = ()


class Board:
    """The live bays. Safe for use by several threads; told by the pipeline, asked by the screen."""

    def __init__(self, bays: Sequence[int] = (), monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """``bays`` are shown even when empty."""
        self._bays = tuple(bays)
        self._monotonic_s = monotonic_s
        self._tiles: dict[str, Tile] = {}
        """Docking id → tile: a docking that ends late never speaks for the recorder that is in the bay now."""
        self._lock = threading.Lock()

    def begin(self, docking_id: str, event: RecorderDocked, *, kernel_event: bool) -> None:
        """A recorder was put in; what left this bay before is forgotten."""
        identity = event.identity
        tile = Tile(
            event.bay,
            identity.key,
            identity.serial,
            identity.volume_label,
            event.filesystem,
            kernel_event=kernel_event,
            port=identity.port,
        )
        with self._lock:
            for old in [i for i, t in self._tiles.items() if t.bay == event.bay and _is_past(t)]:
                del self._tiles[old]
            self._tiles[docking_id] = tile

    def leave(self, docking_id: str) -> None:
        """The recorder is out of its bay; its tile stays until it is said how that ended."""
        self._change(docking_id, lambda t: replace(t, left=True))

    def plan(self, docking_id: str, files: int, size: int) -> None:
        """So many files and bytes are to be copied."""
        self._change(
            docking_id, lambda t: replace(t, files_total=files, bytes_total=size, started_s=self._monotonic_s())
        )

    def show(self, docking_id: str, state: BayState, warnings: Sequence[str] = ()) -> None:
        """The bay's word. Raises ``JournalError`` for a transition the table does not have."""
        self._change(
            docking_id, lambda t: replace(t, state=bay_after(t.state, state), warnings=(*t.warnings, *warnings))
        )

    def warn(self, docking_id: str, *warnings: str) -> None:
        """Something new to say beside the word; a bay that promised more is taken back to «with warnings»."""
        self._change(docking_id, lambda t: _warned(t, warnings))

    def progress(self, docking_id: str, object_id: str, done: int, phase: str) -> None:
        """One copy came this far."""
        self._change(docking_id, lambda t: _moving(replace(t, copying={**t.copying, object_id: (done, phase)})))

    def put_down(self, docking_id: str, object_id: str) -> None:
        """One copy ended without an entry."""
        self._change(docking_id, lambda t: replace(t, copying=_without(t.copying, object_id)))

    def sealed(self, docking_id: str, object_id: str, size: int) -> None:
        """One file stands in the log, or was found to stand there already."""
        self._change(
            docking_id,
            lambda t: replace(
                t,
                copying=_without(t.copying, object_id),
                files_done=t.files_done + 1,
                bytes_done=t.bytes_done + size,
            ),
        )

    def end(self, docking_id: str) -> None:
        """The recorder was taken out in order; the bay is idle."""
        with self._lock:
            self._tiles.pop(docking_id, None)

    def tiles(self) -> list[Tile]:
        """One tile a bay, in order of the bays; of several volumes in a bay the one that is least done."""
        with self._lock:
            tiles = list(self._tiles.values())
        bays = sorted({*self._bays, *(t.bay for t in tiles)})
        return [_least_done([t for t in tiles if t.bay == bay], bay) for bay in bays]

    def now_s(self) -> float:
        """The monotonic clock that rates are measured with."""
        return self._monotonic_s()

    def _change(self, docking_id: str, change: Callable[[Tile], Tile]) -> None:
        with self._lock:
            if docking_id in self._tiles:
                self._tiles[docking_id] = change(self._tiles[docking_id])


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where the station log stands."""

    origin: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class CentreLink:
    """Whether the centre's broker is reached, and since when."""

    online: bool
    since_ms: int


def status_of(  # noqa: PLR0913  # the parts of the status
    station: str, state: str, board: Board, journal: Journal, log: LogHead, centre: CentreLink
) -> Status:
    """The value of ``/api/status``."""
    tiles = board.tiles()
    return {
        "station": station,
        "state": state,
        "bays": [_bay(tile, board.now_s(), journal) for tile in tiles],
        "waiting": journal.waiting().block(),
        "troubles": [*_without_space(tiles), *_store_broken(journal), *_troubles(journal, log.origin)],
        "log": {"origin": log.origin, "size": log.size, "root": log.root},
        "centre": {"online": centre.online, "since_ms": centre.since_ms},
    }


def with_sandbox(told: Status, sandbox: Sandbox) -> Status:
    """The same, and a trouble where media tools work without walls, or wait for them."""
    reason = sandbox.absent()
    trouble = {"job": "sandbox", "object": "", "attempts": 0, "reason": reason}
    return {**told, "troubles": [*([trouble] if reason else []), *told["troubles"]]}


def summary_line(waiting: Waiting) -> str:
    """What is still to be done, in one line for people."""
    return ", ".join(f"{name} {count}" for name, count in waiting.block().items())


def _bay(tile: Tile, now_s: float, journal: Journal) -> Status:
    reading = sum(min(done, tile.bytes_total) for done, phase in tile.copying.values() if phase != VERIFYING)
    done = min(tile.bytes_total, tile.bytes_done + reading)
    elapsed_s = now_s - tile.started_s if tile.started_s else 0.0
    rate = int(done / elapsed_s) if elapsed_s > 0 else 0
    busy = tile.state in (BayState.READING, BayState.VERIFYING)
    return {
        "bay": tile.bay,
        "state": str(_proved(tile, journal)),
        "serial": tile.serial,
        "label": tile.label,
        "filesystem": tile.filesystem,
        "kernel_event": tile.kernel_event,
        "files_done": tile.files_done,
        "files_total": tile.files_total,
        "bytes_done": done,
        "bytes_total": tile.bytes_total,
        "rate_bytes_s": rate if busy else 0,
        "eta_s": int((tile.bytes_total - done) / rate) if busy and rate else None,
        "warnings": list(tile.warnings),
    }


def _proved(tile: Tile, journal: Journal) -> BayState:
    """``safe`` once everything of this recorder is uploaded and receipted; the board itself never says so."""
    if tile.state is BayState.WAITING_UPLOAD and journal.open_for(tile.device_key) == 0:
        return bay_after(tile.state, BayState.SAFE)
    return tile.state


def _without_space(tiles: Sequence[Tile]) -> list[Status]:
    reason = "no-space: the spool has no room for its next file, which stays on the recorder"
    return [
        {"job": "offload", "object": f"bay {tile.bay}", "attempts": 0, "reason": reason}
        for tile in tiles
        if tile.state is BayState.NO_SPACE
    ]


def _store_broken(journal: Journal) -> list[Status]:
    proof = remembered_proof(journal)
    if proof is None or proof.is_kept:
        return []
    return [{"job": "store", "object": proof.url, "attempts": 0, "reason": proof.sentence()}]


def _troubles(journal: Journal, origin: str) -> list[Status]:
    alarm = journal.fact("alarm")
    alarms: list[Status] = [{"job": "log", "object": origin, "attempts": 0, "reason": alarm}] if alarm else []
    return alarms + [
        {"job": job.kind, "object": job.object_id, "attempts": job.attempts, "reason": job.reason}
        for job in journal.troubled_jobs()
    ]


def _is_past(tile: Tile) -> bool:
    return tile.left or tile.state is BayState.PULLED_EARLY


def _moving(tile: Tile) -> Tile:
    """Reading while any new file is still read from the recorder, else verifying."""
    reading = any(phase == READING for _, phase in tile.copying.values())
    return replace(tile, state=bay_after(tile.state, BayState.READING if reading else BayState.VERIFYING))


def _warned(tile: Tile, warnings: Sequence[str]) -> Tile:
    new = [one for one in warnings if one not in tile.warnings]
    if not new or tile.state not in _READ:
        return tile
    return replace(tile, state=bay_after(tile.state, BayState.SAFE_WITH_WARNINGS), warnings=(*tile.warnings, *new))


_READ: Final = (BayState.WAITING_UPLOAD, BayState.NO_NEW_DATA, BayState.SAFE_WITH_WARNINGS)
"""States of a bay in which reading has ended well; one that is still being read gets its warnings when it ends."""


def _without(copying: Mapping[str, tuple[int, str]], object_id: str) -> Mapping[str, tuple[int, str]]:
    return {key: value for key, value in copying.items() if key != object_id}


_LEAST_DONE: Final = (
    BayState.ERROR,
    BayState.NO_SPACE,
    BayState.PULLED_EARLY,
    BayState.ERASING,
    BayState.READING,
    BayState.VERIFYING,
    BayState.IDENTIFYING,
    BayState.UNREGISTERED,
    BayState.WAITING_UPLOAD,
    BayState.SAFE_WITH_WARNINGS,
    BayState.SAFE,
    BayState.NO_NEW_DATA,
    BayState.IDLE,
)


def _least_done(tiles: Sequence[Tile], bay: int) -> Tile:
    if not tiles:
        return Tile(bay, "", "", "", "", kernel_event=False, state=BayState.IDLE)
    return min(tiles, key=lambda tile: _LEAST_DONE.index(tile.state))

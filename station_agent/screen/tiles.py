"""What the screen shows of a status, decided without a clock, a template or a language.

Words are English catalogue ids; the template translates them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from station_agent.screen.language import phrase

Json = Mapping[str, Any]
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Look:
    """How a bay state is said: word, icon and colour together, and what the officer should do."""

    word: str
    icon: str
    tone: str
    """``calm``, ``busy``, ``good``, ``good-warn``, ``warn`` or ``bad``."""
    advice: str = ""
    working: bool = False


_TAKE: Final = phrase("Safe to take")
_STAY: Final = phrase("Do not take")
_CALL: Final = phrase("Call the administrator")

LOOKS: Final[Mapping[str, Look]] = {
    "idle": Look(phrase("Free"), "empty", "calm"),
    "identifying": Look(phrase("Identifying"), "dots", "busy", _STAY, working=True),
    "unregistered": Look(phrase("Not registered"), "key", "warn", _CALL),
    "reading": Look(phrase("Reading"), "arrow", "busy", _STAY, working=True),
    "verifying": Look(phrase("Checking"), "magnifier", "busy", _STAY, working=True),
    "waiting-upload": Look(phrase("Waiting for upload"), "tick-cloud", "good", _TAKE),
    "safe": Look(_TAKE, "tick", "good"),
    "no-new-data": Look(phrase("Nothing new"), "tick", "good", _TAKE),
    "safe-with-warnings": Look(phrase("Done, with warnings"), "tick-warn", "good-warn", _TAKE),
    "error": Look(phrase("Read error"), "cross", "bad", _CALL),
    "pulled-early": Look(phrase("Removed too early"), "plug", "warn", phrase("Put it back")),
    "erasing": Look(phrase("Emptying"), "arrow", "busy", _STAY, working=True),
    "no-space": Look(phrase("No space"), "disk", "warn", phrase("Please wait, do not take")),
}
"""Bay states of the status and their look (design: dock screen, bay states)."""

UNCLEAR: Final = Look(phrase("State unclear"), "question", "warn", phrase("Do not take, call the administrator"))
"""For a state this screen does not know, and for a green one that its own figures contradict."""

_GREEN: Final = frozenset({"good", "good-warn"})


WARNINGS: Final[Mapping[str, str]] = {
    "clock-offset": phrase("clock is off by %(num)s s"),
    "refused": phrase("%(num)s entries not read (links, devices)"),
    "failed": phrase("%(num)s files could not be copied"),
    "erased": phrase("%(num)s files erased"),
    "identity-conflict": phrase("identity is contradictory (%(num)s), call the administrator"),
    "unregistered": phrase("recorder not registered: %(num)s files set aside"),
}
"""Warnings of the status, ``code:number``; any other is shown as it came."""


@dataclass(frozen=True, slots=True)
class Warn:
    """A warning as it is said: a catalogue phrase with its number, or plain text without one."""

    text: str
    num: int | None = None


@dataclass(frozen=True, slots=True)
class Remaining:
    """A rounded-up time left; ``unit`` is ``minutes`` or ``hours``."""

    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One bay as it is drawn."""

    bay: int
    look: Look
    name: str
    percent: int | None
    files_done: int
    files_total: int
    bytes_done: str
    bytes_total: str
    rate: str
    remaining: Remaining | None
    warnings: tuple[Warn, ...]

    @property
    def files_left(self) -> int:
        """Files not yet safe."""
        return max(0, self.files_total - self.files_done)


@dataclass(frozen=True, slots=True)
class Board:
    """The whole screen under its header."""

    station: str
    running: bool
    tiles: tuple[Tile, ...]
    online: bool
    waiting: Mapping[str, int]
    log_size: int

    @property
    def all_free(self) -> bool:
        """Whether no bay holds a recorder."""
        return all(tile.look is LOOKS["idle"] for tile in self.tiles)

    @property
    def density(self) -> str:
        """How many bays share the screen: the fewer, the larger they are drawn."""
        return "few" if len(self.tiles) <= 4 else "some" if len(self.tiles) <= 9 else "many"  # noqa: PLR2004  # 2×2, 3×3

    @property
    def to_send(self) -> int:
        """Entries the centre has not confirmed."""
        return self.waiting.get("outbox", 0)


def board_of(status: Json) -> Board:
    """The screen for ``status``, the value of ``/api/status``. A missing part is shown as unknown, never as good."""
    centre, log = _part(status, "centre"), _part(status, "log")
    waiting = {str(name): _count(value) for name, value in _part(status, "waiting").items()}
    bays: Sequence[Json] = status.get("bays") or ()
    return Board(
        station=str(status.get("station") or "?"),
        running=status.get("state") == "running",
        tiles=tuple(sorted((tile_of(bay) for bay in bays), key=lambda tile: tile.bay)),
        online=centre.get("online") is True,
        waiting=waiting,
        log_size=_count(log.get("size")),
    )


def tile_of(bay: Json) -> Tile:
    """One bay as it is drawn."""
    look = look_of(bay)
    rate, eta_s = _count(bay.get("rate_bytes_s")), bay.get("eta_s")
    return Tile(
        bay=_count(bay.get("bay")),
        look=look,
        name=str(bay.get("label") or bay.get("serial") or ""),
        percent=percent_of(bay),
        files_done=_count(bay.get("files_done")),
        files_total=_count(bay.get("files_total")),
        bytes_done=size_text(_count(bay.get("bytes_done"))),
        bytes_total=size_text(_count(bay.get("bytes_total"))),
        rate=f"{size_text(rate)}/s" if look.working and rate else "",
        remaining=remaining(eta_s) if look.working and isinstance(eta_s, int | float) else None,
        warnings=tuple(warning_of(str(warning)) for warning in bay.get("warnings") or ()),
    )


def look_of(bay: Json) -> Look:
    """The look of a bay. Green needs a green state and figures that do not deny it."""
    look = LOOKS.get(str(bay.get("state")), UNCLEAR)
    unfinished = _count(bay.get("files_done")) < _count(bay.get("files_total"))
    return UNCLEAR if look.tone in _GREEN and unfinished else look


def warning_of(told: str) -> Warn:
    """A warning of the status for people; the clock's offset is told in whole seconds, without its sign."""
    code, _, number = told.partition(":")
    if code not in WARNINGS or not number.removeprefix("-").isdecimal():
        return Warn(told)
    num = round(abs(int(number)) / 1000) if code == "clock-offset" else int(number)
    return Warn(WARNINGS[code], num)


def percent_of(bay: Json) -> int | None:
    """Share of bytes done, rounded down so that 100 means all; None while the total is unknown."""
    done, total = _count(bay.get("bytes_done")), _count(bay.get("bytes_total"))
    return min(100, done * 100 // total) if total else None


def remaining(eta_s: float) -> Remaining:
    """Time left, rounded up: a promise kept early is forgiven."""
    if eta_s > 2 * _HOUR_S:
        return Remaining(int(-(-eta_s // _HOUR_S)), "hours")
    return Remaining(max(1, int(-(-eta_s // _MINUTE_S))), "minutes")


def size_text(size_bytes: int) -> str:
    """A byte count for people, in powers of 1000 as recorders print on their cards."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004  # SI prefix
            return f"{value:.0f} {unit}" if unit in {"B", "kB"} else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _part(status: Json, name: str) -> Json:
    part = status.get(name)
    return part if isinstance(part, Mapping) else {}


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0

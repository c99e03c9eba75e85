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
_DAY_S: Final = 24 * _HOUR_S


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
    "gap": phrase("gap %(num)s"),
}
"""Warnings, ``code:number``; any other is shown as it came."""

LEVELS: Final[Mapping[str, str]] = {
    "uncached": phrase("Read back from the disk, SHA-256 equal"),
    "cached": phrase("Read back through the cache only"),
    "none": phrase("Not read back"),
}
"""How the copies of a receipt were checked, weakest first named (``custody.record.REREAD``)."""

FAILURES: Final[Mapping[str, str]] = {
    "read-error": phrase("reading failed"),
    "source-vanished": phrase("no longer on the recorder"),
    "source-changed": phrase("changed while it was read"),
    "not-a-file": phrase("no regular file"),
    "no-space": phrase("no room at this station"),
    "write-error": phrase("could not be written here"),
    "reread-differs": phrase("read back differently"),
    "reread-cached": phrase("could not be read back from the disk"),
    "unrecordable": phrase("cannot stand in a record"),
    "pulled-early": phrase("removed too early"),
    "not-mounted": phrase("cannot be opened"),
    "no-filesystem": phrase("no file system"),
    "locked": phrase("not unlocked"),
    "unreadable-folder": phrase("folder cannot be read"),
    "unreadable-entry": phrase("entry cannot be read"),
    "ambiguous-name": phrase("name that is there twice"),
    "symlink": phrase("symbolic link"),
    "device-node": phrase("device node"),
    "fifo": phrase("named pipe"),
    "size-unknown": phrase("size unknown"),
    "socket": phrase("socket"),
    "other-filesystem": phrase("on another file system"),
    "nested-too-deep": phrase("folders nested too deep"),
}
"""Why a file was not taken in, by the ``reason`` of ``ingest.failed``; any other is shown as it is."""

MARKS: Final[Mapping[str, str]] = {"priority": phrase("Priority"), "important": phrase("Important")}
"""What an officer says of a docking at check-in."""


@dataclass(frozen=True, slots=True)
class Warn:
    """A warning as it is said: a catalogue phrase with its number, or plain text without one."""

    text: str
    num: int | str | None = None


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time in one unit: ``minutes``, ``hours`` or ``days``."""

    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What stands over a bay for a while after a recorder was taken out in order."""

    name: str
    officer: str
    files: int
    size: str
    duration: str
    """``h:mm:ss`` of what is described; empty before anything is."""
    described: int
    """How many of the files the duration and the span are of."""
    span: str
    """From its first start to its last end, with the zone."""
    warnings: tuple[Warn, ...]
    level: str
    log: str
    seq: int
    leaf: str
    left_s: int

    @property
    def number(self) -> str:
        """The receipt's number, as the picture beside it says it too."""
        return f"#{self.seq} {self.log} {self.leaf}"


@dataclass(frozen=True, slots=True)
class Tile:
    """One bay as it is drawn."""

    bay: int
    look: Look
    name: str
    officer: str
    """Masked."""
    mark: str
    percent: int | None
    files_done: int
    files_total: int
    bytes_of: str
    """``6.4/18.0 GB``."""
    bytes_total: str
    rate: str
    remaining: Length | None
    warnings: tuple[Warn, ...]
    receipt: Receipt | None = None

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
    link_age: Length | None
    """How long the link to the centre has been what it is; None while less than a minute."""
    waiting: Mapping[str, int]
    log_size: int
    clock_source: str
    video_hours: int | None
    dockings_today: int | None

    @property
    def all_free(self) -> bool:
        """Whether no bay holds a recorder."""
        return all(tile.look is LOOKS["idle"] for tile in self.tiles)

    @property
    def density(self) -> str:
        """How many bays share the screen: the fewer, the larger they are drawn."""
        rows = ((4, "few"), (9, "some"), (12, "many"))  # 2×2, 3×3, 4×3; up to 5×5 beyond
        return next((word for most, word in rows if len(self.tiles) <= most), "most")

    @property
    def to_send(self) -> int:
        """Entries the centre has not confirmed."""
        return self.waiting.get("outbox", 0)


@dataclass(frozen=True, slots=True)
class Port:
    """One bay as a technician sees it."""

    bay: int
    word: str
    recorder: str
    wanted: str
    found: str
    filesystem: str
    rate: str


@dataclass(frozen=True, slots=True)
class Inside:
    """The technician's page under its header. It shows; there is nothing to press."""

    ports: tuple[Port, ...]
    failures: Sequence[Json]
    troubles: Sequence[Json]
    set_aside: Mapping[str, int]
    waiting: Mapping[str, int]
    origin: str
    size: int
    root: str
    cosigned: int
    clock_source: str

    @property
    def unsigned(self) -> int:
        """Entries the centre's witness has not cosigned yet."""
        return max(0, self.size - self.cosigned)


def inside_of(status: Json, beside: Json) -> Inside:
    """The technician's page. A part that is missing is empty there."""
    told, log = _part(beside, "technician"), _part(status, "log")
    ports = _part(told, "ports")
    return Inside(
        ports=tuple(_port(bay, _part(ports, str(bay.get("bay")))) for bay in status.get("bays") or ()),
        failures=tuple(told.get("failures") or ()),
        troubles=tuple(status.get("troubles") or ()),
        set_aside=dict(_part(told, "set_aside")),
        waiting=dict(_part(status, "waiting")),
        origin=str(log.get("origin") or "?"),
        size=_count(log.get("size")),
        root=str(log.get("root") or ""),
        cosigned=_count(_part(told, "cosigned").get("size")),
        clock_source=str(_part(beside, "clock").get("source") or ""),
    )


def _port(bay: Json, port: Json) -> Port:
    rate = _count(bay.get("rate_bytes_s"))
    return Port(
        bay=_count(bay.get("bay")),
        word=look_of(bay).word,
        recorder=" ".join(str(bay[part]) for part in ("label", "serial") if bay.get(part)),
        wanted=str(port.get("wanted") or ""),
        found=str(port.get("found") or ""),
        filesystem=str(bay.get("filesystem") or ""),
        rate=f"{size_text(rate)}/s" if rate else "",
    )


def board_of(status: Json, beside: Json | None = None) -> Board:
    """The screen for ``status``, the value of ``/api/status``, with what stands beside it (``/api/dock``).

    A missing part is shown as unknown, never as good.
    """
    beside = beside or {}
    centre, log, clock = _part(status, "centre"), _part(status, "log"), _part(beside, "clock")
    waiting = {str(name): _count(value) for name, value in _part(status, "waiting").items()}
    bays: Sequence[Json] = status.get("bays") or ()
    told, receipts = _part(beside, "bays"), {_count(one.get("bay")): one for one in beside.get("receipts") or ()}
    tiles = [tile_of(bay, _part(told, str(bay.get("bay"))), receipts.get(_count(bay.get("bay")))) for bay in bays]
    return Board(
        station=str(status.get("station") or "?"),
        running=status.get("state") == "running",
        tiles=tuple(sorted(tiles, key=lambda tile: tile.bay)),
        online=centre.get("online") is True,
        link_age=age_of(_count(clock.get("utc_ms")) - _count(centre.get("since_ms"))),
        waiting=waiting,
        log_size=_count(log.get("size")),
        clock_source=str(clock.get("source") or ""),
        video_hours=_known(_part(beside, "disk").get("video_hours")),
        dockings_today=_known(beside.get("dockings_today")),
    )


def tile_of(bay: Json, beside: Json | None = None, taken: Json | None = None) -> Tile:
    """One bay as it is drawn. A receipt stands over an empty bay only: the recorder that is in it now comes first."""
    look, beside = look_of(bay), beside or {}
    rate, eta_s = _count(bay.get("rate_bytes_s")), bay.get("eta_s")
    return Tile(
        bay=_count(bay.get("bay")),
        look=look,
        name=str(bay.get("label") or bay.get("serial") or ""),
        officer=str(beside.get("officer") or ""),
        mark=MARKS.get(str(beside.get("mark")), ""),
        percent=percent_of(bay),
        files_done=_count(bay.get("files_done")),
        files_total=_count(bay.get("files_total")),
        bytes_of=share_text(_count(bay.get("bytes_done")), _count(bay.get("bytes_total"))),
        bytes_total=size_text(_count(bay.get("bytes_total"))),
        rate=f"{size_text(rate)}/s" if look.working and rate else "",
        remaining=remaining(eta_s) if look.working and isinstance(eta_s, int | float) else None,
        warnings=tuple(warning_of(str(warning)) for warning in bay.get("warnings") or ()),
        receipt=receipt_of(taken) if taken and look is LOOKS["idle"] else None,
    )


def receipt_of(taken: Json) -> Receipt:
    """A receipt as it is drawn."""
    number, duration_ms = _part(taken, "number"), taken.get("duration_ms")
    return Receipt(
        name=str(taken.get("recorder") or ""),
        officer=str(taken.get("officer") or ""),
        files=_count(taken.get("files")),
        size=size_text(_count(taken.get("bytes"))),
        duration=length_text(duration_ms) if isinstance(duration_ms, int) else "",
        described=_count(taken.get("described")),
        span=str(taken.get("span") or ""),
        warnings=tuple(warning_of(str(warning)) for warning in taken.get("warnings") or ()),
        level=LEVELS.get(str(taken.get("level")), ""),
        log=str(number.get("log") or ""),
        seq=_count(number.get("seq")),
        leaf=str(number.get("leaf") or ""),
        left_s=_count(taken.get("left_s")),
    )


def look_of(bay: Json) -> Look:
    """The look of a bay. Green needs a green state and figures that do not deny it."""
    look = LOOKS.get(str(bay.get("state")), UNCLEAR)
    unfinished = _count(bay.get("files_done")) < _count(bay.get("files_total"))
    return UNCLEAR if look.tone in _GREEN and unfinished else look


def warning_of(told: str) -> Warn:
    """A warning of the status for people; the clock's offset is told in whole seconds, without its sign."""
    code, _, number = told.partition(":")
    if code == "gap":
        return Warn(WARNINGS[code], number)
    if code not in WARNINGS or not number.removeprefix("-").isdecimal():
        return Warn(told)
    num = round(abs(int(number)) / 1000) if code == "clock-offset" else int(number)
    return Warn(WARNINGS[code], num)


def percent_of(bay: Json) -> int | None:
    """Share of bytes done, rounded down so that 100 means all; None while the total is unknown."""
    done, total = _count(bay.get("bytes_done")), _count(bay.get("bytes_total"))
    return min(100, done * 100 // total) if total else None


def remaining(eta_s: float) -> Length:
    """Time left, rounded up: a promise kept early is forgiven."""
    if eta_s > 2 * _HOUR_S:
        return Length(int(-(-eta_s // _HOUR_S)), "hours")
    return Length(max(1, int(-(-eta_s // _MINUTE_S))), "minutes")


def age_of(age_ms: int) -> Length | None:
    """An age, rounded down; None for less than a minute, and where one of the two times is not known."""
    age_s = age_ms // 1000
    for unit, unit_s, least in (("days", _DAY_S, 2), ("hours", _HOUR_S, 2), ("minutes", _MINUTE_S, 1)):
        if age_s >= least * unit_s:
            return Length(age_s // unit_s, unit)
    return None


def length_text(length_ms: int) -> str:
    """A length of video, ``h:mm:ss``."""
    minutes, seconds = divmod(length_ms // 1000, _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours}:{minutes:02}:{seconds:02}"


def size_text(size_bytes: int) -> str:
    """A byte count for people, in powers of 1000 as recorders print on their cards."""
    power = _power(size_bytes)
    return f"{_in_power(size_bytes, power)} {_UNITS[power]}"


def share_text(done_bytes: int, total_bytes: int) -> str:
    """Both byte counts in the unit of the whole."""
    power = _power(total_bytes)
    return f"{_in_power(done_bytes, power)}/{_in_power(total_bytes, power)} {_UNITS[power]}"


_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def _power(size_bytes: int) -> int:
    return next((power for power in range(4) if size_bytes < 1000 ** (power + 1)), 4)


def _in_power(size_bytes: int, power: int) -> str:
    return f"{size_bytes / 1000**power:.{0 if power <= 1 else 1}f}"


def _part(status: Json, name: str) -> Json:
    part = status.get(name)
    return part if isinstance(part, Mapping) else {}


def _known(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0

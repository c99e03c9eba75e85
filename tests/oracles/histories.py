"""Random histories of an agency, by number: what is true at the end, and one order in which it may have come in.

A history holds units, officers of whom two have numbers that end alike, a ledger with overlaps and corrections,
concurrent and successive acts that are imported anew with other times, officers or cases, recordings in chapters with
measured and unmeasured clocks, descriptions that are replaced, files imported again, and links made and undone by hand.
All times are whole seconds, all acts last at least one.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from ingestd.model import Assignment, EnforcementAction, Interval, Level, MediaKind, Position
from tests.fakes.centre_station import NOW_MS

V = TypeVar("V")
AGAIN = 0.3
"""How often something is said anew, and otherwise."""
TIMELESS = 0.07
GRACE_MS = 24 * 3_600_000
BASE_MS = (NOW_MS - GRACE_MS) // 1000 * 1000
"""Some acts end so near that their day of grace runs out within the history, some do not."""
OFFICERS = ("19090114007", "77114007", "000013", "000028")
"""The first two cannot be told apart by the six characters a recorder keeps."""
STATED = ("114007", *["000013", "000028", "19090114007", "77114007"] * 2, "555555", "000000", "")
RECORDERS = ("REC1", "REC2", "REC3")
CASES = ("案〔2026〕1号", "案〔2026〕2号", "案〔2026〕3号")
PLACES = (None, None, None, None, Position(350_200_000, 1_110_000_000, 10), Position(351_200_000, 1_110_000_000, 10))
CATALOGUE = """\
version = "histories"
[[types]]
id = "whole"
zh = "全程"
en = "whole"
level = "full"
article = "x"
margin_min = 1
[[types]]
id = "strict"
zh = "严格"
en = "strict"
level = "full"
article = "x"
margin_min = 0
tolerated_gap_ms = 0
[[types]]
id = "patient"
zh = "宽限"
en = "patient"
level = "full"
article = "x"
margin_min = 2
tolerated_gap_ms = 5000
[[types]]
id = "named"
zh = "内容"
en = "named"
level = "specified"
article = "x"
margin_min = 1
"""
TYPES = {
    "whole": (Level.FULL, 60_000, 1000),
    "strict": (Level.FULL, 0, 0),
    "patient": (Level.FULL, 120_000, 5000),
    "named": (Level.SPECIFIED, 60_000, 1000),
}
"""Level, margin and tolerated gap of each type of ``CATALOGUE``."""
RADIUS_M = 500


@dataclass(frozen=True, slots=True)
class Description:
    """What a station says of a file: shown start (None: no time), offset of the device's clock (None: not measured)."""

    kind: MediaKind
    shown_ms: int | None
    length_ms: int
    offset_ms: int | None
    read_error_ms: int
    clock_error_ms: int
    stated: str
    case: str
    place: Position | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that comes in: ``what`` is ``officer``, ``assignment``, ``action``, ``clip``, ``link`` or ``part``.

    Steps of one ``key`` keep their order, for the last one is what holds.
    """

    what: str
    key: str
    value: object = None


@dataclass(frozen=True, slots=True)
class History:
    """What is true at the end."""

    officers: tuple[str, ...]
    assignments: dict[str, list[Assignment]]
    actions: dict[str, list[EnforcementAction]]
    clips: dict[str, list[Description]]
    recorders: dict[str, str]
    """Which recorder filmed which clip."""
    by_hand: dict[tuple[str, str], str] = field(default_factory=dict)
    """``link`` or ``part``, by clip and action."""

    def steps(self, order: int) -> Iterator[Step]:
        """Everything in the order of this number; a decision by hand waits until clip and action are there."""
        chance = random.Random(order)
        waiting = [step for steps in self._all() for step in steps]
        queues = {key: [s for s in waiting if (s.what, s.key) == key] for key in {(s.what, s.key) for s in waiting}}
        turns = [key for key in sorted(queues) for _ in queues[key]]
        chance.shuffle(turns)
        there: set[str] = set()
        late: list[Step] = []
        for key in turns:
            step = queues[key].pop(0)
            if step.what in {"link", "part"} and not set(step.key.split()) <= there:
                late.append(step)
                continue
            there.add(step.key)
            yield step
        yield from late

    def _all(self) -> Iterator[list[Step]]:
        yield [Step("officer", number) for number in self.officers]
        for what, values in (("assignment", self.assignments), ("action", self.actions), ("clip", self.clips)):
            for key, versions in values.items():
                yield [Step(what, key, version) for version in versions]
        yield [Step(what, f"{clip} {action}") for (clip, action), what in self.by_hand.items()]


def history(number: int) -> History:
    """The history of this number; the same number is the same history for ever."""
    chance = random.Random(number)
    assignments = dict(_entry(chance) for _ in range(chance.randint(0, 4)))
    actions = {f"A{n}": _versions(chance, partial(_action, chance, f"A{n}")) for n in range(chance.randint(1, 5))}
    clips: dict[str, list[Description]] = {}
    recorders: dict[str, str] = {}
    for _ in range(chance.randint(1, 4)):
        recorder = chance.choice(RECORDERS)
        for chapter in _recording(chance):
            name = f"C{len(clips)}"
            clips[name] = _versions(chance, lambda: _recording(chance)[0], chapter)
            recorders[name] = recorder
    return History(
        tuple(chance.sample(OFFICERS, chance.randint(1, len(OFFICERS)))),
        assignments,
        actions,
        clips,
        recorders,
        _by_hand(chance, list(clips), list(actions)),
    )


def _versions(chance: random.Random, make: Callable[[], V], first: V | None = None) -> list[V]:
    """What is said of one thing, one after another; most things are said once."""
    made = [make() if first is None else first]
    while chance.random() < AGAIN:
        made.append(make())
    return made


def _span(chance: random.Random, longest: int) -> Interval:
    start_ms = BASE_MS + chance.randint(-100, 20) * 1000
    return Interval(start_ms, start_ms + chance.randint(1, longest) * 1000)


def _entry(chance: random.Random) -> tuple[str, list[Assignment]]:
    recorder, start_ms = chance.choice(RECORDERS), BASE_MS + chance.randint(-240, 60) * 1000

    def one() -> Assignment:
        end_ms = chance.choice([None, start_ms + chance.randint(1, 300) * 1000])
        return Assignment(recorder, chance.choice(OFFICERS), start_ms, end_ms)

    return f"{recorder}@{start_ms}", _versions(chance, one)


def _action(chance: random.Random, action_id: str) -> EnforcementAction:
    kind = chance.choice(list(TYPES))
    level, margin_ms, gap_ms = TYPES[kind]
    return EnforcementAction(
        action_id=action_id,
        case=chance.choice(CASES),
        type=kind,
        level=level,
        interval=_span(chance, 90),
        officers=tuple(chance.sample(OFFICERS, chance.randint(1, 3))),
        place=_scene(chance),
        radius_m=RADIUS_M,
        tolerated_gap_ms=gap_ms,
        margin_ms=margin_ms,
    )


def _scene(chance: random.Random) -> Position | None:
    place = chance.choice(PLACES)
    return None if place is None else Position(place.lat_e7, place.lon_e7)


def _recording(chance: random.Random) -> list[Description]:
    """One recording in chapters, with a hole of a second or two between some of them."""
    offset_ms = chance.choice([None, 0, chance.randint(-300, 300) * 1000])
    shown_ms = BASE_MS + chance.randint(-120, 40) * 1000 + (offset_ms or 0)
    kinds = [*[MediaKind.VIDEO] * 6, MediaKind.AUDIO, MediaKind.SIDECAR, MediaKind.EMPTY]
    kind, stated, case = chance.choice(kinds), chance.choice(STATED), chance.choice([*[""] * 12, "案9", *CASES])
    place, timeless = chance.choice(PLACES), chance.random() < TIMELESS
    errors_ms = chance.choice([0, 0, 1000]), chance.choice([0, 1000, 2000])
    chapters: list[Description] = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        length_ms = chance.randint(1, 60) * 1000
        problems = chance.choice([(), (), (), ("unreadable-picture",), ("truncated",)])
        shown = None if timeless else shown_ms
        chapters.append(Description(kind, shown, length_ms, offset_ms, *errors_ms, stated, case, place, problems))
        shown_ms += length_ms + chance.choice([0, 0, 1, 2]) * 1000
    return chapters


def _by_hand(chance: random.Random, clips: Sequence[str], actions: Sequence[str]) -> dict[tuple[str, str], str]:
    pairs = [(clip, action) for clip in clips for action in actions]
    chosen = chance.sample(pairs, min(len(pairs), chance.choice([0, 0, 1, 2])))
    return {pair: chance.choice(["link", "part"]) for pair in chosen}

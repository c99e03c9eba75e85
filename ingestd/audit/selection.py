"""Which originals an audit re-reads. Pure: a choice over what signed entries say, which anybody can make again.

Logs are always verified whole; a selection only narrows which objects are read back from the store. Its parts are
joined by «and»; a sample is drawn from what the other parts leave.

**The sample** is a function of a seed and of leaf hashes alone. Each original has the rank SHA-256 over the line
``bwc-sample/v1``, the seed, and the leaf hash of its ``ingest.copied`` entry in hex, each of the three followed by a
newline; the originals with the lowest ranks are the sample (docs/auditors). Whoever fixes the seed beforehand, or draws
it in public, leaves nobody a choice.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ingestd.audit.found import Stored

SAMPLE: Final = "bwc-sample/v1"
_MILLION: Final = 1_000_000
_COUNT: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Sample:
    """How many originals: a ``count``, or ``ppm`` parts of a million of what else was selected, rounded up."""

    text: str
    count: int = 0
    ppm: int = 0

    @classmethod
    def parse(cls, text: str) -> "Sample":
        """``200`` or ``5%`` or ``0.5%``. Raises ``ValueError`` saying what would be right."""
        try:
            if text.endswith("%"):
                ppm = int(Decimal(text[:-1].strip()) * (_MILLION // 100))
                if 0 < ppm <= _MILLION:
                    return cls(text, ppm=ppm)
            elif _COUNT.fullmatch(text) and int(text):
                return cls(text, count=int(text))
        except (InvalidOperation, ValueError, OverflowError):
            pass
        raise ValueError(f"{text!r}: a number of originals such as 200, or a share such as 5%, is needed")

    def size(self, population: int) -> int:
        """How many of so many."""
        return min(population, self.count or -(-population * self.ppm // _MILLION))


@dataclass(frozen=True, slots=True)
class Days:
    """Days in the agency's zone, as asked for, and the moments [``from_ms``, ``until_ms``) that they are."""

    first: str = ""
    last: str = ""
    from_ms: int | None = None
    until_ms: int | None = None

    def hold(self, at_ms: int) -> bool:
        """Whether a moment lies in them."""
        return (self.from_ms is None or self.from_ms <= at_ms) and (self.until_ms is None or at_ms < self.until_ms)


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked for; without any part, everything."""

    clips: tuple[str, ...] = ()
    case: str = ""
    """Clips that the signed centre log links to an action of this case now."""
    unit: str = ""
    officer: str = ""
    people: Collection[str] | None = None
    """Clips that the *database* gives to ``unit`` and ``officer``; None when neither was asked for."""
    days: Days | None = None
    """Of recording, as signed; of docking where the recording's is not known."""
    sample: Sample | None = None
    seed: str = ""
    drawn: bool = False
    """Whether we drew the seed, or were given it."""

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.clips or self.case or self.people is not None or self.days or self.sample)

    def as_json(self) -> dict[str, Any]:
        """What was asked for, by the words of the command line; parts that were not are absent."""
        asked: dict[str, Any] = {"clips": list(self.clips), "case": self.case, "unit": self.unit}
        asked["officer"] = self.officer
        if self.days:
            asked |= {"from": self.days.first, "to": self.days.last}
        if self.sample:
            asked |= {"sample": self.sample.text, "seed": self.seed, "seed_drawn": "yes" if self.drawn else "no"}
        return {name: value for name, value in asked.items() if value}


@dataclass(slots=True)
class Said:
    """What signed entries say that a selection asks about."""

    links: dict[tuple[str, str], str] = field(default_factory=dict)
    """Case by clip and action, while the link stands."""
    starts: dict[tuple[str, str], int] = field(default_factory=dict)
    """Start of the recording, by station and clip."""

    def cases(self) -> Mapping[str, set[str]]:
        """Cases by clip."""
        found: dict[str, set[str]] = {}
        for (object_id, _action), case in self.links.items():
            found.setdefault(object_id, set()).add(case)
        return found


def choose(selection: Selection, originals: Sequence[Stored], said: Said) -> list[Stored]:
    """The originals to re-read, in the order in which they were announced."""
    cases = said.cases() if selection.case else {}

    def wanted(one: Stored) -> bool:
        return (
            (not selection.clips or one.object_id in selection.clips)
            and (not selection.case or selection.case in cases.get(one.object_id, ()))
            and (selection.people is None or one.object_id in selection.people)
            and (selection.days is None or selection.days.hold(_day_of(one, said)))
        )

    chosen = [one for one in originals if wanted(one)]
    return draw(chosen, selection.sample, selection.seed) if selection.sample else chosen


def draw(originals: Sequence[Stored], sample: Sample, seed: str) -> list[Stored]:
    """The sample: the lowest ranks, kept in their order."""
    ranked = sorted(originals, key=lambda one: rank(seed, one.leaf))
    names = {one.name for one in ranked[: sample.size(len(originals))]}
    return [one for one in originals if one.name in names]


def rank(seed: str, leaf: str) -> str:
    """Where an original stands in the lottery, in hex; ``leaf`` in hex too."""
    return hashlib.sha256(f"{SAMPLE}\n{seed}\n{leaf}\n".encode()).hexdigest()


def unknown(selection: Selection, originals: Collection[Stored]) -> list[str]:
    """Clips that were named and that no signed entry announces."""
    return sorted(set(selection.clips) - {one.object_id for one in originals})


def _day_of(one: Stored, said: Said) -> int:
    return said.starts.get((one.station, one.object_id), one.announced_ms)

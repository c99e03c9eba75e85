"""Play many histories and hold what a real centre says against the oracles (``python -m tests.oracles.many 10000``).

Each history comes in an order of its own; every tenth comes in a second order as well. With ``--rooms`` only the pure
rooms are asked, once, with what is true at the end. Prints what was compared; ends with 1 at the first difference and
names the number of the history, which is all that is needed to see it again.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path

from ingestd.relinking import Relinked
from tests.oracles.histories import History, history
from tests.oracles.playing import Ground, played
from tests.oracles.rooms import said
from tests.oracles.verdict import Told, told

SECOND_ORDER = 10


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--rooms", action="store_true", help="ask the pure rooms alone, without a centre")
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="histories-", dir=_memory()) as folder:
        ground = Ground(Path(folder))
        for number in range(options.first, options.first + options.count):
            past, wanted = history(number), told(history(number))
            if options.rooms:
                problem = first_difference(said(past), wanted)
                if problem:
                    print(f"history {number}: {problem}")  # noqa: T201  # a command
                    return 1
                count(seen, past, wanted)
                continue
            for order in (number, -number - 1)[: 1 + (number % SECOND_ORDER == 0)]:
                problem = difference(past, wanted, order, ground)
                if problem:
                    print(f"history {number}, order {order}: {problem}")  # noqa: T201  # a command
                    return 1
                seen["played"] += 1
            count(seen, past, wanted)
    seen["seconds"] = round(time.monotonic() - begun)
    print("\n".join(f"{name:>32}: {number:,}" for name, number in seen.items()))  # noqa: T201  # a command
    return 0


def difference(past: History, wanted: Told, order: int, ground: Ground) -> str:
    """What a centre says otherwise than the oracles, or an empty string."""
    found, again = played(past, order, ground)
    return first_difference(found, wanted) or ("" if again.nothing else f"deciding anew changes {_changed(again)}")


def first_difference(found: Told, wanted: Told) -> str:
    """The first thing that two verdicts say otherwise."""
    for part in fields(Told):
        ours, theirs = getattr(found, part.name), getattr(wanted, part.name)
        if ours != theirs:
            if isinstance(ours, dict):
                ours, theirs = set(ours.items()), set(theirs.items())
            return f"{part.name}: the centre alone {sorted(ours - theirs)}, the oracle alone {sorted(theirs - ours)}"
    return ""


def count(seen: Counter[str], past: History, wanted: Told) -> None:
    """What the histories held: a comparison is worth only what it compared."""
    seen["histories"] += 1
    seen["clips"] += len(past.clips)
    seen["actions"] += len(past.actions)
    seen["ledger entries"] += len(past.assignments)
    again = (*past.clips.values(), *past.actions.values(), *past.assignments.values())
    seen["things said more than once"] += sum(len(versions) > 1 for versions in again)
    seen["links by rule"] += sum(not by_hand for _, _, by_hand in wanted.links)
    seen["links by hand"] += sum(by_hand for _, _, by_hand in wanted.links)
    seen["links undone by hand"] += sum(what == "part" for what in past.by_hand.values())
    seen["suggestions"] += len(wanted.suggestions)
    for _, _, _, reason in wanted.gaps:
        seen[f"gaps, {reason}"] += 1
    for rule, _ in wanted.flags:
        seen[f"flags, {rule}"] += 1


def _changed(again: Relinked) -> str:
    return f"clips {sorted(again.touched_clips)} and actions {sorted(again.touched_actions)}"


def _memory() -> str | None:
    """A folder in memory where there is one: nothing here need survive."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # as tempfile would, but in memory


if __name__ == "__main__":
    sys.exit(main())

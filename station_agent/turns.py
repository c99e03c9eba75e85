"""Whose turn it is: so many recorders at once, never two that the journal cannot tell apart, and so many copies.

Copies of all bays share slots. A slot is lent for ``SHARE_S``, then whoever had least comes next, so that equal loads
end together whatever the order in which they came. A copy that waits for its medium longer than that loses the slot
to whoever waits for one: a slow card costs the others its share and nothing more.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

LOOK_S: Final = 0.2
"""How often one that waits looks whether it was taken out again, and whether a slot is held by one that is stuck."""
SHARE_S: Final = 0.25
"""How long a slot is lent while others wait. Several pieces of any recorder, and short beside any clip."""

Check = Callable[[], None]
"""Asked while waiting; what it raises ends the waiting."""
GoOn = Callable[[Check], None]
"""Called after each piece of a copy; waits until there is a slot for the next."""


class Turns:
    """Which recorders are read. Safe for use by several threads."""

    def __init__(self, most: int) -> None:
        """``most`` recorders are read at once."""
        self._most = most
        self._reading: set[str] = set()
        self._first: list[str] = []
        """Keys of those that wait and come before others."""
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, key: str, check: Check, *, first: bool = False) -> Iterator[None]:
        """Wait for a free place, and for another recorder with this key to be read to its end.

        ``check`` is asked while waiting and once more before the turn begins. Who comes ``first`` does so before all
        that wait, and interrupts none that is read.
        """
        with self._changed:
            self._wait(key, check, first=first)
            self._reading.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._reading.remove(key)
                self._changed.notify_all()

    def _wait(self, key: str, check: Check, *, first: bool) -> None:
        self._first += [key] if first else []
        try:
            while not self._may_begin(key, first=first):
                check()
                self._changed.wait(LOOK_S)
            check()
        finally:
            if first:
                self._first.remove(key)

    def _may_begin(self, key: str, *, first: bool) -> bool:
        goes_before = not first and any(other not in self._reading for other in self._first)
        return len(self._reading) < self._most and key not in self._reading and not goes_before


class Shares:
    """Which copies hold a slot. Pure: the time is told, in seconds of any clock that never goes back.

    A copy is known by its ticket. Bays that are preferred come before all others, then whose bay was served less, then
    who came first.
    """

    def __init__(self, copies: int, priority: Collection[int] = ()) -> None:
        """``copies`` slots in all; bays in ``priority`` are preferred always."""
        self._copies = copies
        self._preferred = Counter(priority)
        self._waiting: dict[int, int] = {}
        """Ticket → bay, in the order in which they came."""
        self._holding: dict[int, _Turn] = {}
        self._served_s: dict[int, float] = {}
        """Bay → seconds for which it held a slot, all its slots together."""

    def ask(self, ticket: int, bay: int, now_s: float) -> None:
        """Wait for a slot. A bay that comes back, or is new, is owed nothing for the time it was away."""
        active = {*self._waiting.values(), *(turn.bay for turn in self._holding.values())}
        if bay not in active:
            least_s = min((self._served_s[other] for other in active), default=0.0)
            self._served_s[bay] = max(self._served_s.get(bay, 0.0), least_s)
        self._waiting[ticket] = bay
        self._admit(now_s)

    def leave(self, ticket: int, now_s: float) -> None:
        """Hold no slot any more, and wait for none."""
        self._waiting.pop(ticket, None)
        self._end_turn(ticket, now_s)
        self._admit(now_s)

    def go_on(self, ticket: int, bay: int, now_s: float) -> bool:
        """A piece was done: whether the copy still holds its slot. If not it waits for another."""
        turn = self._holding.get(ticket)
        if turn and now_s - turn.began_s < SHARE_S:
            turn.seen_s = now_s
            return True
        self._end_turn(ticket, now_s)
        self.ask(ticket, bay, now_s)
        return self.holds(ticket, now_s)

    def holds(self, ticket: int, now_s: float) -> bool:
        """Whether this copy may go on."""
        self._admit(now_s)
        return ticket in self._holding

    def prefer(self, bay: int, by: int) -> None:
        """This bay has so many more reasons to be preferred."""
        self._preferred[bay] += by

    def _admit(self, now_s: float) -> None:
        if self._waiting:
            for ticket in [t for t, turn in self._holding.items() if now_s - turn.seen_s > SHARE_S]:
                self._end_turn(ticket, now_s)
        while self._waiting and len(self._holding) < self._copies:
            ticket = min(self._waiting, key=lambda waiting: self._rank(self._waiting[waiting]))
            self._holding[ticket] = _Turn(self._waiting.pop(ticket), now_s)

    def _rank(self, bay: int) -> tuple[bool, float]:
        return not self._preferred[bay], self._served_s[bay]

    def _end_turn(self, ticket: int, now_s: float) -> None:
        turn = self._holding.pop(ticket, None)
        if turn:
            self._served_s[turn.bay] += now_s - turn.began_s


class _Turn:
    """Of one copy, from getting a slot to losing it."""

    __slots__ = ("bay", "began_s", "seen_s")

    def __init__(self, bay: int, began_s: float) -> None:
        self.bay = bay
        self.began_s = began_s
        self.seen_s = began_s


class Slots:
    """The slots of all bays, for threads."""

    def __init__(self, shares: Shares, now_s: Callable[[], float] = time.monotonic) -> None:
        self._shares = shares
        self._now_s = now_s
        self._tickets = itertools.count()
        self._changed = threading.Condition()

    @contextmanager
    def preferred(self, bay: int) -> Iterator[None]:
        """The copies of this bay go before all others meanwhile."""
        with self._changed:
            self._shares.prefer(bay, 1)
        try:
            yield
        finally:
            with self._changed:
                self._shares.prefer(bay, -1)

    @contextmanager
    def slot(self, bay: int, check: Check) -> Iterator[GoOn]:
        """Wait for a slot. What is given is to be called after each piece, and waits while the slot is others'."""
        ticket = next(self._tickets)
        try:
            with self._changed:
                self._shares.ask(ticket, bay, self._now_s())
                self._wait(ticket, check)
            yield lambda check: self._go_on(ticket, bay, check)
        finally:
            with self._changed:
                self._shares.leave(ticket, self._now_s())
                self._changed.notify_all()

    def _go_on(self, ticket: int, bay: int, check: Check) -> None:
        with self._changed:
            if not self._shares.go_on(ticket, bay, self._now_s()):
                self._changed.notify_all()
                self._wait(ticket, check)

    def _wait(self, ticket: int, check: Check) -> None:
        while not self._shares.holds(ticket, self._now_s()):
            check()
            self._changed.wait(LOOK_S)

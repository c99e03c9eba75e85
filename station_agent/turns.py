"""Whose turn it is to be read: so many recorders at once, and never two that the journal cannot tell apart."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LOOK_S: Final = 0.2
"""How often one that waits looks whether it was taken out again."""


class Turns:
    """Safe for use by several threads."""

    def __init__(self, most: int) -> None:
        """``most`` recorders are read at once."""
        self._most = most
        self._reading: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, key: str, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a free place, and for another recorder with this key to be read to its end.

        ``check`` is asked while waiting and once more before the turn begins; what it raises ends the waiting.
        """
        with self._changed:
            while len(self._reading) >= self._most or key in self._reading:
                check()
                self._changed.wait(LOOK_S)
            check()
            self._reading.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._reading.remove(key)
                self._changed.notify_all()

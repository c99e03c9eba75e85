"""Tells the stations which acts that must be recorded in full begin within a day, so that their screens can say so.

Retained at the broker, one message a station, all with the same acts: an officer takes a recorder wherever there is
one. Made anew every ten minutes, also unchanged, so that its age tells whether the centre still speaks.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import Engine

from custody.plans import MAX_OFFICERS, MAX_TEXT, Act, Plans, seal_plans
from ingestd.errors import CentreError
from ingestd.index.repository import Repository
from ingestd.model import EnforcementAction, Level
from ingestd.pipeline import Pipeline
from ingestd.receive import passes
from ingestd.rules.rule import TypeName

EVERY_S: Final = 600.0
AHEAD_MS: Final = 24 * 3_600_000

_log = structlog.get_logger(__name__)

Publish = Callable[[str, bytes], None]
"""Station and message."""


class Upcoming:
    """Makes the message and hands it on."""

    def __init__(  # noqa: PLR0913  # the composition root names every part
        self,
        engine: Engine,
        pipeline: Pipeline,
        log: str,
        types: Mapping[str, TypeName],
        now_ms: Callable[[], int],
        say: Publish,
    ) -> None:
        """``log`` is the origin of the centre's log; acts are told by the Chinese names of their ``types``."""
        self._engine = engine
        self._pipeline = pipeline
        self._origin = log
        self._types = types
        self._now_ms = now_ms
        self._say = say

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``; a passing failure is left to the next time, any other is raised."""
        while True:
            try:
                self.once()
            except (CentreError, OSError) as error:
                if not passes(error):
                    raise
                _log.warning("plans-wait", error=str(error))
            if stop.wait(EVERY_S):
                return

    def once(self) -> None:
        """One message to every station."""
        now_ms = self._now_ms()
        with self._engine.connect() as connection:
            coming = Repository(connection).plans(now_ms, now_ms + AHEAD_MS)
        data = seal_plans(Plans(self._origin, now_ms, acts_of(coming, self._types)), self._pipeline.signers())
        for station in self._pipeline.stations():
            self._say(station.station, data)


def acts_of(coming: Sequence[EnforcementAction], types: Mapping[str, TypeName]) -> tuple[Act, ...]:
    """Those that must be recorded from start to end, as a message can hold them."""
    return tuple(
        Act(
            one.action_id[:MAX_TEXT],
            (types[one.type].name.zh if one.type in types else one.type)[:MAX_TEXT] or "–",
            one.interval.start_ms,
            one.interval.end_ms,
            tuple(officer[:MAX_TEXT] for officer in one.officers[:MAX_OFFICERS]),
        )
        for one in coming
        if one.level is Level.FULL
    )

"""From facts to flags once more, slow and obvious: the sentence of the law asked of every second of every act."""

from collections.abc import Sequence

from ingestd.model import Clip, EnforcementAction, Level
from tests.oracles.covering import look
from tests.oracles.linking import belongs


def flagged(
    clips: Sequence[Clip], actions: Sequence[EnforcementAction], now_ms: int, grace_ms: int
) -> set[tuple[str, str]]:
    """Rule and action of every flag that the world deserves at ``now_ms``."""
    deserved: set[tuple[str, str]] = set()
    for action in actions:
        if action.level is not Level.FULL or now_ms < action.interval.end_ms + grace_ms:
            continue
        seen = look(action, [clip for clip in clips if action.action_id in belongs(clip, actions)[0]])
        if not seen.nominal:
            deserved.add(("missing-full-process-video", action.action_id))
        elif seen.holes:
            deserved.add(("full-process-gap", action.action_id))
    return deserved

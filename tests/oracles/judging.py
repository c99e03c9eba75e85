"""From facts to flags once more, slow and obvious: the sentence of the law asked of every second of every act."""

from collections.abc import Sequence

from ingestd.model import Clip, EnforcementAction, Level
from tests.oracles.covering import look
from tests.oracles.linking import belongs


def flagged(
    clips: Sequence[Clip], actions: Sequence[EnforcementAction], now_ms: int, grace_ms: int
) -> set[tuple[str, str]]:
    """Rule and action of every flag that the world deserves at ``now_ms``."""
    return {
        (rule, action.action_id)
        for action in actions
        for rule in deserved(action, [c for c in clips if action.action_id in belongs(c, actions)[0]], now_ms, grace_ms)
    }


def deserved(action: EnforcementAction, linked: Sequence[Clip], now_ms: int, grace_ms: int) -> set[str]:
    """Rules that an act breaks to which these clips belong."""
    if action.level is not Level.FULL or now_ms < action.interval.end_ms + grace_ms:
        return set()
    seen = look(action, linked)
    if not seen.nominal:
        return {"missing-full-process-video"}
    return {"full-process-gap"} if seen.holes else set()

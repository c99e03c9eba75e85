"""States of a clip and of a bay, as tables; ``docs/states.md`` is drawn from them.

A clip's state is what must be known to go on after ``kill -9``. A bay's state is what the officer reads;
it never says «may be taken» before the log proves it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from station_agent.errors import JournalError


class ClipState(StrEnum):
    """How far one file of a recorder has come."""

    SEEN = "seen"
    """Listed and recorded in the log; nothing copied yet."""
    COPYING = "copying"
    """An object id and a temporary name are reserved; what the temporary holds proves nothing."""
    COPIED = "copied"
    """Copy read back equal; the digest is journalled, the log entry is not."""
    SEALED = "sealed"
    """The ``ingest.copied`` entry is durable in the log."""
    FAILED = "failed"
    """An ``ingest.failed`` entry says why; tried again at the next docking."""


CLIP_TRANSITIONS: Final[Mapping[tuple[ClipState, str], ClipState]] = {
    (ClipState.SEEN, "reserve"): ClipState.COPYING,
    (ClipState.FAILED, "reserve"): ClipState.COPYING,
    (ClipState.COPYING, "reserve"): ClipState.COPYING,
    (ClipState.COPYING, "copied"): ClipState.COPIED,
    (ClipState.COPIED, "discard"): ClipState.COPYING,
    (ClipState.COPIED, "seal"): ClipState.SEALED,
    (ClipState.SEEN, "fail"): ClipState.FAILED,
    (ClipState.COPYING, "fail"): ClipState.FAILED,
    (ClipState.COPIED, "fail"): ClipState.FAILED,
    (ClipState.FAILED, "fail"): ClipState.FAILED,
}
"""(state, event) → state. Anything else is a fault of ours and stops the agent."""


class BayState(StrEnum):
    """The word on the dock screen."""

    IDLE = "idle"
    IDENTIFYING = "identifying"
    UNREGISTERED = "unregistered"
    READING = "reading"
    VERIFYING = "verifying"
    WAITING_UPLOAD = "waiting-upload"
    SAFE = "safe"
    NO_NEW_DATA = "no-new-data"
    SAFE_WITH_WARNINGS = "safe-with-warnings"
    ERROR = "error"
    PULLED_EARLY = "pulled-early"
    NO_SPACE = "no-space"
    ERASING = "erasing"


MAY_TAKE: Final = frozenset(
    {BayState.WAITING_UPLOAD, BayState.SAFE, BayState.NO_NEW_DATA, BayState.SAFE_WITH_WARNINGS, BayState.UNREGISTERED}
)
"""States in which the recorder may be taken out of the bay."""

_FINISHED: Final = (
    BayState.WAITING_UPLOAD,
    BayState.NO_NEW_DATA,
    BayState.SAFE_WITH_WARNINGS,
    BayState.ERROR,
)

BAY_TRANSITIONS: Final[Mapping[BayState, tuple[BayState, ...]]] = {
    BayState.IDLE: (BayState.IDENTIFYING,),
    BayState.IDENTIFYING: (
        BayState.READING,
        BayState.VERIFYING,
        BayState.NO_SPACE,
        BayState.UNREGISTERED,
        BayState.WAITING_UPLOAD,
        BayState.NO_NEW_DATA,
        BayState.SAFE_WITH_WARNINGS,
        BayState.ERROR,
        BayState.PULLED_EARLY,
        BayState.IDLE,
    ),
    BayState.UNREGISTERED: (BayState.IDLE,),
    BayState.READING: (BayState.VERIFYING, BayState.NO_SPACE, BayState.PULLED_EARLY, *_FINISHED),
    BayState.VERIFYING: (BayState.READING, BayState.NO_SPACE, BayState.PULLED_EARLY, *_FINISHED),
    BayState.NO_SPACE: (BayState.READING, BayState.VERIFYING, BayState.PULLED_EARLY, *_FINISHED),
    BayState.WAITING_UPLOAD: (
        BayState.SAFE,
        BayState.SAFE_WITH_WARNINGS,
        BayState.ERASING,
        BayState.IDLE,
        BayState.IDENTIFYING,
    ),
    BayState.SAFE: (BayState.ERASING, BayState.IDLE, BayState.IDENTIFYING),
    BayState.NO_NEW_DATA: (BayState.SAFE_WITH_WARNINGS, BayState.ERASING, BayState.IDLE, BayState.IDENTIFYING),
    BayState.SAFE_WITH_WARNINGS: (BayState.ERASING, BayState.IDLE, BayState.IDENTIFYING),
    BayState.ERROR: (BayState.ERASING, BayState.IDLE, BayState.IDENTIFYING),
    BayState.PULLED_EARLY: (BayState.IDENTIFYING,),
    BayState.ERASING: (BayState.WAITING_UPLOAD, BayState.ERROR, BayState.IDLE, BayState.IDENTIFYING),
}
"""Bay state → states it may become. A bay whose recorder was pulled early stays so until a recorder is put in."""


def clip_after(state: ClipState, event: str) -> ClipState:
    """State of a clip after ``event``. Raises ``JournalError`` for a transition the table does not have."""
    try:
        return CLIP_TRANSITIONS[state, event]
    except KeyError:
        raise JournalError(f"a clip that is {state} cannot {event}") from None


def bay_after(state: BayState, wanted: BayState) -> BayState:
    """State of a bay that should become ``wanted``. Raises ``JournalError`` for a transition the table lacks."""
    if wanted != state and wanted not in BAY_TRANSITIONS[state]:
        raise JournalError(f"a bay that is {state} cannot become {wanted}")
    return wanted


def diagram() -> str:
    """``docs/states.md``: both tables as Mermaid state diagrams."""
    clip = [f"    {before} --> {after}: {event}" for (before, event), after in CLIP_TRANSITIONS.items()]
    bay = [f"    {_node(b)} --> {_node(a)}" for b, afters in BAY_TRANSITIONS.items() for a in afters]
    words = [f"    {_node(s)}: {s}" for s in BayState]
    take = ", ".join(f"`{s}`" for s in BayState if s in MAY_TAKE)
    return "\n".join(
        [
            "# States",
            "",
            "Drawn from `station_agent/states.py` by `python -m station_agent.states`; a test keeps both equal.",
            "",
            "## A clip",
            "",
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> seen",
            *clip,
            "    sealed --> [*]",
            "```",
            "",
            "## A bay",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *words,
            "    [*] --> idle",
            *bay,
            "```",
            "",
            f"The recorder may be taken out in: {take}.",
            "",
        ]
    )


def _node(state: BayState) -> str:
    return state.replace("-", "_")


if __name__ == "__main__":
    print(diagram(), end="")  # noqa: T201  # the generator's output is the document

"""What a centre must say at the end of a history, from the facts alone: the slow oracles, one after another."""

from dataclasses import dataclass

from ingestd.model import Clip, EnforcementAction, Interval
from tests.fakes.centre_station import NOW_MS
from tests.oracles.covering import look, why
from tests.oracles.histories import GRACE_MS, Description, History
from tests.oracles.judging import deserved
from tests.oracles.linking import belongs
from tests.oracles.wearing import corrected, wearer


@dataclass(frozen=True, slots=True)
class Told:
    """All that a history leads to, by the names it gives to clips and actions; comparable as a whole."""

    officers: dict[str, tuple[str, str]]
    links: set[tuple[str, str, bool]]
    """Clip, action, and whether it was made by hand."""
    suggestions: set[tuple[str, str]]
    covered: dict[str, tuple[int, int]]
    """Nominal and guaranteed coverage of each action, in parts per million."""
    gaps: set[tuple[str, int, int, str]]
    """Action, first second, the second after the last, and the reason."""
    flags: set[tuple[str, str]]
    """Rule and action."""


def told(history: History) -> Told:
    """Ask every oracle."""
    actions = [versions[-1] for versions in history.actions.values()]
    clips = {name: _clip(history, name, versions[-1]) for name, versions in history.clips.items()}
    machine = {name: belongs(clip, actions) for name, clip in clips.items()}
    links = {(clip, action, True) for (clip, action), what in history.by_hand.items() if what == "link"}
    suggestions = set()
    for name, (linked, suggested) in machine.items():
        links |= {(name, action, False) for action in linked if (name, action) not in history.by_hand}
        suggestions |= {(name, action) for action in suggested if (name, action) not in history.by_hand}
    of_action = {a.action_id: [clips[name] for name, action, _ in links if action == a.action_id] for a in actions}
    seen = {a.action_id: look(a, of_action[a.action_id]) for a in actions}
    return Told(
        officers={name: (clip.officer, clip.officer_source) for name, clip in clips.items()},
        links=links,
        suggestions=suggestions,
        covered={a.action_id: _shares(a, seen[a.action_id].nominal, seen[a.action_id].guaranteed) for a in actions},
        gaps={
            (a.action_id, *hole, why(hole, of_action[a.action_id], _issued(history, a)))
            for a in actions
            for hole in seen[a.action_id].holes
        },
        flags={(rule, a.action_id) for a in actions for rule in deserved(a, of_action[a.action_id], NOW_MS, GRACE_MS)},
    )


def _clip(history: History, name: str, said: Description) -> Clip:
    span, unsure_ms = None, 0
    if said.shown_ms is not None:
        start_ms, unsure_ms = corrected(said.shown_ms, said.offset_ms, said.read_error_ms, said.clock_error_ms)
        span = Interval(start_ms, start_ms + said.length_ms)
    recorder = history.recorders[name]
    ledger = [versions[-1] for versions in history.assignments.values() if versions[-1].recorder == recorder]
    officer, source = wearer(span, ledger, said.stated, history.officers)
    return Clip(
        object_id=name,
        station="station-01",
        recorder=recorder,
        kind=said.kind,
        interval=span,
        uncertainty_ms=unsure_ms,
        officer=officer,
        officer_source=source,
        case_stated=said.case,
        place=said.place,
        problems=said.problems,
    )


def _issued(history: History, action: EnforcementAction) -> list | None:  # type: ignore[type-arg]
    if not history.assignments:
        return None
    return [versions[-1] for versions in history.assignments.values() if versions[-1].officer in action.officers]


def _shares(action: EnforcementAction, nominal: set[int], guaranteed: set[int]) -> tuple[int, int]:
    length = action.interval.length_ms // 1000
    return len(nominal) * 1_000_000 // length, len(guaranteed) * 1_000_000 // length

"""What the pure rooms say of a history's last words, without a centre around them: fast enough for very many."""

from ingestd import link
from ingestd.coverage import cover
from ingestd.index.rows import Row, clip_value, interval_of
from ingestd.index.stations import described
from ingestd.model import Clip, Decision
from ingestd.rules import Policy, evaluate
from tests.fakes.centre_station import NOW_MS, media
from tests.oracles.histories import History
from tests.oracles.playing import RULES, media_of
from tests.oracles.verdict import Told

UNMEASURED_MS = 60_000


def said(history: History) -> Told:
    """Ask every room once, with everything that is true at the end."""
    actions = [versions[-1] for versions in history.actions.values()]
    rows = {name: _row(history, name) for name in history.clips}
    clips = {name: clip_value(row) for name, row in rows.items()}
    links = {(clip, action, True) for (clip, action), what in history.by_hand.items() if what == "link"}
    suggestions = set()
    for name, clip in clips.items():
        decision = link.decide(clip, actions) if rows[name]["status"] == "indexed" else Decision()
        links |= {(name, o.action_id, False) for o in decision.links if (name, o.action_id) not in history.by_hand}
        pairs = {(name, one.action_id) for one in decision.suggestions}
        suggestions |= pairs - history.by_hand.keys()
    told = Told(
        officers={name: (clip.officer, clip.officer_source) for name, clip in clips.items()},
        links=links,
        suggestions=suggestions,
        covered={},
        gaps=set(),
        flags=set(),
    )
    ledger = [versions[-1] for versions in history.assignments.values()]
    for act in actions:
        own: list[Clip] = [clips[name] for name, action, _ in links if action == act.action_id]
        found = cover(act, own, [one for one in ledger if one.officer in act.officers] if ledger else None)
        told.covered[act.action_id] = found.nominal_ppm, found.guaranteed_ppm
        for gap in found.gaps:
            span = gap.interval
            told.gaps.add((act.action_id, span.start_ms // 1000, span.end_ms // 1000, gap.reason))
        flags = evaluate(act, found, NOW_MS, Policy())
        told.flags.update((flag.rule, flag.action_id) for flag in flags if flag.rule in RULES)
    return told


def _row(history: History, name: str) -> Row:
    description, recorder = history.clips[name][-1], history.recorders[name]
    row: Row = {
        "object_id": name,
        "station": "station-01",
        "recorder": recorder,
        "verdict": "unchecked",
        **described({**media(None, 0), **media_of(description)}, UNMEASURED_MS),
    }
    issued = [versions[-1] for versions in history.assignments.values()]
    row["officer"], row["officer_source"] = link.resolve_officer(
        recorder, interval_of(row), issued, row["officer_stated"], history.officers
    )
    return row

"""Everything the product can notice: one pure rule a file, and ``RULES``, the ordered list of them.

A rule about an action is a function of the action, its coverage, the present time and the agency's policy. A rule about
integrity is found where the bytes are checked, and its file holds what it means and how its flag is made.
"""

from collections.abc import Collection
from typing import Final

from ingestd.model import Coverage, EnforcementAction, Flag
from ingestd.rules import anchor_missing as _unanchored
from ingestd.rules import calendar_missing as _calendar
from ingestd.rules import checkpoints as _checkpoints
from ingestd.rules import clip_not_arrived as _not_arrived
from ingestd.rules import clock_drift as _clock
from ingestd.rules import clock_reset as _reset
from ingestd.rules import decision_unreviewed as _unreviewed
from ingestd.rules import disclosure_overdue as _disclosure
from ingestd.rules import emergency_approval as _emergency
from ingestd.rules import empty_dock as _empty
from ingestd.rules import identity_conflict as _identity
from ingestd.rules import interruption as _interruption
from ingestd.rules import key_review as _review
from ingestd.rules import late_offload as _late
from ingestd.rules import message_unverifiable as _unverifiable
from ingestd.rules import missing_video as _missing
from ingestd.rules import night_enforcement as _forbidden
from ingestd.rules import night_measure as _unusual
from ingestd.rules import no_ready_recorder as _unready
from ingestd.rules import original_changed as _changed
from ingestd.rules import recorder_not_seen as _unseen
from ingestd.rules import registration_term as _registration
from ingestd.rules import repeated_failures as _repeated
from ingestd.rules import retention_conflict as _retention
from ingestd.rules import review_overdue as _overdue
from ingestd.rules import seizure_term as _seizure
from ingestd.rules import set_aside as _aside
from ingestd.rules import should_record as _should
from ingestd.rules import silent_station as _silent
from ingestd.rules import two_officers as _officers
from ingestd.rules import unlinked_backlog as _backlog
from ingestd.rules import video_gap as _gap
from ingestd.rules import written_record as _written
from ingestd.rules.anchor_missing import anchor_missing
from ingestd.rules.calendar_missing import calendar_missing
from ingestd.rules.clip_not_arrived import SeenFile, clip_not_arrived
from ingestd.rules.facts import Checkpoints, EmergencyMeasure, Registration, Seizure, WrittenRecord
from ingestd.rules.key_review import key_review
from ingestd.rules.message_unverifiable import message_unverifiable
from ingestd.rules.original_changed import original_changed
from ingestd.rules.rule import Policy, Rule, TypeName
from ingestd.rules.set_aside import set_aside
from ingestd.rules.silent_station import silent_station
from ingestd.rules.wording import Both, Inputs, Language

__all__ = [
    "RULES",
    "RULES_BY_ID",
    "Both",
    "Policy",
    "Rule",
    "SeenFile",
    "TypeName",
    "anchor_missing",
    "calendar_missing",
    "clip_not_arrived",
    "evaluate",
    "explain",
    "key_review",
    "message_unverifiable",
    "original_changed",
    "set_aside",
    "silent_station",
]

RULES: Final[tuple[Rule, ...]] = (
    _missing.RULE,
    _gap.RULE,
    _unverifiable.RULE,
    _changed.RULE,
    _not_arrived.RULE,
    _unanchored.RULE,
    _aside.RULE,
    _review.RULE,
    _should.RULE,
    _written.RULE,
    _interruption.RULE,
    _checkpoints.RULE,
    _officers.RULE,
    _forbidden.RULE,
    _unusual.RULE,
    _emergency.RULE,
    _seizure.RULE,
    _registration.RULE,
    _late.RULE,
    _clock.RULE,
    _empty.RULE,
    _repeated.RULE,
    _identity.RULE,
    _silent.RULE,
    _backlog.RULE,
    _retention.RULE,
    _disclosure.RULE,
    _overdue.RULE,
    _unreviewed.RULE,
    _unready.RULE,
    _calendar.RULE,
    _unseen.RULE,
    _reset.RULE,
)
RULES_BY_ID: Final = {rule.rule_id: rule for rule in RULES}

SEIZURE: Final = "seizure"
REGISTRATION: Final = "registration-preservation"
"""Types of the catalogue whose terms run by law."""


def evaluate(
    action: EnforcementAction,
    coverage: Coverage,
    now_ms: int,
    policy: Policy,
    recorders: Collection[str] = (),
) -> list[Flag]:
    """Every flag that the action deserves now, in the order of ``RULES``; ``recorders`` are those of its linked clips.

    A flag of these rules that is not in the answer does not hold (any more).
    """
    return [
        *_missing.missing_video(action, coverage, now_ms, policy),
        *_gap.video_gap(action, coverage, now_ms, policy),
        *_should.should_record(action, coverage, now_ms, policy),
        *_officers.two_officers(action, recorders, now_ms, policy),
        *_forbidden.night_enforcement(action, now_ms, policy, emergency=bool(action.facts.emergency)),
        *_unusual.night_measure(action, now_ms, policy),
        *_by_register(action, coverage, now_ms, policy),
    ]


def _by_register(action: EnforcementAction, coverage: Coverage, now_ms: int, policy: Policy) -> list[Flag]:
    """What follows from what the register says of an act; where it says nothing, nothing does."""
    facts, start_ms = action.facts, action.interval.start_ms
    found: list[Flag] = []
    if facts.written is not None:
        found += _written.written_record(WrittenRecord(action, facts.written), coverage, now_ms, policy)
    steps = policy.type_of(action).steps
    if facts.evidenced is not None and steps:
        shown = Checkpoints(action, tuple(steps), frozenset(facts.evidenced))
        found += _checkpoints.checkpoints(shown, now_ms, policy)
    if facts.emergency and action.type in policy.measure_types:
        found += _emergency.emergency_approval(EmergencyMeasure(action, start_ms, facts.approved_ms), now_ms, policy)
    followed = facts.pending or facts.decided_ms is not None
    if followed and action.type == SEIZURE:
        seizure = Seizure(action, start_ms, bool(facts.extended), facts.excluded_days or 0, facts.decided_ms)
        found += _seizure.seizure_term(seizure, now_ms, policy)
    if followed and action.type == REGISTRATION:
        found += _registration.registration_term(Registration(action, start_ms, facts.decided_ms), now_ms, policy)
    return found


def explain(rule_id: str, inputs: Inputs, language: Language) -> str:
    """The sentence of a flag again, in one language. Raises ``KeyError`` for a rule this version does not have."""
    return RULES_BY_ID[rule_id].say(inputs, language)

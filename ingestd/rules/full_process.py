"""What the rules about full-process recording (全程音像记录) share."""

from typing import Final

from custody.canonical import JsonValue
from ingestd.model import Coverage, EnforcementAction, Gap, Level
from ingestd.rules.act import act_inputs
from ingestd.rules.rule import Policy, asked

FULL_PROCESS_ARTICLE: Final = "运政办〔2019〕3号 一（二）2"
"""The city's plan; an entry of the catalogue may name the law beside it."""

MAX_GAPS_KEPT: Final = 200
"""Gaps written into a flag; it is a signed log entry and must stay small. All are counted."""


def due_ms(action: EnforcementAction, policy: Policy) -> int:
    """When the footage of the act should have come in."""
    return action.interval.end_ms + policy.grace_ms


def is_due(action: EnforcementAction, now_ms: int, policy: Policy) -> bool:
    """Whether the act must be on video in full and its footage should have come in by now."""
    return action.level is Level.FULL and now_ms >= due_ms(action, policy)


def inputs_of(action: EnforcementAction, coverage: Coverage, policy: Policy) -> dict[str, JsonValue]:
    """The facts the decision rests on, since when it holds, and by when it is to be answered."""
    since_ms = due_ms(action, policy)
    return {
        **act_inputs(action, policy),
        **asked(since_ms, policy.answer_by(since_ms), policy),
        "grace_s": policy.grace_ms // 1000,
        "tolerated_gap_millis": action.tolerated_gap_ms,
        "nominal_ppm": coverage.nominal_ppm,
        "guaranteed_ppm": coverage.guaranteed_ppm,
        "clip_count": len(coverage.clips),
        "gap_count": len(coverage.gaps),
        "gaps": [_gap(gap) for gap in coverage.gaps[:MAX_GAPS_KEPT]],
    }


def _gap(gap: Gap) -> dict[str, JsonValue]:
    return {"start_ms": gap.interval.start_ms, "end_ms": gap.interval.end_ms, "reason": gap.reason}

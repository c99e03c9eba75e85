"""What the rules about full-process recording (全程音像记录) share."""

import json
from collections.abc import Sequence
from typing import Final

from custody.canonical import JsonValue
from ingestd.model import Coverage, EnforcementAction, Gap, Level
from ingestd.rules.rule import Policy

FULL_PROCESS_ARTICLE: Final = "运政办〔2019〕3号 一（二）2"
"""The city's plan; an entry of the catalogue may name the law beside it."""

MAX_GAPS_KEPT: Final = 200
"""Gaps written into a flag; it is a signed log entry and must stay small. All are counted."""


MAX_OFFICERS_BYTES: Final = 4_000
"""Names of officers written into a flag, as JSON; the act itself keeps all."""


def is_due(action: EnforcementAction, now_ms: int, policy: Policy) -> bool:
    """Whether the act must be on video in full and its footage should have come in by now."""
    return action.level is Level.FULL and now_ms >= action.interval.end_ms + policy.grace_ms


def inputs_of(action: EnforcementAction, coverage: Coverage, policy: Policy) -> dict[str, JsonValue]:
    """The facts the decision rests on. No present time is among them: the same facts make the same flag for ever."""
    name = policy.type_of(action).name
    return {
        "action": action.action_id,
        "case": action.case,
        "type": action.type,
        "type_zh": name.zh,
        "type_en": name.en,
        "level": action.level.value,
        "officers": _officers(action.officers),
        "start_ms": action.interval.start_ms,
        "end_ms": action.interval.end_ms,
        "zone": policy.zone.key,
        "grace_s": policy.grace_ms // 1000,
        "tolerated_gap_millis": action.tolerated_gap_ms,
        "nominal_ppm": coverage.nominal_ppm,
        "guaranteed_ppm": coverage.guaranteed_ppm,
        "clip_count": len(coverage.clips),
        "gap_count": len(coverage.gaps),
        "gaps": [_gap(gap) for gap in coverage.gaps[:MAX_GAPS_KEPT]],
    }


def _officers(officers: Sequence[str]) -> list[JsonValue]:
    """As many as there is room for; where that is not all, the last item says how many there are."""
    kept: list[JsonValue] = []
    room = MAX_OFFICERS_BYTES
    for officer in officers:
        room -= len(json.dumps(officer, ensure_ascii=False).encode()) + 1
        if room < 0:
            return [*kept, f"…（{len(officers)}）"]
        kept.append(officer)
    return kept


def _gap(gap: Gap) -> dict[str, JsonValue]:
    return {"start_ms": gap.interval.start_ms, "end_ms": gap.interval.end_ms, "reason": gap.reason}

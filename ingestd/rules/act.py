"""What the rules about one enforcement act share."""

import json
from collections.abc import Sequence
from typing import Final

from custody.canonical import JsonValue
from ingestd.calendar_cn import Deadline
from ingestd.model import EnforcementAction, Flag
from ingestd.rules.rule import Policy, Rule, asked

MAX_OFFICERS_BYTES: Final = 4_000
"""Names of officers written into a flag, as JSON; the act itself keeps all."""


def act_inputs(action: EnforcementAction, policy: Policy) -> dict[str, JsonValue]:
    """The act as a flag names it. No present time is among it: the same facts make the same flag for ever."""
    name = policy.type_of(action).name
    return {
        "action": action.action_id,
        "case": action.case,
        "type": action.type,
        "type_zh": name.zh,
        "type_en": name.en,
        "level": action.level.value,
        "officers": officers_inputs(action.officers),
        "start_ms": action.interval.start_ms,
        "end_ms": action.interval.end_ms,
        "zone": policy.zone.key,
    }


def about_act(  # noqa: PLR0913  # a flag is all of this
    rule: Rule,
    action: EnforcementAction,
    since_ms: int,
    policy: Policy,
    more: dict[str, JsonValue],
    *,
    by: Deadline | None = None,
    article: str = "",
) -> Flag:
    """The one flag of a rule about an act; without ``by``, to be answered within the agency's days."""
    by = by or policy.answer_by(since_ms)
    inputs = {**act_inputs(action, policy), **more, **asked(since_ms, by, policy)}
    return rule.flag(action.action_id, inputs, action_id=action.action_id, case=action.case, article=article)


def officers_inputs(officers: Sequence[str]) -> list[JsonValue]:
    """As many as there is room for; where that is not all, the last item says how many there are."""
    kept: list[JsonValue] = []
    room = MAX_OFFICERS_BYTES
    for officer in officers:
        room -= len(json.dumps(officer, ensure_ascii=False).encode()) + 1
        if room < 0:
            return [*kept, f"…（{len(officers)}）"]
        kept.append(officer)
    return kept

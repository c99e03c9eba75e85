"""What every rule has in common: who it is, what it asks, and how it says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.model import EnforcementAction, Flag
from ingestd.rules.wording import Both, Inputs, Language, spoken

HOUR_MS: Final = 60 * 60 * 1000
MAX_SHOWN: Final = 500
"""Longest text of a stranger's that a flag repeats, in characters: a flag has to fit into a signed entry."""


@dataclass(frozen=True, slots=True)
class TypeName:
    """What a flag says of an action's type: its names and the articles that ask for the recording."""

    name: Both
    article: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the agency has settled and a rule needs to know."""

    grace_ms: int = 24 * HOUR_MS
    """Nobody is asked for footage before this long after the action ended (upload within 24 h: a Liaoning police rule
    of 2015, taken as a default and not as law)."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    """Zone in which people read times."""
    types: Mapping[str, TypeName] = field(default_factory=dict)
    """Names and articles by action type; a type that is not here is called by its identifier."""

    def type_of(self, action: EnforcementAction) -> TypeName:
        """Name and articles of the action's type."""
        return self.types.get(action.type) or TypeName(Both(action.type, action.type))


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the product can notice, as a lawyer reads it."""

    rule_id: str
    version: str
    title: Both
    asks: Both
    """What the law or the agency asks, in one sentence."""
    noticed: Both
    """When the flag is raised and when it goes away, in one sentence."""
    sentence: Both
    """What one flag says; names in braces are filled in from the flag's inputs."""
    acts: Both
    """Who has to do what."""
    article: str

    def flag(self, key: str, inputs: Inputs, *, action_id: str = "", case: str = "", article: str = "") -> Flag:
        """A flag of this rule; its detail is the sentence in both languages, Chinese first."""
        return Flag(
            rule=self.rule_id,
            rule_version=self.version,
            key=key,
            action_id=action_id,
            case=case,
            article=article or self.article,
            detail=f"{self.say(inputs, 'zh')} {self.say(inputs, 'en')}",
            inputs=inputs,
        )

    def say(self, inputs: Inputs, language: Language) -> str:
        """The rule's sentence about these inputs."""
        return self.sentence.in_language(language).format_map(spoken(inputs, language))

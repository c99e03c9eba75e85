"""What every rule has in common: who it is, what it asks, and how it says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from custody.canonical import JsonValue
from ingestd.calendar_cn import Calendar, Deadline
from ingestd.model import EnforcementAction, Flag
from ingestd.rules.wording import Both, Inputs, Language, Spoken

HOUR_MS: Final = 60 * 60 * 1000
DAY_MS: Final = 24 * HOUR_MS
MAX_SHOWN: Final = 500
"""Longest text of a stranger's that a flag repeats, in characters: a flag has to fit into a signed entry."""


@dataclass(frozen=True, slots=True)
class TypeName:
    """What a flag says of an action's type: its names and the articles that ask for the recording."""

    name: Both
    article: str = ""
    steps: Mapping[str, Both] = field(default_factory=dict)
    """What has to be shown of such an act, by checkpoint."""


class Weight(StrEnum):
    """What a flag asks of people."""

    DUTY = "duty"
    """Somebody has to explain or to act, by a day."""
    NOTICE = "notice"
    """Something to look at; nobody is in breach of anything because of it (提示)."""


COERCIVE_ENFORCEMENT: Final = frozenset({"demolition", "compulsory-enforcement"})
"""Types of the default catalogue that are 行政强制执行 (行政强制法 第十二条)."""
COERCIVE_MEASURES: Final = frozenset({"seizure", "compulsory-measure", "personal-liberty"})
"""Types of the default catalogue that are 行政强制措施 (行政强制法 第九条)."""
INQUIRIES: Final = frozenset({"inspection", "investigation", "registration-preservation", "sampling"})
"""Types of the default catalogue that are 调查、检查 (行政处罚法 第五十五条、第五十六条)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the agency has settled and a rule needs to know. Days are working days where a name says so."""

    grace_ms: int = 24 * HOUR_MS
    """Nobody is asked for footage before this long after the action ended (upload within 24 h: a Liaoning police rule
    of 2015, taken as a default and not as law)."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    """Zone in which people read times."""
    types: Mapping[str, TypeName] = field(default_factory=dict)
    """Names and articles by action type; a type that is not here is called by its identifier."""
    earlier: tuple[tuple[int, Mapping[str, TypeName]], ...] = ()
    """The same of earlier catalogues, each for acts that began before that moment; oldest first."""

    calendar: Calendar = field(default_factory=Calendar)
    """Working days and statutory holidays."""
    answer_working_days: int = 5
    """Within which a flag is to be answered, from the day it holds; the agency's own figure, no law names one."""
    night_from_hour: int = 22
    """Night begins; no source defines 夜间 for 行政强制法 第四十三条, so the agency says."""
    night_until_hour: int = 6
    """Night ends."""
    enforcement_types: frozenset[str] = COERCIVE_ENFORCEMENT
    measure_types: frozenset[str] = COERCIVE_MEASURES
    inquiry_types: frozenset[str] = INQUIRIES
    offload_ms: int = 24 * HOUR_MS
    """Footage is handed in within this after it was taken (a Liaoning police rule of 2015; a default, not law)."""
    drift_ms_per_day: int = 3_000
    """Most that a recorder's clock may gain or lose in a day (GA/T 947.2 as quoted by third parties)."""
    offset_ms: int = 60_000
    """Most that a recorder's clock may be off at the dock; the agency's own figure."""
    unmeasured_clock_ms: int = 60_000
    """How far a clock may be off that nobody measured or disciplined; the agency's own figure."""
    silent_ms: int = 7 * DAY_MS
    """A station that sends nothing for longer is silent; the agency's own figure."""
    unseen_ms: int = 7 * DAY_MS
    """A recorder that somebody holds is docked at least this often; the agency's own figure."""
    backlog_ms: int = 7 * DAY_MS
    """A clip that belongs to no act for longer is backlog; the agency's own figure."""
    failures: int = 2
    """From this many failures to show the certificate or to inform on, an officer is listed. The city's plan says
    违反两次以上, in which 以上 normally includes the figure."""
    keep_days: int = 183
    """Calendar days that every original is kept at least (公安机关现场执法视音频记录工作规定 第十三条)."""
    seizure_days: int = 30
    seizure_extension_days: int = 30
    """Calendar days (行政强制法 第二十五条)."""
    seizure_reminder_days: int = 5
    """Calendar days before a seizure ends from which on it is told; the agency's own figure."""
    registration_working_days: int = 7
    """行政处罚法 第五十六条、第八十五条."""
    disclosure_working_days: int = 20
    penalty_disclosure_working_days: int = 7
    withdrawal_working_days: int = 3
    """运政办〔2019〕3号 一（一）4；行政处罚法 第四十八条、第八十五条."""
    review_working_days: int = 5
    review_extension_working_days: int = 3
    """Local rules differ: 5 (玉环市坎门), or 7 and 3 more (辽宁省); the city's plan names no figure."""
    ready_ms: int = 24 * HOUR_MS
    """How long before a planned act its recorders are asked after; the agency's own figure."""

    def day(self, at_ms: int) -> date:
        """The day of a moment, where people read times."""
        return datetime.fromtimestamp(at_ms // 1000, self.zone).date()

    def begins_ms(self, day: date) -> int:
        """When a day begins, where people read times; milliseconds since 1970 UTC."""
        return int(datetime.combine(day, time(), self.zone).timestamp()) * 1000

    def answer_by(self, since_ms: int) -> Deadline:
        """Until when something that holds since ``since_ms`` is to be answered."""
        return self.calendar.working_day_after(self.day(since_ms), self.answer_working_days)

    def is_over(self, deadline: Deadline, now_ms: int) -> bool:
        """Whether the last day of a period has passed."""
        return self.day(now_ms) > deadline.day

    def step(self, action: EnforcementAction, step: str) -> Both:
        """A step as people call it."""
        return self.type_of(action).steps.get(step, Both(step, step))

    def type_of(self, action: EnforcementAction) -> TypeName:
        """Name and articles of the action's type."""
        began_ms = action.interval.start_ms
        types = next((types for until_ms, types in self.earlier if began_ms < until_ms), self.types)
        return types.get(action.type) or self.types.get(action.type) or TypeName(Both(action.type, action.type))


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
    weight: Weight = Weight.DUTY

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
        """The rule's sentence about these inputs, and by when it is to be answered if they say so."""
        words = Spoken(inputs, language)
        told = self.sentence.in_language(language).format_map(words)
        if "by" not in words:
            return told
        return told + (f"应于 {words['by']} 前处理。" if language == "zh" else f" To be dealt with by {words['by']}.")


def asked(since_ms: int, by: Deadline, policy: Policy) -> dict[str, JsonValue]:
    """Inputs that say since when a flag holds and by when it is to be dealt with; 暂定 where the calendar is open."""
    day = by.day.isoformat()
    return {
        "since_ms": since_ms,
        "by": day,
        "by_zh": f"{day}（暂定：日历未发布）" if by.provisional else day,
        "by_en": f"{day} (provisional: no notice of holidays yet)" if by.provisional else day,
        "by_calendar": "provisional" if by.provisional else "published",
        "zone": policy.zone.key,
    }

"""How a flag's inputs are spoken, in either language.

The name of an input says what it is: ``…_ms`` a moment (told in the zone the inputs name), ``…_ppm`` a share, ``…_s`` a
length of time, ``gaps`` a list of gaps, ``X_zh`` beside ``X_en`` one word ``X`` in two languages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from custody.canonical import JsonValue

Language = Literal["zh", "en"]
"""The users' languages; Chinese comes first."""
Inputs = Mapping[str, JsonValue]

MAX_GAPS_SPOKEN: Final = 5
"""More gaps than this are counted instead of listed: a sentence is for reading."""


@dataclass(frozen=True, slots=True)
class Both:
    """One text in both languages."""

    zh: str
    en: str

    def in_language(self, language: Language) -> str:
        """The text in one language."""
        return self.zh if language == "zh" else self.en


REASONS: Final = {
    "no-clip": Both("无录像", "no clip"),
    "original-not-as-recorded": Both("原始文件缺失、被改动或无法读取", "original missing, altered or unreadable"),
    "unusable-picture": Both("画面不可用", "unusable picture"),
    "clip-truncated": Both("录像中断或截断", "clip truncated"),
    "recorder-missing": Both("未领用记录仪", "no recorder issued"),
}
"""Why a gap is there, by ``Gap.reason``."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Every input as text in one language, for ``str.format_map``: only what a sentence names is put into words.

    Of a pair ``X_zh`` and ``X_en`` the right one also stands as ``X``. What is not there raises ``KeyError``.
    """

    inputs: Inputs
    language: Language

    def __contains__(self, name: str) -> bool:
        return name in self.inputs or self._translated(name) in self.inputs

    def __getitem__(self, name: str) -> str:
        translated = self._translated(name)
        given = translated if translated in self.inputs else name
        value = self.inputs[given]
        if isinstance(value, str):
            return value or "—"
        return _spoken_value(given, value, ZoneInfo(str(self.inputs.get("zone") or "UTC")), self.language)

    def _translated(self, name: str) -> str:
        return f"{name}_{self.language}"


def moment(at_ms: int, zone: ZoneInfo) -> str:
    """A moment as people of that zone write it, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, zone).replace(tzinfo=None).isoformat(" ")


def share(ppm: int) -> str:
    """A share in per cent with one decimal, rounded down: only the whole is 100.0 %."""
    return f"{ppm // 10_000}.{ppm // 1_000 % 10}%"


def length(seconds: int, language: Language) -> str:
    """A length of time in the largest units that leave nothing out."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    units = ("小时", "分", "秒") if language == "zh" else (" h", " min", " s")
    parts = [f"{number}{unit}" for number, unit in zip((hours, minutes, rest), units, strict=True) if number]
    return ("" if language == "zh" else " ").join(parts) or f"0{units[2]}"


def _spoken_value(name: str, value: JsonValue, zone: ZoneInfo, language: Language) -> str:
    if isinstance(value, int):
        return _spoken_number(name, value, zone, language)
    if isinstance(value, Sequence):
        if name == "gaps":
            return _gaps(value, zone, language)
        return ("、" if language == "zh" else ", ").join(str(item) for item in value) or "—"
    return str(value) if value else "—"


def _spoken_number(name: str, value: int, zone: ZoneInfo, language: Language) -> str:
    if name.endswith("_ppm"):
        return share(value)
    if name.endswith("_ms"):
        return moment(value, zone)
    return length(value, language) if name.endswith("_s") else str(value)


def _gaps(gaps: Sequence[JsonValue], zone: ZoneInfo, language: Language) -> str:
    told = [_gap(gap, zone, language) for gap in gaps[:MAX_GAPS_SPOKEN] if isinstance(gap, Mapping)]
    if len(gaps) > len(told):
        told.append("……" if language == "zh" else "…")
    return ("；" if language == "zh" else "; ").join(told)


def _gap(gap: Mapping[str, JsonValue], zone: ZoneInfo, language: Language) -> str:
    start_ms, end_ms = _whole(gap.get("start_ms")), _whole(gap.get("end_ms"))
    start, end = moment(start_ms, zone), moment(end_ms, zone)
    shown_end = end.split(" ")[1] if end.startswith(start.split(" ", maxsplit=1)[0]) else end
    reason = str(gap.get("reason", ""))
    why = REASONS[reason].in_language(language) if reason in REASONS else reason
    lasts = length((end_ms - start_ms + 500) // 1000, language)
    return f"{start}–{shown_end}（{lasts}，{why}）" if language == "zh" else f"{start}–{shown_end} ({lasts}, {why})"


def _whole(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0

"""What of a decision may be published, decided field by field and fail closed: what no rule lets out stays in.

A natural person is masked wherever the name stands in a published text, and so is every run of digits that may be an
identity card, a telephone or an account (个人信息保护法 第四条、第二十八条; 行政处罚法 第四十八条).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from ingestd.disclosure.decide import KINDS, Kind, PartyKind
from ingestd.index.rows import Row
from ingestd.rules.wording import Both

FIELDS: Final[Mapping[str, Both]] = {
    "case": Both("案号", "Case number"),
    "agency": Both("执法机关", "Agency"),
    "unit": Both("执法单位", "Unit"),
    "party": Both("执法对象", "Party"),
    "kind": Both("执法类别", "Kind"),
    "title": Both("案由", "Subject"),
    "conclusion": Both("执法结论", "Conclusion"),
    "made": Both("决定日期", "Date of decision"),
}
"""Everything that may be published at all; the configuration chooses among these."""
MASK: Final = "＊＊＊"
UNSAID: Final = "（不予公开）"
"""Stands for a text that could not be made fit to be published."""
_NUMBERS: Final = re.compile(r"\d(?:[\s\-‐-―－]?\d){6,}[Xx]?")
_BETWEEN: Final = re.compile(r"[\s·•・‧.]")
"""What may stand between the characters of a name."""
_WIDE: Final = 0xFEE0
"""From an ASCII character to its full-width form (Unicode, block FF00)."""
_MOST_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Settled:
    """What the agency has settled: which fields, whose name stands over them, where days are counted."""

    fields: tuple[str, ...]
    agency: str
    zone: ZoneInfo


def is_public(row: Row) -> bool:
    """Whether anything of a decision may stand on the site: it is not withheld, and it still stands."""
    return not row["withheld"] and row["withdrawn_ms"] is None


def public(row: Row, settled: Settled) -> dict[str, str]:
    """The published fields of a decision that ``is_public``, in their order."""
    person = row["party"].strip() if row["party_kind"] != PartyKind.ORGANISATION else ""
    told = {
        "case": row["case_number"],
        "agency": settled.agency,
        "unit": row["unit"],
        "party": masked(person) if person else _without_numbers(row["party"]),
        "kind": KINDS[Kind(row["kind"])].zh if row["kind"] in set(Kind) else KINDS[Kind.OTHER].zh,
        "title": clean(row["title"], person),
        "conclusion": clean(row["conclusion"], person),
        "made": f"{datetime.fromtimestamp(row['made_ms'] // 1000, UTC).astimezone(settled.zone):%Y-%m-%d}",
    }
    return {name: told[name] for name in FIELDS if name in settled.fields}


def masked(name: str) -> str:
    """A person's name as it may be published: the first character and 某; another word where that would tell it."""
    plain = name.strip()
    words = (f"{plain[:1]}某" if len(plain) > 1 else "某", "当事人", MASK)
    return next((word for word in words if plain and not _tells(word, plain)), MASK)


def clean(text: str, person: str) -> str:
    """A text without the person's name and without long numbers; ``UNSAID`` when that cannot be reached."""
    told = _without_numbers(text)
    for _ in range(_MOST_ROUNDS):
        if not person or not _tells(told, person):
            return told
        told = re.sub(_loosely(person), masked(person), told)
    return UNSAID


def _tells(text: str, person: str) -> bool:
    return re.search(_loosely(person), text) is not None


def _loosely(person: str) -> str:
    """A name however it is spaced, dotted, cased or wide: 张 三 is 张三, ＬＩ ｍｉｎｇ is Li Ming."""
    plain = (char for char in unicodedata.normalize("NFKC", person) if not _BETWEEN.match(char))
    return f"{_BETWEEN.pattern}*".join(f"[{''.join(map(re.escape, _spellings(char)))}]" for char in plain)


def _spellings(char: str) -> list[str]:
    """One character in either case and width."""
    cased = {char, *(one for one in (char.lower(), char.upper()) if len(one) == 1)}
    return sorted(cased | {chr(ord(one) + _WIDE) for one in cased if "!" <= one <= "~"})


def _without_numbers(text: str) -> str:
    """Runs of seven digits and more, spaced or hyphened, are masked, but for dates, which people need to read."""
    return _NUMBERS.sub(lambda found: found[0] if _is_date(found[0]) else MASK, text)


def _is_date(text: str) -> bool:
    try:
        return bool(datetime.strptime(text, "%Y-%m-%d"))  # noqa: DTZ007  # only the form is asked
    except ValueError:
        return False


def newest_first(rows: Iterable[Row]) -> list[Row]:
    """Decisions in the order of the site."""
    return sorted(rows, key=lambda row: (-row["made_ms"], row["decision_id"]))

"""One field's text to its value, or one sentence saying what would be right."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

from ingestd.rules.wording import Both

MAX_TEXT: Final = 200
"""Longest name, number or title we keep, in characters; longer is a slip of the column."""
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2100
"""Years outside are slips of the keyboard: no footage is older, no action is planned further ahead."""
MAX_RADIUS_M: Final = 100_000
MAX_DAYS: Final = 3_660

_TIME: Final = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})日?(?:[Tt]|\s)\s*"
    r"(?P<hour>\d{1,2})[:时](?P<minute>\d{1,2})分?(?::?(?P<second>\d{1,2})秒?(?:\.(?P<fraction>\d{1,9}))?)?\s*"
    r"(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?"
)
_DAY: Final = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})日?(?:[Tt ]0{1,2}:00(?::00)?)?"
)
"""A spreadsheet writes a day as its midnight."""
_SPOILT_BY_SPREADSHEET: Final = re.compile(r"\d(?:\.\d+)?E\+?\d+", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"[;；、,，\n]")
_BETWEEN_NAMES: Final = re.compile(r"[;；\n]")
_INVISIBLE: Final = "\ufeff\u200b\u200e\u200f"


class FieldError(Exception):
    """A field does not hold what its column asks; ``reason`` says what would be right, in both languages."""

    def __init__(self, reason: Both) -> None:
        super().__init__(reason.en)
        self.reason = reason


def text(raw: str) -> str:
    """Trimmed text without control characters. Raises ``FieldError``."""
    plain = raw.strip().strip(_INVISIBLE).strip()
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in plain):
        raise FieldError(
            Both("含有控制字符或不可见字符，请删除后重试。", "It holds control or invisible characters; remove them.")
        )
    if len(plain) > MAX_TEXT:
        raise FieldError(Both(f"过长，最多 {MAX_TEXT} 个字符。", f"It is too long; at most {MAX_TEXT} characters."))
    return plain


def identifier(raw: str) -> str:
    """Text that names one thing; full-width digits and letters become plain ones. Raises ``FieldError``."""
    plain = _plain_width(text(raw))
    if _SPOILT_BY_SPREADSHEET.fullmatch(plain):
        raise FieldError(
            Both(
                "编号已被表格软件改成科学计数法，请将该列设为文本格式后重新填写。",
                "A spreadsheet turned this number into an exponent; set the column to text and enter it again.",
            )
        )
    return plain


def identifiers(raw: str) -> tuple[str, ...]:
    """Several identifiers separated by ``; ； 、 , ，`` or a line break, each once, in their order.

    Raises ``FieldError``, also when nothing stands between the separators.
    """
    parts = (identifier(part) for part in _SEPARATORS.split(raw))
    found = tuple(dict.fromkeys(part for part in parts if part))
    if not found:
        raise FieldError(Both("没有可用的编号。", "There is no number in it."))
    return found


def names(raw: str) -> tuple[str, ...]:
    """Several names, which may hold commas, separated by ``; ；`` or a line break. Raises ``FieldError``."""
    found = tuple(dict.fromkeys(name for part in _BETWEEN_NAMES.split(raw) if (name := text(part))))
    if not found:
        raise FieldError(Both("没有可用的名称。", "There is no name in it."))
    return found


def time_ms(raw: str, zone: tzinfo) -> int:
    """Milliseconds since 1970 UTC; a time without a zone is one of ``zone``. Raises ``FieldError``."""
    match = _TIME.fullmatch(_plain_width(text(raw)))
    if match is None:
        raise FieldError(_TIME_FORMAT)
    try:
        moment = _moment(match, zone)
    except ValueError as error:
        raise FieldError(_NO_SUCH_TIME) from error
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        years = f"{FIRST_YEAR}–{LAST_YEAR}"
        raise FieldError(Both(f"年份应在 {years} 之间。", f"The year should be within {years}."))
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def day_end_ms(raw: str, zone: tzinfo) -> int:
    """The end of a day in ``zone``, milliseconds since 1970 UTC. Raises ``FieldError``."""
    match = _DAY.fullmatch(_plain_width(text(raw)))
    if match is None:
        raise FieldError(_DAY_FORMAT)
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=zone)
    except ValueError as error:
        raise FieldError(_NO_SUCH_TIME) from error
    return ((day + timedelta(days=1)).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def degrees_e7(raw: str, limit: int) -> int:
    """Degrees times 10^7, at most ``limit`` degrees either way. Raises ``FieldError``."""
    try:
        value = Decimal(_plain_width(text(raw)))
    except InvalidOperation as error:
        raise FieldError(_degrees_format(limit)) from error
    if not value.is_finite() or abs(value) > limit:
        raise FieldError(_degrees_format(limit))
    return int((value * 10**7).to_integral_value())


def metres(raw: str) -> int:
    """Whole metres from 0 to ``MAX_RADIUS_M``. Raises ``FieldError``."""
    plain = _plain_width(text(raw)).removesuffix("米").removesuffix("m").strip()
    if not re.fullmatch(r"[0-9]{1,6}", plain) or int(plain) > MAX_RADIUS_M:
        raise FieldError(
            Both(f"应为 0 到 {MAX_RADIUS_M} 的整数（米）。", f"It should be whole metres from 0 to {MAX_RADIUS_M}.")
        )
    return int(plain)


def days(raw: str) -> int:
    """Whole days from 0 to ``MAX_DAYS``. Raises ``FieldError``."""
    plain = _plain_width(text(raw)).removesuffix("天").removesuffix("日").strip()
    if not re.fullmatch(r"[0-9]{1,4}", plain) or int(plain) > MAX_DAYS:
        raise FieldError(Both(f"应为 0 到 {MAX_DAYS} 的整数（日）。", f"It should be whole days from 0 to {MAX_DAYS}."))
    return int(plain)


def yes(raw: str) -> bool:
    """Yes or no, in either language. Raises ``FieldError``."""
    plain = _plain_width(text(raw)).casefold()
    if plain not in _YES | _NO:
        raise FieldError(Both("应为“是”或“否”。", "It should be yes or no."))
    return plain in _YES


def is_none(raw: str) -> bool:
    """Whether a list is said to be empty, which an empty field does not say."""
    return _plain_width(raw).strip().casefold() in _NONE


def is_pending(raw: str) -> bool:
    """Whether a field says that something has not happened yet."""
    return _plain_width(text(raw)).casefold() in _PENDING


_YES: Final = frozenset({"是", "有", "完整", "已", "yes", "y", "true", "1", "√"})
_NO: Final = frozenset({"否", "无", "不完整", "未", "no", "n", "false", "0", "×"})
_PENDING: Final = frozenset({"未决定", "未处理", "待定", "pending", "open", "not yet"})
_NONE: Final = frozenset({"无", "没有", "none"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_FORMAT: Final = Both(
    "不是可识别的时间，应写作 2026-11-22 09:30 或 2026-11-22T09:30:00+08:00。",
    "It is not a time; write 2026-11-22 09:30 or 2026-11-22T09:30:00+08:00.",
)
_DAY_FORMAT: Final = Both("不是可识别的日期，应写作 2026-11-22。", "It is not a day; write 2026-11-22.")
_NO_SUCH_TIME: Final = Both("没有这样的日期或时间。", "There is no such date or time.")


def _degrees_format(limit: int) -> Both:
    return Both(f"应为 -{limit} 到 {limit} 之间的度数。", f"It should be degrees between -{limit} and {limit}.")


def _plain_width(raw: str) -> str:
    """Full-width digits, letters and colons as plain ones; brackets stay, case numbers are written with them."""
    return "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" and c not in "（）［］｛｝" else c for c in raw)


def _moment(match: re.Match[str], zone: tzinfo) -> datetime:
    part = {name: int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")}
    microsecond = int((match["fraction"] or "").ljust(6, "0")[:6])
    return datetime(**part, microsecond=microsecond, tzinfo=_zone(match["zone"], zone))


def _zone(written: str | None, default: tzinfo) -> tzinfo:
    if written is None:
        return default
    if written in {"Z", "z"}:
        return UTC
    digits = written[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if written[0] == "-" else offset)

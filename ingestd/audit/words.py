"""How the auditor's commands and reports speak: events as the pages name them, times, the terminal's language."""

import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ingestd.rules.wording import Language
from ingestd.web.language import translations
from ingestd.web.words import EVENTS


def event(name: str, language: Language) -> str:
    """What an event is called, as the pages say it; its own name where they have no word."""
    return str(translations("en" if language == "en" else "zh-CN").gettext(EVENTS.get(name, name)))


def language_of(wish: str) -> Language:
    """The language asked for, else that of the terminal when it is English, else Chinese."""
    if wish:
        return "en" if wish == "en" else "zh"
    terminal = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "en" if terminal.startswith("en") else "zh"


def moment(utc_ms: int, zone: ZoneInfo) -> str:
    """A time in the agency's zone with its offset; the number itself when no calendar holds it."""
    try:
        here = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return f"{utc_ms} ms"
    return f"{here:%Y-%m-%d %H:%M:%S} {here:%z}"


def plain(text: object) -> str:
    """What a recorder or a person wrote, without characters that are not seen."""
    return "".join(char if char.isprintable() else "\ufffd" for char in str(text))

"""Languages of the pages: Simplified Chinese first, English by a switch.

Catalogues are read from their ``.po`` at the first use, so that there is no build step and no second copy of a word.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final, Protocol

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from fastapi import Request

DEFAULT: Final = "zh-CN"
LANGUAGES: Final = {"zh-CN": "中文", "en": "English"}
"""Language tag (BCP 47) and the language's name for itself."""
COOKIE: Final = "lang"


def phrase(text: str) -> str:
    """Mark ``text`` for the catalogue; the template translates it when it is shown."""
    return text


class Wishes(Protocol):
    """Where a reader says which language is wanted; any request of a web framework is one."""

    @property
    def query_params(self) -> Mapping[str, str]:
        """Parameters in the URL."""
        ...

    @property
    def cookies(self) -> Mapping[str, str]:
        """What was remembered."""
        ...


def chosen(request: Wishes) -> str:
    """The language asked for in the URL, else the remembered one, else Chinese."""
    for wish in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return str(wish)
    return DEFAULT


def asked_for(request: Request) -> str:
    """The language of an answer to a program: the URL's, else English where ``Accept-Language`` puts that first."""
    first = request.headers.get("accept-language", "").split(",")[0].strip().lower()
    wish = request.query_params.get("lang")
    if wish in LANGUAGES:
        return str(wish)
    return "en" if first.startswith("en") else DEFAULT


@cache
def translations(language: str) -> NullTranslations:
    """Translations into ``language``. English stands in the source itself and needs no catalogue."""
    if language == "en":
        return NullTranslations()
    catalogue = files(__package__) / "locale" / language.replace("-", "_") / "LC_MESSAGES" / "messages.po"
    with catalogue.open("rb") as source:
        words = read_po(source, locale=language.replace("-", "_"))
    compiled = BytesIO()
    write_mo(compiled, words)
    compiled.seek(0)
    return Translations(compiled)

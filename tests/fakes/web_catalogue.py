"""What a gettext catalogue must hold: every string of a package's code and templates, said once and in full."""

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "phrase": None}
METHODS = [("**.py", "python"), ("templates/**", "jinja2.ext:babel_extract")]
OPTIONS = {"templates/**": {"newstyle_gettext": "true"}}


def said_in(package: Path) -> set[str]:
    """Every message id of the package."""
    found = extract_from_dir(str(package), METHODS, OPTIONS, KEYWORDS)
    return {text[0] if isinstance(text, tuple) else text for _, _, text, _, _ in found}


def catalogue(package: Path) -> Catalog:
    """Its Simplified Chinese catalogue."""
    with (package / "locale/zh_CN/LC_MESSAGES/messages.po").open("rb") as source:
        return read_po(source, locale="zh_CN")


def gaps(package: Path) -> dict[str, list[str]]:
    """What is missing, empty, uncertain or left over, and translations whose placeholders differ from the source."""
    words = catalogue(package)
    known = {_id(message.id): message for message in words if message.id}
    wanted = said_in(package)
    return {
        "missing": sorted(wanted - known.keys()),
        "left over": sorted(known.keys() - wanted),
        "empty": sorted(name for name, message in known.items() if not _text(message.string)),
        "fuzzy": sorted(name for name, message in known.items() if message.fuzzy),
        "obsolete": sorted(str(message.id) for message in words.obsolete.values()),
        "placeholders": sorted(
            name for name, message in known.items() if _holes(name) != _holes(_text(message.string))
        ),
    }


def _id(value: object) -> str:
    return str(value[0]) if isinstance(value, list | tuple) else str(value)


def _text(value: object) -> str:
    return str(value[0]) if isinstance(value, list | tuple) else str(value or "")


def _holes(text: str) -> list[str]:
    return sorted(part.split(")")[0] for part in text.split("%(")[1:])

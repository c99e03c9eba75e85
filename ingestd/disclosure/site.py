"""The published site: static, accessible pages that need no script, and the same as JSON and CSV for other platforms.

The same data give the same bytes. A build is written beside the old one and takes its place in one step; a folder that
this program did not make is never touched.
"""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from ingestd.disclosure.content import FIELDS
from ingestd.errors import RefusedError
from ingestd.rules.wording import Both

MARK: Final = ".ingestd-disclosure"
"""A folder with this file in it was made by a build, and may be replaced by the next one."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Published:
    """All that the site shows, made fit to be shown. ``decisions`` newest first, each with its ``id``."""

    agency: str
    fields: tuple[str, ...]
    decisions: tuple[Mapping[str, str], ...]
    officers: tuple[tuple[str, str, str], ...]
    """Name, number and unit (行政执法人员清单)."""
    items: tuple[tuple[Both, str, str], ...]
    """Name, articles and level of each type of act (行政执法事项清单)."""
    steps: tuple[str, ...]
    """The procedure in its steps (行政执法流程)."""
    years: tuple[Mapping[str, Any], ...]
    """The figures of each year that has ended (年度行政执法总体情况)."""


def files(published: Published) -> dict[str, bytes]:
    """The site by names of files."""
    made = Environment(
        loader=PackageLoader("ingestd.disclosure"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = {"site": published, "names": FIELDS}
    months = [(month, list(rows)) for month, rows in groupby(published.decisions, key=lambda one: one["month"])]
    pages = {
        "index.html": {"months": [(month, len(rows)) for month, rows in months]},
        "officers.html": {},
        "items.html": {},
        "years.html": {},
        **{f"{month}.html": {"month": month, "rows": rows} for month, rows in months},
    }
    templates = {name: name if name[0].isalpha() else "month.html" for name in pages}
    written = {
        name: made.get_template(templates[name]).render(**shown, **values).encode() for name, values in pages.items()
    }
    package = Path(__file__).parent / "static"
    return {
        **written,
        **{name: (package / name).read_bytes() for name in ("site.css", "query.js")},
        "decisions.json": _json(
            {"schema": "schema.json", "decisions": [_fields(one, published) for one in published.decisions]}
        ),
        "decisions.csv": _csv(published),
        "schema.json": _json(_schema(published)),
        "years.json": _json(list(published.years)),
    }


def digest(content: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents in the order of names: what the log remembers of a build."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(content.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def replace_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    """Put a build in the place of the last. Raises ``RefusedError`` for a folder of somebody else's, ``OSError``."""
    if folder.exists() and not (folder / MARK).is_file():
        raise RefusedError(f"{folder} is there and was not made by this command; name a folder that is not there yet")
    fresh, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    for left in (fresh, old):
        if (left / MARK).is_file():
            shutil.rmtree(left)
    fresh.mkdir(parents=True)
    (fresh / MARK).touch()
    for name, data in content.items():
        (fresh / name).write_bytes(data)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    if old.exists():
        shutil.rmtree(old)


def _fields(decision: Mapping[str, str], published: Published) -> dict[str, str]:
    return {"id": decision["id"], **{name: decision[name] for name in published.fields}}


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _csv(published: Published) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", *(f"{FIELDS[name].zh} {FIELDS[name].en}" for name in published.fields)])
    writer.writerows([_text(value) for value in _fields(one, published).values()] for one in published.decisions)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _schema(published: Published) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``decisions.json``."""
    columns: Sequence[str] = ("id", *published.fields)
    about = {"id": "UUID", **{name: f"{FIELDS[name].zh} {FIELDS[name].en}" for name in published.fields}}
    one = {
        "type": "object",
        "required": list(columns),
        "additionalProperties": False,
        "properties": {name: {"type": "string", "description": about[name]} for name in columns},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["decisions"],
        "properties": {"schema": {"type": "string"}, "decisions": {"type": "array", "items": one}},
    }

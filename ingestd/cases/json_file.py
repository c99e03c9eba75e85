"""A JSON file to rows: one object whose keys are tables, each an array of objects; every row knows its line."""

import json
import re
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ingestd.cases.columns import TABLES, TABLES_BY_NAME, Source, Table
from ingestd.cases.rows import NO_CELL, Cell, Findings, Row, Sheet
from ingestd.rules.wording import Both

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SHAPE: Final = Both(
    '应为 {"officers":[…],"recorders":[…],"assignments":[…],"cases":[…],"actions":[…],…}，每项是一个对象。',
    'It should be {"officers":[…],"recorders":[…],"assignments":[…],"cases":[…],"actions":[…],…}, each item an object.',
)


def read(text: str, source: Source, findings: Findings) -> list[Sheet]:
    """The tables in the file; what hinders reading is put in ``findings``."""
    if not _is_well_formed(text, findings):
        return []
    document = _Document(text)
    rows: list[Row] = []
    for place in document.items():
        row = _row(place, source, findings)
        if row is not None:
            rows.append(row)
    _warn_unused(rows, findings)
    return [Sheet(table, of_it) for table in TABLES if (of_it := [row for row in rows if row.table is table])]


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing found in the file: under which key, on which line."""

    key: str
    line: int
    value: object


class _Document:
    """Walks over well-formed JSON text and says on which line each row begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._decoder = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=_without_twins)

    def items(self) -> Iterator[_Item]:
        """Every element of every array; a value that is no array as it is."""
        at = self._past(0, "")
        if self._text[at] != "{":
            yield _Item("", self._line(at), None)
            return
        at = self._past(at + 1, "")
        while self._text[at] != "}":
            key, at = self._decoder.raw_decode(self._text, at)
            at = self._past(self._past(at, ":"), "")
            if self._text[at] == "[":
                at = yield from self._elements(str(key), self._past(at + 1, ""))
            else:
                item, at = self._item(str(key), at)
                yield item
            at = self._past(at, ",")

    def _elements(self, key: str, at: int) -> Generator[_Item, None, int]:
        """Elements of the array whose first one begins at ``at``; returns where the array has ended."""
        while self._text[at] != "]":
            item, at = self._item(key, at)
            yield item
            at = self._past(at, ",")
        return at + 1

    def _item(self, key: str, at: int) -> tuple[_Item, int]:
        value, end = self._decoder.raw_decode(self._text, at)
        return _Item(key, self._line(at), value), end

    def _past(self, at: int, mark: str) -> int:
        """Position after white space, the mark if it is there, and white space again."""
        at = self._space_end(at)
        return self._space_end(at + 1) if mark and self._text.startswith(mark, at) else at

    def _space_end(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _line(self, at: int) -> int:
        return bisect_right(self._line_starts, at)


def _is_well_formed(text: str, findings: Findings) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        where = Both(
            f"不是合法的 JSON（第 {error.colno} 列）：{error.msg}。", f"Not JSON (column {error.colno}): {error.msg}."
        )
        findings.error(error.lineno, NO_CELL, where)
        return False
    except (RecursionError, ValueError):
        deep = Both("JSON 嵌套过深或数字过大。", "The JSON is nested too deeply or holds too large a number.")
        findings.error(0, NO_CELL, deep)
        return False
    return True


def _without_twins(pairs: list[tuple[str, object]]) -> object:
    """The object, or the key that it has twice."""
    unique = dict(pairs)
    if len(unique) == len(pairs):
        return unique
    keys = [key for key, _ in pairs]
    return _Twice(next(key for key in unique if keys.count(key) > 1))


@dataclass(frozen=True, slots=True)
class _Twice:
    """Stands where an object has one key twice, and so says two things."""

    key: str


def _row(item: _Item, source: Source, findings: Findings) -> Row | None:
    table = TABLES_BY_NAME.get(item.key)
    if table is None:
        findings.error(item.line, Cell(item.key, ""), _unknown_table(item.key))
        return None
    if isinstance(item.value, _Twice):
        twice = Both("同一字段出现了两次。", "One field is there twice.")
        findings.error(item.line, Cell(item.value.key, ""), twice)
        return None
    if not isinstance(item.value, Mapping):
        findings.error(item.line, Cell(item.key, _shown(item.value)), _SHAPE)
        return None
    return Row(table, item.line, _cells(table, item, _renamed(_flat(item.value), source), findings))


def _unknown_table(key: str) -> Both:
    if not key:
        return _SHAPE
    known = ", ".join(table.name for table in TABLES)
    return Both(f"没有名为“{key}”的表，可用：{known}。", f"There is no table {key!r}; known: {known}.")


def _flat(value: Mapping[str, object]) -> dict[str, object]:
    """The object with the fields of its ``place`` object beside the others."""
    place = value.get("place")
    if not isinstance(place, Mapping):
        return dict(value)
    return {key: field for key, field in value.items() if key != "place"} | dict(place)


def _renamed(fields: Mapping[str, object], source: Source) -> list[tuple[str, str, object]]:
    """Heading, the heading as our tables know it, and value of every field that is to be used."""
    named = ((heading, source.plain(heading), value) for heading, value in fields.items())
    return [(heading, plain, value) for heading, plain, value in named if plain or not heading]


def _cells(table: Table, item: _Item, fields: Iterable[tuple[str, str, object]], findings: Findings) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for heading, plain, value in fields:
        column = table.column_of(plain)
        name = column.name if column else f"{_UNUSED}{heading}"
        if name in cells:
            twice = Both("与另一字段含义相同，请只保留一个。", "Another field means the same; keep one of them.")
            findings.error(item.line, Cell(heading, _shown(value)), twice)
        text = _field_text(value)
        if text is None:
            kind = Both("应为文本、数字或文本列表。", "It should be text, a number or a list of texts.")
            findings.error(item.line, Cell(heading, _shown(value)), kind)
        cells[name] = Cell(heading, text or "")
    return cells


_UNUSED: Final = "?"
"""Marks a field that no column knows, until it has been mentioned once."""


def _warn_unused(rows: list[Row], findings: Findings) -> None:
    mentioned: set[tuple[str, str]] = set()
    for row in rows:
        for name, cell in row.cells.items():
            if name.startswith(_UNUSED) and (row.table.name, name) not in mentioned:
                mentioned.add((row.table.name, name))
                unused = Both("该字段不认识，未使用。", "This field is not known and was not used.")
                findings.warn(row.line, Cell(cell.heading, ""), unused)


def _field_text(value: object) -> str | None:
    """The field as text, or None when it is of a kind no column takes; numbers were kept as they were written."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return None


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

"""Two databases table by table and row by row: what the log makes of a table beside what stands in it.

Both sides come ordered by key, byte by byte, and only one row of each is in hand, so a table may be of any length.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, String, Table, collate, select

from ingestd.index import tables as t
from ingestd.index.rows import Row

PROGRESS: Final[Mapping[str, str]] = {
    "clip.check_ms": "when the store is asked again: a plan, which every look at the store moves",
    "action.judged_ms": "when the rules last looked: a look that found nothing new leaves no entry",
}
"""Columns that say how far the work is and nothing about evidence; the only ones that are not compared."""

MISSING: Final = "missing"
"""The log makes this row, and the table lacks it."""
EXTRA: Final = "extra"
"""The table has this row, and the log makes none."""
DIFFERS: Final = "differs"
"""Both have the row, and a column is not the same."""
_SHOWN: Final = 300
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One row, or one column of it, that is not as the logs say."""

    table: str
    key: Mapping[str, Any]
    kind: str
    column: str = ""
    by_log: Any = None
    in_row: Any = None
    entry: str = ""
    """The entry that the row rests on, ``origin:seq``; empty for what is decided anew from many."""


@dataclass(slots=True)
class Compared:
    """How a comparison of one table went, counted while it runs."""

    rows: int = 0
    missing: int = 0
    extra: int = 0
    differs: int = 0

    @property
    def right(self) -> int:
        """Rows that are as the logs say."""
        return self.rows - self.missing - self.extra - self.differs


def compared_columns(table: Table) -> list[Column[Any]]:
    """All columns but those of ``PROGRESS``."""
    return [column for column in table.columns if f"{table.name}.{column.name}" not in PROGRESS]


def compare(by_log: Connection, live: Connection, table: Table, origin: str, counts: Compared) -> Iterator[Difference]:
    """Differences of one table in the order of its keys; ``counts`` grows as they are found."""
    for row, other in _paired(_rows(by_log, table), _rows(live, table), table):
        counts.rows += 1
        found = list(_differences(table, row, other, origin))
        if found:
            setattr(counts, found[0].kind, getattr(counts, found[0].kind) + 1)
        yield from found


def _differences(table: Table, row: Row | None, other: Row | None, origin: str) -> Iterator[Difference]:
    known = row or other or {}
    key = {column.name: known[column.name] for column in table.primary_key}
    entry = _entry(known, origin)
    if row is None or other is None:
        yield Difference(table.name, key, EXTRA if row is None else MISSING, entry=entry)
        return
    for name, value in row.items():
        if value != other[name]:
            yield Difference(table.name, key, DIFFERS, name, _shown(value), _shown(other[name]), entry)


def _paired(left: Iterator[Row], right: Iterator[Row], table: Table) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows of equal key together, the others alone."""
    names = [column.name for column in table.primary_key]
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        first = None if one is None else tuple(one[name] for name in names)
        second = None if two is None else tuple(two[name] for name in names)
        here = second is None or (first is not None and first <= second)
        there = first is None or (second is not None and second <= first)
        yield (one if here else None), (two if there else None)
        one = next(left, None) if here else one
        two = next(right, None) if there else two


def _rows(connection: Connection, table: Table) -> Iterator[Row]:
    keys = [_bytewise(connection, column) for column in table.primary_key]
    query = select(*compared_columns(table)).order_by(*keys)
    streamed = connection.execute(query, execution_options={"yield_per": _AT_ONCE})
    return (dict(row) for row in streamed.mappings())


def _bytewise(connection: Connection, column: Column[Any]) -> Any:
    """PostgreSQL orders text by the rules of a language unless told otherwise; SQLite by its bytes, as Python does."""
    plain = connection.dialect.name == "sqlite" or not isinstance(column.type, String)
    return column if plain else collate(column, "C")


def _entry(row: Row, origin: str) -> str:
    if "log_seq" in row:
        return f"{origin}:{row['log_seq']}"
    if "log" in row and "seq" in row:
        return f"{row['log']}:{row['seq']}"
    return str(row.get("seen_in", ""))


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"sha256:{hashlib.sha256(value).hexdigest()}"
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]}… sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    return value


def tables(name: str = "") -> list[Table]:
    """All tables, or the one called ``name``. Raises ``KeyError``."""
    return [t.metadata.tables[name]] if name else sorted(t.metadata.tables.values(), key=lambda table: table.name)

"""What the index says of one clip, held against the signed entries. Rows are a projection: the entry is right."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select
from sqlalchemy.exc import SQLAlchemyError

from custody.verdicts import Finding
from ingestd.audit.applied import is_there
from ingestd.audit.chain import Chain
from ingestd.errors import DatabaseError
from ingestd.index import tables as t
from ingestd.index.database import connect

_SAID: Final = ("leaf", "event", "utc_ms")
"""Columns of an entry's row that the entry itself decides."""
_MOST_PLACES: Final = 500
"""Places asked for at once: SQLite takes no expression deeper than 1,000 (sqlite.org/limits.html)."""


def compare(chain: Chain, url: str) -> None:
    """Note every row about the clip that no entry of its story stands behind, or that says something else.

    Raises ``DatabaseError`` when there is an index that does not answer. Writes nothing.
    """
    if not is_there(url):
        return
    engine = connect(url)
    try:
        with engine.connect() as connection:
            differences = [*_entries(chain, connection), *_clip(chain, connection)]
    except SQLAlchemyError as error:
        raise DatabaseError(f"database {engine.url}: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    chain.compared = True
    for reason in differences:
        chain.report.note(Finding.PROJECTION_MISMATCH, reason, "")


def _entries(chain: Chain, connection: Connection) -> Iterator[str]:
    signed = {(one.log, one.seq): one for one in chain.events}
    rows = _rows(connection, t.entry.c.object_id == chain.clip)
    places = [(t.entry.c.log == log) & (t.entry.c.seq == seq) for log, seq in signed]
    for start in range(0, len(places), _MOST_PLACES):
        rows |= _rows(connection, or_(*places[start : start + _MOST_PLACES]))
    for place in sorted(signed.keys() - rows.keys()):
        yield f"entry {place[0]}:{place[1]}: signed, and the index has no row of it"
    for place, row in sorted(rows.items()):
        one = signed.get(place)
        if one is None:
            yield f"entry {place[0]}:{place[1]}: a row of the index, and no such entry of this clip is signed"
            continue
        for column in _SAID:
            if row[column] != getattr(one, column):
                yield f"entry {place[0]}:{place[1]}: {column} is {getattr(one, column)}, the index says {row[column]}"


def _rows(connection: Connection, wanted: ColumnElement[bool]) -> dict[tuple[str, int], RowMapping]:
    """Rows of entries by their places in the logs."""
    return {(row["log"], row["seq"]): row for row in connection.execute(select(t.entry).where(wanted)).mappings()}


def _clip(chain: Chain, connection: Connection) -> Iterator[str]:
    row = connection.execute(select(t.clip).where(t.clip.c.object_id == chain.clip)).mappings().one_or_none()
    signed = chain.copied
    if row is None:
        if signed:
            yield f"clip {chain.clip}: signed, and the index has no row of it"
        return
    for column, value in signed.items():
        if row[column] != value:
            yield f"clip {chain.clip}: {column} is {value}, the index says {row[column]}"
    links = set(connection.scalars(select(t.link.c.action_id).where(t.link.c.object_id == chain.clip)))
    for action in sorted(links ^ chain.links):
        where = "in the index" if action in links else "signed"
        yield f"clip {chain.clip}: its link to {action} is only {where}"

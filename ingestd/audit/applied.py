"""What the database has seen of the centre log: one more witness of the log's end, where there is a database to ask."""

from pathlib import Path

from sqlalchemy import URL, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from ingestd.audit.verify import Applied
from ingestd.errors import DatabaseError
from ingestd.index import tables as t
from ingestd.index.database import connect


def applied(url: str) -> Applied | None:
    """How far the index at ``url`` follows the centre log, or None while there is no index. Writes nothing.

    Raises ``DatabaseError`` when there is one and it cannot be read.
    """
    if not is_there(make_url(url)):
        return None
    engine = connect(url)
    try:
        with engine.connect() as connection:
            row = connection.execute(select(t.state.c.applied_seq, t.state.c.applied_root)).one_or_none()
    except SQLAlchemyError as error:
        raise DatabaseError(f"database {engine.url}: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    return None if row is None else Applied(row.applied_seq, row.applied_root)


def is_there(url: URL) -> bool:
    """Whether there is an index to ask; a file of SQLite's is not made by asking for it."""
    return url.get_backend_name() != "sqlite" or bool(url.database and Path(url.database).is_file())

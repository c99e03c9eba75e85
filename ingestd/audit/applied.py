"""What the database has seen of the centre log: one more witness of the log's end, where there is a database to ask."""

from pathlib import Path

from sqlalchemy import make_url, select
from sqlalchemy.exc import SQLAlchemyError

from ingestd.audit.verify import Applied
from ingestd.errors import DatabaseError
from ingestd.index import tables as t
from ingestd.index.database import connect


def applied(url: str) -> Applied | None:
    """How far the index at ``url`` follows the centre log, or None while there is no index. Writes nothing.

    Raises ``DatabaseError`` when there is one and it cannot be read.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not (parsed.database and Path(parsed.database).is_file()):
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

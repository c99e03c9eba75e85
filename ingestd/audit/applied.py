"""What the database has seen of the centre log: one more witness of the log's end, where there is a database to ask."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ingestd.audit.verify import Applied
from ingestd.config import sqlite_file
from ingestd.errors import DatabaseError

_ASKED: Final = "SELECT applied_seq, applied_root FROM state"
_PATIENCE_S: Final = 30


def applied(url: str) -> Applied | None:
    """How far the index at ``url`` follows the centre log, or None while there is no index. Writes nothing.

    Raises ``DatabaseError`` when there is one and it cannot be read.
    """
    if not is_there(url):
        return None
    file = sqlite_file(url)
    row = _asked_by_toolkit(url) if file is None else _asked_of_file(file)
    return None if row is None else Applied(*row)


def is_there(url: str) -> bool:
    """Whether there is an index to ask; a file of SQLite's is not made by asking for it."""
    file = sqlite_file(url)
    return not url.startswith("sqlite") if file is None else file.is_file()


def _asked_of_file(file: Path) -> tuple[int, str] | None:
    """By SQLite itself: one row needs no toolkit, which takes longer to load than all logs to verify."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_PATIENCE_S)) as connection:
            row: tuple[int, str] | None = connection.execute(_ASKED).fetchone()
            return row
    except sqlite3.Error as error:
        raise DatabaseError(f"database {file}: {error}") from error


def _asked_by_toolkit(url: str) -> tuple[int, str] | None:
    from sqlalchemy import text  # noqa: PLC0415  # loaded where it is needed
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # the same

    from ingestd.index.database import connect  # noqa: PLC0415  # the same

    engine = connect(url)
    try:
        with engine.connect() as connection:
            row = connection.execute(text(_ASKED)).one_or_none()
    except SQLAlchemyError as error:
        raise DatabaseError(f"database {engine.url}: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    return None if row is None else (row[0], row[1])

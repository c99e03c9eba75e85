"""Opening the index: engine, pragmas and migrations."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError

from ingestd.errors import DatabaseError

_BUSY_MS = 30_000


def open_engine(url: str) -> Engine:
    """Engine of the index, its tables brought up to date. Raises ``DatabaseError``."""
    engine = connect(url)
    try:
        with engine.begin() as connection:
            migrate(connection)
    except SQLAlchemyError as error:
        raise DatabaseError(f"database {engine.url}: {str(error).splitlines()[0]}") from error
    return engine


def connect(url: str) -> Engine:
    """Engine of the index as it is. SQLite runs in WAL mode, waits for its lock, and syncs every commit."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations inside the caller's transaction."""
    from alembic import command  # noqa: PLC0415  # readers of the index never migrate, and it takes long to load
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415  # the same

    with as_file(files("ingestd.index") / "migrations") as folder:
        config = AlembicConfig()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def snapshot_reads(engine: Engine) -> Engine:
    """The same engine, for readers: all statements of one transaction see one state."""
    if engine.dialect.name == "sqlite":
        return engine  # WAL: a read transaction is a snapshot
    return engine.execution_options(isolation_level="REPEATABLE READ")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver's guess
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")

"""Which clips the index gives to a unit or an officer. The index is no evidence; a report says that it was asked."""

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ingestd.audit.applied import is_there
from ingestd.errors import AuditError, DatabaseError
from ingestd.index import tables as t
from ingestd.index.acts import units_below
from ingestd.index.database import connect


def clips_of(url: str, unit: str, officer: str) -> frozenset[str]:
    """Clips of officers or recorders of ``unit`` and of all units below, and of ``officer``, as far as each is given.

    Writes nothing.

    Raises ``AuditError`` when there is no index to ask, ``DatabaseError`` when it does not answer.
    """
    if not is_there(url):
        raise AuditError("--unit and --officer are known to the index alone, and there is none; select by date or case")
    wanted = select(t.clip.c.object_id)
    if officer:
        wanted = wanted.where(t.clip.c.officer == officer)
    if unit:
        units = select(units_below(unit).c.name)
        officers = select(t.officer.c.number).where(t.officer.c.unit.in_(units))
        recorders = select(t.recorder.c.serial).where(t.recorder.c.unit.in_(units))
        wanted = wanted.where(t.clip.c.officer.in_(officers) | t.clip.c.recorder.in_(recorders))
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return frozenset(connection.scalars(wanted))
    except SQLAlchemyError as error:
        raise DatabaseError(f"database {engine.url}: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()

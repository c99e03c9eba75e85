"""Audits are found without reading every entry."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_AUDITS = sa.text("event = 'audit.done'")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.create_index(
            "ix_entry_audits", ["log", "seq"], unique=False, postgresql_where=_AUDITS, sqlite_where=_AUDITS
        )


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.drop_index("ix_entry_audits", postgresql_where=_AUDITS, sqlite_where=_AUDITS)

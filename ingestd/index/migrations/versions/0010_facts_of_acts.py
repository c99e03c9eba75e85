"""What the register says of an act beside who and when, and whether time must ask after it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; nothing is known yet of the acts that are there."""
    op.add_column("action", sa.Column("facts", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("action", sa.Column("awaited", sa.Integer(), nullable=False, server_default="0"))
    where = sa.text("awaited = 1")
    op.create_index("ix_action_awaited", "action", ["judged_ms"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_action_awaited", "action")
    op.drop_column("action", "awaited")
    op.drop_column("action", "facts")

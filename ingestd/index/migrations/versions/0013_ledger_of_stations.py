"""Where a line of the ledger comes from: a file that was imported, or a station that issued the recorder.

Issues before this are in the logs and not in this table: ``ingestd audit rebuild --write`` brings them in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; every line that is there was imported."""
    op.add_column("assignment", sa.Column("source", sa.Text(), nullable=False, server_default="import"))


def downgrade() -> None:
    """Undo."""
    op.drop_column("assignment", "source")

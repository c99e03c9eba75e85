"""Which version of the catalogue of acts is in force from when."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "catalogue_version",
        sa.Column("log_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("entered_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_seq", name=op.f("pk_catalogue_version")),
        comment="Versions of the catalogue of acts; each act is judged by the one in force when it began.",
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("catalogue_version")

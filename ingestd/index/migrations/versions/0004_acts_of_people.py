"""What people decide and look at, and with what configuration the centre ran."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("flag", sa.Column("explanation", sa.Text(), nullable=False, server_default=""))
    op.add_column("flag", sa.Column("explained_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("flag", sa.Column("explained_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "parting",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "action_id", name=op.f("pk_parting")),
        comment="Links that a person undid: no machine makes them again.",
    )
    op.create_table(
        "viewing",
        sa.Column("log_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("viewed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_seq", name=op.f("pk_viewing")),
        comment="Who looked at which clip: its page or its proxy.",
    )
    op.create_index("ix_viewing_object_id_actor", "viewing", ["object_id", "actor"])
    op.create_table(
        "hold",
        sa.Column("hold_id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("case_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=False),
        sa.Column("release_reason", sa.Text(), nullable=False),
        sa.Column("released_ms", sa.BigInteger(), nullable=True),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_hold")),
        comment="Clips and cases of which nothing may be disposed of; in force while released_ms is null.",
    )
    op.create_index("ix_hold_object_id", "hold", ["object_id"])
    op.create_index("ix_hold_case_key", "hold", ["case_key"])
    op.create_table(
        "approval",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_ms", sa.BigInteger(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "actor", name=op.f("pk_approval")),
        comment="Who agreed that an original may go.",
    )
    op.create_table(
        "disposal",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_disposal")),
        comment="Originals that are gone as approved.",
    )
    op.create_table(
        "configuration",
        sa.Column("log_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("catalogue_sha256", sa.String(length=64), nullable=False),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.Column("unmeasured_clock_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_seq", name=op.f("pk_configuration")),
        comment="With what the centre ran from this entry on.",
    )


def downgrade() -> None:
    """Undo."""
    for table in ("configuration", "disposal", "approval", "hold", "viewing", "parting"):
        op.drop_table(table)
    for column in ("explained_ms", "explained_by", "explanation"):
        op.drop_column("flag", column)

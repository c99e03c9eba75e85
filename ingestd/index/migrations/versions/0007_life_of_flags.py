"""Where a flag stands with people, and what they did about it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; what was explained before awaits review."""
    op.add_column("flag", sa.Column("stage", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE flag SET stage = 'explained' WHERE explained_ms IS NOT NULL")
    op.create_index("ix_flag_rule_state_changed_ms", "flag", ["rule", "state", "changed_ms"])
    op.create_index("ix_flag_state_stage_changed_ms", "flag", ["state", "stage", "changed_ms"])
    op.create_table(
        "flag_act",
        sa.Column("log_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("flag_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_seq", name=op.f("pk_flag_act")),
        comment="What people did about flags; result: accepted or returned of a review, the ground of a closing.",
    )
    op.create_index("ix_flag_act_flag_id", "flag_act", ["flag_id"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("flag_act")
    op.drop_index("ix_flag_rule_state_changed_ms", "flag")
    op.drop_index("ix_flag_state_stage_changed_ms", "flag")
    op.drop_column("flag", "stage")

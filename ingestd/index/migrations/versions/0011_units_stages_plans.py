"""The unit tree, qualifications, stages of cases, planned acts, dockings, and failures that a review found.

Dockings before this are in the logs and not in these tables: ``ingestd audit rebuild --write`` brings them in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

IN_DISPUTE = "officer_source = 'ledger' AND (officer_stated <> '' OR officer_camera <> '')"


def upgrade() -> None:
    """Apply."""
    op.add_column("officer", sa.Column("qualification", sa.Text(), nullable=False, server_default=""))
    op.add_column("officer", sa.Column("qualified_until_ms", sa.BigInteger()))
    op.create_table(
        "unit",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("parent", sa.Text(), nullable=False),
        comment="Units of the agency and what they belong to; a unit that is not here stands alone.",
    )
    op.create_index("ix_unit_parent", "unit", ["parent"])
    op.create_table(
        "case_stage",
        sa.Column("case_key", sa.Text(), primary_key=True),
        sa.Column("start_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("stage", sa.Text(), nullable=False),
        comment="When a case entered a stage.",
    )
    op.create_table(
        "plan",
        sa.Column("action_id", sa.Text(), primary_key=True),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("officers", sa.Text(), nullable=False),
        comment="Acts that are to take place.",
    )
    op.create_index("ix_plan_start_ms", "plan", ["start_ms"])
    op.create_table(
        "checkpoint_failure",
        sa.Column("officer", sa.Text(), primary_key=True),
        sa.Column("action_id", sa.Text(), primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        comment="Who, as reviewed and found, did not show the certificate or did not inform the party in an act.",
    )
    op.create_index("ix_checkpoint_failure_action_id", "checkpoint_failure", ["action_id"])
    op.create_table(
        "docking",
        sa.Column("log", sa.Text(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("recorder", sa.Text(), nullable=False),
        sa.Column("docked_ms", sa.BigInteger(), nullable=False),
        comment="Every time that a recorder was put into a dock.",
    )
    op.create_index("ix_docking_docked_ms", "docking", ["docked_ms"])
    op.create_index("ix_docking_recorder_docked_ms", "docking", ["recorder", "docked_ms"])
    op.create_index("ix_seen_file_recorder_seen_ms", "seen_file", ["recorder", "seen_ms"])
    where = sa.text(IN_DISPUTE)
    op.create_index("ix_clip_stated_beside_ledger", "clip", ["recorder"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_clip_stated_beside_ledger", "clip")
    op.drop_index("ix_seen_file_recorder_seen_ms", "seen_file")
    for table in ("docking", "checkpoint_failure", "plan", "case_stage", "unit"):
        op.drop_table(table)
    op.drop_column("officer", "qualified_until_ms")
    op.drop_column("officer", "qualification")

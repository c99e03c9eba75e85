"""Legal reviews of major decisions, decisions of cases and their publication."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "legal_review",
        *_texts("review_id", "case_number", "case_key", "subject", "state"),
        sa.Column("complete_ms", sa.BigInteger(), nullable=False),
        sa.Column("extended", sa.Integer(), nullable=False),
        sa.Column("concluded_ms", sa.BigInteger(), nullable=True),
        *_texts("opinion", "submitted_by", "reviewer"),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_legal_review")),
        comment="Legal reviews in their latest round; state: submitted, agreed, problems.",
    )
    op.create_index("ix_legal_review_case_key", "legal_review", ["case_key"])
    op.create_table(
        "decision",
        *_texts("decision_id", "case_number", "case_key", "kind"),
        sa.Column("major", sa.Integer(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        *_texts("unit", "party", "party_kind", "title", "conclusion", "withheld", "review_id", "recorded_by"),
        sa.Column("withdrawn_ms", sa.BigInteger(), nullable=True),
        *_texts("withdrawn_reason"),
        sa.Column("published_ms", sa.BigInteger(), nullable=True),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decision")),
        comment="Decisions of cases; withheld: why one is not published, or empty.",
    )
    op.create_index("ix_decision_case_key", "decision", ["case_key"])
    op.create_index("ix_decision_made_ms", "decision", ["made_ms"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("decision")
    op.drop_table("legal_review")

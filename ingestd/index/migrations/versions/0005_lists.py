"""Indexes for lists: clips by officer or recorder in their order, flags by action, case and time, ledger by officer.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXES = {
    "assignment": (("officer",),),
    "clip": (("officer", "object_id"), ("recorder", "object_id")),
    "flag": (("action_id", "state"), ("case_number", "state"), ("changed_ms",)),
}


def upgrade() -> None:
    """Make the indexes; no row changes."""
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.create_index("_".join(("ix", table, *columns)), table, list(columns))


def downgrade() -> None:
    """Drop them again."""
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.drop_index("_".join(("ix", table, *columns)), table)

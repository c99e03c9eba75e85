"""Keys of logs."""

import sqlalchemy as sa
from alembic import op

from custody.checkpoint import NoteKey

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; stations that are enrolled already keep the key they have."""
    table = op.create_table(
        "log_key",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("keyid", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("vkey", sa.Text(), nullable=False),
        sa.Column("vkey_sm3", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=False),
        sa.Column("approvers", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("certificates", sa.Text(), nullable=False),
        sa.Column("enrolled_ms", sa.BigInteger(), nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.Column("revoked_reason", sa.Text(), nullable=False),
        sa.Column("revoked_code", sa.Text(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log", "keyid", name=op.f("pk_log_key")),
        comment="Keys of logs; from_seq: the first entry that each signs; revoked_ms: from when on it is not trusted.",
    )
    stations = op.get_bind().execute(sa.text("SELECT log, station, vkey, log_seq FROM mirror")).all()
    if stations:
        op.bulk_insert(table, [_row(*station) for station in stations])


def downgrade() -> None:
    """Take back."""
    op.drop_table("log_key")


def _row(log: str, station: str, vkey: str, log_seq: int) -> dict[str, object]:
    names = ("vkey_sm3", "replaces", "fingerprint", "revoked_reason", "revoked_code", "profile")
    words = dict.fromkeys(names, "")
    return {
        **words,
        "log": log,
        "keyid": NoteKey.parse(vkey).key.keyid,
        "station": station,
        "vkey": vkey,
        "approvers": "[]",
        "certificates": "{}",
        "enrolled_ms": 0,
        "from_seq": 0,
        "from_ms": None,
        "revoked_ms": None,
        "revoked_by": "[]",
        "log_seq": log_seq,
    }

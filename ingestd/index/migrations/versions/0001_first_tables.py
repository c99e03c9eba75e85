"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "action",
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("case_key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("officers", sa.Text(), nullable=False),
        sa.Column("lat_e7", sa.BigInteger(), nullable=True),
        sa.Column("lon_e7", sa.BigInteger(), nullable=True),
        sa.Column("accuracy_m", sa.BigInteger(), nullable=False),
        sa.Column("radius_m", sa.BigInteger(), nullable=False),
        sa.Column("tolerated_gap_ms", sa.BigInteger(), nullable=False),
        sa.Column("margin_ms", sa.BigInteger(), nullable=False),
        sa.Column("judged_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_action")),
        comment="Enforcement actions. judged_ms: when the rules last looked at it.",
    )
    with op.batch_alter_table("action", schema=None) as batch_op:
        batch_op.create_index("ix_action_case_key", ["case_key"], unique=False)
        batch_op.create_index("ix_action_case_number", ["case_number"], unique=False)
        batch_op.create_index("ix_action_end_ms", ["end_ms"], unique=False)
        batch_op.create_index("ix_action_start_ms", ["start_ms"], unique=False)

    op.create_table(
        "action_officer",
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("officer", "action_id", name=op.f("pk_action_officer")),
        comment="Who took part, and from when until when a clip may belong to it (margins included).",
    )
    with op.batch_alter_table("action_officer", schema=None) as batch_op:
        batch_op.create_index("ix_action_officer_officer_from_ms", ["officer", "from_ms"], unique=False)

    op.create_table(
        "assignment",
        sa.Column("recorder", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("recorder", "start_ms", name=op.f("pk_assignment")),
    )
    op.create_table(
        "case_file",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_case_file")),
    )
    op.create_table(
        "clip",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.String(length=64), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("recorder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("copied_ms", sa.BigInteger(), nullable=False),
        sa.Column("officer_camera", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=True),
        sa.Column("end_ms", sa.BigInteger(), nullable=True),
        sa.Column("uncertainty_ms", sa.BigInteger(), nullable=False),
        sa.Column("officer", sa.Text(), nullable=False),
        sa.Column("officer_source", sa.Text(), nullable=False),
        sa.Column("officer_stated", sa.Text(), nullable=False),
        sa.Column("case_stated", sa.Text(), nullable=False),
        sa.Column("case_key", sa.Text(), nullable=False),
        sa.Column("lat_e7", sa.BigInteger(), nullable=True),
        sa.Column("lon_e7", sa.BigInteger(), nullable=True),
        sa.Column("accuracy_m", sa.BigInteger(), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.Column("media", sa.Text(), nullable=False),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("suggestions", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("check_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_clip")),
        comment="Originals. check_ms: when the store is next read for an object that is not verified.",
    )
    with op.batch_alter_table("clip", schema=None) as batch_op:
        batch_op.create_index(
            "ix_clip_case_key",
            ["case_key"],
            unique=False,
            postgresql_where=sa.text("case_key <> ''"),
            sqlite_where=sa.text("case_key <> ''"),
        )
        batch_op.create_index("ix_clip_officer_start_ms", ["officer", "start_ms"], unique=False)
        batch_op.create_index("ix_clip_recorder_start_ms", ["recorder", "start_ms"], unique=False)
        batch_op.create_index(
            "ix_clip_unchecked",
            ["check_ms"],
            unique=False,
            postgresql_where=sa.text("verdict <> 'verified'"),
            sqlite_where=sa.text("verdict <> 'verified'"),
        )
        batch_op.create_index(
            "ix_clip_unlinked",
            ["object_id"],
            unique=False,
            postgresql_where=sa.text("links = 0"),
            sqlite_where=sa.text("links = 0"),
        )

    op.create_table(
        "coverage",
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("nominal_ppm", sa.Integer(), nullable=False),
        sa.Column("guaranteed_ppm", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.Text(), nullable=False),
        sa.Column("clips", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_coverage")),
    )
    op.create_table(
        "entry",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf", sa.String(length=64), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("utc_ms", sa.BigInteger(), nullable=False),
        sa.Column("keyid", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log", "seq", name=op.f("pk_entry")),
        comment="Every entry of every log; object_id is the clip it is about, or empty.",
    )
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.create_index("ix_entry_object_id", ["object_id"], unique=False)

    op.create_table(
        "flag",
        sa.Column("flag_id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("article", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("set_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_ms", sa.BigInteger(), nullable=True),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("flag_id", name=op.f("pk_flag")),
    )
    with op.batch_alter_table("flag", schema=None) as batch_op:
        batch_op.create_index("ix_flag_action_id", ["action_id"], unique=False)
        batch_op.create_index("ix_flag_state_changed_ms", ["state", "changed_ms"], unique=False)

    op.create_table(
        "imported_file",
        sa.Column("log_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("imported_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_seq", name=op.f("pk_imported_file")),
    )
    op.create_table(
        "link",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Text(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "action_id", name=op.f("pk_link")),
    )
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.create_index("ix_link_action_id", ["action_id"], unique=False)

    op.create_table(
        "mirror",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("vkey", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log", name=op.f("pk_mirror")),
        comment="Enrolled stations and how many entries of each are indexed.",
    )
    op.create_table(
        "officer",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_officer")),
    )
    op.create_table(
        "proxy",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_proxy")),
        comment="Derived objects.",
    )
    with op.batch_alter_table("proxy", schema=None) as batch_op:
        batch_op.create_index("ix_proxy_parent_id", ["parent_id"], unique=False)

    op.create_table(
        "quarantined_message",
        sa.Column("offence", sa.String(length=64), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("offence", name=op.f("pk_quarantined_message")),
        comment="Unverifiable messages; the bytes are quarantine/<sha256>. offence: SHA-256 of the message.",
    )
    op.create_table(
        "receipt",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("log_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_receipt")),
        comment="central.verified entries, byte for byte, with the station entry they answer.",
    )
    with op.batch_alter_table("receipt", schema=None) as batch_op:
        batch_op.create_index("ix_receipt_log_seq", ["log", "seq"], unique=False)

    op.create_table(
        "recorder",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_recorder")),
    )
    op.create_table(
        "seen_file",
        sa.Column("file_id", sa.String(length=64), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("place_id", sa.String(length=64), nullable=False),
        sa.Column("recorder", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_in", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_seen_file")),
        comment="Files a station saw on a recorder: pending, copied or failed; place_id is log, recorder and path.",
    )
    with op.batch_alter_table("seen_file", schema=None) as batch_op:
        batch_op.create_index("ix_seen_file_place_id", ["place_id"], unique=False)
        batch_op.create_index("ix_seen_file_state_seen_ms", ["state", "seen_ms"], unique=False)

    op.create_table(
        "state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("applied_seq", sa.BigInteger(), nullable=False),
        sa.Column("applied_root", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state")),
        comment="One row: which centre log these tables follow, and how far.",
    )
    op.create_table(
        "suggestion",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "action_id", name=op.f("pk_suggestion")),
    )
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.create_index("ix_suggestion_action_id", ["action_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.drop_index("ix_suggestion_action_id")

    op.drop_table("suggestion")
    op.drop_table("state")
    with op.batch_alter_table("seen_file", schema=None) as batch_op:
        batch_op.drop_index("ix_seen_file_state_seen_ms")
        batch_op.drop_index("ix_seen_file_place_id")

    op.drop_table("seen_file")
    op.drop_table("recorder")
    with op.batch_alter_table("receipt", schema=None) as batch_op:
        batch_op.drop_index("ix_receipt_log_seq")

    op.drop_table("receipt")
    op.drop_table("quarantined_message")
    with op.batch_alter_table("proxy", schema=None) as batch_op:
        batch_op.drop_index("ix_proxy_parent_id")

    op.drop_table("proxy")
    op.drop_table("officer")
    op.drop_table("mirror")
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.drop_index("ix_link_action_id")

    op.drop_table("link")
    op.drop_table("imported_file")
    with op.batch_alter_table("flag", schema=None) as batch_op:
        batch_op.drop_index("ix_flag_state_changed_ms")
        batch_op.drop_index("ix_flag_action_id")

    op.drop_table("flag")
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.drop_index("ix_entry_object_id")

    op.drop_table("entry")
    op.drop_table("coverage")
    with op.batch_alter_table("clip", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_clip_unlinked", postgresql_where=sa.text("links = 0"), sqlite_where=sa.text("links = 0")
        )
        batch_op.drop_index(
            "ix_clip_unchecked",
            postgresql_where=sa.text("verdict <> 'verified'"),
            sqlite_where=sa.text("verdict <> 'verified'"),
        )
        batch_op.drop_index("ix_clip_recorder_start_ms")
        batch_op.drop_index("ix_clip_officer_start_ms")
        batch_op.drop_index(
            "ix_clip_case_key", postgresql_where=sa.text("case_key <> ''"), sqlite_where=sa.text("case_key <> ''")
        )

    op.drop_table("clip")
    op.drop_table("case_file")
    op.drop_table("assignment")
    with op.batch_alter_table("action_officer", schema=None) as batch_op:
        batch_op.drop_index("ix_action_officer_officer_from_ms")

    op.drop_table("action_officer")
    with op.batch_alter_table("action", schema=None) as batch_op:
        batch_op.drop_index("ix_action_start_ms")
        batch_op.drop_index("ix_action_end_ms")
        batch_op.drop_index("ix_action_case_number")
        batch_op.drop_index("ix_action_case_key")

    op.drop_table("action")

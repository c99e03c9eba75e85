"""Indexes for lists: every filter together with the order of its list, down to the row.

They replace those that ended before the row: of them a page deep in a list could not be found by its place. The
expressions are written out here, for a migration stays what it was.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MADE = {
    "seen_file": (("state", "seen_ms", "file_id"),),
    "clip": (
        ("officer", "start_ms", "object_id"),
        ("recorder", "start_ms", "object_id"),
        ("start_ms", "object_id"),
        ("station", "object_id"),
        ("verdict", "object_id"),
        ("kind", "object_id"),
    ),
    "officer": (("unit",),),
    "case_file": (("unit",),),
    "action": (
        ("case_number", "start_ms", "action_id"),
        ("type", "start_ms", "action_id"),
        ("level", "start_ms", "action_id"),
        ("start_ms", "action_id"),
    ),
    "flag": (
        ("action_id", "changed_ms", "flag_id"),
        ("changed_ms", "flag_id"),
        ("state", "changed_ms", "flag_id"),
        ("rule", "changed_ms", "flag_id"),
        ("rule", "state", "changed_ms", "flag_id"),
        ("state", "stage", "changed_ms", "flag_id"),
    ),
}
_REPLACED = {
    "seen_file": (("state", "seen_ms"),),
    "clip": (("officer", "start_ms"), ("recorder", "start_ms")),
    "action": (("case_number",), ("start_ms",)),
    "flag": (
        ("action_id",),
        ("changed_ms",),
        ("state", "changed_ms"),
        ("rule", "state", "changed_ms"),
        ("state", "stage", "changed_ms"),
    ),
}
_MEDIA = "status = 'indexed' AND kind IN ('video', 'audio', 'image')"
_LINKED = f"(CASE WHEN {_MEDIA} THEN CASE WHEN links > 0 THEN 1 ELSE 0 END END)"
_LATE = f"(CASE WHEN {_MEDIA} THEN copied_ms - end_ms END) > 86400000"


def upgrade() -> None:
    """Make the indexes; no row changes."""
    _drop(_REPLACED)
    _make(_MADE)
    _make_partial("ix_clip_media_linked", f"{_LINKED} = 1")
    _make_partial("ix_clip_media_unlinked", f"{_LINKED} = 0")
    _make_partial("ix_clip_late", _LATE)
    _make_partial("ix_clip_received", "status = 'received'")
    _make_partial("ix_clip_quarantined", "status = 'quarantined'")


def downgrade() -> None:
    """Drop them, and make those again that they replaced."""
    for name in (
        "ix_clip_quarantined",
        "ix_clip_received",
        "ix_clip_late",
        "ix_clip_media_unlinked",
        "ix_clip_media_linked",
    ):
        op.drop_index(name, "clip")
    _drop(_MADE)
    _make(_REPLACED)


def _make(indexes: Mapping[str, tuple[tuple[str, ...], ...]]) -> None:
    for table, each in indexes.items():
        for columns in each:
            op.create_index("_".join(("ix", table, *columns)), table, list(columns))


def _drop(indexes: Mapping[str, tuple[tuple[str, ...], ...]]) -> None:
    for table, each in indexes.items():
        for columns in each:
            op.drop_index("_".join(("ix", table, *columns)), table)


def _make_partial(name: str, where: str) -> None:
    op.create_index(name, "clip", ["object_id"], postgresql_where=sa.text(where), sqlite_where=sa.text(where))

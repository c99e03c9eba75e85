"""Tables of the index. Times are milliseconds since 1970 UTC; JSON columns hold canonical JSON as text.

Everything here is a projection: of the mirrored station logs, of the centre log and, for suggestions and coverage, of
decisions that can be made again. ``log_seq`` is the entry of the centre log that made a row.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

_MEDIA: Final = "status = 'indexed' AND kind IN ('video', 'audio', 'image')"
_LINKED: Final = f"CASE WHEN {_MEDIA} THEN CASE WHEN links > 0 THEN 1 ELSE 0 END END"
MEDIA_LINKED: Final = f"({_LINKED}) = 1"
"""Media that belong to an action. One expression, so that no planner takes the index of a kind instead."""
MEDIA_UNLINKED: Final = f"({_LINKED}) = 0"
"""Media that belong to none."""
LATE_MS: Final = 24 * 3600 * 1000
MEDIA_DELAY: Final = f"(CASE WHEN {_MEDIA} THEN copied_ms - end_ms END)"
"""How long after they ended media were copied, in ms."""
MEDIA_LATE: Final = f"{MEDIA_DELAY} > {LATE_MS}"
"""Media that came later than a day after they ended: where an agency allows less, no index knows them."""
FEW_STATUSES: Final = {status: f"status = '{status}'" for status in ("received", "quarantined")}
"""Of clips that are not described yet, and of those that are quarantined."""

metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"})

state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("applied_seq", BigInteger, nullable=False),
    Column("applied_root", Text, nullable=False),
    comment="One row: which centre log these tables follow, and how far.",
)

mirror = Table(
    "mirror",
    metadata,
    Column("log", Text, primary_key=True),
    Column("station", Text, nullable=False),
    Column("vkey", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Enrolled stations and how many entries of each are indexed.",
)

log_key = Table(
    "log_key",
    metadata,
    Column("log", Text, primary_key=True),
    Column("keyid", Text, primary_key=True),
    Column("station", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("vkey", Text, nullable=False),
    Column("vkey_sm3", Text, nullable=False),
    Column("replaces", Text, nullable=False),
    Column("approvers", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("certificates", Text, nullable=False),
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("from_seq", BigInteger),
    Column("from_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("revoked_by", Text, nullable=False),
    Column("revoked_reason", Text, nullable=False),
    Column("revoked_code", Text, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Keys of logs; from_seq: the first entry that each signs; revoked_ms: from when on it is not trusted.",
)

entry = Table(
    "entry",
    metadata,
    Column("log", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf", String(64), nullable=False),
    Column("event", Text, nullable=False),
    Column("utc_ms", BigInteger, nullable=False),
    Column("keyid", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    comment="Every entry of every log; object_id is the clip it is about, or empty.",
)
Index("ix_entry_object_id", entry.c.object_id)
Index(
    "ix_entry_audits",
    entry.c.log,
    entry.c.seq,
    postgresql_where=text("event = 'audit.done'"),
    sqlite_where=text("event = 'audit.done'"),
)

seen_file = Table(
    "seen_file",
    metadata,
    Column("file_id", String(64), primary_key=True),
    Column("log", Text, nullable=False),
    Column("place_id", String(64), nullable=False),
    Column("recorder", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("seen_in", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    comment="Files a station saw on a recorder: pending, copied or failed; place_id is log, recorder and path.",
)
Index("ix_seen_file_place_id", seen_file.c.place_id)
Index("ix_seen_file_state_seen_ms_file_id", seen_file.c.state, seen_file.c.seen_ms, seen_file.c.file_id)
Index("ix_seen_file_recorder_seen_ms", seen_file.c.recorder, seen_file.c.seen_ms)

clip = Table(
    "clip",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("log", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("leaf", String(64), nullable=False),
    Column("station", Text, nullable=False),
    Column("recorder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("media_type", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("copied_ms", BigInteger, nullable=False),
    Column("officer_camera", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("start_ms", BigInteger),
    Column("end_ms", BigInteger),
    Column("uncertainty_ms", BigInteger, nullable=False),
    Column("officer", Text, nullable=False),
    Column("officer_source", Text, nullable=False),
    Column("officer_stated", Text, nullable=False),
    Column("case_stated", Text, nullable=False),
    Column("case_key", Text, nullable=False),
    Column("lat_e7", BigInteger),
    Column("lon_e7", BigInteger),
    Column("accuracy_m", BigInteger, nullable=False),
    Column("problems", Text, nullable=False),
    Column("media", Text, nullable=False),
    Column("links", Integer, nullable=False),
    Column("suggestions", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("check_ms", BigInteger, nullable=False),
    comment="Originals. check_ms: when the store is next read for an object that is not verified.",
)
Index("ix_clip_officer_start_ms_object_id", clip.c.officer, clip.c.start_ms, clip.c.object_id)
Index("ix_clip_recorder_start_ms_object_id", clip.c.recorder, clip.c.start_ms, clip.c.object_id)
Index("ix_clip_start_ms_object_id", clip.c.start_ms, clip.c.object_id)
Index("ix_clip_station_object_id", clip.c.station, clip.c.object_id)
Index("ix_clip_verdict_object_id", clip.c.verdict, clip.c.object_id)
Index("ix_clip_kind_object_id", clip.c.kind, clip.c.object_id)
Index("ix_clip_media_linked", clip.c.object_id, postgresql_where=text(MEDIA_LINKED), sqlite_where=text(MEDIA_LINKED))
Index(
    "ix_clip_media_unlinked", clip.c.object_id, postgresql_where=text(MEDIA_UNLINKED), sqlite_where=text(MEDIA_UNLINKED)
)
Index("ix_clip_late", clip.c.object_id, postgresql_where=text(MEDIA_LATE), sqlite_where=text(MEDIA_LATE))
for _status, _condition in FEW_STATUSES.items():
    Index(
        f"ix_clip_{_status}",
        clip.c.object_id,
        postgresql_where=text(_condition),
        sqlite_where=text(_condition),
    )
Index("ix_clip_officer_object_id", clip.c.officer, clip.c.object_id)
Index("ix_clip_recorder_object_id", clip.c.recorder, clip.c.object_id)
Index(
    "ix_clip_case_key",
    clip.c.case_key,
    postgresql_where=text("case_key <> ''"),
    sqlite_where=text("case_key <> ''"),
)
_IN_DISPUTE = "officer_source = 'ledger' AND (officer_stated <> '' OR officer_camera <> '')"
Index(
    "ix_clip_stated_beside_ledger",
    clip.c.recorder,
    postgresql_where=text(_IN_DISPUTE),
    sqlite_where=text(_IN_DISPUTE),
)
Index("ix_clip_unlinked", clip.c.object_id, postgresql_where=text("links = 0"), sqlite_where=text("links = 0"))
Index(
    "ix_clip_unchecked",
    clip.c.check_ms,
    postgresql_where=text("verdict <> 'verified'"),
    sqlite_where=text("verdict <> 'verified'"),
)

docking = Table(
    "docking",
    metadata,
    Column("log", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("station", Text, nullable=False),
    Column("recorder", Text, nullable=False),
    Column("docked_ms", BigInteger, nullable=False),
    comment="Every time that a recorder was put into a dock.",
)
Index("ix_docking_docked_ms", docking.c.docked_ms)
Index("ix_docking_recorder_docked_ms", docking.c.recorder, docking.c.docked_ms)

proxy = Table(
    "proxy",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("parent_id", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("media_type", Text, nullable=False),
    comment="Derived objects.",
)
Index("ix_proxy_parent_id", proxy.c.parent_id)

receipt = Table(
    "receipt",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("log", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="central.verified entries, byte for byte, with the station entry they answer.",
)
Index("ix_receipt_log_seq", receipt.c.log, receipt.c.seq)

officer = Table(
    "officer",
    metadata,
    Column("number", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("qualification", Text, nullable=False, server_default=""),
    Column("qualified_until_ms", BigInteger),
)
Index("ix_officer_unit", officer.c.unit)

unit = Table(
    "unit",
    metadata,
    Column("name", Text, primary_key=True),
    Column("parent", Text, nullable=False),
    comment="Units of the agency and what they belong to; a unit that is not here stands alone.",
)
Index("ix_unit_parent", unit.c.parent)

recorder = Table(
    "recorder",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
)

case_file = Table(
    "case_file",
    metadata,
    Column("number", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("unit", Text, nullable=False),
)
Index("ix_case_file_unit", case_file.c.unit)

case_stage = Table(
    "case_stage",
    metadata,
    Column("case_key", Text, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", Text, nullable=False),
    comment="When a case entered a stage.",
)

plan = Table(
    "plan",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("case_number", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("officers", Text, nullable=False),
    comment="Acts that are to take place.",
)
Index("ix_plan_start_ms", plan.c.start_ms)

assignment = Table(
    "assignment",
    metadata,
    Column("recorder", Text, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("officer", Text, nullable=False),
    Column("end_ms", BigInteger),
    Column("source", Text, nullable=False, server_default="import"),
)
Index("ix_assignment_officer", assignment.c.officer)

action = Table(
    "action",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("case_number", Text, nullable=False),
    Column("case_key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("officers", Text, nullable=False),
    Column("lat_e7", BigInteger),
    Column("lon_e7", BigInteger),
    Column("accuracy_m", BigInteger, nullable=False),
    Column("radius_m", BigInteger, nullable=False),
    Column("tolerated_gap_ms", BigInteger, nullable=False),
    Column("margin_ms", BigInteger, nullable=False),
    Column("facts", Text, nullable=False, server_default="{}"),
    Column("awaited", Integer, nullable=False, server_default="0"),
    Column("judged_ms", BigInteger, nullable=False),
    comment="Enforcement actions. judged_ms: when the rules last looked at it.",
)
Index("ix_action_case_number_start_ms_action_id", action.c.case_number, action.c.start_ms, action.c.action_id)
Index("ix_action_type_start_ms_action_id", action.c.type, action.c.start_ms, action.c.action_id)
Index("ix_action_level_start_ms_action_id", action.c.level, action.c.start_ms, action.c.action_id)
Index("ix_action_case_key", action.c.case_key)
Index("ix_action_end_ms", action.c.end_ms)
Index(
    "ix_action_awaited",
    action.c.judged_ms,
    postgresql_where=text("awaited = 1"),
    sqlite_where=text("awaited = 1"),
)
Index("ix_action_start_ms_action_id", action.c.start_ms, action.c.action_id)

action_officer = Table(
    "action_officer",
    metadata,
    Column("officer", Text, primary_key=True),
    Column("action_id", Text, primary_key=True),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    comment="Who took part, and from when until when a clip may belong to it (margins included).",
)
Index("ix_action_officer_officer_from_ms", action_officer.c.officer, action_officer.c.from_ms)

checkpoint_failure = Table(
    "checkpoint_failure",
    metadata,
    Column("officer", Text, primary_key=True),
    Column("action_id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    comment="Who, as reviewed and found, did not show the certificate or did not inform the party in an act.",
)
Index("ix_checkpoint_failure_action_id", checkpoint_failure.c.action_id)

link = Table(
    "link",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("action_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("rule_version", Text, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
)
Index("ix_link_action_id", link.c.action_id)

suggestion = Table(
    "suggestion",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("action_id", Text, primary_key=True),
    Column("score", Integer, nullable=False),
    Column("reasons", Text, nullable=False),
)
Index("ix_suggestion_action_id", suggestion.c.action_id)

coverage = Table(
    "coverage",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("nominal_ppm", Integer, nullable=False),
    Column("guaranteed_ppm", Integer, nullable=False),
    Column("gaps", Text, nullable=False),
    Column("clips", Text, nullable=False),
)

flag = Table(
    "flag",
    metadata,
    Column("flag_id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("rule_version", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("action_id", Text, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("article", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("set_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("cleared_ms", BigInteger),
    Column("log_seq", BigInteger, nullable=False),
    Column("explanation", Text, nullable=False, server_default=""),
    Column("explained_by", Text, nullable=False, server_default=""),
    Column("explained_ms", BigInteger),
    Column("stage", Text, nullable=False, server_default=""),
)
Index("ix_flag_action_id_changed_ms_flag_id", flag.c.action_id, flag.c.changed_ms, flag.c.flag_id)
Index("ix_flag_action_id_state", flag.c.action_id, flag.c.state)
Index("ix_flag_case_number_state", flag.c.case_number, flag.c.state)
Index("ix_flag_changed_ms_flag_id", flag.c.changed_ms, flag.c.flag_id)
Index("ix_flag_state_changed_ms_flag_id", flag.c.state, flag.c.changed_ms, flag.c.flag_id)
Index("ix_flag_rule_changed_ms_flag_id", flag.c.rule, flag.c.changed_ms, flag.c.flag_id)
Index("ix_flag_rule_state_changed_ms_flag_id", flag.c.rule, flag.c.state, flag.c.changed_ms, flag.c.flag_id)
Index("ix_flag_state_stage_changed_ms_flag_id", flag.c.state, flag.c.stage, flag.c.changed_ms, flag.c.flag_id)

flag_act = Table(
    "flag_act",
    metadata,
    Column("log_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("flag_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    comment="What people did about flags; result: accepted or returned of a review, the ground of a closing.",
)
Index("ix_flag_act_flag_id", flag_act.c.flag_id)

quarantined_message = Table(
    "quarantined_message",
    metadata,
    Column("offence", String(64), primary_key=True),
    Column("station", Text, nullable=False),
    Column("finding", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Unverifiable messages; the bytes are quarantine/<sha256>. offence: SHA-256 of the message.",
)

imported_file = Table(
    "imported_file",
    metadata,
    Column("log_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("imported_ms", BigInteger, nullable=False),
)

parting = Table(
    "parting",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("action_id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Links that a person undid: no machine makes them again.",
)

viewing = Table(
    "viewing",
    metadata,
    Column("log_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("object_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("viewed_ms", BigInteger, nullable=False),
    comment="Who looked at which clip: its page or its proxy.",
)
Index("ix_viewing_object_id_actor", viewing.c.object_id, viewing.c.actor)

hold = Table(
    "hold",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("object_id", Text, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("case_key", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_ms", BigInteger, nullable=False),
    Column("released_by", Text, nullable=False),
    Column("release_reason", Text, nullable=False),
    Column("released_ms", BigInteger),
    Column("log_seq", BigInteger, nullable=False),
    comment="Clips and cases of which nothing may be disposed of; in force while released_ms is null.",
)
Index("ix_hold_object_id", hold.c.object_id)
Index("ix_hold_case_key", hold.c.case_key)

approval = Table(
    "approval",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("approved_ms", BigInteger, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Who agreed that an original may go.",
)

disposal = Table(
    "disposal",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("done_ms", BigInteger, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Originals that are gone as approved.",
)

configuration = Table(
    "configuration",
    metadata,
    Column("log_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("catalogue_sha256", String(64), nullable=False),
    Column("changed", Text, nullable=False),
    Column("unmeasured_clock_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    comment="With what the centre ran from this entry on.",
)

catalogue_version = Table(
    "catalogue_version",
    metadata,
    Column("log_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("version", Text, nullable=False),
    Column("valid_from_ms", BigInteger, nullable=False),
    Column("entered_ms", BigInteger, nullable=False),
    comment="Versions of the catalogue of acts; each act is judged by the one in force when it began.",
)

legal_review = Table(
    "legal_review",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("case_number", Text, nullable=False),
    Column("case_key", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("complete_ms", BigInteger, nullable=False),
    Column("extended", Integer, nullable=False),
    Column("concluded_ms", BigInteger),
    Column("opinion", Text, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Legal reviews in their latest round; state: submitted, agreed, problems.",
)
Index("ix_legal_review_case_key", legal_review.c.case_key)

decision = Table(
    "decision",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("case_number", Text, nullable=False),
    Column("case_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("major", Integer, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("unit", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("party_kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("conclusion", Text, nullable=False),
    Column("withheld", Text, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("withdrawn_ms", BigInteger),
    Column("withdrawn_reason", Text, nullable=False),
    Column("published_ms", BigInteger),
    Column("removed_ms", BigInteger),
    Column("log_seq", BigInteger, nullable=False),
    comment="Decisions of cases; withheld: why one is not published, or empty.",
)
Index("ix_decision_case_key", decision.c.case_key)
Index("ix_decision_made_ms", decision.c.made_ms)

api_token = Table(
    "api_token",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("revoked_by", Text, nullable=False),
    Column("log_seq", BigInteger, nullable=False),
    comment="Tokens of other systems; sha256: of the secret, which stands nowhere.",
)

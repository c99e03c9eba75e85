"""What people decided, looked at and settled, as rows: the writing of them from log entries, and what is asked of them.

One half of the repository, in the same transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, bindparam, delete, exists, func, select, text, update

from custody.chain import Entry
from ingestd.index import tables as t
from ingestd.index.rows import Row, actor_in, dumps, integer_in, key_in, list_in, object_in, text_in
from ingestd.model import MediaKind, case_key

PutNew = Callable[[Table, Iterable[Mapping[str, Any]]], None]
"""Inserts what is not there."""
_AT_ONCE: Final = 500
MEDIA: Final = (MediaKind.VIDEO.value, MediaKind.AUDIO.value, MediaKind.IMAGE.value)
"""Kinds of clips that can belong to an act."""
MANUAL: Final = "manual"
"""Method of a link that a person made or undid; no machine touches it."""
_PARTED: Final = select(t.parting.c.object_id, t.parting.c.action_id).where(
    t.parting.c.object_id.in_(bindparam("object_ids", expanding=True))
)


@dataclass(frozen=True, slots=True)
class People:
    """Tables of acts by people, inside the transaction of ``connection``."""

    connection: Connection
    put_new: PutNew

    def projectors(self) -> list[tuple[str, Callable[[list[Entry]], None]]]:
        """Events in the order in which their rows can be written."""
        return [
            ("config.changed", self._configured),
            ("catalogue.changed", self._catalogued),
            ("flag.explained", self._explained),
            ("flag.reviewed", self._reviewed),
            ("flag.closed", self._closed),
            ("access.viewed", self._viewed),
            ("token.created", self._token_made),
            ("token.revoked", self._token_revoked),
            ("hold.set", self._held),
            ("hold.released", self._released),
            ("disposal.approved", self._approved),
            ("disposal.done", self._disposed),
        ]

    # What is asked.

    def flag(self, flag_id: str) -> Row | None:
        """A flag, whatever became of it."""
        row = self.connection.execute(select(t.flag).where(t.flag.c.flag_id == flag_id)).mappings().one_or_none()
        return None if row is None else dict(row)

    def link(self, object_id: str, action_id: str) -> str:
        """Method of the link between the two, or an empty string."""
        c = t.link.c
        found = select(c.method).where(c.object_id == object_id, c.action_id == action_id)
        return self.connection.execute(found).scalar_one_or_none() or ""

    def parted(self, object_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Clips and actions that a person has parted."""
        parts = (object_ids[start : start + _AT_ONCE] for start in range(0, len(object_ids), _AT_ONCE))
        found = (self.connection.execute(_PARTED, {"object_ids": part}) for part in parts)
        return {(row.object_id, row.action_id) for rows in found for row in rows}

    def viewed_within(self, object_id: str, actor: str, what: str, since_ms: int, until_ms: int) -> bool:
        """Whether this person has looked at this in that time; what a clock then ahead entered counts for no other."""
        c = t.viewing.c
        mine = and_(c.object_id == object_id, c.actor == actor, c.what == what)
        return self._any(t.viewing, and_(mine, c.viewed_ms > since_ms, c.viewed_ms <= until_ms))

    def reviewed(self, object_id: str) -> bool:
        """Whether a person has looked at this clip, or has parted it from an action."""
        return self._any(t.viewing, t.viewing.c.object_id == object_id) or self._any(
            t.parting, t.parting.c.object_id == object_id
        )

    def backlogs(self, before_ms: int) -> list[tuple[str, int, int]]:
        """Unit, how many, and when the oldest came in (ms), of media copied before ``before_ms`` that belong to no act.

        Those that a person has looked at, or has parted from an act, are dealt with. The unit is that of who wore the
        recorder, and empty where nobody knows.
        """
        c, unit = t.clip.c, func.coalesce(t.officer.c.unit, "")
        untouched = (~exists().where(table.c.object_id == c.object_id) for table in (t.viewing, t.parting))
        found = (
            select(unit, func.count(), func.min(c.copied_ms))
            .select_from(t.clip.outerjoin(t.officer, t.officer.c.number == c.officer))
            .where(
                text("clip.links = 0"), c.status == "indexed", c.kind.in_(MEDIA), c.copied_ms < before_ms, *untouched
            )
            .group_by(unit)
        )
        return [(row[0], row[1], row[2]) for row in self.connection.execute(found)]

    def tokens(self) -> list[Row]:
        """Tokens of other systems, in the order in which they were made."""
        found = select(t.api_token).order_by(t.api_token.c.created_ms, t.api_token.c.token_id)
        return [dict(row) for row in self.connection.execute(found).mappings()]

    def hold(self, hold_id: str) -> Row | None:
        """A hold, set or released."""
        row = self.connection.execute(select(t.hold).where(t.hold.c.hold_id == hold_id)).mappings().one_or_none()
        return None if row is None else dict(row)

    def holds_on(self, object_id: str, cases: Iterable[str]) -> list[str]:
        """Holds in force on this clip, or on any of these cases (``model.case_key``)."""
        c = t.hold.c
        concerned = (c.object_id == object_id) | c.case_key.in_([key for key in cases if key])
        found = select(c.hold_id).where(concerned, c.released_ms.is_(None)).order_by(c.hold_id)
        return list(self.connection.execute(found).scalars())

    def case_is_known(self, number: str) -> bool:
        """Whether a register or a clip names this case, however it is spelt (``model.case_key``)."""
        key = case_key(number)
        named = (self._any(table, table.c.case_key == key) for table in (t.action, t.clip))
        registered = (case_key(one) == key for one in self.connection.execute(select(t.case_file.c.number)).scalars())
        return bool(key) and (any(named) or any(registered))

    def case_keys(self, object_id: str) -> set[str]:
        """Cases that a clip states, is suggested for or was parted from; a linked one is not disposed of at all.

        Parted as well: whoever undoes a link does not undo a hold.
        """
        stated = select(t.clip.c.case_key).where(t.clip.c.object_id == object_id)
        acts = (
            select(t.action.c.case_key)
            .join(table, table.c.action_id == t.action.c.action_id)
            .where(table.c.object_id == object_id)
            for table in (t.suggestion, t.parting)
        )
        return {key for query in (stated, *acts) for key in self.connection.execute(query).scalars()}

    def verified_ms(self, object_id: str) -> int | None:
        """When the centre's log last said that this original was read back as signed, in ms; None if it never did."""
        ours = select(t.state.c.origin).scalar_subquery()
        said = select(t.entry.c.utc_ms).join(t.receipt, t.receipt.c.log_seq == t.entry.c.seq)
        found = said.where(t.entry.c.log == ours, t.receipt.c.object_id == object_id)
        return self.connection.execute(found).scalar_one_or_none()

    def unlinked_verified(self, before_ms: int) -> list[str]:
        """Originals that belong to no action and were copied before ``before_ms``, oldest first, as far as verified."""
        c = t.clip.c
        found = select(c.object_id).where(text("clip.links = 0"), c.verdict == "verified", c.copied_ms < before_ms)
        return list(self.connection.execute(found.order_by(c.object_id)).scalars())

    def approvers(self, object_id: str) -> list[str]:
        """Who approved that this clip may be disposed of, in order."""
        c = t.approval.c
        return list(
            self.connection.execute(select(c.actor).where(c.object_id == object_id).order_by(c.log_seq)).scalars()
        )

    def is_disposed(self, object_id: str) -> bool:
        """Whether it was recorded as gone."""
        return self._any(t.disposal, t.disposal.c.object_id == object_id)

    def derived(self, object_id: str) -> list[Row]:
        """Names of what was derived from a clip: ``object_id``, ``name``."""
        c = t.proxy.c
        found = select(c.object_id, c.name).where(c.parent_id == object_id).order_by(c.object_id)
        return [dict(row) for row in self.connection.execute(found).mappings()]

    def configuration(self) -> Row | None:
        """The configuration that the centre log named last."""
        found = select(t.configuration).order_by(t.configuration.c.log_seq.desc()).limit(1)
        row = self.connection.execute(found).mappings().one_or_none()
        return None if row is None else dict(row)

    def catalogues(self) -> list[Row]:
        """Every version of the catalogue, in the order in which they were entered."""
        found = select(t.catalogue_version).order_by(t.catalogue_version.c.log_seq)
        return [dict(row) for row in self.connection.execute(found).mappings()]

    # What entries say.

    def part(self, entries: Iterable[Entry]) -> None:
        """Links that a person undid: no machine makes them again."""
        rows = [
            {
                "object_id": key_in(entry.record.block("link"), "object"),
                "action_id": key_in(entry.record.block("link"), "action"),
                "actor": actor_in(entry.record.payload),
                "reason": text_in(entry.record.payload, "reason"),
                "log_seq": entry.seq,
            }
            for entry in entries
            if by_hand(entry)
        ]
        self.put_new(t.parting, rows)

    def join(self, entries: Iterable[Entry]) -> None:
        """Links that a person made: whatever parted them before no longer holds."""
        c = t.parting.c
        pairs = [
            {
                "clip": key_in(entry.record.block("link"), "object"),
                "act": key_in(entry.record.block("link"), "action"),
            }
            for entry in entries
            if by_hand(entry)
        ]
        if pairs:
            gone = and_(c.object_id == bindparam("clip"), c.action_id == bindparam("act"))
            self.connection.execute(delete(t.parting).where(gone), pairs)

    def _configured(self, entries: list[Entry]) -> None:
        rows = [
            {
                "log_seq": entry.seq,
                "sha256": key_in(entry.record.block("config"), "sha256"),
                "catalogue_sha256": key_in(entry.record.block("config"), "catalogue_sha256"),
                "changed": dumps(list_in(entry.record.block("config"), "changed")),
                "unmeasured_clock_ms": unmeasured_clock_ms(entry),
                "changed_ms": entry.record.utc_ms,
            }
            for entry in entries
        ]
        self.put_new(t.configuration, rows)

    def _catalogued(self, entries: list[Entry]) -> None:
        rows = [
            {
                "log_seq": entry.seq,
                "sha256": key_in(entry.record.block("catalogue"), "sha256"),
                "version": text_in(entry.record.block("catalogue"), "version"),
                "valid_from_ms": integer_in(entry.record.block("catalogue"), "valid_from_ms") or 0,
                "entered_ms": entry.record.utc_ms,
            }
            for entry in entries
        ]
        self.put_new(t.catalogue_version, rows)

    def _explained(self, entries: list[Entry]) -> None:
        for entry in entries:
            said = entry.record.block("explanation")
            values = {
                "explanation": text_in(said, "text"),
                "explained_by": actor_in(entry.record.payload),
                "explained_ms": entry.record.utc_ms,
                "stage": "explained",
            }
            self._say_of_flag(entry, text_in(said, "flag"), text_in(said, "text"), "", values)

    def _reviewed(self, entries: list[Entry]) -> None:
        for entry in entries:
            review, opinion = entry.record.block("review"), text_in(entry.record.payload, "reason")
            result = key_in(review, "result")
            stage = "reviewed" if result == "accepted" else "returned"
            self._say_of_flag(entry, text_in(review, "flag"), opinion, result, {"stage": stage})

    def _closed(self, entries: list[Entry]) -> None:
        for entry in entries:
            closing, reason = entry.record.block("closing"), text_in(entry.record.payload, "reason")
            ground = key_in(closing, "ground")
            self._say_of_flag(entry, text_in(closing, "flag"), reason, ground, {"state": "closed"})

    def _say_of_flag(self, entry: Entry, flag_id: str, said: str, result: str, values: Mapping[str, Any]) -> None:
        """What a person did about a flag, and where the flag stands since."""
        act = {
            "log_seq": entry.seq,
            "flag_id": flag_id,
            "event": entry.record.event,
            "actor": actor_in(entry.record.payload),
            "said": said,
            "result": result,
            "at_ms": entry.record.utc_ms,
        }
        self.put_new(t.flag_act, [act])
        self.connection.execute(update(t.flag).where(t.flag.c.flag_id == flag_id).values(values))

    def lapse_reviews(self, flag_ids: Sequence[str]) -> None:
        """What a flag rests on has changed: what was reviewed before awaits review again."""
        lapsed = and_(t.flag.c.flag_id.in_(flag_ids), t.flag.c.stage == "reviewed")
        self.connection.execute(update(t.flag).where(lapsed).values(stage="explained"))

    def _viewed(self, entries: list[Entry]) -> None:
        rows = [
            {
                "log_seq": entry.seq,
                "object_id": key_in(entry.record.block("view"), "object"),
                "actor": actor_in(entry.record.payload),
                "what": key_in(entry.record.block("view"), "what"),
                "viewed_ms": entry.record.utc_ms,
            }
            for entry in entries
        ]
        self.put_new(t.viewing, rows)

    def _token_made(self, entries: list[Entry]) -> None:
        rows = [
            {
                "token_id": key_in(token, "id"),
                "name": text_in(token, "name"),
                "scopes": " ".join(str(scope) for scope in list_in(token, "scopes")),
                "sha256": key_in(token, "sha256"),
                "created_by": actor_in(entry.record.payload),
                "created_ms": entry.record.utc_ms,
                "expires_ms": integer_in(token, "expires_ms") or 0,
                "revoked_ms": None,
                "revoked_by": "",
                "log_seq": entry.seq,
            }
            for entry in entries
            for token in [entry.record.block("token")]
        ]
        self.put_new(t.api_token, rows)

    def _token_revoked(self, entries: list[Entry]) -> None:
        for entry in entries:
            values = {
                "revoked_ms": entry.record.utc_ms,
                "revoked_by": actor_in(entry.record.payload),
                "log_seq": entry.seq,
            }
            token = t.api_token.c.token_id == key_in(entry.record.block("token"), "id")
            self.connection.execute(update(t.api_token).where(token).values(values))

    def _held(self, entries: list[Entry]) -> None:
        rows = [
            {
                "hold_id": key_in(entry.record.block("hold"), "id"),
                "object_id": key_in(entry.record.block("hold"), "object"),
                "case_number": key_in(entry.record.block("hold"), "case"),
                "case_key": key_in(entry.record.block("hold"), "case_key"),
                "reason": text_in(entry.record.payload, "reason"),
                "set_by": actor_in(entry.record.payload),
                "set_ms": entry.record.utc_ms,
                "released_by": "",
                "release_reason": "",
                "released_ms": None,
                "log_seq": entry.seq,
            }
            for entry in entries
        ]
        self.put_new(t.hold, rows)

    def _released(self, entries: list[Entry]) -> None:
        for entry in entries:
            values = {
                "released_by": actor_in(entry.record.payload),
                "release_reason": text_in(entry.record.payload, "reason"),
                "released_ms": entry.record.utc_ms,
                "log_seq": entry.seq,
            }
            hold = t.hold.c.hold_id == key_in(entry.record.block("hold"), "id")
            self.connection.execute(update(t.hold).where(hold).values(values))

    def _approved(self, entries: list[Entry]) -> None:
        rows = [
            {
                "object_id": key_in(entry.record.block("disposal"), "object"),
                "actor": actor_in(entry.record.payload),
                "reason": text_in(entry.record.payload, "reason"),
                "approved_ms": entry.record.utc_ms,
                "log_seq": entry.seq,
            }
            for entry in entries
        ]
        self.put_new(t.approval, rows)

    def _disposed(self, entries: list[Entry]) -> None:
        rows = [
            {
                "object_id": key_in(entry.record.block("disposal"), "object"),
                "actor": actor_in(entry.record.payload),
                "done_ms": entry.record.utc_ms,
                "log_seq": entry.seq,
            }
            for entry in entries
        ]
        self.put_new(t.disposal, rows)
        gone = t.clip.c.object_id.in_([row["object_id"] for row in rows])
        self.connection.execute(update(t.clip).where(gone).values(verdict="disposed"))

    def _any(self, table: Table, condition: Any) -> bool:
        return self.connection.execute(select(table).where(condition).limit(1)).first() is not None


def by_hand(entry: Entry) -> bool:
    """Whether a person made or undid this link; the machine never undoes what a person made."""
    return text_in(object_in(entry.record.payload, "link"), "method") == MANUAL


def unmeasured_clock_ms(entry: Entry) -> int:
    """What ``config.changed`` says of the clock that nobody measured: the one setting that becomes part of rows."""
    return integer_in(object_in(entry.record.block("config"), "decides"), "unmeasured_clock_ms") or 0

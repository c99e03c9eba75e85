"""Legal reviews and decisions of cases as rows: the writing of them from log entries, and what is asked of them.

One more part of the repository, in the same transaction.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update

from custody.canonical import JsonObject
from custody.chain import Entry
from ingestd.index import tables as t
from ingestd.index.rows import Row, actor_in, integer_in, key_in, list_in, text_in

Put = Callable[[Table, Sequence[Row], Iterable[str]], None]
"""Inserts, or sets the named columns of what is there."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Tables ``legal_review`` and ``decision``, inside the transaction of ``connection``."""

    connection: Connection
    put: Put

    def projectors(self) -> list[tuple[str, Callable[[list[Entry]], None]]]:
        """Events in the order in which their rows can be written."""
        return [
            ("review.submitted", self._submitted),
            ("review.extended", self._extended),
            ("review.concluded", self._concluded),
            ("decision.made", self._made),
            ("decision.withdrawn", self._withdrawn),
            ("disclosure.published", self._published),
        ]

    def review(self, review_id: str) -> Row | None:
        """A legal review, in its latest round."""
        return review(self.connection, review_id)

    def decision(self, decision_id: str) -> Row | None:
        """A decision."""
        return next(
            iter(_all(self.connection, select(t.decision).where(t.decision.c.decision_id == decision_id))), None
        )

    def reviews(self) -> list[Row]:
        """Every review, the one whose material was complete last first."""
        return reviews(self.connection)

    def decisions(self) -> list[Row]:
        """Every decision, newest first."""
        return decisions(self.connection)

    def _submitted(self, entries: list[Entry]) -> None:
        rows = [
            {
                "review_id": key_in(review, "id"),
                "case_number": key_in(review, "case"),
                "case_key": key_in(review, "case_key"),
                "subject": text_in(review, "subject"),
                "state": "submitted",
                "complete_ms": integer_in(review, "complete_ms") or 0,
                "extended": 0,
                "concluded_ms": None,
                "opinion": "",
                "submitted_by": actor_in(entry.record.payload),
                "reviewer": "",
                "log_seq": entry.seq,
            }
            for entry, review in _blocks(entries, "review")
        ]
        self.put(t.legal_review, rows, [name for name in rows[0] if name != "review_id"] if rows else [])

    def _extended(self, entries: list[Entry]) -> None:
        for entry, review in _blocks(entries, "review"):
            self._set(t.legal_review, key_in(review, "id"), extended=1, log_seq=entry.seq)

    def _concluded(self, entries: list[Entry]) -> None:
        for entry, review in _blocks(entries, "review"):
            self._set(
                t.legal_review,
                key_in(review, "id"),
                state=key_in(review, "result"),
                opinion=text_in(entry.record.payload, "reason"),
                reviewer=actor_in(entry.record.payload),
                concluded_ms=entry.record.utc_ms,
                log_seq=entry.seq,
            )

    def _made(self, entries: list[Entry]) -> None:
        rows = [
            {
                "decision_id": key_in(one, "id"),
                "case_number": key_in(one, "case"),
                "case_key": key_in(one, "case_key"),
                "kind": key_in(one, "kind"),
                "major": integer_in(one, "major") or 0,
                "made_ms": integer_in(one, "made_ms") or 0,
                "unit": text_in(one, "unit"),
                "party": text_in(one, "party"),
                "party_kind": key_in(one, "party_kind"),
                "title": text_in(one, "title"),
                "conclusion": text_in(one, "conclusion"),
                "withheld": key_in(one, "withheld"),
                "review_id": key_in(one, "review"),
                "recorded_by": actor_in(entry.record.payload),
                "withdrawn_ms": None,
                "withdrawn_reason": "",
                "published_ms": None,
                "removed_ms": None,
                "log_seq": entry.seq,
            }
            for entry, one in _blocks(entries, "decision")
        ]
        self.put(t.decision, rows, [name for name in rows[0] if name != "decision_id"] if rows else [])

    def _withdrawn(self, entries: list[Entry]) -> None:
        for entry, one in _blocks(entries, "decision"):
            self._set(
                t.decision,
                key_in(one, "id"),
                withdrawn_ms=integer_in(one, "withdrawn_ms") or 0,
                withdrawn_reason=text_in(entry.record.payload, "reason"),
                log_seq=entry.seq,
            )

    def _published(self, entries: list[Entry]) -> None:
        for entry, one in _blocks(entries, "disclosure"):
            for name, column in (("published", "published_ms"), ("removed", "removed_ms")):
                ids = [value for value in list_in(one, name) if isinstance(value, str)]
                told = {column: entry.record.utc_ms, "log_seq": entry.seq}
                self.connection.execute(update(t.decision).where(t.decision.c.decision_id.in_(ids)).values(told))

    def _set(self, table: Table, key: str, **values: Any) -> None:
        [primary] = table.primary_key
        self.connection.execute(update(table).where(primary == key).values(values))


def review(db: Connection, review_id: str) -> Row | None:
    """A legal review, in its latest round."""
    return next(iter(_all(db, select(t.legal_review).where(t.legal_review.c.review_id == review_id))), None)


def reviews(db: Connection) -> list[Row]:
    """Every review, the one whose material was complete last first."""
    c = t.legal_review.c
    return _all(db, select(t.legal_review).order_by(c.complete_ms.desc(), c.review_id))


def decisions(db: Connection) -> list[Row]:
    """Every decision, newest first."""
    c = t.decision.c
    return _all(db, select(t.decision).order_by(c.made_ms.desc(), c.decision_id))


def _all(db: Connection, statement: Any) -> list[Row]:
    return [dict(row) for row in db.execute(statement).mappings()]


def _blocks(entries: Iterable[Entry], name: str) -> list[tuple[Entry, JsonObject]]:
    return [(entry, entry.record.block(name)) for entry in entries]

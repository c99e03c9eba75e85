"""The rows of keys as the running service goes by them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from custody.checkpoint import NoteKey
from custody.identifiers import station_of
from custody.keyring import LogKeys, profile_of
from ingestd.index.rows import Row
from ingestd.verify import Station


def enrolled(rows: Sequence[Row], configured: Mapping[str, Station], centre: str) -> Iterator[Station]:
    """Every station with the keys its log began with, those that may succeed and those that were revoked.

    ``rows`` come log by log. A station that the configuration names keeps the first keys it has there: they are pinned
    from outside the database.
    """
    for log, group in groupby(rows, lambda row: str(row["log"])):
        mine = sorted(group, key=lambda row: (row["from_seq"] != 0, row["log_seq"]))
        if log == centre or mine[0]["from_seq"] != 0:
            continue
        first, later = keys_of(mine[0]), frozenset(keys_of(row) for row in mine[1:])
        pinned = configured.get(mine[0]["station"])
        if pinned is not None:
            first = pinned.first
        revoked = {NoteKey.parse(row["vkey"]): row["revoked_ms"] for row in mine if row["revoked_ms"] is not None}
        yield Station(mine[0]["station"], first.note, first.second, later, revoked)


def keys_of(row: Row) -> LogKeys:
    """The keys of one row."""
    return LogKeys(NoteKey.parse(row["vkey"]), NoteKey.parse(row["vkey_sm3"]) if row["vkey_sm3"] else None)


def centre_row(first: LogKeys) -> Row:
    """A row for the keys that the centre's log began with: no entry enrols them, their holder says who they are."""
    words = dict.fromkeys(("replaces", "fingerprint", "revoked_reason", "revoked_code"), "")
    return {
        **words,
        "log": first.origin,
        "keyid": first.keyid,
        "station": station_of(first.origin),
        "profile": profile_of(first).value,
        "vkey": first.note.vkey(),
        "vkey_sm3": first.second.vkey() if first.second else "",
        "approvers": "[]",
        "certificates": "{}",
        "enrolled_ms": 0,
        "from_seq": 0,
        "from_ms": None,
        "revoked_ms": None,
        "revoked_by": "[]",
        "log_seq": -1,
    }

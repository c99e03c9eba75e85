"""What the centre's log says of keys, and how an entry is judged by it: at the time of the log, never now."""

import pytest

from custody.authority import Authority, Enrolled, Seen, approvers_of
from custody.canonical import JsonValue
from custody.errors import ContractError
from custody.record import Draft, Record, compose, parse_record
from tests.custody.conftest import ORIGIN
from tests.custody.test_keyring import FIRST, NEXT, keys_of
from tests.custody.test_log import draft

CENTRE = "custody.example/centre"
TWO: JsonValue = [{"role": "approver", "id": "007"}, {"role": "approver", "id": "013"}]
DIGEST = "0f" * 32


def said(seq: int, event: str, utc_ms: int = 1000, **body: JsonValue) -> Record:
    made = Draft(event, draft(seq).record_id, {"utc_ms": utc_ms, "source": "system"}, body)
    return parse_record(compose(made, CENTRE, seq, "ab" * 32 if seq else ""))


def approval(seq: int, actors: JsonValue = TWO, log: str = ORIGIN) -> Record:
    return said(seq, "key.enrolled", key=keys_of(NEXT, origin=log).block(), actors=actors)


def mirrored(seq: int, start: int, count: int, utc_ms: int) -> Record:
    leaves: list[JsonValue] = [DIGEST] * count
    return said(seq, "station.entries", utc_ms, mirror={"log": ORIGIN, "from": start, "leaves": leaves})


def revoked(seq: int, invalid_from_ms: int) -> Record:
    key, since = keys_of(FIRST).block(), {"invalid_from_ms": invalid_from_ms}
    return said(seq, "key.revoked", key=key, revocation=since, reason="stolen", actors=TWO)


def heard(*records: Record) -> Authority:
    authority = Authority()
    for record in records:
        authority.hear(record)
    return authority


def test_the_first_enrolment_of_a_log_counts():
    station: JsonValue = {"id": "station-07", "log": ORIGIN}
    first = said(0, "station.enrolled", station=station, key=keys_of(FIRST).block())
    again = said(1, "station.enrolled", station=station, key=keys_of(NEXT).block(), actors=TWO)
    assert heard(first, again).enrolled == {ORIGIN: Enrolled("station-07", keys_of(FIRST), ())}
    assert heard(again).enrolled[ORIGIN].approvers == ("007", "013")


def test_a_key_succeeds_by_the_word_of_two_different_people():
    assert heard(approval(0)).successors(ORIGIN) == (keys_of(NEXT),)
    one: JsonValue = [{"role": "approver", "id": "007"}]
    system: JsonValue = [{"role": "approver", "id": "007"}, {"role": "system", "id": "ingestd"}]
    nobody: JsonValue = [{"role": "approver", "id": ""}, {"role": "approver", "id": "007"}, "013"]
    spelt: JsonValue = [{"role": "approver", "id": name} for name in ("Li Ming", "LI MING", "\uff2ciming", " liming ")]
    for actors in (one, [*one, *one], system, nobody, spelt, "two of us", None):  # type: ignore[misc]
        assert heard(approval(0, actors)).successors(ORIGIN) == ()
    assert approvers_of(approval(0)) == ("007", "013")
    assert approvers_of(approval(0, spelt)) == ("Li Ming",)


def test_the_centre_speaks_of_other_logs_not_of_its_own():
    assert heard(approval(0, log=CENTRE)).approved == {}


def test_an_entry_was_seen_when_the_centre_first_named_it():
    authority = heard(
        mirrored(0, 0, 3, 100), mirrored(1, 1, 2, 150), mirrored(2, 3, 2, 200), said(3, "log.recovered", reason="x")
    )
    assert [authority.seen(ORIGIN, seq) for seq in (0, 2, 3, 4, 5)] == [
        Seen(100, 0),
        Seen(100, 0),
        Seen(200, 2),
        Seen(200, 2),
        None,
    ]
    assert authority.seen("custody.example/other", 0) is None


def test_a_succession_counts_if_it_was_approved_before_it_was_taken():
    assert heard(approval(0), mirrored(1, 0, 1, 100)).in_time(ORIGIN, 0, keys_of(NEXT))
    assert heard(approval(0)).in_time(ORIGIN, 0, keys_of(NEXT))
    assert not heard(mirrored(0, 0, 1, 100), approval(1)).in_time(ORIGIN, 0, keys_of(NEXT))
    assert not heard(mirrored(0, 0, 1, 100)).in_time(ORIGIN, 0, keys_of(NEXT))


def test_an_entry_seen_before_the_time_of_the_revocation_counts_and_later_ones_need_review():
    authority = heard(revoked(0, 500), revoked(1, 400), revoked(2, 900))
    assert [authority.doubtful(keys_of(FIRST), ms) for ms in (399, 400, 401)] == [False, True, True]
    assert not authority.doubtful(keys_of(NEXT), 10**12)


def test_a_revocation_says_from_when():
    with pytest.raises(ContractError, match="invalid_from_ms"):
        revoked(0, -1)

import pytest

from custody.chain import Chain
from custody.messages import MAX_MESSAGE_BYTES, Records, decode_records
from ingestd.errors import MessageError
from ingestd.pipeline import Received
from ingestd.verify import Follower, open_message
from tests.fakes.centre_station import FakeStation


@pytest.fixture
def station():
    made = FakeStation()
    for _ in range(3):
        made.clip()
    return made


def _follower(station, chain=None, leaves=None):
    known = leaves or []
    return Follower(station.enrolled, chain or Chain(station.origin), lambda start, stop: known[start:stop])


def _take(follower, message):
    follower.take(decode_records(message.payload))


def test_message_that_continues_the_log_is_taken_with_its_checkpoint(station):
    follower = _follower(station)

    _take(follower, station.message())

    assert [entry.data for entry in follower.entries] == station.entries
    assert follower.chain.size == 6
    assert follower.settled[-1][1] == 6
    assert follower.notes[-1].checkpoint.size == 6


def test_checkpoint_inside_the_message_is_settled_where_it_belongs(station):
    note = station.log.checkpoint(station.signer).note
    station.clip()
    follower = _follower(station)

    follower.take(Records(station.origin, 0, tuple(station.entries), note))

    assert follower.notes[-1].checkpoint.size == 6
    assert follower.settled[-1][0].size == 6
    assert follower.chain.size == 8


def test_checkpoint_beyond_the_message_waits(station):
    follower = _follower(station)

    _take(follower, station.message(0, 2))
    assert follower.notes == []
    _take(follower, station.message(2))
    assert follower.notes[-1].checkpoint.size == 6


def test_entries_that_come_again_are_remembered_as_such(station):
    follower = _follower(station)
    _take(follower, station.message(0, 4))
    _take(follower, station.message(2))

    assert follower.resent == [(2, 4)]
    assert len(follower.entries) == 6


def test_entries_of_earlier_units_are_compared_with_their_leaves(station):
    first = _follower(station)
    _take(first, station.message(0, 4))
    later = _follower(station, first.chain, [entry.leaf.hex() for entry in first.entries])

    _take(later, station.message(0))

    assert later.resent == [(0, 4)]
    assert [entry.seq for entry in later.entries] == [4, 5]


def test_gap_is_answered_not_refused(station):
    follower = _follower(station)

    _take(follower, station.message(2))

    assert (follower.entries, follower.resent, follower.notes) == ([], [], [])


def test_entry_that_differs_from_the_one_we_hold_is_a_fork(station):
    follower = _follower(station)
    _take(follower, station.message(0, 4))
    other = FakeStation(seed=1)
    other.clip(officer_as_stated="x")

    with pytest.raises(MessageError) as caught:
        _take(follower, other.message())

    assert caught.value.finding == "log-forked"
    assert caught.value.offence == other.entries[1]


def test_good_entries_before_a_bad_one_stay(station):
    entries = (*station.entries[:3], station.entries[3].replace(b"a", b"b", 1), *station.entries[4:])
    follower = _follower(station)

    with pytest.raises(MessageError):
        follower.take(Records(station.origin, 0, entries, b""))

    assert [entry.data for entry in follower.entries] == station.entries[:3]
    assert follower.chain.size == 3


def test_rogue_key_is_unknown(station):
    rogue = FakeStation(seed=9)
    rogue.clip()
    follower = _follower(station)

    with pytest.raises(MessageError) as caught:
        follower.take(Records(station.origin, 0, tuple(rogue.entries), b""))

    assert caught.value.finding == "key-unknown"


def test_skipped_entry_is_a_gap_in_seq(station):
    follower = _follower(station)

    with pytest.raises(MessageError) as caught:
        follower.take(Records(station.origin, 0, (station.entries[0], station.entries[2]), b""))

    assert caught.value.finding == "seq-gap"


def test_checkpoint_with_another_root_is_refused_and_entries_stay(station):
    twin = FakeStation()
    twin.clip()
    twin.clip(officer_as_stated="someone else")
    twin.clip()
    follower = _follower(station)

    with pytest.raises(MessageError) as caught:
        follower.take(Records(station.origin, 0, tuple(station.entries), twin.log.checkpoint(twin.signer).note))

    assert caught.value.finding == "root-mismatch"
    assert len(follower.entries) == 6
    assert follower.notes == []


def test_checkpoint_signed_by_another_key_is_refused(station):
    rogue = FakeStation(seed=9)
    note = station.log.checkpoint(station.signer).note
    head = note.rpartition(b"\n\n")[0]
    rogue.clip()
    tail = rogue.log.checkpoint(rogue.signer).note.rpartition(b"\n\n")[2]
    follower = _follower(station)

    with pytest.raises(MessageError) as caught:
        follower.take(Records(station.origin, 0, tuple(station.entries), head + b"\n\n" + tail))

    assert caught.value.finding in {"key-unknown", "sig-bad"}


def test_checkpoint_of_another_log_is_refused(station):
    other = FakeStation(name="station-02", seed=2)
    other.clip()
    follower = _follower(station)

    with pytest.raises(MessageError) as caught:
        follower.take(Records(station.origin, 0, (), other.log.checkpoint(other.signer).note))

    assert caught.value.finding == "log-forked"


def test_smaller_checkpoint_than_the_kept_one_is_old_news(station):
    follower = _follower(station)
    follower.kept = station.log.checkpoint(station.signer).checkpoint

    _take(follower, station.message())

    assert follower.notes == []


@pytest.mark.parametrize(
    ("message", "finding"),
    [
        (Received("bwc/v1/station-01/records", b"garbage"), "unparsable"),
        (Received("bwc/v1/station-01/records", b"x" * (MAX_MESSAGE_BYTES + 1)), "unparsable"),
        (Received("bwc/v1/station-09/records", FakeStation().message().payload), "key-unknown"),
        (Received("elsewhere", FakeStation().message().payload), "key-unknown"),
        (Received("bwc/v1/station-01/records", FakeStation("station-02", 2).message().payload), "log-forked"),
    ],
)
def test_message_that_is_not_from_an_enrolled_station_about_its_own_log(station, message, finding):
    with pytest.raises(MessageError) as caught:
        open_message(message.topic, message.payload, {"station-01": station.enrolled})

    assert caught.value.finding == finding

import json

import pytest

from custody import topics
from custody.errors import ContractError, UnparsableError
from custody.messages import (
    MAX_ENTRIES,
    MAX_MESSAGE_BYTES,
    Receipts,
    Records,
    decode_receipts,
    decode_records,
)
from tests.custody.conftest import ORIGIN


def test_records_travel_byte_for_byte(log, signer):
    message = Records(ORIGIN, 2, tuple(e.data for e in log.entries(2)), log.checkpoint(signer).note)
    assert decode_records(message.encode()) == message


def test_receipts_travel_byte_for_byte(log):
    message = Receipts(ORIGIN, 6, tuple(e.data for e in log.entries()), b"note\n")
    assert decode_receipts(message.encode()) == message
    assert decode_receipts(Receipts(ORIGIN, 0, ()).encode()) == Receipts(ORIGIN, 0, ())
    with_centre = Receipts(ORIGIN, 6, (), b"note\n", b"centre\n")
    assert decode_receipts(with_centre.encode()) == with_centre


def test_a_reader_without_the_centre_checkpoint_reads_the_rest():
    header = json.loads(Receipts(ORIGIN, 6, (), b"note\n", b"centre\n").encode())
    assert header == {
        "type": "bwc.receipts/v1",
        "log": ORIGIN,
        "size": 6,
        "cosigned": "note\n",
        "centre": "centre\n",
    }
    with pytest.raises(UnparsableError):
        decode_receipts(json.dumps({**header, "centre": 5}).encode())


@pytest.mark.parametrize(
    "header",
    [
        {"type": "bwc.receipts/v1"},
        {"log": "nowhere"},
        {"log": 5},
        {"first": -1},
        {"first": "0"},
        {"checkpoint": 5},
    ],
)
def test_a_wrong_header_is_unparsable(header):
    right = {"type": "bwc.records/v1", "log": ORIGIN, "first": 0, "checkpoint": ""}
    with pytest.raises(UnparsableError):
        decode_records(json.dumps({**right, **header}).encode())


def test_bounds_hold_both_ways():
    with pytest.raises(ContractError):
        Records(ORIGIN, 0, (b"{}",) * (MAX_ENTRIES + 1), b"").encode()
    with pytest.raises(ContractError):
        Records(ORIGIN, 0, (b"x" * 60_000,) * 20, b"").encode()
    head = Records(ORIGIN, 0, (), b"").encode()
    for data in (
        b" " * (MAX_MESSAGE_BYTES + 1),
        head + b"\n{}" * (MAX_ENTRIES + 1),
        head + b"\n",
        head + b"\n" + b"x" * 65_536,
        b"rubbish",
    ):
        with pytest.raises(UnparsableError):
            decode_records(data)


def test_topics_name_their_station():
    assert topics.records("station-07") == "bwc/v1/station-07/records"
    assert topics.receipts("station-07") == "bwc/v1/station-07/receipts"
    assert topics.status("station-07") == "bwc/v1/station-07/status"
    assert topics.plans("station-07") == "bwc/v1/station-07/plans"
    assert topics.station_in("bwc/v1/station-07/records") == "station-07"


@pytest.mark.parametrize("topic", ["", "bwc/v1/a/b/records", "bwc/v2/a/records", "bwc/v1//records", "bwc/v1/a/other"])
def test_foreign_topics_name_none(topic):
    assert topics.station_in(topic) is None


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "Ä", "a b", "A", "-a", "x" * 65])
def test_a_station_cannot_be_named_like_a_wildcard(name):
    with pytest.raises(ContractError):
        topics.records(name)

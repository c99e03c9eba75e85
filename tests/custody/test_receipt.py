import json

import pytest

from custody.canonical import canonical_bytes
from custody.errors import LogError, SignatureError, UnknownKeyError, UnparsableError
from custody.merkle import sha256
from custody.receipt import covers, read_receipt
from fixtures import vectors

CENTRE = [vectors.CENTRE.verify_key()]


def worked():
    return json.loads(vectors.PATH.read_text(encoding="utf-8"))


def test_the_committed_vectors_are_what_the_code_computes():
    assert worked() == vectors.build()


def test_a_receipt_says_what_the_centre_read():
    receipt = read_receipt(worked()["receipt"].encode(), vectors.CENTRE_LOG, CENTRE)
    digest = sha256(vectors.CLIP).hex()
    assert (receipt.station_log, receipt.station_seq) == (vectors.STATION_LOG, 1)
    assert receipt.station_leaf == worked()["leaves"][1]
    assert receipt.name.endswith(".MP4")
    assert covers(receipt, vectors.STATION_LOG, vectors.OBJECT, len(vectors.CLIP), digest)
    assert not covers(receipt, vectors.STATION_LOG, vectors.OBJECT, len(vectors.CLIP) + 1, digest)
    assert not covers(receipt, vectors.STATION_LOG, vectors.OBJECT, len(vectors.CLIP), "00" * 32)
    assert not covers(receipt, "custody.example/station-08", vectors.OBJECT, len(vectors.CLIP), digest)


def test_what_the_station_says_of_itself_is_no_receipt():
    entry = worked()["entries"][1].encode()
    with pytest.raises(UnknownKeyError):
        read_receipt(entry, vectors.CENTRE_LOG, CENTRE)
    with pytest.raises(LogError):
        read_receipt(entry, vectors.CENTRE_LOG, [vectors.STATION.verify_key()])
    with pytest.raises(UnparsableError, match="no receipt"):
        read_receipt(entry, vectors.STATION_LOG, [vectors.STATION.verify_key()])


def test_a_changed_receipt_is_refused():
    fields = json.loads(worked()["receipt"])
    fields["payload"] = json.loads(worked()["entries"][1])["payload"]
    with pytest.raises(SignatureError):
        read_receipt(canonical_bytes(fields), vectors.CENTRE_LOG, CENTRE)

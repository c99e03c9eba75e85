import json

import pytest

from custody.errors import ContractError, UnparsableError
from custody.record import EVENTS, Draft, compose, parse_record
from tests.custody.conftest import ORIGIN

SHA = "ab" * 32
ID = "019ab1a5-1a2b-7d55-8b02-91c3a4e05f77"
TIME = {"utc_ms": 1795373277980, "source": "ntp"}
OBJECT = {"id": ID, "name": f"originals/2026/11/22/{ID}.MP4", "size": 0, "digests": {"sha256": SHA}}
COPIED = {
    "camera": {"serial": "1234567"},
    "object": OBJECT,
    "source": {"path": "DCIM/0001.MP4"},
    "copy": {"reread": "uncached", "reread_sha256": SHA},
}


def payload(**changes):
    fields = json.loads(compose(Draft("ingest.copied", ID, TIME, COPIED), ORIGIN, 0, ""))
    fields.update(changes)
    return json.dumps({k: v for k, v in fields.items() if v != "absent"}).encode()


def test_a_composed_record_parses_to_its_head():
    record = parse_record(compose(Draft("ingest.copied", ID, TIME, COPIED), ORIGIN, 1, SHA))
    assert (record.event, record.log, record.seq, record.prev) == ("ingest.copied", ORIGIN, 1, SHA)
    assert record.utc_ms == TIME["utc_ms"]
    assert record.known
    assert record.block("object")["size"] == 0


def test_unknown_fields_and_unknown_events_survive():
    record = parse_record(payload(event="camera.sneezed", weather="雨"))
    assert not record.known
    assert record.payload["weather"] == "雨"


def test_a_missing_block_is_named():
    with pytest.raises(UnparsableError, match=r"no proxy"):
        parse_record(payload()).block("proxy")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"type": "bwc.custody/v2"}, "type"),
        ({"event": ""}, "event"),
        ({"event": "x" * 65}, "event"),
        ({"event": 5}, "event"),
        ({"record_id": "019ab1a5-1a2b-4d55-8b02-91c3a4e05f77"}, "record_id"),
        ({"log": "station 07"}, "log"),
        ({"seq": -1}, "seq"),
        ({"seq": "0"}, "seq"),
        ({"seq": 1}, "prev"),
        ({"prev": SHA}, "prev"),
        ({"prev": None}, "prev"),
        ({"time": {}}, "utc_ms"),
        ({"time": "now"}, "utc_ms"),
        ({"time": {"utc_ms": -1}}, "utc_ms"),
        ({"camera": "absent"}, "camera"),
        ({"object": "absent"}, "object"),
        ({"object": {**OBJECT, "id": "x"}}, "object.id"),
        ({"object": {**OBJECT, "name": ""}}, "object.name"),
        ({"object": {**OBJECT, "name": "../../etc/passwd"}}, "object.name"),
        ({"object": {**OBJECT, "name": f"originals/2026/11/22/{ID[:-1]}8.MP4"}}, "object.name"),
        ({"time": {"utc_ms": 1}}, "time.source"),
        ({"time": {"utc_ms": 1, "source": ""}}, "time.source"),
        ({"time": {**TIME, "boot_id": 1}}, "time.boot_id"),
        ({"time": {**TIME, "mono_ns": None}}, "time.mono_ns"),
        ({"copy": {"reread": "surely", "reread_sha256": SHA}}, "copy.reread"),
        ({"event": "ingest.seen", "files": []}, "files"),
        ({"event": "ingest.seen", "files": [{"path": "a", "size": 0}] * 201}, "files"),
        ({"event": "ingest.seen", "files": "all"}, "files"),
        ({"event": "ingest.seen", "files": ["a"]}, r"files\[0\]"),
        ({"event": "ingest.seen", "files": [{"path": "a", "size": 0}, {"path": "b"}]}, r"files\[1\].size"),
        ({"event": "station.entries", "mirror": {"log": "here", "from": 0, "leaves": [SHA]}}, "mirror.log"),
        ({"event": "station.entries", "mirror": {"log": ORIGIN, "from": 0, "leaves": "all"}}, "mirror.leaves"),
        ({"event": "station.entries", "mirror": {"log": ORIGIN, "from": 0, "leaves": ["x"]}}, "mirror.leaves"),
        ({"object": {**OBJECT, "size": -1}}, "object.size"),
        ({"object": {**OBJECT, "digests": "md5"}}, "object.digests"),
        ({"object": {**OBJECT, "digests": {"sha256": SHA.upper()}}}, "object.digests.sha256"),
        ({"source": {}}, "source.path"),
        ({"copy": {"reread": "uncached"}}, "copy.reread_sha256"),
        ({"event": "store.proved", "store": {"config_sha256": SHA}, "result": "kept"}, "store.url"),
        (
            {"event": "store.proved", "store": {"url": "s3://x", "config_sha256": "x"}, "result": "kept"},
            "config_sha256",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(changes, complaint):
    with pytest.raises(UnparsableError, match=complaint):
        parse_record(payload(**changes))


def test_our_own_mistakes_are_contract_errors():
    with pytest.raises(ContractError, match="draft"):
        compose(Draft("no.such", ID, TIME, {}), ORIGIN, 0, "")
    with pytest.raises(ContractError, match="seq"):
        compose(Draft("log.recovered", ID, TIME, {"reason": "x", "seq": 7}), ORIGIN, 0, "")
    with pytest.raises(ContractError, match="reason"):
        compose(Draft("log.recovered", ID, TIME, {}), ORIGIN, 0, "")


def test_every_event_can_be_written():
    for event, blocks in EVENTS.items():
        assert blocks, event
        assert len(event) <= 64


@pytest.mark.parametrize("sm3", ["", "AB" * 32, None, 5])
def test_an_sm3_digest_is_optional_and_well_formed(sm3):
    assert parse_record(payload(object={**OBJECT, "digests": {"sha256": SHA, "sm3": SHA}}))
    with pytest.raises(UnparsableError, match=r"object\.digests\.sm3"):
        parse_record(payload(object={**OBJECT, "digests": {"sha256": SHA, "sm3": sm3}}))

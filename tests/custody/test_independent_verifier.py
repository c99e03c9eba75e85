"""Two readers of FORMAT.md, one decision: ``custody`` and a verifier that was written from the text alone.

Thousands of mutations go to both; they must refuse the same ones, with the same finding. Where they once differed
stands in ``SETTLED``, with what the text says since.
"""

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from custody import merkle
from custody.canonical import JsonValue, canonical_bytes, parse_object
from custody.chain import Chain
from custody.checkpoint import Checkpoint, NoteKey, parse_note, sign_checkpoint
from custody.enrolment import fingerprint, read_request, request
from custody.envelope import open_envelope, verify
from custody.errors import EvidenceError
from custody.keyring import LogKeys
from custody.log import CHECKPOINT, Log
from custody.messages import RECEIPTS_TYPE, decode_receipts, decode_records
from custody.receipt import read_receipt
from custody.record import EVENTS, parse_record
from custody.signer import VerifyKey
from tests import independent_verifier as independent
from tests.custody.test_keyring import FIRST, NEXT, THIRD, rotated
from tests.custody.test_keyring import STRANGER as STRANGER_SIGNER
from tests.fakes.log_files import MemoryLogFiles
from tests.independent_verifier import COSIGNER_KEY, NOTE_KEY, PAYLOAD_TYPE, Refused

FORMAT = (Path(__file__).parents[2] / "custody/FORMAT.md").read_text("utf-8")
VECTORS = json.loads((Path(__file__).parents[2] / "fixtures/custody/vectors.json").read_text("utf-8"))

# RFC 8032 §7.1, tests 1, 3 and 2: the keys of the worked bytes; and a key nobody enrolled.
STATION, CENTRE, WITNESS, STRANGER = (
    Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    for seed in (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
    )
)
ORIGIN, CENTRE_ORIGIN, WITNESS_NAME = (
    "custody.example/station-07",
    "custody.example/centre",
    "custody.example/centre-witness",
)
UUID, DIGEST = "019ab1a5-1a2b-7d55-8b02-91c3a4e05f77", "0f" * 32


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [ordered(item) for item in value]
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=lambda k: k.encode("utf-16-be", "surrogatepass"))}
    return value


def loose(value: Any) -> bytes:
    """Canonical JSON of what is allowed, and something like it of what is not."""
    return json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def signature(payload: bytes, key: Ed25519PrivateKey) -> dict[str, str]:
    return {"keyid": independent.key_id(raw(key)), "sig": b64(key.sign(independent.pae(PAYLOAD_TYPE, payload)))}


def seal(payload: bytes, *keys: Ed25519PrivateKey) -> bytes:
    signatures = [signature(payload, key) for key in keys]
    return loose({"payload": b64(payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures})


def payload_of(entry: bytes) -> bytes:
    return base64.b64decode(json.loads(entry)["payload"])


def record_of(entry: bytes) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(payload_of(entry))
    return record


OBJECT = {"id": UUID, "name": f"originals/2026/11/22/{UUID}.MP4", "size": 32, "digests": {"sha256": DIGEST}}
COPY = {"reread": "uncached", "reread_sha256": DIGEST}
CAMERA = {"serial": "1234567"}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("ingest.seen", {"camera": CAMERA, "files": [{"path": "DCIM/1.MP4", "size": 32}]}),
    ("ingest.verified", {"camera": CAMERA, "object": OBJECT, "source": {"path": "DCIM/1.MP4"}, "copy": COPY}),
    ("log.recovered", {"reason": "半条记录"}),
    ("station.entries", {"mirror": {"log": ORIGIN, "from": 0, "leaves": [DIGEST]}}),
    ("case.unlinked", {"link": {"object": UUID, "action": "cases/1"}, "reason": '\u007f\u2028\n\t"\\😀'}),
    ("flag.set", {"flag": {"id": UUID, "rule": "no-footage"}}),
    ("a.later.event", {"object": None, "😀": {}, "\ufffd": []}),
]


def make_record(index: int, prev: str, log: str = ORIGIN) -> dict[str, Any]:
    event, body = BODIES[index % len(BODIES)]
    time = {"utc_ms": 1795373277980 + index, "source": "ntp"}
    head = {"type": independent.RECORD_TYPE, "event": event, "record_id": UUID, "log": log, "seq": index, "prev": prev}
    return {**body, **head, "time": time}


def chained(records: list[dict[str, Any]], key: Ed25519PrivateKey = STATION) -> list[bytes]:
    """Entries of records, in their order, each pointing at the one before."""
    entries: list[bytes] = []
    for index, record in enumerate(records):
        prev = independent.leaf_hash(entries[-1]).hex() if entries else ""
        payload = independent.canonical({**record, "seq": index, "prev": prev}).encode()
        entries.append(seal(payload, key))
    return entries


def note_line(name: str, kind: int, key: Ed25519PrivateKey, body: bytes, seconds: int = 1795373400) -> bytes:
    message, stamp = body, b""
    if kind == COSIGNER_KEY:
        message, stamp = b"cosignature/v1\ntime %d\n" % seconds + body, seconds.to_bytes(8, "big")
    blob = independent.NoteKey(name, kind, raw(key)).hash + stamp + key.sign(message)
    return f"— {name} {b64(blob)}\n".encode()


def note(body: bytes, cosigned: bool = False) -> bytes:  # noqa: FBT001, FBT002  # with or without the centre's line
    line = note_line(WITNESS_NAME, COSIGNER_KEY, WITNESS, body) if cosigned else b""
    return body + b"\n" + note_line(ORIGIN, NOTE_KEY, STATION, body) + line


def body_of(entries: list[bytes]) -> bytes:
    root = independent.tree_root([independent.leaf_hash(entry) for entry in entries])
    return f"{ORIGIN}\n{len(entries)}\n{b64(root)}\n".encode()


def file_of(entries: list[bytes]) -> bytes:
    return b"".join(entry + b"\n" for entry in entries)


ENTRIES = chained([make_record(index, "") for index in range(len(BODIES))])
BODY = body_of(ENTRIES)
NOTES = [note(BODY), note(BODY, cosigned=True), VECTORS["checkpoint"].encode(), VECTORS["cosigned_checkpoint"].encode()]
RECEIPT = VECTORS["receipt"].encode()
FOREIGN = chained([make_record(index, "", "custody.example/station-08") for index in range(2)])
VKEYS = [independent.write_vkey(ORIGIN, NOTE_KEY, raw(STATION)), VECTORS["cosigner_vkey"]]
MESSAGES = [VECTORS["records_message"].encode(), VECTORS["receipts_message"].encode()]
MESSAGES.append(loose({"type": "bwc.receipts/v1", "log": ORIGIN, "size": 0, "cosigned": ""}))


# ---------------------------------------------------------------------------------------------------------------------
# What both say


@dataclass(frozen=True)
class Said:
    """One reader's answer: the value it read, or what it refused with."""

    value: Any = None
    finding: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.finding}: {self.why}" if self.finding else "accepted"


Both = tuple[Said, Said]


def ask(read: Callable[[], Any]) -> Said:
    try:
        return Said(read())
    except Refused as refused:
        return Said(refused.index, refused.finding, str(refused).partition(": ")[2])
    except EvidenceError as error:
        return Said(None, error.finding, str(error))


def ask_entry(entry: bytes, *keys: Ed25519PrivateKey) -> Both:
    def theirs() -> Any:
        envelope = open_envelope(entry)
        verify(envelope, [VerifyKey(raw(key)) for key in keys])
        return dict(parse_record(envelope.payload).payload)

    return ask(lambda: independent.verify_entry(entry, [raw(key) for key in keys])), ask(theirs)


def ask_chain(lines: bytes, key: Ed25519PrivateKey = STATION) -> Both:
    """Both follow a log; the value is size and root, or the index of the entry that was refused."""
    theirs = ask(lambda: open_log(lines, {}, key))
    if theirs.finding:
        theirs = replace(theirs, value=followed(lines, key))
    return ask(lambda: independent.verify_log(lines, ORIGIN, [raw(key)])), theirs


def open_log(lines: bytes, small: dict[str, bytes], key: Ed25519PrivateKey) -> dict[str, Any]:
    log = Log(MemoryLogFiles(bytearray(lines), small, chunk=4096), ORIGIN, [VerifyKey(raw(key))])
    return {"size": log.size, "root": log.chain.root().hex()}


def followed(lines: bytes, key: Ed25519PrivateKey) -> int:
    """How many entries ``custody`` follows before it refuses one."""
    chain = Chain(ORIGIN)
    with contextlib.suppress(EvidenceError):
        for data in lines.split(b"\n")[:-1]:
            _, chain = chain.follow(data, [VerifyKey(raw(key))])
    return chain.size


def ask_log(lines: bytes, checkpoint: bytes) -> Both:
    """Both open a log that has a checkpoint beside it."""
    ours = ask(lambda: independent.verify_log(lines, ORIGIN, [raw(STATION)], checkpoint))
    theirs = ask(lambda: open_log(lines, {CHECKPOINT: checkpoint}, STATION))
    return (replace(ours, value=None) if ours.finding else ours), theirs


def ask_note(data: bytes, vkeys: list[str] = VKEYS) -> Both:
    def ours() -> Any:
        claim = independent.verify_checkpoint(data, vkeys)
        return (
            claim["origin"],
            claim["size"],
            claim["root"],
            {name: seconds or 0 for name, seconds in claim["signers"].items()},
        )

    def theirs() -> Any:
        signed = parse_note(data)
        signers = signed.verify([NoteKey.parse(vkey) for vkey in vkeys])
        return signed.checkpoint.origin, signed.checkpoint.size, signed.checkpoint.root.hex(), signers

    return ask(ours), ask(theirs)


def ask_receipt(entry: bytes, origin: str = CENTRE_ORIGIN) -> Both:
    def ours() -> Any:
        record = independent.verify_receipt(entry, origin, [raw(CENTRE)])
        found, about = record["object"], record["entry"]
        clip = (about["log"], found["id"], found["size"], found["digests"]["sha256"])
        assert independent.answers(record, *clip)
        return (*clip, found["name"], about["seq"], about["leaf"], record["time"]["utc_ms"])

    def theirs() -> Any:
        found = read_receipt(entry, origin, [VerifyKey(raw(CENTRE))])
        clip = (found.station_log, found.object_id, found.size, found.sha256)
        return (*clip, found.name, found.station_seq, found.station_leaf, found.utc_ms)

    return ask(ours), ask(theirs)


def ask_message(data: bytes) -> Both:
    def ours() -> Any:
        header, entries = independent.parse_message(data)
        number, notes = independent.HEADERS[header["type"]]
        return header["log"], header[number], *(header.get(note, "").encode() for note in notes), tuple(entries)

    def theirs() -> Any:
        if RECEIPTS_TYPE.encode() in data.partition(b"\n")[0]:
            receipts = decode_receipts(data)
            return receipts.log, receipts.size, receipts.cosigned, receipts.centre, receipts.entries
        records = decode_records(data)
        return records.log, records.first, records.checkpoint, records.checkpoint_sm3, records.entries

    return ask(ours), ask(theirs)


# ---------------------------------------------------------------------------------------------------------------------
# Where they once differed, and where they still do


@dataclass(frozen=True)
class Settled:
    """One former difference: what the text says of it, if it refuses, and an example."""

    what: str
    finding: str
    example: Callable[[], Both]


def resigned(index: int, **fields: Any) -> bytes:
    return seal(loose({**record_of(ENTRIES[index]), **fields}), STATION)


def changed(index: int, **fields: Any) -> Both:
    """Both on an entry whose record has other fields and a good signature."""
    return ask_entry(resigned(index, **fields), STATION)


def nested(depth: int, inner: Any = None) -> Any:
    """So many objects one in the other, and ``inner`` in the last."""
    value: Any = {} if inner is None else {"a": inner}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def signed_by(count: int) -> bytes:
    envelope = json.loads(ENTRIES[0])
    return loose({**envelope, "signatures": envelope["signatures"] * count})


def noted(origin: str) -> Both:
    body = BODY.replace(ORIGIN.encode(), origin.encode())
    vkey = independent.write_vkey(origin, NOTE_KEY, raw(STATION))
    return ask_note(body + b"\n" + note_line(origin, NOTE_KEY, STATION, body), [vkey])


def timed_note(seconds: int) -> bytes:
    return note(BODY) + note_line(WITNESS_NAME, COSIGNER_KEY, WITNESS, BODY, seconds)


def sized_note(size: int) -> bytes:
    return note(BODY.replace(b"\n%d\n" % len(ENTRIES), b"\n%d\n" % size))


def foreign_note() -> bytes:
    body = BODY.replace(b"station-07", b"station-08")
    return body + b"\n" + note_line(ORIGIN, NOTE_KEY, STATION, body)


def named(name: str) -> Both:
    return changed(1, object={**OBJECT, "name": name})


def written(old: bytes, new: bytes) -> Both:
    """Both on an entry whose payload is written in another way, with a good signature."""
    payload = payload_of(ENTRIES[2])
    assert old in payload
    return ask_entry(seal(payload.replace(old, new, 1), STATION), STATION)


def enveloped(**fields: Any) -> Both:
    return ask_entry(loose({**json.loads(ENTRIES[0]), **fields}), STATION)


def lined(name: str) -> Both:
    """Both on a checkpoint with one more line, by a key of this name that nobody knows."""
    return ask_note(note(BODY) + f"— {name} AAAAAAA=\n".encode())


def filled(size: int) -> Both:
    """Both on a checkpoint of so many bytes, the last line by a key that nobody knows."""
    data, line = note(BODY), "— a AAAAAAA=\n"
    name = "a" * (size - len(data) - len(line.encode()) + 1)
    return ask_note(data + line.replace("a", name, 1).encode())


def headed(*drop: str, **fields: Any) -> Both:
    header = {"type": "bwc.records/v1", "log": ORIGIN, "first": 0, "checkpoint": "", **fields}
    return ask_message(loose({name: value for name, value in header.items() if name not in drop}))


def replied(**fields: Any) -> Both:
    return headed("first", "checkpoint", type=RECEIPTS_TYPE, size=0, **fields)


def exported(**fields: Any) -> Both:
    return changed(2, event="access.exported", **fields)


def digested(**digests: Any) -> Both:
    return changed(1, object={**OBJECT, "digests": {"sha256": DIGEST, **digests}})


def spelt(text: str) -> Both:
    """Both on a message whose header is written freely."""
    return ask_message(text.replace("LOG", ORIGIN).encode())


def file(**fields: Any) -> dict[str, Any]:
    return {"path": "DCIM/1.MP4", "size": 32, **fields}


def holed(index: int) -> bytes:
    """A log with one line more, of what a crash left, before entry ``index``."""
    return file_of([*ENTRIES[:index], b"\x00" * 4096, *ENTRIES[index:]])


def answered(**fields: Any) -> bytes:
    """A receipt that names another entry."""
    record = record_of(RECEIPT)
    return seal(loose({**record, "entry": {**record["entry"], **fields}}), CENTRE)


NOBODY = [{"keyid": "0" * 16, "sig": "AAAA"}]
MIRROR = {"log": ORIGIN, "from": 0, "leaves": [DIGEST]}
REPLACED = resigned(0, note="changed afterwards")
BAD, OK = "unparsable", ""
RECORDS = '{ "type": "bwc.records/v1", "log": "LOG", "first": 0 '
SETTLED = [
    Settled("§1: a payload not in canonical form: unsorted", OK, lambda: written(b"{", b'{"zz":0,')),
    Settled("§1: a payload not in canonical form: white space", OK, lambda: written(b":", b" :\t")),
    Settled("§1: a payload not in canonical form: an escape", OK, lambda: written(b'"ntp"', b'"nt\\u0070"')),
    Settled("§1: a payload not in canonical form: a float", BAD, lambda: written(b'"seq":2', b'"seq":2.0')),
    Settled("§1: a payload not in canonical form: a key twice", BAD, lambda: written(b'"seq":2', b'"seq":2,"seq":2')),
    Settled("§1: a value inside 16 others", OK, lambda: changed(2, a=nested(16))),
    Settled("§1: a value inside 17 others", BAD, lambda: changed(2, a=nested(17))),
    Settled("§1: a text inside 16 others", OK, lambda: changed(2, a=nested(15, "b"))),
    Settled("§1: a text inside 17 others", BAD, lambda: changed(2, a=nested(16, "b"))),
    Settled("§2: an event of no character", BAD, lambda: changed(6, event="")),
    Settled("§2: an event of 64 characters", OK, lambda: changed(6, event="é" * 64)),
    Settled("§2: an event of 65 characters", BAD, lambda: changed(6, event="e" * 65)),
    Settled("§2: an origin of one part", BAD, lambda: changed(2, log="station-07")),
    Settled("§2: an origin of three parts", OK, lambda: changed(2, log="custody.example/east/station-07")),
    Settled("§2: an origin of 200 characters", OK, lambda: changed(2, log="a/" + "b" * 198)),
    Settled("§2: an origin of 201 characters", BAD, lambda: changed(2, log="a/" + "b" * 199)),
    Settled("§2: an origin in capitals", BAD, lambda: changed(2, log="Custody.example/station-07")),
    Settled("§2: a part of an origin that begins with a dot", BAD, lambda: changed(2, log="custody.example/.")),
    Settled("§2: an origin in capitals, in a checkpoint", BAD, lambda: noted("Custody.example/station-07")),
    Settled("§2: an origin of 201 characters, in a checkpoint", BAD, lambda: noted("a/" + "b" * 199)),
    Settled("§2: an origin of three parts, in a checkpoint", OK, lambda: noted("a/b/c")),
    Settled("§2: `prev` at `seq` 0", BAD, lambda: ask_chain(resigned(0, prev=DIGEST) + b"\n")),
    Settled("§2: no `prev` after `seq` 0", BAD, lambda: ask_chain(file_of([ENTRIES[0], resigned(1, prev="")]))),
    Settled("§2: `time.source` of a later kind", OK, lambda: changed(2, time={"utc_ms": 1, "source": "gps"})),
    Settled("§2: the first millisecond", OK, lambda: changed(2, time={"utc_ms": 0, "source": "system"})),
    Settled("§2: a time before 1970", BAD, lambda: changed(2, time={"utc_ms": -1, "source": "ntp"})),
    Settled("§2: null for a block", BAD, lambda: changed(2, reason=None)),
    Settled("§2: a block the event need not have", OK, lambda: changed(2, object={"id": 1})),
    Settled("§2: an export without its `export`", BAD, lambda: exported(actors=[])),
    Settled("§2: an export", OK, lambda: exported(export={}, actors=[])),
    Settled("§2: an SM3 digest", OK, lambda: digested(sm3=DIGEST)),
    Settled("§2: an SM3 digest that is none", BAD, lambda: digested(sm3="")),
    Settled("§2: null for an SM3 digest", BAD, lambda: digested(sm3=None)),
    Settled("§2: another `copy.reread`", BAD, lambda: changed(1, copy={**COPY, "reread": "perhaps"})),
    Settled("§2: nothing read again, a digest", OK, lambda: changed(1, copy={**COPY, "reread": "none"})),
    Settled("§2: nothing read again", BAD, lambda: changed(1, copy={"reread": "none", "reread_sha256": ""})),
    Settled("§2: an empty `source.path`", BAD, lambda: changed(1, source={"path": ""})),
    Settled("§2: no files", BAD, lambda: changed(0, files=[])),
    Settled("§2: 200 files", OK, lambda: changed(0, files=[file()] * 200)),
    Settled("§2: 201 files", BAD, lambda: changed(0, files=[file()] * 201)),
    Settled("§2: a file without a path", BAD, lambda: changed(0, files=[file(), file(path="")])),
    Settled("§2: a file without a size", BAD, lambda: changed(0, files=[file(size=None)])),
    Settled("§2: a file that is none", BAD, lambda: changed(0, files=["DCIM/1.MP4"])),
    Settled("§2: `mirror.leaves` no list", BAD, lambda: changed(3, mirror={**MIRROR, "leaves": "none"})),
    Settled("§2: `mirror.leaves` no digests", BAD, lambda: changed(3, mirror={**MIRROR, "leaves": [DIGEST, "x"]})),
    Settled("§2: `mirror.log` no origin", BAD, lambda: changed(3, mirror={**MIRROR, "log": "a"})),
    Settled("§2: `entry.log` no origin", BAD, lambda: ask_receipt(answered(log="a"))),
    Settled("§2: `entry.leaf` no digest", BAD, lambda: ask_receipt(answered(leaf="a"))),
    Settled("§2: `link.object` no UUIDv7", BAD, lambda: changed(4, link={"object": "x", "action": "cases/1"})),
    Settled("§2: an empty `link.action`", BAD, lambda: changed(4, link={"object": UUID, "action": ""})),
    Settled("§2: a `flag` of two words", OK, lambda: changed(5, flag={"id": "1", "rule": "2"})),
    Settled("§2: a `flag` of two numbers", BAD, lambda: changed(5, flag={"id": 1, "rule": 2})),
    Settled("§2: an empty `flag.rule`", BAD, lambda: changed(5, flag={"id": "1", "rule": ""})),
    Settled(
        "§3: an envelope with white space", BAD, lambda: ask_entry(json.dumps(json.loads(ENTRIES[0])).encode(), STATION)
    ),
    Settled("§3: an unsorted envelope", BAD, lambda: ask_entry(respelt_json(json.loads(ENTRIES[0]))[3], STATION)),
    Settled("§3: another payload type", "sig-bad", lambda: enveloped(payloadType="text/plain")),
    Settled("§3: another payload type, unsigned", BAD, lambda: enveloped(payloadType="text/plain", signatures=[])),
    Settled("§3: another type, by nobody we know", "sig-bad", lambda: enveloped(payloadType="", signatures=NOBODY)),
    Settled("§3: no payload type", BAD, lambda: enveloped(payloadType=None)),
    Settled("§3: nobody we know", "key-unknown", lambda: enveloped(signatures=NOBODY)),
    Settled("§3: no signature", BAD, lambda: ask_entry(signed_by(0), STATION)),
    Settled("§3: eight signatures", OK, lambda: ask_entry(signed_by(8), STATION)),
    Settled("§3: nine signatures", BAD, lambda: ask_entry(signed_by(9), STATION)),
    Settled("§4: a tail longer than an entry", OK, lambda: ask_log(file_of(ENTRIES) + b"x" * 65_536, note(BODY))),
    Settled("§4: a line of NUL at the end", OK, lambda: ask_log(holed(len(ENTRIES)), note(BODY))),
    Settled("§4: a line of NUL after the checkpoint", OK, lambda: ask_log(holed(5), note(body_of(ENTRIES[:5])))),
    Settled("§4: a line of NUL before it", "log-truncated", lambda: ask_log(holed(4), note(body_of(ENTRIES[:5])))),
    Settled("§5: extension lines", BAD, lambda: ask_note(note(BODY + b"an extension line\n"))),
    Settled("§5: a control character", BAD, lambda: lined("a\u0007b")),
    Settled("§5: what is not UTF-8", BAD, lambda: ask_note(note(BODY) + b"\xe2\x80\x94 a\xffb AAAAAAA=\n")),
    Settled("§5: a Unicode space in a name", BAD, lambda: lined("a\u00a0b")),
    Settled("§5: a plus in a name", BAD, lambda: lined("a+b")),
    Settled("§5: a name nobody knows that is no origin", OK, lambda: lined("Witness")),
    Settled("§5: the largest note", OK, lambda: filled(65_536)),
    Settled("§5: a larger one", BAD, lambda: filled(65_537)),
    Settled("§5: the largest size", OK, lambda: ask_note(sized_note(2**53 - 1))),
    Settled("§5: a larger one of a log", BAD, lambda: ask_note(sized_note(2**53))),
    Settled("§5: a checkpoint of another log", "log-forked", lambda: ask_log(file_of(ENTRIES), foreign_note())),
    Settled("§5: another root at size 0", "root-mismatch", lambda: ask_log(file_of(ENTRIES), sized_note(0))),
    Settled("§5: the root at size 0", OK, lambda: ask_log(file_of(ENTRIES), note(body_of([])))),
    Settled(
        "§5: another root, before what is wrong in later entries",
        "root-mismatch",
        lambda: ask_log(file_of([REPLACED, *ENTRIES[1:]]), note(body_of(ENTRIES[:1]))),
    ),
    Settled(
        "§5: what is wrong in an earlier entry, before another root",
        "prev-break",
        lambda: ask_log(file_of([REPLACED, *ENTRIES[1:]]), note(body_of(ENTRIES[:2]))),
    ),
    Settled("§5: the latest cosignature", OK, lambda: ask_note(timed_note(2**63 - 1))),
    Settled("§5: a later one", "sig-bad", lambda: ask_note(timed_note(2**63))),
    Settled("§5: a later one by nobody we know", OK, lambda: ask_note(timed_note(2**63), VKEYS[:1])),
    Settled("§5: a cosignature alone", OK, lambda: ask_note(note(BODY, cosigned=True), VKEYS[1:])),
    Settled("§6: another event", BAD, lambda: ask_receipt(chained([make_record(0, "", CENTRE_ORIGIN)], CENTRE)[0])),
    Settled("§7: a header written freely", OK, lambda: spelt(RECORDS + ', "checkpoint": "\\u0061"}')),
    Settled("§7: a header with a key twice", BAD, lambda: spelt(RECORDS + ', "first": 0}')),
    Settled("§7: a header without `checkpoint`", OK, lambda: headed("checkpoint")),
    Settled("§7: null for `checkpoint`", BAD, lambda: headed(checkpoint=None)),
    Settled("§7: a header with the second note", OK, lambda: headed(checkpoint_sm3="b")),
    Settled("§7: a number for `checkpoint_sm3`", BAD, lambda: headed(checkpoint_sm3=5)),
    Settled("§7: a header with the centre's note", OK, lambda: replied(centre="b")),
    Settled("§7: a number for `centre`", BAD, lambda: replied(centre=5)),
    Settled("§7: a log that is no origin", BAD, lambda: headed(log="station-07")),
    Settled("§8: another object's name", BAD, lambda: named(OBJECT["name"].replace("019a", "019b"))),
    Settled("§2: an empty `time.source`", BAD, lambda: changed(2, time={"utc_ms": 1, "source": ""})),
    Settled("§2: a number for `mono_ns`", BAD, lambda: changed(2, time={"utc_ms": 1, "source": "n", "mono_ns": 1})),
    Settled("§5: U+007F in the name of a key nobody knows", OK, lambda: lined("a\u007fb")),
    Settled("§8: no store name", BAD, lambda: named("../../etc/passwd")),
    Settled("§8: another month", BAD, lambda: named(f"originals/2026/13/22/{UUID}.MP4")),
    Settled("§8: another day", BAD, lambda: named(f"originals/2026/11/00/{UUID}.MP4")),
    Settled("§8: a day of another month", OK, lambda: named(f"originals/2026/02/31/{UUID}.MP4")),
    Settled("§8: an identifier in capitals", BAD, lambda: named(f"originals/2026/11/22/{UUID.upper()}.MP4")),
    Settled("§8: an extension of eight", OK, lambda: named(f"proxies/2026/11/22/{UUID}.abcdEFG8")),
    Settled("§8: an extension of nine", BAD, lambda: named(f"proxies/2026/11/22/{UUID}.abcdEFG89")),
]


def agreed(both: Both) -> bool:
    """Same decision, same finding, same value read, same place refused."""
    return (both[0].finding, both[0].value) == (both[1].finding, both[1].value)


def agree(both: Both) -> None:
    ours, theirs = both
    if ours.finding and theirs.value is None:
        ours = replace(ours, value=None)
    if not agreed((ours, theirs)):
        pytest.fail(f"independent: {ours} {ours.value}\ncustody: {theirs} {theirs.value}")


@pytest.mark.parametrize("settled", SETTLED, ids=lambda settled: settled.what)
def test_a_former_difference_is_settled(settled):
    both = settled.example()
    assert [said.finding for said in both] == [settled.finding] * 2, [str(said) for said in both]
    assert agreed(both)


# ---------------------------------------------------------------------------------------------------------------------
# The worked bytes


def test_the_keys_are_those_of_the_worked_bytes():
    names = [(ORIGIN, NOTE_KEY, STATION), (CENTRE_ORIGIN, NOTE_KEY, CENTRE), (WITNESS_NAME, COSIGNER_KEY, WITNESS)]
    vkeys = [independent.write_vkey(name, kind, raw(key)) for name, kind, key in names]
    assert vkeys == [VECTORS["station_vkey"], VECTORS["centre_vkey"], VECTORS["cosigner_vkey"]]
    assert [independent.read_vkey(vkey).raw for vkey in vkeys] == [raw(key) for _, _, key in names]


def test_both_know_the_same_events_and_format_md_names_each():
    assert dict(EVENTS) == independent.BLOCKS
    rows = re.findall(r"^\| ((?:`[a-z.]+`(?:, )?)+) \| (?:station|centre|either) \| (.*) \|$", FORMAT, re.MULTILINE)
    told = {event: row for events, row in rows for event in re.findall(r"`([a-z.]+)`", events)}
    assert told.keys() == EVENTS.keys()
    for event, row in told.items():
        assert row.startswith("the same") or all(f"`{block}`" in row for block in EVENTS[event]), event


def test_worked_entries():
    entries = [entry.encode() for entry in VECTORS["entries"]]
    payload = VECTORS["payload_1"].encode()
    assert payload_of(entries[1]) == payload
    assert hashlib.sha256(independent.pae(PAYLOAD_TYPE, payload)).hexdigest() == VECTORS["pae_1_sha256"]
    assert seal(payload, STATION) == entries[1]
    assert [independent.verify_entry(entry, [raw(STATION)]) for entry in entries] == [record_of(e) for e in entries]
    assert [independent.leaf_hash(entry).hex() for entry in entries] == VECTORS["leaves"]


@pytest.mark.parametrize("name", ["checkpoint", "cosigned_checkpoint"])
def test_worked_log_and_checkpoints(name):
    lines = file_of([entry.encode() for entry in VECTORS["entries"]])
    stand = {"size": 3, "root": VECTORS["root"]}
    assert independent.verify_log(lines, ORIGIN, [raw(STATION)], VECTORS[name]) == stand
    claim = independent.verify_checkpoint(VECTORS[name], VKEYS)
    signers = claim.pop("signers")
    assert claim == {"origin": ORIGIN, **stand}
    assert set(signers) == {ORIGIN} | ({WITNESS_NAME} if name == "cosigned_checkpoint" else set())
    body = VECTORS["checkpoint"].partition("\n\n")[0].encode() + b"\n"
    assert note(body, cosigned=name == "cosigned_checkpoint") == VECTORS[name].encode()


def test_worked_proofs():
    leaves, root = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]], bytes.fromhex(VECTORS["root"])
    inclusion = [bytes.fromhex(value) for value in VECTORS["inclusion_of_1"]]
    independent.verify_inclusion(leaves[1], 1, 3, inclusion, root)
    consistency = [bytes.fromhex(value) for value in VECTORS["consistency_1_to_3"]]
    independent.verify_consistency(1, 3, leaves[0], root, consistency)


def test_worked_receipt():
    receipt = independent.verify_receipt(RECEIPT, CENTRE_ORIGIN, [raw(CENTRE)])
    digest = hashlib.sha256(base64.b64decode(VECTORS["clip_base64"])).hexdigest()
    assert independent.answers(receipt, ORIGIN, UUID, 32, digest)
    assert not independent.answers(receipt, ORIGIN, UUID, 33, digest)
    assert receipt["entry"] == {"log": ORIGIN, "seq": 1, "leaf": VECTORS["leaves"][1]}


def test_worked_messages():
    entries = [entry.encode() for entry in VECTORS["entries"]]
    header = {"type": "bwc.records/v1", "log": ORIGIN, "first": 0, "checkpoint": VECTORS["checkpoint"]}
    assert independent.parse_message(MESSAGES[0]) == (header, entries)
    header = {"type": "bwc.receipts/v1", "log": ORIGIN, "size": 3, "cosigned": VECTORS["cosigned_checkpoint"]}
    assert independent.parse_message(MESSAGES[1]) == (header, [RECEIPT])


def test_worked_bytes_of_profile_gm_for_a_reader_of_ed25519_alone():
    """SM2 signatures are those of a key it does not know; their own vectors are checked by openssl."""
    found = json.loads((Path(__file__).parents[2] / "fixtures/custody/vectors-gm.json").read_text("utf-8"))
    entries, note_ = [entry.encode() for entry in found["entries"]], found["checkpoint"]
    key = independent.read_vkey(found["station_vkey"])
    leaves = [independent.leaf_hash(entry) for entry in entries]
    stand = {"size": 3, "root": independent.tree_root(leaves).hex()}
    assert independent.verify_log(file_of(entries), ORIGIN, [key.raw], note_) == stand
    assert independent.verify_checkpoint(note_, [found["station_vkey"]])["size"] == 3
    chain = Chain(ORIGIN)
    for entry in entries:
        _, chain = chain.follow(entry, [VerifyKey(key.raw)])
    assert chain.root().hex() == stand["root"]
    parse_note(note_.encode()).verify([NoteKey(ORIGIN, VerifyKey(key.raw))])
    assert decode_records(found["records_message"].encode()).entries == tuple(entries)
    assert independent.parse_message(found["records_message"].encode())[1] == entries


def test_both_accept_what_is_mutated_below():
    accepted = [ask_entry(entry, STATION) for entry in ENTRIES]
    accepted += [ask_chain(file_of(ENTRIES)), ask_receipt(RECEIPT)]
    accepted += [ask_log(file_of(ENTRIES), note(BODY))]
    accepted += [ask_note(data) for data in NOTES]
    accepted += [ask_message(data) for data in MESSAGES]
    assert [[str(said) for said in both] for both in accepted] == [["accepted", "accepted"]] * len(accepted)
    assert all(agreed(both) for both in accepted)


# ---------------------------------------------------------------------------------------------------------------------
# Mutations


def at(data: Any) -> st.SearchStrategy[int]:
    """A place in something; in nothing, its beginning."""
    return st.integers(0, max(len(data) - 1, 0))


def flipped(data: bytes, bit: int) -> bytes:
    """The bytes with one bit the other way."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


EXTRA = [b" ", b"\n", b"\r", b"\t", b"\x00", b"0", b"=", b'"', b",", b"{}", b"\xff", b"\xef\xbb\xbf"]


@st.composite
def hurt_bytes(draw: st.DrawFn, base: bytes) -> bytes:
    """One bit flipped, or bytes taken out, put in, doubled or cut off."""
    i, j = sorted((draw(at(base)), draw(at(base))))
    extra = draw(st.sampled_from(EXTRA))
    mutated = {
        "flip": flipped(base, i * 8 + draw(st.integers(0, 7))),
        "delete": base[:i] + base[i + 1 :],
        "cut out": base[:i] + base[j:],
        "double": base[:j] + base[i:],
        "insert": base[:i] + extra + base[i:],
        "append": base + extra,
        "prepend": extra + base,
        "truncate": base[:i],
    }
    return mutated[draw(st.sampled_from(sorted(mutated)))]


DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@st.composite
def respelt_base64(draw: st.DrawFn, text: str) -> str:
    """The same bytes, or nearly, in a spelling no encoder writes."""
    bare = text.rstrip("=")
    i = draw(at(text))
    spellings = [bare, text + "=", text + "\n", "", "=", text.replace("+", "-").replace("/", "_")]
    spellings += [text[:i] + sign + text[i:] for sign in ("\n", " ", "=", "é")]
    if bare != text:
        spellings.append(bare[:-1] + DIGITS[DIGITS.index(bare[-1]) ^ 1] + text[len(bare) :])
    return draw(st.sampled_from(spellings))


def respelt_json(value: Any) -> list[bytes]:
    """The same value as JSON that is not canonical, or as no JSON that is allowed."""
    text = loose(value).decode()
    key = json.dumps(next(iter(value)), ensure_ascii=False)
    unsorted = dict(reversed(ordered(value).items()))
    found = [
        json.dumps(value),
        json.dumps(value, indent=1),
        json.dumps(ordered(value), separators=(",", ": "), ensure_ascii=False),
        json.dumps(unsorted, separators=(",", ":"), ensure_ascii=False),
        "{" + key + ":0," + text[1:],
        text[:-1] + "," + key + ":0}",
        "[" + text + "]",
        text + text,
        "\ufeff" + text,
    ]
    others = ["1.0", "1e2", "-0", "NaN", "Infinity", "true", "01", '"\\ud800"', '"\\u00e9"', '"\\/"', "'x'", "9" * 5000]
    found += [text[:-1] + ',"zz":' + other + "}" for other in [*others, "[" * 5000 + "]" * 5000]]
    return [item.encode() for item in found] + [text.encode("utf-16")]


def key_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field and item within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from key_paths(item, (*path, key))


POOL: list[Any] = [
    *(None, "", 0, 1, -1, 2**53 - 1, 2**53, -(2**53), 1.5, True, False, [], {}, ["x"], {"a": "b"}),
    *("yes", "none", "cached", "manual", "gps", "a" * 300, "\ud800", "\x00", independent.RECORD_TYPE),
    *(nested(13), nested(14), nested(15), nested(16), nested(17)),
    *(DIGEST, DIGEST.upper(), DIGEST[:-1], UUID, UUID.upper(), UUID.replace("-7", "-4")),
    *(ORIGIN, CENTRE_ORIGIN, "a", "a/", "/a", "a/b", "A/b", "a/b/c", "a+b/c", "a b/c", "a/b\n"),
    *(f"proxies/2026/02/30/{UUID}.mp4", f"originals/2026/11/22/{UUID}.toolongext", f"originals/٢٠٢٦/11/22/{UUID}.MP4"),
    *("e" * 64, "é" * 65, "a/" + "b" * 198, "a/" + "b" * 199, "a/.b", "a/b..", f"originals/2026/13/22/{UUID}.MP4"),
    *(f"originals/2026/02/31/{UUID}.MP4", f"originals/2026/11/22/{UUID.replace('9', 'a')}.MP4", "-/a", "\u007f"),
    *("central.verified", "ingest.seen", "ingest.copied", "proxy.created", "case.linked", "nobody.knows"),
    {"utc_ms": 0, "source": "none"},
]
NEW_KEYS = ["zz", "", "object", "source", "\ue000", "😀", "\ud800"]


@st.composite
def hurt_value(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one field set, taken out, added or renamed, anywhere in it."""
    copy = json.loads(json.dumps(value))
    *way, last = draw(st.sampled_from(sorted(key_paths(copy), key=repr)))
    holder = copy
    for key in way:
        holder = holder[key]
    change = draw(st.sampled_from(["set", "set", "set", "delete", "add", "rename"]))
    if change == "add" and isinstance(holder, dict):
        holder[draw(st.sampled_from(NEW_KEYS))] = draw(st.sampled_from(POOL))
    elif change == "rename" and isinstance(holder, dict):
        holder[str(last).upper()] = holder.pop(last)
    elif change == "delete":
        del holder[last]
    else:
        holder[last] = draw(st.sampled_from(POOL))
    return copy


@st.composite
def other_signatures(draw: st.DrawFn, first: dict[str, str], payload: bytes) -> list[Any]:
    """What might stand as `signatures` instead of one good one."""
    blob = base64.b64decode(first["sig"])
    other = draw(st.sampled_from(json.loads(draw(st.sampled_from([*ENTRIES, RECEIPT])))["signatures"]))
    strange = signature(payload, STRANGER)
    respelt = draw(respelt_base64(first["sig"]))
    cut = b64(blob[: draw(at(blob))])
    flip = b64(flipped(blob, draw(st.integers(0, len(blob) * 8 - 1))))
    hint = draw(st.sampled_from(["", first["keyid"].upper(), first["keyid"][:-1], "0" * 16]))
    mistaken = {**strange, "keyid": first["keyid"]}
    single: list[Any] = [other, strange, mistaken, {**first, "keyid": hint}, {"sig": first["sig"]}, None]
    single += [{"keyid": first["keyid"]}, *({**first, "sig": text} for text in (respelt, cut, flip))]
    single += [{"keyid": "0" * 16, "sig": text} for text in (respelt, cut, flip)]
    chosen = draw(st.sampled_from(single))
    lists = [[], [chosen], [chosen], [first, chosen], [chosen, first], [first] * draw(st.integers(2, 10))]
    return draw(st.sampled_from(lists))


@st.composite
def hurt_envelope(draw: st.DrawFn, base: bytes) -> bytes:
    """An entry with another payload, type or list of signatures, its signatures not made again."""
    envelope = json.loads(base)
    payload = base64.b64decode(envelope["payload"])
    signatures = other_signatures(envelope["signatures"][0], payload).map(lambda found: {"signatures": found})
    payloads = st.one_of(respelt_base64(envelope["payload"]), hurt_bytes(payload).map(b64))
    changes = st.one_of(
        signatures,
        signatures,
        payloads.map(lambda text: {"payload": text}),
        st.just({"payloadType": PAYLOAD_TYPE.replace("v1", "v2")}),
    )
    return loose({**envelope, **draw(changes)})


def hurt_record(base: bytes, key: Ed25519PrivateKey) -> st.SearchStrategy[bytes]:
    """An entry with another payload, and a good signature over that."""
    record = record_of(base)
    values = hurt_value(record).map(loose)
    payloads = st.one_of(values, values, st.sampled_from(respelt_json(record)), hurt_bytes(payload_of(base)))
    signers = st.sampled_from([(key,), (key,), (key,), (key, STRANGER), (STRANGER, key), (STRANGER,)])
    return st.tuples(payloads, signers).map(lambda both: seal(both[0], *both[1]))


def hurt_entry(base: bytes, key: Ed25519PrivateKey) -> st.SearchStrategy[bytes]:
    """Any of the above."""
    envelope = json.loads(base)
    return st.one_of(
        hurt_record(base, key),
        hurt_record(base, key),
        hurt_envelope(base),
        hurt_bytes(base),
        hurt_value(envelope).map(loose),
        st.sampled_from(respelt_json(envelope)),
    )


HURT_ENTRIES = [hurt_entry(entry, STATION) for entry in ENTRIES]


@st.composite
def hurt_lines(draw: st.DrawFn, base: list[bytes], others: list[bytes]) -> list[bytes]:
    """Lines taken out, doubled, swapped, cut off, put in or replaced."""
    i, j = draw(at(base)), draw(at(base))
    swapped = list(base)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    changes = {
        "delete": base[:i] + base[i + 1 :],
        "double": [*base[:j], base[i], *base[j:]],
        "swap": swapped,
        "truncate": base[:i],
        "insert": [*base[:i], draw(st.sampled_from(others)), *base[i:]],
        "replace": [*base[:i], draw(st.sampled_from(others)), *base[i + 1 :]],
    }
    return changes[draw(st.sampled_from(sorted(changes)))]


@st.composite
def renumbered(draw: st.DrawFn) -> list[bytes]:
    """A log in which one entry was signed anew, with another number, predecessor or log."""
    i = draw(at(ENTRIES))
    leaves = [independent.leaf_hash(entry).hex() for entry in ENTRIES]
    seq: dict[str, Any] = {"seq": draw(st.integers(0, len(ENTRIES) + 1))}
    prev = {"prev": draw(st.sampled_from(["", DIGEST, *leaves]))}
    log = {"log": draw(st.sampled_from([CENTRE_ORIGIN, ORIGIN[:-1], ORIGIN + "7"]))}
    fields = draw(st.sampled_from([seq, prev, log, {**seq, **prev}, {**log, **seq}]))
    return [*ENTRIES[:i], resigned(i, **fields), *ENTRIES[i + 1 :]]


@st.composite
def rechained(draw: st.DrawFn) -> list[bytes]:
    """A log that its own key signed a second time, with one record changed, added or left out."""
    records = [record_of(entry) for entry in ENTRIES]
    i = draw(at(records))
    change = draw(st.sampled_from(["change", "add", "leave out"]))
    if change == "change":
        records[i]["note"] = "changed afterwards"
    elif change == "add":
        records.insert(i, records[draw(at(records))])
    else:
        del records[i]
    return chained(records)


@st.composite
def hurt_log(draw: st.DrawFn) -> bytes:
    """A log's file after any of this."""
    i = draw(at(ENTRIES))
    others = [b"", b"{}", b"\r", *FOREIGN, RECEIPT, seal(payload_of(ENTRIES[i]), STRANGER), ENTRIES[i] + b"\r"]
    one = HURT_ENTRIES[i].map(lambda entry: [*ENTRIES[:i], entry, *ENTRIES[i + 1 :]])
    data = file_of(ENTRIES)
    spelt = st.sampled_from([data.replace(b"\n", b"\r\n"), data[:-1], b"", b"\n", data + b"{"])
    lines = st.one_of(hurt_lines(ENTRIES, others), renumbered(), rechained(), one)
    return draw(st.one_of(lines.map(file_of), lines.map(file_of), hurt_bytes(data), spelt))


def other_lines(body: bytes, line: bytes) -> list[bytes]:
    """Lines a checkpoint might have instead of ``line``."""
    stranger = note_line("custody.example/else", NOTE_KEY, STRANGER, body)[:-1]
    found = [b"", b"0", b"007", b"-1", b"3 ", b"+3", "٣".encode(), b64(b"short").encode(), stranger]
    found += [line + b" ", b" " + line, line.replace(b" ", b"  ")]
    found += [line.replace("—".encode(), b"-"), line.replace(ORIGIN.encode(), b"custody.example/x")]
    return found


@st.composite
def signed_anew(draw: st.DrawFn, body: bytes, tail: bytes) -> bytes:
    """Another body with signatures that fit it, or with the old ones; the old body with one more line or only that."""
    lines = body.split(b"\n")[:3]
    others = [other for line in lines for other in other_lines(body, line)]
    hurt = b"\n".join(draw(hurt_lines(lines, others))) + b"\n"
    name = draw(st.sampled_from([ORIGIN, WITNESS_NAME, "custody.example/x"]))
    kind = draw(st.sampled_from([NOTE_KEY, COSIGNER_KEY]))
    key = draw(st.sampled_from([STATION, WITNESS, STRANGER]))
    more = note_line(name, kind, key, draw(st.sampled_from([body, hurt])))
    changes = [hurt + b"\n" + tail, note(hurt), note(hurt, cosigned=True), body + b"\n" + tail + more]
    return draw(st.sampled_from([*changes, body + b"\n" + more]))


@st.composite
def hurt_signature(draw: st.DrawFn, base: bytes) -> bytes:
    """A note whose last signature is spelt in another way, is longer or shorter, or has one bit flipped."""
    head, space, text = base[:-1].rpartition(b" ")
    blob = base64.b64decode(text)
    blobs = st.one_of(
        st.integers(0, len(blob) * 8 - 1).map(lambda bit: flipped(blob, bit)),
        at(blob).map(lambda size: blob[:size]),
        st.just(blob + b"\x00"),
    )
    return head + space + draw(st.one_of(respelt_base64(text.decode()), blobs.map(b64))).encode() + b"\n"


def hurt_note(base: bytes) -> st.SearchStrategy[bytes]:
    """A checkpoint after any of this, or with lines or bytes moved about."""
    lines = base.split(b"\n")
    body, _, tail = base.partition(b"\n\n")
    others = [other for line in lines for other in other_lines(body + b"\n", line)]
    moved = hurt_lines(lines, others).map(b"\n".join)
    return st.one_of(hurt_bytes(base), moved, signed_anew(body + b"\n", tail), hurt_signature(base))


@st.composite
def hurt_message(draw: st.DrawFn, base: bytes) -> bytes:
    """A message with other lines, or another header."""
    first, *rest = base.split(b"\n")
    header = json.loads(first)
    others = [b"", b"{}", b"\r", first, RECEIPT, b"x" * 65_535, b"x" * 65_536]
    headers = st.one_of(hurt_value(header).map(loose), st.sampled_from(respelt_json(header)), hurt_bytes(first))
    spelt = [base + b"\n", base.replace(b"\n", b"\r\n"), base.replace(b"records", b"receipts", 1)]
    lines = st.one_of(hurt_lines([first, *rest], others), headers.map(lambda line: [line, *rest]))
    return draw(st.one_of(hurt_bytes(base), lines.map(b"\n".join), lines.map(b"\n".join), st.sampled_from(spelt)))


@st.composite
def hurt_proof(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """A proof as it is, or with a hash flipped, missing, doubled, moved or of another length."""
    i, j = draw(at(proof)), draw(at(proof))
    if not proof:
        return draw(st.sampled_from([[], [bytes(32)]]))
    changes = {
        "as it is": proof,
        "flip": [*proof[:i], flipped(proof[i], draw(st.integers(0, 255))), *proof[i + 1 :]],
        "shorter": [*proof[:i], proof[i][:-1], *proof[i + 1 :]],
        "missing": proof[:i] + proof[i + 1 :],
        "doubled": [*proof[:i], proof[i], *proof[i:]],
        "moved": [*proof[:i], proof[j], *proof[i + 1 :]],
        "cut": [proof[0][:31], proof[0][31:] + b"".join(proof[1:2]), *proof[2:]],
        "longer": [*proof, bytes(32)],
    }
    return changes[draw(st.sampled_from(sorted(changes)))]


# ---------------------------------------------------------------------------------------------------------------------
# One decision. Together some 2,000 mutations a run.


@given(st.one_of(HURT_ENTRIES))
@settings(max_examples=400)
def test_entries(entry):
    agree(ask_entry(entry, STATION))
    agree(ask_entry(entry, CENTRE, STATION))


@given(hurt_log())
@settings(max_examples=250)
def test_logs(lines):
    agree(ask_chain(lines))


@given(hurt_log(), st.sampled_from([0, 1, 3, len(ENTRIES)]))
@settings(max_examples=150)
def test_logs_with_a_checkpoint(lines, size):
    agree(ask_log(lines, note(body_of(ENTRIES[:size]))))


@given(hurt_note(note(BODY)))
@settings(max_examples=100)
def test_the_checkpoint_beside_a_log(checkpoint):
    agree(ask_log(file_of(ENTRIES), checkpoint))


@given(st.one_of([hurt_note(base) for base in NOTES]))
@settings(max_examples=300)
def test_checkpoints(data):
    agree(ask_note(data))
    agree(ask_note(data, VKEYS[:1]))
    agree(ask_note(data, VKEYS[1:]))


@given(hurt_entry(RECEIPT, CENTRE), st.sampled_from([CENTRE_ORIGIN, CENTRE_ORIGIN, ORIGIN]))
@settings(max_examples=200)
def test_receipts(entry, origin):
    agree(ask_receipt(entry, origin))


@pytest.mark.parametrize("entry", [*ENTRIES, seal(payload_of(ENTRIES[0]), CENTRE), seal(payload_of(RECEIPT), STATION)])
@pytest.mark.parametrize("origin", [CENTRE_ORIGIN, ORIGIN])
def test_what_is_no_receipt(entry, origin):
    both = ask_receipt(entry, origin)
    assert both[0].finding
    agree(both)


@given(st.one_of([hurt_message(base) for base in MESSAGES]))
@settings(max_examples=200)
def test_messages(data):
    agree(ask_message(data))


@pytest.mark.parametrize(
    ("count", "length", "fits"),
    [(999, 1, True), (1000, 1, True), (1001, 1, False), (15, 65_535, True), (16, 65_535, False), (1, 65_536, False)],
)
def test_bounds_of_messages(count, length, fits):
    both = ask_message(MESSAGES[2] + (b"\n" + b"x" * length) * count)
    assert bool(both[0].finding) != fits
    agree(both)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_largest_message(extra):
    start = MESSAGES[2] + (b"\n" + b"x" * 65_000) * 16 + b"\n"
    data = start + b"x" * (independent.MAX_MESSAGE - len(start) + extra)
    both = ask_message(data)
    assert bool(both[0].finding) == (extra > 0)
    agree(both)


@pytest.mark.parametrize(("length", "fits"), [(65_532, True), (65_535, True), (65_536, False), (65_540, False)])
def test_the_largest_entry(length, fits):
    record = {**record_of(ENTRIES[2]), "note": ""}
    bare = len(loose({**json.loads(seal(loose(record), STATION)), "zz": ""}))
    envelope = json.loads(seal(loose(record), STATION))
    entry = loose({**envelope, "zz": "x" * (length - bare)})
    assert len(entry) == length
    both = ask_entry(entry, STATION)
    assert bool(both[0].finding) != fits
    agree(both)


SCALARS = st.none() | st.integers(-(2**53) - 1, 2**53 + 1) | st.text()
JSON_VALUES = st.recursive(
    SCALARS | st.sampled_from([True, 1.5, "\ud800", "\x7f\u2028\x1f"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON_VALUES, max_size=5))
@settings(max_examples=100)
def test_canonical_bytes(value):
    data = loose(value)
    both = ask(lambda: independent.read_object(data)[0]), ask(lambda: parse_object(data))
    agree(both)
    if not both[0].finding:
        assert canonical_bytes(value) == independent.canonical(value).encode() == data
        assert independent.read_object(data)[1]
        assert not independent.read_object(data + b" ")[1]


LEAVES = [independent.leaf_hash(bytes([index])) for index in range(34)]


@given(st.data())
@settings(max_examples=150)
def test_inclusion_proofs(data):
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    proof = data.draw(hurt_proof(merkle.inclusion_proof(LEAVES[:size], index)))
    shown = data.draw(st.sampled_from([index, index, index, -1, size, size - 1, 0]))
    grown = data.draw(st.sampled_from([size, size, size, size + 1, size - 1, 0]))
    statement = (LEAVES[index], shown, grown, proof, independent.tree_root(LEAVES[:size]))
    agree((ask(lambda: independent.verify_inclusion(*statement)), ask(lambda: merkle.verify_inclusion(*statement))))


@given(st.data())
@settings(max_examples=150)
def test_consistency_proofs(data):
    new = data.draw(st.integers(1, len(LEAVES)))
    old = data.draw(st.integers(1, new))
    proof = data.draw(hurt_proof(merkle.consistency_proof(LEAVES[:new], old)))
    others = [(0, new), (new, old), (new, new), (old, old), (old, new + 1)]
    shown, grown = data.draw(st.sampled_from([*[(old, new)] * 5, *others]))
    roots = [independent.tree_root(LEAVES[:size]) for size in (old, new)]
    ours = ask(lambda: independent.verify_consistency(shown, grown, roots[0], roots[1], proof))
    agree((ours, ask(lambda: merkle.verify_consistency(shown, grown, proof, roots[0], roots[1]))))


def test_untouched_proofs_hold_in_both():
    for new in range(1, len(LEAVES)):
        roots = [independent.tree_root(LEAVES[:size]) for size in range(new + 1)]
        for old in range(1, new + 1):
            consistency = merkle.consistency_proof(LEAVES[:new], old)
            independent.verify_consistency(old, new, roots[old], roots[new], consistency)
            inclusion = merkle.inclusion_proof(LEAVES[:new], old - 1)
            independent.verify_inclusion(LEAVES[old - 1], old - 1, new, inclusion, roots[new])


def vkey_spellings(vkey: str) -> list[str]:
    name, key_hash, body = vkey.split("+", 2)
    found = [vkey, vkey + "=", f"{name}+{key_hash.upper()}+{body}", f"{name}+{key_hash}", f"x{vkey}", "", "++"]
    found += [f"{name}+{key_hash}+{body[:-1]}", f"+{key_hash}+{body}", independent.write_vkey(name, 2, raw(STATION))]
    return found


@pytest.mark.parametrize("vkey", [spelling for vkey in VKEYS for spelling in vkey_spellings(vkey)])
def test_a_vkey_is_read_the_same(vkey):
    agree((ask(lambda: independent.read_vkey(vkey).hash), ask(lambda: NoteKey.parse(vkey).key_hash())))


# ---------------------------------------------------------------------------------------------------------------------
# §12: a log whose keys change


def rotated_log() -> tuple[bytes, dict[str, bytes]]:
    """Both halves of a log's life, and its checkpoint, from the same signers that the keyring's tests use."""
    _, files = rotated()
    return bytes(files.data), dict(files.small)


ROTATED, ROTATED_SMALL = rotated_log()
OLD, NEW, OTHER = (FIRST.public_key(), NEXT.public_key(), THIRD.public_key())


def ask_rotated(lines: bytes, checkpoint: bytes | None, approved: list[bytes]) -> Both:
    def theirs() -> Any:
        small = {} if checkpoint is None else {CHECKPOINT: checkpoint}
        keys = [LogKeys.of(ORIGIN, [VerifyKey(one)]) for one in approved]
        log = Log(MemoryLogFiles(bytearray(lines), small, chunk=4096), ORIGIN, [VerifyKey(OLD)], keys)
        return {"size": log.size, "root": log.chain.root().hex()}

    ours = ask(lambda: independent.verify_log(lines, ORIGIN, [OLD], checkpoint, approved))
    return (replace(ours, value=None) if ours.finding else ours), ask(theirs)


def noted_at(size: int, signer: Any) -> bytes:
    root = merkle.root([merkle.leaf_hash(line) for line in ROTATED.split(b"\n")[:size]])
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), signer)


@pytest.mark.parametrize(
    ("size", "signer", "finding"),
    [
        (2, FIRST, ""),
        (2, NEXT, "key-unknown"),
        (3, FIRST, ""),
        (3, NEXT, ""),
        (3, THIRD, "key-unknown"),
        (4, FIRST, "key-unknown"),
        (5, NEXT, ""),
        (5, STRANGER_SIGNER, "key-unknown"),
    ],
)
def test_both_know_which_key_signs_the_checkpoint_of_which_size(size, signer, finding):
    ours, theirs = ask_rotated(ROTATED, noted_at(size, signer), [NEW, OTHER])
    assert (ours.finding, ours.value) == (theirs.finding, theirs.value)
    assert ours.finding == finding


@pytest.mark.parametrize("approved", [[], [OTHER], [NEW], [OLD, NEW]])
def test_both_follow_only_keys_that_are_approved(approved):
    ours, theirs = ask_rotated(ROTATED, None, approved)
    assert (ours.finding, ours.value) == (theirs.finding, theirs.value)
    assert ours.finding == ("" if NEW in approved else "key-unknown")


@given(st.integers(0, len(ROTATED) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_both_refuse_a_rotated_log_with_one_other_byte(place, difference):
    spoiled = bytearray(ROTATED)
    spoiled[place] ^= difference
    ours, theirs = ask_rotated(bytes(spoiled), ROTATED_SMALL[CHECKPOINT], [NEW])
    assert (ours.finding, ours.value) == (theirs.finding, theirs.value)
    assert ours.finding


def test_both_judge_a_revoked_key_by_when_the_centre_saw_the_entry():
    from tests.custody import test_authority as told  # noqa: PLC0415  # its builders alone

    records = [told.mirrored(0, 0, 3, 399), told.revoked(1, 400), told.mirrored(2, 3, 2, 400)]
    authority = told.heard(*records)
    payloads = [dict(record.payload) for record in records]
    for seq in range(5):
        seen = authority.seen(told.ORIGIN, seq)
        assert seen is not None
        theirs = authority.doubtful(told.keys_of(FIRST), seen.utc_ms)
        assert independent.needs_review(payloads, told.ORIGIN, seq, OLD) == theirs == (seq >= 3)


def test_both_look_at_the_key_that_is_revoked_and_not_at_what_it_is_called():
    from tests.custody import test_authority as told  # noqa: PLC0415  # its builders alone

    key: JsonValue = {**told.keys_of(NEXT).block(), "keyid": told.keys_of(FIRST).keyid}
    body: dict[str, JsonValue] = {"revocation": {"invalid_from_ms": 1}, "reason": "stolen", "actors": told.TWO}
    records = [told.said(0, "key.revoked", key=key, **body), told.mirrored(1, 0, 1, 2)]
    payloads, authority = [dict(record.payload) for record in records], told.heard(*records)
    for signer, doubtful in ((FIRST, False), (NEXT, True)):
        assert authority.doubtful(told.keys_of(signer), 2) is doubtful
        assert independent.needs_review(payloads, told.ORIGIN, 0, signer.public_key()) is doubtful


@pytest.mark.parametrize("approved_first", [True, False])
@pytest.mark.parametrize(
    ("second", "counts"),
    [
        ("013", True),
        ("007 ", False),
        ("\uff10\uff10\uff17", False),
        ("", False),
        (13, False),
        ("LI MING", True),
        (None, False),
    ],
)
def test_both_take_the_word_of_two_people_however_they_are_spelt(approved_first, second, counts):
    from tests.custody import test_authority as told  # noqa: PLC0415  # its builders alone

    actors: JsonValue = [{"role": "approver", "id": "007"}, {"role": "approver", "id": second}]
    steps = [lambda seq: told.approval(seq, actors), lambda seq: told.mirrored(seq, 0, 1, 100)]
    records = [step(seq) for seq, step in enumerate(steps if approved_first else steps[::-1])]
    authority = told.heard(*records)
    ours = independent.approved_keys([dict(record.payload) for record in records], told.ORIGIN, 0)
    assert ours == ([NEW] if approved_first and counts else [])
    assert authority.in_time(told.ORIGIN, 0, told.keys_of(NEXT)) is bool(ours)


def test_a_request_is_read_the_same_and_so_is_its_fingerprint():
    from tests.custody.test_enrolment import GM, REQUEST, SM2  # noqa: PLC0415  # a request alone

    assert independent.read_request(REQUEST) == json.loads(payload_of(REQUEST))
    assert independent.fingerprint(REQUEST) == fingerprint(REQUEST)
    gm = request(GM, [NEXT, SM2])
    assert independent.fingerprint(gm) == fingerprint(gm)
    twice = json.loads(REQUEST)
    twice["signatures"] *= 2
    for spoiled in (loose(twice), ENTRIES[0], REQUEST.replace(b"enrolment.v1", b"enrolment.v2")):
        ours, theirs = (
            ask(lambda read=read, data=spoiled: read(data)) for read in (independent.read_request, read_request)
        )  # type: ignore[misc]  # mypy knows no default in a lambda
        assert ours.finding == theirs.finding != ""

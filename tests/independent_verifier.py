"""A verifier of the chain of custody, written from ``custody/FORMAT.md`` and the specifications it names, and from
nothing else.

It imports none of our code: Python's standard library reads, ``cryptography`` checks Ed25519. What it refuses, it
refuses with one of the finding words of FORMAT.md §9. Where the text leaves a choice, "Reading:" in a docstring says
which one was taken.
"""

import base64
import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 16
MAX_ENTRY = 65_535
MAX_SIGNATURES = 8
MAX_EVENT = 64
MAX_ORIGIN = 200
MAX_NOTE = 65_536
MAX_MESSAGE = 1024 * 1024
MAX_MESSAGE_ENTRIES = 1_000
MAX_SEEN_FILES = 200
MAX_COSIGNATURE_SECONDS = 2**63 - 1
RAW_KEY_BYTES = 32
SIGNATURE_BYTES = 64
DIGEST_BYTES = 32
KEY_HASH_BYTES = 4
POINT_BYTES = 65
MIN_APPROVERS = 2
OTHER_SUITES = (b"sm2-sm3", b"ecdsa-p256-sha256")

RECORD_TYPE = "bwc.custody/v1"
PAYLOAD_TYPE = "application/vnd.bwc.custody.v1+json"
REQUEST_TYPE = "application/vnd.bwc.enrolment.v1+json"
NOTE_KEY = 0x01
COSIGNER_KEY = 0x04

HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ORIGIN = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)+")
STORE_NAME = re.compile(
    r"(?:originals|proxies)/[0-9]{4}/(?:0[1-9]|1[0-2])/(?:0[1-9]|[12][0-9]|3[01])/([^/.]+)\.[A-Za-z0-9]{1,8}"
)
DECIMAL = re.compile(r"0|[1-9][0-9]*")

BLOCKS = {
    "device.docked": ("camera", "volume"),
    "device.undocked": ("camera", "reason"),
    "device.identified": ("camera", "identity"),
    "ingest.seen": ("camera", "files"),
    "ingest.copied": ("camera", "object", "source", "copy"),
    "ingest.verified": ("camera", "object", "source", "copy"),
    "ingest.failed": ("camera", "source", "reason"),
    "media.described": ("object", "media"),
    "proxy.created": ("object", "parents", "recipe"),
    "proxy.failed": ("parents", "reason"),
    "clock.stepped": ("clock",),
    "camera.erased": ("camera", "objects", "receipts", "reason", "actors"),
    "docking.marked": ("marking", "actors"),
    "recorder.issued": ("camera", "issue", "actors"),
    "recorder.returned": ("camera", "issue", "actors"),
    "clock.set": ("camera", "clock", "result"),
    "store.proved": ("store", "result"),
    "log.recovered": ("reason",),
    "station.enrolled": ("station", "key"),
    "station.entries": ("mirror",),
    "central.verified": ("object", "entry"),
    "integrity.checked": ("object", "result", "reason"),
    "message.quarantined": ("message", "reason"),
    "cases.imported": ("import",),
    "case.linked": ("link",),
    "case.unlinked": ("link", "reason"),
    "flag.set": ("flag",),
    "flag.changed": ("flag", "reason"),
    "flag.cleared": ("flag", "reason"),
    "access.exported": ("export", "actors", "reason"),
    "checkpoint.anchored": ("anchor",),
    "audit.done": ("audit", "actors"),
    "key.enrolled": ("key",),
    "key.revoked": ("key", "revocation", "reason", "actors"),
    "access.viewed": ("view", "actors"),
    "flag.explained": ("explanation", "actors"),
    "flag.reviewed": ("review", "actors", "reason"),
    "flag.closed": ("closing", "actors", "reason"),
    "review.submitted": ("review", "actors", "reason"),
    "review.extended": ("review", "actors", "reason"),
    "review.concluded": ("review", "actors", "reason"),
    "decision.made": ("decision", "actors", "reason"),
    "decision.withdrawn": ("decision", "actors", "reason"),
    "disclosure.published": ("disclosure", "actors"),
    "token.created": ("token", "actors", "reason"),
    "token.revoked": ("token", "actors", "reason"),
    "hold.set": ("hold", "actors", "reason"),
    "hold.released": ("hold", "actors", "reason"),
    "disposal.approved": ("disposal", "actors", "reason"),
    "disposal.done": ("disposal", "actors", "reason"),
    "config.changed": ("config",),
    "catalogue.changed": ("catalogue",),
}


class Refused(Exception):  # noqa: N818 - the name says what happened
    """Evidence was refused: ``finding`` is a word of FORMAT.md §9, ``index`` the entry it concerns, if one does."""

    def __init__(self, finding: str, why: str = "", index: int | None = None) -> None:
        super().__init__(f"{finding}: {why}")
        self.finding = finding
        self.index = index


def unparsable(why: str) -> NoReturn:
    """Refuse something that is not in the form the format demands."""
    raise Refused("unparsable", why)


# ---------------------------------------------------------------------------------------------------------------------
# §1 values


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refusing a key that stands in it twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        unparsable("duplicate key")
    return found


def _no_number(text: str) -> NoReturn:
    """Refuse a float, NaN or an infinity, as they are read."""
    unparsable(f"number {text!r} is no integer")


def _text(value: str) -> str:
    """A string as RFC 8785 §3.2.2.2 writes it, which is how ``json`` writes it without ASCII escapes."""
    return json.dumps(value, ensure_ascii=False)


def _integer(value: int) -> str:
    """An integer within the bounds of an exact double."""
    if abs(value) > MAX_INTEGER:
        unparsable("integer out of bounds")
    return str(value)


def canonical(value: Any, depth: int = 0) -> str:
    """The RFC 8785 text of an allowed value, which stands inside ``depth`` others; every other value is refused."""
    if depth > MAX_DEPTH:
        unparsable("nested too deep")
    if value is None:
        return "null"
    if isinstance(value, bool):
        unparsable("boolean")
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{_text(key)}:{canonical(value[key], depth + 1)}" for key in keys) + "}"


def read_object(data: bytes) -> tuple[dict[str, Any], bool]:
    """The JSON object in ``data``, and whether ``data`` is its canonical form.

    Reading: a number is an integer if it is written as one, without fraction or exponent.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_pairs, parse_float=_no_number, parse_constant=_no_number)
        same = canonical(value).encode("utf-8") == data
    except (ValueError, RecursionError) as error:  # also UTF-8 both ways, and so lone surrogates
        unparsable(str(error))
    if not isinstance(value, dict):
        unparsable("not an object")
    return value, same


def read_base64(text: Any) -> bytes:
    """The bytes of a string in RFC 4648 §4 base64, refusing every spelling but the one an encoder writes."""
    if not isinstance(text, str):
        unparsable("base64 is no string")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        unparsable(str(error))
    if base64.b64encode(data).decode("ascii") != text:
        unparsable("base64 with unused bits or wrong padding")
    return data


# ---------------------------------------------------------------------------------------------------------------------
# §2 record


def _need(holds: object, why: str) -> None:
    """Refuse a record unless ``holds``."""
    if not holds:
        unparsable(why)


def _is_count(value: Any) -> bool:
    """Whether ``value`` is an integer from 0 up (its upper bound was checked when it was read)."""
    return isinstance(value, int) and value >= 0


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    """Whether ``value`` is a string that ``pattern`` matches from end to end."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_origin(value: Any) -> bool:
    """Whether ``value`` may name a log, or a key in notes and vkeys."""
    return _matches(ORIGIN, value) and len(value) <= MAX_ORIGIN


def _is_filled(value: Any) -> bool:
    """Whether ``value`` is a string that is not empty."""
    return isinstance(value, str) and value != ""


def _check_object(block: dict[str, Any]) -> None:
    """Block `object`. Reading: the object id in its store name (§8) is its own."""
    _need(_matches(UUID7, block.get("id")), "object.id")
    name = block.get("name")
    parts = STORE_NAME.fullmatch(name if isinstance(name, str) else "")
    if not parts or not UUID7.fullmatch(parts[1]):
        unparsable("object.name")
    _need(parts[1] == block["id"], "object.name is another object's")
    _need(_is_count(block.get("size")), "object.size")
    digests = block.get("digests")
    if not isinstance(digests, dict):
        unparsable("object.digests")
    _need(_matches(HEX_DIGEST, digests.get("sha256")), "object.digests.sha256")
    _need("sm3" not in digests or _matches(HEX_DIGEST, digests["sm3"]), "object.digests.sm3")


def _check_source(block: dict[str, Any]) -> None:
    """Block `source`; `path_b64` is not among the checked fields."""
    _need(_is_filled(block.get("path")), "source.path")


def _check_copy(block: dict[str, Any]) -> None:
    """Block `copy`: the digest is there even if nothing was read again."""
    _need(block.get("reread") in ("uncached", "cached", "none"), "copy.reread")
    _need(_matches(HEX_DIGEST, block.get("reread_sha256")), "copy.reread_sha256")


def _check_files(block: list[Any]) -> None:
    """Block `files`."""
    _need(1 <= len(block) <= MAX_SEEN_FILES, "files")
    for file in block:
        _need(isinstance(file, dict) and _is_filled(file.get("path")) and _is_count(file.get("size")), "files[]")


def _check_mirror(block: dict[str, Any]) -> None:
    """Block `mirror`: leaf hashes of a log from one number on. Reading: there may be none."""
    _need(_is_origin(block.get("log")), "mirror.log")
    _need(_is_count(block.get("from")), "mirror.from")
    leaves = block.get("leaves")
    _need(isinstance(leaves, list) and all(_matches(HEX_DIGEST, leaf) for leaf in leaves), "mirror.leaves")


def _check_entry(block: dict[str, Any]) -> None:
    """Block `entry`: the place of another log's entry. Reading: a leaf is 64 hex digits here too."""
    _need(_is_origin(block.get("log")), "entry.log")
    _need(_is_count(block.get("seq")), "entry.seq")
    _need(_matches(HEX_DIGEST, block.get("leaf")), "entry.leaf")


def _check_link(block: dict[str, Any]) -> None:
    """Block `link`."""
    _need(_matches(UUID7, block.get("object")), "link.object")
    _need(_is_filled(block.get("action")), "link.action")


def _check_flag(block: dict[str, Any]) -> None:
    """Block `flag`. Reading: "not empty" is said of both fields."""
    _need(_is_filled(block.get("id")) and _is_filled(block.get("rule")), "flag")


def _is_log_vkey(value: Any) -> bool:
    """Whether ``value`` is the vkey of a log, of any suite."""
    parts = value.split("+", 2) if isinstance(value, str) else []
    if len(parts) != len(("name", "hash", "key")) or not _is_origin(parts[0]):
        return False
    body = read_base64(parts[2])
    suite = next((name for name in OTHER_SUITES if body[1:].startswith(name)), b"")
    right = len(body) == 1 + RAW_KEY_BYTES and body[:1] == bytes([NOTE_KEY])
    point = body[1 + len(suite) :]
    right = right or (body[:1] == b"\xff" and bool(suite) and len(point) == POINT_BYTES and point[:1] == b"\x04")
    return right and hashlib.sha256(parts[0].encode() + b"\n" + body).digest()[:KEY_HASH_BYTES].hex() == parts[1]


def _check_key(block: dict[str, Any]) -> None:
    """Block `key`. Reading: `vkey_sm3` that is null is not there."""
    _need(_is_log_vkey(block.get("vkey")), "key.vkey")
    _need(block.get("vkey_sm3") is None or _is_log_vkey(block["vkey_sm3"]), "key.vkey_sm3")
    _need(_is_filled(block.get("keyid")), "key.keyid")


def _check_revocation(block: dict[str, Any]) -> None:
    """Block `revocation`."""
    _need(_is_count(block.get("invalid_from_ms")), "revocation.invalid_from_ms")


def _check_view(block: dict[str, Any]) -> None:
    """Block `view`."""
    _need(_matches(UUID7, block.get("object")) and _is_filled(block.get("what")), "view")


def _check_explanation(block: dict[str, Any]) -> None:
    """Block `explanation`."""
    _need(_is_filled(block.get("flag")) and _is_filled(block.get("text")), "explanation")


def _check_issue(block: dict[str, Any]) -> None:
    """Block `issue`."""
    _need(_is_filled(block.get("officer")), "issue.officer")


def _check_hold(block: dict[str, Any]) -> None:
    """Block `hold`."""
    _need(_matches(UUID7, block.get("id")), "hold.id")


def _check_disposal(block: dict[str, Any]) -> None:
    """Block `disposal`."""
    _need(_matches(UUID7, block.get("object")), "disposal.object")


def _check_config(block: dict[str, Any]) -> None:
    """Block `config`."""
    _need(_matches(HEX_DIGEST, block.get("sha256")), "config.sha256")


def _check_store(block: dict[str, Any]) -> None:
    """Block `store`."""
    _need(_is_filled(block.get("url")) and _matches(HEX_DIGEST, block.get("config_sha256")), "store")


CHECKS: dict[str, Callable[[Any], None]] = {
    "object": _check_object,
    "source": _check_source,
    "copy": _check_copy,
    "files": _check_files,
    "mirror": _check_mirror,
    "entry": _check_entry,
    "link": _check_link,
    "flag": _check_flag,
    "key": _check_key,
    "revocation": _check_revocation,
    "view": _check_view,
    "explanation": _check_explanation,
    "issue": _check_issue,
    "hold": _check_hold,
    "disposal": _check_disposal,
    "config": _check_config,
    "store": _check_store,
}


def _check_time(time: Any) -> None:
    """Field `time`. Reading: the words named for `source` are examples; any text that is not empty will do."""
    _need(isinstance(time, dict), "time")
    _need(_is_count(time.get("utc_ms")), "time.utc_ms")
    _need(isinstance(time.get("source"), str), "time.source")
    _need(time["source"], "time.source is no word")
    _need(isinstance(time.get("boot_id", ""), str), "time.boot_id")
    _need(isinstance(time.get("mono_ns", ""), str), "time.mono_ns")


def _check_blocks(record: dict[str, Any]) -> None:
    """What the event demands; blocks it does not demand, and all of an unknown event, are not looked at."""
    event = record["event"]
    for name in BLOCKS.get(event, ()):
        _need(record.get(name) is not None, f"{event} without {name}")
        if name in CHECKS:
            _need(isinstance(record[name], list if name == "files" else dict), f"{name} is of another kind")
            CHECKS[name](record[name])


def read_record(payload: bytes) -> dict[str, Any]:
    """The record of a payload, canonical or not."""
    record, _ = read_object(payload)
    _need(record.get("type") == RECORD_TYPE, "type")
    event = record.get("event")
    _need(isinstance(event, str) and 1 <= len(event) <= MAX_EVENT, "event")
    _need(_matches(UUID7, record.get("record_id")), "record_id")
    _need(_is_origin(record.get("log")), "log")
    _need(_is_count(record.get("seq")), "seq")
    prev = record.get("prev")
    _need(prev == "" if record["seq"] == 0 else _matches(HEX_DIGEST, prev), "prev")
    _check_time(record.get("time"))
    _check_blocks(record)
    return record


# ---------------------------------------------------------------------------------------------------------------------
# §3 envelope and entry


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of DSSE: what is signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(raw: bytes) -> str:
    """The hint by which an envelope names a key."""
    return hashlib.sha256(raw).hexdigest()[:16]


def fits(raw: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` over ``message`` is by the Ed25519 key ``raw``."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _open(entry: bytes) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """The payload type and payload of an entry, and its signatures with their hints.

    Reading: a payload type that is a string is a form that fits; whether it is ours comes with the signatures.
    """
    if len(entry) > MAX_ENTRY:
        unparsable("entry too long")
    envelope, is_canonical = read_object(entry)
    if not is_canonical:
        unparsable("envelope not in canonical form")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        unparsable("signatures")
    found = []
    for signature in signatures:
        if not isinstance(signature, dict) or not isinstance(signature.get("keyid"), str):
            unparsable("signature")
        found.append((signature["keyid"], read_base64(signature.get("sig"))))
    kind = envelope.get("payloadType")
    if not isinstance(kind, str):
        unparsable("payload type")
    return kind, read_base64(envelope.get("payload")), found


def _check_signatures(message: bytes, signatures: list[tuple[str, bytes]], keys: Iterable[bytes]) -> None:
    """Refuse unless an enrolled key signed, and none that is named did not."""
    enrolled = {key_id(raw): raw for raw in keys}
    known = [(enrolled[hint], signature) for hint, signature in signatures if hint in enrolled]
    if not known:
        raise Refused("key-unknown", "no signature names an enrolled key")
    for raw, signature in known:
        if not fits(raw, signature, message):
            raise Refused("sig-bad", key_id(raw))


def verify_entry(entry: bytes, keys: Iterable[bytes]) -> dict[str, Any]:
    """The record of an entry that one of ``keys`` (raw, 32 bytes) signed."""
    kind, payload, signatures = _open(entry)
    if kind != PAYLOAD_TYPE:
        raise Refused("sig-bad", "payload type")
    _check_signatures(pae(kind, payload), signatures, keys)
    return read_record(payload)


# ---------------------------------------------------------------------------------------------------------------------
# §4 log and Merkle tree


def leaf_hash(entry: bytes) -> bytes:
    """The leaf hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes (RFC 6962 §2.1)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return node_hash(tree_root(leaves[:k]), tree_root(leaves[k:]))


def _root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path from the leaf upwards leads to (RFC 6962 §2.1.1 read backwards); uses ``path`` up."""
    if size == 1:
        return leaf
    if not path:
        raise Refused("root-mismatch", "path too short")
    sibling = path.pop()
    k = _split(size)
    if index < k:
        return node_hash(_root_by_path(leaf, index, k, path), sibling)
    return node_hash(sibling, _root_by_path(leaf, index - k, size - k, path))


def _check_hashes(hashes: Iterable[bytes]) -> None:
    """Refuse what is no SHA-256: bytes moved from one sibling to the other would hash the same."""
    if any(len(value) != DIGEST_BYTES for value in hashes):
        raise Refused("root-mismatch", "not a digest")


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Refuse unless ``proof`` leads from the leaf hash at ``index`` to the root of ``size`` leaves."""
    _check_hashes([leaf, root, *proof])
    if not 0 <= index < size:
        raise Refused("root-mismatch", "no such leaf")
    path = list(proof)
    if _root_by_path(leaf, index, size, path) != root or path:
        raise Refused("root-mismatch", "inclusion proof")


def _roots_by_proof(old: int, new: int, path: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """The old and the new root that a consistency proof leads to (RFC 6962 §2.1.2 read backwards); uses ``path`` up.

    ``known`` is the old root as long as the subtree still starts where the old tree started and is not yet complete.
    """
    if old == new and known is not None:
        return known, known
    if not path:
        raise Refused("root-mismatch", "proof too short")
    last = path.pop()
    if old == new:
        return last, last
    k = _split(new)
    if old <= k:
        left, right = _roots_by_proof(old, k, path, known)
        return left, node_hash(right, last)
    left, right = _roots_by_proof(old - k, new - k, path, None)
    return node_hash(last, left), node_hash(last, right)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Refuse unless ``proof`` shows that the tree of ``old`` leaves is the beginning of the tree of ``new`` leaves."""
    _check_hashes([old_root, new_root, *proof])
    if not 0 < old <= new:
        raise Refused("root-mismatch", "sizes")
    path = list(proof)
    if _roots_by_proof(old, new, path, old_root) != (old_root, new_root) or path:
        raise Refused("root-mismatch", "consistency proof")


def _check_place(record: dict[str, Any], origin: str, leaves: Sequence[bytes]) -> None:
    """Steps 4 to 6: that the record stands where it says it stands."""
    if record["log"] != origin:
        raise Refused("log-forked", record["log"])
    if record["seq"] != len(leaves):
        raise Refused("seq-gap" if record["seq"] > len(leaves) else "seq-duplicate", str(record["seq"]))
    if record["prev"] != (leaves[-1].hex() if leaves else ""):
        raise Refused("prev-break", record["prev"])


def _complete(lines: bytes) -> list[bytes]:
    """The entries in a log's file, without what a crash left: half a line at the end, or a NUL and all after it."""
    entries = []
    for entry in lines.split(b"\n")[:-1]:
        if b"\x00" in entry:
            break
        entries.append(entry)
    return entries


def _check_root(leaves: Sequence[bytes], claim: dict[str, Any] | None) -> None:
    """Refuse if a checkpoint claims another root for just these leaves."""
    if claim and claim["size"] == len(leaves) and claim["root"] != tree_root(leaves).hex():
        raise Refused("root-mismatch", "checkpoint")


def _successor(record: dict[str, Any], used: Sequence[bytes], approved: Iterable[bytes]) -> bytes | None:
    """The raw key that signs from the next entry on (§12), if this entry says so."""
    if record["event"] != "key.enrolled" or record["key"]["vkey"].split("+")[0] != record["log"]:
        return None
    key = read_base64(record["key"]["vkey"].split("+", 2)[2])
    if record["key"].get("vkey_sm3") is not None or key[:1] != bytes([NOTE_KEY]):
        raise Refused("key-unknown", "of another profile")
    if key[1:] not in set(approved):
        raise Refused("key-unknown", "not approved")
    if key[1:] in used:
        raise Refused("key-unknown", "signed before")
    return key[1:]


def _log_leaves(  # §4 and §12 of one log
    lines: bytes, origin: str, keys: Sequence[bytes], claim: dict[str, Any] | None, approved: Iterable[bytes]
) -> list[bytes]:
    """The leaf hashes of a log's complete lines, each checked, and their root once the checkpoint's size is reached."""
    leaves: list[bytes] = []
    spans = [(0, key) for key in keys]
    _check_root(leaves, claim)
    _check_signer(leaves, claim, spans)
    for entry in _complete(lines):
        try:
            record = verify_entry(entry, [spans[-1][1]] if len(spans) > len(keys) else keys)
            _check_place(record, origin, leaves)
            following = _successor(record, [key for _, key in spans], approved)
        except Refused as refused:
            refused.index = len(leaves)
            raise
        leaves.append(leaf_hash(entry))
        spans += [(len(leaves), following)] if following else []
        _check_root(leaves, claim)
        _check_signer(leaves, claim, spans)
    return leaves


def _check_signer(leaves: Sequence[bytes], claim: dict[str, Any] | None, spans: Sequence[tuple[int, bytes]]) -> None:
    """The checkpoint of just these leaves is signed by the key of the last entry or by that of the next."""
    if not claim or claim["size"] != len(leaves):
        return
    size = len(leaves)
    last = [key for start, key in spans if start <= max(size - 1, 0)][-1]
    if not {last, spans[-1][1]} & claim["by"]:
        raise Refused("key-unknown", "checkpoint by a key of another time")


def verify_log(
    lines: bytes,
    origin: str,
    keys: Sequence[bytes],
    checkpoint: str | bytes | None = None,
    approved: Sequence[bytes] = (),
) -> dict[str, Any]:
    """Size and hex root of a log, given as the bytes of its file, that also agrees with ``checkpoint``.

    ``approved`` are the raw keys that may succeed (§12). Reading: what is wrong with the checkpoint itself, its
    signatures before its origin, is found before the entries.
    """
    claim = None
    if checkpoint is not None:
        every = [*keys, *approved]
        claim = verify_checkpoint(checkpoint, [write_vkey(origin, NOTE_KEY, raw) for raw in every])
        if claim["origin"] != origin:
            raise Refused("log-forked", claim["origin"])
        claim["by"] = {raw for raw in every if _signed_by(checkpoint, origin, raw)}
    leaves = _log_leaves(lines, origin, keys, claim, approved)
    if claim and claim["size"] > len(leaves):
        raise Refused("log-truncated", f"{len(leaves)} of {claim['size']}")
    return {"size": len(leaves), "root": tree_root(leaves).hex()}


def _signed_by(note: str | bytes, origin: str, raw: bytes) -> bool:
    try:
        verify_checkpoint(note, [write_vkey(origin, NOTE_KEY, raw)])
    except Refused:
        return False
    return True


def _names(block: dict[str, Any], log: str, raw: bytes) -> bool:
    """Whether a `key` block is about the Ed25519 key ``raw`` of ``log``; its `keyid` is for people (§2)."""
    return bool(block["vkey"] == write_vkey(log, NOTE_KEY, raw))


def approved_keys(centre: Iterable[dict[str, Any]], log: str, seq: int) -> list[bytes]:
    """The raw Ed25519 keys to which entry ``seq`` of a station's ``log`` may hand over, by the centre's log (§12).

    ``centre`` are the verified records of the centre's log, in order. Reading: an entry that it did not name yet may
    hand over to any key approved so far.
    """
    found: list[bytes] = []
    for record in centre:
        if _mirrors(record, log, seq):
            return found
        if record["event"] != "key.enrolled" or record["log"] == log or len(_approvers(record)) < MIN_APPROVERS:
            continue
        name, _, key = record["key"]["vkey"].split("+", 2)
        if name == log and read_base64(key)[:1] == bytes([NOTE_KEY]):
            found.append(read_base64(key)[1:])
    return found


def _mirrors(record: dict[str, Any], log: str, seq: int) -> bool:
    """Whether a record of the centre's log names entry ``seq`` of ``log`` as held."""
    if record["event"] != "station.entries" or record["mirror"]["log"] != log:
        return False
    first = record["mirror"]["from"]
    return bool(first <= seq < first + len(record["mirror"]["leaves"]))


def _approvers(record: dict[str, Any]) -> set[str]:
    """Different people among the actors of role `approver`; spelling makes no second person (§12)."""
    actors = record.get("actors")
    named = [one for one in actors if isinstance(one, dict)] if isinstance(actors, list) else []
    people = [one["id"] for one in named if one.get("role") == "approver" and isinstance(one.get("id"), str)]
    folded = {"".join(unicodedata.normalize("NFKC", one).split()).casefold() for one in people}
    return folded - {""}


def read_request(data: bytes) -> dict[str, Any]:
    """The payload of an enrolment request (§12) of a log of profile `std`, signed by the key that it brings.

    Reading: what the certificate requests in it say is not looked at.
    """
    kind, payload, signatures = _open(data)
    request, is_canonical = read_object(payload)
    key = request.get("key")
    if request.get("type") != "bwc.enrolment/v1" or not is_canonical or not isinstance(key, dict):
        unparsable("enrolment request")
    _check_key(key)
    if kind != REQUEST_TYPE:
        raise Refused("sig-bad", "payload type")
    found = read_vkey(key["vkey"])
    if (found.name, found.name.rpartition("/")[2]) != (request.get("log"), request.get("station")):
        unparsable("another log than the key's")
    if len(signatures) != 1:
        unparsable("signed by others than its key")
    _check_signatures(pae(kind, payload), signatures, [found.raw])
    return request


def fingerprint(data: bytes) -> str:
    """What is read aloud of an enrolment request (§12)."""
    digest = hashlib.sha256(_open(data)[1]).digest()
    return " ".join(f"{int.from_bytes(digest[at : at + 4], 'big') % 100_000:05d}" for at in range(0, DIGEST_BYTES, 4))


def needs_review(centre: Iterable[dict[str, Any]], log: str, seq: int, key: bytes) -> bool:
    """Whether entry ``seq`` of ``log``, signed by the raw ``key``, is `key-review`: revoked when first named.

    ``centre`` are the verified records of the centre's log, in order. Reading: of several revocations the earliest time
    counts, wherever in the log it stands; an entry not named yet is not judged here.
    """
    seen, since = None, None
    for record in centre:
        if record["event"] == "key.revoked" and _names(record["key"], log, key):
            at = record["revocation"]["invalid_from_ms"]
            since = at if since is None else min(since, at)
        if seen is None and _mirrors(record, log, seq):
            seen = record["time"]["utc_ms"]
    return seen is not None and since is not None and seen >= since


# ---------------------------------------------------------------------------------------------------------------------
# §5 checkpoint


@dataclass(frozen=True)
class NoteKey:
    """A key that may stand in a signature line of a note."""

    name: str
    kind: int
    raw: bytes

    @property
    def hash(self) -> bytes:
        """The four bytes that go before a signature by this key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:KEY_HASH_BYTES]


def write_vkey(name: str, kind: int, raw: bytes) -> str:
    """A key as one line of text."""
    return f"{name}+{NoteKey(name, kind, raw).hash.hex()}+{base64.b64encode(bytes([kind]) + raw).decode()}"


def _is_line_name(name: str) -> bool:
    """Whether a signature line may name this key, known or not: no Unicode space and no plus in it."""
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def read_vkey(text: str) -> NoteKey:
    """The key of a line ``name+hash+base64(type ‖ key)``."""
    parts = text.split("+", 2)
    if len(parts) != len(("name", "hash", "key")) or not _is_origin(parts[0]):
        unparsable("vkey")
    body = read_base64(parts[2])
    if len(body) != 1 + RAW_KEY_BYTES or body[0] not in (NOTE_KEY, COSIGNER_KEY):
        unparsable("vkey of another type")
    key = NoteKey(parts[0], body[0], body[1:])
    if key.hash.hex() != parts[1]:
        unparsable("vkey hash")
    return key


def _note_text(note: str | bytes) -> str:
    """The characters of a note: not too many, valid UTF-8, nothing below U+0020 but newline."""
    try:
        data = note if isinstance(note, bytes) else note.encode("utf-8")
        text = data.decode("utf-8")
    except ValueError as error:
        unparsable(str(error))
    if len(data) > MAX_NOTE:
        unparsable("note too long")
    if any(sign < " " and sign != "\n" for sign in text):
        unparsable("control character")
    return text


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    """Name, key hash and signature of a note's signature line; a line of another form is refused."""
    parts = line.split(" ")
    if len(parts) != len(("dash", "name", "signature")) or parts[0] != "\u2014" or not _is_line_name(parts[1]):
        unparsable("signature line")
    blob = read_base64(parts[2])
    if len(blob) <= KEY_HASH_BYTES:
        unparsable("signature too short")
    return parts[1], blob[:KEY_HASH_BYTES], blob[KEY_HASH_BYTES:]


def _check_body(body: str) -> dict[str, Any]:
    """Origin, size and root: the three lines of a checkpoint's text."""
    lines = body.split("\n")[:-1]
    if len(lines) != len(("origin", "size", "root")):
        unparsable("checkpoint lines")
    origin, size, root = lines
    if not _is_origin(origin):
        unparsable("checkpoint origin")
    if not DECIMAL.fullmatch(size) or len(size) > len(str(MAX_INTEGER)) or int(size) > MAX_INTEGER:
        unparsable("checkpoint size")
    digest = read_base64(root)
    if len(digest) != DIGEST_BYTES:
        unparsable("checkpoint root")
    return {"origin": origin, "size": int(size), "root": digest.hex()}


def _note_signature(key: NoteKey, signature: bytes, body: bytes) -> int | None:
    """When a cosigner signed, or None for a log's signature; one that does not fit is refused.

    Reading: a known cosigner's line with too late a time is a signature that does not fit.
    """
    seconds = None
    if key.kind == COSIGNER_KEY:
        seconds = int.from_bytes(signature[:8], "big")
        signature = signature[8:]
        body = b"cosignature/v1\ntime %d\n" % seconds + body
    if seconds is not None and seconds > MAX_COSIGNATURE_SECONDS:
        raise Refused("sig-bad", "cosignature time")
    if len(signature) != SIGNATURE_BYTES or not fits(key.raw, signature, body):
        raise Refused("sig-bad", key.name)
    return seconds


def verify_checkpoint(note: str | bytes, vkeys: Iterable[str]) -> dict[str, Any]:
    """Origin, size, hex root and `signers` (name → seconds, or None for a log) of a checkpoint.

    One signature by any of ``vkeys`` is enough.
    """
    text = _note_text(note)
    head, separator, tail = text.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        unparsable("note without signatures")
    body = head + "\n"
    claim = _check_body(body)
    known = {(key.name, key.hash): key for key in map(read_vkey, vkeys)}
    signers = {}
    for name, key_hash, signature in [_signature_line(line) for line in tail.split("\n")[:-1]]:
        if key := known.get((name, key_hash)):
            signers[name] = _note_signature(key, signature, body.encode())
    if not signers:
        raise Refused("key-unknown", "no signature by a known key")
    return {**claim, "signers": signers}


# ---------------------------------------------------------------------------------------------------------------------
# §6 receipt


def verify_receipt(entry: bytes, origin: str, keys: Iterable[bytes]) -> dict[str, Any]:
    """The record of a receipt by the centre whose log is ``origin`` and whose enrolled keys are ``keys``."""
    record = verify_entry(entry, keys)
    if record["log"] != origin:
        raise Refused("log-forked", record["log"])
    if record["event"] != "central.verified":
        unparsable("not a receipt")
    return record


def answers(receipt: dict[str, Any], log: str, object_id: str, size: int, sha256: str) -> bool:
    """Whether a receipt's record is about that clip of that station."""
    block = receipt["object"]
    named = (receipt["entry"]["log"], block["id"], block["size"], block["digests"]["sha256"])
    return bool(named == (log, object_id, size, sha256))


# ---------------------------------------------------------------------------------------------------------------------
# §7 messages

HEADERS = {
    "bwc.records/v1": ("first", ("checkpoint", "checkpoint_sm3")),
    "bwc.receipts/v1": ("size", ("cosigned", "centre")),
}
"""Of each kind of message the number and the notes in its header."""


def _check_header(header: dict[str, Any]) -> None:
    """A header of one of the two kinds. Reading: the notes in it are not opened, for a header proves nothing; a null
    is not an absent one.
    """
    kind = header.get("type")
    if not isinstance(kind, str) or kind not in HEADERS:
        unparsable("message type")
    number, notes = HEADERS[kind]
    if not _is_origin(header.get("log")) or not _is_count(header.get(number)):
        unparsable("message header")
    if not all(isinstance(header.get(note, ""), str) for note in notes):
        unparsable("message note")


def parse_message(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The header of a message and its entries, which are not yet verified."""
    if len(data) > MAX_MESSAGE:
        unparsable("message too long")
    first, *entries = data.split(b"\n")
    header, _ = read_object(first)
    _check_header(header)
    if len(entries) > MAX_MESSAGE_ENTRIES:
        unparsable("too many entries")
    if not all(0 < len(entry) <= MAX_ENTRY for entry in entries):
        unparsable("length of an entry")
    return header, entries

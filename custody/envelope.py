"""DSSE envelopes: the bytes that are signed, logged, sent and stored.

An *entry* is the canonical JSON of the envelope, without newline. Signatures cover the DSSE pre-authentication
encoding (PAE) of the payload, so a verifier never re-creates canonical JSON: it checks the bytes it was given.
"""

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from custody.canonical import JsonObject, canonical_bytes, is_canonical, parse_object
from custody.errors import ContractError, SignatureError, UnknownKeyError, UnparsableError
from custody.signer import Signer, VerifyKey, keyid

PAYLOAD_TYPE = "application/vnd.bwc.custody.v1+json"
MAX_ENTRY_BYTES = 65_535
"""Largest entry: the length prefix of C2SP tlog-tiles entry bundles is an unsigned 16-bit integer."""
MAX_SIGNATURES = 8
"""More signatures than any profile of ours uses; bounds work on hostile input."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of an envelope; ``keyid`` is a hint only."""

    keyid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """An opened, not yet verified, envelope."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding: lengths are byte counts in decimal, fields split by one space."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, signers: Sequence[Signer], payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Sign ``payload`` with every signer and return the entry bytes.

    Raises ``ContractError`` without signers or when the entry would exceed ``MAX_ENTRY_BYTES``.
    """
    if not signers:
        raise ContractError("an envelope needs at least one signer")
    message = pae(payload_type, payload)
    entry = canonical_bytes(
        {
            "payload": _encode(payload),
            "payloadType": payload_type,
            "signatures": [_signed(signer, message) for signer in signers],
        }
    )
    if len(entry) > MAX_ENTRY_BYTES:
        raise ContractError(f"entry of {len(entry)} bytes exceeds {MAX_ENTRY_BYTES}")
    return entry


def open_envelope(entry: bytes) -> Envelope:
    """Parse an entry without judging it. Raises ``UnparsableError``.

    An envelope in another spelling than the canonical one is refused: its leaf hash covers bytes that no signature
    covers, so whoever holds an entry could otherwise give it a second leaf hash.
    """
    if len(entry) > MAX_ENTRY_BYTES:
        raise UnparsableError(f"entry of {len(entry)} bytes exceeds {MAX_ENTRY_BYTES}")
    fields = parse_object(entry)
    if not is_canonical(entry, fields):
        raise UnparsableError("the envelope is not in canonical form")
    payload_type, payload, signatures = fields.get("payloadType"), fields.get("payload"), fields.get("signatures")
    if not isinstance(payload_type, str) or not isinstance(signatures, list):
        raise UnparsableError("an envelope needs payloadType, payload and signatures")
    if not 0 < len(signatures) <= MAX_SIGNATURES:
        raise UnparsableError(f"an envelope has 1 to {MAX_SIGNATURES} signatures, not {len(signatures)}")
    return Envelope(payload_type, _decode(payload), tuple(_signature(s) for s in signatures))


def verify(
    envelope: Envelope,
    keys: Collection[VerifyKey],
    suites: Collection[str] | None = None,
    payload_type: str = PAYLOAD_TYPE,
) -> VerifyKey:
    """Return the first of ``keys`` that signed the envelope.

    One key of each of ``suites`` must have signed; by default of each suite among ``keys``, which are those of the
    log's profile (``custody.profile``). Further signatures by unknown keys are ignored. The keyid only chooses which
    key to try; the key decides. Raises ``UnknownKeyError`` when no signature names one of ``keys``, and
    ``SignatureError`` when one is named but does not fit, when a suite is missing, or when the payload type is not
    ``payload_type``.
    """
    if envelope.payload_type != payload_type:
        raise SignatureError(f"payload type {envelope.payload_type[:80]!r} is not {payload_type}")
    by_id = {key.keyid: key for key in keys}
    message = pae(envelope.payload_type, envelope.payload)
    named = [(by_id[s.keyid], s) for s in envelope.signatures if s.keyid in by_id]
    if not named:
        raise UnknownKeyError(f"no enrolled key among {[s.keyid[:16] for s in envelope.signatures]}")
    for key, signature in named:
        if not key.made(signature.value, message):
            raise SignatureError(f"the signature of key {key.keyid} does not fit its payload")
    missing = set(suites if suites is not None else (key.suite for key in keys)) - {key.suite for key, _ in named}
    if missing:
        raise SignatureError(f"no enrolled key of {' and '.join(sorted(missing))} signed")
    return named[0][0]


def _signed(signer: Signer, message: bytes) -> JsonObject:
    return {"keyid": keyid(signer.public_key(), signer.suite()), "sig": _encode(signer.sign(message))}


def _signature(value: object) -> Signature:
    if not isinstance(value, dict) or not isinstance(value.get("keyid"), str):
        raise UnparsableError("a signature needs keyid and sig")
    return Signature(value["keyid"], _decode(value.get("sig")))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: object) -> bytes:
    """Strict RFC 4648 §4 base64: padding required, no foreign characters, no second spelling of the same bytes."""
    if not isinstance(text, str):
        raise UnparsableError("a base64 field is missing")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise UnparsableError(f"not base64: {error}") from error
    if _encode(data) != text:
        raise UnparsableError("base64 with unused bits set")
    return data

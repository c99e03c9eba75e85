"""Whether keys may be let in or taken out, given those there are. Pure: values in, the entry to be written out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from custody.authority import APPROVER, APPROVERS, STATION
from custody.canonical import JsonObject, JsonValue
from custody.enrolment import Enrolment
from custody.identifiers import person_key
from custody.keyring import ENROLLED
from custody.signer import VerifyKey
from ingestd.enrolment.standing import keys_of
from ingestd.errors import EnrolmentError
from ingestd.index.rows import Row
from ingestd.model import is_one_line

Issue = Callable[[], Mapping[str, str]]
MAX_NAME_CHARS: Final = 100
MAX_REASON_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Approval:
    """What two people let in."""

    enrolment: Enrolment
    approvers: Sequence[str]
    fingerprint: str
    """As it was read aloud."""
    request_sha256: str
    """Of the request's payload."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What two people take out. ``log`` is an origin or the name of a station."""

    log: str
    keyid: str
    invalid_from_ms: int
    reason: str
    approvers: Sequence[str]
    code: str = ""
    """Reason code of a revocation list (RFC 5280 §5.3.1)."""


def actors_of(approvers: Sequence[str]) -> list[JsonValue]:
    """Two or more different people as ``actors``. Raises ``EnrolmentError``."""
    names = [name.strip() for name in approvers]
    if any(not name or len(name) > MAX_NAME_CHARS or not name.isprintable() for name in names):
        raise EnrolmentError(f"--by: the name or number of a person is needed, at most {MAX_NAME_CHARS} characters")
    if len({*map(person_key, names)}) < APPROVERS:
        raise EnrolmentError("--by: two different people are needed 须由两名不同人员批准")
    return [{"role": APPROVER, "id": name} for name in dict.fromkeys(names)]


def approval_of(
    asked: Approval, known: Sequence[Row], ours: Collection[VerifyKey], issue: Issue
) -> tuple[str, JsonObject]:
    """Event and body of the entry that lets keys in. Raises ``EnrolmentError``.

    ``ours`` are the centre's own keys, which are nobody else's. ``issue`` is asked for certificates, PEM by name
    (``custody``, ``mqtt``, ``ca``), only once nothing stands against it.
    """
    enrolment = asked.enrolment
    actors = actors_of(asked.approvers)
    if {*enrolment.keys.keys} & {*ours}:
        raise EnrolmentError(f"{enrolment.log}: this is the centre's own key, not a station's")
    _check_new(enrolment, known)
    body: dict[str, JsonValue] = {
        "key": enrolment.keys.block(),
        "actors": actors,
        "attest": [dict(words) for words in enrolment.attest],
        "request_sha256": asked.request_sha256,
        "fingerprint": asked.fingerprint,
        "certificates": dict(issue()),
    }
    told: JsonObject = {"id": enrolment.station, "log": enrolment.log, "profile": enrolment.profile.value}
    if enrolment.replaces is None:
        return STATION, {"station": told, **body}
    return ENROLLED, {"station": told, **body, "replaces": enrolment.replaces.block()}


def revocation_of(asked: Revocation, known: Sequence[Row]) -> tuple[Row, JsonObject]:
    """The row of the key and the body of the entry that takes it out. Raises ``EnrolmentError``."""
    if not asked.reason.strip() or len(asked.reason) > MAX_REASON_CHARS or not is_one_line(asked.reason):
        raise EnrolmentError(f"--reason: why, in at most {MAX_REASON_CHARS} characters on one line")
    actors = actors_of(asked.approvers)
    mine = [row for row in known if asked.log in (row["log"], row["station"])]
    if not mine:
        raise EnrolmentError(f"{asked.log}: no such log or station is enrolled; `ingestd keys list` names them")
    row = next((row for row in mine if row["keyid"] == asked.keyid), None)
    if row is None:
        raise EnrolmentError(f"{asked.log} has no key {asked.keyid}; it has {', '.join(r['keyid'] for r in mine)}")
    if row["revoked_ms"] is not None and row["revoked_ms"] <= asked.invalid_from_ms:
        raise EnrolmentError(f"key {asked.keyid} is revoked already, and from an earlier time; nothing was changed")
    body: JsonObject = {
        "key": {"vkey": row["vkey"], "keyid": row["keyid"]},
        "revocation": {"invalid_from_ms": asked.invalid_from_ms, "code": asked.code},
        "reason": asked.reason,
        "actors": actors,
    }
    return row, body


def _check_new(enrolment: Enrolment, known: Sequence[Row]) -> None:
    """New keys are nobody's; a first one is of a log nobody has, a later one replaces the one that signs now."""
    new = {*enrolment.keys.keys}
    for row in known:
        if new & {*keys_of(row).keys}:
            raise EnrolmentError(f"key {row['keyid']} is enrolled already, for {row['log']} 该密钥已登记")
    mine = [row for row in known if row["log"] == enrolment.log]
    if enrolment.replaces is None:
        if mine:
            raise EnrolmentError(
                f"{enrolment.log} is enrolled with key {mine[0]['keyid']}: a later key comes by `station-agent rotate`,"
                " and a station whose key is lost is enrolled under a new name"
            )
        return
    if not mine:
        raise EnrolmentError(f"{enrolment.log} is not enrolled, so there is no key to replace: `station-agent enrol`")
    signing = max((row for row in mine if row["from_seq"] is not None), key=lambda row: int(row["from_seq"]))
    if signing["vkey"] != enrolment.replaces.note.vkey():
        raise EnrolmentError(
            f"{enrolment.log} is signed by key {signing['keyid']}, not by {enrolment.replaces.keyid}:"
            " make a new request"
        )
    if signing["revoked_ms"] is not None:
        raise EnrolmentError(
            f"key {signing['keyid']} of {enrolment.log} is revoked and can hand over to none: enrol a new name"
        )
    if signing["profile"] and signing["profile"] != enrolment.profile.value:
        raise EnrolmentError(f"{enrolment.log} is of profile {signing['profile']} for life")

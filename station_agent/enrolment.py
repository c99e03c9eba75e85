"""How this station's keys come to be trusted, and how a new key takes over from the old one.

``enrol``: keys are made here, a request is written, and its fingerprint is read aloud at the centre; the answer, an
entry of the centre's log, brings the certificates. ``rotate``: the next keys and their request; once the centre
answered, the old keys sign that the new ones follow (``take_over``).

The answer is kept in a file until all of it is done. Each step can be done again, and the log says which were: the
entry by the old keys, the next key's move into its place, the certificates, the end of the file. A crash between any
two of them is made good at the next start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from custody.authority import STATION
from custody.enrolment import Enrolment, fingerprint, read_request, request
from custody.envelope import open_envelope, verify
from custody.errors import CustodyError, EvidenceError
from custody.keyring import ENROLLED, KeyHistory, LogKeys, keys_in
from custody.log import Log, LogFiles, entry_of
from custody.profile import SUITES
from custody.record import Record
from custody.signer import Signer, verify_key
from keystore import KeyPlaces, KeystoreError, OwnKeys, open_signer
from keystore.certificates import (
    CLIENT_USAGE,
    CUSTODY_USAGE,
    check_client,
    check_custody,
    ends,
    is_about,
    load_certificate,
    read_certificate,
    request_for,
    require_client,
    require_custody,
)
from keystore.pem import new_pem
from keystore.succession import write_new
from station_agent.audit import NoLog
from station_agent.config import Config
from station_agent.durable import fsync_dir, make_dirs, replace_file
from station_agent.errors import ConfigError, KeyFileError
from station_agent.logfiles import ENTRIES, AuditedLogFiles
from station_agent.seal import Seal

REQUEST: Final = "request.json"
ACCEPTED: Final = "accepted.json"
_TLS_SUITE: Final = "ecdsa-p256-sha256"
"""What every TLS library knows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for its answer."""

    data: bytes
    fingerprint: str
    keys: LogKeys


def key_places(config: Config) -> KeyPlaces:
    """Where the keys of the log live, those of now and the next."""
    keys = config.keys
    spots = [(keys.custody, keys.custody_next), *([(keys.sm2, keys.sm2_next)] if keys.sm2 else [])]
    return KeyPlaces([present for present, _ in spots], [following for _, following in spots])


def centre_keys(config: Config) -> tuple[LogKeys, ...]:
    """The keys of the centre's log that this station was told of. Raises ``ConfigError``."""
    centre, second = config.keys.centre, config.keys.centre_sm3
    if second and len(second) != len(centre):
        raise ConfigError("keys.centre_sm3: as many vkeys as in keys.centre are needed, in the same order")
    pairs = zip(centre, second, strict=True) if second else ((one,) for one in centre)
    try:
        return tuple(keys_in(dict(zip(("vkey", "vkey_sm3"), pair, strict=False))) for pair in pairs)
    except CustodyError as error:
        raise ConfigError(f"keys.centre: {error}") from error


def succession_of(config: Config) -> tuple[LogKeys, ...]:
    """The keys that this station's log began with, then those that may succeed. Raises ``KeyFileError``."""
    places = key_places(config)
    try:
        files: LogFiles = AuditedLogFiles(config.log) if (config.log / ENTRIES).is_file() else NoLog()
        own = OwnKeys(files, config.origin, places.signers(), lambda keys: places.signers_of(keys.keys))
        return own.succession()
    except KeystoreError as error:
        raise KeyFileError(str(error)) from error


def history_of(config: Config) -> KeyHistory:
    """Whose keys signed the log as it lies there, read beside whoever writes it."""
    first, *later = succession_of(config)
    if not (config.log / ENTRIES).is_file():
        return KeyHistory.begin(first, later)
    return Log(AuditedLogFiles(config.log), config.origin, first.keys, later).history


def enrol(config: Config, now_ms: int) -> Asked:
    """Make the keys that are not there yet, and ask that they be let in. Raises ``KeyFileError``.

    Nothing is overwritten; asked again, the same request is given again.
    """
    try:
        signers = key_places(config).make(SUITES[config.station.profile])
        return _ask(config, signers, None, now_ms)
    except KeystoreError as error:
        raise KeyFileError(str(error)) from error


def rotate(config: Config, now_ms: int) -> Asked:
    """Make the next keys and ask that they may succeed those of now. Raises ``KeyFileError``."""
    places, history = key_places(config), history_of(config)
    try:
        places.settle(history.current.keys)
        used = {key for _, keys in history.spans for key in keys.keys}
        signers = places.make_next(SUITES[config.station.profile], used)
        return _ask(config, signers, history.current, now_ms)
    except KeystoreError as error:
        raise KeyFileError(str(error)) from error


def accept(config: Config, data: bytes) -> LogKeys:
    """Take the centre's answer in, durably, after it was found to fit keys that are held here.

    ``take_over`` does what it says. Raises ``KeyFileError`` or ``ConfigError`` with one sentence.
    """
    record = _answer(config, data)
    keys = keys_in(record.block("key"))
    if not key_places(config).signers_of(keys.keys):
        raise KeyFileError(f"the answer lets in key {keys.keyid}, which is not held here 答复中的密钥不在本站")
    history = history_of(config)
    current, followed = history.current, {past for _, past in history.spans[:-1]}
    if keys in followed:
        raise KeyFileError(f"the answer is an old one: key {keys.keyid} was followed by {current.keyid} 答复已过时")
    if record.event == ENROLLED and keys != current:
        replaced = keys_in(_block(record, "replaces"))
        if replaced != current:
            raise KeyFileError(
                f"the answer lets {keys.keyid} follow {replaced.keyid}; the log is signed by {current.keyid}"
            )
    _check_newest(config, record)
    _check_certificates(config, record, keys)
    make_dirs(config.enrolment)
    replace_file(config.enrolment / ACCEPTED, data)
    return keys


def take_over(config: Config, seal: Seal) -> bool:
    """Do what an accepted answer lets us do; whether there was one. Raises ``KeyFileError``."""
    path = config.enrolment / ACCEPTED
    if not path.is_file():
        return False
    record = _answer(config, path.read_bytes())
    keys, places = keys_in(record.block("key")), key_places(config)
    if seal.history.current != keys:
        signers = places.signers_of(keys.keys)
        if not signers:
            raise KeyFileError(f"{path}: key {keys.keyid} is let in, but is not held here")
        seal.hand_over(signers, {"approval": {"log": record.log, "seq": record.seq}})
    places.settle(keys.keys)
    _finish(config, record, path)
    return True


def described(config: Config, history: KeyHistory) -> list[dict[str, Any]]:
    """Every key of the log and the one of the connection, with its end, for ``status`` and ``doctor``."""
    found: list[dict[str, Any]] = []
    for place, (start, keys) in enumerate(history.spans):
        after = history.spans[place + 1][0] if place + 1 < len(history.spans) else None
        told = {"keyid": keys.keyid, "from_seq": start, "until_seq": after}
        found.append({"use": "custody", **told, "certificate": _until(config.custody_cert) if after is None else None})
    found.append({"use": "mqtt", "keyid": None, "certificate": _until(config.mqtt_cert)})
    return found


def check_places(config: Config, history: KeyHistory) -> str:
    """Whether each certificate is one for its place; raises ``KeyFileError``. Returns what there is, for people."""
    told = []
    try:
        if config.custody_cert.is_file():
            told.append(f"custody certificate until {ends(check_custody(config.custody_cert, history.current.keys))}")
        if config.mqtt_cert.is_file():
            told.append(f"MQTT certificate until {ends(check_client(config.mqtt_cert))}")
    except KeystoreError as error:
        raise KeyFileError(str(error)) from error
    return ", ".join(told) or "no certificates"


def _ask(config: Config, signers: Sequence[Signer], replaces: LogKeys | None, now_ms: int) -> Asked:
    keys = LogKeys.of(config.origin, [verify_key(signer) for signer in signers])
    tls = _tls_signer(config)
    if tls.public_key() in {signer.public_key() for signer in signers}:
        raise KeyFileError(f"{config.mqtt_key}: the key of the connection must be another one than the custody key")
    path = config.enrolment / REQUEST
    asked = _standing(path)
    if asked is None or (asked.keys, read_request(asked.data).replaces) != (keys, replaces):
        enrolment = Enrolment(
            keys=keys,
            profile=config.station.profile,
            attest=tuple(dict(signer.attest()) for signer in signers),
            made_ms=now_ms,
            custody_csr=request_for(config.station.id, signers[0], CUSTODY_USAGE),
            mqtt_csr=request_for(config.station.id, tls, CLIENT_USAGE),
            replaces=replaces,
        )
        make_dirs(config.enrolment)
        replace_file(path, request(enrolment, signers))
        asked = _standing(path)
    if asked is None:
        raise KeyFileError(f"{path}: cannot be read back")
    return asked


def _standing(path: Path) -> Asked | None:
    try:
        data = path.read_bytes()
        return Asked(data, fingerprint(data), read_request(data).keys)
    except (OSError, EvidenceError):
        return None


def _tls_signer(config: Config) -> Signer:
    path = config.mqtt_key
    try:
        if not path.exists():
            write_new(path, new_pem(_TLS_SUITE))
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be created: {error.strerror}") from error
    return open_signer(path)


def _answer(config: Config, data: bytes) -> Record:
    """The entry of the centre's log in an answer. Raises ``KeyFileError`` or ``ConfigError``."""
    centres = centre_keys(config)
    if not centres:
        raise ConfigError("keys.centre: the centre's vkey is needed to check its answer; `ingestd init` prints it")
    try:
        verify(open_envelope(data), [key for keys in centres for key in keys.keys])
        record = entry_of(data).record
        keys = keys_in(record.block("key"))
    except EvidenceError as error:
        raise KeyFileError(f"this is no answer of the centre ({error.finding}): {error}") from error
    if record.log != centres[0].origin or record.event not in {STATION, ENROLLED} or keys.origin != config.origin:
        raise KeyFileError(f"this entry of {record.log} lets in no key of {config.origin}")
    return record


def _check_newest(config: Config, record: Record) -> None:
    """An answer that waits to be done is not lost to an older one. Raises ``KeyFileError``."""
    path = config.enrolment / ACCEPTED
    waiting = _answer(config, path.read_bytes()).seq if path.is_file() else -1
    if waiting > record.seq:
        raise KeyFileError(f"an older answer (entry {record.seq}) than the one taken in (entry {waiting}) 答复已过时")


def _check_certificates(config: Config, record: Record, keys: LogKeys) -> None:
    """They must fit the keys that are held here. Raises ``KeyFileError``."""
    issued = _block(record, "certificates")
    try:
        if custody := str(issued.get("custody", "")):
            certificate = load_certificate(custody.encode(), "custody certificate")
            require_custody(certificate, "custody certificate")
            if not is_about(certificate, keys.note.key):
                raise KeyFileError("the custody certificate is about another key than the one that signs the log")
        if mqtt := str(issued.get("mqtt", "")):
            certificate = load_certificate(mqtt.encode(), "MQTT certificate")
            require_client(certificate, "MQTT certificate")
            if not is_about(certificate, verify_key(_tls_signer(config))):
                raise KeyFileError(f"the MQTT certificate is about another key than {config.mqtt_key}")
    except KeystoreError as error:
        raise KeyFileError(str(error)) from error


def _finish(config: Config, record: Record, path: Path) -> None:
    """The certificates go to their places; one of a key that was replaced has no place any more."""
    if not _block(record, "certificates").get("custody") and record.event == ENROLLED:
        config.custody_cert.unlink(missing_ok=True)
    for name, place in (("custody", config.custody_cert), ("mqtt", config.mqtt_cert)):
        if pem := str(_block(record, "certificates").get(name, "")):
            make_dirs(place.parent)
            replace_file(place, pem.encode())
    (config.enrolment / REQUEST).unlink(missing_ok=True)
    path.unlink()
    fsync_dir(path.parent)


def _block(record: Record, name: str) -> Mapping[str, Any]:
    value = record.payload.get(name)
    return value if isinstance(value, Mapping) else {}


def _until(path: Path) -> str | None:
    try:
        return ends(read_certificate(path)).isoformat() if path.is_file() else None
    except KeystoreError as error:
        return str(error)

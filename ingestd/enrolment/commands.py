"""``ingestd keys``: what two people decide about keys, at the centre."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from custody.enrolment import MAX_CSR_CHARS, Enrolment, fingerprint, read_request, same_fingerprint
from custody.envelope import MAX_ENTRY_BYTES, open_envelope
from custody.errors import CustodyError
from custody.profile import SUITES
from custody.signer import ED25519, verify_key
from ingestd import premises, service
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.enrolment.ca import REASONS, Ca, certificates_of, check_requests
from ingestd.enrolment.decide import Approval, Revocation, actors_of
from ingestd.errors import ConfigError, EnrolmentError
from ingestd.index.rows import Row
from ingestd.logfiles import replace_file
from keystore import KeystoreError, open_signer
from keystore.certificates import ends
from keystore.opening import place_of
from keystore.pem import new_pem
from keystore.succession import write_new

keys_app = typer.Typer(no_args_is_help=True, help="Keys of stations and of the centre (密钥).")
ca_app = typer.Typer(no_args_is_help=True, help="The agency's certification authority (证书颁发).")
keys_app.add_typer(ca_app, name="ca")

ByOption = Annotated[list[str] | None, typer.Option("--by", help="Who approves; give it twice, for two people.")]
CaKeyOption = Annotated[str, typer.Option("--ca-key", help="Place of the CA's key, if not the configured one.")]
ACCEPTED: Final = ".accepted.json"
"""What follows a request's name in the name of its answer."""


@keys_app.command("approve")
def approve(  # noqa: PLR0913  # options of one command
    request: Path,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    by: ByOption = None,
    spoken: Annotated[str, typer.Option("--fingerprint", help="As the station's screen shows it.")] = "",
    ca_key: CaKeyOption = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where the answer goes.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Let a station's keys in, after two people compared the fingerprint; writes the answer for the station."""
    loaded = load_config(config, data_dir)
    data = _read(request)
    try:
        enrolment, digits = read_request(data), fingerprint(data)
    except CustodyError as error:
        raise EnrolmentError(f"{request}: {error}") from error
    actors_of(by or [])
    check_requests(enrolment)
    _compare(digits, spoken, enrolment.log)
    centre = service.build(loaded)
    try:
        digest = hashlib.sha256(open_envelope(data).payload).hexdigest()
        asked = Approval(enrolment, by or [], digits, digest)
        answer = centre.pipeline.approve(asked, lambda: _certificates(loaded, enrolment, ca_key))
        centre.pipeline.checkpoint()
    finally:
        centre.engine.dispose()
    path = out or request.with_name(f"{request.name.removesuffix('.json')}{ACCEPTED}")
    replace_file(path.absolute(), answer)
    facts = {"log": enrolment.log, "keyid": enrolment.keys.keyid, "fingerprint": digits, "answer": str(path)}
    show(facts, as_json, lambda: [f"approved 已批准: {enrolment.log} {enrolment.keys.keyid}: {path}"])


@keys_app.command("revoke")
def revoke(  # noqa: PLR0913  # options of one command
    log: Annotated[str, typer.Argument(help="Station or log.")],
    key: Annotated[str, typer.Option("--key", help="Key id, as `ingestd keys list` shows it.")],
    since: Annotated[str, typer.Option("--from", help="From when on it is not trusted: a time, or now.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is entered in the log.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    by: ByOption = None,
    code: Annotated[str, typer.Option("--code", help=f"For the CRL: {', '.join(REASONS)}.")] = "keyCompromise",
    ca_key: CaKeyOption = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Trust a key no longer from a time on; what came before counts as it did, what came since needs review."""
    loaded = load_config(config, data_dir)
    if code not in REASONS:
        raise EnrolmentError(f"--code: one of {', '.join(REASONS)} is needed")
    since_ms = moment_ms(since, loaded)
    centre = service.build(loaded)
    try:
        centre.pipeline.revoke(Revocation(log, key, since_ms, reason, by or [], code))
        centre.pipeline.checkpoint()
        rows = centre.pipeline.log_keys()
    finally:
        centre.engine.dispose()
    told = _write_crl(loaded, rows, ca_key)
    facts = {"log": log, "keyid": key, "invalid_from_ms": since_ms, "crl": told}
    show(facts, as_json, lambda: [f"revoked 已吊销: {log} {key}", f"CRL: {told or 'no certificate was issued for it'}"])


@keys_app.command("rotate")
def rotate(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Hand the centre's own log over to a new key; the old one signs that it follows, and is destroyed if a file."""
    loaded = load_config(config, data_dir)
    actors_of(by or [])
    places, centre = premises.key_places(loaded), service.build(loaded)
    try:
        history = centre.pipeline.history()
        places.settle(history.current.keys)
        used = {key for _, keys in history.spans for key in keys.keys}
        signers = places.make_next(SUITES[loaded.centre.profile], used)
        if signers[0].suite() == ED25519 and signers[0].public_key() == premises.witness_of(loaded).public_key():
            raise ConfigError("keys.custody_next: must be another key than keys.witness")
        centre.pipeline.hand_over(signers, by or [])
        keys = [verify_key(signer) for signer in signers]
        centre.pipeline.checkpoint()
    except KeystoreError as error:
        raise ConfigError(str(error)) from error
    finally:
        centre.engine.dispose()
    places.settle(keys)
    vkeys = [key.vkey() for key in premises.centre_keys(loaded)[-1].note_keys]
    facts = {"log": loaded.origin, "keyid": keys[0].keyid, "vkeys": vkeys}
    show(facts, as_json, lambda: [f"{loaded.origin} goes over to 已更换为 {keys[0].keyid}", *vkeys])


@keys_app.command("list")
def list_keys(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """Every key of every log: whose, from when until when, revoked, certified until, and who approved it."""
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        rows = described(centre.pipeline.log_keys())
    finally:
        centre.engine.dispose()
    columns = ("log", "keyid", "profile", "from_seq", "until_seq", "revoked", "certified_until", "approvers")
    lines = ["\t".join(_cell(row, column, loaded) for column in columns) for row in rows]
    show({"keys": rows, "count": len(rows)}, as_json, lambda: ["\t".join(columns), *lines])


def _cell(row: Mapping[str, Any], column: str, config: Config) -> str:
    """What people read in a list of keys."""
    if column == "revoked":
        at_ms = row["revoked_ms"]
        return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, config.zone).isoformat()
    if column == "approvers":
        return ", ".join(row["approvers"])
    return "" if row[column] is None else str(row[column])


@ca_app.command("init")
def init_ca(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    ca_key: CaKeyOption = "",
    name: Annotated[str, typer.Option("--name", help="Name in the certificate.")] = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make the CA's key, if it is to be a file that is not there, and its certificate; nothing is overwritten."""
    loaded = load_config(config, data_dir)
    place = place_of(ca_key, Path()) if ca_key else loaded.ca_key
    if loaded.ca_cert.exists():
        raise EnrolmentError(f"{loaded.ca_cert}: there is a CA already; nothing was changed")
    try:
        if isinstance(place, Path) and not place.exists():
            write_new(place, new_pem(ED25519))
        made = Ca.create(open_signer(place), name or f"{loaded.centre.authority} CA", _now())
        write_new(loaded.ca_cert, made.pem().encode(), 0o644)
    except (KeystoreError, OSError) as error:
        raise EnrolmentError(f"the CA cannot be made: {error}") from error
    replace_file(loaded.crl, made.crl([], _now()))
    facts = {"certificate": str(loaded.ca_cert), "crl": str(loaded.crl)}
    show(facts, as_json, lambda: [f"CA: {loaded.ca_cert}", f"CRL: {loaded.crl}"])


@ca_app.command("crl")
def renew_crl(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    ca_key: CaKeyOption = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Write the revocation list anew, for instance because the last one runs out."""
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        rows = centre.pipeline.log_keys()
    finally:
        centre.engine.dispose()
    replace_file(loaded.crl, _ca(loaded, ca_key).crl(rows, _now()))
    show({"crl": str(loaded.crl)}, as_json, lambda: [f"CRL: {loaded.crl}"])


def described(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for people and machines: each key with its end, which is where its successor begins."""
    starts = {(row["log"], row["replaces"]): row for row in rows if row["from_seq"] is not None and row["replaces"]}
    found = []
    for row in rows:
        after: Mapping[str, Any] = starts.get((row["log"], row["keyid"]), {})
        until = [ends(one) for one in certificates_of(row)]
        found.append(
            {
                **{name: value for name, value in row.items() if name != "certificates"},
                "until_seq": after.get("from_seq"),
                "until_ms": after.get("from_ms"),
                "certified_until": min(until).isoformat() if until else None,
                "approvers": json.loads(row["approvers"]),
                "revoked_by": json.loads(row["revoked_by"]),
            }
        )
    return found


def moment_ms(text: str, config: Config) -> int:
    """A time as people write it, in the agency's zone if it names none; ``now`` is now. Raises ``EnrolmentError``."""
    if text == "now":
        return premises.SystemClock().now_ms()
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=config.zone)
        at_ms = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        at_ms = -1
    if at_ms < 0:
        raise EnrolmentError(f"--from {text!r}: a time such as 2026-11-25T09:00, or now, is needed")
    return at_ms


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_ENTRY_BYTES + MAX_CSR_CHARS)
    except OSError as error:
        raise EnrolmentError(f"{path}: cannot be read: {error.strerror}") from error


def _compare(digits: str, spoken: str, log: str) -> None:
    """Two people read the same; it is not shown here, to be typed again unread. Raises ``EnrolmentError``."""
    if not spoken:
        question = f"{log}: type the fingerprint that the station's screen shows 请输入采集站屏幕上显示的指纹"
        try:
            spoken = str(typer.prompt(question, err=True))
        except typer.Abort as error:
            raise EnrolmentError("the fingerprint is needed, typed or with --fingerprint 需要指纹，未批准") from error
    if not same_fingerprint(digits, spoken):
        raise EnrolmentError("the fingerprint is another one: this is not the station's request 指纹不一致，未批准")


def _certificates(config: Config, enrolment: Enrolment, ca_key: str) -> Mapping[str, str]:
    """What the CA issues; nothing where the agency has none."""
    if not config.ca_cert.exists() and not ca_key:
        return {}
    return _ca(config, ca_key).issue(enrolment, _now())


def _write_crl(config: Config, rows: Sequence[Row], ca_key: str) -> str:
    """The list anew where there is anything to list; without the CA's key it is said that it must be done."""
    if not any(row["revoked_ms"] is not None and json.loads(row["certificates"]) for row in rows):
        return ""
    try:
        replace_file(config.crl, _ca(config, ca_key).crl(rows, _now()))
    except EnrolmentError as error:
        return f"not renewed, do it with `ingestd keys ca crl`: {error}"
    return str(config.crl)


def _ca(config: Config, ca_key: str) -> Ca:
    try:
        return Ca.open(open_signer(place_of(ca_key, Path()) if ca_key else config.ca_key), config.ca_cert)
    except KeystoreError as error:
        raise EnrolmentError(f"the CA: {error}; `ingestd keys ca init` makes one") from error


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)

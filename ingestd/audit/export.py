"""Takes evidence out of the house: a signed bundle that anybody can check without us.

The order is the promise. Nothing is copied before the log says who takes what, and why:

1. choose clips, read the stations' logs up to their signed checkpoints, find what was signed about each clip;
2. record ``access.exported`` in the centre's log, with the digest of the manifest, which the signed entries settle;
3. stream originals from the store and hash what is written; a difference ends the export;
4. read the centre's log up to a checkpoint that covers step 2; write entries, proofs, checkpoints, anchors, keys,
   policy, certificates, verifiers; sign;
5. verify the finished bundle with ``verify_bundle``, which shares no code with this writer, and with the policy of the
   configuration, not of the bundle. Only then does the folder get its name.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as resources
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from custody.canonical import JsonObject, JsonValue, canonical_bytes
from custody.chain import Entry
from custody.checkpoint import COSIGNATURE, NoteKey, SignedCheckpoint, cosign, parse_note
from custody.errors import EvidenceError
from custody.identifiers import first_origin, second_origin
from custody.index import split_lines
from custody.keyring import KeyHistory, LogKeys
from custody.log import CHECKPOINT, LogFiles, entry_of
from custody.merkle import leaf_hash
from custody.signer import ED25519, Signer, VerifyKey, verify_key
from custody.verdicts import Finding, Verdict
from ingestd.audit import export_mhl, export_pages, export_proofs, export_sign, verify_bundle
from ingestd.audit.export_bag import MANIFEST, TAG_MANIFEST, Bag, manifest
from ingestd.audit.export_proofs import Tree
from ingestd.audit.export_select import CentreChoice, StationChoice
from ingestd.errors import ExportError, NotAsRecordedError, ObjectMissingError
from ingestd.logfiles import fsync_dir
from ingestd.verify import Station

EVENT: Final = "access.exported"
OBJECTS_PER_ENTRY: Final = 500
"""An entry has at most 65,535 bytes; this many ids fit with room to spare."""
_UNDIGESTED: Final = ("custody/", "proofs/", "checkpoints/", "anchors/", "keys/")
_BESIDE: Final = (
    *_UNDIGESTED, "bagit.txt", "bag-info.txt", "*.json", "*.html", "*.txt", "*.txt.*", "*.sh", "*.py", "SM3SUMS",
)  # fmt: skip
"""What an ASC MHL list of a bundle leaves out: everything but ``data/``."""


class Store(Protocol):
    """What an export asks of the evidence store."""

    def pieces(self, name: str) -> Iterator[bytes]:
        """The object's bytes; raises ``ObjectMissingError`` or ``StoreError``."""
        ...


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamping authority outside: its name, and its certificates in PEM."""

    name: str
    ca: Path
    certificate: Path


@dataclass(frozen=True, slots=True)
class House:
    """Where evidence comes from and who vouches for it."""

    centre: NoteKey
    signer: Signer
    """The centre's custody key; Ed25519."""
    cosigner: str
    witness: Signer
    stations: Sequence[Station]
    files: Callable[[str], LogFiles]
    """Files of a log by the name of who writes it; the centre's is ``centre``."""
    store: Store
    record: Callable[[JsonObject], None]
    """Appends an ``access.exported`` entry and signs the log as it is."""
    anchors: Path
    seconds: Sequence[NoteKey] = ()
    """SM2 keys with which logs in profile ``gm`` began, which sign their entries too."""
    centre_later: Sequence[LogKeys] = ()
    """Keys that followed in the centre's log."""
    certificates: Mapping[str, bytes] = field(default_factory=dict)
    """Certificates of keys and the list of those revoked, by their names in the bundle."""

    @property
    def note_keys(self) -> list[NoteKey]:
        """What a policy names: the keys that logs began with, and those that followed in the centre's log.

        Later keys of stations follow by entries of the bundle itself.
        """
        later = [key for keys in self.centre_later for key in keys.note_keys]
        return [self.centre, *(station.note_key for station in self.stations), *self.seconds, *later]

    witnesses: Sequence[NoteKey] = ()
    authorities: Sequence[Authority] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """Who takes what, and why."""

    export_id: str
    objects: Sequence[str]
    case: str
    reason: str
    operator: str
    host: str
    version: str
    now_ms: int
    zone: str
    mhl: bool = False
    proxies: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished bundle and what the independent path says of it."""

    folder: Path
    export_id: str
    manifest_sha256: str
    report: verify_bundle.Report


@dataclass(frozen=True, slots=True)
class Covered:
    """A log as far as its checkpoint: the tree, the note with our cosignature, and the entries that were chosen."""

    origin: str
    note: bytes
    tree: Tree
    entries: Sequence[Entry]
    history: KeyHistory
    """Whose keys signed which of its entries."""


def policy_text(house: House) -> str:
    """The policy an auditor should hold: our logs, our cosigner, outside witnesses (C2SP tlog-policy).

    Give it to the auditor on another way than the bundle: paper, a court file, an earlier visit.
    """
    cosigner = NoteKey(house.cosigner, VerifyKey(house.witness.public_key()), COSIGNATURE)
    lines = [f"log {key.vkey()}" for key in house.note_keys]
    lines.append(f"witness centre {cosigner.vkey()}")
    lines += [f"witness outside-{number} {key.vkey()}" for number, key in enumerate(house.witnesses, 1)]
    return "\n".join([*lines, "quorum centre", ""])


def export(order: Order, house: House, out: Path) -> Exported:
    """Make the bundle ``out``, a folder that is not there yet.

    Raises ``ExportError`` (exit 2) when it cannot be made, ``NotAsRecordedError`` (exit 1) when what the store returns
    or the finished bundle is not as recorded, ``StoreError`` when the store does not answer. Then ``out`` does not
    exist; an attempt that was verified and found wanting lies beside it as ``<out>.refused``.
    """
    check(order, house, out)
    choices, logs = read_stations(house, order)
    expected = _expected(order, choices)
    digest = hashlib.sha256(manifest({f"data/{name}": sha256 for name, (_, sha256) in expected.items()})).hexdigest()
    for body in _bodies(order, digest):
        house.record(body)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        bag = Bag(Path(folder) / "bundle")
        bag.folder.mkdir()
        _copy(bag, house.store, expected, c4=order.mhl)
        centre = read_centre(house, order, logs)
        _write_tags(bag, order, house, [centre, *logs], choices, digest)
        _sign(bag, order, house)
        report = checked(house, lambda policy, roots: verify_bundle.verify(bag.folder, policy, roots))
        name(bag, out, report)
    return Exported(out, order.export_id, digest, report)


def check(order: Order, house: House, out: Path) -> None:
    """Raises ``ExportError`` when this cannot be made here."""
    if not order.objects:
        raise ExportError("nothing chosen: there is no such clip 未选中任何片段")
    if out.exists() or not out.parent.is_dir() or not out.name:
        raise ExportError(f"{out}: a folder that is not there yet, in one that is, is needed")
    if house.signer.suite() != ED25519:
        raise ExportError("a bundle is signed with Ed25519; the centre's key is of another suite")


# Logs


def read_stations(house: House, order: Order) -> tuple[list[StationChoice], list[Covered]]:
    """What stations signed about the clips, from every log that tells of one."""
    choices, logs = [], []
    for station in house.stations:
        choice = StationChoice(frozenset(order.objects))
        keys = KeyHistory.begin(station.first, station.successors)
        covered = _read(house, house.files(station.station), keys, choice.see, choice.numbers, order)
        if covered is not None and covered.entries:
            choices.append(choice)
            logs.append(covered)
    return choices, logs


def read_centre(house: House, order: Order, logs: Sequence[Covered]) -> Covered:
    leaves = {log.origin: frozenset(entry.seq for entry in log.entries) for log in logs}
    choice = CentreChoice(frozenset(order.objects), leaves)
    second = next((key for key in house.seconds if key.name == second_origin(house.centre.name)), None)
    keys = KeyHistory.begin(LogKeys(house.centre, second), house.centre_later)
    covered = _read(house, house.files("centre"), keys, choice.see, choice.chosen, order)
    if covered is None:
        raise ExportError(f"{house.centre.name} has no signed checkpoint yet")
    return covered


def _read(  # noqa: PLR0913  # one reading of one log
    house: House,
    files: LogFiles,
    keys: KeyHistory,
    see: Callable[[Entry], None],
    chosen: Callable[[], set[int]],
    order: Order,
) -> Covered | None:
    """Read a log as far as its checkpoint, which must lead to its root; None while it has none."""
    note = files.get(CHECKPOINT)
    if note is None:
        return None
    try:
        signed = parse_note(note)
        signed.verify([one.note for one in keys.candidates()])
        leaves = []
        for data in _lines(files, signed.checkpoint.size):
            entry = entry_of(data)
            see(entry)
            leaves.append(leaf_hash(data))
            keys = keys.after(entry.record)
        tree = Tree(leaves)
        if len(tree.leaves) != signed.checkpoint.size or tree.root() != signed.checkpoint.root:
            raise NotAsRecordedError(f"{keys.origin}: the log is not the one its checkpoint speaks of")
        numbers = chosen()
        entries = [entry_of(data) for seq, data in enumerate(_lines(files, signed.checkpoint.size)) if seq in numbers]
    except EvidenceError as error:
        raise NotAsRecordedError(f"{keys.origin}: {error.finding}: {error}") from error
    return Covered(keys.origin, _cosigned(house, signed, order), tree, entries, keys)


def _cosigned(house: House, signed: SignedCheckpoint, order: Order) -> bytes:
    """The centre's cosignature says: at this time we had checked that the log leads to this root."""
    return cosign(signed, house.cosigner, house.witness, order.now_ms // 1000)


def _lines(files: LogFiles, size: int) -> Iterator[bytes]:
    """The first ``size`` entries; what follows may still be growing."""
    return islice(split_lines(files.read(0), []), size)


# What leaves


def _expected(order: Order, choices: Iterable[StationChoice]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file to copy, by store name, as signed."""
    choices = list(choices)
    copies = {key: entry for choice in choices for key, entry in choice.copies.items()}
    absent = sorted(set(order.objects) - set(copies))
    if absent:
        raise ExportError(f"no signed checkpoint covers {', '.join(absent[:3])} yet; the station's next one will")
    derived = [entry for choice in choices for entry in choice.derived.values()] if order.proxies else []
    return dict(_announced(entry) for entry in (*copies.values(), *derived))


def _announced(entry: Entry) -> tuple[str, tuple[int, str]]:
    stored: JsonObject = entry.record.block("object")
    digests = stored["digests"]
    sha256 = digests["sha256"] if isinstance(digests, Mapping) else ""
    return str(stored["name"]), (int(str(stored["size"])), str(sha256))


def _bodies(order: Order, digest: str) -> Iterator[JsonObject]:
    """One entry tells of as many objects as fit."""
    for first in range(0, len(order.objects), OBJECTS_PER_ENTRY):
        objects: list[JsonValue] = list(order.objects[first : first + OBJECTS_PER_ENTRY])
        block: JsonObject = {
            "id": order.export_id,
            "manifest_sha256": digest,
            "objects": objects,
            "case": order.case,
            "host": order.host,
        }
        yield {"export": block, "actors": [{"role": "auditor", "id": order.operator}], "reason": order.reason}


def _copy(bag: Bag, store: Store, expected: Mapping[str, tuple[int, str]], *, c4: bool) -> None:
    for name, (size, sha256) in sorted(expected.items()):
        try:
            written = bag.add_payload(name, store.pieces(name), c4=c4)
        except ObjectMissingError as error:
            raise NotAsRecordedError(f"missing: {error}") from error
        if (written.size, written.sha256) != (size, sha256):
            raise NotAsRecordedError(
                f"failed: {name}: signed {size} bytes, {sha256}; stored {written.size} bytes, {written.sha256}"
            )


# Everything beside the originals


def _write_tags(  # noqa: PLR0913  # what a bundle is made of
    bag: Bag, order: Order, house: House, logs: Sequence[Covered], choices: Sequence[StationChoice], digest: str
) -> None:
    for log in logs:
        write_log(bag, log)
    write_anchors(bag, house, logs[0])
    write_keys(bag, house, logs)
    facts = _facts(order, house, logs, choices, bag, digest)
    bag.add_tag(verify_bundle.EXPORT, canonical_bytes(facts) + b"\n")
    for name, page in export_pages.pages(facts, order.zone).items():
        bag.add_tag(name, page)
    for name, source in (("verify.sh", "templates/verify.sh"), ("verify_bundle.py", "verify_bundle.py")):
        bag.add_tag(name, (resources("ingestd.audit") / source).read_bytes())
    if order.mhl:
        listed = bag.listed()
        beside = sorted(_BESIDE)
        for name, data in export_mhl.history(order.host, order.version, order.now_ms, listed, beside).items():
            bag.add_tag(name, data)


def write_log(bag: Bag, log: Covered) -> None:
    bag.add_tag(f"checkpoints/{log.origin}", log.note)
    for entry in log.entries:
        name = f"{log.origin}/{entry.seq:09d}"
        bag.add_tag(f"custody/{name}.dsse.json", entry.data)
        proof = export_proofs.tlog_proof(entry.seq, log.tree.inclusion(entry.seq), log.note)
        bag.add_tag(f"proofs/{name}.tlog-proof", proof)


def write_anchors(bag: Bag, house: House, centre: Covered) -> None:
    """What others vouch for, each with the proof that our checkpoint continues it."""
    size = len(centre.tree.leaves)
    for folder in sorted(house.anchors.iterdir()) if house.anchors.is_dir() else []:
        if not folder.name.isdecimal() or not 0 < int(folder.name) <= size:
            continue
        found = [path for path in sorted(folder.iterdir()) if path.suffix in {".tsr", ".note"}]
        for path in (folder / CHECKPOINT, *found) if found else ():
            bag.add_tag(f"anchors/{folder.name}/{path.name}", path.read_bytes())
        if found:
            proof = centre.tree.consistency(int(folder.name)) if int(folder.name) < size else []
            bag.add_tag(f"anchors/{folder.name}/consistency", export_proofs.hash_lines(proof).encode())


def key_file(log: Covered, key: NoteKey) -> str:
    """Name of a key's file in ``keys/``: the log's own for the key that signs now, with the key's id for any other."""
    if key in log.history.current.note_keys:
        return key.name
    return f"{key.name}.{key.key.keyid.replace(':', '-')}"


def write_keys(bag: Bag, house: House, logs: Sequence[Covered]) -> None:
    cosigner = NoteKey(house.cosigner, VerifyKey(house.witness.public_key()), COSIGNATURE)
    read = {log.origin: log for log in logs}
    later = [key for log in logs for _, keys in log.history.spans for key in keys.note_keys]
    for key in dict.fromkeys([*house.note_keys, *later, cosigner, *house.witnesses]):
        log = read.get(first_origin(key.name))
        name = key_file(log, key) if log else key.name
        bag.add_tag(f"keys/{name}.vkey", f"{key.vkey()}\n".encode())
        if key.key.suite == ED25519:
            bag.add_tag(f"keys/{name}.pem", export_sign.pem(key.key.raw))
    for path, data in house.certificates.items():
        bag.add_tag(path, data)
    for authority in house.authorities:
        bag.add_tag(f"keys/tsa/{authority.name}.ca.pem", authority.ca.read_bytes())
        bag.add_tag(f"keys/tsa/{authority.name}.crt", authority.certificate.read_bytes())
    signers = export_sign.allowed_signers(house.centre.name, house.signer.public_key())
    bag.add_tag("keys/allowed_signers", signers.encode())
    bag.add_tag(verify_bundle.POLICY, policy_text(house).encode())


def _facts(  # noqa: PLR0913  # what the certificate tells
    order: Order, house: House, logs: Sequence[Covered], choices: Sequence[StationChoice], bag: Bag, digest: str
) -> JsonObject:
    receipts = {
        str(entry.record.block("object")["id"]): entry.seq
        for entry in logs[0].entries
        if entry.record.event == "central.verified"
    }
    clips: list[JsonValue] = [
        _clip_facts(entry, choice.media.get(key), bag, receipts.get(key))
        for choice in choices
        for key, entry in sorted(choice.copies.items())
    ]
    told: dict[str, JsonValue] = {
        "type": "bwc.bundle/v1",
        "id": order.export_id,
        "centre": house.centre.name,
        "key": NoteKey(house.centre.name, verify_key(house.signer)).vkey(),
        "case": order.case,
        "reason": order.reason,
        "operator": order.operator,
        "host": order.host,
        "tool": f"ingestd {order.version}",
        "made_ms": order.now_ms,
        "manifest_sha256": digest,
        "clips": clips,
        "files": len(bag.payload),
        "bytes": sum(one.size for one in bag.payload.values()),
        "logs": [{"origin": log.origin, "size": len(log.tree.leaves), "entries": len(log.entries)} for log in logs],
    }
    return told


def _clip_facts(entry: Entry, described: Entry | None, bag: Bag, receipt: int | None) -> JsonObject:
    record = entry.record
    stored, source, copy = record.block("object"), record.block("source"), record.block("copy")
    camera = record.block("camera")
    written = bag.payload[f"data/{stored['name']}"]
    media = described.record.block("media") if described else {}
    return {
        "object": str(stored["id"]),
        "file": f"data/{stored['name']}",
        "size": written.size,
        "sha256": written.sha256,
        "sm3": written.sm3,
        "station": record.log,
        "seq": record.seq,
        "recorder": str(camera.get("serial", "")),
        "officer_as_stated": str(camera.get("officer_as_stated", "")),
        "path": str(source["path"]),
        "copied_ms": record.utc_ms,
        "reread": str(copy["reread"]),
        "start": media.get("start"),
        "duration_ms": media.get("duration_ms"),
        "receipt_seq": receipt,
    }


# Signing and checking


def _sign(bag: Bag, order: Order, house: House) -> None:
    facts = {
        "Source-Organization": house.centre.name,
        "External-Identifier": order.export_id,
        "Bagging-Date": export_pages.day(order.now_ms),
        "Bag-Software-Agent": f"ingestd {order.version}",
    }
    sign_tags(bag, house, bag.close(facts))


def sign_tags(bag: Bag, house: House, tag_manifest: bytes) -> None:
    """Sign the list of the files, in the two forms that other people's tools read."""
    bag.add_loose(verify_bundle.RAW_SIGNATURE, house.signer.sign(tag_manifest))
    bag.add_loose(verify_bundle.SSH_SIGNATURE, export_sign.sshsig(house.signer, tag_manifest))


def checked(house: House, verify: Callable[[Path, Path | None], verify_bundle.Report]) -> verify_bundle.Report:
    """What the independent path says with our policy and authorities, not with those that leave the house."""
    with TemporaryDirectory(prefix="ingestd-policy-") as outside:
        policy, roots = Path(outside, "policy.txt"), Path(outside, "roots.pem")
        policy.write_text(policy_text(house))
        roots.write_bytes(b"\n".join(authority.ca.read_bytes() for authority in house.authorities))
        return verify(policy, roots if house.authorities else None)


def name(bag: Bag, out: Path, report: verify_bundle.Report) -> None:
    """Give the finished folder its name, durably; one that was found wanting gets another.

    Raises ``NotAsRecordedError`` or ``ExportError`` then.
    """
    bag.sync()
    if report.exit_code and not _for_review(report):
        bag.folder.rename(out.with_name(f"{out.name}.refused"))
        worst = "; ".join(f"{one['finding']} {one['where']}: {one['reason']}" for one in report.findings[:3])
        kind = NotAsRecordedError if report.exit_code == 1 else ExportError
        raise kind(f"{out}: what was made does not verify, kept as {out.name}.refused: {worst}")
    bag.folder.rename(out)
    fsync_dir(out.parent)


def _for_review(report: verify_bundle.Report) -> bool:
    """Whether all that was found are keys that were revoked later: such evidence leaves the house, and says so."""
    found = {one["finding"] for one in report.findings} | {one["verdict"] for one in report.objects}
    return found <= {Finding.KEY_REVIEW, Verdict.VERIFIED}


__all__ = ["EVENT", "MANIFEST", "TAG_MANIFEST", "Exported", "House", "Order", "export", "policy_text"]

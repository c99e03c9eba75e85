"""Checks an evidence bundle (离线证据包) without our programs, network or database.

    python3 verify_bundle.py DIR --policy policy.txt [--tsa-ca ca.pem] [--json]
    python3 verify_bundle.py DIR --proof [--file FILE] --policy policy.txt ...       the proof of one file, without it

Needs Python 3.9 or later and the ``openssl`` command (1.1.1 or later; 3 for SM3), nothing else. Read it from top to
bottom: the steps stand in ``verify`` in the order in which trust is built.

0. the policy: the keys you trust, from a file that did NOT come with the bundle (``--trust-bag`` says aloud that you
   took it from the bundle itself, which proves only that the bundle agrees with itself);
1. the signatures of the tag manifest, and every file against the manifests;
2. the checkpoints: signed by their log and by a quorum of witnesses; time-stamp tokens, where there are any;
3. each entry's inclusion proof; 4. its signature, by the key of that time: a log's first key is the policy's, and a
   later one follows by an entry that the old one signed and that two people approved in the centre's log;
5. its place: log, number, predecessor, form; the centre's record of each station entry, and whether a key was revoked
   when the centre first saw it;
6. each file's digest against its signed entry; 7. derived files against their originals; 8. the verdict.

Exit code: 0 something was checked and all of it is right; 1 something is not as recorded; 2 could not check. 1 wins
over 2; nothing checked is never 0. The words of verdicts and findings are those of the format's §9.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

VERDICTS = ("verified", "failed", "missing", "unrecorded", "unreadable", "unchecked")
COULD_NOT_CHECK = frozenset({"unreadable", "unchecked", "unparsable", "nothing-checked"})

TAG_MANIFEST = "tagmanifest-sha256.txt"
RAW_SIGNATURE = "tagmanifest-sha256.txt.ed25519"
SSH_SIGNATURE = "tagmanifest-sha256.txt.sshsig"
PAYLOAD_MANIFEST = "manifest-sha256.txt"
SM3_MANIFEST = "SM3SUMS"
POLICY = "policy.txt"
EXPORT = "export.json"
PROOF = "proof.json"
UNSIGNED = frozenset({TAG_MANIFEST, RAW_SIGNATURE, SSH_SIGNATURE})
"""Files that the tag manifest does not list; each of them is checked by itself."""

BAG_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
RECORD_TYPE = "bwc.custody/v1"
ENROLLED, REVOKED = "key.enrolled", "key.revoked"
PAYLOAD_TYPE = "application/vnd.bwc.custody.v1+json"
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
SSH_NAMESPACE = "bwc-bundle"
LOG_KEY, WITNESS_KEY, OTHER_KEY = 0x01, 0x04, 0xFF
MAX_ENTRY = 65_535
MAX_NOTE = 65_536
MAX_SIGNATURES = 8
MAX_INTEGER = 2**53 - 1
ED25519, SM2, P256 = "ed25519", "sm2-sm3", "ecdsa-p256-sha256"
SPKI = {
    ED25519: bytes.fromhex("302a300506032b6570032100"),
    SM2: bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200"),
    P256: bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
}
"""What stands in DER before the raw public key: 32 bytes of Ed25519 (RFC 8410), 65 bytes of a point."""
SECOND = ".sm3"
"""What follows a log's origin in the name of its SM2 key (profile gm)."""
KEYID_PREFIX = {ED25519: "", SM2: "sm2:", P256: "p256:"}
PIECE = 1 << 20

HEX64 = re.compile(r"[0-9a-f]{64}")
DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")
MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
SM3_LINE = re.compile(r"SM3 \((\S.*)\) = ([0-9a-f]{64})")


class Fault(Exception):  # noqa: N818  # reads as what it is
    """Something is wrong: one of the words of §9, and why."""

    def __init__(self, word: str, why: str) -> None:
        super().__init__(why)
        self.word = word


class Key(NamedTuple):
    """A named key of the policy."""

    name: str
    kind: int
    raw: bytes
    suite: str = ED25519

    def hash(self) -> bytes:
        """The hint by which notes name the key (C2SP signed-note)."""
        suite = self.suite.encode() if self.kind == OTHER_KEY else b""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + suite + self.raw).digest()[:4]

    def keyid(self) -> str:
        """The hint by which envelopes name the key."""
        return KEYID_PREFIX[self.suite] + hashlib.sha256(self.raw).hexdigest()[:16]


Keys = tuple[Key, ...]
"""The keys that must all sign an entry of one log: one, in profile gm the SM2 one besides."""


class Succession(NamedTuple):
    """From which entry on which keys sign a log, ascending (§12)."""

    spans: list[tuple[int, Keys]]

    def at(self, seq: int) -> Keys:
        """Whose signatures entry ``seq`` needs."""
        return [keys for start, keys in self.spans if start <= max(seq, 0)][-1]

    def of_checkpoint(self, size: int) -> Keys:
        """Who may sign the checkpoint of ``size``: the keys of its last entry, or those of the next."""
        return self.at(size - 1) + self.at(size)


class Policy(NamedTuple):
    """Whom the auditor trusts (C2SP tlog-policy)."""

    logs: dict[str, list[Key]]
    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, list[str]]]
    quorum: str

    def satisfied(self, signed: set[str]) -> bool:
        """Whether the witnesses that signed are enough."""
        return self.quorum == "none" or self._holds(self.quorum, signed)

    def _holds(self, name: str, signed: set[str]) -> bool:
        if name in self.witnesses:
            return name in signed
        least, members = self.groups[name]
        return sum(self._holds(member, signed) for member in members) >= least

    def centre(self) -> str:
        """Origin of the centre's log: the one whose last part is ``centre``."""
        found = [origin for origin in self.logs if origin.rpartition("/")[2] == "centre"]
        if len(found) != 1:
            raise Fault("unchecked", "the policy must name exactly one log that ends in /centre")
        return found[0]


class Checkpoint(NamedTuple):
    """What a log claims of itself, and by whom it is signed."""

    origin: str
    size: int
    root: bytes
    body: bytes
    lines: list[tuple[str, bytes]]


class Entry(NamedTuple):
    """One signed record at its place in its log."""

    where: str
    record: dict[str, Any]
    leaf: bytes
    checkpoint: str

    @property
    def log(self) -> str:
        """Origin of its log."""
        return str(self.record["log"])

    @property
    def seq(self) -> int:
        """Its number there."""
        return int(self.record["seq"])

    @property
    def event(self) -> str:
        """What it tells."""
        return str(self.record["event"])

    @property
    def utc_ms(self) -> int:
        """When its writer says that it was written."""
        return int(self.record["time"]["utc_ms"])


class Report:
    """What was found; nothing is raised past ``verify``."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.findings: list[dict[str, str]] = []
        self.remarks: list[str] = []
        self.logs: dict[str, dict[str, Any]] = {}
        self.entries = 0
        self.files = 0
        self.successions: dict[str, Succession] = {}
        self.without_file = False
        """Whether a proof was checked without the file that it is about: then entries alone are enough."""

    def find(self, word: str, where: str, why: str) -> None:
        """Note one thing that is not right."""
        self.findings.append({"finding": word, "where": where, "reason": why})

    def judge(self, verdict: str, name: str, why: str = "", **more: Any) -> None:
        """Note what is known of one original or derived file."""
        self.objects.append({"verdict": verdict, "name": name, "reason": why, **more})

    @property
    def exit_code(self) -> int:
        """0, 1 or 2 as the head of this file says."""
        seen = {one["verdict"] for one in self.objects}
        bad = (seen - {"verified"}) | {one["finding"] for one in self.findings}
        if bad - COULD_NOT_CHECK:
            return 1
        return 2 if bad or not (seen or self.without_file) or not self.entries else 0

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        count = {word: sum(one["verdict"] == word for one in self.objects) for word in VERDICTS}
        return {
            "ok": self.exit_code == 0,
            "outcome": self.exit_code,
            **count,
            "entries": self.entries,
            "files": self.files,
            "logs": [{"origin": origin, **facts} for origin, facts in sorted(self.logs.items())],
            "objects": self.objects,
            "findings": self.findings,
            "remarks": self.remarks,
        }


def verify(folder: Path, policy: Path | None, tsa_ca: Path | None = None) -> Report:
    """Check the bundle in ``folder``. Without ``policy`` the bundle's own is taken, and the report says so."""
    report = Report()
    trusted = _trusted(report, folder, policy)
    if trusted is None:
        return report
    centre = trusted.centre()
    digests = _manifests(report, folder, trusted.logs[centre])
    entries = _entries(report, folder, trusted)
    _places(report, entries, centre)
    _anchors(report, folder, entries, trusted, tsa_ca)
    _export_entry(report, folder, entries, centre)
    _objects(report, entries, digests, centre)
    if not report.objects:
        report.find("nothing-checked", str(folder), "no original was checked")
    return report


def verify_proof(folder: Path, policy: Path | None, tsa_ca: Path | None = None, file: Path | None = None) -> Report:
    """Check the proof in ``folder`` (made by ``ingestd audit prove``), and ``file`` against it, where there is one.

    Without the file it says that these entries were signed and stand in their logs, and nothing of any file.
    """
    report = Report()
    trusted = _trusted(report, folder, policy)
    if trusted is None:
        return report
    centre = trusted.centre()
    digests = _digests(report, folder)
    report.files = len(digests.sha256)
    try:
        _check_signatures(report, folder, trusted.logs[centre])
        _compare(
            report,
            _listing(folder, TAG_MANIFEST, MANIFEST_LINE, (2, 1)),
            digests.sha256,
            set(digests.sha256) - UNSIGNED,
        )
    except Fault as fault:
        report.find(fault.word, "manifests", str(fault))
    entries = _entries(report, folder, trusted)
    _places(report, entries, centre)
    _anchors(report, folder, entries, trusted, tsa_ca)
    _proven(report, folder, entries, file, centre)
    return report


def _trusted(report: Report, folder: Path, policy: Path | None) -> Policy | None:
    """Step 0; None after it was noted why there is no policy."""
    try:
        _probe_openssl()
        trusted = read_policy(_read(policy or folder / POLICY))
        trusted.centre()
    except Fault as fault:
        report.find(fault.word, "policy", str(fault))
        return None
    if policy is None:
        report.remarks.append(
            "the policy was taken from the bundle itself (--trust-bag): whoever made the bundle chose the keys"
            " 策略取自证据包本身，未经独立核对"
        )
    return trusted


# ---------------------------------------------------------------------------------------------------------------------
# 0. The policy


def read_policy(data: bytes) -> Policy:
    """Read a C2SP tlog-policy file: ``log``, ``witness``, ``group`` and ``quorum`` lines."""
    policy = Policy({}, {}, {}, "")
    quorum = ""
    for number, line in enumerate(_text(data, "policy").split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            quorum = _policy_line(policy, words) or quorum
        except (ValueError, IndexError, KeyError) as error:
            raise Fault("unparsable", f"policy, line {number}: {error}") from error
    if not policy.logs or not quorum:
        raise Fault("unchecked", "a policy needs at least one log line and a quorum line")
    return policy._replace(quorum=quorum)


def _policy_line(policy: Policy, words: list[str]) -> str:
    """Take one line; returns the quorum if it names it."""
    if words[0] == "log":
        key = read_vkey(words[1], (LOG_KEY, OTHER_KEY))
        policy.logs.setdefault(key.name, []).append(key)
    elif words[0] == "witness":
        policy.witnesses[_new_name(policy, words[1])] = read_vkey(words[2], (WITNESS_KEY,))
    elif words[0] == "group":
        members = words[3:]
        least = {"any": 1, "all": len(members)}.get(words[2]) or int(words[2])
        if not 0 < least <= len(members) or any(m not in policy.witnesses and m not in policy.groups for m in members):
            raise ValueError("a group names witnesses or groups above it, and not more than it has")
        policy.groups[_new_name(policy, words[1])] = (least, members)
    elif words[0] == "quorum":
        if words[1] != "none" and words[1] not in policy.witnesses and words[1] not in policy.groups:
            raise ValueError("the quorum names a witness or a group above it, or none")
        return words[1]
    else:
        raise ValueError(f"{words[0]!r} is no policy word")
    return ""


def _new_name(policy: Policy, name: str) -> str:
    if name in policy.witnesses or name in policy.groups or name == "none":
        raise ValueError(f"{name} is named twice")
    return name


def read_vkey(text: str, kinds: tuple[int, ...]) -> Key:
    """Read ``name+hash+base64(type ‖ key)`` and check its hash; other suites than Ed25519 have type ff and a name."""
    name, hint, blob = text.split("+", 2)
    data = _base64(blob)
    suite = ED25519 if data[0] != OTHER_KEY else next((s for s in (SM2, P256) if data[1:].startswith(s.encode())), "")
    key = Key(name, data[0], data[1 + len(suite) :] if data[0] == OTHER_KEY else data[1:], suite)
    if key.kind not in kinds or not suite or len(key.raw) != (32 if suite == ED25519 else 65):
        raise ValueError(f"the key of {name} is of another kind")
    if key.hash().hex() != hint:
        raise ValueError(f"the key of {name} is not as its hash says")
    return key


# ---------------------------------------------------------------------------------------------------------------------
# 1. Manifests and their signatures


class Digests(NamedTuple):
    """SHA-256 and size of each file of the bundle, by its path in it; SM3 of the payload where it could be computed."""

    sha256: dict[str, str]
    size: dict[str, int]
    sm3: dict[str, str]


def _manifests(report: Report, folder: Path, keys: list[Key]) -> Digests:
    digests = _digests(report, folder)
    report.files = len(digests.sha256)
    try:
        _check_signatures(report, folder, keys)
        tags = _listing(folder, TAG_MANIFEST, MANIFEST_LINE, (2, 1))
        payload = _listing(folder, PAYLOAD_MANIFEST, MANIFEST_LINE, (2, 1))
        found = set(digests.sha256)
        _compare(report, tags, digests.sha256, {one for one in found - UNSIGNED if not one.startswith("data/")})
        _compare(report, payload, digests.sha256, {one for one in found if one.startswith("data/")})
        if "bagit.txt" not in tags or _read(folder / "bagit.txt") != BAG_DECLARATION:
            report.find("unparsable", "bagit.txt", "not the declaration of a BagIt 1.0 bag")
        if SM3_MANIFEST in tags:
            _check_sm3(report, folder, set(payload), digests)
    except Fault as fault:
        report.find(fault.word, "manifests", str(fault))
    return digests


def _digests(report: Report, folder: Path) -> Digests:
    """Read every file once."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    digests = Digests({}, {}, {})
    with ThreadPoolExecutor() as pool:
        for path, result in zip(paths, pool.map(_digest, paths)):  # noqa: B905  # Python 3.9 has no strict
            name = path.relative_to(folder).as_posix()
            if isinstance(result, str):
                report.find("unreadable", name, result)
            else:
                digests.size[name], digests.sha256[name] = result
    return digests


def _digest(path: Path, algorithm: str = "sha256") -> tuple[int, str] | str:
    """Size and digest of a file, or why it has none."""
    if path.is_symlink() or not path.is_file():
        return "neither a file nor a folder"
    hasher, size = hashlib.new(algorithm), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                hasher.update(piece)
                size += len(piece)
    except OSError as error:
        return str(error)
    return size, hasher.hexdigest()


def _listing(folder: Path, name: str, form: re.Pattern[str], places: tuple[int, int]) -> dict[str, str]:
    """Digest by path; one line that does not fit spoils the whole list."""
    text = _text(_read(folder / name), name)
    if not text.endswith("\n"):
        raise Fault("unparsable", f"{name}: empty, or its last line is cut")
    listing: dict[str, str] = {}
    for number, line in enumerate(text[:-1].split("\n"), 1):
        match = form.fullmatch(line)
        path = match[places[0]].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") if match else ""
        if not match or path in listing or path.startswith("/") or ".." in path.split("/"):
            raise Fault("unparsable", f"{name}, line {number}: not a digest and a path of this bundle, or repeated")
        listing[path] = match[places[1]]
    return listing


def _compare(report: Report, listed: dict[str, str], found: dict[str, str], present: set[str]) -> None:
    for path in sorted(listed):
        if path not in present:
            report.find("missing", path, "listed, but not in the bundle")
        elif found[path] != listed[path]:
            report.find("failed", path, f"listed {listed[path]}, found {found[path]}")
    for path in sorted(present - set(listed)):
        report.find("unrecorded", path, "in the bundle, but not listed")


def _check_sm3(report: Report, folder: Path, payload: set[str], digests: Digests) -> None:
    listed = _listing(folder, SM3_MANIFEST, SM3_LINE, (1, 2))
    if set(listed) != payload:
        report.find("unparsable", SM3_MANIFEST, "it does not list the same files as the manifest")
    if "sm3" not in hashlib.algorithms_available:
        report.remarks.append("SM3 digests were not checked: this Python's OpenSSL has no SM3")
        return
    for path in sorted(set(listed) & payload):
        result = _digest(folder / path, "sm3")
        if isinstance(result, str):
            continue
        digests.sm3[path] = result[1]
        if result[1] != listed[path]:
            report.find("failed", path, f"SM3 listed {listed[path]}, found {result[1]}")


def _check_signatures(report: Report, folder: Path, keys: list[Key]) -> None:
    keys = [key for key in keys if key.suite == ED25519]
    manifest = _read(folder / TAG_MANIFEST)
    for name in (RAW_SIGNATURE, SSH_SIGNATURE):
        if not (folder / name).exists():
            raise Fault("missing", f"{name}: a bundle has one")
    raw, armoured = _read(folder / RAW_SIGNATURE), _read(folder / SSH_SIGNATURE)
    key = next((key for key in keys if made(key, raw, manifest)), None)
    if key is None:
        report.find("sig-bad", RAW_SIGNATURE, "the centre's key did not sign the tag manifest")
    if not any(_is_sshsig(key, armoured, manifest) for key in keys):
        report.find("sig-bad", SSH_SIGNATURE, "the centre's key did not sign the tag manifest")


def _is_sshsig(key: Key, armoured: bytes, message: bytes) -> bool:
    """Whether ``armoured`` is the one spelling of an SSH signature (PROTOCOL.sshsig) of ``key`` over ``message``."""
    body = b"".join(armoured.split(b"\n")[1:-2])
    try:
        signature = base64.b64decode(body, validate=True)[-64:]
    except binascii.Error:
        return False
    fields = [SSH_NAMESPACE.encode(), b"", b"sha512"]
    public = _string(b"ssh-ed25519") + _string(key.raw)
    signed = b"SSHSIG" + b"".join(map(_string, [*fields, hashlib.sha512(message).digest()]))
    made_of = [public, *fields, _string(b"ssh-ed25519") + _string(signature)]
    blob = base64.b64encode(b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(map(_string, made_of)))
    lines = [blob[i : i + 70] for i in range(0, len(blob), 70)]
    expected = b"\n".join([b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""])
    return armoured == expected and made(key, signature, signed)


def _string(data: bytes) -> bytes:
    """A string as SSH writes it (RFC 4251 §5)."""
    return len(data).to_bytes(4, "big") + data


# ---------------------------------------------------------------------------------------------------------------------
# 2. Checkpoints, 3. inclusion, 4. signatures


def _entries(report: Report, folder: Path, policy: Policy) -> list[Entry]:
    """Every entry whose proof, checkpoint and signature hold; the centre's first, for they say whose keys count."""
    proofs = {
        path.with_suffix("").relative_to(folder / "proofs").as_posix(): path for path in _files(folder / "proofs")
    }
    jobs: dict[str, list[tuple[str, Path, Path | None]]] = {}
    for path in _files(folder / "custody"):
        name = path.relative_to(folder / "custody").as_posix()
        proof = proofs.pop(name.partition(".dsse.json")[0], None)
        jobs.setdefault(name.rpartition("/")[0], []).append((name, path, proof))
    for name in proofs:
        report.find("missing", f"proofs/{name}", "a proof without its entry")
    centre = policy.centre()
    good: list[Entry] = []
    for origin in sorted(jobs, key=lambda origin: (origin != centre, origin)):
        approved = _approved(good, centre, origin)
        report.successions[origin] = _succession(
            report, policy, origin, [path for _, path, _ in jobs[origin]], approved
        )
        good += _log_entries(report, folder, policy, jobs[origin], report.successions[origin])
    report.entries = len(good)
    return sorted(good, key=lambda entry: (entry.log, entry.seq))


def _log_entries(
    report: Report, folder: Path, policy: Policy, jobs: list[tuple[str, Path, Path | None]], keys: Succession
) -> list[Entry]:
    """The entries of one log."""
    found: list[Entry] = []
    notes: dict[str, Checkpoint | None] = {}
    for name, path, proof in jobs:
        if proof is None:
            report.find("missing", f"custody/{name}", "an entry without its proof")
            continue
        try:
            found.append(_entry(report, name, _read(path), _read(proof), policy, keys, notes))
        except Fault as fault:
            report.find(fault.word, f"custody/{name}", str(fault))
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(lambda entry: _signed_well(_read(folder / entry.where), keys.at(entry.seq)), found))
    good = []
    for entry, problem in zip(found, problems):  # noqa: B905  # Python 3.9 has no strict
        if problem:
            report.find(problem, entry.where, "not signed by the keys of its log at this place")
        else:
            good.append(entry)
    return good


def _approved(entries: list[Entry], centre: str, origin: str) -> dict[Keys, int]:
    """Keys that two people let succeed in a station's log, and by which entry of the centre's log."""
    found: dict[Keys, int] = {}
    for entry in sorted(entries, key=lambda one: one.seq):
        if entry.log == centre and entry.event == ENROLLED and origin != centre and len(_approvers(entry.record)) > 1:
            try:
                keys = _keys(entry.record)
            except Fault:
                continue
            if keys[0].name == origin:
                found.setdefault(keys, entry.seq)
    return found


def _approvers(record: dict[str, Any]) -> set[str]:
    """Different people by whose word a key is let in; spelling makes no second person."""
    actors = record.get("actors")
    people = [one for one in actors if isinstance(one, dict)] if isinstance(actors, list) else []
    names = [one["id"] for one in people if one.get("role") == "approver" and isinstance(one.get("id"), str)]
    return {"".join(unicodedata.normalize("NFKC", name).split()).casefold() for name in names} - {""}


def _keys(record: dict[str, Any]) -> Keys:
    """The keys that a record names."""
    block = record.get("key")
    first, second = (block.get("vkey"), block.get("vkey_sm3")) if isinstance(block, dict) else (None, None)
    texts = [first] if second is None else [first, second]
    try:
        return tuple(read_vkey(str(text), (LOG_KEY, OTHER_KEY)) for text in texts)
    except (ValueError, IndexError) as error:
        raise Fault("unparsable", f"key: {error}") from error


def _succession(
    report: Report, policy: Policy, origin: str, paths: list[Path], approved: dict[Keys, int]
) -> Succession:
    """The keys of a log: the policy's first, then those that its own entries hand over to."""
    firsts, seconds = policy.logs.get(origin, []), policy.logs.get(origin + SECOND, [])
    listed = [(key, *seconds[number : number + 1]) for number, key in enumerate(firsts)]
    spans = [(0, listed[0] if listed else ())]
    for path in sorted(paths):
        try:
            data = _read(path)
            record = _record(_payload(data))
            if record["event"] != ENROLLED or _keys(record)[0].name != origin:
                continue
            keys, current = _keys(record), spans[-1][1]
            why = ""
            if _signed_well(data, current):
                why = "the keys of that time did not sign it"
            elif keys not in approved and keys not in listed[1:]:
                why = "nobody approved the key that it hands over to"
            elif any(set(keys) & set(old) for _, old in spans):
                why = "the key that it hands over to has signed before"
            if why:
                report.find("key-unknown", f"custody/{origin}/{path.name}", why)
                break
            spans.append((record["seq"] + 1, keys))
        except Fault:
            continue  # noted when the entry itself is checked
    return Succession(spans)


def _entry(  # noqa: PLR0913  # what an entry is judged by
    report: Report,
    name: str,
    data: bytes,
    proof: bytes,
    policy: Policy,
    keys: Succession,
    notes: dict[str, Checkpoint | None],
) -> Entry:
    """Steps 2, 3 and the form of 5; its signature is checked afterwards, many at once."""
    record = _record(_payload(data))
    index, path, note = read_proof(proof)
    if note.split("\n", 1)[0] != record["log"]:
        raise Fault("log-forked", f"the record belongs to {record['log']}, the proof to another log")
    if note not in notes:
        notes[note] = _checkpoint(report, note, policy, keys)
    checkpoint = notes[note]
    if checkpoint is None:
        raise Fault("root-mismatch", "its checkpoint does not count")
    if record["seq"] != index or name != f"{record['log']}/{index:09d}.dsse.json":
        raise Fault("seq-gap", f"the record has number {record['seq']}, the proof {index}")
    leaf = hashlib.sha256(b"\x00" + data).digest()
    if root_of(leaf, index, checkpoint.size, path) != checkpoint.root:
        raise Fault("root-mismatch", "the inclusion proof does not lead to the root of the checkpoint")
    return Entry(f"custody/{name}", record, leaf, note)


def _checkpoint(report: Report, note: str, policy: Policy, keys: Succession) -> Checkpoint | None:
    """A checkpoint that its log and a quorum signed, or None after the finding was noted."""
    try:
        checkpoint = read_note(note)
        time_s = _judge_note(checkpoint, policy, keys.of_checkpoint(checkpoint.size))
    except Fault as fault:
        report.find(fault.word, note.split("\n", maxsplit=1)[0][:200], str(fault))
        return None
    known = report.logs.setdefault(checkpoint.origin, {"size": -1})
    if checkpoint.size > known["size"]:
        root = base64.b64encode(checkpoint.root).decode()
        known.update(size=checkpoint.size, root=root, cosigned=_moment(time_s))
    return checkpoint


def _judge_note(checkpoint: Checkpoint, policy: Policy, log_keys: Keys) -> int:
    """Latest cosignature time in seconds; raises unless the log signed, the quorum did, and no known key badly."""
    keys = [key for key in log_keys if key.name == checkpoint.origin]
    witnesses = {key: name for name, key in policy.witnesses.items()}
    signed: set[str] = set()
    by_log, latest = False, 0
    for name, blob in checkpoint.lines:
        for key in (*keys, *witnesses):
            if not _names(key, name, blob):
                continue
            message, signature, time_s = _signed_by(key, checkpoint.body, blob[4:])
            if not made(key, signature, message):
                raise Fault("sig-bad", f"the signature of {name} does not fit the checkpoint")
            by_log = by_log or key in keys
            signed |= {witnesses[key]} if key in witnesses else set()
            latest = max(latest, time_s)
    if not by_log:
        raise Fault("key-unknown", f"no key of that time signed the checkpoint of {checkpoint.origin}")
    if not policy.satisfied(signed):
        raise Fault("key-unknown", f"the quorum {policy.quorum!r} of the policy did not cosign {checkpoint.origin}")
    return latest


def _signed_by(key: Key, body: bytes, blob: bytes) -> tuple[bytes, bytes, int]:
    if key.kind != WITNESS_KEY:
        return body, blob, 0
    time_s = int.from_bytes(blob[:8], "big")
    return b"cosignature/v1\ntime %d\n" % time_s + body, blob[8:], time_s


def read_note(note: str) -> Checkpoint:
    """Read a signed checkpoint (C2SP tlog-checkpoint); signatures are not judged here."""
    body, gap, tail = note.rpartition("\n\n")
    parts = body.split("\n")
    if not gap or len(parts) != 3 or not DECIMAL.fullmatch(parts[1]) or int(parts[1]) > MAX_INTEGER:  # noqa: PLR2004
        raise Fault("unparsable", "a checkpoint is origin, size, root, an empty line and signatures")
    root = _base64(parts[2])
    lines = []
    for line in tail.split("\n")[:-1]:
        dash, name, blob = [*line.split(" "), "", ""][:3]
        data = _base64(blob)
        if dash != "\u2014" or not name or "+" in name or len(data) <= 4 or line.count(" ") != 2:  # noqa: PLR2004
            raise Fault("unparsable", f"not a signature line: {line[:60]!r}")
        lines.append((name, data))
    if not tail.endswith("\n") or not lines or len(root) != 32 or len(note) > MAX_NOTE:  # noqa: PLR2004
        raise Fault("unparsable", "a checkpoint has a root of 32 bytes and ends with signature lines")
    return Checkpoint(parts[0], int(parts[1]), root, f"{body}\n".encode(), lines)


def read_proof(data: bytes) -> tuple[int, list[bytes], str]:
    """Index, hashes and checkpoint of a C2SP tlog-proof."""
    head, gap, note = _text(data, "proof").partition("\n\n")
    lines = head.split("\n")
    if lines[0] != PROOF_HEADER or not gap:
        raise Fault("unparsable", f"a proof begins with {PROOF_HEADER}")
    rest = lines[2:] if lines[1:] and lines[1].startswith("extra ") else lines[1:]
    if not rest or not rest[0].startswith("index ") or not DECIMAL.fullmatch(rest[0][6:]):
        raise Fault("unparsable", "a proof names the index")
    return int(rest[0][6:]), [_base64(line) for line in rest[1:]], note


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162 §2.1.3.2); of the wrong length it leads nowhere."""
    if not 0 <= index < size or any(len(one) != 32 for one in path):  # noqa: PLR2004
        return b""
    node, last = leaf, size - 1
    for sibling in path:
        if last == 0:
            return b""
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    return node if last == 0 else b""


def _signed_well(data: bytes, enrolled: Keys) -> str:
    """Empty, or a finding: every signature that names one of these keys must fit, and each suite must have signed."""
    envelope = json.loads(data)
    payload = _base64(envelope["payload"])
    message = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    keys = {key.keyid(): key for key in enrolled}
    named = [(keys[one["keyid"]], _base64(one["sig"])) for one in envelope["signatures"] if one["keyid"] in keys]
    if not named:
        return "key-unknown"
    if {key.suite for key, _ in named} != {key.suite for key in keys.values()}:
        return "sig-bad"
    return "" if all(made(key, signature, message) for key, signature in named) else "sig-bad"


def _payload(data: bytes) -> bytes:
    """The payload of a DSSE envelope in canonical form."""
    envelope = _json(data)
    spelled = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    signatures = envelope.get("signatures")
    if spelled != data or len(data) > MAX_ENTRY or not isinstance(signatures, list):
        raise Fault("unparsable", "not an envelope in canonical form")
    if not 0 < len(signatures) <= MAX_SIGNATURES or envelope.get("payloadType") != PAYLOAD_TYPE:
        raise Fault("sig-bad", "nothing of ours was signed")
    for one in signatures:
        if not isinstance(one, dict) or not isinstance(one.get("keyid"), str) or not isinstance(one.get("sig"), str):
            raise Fault("unparsable", "a signature has keyid and sig")
        _base64(one["sig"])
    return _base64(envelope.get("payload"))


# ---------------------------------------------------------------------------------------------------------------------
# 5. Place and form


def _record(payload: bytes) -> dict[str, Any]:
    """The head of a record; of its blocks, those this program relies on are checked where they are used."""
    record = _json(payload)
    seq, prev = record.get("seq"), record.get("prev")
    holds = (
        record.get("type") == RECORD_TYPE
        and isinstance(record.get("event"), str)
        and isinstance(record.get("log"), str)
        and isinstance(seq, int)
        and seq >= 0
        and isinstance(prev, str)
        and (HEX64.fullmatch(prev) is not None if seq else prev == "")
        and isinstance(record.get("time"), dict)
        and isinstance(record["time"].get("utc_ms"), int)
    )
    if not holds:
        raise Fault("unparsable", "the head of the record is not as the format wants it")
    return record


def _places(report: Report, entries: list[Entry], centre: str) -> None:
    """Neighbours must follow from each other, and the centre must have mirrored every station entry."""
    leaves = {(entry.log, entry.seq): entry.leaf.hex() for entry in entries}
    for entry in entries:
        before = leaves.get((entry.log, entry.seq - 1))
        if before is not None and entry.record["prev"] != before:
            report.find("prev-break", entry.where, "it does not continue the entry before it")
    mirrored: dict[tuple[Any, int], tuple[Any, Entry]] = {}
    for entry in entries:
        if entry.log == centre and entry.event == "station.entries":
            block = entry.record.get("mirror", {})
            for number, leaf in enumerate(block.get("leaves", []), block.get("from", 0)):
                mirrored.setdefault((block.get("log"), number), (leaf, entry))
    for entry in entries:
        if entry.log != centre:
            leaf, by = mirrored.get((entry.log, entry.seq), (None, None))
            if leaf != entry.leaf.hex():
                report.find("mirror-mismatch", entry.where, "the centre's log does not name this entry")
            elif by is not None:
                _judge_key(report, entries, entry, by, centre)


def _judge_key(report: Report, entries: list[Entry], entry: Entry, seen: Entry, centre: str) -> None:
    """By when the centre first saw the entry: whether its key was revoked then, and its successor approved."""
    keys = report.successions[entry.log].at(entry.seq)
    for told in entries:
        if told.log == centre and told.event == REVOKED:
            since = told.record.get("revocation", {}).get("invalid_from_ms")
            if set(_keys(told.record)) & set(keys) and isinstance(since, int) and seen.utc_ms >= since:
                why = (
                    f"key {keys[0].keyid()} is revoked from {_moment(since // 1000)} on, and the centre saw this later"
                )
                report.find("key-review", entry.where, why)
                break
    following = [keys for start, keys in report.successions[entry.log].spans if start == entry.seq + 1]
    approved = _approved(entries, centre, entry.log)
    if following and following[0] in approved and approved[following[0]] > seen.seq:
        report.find("key-unknown", entry.where, "the key that it hands over to was approved only later")


def _export_entry(report: Report, folder: Path, entries: list[Entry], centre: str) -> None:
    """This very bundle must be recorded in the centre's log."""
    try:
        export = _json(_read(folder / EXPORT))
        digest = hashlib.sha256(_read(folder / PAYLOAD_MANIFEST)).hexdigest()
    except Fault as fault:
        report.find(fault.word, EXPORT, str(fault))
        return
    told = [e.record.get("export") for e in entries if e.log == centre and e.event == "access.exported"]
    ours = [one for one in told if isinstance(one, dict) and one.get("id") == export.get("id")]
    if not ours:
        report.find("unrecorded", EXPORT, f"the centre's log knows no export {export.get('id')!r}")
    elif any(one.get("manifest_sha256") != digest for one in ours):
        report.find("failed", PAYLOAD_MANIFEST, "it is not the manifest of which the centre's log tells")


# ---------------------------------------------------------------------------------------------------------------------
# Anchors: what others outside the agency vouch for, anchors/<size>/checkpoint beside tokens and cosigned notes


def _anchors(  # whose word over what
    report: Report, folder: Path, entries: list[Entry], policy: Policy, tsa_ca: Path | None
) -> None:
    """Each anchor is over a checkpoint of the centre's log that the bundle's own checkpoint continues."""
    centre, files = policy.centre(), _files(folder / "anchors")
    words = [path for path in files if path.suffix in {".tsr", ".note"}]
    if not words:
        report.remarks.append(
            "no anchor outside the agency: if station and centre keys were in one hand, a rewritten past would not show"
            " 无外部锚定：内部人员同时掌握站端与中心密钥时，篡改不可发现"
        )
        return
    newest = max((read_note(e.checkpoint) for e in entries if e.log == centre), key=lambda one: one.size, default=None)
    for path in words:
        try:
            anchored = _continued(path, newest)
            said = _token(path, folder, tsa_ca) if path.suffix == ".tsr" else _cosigned(path, anchored, policy)
            report.remarks.append(f"{path.name}: {anchored.origin} had {anchored.size} entries: {said}")
        except Fault as fault:
            report.find(fault.word, path.relative_to(folder).as_posix(), str(fault))


def _continued(path: Path, newest: Checkpoint | None) -> Checkpoint:
    """The anchored checkpoint, of which the bundle's is a continuation."""
    anchored = read_note(_text(_read(path.with_name("checkpoint")), "checkpoint"))
    lines_ = _text(_read(path.with_name("consistency")), "consistency").split("\n")[:-1]
    if newest is None or not continues(anchored, newest, [_base64(line) for line in lines_]):
        raise Fault("anchor-mismatch", "the centre's log does not continue the anchored checkpoint")
    return anchored


def _token(path: Path, folder: Path, tsa_ca: Path | None) -> str:
    """What an RFC 3161 token says of the checkpoint beside it."""
    if tsa_ca is None:
        return "its time stamp was not checked, for want of --tsa-ca 未核验时间戳"
    data = ("-in", path, "-data", path.with_name("checkpoint"))
    certificate = folder / "keys" / "tsa" / f"{path.stem}.crt"
    untrusted = ("-untrusted", certificate) if certificate.exists() else ()
    if _openssl("ts", "-verify", *data, "-CAfile", tsa_ca, *untrusted).returncode:
        raise Fault("anchor-mismatch", "the token is not over this checkpoint, or not by this authority")
    text = _openssl("ts", "-reply", "-in", path, "-text").stdout.decode("utf-8", "replace")
    found = re.search(r"Time stamp: (.*)", text)
    return f"stamped {found[1] if found else ''}"


def _cosigned(path: Path, anchored: Checkpoint, policy: Policy) -> str:
    """What a witness outside says of the checkpoint beside its note."""
    note = read_note(_text(_read(path), path.name))
    if note.body != anchored.body:
        raise Fault("anchor-mismatch", "the witness cosigned another checkpoint")
    known = [(key, blob) for name, blob in note.lines for key in policy.witnesses.values() if _names(key, name, blob)]
    if not known:
        return "by a witness that the policy does not know, not checked 策略未列此见证人"
    for key, blob in known:
        message, signature, time_s = _signed_by(key, note.body, blob[4:])
        if not made(key, signature, message):
            raise Fault("sig-bad", f"the cosignature of {key.name} does not fit")
    return f"seen by {', '.join(key.name for key, _ in known)} at {_moment(time_s)}"


def _names(key: Key, name: str, blob: bytes) -> bool:
    return key.name == name and key.hash() == blob[:4]


def continues(old: Checkpoint, new: Checkpoint, path: list[bytes]) -> bool:
    """Whether the tree of ``old`` is a prefix of that of ``new`` (RFC 9162 §2.1.4.2); from size 0 never."""
    if old.origin != new.origin or not 0 < old.size <= new.size or any(len(one) != 32 for one in path):  # noqa: PLR2004
        return False
    if old.size == new.size:
        return not path and old.root == new.root
    nodes = [old.root, *path] if old.size & (old.size - 1) == 0 else list(path)
    first, last = old.size - 1, new.size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    if not nodes:
        return False
    before = after = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            before = hashlib.sha256(b"\x01" + sibling + before).digest()
            after = hashlib.sha256(b"\x01" + sibling + after).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = hashlib.sha256(b"\x01" + after + sibling).digest()
        first, last = first >> 1, last >> 1
    return last == 0 and before == old.root and after == new.root


# ---------------------------------------------------------------------------------------------------------------------
# 6. Files against their signed entries, 7. derived files


def _objects(report: Report, entries: list[Entry], digests: Digests, centre: str) -> None:
    announced: dict[str, Entry] = {}
    for entry in entries:
        if entry.log != centre and entry.event in {"ingest.copied", "proxy.created"}:
            name = f"data/{_object(entry).get('name')}"
            same = announced.setdefault(name, entry)
            if _object(same) != _object(entry):
                report.find("log-forked", entry.where, f"{name} is announced twice, and differently")
    originals = {_object(entry).get("id"): entry for entry in announced.values() if entry.event == "ingest.copied"}
    for name, entry in sorted(announced.items()):
        if entry.event == "ingest.copied" or name in digests.sha256:
            verdict, why = _verdict(_object(entry), name, digests)
            report.judge(verdict, name, why, entry=entry.where, utc_ms=entry.record["time"]["utc_ms"])
        if entry.event == "proxy.created" and name in digests.sha256:
            _parents(report, entry, originals)
    for name in sorted(digests.sha256):
        if name.startswith("data/") and name not in announced:
            report.judge("unrecorded", name, "no signed entry announces it")
    _receipts(report, entries, originals, centre)


def _proven(report: Report, folder: Path, entries: list[Entry], file: Path | None, centre: str) -> None:
    """The entry that brought the clip is there, the receipt is of it, and the file, if there is one, is that clip."""
    try:
        clip = _json(_read(folder / PROOF)).get("object")
    except Fault as fault:
        report.find(fault.word, PROOF, str(fault))
        return
    brought = [e for e in entries if e.log != centre and e.event == "ingest.copied" and _object(e).get("id") == clip]
    if len(brought) != 1:
        report.find("nothing-checked", PROOF, f"{len(brought)} entries bring the clip {clip!r}, and not one")
        return
    _receipts(report, entries, {clip: brought[0]}, centre)
    stored = _object(brought[0])
    if file is None:
        report.without_file = True
        report.remarks.append(
            f"no file was compared: these entries prove what was recorded, SHA-256 {_told(stored, 'sha256')}"
            " 未比对文件：仅证明记录本身"
        )
        return
    result = _digest(file)
    if isinstance(result, str):
        report.judge("unreadable", str(file), result)
        return
    size, sha256 = result
    verdict, why = _verdict(stored, "", Digests({"": sha256}, {"": size}, {}))
    report.judge(verdict, str(file), why, entry=brought[0].where, utc_ms=brought[0].record["time"]["utc_ms"])


def _object(entry: Entry) -> dict[str, Any]:
    block = entry.record.get("object")
    return block if isinstance(block, dict) else {}


def _verdict(stored: dict[str, Any], name: str, digests: Digests) -> tuple[str, str]:
    if name not in digests.sha256:
        return "missing", "a signed entry announces it, the bundle does not hold it"
    signed = (stored.get("size"), _told(stored, "sha256"))
    found = (digests.size[name], digests.sha256[name])
    if signed != found:
        return "failed", f"signed: {signed[0]} bytes, {signed[1]}; found: {found[0]} bytes, {found[1]}"
    sm3 = _told(stored, "sm3")
    if sm3 is not None and digests.sm3.get(name, sm3) != sm3:
        return "failed", f"signed: SM3 {sm3}; found: {digests.sm3[name]}"
    return "verified", ""


def _told(stored: dict[str, Any], algorithm: str) -> Any:
    """A digest as an entry states it, or None."""
    digests = stored.get("digests")
    return digests.get(algorithm) if isinstance(digests, dict) else None


def _parents(report: Report, entry: Entry, originals: dict[Any, Entry]) -> None:
    """A derived file names its originals with their digests."""
    for parent in entry.record.get("parents", []):
        original = originals.get(parent.get("id"))
        digest = _told(_object(original), "sha256") if original else None
        if digest is None or parent.get("sha256") != digest:
            report.find("failed", entry.where, f"its original {parent.get('id')} is another one, or not in the bundle")


def _receipts(report: Report, entries: list[Entry], originals: dict[Any, Entry], centre: str) -> None:
    """What the centre read back from its own store must be what the station copied."""
    answered = set()
    for entry in entries:
        original = originals.get(_object(entry).get("id")) if entry.event == "central.verified" else None
        if original is None or entry.log != centre:
            continue
        answered.add(_object(entry).get("id"))
        place = {"log": original.log, "seq": original.seq, "leaf": original.leaf.hex()}
        said, copied = _object(entry), _object(original)
        same = all(said.get(field) == copied.get(field) for field in ("name", "size"))
        if entry.record.get("entry") != place or not same or _told(said, "sha256") != _told(copied, "sha256"):
            report.find("mirror-mismatch", entry.where, "the receipt is of another original")
    for object_id in sorted(set(map(str, originals)) - set(map(str, answered))):
        report.remarks.append(f"{object_id}: the centre has not yet confirmed that its store holds it")


# ---------------------------------------------------------------------------------------------------------------------
# Tools


def made(key: Key, signature: bytes, message: bytes) -> bool:
    """Whether ``key`` made ``signature`` over ``message``; asks the openssl command."""
    with tempfile.TemporaryDirectory(prefix="verify-bundle-") as folder:
        der, sig, text = Path(folder, "key"), Path(folder, "sig"), Path(folder, "text")
        der.write_bytes(SPKI[key.suite] + key.raw)
        sig.write_bytes(signature)
        text.write_bytes(message)
        how: tuple[Any, ...] = ("dgst", "-sha256", "-verify", der, "-keyform", "DER", "-signature", sig, text)
        if key.suite == ED25519:
            inputs = ("-inkey", der, "-rawin", "-in", text, "-sigfile", sig)
            how = ("pkeyutl", "-verify", "-pubin", "-keyform", "DER", *inputs)
        if key.suite == SM2:
            how = (*how[:1], "-sm3", *how[2:4], *how[4:6], "-sigopt", "distid:1234567812345678", *how[6:])
        return _openssl(*how).returncode == 0


def _openssl(*arguments: Any) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Fault("unchecked", f"the openssl command cannot be run: {error}") from error


def _probe_openssl() -> None:
    """It must accept the second test of RFC 8032 §7.1 and refuse it altered, or no answer of it counts."""
    key = Key("", LOG_KEY, bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00"
    )
    if not made(key, signature, b"\x72") or made(key, signature, b"\x73"):
        raise Fault("unchecked", "the openssl command does not verify Ed25519; version 3 is needed")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Fault("unreadable", f"{path}: {error.strerror}") from error


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("unparsable", f"{name}: not UTF-8") from error


def _base64(text: Any) -> bytes:
    """RFC 4648 §4 in the one spelling an encoder writes."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, AttributeError) as error:
        raise Fault("unparsable", "not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Fault("unparsable", "base64 with unused bits set")
    return data


def _json(data: bytes) -> dict[str, Any]:
    """A JSON object without duplicate keys, floats and booleans."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_pairs, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Fault("unparsable", f"not a record: {error}") from error
    if not isinstance(value, dict):
        raise Fault("unparsable", "not a JSON object")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or any(isinstance(value, bool) for value in found.values()):
        raise ValueError("a repeated key or a boolean")
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no integer")


def _moment(time_s: int) -> str:
    """Seconds since 1970 as UTC for people; empty for none."""
    try:
        return datetime.fromtimestamp(time_s, timezone.utc).isoformat() if time_s else ""  # noqa: UP017  # Python 3.9
    except (ValueError, OverflowError, OSError):
        return str(time_s)


# ---------------------------------------------------------------------------------------------------------------------
# Command line


def lines(report: Report) -> list[str]:
    """The report for people; nothing in it can move the terminal's cursor."""
    facts = report.as_json()
    text = [f"{facts[word]:>8} {word}" for word in VERDICTS]
    text += [f"{one['origin']}: {one['size']} entries, root {one['root']}, {one['cosigned']}" for one in facts["logs"]]
    text += [f"{one['verdict']}: {one['name']}: {one['reason']}" for one in report.objects if one["reason"]]
    text += [f"{one['finding']}: {one['where']}: {one['reason']}" for one in report.findings]
    text += [f"remark 说明: {one}" for one in report.remarks]
    verdict = ("OK 全部一致", "NOT AS RECORDED 与记录不符", "COULD NOT CHECK 无法核验")[report.exit_code]
    text.append(f"{verdict}: {report.entries} entries, {report.files} files")
    return ["".join(char if char.isprintable() else "\ufffd" for char in line) for line in text]


def main(arguments: list[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description="Checks an evidence bundle 核验离线证据包")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--policy", type=Path, help="keys you trust, NOT from the bundle")
    parser.add_argument("--trust-bag", action="store_true", help="take the policy from the bundle; the report says so")
    parser.add_argument("--tsa-ca", type=Path, help="certificate of the time-stamp authority's CA (PEM)")
    parser.add_argument("--proof", action="store_true", help="DIR is the proof of one file, not a bundle")
    parser.add_argument("--file", type=Path, help="with --proof: the file that it should be about")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args(arguments)
    if (asked.policy is None) is not asked.trust_bag:
        parser.error("give --policy FILE, or --trust-bag, one of them")
    if asked.file is not None and not asked.proof:
        parser.error("--file goes with --proof")
    if asked.proof:
        report = verify_proof(asked.folder, asked.policy, asked.tsa_ca, asked.file)
    else:
        report = verify(asked.folder, asked.policy, asked.tsa_ca)
    facts = [json.dumps(report.as_json(), ensure_ascii=False)] if asked.as_json else lines(report)
    sys.stdout.write("\n".join(facts) + "\n")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())

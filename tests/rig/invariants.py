"""The invariant checker: what must hold after every fault, whatever the fault was about.

It compares the truth of the media with what the machine shows (the log, spool and store, the journal's file, /proc) and
never asks the station what it believes: the log is read by the verifier that knows FORMAT.md alone, tables are read as
tables. Each finding names the number and the sentence of the invariant that it breaks.
"""

import base64
import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from tests.independent_verifier import (
    NOTE_KEY,
    Refused,
    answers,
    leaf_hash,
    tree_root,
    verify_checkpoint,
    verify_entry,
    verify_log,
    verify_receipt,
    write_vkey,
)
from tests.rig.medium import Fact, Medium

SENTENCES: Final = {
    1: "no erase without proof",
    2: "no write before an erase",
    3: "no silence: each file is copied, failed with a reason, or open while its bay says leave it",
    4: "each ingest.copied has a final file of the truth's size, SHA-256 and time",
    5: "nothing partial counts as final, and no final file is without entry",
    6: "the log only grew",
    7: "each entry is in the outbox or covered by the centre",
    8: "delivering, plugging or starting again changes nothing that was done",
    9: "serial and bay in each record are those that were plugged",
    10: "no screen was greener than the log at that moment",
    11: "the machine is clean",
    12: "no traceback, and the next start is orderly",
}
MAY_TAKE: Final = frozenset({"waiting-upload", "safe", "no-new-data", "safe-with-warnings", "unregistered"})
"""The screen's words that let an officer take the recorder; written here once more, not taken from the station."""
SAFE: Final = "safe"
"""The one word that promises receipts; ``safe-with-warnings`` («Done, with warnings») says only that all was read."""
TIME_STEP_MS: Final = 2_000
"""FAT keeps times in steps of two seconds (fatgen103, «Date and Time Formats»); exFAT drivers differ below that."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant and where."""

    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.number} ({SENTENCES[self.number]}): {self.what}"


@dataclass(frozen=True, slots=True)
class Put:
    """One recorder as it was put into a bay, and what became of it. ``left`` and ``writes`` are read off the medium."""

    bay: int
    serial: str
    truth: Mapping[bytes, Fact]
    left: frozenset[bytes]
    """Paths that are on it now."""
    writes: int = 0
    is_equal: bool = True
    """Whether the whole medium is, byte for byte, what was put in."""
    removed: str = ""
    """``removed`` or ``pulled-early``; empty while it is docked."""
    is_readable: bool = True
    """Whether there was a file system to list."""

    @classmethod
    def docked(cls, bay: int, serial: str, medium: Medium) -> "Put":
        """As it was put in, with nothing gone yet."""
        return cls(bay, serial, medium.truth, frozenset(medium.truth))


@dataclass(frozen=True, slots=True)
class Shown:
    """What the screen said of a bay; entries in the log just before and just after, receipts just after."""

    bay: int
    serial: str
    state: str
    before: int
    after: int
    receipts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was done at an earlier moment: the log's bytes and note, and the final files with their digests."""

    log: bytes
    note: bytes
    files: Mapping[str, str]


@dataclass(frozen=True)
class Scene:
    """Everything the checker looks at. ``origin`` and keys are pinned by whoever made the station."""

    data: Path
    """Folder of journal, log and spool."""
    store: Path
    mounts: Path
    origin: str
    key: bytes
    puts: Sequence[Put]
    shown: Sequence[Shown] = ()
    earlier: Sequence[Earlier] = ()
    centre: tuple[str, bytes] = ("", b"")
    """Origin and raw key of the centre's log."""
    witness: str = ""
    """vkey."""
    output: str = ""
    """What the station wrote to its standard error, all its lives together."""
    exits: Sequence[int] = ()
    """Exit codes of the orderly stops."""
    at_rest: bool = True
    """Whether nothing is being copied now."""
    stopped: bool = False
    """Whether the station was stopped: then nothing of it may be left."""
    refused: frozenset[str] = field(default_factory=frozenset)
    """Serials of recorders that the station must not read."""

    def __post_init__(self) -> None:
        """Read the checkpoint before the log, and both before the journal: the station may be writing all three."""
        _ = self.note, self.log, self.journal

    @cached_property
    def note(self) -> bytes:
        """The newest checkpoint; empty when there is none."""
        return _bytes(self.data / "log/checkpoint")

    @cached_property
    def log(self) -> bytes:
        """The log as it lies there; empty when there is none."""
        return _bytes(self.data / "log/entries.jsonl")

    @cached_property
    def journal(self) -> "Journalled":
        """The journal's tables, all of one moment."""
        return _journalled(self.data / "journal.db")

    @cached_property
    def lines(self) -> list[bytes]:
        """Its complete entries."""
        return self.log.split(b"\n")[:-1]

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Its records, up to the first that is not signed by the key."""
        found = []
        for line in self.lines:
            try:
                found.append(_verified(line, self.key))
            except Refused:
                break
        return found

    @cached_property
    def copied(self) -> list[dict[str, Any]]:
        """All ``ingest.copied``."""
        return [record for record in self.records if record["event"] == "ingest.copied"]

    @cached_property
    def cosigned(self) -> int:
        """So many entries stand under a checkpoint with the witness's own signature."""
        if not self.journal.cosigned or not self.witness:
            return 0
        claim = verify_checkpoint(self.journal.cosigned, [self.witness])
        lines = _bytes(self.data / "log/entries.jsonl").split(b"\n")[:-1]  # the log of then may be shorter
        fits = claim["root"] == tree_root([leaf_hash(line) for line in lines[: claim["size"]]]).hex()
        return int(claim["size"]) if claim["origin"] == self.origin and fits else 0


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the journal's tables say; believed nowhere yet."""

    receipts: Mapping[str, bytes] = field(default_factory=dict)
    """By object id."""
    outbox: frozenset[int] = frozenset()
    """Sequence numbers that are still to be sent."""
    applied: int = 0
    """So many entries are in the tables: the log is written first, and what is behind them follows at once."""
    cosigned: str = ""
    is_uploading: bool = False
    """Whether something is still to be put into the store: then what is half there is work in hand."""


def _journalled(path: Path) -> Journalled:
    if not path.exists():
        return Journalled()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        db.execute("BEGIN")
        receipts = db.execute("SELECT object_id, receipt FROM clips WHERE receipt IS NOT NULL").fetchall()
        outbox = db.execute("SELECT seq FROM outbox").fetchall()
        facts = dict(db.execute("SELECT key, value FROM meta").fetchall())
        jobs = db.execute("SELECT 1 FROM jobs WHERE kind = 'upload' LIMIT 1").fetchall()
    return Journalled(
        {str(object_id): bytes(receipt) for object_id, receipt in receipts},
        frozenset(int(seq) for (seq,) in outbox),
        int(facts.get("applied", 0)),
        str(facts.get("cosigned", "")),
        bool(jobs),
    )


def findings(scene: Scene) -> list[Finding]:
    """Every invariant that does not hold; an empty list when all twelve do."""
    return [Finding(number, what) for number, check in _CHECKS.items() for what in check(scene)]


def snapshot(scene: Scene) -> Earlier:
    """What is done now, to be compared later."""
    return Earlier(scene.log, scene.note, {str(path): _digest(path) for path in _finals(scene)})


def path_of(source: Mapping[str, Any]) -> bytes:
    """The bytes of a path in a record (FORMAT.md, ``source``)."""
    if "path_b64" in source:
        return base64.b64decode(source["path_b64"])
    return str(source["path"]).encode()


def _proved_erase(scene: Scene) -> Iterator[str]:
    erased = {
        str(stored["id"]): record["seq"]
        for record in scene.records
        if record["event"] == "camera.erased"
        for stored in record["objects"]
    }
    for put in scene.puts:
        for path in sorted(set(put.truth) - put.left):
            told = [r for r in scene.copied if _is_of(r, put) and path_of(r["source"]) == path]
            if not any(_is_proved(scene, record, put.truth[path], erased) for record in told):
                yield f"{put.serial} in bay {put.bay}: {path!r} is gone without copy, receipt, stored object or entry"


def _is_proved(scene: Scene, record: Mapping[str, Any], fact: Fact, erased: Mapping[str, int]) -> bool:
    """Copied and read back uncached, receipted, stored as it was, and only then erased."""
    stored = record["object"]
    receipt = scene.journal.receipts.get(stored["id"])
    if receipt is None or record["copy"]["reread"] != "uncached" or _sha256(record) != fact.sha256:
        return False
    try:
        said = verify_receipt(receipt, scene.centre[0], [scene.centre[1]])
    except Refused:
        return False
    return (
        answers(said, scene.origin, stored["id"], fact.size, fact.sha256)
        and _digest(scene.store / stored["name"]) == fact.sha256
        and erased.get(stored["id"], -1) > record["seq"]
    )


def _unwritten(scene: Scene) -> Iterator[str]:
    for put in scene.puts:
        if set(put.truth) == put.left and (put.writes or not put.is_equal):
            yield f"{put.serial} in bay {put.bay}: {put.writes} writes, medium {'equal' if put.is_equal else 'changed'}"


def _no_silence(scene: Scene) -> Iterator[str]:
    told = {(_place(r), path_of(r["source"])) for r in scene.records if r["event"] in _TOLD}
    volumes = {place for place, path in told if path == b"."}
    dockings = Counter(_place(r) for r in scene.records if r["event"] in ("device.docked", "device.identified"))
    endings = Counter((_place(r), r["reason"]) for r in scene.records if r["event"] == "device.undocked")
    last = {(one.bay, one.serial): one.state for one in scene.shown}
    for put in scene.puts:
        place = (put.serial, put.bay)
        if not dockings[place] and place not in volumes:
            yield f"{put.serial} in bay {put.bay}: no entry that it was docked"
        if put.removed and put.is_readable and not endings[place, put.removed]:
            yield f"{put.serial} in bay {put.bay}: no entry that it was {put.removed}"
        is_open = put.removed == "pulled-early" or (not put.removed and last.get(place[::-1], "") not in MAY_TAKE)
        if is_open or put.serial in scene.refused or (place in volumes and not put.is_readable):
            continue
        for path in sorted(put.truth):
            if (place, path) not in told and not _is_known(scene, put, path):
                yield f"{put.serial} in bay {put.bay}: {path!r} is neither copied nor failed"


_TOLD: Final = frozenset({"ingest.copied", "ingest.failed", "ingest.verified"})


def _is_known(scene: Scene, put: Put, path: bytes) -> bool:
    """Whether this very content of this recorder was copied at another docking, maybe in another bay."""
    return any(
        r["camera"]["serial"] == put.serial and path_of(r["source"]) == path and _sha256(r) == put.truth[path].sha256
        for r in scene.copied
    )


def _finals_are_true(scene: Scene) -> Iterator[str]:
    for record in scene.copied:
        stored, path = record["object"], path_of(record["source"])
        truths = [put.truth[path] for put in scene.puts if _is_of(record, put) and path in put.truth]
        if not truths:
            continue
        found = [p for p in (scene.data / "spool" / stored["name"], scene.store / stored["name"]) if p.exists()]
        right = {fact.sha256 for fact in truths}
        if not found:
            yield f"entry {record['seq']}: {stored['name']} is neither in the spool nor in the store"
        for file in found:
            if _digest(file) not in right:
                yield f"entry {record['seq']}: {file} is not what was on the recorder as {path!r}"
        sizes, times = {fact.size for fact in truths}, [fact.mtime_ms for fact in truths]
        if _sha256(record) not in right or stored["size"] not in sizes:
            yield f"entry {record['seq']}: it states another size or SHA-256 than {path!r} had"
        if not any(abs(record["source"]["mtime_ms"] - time) <= TIME_STEP_MS for time in times):
            yield f"entry {record['seq']}: {path!r} was modified at {times}, not at {record['source']['mtime_ms']}"


def _nothing_partial(scene: Scene) -> Iterator[str]:
    named = {str(r["object"]["name"]) for r in scene.records if r["event"] in ("ingest.copied", "proxy.created")}
    for root in (scene.data / "spool", scene.store):
        for file in _files(root):
            name = str(file.relative_to(root))
            temporary = file.suffix == ".part" or "#" in file.name
            if temporary and scene.at_rest and not (root == scene.store and scene.journal.is_uploading):
                yield f"{file} was left"
            if not temporary and scene.at_rest and name not in named:
                yield f"{file} has no entry"


def _log_grew(scene: Scene) -> Iterator[str]:
    try:
        verify_log(scene.log, scene.origin, [scene.key], scene.note or None)
    except Refused as refused:
        yield f"{refused}"
    for number, earlier in enumerate(scene.earlier):
        if not scene.log.startswith(earlier.log[: earlier.log.rfind(b"\n") + 1]):
            yield f"what the log held at moment {number} is not there as it was"
        if earlier.note:
            claim = verify_checkpoint(earlier.note, [_vkey(scene)])
            if tree_root([leaf_hash(line) for line in scene.lines[: claim["size"]]]).hex() != claim["root"]:
                yield f"the checkpoint of moment {number} does not fit the log of now"


def _sent_or_kept(scene: Scene) -> Iterator[str]:
    known = scene.records if scene.stopped else scene.records[: scene.journal.applied]
    for record in known:
        seq = record["seq"]
        is_receipted = record["event"] != "ingest.copied" or record["object"]["id"] in scene.journal.receipts
        if seq not in scene.journal.outbox and not (seq < scene.cosigned and is_receipted):
            yield f"entry {seq} ({record['event']}) is neither in the outbox nor covered by the centre"


def _idempotent(scene: Scene) -> Iterator[str]:
    whole = Counter((_key(r), _sha256(r)) for r in scene.copied)
    for (key, _), count in whole.items():
        if count > 1:
            yield f"{key} was copied {count} times with the same content"
    ids = Counter(str(r["object"]["id"]) for r in scene.copied)
    yield from (f"object {one} has {count} entries" for one, count in ids.items() if count > 1)
    for number, earlier in enumerate(scene.earlier):
        for name, digest in earlier.files.items():
            if Path(name).exists() and _digest(Path(name)) != digest:
                yield f"{name} changed after moment {number}"


def _right_places(scene: Scene) -> Iterator[str]:
    plugged = {(put.serial, put.bay) for put in scene.puts}
    for record in scene.records:
        if "camera" not in record or "bay" not in record["camera"]:
            continue
        place = _place(record)
        if place not in plugged:
            yield f"entry {record['seq']} ({record['event']}) speaks of {place}, which nobody plugged"
        if record["event"] == "ingest.copied":
            mine = [put for put in scene.puts if (put.serial, put.bay) == place]
            if mine and not any(path_of(record["source"]) in put.truth for put in mine):
                yield f"entry {record['seq']}: {path_of(record['source'])!r} was not on {place}"


def _not_greener(scene: Scene) -> Iterator[str]:
    for shown in scene.shown:
        if shown.state not in MAY_TAKE or shown.serial in scene.refused:
            continue
        mine = [r for r in scene.records[: shown.after] if _place(r) == (shown.serial, shown.bay)]
        listed = [r for r in mine if r["event"] == "ingest.seen" and r["seq"] < shown.before]
        seen = {_key_of(r, one) for r in listed for one in r["files"]}
        done = {_key(r) for r in scene.records[: shown.after] if r["event"] in _TOLD}
        where = f"bay {shown.bay} said {shown.state} of {shown.serial} at entry {shown.after}"
        if not any(r["event"] in ("device.docked", "device.identified") for r in mine):
            yield f"{where}, before it was recorded as docked"
        if seen - done:
            yield f"{where}, with {len(seen - done)} files neither copied nor failed"
        if shown.state == SAFE:
            ids = {str(r["object"]["id"]) for r in mine if r["event"] == "ingest.copied"}
            if ids - shown.receipts:
                yield f"{where}, with {len(ids - shown.receipts)} files without receipt"


def _clean(scene: Scene) -> Iterator[str]:
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines()]
    inside = [point for point in mounted if point.startswith(f"{scene.mounts}/")]
    if scene.at_rest:
        yield from (f"{point} is still mounted" for point in inside)
        yield from (f"{path} was left" for path in (scene.data / "log").glob(".*"))
    if scene.stopped:
        yield from (f"{path} was left" for path in _files(scene.data / "work"))
        yield from (f"process {pid} still has {path} open" for pid, path in _opened_below(scene.data))
        yield from (f"{path} was left" for path in (scene.mounts.iterdir() if scene.mounts.exists() else ()))


def _opened_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Of every process but ours."""
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(fd.readlink())
        except OSError:
            continue  # the process ended, or the descriptor was closed, while we looked
        if target.startswith(f"{folder}/") and fd.parts[2] != str(os.getpid()):
            yield fd.parts[2], target


def _orderly(scene: Scene) -> Iterator[str]:
    if "Traceback" in scene.output:
        yield "traceback: " + scene.output[scene.output.rindex("Traceback") :][:1500]
    yield from (f"an orderly stop ended with {code}" for code in scene.exits if code)


_CHECKS: Final = {
    1: _proved_erase,
    2: _unwritten,
    3: _no_silence,
    4: _finals_are_true,
    5: _nothing_partial,
    6: _log_grew,
    7: _sent_or_kept,
    8: _idempotent,
    9: _right_places,
    10: _not_greener,
    11: _clean,
    12: _orderly,
}


def _place(record: Mapping[str, Any]) -> tuple[str, int]:
    camera = record.get("camera", {})
    return str(camera.get("serial", "")), int(camera.get("bay", 0))


def _is_of(record: Mapping[str, Any], put: Put) -> bool:
    return _place(record) == (put.serial, put.bay)


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return _key_of(record, record["source"])


def _key_of(record: Mapping[str, Any], source: Mapping[str, Any]) -> tuple[Any, ...]:
    """A file of a recorder: the volume tells twins apart, which share their serial."""
    volume = source.get("volume_uuid", record.get("volume_uuid", ""))
    return record["camera"]["serial"], volume, path_of(source), source.get("size"), source.get("mtime_ms")


def _sha256(record: Mapping[str, Any]) -> str:
    return str(record["object"]["digests"]["sha256"])


@cache
def _verified(line: bytes, key: bytes) -> dict[str, Any]:
    """Nobody changes what comes out: a line that was verified once stays so."""
    return verify_entry(line, [key])


def _vkey(scene: Scene) -> str:
    return write_vkey(scene.origin, NOTE_KEY, scene.key)


def _finals(scene: Scene) -> list[Path]:
    roots = (scene.data / "spool", scene.store)
    return [file for root in roots for file in _files(root) if file.suffix != ".part" and "#" not in file.name]


def _files(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.rglob("*") if path.is_file() and "lost+found" not in path.parts)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _digest(path: Path) -> str:
    """SHA-256 of a file; empty when it is not there or cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""

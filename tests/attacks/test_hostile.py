"""Attacks beyond the table: whoever looks for a false OK, or for a way to lose a clip without anybody noticing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from custody.canonical import canonical_bytes
from custody.envelope import seal
from custody.errors import EvidenceError
from custody.merkle import leaf_hash
from custody.messages import Receipts, Records
from custody.signer import Ed25519Signer
from ingestd.audit import verify_bundle
from ingestd.errors import StateError
from ingestd.pipeline import Received
from tests.attacks import insider
from tests.attacks.house import ORIGIN, STATION, House, found, run
from tests.conftest import ROOT
from tests.fakes.bundle_forger import resign


def restore(folder: Path, backup: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def take_in(house: House, name: str, content: bytes) -> None:
    """Another recorder with one file."""
    card = house.folder / f"card of {name}"
    card.mkdir()
    (card / name).write_bytes(content)
    assert house.agent("ingest", card).code == 0


# The centre goes back in time.


def test_a_centre_rolled_back_as_a_whole_is_told_by_the_station_and_made_whole_again(house, another):
    """Log, mirrors, database and store, all of one older moment: nothing in them is wrong."""
    backup = another(house)
    take_in(house, "late.txt", b"after the backup")
    house.sync()
    for name in ("central", "store"):
        restore(house.folder / name, backup.folder / name)
    assert house.audit().code == 0, "MISSED by the centre alone: an old truth is a truth"

    take_in(house, "later.txt", b"and life goes on")
    house.sync()
    assert house.agent("status").facts["waiting"]["outbox"] > 1, "the witness signed for less: all of it goes again"
    assert house.agent("status").facts["waiting"]["upload"] > 0, "and whatever may have been lost from the store"
    house.sync()

    done = house.audit()
    assert (done.code, done.facts["verified"]) == (0, len(house.originals()))
    assert b"after the backup" in [path.read_bytes() for path in house.originals()]


def test_mirror_and_database_rolled_back_without_the_centre_log(house, another):
    backup = another(house)
    take_in(house, "late.txt", b"after the backup")
    house.sync()
    restore(house.mirror, backup.mirror)
    shutil.copy(backup.database, house.database)

    done = house.audit()
    assert (done.code, done.words >= {"log-truncated"}) == (1, True)
    refused = house.ingestd("cases", "import", house.folder / "registers.json")
    assert (refused.code, "mirror" in refused.complaint) == (65, True), "it does not go on from there either"


@pytest.mark.parametrize("lost", ["mirrors", "log", "index.db"])
def test_a_part_of_the_centre_that_is_gone(house, lost):
    for path in (house.folder / "central").glob(f"{lost}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    done = house.audit()

    if lost == "index.db":
        assert done.code == 0, "a projection: what is signed is all there"
        assert house.ingestd("cases", "import", house.folder / "registers.json").code == 65
    else:
        assert (done.code, bool(done.words & {"log-truncated", "nothing-checked"})) == (1, True)


# Somebody else's words.


def test_receipts_of_one_station_are_none_to_another(house):
    """A recorder whose clip was never stored must not be erased on the strength of somebody else's receipt."""
    take_in(house, "mine.txt", b"only at the station")
    waiting = house.agent("status").facts["waiting"]["receipts"]
    told = [one for one in insider.records(house.centre_log) if one["event"] == "central.verified"]
    receipts = tuple(insider.entries(house.centre_log)[one["seq"]] for one in told)
    other = "custody.example/station-02"
    redirected = [{**one, "entry": {**one["entry"], "log": other}} for one in told]
    forged = tuple(seal(canonical_bytes(one), [house.station_key]) for one in redirected)
    with house.station() as rooms:
        outbox = house.outbox(rooms)
        outbox.answered(Receipts(ORIGIN, 10**6, receipts, b"").encode())
        for log, entries in ((other, receipts), (ORIGIN, forged)):
            with pytest.raises(EvidenceError):
                outbox.answered(Receipts(log, 10**6, entries, b"").encode())

    assert house.agent("status").facts["waiting"]["receipts"] == waiting


@pytest.mark.parametrize("whose", ["another station's", "the centre's", "the cosigner's"])
def test_one_key_for_two_is_refused(house, whose):
    """Whoever holds such a key could speak for the other."""
    keys = {
        "another station's": house.station_key,
        "the centre's": house.centre_key,
        "the cosigner's": house.witness_key,
    }
    house.enrol("station-02", keys[whose])

    done = house.ingestd("cases", "import", house.folder / "registers.json")

    assert (done.code, "key" in done.complaint) == (78, True)


def test_a_station_enrolled_with_another_key_in_the_configuration(house):
    rogue = Ed25519Signer.from_seed(b"r" * 32)
    insider.rewrite(house.mirror, ORIGIN, rogue, lambda records: records)
    house.enrol(STATION, rogue)

    done = house.audit()

    assert (done.code, done.words >= {"mirror-mismatch"}) == (1, True)
    with pytest.raises(StateError, match="was enrolled with"), house.centre():
        pass


def test_a_cloned_station_is_told_apart_and_its_clip_is_not_lost(house, another):
    """Two machines with one disk image, or a backup put back beside a station that went on."""
    clone = another(house)
    take_in(house, "one.txt", b"taken in by the station")
    house.sync()
    take_in(clone, "two.txt", b"taken in by its clone")
    restore(clone.folder / "central", house.folder / "central")
    restore(clone.folder / "store", house.folder / "store")

    assert clone.sync() == ["log-forked"]

    assert "message-unverifiable" in clone.open_flags()
    assert (clone.verify_log().code, "log-forked" in clone.verify_log().words) == (1, True)
    assert b"taken in by its clone" in [path.read_bytes() for path in (clone.folder / "station/spool").rglob("*.txt")]


def test_a_bundle_made_by_somebody_else_entirely(built, tmp_path, exported, policy):
    """All of it fits itself; only keys from elsewhere tell. So a bag's own policy is taken only when that is said."""
    (tmp_path / "forger").mkdir()
    forger = found(tmp_path / "forger")
    shutil.copytree(built.card, forger.card)
    forger.dock()
    clip = forger.originals()[0].stem
    assert forger.ingestd("audit", "export", "--clip", clip, "--out", tmp_path / "bag").code == 0

    trusting = run("ingestd.cli", ["audit", "verify-bundle", str(tmp_path / "bag"), "--trust-bag", "--json"])
    careful = run("ingestd.cli", ["audit", "verify-bundle", str(tmp_path / "bag"), "--policy", str(policy), "--json"])
    neither = run("ingestd.cli", ["audit", "verify-bundle", str(tmp_path / "bag"), "--json"])

    assert trusting.code == 0, "MISSED, and said:"
    assert any("whoever made the bundle chose the keys" in remark for remark in trusting.facts["remarks"])
    assert (careful.code, careful.words >= {"sig-bad", "key-unknown"}) == (1, True)
    assert neither.code == 2


# Things that are not files.


def replaced(path: Path, kind: str) -> None:
    kept = path.with_name("kept")
    path.rename(kept)
    if kind == "link":
        path.symlink_to(kept.rename(path.parents[5] / "elsewhere"))
    elif kind == "folder":
        path.mkdir()
        kept.rename(path / path.name)
    elif kind == "pipe":
        os.mkfifo(path)
        kept.unlink()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_stored_object_replaced_by_something_that_is_no_file(house, kind):
    """Neither an OK for bytes that lie where nobody keeps them, nor a reader that waits for ever."""
    replaced(house.originals()[0], kind)

    done = house.audit()

    assert done.code in {1, 2}
    assert done.words & {"unreadable", "missing"}


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_copy_in_the_spool_replaced_by_something_that_is_no_file(house, kind):
    replaced(house.spooled(house.originals()[0]), kind)

    done = house.verify_log()

    assert done.code in {1, 2}
    assert done.words & {"unreadable", "missing"}


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("which", ["centre", "mirror", "station"])
def test_a_log_replaced_by_something_that_is_no_file(house, which, kind):
    folder = {"centre": house.centre_log, "mirror": house.mirror, "station": house.station_log}[which]
    path = folder / "entries.jsonl"
    path.unlink()
    {"link": lambda: path.symlink_to("nowhere"), "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[kind]()

    done = house.verify_log() if which == "station" else house.audit()

    assert done.code != 0


def test_keys_that_cannot_be_read(house):
    for key, command in (("station", house.verify_log), ("central", house.audit)):
        path = house.folder / key / "keys/custody.pem"
        path.chmod(0o644)
        assert command().code in {77, 78}
        path.unlink()
        assert command().code in {77, 78}


# Time.


def test_clocks_ahead_and_behind_excuse_no_missing_file(house):
    """«It was announced a moment ago» holds for a moment, and only for what nobody has vouched for."""
    toml = house.folder / "ingestd.toml"
    toml.write_text(toml.read_text().replace("missing_after_s = 0", "missing_after_s = 999999999"))
    house.originals()[0].unlink()

    done = house.audit()

    assert (done.code, done.words) == (1, {"missing"}), "it has a receipt"


# Names and sizes.

NAMES = ["\x1b[2K\x1b[1Averified.MP4", "\u202e4PM.fo\u2066", "1.MP4\nOK: all that was checked is as recorded"]


def test_names_from_a_recorder_neither_move_the_cursor_nor_add_a_line(house):
    """What people read is what was found: a file's name wipes no line out and writes none."""
    for number, name in enumerate(NAMES):
        card = house.folder / f"card {number}"
        card.mkdir()
        (card / name).write_bytes(name.encode())
        house.agent("ingest", card)
    house.sync()
    contents = [name.encode() for name in NAMES]
    for path in [path for path in house.originals() if path.read_bytes() in contents]:
        path.unlink()
        house.spooled(path).rename(house.spooled(path).with_name(f"\x1b[2J{path.name}"))

    for told, honest in (
        (house.says("ingestd.cli", "audit", "verify"), "missing"),
        (house.says("ingestd.cli", "clips", "list"), "1.MP4"),
        (house.says("station_agent.cli", "verify-log"), "unrecorded"),
    ):
        assert honest in told
        assert [line for line in told.splitlines() if not line.replace("\t", "").isprintable()] == []
        assert not any(line.startswith("OK") for line in told.splitlines())


def test_names_in_a_bundle_neither_move_the_cursor_nor_add_a_line(bundle, policy):
    for name in NAMES:
        (bundle / name).write_text("planted")
    python = [sys.executable, ROOT / "docs/auditors/verify_bundle.py", bundle, "--policy", policy]
    shell = ["sh", ROOT / "ingestd/audit/templates/verify.sh", "--policy", policy, bundle]

    for argv in (python, shell):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "\x1b" not in done.stdout
        assert not any(line.startswith("OK") for line in done.stdout.splitlines())


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_a_line_longer_than_memory_should_hold(house, newline):
    """A log may end in whatever a crash, or somebody, left: it is neither read into memory nor taken for an entry."""
    with (house.mirror / "entries.jsonl").open("ab") as file:
        for _ in range(60):
            file.write(b"{" * (1 << 20))
        file.write(newline)

    done = house.audit()

    assert done.code == (2 if newline else 0)
    assert done.words == ({"unparsable"} if newline else set())


BREAKERS = {
    "deep lists": b"[" * 60_000,
    "deep objects": b'{"a":' * 10_000,
    "a number of 60,000 digits": b'{"payload":' + b"9" * 60_000 + b"}",
    "half a character": b'{"payload":"\\ud800"}',
    "no UTF-8": b"\xff\xfe",
    "nothing": b"{}",
}


@pytest.mark.parametrize("what", BREAKERS)
def test_an_entry_that_would_break_a_reader_is_quarantined_and_the_others_are_served(house, what):
    log, data = insider.entries(house.station_log), BREAKERS[what]
    note = data.decode("latin-1").encode()
    with house.centre() as centre:
        for records in (Records(ORIGIN, len(log), (data,), b""), Records(ORIGIN, 0, tuple(log), note)):
            centre.pipeline.handle([Received(f"bwc/v1/{STATION}/records", records.encode())])

    assert "message-unverifiable" in house.open_flags()
    insider.put(house.mirror, [*log, data])
    done = house.audit()
    assert (done.code, done.words) == (2, {"unparsable"})


# Proxies, exports, bags.


def test_two_proxies_swapped(house):
    insider.swap(*house.proxies()[:2])

    done = house.audit()

    assert (done.code, done.words, done.facts["proxies"]["failed"]) == (1, {"failed"}, 2)


def test_a_bundle_from_which_a_clip_was_taken_out(bundle, policy, built):
    """By one who can sign it anew: the centre log tells of another manifest, and that entry goes with the bundle."""
    [first, *_] = sorted((bundle / "data/originals").rglob("*.*"))
    for path in (bundle / "custody").rglob("*.json"):
        told = insider.record(path.read_bytes())
        if insider.is_about(told, first.stem) or first.stem in str(told.get("parents")):
            path.unlink()
            (
                bundle
                / "proofs"
                / path.relative_to(bundle / "custody").parent
                / f"{path.name.partition('.')[0]}.tlog-proof"
            ).unlink()
    first.unlink()
    resign(bundle, built.centre_key)

    report = verify_bundle.verify(bundle, policy)

    assert (report.exit_code, {one["finding"] for one in report.findings}) == (1, {"failed"})


def test_results_planted_for_a_resumed_audit_are_counted_apart(house):
    """Whoever may write to the disk may write there too; so a report says how much of it comes from there."""
    victim = house.originals()[0]
    insider.flip(victim, 3)
    [told] = [
        one
        for one in insider.records(house.mirror)
        if one["event"] == "ingest.copied" and one["object"]["id"] == victim.stem
    ]
    leaf = leaf_hash(insider.entries(house.mirror)[told["seq"]]).hex()
    planted = [
        {"type": "bwc.audit-state/v1", "selection": {}, "started_ms": 1},
        {"name": told["object"]["name"], "entry": leaf, "verdict": "verified", "reason": "", "checked_ms": 1},
    ]
    state = house.folder / "state.jsonl"
    state.write_text("".join(json.dumps(line) + "\n" for line in planted))

    resumed = house.ingestd("audit", "verify", "--resume", "--state", state)
    anew = house.audit()

    assert (resumed.code, resumed.facts["earlier"]["count"]) == (0, 1), "MISSED, and said"
    assert (anew.code, anew.words) == (1, {"failed"})

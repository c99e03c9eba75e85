"""Bundles: what is in them, what is recorded, and that neither verifier misses an alteration, be it signed anew."""

import ast
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.canonical import JsonValue, canonical_bytes
from custody.checkpoint import Checkpoint, sign_checkpoint
from custody.envelope import open_envelope, seal
from custody.errors import CustodyError
from custody.layout import proxy_name
from custody.merkle import leaf_hash
from custody.record import parse_record
from custody.signer import Ed25519Signer
from custody.verdicts import Finding, Outcome, Verdict, outcome
from ingestd import premises
from ingestd.audit import verify_bundle
from ingestd.audit.export_proofs import tlog_proof
from ingestd.errors import ExportError, NotAsRecordedError
from ingestd.keys import load_signer
from ingestd.logfiles import PosixLogFiles
from tests.conftest import ROOT
from tests.fakes.bundle import BundleWorld, bundle_world
from tests.fakes.bundle_forger import flip, resign, resign_tags


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> BundleWorld:
    return bundle_world(tmp_path_factory.mktemp("centre"))


@pytest.fixture(scope="module")
def made(world: BundleWorld) -> Path:
    """A bundle of everything; tests copy it before they alter it."""
    world.policy(world.folder / "policy.txt")
    return world.export(world.folder / "made", *world.clips, mhl=True, proxies=True).folder


@pytest.fixture
def policy(world: BundleWorld, made: Path) -> Path:
    return world.folder / "policy.txt"


@pytest.fixture
def bundle(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


@pytest.fixture
def forger(world) -> Ed25519Signer:
    """The key of the centre itself, stolen."""
    return load_signer(world.config.keys.custody)


def by_shell(bundle: Path, policy: Path) -> int:
    done = subprocess.run(
        ["sh", str(ROOT / "ingestd/audit/templates/verify.sh"), "--policy", str(policy), str(bundle)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode


def words(report) -> set[str]:
    return {one["finding"] for one in report.findings} | {one["verdict"] for one in report.objects} - {"verified"}


def centre_entries(world):
    data = b"".join(PosixLogFiles(premises.log_folder(world.config, "centre")).read(0))
    return [parse_record(open_envelope(line).payload) for line in data.splitlines()]


def entries_of(bundle: Path, event: str) -> list[Path]:
    paths = sorted((bundle / "custody").rglob("*.json"))
    return [path for path in paths if record_of(path).event == event]


def record_of(path: Path):
    return parse_record(open_envelope(path.read_bytes()).payload)


def remove_entry(bundle: Path, path: Path) -> None:
    name = path.relative_to(bundle / "custody").as_posix().removesuffix(".dsse.json")
    path.unlink()
    (bundle / "proofs" / f"{name}.tlog-proof").unlink()


# What is in a bundle


def test_a_bundle_is_as_recorded_for_both_verifiers(made, policy):
    report = verify_bundle.verify(made, policy)

    assert (report.exit_code, report.findings) == (0, [])
    assert [one["verdict"] for one in report.objects] == ["verified"] * 3
    assert by_shell(made, policy) == 0


def test_a_bundle_tells_the_whole_story_of_its_clips(made):
    told = {parse_record(open_envelope(path.read_bytes()).payload).event for path in (made / "custody").rglob("*.json")}

    assert told >= {
        "ingest.seen",
        "ingest.copied",
        "media.described",
        "proxy.created",
        "station.enrolled",
        "station.entries",
        "central.verified",
        "access.exported",
    }


def test_a_bundle_of_one_clip_holds_nothing_of_the_other(world, tmp_path):
    done = world.export(tmp_path / "one", world.clips[1])

    copies = entries_of(done.folder, "ingest.copied")
    assert [record_of(path).block("object")["id"] for path in copies] == [world.clips[1]]
    assert [path.stem for path in (done.folder / "data").rglob("*.MP4")] == [world.clips[1]]
    assert not (done.folder / "ascmhl").exists()


def test_originals_are_byte_for_byte(world, made):
    for name, data in world.station.store.items():
        assert (made / "data" / name).read_bytes() == data


def test_pages_speak_both_languages_and_name_every_clip(world, made):
    for page in ("certificate.en.html", "certificate.zh-CN.html"):
        text = (made / page).read_text("utf-8")
        assert all(clip in text for clip in world.clips)
        assert "法院调取" in text
    assert "902(14)" in (made / "certificate.en.html").read_text("utf-8")
    assert "TEMPLATE" in (made / "certificate.en.html").read_text("utf-8")
    assert "电子数据提取固定清单" in (made / "certificate.zh-CN.html").read_text("utf-8")
    assert "模板" in (made / "certificate.zh-CN.html").read_text("utf-8")
    assert "sh verify.sh" in (made / "README.zh-CN.txt").read_text("utf-8")


# What is recorded, and what is refused


def test_the_log_tells_who_takes_what_before_anything_is_copied(world, tmp_path):
    [first, *_] = (world.store / "originals").rglob("*.MP4")
    right = first.read_bytes()
    flip(first)
    before = len(centre_entries(world))
    try:
        with pytest.raises(NotAsRecordedError, match="failed"):
            world.export(tmp_path / "out", *world.clips)
    finally:
        first.write_bytes(right)

    told = centre_entries(world)[before:]
    assert [record.event for record in told] == ["access.exported"]
    assert told[0].block("export")["objects"] == sorted(world.clips)
    assert told[0].payload["reason"] == "法院调取"
    assert list(tmp_path.iterdir()) == []


def test_an_original_that_is_gone_is_said_and_nothing_is_left(world, tmp_path):
    [first, *_] = (world.store / "originals").rglob("*.MP4")
    right = first.read_bytes()
    first.unlink()
    try:
        with pytest.raises(NotAsRecordedError, match="missing"):
            world.export(tmp_path / "out", *world.clips)
    finally:
        first.write_bytes(right)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("clips", "case", "why"),
    [((), "", "one of them"), ((), "无此案", "no clip"), (("01a204c5-0000-7000-8000-000000000000",), "", "no clip")],
)
def test_nothing_chosen_is_never_a_bundle(world, tmp_path, clips, case, why):
    with pytest.raises(ExportError, match=why):
        world.export(tmp_path / "out", *clips, case=case)

    assert ExportError.exit_code == Outcome.COULD_NOT_CHECK
    assert NotAsRecordedError.exit_code == Outcome.NOT_AS_RECORDED


def test_a_folder_that_is_there_is_not_touched(world, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="not there yet"):
        world.export(tmp_path / "out", *world.clips)


def test_an_entry_without_checkpoint_waits(tmp_path):
    other = bundle_world(tmp_path)
    clip = other.station.copied(path="DCIM/3.MP4")
    other.deliver(checkpoint=False)

    with pytest.raises(ExportError, match="checkpoint"):
        other.export(tmp_path / "out", clip)
    other.station.write("log.recovered", reason="a later entry, under a checkpoint again")
    other.deliver()
    assert other.export(tmp_path / "out", clip).report.exit_code == 0


# Any alteration


def test_one_flipped_bit_in_each_kind_of_file_is_found(bundle, policy):
    kinds = {(path.parent.name, path.suffix): path for path in sorted(bundle.rglob("*")) if path.is_file()}
    for path in kinds.values():
        right = path.read_bytes()
        flip(path, len(right) // 2)
        assert verify_bundle.verify(bundle, policy).exit_code, path
        path.write_bytes(right)


@settings(max_examples=20)
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_found(world, made, data):
    paths = sorted(path for path in made.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    right = path.read_bytes()
    position = data.draw(st.integers(0, len(right) - 1))
    try:
        flip(path, position, 1 << data.draw(st.integers(0, 7)))
        assert verify_bundle.verify(made, world.folder / "policy.txt").exit_code
    finally:
        path.write_bytes(right)


@pytest.mark.parametrize("end", [b"", b"\n", b"x"], ids=["cut", "newline", "byte"])
@pytest.mark.parametrize(
    "name", ["tagmanifest-sha256.txt.ed25519", "tagmanifest-sha256.txt.sshsig", "manifest-sha256.txt", "SM3SUMS"]
)
def test_no_file_grows_or_shrinks(bundle, policy, name, end):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data + end if end else data[:-1])

    assert verify_bundle.verify(bundle, policy).exit_code
    if end == b"\n":
        assert by_shell(bundle, policy)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("file", "unrecorded"),
        ("tag", "unrecorded"),
        ("link", "unreadable"),
        ("gone", "missing"),
        ("hidden", "unrecorded"),
    ],
)
def test_files_come_and_go_only_with_a_finding(bundle, policy, kind, word):
    if kind == "file":
        (bundle / "data" / "more.MP4").write_bytes(b"more")
    if kind == "tag":
        (bundle / "keys" / "more.pem").write_bytes(b"more")
    if kind == "hidden":
        (bundle / "custody" / ".more").write_bytes(b"more")
    if kind == "link":
        (bundle / "keys" / "more").symlink_to("/etc/passwd")
    if kind == "gone":
        (bundle / "README.en.txt").unlink()

    assert word in {one["finding"] for one in verify_bundle.verify(bundle, policy).findings}
    assert by_shell(bundle, policy)


# Alterations by somebody who holds the centre's key and signs the manifests anew


def altered_original(bundle):
    flip(next((bundle / "data" / "originals").rglob("*.MP4")))


def swapped_originals(bundle):
    one, two = sorted((bundle / "data" / "originals").rglob("*.MP4"))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def removed_original(bundle):
    next((bundle / "data" / "originals").rglob("*.MP4")).unlink()


def added_original(bundle):
    (bundle / "data" / "originals" / "more.MP4").write_bytes(b"more")


def altered_proxy(bundle):
    flip(next((bundle / "data" / "proxies").rglob("*.mp4")))


def removed_mirror_entry(bundle):
    for path in entries_of(bundle, "station.entries"):
        remove_entry(bundle, path)


def removed_export_entry(bundle):
    for path in entries_of(bundle, "access.exported"):
        remove_entry(bundle, path)


def removed_copy(bundle):
    for path in entries_of(bundle, "ingest.copied")[:1]:
        remove_entry(bundle, path)


def altered_entry(bundle):
    [path, *_] = entries_of(bundle, "ingest.copied")
    data = path.read_bytes().replace(b'"payload":"ey', b'"payload":"fy')
    path.write_bytes(data)


def removed_proof(bundle):
    next((bundle / "proofs").rglob("*.tlog-proof")).unlink()


def swapped_proofs(bundle):
    one, two, *_ = sorted((bundle / "proofs").rglob("station-01/*.tlog-proof"))
    two.write_bytes(one.read_bytes())


def moved_entry(bundle):
    one, *_ = sorted((bundle / "custody").rglob("station-01/*.json"))
    for folder, suffix in (("custody", ".dsse.json"), ("proofs", ".tlog-proof")):
        path = bundle / folder / one.relative_to(bundle / "custody").parent / f"{one.name[:9]}{suffix}"
        path.rename(path.with_name(f"000000099{suffix}"))


def no_quorum(bundle):
    for path in (bundle / "proofs").rglob("*.tlog-proof"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(line for line in lines if b"centre-witness" not in line))


def altered_cosignature(bundle):
    for path in (bundle / "proofs").rglob("*.tlog-proof"):
        text = path.read_text("utf-8")
        last = text.rstrip("\n").rpartition(" ")[2]
        path.write_text(text.replace(last, last[:20] + ("A" if last[20] != "A" else "B") + last[21:]), "utf-8")


def altered_path(bundle):
    path = max((bundle / "proofs").rglob("station-01/*.tlog-proof"))
    lines = path.read_text("utf-8").split("\n")
    lines[2] = ("A" if lines[2][0] != "A" else "B") + lines[2][1:]
    path.write_text("\n".join(lines), "utf-8")


def foreign_proof(bundle):
    """The proof of a station's entry in the place of one of the centre's with the same number."""
    one = next(one for one in (bundle / "proofs").rglob("station-01/*") if _centres(one).exists())
    _centres(one).write_bytes(one.read_bytes())


def _centres(proof):
    return proof.parent.parent / "centre" / proof.name


def left_out_clip(bundle):
    """Entry, proof and file of one clip are gone; all that is left is consistent."""
    path = entries_of(bundle, "ingest.copied")[1]
    (bundle / "data" / record_of(path).block("object")["name"]).unlink()
    remove_entry(bundle, path)


def other_declaration(bundle):
    (bundle / "bagit.txt").write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")


FORGERIES = {
    altered_original: "failed",
    swapped_originals: "failed",
    removed_original: "missing",
    added_original: "unrecorded",
    altered_proxy: "failed",
    removed_mirror_entry: "mirror-mismatch",
    removed_export_entry: "unrecorded",
    removed_copy: "unrecorded",
    altered_entry: "unparsable",
    removed_proof: "missing",
    swapped_proofs: "seq-gap",
    altered_path: "root-mismatch",
    foreign_proof: "log-forked",
    left_out_clip: "failed",
    moved_entry: "seq-gap",
    no_quorum: "key-unknown",
    altered_cosignature: "sig-bad",
    other_declaration: "unparsable",
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda one: one.__name__)
def test_the_centres_key_alone_forges_no_bundle(bundle, policy, forger, forgery):
    forgery(bundle)
    resign(bundle, forger)

    report = verify_bundle.verify(bundle, policy)

    assert FORGERIES[forgery] in words(report), (report.findings, report.objects)
    assert not {one["where"] for one in report.findings} & set(verify_bundle.UNSIGNED)
    assert report.exit_code == by_shell(bundle, policy) != 0


def test_a_manifest_emptied_or_garbled_and_signed_anew_is_never_right(bundle, policy, forger):
    right = (bundle / "manifest-sha256.txt").read_bytes()
    for wrong in (
        b"",
        right.replace(b"  ", b"\t", 1),
        right + b"garbage\n",
        right + right,
        right.replace(b"  ", b" *", 1),
    ):
        (bundle / "manifest-sha256.txt").write_bytes(wrong)
        resign_tags(bundle, forger)

        assert verify_bundle.verify(bundle, policy).exit_code, wrong[:80]
        assert by_shell(bundle, policy), wrong[:80]


def test_a_bundle_by_other_keys_holds_only_for_its_own_policy(bundle, policy, tmp_path):
    (tmp_path / "rogue").mkdir()
    rogue = bundle_world(tmp_path / "rogue")
    theirs = rogue.export(tmp_path / "theirs", *rogue.clips).folder

    trusting, knowing = verify_bundle.verify(theirs, None), verify_bundle.verify(theirs, policy)

    assert trusting.exit_code == 0
    assert "--trust-bag" in trusting.remarks[0]
    assert knowing.exit_code == 1
    assert words(knowing) >= {"sig-bad"}
    assert by_shell(theirs, policy) == 1


# Logs that contradict themselves under good signatures


def entry_at(log, seq, event="ingest.copied", prev="", leaf=b"", **blocks):
    head = {"log": log, "seq": seq, "event": event, "prev": prev, "time": {"utc_ms": 0}}
    return verify_bundle.Entry(f"{log}/{seq}", {**head, **blocks}, leaf or bytes([seq]) * 32, "")


def object_block(sha256="ab", **more):
    return {"id": "1", "name": "originals/1", "size": 3, "digests": {"sha256": sha256}, **more}


def judged(function, *arguments) -> list[str]:
    report = verify_bundle.Report()
    function(report, *arguments)
    return [one["finding"] for one in report.findings]


def test_neighbours_must_follow_from_each_other():
    good = [entry_at("c", 0), entry_at("c", 1, prev="00" * 32)]
    wrong = [entry_at("c", 0), entry_at("c", 1, prev="01" * 32)]

    assert judged(verify_bundle._places, good, "c") == []
    assert judged(verify_bundle._places, wrong, "c") == ["prev-break"]


def test_an_entry_says_the_number_it_has_in_its_log():
    signer, log = Ed25519Signer.from_seed(b"n" * 32), "custody.example/s"
    head: dict[str, JsonValue] = {
        "type": "bwc.custody/v1",
        "event": "x",
        "log": log,
        "prev": "00" * 32,
        "time": {"utc_ms": 0},
    }
    entry = seal(canonical_bytes({**head, "seq": 5, "time": {"utc_ms": 0}}), [signer])
    note = sign_checkpoint(Checkpoint(log, 1, leaf_hash(entry)), signer)
    key = verify_bundle.Key(log, 1, signer.public_key())
    policy = verify_bundle.Policy({log: [key]}, {}, {}, "none")

    name, proof, report = f"{log}/000000000.dsse.json", tlog_proof(0, [], note), verify_bundle.Report()
    with pytest.raises(verify_bundle.Fault) as refused:
        verify_bundle._entry(report, name, entry, proof, policy, verify_bundle.Succession([(0, (key,))]), {})
    assert refused.value.word == "seq-gap"


def test_a_receipt_is_of_this_entry_and_these_bytes():
    copied = entry_at("s", 1, object=object_block(digests={"sha256": "ab", "sm3": "cd"}))
    place = {"log": "s", "seq": 1, "leaf": copied.leaf.hex()}
    for stored, where, found in (
        (object_block(), place, []),
        (object_block("ac"), place, ["mirror-mismatch"]),
        (object_block(size=4), place, ["mirror-mismatch"]),
        (object_block(), {**place, "leaf": "00"}, ["mirror-mismatch"]),
    ):
        receipt = entry_at("c", 1, "central.verified", object=stored, entry=where)
        assert judged(verify_bundle._receipts, [copied, receipt], {"1": copied}, "c") == found


def test_what_is_announced_twice_is_announced_alike():
    entries = [entry_at("s", 1, object=object_block()), entry_at("s", 2, object=object_block("ac"))]

    assert "log-forked" in judged(verify_bundle._objects, entries, verify_bundle.Digests({}, {}, {}), "c")


def test_size_and_sha256_must_be_the_signed_ones():
    name = "data/originals/1"
    for sha256, size, verdict in (("ab", 3, "verified"), ("ac", 3, "failed"), ("ab", 4, "failed")):
        digests = verify_bundle.Digests({name: sha256}, {name: size}, {})
        assert verify_bundle._verdict(object_block(), name, digests)[0] == verdict


def test_a_signed_sm3_must_fit_too():
    stored, name = object_block(digests={"sha256": "ab", "sm3": "cd"}), "data/originals/1"
    same, other = ({"data/originals/1": sm3} for sm3 in ("cd", "ce"))

    assert verify_bundle._verdict(stored, name, verify_bundle.Digests({name: "ab"}, {name: 3}, same))[0] == "verified"
    assert verify_bundle._verdict(stored, name, verify_bundle.Digests({name: "ab"}, {name: 3}, other))[0] == "failed"


def test_a_bundle_that_does_not_verify_gets_no_name(tmp_path):
    """A derived file that names another original: signed so by its station, and refused at the end."""
    (tmp_path / "world").mkdir()
    other = bundle_world(tmp_path / "world")
    station, object_id = other.station, other.station.uuid()
    name = proxy_name(object_id, station.utc_ms)
    station.store[name] = b"proxy"
    digests = {"sha256": hashlib.sha256(b"proxy").hexdigest()}
    stored = {"id": object_id, "name": name, "size": 5, "media_type": "video/mp4", "digests": digests}
    station.write(
        "proxy.created", object=stored, parents=[{"id": other.clips[1], "sha256": "00" * 32}], recipe={"program": "x"}
    )
    other.deliver()

    with pytest.raises(NotAsRecordedError, match=r"out\.refused: failed"):
        other.export(tmp_path / "out", other.clips[1], proxies=True)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.refused", "world"]
    assert by_shell(tmp_path / "out.refused", other.policy(tmp_path / "policy.txt")) == 1


# Policy


@pytest.mark.parametrize(
    "text",
    ["", "quorum none\n", "nonsense\n", "log custody.example/centre+00000000+AQ==\nquorum none\n", "\xff\xfe"],
    ids=["empty", "no-log", "unknown-word", "wrong-hash", "not-text"],
)
def test_without_a_good_policy_nothing_is_checked(made, tmp_path, text):
    path = tmp_path / "policy.txt"
    path.write_bytes(text.encode("latin-1"))

    assert verify_bundle.verify(made, path).exit_code == 2
    assert by_shell(made, path) == 2


def test_an_absent_policy_or_bundle_is_exit_2(made, policy, tmp_path):
    assert verify_bundle.verify(made, tmp_path / "none").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert verify_bundle.verify(tmp_path / "empty", policy).exit_code == 2


def test_a_quorum_may_be_a_group(made, policy, tmp_path):
    lines = policy.read_text().splitlines()
    other = next(line for line in lines if line.startswith("witness")).split()[2]
    key = verify_bundle.read_vkey(other, (4,))
    stranger_key = verify_bundle.Key(key.name.replace("centre-witness", "stranger"), 4, key.raw)
    stranger = f"{stranger_key.name}+{stranger_key.hash().hex()}+{other.split('+', 2)[2]}"
    head = [*lines[:-1], f"witness far {stranger}"]
    for least, code in (("any", 0), ("1", 0), ("2", 1), ("all", 1)):
        path = tmp_path / "policy.txt"
        path.write_text("\n".join([*head, f"group g {least} centre far", "quorum g", ""]))
        assert verify_bundle.verify(made, path).exit_code == code, least
        if least in {"1", "all"}:
            assert by_shell(made, path) == code, least


# The one vocabulary, the one file


def test_the_words_are_those_of_custody():
    source = (ROOT / "ingestd/audit/verify_bundle.py").read_text("utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    used = {
        call.args[0].value
        for call in calls
        if ast.unparse(call.func) in {"Fault", "report.find", "report.judge"}
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }

    in_bundles = set(Verdict) - {Verdict.DISPOSED}  # what is gone is in no bundle
    assert set(verify_bundle.VERDICTS) == {word.value for word in in_bundles}
    assert used <= {word.value for word in (*in_bundles, *Finding)}
    for word in (*in_bundles, *Finding):
        report = verify_bundle.Report()
        report.entries = 1
        report.judge("verified", "x")
        report.find(word.value, "x", "x")
        verdicts = [word] if isinstance(word, Verdict) else []
        if word is not Verdict.VERIFIED:
            findings = [word] if isinstance(word, Finding) else []
            assert report.exit_code == outcome([Verdict.VERIFIED, *verdicts], findings), word


def test_the_file_for_auditors_is_this_one_and_needs_only_the_standard_library():
    ours, theirs = ROOT / "ingestd/audit/verify_bundle.py", ROOT / "docs/auditors/verify_bundle.py"
    tree = ast.parse(ours.read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert ours.read_bytes() == theirs.read_bytes(), "cp ingestd/audit/verify_bundle.py docs/auditors/"
    assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names
    compile(ours.read_text("utf-8"), "verify_bundle.py", "exec", dont_inherit=True)
    ast.parse(ours.read_text("utf-8"), feature_version=(3, 9))


def test_nobody_is_told_that_nothing_was_checked():
    assert verify_bundle.Report().exit_code == 2


def test_custody_errors_never_pass_through(bundle, policy):
    """The independent path shares no code with us, so none of our errors can come out of it."""
    for path in sorted((bundle / "custody").rglob("*.json"))[:3]:
        path.write_bytes(b"{}")
    try:
        assert verify_bundle.verify(bundle, policy).exit_code
    except CustodyError as error:  # pragma: no cover
        pytest.fail(str(error))

"""``ingestd audit prove``: a small folder that convinces without us, and nobody any more after one byte changed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from custody.log import entry_of
from ingestd.audit import verify_bundle
from ingestd.audit.verify_bundle import verify_proof
from tests.conftest import ROOT
from tests.fakes.audited import audited_world, ingestd
from tests.fakes.bundle import BundleWorld
from tests.fakes.bundle_forger import flip


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> BundleWorld:
    return audited_world(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def made(world) -> Path:
    said = ingestd(
        "audit", "prove", world.clips[0], "--out", world.folder / "proof", "--data-dir", world.folder, "--json"
    )
    assert (said.code, said.facts["ok"], said.facts["clip"]) == (0, True, world.clips[0])
    world.policy(world.folder / "policy.txt")
    return world.folder / "proof"


@pytest.fixture
def proof(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "proof"))


@pytest.fixture
def policy(world, made) -> Path:
    return world.folder / "policy.txt"


@pytest.fixture
def clip(world) -> Path:
    return world.store / next(name for name in world.station.store if world.clips[0] in name)


def check_sh(proof, *arguments):
    command = ["sh", "check.sh", *map(str, arguments)]
    return subprocess.run(command, cwd=proof, capture_output=True, text=True, check=False)


def verifier(*arguments):
    """The file for auditors, without our packages in sight."""
    script = ROOT / "docs" / "auditors" / "verify_bundle.py"
    command = [sys.executable, "-I", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode


def test_proof_tells_everything_about_the_clip_and_nothing_of_its_content(made, world):
    events = {
        json.loads(verify_bundle._payload(path.read_bytes()))["event"] for path in (made / "custody").rglob("*.json")
    }
    assert {"ingest.seen", "ingest.copied", "media.described", "station.entries", "central.verified"} <= events
    assert not (made / "data").exists()
    facts = json.loads((made / "proof.json").read_text())
    assert (facts["object"], facts["path"]) == (world.clips[0], "DCIM/1.MP4")


def test_public_tools_are_convinced_with_and_without_the_file(proof, clip):
    with_file, without = check_sh(proof, clip), check_sh(proof)
    assert (with_file.returncode, without.returncode) == (0, 0), with_file.stderr + without.stderr
    assert "文件就是该片段" in with_file.stdout
    assert "未比对文件" in without.stdout


def test_readme_holds_the_very_commands(made):
    commands = (made / "check.sh").read_text()
    for page in ("README.en.txt", "README.zh-CN.txt"):
        assert commands in (made / page).read_text()


def test_independent_verifier_is_convinced(proof, policy, clip):
    assert verifier(proof, "--proof", "--policy", policy) == 0
    assert verifier(proof, "--proof", "--policy", policy, "--file", clip) == 0
    assert ingestd("audit", "verify-bundle", proof, "--proof", "--policy", policy, "--file", clip).code == 0


def test_another_file_is_not_the_clip(proof, policy, clip, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(clip.read_bytes()[:-1] + b"x")

    assert check_sh(proof, other).returncode != 0
    assert verifier(proof, "--proof", "--policy", policy, "--file", other) == 1
    assert verifier(proof, "--proof", "--policy", policy, "--file", tmp_path / "absent") == 2
    assert ingestd("audit", "verify-bundle", proof, "--policy", policy, "--file", clip).code == 2


def test_any_file_that_was_altered_is_found(made, policy, tmp_path):
    names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    for number, name in enumerate(names):
        altered = Path(shutil.copytree(made, tmp_path / str(number)))
        flip(altered / name)
        assert verify_proof(altered, policy).exit_code != 0, name
        if name.suffix != ".sshsig":
            assert check_sh(altered).returncode != 0, name
        shutil.rmtree(altered)


def test_what_is_gone_or_added_is_found(proof, policy):
    (proof / "custody" / "stray.dsse.json").write_text("{}")
    assert verify_proof(proof, policy).exit_code == 1
    (proof / "custody" / "stray.dsse.json").unlink()
    (proof / "proof.json").unlink()
    assert verify_proof(proof, policy).exit_code == 1


def test_a_clip_that_two_entries_bring_has_no_proof(tmp_path):
    world = audited_world(tmp_path)
    entry = next(entry for entry in map(entry_of, world.station.entries) if entry.record.event == "ingest.copied")
    body = {key: entry.record.payload[key] for key in ("camera", "object", "source", "copy")}
    world.station.write("ingest.copied", **body)
    world.deliver()

    said = ingestd("audit", "prove", world.clips[0], "--out", tmp_path / "p", "--data-dir", world.folder)

    assert said.code != 0
    assert "2 entries bring the clip" in said.err
    assert not (tmp_path / "p").exists()


def test_receipt_of_another_content_is_found(proof, clip):
    """A centre that signed a receipt for something else: what a proof has to notice though every signature holds."""

    def entry(log, event, sha256, **more):
        stored = {"id": "x", "name": "n", "size": 1, "digests": {"sha256": sha256}}
        record = {"log": log, "seq": 0, "event": event, "object": stored, "time": {"utc_ms": 1}, **more}
        return verify_bundle.Entry(event, record, b"l" * 32, "")

    (proof / "proof.json").write_text('{"object":"x"}')
    brought = entry("c.example/s", "ingest.copied", "aa")
    place = {"log": "c.example/s", "seq": 0, "leaf": (b"l" * 32).hex()}
    for sha256, code in (("aa", 0), ("bb", 1)):
        report = verify_bundle.Report()
        report.entries = 2
        receipt = entry("c.example/centre", "central.verified", sha256, entry=place)
        verify_bundle._proven(report, proof, [brought, receipt], None, "c.example/centre")
        assert report.exit_code == code


def test_empty_folder_and_absent_policy_are_not_ok(proof, policy, tmp_path):
    (tmp_path / "empty").mkdir()
    assert verify_proof(tmp_path / "empty", policy).exit_code != 0
    assert verify_proof(proof, tmp_path / "absent").exit_code == 2


def test_unknown_clip_and_taken_name_are_exit_2(world, made):
    there = ["--out", made, "--data-dir", world.folder]
    assert ingestd("audit", "prove", world.clips[0], *there).code == 2
    strange = ingestd("audit", "prove", "no-clip", "--out", world.folder / "none", "--data-dir", world.folder)
    assert (strange.code, (world.folder / "none").exists()) == (2, False)


def test_log_that_is_not_as_signed_gives_no_proof(world, tmp_path):
    spoilt = BundleWorld(Path(shutil.copytree(world.folder, tmp_path / "c")), world.station, world.clips)
    path = spoilt.folder / "central" / "mirrors" / "station-01" / "entries.jsonl"
    data = bytearray(path.read_bytes())
    data[data.index(b'"sig":"') + 10] ^= 1
    path.write_bytes(data)

    said = ingestd("audit", "prove", world.clips[0], "--out", tmp_path / "p", "--data-dir", spoilt.folder)

    assert said.code == 1
    assert not (tmp_path / "p").exists()

"""Anchors in a bundle: an authority made of openssl and a witness, checked by openssl and by both verifiers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from custody.checkpoint import Checkpoint, cosign, parse_note, sign_checkpoint
from ingestd import premises, service
from ingestd.anchors.store import RFC3161, WITNESS, AnchorStore
from ingestd.audit import verify_bundle
from ingestd.keys import load_signer
from ingestd.logfiles import PosixLogFiles
from tests.conftest import ROOT
from tests.fakes.anchoring import OUTSIDER, OUTSIDER_KEY, OUTSIDER_NAME
from tests.fakes.bundle import BundleWorld, bundle_world
from tests.fakes.bundle_forger import flip, resign
from tests.rig.tsa import LocalTsa

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> LocalTsa:
    return LocalTsa(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tsa: LocalTsa) -> BundleWorld:
    """A centre whose log was anchored, and grew afterwards."""
    section = f'[anchors]\nwitnesses = ["{OUTSIDER_KEY.vkey()}"]\n{tsa.section("http://127.0.0.1:1/tsr")}'
    made = bundle_world(tmp_path_factory.mktemp("centre"), section)
    centre = service.build(made.config)
    centre.pipeline.checkpoint()
    centre.engine.dispose()
    note = PosixLogFiles(premises.log_folder(made.config, "centre")).get("checkpoint") or b""
    signed = parse_note(note)
    store, size = AnchorStore(made.folder / "central" / "anchors"), signed.checkpoint.size
    store.put_checkpoint(size, note)
    query = ["openssl", "ts", "-query", "-sha256", "-cert", "-data", str(store.folder / str(size) / "checkpoint")]
    asked = subprocess.run(query, capture_output=True, check=True)
    store.put(size, RFC3161, tsa.name, tsa.answer(asked.stdout))
    store.put(size, WITNESS, OUTSIDER_NAME, cosign(signed, OUTSIDER_NAME, OUTSIDER, 1_795_380_000))
    made.policy(made.folder / "policy.txt")
    made.export(made.folder / "made", *made.clips)
    return made


@pytest.fixture
def bundle(world: BundleWorld, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world.folder / "made", tmp_path / "bundle"))


def both(world: BundleWorld, bundle: Path, ca: Path) -> tuple[verify_bundle.Report, int]:
    policy = world.folder / "policy.txt"
    script = ROOT / "ingestd/audit/templates/verify.sh"
    shell = ["sh", str(script), "--policy", str(policy), "--tsa-ca", str(ca), str(bundle)]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return verify_bundle.verify(bundle, policy, ca), done.returncode


def words(report: verify_bundle.Report) -> set[str]:
    return {one["finding"] for one in report.findings}


def test_tokens_and_witnesses_are_said(world, bundle, tsa):
    report, by_shell = both(world, bundle, tsa.ca)

    assert (report.exit_code, by_shell) == (0, 0), report.findings
    assert any("stamped" in one for one in report.remarks)
    assert any(f"seen by {OUTSIDER_NAME} at 2026-11-22" in one for one in report.remarks)
    [token] = bundle.glob("anchors/*/*.tsr")
    assert tsa.accepts(token.with_name("checkpoint"), token)
    flip(token, -20)
    assert not tsa.accepts(token.with_name("checkpoint"), token)


def test_an_authority_nobody_named_is_no_anchor(world, bundle, tmp_path):
    report, by_shell = both(world, bundle, LocalTsa(tmp_path / "rogue").ca)

    assert (report.exit_code, by_shell) == (1, 1)
    assert words(report) == {"anchor-mismatch"}


def test_a_witness_of_another_past_is_no_anchor(world, bundle, tsa):
    [path] = bundle.glob("anchors/*/*.note")
    ours = parse_note(path.read_bytes()).checkpoint
    other = parse_note(sign_checkpoint(Checkpoint(ours.origin, ours.size, b"x" * 32), OUTSIDER))
    path.write_bytes(cosign(other, OUTSIDER_NAME, OUTSIDER, 1_795_380_000))
    resign(bundle, load_signer(world.config.keys.custody))

    report = verify_bundle.verify(bundle, world.folder / "policy.txt", tsa.ca)

    assert words(report) == {"anchor-mismatch"}


@pytest.mark.parametrize("part", ["*.tsr", "checkpoint", "consistency", "*.note"])
def test_an_altered_anchor_is_found_even_when_all_is_signed_anew(world, bundle, tsa, part):
    [path] = bundle.glob(f"anchors/*/{part}")
    if part == "checkpoint":
        origin, size, *rest = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join([origin, b"%d" % (int(size) - 1), *rest]))
    elif part == "consistency":
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    else:
        flip(path, -10 if part == "*.tsr" else path.read_bytes().rfind(b" ") + 30)
    resign(bundle, load_signer(world.config.keys.custody))

    report, by_shell = both(world, bundle, tsa.ca)

    assert words(report) & {"anchor-mismatch", "sig-bad", "unparsable"}
    assert report.exit_code
    assert by_shell or part == "*.note", "verify.sh leaves notes of witnesses to verify_bundle.py"

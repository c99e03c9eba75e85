"""Bundles of stations whose keys changed or were revoked, on our verifiers: Python, shell, and what they agree on."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from custody.checkpoint import NoteKey
from custody.signer import Ed25519Signer, VerifyKey
from ingestd import premises, service
from ingestd.audit import verify_bundle
from ingestd.audit.export import Exported
from ingestd.audit.export_house import house_of, order_of
from ingestd.audit.prove import prove
from ingestd.enrolment.decide import Approval, Revocation
from tests.fakes.audited import ingestd
from tests.fakes.bundle import BundleWorld, bundle_world
from tests.fakes.centre_station import FakeStation

pytestmark = pytest.mark.integration
NEXT = Ed25519Signer.from_seed(b"2" * 32)
TWO = ("007", "013")


def with_pipeline(world: BundleWorld, do):
    centre = service.build(world.config)
    try:
        centre.pipeline.start()
        done = do(centre.pipeline)
        centre.pipeline.checkpoint()
        return done
    finally:
        centre.engine.dispose()


@pytest.fixture
def world(tmp_path) -> BundleWorld:
    """A second key took over, and a third clip came by it."""
    made = bundle_world(tmp_path, station=FakeStation())
    asked = made.station.request(NEXT)
    with_pipeline(made, lambda p: p.approve(Approval(asked, TWO, "12345", "0f" * 32)))
    made.station.hand_over(NEXT)
    made.clips.append(made.station.copied(path="DCIM/3.MP4", content=b"by the next key" * 9))
    made.deliver()
    with_pipeline(made, lambda _: None)
    return made


def both(world: BundleWorld, done: Exported) -> tuple[set[str], int]:
    """Findings and exit code, on which the two verifiers must agree."""
    policy = world.policy(world.folder / "policy.txt")
    report = verify_bundle.verify(done.folder, policy)
    shell = subprocess.run(
        ["sh", str(done.folder / "verify.sh"), "--policy", str(policy), str(done.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = {one["finding"] for one in report.findings}
    theirs = {line.partition(": ")[0] for line in shell.stdout.splitlines() if line.partition(": ")[0] in WORDS}
    assert (theirs, shell.returncode) == (ours, report.exit_code), shell.stdout + shell.stderr + str(report.findings)
    return ours, report.exit_code


WORDS = {"key-review", "key-unknown", "sig-bad", "root-mismatch", "mirror-mismatch", "missing", "failed", "unrecorded"}


def test_clips_of_both_keys_are_verified(world):
    done = world.export(world.folder / "out", *world.clips)
    assert both(world, done) == (set(), 0)
    entries = sorted((done.folder / "custody/custody.example/station-01").iterdir())
    events = [json.loads(payload(path))["event"] for path in entries]
    assert events.count("key.enrolled") == 1
    names = {path.name for path in (done.folder / "keys/custody.example").iterdir()}
    assert f"station-01.{world.station.enrolled.note_key.key.keyid}.vkey" in names
    assert NEXT.verify_key() == parsed(done.folder / "keys/custody.example/station-01.vkey")


def parsed(path: Path) -> VerifyKey:
    return NoteKey.parse(path.read_text()).key


def payload(path: Path) -> bytes:
    return base64.b64decode(json.loads(path.read_bytes())["payload"])


def test_a_key_revoked_later_is_for_review_and_the_bundle_leaves_all_the_same(world):
    keyid = NEXT.verify_key().keyid
    with_pipeline(world, lambda p: p.revoke(Revocation("station-01", keyid, 1, "stolen", TWO, "keyCompromise")))
    done = world.export(world.folder / "out", *world.clips)
    assert both(world, done) == ({"key-review"}, 1)
    of_the_first = world.export(world.folder / "first", world.clips[0])
    assert both(world, of_the_first) == (set(), 0), "the first key's clip is none of this"


def test_a_proof_under_a_key_revoked_later_is_written_and_is_not_ok(world):
    keyid = NEXT.verify_key().keyid
    with_pipeline(world, lambda p: p.revoke(Revocation("station-01", keyid, 1, "stolen", TWO, "keyCompromise")))
    for clip, found, code in ((world.clips[0], set(), 0), (world.clips[-1], {"key-review"}, 1)):
        out = world.folder / f"proof-{clip}"
        said = ingestd("audit", "prove", clip, "--out", out, "--data-dir", world.folder, "--json")
        assert ({one["finding"] for one in said.facts["findings"]}, said.code) == (found, code), said.err
        assert out.is_dir()


def test_a_revocation_after_all_was_seen_changes_nothing(world):
    keyid = NEXT.verify_key().keyid
    later = Revocation("station-01", keyid, premises.SystemClock().now_ms() + 60_000, "superseded", TWO)
    with_pipeline(world, lambda p: p.revoke(later))
    assert both(world, world.export(world.folder / "out", *world.clips)) == (set(), 0)


def test_a_bundle_without_the_succession_or_without_the_approval_shows_no_right_key(world):
    done = world.export(world.folder / "out", *world.clips)
    policy = world.policy(world.folder / "policy.txt")
    for log in ("station-01", "centre"):
        for path in sorted((done.folder / "custody/custody.example" / log).iterdir()):
            record = json.loads(payload(path))
            if record["event"] == "key.enrolled":
                hidden = path.rename(world.folder / "hidden")
                report = verify_bundle.verify(done.folder, policy)
                assert report.exit_code == 1
                assert "key-unknown" in {one["finding"] for one in report.findings}
                hidden.rename(path)


def test_the_centres_own_next_key_counts_because_the_policy_names_it(world):
    from keystore.pem import new_pem, pem_signer  # noqa: PLC0415

    pem = new_pem("ed25519")
    place = world.folder / "central/keys/custody.next.pem"
    place.write_bytes(pem)
    place.chmod(0o600)
    old = world.policy(world.folder / "old.txt")
    with_pipeline(world, lambda p: p.hand_over([pem_signer(pem, "test", "file")], TWO))
    done = world.export(world.folder / "out", *world.clips)
    assert both(world, done) == (set(), 0)
    report = verify_bundle.verify(done.folder, old)
    assert {"sig-bad", "key-unknown"} <= {one["finding"] for one in report.findings}


def test_the_proof_of_a_clip_by_the_first_key_names_that_key(world):
    for clip in (world.clips[0], world.clips[2]):
        folder = world.folder / f"proof-{clip}"
        centre = service.build(world.config)
        order = order_of(world.config, [clip], "", "", mhl=False, proxies=False)
        done = prove(order, house_of(world.config, centre.pipeline), folder)
        centre.engine.dispose()
        assert done.report.exit_code == 0
        shell = subprocess.run(["sh", "check.sh"], cwd=folder, capture_output=True, text=True, check=False)
        assert shell.returncode == 0, shell.stdout + shell.stderr

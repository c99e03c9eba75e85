"""The pure parts of a bundle: trees and proofs, C4 and SSH signatures, pages; and profile gm in both directions."""

import hashlib
import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import JsonValue
from custody.merkle import consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency
from custody.signer import Ed25519Signer
from custody.sm2 import Sm2Signer
from ingestd.audit import export_pages, export_sign, verify_bundle
from ingestd.audit.export_mhl import c4_of
from ingestd.audit.export_proofs import Tree, hash_lines, tlog_proof
from keystore.pem import new_pem, pem_signer
from tests.conftest import ROOT
from tests.fakes.bundle import bundle_world
from tests.ingestd.test_profile import GmStation

SIGNER = Ed25519Signer.from_seed(b"s" * 32)
VECTORS = ROOT.parent / "shared" / "vectors" / "merkle"


def leaves_of(count):
    return [leaf_hash(b"%d" % number) for number in range(count)]


def checkpoint(size, node):
    return verify_bundle.Checkpoint("custody.example/centre", size, node, b"", [])


@given(size=st.integers(1, 70), data=st.data())
def test_proofs_of_the_kept_tree_are_those_of_custody_and_hold_by_the_other_verifier(size, data):
    leaves = leaves_of(size)
    tree, index = Tree(leaves), data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    path, growth = tree.inclusion(index), tree.consistency(old)

    assert tree.root() == root(leaves)
    assert path == inclusion_proof(leaves, index)
    assert growth == consistency_proof(leaves, old)
    assert verify_bundle.root_of(leaves[index], index, size, path) == tree.root()
    assert verify_bundle.continues(checkpoint(old, root(leaves[:old])), checkpoint(size, tree.root()), growth)
    assert verify_bundle.root_of(leaves[index], index, size, [*path, leaves[0]]) != tree.root()
    assert not path or verify_bundle.root_of(leaves[index], index, size, path[:-1]) != tree.root()
    assert verify_bundle.root_of(leaves[index], index + size, size, path) != tree.root()


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_the_other_verifier_judges_the_public_vectors_as_they_want(kind):
    if not VECTORS.is_dir():
        pytest.skip("no ../shared/vectors beside the project")
    paths = sorted((VECTORS / "testdata" / kind).rglob("*.json"))
    for path in paths:
        case = json.loads(path.read_text())
        assert judged(kind, case) is not case["wantErr"], path
    assert len(paths) == 98


def judged(kind, case):
    def hashes(name):
        return [verify_bundle._base64(one) for one in case[name] or []]

    if kind == "inclusion":
        [leaf], [wanted] = hashes_of(case["leafHash"]), hashes_of(case["root"])
        found = verify_bundle.root_of(leaf, case["leafIdx"], case["treeSize"], hashes("proof"))
        return len(leaf) == len(wanted) == 32 and found == wanted
    [first], [second] = hashes_of(case["root1"]), hashes_of(case["root2"])
    old, new = checkpoint(case["size1"], first), checkpoint(case["size2"], second)
    return verify_bundle.continues(old, new, hashes("proof"))


def hashes_of(text):
    return [verify_bundle._base64(text or "")]


def test_consistency_agrees_with_custody():
    leaves = leaves_of(9)
    proof = consistency_proof(leaves, 5)
    verify_consistency(5, 9, proof, root(leaves[:5]), root(leaves))

    assert verify_bundle.continues(checkpoint(5, root(leaves[:5])), checkpoint(9, root(leaves)), proof)
    assert not verify_bundle.continues(checkpoint(0, root([])), checkpoint(9, root(leaves)), [])
    assert not verify_bundle.continues(checkpoint(9, root(leaves)), checkpoint(5, root(leaves[:5])), proof)


def test_a_proof_in_text_reads_back():
    note = b"custody.example/x\n1\nAA==\n\n\xe2\x80\x94 x AAAAAAA=\n"
    index, path, read = verify_bundle.read_proof(tlog_proof(7, leaves_of(3), note))

    assert (index, path, read.encode()) == (7, leaves_of(3), note)
    assert hash_lines([]) == ""
    for wrong in (b"", b"c2sp.org/tlog-proof@v2\nindex 1\n\nx", b"c2sp.org/tlog-proof@v1\nindex 01\n\nx"):
        with pytest.raises(verify_bundle.Fault):
            verify_bundle.read_proof(wrong)


def test_c4_of_nothing_is_the_published_one():
    assert c4_of(hashlib.sha512(b"").digest()) == (
        "c459dsjfscH38cYeXXYogktxf4Cd9ibshE3BHUo6a58hBXmRQdZrAkZzsWcbWtDg5oQstpDuni4Hirj75GEmTc1sFT"
    )


def test_an_ssh_signature_has_one_spelling():
    key = verify_bundle.Key("x", 1, SIGNER.public_key())
    good = export_sign.sshsig(SIGNER, b"message")

    assert verify_bundle._is_sshsig(key, good, b"message")
    assert not verify_bundle._is_sshsig(key, good, b"other")
    for wrong in (good + b"\n", good[:-1], good.replace(b"SSH SIGNATURE", b"SSH SIGNATURe", 1), b"", b"\n\n\n"):
        assert not verify_bundle._is_sshsig(key, wrong, b"message")


@pytest.mark.parametrize("suite", ["ed25519", "sm2-sm3", "ecdsa-p256-sha256"])
def test_the_other_verifier_knows_every_suite(tmp_path, suite):
    signer = Sm2Signer.generate() if suite == "sm2-sm3" else pem_signer(new_pem(suite), "test", "test")
    key = verify_bundle.Key("x", 1 if suite == "ed25519" else 255, signer.public_key(), suite)
    signature = signer.sign(b"message")

    assert verify_bundle.made(key, signature, b"message")
    assert not verify_bundle.made(key, signature, b"massage")
    assert not verify_bundle.made(key, signature[:-1] + bytes([signature[-1] ^ 1]), b"message")


def test_a_gm_station_must_have_signed_with_sm2_too(tmp_path):
    (tmp_path / "world").mkdir()
    world = bundle_world(tmp_path / "world", station=GmStation())
    policy = world.policy(tmp_path / "policy.txt")
    bundle = world.export(tmp_path / "bundle", *world.clips).folder
    assert verify_bundle.verify(bundle, policy).exit_code == 0

    other = GmStation(seed=2).enrolled.second_key
    assert other is not None
    lines = [
        f"log {other.vkey()}" if line.split()[1].find(".sm3+") > 0 else line for line in policy.read_text().splitlines()
    ]
    policy.write_text("\n".join([*lines, ""]))

    report = verify_bundle.verify(bundle, policy)
    assert report.exit_code == 1
    assert {one["finding"] for one in report.findings} >= {"sig-bad"}
    shell = ["sh", str(bundle / "verify.sh"), "--trust-bag", str(bundle)]
    assert subprocess.run(shell, capture_output=True, check=False).returncode == 0


def test_pages_take_what_people_and_recorders_wrote_as_text():
    facts: dict[str, JsonValue] = {
        "type": "bwc.bundle/v1",
        **dict.fromkeys(("id", "centre", "key", "case", "reason", "operator", "host", "tool"), "<b>\x1b[2J"),
        "made_ms": 1_795_226_400_000,
        "manifest_sha256": "00",
        "files": 0,
        "bytes": 0,
        "logs": [],
        "clips": [],
    }
    for name, page in export_pages.pages(facts, "Asia/Shanghai").items():
        text = page.decode()
        assert "<b>" not in text or name.endswith(".txt")
        assert "2026-11-21 10:00:00 CST (UTC+0800)" in text

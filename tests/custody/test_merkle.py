import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody import merkle
from custody.errors import ContractError, ProofError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "merkle" / "testdata"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the public proof vectors are not beside the project")

# Leaves and roots 0..8 of the tree that certificate-transparency implementations share as their example.
LEAVES = [
    bytes.fromhex(h)
    for h in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves):
    """RFC 6962 §2.1, written as the recursion it is."""
    if not leaves:
        return merkle.sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return merkle.sha256(b"\x01" + naive_root(leaves[:half]) + naive_root(leaves[half:]))


def some_leaves(count):
    return [merkle.leaf_hash(b"%d" % i) for i in range(count)]


def test_roots_of_the_example_tree():
    hashes = [merkle.leaf_hash(leaf) for leaf in LEAVES]
    assert [merkle.root(hashes[:n]).hex() for n in range(9)] == ROOTS


@pytest.mark.parametrize("size", range(66))
def test_the_compact_range_is_the_recursion(size):
    assert merkle.root(some_leaves(size)) == naive_root(some_leaves(size))


@needs_vectors
def test_all_public_vectors_are_judged_as_wanted():
    paths = sorted(VECTORS.rglob("*.json"))
    assert len(paths) == 196
    for path in paths:
        vector = json.loads(path.read_text())
        assert holds(vector) is not vector["wantErr"], path.name


def holds(vector):
    def bytes_of(text):
        return base64.b64decode(text) if text else b""

    proof = [bytes_of(node) for node in vector["proof"] or []]
    try:
        if "size1" in vector:
            roots = bytes_of(vector["root1"]), bytes_of(vector["root2"])
            merkle.verify_consistency(vector["size1"], vector["size2"], proof, *roots)
        else:
            leaf, root = bytes_of(vector["leafHash"]), bytes_of(vector["root"])
            merkle.verify_inclusion(leaf, vector["leafIdx"], vector["treeSize"], proof, root)
    except ProofError:
        return False
    return True


@given(st.integers(1, 70), st.data())
def test_every_proof_we_make_holds_and_no_changed_one_does(size, data):
    leaves = some_leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(leaves, index)
    merkle.verify_inclusion(leaves[index], index, size, proof, merkle.root(leaves))
    old = data.draw(st.integers(1, size))
    path = merkle.consistency_proof(leaves, old)
    merkle.verify_consistency(old, size, path, merkle.root(leaves[:old]), merkle.root(leaves))
    if proof:
        at, bit = data.draw(st.integers(0, len(proof) * 32 - 1)), data.draw(st.integers(0, 7))
        with pytest.raises(ProofError):
            merkle.verify_inclusion(leaves[index], index, size, flipped(proof, at, bit), merkle.root(leaves))
    if path:
        at, bit = data.draw(st.integers(0, len(path) * 32 - 1)), data.draw(st.integers(0, 7))
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, size, flipped(path, at, bit), merkle.root(leaves[:old]), merkle.root(leaves))


def flipped(proof, at, bit):
    changed = bytearray(b"".join(proof))
    changed[at] ^= 1 << bit
    return [bytes(changed[i : i + 32]) for i in range(0, len(changed), 32)]


@pytest.mark.parametrize(("old", "new", "extra"), [(0, 0, 0), (0, 4, 0), (5, 4, 0), (4, 4, 1), (3, 7, 1), (4, 7, 1)])
def test_impossible_sizes_and_wrong_lengths_are_refused(old, new, extra):
    leaves = some_leaves(8)
    proof = merkle.consistency_proof(leaves[:new], old) if 0 < old < new else []
    with pytest.raises(ProofError):
        merkle.verify_consistency(
            old, new, [*proof, *[leaves[0]] * extra], merkle.root(leaves[:old]), merkle.root(leaves[:new])
        )


def test_other_roots_at_equal_sizes_and_other_hash_lengths_are_refused():
    leaves = some_leaves(4)
    with pytest.raises(ProofError, match="equal roots"):
        merkle.verify_consistency(4, 4, [], merkle.root(leaves), leaves[0])
    with pytest.raises(ProofError, match="32 bytes"):
        merkle.verify_consistency(2, 4, [b"short"], merkle.root(leaves), leaves[0])
    with pytest.raises(ProofError, match="32 bytes"):
        merkle.verify_inclusion(b"short", 0, 1, [], b"short")
    with pytest.raises(ProofError, match="outside"):
        merkle.verify_inclusion(leaves[0], 4, 4, [], leaves[0])


def test_asking_for_what_is_not_there_is_our_own_fault():
    with pytest.raises(ContractError):
        merkle.inclusion_proof(some_leaves(3), 3)
    with pytest.raises(ContractError):
        merkle.consistency_proof(some_leaves(3), 0)
    with pytest.raises(ContractError):
        merkle.CompactRange().extend([b"short"])


def test_the_same_tree_stands_over_another_hash():
    def blake(data):
        import hashlib  # noqa: PLC0415  # only this test wants it

        return hashlib.blake2s(data).digest()

    leaves = [merkle.leaf_hash(b"%d" % i, blake) for i in range(7)]
    proof = merkle.inclusion_proof(leaves, 4, blake)
    merkle.verify_inclusion(leaves[4], 4, 7, proof, merkle.root(leaves, blake), blake)
    path = merkle.consistency_proof(leaves, 3, blake)
    merkle.verify_consistency(3, 7, path, merkle.root(leaves[:3], blake), merkle.root(leaves, blake), blake)

"""The vectors of profile gm, read with nothing but the standard library and the openssl command, as FORMAT.md says."""

import base64
import copy
import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from custody.errors import EvidenceError
from fixtures import vectors_gm

FOUND = json.loads(vectors_gm.PATH.read_text("utf-8"))
CLIP = b"not a real clip, but real bytes\n"


def sm3(data):
    return hashlib.new("sm3", data).digest()


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sm3(b"\x01" + root(leaves[:middle]) + root(leaves[middle:]))


def openssl_accepts(folder: Path, message: bytes, signature: bytes) -> bool:
    for name, data in (("message", message), ("signature", signature), ("key.der", FOUND["sm2_public_key_der"])):
        (folder / name).write_bytes(bytes.fromhex(data) if isinstance(data, str) else data)
    command = ["openssl", "dgst", "-sm3", "-verify", "key.der", "-keyform", "DER", "-signature", "signature"]
    command += ["-sigopt", "distid:1234567812345678", "message"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_the_committed_vectors_hold():
    assert vectors_gm.holds(FOUND)


@pytest.mark.parametrize("name", [name for name in FOUND if name != "entries"])
def test_a_changed_vector_does_not_hold(name):
    changed = copy.deepcopy(FOUND)
    changed[name] = changed[name][::-1]
    if name.startswith("checkpoint"):
        with pytest.raises(EvidenceError):
            vectors_gm.holds(changed)
    else:
        assert not vectors_gm.holds(changed)


def test_the_sm3_tree_is_over_the_same_entry_bytes():
    entries = [entry.encode() for entry in FOUND["entries"]]
    leaves = [sm3(b"\x00" + entry) for entry in entries]
    assert [leaf.hex() for leaf in leaves] == FOUND["leaves_sm3"]
    origin, size, claimed, *_ = FOUND["checkpoint_sm3"].split("\n")
    assert (origin, size) == ("custody.example/station-07.sm3", "3")
    assert base64.b64decode(claimed) == root(leaves)
    [payload] = [json.loads(base64.b64decode(json.loads(entries[1])["payload"]))]
    assert payload["object"]["digests"] == {"sha256": hashlib.sha256(CLIP).hexdigest(), "sm3": sm3(CLIP).hex()}


def test_openssl_accepts_the_second_signature_of_every_entry(tmp_path):
    for entry in map(json.loads, FOUND["entries"]):
        payload, kind = base64.b64decode(entry["payload"]), entry["payloadType"].encode()
        pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        [second] = [s for s in entry["signatures"] if s["keyid"].startswith("sm2:")]
        assert second["keyid"] == FOUND["sm2_keyid"]
        signature = base64.b64decode(second["sig"])
        assert openssl_accepts(tmp_path, pae, signature)
        assert not openssl_accepts(tmp_path, pae + b"!", signature)


def test_openssl_accepts_the_second_note(tmp_path):
    body, _, line = FOUND["checkpoint_sm3"].partition("\n\n")
    _, name, blob = line.strip().split(" ")
    point = bytes.fromhex(FOUND["sm2_public_key_der"])[-65:]
    data = base64.b64decode(blob)
    assert data[:4] == hashlib.sha256(name.encode() + b"\n\xffsm2-sm3" + point).digest()[:4]
    assert FOUND["station_vkey_sm3"].split("+", 2)[:2] == [name, data[:4].hex()]
    assert openssl_accepts(tmp_path, body.encode() + b"\n", data[4:])
    assert not openssl_accepts(tmp_path, body.encode(), data[4:])

"""The witness in another organisation: what it signs, what it refuses, what it remembers."""

import base64
import json

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.checkpoint import Checkpoint, parse_note, sign_checkpoint
from custody.errors import ProofError
from custody.merkle import consistency_proof, leaf_hash, root, verify_consistency
from ingestd.anchors.decide import witness_accepts
from ingestd.anchors.source import FileSource
from ingestd.anchors.witness import Witness
from ingestd.errors import AnchorError, ConfigError, StateError, TokenError
from ingestd.web.app import create_app
from tests.fakes.anchoring import (
    CENTRE_KEY,
    ORIGIN,
    OUTSIDER,
    OUTSIDER_KEY,
    OUTSIDER_NAME,
    SIGNER,
    Site,
)
from tests.fakes.web_queries import FakeMedia, FakeQueries

T = 1_795_380_000


class Direct:
    """A source that hands over what the centre publishes; ``proof`` replaces its proof."""

    def __init__(self, site, proof=None):
        self.site, self.proof = site, proof

    def checkpoint(self):
        return self.site.centre.checkpoint().note

    def consistency(self, start, stop):
        return self.proof if self.proof is not None else self.site.published.consistency(start, stop)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "centre")
    made.centre.grow(3)
    return made


@pytest.fixture
def witness(tmp_path):
    return Witness(tmp_path / "state", CENTRE_KEY, OUTSIDER_NAME, OUTSIDER)


def another_past(tmp_path, entries):
    other = Site(tmp_path / f"other-{entries}")
    other.centre.grow(entries, reason="rewritten")
    return other


def test_what_only_grew_is_cosigned_each_time(site, witness):
    first = witness.vouch(Direct(site), T)
    assert (first.size, first.before) == (3, None)
    site.centre.grow(4)
    second = witness.vouch(Direct(site), T + 60)
    assert (second.size, second.before) == (7, 3)
    times = parse_note(second.note).verify([CENTRE_KEY, OUTSIDER_KEY])
    assert times == {ORIGIN: 0, OUTSIDER_NAME: T + 60}


def test_the_same_checkpoint_may_be_cosigned_again(site, witness):
    witness.vouch(Direct(site), T)
    assert witness.vouch(Direct(site), T + 9).before == 3


def test_the_centre_takes_the_cosigned_note_in(site, witness):
    note = witness.vouch(Direct(site), site.centre.clock.ms // 1000).note
    assert site.anchorer().add_witness(note, [CENTRE_KEY])


@pytest.mark.parametrize(("entries", "finding"), [(2, "log-truncated"), (3, "log-forked"), (8, "log-forked")])
def test_rollback_and_fork_are_refused_remembered_and_never_signed(tmp_path, site, witness, entries, finding):
    witness.vouch(Direct(site), T)
    forked = another_past(tmp_path, entries)
    with pytest.raises(TokenError) as refused:
        witness.vouch(Direct(forked), T + 1)
    assert refused.value.finding == finding
    [evidence] = (tmp_path / "state" / "refused").iterdir()
    assert evidence.read_bytes() == forked.centre.checkpoint().note
    assert (tmp_path / "state" / "latest").read_bytes() == site.centre.checkpoint().note
    site.centre.grow()
    assert witness.vouch(Direct(site), T + 2).before == 3, "the true log is still vouched for"


def test_a_fork_is_refused_by_a_new_process_too(tmp_path, site, witness):
    witness.vouch(Direct(site), T)
    again = Witness(tmp_path / "state", CENTRE_KEY, OUTSIDER_NAME, OUTSIDER)
    with pytest.raises(TokenError, match="does not continue"):
        again.vouch(Direct(another_past(tmp_path, 9)), T)


def test_it_remembers_before_it_signs(tmp_path, site):
    class Dies(type(OUTSIDER)):
        def sign(self, message):  # noqa: ARG002  # the interface
            raise OSError("killed while signing")

    dying = Witness(tmp_path / "state", CENTRE_KEY, OUTSIDER_NAME, Dies.from_seed(b"o" * 32))
    with pytest.raises(OSError, match="killed"):
        dying.vouch(Direct(site), T)
    after = Witness(tmp_path / "state", CENTRE_KEY, OUTSIDER_NAME, OUTSIDER)
    with pytest.raises(TokenError, match="does not continue"):
        after.vouch(Direct(another_past(tmp_path, 9)), T)


def test_a_lost_memory_is_not_taken_for_a_first_time(tmp_path, site, witness):
    witness.vouch(Direct(site), T)
    (tmp_path / "state" / "latest").unlink()
    with pytest.raises(StateError, match="has vouched before"):
        witness.vouch(Direct(site), T)


def test_a_spoilt_memory_stops(tmp_path, site, witness):
    witness.vouch(Direct(site), T)
    (tmp_path / "state" / "latest").write_bytes(b"x")
    with pytest.raises(StateError, match="cannot be used"):
        witness.vouch(Direct(site), T)


@pytest.mark.parametrize("proof", [[], [b"x" * 32], [b"x" * 32] * 3])
def test_a_wrong_proof_is_a_fork(site, witness, proof):
    witness.vouch(Direct(site), T)
    site.centre.grow(4)
    with pytest.raises(TokenError) as refused:
        witness.vouch(Direct(site, proof), T)
    assert refused.value.finding == "log-forked"


def test_what_the_centre_did_not_sign_is_refused(tmp_path, site, witness):
    other = sign_checkpoint(Checkpoint(ORIGIN, 3, b"r" * 32), OUTSIDER)
    direct = Direct(site)
    for note, finding in ((other, "key-unknown"), (b"nonsense", "unparsable")):
        direct.checkpoint = lambda note=note: note
        with pytest.raises(TokenError) as refused:
            witness.vouch(direct, T)
        assert refused.value.finding == finding
    assert not (tmp_path / "state" / "latest").exists()


def test_a_checkpoint_of_another_log_by_the_same_key_is_refused(site, witness):
    """Under the other log's name the key is unknown; under its own it vouches for another log."""
    other = Checkpoint("custody.example/other", 3, b"r" * 32)
    blob = base64.b64encode(CENTRE_KEY.key_hash() + SIGNER.sign(other.body())).decode()
    borrowed = other.body() + f"\n\u2014 {ORIGIN} {blob}\n".encode()
    direct = Direct(site)
    for note, finding in ((sign_checkpoint(other, SIGNER), "key-unknown"), (borrowed, "log-forked")):
        direct.checkpoint = lambda note=note: note
        with pytest.raises(TokenError) as refused:
            witness.vouch(direct, T)
        assert refused.value.finding == finding


def test_the_centres_own_key_is_no_witness(tmp_path):
    with pytest.raises(ConfigError, match="a key of its own"):
        Witness(tmp_path, CENTRE_KEY, OUTSIDER_NAME, SIGNER)


def test_an_empty_log_may_grow_into_anything(tmp_path, witness):
    empty = Site(tmp_path / "empty")
    witness.vouch(Direct(empty), T)
    empty.centre.grow(5)
    assert witness.vouch(Direct(empty), T).before == 0


def test_another_origin_is_a_fork():
    with pytest.raises(TokenError) as refused:
        witness_accepts(Checkpoint("a/b", 1, b"r" * 32), Checkpoint("a/c", 1, b"r" * 32), [])
    assert refused.value.finding == "log-forked"


def test_no_size_zero_but_the_empty_tree():
    with pytest.raises(TokenError):
        witness_accepts(Checkpoint("a/b", 0, b"r" * 32), Checkpoint("a/b", 1, b"s" * 32), [])


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(max_examples=150)
def test_a_witness_accepts_exactly_what_only_grew(old, new, forged):
    leaves = [leaf_hash(bytes([number])) for number in range(max(old, new))]
    seen = [leaf_hash(b"forged"), *leaves[1:new]] if forged else leaves[:new]
    last, now = Checkpoint("a/b", old, root(leaves[:old])), Checkpoint("a/b", new, root(seen))
    proof = consistency_proof(seen, old) if old <= new else []
    if not forged and old <= new:
        witness_accepts(last, now, proof)
        return
    with pytest.raises(TokenError) as refused:
        witness_accepts(last, now, proof)
    assert refused.value.finding == ("log-truncated" if new < old else "log-forked")


class TestPublication:
    @pytest.fixture
    def published(self, tmp_path, site):
        """A stick with what the centre publishes for a witness that last saw three entries."""
        site.centre.checkpoint()
        site.centre.grow(4)
        site.centre.checkpoint()
        (tmp_path / "stick").mkdir()
        (tmp_path / "stick" / "checkpoint.json").write_bytes(site.published.publication([3]))
        return tmp_path / "stick"

    def test_a_stick_is_enough(self, witness, published):
        old = Site(published.parent / "old")
        old.centre.grow(3)
        witness.vouch(Direct(old), T)
        assert witness.vouch(FileSource(published), T).size == 7

    def test_a_file_is_as_good_as_its_folder(self, witness, published):
        assert witness.vouch(FileSource(published / "checkpoint.json"), T).size == 7

    def test_a_missing_proof_is_not_a_fork_but_nothing_checked(self, tmp_path, witness, published):
        old = Site(tmp_path / "two")
        old.centre.grow(2)
        witness.vouch(Direct(old), T)
        with pytest.raises(TokenError, match="--since 2") as refused:
            witness.vouch(FileSource(published), T)
        assert refused.value.finding == "nothing-checked"

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{}", b'{"checkpoint":7}', b'{"checkpoint":"x"}', b"\xff", b"[" * 100_000]
    )
    def test_nonsense_is_unparsable(self, witness, published, content):
        (published / "checkpoint.json").write_bytes(content)
        with pytest.raises(TokenError) as refused:
            witness.vouch(FileSource(published), T)
        assert refused.value.finding == "unparsable"

    @pytest.mark.parametrize("proof", ["x", [7], ["!"], {"a": 1}, [None]])
    def test_a_proof_of_nonsense_is_unparsable(self, published, proof):
        content = json.loads((published / "checkpoint.json").read_text())
        content["consistency"]["3"] = proof
        (published / "checkpoint.json").write_text(json.dumps(content))
        with pytest.raises(TokenError) as refused:
            FileSource(published).consistency(3, 7)
        assert refused.value.finding == "unparsable"

    def test_an_absent_stick_is_no_answer(self, tmp_path, witness):
        with pytest.raises(AnchorError, match="cannot be read"):
            witness.vouch(FileSource(tmp_path / "absent"), T)


class TestPages:
    @pytest.fixture
    def visitor(self, site):
        return TestClient(create_app(FakeQueries(), FakeMedia(), published=site.published))

    def test_checkpoint_and_proof_are_served(self, site, visitor):
        assert visitor.get("/api/v1/log/checkpoint").status_code == 404
        note = site.centre.checkpoint().note
        assert visitor.get("/api/v1/log/checkpoint").content == note
        answer = visitor.get("/api/v1/log/consistency?from=2&to=3").json()
        proof = [base64.b64decode(node) for node in answer["proof"]]
        new_root = parse_note(note).checkpoint.root
        verify_consistency(2, 3, proof, site.published.root_at(2), new_root)
        with pytest.raises(ProofError):
            verify_consistency(2, 3, proof, site.published.root_at(1), new_root)

    @pytest.mark.parametrize("asked", ["from=0&to=3", "from=3&to=2", "from=1&to=4", "from=x&to=3", "to=3"])
    def test_sizes_that_the_log_has_not_are_refused(self, visitor, asked):
        assert visitor.get(f"/api/v1/log/consistency?{asked}").status_code == 400

    def test_without_a_log_there_are_no_such_pages(self):
        plain = TestClient(create_app(FakeQueries(), FakeMedia()))
        assert plain.get("/api/v1/log/checkpoint").status_code == 404

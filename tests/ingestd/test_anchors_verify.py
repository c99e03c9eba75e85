"""Anchors against the log as it is now: what an insider cannot make fit again."""

import hashlib
import shutil
import time
from dataclasses import replace

import pytest

from custody.checkpoint import NoteKey, cosign, parse_note, sign_checkpoint
from custody.signer import Ed25519Signer
from custody.verdicts import Finding, Outcome, Verdict
from ingestd.anchors.decide import Schedule
from ingestd.anchors.store import AnchorStore
from ingestd.anchors.verify import Subject, verify
from tests.fakes.anchoring import (
    CENTRE_KEY,
    HOUR_MS,
    OUTSIDER,
    OUTSIDER_KEY,
    OUTSIDER_NAME,
    SCHEDULE,
    SIGNER,
    FakeTsa,
    Site,
)
from tests.rig.tsa import LocalTsa


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def site(tmp_path, local):
    """A log of three entries, anchored by an authority and by a witness, and grown since."""
    made = Site(tmp_path, [FakeTsa(local)])
    made.centre.clock.ms = time.time_ns() // 1_000_000
    made.centre.grow(3)
    made.anchorer().round()
    made.anchorer().add_witness(cosigned(made), [CENTRE_KEY])
    made.centre.grow(2)
    made.centre.checkpoint()
    return made


def cosigned(site):
    return cosign(parse_note(site.centre.checkpoint().note), OUTSIDER_NAME, OUTSIDER, site.centre.clock.ms // 1000)


def subject(site, **other):
    usual = {
        "files": site.centre.files,
        "keys": [CENTRE_KEY],
        "stores": [site.store],
        "trusts": {"tsa-a": site.tsas[0].trust} if site.tsas else {},
        "witnesses": [OUTSIDER_KEY],
        "schedule": SCHEDULE,
        "now_ms": site.centre.clock.ms,
    }
    return Subject(**{**usual, **other})


def findings(report):
    return {finding for finding, _ in report.findings}


def rewritten(tmp_path, site, entries=7):
    """The same centre after an insider with its key made another past, of the given length."""
    other = Site(tmp_path / "rewritten", site.tsas)
    other.centre.clock.ms = site.centre.clock.ms
    other.centre.grow(entries, reason="rewritten")
    other.centre.checkpoint()
    return other


def test_all_is_well(site):
    report = verify(subject(site))
    assert report.outcome is Outcome.OK
    assert [(one.size, one.kind, one.verdict) for one in report.anchors] == [
        (3, "rfc3161", Verdict.VERIFIED),
        (4, "witness", Verdict.VERIFIED),
    ]
    assert report.as_json()["ok"] is True
    assert report.as_json()["caveat"] is None


def test_nothing_to_check_is_never_well(tmp_path, site):
    report = verify(subject(site, stores=[AnchorStore(tmp_path / "nowhere")], schedule=None))
    assert report.outcome is not Outcome.OK
    empty = Site(tmp_path / "empty")
    report = verify(subject(empty, schedule=None, trusts={}))
    assert report.outcome is Outcome.COULD_NOT_CHECK
    assert findings(report) == {Finding.NOTHING_CHECKED}
    assert report.as_json()["caveat"]["en"].startswith("No anchor outside")


def test_a_log_made_anew_by_the_holder_of_every_key_is_caught_by_the_anchors(tmp_path, site):
    """Attack 15: without the anchor nothing would tell."""
    other = rewritten(tmp_path, site)
    with_anchors = verify(subject(other, stores=[site.store]))
    assert with_anchors.outcome is Outcome.NOT_AS_RECORDED
    assert Finding.ANCHOR_MISMATCH in findings(with_anchors)
    assert {one.verdict for one in with_anchors.anchors} == {Verdict.FAILED}
    without = verify(subject(other, stores=[AnchorStore(tmp_path / "none")], schedule=None))
    assert findings(without) == {Finding.NOTHING_CHECKED}, "missed, as documented; but never called well"


def test_an_insider_who_also_anchors_anew_is_caught_by_the_copy_that_others_kept(tmp_path, site):
    shutil.copytree(site.store.folder, tmp_path / "copy")
    other = rewritten(tmp_path, site)
    other.anchorer().round()
    assert verify(subject(other)).outcome is Outcome.OK, "his own anchors fit his own past"
    report = verify(subject(other, stores=[other.store, AnchorStore(tmp_path / "copy")]))
    assert report.outcome is Outcome.NOT_AS_RECORDED
    assert Finding.ANCHOR_MISMATCH in findings(report)


def test_a_log_cut_below_an_anchor_is_truncated(tmp_path, site):
    """Attack 13."""
    site.centre.files.data = site.centre.files.data[: bytes(site.centre.files.data).index(b"\n") + 1]
    del site.centre.files.small["checkpoint"]
    report = verify(subject(site))
    assert {Finding.ANCHOR_MISMATCH, Finding.LOG_TRUNCATED} <= findings(report)


def test_a_log_shorter_than_its_own_checkpoint_is_truncated(site):
    data = bytes(site.centre.files.data)
    site.centre.files.data = bytearray(data[: data.rstrip(b"\n").rindex(b"\n") + 1])
    assert findings(verify(subject(site))) == {Finding.LOG_TRUNCATED}


def test_a_centre_that_works_meanwhile_is_no_finding(site):
    class Growing:
        """The log is anchored and signed anew just before it is read."""

        def get(self, name):
            note = site.centre.files.get(name)
            site.centre.clock.ms += 25 * HOUR_MS
            site.anchorer().round()
            site.centre.clock.ms -= 25 * HOUR_MS
            site.centre.checkpoint()
            return note

        def read(self, offset):
            data = b"".join(site.centre.files.read(offset))
            site.centre.grow()
            site.centre.checkpoint()
            yield data

    site.centre.grow()
    report = verify(subject(site, files=Growing()))
    assert len(site.store.kept()) == 3, "one more than there was at the beginning"
    assert findings(report) - {Finding.TIME_REGRESSION} == set()


def test_an_unreadable_entry_is_told(site):
    site.centre.files.data[5:6] = b"\x00"
    report = verify(subject(site))
    assert Finding.UNPARSABLE in findings(report)
    assert report.outcome is Outcome.NOT_AS_RECORDED


@pytest.mark.parametrize("name", ["tsa-a.tsr", "checkpoint"])
def test_no_byte_of_token_or_checkpoint_can_change(site, name):
    path = site.store.folder / "3" / name
    good = path.read_bytes()
    for place in range(0, len(good), 7 if name == "tsa-a.tsr" else 3):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert verify(subject(site)).outcome is not Outcome.OK, place
    path.write_bytes(good)
    assert verify(subject(site)).outcome is Outcome.OK


def test_no_byte_of_a_witness_note_can_change(site):
    path = site.store.folder / "4" / "procuratorate.example_witness.note"
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert verify(subject(site)).outcome is not Outcome.OK, place


def test_a_token_nobody_logged_is_judged_all_the_same(tmp_path, site, local):
    """A crash leaves one; some bytes of a reply no signature covers, and only the digest in the log does."""
    fresh = AnchorStore(tmp_path / "fresh")
    note = site.centre.checkpoint().note
    size = site.centre.checkpoint().checkpoint.size
    fresh.put_checkpoint(size, note)
    token = site.tsas[0].ask(size, note)
    fresh.put(size, "rfc3161", "tsa-a", token)
    assert verify(subject(site, stores=[site.store, fresh])).outcome is Outcome.OK
    (fresh.folder / str(size) / "tsa-a.tsr").write_bytes(token[:-1] + bytes([token[-1] ^ 1]))
    assert verify(subject(site, stores=[site.store, fresh])).outcome is Outcome.NOT_AS_RECORDED


@pytest.mark.parametrize("name", ["tsa-a.tsr", "checkpoint"])
def test_what_is_gone_is_missing(site, name):
    (site.store.folder / "3" / name).unlink()
    report = verify(subject(site))
    if name == "tsa-a.tsr":
        assert Finding.ANCHOR_MISSING in findings(report)
        assert report.outcome is Outcome.NOT_AS_RECORDED
    else:
        assert report.anchors[0].verdict is Verdict.UNREADABLE
        assert report.outcome is Outcome.COULD_NOT_CHECK


def test_a_hole_in_the_series_is_missing_and_so_is_its_end(site):
    """A rewritten log can be anchored again now, but not then."""
    strict = Schedule(HOUR_MS, 0, HOUR_MS)
    assert findings(verify(subject(site, schedule=strict))) == set()
    late = verify(subject(site, schedule=strict, now_ms=site.centre.clock.ms + 2 * HOUR_MS))
    assert findings(late) == {Finding.ANCHOR_MISSING}
    site.centre.clock.ms += 5 * HOUR_MS
    site.anchorer().add_witness(cosigned(site), [CENTRE_KEY])
    report = verify(subject(site, schedule=strict))
    assert [finding for finding, _ in report.findings] == [Finding.ANCHOR_MISSING]
    assert "no anchor for 5 h" in report.findings[0][1] or "no anchor for 4 h" in report.findings[0][1]


def test_configured_and_not_one_there_is_missing(tmp_path, site):
    report = verify(subject(site, stores=[AnchorStore(tmp_path / "none")]))
    assert findings(report) == {Finding.ANCHOR_MISSING, Finding.NOTHING_CHECKED}
    assert report.outcome is Outcome.NOT_AS_RECORDED


def test_anchors_of_somebody_not_configured_are_not_checked(site):
    report = verify(subject(site, trusts={}, witnesses=[], schedule=None))
    assert {one.verdict for one in report.anchors} == {Verdict.UNCHECKED}
    assert report.outcome is Outcome.COULD_NOT_CHECK


def test_another_authority_of_the_same_name_does_not_do(site, tmp_path):
    impostor = LocalTsa(tmp_path / "impostor")
    report = verify(subject(site, trusts={"tsa-a": impostor.trust()}))
    assert report.anchors[0].verdict is Verdict.FAILED
    assert Finding.ANCHOR_MISMATCH in findings(report)


def test_another_centres_key_does_not_do(site):
    other = NoteKey(CENTRE_KEY.name, Ed25519Signer.from_seed(b"x" * 32).verify_key())
    assert Finding.KEY_UNKNOWN in findings(verify(subject(site, keys=[other])))


def test_an_anchor_under_a_wrong_size_is_a_mismatch(site):
    (site.store.folder / "3").rename(site.store.folder / "2")
    assert Finding.ANCHOR_MISMATCH in findings(verify(subject(site)))


def test_a_witness_beside_another_checkpoint_is_a_mismatch(site):
    shutil.copy(site.store.folder / "3" / "checkpoint", site.store.folder / "4" / "checkpoint")
    assert Finding.ANCHOR_MISMATCH in findings(verify(subject(site)))


def test_entries_dated_after_the_token_that_covers_them_are_told(tmp_path, local):
    made = Site(tmp_path, [FakeTsa(local)])
    made.centre.clock.ms = time.time_ns() // 1_000_000 + 10 * HOUR_MS
    made.centre.grow(3)
    made.anchorer().round()
    assert Finding.TIME_REGRESSION in findings(verify(subject(made)))


def test_more_entries_cannot_have_been_vouched_for_earlier(site):
    for hours, expected in ((2, set()), (1, {Finding.TIME_REGRESSION})):
        site.centre.grow()
        utc_s = (site.centre.clock.ms + hours * HOUR_MS) // 1000
        note = cosign(parse_note(site.centre.checkpoint().note), OUTSIDER_NAME, OUTSIDER, utc_s)
        site.anchorer().add_witness(note, [CENTRE_KEY])
        assert findings(verify(subject(site))) == expected


def test_a_witness_that_saw_another_root_of_that_size_proves_a_fork(tmp_path, site):
    """Both checkpoints bear the centre's signature."""
    signed = site.centre.checkpoint()
    copy = AnchorStore(tmp_path / "copy")
    copy.put_checkpoint(signed.checkpoint.size, signed.note)
    forked = parse_note(sign_checkpoint(replace(signed.checkpoint, root=b"f" * 32), SIGNER))
    note = cosign(forked, OUTSIDER_NAME, OUTSIDER, site.centre.clock.ms // 1000)
    copy.put(signed.checkpoint.size, "witness", OUTSIDER_NAME, note)
    report = verify(subject(site, stores=[site.store, copy]))
    assert findings(report) == {Finding.ANCHOR_MISMATCH}
    assert "another checkpoint" in report.findings[0][1]


def test_strange_files_are_told(site):
    (site.store.folder / "3" / "notes.txt").write_text("x")
    (site.store.folder / "abc").write_text("x")
    report = verify(subject(site))
    assert [finding for finding, _ in report.findings] == [Finding.UNPARSABLE] * 2
    assert report.outcome is Outcome.COULD_NOT_CHECK


def test_the_log_names_the_digest_of_each_anchor(site):
    digests = {
        entry.record.block("anchor")["sha256"]
        for entry in site.centre.log.entries()
        if entry.record.event == "checkpoint.anchored"
    }
    assert digests == {hashlib.sha256(one.path.read_bytes()).hexdigest() for one in site.store.kept()}

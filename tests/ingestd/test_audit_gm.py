"""The audit of a station in profile gm: each way its second note or signature can be wrong is a finding."""

import pytest

from custody.checkpoint import Checkpoint, NoteKey, sign_checkpoint
from custody.identifiers import second_origin
from custody.log import SECOND_CHECKPOINT
from custody.signer import verify_key
from ingestd.audit.verify import Report, Subject, audit
from ingestd.store import EvidenceReader
from tests.fakes.centre_world import ORIGIN, SIGNER, World
from tests.ingestd.test_profile import SM2, GmStation


@pytest.fixture
def station() -> GmStation:
    made = GmStation()
    made.clip()
    return made


@pytest.fixture
def world(tmp_path, station):
    made = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", [station]).started()
    made.pipeline.handle([station.message()])
    made.pipeline.record_checks(made.read_back())
    made.pipeline.checkpoint()
    for name, data in station.store.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    yield made
    made.close()


def audited(world, tmp_path, station) -> Report:
    return audit(
        Subject(
            centre=NoteKey(ORIGIN, SIGNER.verify_key()),
            stations=[station.enrolled],
            files=world.files.__getitem__,
            strangers=[],
            store=EvidenceReader(str(tmp_path / "store")),
            now_ms=world.clock.ms + 7_200_000,
            patience_ms=3_600_000,
        )
    )


def test_a_gm_mirror_is_checked_in_both_trees(world, tmp_path, station):
    report = audited(world, tmp_path, station)
    assert (report.log_findings, report.outcome) == ([], 0)


def test_what_is_wrong_with_the_second_note_is_named(world, tmp_path, station):
    small, log = world.files[station.name].small, station.log
    second = second_origin(station.origin)
    assert log.chain.second is not None
    notes = {
        "log-truncated": [None, sign_checkpoint(Checkpoint(second, log.size + 1, b"\1" * 32), station.signers[1])],
        "root-mismatch": [sign_checkpoint(Checkpoint(second, log.size, log.chain.root()), station.signers[1])],
        "key-unknown": [sign_checkpoint(Checkpoint(second, log.size, log.chain.second.root()), SM2)],
        "unparsable": [b"rubbish"],
    }
    for finding, one in ((finding, one) for finding, several in notes.items() for one in several):
        small.pop(SECOND_CHECKPOINT, None)
        if one is not None:
            small[SECOND_CHECKPOINT] = one
        report = audited(world, tmp_path, station)
        assert finding in report.log_findings
        assert report.outcome != 0


def test_entries_that_another_sm2_key_signed_are_a_finding(world, tmp_path, station):
    station.signers[1] = SM2
    report = audited(world, tmp_path, station)
    assert "key-unknown" in report.log_findings
    assert verify_key(SM2) == station.enrolled.keys[1]

from pathlib import Path

import pytest

from custody.checkpoint import Checkpoint, cosign, parse_note, sign_checkpoint
from custody.layout import proxy_name
from custody.log import CHECKPOINT
from custody.verdicts import Finding, Outcome, Verdict
from station_agent.audit import NoLog, Report, verify_log
from station_agent.errors import LogFilesError
from station_agent.followup import proxy_identity, undescribed
from station_agent.journal import Journal
from station_agent.logfiles import ENTRIES, AuditedLogFiles, PosixLogFiles
from station_agent.model import ClockReading
from tests.fakes.station_centre import WITNESS_KEY, WITNESS_NAME
from tests.fakes.station_world import ORIGIN, SIGNER, START_MS, WITNESS, Station, World


@pytest.fixture
def station(tmp_path: Path) -> Station:
    world = World(tmp_path, PosixLogFiles(tmp_path / "log"))
    for name in ("a.MP4", "b.MP4"):
        world.put(name, name.encode())
    made = world.start()
    made.pipeline.docked(made.event())
    return made


def audit(station: Station, *, journal: bool = True) -> Report:
    folder = station.world.folder
    files = AuditedLogFiles(folder / "log") if (folder / "log" / ENTRIES).is_file() else NoLog()
    memory = folder / "journal.db" if journal else None
    return verify_log(files, ORIGIN, SIGNER.verify_key(), station.world.spool, memory, WITNESS_KEY)


def findings(report: Report) -> set[str]:
    return {str(finding) for finding, _ in report.findings}


def cut(station: Station, left: int, *, checkpoint: bool = False) -> None:
    entries = station.world.folder / "log" / ENTRIES
    entries.write_bytes(b"".join(entries.read_bytes().splitlines(keepends=True)[:left]))
    if checkpoint:
        (station.world.folder / "log" / CHECKPOINT).unlink()


def keep_cosigned(journal: Journal, size: int, root: bytes) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root), SIGNER)
    journal.cosigned(cosign(parse_note(note), WITNESS_NAME, WITNESS, START_MS // 1000), size, START_MS // 1000)


def test_a_whole_log_and_all_its_files(station):
    keep_cosigned(station.journal, station.seal.size, bytes.fromhex(station.seal.root))
    report = audit(station)
    assert report.outcome is Outcome.OK
    assert list(report.verdicts.values()) == [Verdict.VERIFIED] * 2


def test_a_tail_removed_with_its_checkpoint_is_found_out(station):
    cut(station, station.seal.size - 1, checkpoint=True)
    report = audit(station, journal=False)
    assert report.outcome is Outcome.NOT_AS_RECORDED
    assert findings(report) == {"log-truncated"}
    assert list(report.verdicts.values()).count(Verdict.UNRECORDED) == 1
    assert len(audit(station).findings) == 2


def test_a_tail_removed_under_an_older_checkpoint_is_found_out(station):
    early = (station.world.folder / "log" / CHECKPOINT).read_bytes()
    size = station.seal.size
    station.seal.append("ingest.failed", {"camera": {}, "source": {"path": "x"}, "reason": "read-error"})
    station.seal.checkpoint()
    cut(station, size)
    (station.world.folder / "log" / CHECKPOINT).write_bytes(early)
    assert audit(station, journal=False).outcome is Outcome.OK
    report = audit(station)
    assert (report.outcome, findings(report)) == (Outcome.NOT_AS_RECORDED, {"log-truncated"})


@pytest.mark.parametrize(("beyond", "finding"), [(0, "log-forked"), (5, "log-truncated")])
def test_what_the_centre_signed_must_be_this_log(station, beyond, finding):
    keep_cosigned(station.journal, station.seal.size + beyond, b"o" * 32)
    report = audit(station)
    assert (report.outcome, findings(report)) == (Outcome.NOT_AS_RECORDED, {finding})


def test_a_note_that_the_witness_did_not_sign_is_no_witness(station):
    station.journal.cosigned(station.seal.checkpoint().note, station.seal.size, 1)
    assert findings(audit(station)) == {"key-unknown"}


def test_another_last_entry_than_the_journal_knows(station):
    station.journal.set_fact("last_leaf", "0" * 64)
    assert findings(audit(station)) == {"log-forked"}


def test_a_file_without_an_entry_is_named_and_a_copy_in_the_making_is_not(station):
    spool = station.world.spool
    (spool / "originals" / "stray.mp4").write_bytes(b"x")
    (spool / "originals" / "half.mp4.part").write_bytes(b"x")
    [clip, _] = station.journal.clips(station.event().identity.key).values()
    with station.journal._transaction() as db:
        db.execute(
            "UPDATE clips SET state = 'copied', name = 'originals/making.mp4' WHERE object_id = ?", (clip.object_id,)
        )
    (spool / "originals" / "making.mp4").write_bytes(b"x")
    report = audit(station)
    assert report.outcome is Outcome.NOT_AS_RECORDED
    assert [name for name, verdict in report.verdicts.items() if verdict is Verdict.UNRECORDED] == [
        "originals/stray.mp4"
    ]


def test_a_proxy_in_the_making_needs_no_entry_yet(station):
    [clip, _] = station.journal.clips(station.event().identity.key).values()
    stored = next(e.record for e in station.seal.entries(0) if e.record.event == "ingest.copied").block("object")
    proxy = station.world.spool / proxy_name(*proxy_identity(clip.object_id))
    proxy.parent.mkdir(parents=True)
    proxy.write_bytes(b"proxy")
    assert audit(station).outcome is Outcome.NOT_AS_RECORDED
    media = {**undescribed(ClockReading(None, None, "unmeasured"), ""), "kind": "video"}
    station.seal.append("media.described", {"object": {**stored, "id": clip.object_id}, "media": media})
    assert audit(station).outcome is Outcome.OK


def test_a_log_without_files_is_nothing_checked(tmp_path):
    station = World(tmp_path, PosixLogFiles(tmp_path / "log")).start()
    station.seal.append("log.recovered", {"reason": "x"})
    report = audit(station)
    assert (report.outcome, findings(report)) == (Outcome.COULD_NOT_CHECK, {"nothing-checked"})


def test_a_log_that_is_gone_is_known_to_the_journal(station):
    (station.world.folder / "log" / ENTRIES).unlink()
    report = audit(station)
    assert report.outcome is Outcome.NOT_AS_RECORDED
    assert {str(Finding.NOTHING_CHECKED), str(Finding.LOG_TRUNCATED)} == findings(report)


def test_a_log_that_is_not_there_takes_nothing():
    for refused in (lambda: NoLog().append(b"x"), lambda: NoLog().put("x", b"x")):
        with pytest.raises(LogFilesError):
            refused()

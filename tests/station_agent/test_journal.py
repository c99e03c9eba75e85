from pathlib import Path

import pytest

from custody.canonical import JsonObject
from custody.layout import proxy_name
from custody.log import Log
from custody.record import Draft
from station_agent.docking import UNMEASURED
from station_agent.errors import JournalError
from station_agent.followup import undescribed
from station_agent.journal import DESCRIBE, TRANSCODE, UPLOAD, Journal
from station_agent.seal import new_id
from tests.fakes.log_files import MemoryLogFiles
from tests.fakes.station_world import ORIGIN, SIGNER, START_MS, World

DAY_MS = 86_400_000


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.put("a.MP4")
    return made


def ingested(world: World):
    station = world.start()
    station.pipeline.docked(station.event())
    return station


def test_remembering_twice_changes_nothing(world):
    station = ingested(world)
    before = station.journal.waiting()
    station.journal.remember(station.seal.entries(0))
    assert station.journal.waiting() == before


def test_a_gap_is_refused_and_nothing_of_it_stays(world, tmp_path):
    station = ingested(world)
    other = Journal(tmp_path / "other.db", ORIGIN, lambda: new_id(START_MS))
    with pytest.raises(JournalError, match="comes before"):
        other.remember(station.seal.entries(1))
    assert (other.applied, other.waiting().outbox) == (0, 0)


def test_sealed_asks_for_description_and_upload(world):
    journal = ingested(world).journal
    assert journal.due_job(DESCRIBE, START_MS * 2, DAY_MS) is not None
    assert journal.due_job(UPLOAD, START_MS * 2, DAY_MS) is not None
    assert journal.due_job(TRANSCODE, START_MS * 2, DAY_MS) is None


def test_a_video_asks_for_a_proxy_and_a_proxy_for_its_upload(world):
    station = ingested(world)
    job = station.journal.due_job(DESCRIBE, START_MS * 2, DAY_MS)
    stored = job.record["object"]
    media = {**undescribed(UNMEASURED, ""), "kind": "video"}
    station.seal.append("media.described", {"object": stored, "media": media})
    assert station.journal.due_job(DESCRIBE, START_MS * 2, DAY_MS) is None
    assert station.journal.due_job(TRANSCODE, START_MS * 2, DAY_MS).object_id == stored["id"]
    proxy_id = new_id(START_MS)
    proxy = {**stored, "id": proxy_id, "name": proxy_name(proxy_id, START_MS)}
    parents = [{"id": stored["id"], "sha256": "0" * 64}]
    station.seal.append("proxy.created", {"object": proxy, "parents": parents, "recipe": {"program": "ffmpeg"}})
    assert station.journal.due_job(TRANSCODE, START_MS * 2, DAY_MS) is None
    assert station.journal.waiting().upload == 2


def test_a_postponed_job_waits_and_is_troubled(world):
    journal = ingested(world).journal
    job = journal.due_job(UPLOAD, START_MS, DAY_MS)
    journal.postpone(job, START_MS + 1000, "the store is down")
    assert journal.due_job(UPLOAD, START_MS + 999, DAY_MS) is None
    assert journal.due_job(UPLOAD, START_MS + 1000, DAY_MS).attempts == 1
    assert [trouble.reason for trouble in journal.troubled_jobs()] == ["the store is down"]


def test_a_clip_moves_only_from_the_state_it_was_read_in(world):
    station = ingested(world)
    [clip] = station.journal.clips(station.event().identity.key).values()
    with pytest.raises(JournalError, match="sealed cannot reserve"):
        station.journal.reserve([(clip, "x")])


def test_a_journal_of_another_log_is_refused(world, tmp_path):
    ingested(world).journal.close()
    with pytest.raises(JournalError, match="belongs to"):
        Journal(world.folder / "journal.db", "custody.example/other", lambda: new_id(START_MS))


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError):
        Journal(tmp_path / "journal.db", ORIGIN, lambda: new_id(START_MS))


def test_events_it_does_not_know_enter_the_outbox_only(world, tmp_path):
    log = Log(MemoryLogFiles(), ORIGIN, [SIGNER.verify_key()])
    time: JsonObject = {"utc_ms": START_MS, "source": "none", "boot_id": "x", "mono_ns": "0"}
    entries = log.append([Draft("log.recovered", new_id(START_MS), time, {"reason": "x"})], [SIGNER])
    journal = Journal(tmp_path / "other.db", ORIGIN, lambda: new_id(START_MS))
    journal.remember(entries)
    assert journal.due_entries(0, 10, 0) == [(0, entries[0].data)]

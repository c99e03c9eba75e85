"""A store on another machine: proved before evidence goes there, read back after, and both said in the log."""

import hashlib
from pathlib import Path

import pytest

from station_agent import cli
from station_agent.bucket import Bucket
from station_agent.config import Store
from station_agent.errors import StoreError, StoreProofError
from station_agent.followup import FollowUp, Media
from station_agent.journal import UPLOAD
from station_agent.status import CentreLink, LogHead, status_of
from station_agent.store import EvidenceStore
from station_agent.store_proof import PROMISES, Promise
from station_agent.warden import AGAIN_MS, Warden, forget_proof, remembered_proof, required
from tests.fakes.s3_store import BUCKET, ENVIRONMENT, Lie, S3Store, s3_store
from tests.fakes.station_centre import WITNESS_KEY
from tests.fakes.station_world import ORIGIN, Station, World

URL = f"s3://{BUCKET}/evidence"
LOCKED = Store(url=URL, require_lock=True, lock_days=20)
LINK = CentreLink(online=False, since_ms=0)


@pytest.fixture(scope="module")
def served():
    with pytest.MonkeyPatch.context() as patch, s3_store() as store:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint}.items():
            patch.setenv(name, value)
        yield store, Bucket(URL)


@pytest.fixture
def store(served) -> S3Store:
    served[0].lies.clear()
    served[0].keys.clear()
    served[0].calls.clear()
    return served[0]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    world = World(tmp_path)
    world.put("a.MP4")
    made = world.start()
    made.pipeline.docked(made.event())
    return made


@pytest.fixture
def warden_of(station, served):
    def made(settings: Store = LOCKED) -> Warden:
        return Warden(
            settings, EvidenceStore(URL), station.journal, station.seal, station.world.clock, lambda _: served[1]
        )

    return made


def told(station: Station, event: str) -> list[dict]:
    return [dict(e.record.payload) for e in station.seal.entries(0) if e.record.event == event]


def upload(station: Station, warden: Warden) -> None:
    def nothing(*_):
        raise AssertionError("no media tool is asked")

    media = Media(nothing, nothing, nothing)
    work = FollowUp(
        station.world.clock, station.journal, station.seal, media, EvidenceStore(URL), station.world.spool, far=warden
    )
    assert work.step(UPLOAD)


def waiting(station: Station) -> int:
    return station.journal.waiting().upload


def troubles(station: Station) -> list[dict]:
    told = status_of("x", "running", station.board, station.journal, LogHead(ORIGIN, 0, ""), LINK)
    return [one for one in told["troubles"] if one["job"] == "store"]


def test_the_store_is_proved_before_the_first_evidence_and_once(station, store, warden_of):
    upload(station, warden_of())
    assert [one["result"] for one in told(station, "store.proved")] == ["kept"]
    proofs = [number for number, call in enumerate(store.calls) if "/proof/" in call]
    written = [number for number, call in enumerate(store.calls) if call.startswith("PUT") and "originals/" in call]
    assert max(proofs) < min(written)
    count = len(store.calls)
    assert required(warden_of().proof()).endswith("keeps its retention locks")
    assert len(store.calls) == count
    assert troubles(station) == []


def test_no_request_but_a_plain_put_ever_changes_evidence(station, store, warden_of):
    upload(station, warden_of())
    changing = [call for call in store.calls if "originals/" in call and not call.startswith(("GET", "HEAD"))]
    assert len(changing) == 1
    assert "?" not in changing[0]


def test_what_came_back_and_its_lock_stand_in_the_log(station, store, warden_of):
    upload(station, warden_of())
    [checked] = told(station, "integrity.checked")
    assert (checked["result"], checked["reason"], waiting(station)) == ("verified", "read-back", 0)
    found = checked["stored"]
    assert (found["size"], found["sha256"]) == (4, hashlib.sha256(b"clip").hexdigest())
    assert (found["lock"]["mode"], found["lock"]["version"], found["unlocked"]) == ("COMPLIANCE", "0", "")


@pytest.mark.parametrize(("lie", "why"), [(Lie.LOCKS_ONLY_PARTS, "lock-not-compliance"), (Lie.HIDES, "lock-unshown")])
def test_evidence_without_a_lock_is_stored_and_the_log_says_that_it_does_not_count(station, store, warden_of, lie, why):
    warden = warden_of()
    warden.prepare()
    store.lies.add(lie)
    upload(station, warden)
    [checked] = told(station, "integrity.checked")
    assert (checked["result"], checked["stored"]["unlocked"], waiting(station)) == ("verified", why, 0)


def test_a_broken_promise_is_named_in_the_log_in_the_status_and_by_an_error(station, store, warden_of):
    store.lies.add(Lie.DELETES)
    warden = warden_of()
    upload(station, warden)
    assert warden.policy().is_proven is False
    [proved] = told(station, "store.proved")
    assert (proved["result"], proved["store"]["broken"]) == (
        "broken",
        [{"promise": "version-survives-delete", "detail": "it is gone"}],
    )
    [trouble] = troubles(station)
    assert PROMISES[Promise.SURVIVES] in trouble["reason"]
    with pytest.raises(StoreProofError, match="survives DELETE"):
        required(warden.proof())
    assert told(station, "integrity.checked")[0]["stored"]["unlocked"] == "store-unproven"
    forget_proof(station.journal)
    forget_proof(station.journal)
    assert troubles(station) == []


def test_a_broken_store_is_asked_again_later_and_by_each_start_and_said_when_it_is_news(station, store, warden_of):
    store.lies.add(Lie.TAKES_WRONG)
    warden = warden_of()
    assert not warden.proof().is_kept
    store.lies.clear()
    assert not warden.proof().is_kept  # not at every upload
    store.lies.add(Lie.TAKES_WRONG)
    assert not warden_of().proof().is_kept
    assert len(told(station, "store.proved")) == 1
    store.lies.clear()
    station.world.clock.utc_ms += AGAIN_MS
    assert warden.proof().is_kept
    assert [one["result"] for one in told(station, "store.proved")] == ["broken", "kept"]


def test_other_settings_need_another_proof(station, store, warden_of, monkeypatch):
    assert warden_of().proof().is_kept
    assert not warden_of(LOCKED.model_copy(update={"lock_days": 36_000})).proof().is_kept
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert warden_of().proof().is_kept
    assert len({one["store"]["config_sha256"] for one in told(station, "store.proved")}) == 3


def test_a_store_that_does_not_answer_gets_no_evidence_and_is_not_called_broken(station, store, warden_of):
    store.lies.add(Lie.DOWN)
    upload(station, warden_of())
    assert (told(station, "store.proved"), waiting(station), remembered_proof(station.journal)) == ([], 1, None)
    assert not [call for call in store.calls if call.startswith("PUT")]
    with pytest.raises(StoreError):
        warden_of().policy()


def test_other_bytes_that_come_back_are_recorded_once_and_uploaded_again(station, store, warden_of):
    plain = warden_of(Store(url=URL))
    store.lies.add(Lie.FLIPS)
    upload(station, plain)
    station.world.clock.utc_ms += AGAIN_MS
    upload(station, plain)
    [checked] = told(station, "integrity.checked")
    assert (checked["result"], checked["reason"], waiting(station)) == ("failed", "read-back", 1)
    assert checked["stored"]["sha256"] == hashlib.sha256(bytes([ord("c") ^ 1]) + b"lip").hexdigest()
    store.lies.clear()
    station.world.clock.utc_ms += AGAIN_MS
    upload(station, plain)
    assert ([one["result"] for one in told(station, "integrity.checked")], waiting(station)) == (
        ["failed", "verified"],
        0,
    )
    assert told(station, "store.proved") == []


def test_doctor_proves_a_store_and_its_exit_code_says_what_came_of_it(store, tmp_path, monkeypatch, capsys):
    keys = f'[keys]\nwitness = "{WITNESS_KEY.vkey()}"\n'
    settings = f'[store]\nurl = "{URL}"\nrequire_lock = true\nlock_days = 20\n'
    (tmp_path / "station-agent.toml").write_text(
        f'[station]\nid = "station-01"\nauthority = "custody.example"\n{keys}{settings}'
    )
    argv = ["station-agent", "doctor", "--only", "store-lock", "--data-dir", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)

    def doctor() -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, said = doctor()
    assert (code, "已证明有效" in said) == (0, True)
    store.lies.add(Lie.SHORTENS)
    code, said = doctor()
    assert (code, PROMISES[Promise.KEPT] in said) == (76, True)
    store.lies = {Lie.DOWN}
    assert doctor()[0] == 75

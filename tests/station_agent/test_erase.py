"""What may be erased: any single thing that is not right forbids it, and nothing is right by default."""

import base64
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.layout import original_name
from custody.log import Log
from custody.receipt import EVENT, body
from custody.record import Draft
from custody.signer import Ed25519Signer
from station_agent.config import Policy, load
from station_agent.docking import Docking
from station_agent.emptying import Order, Orders, settle, state_after
from station_agent.erase import (
    DAY_MS,
    WORDS,
    Candidate,
    Forbidden,
    LockPolicy,
    Plan,
    Sealed,
    Shown,
    Stored,
    Wanted,
    erasable,
)
from station_agent.errors import AgentError, ConfigError
from station_agent.journal import Journal
from station_agent.model import Card, DeviceIdentity, RecorderDocked, SourceFile
from station_agent.recorders import footage, recordings
from station_agent.seal import Seal, new_id
from station_agent.states import BayState
from station_agent.unmounted import Unmounted
from tests.fakes.log_files import MemoryLogFiles
from tests.fakes.station_centre import CENTRE_LOG, WITNESS_KEY
from tests.fakes.station_world import CENTRE, ORIGIN, SIGNER, START_MS, FakeClock

KEYS = [CENTRE.verify_key()]
ID = new_id(START_MS)
SHA256, OTHER = "11" * 32, "22" * 32
SEALED = Sealed(ID, original_name(ID, START_MS, "MP4"), 40, SHA256, ORIGIN, 7, "33" * 32)


def receipt_for(sealed: Sealed, event: str = EVENT, log: str = CENTRE_LOG, signer: Ed25519Signer = CENTRE) -> bytes:
    stored = {"id": sealed.object_id, "name": sealed.name, "size": sealed.size, "digests": {"sha256": sealed.sha256}}
    time = {"utc_ms": START_MS, "source": "none", "boot_id": "x", "mono_ns": "0"}
    facts = dict(body(sealed.log, sealed.seq, sealed.leaf, stored))
    if event == "integrity.checked":
        facts |= {"result": "verified", "reason": "nightly"}
    centre = Log(MemoryLogFiles(chunk=65536), log, [signer.verify_key()])
    return centre.append([Draft(event, new_id(START_MS), time, facts)], [signer])[0].data


FILE = SourceFile(b"DCIM/1.MP4", 40, 1)
GOOD = Candidate(FILE, SHA256, SEALED, receipt_for(SEALED), Stored(40, SHA256), is_footage=True)


def reason(candidate: Candidate) -> Forbidden | None:
    [decision] = erasable([candidate], CENTRE_LOG, KEYS)
    assert (decision.basis is None) == (decision.forbidden is not None)
    return decision.forbidden


DUE_MS = START_MS + 20 * DAY_MS
POLICY = LockPolicy(20, is_proven=True, now_ms=START_MS + DAY_MS)
SHOWN = Shown(40, "", "COMPLIANCE", DUE_MS, "v1")
LOCKED = replace(GOOD, stored=Stored(40, SHA256, SHOWN))


def reason_with_lock(shown: Shown | None, policy: LockPolicy = POLICY) -> Forbidden | None:
    [decision] = erasable([replace(GOOD, stored=Stored(40, SHA256, shown))], CENTRE_LOG, KEYS, policy)
    assert (decision.basis is None) == (decision.forbidden is not None)
    return decision.forbidden


@pytest.mark.parametrize("shown", [SHOWN, replace(SHOWN, sha256=SHA256), replace(SHOWN, until_ms=DUE_MS + 1)])
def test_what_the_store_shows_under_a_lock_that_lasts_may_go(shown):
    assert reason_with_lock(shown) is None


@pytest.mark.parametrize(
    ("shown", "policy", "forbidden"),
    [
        (SHOWN, replace(POLICY, is_proven=False), Forbidden.STORE_UNPROVEN),
        (None, POLICY, Forbidden.LOCK_UNSHOWN),
        (replace(SHOWN, size=None), POLICY, Forbidden.LOCK_SIZE),
        (replace(SHOWN, size=41), POLICY, Forbidden.LOCK_SIZE),
        (replace(SHOWN, sha256=OTHER), POLICY, Forbidden.LOCK_DIGEST),
        (replace(SHOWN, version=""), POLICY, Forbidden.LOCK_VERSION),
        (replace(SHOWN, mode=""), POLICY, Forbidden.LOCK_MODE),
        (replace(SHOWN, mode="GOVERNANCE"), POLICY, Forbidden.LOCK_MODE),
        (replace(SHOWN, mode="compliance"), POLICY, Forbidden.LOCK_MODE),
        (replace(SHOWN, until_ms=None), POLICY, Forbidden.LOCK_DATE),
        (replace(SHOWN, until_ms=DUE_MS - 1), POLICY, Forbidden.LOCK_SHORT),
        (replace(SHOWN, until_ms=0), POLICY, Forbidden.LOCK_SHORT),
        (SHOWN, replace(POLICY, days=21), Forbidden.LOCK_SHORT),
        (SHOWN, replace(POLICY, now_ms=DUE_MS), Forbidden.LOCK_OVER),
        (Shown(None), POLICY, Forbidden.LOCK_SIZE),
    ],
)
def test_each_fact_of_a_lock_that_is_missing_or_too_little_forbids_it(shown, policy, forbidden):
    assert reason_with_lock(shown, policy) is forbidden


def test_a_lock_makes_good_nothing_else_that_is_not_right():
    def told(candidate: Candidate) -> Forbidden | None:
        return erasable([candidate], CENTRE_LOG, KEYS, POLICY)[0].forbidden

    assert told(LOCKED) is None
    assert told(replace(LOCKED, receipt=None)) is Forbidden.NO_RECEIPT
    assert told(replace(LOCKED, read_sha256=OTHER)) is Forbidden.DIFFERS
    assert told(replace(LOCKED, stored=Stored(40, OTHER, SHOWN))) is Forbidden.STORED_DIGEST
    assert told(replace(LOCKED, stored=None)) is Forbidden.NOT_STORED


def test_what_is_right_in_everything_rests_on_its_receipt():
    [decision] = erasable([GOOD], CENTRE_LOG, KEYS)
    assert decision.forbidden is None
    assert decision.basis is not None
    assert (decision.basis.log, decision.basis.seq, len(decision.basis.leaf)) == (CENTRE_LOG, 0, 64)


@pytest.mark.parametrize(
    ("candidate", "forbidden"),
    [
        (replace(GOOD, sealed=None), Forbidden.NEVER_SEALED),
        (replace(GOOD, is_footage=False), Forbidden.NOT_FOOTAGE),
        (replace(GOOD, receipt=None), Forbidden.NO_RECEIPT),
        (replace(GOOD, receipt=b""), Forbidden.NO_RECEIPT),
        (replace(GOOD, receipt=receipt_for(SEALED, signer=Ed25519Signer.from_seed(bytes(32)))), "receipt-invalid"),
        (replace(GOOD, receipt=receipt_for(SEALED, log="custody.example/other")), Forbidden.RECEIPT_INVALID),
        (replace(GOOD, receipt=receipt_for(SEALED, "integrity.checked")), Forbidden.RECEIPT_INVALID),
        (replace(GOOD, read_sha256=""), Forbidden.NOT_READ),
        (replace(GOOD, read_sha256=OTHER), Forbidden.DIFFERS),
        (replace(GOOD, file=SourceFile(b"DCIM/1.MP4", 41, 1)), Forbidden.DIFFERS),
        (replace(GOOD, stored=None), Forbidden.NOT_STORED),
        (replace(GOOD, stored=Stored(41, SHA256)), Forbidden.STORED_SIZE),
        (replace(GOOD, stored=Stored(40, OTHER)), Forbidden.STORED_DIGEST),
    ],
)
def test_each_thing_that_is_not_right_forbids_it(candidate, forbidden):
    assert reason(candidate) == forbidden


@pytest.mark.parametrize(
    "other",
    [
        {"object_id": new_id(START_MS + 1)},
        {"size": 41},
        {"sha256": OTHER},
        {"log": "custody.example/station-02"},
        {"seq": 8},
        {"leaf": "44" * 32},
    ],
)
def test_a_receipt_for_anything_else_forbids_it(other):
    spoken = replace(SEALED, **other)
    spoken = replace(spoken, name=SEALED.name.replace(ID, spoken.object_id))
    assert reason(replace(GOOD, receipt=receipt_for(spoken))) is Forbidden.RECEIPT_OTHER


@given(st.data())
def test_a_receipt_of_which_any_byte_is_another_forbids_it_or_is_the_same_signed_word(data):
    good = GOOD.receipt or b""
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[at]))
    spoilt = good[:at] + bytes([byte]) + good[at + 1 :]
    assert reason(replace(GOOD, receipt=spoilt)) in {Forbidden.RECEIPT_INVALID, Forbidden.RECEIPT_OTHER}


@given(st.integers(0, 10**6), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_only_the_sealed_size_and_digest_are_right_anywhere(size, sha256):
    if (size, sha256) == (SEALED.size, SEALED.sha256):
        return
    assert reason(replace(GOOD, stored=Stored(size, sha256))) in {Forbidden.STORED_SIZE, Forbidden.STORED_DIGEST}
    read = replace(GOOD, file=SourceFile(b"DCIM/1.MP4", size, 1), read_sha256=sha256)
    assert reason(read) is Forbidden.DIFFERS


def test_a_recorder_with_a_file_that_was_never_sealed_is_not_shown_as_safe_afterwards():
    link = replace(GOOD, file=replace(GOOD.file, refused="symlink"), sealed=None)
    assert state_after(erasable([GOOD, link], CENTRE_LOG, KEYS)) is BayState.WAITING_UPLOAD
    assert state_after(erasable([GOOD, replace(GOOD, sealed=None)], CENTRE_LOG, KEYS)) is BayState.ERROR


@pytest.fixture
def rooms(tmp_path):
    """A journal and a log in which the erasure of two files is intended."""
    clock = FakeClock(START_MS)
    journal = Journal(tmp_path / "journal.db", ORIGIN, lambda: new_id(START_MS))
    seal = Seal(MemoryLogFiles(chunk=65536), ORIGIN, SIGNER, clock, journal)
    event = RecorderDocked("/dev/x1", 1, DeviceIdentity("EC2300471", volume_uuid="6A1F-0C3B"), "exfat", START_MS)
    docking = Docking(event, "1")
    bodies = dict(intended(path) for path in (b"A/1.MP4", b"B/2.MP4"))
    journal.intend_erasure(docking.key, bodies)
    yield journal, seal, docking
    journal.close()


def intended(path):
    object_id = new_id(START_MS)
    name = original_name(object_id, START_MS, "MP4")
    stored = {"id": object_id, "name": name, "size": 40, "digests": {"sha256": SHA256}}
    file = {"path_b64": base64.b64encode(path).decode(), "size": 40, "mtime_ms": 0}
    receipt = {"log": CENTRE_LOG, "seq": 0, "leaf": "33" * 32}
    return object_id, {**file, "object": stored, "receipt": receipt, **Order("王强").why}


def erased(seal):
    return [entry.record.event for entry in seal.entries(0)].count("camera.erased")


def test_what_is_on_the_recorder_still_is_not_told_and_what_is_gone_is(rooms):
    journal, seal, docking = rooms
    assert len(settle(journal, seal, docking, [SourceFile(b"A/1.MP4", 40, 0)])) == 1
    assert erased(seal) == 1
    assert journal.intended_erasure(docking.key) == {}


def test_of_a_recorder_that_may_be_another_nothing_is_told(rooms):
    journal, seal, docking = rooms
    docking.shares_key = True
    assert settle(journal, seal, docking, []) == frozenset()
    assert erased(seal) == 0
    assert len(journal.intended_erasure(docking.key)) == 2


def test_of_a_recorder_that_could_not_be_mounted_nothing_is_told(rooms):
    journal, seal, docking = rooms
    docking.root = Unmounted(-1, {}, [])
    assert settle(journal, seal, docking, []) == frozenset()
    assert (erased(seal), len(journal.intended_erasure(docking.key))) == (0, 2)


@pytest.mark.parametrize(("place", "gone", "left"), [(b"A", 1, 1), (b"", 0, 2), (b"C", 2, 0), (b"B/2.MP4", 1, 1)])
def test_what_lies_where_the_listing_could_not_look_is_not_told_as_gone(rooms, place, gone, left):
    journal, seal, docking = rooms
    refused = SourceFile(place, 0, 0, "unreadable-folder")
    assert len(settle(journal, seal, docking, [refused])) == gone
    assert len(journal.intended_erasure(docking.key)) == left
    settle(journal, seal, docking, [])
    assert journal.intended_erasure(docking.key) == {}
    assert erased(seal) == (gone > 0) + (left > 0)


def test_what_was_recorded_and_what_lies_beside_it_is_footage_and_settings_are_not():
    names = (
        b"DCIM/1.MP4",
        b"DCIM/1.GPX",
        b"DCIM/1.LRV",
        b"a.wav",
        b"b.JPG",
        b"info.ini",
        b"set.json",
        b"x.bin",
        b"LOG/1.txt",
    )
    places = recordings([SourceFile(name, 1, 0) for name in names], Card(), ZoneInfo("Asia/Shanghai"))
    assert footage(places) == set(names[:5])


def test_no_pinned_key_means_that_nothing_is_erased():
    [decision] = erasable([GOOD], "", [])
    assert decision.forbidden is Forbidden.RECEIPT_INVALID


def test_every_reason_is_said_in_both_languages():
    assert set(WORDS) == set(Forbidden)
    assert all(" · " in words for words in WORDS.values())


def test_a_plan_survives_the_pipe_and_anything_else_is_refused():
    event = RecorderDocked("/dev/x", 1, DeviceIdentity("EC2300471"), "exfat", START_MS)
    plan = Plan(event, Path("/mnt"), "Asia/Shanghai", [Wanted(b"\xff/1.MP4", 40, 1, SHA256)])
    assert Plan.decode(plan.encode()) == plan
    for data in (b"", b"[]", b"{}", b'{"event": {}}'):
        with pytest.raises(AgentError, match="no plan"):
            Plan.decode(data)


def config_of(folder: Path, more: str) -> Path:
    path = folder / "station-agent.toml"
    station = '[station]\nid = "station-01"\nauthority = "custody.example"\n'
    path.write_text(f'{station}[keys]\nwitness = "{WITNESS_KEY.vkey()}"\n{more}')
    return path


def test_nothing_is_erased_unless_the_configuration_says_so(tmp_path):
    assert load(config_of(tmp_path, "")).erase.policy is Policy.NEVER
    assert load(config_of(tmp_path, '[erase]\npolicy = "after-receipt"\n')).erase.policy is Policy.AFTER_RECEIPT


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[store]\nrequire_lock = true\n", "store.require_lock"),
        ('[store]\nurl = "/srv/evidence"\nrequire_lock = true\n', "a folder shows no retention lock"),
        ('[store]\nurl = "s3://evidence"\nrequire_lock = true\nlock_days = 0\n', "store.lock_days"),
        ('[erase]\npolicy = "always"\n', "erase.policy"),
    ],
)
def test_what_would_not_be_kept_is_refused(tmp_path, more, said):
    with pytest.raises(ConfigError, match=said):
        load(config_of(tmp_path, more))


def test_a_store_that_shows_its_locks_may_be_asked_for_them(tmp_path):
    store = load(config_of(tmp_path, '[store]\nurl = "s3://evidence/x"\nrequire_lock = true\n')).store
    assert (store.require_lock, store.lock_days, store.is_far) == (True, 183, True)


def test_an_order_is_carried_out_once_and_never_after_a_restart(tmp_path):
    orders, done = Orders(tmp_path / "erase"), []
    answer = orders.give(Order("王强", 1), "1")
    orders.answer(lambda order: done.append(order) or {"problem": ""})
    orders.answer(lambda order: done.append(order) or {"problem": ""})
    assert done == [Order("王强", 1)]
    assert answer.is_file()
    orders.give(Order("王强", 1), "2")
    orders.forget()
    (tmp_path / "erase" / "3.order").write_text("nonsense")
    orders.answer(lambda order: done.append(order) or {"problem": ""})
    assert len(done) == 1

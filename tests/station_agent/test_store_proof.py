"""A store that breaks any one promise has nothing erased against it, and the promise is named."""

import hashlib
import time

import pytest

from station_agent.bucket import Bucket, shown_in
from station_agent.erase import DAY_MS, Forbidden, Shown
from station_agent.errors import StoreError
from station_agent.seal import new_id
from station_agent.store import PART_BYTES, EvidenceStore
from station_agent.store_proof import LARGE, PROMISES, SMALL, Promise, prove
from tests.fakes.s3_store import BUCKET, ENVIRONMENT, Lie, S3Store, s3_store

URL = f"s3://{BUCKET}/station-01"
DAYS = 20


@pytest.fixture(scope="module")
def peers():
    with pytest.MonkeyPatch.context() as patch, s3_store() as store:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint, "AWS_MAX_ATTEMPTS": "1"}.items():
            patch.setenv(name, value)
        yield store, EvidenceStore(URL), Bucket(URL)


@pytest.fixture
def store(peers) -> S3Store:
    peers[0].lies.clear()
    peers[0].calls.clear()
    return peers[0]


def proved(peers) -> dict[Promise, str]:
    now_ms = int(time.time() * 1000)
    return {one.promise: one.detail for one in prove(peers[1], peers[2], new_id(now_ms), DAYS, now_ms)}


def test_a_store_that_keeps_its_word_is_proved(peers, store):
    assert proved(peers) == {}
    assert all("/proof/" in call or "object-lock" in call for call in store.calls)
    assert sum("partNumber" in call for call in store.calls) == 2  # each as large as S3 wants it


SHOWN = {
    Lie.LOCKS_NOTHING: Forbidden.LOCK_MODE,
    Lie.LOCKS_ONLY_PARTS: Forbidden.LOCK_MODE,
    Lie.NO_MODE: Forbidden.LOCK_MODE,
    Lie.GOVERNANCE: Forbidden.LOCK_MODE,
    Lie.NO_DATE: Forbidden.LOCK_DATE,
    Lie.BAD_DATE: Forbidden.LOCK_DATE,
    Lie.SHORTER: Forbidden.LOCK_SHORT,
    Lie.OVER: Forbidden.LOCK_SHORT,
    Lie.NO_SIZE: Forbidden.LOCK_SIZE,
    Lie.OTHER_SIZE: Forbidden.LOCK_SIZE,
    Lie.OTHER_SHA256: Forbidden.LOCK_DIGEST,
    Lie.NO_VERSION: Forbidden.LOCK_VERSION,
    Lie.HIDES: Forbidden.LOCK_UNSHOWN,
}
OTHERS = {
    Lie.SAYS_NOTHING_OF_LOCKS: Promise.BUCKET,
    Lie.FLIPS: Promise.READ_BACK,
    Lie.TRUNCATES: Promise.READ_BACK,
    Lie.TAKES_WRONG: Promise.CHECKSUM,
    Lie.DROPS_WRONG: Promise.CHECKSUM,
    Lie.REFUSES_AND_KEEPS: Promise.CHECKSUM,
    Lie.SHORTENS: Promise.KEPT,
    Lie.OVERWRITES: Promise.KEPT,
    Lie.DELETES: Promise.SURVIVES,
}


@pytest.mark.parametrize(("lie", "why"), SHOWN.items())
def test_what_a_head_does_not_show_is_no_lock(peers, store, lie, why):
    store.lies.add(lie)
    assert proved(peers)[Promise.SHOWN].startswith(why)


@pytest.mark.parametrize(("lie", "promise"), OTHERS.items())
def test_a_200_proves_nothing(peers, store, lie, promise):
    store.lies.add(lie)
    assert promise in proved(peers)


def test_every_lie_is_told_somewhere():
    assert {*SHOWN, *OTHERS, Lie.DOWN} == {*Lie}
    assert {*PROMISES} == {*Promise}


def test_a_store_that_does_not_answer_proves_nothing_either_way(peers, store):
    store.lies.add(Lie.DOWN)
    with pytest.raises(StoreError):
        peers[2].locks()


def test_dates_and_sizes_that_are_none_are_absent():
    sha256 = hashlib.sha256(b"x")
    assert shown_in({}) == Shown(None)
    said = {
        "content-length": "٣",
        "x-amz-version-id": "null",
        "x-amz-checksum-sha256": "YWJj-3",
        "x-amz-object-lock-retain-until-date": "2026-11-25T12:00:00",
    }
    assert shown_in(said) == Shown(None)
    assert shown_in({"x-amz-checksum-sha256": "YWJj"}).sha256 == ""
    assert shown_in({"x-amz-checksum-sha256": "LXEWQrcmsEQBYnyp++0vzG2KBSH4HV9NJ9/xS4e4ygk="}).sha256 != sha256.digest()
    for date in ("1970-01-02T00:00:00Z", "Fri, 02 Jan 1970 00:00:00 GMT", "1970-01-02T08:00:00+08:00"):
        assert shown_in({"x-amz-object-lock-retain-until-date": date}).until_ms == DAY_MS


def test_the_proof_writes_in_one_piece_and_in_parts():
    assert len(SMALL) < PART_BYTES < len(LARGE)

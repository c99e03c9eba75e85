"""From the recorder to the centre's own reading every hop reads back what it handed on: damage is found where it arose.

The store is another machine's here, so that every hop of the table in docs/security.md exists.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from station_agent.clock import SystemClock
from station_agent.errors import CopyError
from station_agent.offload import BUFFER_BYTES, VERIFYING, Offloader
from station_agent.service import ingest_folder
from tests.attacks import insider
from tests.attacks.house import House, found
from tests.fakes.s3_store import BUCKET, ENVIRONMENT, Lie, S3Store, s3_store

CLIP = "note.txt"
Damage = Callable[[bytes], bytes]
DAMAGES = {"flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]), "truncated": lambda data: data[:-1]}


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damage(request) -> Damage:
    made: Damage = request.param
    return made


@pytest.fixture
def store(monkeypatch):
    with s3_store() as made:
        more = {"AWS_ENDPOINT_URL": made.endpoint, "AWS_ALLOW_HTTP": "true"}
        for name, value in {**ENVIRONMENT, **more}.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def house(tmp_path, store) -> House:
    """An agency whose station has sealed a clip and sent nothing yet."""
    made = found(tmp_path / "agency")
    made.inside = True
    for name in ("station-agent.toml", "ingestd.toml"):
        toml = made.folder / name
        toml.write_text(toml.read_text().replace('url = "store"', f'url = "s3://{BUCKET}/evidence"'))
    made.card.mkdir()
    (made.card / CLIP).write_bytes(random.Random(1).randbytes(700))
    with made.station() as rooms:
        assert ingest_folder(rooms, made.card).complete
    return made


def spoil(path: Path, damage: Damage) -> None:
    path.write_bytes(damage(path.read_bytes()))


def spoil_stored(store: S3Store, damage: Damage) -> None:
    version = store.newest(".txt")
    version.data = damage(version.data)


def upload(house: House) -> None:
    with house.station() as rooms:
        rooms.followup.drain(rooms.stop)


def checked(log: Path) -> list[tuple[str, str]]:
    """Results and reasons of ``integrity.checked``."""
    told = [one for one in insider.records(log) if one["event"] == "integrity.checked"]
    return [(str(one["result"]), str(one["reason"])) for one in told]


def test_where_nothing_is_damaged_every_hop_says_so(house):
    house.sync()
    assert checked(house.station_log) == [("verified", "read-back")]
    assert [one["event"] for one in insider.records(house.centre_log)].count("central.verified") == 1
    assert [(done.code, done.words) for done in (house.audit(), house.verify_log())] == [(0, set()), (0, set())]


def test_recorder_to_spool(tmp_path, damage):
    (tmp_path / CLIP).write_bytes(bytes(2 * BUFFER_BYTES))
    part = tmp_path / "copy.part"

    def spoiled(done_bytes: int, phase: str) -> None:
        if phase == VERIFYING and done_bytes == BUFFER_BYTES:
            spoil(part, damage)

    with pytest.raises(CopyError) as caught:
        Offloader(SystemClock()).copy(tmp_path, CLIP.encode(), part, spoiled)
    assert caught.value.reason == "reread-differs"


def test_in_the_spool(house, damage, store):
    [copy] = (house.folder / "station/spool").rglob("*.txt")
    spoil(copy, damage)
    done = house.verify_log()
    assert (done.code, done.words) == (1, {"failed"})
    upload(house)
    assert checked(house.station_log) == [("failed", "copy-damaged")]
    assert not [key for key in store.keys if "originals/" in key]


@pytest.mark.parametrize("lie", [Lie.FLIPS, Lie.TRUNCATES])
def test_spool_to_store(house, store, lie):
    store.lies.add(lie)
    upload(house)
    assert ("failed", "read-back") in checked(house.station_log)
    assert house.agent("status").facts["waiting"]["upload"] == 1


def test_store_to_the_centres_first_reading(house, store, damage):
    upload(house)
    spoil_stored(store, damage)
    house.sync()
    events = [one["event"] for one in insider.records(house.centre_log)]
    assert (events.count("central.verified"), house.open_flags()) == (0, ["original-not-as-recorded"])
    assert (house.audit().code, house.audit().words) == (1, {"failed"})


def test_in_the_store_after_the_receipt(house, store, damage):
    house.sync()
    spoil_stored(store, damage)
    done = house.audit()
    assert (done.code, done.words, done.facts["failed"]) == (1, {"failed"}, 1)

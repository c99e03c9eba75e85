import hashlib
import os
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from custody.layout import original_name
from station_agent.errors import DamagedCopyError, StoppingError, StoreError
from station_agent.seal import new_id
from station_agent.store import PIECE_BYTES, EvidenceStore
from tests.fakes.station_world import START_MS


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(str(tmp_path / "store"))


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def name() -> str:
    return original_name(new_id(START_MS), START_MS, "MP4")


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES * 2 + 1])
def test_what_goes_in_comes_back(tmp_path, store, size):
    source, key = tmp_path / "clip", name()
    source.write_bytes(os.urandom(size))
    store.put(source, key, sha256_of(source))
    store.put(source, key, sha256_of(source))
    assert store.size(key) == size
    assert (tmp_path / "store" / key).read_bytes() == source.read_bytes()
    assert [p.name for p in (tmp_path / "store" / key).parent.iterdir()] == [key.rpartition("/")[2]]


def test_an_upload_waits_before_every_piece_and_what_ends_the_waiting_ends_the_upload(tmp_path):
    told: list[int] = []
    source, key = tmp_path / "clip", name()
    source.write_bytes(os.urandom(PIECE_BYTES + 1))
    EvidenceStore(str(tmp_path / "store"), told.append).put(source, key, sha256_of(source))
    assert told == [PIECE_BYTES, 1]

    def stopping(_size: int) -> None:
        raise StoppingError("the station stops")

    with pytest.raises(StoppingError):
        EvidenceStore(str(tmp_path / "other"), stopping).put(source, key, sha256_of(source))
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file()] == []


def test_what_a_killed_upload_left_is_removed(tmp_path, store):
    source, key = tmp_path / "clip", name()
    source.write_bytes(b"clip")
    left = tmp_path / "store" / f"{key}#1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    store.put(source, key, sha256_of(source))
    assert not left.exists()


def test_names_not_of_the_layout_are_refused(tmp_path, store):
    (tmp_path / "clip").write_bytes(b"x")
    for bad in ("../x", "originals/x", ""):
        with pytest.raises(StoreError):
            store.put(tmp_path / "clip", bad, sha256_of(tmp_path / "clip"))


def test_errors_are_said_in_our_words(tmp_path, store):
    with pytest.raises(StoreError):
        EvidenceStore("ftp://nowhere")
    assert store.size(name()) is None
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        EvidenceStore(str(tmp_path / "file" / "store"))
    with pytest.raises(StoreError):
        store.put(tmp_path / "none", name(), "0" * 64)


def test_check_leaves_nothing(tmp_path, store):
    store.check()
    assert list((tmp_path / "store").iterdir()) == []


def test_bytes_that_are_not_those_of_the_entry_never_get_the_name(tmp_path, store):
    source, key = tmp_path / "clip", name()
    source.write_bytes(b"good" * PIECE_BYTES)
    wanted = sha256_of(source)
    source.write_bytes(b"good" * (PIECE_BYTES - 1) + b"evil")
    with pytest.raises(DamagedCopyError):
        store.put(source, key, wanted)
    assert store.size(key) is None
    assert list((tmp_path / "store" / key).parent.iterdir()) == []


def test_a_rotten_copy_leaves_what_is_stored_alone(tmp_path, store):
    source, key = tmp_path / "clip", name()
    source.write_bytes(b"good")
    wanted = sha256_of(source)
    store.put(source, key, wanted)
    stored = (tmp_path / "store" / key).stat()
    source.write_bytes(b"evil")
    store.put(source, key, wanted)
    assert (tmp_path / "store" / key).read_bytes() == b"good"
    assert (tmp_path / "store" / key).stat().st_ino == stored.st_ino


def test_a_half_object_under_the_name_is_replaced_by_the_whole_one(tmp_path, store):
    source, key = tmp_path / "clip", name()
    source.write_bytes(b"clip")
    final = tmp_path / "store" / key
    final.parent.mkdir(parents=True)
    final.write_bytes(b"clix")
    store.put(source, key, sha256_of(source))
    assert final.read_bytes() == b"clip"


@pytest.mark.parametrize("data", [b"", b"evil", b"evil" * (PIECE_BYTES // 2)])
def test_a_remote_object_is_made_only_of_the_right_bytes(tmp_path, store, data):
    source, key = tmp_path / "clip", name()
    store._root, store._store = None, MemoryStore()
    source.write_bytes(data)
    with pytest.raises(DamagedCopyError):
        store.put(source, key, "0" * 64)
    assert store.size(key) is None
    store.put(source, key, sha256_of(source))
    assert store.size(key) == len(data)

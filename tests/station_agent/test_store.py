import os
from pathlib import Path

import pytest

from custody.layout import original_name
from station_agent.errors import StoreError
from station_agent.seal import new_id
from station_agent.store import PIECE_BYTES, EvidenceStore
from tests.fakes.station_world import START_MS


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(str(tmp_path / "store"))


def name() -> str:
    return original_name(new_id(START_MS), START_MS, "MP4")


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES * 2 + 1])
def test_what_goes_in_comes_back(tmp_path, store, size):
    source, key = tmp_path / "clip", name()
    source.write_bytes(os.urandom(size))
    store.put(source, key)
    store.put(source, key)
    assert store.size(key) == size
    assert (tmp_path / "store" / key).read_bytes() == source.read_bytes()
    assert [p.name for p in (tmp_path / "store" / key).parent.iterdir()] == [key.rpartition("/")[2]]


def test_what_a_killed_upload_left_is_removed(tmp_path, store):
    source, key = tmp_path / "clip", name()
    source.write_bytes(b"clip")
    left = tmp_path / "store" / f"{key}#1"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    store.put(source, key)
    assert not left.exists()


def test_names_not_of_the_layout_are_refused(tmp_path, store):
    (tmp_path / "clip").write_bytes(b"x")
    for bad in ("../x", "originals/x", ""):
        with pytest.raises(StoreError):
            store.put(tmp_path / "clip", bad)


def test_errors_are_said_in_our_words(tmp_path, store):
    with pytest.raises(StoreError):
        EvidenceStore("ftp://nowhere")
    assert store.size(name()) is None
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        EvidenceStore(str(tmp_path / "file" / "store"))
    with pytest.raises(StoreError):
        store.put(tmp_path / "none", name())


def test_check_leaves_nothing(tmp_path, store):
    store.check()
    assert list((tmp_path / "store").iterdir()) == []

import hashlib
import os

import pytest

from ingestd.errors import ObjectMissingError, StoreError
from ingestd.store import EvidenceReader
from tests.fakes.centre_station import FakeStation


@pytest.fixture
def stored(tmp_path):
    station = FakeStation()
    station.copied(content=b"0123456789" * 1000)
    station.proxied(station.uuid())
    for name, data in station.store.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "store", station.store


def test_digest_is_of_what_the_store_returns(stored):
    folder, objects = stored
    reader = EvidenceReader(str(folder))

    for name, data in objects.items():
        assert reader.digest(name) == (len(data), hashlib.sha256(data).hexdigest())
        assert reader.size(name) == len(data)
        assert reader.read_range(name, 2, 5) == data[2:5]
    assert dict(reader.list()) == {name: len(data) for name, data in objects.items()}


def test_absent_object_is_missing(stored):
    folder, objects = stored
    gone = next(iter(objects))
    (folder / gone).unlink()
    reader = EvidenceReader(str(folder))

    for asking in (reader.digest, reader.size, lambda name: reader.read_range(name, 0, 1)):
        with pytest.raises(ObjectMissingError):
            asking(gone)


@pytest.mark.parametrize(
    "name", ["../ingestd.toml", "originals/../../etc/passwd", "/etc/passwd", "originals/x.mp4", ""]
)
def test_name_that_layout_cannot_have_made_is_never_opened(stored, name):
    folder, _ = stored
    (folder.parent / "ingestd.toml").write_text("secret")

    with pytest.raises(ObjectMissingError, match="no name of the evidence store"):
        EvidenceReader(str(folder)).digest(name)


def test_unknown_kind_of_store_is_refused():
    with pytest.raises(StoreError):
        EvidenceReader("nfs4://host/x")


def test_empty_store_lists_nothing(tmp_path):
    assert list(EvidenceReader(str(tmp_path / "new")).list()) == []


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_digest_is_right_at_every_edge_of_the_buffer(stored, size):
    folder, objects = stored
    name, data = next(iter(objects)), bytes(range(251)) * (size // 251 + 1)
    (folder / name).write_bytes(data[:size])

    assert EvidenceReader(str(folder)).digest(name) == (size, hashlib.sha256(data[:size]).hexdigest())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_never_digested(stored, kind, tmp_path):
    folder, objects = stored
    path = folder / next(iter(objects))
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    {
        "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()

    with pytest.raises(StoreError) as caught:
        EvidenceReader(str(folder)).digest(next(iter(objects)))
    assert not isinstance(caught.value, ObjectMissingError)

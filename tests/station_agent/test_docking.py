import hashlib

from hypothesis import given
from hypothesis import strategies as st

from custody.canonical import MAX_INTEGER, canonical_bytes
from station_agent.docking import (
    MAX_FILES,
    MAX_LIST_BYTES,
    MAX_PATH_BYTES,
    UNRECORDABLE,
    batches,
    identity_of,
    listed,
    recordable,
)
from station_agent.journal import source_path
from station_agent.model import MAX_TEXT, DeviceIdentity, SourceFile

LONG = "\ue000".encode() * 255 + b"/"
FILES = st.builds(
    SourceFile,
    st.one_of(st.binary(max_size=300), st.integers(1, 31).map(lambda depth: LONG * depth + b"x.mp4")),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**70), 2**70),
)


@given(FILES, st.integers(1, 3))
def test_every_file_fits_into_a_record_and_is_known_again_by_it(file, edition):
    file = recordable(file)
    item = listed(file, edition)
    assert len(canonical_bytes(item)) < MAX_LIST_BYTES
    assert (source_path(item), item["size"], item["mtime_ms"]) == identity_of(file)


def test_long_paths_that_end_alike_are_two():
    one, two = (SourceFile(letter + LONG * 31 + b"x.mp4", 1, 0) for letter in (b"a", b"b"))
    assert len(one.path) > MAX_PATH_BYTES
    assert identity_of(one) != identity_of(two)
    assert listed(one)["path_sha256"] == hashlib.sha256(one.path).hexdigest()
    assert str(listed(one)["path"]).endswith("x.mp4")


def test_a_size_that_json_cannot_hold_is_refused():
    assert recordable(SourceFile(b"x", MAX_INTEGER, 0)).refused == ""
    assert recordable(SourceFile(b"x", MAX_INTEGER + 1, 0)) == SourceFile(b"x", MAX_INTEGER, 0, UNRECORDABLE)


def test_batches_fit_into_entries():
    files = [listed(SourceFile(b"\xff" * 255 + b"%d" % n, n, 0)) for n in range(500)]
    made = list(batches(files))
    assert [f for batch in made for f in batch] == files
    assert all(len(batch) <= MAX_FILES and len(canonical_bytes(batch)) <= MAX_LIST_BYTES + 2 for batch in made)


@given(st.text(st.characters(), max_size=1000))
def test_what_a_recorder_says_of_itself_can_always_be_recorded(text):
    identity = DeviceIdentity(text, volume_label=text + "\ud800").recordable()
    assert identity.recordable() == identity
    assert len(identity.serial) <= MAX_TEXT
    canonical_bytes({"serial": identity.serial, "label": identity.volume_label})

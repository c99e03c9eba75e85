from pathlib import Path

import pytest

from custody.index import ENDS, Index
from ingestd.logfiles import PosixLogFiles


def test_an_index_file_is_written_anywhere_and_read_as_far_as_it_goes(tmp_path: Path):
    files = PosixLogFiles(tmp_path)
    assert (files.length("ends"), files.read_at("ends", 0, 8)) == (0, b"")
    files.write_at("ends", 0, b"abcdefgh")
    files.write_at("ends", 4, b"EFGHijkl")
    assert (files.length("ends"), files.read_at("ends", 2, 4), files.read_at("ends", 10, 8)) == (12, b"cdEF", b"kl")
    assert b"".join(files.read(0)) == b""


@pytest.mark.parametrize("end", [2**44, 2**62, 2**63, 2**64 - 1])
def test_an_end_that_no_file_system_has_is_damage_and_mended(tmp_path: Path, end: int):
    files = PosixLogFiles(tmp_path)
    files.append(b"one\ntwo\nthree\n")
    index = Index(files)
    index.catch_up(3, 14)
    files.write_at(ENDS, 8, end.to_bytes(8, "big"))
    (tmp_path / "tree.0").write_bytes((tmp_path / "tree.0").read_bytes()[:64])
    index.catch_up(3, 14)
    assert [index.line(number) for number in range(3)] == [b"one", b"two", b"three"]

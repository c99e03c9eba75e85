"""Proxies by byte range (RFC 9110 §14): what a player needs to seek."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from ingestd.web.app import create_app
from ingestd.web.media import PIECE_BYTES, byte_range
from tests.fakes.web_queries import FakeMedia, object_id, story

URL = f"/media/{object_id(1)}/proxy"


@pytest.fixture
def index():
    return story()


@pytest.fixture
def film(index):
    proxy = index.details[0].proxies[0]
    return bytes(range(256)) * (proxy.size_bytes // 256) + b"end".ljust(proxy.size_bytes % 256, b".")


@pytest.fixture
def store(index, film):
    return FakeMedia({index.details[0].proxies[0].name: film})


@pytest.fixture
def visitor(index, store):
    return TestClient(create_app(index, store))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=-0", None),
        ("bytes=100-", None),
        ("bytes=100-200", None),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", (0, 100)),
        ("items=0-1", (0, 100)),
        ("bytes=-", (0, 100)),
        ("bytes=" + "9" * 19 + "-", (0, 100)),
    ],
)
def test_ranges(asked, expected):
    assert byte_range(asked, 100) == expected


def test_an_empty_object_has_no_range():
    assert byte_range("bytes=0-", 0) is None
    assert byte_range("bytes=-5", 0) is None
    assert byte_range(None, 0) == (0, 0)


def test_the_whole_film(visitor, film):
    answer = visitor.get(URL)
    assert answer.status_code == 200
    assert answer.content == film
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(film))


def test_a_seek_reads_only_what_it_needs(visitor, film, store):
    answer = visitor.get(URL, headers={"range": "bytes=1000000-1000099"})
    assert answer.status_code == 206
    assert answer.content == film[1_000_000:1_000_100]
    assert answer.headers["content-range"] == f"bytes 1000000-1000099/{len(film)}"
    assert store.reads == [(1_000_000, 1_000_100)]


def test_a_long_range_is_read_in_pieces(visitor, film, store):
    answer = visitor.get(URL, headers={"range": "bytes=5-"})
    assert answer.content == film[5:]
    assert max(end - start for start, end in store.reads) == PIECE_BYTES


def test_a_range_outside_is_416(visitor, film):
    answer = visitor.get(URL, headers={"range": f"bytes={len(film)}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(film)}"


def test_head_says_the_size_and_reads_nothing(visitor, film, store):
    answer = visitor.head(URL)
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(film))
    assert store.reads == []


def test_a_range_of_another_film_gets_the_whole(visitor, film):
    tag = visitor.head(URL).headers["etag"]
    same = visitor.get(URL, headers={"range": "bytes=0-9", "if-range": tag})
    other = visitor.get(URL, headers={"range": "bytes=0-9", "if-range": '"else"'})
    assert (same.status_code, other.status_code) == (206, 200)
    assert other.content == film


def test_a_film_that_is_gone_is_said_before_the_head_is_sent(visitor, store):
    store.objects.clear()
    assert visitor.get(URL).status_code == 404


def test_a_clip_without_proxy_has_none(visitor):
    assert visitor.get(f"/media/{object_id(9)}/proxy").status_code == 404


def test_only_what_our_transcoder_makes_is_played(visitor, index):
    first = index.details[0]
    index.details[0] = replace(first, proxies=(replace(first.proxies[0], media_type="text/html"),))
    answer = visitor.get(URL)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from custody.canonical import canonical_bytes
from station_agent import content, describe, recorders, times
from station_agent.model import ClockReading, SourceFile
from station_agent.tools.ffprobe import Probe

SHANGHAI = ZoneInfo("Asia/Shanghai")


def kind(head: bytes, extension: str = "") -> str:
    return content.identify(head.ljust(64, b"\x00"), extension, len(head)).kind


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x20ftypisom", "video"),
        (b"\x00\x00\x00\x20ftypqt  ", "video"),
        (b"\x00\x00\x00\x18ftypheic", "image"),
        (b"\x00\x00\x00\x18ftypcrx ", "image"),
        (b"\x00\x00\x00\x18ftypM4A ", "audio"),
        (b"\x00\x00\x00\x08mdat", "video"),
        (b"RIFF\x00\x00\x00\x00AVI ", "video"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image"),
        (b"RF64\xff\xff\xff\xffWAVE", "audio"),
        (b"\x1a\x45\xdf\xa3", "video"),
        (b"#!AMR\n", "audio"),
        (b"\xff\xf1\x60", "audio"),
        (b"\xff\xfb\x90", "audio"),
        (b"\xff\xd8\xff\xe1", "image"),
        (b"II*\x00", "image"),
        (b"\x03enc", "audio"),
        (b"\x06dss", "audio"),
        (b"\x07ds2", "audio"),
        (b"DEVC", "sidecar"),
        (b"\x0e\x10\x10\x00\x00\x00\x00\x00.FIT", "sidecar"),
        (b"MZ\x90", "other"),
    ],
)
def test_the_first_bytes_decide(head, expected):
    assert kind(head) == expected
    assert kind(head, "jpg" if expected != "other" else "exe") == expected


def test_transport_streams_of_both_packet_sizes():
    assert content.identify(b"G".ljust(188, b"\x01") + b"G".ljust(188, b"\x01"), "", 9).container == "mpegts"
    assert (
        content.identify(b"\x00\x01\x02\x03G".ljust(192, b"\x01") + b"\x00\x01\x02\x03G", "", 9).container == "mpegts"
    )


def test_where_the_bytes_say_nothing_the_extension_is_a_claim():
    claimed = content.identify(b"\xde\xad\xbe\xef" * 9, "mp4", 36)
    assert (claimed.kind, claimed.by_extension) == ("video", True)
    assert content.identify(b"1\n00:00:01,000 --> 00:00:02,000\n", "srt", 30).kind == "sidecar"
    assert content.identify(b"\x00\x01", "srt", 2).kind == "other"
    assert content.identify(b"E: DEVNAME=x\n", "umockdev", 13).kind == "other"


def test_nothing_is_empty():
    assert content.identify(b"", "mp4", 0).kind == "empty"


@given(st.binary(max_size=600), st.sampled_from(["", "mp4", "jpg", "srt", "exe"]))
def test_any_bytes_are_something(head, extension):
    found = content.identify(head, extension, len(head))
    assert found.kind in {"video", "audio", "image", "sidecar", "other", "empty"}
    assert (found.kind == "empty") == (not head)


def dictation(kind_bytes: bytes, start: bytes, end: bytes, length: bytes) -> bytes:
    head = bytearray(80)
    head[1:4] = kind_bytes
    head[0x0C:0x13] = b"DICTATE"
    head[0x26:0x32], head[0x32:0x3E], head[0x3E:0x44] = start, end, length
    return bytes(head)


def test_the_length_of_a_dictation_is_not_its_end_minus_its_start():
    header = content.dictation_header(dictation(b"enc", b"180613112037", b"180613143826", b"000039"))
    assert header == content.DictationHeader("DICTATE", "20180613112037", 39_000, encrypted=True)


@given(st.binary(max_size=80))
def test_a_damaged_dictation_header_is_read_without_failing(head):
    header = content.dictation_header(head)
    assert header.duration_ms is None or 0 <= header.duration_ms < 100 * 3_600_000 + 100 * 60_000 + 100_000


@given(st.text())
@example("\ud800")
@example("a\x00b\nc")
@example("x" * 10_000)
def test_a_stated_text_is_always_recordable(stated):
    cleaned = describe.text(stated)
    canonical_bytes({"text": cleaned})
    assert len(cleaned) <= describe.MAX_TEXT
    assert cleaned.isprintable()


def findings(tags: dict[str, Any] | None = None, streams: tuple[dict[str, Any], ...] = ()) -> describe.Findings:
    found = describe.Findings(content.Content("video", "mp4", "video/mp4"), "mp4", 1000, b"")
    found.tags = tags or {}
    found.probe = Probe(streams, {}, "")
    return found


TRACK = {
    "Doc1:Track4:GPSDateTime": "2026:03:02 01:00:00",
    "Doc1:Track4:GPSLatitude": "34.9000001",
    "Doc1:Track4:GPSLongitude": "118.6",
    "Doc1:Track4:GPSMeasureMode": 0,
    "Doc2:Track4:GPSDateTime": "2026:03:02 01:00:07",
    "Doc2:Track4:GPSLatitude": "34.91234567",
    "Doc2:Track4:GPSLongitude": "-118.6",
    "Doc2:Track4:GPSMeasureMode": 3,
    "Doc2:Track4:GPSHPositioningError": "6.06",
    "Doc2:Track4:SampleTime": "5.005",
}


def test_a_position_without_a_fix_is_skipped():
    place, problems = describe._place(findings(TRACK))
    assert place == {
        "lat_e7": 349_123_457,
        "lon_e7": -1_186_000_000,
        "accuracy_m": 7,
        "crs": "WGS-84",
        "source": "gps-track",
    }
    assert problems == []


def test_gps_time_is_moved_back_to_the_start_of_the_recording():
    reading = describe._gps_time(findings(TRACK))
    assert reading is not None
    assert reading.utc_ms == 1_772_413_207_000 - 5_005


@pytest.mark.parametrize(
    "tags",
    [
        {key: value for key, value in TRACK.items() if key.startswith("Doc1")},
        {"Composite:GPSLatitude": 0, "Composite:GPSLongitude": 0},
        {"Composite:GPSLatitude": "34.1", "Composite:GPSLongitude": "118.1", "GPS:GPSStatus": "V"},
        {"Composite:GPSLatitude": "91", "Composite:GPSLongitude": "118.1"},
        {"Composite:GPSLatitude": "nan", "Composite:GPSLongitude": "118.1"},
    ],
)
def test_coordinates_that_are_no_position_are_a_problem(tags):
    assert describe._place(findings(tags)) == (None, ["gps-no-fix"])


def test_unsigned_coordinates_alone_are_no_position():
    place, _ = describe._place(findings({"GPS:GPSLatitude": "54.9", "GPS:GPSLongitude": "1.9"}))
    assert place is None


def test_a_cover_picture_is_no_video():
    cover = {"codec_type": "video", "codec_name": "png", "width": 9, "height": 9, "disposition": {"attached_pic": 1}}
    assert findings(streams=(cover,)).stream("video") is None


def test_a_stream_without_a_size_or_a_codec_is_not_counted():
    blind = {"codec_type": "video", "codec_name": "h264", "width": 0, "height": 0}
    dumb = {"codec_type": "audio", "sample_rate": "44100"}
    found = findings(streams=(blind, dumb))
    assert found.stream("video") is None
    assert found.stream("audio") is None


def test_the_length_of_a_telemetry_track_is_not_that_of_the_clip():
    picture = {"codec_type": "video", "codec_name": "h264", "width": 9, "height": 9, "duration": "12.0787"}
    found = findings(streams=(picture, {"codec_type": "data", "duration": "13.013"}))
    assert found.probe is not None
    found.probe.format["duration"] = "13.013"
    assert describe._stated_ms(found) == 12_079
    del picture["duration"]
    assert describe._stated_ms(found) == 13_013


@pytest.mark.parametrize(
    ("turn", "shown"), [(-90, 90), (90, 270), (180, 180), (-180, 180), ("x", 0), (10**30, 0), (0, 0)]
)
def test_rotation_for_display(turn, shown):
    assert describe._rotation({"side_data_list": [{"rotation": turn}]}) == shown


@pytest.mark.parametrize(("ratio", "milli"), [("30000/1001", 29_970), ("0/0", None), ("x", None), ("25/1", 25_000)])
def test_frame_rates(ratio, milli):
    assert describe._rate_milli(ratio) == milli


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        (b"DCIM/a.MP4", "mp4"),
        (b"a.mp4/b", ""),
        (b"a.mp\xff4", ""),
        (b"a.mp4\n", ""),
        (b"a.", ""),
        (b"noext", ""),
        (b"a.verylongext", ""),
    ],
)
def test_extensions_that_may_be_used(name, extension):
    assert describe._extension(name) == extension


HOSTILE = st.text(st.characters(), max_size=400) | st.sampled_from(["\U0001f693" * 500, '"' * 500, "\ud800" * 9])


@given(st.lists(HOSTILE, max_size=50), HOSTILE, HOSTILE, st.integers(0, 900))
@example(["\U0001f693" * 500] * 40, "\U0001f693" * 500, '"' * 500, 900)
def test_a_block_is_never_larger_than_an_entry_holds(raws, name, codec, tracks):
    tags: dict[str, Any] = {
        f"Track{n}:MediaCreateDate": f"2026:03:02 01:{n % 60:02}:{n // 60:02}" for n in range(tracks)
    }
    tags |= {f"Keys{n}:CreationDate": raw for n, raw in enumerate(raws)}
    tags |= {f"Main:{tag}": name for tag in ("Make", "Model", "SerialNumber", "FileType")}
    kinds = ("video", "audio")
    stream = {"codec_name": codec, "width": 10**8, "height": 10**8, "sample_rate": 10**8, "pix_fmt": name}
    found = findings(tags, tuple({**stream, "codec_type": kind, "avg_frame_rate": name} for kind in kinds))
    claims = recorders.Claims("", name, name, name, name)
    source = SourceFile(b"clip.mp4", 1000, 1_772_413_200_000_000_000)
    unmeasured = ClockReading(None, None, "unmeasured")
    about = describe._times(found, source, claims, unmeasured, SHANGHAI, 1_772_499_600_000)
    block = describe._block(found, about, claims, unmeasured, {"ffprobe": name})
    assert len(canonical_bytes(block)) <= describe.MAX_BLOCK_BYTES
    assert len(about.times) + about.left_out >= tracks
    if about.start is not None:
        assert about.start["source"] in {time["source"] for time in about.times}


def test_of_many_times_the_chosen_one_and_one_of_each_source_are_kept():
    unset = [times.read("container", f"1904-01-01T00:00:{n:02}Z", UTC) for n in range(50)]
    chosen = times.read("container", "2026-03-02T01:00:00+08:00", UTC)
    end = times.from_mtime(1_772_413_200_000, 0)
    around = times.Circumstances(SHANGHAI, 1_772_499_600_000, 0)
    choice = times.choose([*unset, chosen, end], around)
    assert len(choice.times) == times.MAX_TIMES
    assert choice.left_out == 52 - times.MAX_TIMES
    assert [time["raw"] for time in choice.times][-2:] == [chosen.raw, end.raw]

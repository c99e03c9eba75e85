import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent import transcode
from station_agent.tools.ffprobe import Probe

VIDEO: dict[str, Any] = {
    "kind": "video",
    "playable": "yes",
    "container": "mp4",
    "duration_ms": 60_000,
    "bit_rate": 8_000_000,
    "video": {
        "codec": "h264",
        "width": 1920,
        "height": 1080,
        "rate_milli": 25_000,
        "rotation": 0,
        "interlaced": "no",
        "pixel_format": "yuv420p",
        "index": 0,
    },
    "audio": {"codec": "aac", "rate_hz": 48_000, "channels": 2, "index": 1},
}


def media(**changes: Any) -> dict[str, Any]:
    """The clip above with some keys changed; ``video__height`` reaches inside."""
    block = copy.deepcopy(VIDEO)
    for key, value in changes.items():
        outer, _, inner = key.partition("__")
        if inner:
            block[outer][inner] = value
        else:
            block[outer] = value
    return block


def arguments(**changes: Any) -> str:
    plan = transcode.plan(media(**changes), 540)
    assert plan is not None
    return " ".join(plan.arguments)


def test_a_large_clip_becomes_h264_of_540_lines_that_keeps_its_timestamps():
    built = arguments()
    assert "scale=960:540" in built
    for part in ("-c:v libx264", "-fps_mode passthrough", "-enc_time_base 1:90000", "-movflags +faststart", "-f mp4"):
        assert part in built
    assert "-c:a copy" in built
    assert "-map 0:1" in built


def test_a_small_modest_clip_is_copied():
    built = arguments(video__height=480, video__width=854, bit_rate=900_000)
    assert "-c:v copy" in built
    assert "scale" not in built


@pytest.mark.parametrize(
    "change",
    [
        {"video__codec": "hevc"},
        {"video__rotation": 90},
        {"video__interlaced": "yes"},
        {"video__pixel_format": "yuv422p10le"},
        {"bit_rate": 9_000_000},
        {"bit_rate": None},
        {"container": "matroska"},
        {"video__height": 541},
    ],
)
def test_what_may_not_play_everywhere_is_encoded(change):
    assert "-c:v libx264" in arguments(**{"video__height": 480, "bit_rate": 900_000, **change})


def test_interlaced_pictures_are_deinterlaced_and_others_are_not():
    assert "yadif" in arguments(video__interlaced="yes")
    assert "yadif" not in arguments()


def test_a_turned_picture_is_measured_as_it_is_shown():
    assert "scale=302:540" in arguments(video__rotation=90)
    assert "scale=960:540" in arguments(video__rotation=180)


def test_nothing_is_enlarged():
    assert "scale=320:240" in arguments(video__width=320, video__height=240, video__codec="mpeg4")


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.sampled_from([0, 90, 180, 270]), st.integers(2, 2160))
def test_a_proxy_is_even_and_no_larger_than_asked(width, height, rotation, limit):
    video = {"width": width, "height": height, "rotation": rotation}
    wide, high = transcode.size_made(video, limit)
    shown_wide, shown_high = transcode.size_shown(video)
    assert wide % 2 == high % 2 == 0
    assert 2 <= high <= max(2, min(limit, shown_high))
    assert 2 <= wide <= max(2, shown_wide)


def test_sound_alone_becomes_an_audio_proxy():
    plan = transcode.plan(media(kind="audio", video=None, container="wav", audio__codec="pcm_s16le"), 540)
    assert plan is not None
    assert plan.media_type == "audio/mp4"
    assert (plan.has_video, plan.has_audio) == (False, True)
    assert "-c:a aac" in " ".join(plan.arguments)


def test_sound_outside_mp4_and_many_channels_are_encoded_again():
    assert "-c:a aac" in arguments(container="mpegts")
    assert "-ac 2" in arguments(audio__codec="ac3", audio__channels=6)
    assert "-ar 48000" in arguments(audio__codec="pcm_s24le", audio__rate_hz=96_000)


def test_a_silent_clip_has_no_sound_options():
    plan = transcode.plan(media(audio=None), 540)
    assert plan is not None
    assert not plan.has_audio
    assert "-c:a" not in plan.arguments


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "image"}, "not-a-recording"),
        ({"kind": "sidecar"}, "not-a-recording"),
        ({"kind": "empty", "playable": "no"}, "not-a-recording"),
        ({"playable": "no"}, "unreadable-media"),
        ({"playable": "unknown"}, "no-decoder"),
        ({"video": None, "audio": None}, "no-streams"),
    ],
)
def test_what_cannot_be_derived_says_why(change, reason):
    assert transcode.plan(media(**change), 540) is None
    assert transcode.why_none(media(**change)) == reason


def test_the_time_limit_grows_with_the_clip():
    assert transcode.time_limit_s(60_000) == 720
    assert transcode.time_limit_s(None) == 3_600


def result(duration: str | None = "60.0", kinds: tuple[str, ...] = ("video", "audio")) -> Probe:
    return Probe(tuple({"codec_type": kind} for kind in kinds), {"duration": duration} if duration else {}, "")


@pytest.mark.parametrize(
    ("probe", "word"),
    [
        (result(), ""),
        (result("61.2"), ""),
        (result("58.8"), ""),
        (result("61.3"), "61300 ms long instead of 60000 ms"),
        (result("58.7"), "58700 ms long instead of 60000 ms"),
        (result(None), "no duration"),
        (result("0"), "no duration"),
        (result("N/A"), "no duration"),
        (result(kinds=("audio",)), "no video stream"),
        (result(kinds=("video",)), "no audio stream"),
    ],
)
def test_a_proxy_counts_only_when_it_shows_the_whole_clip(probe, word):
    plan = transcode.plan(media(), 540)
    assert plan is not None
    assert transcode.refusal(plan, probe) == word


def test_a_source_of_unknown_length_is_held_to_streams_alone():
    plan = transcode.plan(media(duration_ms=None), 540)
    assert plan is not None
    assert transcode.refusal(plan, result("5")) == ""

"""describe and transcode with the real ffprobe, ffmpeg and exiftool on generated clips."""

import json
import os
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custody.canonical import canonical_bytes
from fixtures import clips
from station_agent import describe as describing
from station_agent import transcode
from station_agent.describe import Describer
from station_agent.errors import ToolError
from station_agent.model import ClockReading, SourceFile
from station_agent.recorders import Claims, claims
from station_agent.tools import ffprobe
from station_agent.tools.process import Limits
from station_agent.tools.sandbox import Sandbox
from tests.conftest import walls_can_stand

pytestmark = pytest.mark.integration

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000
START_MS = int(datetime(2026, 3, 2, 1, 0, tzinfo=UTC).timestamp() * 1000)
DOCKED_MS = START_MS + 10 * HOUR_MS
NAME = b"DCIM/1234567_123456_20260302090000.mp4"
UNMEASURED = ClockReading(None, None, "unmeasured")


@pytest.fixture(scope="module")
def describer(tmp_path_factory):
    describer = Describer(SHANGHAI, tmp_path_factory.mktemp("work"))
    yield describer
    describer.close()


def describe(describer: Describer, path: Path, name: bytes = NAME, mtime_ms: int = START_MS + 60_000) -> Any:
    """The block of a file that had this name and modification time on the recorder; a record can hold it."""
    source = SourceFile(name, path.stat().st_size, mtime_ms * 1_000_000)
    media = describer.describe(path, source, claims(name), UNMEASURED, DOCKED_MS).media
    canonical_bytes(media)
    return media


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True, timeout=60)


def streams(path: Path) -> list[dict[str, Any]]:
    shown = ["-show_streams", "-of", "json", "-show_entries", "stream_side_data=rotation"]
    argv: list[str | Path] = ["ffprobe", "-v", "error", *shown, path]
    return list(json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["streams"])


def frame_times(path: Path) -> list[float]:
    shown = ["-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    argv: list[str | Path] = ["ffprobe", "-v", "error", *shown, path]
    out = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    return sorted(float(line.strip(",")) for line in out.split() if line.strip(","))


def test_an_honest_clip(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 60)
    media = describe(describer, clip)
    assert (media["kind"], media["playable"], media["container"]) == ("video", "yes", "mp4")
    assert (media["duration_ms"], media["duration_source"]) == (60_000, "container")
    assert media["start"] == {
        "utc_ms": START_MS,
        "source": "file-name",
        "clock": "device",
        "uncertainty_ms": 1_000,
    }
    assert (media["device_as_stated"], media["officer_as_stated"], media["family"]) == ("1234567", "123456", "dsj")
    assert media["video"]["codec"] == "h264"
    assert media["audio"]["codec"] == "aac"
    assert media["problems"] == []
    assert {t["source"]: t["note"] for t in media["times"]} == {
        "file-name": "chosen",
        "container": "agrees",
        "mtime": "agrees",
    }


def test_a_clip_whose_container_holds_local_time(describer, tmp_path):
    clip = clips.make_local_as_utc(tmp_path / "a", START_MS, 60, 8 * HOUR_MS)
    assert "time-local-as-utc" in describe(describer, clip)["problems"]
    unnamed = describe(describer, clip, b"REC0001.MP4")
    assert unnamed["start"]["utc_ms"] == START_MS
    assert unnamed["start"]["source"] == "container"


def test_a_clip_from_a_clock_that_was_never_set(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 60, creation_time="1970-01-01T00:00:00Z")
    media = describe(describer, clip, b"REC0001.MP4")
    assert media["start"] == {"utc_ms": START_MS, "source": "mtime", "clock": "device", "uncertainty_ms": 60_000}
    assert "time-implausible" in media["problems"]


def test_a_recording_cut_by_power_loss(describer, tmp_path):
    media = describe(describer, clips.make_moovless(tmp_path / "a", START_MS, 60))
    assert (media["kind"], media["playable"], media["duration_ms"]) == ("video", "no", None)
    assert media["problems"][:2] == ["moov-missing", "unreadable-media"]
    assert media["start"]["utc_ms"] == START_MS
    assert transcode.plan(media, 540) is None


@pytest.mark.parametrize("scan_all_bytes", [8 << 20, 0])
def test_a_copy_that_lost_its_second_half(describer, tmp_path, monkeypatch, scan_all_bytes):
    monkeypatch.setattr(describing, "SCAN_ALL_BYTES", scan_all_bytes)
    media = describe(describer, clips.make_copy_cut(tmp_path / "a", START_MS, 600), mtime_ms=START_MS + 600_000)
    assert "duration-implausible" in media["problems"]
    assert media["duration_source"] == "packets"
    assert 100_000 < media["duration_ms"] < 500_000


def test_a_large_whole_clip_is_proved_by_its_last_seconds(describer, tmp_path, monkeypatch):
    monkeypatch.setattr(describing, "SCAN_ALL_BYTES", 0)
    monkeypatch.setattr(ffprobe, "SCAN", Limits(0.0, 0))  # a full scan would fail
    media = describe(describer, clips.make_clip(tmp_path / "a", START_MS, 600), mtime_ms=START_MS + 600_000)
    assert media["duration_ms"] == 600_000
    assert media["problems"] == []


def test_a_zero_byte_file(describer, tmp_path):
    media = describe(describer, clips.make_empty(tmp_path / "a"))
    assert (media["kind"], media["playable"], media["problems"]) == ("empty", "no", ["zero-byte"])


def test_a_voice_memo(describer, tmp_path):
    clip = clips.make_sound(tmp_path / "a.wav", 5)
    media = describe(describer, clip, b"REC.WAV")
    assert (media["kind"], media["playable"], media["video"], media["duration_ms"]) == ("audio", "yes", None, 5_000)
    plan = transcode.plan(media, 540)
    assert plan is not None
    proxy = transcode.make_proxy(clip, plan, tmp_path / "p.m4a")
    assert [stream["codec_name"] for stream in streams(proxy.path)] == ["aac"]


@pytest.mark.parametrize(
    "name",
    [b"-version.mp4", b"a\n-execute\n.mp4", b"a'\"$(reboot).mp4", b"\xff\xfe.mp4", b"../../x.mp4", "张三.mp4".encode()],
)
def test_a_hostile_name_is_only_a_name(describer, tmp_path, name):
    spool = os.path.join(os.fsencode(tmp_path), name.replace(b"/", b"_"))  # noqa: PTH118  # pathlib cannot hold it
    clip = Path(os.fsdecode(spool))
    clips.make_clip(tmp_path / "plain", START_MS, 5).rename(clip)
    media = describe(describer, clip, name)
    assert (media["kind"], media["playable"], media["duration_ms"]) == ("video", "yes", 5_000)
    assert "exiftool-failed" not in media["problems"]
    plan = transcode.plan(media, 540)
    assert plan is not None
    assert transcode.make_proxy(clip, plan, tmp_path / "p.mp4").size > 0


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {secret}\n",
        "<MPD><Period><AdaptationSet><Representation><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    ],
)
def test_a_playlist_in_disguise_opens_no_other_file(describer, tmp_path, text):
    secret = clips.make_clip(tmp_path / "secret.mp4", START_MS, 5)
    fake = tmp_path / "fake"
    fake.write_text(text.format(secret=secret))
    media = describe(describer, fake, b"clip.mp4")
    assert media["playable"] == "no"
    assert "unreadable-media" in media["problems"]
    assert transcode.plan(media, 540) is None


def test_noise_that_calls_itself_a_clip(describer, tmp_path):
    noise = tmp_path / "noise"
    noise.write_bytes(bytes(range(1, 200)) * 500)
    media = describe(describer, noise, b"clip.mp4")
    assert (media["kind"], media["playable"]) == ("video", "no")
    assert "unreadable-media" in media["problems"]


def test_a_still_in_a_clips_name_is_a_still(describer, tmp_path):
    picture = tmp_path / "x.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", "1", picture)
    media = describe(describer, picture, b"clip.mp4")
    assert (media["kind"], media["picture"]) == ("image", {"width": 64, "height": 48})
    assert "type-mismatch" in media["problems"]


def test_a_describer_survives_the_thread_that_started_its_tools(tmp_path):
    describer = Describer(SHANGHAI, tmp_path / "work")
    clip = clips.make_clip(tmp_path / "a", START_MS, 5)
    found: list[Any] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: found.append(describe(describer, clip)))
        thread.start()
        thread.join()
    describer.close()
    assert found[0] == found[1]
    assert "exiftool-failed" not in found[1]["problems"]


def test_describing_leaves_nothing_behind_and_the_original_alone(tmp_path):
    describer = Describer(SHANGHAI, tmp_path / "work")
    clip = clips.make_clip(tmp_path / "a", START_MS, 5)
    before = clip.read_bytes(), clip.stat().st_mtime_ns
    describe(describer, clip)
    describer.close()
    assert (clip.read_bytes(), clip.stat().st_mtime_ns) == before
    assert list((tmp_path / "work").iterdir()) == []


def planned(describer: Describer, clip: Path, name: bytes = NAME, height: int = 540) -> transcode.Plan:
    plan = transcode.plan(describe(describer, clip, name), height)
    assert plan is not None
    return plan


def test_a_modest_clip_is_remuxed_and_a_proxy_says_how_it_was_made(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 60)
    proxy = transcode.make_proxy(clip, planned(describer, clip), tmp_path / "p.mp4")
    assert proxy.recipe["program"] == "ffmpeg"
    assert proxy.recipe["version"]
    assert "copy" in str(proxy.recipe["arguments"])
    assert str(tmp_path) not in str(proxy.recipe)
    data = proxy.path.read_bytes()
    assert proxy.size == len(data)
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_same_clip_gives_the_same_proxy(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 5)
    plan = planned(describer, clip, height=120)
    assert "libx264" in plan.arguments
    made = [transcode.make_proxy(clip, plan, tmp_path / f"{n}.mp4").sha256 for n in range(2)]
    assert made[0] == made[1]
    assert (
        b"Lavf" not in (tmp_path / "0.mp4").read_bytes()
    )  # no name or version of a library that a rebuild would change


def test_a_turned_clip_is_upright_in_its_proxy(describer, tmp_path):
    plain = clips.make_clip(tmp_path / "plain.mp4", START_MS, 5)
    turned = tmp_path / "turned.mp4"
    option = ["-display_rotation", "90", "-i", plain, "-c", "copy", turned]
    if subprocess.run(["ffmpeg", "-v", "error", "-y", *option], capture_output=True, check=False).returncode:
        ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v:0", "rotate=270", turned)  # before ffmpeg 6.0
    media = describe(describer, turned)
    assert media["video"]["rotation"] in {90, 270}
    proxy = transcode.make_proxy(turned, planned(describer, turned), tmp_path / "p.mp4")
    video = streams(proxy.path)[0]
    assert (video["width"], video["height"]) == (240, 320)
    assert describe(describer, proxy.path)["video"]["rotation"] == 0


def test_interlaced_pictures_become_progressive(describer, tmp_path):
    clip = tmp_path / "i.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=s=320x240:r=50:d=2", "-vf", "interlace"]
    ffmpeg(*source, "-c:v", "libx264", "-flags", "+ildct+ilme", clip)
    media = describe(describer, clip)
    assert media["video"]["interlaced"] == "yes"
    proxy = transcode.make_proxy(clip, planned(describer, clip), tmp_path / "p.mp4")
    assert streams(proxy.path)[0]["field_order"] == "progressive"


def test_the_times_of_pictures_at_a_changing_rate_are_kept(describer, tmp_path):
    clip = tmp_path / "v.mkv"
    select = "select='not(mod(n\\,7))+lt(n\\,10)'"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240:r=30:d=4", "-vf", select, "-fps_mode", "vfr", "-c:v", "mpeg4", clip)
    proxy = transcode.make_proxy(clip, planned(describer, clip, b"v.mkv"), tmp_path / "p.mp4")
    before, after = frame_times(clip), frame_times(proxy.path)
    assert len(before) == len(after) > 20
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) < 0.002


def test_a_refused_proxy_leaves_no_file(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 60)
    media = {**describe(describer, clip), "duration_ms": 120_000}
    plan = transcode.plan(media, 540)
    assert plan is not None
    with pytest.raises(ToolError, match="60000 ms long instead of 120000 ms"):
        transcode.make_proxy(clip, plan, tmp_path / "p.mp4")
    assert not (tmp_path / "p.mp4").exists()


def test_a_transcode_that_takes_too_long_is_stopped(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 5)
    good = planned(describer, clip, height=120)
    slow = transcode.Plan(good.arguments, good.media_type, True, True, good.duration_ms, 0)  # noqa: FBT003  # as planned
    with pytest.raises(ToolError, match="took longer than 0 s"):
        transcode.make_proxy(clip, slow, tmp_path / "p.mp4")
    assert not (tmp_path / "p.mp4").exists()


@pytest.mark.skipif(
    not walls_can_stand(), reason="the kernel makes no user namespaces here, as in a chroot, so no walls"
)
def test_walls_change_nothing_in_what_is_found_and_made(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 5)
    bare = Sandbox(enabled=False)
    outside = Describer(SHANGHAI, tmp_path / "work", bare)
    media = describe(describer, clip)
    assert media == describe(outside, clip)
    outside.close()
    plan = planned(describer, clip, height=120)
    walled, unwalled = tmp_path / "walled.mp4", tmp_path / "unwalled.mp4"
    assert transcode.make_proxy(clip, plan, walled).sha256 == transcode.make_proxy(clip, plan, unwalled, bare).sha256


def test_claims_of_a_drop_folder_reach_the_block(describer, tmp_path):
    clip = clips.make_clip(tmp_path / "a", START_MS, 5)
    source = SourceFile(b"cctv.mp4", clip.stat().st_size, (START_MS + 5_000) * 1_000_000)
    said = Claims("CAM-7", "654321", "20260302090000")
    media = describer.describe(clip, source, said, ClockReading(1_500, 2_000, "connect-write"), DOCKED_MS).media
    assert (media["device_as_stated"], media["officer_as_stated"]) == ("CAM-7", "654321")
    assert media["clock"] == {"offset_ms": 1_500, "uncertainty_ms": 2_000, "method": "connect-write"}
    assert media["start"]["utc_ms"] == START_MS  # the offset is not applied here

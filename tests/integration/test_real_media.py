"""Every file of the real-media collection: described without failing, recorded, and sane beside its manifest."""

import csv
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custody.canonical import canonical_bytes
from station_agent import transcode
from station_agent.describe import Describer
from station_agent.errors import ToolError
from station_agent.model import ClockReading, SourceFile
from station_agent.recorders import claims

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "real-media"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the collection ../shared/real-media is not on this machine"),
    pytest.mark.xdist_group("real-media"),
]
DOCKED_MS = 1_795_380_000_000  # 2026-11-22
MTIME_NS = (DOCKED_MS - 3_600_000) * 1_000_000  # whoever laid the files here, they were written an hour before

KINDS = {"video", "audio", "image", "sidecar", "other", "empty"}
PLAYABLE = {"yes", "no", "unknown"}
# Files that are no recordings by nature, by extension in the manifest's path.
NOT_MEDIA = {"srt", "gpx", "fit", "log", "raw", "ctg", "umockdev", "ioctl", "tar"}
# ffprobe opens these, but there is no whole packet in them, or only a guess at what they are.
STUBS = {
    "exiftool/AIFF.aif",
    "exiftool/FLAC.flac",
    "exiftool/QuickTime.mov",
    "exiftool/RIFF.avi",
    "androidx/mp3/100kB-garbage-prefix.mp3",
}
# What ffprobe 5.1 reads from the header of these is not what is in them.
FALSE_DURATIONS = {"androidx/mp4/sample_fragmented.mp4", "exiftool/Flash.flv"}


def manifest() -> list[dict[str, str]]:
    with (FOLDER / "MANIFEST.tsv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> dict[str, Any]:
    """The block of every file, by its path; about 15 s for all."""
    describer = Describer(ZoneInfo("Asia/Shanghai"), tmp_path_factory.mktemp("work"))
    blocks = {row["path"]: describe(describer, FOLDER / row["path"], row["path"]) for row in manifest()}
    describer.close()
    return blocks


def describe(describer: Describer, path: Path, name: str) -> Any:
    status = path.stat()
    source = SourceFile(name.encode(), status.st_size, MTIME_NS)
    return describer.describe(
        path, source, claims(source.path), ClockReading(None, None, "unmeasured"), DOCKED_MS
    ).media


def extension(path: str) -> str:
    return path.rpartition(".")[2].lower()


def test_every_file_has_a_block_that_a_record_can_hold(described):
    assert len(described) == len(manifest()) >= 169
    for path, media in described.items():
        assert canonical_bytes(media), path
        assert media["kind"] in KINDS, path
        assert media["playable"] in PLAYABLE, path
        assert media["duration_ms"] is None or 0 <= media["duration_ms"] < 200_000, path
        assert not {"exiftool-failed", "ffprobe-failed", "duration-unproven"} & set(media["problems"]), path


def test_what_is_media_is_known_as_media_and_the_rest_is_not(described):
    for row in manifest():
        media, path = described[row["path"]], row["path"]
        if row["bytes"] == "0":
            assert media["kind"] == "empty", path
        elif extension(path) in NOT_MEDIA:
            assert media["kind"] in {"sidecar", "other"}, path
        else:
            assert media["kind"] in {"video", "audio", "image"}, path


def test_what_ffprobe_opens_is_playable_and_what_nothing_opens_is_not(described):
    for row in manifest():
        media, path = described[row["path"]], row["path"]
        if extension(path) in NOT_MEDIA:
            continue
        opens = row["ffprobe_opens"].split(":")[0]
        if opens == "ok" and media["kind"] in {"video", "audio"} and path not in STUBS:
            assert media["playable"] == "yes", (path, media["problems"])
        if opens == "FAIL" and media["kind"] in {"video", "audio"} and media["container"] not in {"dss", "enc", "ds2"}:
            assert (media["playable"], "unreadable-media" in media["problems"]) == ("no", True), path
        assert (media["playable"] == "yes") == ("unreadable-media" not in media["problems"]) or media[
            "playable"
        ] == "unknown", path


def test_durations_are_those_of_the_manifest_unless_they_are_false(described):
    for row in manifest():
        media, path = described[row["path"]], row["path"]
        if media["playable"] == "yes" and row["duration_s"] != "-" and path not in FALSE_DURATIONS:
            if media["duration_source"] == "container":
                assert abs(media["duration_ms"] - float(row["duration_s"]) * 1000) < 100, path
            else:
                assert abs(media["duration_ms"] - float(row["duration_s"]) * 1000) < 2_000, path


def test_the_false_duration_of_a_fragmented_file_is_replaced_by_its_packets(described):
    media = described["androidx/mp4/sample_fragmented.mp4"]
    # ffprobe 5.1 says 143,165 s; 7.1 counts the fragments and is right.
    assert ("duration-implausible" in media["problems"]) == (media["duration_source"] == "packets")
    assert 900 < media["duration_ms"] < 1_200


def test_the_future_the_past_and_the_unset_are_no_starts(described):
    for path in (
        "androidx/mp4/sample_empty_track.mp4",
        "video-testdata/1-video-streamable.mp4",
        "exiftool/Sigma.x3f",
        "gopro-trimmed/hero8-trimmed.mp4",
    ):
        assert "time-implausible" in described[path]["problems"], path
        assert described[path]["start"]["source"] == "mtime", path


def test_gps_decides_and_a_fix_flag_of_zero_does_not(described):
    karma = described["gopro/karma.mp4"]
    assert karma["start"]["source"] == "gps"
    assert abs(karma["start"]["utc_ms"] - 1_492_457_277_000) < 2_000  # 2017-04-17T19:27:57Z
    assert karma["place"]["lat_e7"] == 331_253_807
    assert karma["device_as_stated"] == "LAE6101112400243"
    unfixed = described["gopro-trimmed/hero8-trimmed.mp4"]
    assert unfixed["place"] is None
    assert "gps-no-fix" in unfixed["problems"]


def test_the_date_of_a_broadcast_wave_and_of_a_dictation(described):
    zoom = described["wavinfo/zoom_F8/DISCRETE/Scene_1_2AG-T001.TAKE/Scene_1_2AG-T001_Tr1.WAV"]
    assert zoom["start"]["utc_ms"] == 1_550_068_818_000  # 2019-02-13 22:40:18 local
    assert zoom["device_as_stated"] == "ZOOM F8"
    dictation = described["dictation/encrypted_aes128.ds2"]
    assert dictation["start"]["utc_ms"] == 1_528_860_037_000  # 2018-06-13 11:20:37 local
    assert (dictation["duration_ms"], dictation["playable"]) == (39_000, "unknown")
    assert "encrypted" in dictation["problems"]


def test_avchd_times_with_and_without_a_zone(described):
    assert described["exiftool/M2TS.mts"]["start"]["utc_ms"] == 1_230_761_784_000  # 23:16:24+01:00
    assert described["filetype/fixture-raw.mts"]["start"]["utc_ms"] == 1_327_540_715_000  # +00:00 means not set


def test_stills_of_the_mp4_family_are_not_taken_for_broken_videos(described):
    for path, media in described.items():
        if extension(path) == "heic":
            assert (media["kind"], media["playable"]) == ("image", "unknown"), path
            assert "moov-missing" not in media["problems"], path


def test_the_stub_without_an_index_says_so(described):
    assert described["filetype/fixture-dash.mp4"]["problems"][:2] == ["moov-missing", "unreadable-media"]


@pytest.mark.parametrize("path", sorted(STUBS))
def test_a_header_without_anything_behind_it_is_not_playable(described, path):
    assert described[path]["playable"] == "no"
    assert "unreadable-media" in described[path]["problems"]


def test_a_file_that_was_only_guessed_at_is_not_playable(described):
    media = described["androidx/mp3/100kB-garbage-prefix.mp3"]  # ffprobe takes it for a minute of AMR
    assert (media["playable"], media["duration_ms"]) == ("no", None)
    assert "unreadable-media" in media["problems"]


SAMPLE = (
    "androidx/mp4/portrait_4k60.mp4",
    "androidx/mp4/sample_fragmented.mp4",
    "filetype/fixture-raw.mts",
    "filetype/fixture.asf",
    "filetype/fixture-adts-mpeg4.aac",
    "gopro/karma.mp4",
    "onvif/test_signed_h264.mp4",
)


@pytest.mark.parametrize("path", SAMPLE)
def test_a_proxy_of_a_real_clip_is_accepted(described, tmp_path, path):
    plan = transcode.plan(described[path], 540)
    assert plan is not None
    assert transcode.make_proxy(FOLDER / path, plan, tmp_path / "p.mp4").size > 0


def has_proxy_or_reason(path: str, media: Any, folder: Path) -> bool:
    plan = transcode.plan(media, 360)
    if plan is None:
        return bool(transcode.why_none(media))
    with suppress(ToolError):
        return transcode.make_proxy(FOLDER / path, plan, folder / "p.mp4").size > 0
    return False


@pytest.mark.slow
def test_every_playable_clip_has_a_proxy_or_a_reason(described, tmp_path):
    refused = {path for path, media in described.items() if not has_proxy_or_reason(path, media, tmp_path)}
    assert refused <= {"exiftool/M2TS.mts", "exiftool/Opus.opus", "exiftool/Flash.flv"}

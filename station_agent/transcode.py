"""A small playable copy of a clip: what to make (pure), make it, and accept it only when it shows the same length.

A proxy is derived: its own object with its parent's digest and its recipe. The original is never touched, and whatever
metadata the proxy lacks was read from the original before.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from custody.canonical import JsonObject
from station_agent.errors import ToolError
from station_agent.model import Proxy
from station_agent.tools import ffmpeg, ffprobe
from station_agent.tools.sandbox import WALLED, Sandbox

MEDIA_TYPE: Final = "video/mp4"
MODEST_BITS_S: Final = 2_000_000
"""An original up to here is small enough to be watched over the centre's network as it is."""
PLAYS_EVERYWHERE: Final = frozenset({"yuv420p", "yuvj420p"})
MAX_AUDIO_HZ: Final = 48_000
TIMESCALE: Final = 90_000
"""Ticks a second of the proxy's timestamps: every common frame rate is exact in it, so they are kept, not rounded."""
HASH_PIECE_BYTES: Final = 1 << 20

TIME_FLOOR_S: Final = 120
TIME_PER_SECOND: Final = 10
"""A station's two slow cores still encode faster than a tenth of real time."""
TIME_UNKNOWN_S: Final = 3_600
DURATION_SLACK_MS: Final = 1_000
DURATION_SLACK_PARTS: Final = 50
"""A proxy may differ from its source by a second or two percent, whichever is more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be made. ``arguments`` are ffmpeg's, with ``INPUT`` and ``OUTPUT`` for the two names."""

    arguments: tuple[str, ...]
    media_type: str
    has_video: bool
    has_audio: bool
    duration_ms: int | None
    time_s: int


def plan(media: JsonObject, height: int) -> Plan | None:
    """What to derive from a clip with this ``media`` block, at most ``height`` lines high; None: see ``why_none``."""
    if why_none(media):
        return None
    video, audio = _part(media, "video"), _part(media, "audio")
    streams = [*_video_streams(video, media, height), *_audio_streams(audio)]
    options = {**_container_options(), **_video_options(video, media, height), **_audio_options(audio, video, media)}
    duration_ms = _number(media.get("duration_ms"))
    return Plan(
        ffmpeg.arguments(streams, options),
        MEDIA_TYPE if video else "audio/mp4",
        bool(video),
        bool(audio),
        duration_ms,
        time_limit_s(duration_ms),
    )


def why_none(media: JsonObject) -> str:
    """Why nothing is derived: ``not-a-recording``, ``unreadable-media``, ``no-decoder``, ``no-streams``; else empty."""
    if media.get("kind") not in {"video", "audio"}:
        return "not-a-recording"
    if media.get("playable") == "no":
        return "unreadable-media"
    if media.get("playable") != "yes":
        return "no-decoder"
    return "" if _part(media, "video") or _part(media, "audio") else "no-streams"


def time_limit_s(duration_ms: int | None) -> int:
    """How long ffmpeg may take before it is killed."""
    return TIME_UNKNOWN_S if duration_ms is None else TIME_FLOOR_S + TIME_PER_SECOND * duration_ms // 1000


def make_proxy(path: Path, plan: Plan, target: Path, sandbox: Sandbox = WALLED) -> Proxy:
    """Carry out ``plan``; ``target`` exists only when the result was accepted.

    Raises ``ToolError`` when ffmpeg fails, takes too long, or makes something that ``refusal`` refuses.
    """
    version = ffmpeg.probe(sandbox)
    try:
        ffmpeg.run_recipe(plan.arguments, path.absolute(), target.absolute(), plan.time_s, sandbox)
        _accept(plan, ffprobe.show(target.absolute(), sandbox=sandbox))
    except ToolError:
        target.unlink(missing_ok=True)
        raise
    size, sha256 = _digest(target)
    recipe: JsonObject = {"program": "ffmpeg", "version": version, "arguments": list(plan.arguments)}
    return Proxy(target, size, sha256, recipe)


def refusal(plan: Plan, result: ffprobe.Probe) -> str:
    """Why a result does not count as the planned proxy, or an empty string."""
    kinds = [stream.get("codec_type") for stream in result.streams]
    if plan.has_video and "video" not in kinds:
        return "no video stream"
    if plan.has_audio and "audio" not in kinds:
        return "no audio stream"
    made_ms = ffprobe.milliseconds(result.format.get("duration"))
    if not made_ms:
        return "no duration"
    if plan.duration_ms is None:
        return ""
    slack_ms = max(DURATION_SLACK_MS, plan.duration_ms // DURATION_SLACK_PARTS)
    off_ms = abs(made_ms - plan.duration_ms)
    return f"{made_ms} ms long instead of {plan.duration_ms} ms" if off_ms > slack_ms else ""


def _accept(plan: Plan, result: ffprobe.Probe) -> None:
    reason = refusal(plan, result)
    if reason:
        raise ToolError(f"the proxy was refused: {reason}")


def _part(media: JsonObject, key: str) -> dict[str, Any]:
    part = media.get(key)
    return dict(part) if isinstance(part, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _plays_as_it_is(video: dict[str, Any], media: JsonObject, height: int) -> bool:
    """Whether the picture may be copied instead of encoded again: H.264, upright, low enough, modest."""
    rate = _number(media.get("bit_rate"))
    is_plain = video.get("codec") == "h264" and video.get("pixel_format") in PLAYS_EVERYWHERE
    is_upright = not video.get("rotation") and video.get("interlaced") == "no"
    is_small = video["height"] <= height and rate is not None and rate <= MODEST_BITS_S
    return is_plain and is_upright and is_small and media.get("container") in {"mp4", "mov"}


def size_shown(video: dict[str, Any]) -> tuple[int, int]:
    """Width and height as displayed, after the rotation that the container asks for."""
    turned = (video.get("rotation") or 0) % 180 == 90  # noqa: PLR2004
    return (video["height"], video["width"]) if turned else (video["width"], video["height"])


def size_made(video: dict[str, Any], height: int) -> tuple[int, int]:
    """Size of the proxy: never larger than the original, both sides even as 4:2:0 pictures need."""
    wide, high = size_shown(video)
    made = min(high, height)
    return max(2, wide * made // high // 2 * 2), max(2, made // 2 * 2)


def _video_streams(video: dict[str, Any], media: JsonObject, height: int) -> list[Any]:
    if not video:
        return []
    stream = ffmpeg.source()[str(video["index"])]
    if _plays_as_it_is(video, media, height):
        return [stream]
    if video.get("interlaced") == "yes":
        stream = stream.filter("yadif", mode="send_frame", deint="interlaced")
    wide, high = size_made(video, height)
    return [stream.filter("scale", wide, high).filter("format", "yuv420p")]


def _audio_streams(audio: dict[str, Any]) -> list[Any]:
    return [ffmpeg.source()[str(audio["index"])]] if audio else []


def _container_options() -> dict[str, str | int]:
    """Streamable, and the same bytes for the same input and version: no dates, no program names inside."""
    return {"f": "mp4", "movflags": "+faststart", "map_metadata": -1, "fflags": "+bitexact", "flags": "+bitexact"}


def _video_options(video: dict[str, Any], media: JsonObject, height: int) -> dict[str, str | int]:
    if not video:
        return {}
    if _plays_as_it_is(video, media, height):
        return {"c:v": "copy"}
    timing: dict[str, str | int] = {"fps_mode": "passthrough", "enc_time_base": f"1:{TIMESCALE}"}
    return {"c:v": "libx264", "preset": "veryfast", "crf": 26, "video_track_timescale": TIMESCALE, **timing}


def _audio_options(audio: dict[str, Any], video: dict[str, Any], media: JsonObject) -> dict[str, str | int]:
    """AAC is copied inside MP4; everything else becomes AAC, at most stereo and 48 kHz."""
    if not audio:
        return {}
    if audio.get("codec") == "aac" and media.get("container") in {"mp4", "mov"}:
        return {"c:a": "copy"}
    rate_hz = min(_number(audio.get("rate_hz")) or MAX_AUDIO_HZ, MAX_AUDIO_HZ)
    channels = min(_number(audio.get("channels")) or 1, 2)
    return {"c:a": "aac", "b:a": "64k" if video else "96k", "ar": rate_hz, "ac": channels}


def _digest(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(HASH_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()

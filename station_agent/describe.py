"""What a clip says of itself: times, place, device, officer, streams, each with its source; nothing is believed twice.

Runs on the sealed spool copy, reads metadata before any ffmpeg touches anything, and never fails on bad media: what the
tools cannot open is a described fact (``problems``), not an exception. Only a missing or broken tool raises.

``unreadable-media`` among the problems means that a file which is or claims to be media cannot be opened.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from custody.canonical import MAX_INTEGER, JsonObject, JsonValue
from station_agent import content, times
from station_agent.content import Content
from station_agent.errors import ToolError
from station_agent.model import ClockReading, Described, SourceFile
from station_agent.tools import exiftool, ffprobe
from station_agent.tools.sandbox import WALLED, Sandbox

SCAN_ALL_BYTES: Final = 8 << 20
"""Up to here every packet is read to check the duration; beyond it only the last seconds, and all in case of doubt."""
TAIL_S: Final = 5
"""How far before the stated end the cheap check begins; a key frame before it is found by ffprobe itself."""
DURATION_SLACK_MS: Final = 2_000
DURATION_SLACK_PARTS: Final = 20
"""A stated duration may differ from its packets by two seconds or a twentieth, whichever is more."""
GUESSED_SCORE: Final = 50
"""Below half of ffprobe's 100 a file without a signature was only guessed at."""
MAX_TEXT: Final = 200
"""Characters kept of any text a file states about itself."""
MAX_BLOCK_BYTES: Final = 32_000
"""Largest canonical ``media`` block: with its object it fits an entry (``seal.MAX_PAYLOAD_BYTES``)."""
SERIALS: Final = ("SerialNumber", "CameraSerialNumber", "InternalSerialNumber")
ESTIMATED: Final = frozenset({"aac", "mp3", "amr", "amrnb", "amrwb", "h264", "hevc", "mpegvideo", "mpeg", "mjpeg"})
"""ffprobe's names of formats without an index: their stated duration is size divided by a guessed bit rate."""
INTERLACED: Final = frozenset({"tt", "bb", "tb", "bt"})


class Claims(Protocol):
    """What a file name claims (``recorders.Claims``)."""

    @property
    def device(self) -> str:
        """Product number of the recorder."""
        ...

    @property
    def officer(self) -> str:
        """Officer number."""
        ...

    @property
    def start_raw(self) -> str:
        """Start by the recorder's clock, as written."""
        ...

    @property
    def family(self) -> str:
        """The family of recorders whose form the name has; empty when none has it."""
        ...


class Describer:
    """Describes one file after another. Not for two threads at once. Raises ``ToolError`` when a tool is missing."""

    def __init__(self, timezone: ZoneInfo, work: Path, sandbox: Sandbox = WALLED) -> None:
        self._zone = timezone
        self._work = work
        self._sandbox = sandbox
        self._tools = {"ffprobe": ffprobe.probe(sandbox), "exiftool": exiftool.probe(sandbox)}
        self._exif = exiftool.ExifReader(sandbox=sandbox)

    def describe(
        self, path: Path, source: SourceFile, claims: Claims, clock: ClockReading, docked_ms: int
    ) -> Described:
        """The ``media`` block of the file at ``path``, which came from ``source``. Raises ``OSError`` for our own copy.

        ``docked_ms`` is the station's time when the recorder was docked: no recording is later. Raises ``ToolError``
        where walls around the tools are needed and missing: that is no fault of the file.
        """
        self._sandbox.ready()
        findings = self._find(path, _extension(source.path))
        findings.family = text(claims.family) or "generic"
        about = _times(findings, source, claims, clock, self._zone, docked_ms)
        return Described(_block(findings, about, claims, clock, self._tools))

    def close(self) -> None:
        """End the processes held open."""
        self._exif.close()

    def _find(self, path: Path, extension: str) -> "Findings":
        size, head = path.stat().st_size, _head(path)
        what = content.identify(head, extension, size)
        findings = Findings(what, extension, size, head)
        if what.opener:
            with _safe_name(path, self._work, extension if what.by_extension else "") as safe:
                self._open(safe, findings)
        return findings

    def _open(self, safe: Path, findings: "Findings") -> None:
        """Metadata first, then streams, then the packets that prove the duration."""
        try:
            findings.tags = self._exif.read(safe)
        except ToolError:
            findings.problems.append("exiftool-failed")
        if findings.what.opener == "ffprobe":
            _probe(safe, findings, self._sandbox)
        elif findings.what.opener == "exiftool" and findings.tags and not findings.tag("FileType"):
            findings.problems.append("unreadable-media")


@dataclass(slots=True)
class Findings:
    """What the tools said of one file, gathered step by step."""

    what: Content
    extension: str
    size: int
    head: bytes
    tags: dict[str, Any]
    probe: ffprobe.Probe | None
    packets_ms: int | None
    problems: list[str]
    family: str

    def __init__(self, what: Content, extension: str, size: int, head: bytes) -> None:
        self.what, self.extension, self.size, self.head = what, extension, size, head
        self.tags, self.probe, self.packets_ms, self.problems = {}, None, None, []
        self.family = "generic"

    def stream(self, kind: str) -> Mapping[str, Any] | None:
        """The first stream of a kind that is no cover picture and whose codec is known."""
        streams = self.probe.streams if self.probe else ()
        return next((s for s in streams if s.get("codec_type") == kind and _is_usable(s)), None)

    def tag(self, name: str) -> str:
        """The first value of a tag in any group outside timed metadata, else within it; empty when there is none."""
        keys = [key for key in self.tags if key.rpartition(":")[2] == name]
        keys.sort(key=lambda key: key.startswith("Doc"))
        return text(self.tags[keys[0]]) if keys else ""


def text(value: object) -> str:
    """A stated text as it may stand in a record: printable, bounded, no lone surrogates."""
    cleaned = "".join(c if c.isprintable() else " " for c in str(value)[: 4 * MAX_TEXT])
    return " ".join(cleaned.split())[:MAX_TEXT]


def _extension(name: bytes) -> str:
    """Lower case, without dot; empty unless it is up to eight ASCII letters and digits."""
    _, dot, extension = name.rpartition(b"/")[2].rpartition(b".")
    plain = extension.isalnum() and extension.isascii() and len(extension) <= 8  # noqa: PLR2004
    return extension.decode("ascii").lower() if dot and plain else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(content.HEAD_BYTES)


@contextmanager
def _safe_name(path: Path, work: Path, extension: str) -> Iterator[Path]:
    """A link with a name of our choosing, so that no tool ever sees a name that came from a recorder.

    The extension is passed on only where the bytes say nothing: with it ffprobe takes a still for a numbered series.
    """
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="describe-", dir=work.absolute()))
    try:
        link = folder / (f"media.{extension}" if extension else "media")
        link.symlink_to(path.absolute())
        yield link
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _probe(safe: Path, findings: Findings, sandbox: Sandbox) -> None:
    try:
        findings.probe = ffprobe.show(safe, content.STILL_DEMUXERS.get(findings.what.container, ""), sandbox)
    except ffprobe.UnreadableError as error:
        findings.problems += ["moov-missing"] * ("moov atom not found" in str(error)) + ["unreadable-media"]
        return
    except ToolError:
        findings.problems.append("ffprobe-failed")
        return
    findings.problems += _unusable(findings)
    if findings.what.kind != "image" and "unreadable-media" not in findings.problems:
        _prove_duration(safe, findings, sandbox)


def _unusable(findings: Findings) -> list[str]:
    """Problems of a file that ffprobe opened without anything to show for it."""
    score = int((findings.probe and findings.probe.format.get("probe_score")) or 0)
    if findings.what.by_extension and score < GUESSED_SCORE:
        return ["format-guessed", "unreadable-media"]
    if findings.stream("video") is None and findings.stream("audio") is None:
        return ["no-streams", "unreadable-media"]
    return []


def _is_usable(stream: Mapping[str, Any]) -> bool:
    is_cover = isinstance(stream.get("disposition"), dict) and stream["disposition"].get("attached_pic") == 1
    is_known = bool(stream.get("codec_name")) and stream.get("codec_name") != "unknown"
    has_size = stream.get("codec_type") != "video" or (_whole(stream.get("width")) and _whole(stream.get("height")))
    has_rate = stream.get("codec_type") != "audio" or _whole(stream.get("sample_rate"))
    return is_known and not is_cover and bool(has_size) and bool(has_rate)


def _prove_duration(safe: Path, findings: Findings, sandbox: Sandbox) -> None:
    """Compare what the header promises with the packets that are there."""
    stated = _stated_ms(findings)
    try:
        findings.packets_ms = _packets_ms(safe, findings, stated, sandbox)
    except ToolError:
        findings.problems.append("duration-unproven")
        return
    if findings.packets_ms is None:
        findings.problems += ["no-packets", "unreadable-media"]
    elif stated is not None and not _is_close(stated, findings.packets_ms):
        findings.problems.append("duration-implausible")


def _packets_ms(safe: Path, findings: Findings, stated_ms: int | None, sandbox: Sandbox) -> int | None:
    """Length by packets: from the last seconds of a large file when they bear out the header, else from all of it."""
    streams = frozenset(int(s["index"]) for s in (findings.stream("video"), findings.stream("audio")) if s)
    begin_ms = _begin_ms(findings)
    if findings.size > SCAN_ALL_BYTES and stated_ms is not None and not _is_estimated(findings):
        from_s = max(0, (begin_ms + stated_ms) // 1000 - TAIL_S)
        end = ffprobe.last_packet_end_ms(safe, streams, from_s, sandbox)
        if end is not None and _is_close(stated_ms, end - begin_ms):
            return end - begin_ms
    end = ffprobe.last_packet_end_ms(safe, streams, None, sandbox)
    return None if end is None else max(0, end - begin_ms)


def _is_estimated(findings: Findings) -> bool:
    return findings.probe is not None and findings.probe.format.get("format_name") in ESTIMATED


def _begin_ms(findings: Findings) -> int:
    return (ffprobe.milliseconds(findings.probe.format.get("start_time")) or 0) if findings.probe else 0


def _stated_ms(findings: Findings) -> int | None:
    """What the header promises; beside a telemetry track (ffprobe: ``data``) the length of picture and sound alone."""
    if findings.probe is None:
        return None
    stated = ffprobe.milliseconds(findings.probe.format.get("duration"))
    if any(stream.get("codec_type") == "data" for stream in findings.probe.streams):
        streams = [stream for stream in (findings.stream("video"), findings.stream("audio")) if stream]
        lengths = [ffprobe.milliseconds(stream.get("duration")) for stream in streams]
        stated = max((length for length in lengths if length is not None), default=stated)
    return stated if stated is not None and 0 <= stated <= MAX_INTEGER else None


def _is_close(stated_ms: int, packets_ms: int) -> bool:
    return abs(stated_ms - packets_ms) <= max(DURATION_SLACK_MS, stated_ms // DURATION_SLACK_PARTS)


def _duration(findings: Findings) -> tuple[int | None, str]:
    """Length in milliseconds and where it comes from: the header when its packets bear it out, else the packets."""
    if findings.what.opener == "header":
        return content.dictation_header(findings.head).duration_ms, "header"
    if findings.probe is None or findings.what.kind == "image" or "unreadable-media" in findings.problems:
        return None, ""
    stated = _stated_ms(findings)
    doubted = _is_estimated(findings) or "duration-implausible" in findings.problems
    if stated is None or (doubted and findings.packets_ms is not None):
        return findings.packets_ms, "packets" if findings.packets_ms is not None else ""
    return stated, "container"


def _times(  # noqa: PLR0913  # what was found, and five things known from elsewhere
    findings: Findings, source: SourceFile, claims: Claims, clock: ClockReading, zone: ZoneInfo, docked_ms: int
) -> times.Choice:
    """All readings of a recording's start and the choice among them."""
    is_recording = findings.what.kind in {"video", "audio"}
    duration_ms = _duration(findings)[0] if is_recording else 0
    readings = list(_readings(findings, claims, zone))
    if source.mtime_ns:
        readings.append(times.from_mtime(source.mtime_ms, duration_ms))
    around = times.Circumstances(zone, docked_ms, duration_ms, clock.offset_ms)
    return times.choose([r for r in readings if _is_recordable(r)], around)


def _is_recordable(reading: times.Reading) -> bool:
    return reading.utc_ms is None or abs(reading.utc_ms) <= MAX_INTEGER


def _readings(findings: Findings, claims: Claims, zone: ZoneInfo) -> Iterator[times.Reading]:
    """GPS, name, then what the metadata say, each once."""
    gps = _gps_time(findings)
    if gps is not None:
        yield gps
    if stated := text(getattr(claims, "start_stated", "")):
        yield times.read("sidecar", stated, zone)
    if claims.start_raw:
        yield times.read("file-name", text(claims.start_raw), zone)
    if findings.what.opener == "header":
        yield times.read("container", content.dictation_header(findings.head).start_raw, zone)
    unique = dict.fromkeys(_stated_times(findings, zone))
    yield from unique


def _stated_times(findings: Findings, zone: ZoneInfo) -> Iterator[times.Reading]:
    tags = {key: text(value) for key, value in findings.tags.items() if not key.startswith("Doc")}
    for key, raw in tags.items():
        group, _, name = key.rpartition(":")
        if name in _EXIF_TIMES and findings.what.kind == "image" and group not in _CONTAINER_GROUPS:
            yield times.read("exif", raw + _exif_offset(raw, tags), zone)
        elif name in _CONTAINER_TIMES:
            yield _container_time(group, raw, zone)
    said = text((findings.probe.format.get("tags") or {}).get("creation_time", "")) if findings.probe else ""
    if said and not any(key.rpartition(":")[2] in _CONTAINER_TIMES for key in tags):
        yield times.read("container", said, UTC)


_EXIF_TIMES: Final = frozenset({"DateTimeOriginal", "CreateDate"})
_CONTAINER_TIMES: Final = frozenset({"CreationDate", "CreateDate", "DateTimeOriginal", "MediaCreateDate"})
_CONTAINER_GROUPS: Final = frozenset({"QuickTime", "Keys", "Matroska", "H264", "RIFF", "ASF"})
_LOCAL_GROUPS: Final = frozenset({"RIFF", "H264", "ID3v2_3", "ID3v2_4", "ID3v1", "AIFF", "DV", "XML", "Keys"})
"""Groups whose times are local when they state no zone; the boxes of MP4 and Matroska are UTC by specification."""


def _container_time(group: str, raw: str, zone: ZoneInfo) -> times.Reading:
    """A time from a container. AVCHD writes +00:00 when its zone was never set (measured), so that is no zone."""
    if group == "H264" and raw.endswith("+00:00"):
        return times.read("container", raw.removesuffix("+00:00"), zone)
    return times.read("container", raw, zone if group in _LOCAL_GROUPS else UTC)


def _exif_offset(raw: str, tags: Mapping[str, str]) -> str:
    """The offset that EXIF 2.31 states beside the time, unless the time has one already."""
    offset = tags.get("ExifIFD:OffsetTimeOriginal", "") or tags.get("Main:ExifIFD:OffsetTimeOriginal", "")
    return offset if len(raw) <= len("2024:01:31 12:34:56") else ""


@dataclass(frozen=True, slots=True)
class _Fix:
    """One position. ``after_ms`` is the time into the recording of its sample."""

    lat_e7: int
    lon_e7: int
    accuracy_m: int | None
    time_raw: str
    after_ms: int | None
    source: str


def _fixes(tags: Mapping[str, Any]) -> Iterator[_Fix]:
    """Positions with a fix, in the order of the track, then the one position of a phone or a still."""
    documents = dict.fromkeys(key.split(":")[0] for key in tags if key.startswith("Doc"))
    for document in documents:
        fix = _fix({key.rpartition(":")[2]: v for key, v in tags.items() if key.split(":")[0] == document}, "gps-track")
        if fix is not None:
            yield fix
    composite = {key.rpartition(":")[2]: v for key, v in tags.items() if key.startswith("Composite:")}
    plain = {key.rpartition(":")[2]: v for key, v in tags.items() if key.startswith("GPS:")}
    still = _fix({**plain, **composite} if "GPSLatitude" in composite else {}, "stated")
    if still is not None:
        yield still


def _fix(tags: Mapping[str, Any], source: str) -> _Fix | None:
    lat, lon = _e7(tags.get("GPSLatitude"), 90), _e7(tags.get("GPSLongitude"), 180)
    if lat is None or lon is None or (lat == 0 and lon == 0) or not _has_fix(tags):
        return None
    sample = ffprobe.milliseconds(tags["SampleTime"]) if "SampleTime" in tags else None
    return _Fix(lat, lon, _metres(tags.get("GPSHPositioningError")), text(tags.get("GPSDateTime", "")), sample, source)


def _has_fix(tags: Mapping[str, Any]) -> bool:
    """Fix flag 0 and status V (void) mean that the coordinates are the receiver's memory, not a position."""
    return str(tags.get("GPSMeasureMode", "3")) not in {"0", "1"} and str(tags.get("GPSStatus", "A")) != "V"


def _e7(value: object, limit: int) -> int | None:
    """Degrees as an integer of ten-millionths, exact from the decimal text; None when it is no coordinate."""
    try:
        degrees = Decimal(str(value))
    except InvalidOperation:
        return None
    return int((degrees * 10**7).to_integral_value()) if degrees.is_finite() and abs(degrees) <= limit else None


def _metres(value: object) -> int | None:
    millimetres = ffprobe.milliseconds(value)
    return None if millimetres is None or millimetres < 0 else -(-millimetres // 1000)


def _gps_time(findings: Findings) -> times.Reading | None:
    """The first GPS time with a fix, moved back to the start of the recording."""
    timed = (fix for fix in _fixes(findings.tags) if fix.time_raw)
    fix = next(timed, None)
    if fix is None:
        return None
    is_track = fix.source == "gps-track"
    uncertainty_ms = times.GPS_UNCERTAINTY_MS if is_track else times.STILL_GPS_UNCERTAINTY_MS
    reading = times.read("gps", fix.time_raw, UTC, uncertainty_ms)
    start_ms = None if reading.utc_ms is None else reading.utc_ms - (fix.after_ms or 0)
    return times.Reading("gps", reading.raw, reading.zone, start_ms, reading.uncertainty_ms)


def _place(findings: Findings) -> tuple[JsonObject | None, list[str]]:
    """The first valid position; ``gps-no-fix`` when the file has coordinates but never a fix."""
    fix = next(_fixes(findings.tags), None)
    if fix is None:
        has_any = any(key.rpartition(":")[2] == "GPSLatitude" for key in findings.tags)
        return None, ["gps-no-fix"] if has_any else []
    place: dict[str, JsonValue] = {"lat_e7": fix.lat_e7, "lon_e7": fix.lon_e7, "accuracy_m": fix.accuracy_m}
    return {**place, "crs": "WGS-84", "source": fix.source}, []


def _block(
    findings: Findings, about: times.Choice, claims: Claims, clock: ClockReading, tools: Mapping[str, str]
) -> JsonObject:
    """The ``media`` block: every key always there, so that a reader never has to guess.

    At most ``MAX_BLOCK_BYTES``, whatever a file says: each text is bounded, and so is the number of times.
    """
    duration_ms, duration_source = _duration(findings)
    place, place_problems = _place(findings)
    problems = [*_zero(findings), *findings.problems, *_mismatch(findings), *_dictation(findings)]
    problems += [] if findings.what.kind == "empty" else [*about.problems, *place_problems]
    return {
        "kind": _kind(findings),
        "playable": _playable(findings),
        "container": findings.what.container,
        "mime": findings.what.mime,
        "duration_ms": duration_ms,
        "duration_source": duration_source,
        "bit_rate": _bounded(findings.probe.format.get("bit_rate")) if findings.probe else None,
        "start": about.start,
        "times": list(about.times),
        "times_left_out": about.left_out,
        "clock": clock.block(),
        "place": place,
        "video": _video(findings),
        "audio": _audio(findings),
        "picture": _picture(findings),
        "device_as_stated": text(claims.device) or _device(findings),
        "model_as_stated": text(f"{findings.tag('Make')} {findings.tag('Model')}"),
        "officer_as_stated": text(claims.officer),
        "case_as_stated": text(getattr(claims, "case", "")),
        "family": findings.family,
        "problems": list(dict.fromkeys(problems)),
        "tools": {name: text(version) for name, version in tools.items()},
    }


def _zero(findings: Findings) -> list[str]:
    return ["zero-byte"] if findings.what.kind == "empty" else []


def _mismatch(findings: Findings) -> list[str]:
    """``type-mismatch``: the extension promises one kind of media, the bytes are another."""
    claimed = content.claimed_kind(findings.extension)
    differs = claimed is not None and findings.what.kind not in {claimed, "empty"}
    return ["type-mismatch"] if differs and claimed != _kind(findings) else []


def _dictation(findings: Findings) -> list[str]:
    """What keeps a file from being played although its header reads well: no decoder here, or encryption."""
    if findings.what.opener == "header":
        return ["encrypted"] if content.dictation_header(findings.head).encrypted else ["no-decoder"]
    return ["no-decoder"] if findings.what.opener == "exiftool" else []


def _kind(findings: Findings) -> str:
    """Kind by content, corrected by the streams: an MP4 with only sound is audio."""
    if findings.what.kind == "video" and findings.stream("video") is None and findings.stream("audio"):
        return "audio"
    return findings.what.kind


def _playable(findings: Findings) -> str:
    if findings.what.kind in {"empty", "sidecar", "other"} or "unreadable-media" in findings.problems:
        return "no"
    if findings.what.opener != "ffprobe" or "ffprobe-failed" in findings.problems:
        return "unknown"
    return "yes"


def _video(findings: Findings) -> JsonObject | None:
    stream = findings.stream("video")
    if stream is None or findings.what.kind != "video":
        return None
    return {
        "codec": text(stream.get("codec_name")),
        "width": _bounded(stream.get("width")),
        "height": _bounded(stream.get("height")),
        "rate_milli": _rate_milli(text(stream.get("avg_frame_rate"))),
        "rotation": _rotation(stream),
        "interlaced": "yes" if stream.get("field_order") in INTERLACED else "no",
        "pixel_format": text(stream.get("pix_fmt", "")),
        "index": _bounded(stream.get("index")),
    }


def _audio(findings: Findings) -> JsonObject | None:
    stream = findings.stream("audio")
    if stream is None:
        return None
    return {
        "codec": text(stream.get("codec_name")),
        "rate_hz": _bounded(stream.get("sample_rate")),
        "channels": _bounded(stream.get("channels")),
        "index": _bounded(stream.get("index")),
    }


def _picture(findings: Findings) -> JsonObject | None:
    """Size of a still, from whichever tool could read it."""
    stream = findings.stream("video")
    if findings.what.kind != "image":
        return None
    width, height = (stream.get("width"), stream.get("height")) if stream else (None, None)
    size = {
        "width": _bounded(width or findings.tag("ImageWidth")),
        "height": _bounded(height or findings.tag("ImageHeight")),
    }
    return size if size["width"] and size["height"] else None


def _device(findings: Findings) -> str:
    """The serial number in the metadata, or what an audio recorder calls itself."""
    serial = next((value for name in SERIALS if (value := findings.tag(name))), "")
    if findings.what.opener == "header":
        return serial or text(content.dictation_header(findings.head).author)
    return serial or findings.tag("Originator")


def _rate_milli(ratio: str) -> int | None:
    """Frames in a thousand seconds from ``30000/1001``."""
    above, _, below = ratio.partition("/")
    if not (above.isdigit() and below.isdigit() and int(below)):
        return None
    return _bounded(int(above) * 1000 // int(below)) or None


def _rotation(stream: Mapping[str, Any]) -> int:
    """Clockwise turns for display in degrees, 0 to 359, from the display matrix."""
    sides = stream.get("side_data_list", [])
    turns = [_bounded(side.get("rotation")) for side in sides if isinstance(side, dict) and "rotation" in side]
    return -(turns[0] or 0) % 360 if turns else 0


def _whole(value: object) -> int:
    """A positive whole number of at most nine digits, or 0."""
    digits = str(value)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else 0  # noqa: PLR2004


def _bounded(value: object) -> int | None:
    """A whole number that a record may hold, or None."""
    digits = str(value)
    plain = digits.removeprefix("-")
    is_whole = plain.isascii() and plain.isdigit() and len(plain) <= 15  # noqa: PLR2004
    return int(digits) if is_whole else None

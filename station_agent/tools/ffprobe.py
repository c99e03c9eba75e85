"""ffprobe: what streams a file holds and how far its packets really reach.

The JSON is read with floats as text, so that nothing is rounded before we decide what it means.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from station_agent.errors import ToolError
from station_agent.tools.process import Limits
from station_agent.tools.sandbox import VERSION, WALLED, Reach, Sandbox

DEMUXERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,flv,asf,dv,mjpeg,"
    "mp3,aac,amr,amrnb,amrwb,wav,w64,aiff,flac,ogg,au,caf,"
    "jpeg_pipe,png_pipe,gif,gif_pipe,bmp_pipe,webp_pipe,tiff_pipe"
)
"""Containers that recorders and their exports use. Playlists, concat scripts and subtitles are not among them: they
name other files, which would let a clip on a recorder read the station's own."""
PROTOCOLS: Final = "file,pipe"

SHOW: Final = Limits(time_s=60, output_bytes=4 << 20)
"""Headers only; the largest of 169 real files prints 30 kB in 0.1 s."""
TAIL: Final = Limits(time_s=60, output_bytes=4 << 20)
"""The last seconds of packets."""
SCAN: Final = Limits(time_s=600, output_bytes=64 << 20)
"""Every packet: the whole file is read once. About 30 bytes a packet, 80 packets a second, so seven hours fit."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``streams`` and ``format`` as ffprobe gives them (all numbers with a point as text), and its complaints."""

    streams: tuple[dict[str, Any], ...]
    format: dict[str, Any]
    complaints: str


class UnreadableError(ToolError):
    """ffprobe ran and says that it cannot open the file; the text is its complaint."""


def probe(sandbox: Sandbox = WALLED) -> str:
    """Version of the installed ffprobe, such as ``5.1.9-0+deb12u1``. Raises ``ToolError``."""
    done = sandbox.run(["ffprobe", "-version"], Reach(), VERSION)
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode or words[:2] != ["ffprobe", "version"]:
        raise ToolError("ffprobe does not say its version: install ffmpeg 5.1 or newer")
    return words[2]


def guard() -> list[str]:
    """Options that stand before every input of ffprobe and ffmpeg."""
    return ["-protocol_whitelist", PROTOCOLS, "-format_whitelist", DEMUXERS]


def show(path: Path, demuxer: str = "", sandbox: Sandbox = WALLED) -> Probe:
    """Streams and format of a file, opened as ``demuxer`` when it is named.

    Raises ``UnreadableError`` when the file cannot be opened, ``ToolError`` when ffprobe itself fails.
    """
    asked = [*_command(path, demuxer), "-show_streams", "-show_format", "-of", "json"]
    done = sandbox.run(asked, Reach(path), SHOW)
    if done.returncode:
        raise UnreadableError(_complaint(done.stderr, path) or f"ffprobe ended with {done.returncode}")
    return parse(done.stdout, _complaint(done.stderr, path))


def parse(stdout: bytes, complaints: str) -> Probe:
    """What ffprobe printed, as a value. Raises ``ToolError`` when it is not what ffprobe prints."""
    try:
        answer = json.loads(stdout.decode("utf-8", "replace"), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise ToolError("ffprobe printed something that is not JSON") from error
    if not isinstance(answer, dict):
        raise ToolError("ffprobe printed JSON that is not an object")
    streams = answer.get("streams", [])
    return Probe(tuple(s for s in streams if isinstance(s, dict)), dict(answer.get("format", {})), complaints)


def last_packet_end_ms(
    path: Path, streams: frozenset[int], from_s: int | None, sandbox: Sandbox = WALLED
) -> int | None:
    """Where the last packet of ``streams`` ends, in the file's own time, in milliseconds; None when there is none.

    ``from_s`` reads only from there on (cheap, when the index is right); None reads every packet. Raises ``ToolError``.
    """
    span = ["-read_intervals", f"{from_s}%"] if from_s is not None else []
    shown = ["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time", "-of", "csv=p=0"]
    done = sandbox.run([*_command(path), *span, *shown], Reach(path), SCAN if from_s is None else TAIL)
    ends = [end for line in done.stdout.decode("ascii", "replace").splitlines() for end in _end_ms(line, streams)]
    return max(ends, default=None)


def _command(path: Path, demuxer: str = "") -> list[str]:
    return ["ffprobe", "-v", "error", *guard(), *(["-f", demuxer] if demuxer else []), "-i", f"file:{path}"]


def _end_ms(line: str, streams: frozenset[int]) -> list[int]:
    """End of one packet line ``index,pts,dts,duration``; empty for another stream or a packet without a time."""
    cells = [*line.split(","), "", "", ""][:4]
    if not cells[0].isdigit() or int(cells[0]) not in streams:
        return []
    begin = next((ms for cell in cells[1:3] if (ms := milliseconds(cell)) is not None), None)
    return [] if begin is None else [begin + (milliseconds(cells[3]) or 0)]


def milliseconds(seconds: object) -> int | None:
    """``"12.0787"`` → 12079. None for what is no decimal number of at most twelve digits before its point."""
    text = str(seconds)
    whole, _, part = text.lstrip("-").partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 12) or (part and not part.isdigit()):  # noqa: PLR2004
        return None
    exact = int(whole) * 1_000_000 + int((part + "000000")[:6])
    return (-1 if text.startswith("-") else 1) * ((exact + 500) // 1000)


def _complaint(stderr: str, path: Path) -> str:
    """The first lines of what it said, without the path of this machine and the addresses of its memory."""
    lines = [line.replace(f"file:{path}", "").split("] ")[-1].strip(" :") for line in stderr.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))[:300]

"""What a file is by its first bytes; the extension is only a claim that decides when the bytes say nothing. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["video", "audio", "image", "sidecar", "other", "empty"]
HEAD_BYTES: Final = 4096
"""Enough for every signature below and for two packets of a transport stream at any offset seen."""


@dataclass(frozen=True, slots=True)
class Content:
    """``opener`` says which tool may open it: ``ffprobe``, ``exiftool`` (stills ffprobe would misread), or none."""

    kind: Kind
    container: str
    mime: str
    opener: Literal["ffprobe", "exiftool", "header", ""] = "ffprobe"
    by_extension: bool = False


def identify(head: bytes, extension: str, size: int) -> Content:
    """What the file is. ``extension`` is lower case without its dot."""
    if size == 0:
        return Content("empty", "", "", "")
    found = _by_signature(head)
    if found is not None:
        return found
    if extension in SIDECARS and (is_text(head) or extension in BINARY_SIDECARS):
        return Content("sidecar", extension, "text/plain" if is_text(head) else OCTETS, "")
    claimed = CLAIMS.get(extension)
    if claimed is not None:
        return Content(claimed, extension, OCTETS, "ffprobe", by_extension=True)
    return Content("other", extension, "text/plain" if is_text(head) else OCTETS, "")


def claimed_kind(extension: str) -> Kind | None:
    """What an extension promises, or None when it promises nothing about media."""
    return CLAIMS.get(extension)


def is_text(head: bytes) -> bool:
    """Whether the bytes can be text in UTF-8 or GBK: no control characters but line breaks and tabs."""
    return _CONTROL.search(head) is None


def _words(text: str) -> list[str]:
    return text.split()


OCTETS: Final = "application/octet-stream"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")

SIDECARS: Final = frozenset(
    _words(
        "srt gpx gps 3gf json vtt xml key txt log csv nmea fit ctg ind bpi ini cpi bdm mpl",
    )
)
"""Files that recorders write beside a clip (telemetry, catalogues, settings)."""
BINARY_SIDECARS: Final = frozenset(_words("gps 3gf key ctg ind bpi cpi bdm mpl"))

CLAIMS: Final[dict[str, Kind]] = {
    **dict.fromkeys(
        _words("mp4 m4v mov 3gp 3g2 avi mkv webm mts m2ts ts mpg mpeg wmv asf flv dv lrv moi r3d mjpg"), "video"
    ),
    **dict.fromkeys(_words("mp3 wav m4a aac amr ogg opus flac wma aif aiff dss ds2 au"), "audio"),
    **dict.fromkeys(
        _words("jpg jpeg png gif bmp webp heic heif avif tif tiff dng nef cr2 cr3 crw raf rw2 mrw arw orf x3f iiq gpr"),
        "image",
    ),
}

STILL_DEMUXERS: Final = {name: f"{name}_pipe" for name in ("jpeg", "png", "webp")}
"""How ffprobe is told what the first bytes already proved; left to itself it takes some stills for something else."""

_STILL_BRANDS: Final = frozenset([b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"hevc"])
_ATOMS: Final = frozenset([b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx", b"uuid"])
_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

# Signature at offset 0 → what it is. Longer signatures stand before those they begin with.
_SIGNATURES: Final[tuple[tuple[bytes, Content], ...]] = (
    (b"\x1a\x45\xdf\xa3", Content("video", "matroska", "video/x-matroska")),
    (_ASF, Content("video", "asf", "video/x-ms-asf")),
    (b"FLV\x01", Content("video", "flv", "video/x-flv")),
    (b"\x00\x00\x01\xba", Content("video", "mpeg-ps", "video/mpeg")),
    (b"\x00\x00\x01\xb3", Content("video", "mpeg-video", "video/mpeg")),
    (b"\x1f\x07\x00", Content("video", "dv", "video/dv")),
    (b"#!AMR", Content("audio", "amr", "audio/amr")),
    (b"OggS", Content("audio", "ogg", "audio/ogg")),
    (b"fLaC", Content("audio", "flac", "audio/flac")),
    (b"ID3", Content("audio", "mp3", "audio/mpeg")),
    (b"\xff\xd8\xff", Content("image", "jpeg", "image/jpeg")),
    (b"\x89PNG\r\n\x1a\n", Content("image", "png", "image/png")),
    (b"GIF8", Content("image", "gif", "image/gif")),
    (b"FUJIFILMCCD-RAW", Content("image", "raf", "image/x-fujifilm-raf", "exiftool")),
    (b"\x00MRM", Content("image", "mrw", "image/x-minolta-mrw", "exiftool")),
    (b"FOVb", Content("image", "x3f", "image/x-sigma-x3f", "exiftool")),
    (b"II\x1a\x00\x00\x00HEAPCCDR", Content("image", "crw", "image/x-canon-crw", "exiftool")),
    (b"IIU\x00", Content("image", "rw2", "image/x-panasonic-rw2", "exiftool")),
    (b"IIRO", Content("image", "orf", "image/x-olympus-orf", "exiftool")),
    (b"IIRS", Content("image", "orf", "image/x-olympus-orf", "exiftool")),
    (b"II*\x00", Content("image", "tiff", "image/tiff", "exiftool")),
    (b"MM\x00*", Content("image", "tiff", "image/tiff", "exiftool")),
    (b"DEVC", Content("sidecar", "gpmf", OCTETS, "")),
)


def _by_signature(head: bytes) -> Content | None:
    for signature, content in _SIGNATURES:
        if head.startswith(signature):
            return content
    return _riff_or_iff(head) or _iso_media(head) or _dictation(head) or _transport(head) or _frames(head) or _fit(head)


def _riff_or_iff(head: bytes) -> Content | None:
    form = head[8:12]
    if head[:4] in {b"RIFF", b"RF64", b"BW64"}:
        return {
            b"AVI ": Content("video", "avi", "video/x-msvideo"),
            b"WAVE": Content("audio", "wav", "audio/x-wav"),
            b"WEBP": Content("image", "webp", "image/webp"),
        }.get(form)
    if head[:4] == b"FORM" and form in {b"AIFF", b"AIFC"}:
        return Content("audio", "aiff", "audio/aiff")
    return None


def _iso_media(head: bytes) -> Content | None:  # noqa: PLR0911  # one line per kind of first box
    """MP4, QuickTime and their relatives by the first box (ISO/IEC 14496-12 §4.2); stills of the family apart."""
    box, brand = head[4:8], head[8:12]
    if box in _ATOMS:
        return Content("video", "mov", "video/quicktime")
    if head[4:7] == b"RED" and head[7:8] in {b"1", b"2"}:
        return Content("video", "r3d", "video/x-red-r3d", "exiftool")
    if box != b"ftyp":
        return None
    if brand in _STILL_BRANDS:
        return Content("image", "heif", "image/heif", "exiftool")
    if brand == b"crx ":
        return Content("image", "cr3", "image/x-canon-cr3", "exiftool")
    if brand == b"M4A ":
        return Content("audio", "mp4", "audio/mp4")
    return Content("video", "mov", "video/quicktime") if brand == b"qt  " else Content("video", "mp4", "video/mp4")


def _dictation(head: bytes) -> Content | None:
    return Content("audio", head[1:4].decode("ascii"), "audio/x-dss", "header") if head[1:4] in DICTATION else None


def _transport(head: bytes) -> Content | None:
    """MPEG-2 packets of 188 bytes, or of 192 with a time stamp in front (AVCHD); at least two in a row."""
    is_188 = head[:1] == head[188:189] == b"G"
    is_192 = head[4:5] == head[196:197] == b"G"
    return Content("video", "mpegts", "video/mp2t") if is_188 or is_192 else None


def _frames(head: bytes) -> Content | None:
    """Elementary audio: ADTS (ISO/IEC 13818-7 §6.2) and MPEG layer I to III frames."""
    if len(head) < 2 or head[0] != 0xFF:  # noqa: PLR2004
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004
        return Content("audio", "aac", "audio/aac")
    layer, version = head[1] >> 1 & 3, head[1] >> 3 & 3
    is_mpeg = head[1] & 0xE0 == 0xE0 and layer != 0 and version != 1  # noqa: PLR2004
    return Content("audio", "mp3", "audio/mpeg") if is_mpeg else None


def _fit(head: bytes) -> Content | None:
    return Content("sidecar", "fit", OCTETS, "") if head[8:12] == b".FIT" else None


DICTATION: Final = frozenset([b"dss", b"ds2", b"enc"])
DICTATION_HEADER_BYTES: Final = 68


@dataclass(frozen=True, slots=True)
class DictationHeader:
    """Header of a DSS or DS2 dictation. The length is not end minus start: pauses and appended parts lie between."""

    author: str
    start_raw: str
    duration_ms: int | None
    encrypted: bool


def dictation_header(head: bytes) -> DictationHeader:
    """Author at 0x0C, start ``yymmddHHMMSS`` at 0x26, length ``HHMMSS`` at 0x3E; the first four bytes were checked."""
    author = head[0x0C:0x1C].split(b"\x00")[0].decode("ascii", "replace").strip()
    start, length = (head[a:b].decode("ascii", "replace") for a, b in ((0x26, 0x32), (0x3E, 0x44)))
    start_raw = f"20{start}" if start.isascii() and start.isdigit() and len(start) == 12 else ""  # noqa: PLR2004
    return DictationHeader(author, start_raw, _clock_ms(length), encrypted=head[1:4] == b"enc")


def _clock_ms(digits: str) -> int | None:
    if not (digits.isascii() and digits.isdigit() and len(digits) == 6):  # noqa: PLR2004
        return None
    return (int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])) * 1000

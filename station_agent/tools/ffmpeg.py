"""ffmpeg: run an argument list that the ``ffmpeg-python`` package built.

The package only builds lists; its ``run`` and ``probe`` have no time-out and are never used. The command is niced, so
that a transcode never competes with an offload.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import ffmpeg

from station_agent.errors import ToolError
from station_agent.tools.ffprobe import DEMUXERS, PROTOCOLS
from station_agent.tools.process import Limits
from station_agent.tools.sandbox import VERSION, WALLED, Reach, Sandbox

INPUT: Final = "INPUT"
OUTPUT: Final = "OUTPUT"
"""Stand for the two file names in a recipe, which must not tell paths of a station."""
NICENESS: Final = 10
MAX_OUTPUT_BYTES: Final = 1 << 20
"""ffmpeg writes its result to a file; what it prints is small."""
MEMORY_BYTES: Final = 6 << 30
"""Address space: decoding 2160 lines with 16 threads and encoding with 24 reserves 3.3 GB and uses a third of it."""
FILE_BYTES_S: Final = 1 << 18
"""Largest result by seconds allowed, which are ten times those of the recording: 21 Mbit/s of playing time."""
COMMAND: Final = ("nice", "-n", str(NICENESS), "ffmpeg", "-nostdin", "-v", "error", "-y")


def probe(sandbox: Sandbox = WALLED) -> str:
    """Version of the installed ffmpeg, such as ``7.1.2-0+deb13u1``. Raises ``ToolError``."""
    done = sandbox.run(["ffmpeg", "-version"], Reach(), VERSION)
    words = done.stdout.decode("utf-8", "replace").split()
    if done.returncode or words[:2] != ["ffmpeg", "version"]:
        raise ToolError("ffmpeg does not say its version: install ffmpeg 5.1 or newer")
    return words[2]


def source() -> Any:
    """The guarded input of a recipe, to which filters and outputs are attached."""
    return ffmpeg.input(INPUT, protocol_whitelist=PROTOCOLS, format_whitelist=DEMUXERS)


def arguments(streams: Sequence[Any], options: Mapping[str, str | int]) -> tuple[str, ...]:
    """Arguments that write ``streams`` with ``options``, with ``INPUT`` and ``OUTPUT`` for the names."""
    return tuple(ffmpeg.get_args(ffmpeg.output(*streams, OUTPUT, **options)))


def run_recipe(recipe: Sequence[str], path: Path, target: Path, time_s: float, sandbox: Sandbox = WALLED) -> None:
    """Carry out ``recipe`` from ``path`` to ``target``. Raises ``ToolError`` with what ffmpeg said."""
    names = {INPUT: f"file:{path}", OUTPUT: f"file:{target}"}
    cpu_s, file_bytes = (os.cpu_count() or 1) * math.ceil(time_s + 1), int(FILE_BYTES_S * time_s)
    limits = Limits(time_s, MAX_OUTPUT_BYTES, MEMORY_BYTES, cpu_s, file_bytes)
    target.touch()  # inside, one file is seen and not its folder, where originals may lie
    done = sandbox.run([*COMMAND, *(names.get(part, part) for part in recipe)], Reach(path, target), limits)
    if done.returncode:
        said = done.stderr.replace(f"file:{path}", INPUT).replace(f"file:{target}", OUTPUT).strip()
        raise ToolError(f"ffmpeg ended with {done.returncode}: {' '.join(said.split())[-300:]}")

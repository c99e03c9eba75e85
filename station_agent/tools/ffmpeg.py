"""ffmpeg: run an argument list that the ``ffmpeg-python`` package built.

The package only builds lists; its ``run`` and ``probe`` have no time-out and are never used. The command is niced, so
that a transcode never competes with an offload.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import ffmpeg

from station_agent.errors import ToolError
from station_agent.tools.ffprobe import DEMUXERS, PROTOCOLS
from station_agent.tools.process import Limits, run

INPUT: Final = "INPUT"
OUTPUT: Final = "OUTPUT"
"""Stand for the two file names in a recipe, which must not tell paths of a station."""
NICENESS: Final = 10
MAX_OUTPUT_BYTES: Final = 1 << 20
"""ffmpeg writes its result to a file; what it prints is small."""
COMMAND: Final = ("nice", "-n", str(NICENESS), "ffmpeg", "-nostdin", "-v", "error", "-y")


def probe() -> str:
    """Version of the installed ffmpeg, such as ``7.1.2-0+deb13u1``. Raises ``ToolError``."""
    done = run(["ffmpeg", "-version"], Limits(10, MAX_OUTPUT_BYTES))
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


def run_recipe(recipe: Sequence[str], path: Path, target: Path, time_s: float) -> None:
    """Carry out ``recipe`` from ``path`` to ``target``. Raises ``ToolError`` with what ffmpeg said."""
    names = {INPUT: f"file:{path}", OUTPUT: f"file:{target}"}
    done = run([*COMMAND, *(names.get(argument, argument) for argument in recipe)], Limits(time_s, MAX_OUTPUT_BYTES))
    if done.returncode:
        said = done.stderr.replace(f"file:{path}", INPUT).replace(f"file:{target}", OUTPUT).strip()
        raise ToolError(f"ffmpeg ended with {done.returncode}: {' '.join(said.split())[-300:]}")

"""exiftool, kept open through pyexiftool: vendor tags, GPS tracks, dates that ffprobe does not see.

pyexiftool waits for ever for an answer, and spins when the process dies. ``_Bounded`` replaces the reading of answers
by one with a deadline and a size bound. The process is started anew after ``FILES_PER_PROCESS`` answers, after a
time-out, and after it died (Linux ends it when the thread that started it ends). Walls stand around one file, so
another file is another process: one that took over the process says nothing of the next.
"""

import contextlib
import json
import os
import secrets
import selectors
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import exiftool
import exiftool.exceptions

from station_agent.errors import ToolError
from station_agent.tools.process import Limits, end, environment
from station_agent.tools.sandbox import VERSION, WALLED, Reach, Sandbox

FILES_PER_PROCESS: Final = 200
"""A Perl process that reads damaged files for days grows; a fresh one costs 60 ms."""
READ: Final = Limits(time_s=60, output_bytes=32 << 20)
"""The track of an eight-hour shift at one point a second prints about 8 MB."""
PIECE_BYTES: Final = 1 << 16

ALWAYS: Final = ["-n", "-G3:1", "-charset", "filename=utf8", "-api", "LargeFileSupport=1"]
EMBEDDED: Final = "-ee"
"""Also read timed metadata inside the media; left out when that takes too long."""
TAGS: Final = (
    "FileType",
    "MIMEType",
    "Error",
    "Warning",
    "Make",
    "Model",
    "SerialNumber",
    "InternalSerialNumber",
    "CameraSerialNumber",
    "Originator",
    "DateTimeOriginal",
    "CreateDate",
    "MediaCreateDate",
    "CreationDate",
    "OffsetTimeOriginal",
    "StartTime",
    "GPSDateTime",
    "GPSLatitude",
    "GPSLongitude",
    "GPSMeasureMode",
    "GPSHPositioningError",
    "SampleTime",
    "ImageWidth",
    "ImageHeight",
    "Duration",
)


def probe(sandbox: Sandbox = WALLED) -> str:
    """Version of the installed exiftool, such as ``12.57``. Raises ``ToolError``."""
    done = sandbox.run(["exiftool", "-ver"], Reach(), VERSION)
    version = done.stdout.decode("ascii", "replace").strip()
    if done.returncode or not version[:1].isdigit():
        raise ToolError("exiftool does not say its version: install libimage-exiftool-perl 12.10 or newer")
    return version


class ExifReader:
    """Tags of one file after another. Not for two threads at once."""

    def __init__(
        self, limits: Limits = READ, files_per_process: int = FILES_PER_PROCESS, sandbox: Sandbox = WALLED
    ) -> None:
        self._limits = limits
        self._sandbox = sandbox
        self._files_per_process = files_per_process
        self._process: _Bounded | None = None
        self._files = 0

    def read(self, path: Path) -> dict[str, Any]:
        """Tags by ``Document:Group:Tag`` (``Doc1:Track4:GPSLatitude``); ``Error`` among them says it is no media file.

        A time-out while reading timed metadata is followed by one try without it. Raises ``ToolError``.
        """
        try:
            return self._ask(path, [EMBEDDED])
        except ToolError:
            self.close()
            return self._ask(path, [])

    def close(self) -> None:
        """End the process; the next ``read`` starts another."""
        process, self._process, self._files = self._process, None, 0
        if process is not None:
            process.stop()

    def _ask(self, path: Path, extra: list[str]) -> dict[str, Any]:
        try:
            answers = self._running(path).execute_json(*ALWAYS, *extra, *(f"-{tag}" for tag in TAGS), str(path))
        except (OSError, ValueError, exiftool.exceptions.ExifToolException) as error:
            self.close()
            raise ToolError(f"exiftool gave no answer: {type(error).__name__}") from error
        except ToolError:
            self.close()
            raise
        if not answers or not isinstance(answers[0], dict):
            raise ToolError("exiftool printed JSON without an object")
        return dict(answers[0])

    def _running(self, path: Path) -> "_Bounded":
        if self._files >= self._files_per_process or (self._process and not self._process.sees(path)):
            self.close()
        if self._process is None:
            self._process = _Bounded(self._limits, path, self._sandbox)
            self._process.run()
        self._files += 1
        return self._process


class _Bounded(exiftool.ExifTool):  # type: ignore[misc]  # the package has no types
    """pyexiftool inside walls, whose answers have a deadline and a size bound."""

    def __init__(self, limits: Limits, path: Path, sandbox: Sandbox) -> None:
        super().__init__(common_args=None, encoding="utf-8")
        self.set_json_loads(_loads)
        self._limits = limits
        self._path, self._inode = path, _inode(path)
        self._sandbox = sandbox

    def sees(self, path: Path) -> bool:
        """Whether ``path`` is what this process has before it, and not another file that took over its name."""
        return bool(self._sandbox.absent()) or (path, _inode(path)) == (self._path, self._inode)

    def run(self) -> None:
        """Start the process; that of the package starts a bare program, with all that our environment holds."""
        argv = ["exiftool", "-stay_open", "True", "-@", "-"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._sandbox.around(argv, Reach(self._path), self._limits),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            env=environment(),
        )
        self._running = True

    def execute(self, *params: str, raw_bytes: bool = False) -> str:  # noqa: ARG002  # the signature of the package
        """Answer to one batch of parameters. Raises ``ToolError`` past a bound or when the process died."""
        process: subprocess.Popen[bytes] | None = self._process
        if process is None or process.stdin is None or process.stdout is None or process.stderr is None:
            raise ToolError("exiftool is not running")
        number = secrets.randbelow(10**18)  # a tag value must not be able to forge the end of an answer
        lines = [*params, f"-execute{number}"]
        if any("\n" in line for line in lines):
            raise ToolError("a line break in a name cannot be given to exiftool")
        process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        process.stdin.flush()
        return _answer(process, f"{{ready{number}}}".encode(), self._limits).decode("utf-8", "replace")

    def stop(self) -> None:
        """Kill at once; nothing of it needs to be saved."""
        process: subprocess.Popen[bytes] | None = self._process
        self._flag_running_false()
        if process is not None:
            end(process)
            with contextlib.suppress(OSError):  # a pipe that broke is already closed
                process.communicate()


def _answer(process: subprocess.Popen[bytes], mark: bytes, limits: Limits) -> bytes:
    """Standard output up to ``mark``; standard error is drained and dropped (errors are tags as well)."""
    deadline = time.monotonic() + limits.time_s
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, answer)  # type: ignore[arg-type]  # execute checked both
        selector.register(process.stderr, selectors.EVENT_READ, None)  # type: ignore[arg-type]
        while not answer.rstrip().endswith(mark):
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise ToolError(f"exiftool took longer than {limits.time_s:g} s and was stopped")
            for key, _ in ready:
                piece = os.read(key.fd, PIECE_BYTES)
                if not piece:
                    raise ToolError("exiftool ended in the middle of an answer")
                if key.data is not None:
                    answer.extend(piece)
            if len(answer) > limits.output_bytes:
                raise ToolError(f"exiftool printed more than {limits.output_bytes} bytes and was stopped")
    return bytes(answer.rstrip()[: -len(mark)])


def _inode(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _loads(text: str) -> Any:
    """JSON with decimals as text, so that a coordinate is not rounded before it is read."""
    return json.loads(text, parse_float=str)

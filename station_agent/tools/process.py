"""Run one program to its end within a time and an output bound, in a process group of its own."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from station_agent.errors import ToolError

PIECE_BYTES: Final = 1 << 16
MAX_COMPLAINT_BYTES: Final = 1 << 16
"""Standard error beyond this is read and dropped: a damaged file can make ffmpeg complain without end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may cost before it is killed. Time and output are watched here, the rest by the kernel (sandbox)."""

    time_s: float
    output_bytes: int
    memory_bytes: int = 2 << 30
    """Address space (RLIMIT_AS of setrlimit(2))."""
    cpu_s: int = 3_600
    """Processor time of all threads (RLIMIT_CPU)."""
    file_bytes: int = 0
    """Largest file it may write (RLIMIT_FSIZE); pipes do not count."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended by itself. ``stderr`` is cut to ``MAX_COMPLAINT_BYTES``."""

    returncode: int
    stdout: bytes
    stderr: str


def run(argv: Sequence[str], limits: Limits, program: str = "") -> Finished:
    """Run ``argv`` without a shell and without standard input; messages call it ``program``, if that is another name.

    Raises ``ToolError`` when the program is missing, runs longer than ``limits.time_s`` or prints more than
    ``limits.output_bytes``; its whole process group is dead by then. A non-zero exit status is not an error here.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from error
    with process:
        try:
            stdout, stderr = _collect(process, program or argv[0], limits)
        finally:
            end(process)
    return Finished(process.returncode, stdout, stderr.decode("utf-8", "replace"))


def environment() -> dict[str, str]:
    """What a tool sees of ours: where programs are, plain messages, and the zone in which it must not think."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}


def _collect(process: subprocess.Popen[bytes], program: str, limits: Limits) -> tuple[bytes, bytes]:
    """Both outputs up to their bounds, then wait for the end; raises ``ToolError`` past a bound."""
    deadline = time.monotonic() + limits.time_s
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(_pipe(process.stdout), selectors.EVENT_READ, stdout)
        selector.register(_pipe(process.stderr), selectors.EVENT_READ, stderr)
        while selector.get_map():
            for key, _ in selector.select(_left(deadline, program, limits)):
                piece = os.read(key.fd, PIECE_BYTES)
                if piece:
                    key.data.extend(piece)
                else:
                    selector.unregister(key.fileobj)
            del stderr[MAX_COMPLAINT_BYTES:]
            if len(stdout) > limits.output_bytes:
                raise ToolError(f"{program} printed more than {limits.output_bytes} bytes and was stopped")
    try:
        process.wait(_left(deadline, program, limits))
    except subprocess.TimeoutExpired as error:
        raise ToolError(_too_slow(program, limits)) from error
    return bytes(stdout), bytes(stderr)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # pragma: no cover  # both were asked for
        raise ToolError("a pipe is missing")
    return stream


def _left(deadline: float, program: str, limits: Limits) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise ToolError(_too_slow(program, limits))
    return left_s


def _too_slow(program: str, limits: Limits) -> str:
    return f"{program} took longer than {limits.time_s:g} s and was stopped"


def end(process: subprocess.Popen[bytes]) -> None:
    """Nothing that a program started in a session of its own outlives it; nobody else is hit.

    A bwrap that is killed before it tied its child to itself leaves it behind, waiting, with our pipes open. So it is
    stopped, that it starts nothing further, and its children go first.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            for child in _children(process.pid):
                os.kill(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """proc(5), /proc/PID/task/TID/children; none where the program has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []

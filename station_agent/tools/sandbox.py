"""Walls around the programs that read what a stranger wrote: bubblewrap (bwrap(1)) and limits (prlimit(1)).

A media parser that is taken over by a crafted file finds no network, no process of ours, no key and no other file of
the station: the programs under ``/usr`` and one file to be read, both read-only, one file to be written where there is
a result, a small ``/tmp`` of its own, and nothing else. It holds no capability, and dies with the thread that started
it. Where such walls cannot be built, nothing is read; only ``[sandbox]`` in the configuration can allow it, and then
doctor and status say so.

``/proc`` is left out: no tool needs it, and systemd and containers hide parts of theirs, after which the kernel refuses
a new one.
"""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from station_agent.errors import ToolError
from station_agent.tools.process import Finished, Limits, run

TMP_BYTES: Final = 64 << 20
"""Size of the ``/tmp`` inside; what lies there is memory."""
MAX_PROCESSES: Final = 256
"""Processes and threads inside. The kernel counts them for ordinary users only (setrlimit(2), RLIMIT_NPROC)."""
NOBODY: Final = "65534"

BWRAP: Final = (
    *("bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
    *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    *("--uid", NOBODY, "--gid", NOBODY, "--chdir", "/"),
    *("--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
    *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
    *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
    *("--ro-bind-try", "/etc/alternatives", "/etc/alternatives"),  # some libraries of ffmpeg are links into it
    *("--dev", "/dev", "--size", str(TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108  # the one inside
)
UNBUILT: Final = ("bwrap: ", "prlimit: ")
"""How the two begin when they, and not the program behind them, have failed."""

LIMITS_END_BY: Final[Mapping[int, str]] = {signal.SIGKILL: "processor time", signal.SIGXFSZ: "size of a file"}
"""Signals by which a limit of ours ends a program; memory that is refused is its own complaint."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """The one file a program may read, and the one it may write, which exists. Seen inside under the same names."""

    reads: Path | None = None
    writes: Path | None = None

    def without_folders(self, said: str) -> str:
        """One line that tells no folder of this machine: it may come to stand in a record."""
        for path in filter(None, (self.reads, self.writes)):
            said = said.replace(f"{path.parent}/", "")
        return " ".join(said.split())


VERSION: Final = Limits(time_s=30, output_bytes=1 << 16)
"""For a program that is only asked its version."""


def walled(argv: Sequence[str], reach: Reach, limits: Limits) -> list[str]:
    """``argv`` inside. Limits are set inside too, where the kernel counts the processes of this sandbox alone."""
    reads = ("--ro-bind", str(reach.reads), str(reach.reads)) if reach.reads else ()
    writes = ("--bind", str(reach.writes), str(reach.writes)) if reach.writes else ()
    inner = _limited(argv, limits, f"--nproc={MAX_PROCESSES}")
    return [*BWRAP, *reads, *writes, "--remount-ro", "/dev", "--remount-ro", "/", "--", *inner]


def unwalled(argv: Sequence[str], limits: Limits) -> list[str]:
    """``argv`` with its limits alone; it too ends with the thread that started it."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *_limited(argv, limits)]


def _limited(argv: Sequence[str], limits: Limits, *more: str) -> list[str]:
    set_to = (f"--as={limits.memory_bytes}", f"--cpu={limits.cpu_s}", f"--fsize={limits.file_bytes}", "--core=0")
    return ["prlimit", *set_to, *more, "--", *argv]


@dataclass(slots=True, eq=False)
class Sandbox:
    """What the configuration says of the walls, and whether they stand. Several threads may share one."""

    enabled: bool = True
    required: bool = True
    """Without walls nothing is read; False: read without them where they cannot be built."""
    _absent: str | None = field(default=None, init=False)

    def run(self, argv: Sequence[str], reach: Reach, limits: Limits) -> Finished:
        """Run ``argv`` as ``process.run`` does, and as configured.

        Raises ``ToolError`` as that does, and where walls are missing or a limit of the kernel ended the program.
        """
        done = run(self.around(argv, reach, limits), limits, argv[0])
        if done.returncode and done.stderr.startswith(UNBUILT):
            raise ToolError(f"{argv[0]} was not started: {reach.without_folders(done.stderr)}")
        ended_by = _signal(done.returncode)
        if ended_by in LIMITS_END_BY:
            raise ToolError(f"{argv[0]} went beyond what it may use and was ended ({LIMITS_END_BY[ended_by]})")
        return done

    def around(self, argv: Sequence[str], reach: Reach, limits: Limits) -> list[str]:
        """The command that runs ``argv`` as configured. Raises ``ToolError`` where walls are needed and missing."""
        reason = self.absent()
        if reason:
            self.ready()
        return unwalled(argv, limits) if reason else walled(argv, reach, limits)

    def ready(self) -> None:
        """Raise ``ToolError`` unless media may be read now: inside walls, or by configuration without."""
        reason = self._tried()
        if reason and self.enabled and self.required:
            raise ToolError(reason)

    def absent(self) -> str:
        """Why there are no walls, as far as last tried; empty when there are."""
        return self._tried() if self._absent is None else self._absent

    def probe(self) -> str:
        """Version of bubblewrap, whose walls stand, such as ``0.8.0``. Raises ``ToolError`` where none do."""
        reason = self._tried()
        if reason:
            raise ToolError(reason)
        return run(["bwrap", "--version"], VERSION).stdout.decode("ascii", "replace").split()[-1]

    def _tried(self) -> str:
        reason = _why_none() if self.enabled else "media are read without walls: [sandbox] enabled = false"
        if reason and reason != self._absent:
            _log.warning("no-sandbox", reason=reason)
        self._absent = reason
        return reason


def _why_none() -> str:
    """Build walls around a program that does nothing; empty when that went well."""
    try:
        done = run(walled(["true"], Reach(), VERSION), VERSION)
    except ToolError as error:
        return f"no walls around the media tools, {error}; bubblewrap 0.8 or newer must be installed"
    said = " ".join(done.stderr.split())
    return f"no walls around the media tools, {said}; user namespaces must be allowed" if done.returncode else ""


def _signal(returncode: int) -> int:
    """The signal that ended a program: itself, or by the report of bwrap, which counts as a shell does."""
    return -returncode if returncode < 0 else returncode - 128


WALLED: Final = Sandbox()
"""Walls, or nothing is read: what holds wherever nobody configured otherwise."""

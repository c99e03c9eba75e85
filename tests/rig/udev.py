"""A running udevd for whoever needs one, started when there is none and stopped by the last who leaves.

The lock file is held shared by every user. Who gets it exclusively is alone: only then is the daemon that we started
stopped, so that two demonstrations and a test run on one machine share it.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_LOCK: Final = Path("/run/bodycam-rig-udevd.lock")
_PID: Final = Path("/run/bodycam-rig-udevd.pid")
_DAEMONS: Final = (Path("/lib/systemd/systemd-udevd"), Path("/usr/lib/systemd/systemd-udevd"), Path("/usr/bin/udevadm"))


class NoUdevError(RuntimeError):
    """There is no udevd and none can be started: not root, or the package is missing."""


@contextmanager
def udev_running() -> Iterator[None]:
    """A udevd that answers, for as long as the block lasts. Raises ``NoUdevError``."""
    if os.geteuid() != 0:
        raise NoUdevError("starting and steering udevd needs root")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _answers():
            _start()
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield
        finally:
            _stop_if_last(lock)


def _answers() -> bool:
    """Asks the daemon: its socket file outlives it."""
    try:
        return subprocess.run(["udevadm", "control", "--ping"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _start() -> None:
    daemon = next((path for path in _DAEMONS if path.exists()), None)
    if daemon is None:
        raise NoUdevError("systemd-udevd is not installed")
    started = subprocess.Popen([daemon], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    _PID.write_text(str(started.pid))
    for _ in range(100):
        if _answers():
            break
        time.sleep(0.05)
    else:
        raise NoUdevError("systemd-udevd does not answer within five seconds of its start")
    subprocess.run(["udevadm", "trigger", "--subsystem-match=block"], check=False)
    subprocess.run(["udevadm", "settle", "--timeout=10"], check=False)


def _stop_if_last(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if _PID.exists():
        _terminate(int(_PID.read_text() or 0))
        _PID.unlink()


def _terminate(pid: int) -> None:
    """Ends exactly the daemon that was started here; a number that has come to mean another process is left alone."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return
    if pid and ("udev" in name):
        os.kill(pid, signal.SIGTERM)

"""The udev daemon of this machine: the one that runs, reached also from inside a chroot, or one of our own.

Two daemons on one machine would both answer every event. So: a daemon that answers is used; one that runs elsewhere
(outside our chroot) lends us its runtime folder by a bind mount; only when there is none do we start one, and the last
dock that uses it stops it. Shared file locks are the count: they end with their process.
"""

import fcntl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

RUNTIME = Path("/run/udev")
_GATE = Path("/run/bwc-rig.gate")  # held for moments: by who makes the daemon ready, and by who gives it up
_LOCAL = Path("/run/bwc-rig.lock")  # the docks of this root
_BOUND = Path("/run/bwc-rig.bound")
_SHARED = RUNTIME / "bwc-rig.lock"  # the docks of all roots that share the daemon
_STARTED = RUNTIME / "bwc-rig.started"
_PROGRAMS = ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd", "/sbin/udevd")


class Udevd:
    """One user of the daemon. ``close`` undoes what the first user had to do, once the last one is gone."""

    def __init__(self) -> None:
        self.runtime = RUNTIME
        with _gate():  # only one makes it ready, and all keep it
            if not _answers():
                _make_ready()
            self._local = _held(_LOCAL)
            self._shared = _held(_SHARED)

    def reload(self) -> None:
        """Let the daemon read the rules again."""
        subprocess.run(["udevadm", "control", "--reload"], check=True, capture_output=True)

    def close(self) -> None:
        """Give the daemon up; stop it or unmount its folder when this dock was the last user of what the rig made."""
        subprocess.run(["udevadm", "control", "--reload"], check=False, capture_output=True)
        with _gate():
            if _is_last(self._shared) and _STARTED.exists():
                subprocess.run(["udevadm", "control", "--exit"], check=False, capture_output=True)
                _STARTED.unlink()
            self._shared.close()
            if _is_last(self._local) and _BOUND.exists():
                subprocess.run(["umount", str(RUNTIME)], check=False, capture_output=True)
                _BOUND.unlink()
            self._local.close()


@contextmanager
def _gate() -> Iterator[None]:
    with _GATE.open("a", encoding="ascii") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def _held(path: Path) -> TextIO:
    """The lock file, held shared: one user more."""
    users = path.open("a", encoding="ascii")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _is_last(users: TextIO) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers() -> bool:
    """A socket file may outlive its daemon, so the daemon itself is asked."""
    return subprocess.run(["udevadm", "control", "--ping"], check=False, capture_output=True).returncode == 0


def _make_ready() -> None:
    elsewhere = _runtime_elsewhere()
    if elsewhere is not None and _bind(elsewhere):
        _BOUND.touch()
        return
    program = next(path for path in _PROGRAMS if Path(path).exists())
    subprocess.run([program, "--daemon"], check=True, capture_output=True)
    _wait_until_it_answers()
    _STARTED.touch()
    subprocess.run(["udevadm", "trigger", "--subsystem-match=block"], check=True, capture_output=True)
    subprocess.run(["udevadm", "settle", "--timeout=30"], check=False, capture_output=True)


def _runtime_elsewhere() -> Path | None:
    """Runtime folder of a daemon that runs outside our root, seen through /proc."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text(encoding="utf-8", errors="replace").strip() == "systemd-udevd":
                runtime = comm.parent / "root" / "run" / "udev"
                if runtime.is_dir():  # a zombie has none
                    return runtime
        except OSError:
            continue  # the process ended while we looked
    return None


def _bind(runtime: Path) -> bool:
    RUNTIME.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "--bind", str(runtime), str(RUNTIME)], check=False, capture_output=True).returncode:
        return False
    if _answers():
        return True
    subprocess.run(["umount", str(RUNTIME)], check=False, capture_output=True)
    return False


def _wait_until_it_answers() -> None:
    for _ in range(100):
        if _answers():
            return
        time.sleep(0.05)
    message = "systemd-udevd was started but does not answer"
    raise RuntimeError(message)

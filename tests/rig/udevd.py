"""The udev daemon of this machine: the one that runs, reached also from inside a chroot, or one of our own.

Two daemons on one machine would both answer every event. So: a daemon that answers is used; one that runs elsewhere
(outside our chroot) lends us its runtime folder by a bind mount; only when there is none do we start one, and the last
dock that uses it stops it. Shared file locks are the count: they end with their process.
"""

import fcntl
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

RUNTIME = Path("/run/udev")
_GATE = "\0bwc-rig-udevd"  # held for moments: by who makes the daemon ready, and by who gives it up
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
                if _is_gone_soon():
                    _STARTED.unlink()  # otherwise the next last user asks it again
            self._shared.close()
            if _is_last(self._local) and _BOUND.exists():
                subprocess.run(["umount", str(RUNTIME)], check=False, capture_output=True)
                _BOUND.unlink()
            self._local.close()


@contextmanager
def _gate() -> Iterator[None]:
    """One at a time on this machine. An abstract socket is seen across chroots, as daemons and devices are."""
    for _ in range(1200):
        with socket.socket(socket.AF_UNIX) as gate:
            try:
                gate.bind(_GATE)
            except OSError:
                time.sleep(0.05)
                continue
            yield
            return
    message = "somebody has been starting or stopping systemd-udevd for a minute"
    raise RuntimeError(message)


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
    RUNTIME.mkdir(parents=True, exist_ok=True)
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
    """Runtime folder of a daemon that runs outside our root."""
    return next((runtime for runtime in _runtimes() if not _is_ours(runtime)), None)


def _runtimes() -> list[Path]:
    """Runtime folder of every daemon on this machine, seen through /proc; a zombie has none."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text(encoding="utf-8", errors="replace").strip() == "systemd-udevd":
                runtime = comm.parent / "root" / "run" / "udev"
                found += [runtime] if runtime.is_dir() else []
        except OSError:
            continue  # the process ended while we looked
    return found


def _is_ours(runtime: Path) -> bool:
    try:
        return runtime.samefile(RUNTIME)
    except OSError:
        return False  # the process ended while we looked


def _is_gone_soon() -> bool:
    """Told to end, a daemon still finishes what it is at; until then it would answer events beside the next one."""
    for _ in range(100):
        if not any(_is_ours(runtime) for runtime in _runtimes()):
            return True
        time.sleep(0.05)
    return False


def _bind(runtime: Path) -> bool:
    """Mounts it over ours; the path must stay as it is, since ``/proc/PID/root`` written out leads back to our own."""
    if subprocess.run(
        ["mount", "--no-canonicalize", "--bind", str(runtime), str(RUNTIME)], check=False, capture_output=True
    ).returncode:
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

"""A dock made of loop devices: real kernel uevents, real udev, real block input and output, and faults at will.

Each bay is a loop device of its own number, made by LOOP_CTL_ADD so that the kernel announces ``add`` and ``remove`` as
for a real disk. Its medium goes through nbdkit, whose filters make it slow, faulty or dead while it is in use. A udev
rule of this instance alone gives disk and partition what a USB recorder has: serial, port, tag.

Several docks on one machine do not meet: each takes a base number that nobody else holds (an abstract socket is the
lock; it ends with the process, also after kill -9, and is seen across chroots, as loop devices are).
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.rig.udevd import Udevd

RULE_PATIENCE = 5
LOOP_CTL_ADD = 0x4C80  # linux/loop.h
LOOP_CTL_REMOVE = 0x4C81
FULL_RATE_BITS_S = "100G"  # nbdkit counts bits; its rate-file works only beside a rate=
BASES = range(200, 9900, 100)

_RULE = r"""SUBSYSTEM!="block", GOTO="bwc_rig_end"
KERNEL!="loop{prefix}[0-9][0-9]|loop{prefix}[0-9][0-9]p*", GOTO="bwc_rig_end"
ENV{{DEVTYPE}}=="disk", IMPORT{{file}}="{properties}/%k"
ENV{{DEVTYPE}}=="partition", IMPORT{{parent}}="ID_VENDOR*", IMPORT{{parent}}="ID_MODEL*", IMPORT{{parent}}="ID_SERIAL*"
ENV{{DEVTYPE}}=="partition", IMPORT{{parent}}="ID_BUS", IMPORT{{parent}}="ID_USB_*", IMPORT{{parent}}="ID_PATH*"
TAG+="bwc"
LABEL="bwc_rig_end"
"""


@dataclass
class _Bay:
    serial: str
    folder: Path
    nbdfuse: subprocess.Popen[bytes] | None
    image: Path
    properties: Path = field(default_factory=Path)


class LoopDock:
    """A dock with bays 1–99. A context manager; ``close`` frees everything whatever state it is in."""

    def __init__(self, work: Path) -> None:
        """``work`` is a folder of this dock alone. Needs root, /dev/loop-control, and nbdkit with nbdfuse."""
        self._work = work.resolve()
        self._work.mkdir(parents=True, exist_ok=True)
        self._bays: dict[int, _Bay] = {}
        self._udevd = Udevd()
        self._lock, self._base = _claim_base()
        self._properties = self._udevd.runtime / f"bwc-rig-{self._base}"
        self._properties.mkdir(parents=True, exist_ok=True)
        self._rule = self._udevd.runtime / "rules.d" / f"61-bwc-rig-{self._base}.rules"
        self._rule.parent.mkdir(parents=True, exist_ok=True)
        self._rule.write_text(_RULE.format(prefix=self._base // 100, properties=self._properties), encoding="utf-8")
        self._udevd.reload()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def device(self, bay: int) -> str:
        """Device node of the disk in a bay."""
        return f"/dev/loop{self._base + bay}"

    def partition(self, bay: int) -> str:
        """Device node of its first partition."""
        return f"{self.device(bay)}p1"

    def port(self, bay: int) -> str:
        """udev ``ID_PATH`` of a bay: the shape a USB disk's port has, on a controller that is this dock's alone.

        The kernel announces every dock's recorders to every station of the machine; the port tells them apart.
        """
        return f"pci-{self._base:04d}:00:02.0-usb-0:{bay}:1.0-scsi-0:0:0:0"

    def bays(self, count: int = 9) -> dict[int, str]:
        """Bay → pattern on ``ID_PATH``, as a station's configuration has it, for the first bays of this dock only."""
        return {bay: self.port(bay).replace("scsi-0:0:0:0", "*") for bay in range(1, count + 1)}

    def plug(
        self,
        bay: int,
        medium: Path,
        serial: str,
        *,
        read_only: bool = True,
        bad_sectors: tuple[int, ...] = (),
        direct: bool = False,
    ) -> None:
        """Insert ``medium``. Bad sectors (512 bytes each) read EIO for as long as it is plugged.

        ``direct`` leaves nbdkit out: faster, but then ``corrupt``, ``slow`` and ``yank``'s EIO do not work.
        """
        number = self._base + bay
        folder = self._work / f"bay-{self._base}-{bay}"
        folder.mkdir(exist_ok=True)
        plugged = _Bay(serial, folder, None, medium.resolve(), self._properties / f"loop{number}")
        self._bays[bay] = plugged
        plugged.properties.write_text(_properties_of(self.port(bay), serial), encoding="utf-8")
        if not direct:
            plugged.nbdfuse = _start_nbd(plugged.image, folder, bad_sectors)
        _loop_control(LOOP_CTL_ADD, number)
        backing = plugged.image if direct else folder / "mnt" / "medium"
        _run("losetup", *(["-r"] if read_only else []), self.device(bay), str(backing))
        # No partition table is fine: then partx says so, and the whole medium is the file system.
        _try("partx", "-a", self.device(bay))
        self._announced(bay)

    def _announced(self, bay: int) -> None:
        """A daemon that had not yet read this dock's rule saw a plain loop device: let it look again."""
        for _ in range(RULE_PATIENCE):
            _try("udevadm", "settle", "--timeout=5")
            if all(_has_serial(str(node)) for node in Path("/dev").glob(f"loop{self._base + bay}*")):
                return
            _try("udevadm", "control", "--reload")
            _try("udevadm", "trigger", "--action=add", f"--sysname-match=loop{self._base + bay}*")

    def unplug(self, bay: int) -> None:
        """Orderly removal; nothing may hold the device open. Also frees the bay after ``yank``."""
        plugged = self._bays.pop(bay)
        with contextlib.ExitStack() as always:  # what can be freed is freed, also when something cannot
            always.callback(shutil.rmtree, plugged.folder, ignore_errors=True)
            always.callback(plugged.properties.unlink, missing_ok=True)
            always.callback(_stop_nbd, plugged)
            _try("partx", "-d", self.device(bay))
            _try("losetup", "-d", self.device(bay))
            self._remove_node(bay)

    def yank(self, bay: int) -> None:
        """Surprise removal: uncached reads fail with EIO, then the kernel broadcasts ``remove``. ``unplug`` later."""
        if self._bays[bay].nbdfuse is not None:
            self.corrupt(bay)
        disk = Path(f"/sys/block/loop{self._base + bay}")
        for uevent in [*sorted(disk.glob("loop*p*/uevent")), disk / "uevent"]:
            uevent.write_text("remove", encoding="ascii")

    def corrupt(self, bay: int) -> None:
        """From now on every uncached read fails with EIO; the device stays visible."""
        (self._faulty(bay) / "inject").touch()

    def slow(self, bay: int, bytes_per_s: int) -> None:
        """From now on the medium delivers at most so much, after a burst of two seconds' worth."""
        _set_rate(self._faulty(bay), str(bytes_per_s * 8))

    def heal(self, bay: int) -> None:
        """Undo ``corrupt`` and ``slow``."""
        folder = self._faulty(bay)
        (folder / "inject").unlink(missing_ok=True)
        _set_rate(folder, FULL_RATE_BITS_S)

    def writes(self, bay: int) -> int:
        """Requests that wrote data since the disk was made; ask before ``unplug``.

        /sys/block/DEV/stat (Documentation/block/stat.rst): completed writes less flushes, which the kernel counts among
        them and of which `losetup` sends one; never 0 while the count of written sectors is not. An equal image
        alone does not prove that nobody wrote; plug with ``read_only=False``, or the proof has no teeth.
        """
        stat = Path(f"/sys/block/loop{self._base + bay}/stat").read_text(encoding="ascii").split()
        writes, sectors, flushes = int(stat[4]), int(stat[6]), int(stat[15])
        return max(writes - flushes, 1 if sectors else 0)

    def close(self) -> None:
        """Free everything this dock made, also what is still mounted (lazily) or was yanked."""
        with contextlib.ExitStack() as always:
            always.callback(self._lock.close)
            always.callback(self._udevd.close)
            always.callback(shutil.rmtree, self._properties, ignore_errors=True)
            always.callback(self._rule.unlink, missing_ok=True)
            for bay in list(self._bays):
                always.callback(self.unplug, bay)
                always.callback(self._unmount, bay)

    def _faulty(self, bay: int) -> Path:
        plugged = self._bays[bay]
        if plugged.nbdfuse is None:
            message = f"bay {bay} was plugged with direct=True: no faults there"
            raise ValueError(message)
        return plugged.folder

    def _unmount(self, bay: int) -> None:
        device = self.device(bay)
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            node, mount_point = line.split(" ")[:2]
            if node == device or node.startswith(f"{device}p"):
                _try("umount", "-l", mount_point.encode().decode("unicode_escape"))

    def _remove_node(self, bay: int) -> None:
        """LOOP_CTL_REMOVE; EBUSY while udev still looks at the device or a lazy unmount is under way."""
        for _ in range(100):
            try:
                _loop_control(LOOP_CTL_REMOVE, self._base + bay)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                _try("losetup", "-d", self.device(bay))
                time.sleep(0.1)
            else:
                return
        message = f"{self.device(bay)} is still in use after 10 s"
        raise TimeoutError(message)


def _claim_base() -> tuple[socket.socket, int]:
    for base in BASES:
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0bwc-rig-loop-{base}")
        except OSError:
            lock.close()
            continue
        if not _left_over(base):
            return lock, base
        lock.close()  # a killed dock's devices are still in use: not ours to take
    message = "no free range of loop devices: all bases are taken"
    raise RuntimeError(message)


def _left_over(base: int) -> list[Path]:
    """Loop devices of a dock that was killed and that are still in use; those that hold nothing are removed."""
    nodes = sorted(Path("/sys/block").glob(f"loop{base // 100}[0-9][0-9]"))
    for node in nodes:
        if not (node / "loop" / "backing_file").exists():
            with contextlib.suppress(OSError):
                _loop_control(LOOP_CTL_REMOVE, int(node.name.removeprefix("loop")))
    return [node for node in nodes if node.exists()]


def _properties_of(port: str, serial: str) -> str:
    device = "ID_BUS=usb\nID_VENDOR_ID=1d6b\nID_MODEL_ID=0104\nID_USB_INTERFACES=:080650:\n"
    return f"{device}ID_SERIAL_SHORT={serial}\nID_PATH={port}\n"


def _start_nbd(image: Path, folder: Path, bad_sectors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Serve the image through nbdkit's fault filters as the file ``mnt/medium``."""
    (folder / "mnt").mkdir(exist_ok=True)
    (folder / "inject").unlink(missing_ok=True)
    _set_rate(folder, FULL_RATE_BITS_S)
    filters, options = ["--filter=error", "--filter=rate"], []
    if bad_sectors:
        (folder / "bad.map").write_text(_bad_sector_map(image.stat().st_size, bad_sectors), encoding="ascii")
        filters.append("--filter=ddrescue")
        options.append(f"ddrescue-mapfile={folder / 'bad.map'}")
    options += ["error=EIO", "error-rate=100%", f"error-file={folder / 'inject'}"]
    options += [f"rate={FULL_RATE_BITS_S}", f"rate-file={folder / 'rate'}"]
    argv = ["nbdfuse", f"{folder / 'mnt' / 'medium'}", "--command", "nbdkit", "-s", *filters, "file", f"file={image}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # a session of its own: Ctrl-C ends the demo, and the demo ends this
            [*argv, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _wait_for_medium(process, folder)
    return process


def _wait_for_medium(process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(200):
        if (folder / "mnt" / "medium").exists():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    message = f"nbdfuse did not start: {(folder / 'log').read_text(errors='replace').strip()}"
    raise RuntimeError(message)


def _stop_nbd(plugged: _Bay) -> None:
    """Unmounting ends nbdfuse, and that ends nbdkit."""
    if plugged.nbdfuse is None:
        return
    _try("umount", "-l", str(plugged.folder / "mnt"))
    try:
        plugged.nbdfuse.wait(timeout=10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(plugged.nbdfuse.pid, signal.SIGKILL)
        plugged.nbdfuse.wait()


def _bad_sector_map(size: int, sectors: tuple[int, ...]) -> str:
    """A GNU ddrescue map file: ``+`` good, ``-`` bad."""
    lines, position = ["# Mapfile", "0x0 + 1"], 0
    for start in (sector * 512 for sector in sorted(sectors)):
        if start > position:
            lines.append(f"{position:#x} {start - position:#x} +")
        lines.append(f"{start:#x} 0x200 -")
        position = start + 512
    return "\n".join([*lines, f"{position:#x} {size - position:#x} +", ""])


def _set_rate(folder: Path, bits_per_s: str) -> None:
    (folder / "rate.new").write_text(bits_per_s, encoding="ascii")
    (folder / "rate.new").replace(folder / "rate")


def _loop_control(request: int, number: int) -> None:
    fd = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, request, number)
    finally:
        os.close(fd)


def _has_serial(node: str) -> bool:
    done = subprocess.run(
        ["udevadm", "info", "--query=property", f"--name={node}"], capture_output=True, text=True, check=False
    )
    return "ID_SERIAL_SHORT=" in done.stdout


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}"
        raise RuntimeError(message)


def _try(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, check=False)

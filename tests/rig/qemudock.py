"""A dock inside QEMU: Debian's own kernel, a real xHCI with hot-plug, usb-storage, kernel vfat and exfat, power cuts.

The guest's root is this machine's root, read-only over 9p under a tmpfs: the program under test and its environment run
there unchanged, at the same paths. What is to outlast a power cut lies on a virtio disk.

Emulated always (TCG): a test must not depend on what virtualisation the machine it runs on happens to allow.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.rig.broker import GONE_WITH_US

PORTS: Final = 15
BOOT_S: Final = 240.0
_EARLY: Final = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""Modules that reach this machine's root; everything else is loaded from there."""
_LATE: Final = "xhci_pci usb_storage vfat exfat ext4 nls_utf8 nls_cp437 nls_iso8859-1 nls_ascii virtio_blk"
_FIRST: Final = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do $b insmod /modules/$module; done
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /low
$b mount -t tmpfs tmpfs /over; $b mkdir /over/up /over/work
$b mount -t overlay -o lowerdir=/low,upperdir=/over/up,workdir=/over/work overlay /root
for folder in proc sys dev; do $b mount --move /$folder /root/$folder; done
$b mount -t tmpfs tmpfs /root/run; $b mount -t tmpfs tmpfs /root/tmp; $b mkdir -p /root/dev/shm /root/mnt/share
$b mount -t tmpfs tmpfs /root/dev/shm
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none share /root/mnt/share
exec $b switch_root /root /bin/bash /mnt/share/second
"""
_SECOND: Final = """
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
mkdir -p /lib/modules /run/udev/rules.d
mount --bind {kernel}/lib/modules /lib/modules
busybox ip link set lo up
/lib/systemd/systemd-udevd --daemon
modprobe -a {late}
udevadm trigger --subsystem-match=block --subsystem-match=usb; udevadm settle
touch /mnt/share/ready
while [ ! -e /mnt/share/stop ]; do
  for order in /mnt/share/*.order; do
    [ -e "$order" ] || continue
    name=${{order%.order}}
    mv "$order" "$name.taken"
    {{
      bash "$name.taken" > "$name.said" 2>&1 < /dev/null
      echo $? > "$name.code.new"; mv "$name.code.new" "$name.code"
    }} &
  done
  sleep 0.2
done
sync; echo o > /proc/sysrq-trigger; sleep 10
"""


class QemuError(RuntimeError):
    """The guest did not boot, or something in it failed; the text ends with what it said."""


def fetched_kernel(folder: Path) -> Path:
    """Debian's kernel package of now, downloaded and unpacked, never installed. Returns where ``boot`` and ``lib`` are.

    The name of the package changes with each security update: apt is asked, nothing is pinned.
    """
    depends = _output("apt-cache", "depends", "linux-image-amd64")
    package = next(line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line)
    kernel = folder / package
    if not kernel.exists():
        with tempfile.TemporaryDirectory(dir=_made(folder)) as work:
            options = ("-o", "APT::Sandbox::User=root")
            subprocess.run(["apt-get", "-qq", "download", *options, package], cwd=work, check=True)
            [deb] = Path(work).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", deb, f"{work}/unpacked"], check=True)
            subprocess.run(["depmod", "-b", f"{work}/unpacked", _release(Path(work) / "unpacked")], check=True)
            (Path(work) / "unpacked").rename(kernel)
    return kernel


class QemuDock:
    """One guest. A context manager; bay N is port N of its USB controller."""

    def __init__(self, work: Path, kernel: Path, disk: Path) -> None:
        """``work`` must have a short path (a socket's name has 107 bytes); ``disk`` is /dev/vda, an ext4 image."""
        self.work, self.kernel, self.disk = work, kernel, disk
        self.release = _release(kernel)
        self._share = _made(work / "share")
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: Any = None
        self._initrd = work / "initrd.gz"
        self._pack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.power_cut()

    def boot(self) -> float:
        """Returns when the guest takes orders: after how many seconds. Raises ``QemuError``."""
        for left in self._share.iterdir():
            left.unlink()
        (self._share / "second").write_text(_SECOND.format(kernel=self.kernel, late=_LATE))
        began_s = time.monotonic()
        with (self.work / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(self._argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not (self._share / "ready").exists():
            if self._process.poll() is not None or time.monotonic() - began_s > BOOT_S:
                console = (self.work / "console").read_text(errors="replace")[-2000:]
                raise QemuError(f"no guest: {(self.work / 'qemu.log').read_text()[-1000:]}{console}")
            time.sleep(0.2)
        return time.monotonic() - began_s

    def power_cut(self) -> None:
        """The mains fails: nothing is flushed. What the disk had acknowledged is in its image."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = self._monitor = None

    def shut_down(self) -> None:
        """In order, with a sync."""
        (self._share / "stop").touch()
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(60)
        self.power_cut()

    def guest(self, order: str, limit_s: float = 120.0) -> str:
        """Run a shell command in the guest; what it said. Raises ``QemuError`` unless it ends with 0."""
        name = self._share / uuid.uuid4().hex
        name.with_suffix(".new").write_text(order)
        name.with_suffix(".new").rename(name.with_suffix(".order"))
        deadline_s = time.monotonic() + limit_s
        while not name.with_suffix(".code").exists():
            if time.monotonic() > deadline_s:
                raise QemuError(f"no answer within {limit_s:.0f} s: {order}")
            time.sleep(0.1)
        said = name.with_suffix(".said").read_text(errors="replace")
        if name.with_suffix(".code").read_text().strip() != "0":
            raise QemuError(f"{order}: {said}")
        return said

    def plug(self, bay: int, medium: Path, serial: str, *, bad_sectors: tuple[int, ...] = (), rate: int = 0) -> None:
        """Insert a USB disk, writable; ``rate`` in bytes a second, 0 for all there is."""
        base = f"raw{bay}"
        self._ask("object-add", **{"qom-type": "throttle-group", "id": f"rate{bay}", "limits": {"bps-read": rate}})
        file = {"driver": "file", "filename": str(medium)}
        self._ask("blockdev-add", **{"driver": "raw", "node-name": base, "file": file})
        if bad_sectors:
            # Event `none` is always armed; `read_aio` would never fire below a throttle node.
            rule = {"event": "none", "iotype": "read", "errno": 5, "immediately": False, "once": False}
            errors = [{**rule, "sector": sector} for sector in bad_sectors]
            node = {"driver": "blkdebug", "node-name": f"bad{bay}", "image": base, "inject-error": errors}
            self._ask("blockdev-add", **node)
            base = f"bad{bay}"
        top = {"driver": "throttle", "node-name": f"top{bay}", "throttle-group": f"rate{bay}", "file": base}
        self._ask("blockdev-add", **top)
        usb = {"driver": "usb-storage", "id": f"bay{bay}", "drive": f"top{bay}", "serial": serial}
        self._ask("device_add", **usb, bus="usb.0", port=str(bay), removable=True)

    def rate(self, bay: int, bytes_per_s: int) -> None:
        """How fast the medium is from now on; 0 for all there is."""
        limits = {"bps-read": bytes_per_s}
        self._ask("qom-set", path=f"/objects/rate{bay}", property="limits", value=limits)

    def writes(self, bay: int) -> int:
        """Write requests that arrived at the medium since it was plugged."""
        nodes = self._ask("query-blockstats", **{"query-nodes": True})
        return next(int(node["stats"]["wr_operations"]) for node in nodes if node.get("node-name") == f"top{bay}")

    def unplug(self, bay: int) -> None:
        """Pull it out; whether that is a surprise depends on who still reads it."""
        self._ask("device_del", id=f"bay{bay}")
        for node in (f"top{bay}", f"bad{bay}", f"raw{bay}"):
            if node in {one["node-name"] for one in self._ask("query-named-block-nodes", flat=True)}:
                self._insist(lambda node=node: self._ask("blockdev-del", **{"node-name": node}))  # type: ignore[misc]  # mypy knows no default in a lambda
        self._insist(lambda: self._ask("object-del", id=f"rate{bay}"))

    def _argv(self) -> list[str]:
        kernel = next((self.kernel / "boot").glob("vmlinuz-*"))
        shares = [
            *("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
            *("-fsdev", f"local,id=share,path={self._share},security_model=none"),
            *("-device", "virtio-9p-pci,fsdev=share,mount_tag=share"),
        ]
        # cache=none: what the guest was told is written is in the image, as on a disk without a volatile cache.
        disk = [
            "-drive",
            f"if=none,id=disk,file={self.disk},format=raw,cache=none",
            "-device",
            "virtio-blk-pci,drive=disk",
        ]
        return [
            *(*GONE_WITH_US, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35"),
            *("-m", "1536", "-smp", "2", "-display", "none", "-nodefaults", "-no-reboot"),
            *("-serial", f"file:{self.work / 'console'}", "-kernel", str(kernel), "-initrd", str(self._initrd)),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
            *("-device", f"qemu-xhci,id=usb,p2={PORTS},p3={PORTS}"),
            *("-qmp", f"unix:{self.work / 'qmp'},server=on,wait=off"),
            *shares,
            *disk,
        ]

    def _pack(self) -> None:
        """An initramfs of busybox and the few modules that reach this machine's root."""
        with tempfile.TemporaryDirectory() as work:
            root = Path(work)
            for folder in ("bin", "proc", "sys", "dev", "low", "over", "root", "modules"):
                (root / folder).mkdir()
            shutil.copy("/bin/busybox", root / "bin")
            files = dict.fromkeys(file for module in _EARLY for file in self._files_of(module))
            for file in files:
                shutil.copy(file, root / "modules")
            (root / "modules/order").write_text("\n".join(file.name for file in files))
            (root / "init").write_text(_FIRST)
            (root / "init").chmod(0o755)
            pack = f"find . | cpio -o -H newc --quiet | gzip -1 > {self._initrd}"
            subprocess.run(["sh", "-c", pack], cwd=root, check=True)

    def _files_of(self, module: str) -> list[Path]:
        said = _output("modprobe", "-d", str(self.kernel), "-S", self.release, "--show-depends", module)
        return [Path(line.split()[1]) for line in said.splitlines() if line.startswith("insmod")]

    def _ask(self, command: str, **arguments: Any) -> Any:
        """One command of QEMU's machine protocol. Raises ``QemuError``."""
        if self._monitor is None:
            with socket.socket(socket.AF_UNIX) as wire:
                wire.connect(str(self.work / "qmp"))
                self._monitor = wire.makefile("rw")
            self._monitor.readline()
            self._ask("qmp_capabilities")
        self._monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._monitor.flush()
        while line := self._monitor.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise QemuError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise QemuError("QEMU is gone")

    def _insist(self, act: Callable[[], object]) -> None:
        """The device has left the guest at once; QEMU lets go of its nodes a moment later."""
        deadline_s = time.monotonic() + 20
        while True:
            try:
                act()
            except QemuError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
            else:
                return


def _release(kernel: Path) -> str:
    [modules] = (kernel / "lib/modules").iterdir()
    return modules.name


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _output(*argv: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout

"""A dock where faults happen: the real station, broker and centre, real media in it, and their truth."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ingestd.keys
import station_agent.keys
from custody.checkpoint import COSIGNATURE, NoteKey
from custody.identifiers import log_origin
from custody.signer import VerifyKey
from fixtures.stack import AUTHORITY, STATION, Stack, StackError, fetch
from tests.rig.broker import free_port
from tests.rig.invariants import Earlier, Finding, Put, Scene, Shown, findings, snapshot
from tests.rig.loopdock import LoopDock
from tests.rig.medium import PARTITION_START_SECTORS, SECTOR_BYTES, Medium

PATIENCE_S = 90.0
BUSY = frozenset({"reading", "verifying"})
SETTINGS = "\n[transcode]\nenabled = false\n"
"""The footage of these scenarios is random bytes: there is nothing to transcode."""


class SiteError(RuntimeError):
    """What was waited for did not come."""


class Site:
    """One station at one dock. ``findings`` asks the checker about all that ever happened here."""

    def __init__(self, folder: Path, bays: int = 2, settings: str = "") -> None:
        """``settings`` are further sections of the station's configuration."""
        self.folder = folder
        self.dock = LoopDock(folder / "dock")
        self.stack = Stack(folder, free_port(), free_port(), self.dock.bays(bays))
        file = folder / "station-agent.toml"
        file.write_text(file.read_text().replace("resend_after_s = 10", "resend_after_s = 1") + SETTINGS + settings)
        self.puts: list[Put] = []
        self._media: dict[int, Medium] = {}
        self._before: dict[int, str] = {}
        self._shown: list[Shown] = []
        self._earlier: list[Earlier] = []
        self._exits: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._output = folder / "station.stderr"
        self._disks = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.kill()
        finally:
            self.stack.close()
            self._disks.close()
            self.dock.close()

    @property
    def data(self) -> Path:
        return self.folder / "station"

    def disk(self, point: Path, size_mib: int) -> None:
        """A small ext4 disk of its own at ``point``, for as long as the site lasts; what lies there moves to it."""
        image = self.folder / f"{point.name}.img"
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
        point.mkdir(exist_ok=True)
        with _mounted(image, "loop") as root:
            shutil.copytree(point, root, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "loop", image, point], check=True)
        self._disks.callback(subprocess.run, ["umount", "-l", point], check=False)

    # -- the station

    def start(self, argv: Sequence[str] = ()) -> None:
        """Start the station and wait for its screen. ``argv`` stands in for the program itself."""
        self.launch(argv)
        self.wait(lambda: self._said() is not None)

    def launch(self, argv: Sequence[str] = ()) -> None:
        """Start the station without waiting."""
        program = argv or [str(Path(shutil.which("station-agent") or "station-agent"))]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen([*program, "run", "--data-dir", str(self.folder)], stderr=output)

    def kill(self) -> None:
        """SIGKILL; harmless when it does not run."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM; its exit code is kept for the checker."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._exits.append(self._process.wait(30))
            self._process = None

    def ended(self) -> int:
        """Wait for the station to end by itself; its exit code."""
        process = self._process
        if process is None:
            raise SiteError("no station runs")
        code = process.wait(PATIENCE_S)
        self._process = None
        return code

    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    # -- the dock

    def plug(self, bay: int, medium: Medium, serial: str, *, bad_sectors: tuple[int, ...] = (), rate: int = 0) -> None:
        """Put a recorder in, writable where the rig allows it; ``rate`` in bytes a second slows it from the start."""
        self._media[bay], self._before[bay] = medium, medium.digest()
        self.puts.append(Put.docked(bay, serial, medium))
        self.dock.plug(bay, medium.image, serial, read_only=bool(bad_sectors), bad_sectors=bad_sectors)
        if rate:
            self.dock.slow(bay, rate)

    def unplug(self, bay: int, how: str = "removed", *, is_readable: bool = True) -> None:
        """Take a recorder out that nobody reads any more, and look at what is on it now."""
        writes = self.dock.writes(bay)
        self.dock.unplug(bay)
        self.wait(lambda: how in self._endings(bay) or not is_readable or not self.runs())
        self._taken(bay, how, writes, is_readable=is_readable)

    def yank(self, bay: int) -> None:
        """Pull a recorder out while it is read, and free the bay."""
        writes = self.dock.writes(bay)
        self.dock.yank(bay)
        self.wait_for(bay, "pulled-early")
        self.dock.unplug(bay)
        self._taken(bay, "pulled-early", writes, is_readable=True)

    def _taken(self, bay: int, how: str, writes: int, *, is_readable: bool) -> None:
        medium, number = self._media.pop(bay), self._number(bay)
        equal = medium.digest() == self._before.pop(bay)
        left = frozenset(medium.truth) if equal else still_on(medium)
        self.puts[number] = replace(
            self.puts[number], left=left, writes=writes, is_equal=equal, removed=how, is_readable=is_readable
        )

    def _number(self, bay: int) -> int:
        return max(number for number, put in enumerate(self.puts) if put.bay == bay)

    def _endings(self, bay: int) -> list[str]:
        serial, times = self.puts[self._number(bay)].serial, 0
        times = sum((put.serial, put.bay, bool(put.removed)) == (serial, bay, True) for put in self.puts)
        found = [r for r in self.scene().records if r["event"] == "device.undocked"]
        return [r["reason"] for r in found if (r["camera"]["serial"], r["camera"]["bay"]) == (serial, bay)][times:]

    # -- what the officer sees

    def bay(self, number: int) -> dict[str, Any]:
        """What the screen says of a bay now; remembered for the checker."""
        before = self._entries()
        said = self._said()
        if said is None:
            return {"bay": number, "state": "", "serial": "", "bytes_done": 0}
        after, receipts = self._entries(), self._receipts()
        for tile in said["bays"]:
            shown = Shown(tile["bay"], tile["serial"], tile["state"], before, after, receipts)
            if (shown.bay, shown.serial, shown.state) not in {(s.bay, s.serial, s.state) for s in self._shown[-32:]}:
                self._shown.append(shown)
        found: dict[str, Any] = next(tile for tile in said["bays"] if tile["bay"] == number)
        return found

    def states(self) -> dict[int, str]:
        """What the screen says of every bay now."""
        self.bay(1)
        said = self._said() or {"bays": []}
        return {tile["bay"]: tile["state"] for tile in said["bays"]}

    def wait_for(self, bay: int, *states: str) -> None:
        """Until the screen says one of these of a bay. Raises ``SiteError``."""
        self.wait(lambda: self.bay(bay)["state"] in states)

    def wait_reading(self, bay: int) -> None:
        """Until bytes of this recorder have been read."""
        self.wait(lambda: self.bay(bay)["state"] in BUSY and self.bay(bay)["bytes_done"] > 0)

    def wait(self, condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
        """Raises ``SiteError`` with what is shown and said when it does not come."""
        deadline_s = time.monotonic() + limit_s
        while not condition():
            if self._process and self._process.poll() is not None:
                raise SiteError(f"the station ended with {self._process.returncode}: {self._tail()}")
            if time.monotonic() > deadline_s:
                raise SiteError(f"it did not come: {json.dumps(self._said())[:3000]}\n{self._tail()}")
            time.sleep(0.05)

    def waiting(self) -> dict[str, int]:
        """What is still to be done, from the journal's tables."""
        with closing(self._journal()) as db:
            jobs = db.execute("SELECT count(*) FROM jobs WHERE kind = 'upload'").fetchone()[0]
            return {"upload": int(jobs), "outbox": int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])}

    def _said(self) -> dict[str, Any] | None:
        try:
            return fetch(f"{self.stack.screen}/api/status")
        except (OSError, StackError):
            return None

    def _entries(self) -> int:
        path = self.data / "log/entries.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def _receipts(self) -> frozenset[str]:
        with closing(self._journal()) as db:
            rows = db.execute("SELECT object_id FROM clips WHERE receipt IS NOT NULL").fetchall()
        return frozenset(str(object_id) for (object_id,) in rows)

    def _journal(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{(self.data / 'journal.db').as_uri()}?mode=ro", uri=True, timeout=30)

    def _tail(self) -> str:
        return self._output.read_text(errors="replace")[-2000:] if self._output.exists() else ""

    # -- the checker

    def scene(self, *, at_rest: bool = True) -> Scene:
        """Everything the checker looks at, now."""
        station = station_agent.keys.load_signer(self.data / "keys/custody.pem").public_key()
        centre = ingestd.keys.load_signer(self.folder / "central/keys/custody.pem").public_key()
        witness = VerifyKey(ingestd.keys.load_signer(self.folder / "central/keys/witness.pem").public_key())
        return Scene(
            data=self.data,
            store=self.folder / "store",
            mounts=self.data / "mnt",
            origin=log_origin(AUTHORITY, STATION),
            key=station,
            puts=self.puts,
            shown=self._shown,
            earlier=self._earlier,
            centre=(log_origin(AUTHORITY, "centre"), centre),
            witness=NoteKey(log_origin(AUTHORITY, "centre-witness"), witness, COSIGNATURE).vkey(),
            output=self._output.read_text(errors="replace") if self._output.exists() else "",
            exits=self._exits,
            at_rest=at_rest,
            stopped=self._process is None,
        )

    def findings(self) -> list[Finding]:
        """What the checker finds now. What is done now must still be so at the next question."""
        scene = self.scene()
        found = findings(scene)
        self._earlier.append(snapshot(scene))
        return found


def still_on(medium: Medium) -> frozenset[bytes]:
    """Paths of the truth that are on a medium now, read through a mount of our own."""
    offset = PARTITION_START_SECTORS * SECTOR_BYTES
    with _mounted(medium.image, f"ro,loop,noload,offset={offset}") as root:
        return frozenset(path for path in medium.truth if (root / os.fsdecode(path)).exists())


def fill(folder: Path, spare_bytes: int) -> Path:
    """Leave only so much room on a folder's disk; returns the file that takes it up."""
    ballast = folder / "ballast"
    usage = shutil.disk_usage(folder)
    with ballast.open("wb") as file:
        for size in (max(0, usage.free - spare_bytes), 1 << 16, 1 << 12):
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), file.tell(), size)
                file.seek(0, os.SEEK_END)
            if spare_bytes:
                break
    return ballast


@contextmanager
def _mounted(image: Path, options: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="look-"))
    try:
        subprocess.run(["mount", "-o", options, image, folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()

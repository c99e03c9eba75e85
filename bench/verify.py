"""How fast ``ingestd audit verify`` re-reads a vault: 200 files, 4 GB in the page cache, against bare hashing.

Ours is the whole command, a process with its interpreter: reads the configuration, verifies the centre log and the
station's log entry by entry, re-reads every original and compares it with its signed entry, lists the store. The peers
hash the same files and know nothing: ``openssl dgst -sha256`` and ``sha256sum``, two at a time (``xargs -P2``), one
file a process; and, so that the start of 200 processes is no gift to us, ``openssl`` once more with 25 files a process.

Run as ``python -m bench.verify``.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import harness
from custody.layout import ORIGINALS
from ingestd import config as configuration
from ingestd import service
from ingestd.pipeline import ReadBack
from tests.fakes.centre_station import AUTHORITY, FakeStation

FILES: Final = 200
FILE_MIB: Final = 20.0
GOAL_TO_OPENSSL: Final = 1.2
GOAL_TO_SHA256SUM: Final = 3.0
_WATCH_S: Final = 0.05
_OURS: Final = "ingestd audit verify"
_OPENSSL: Final = "openssl dgst, 2 at a time"
_OPENSSL_FEW: Final = "openssl dgst, 2 at a time, 25 files"
_SHA256SUM: Final = "sha256sum, 2 at a time"
_CONFIGURATION: Final = """\
[centre]
authority = "{authority}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "{station}"
vkey = "{vkey}"
[store]
url = "store"
[database]
url = "sqlite:///central/index.db"
"""


@dataclass(slots=True)
class Program:
    """A command that must succeed; remembers processor time, and the peak memory of its first process."""

    argv: Sequence[str]
    folder: Path
    stdin: bytes = b""
    cpu_s: list[float] = field(default_factory=list)
    peak_kib: int = 0

    def run(self) -> None:
        """Run it to its end."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(self.stdin)
            given.seek(0)
            process = subprocess.Popen(self.argv, cwd=self.folder, stdin=given, stdout=said, stderr=said)
            watch = threading.Thread(target=self._watch, args=(process.pid,))
            watch.start()
            _, status, usage = os.wait4(process.pid, 0)
            watch.join()
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if process.returncode:
                sys.exit(f"{self.argv[0]} failed: {said.read().decode(errors='replace')}")
        self.cpu_s.append(usage.ru_utime + usage.ru_stime)

    def _watch(self, pid: int) -> None:
        """``ru_maxrss`` would say what this benchmark needed before it became the other program."""
        while (peak_kib := _peak_kib(pid)) is not None:
            self.peak_kib = max(self.peak_kib, peak_kib)
            time.sleep(_WATCH_S)


def _peak_kib(pid: int) -> int | None:
    """High-water mark of resident memory (proc(5), VmHWM), or None when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), None)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="bench-verify-") as work:
        folder = Path(work)
        names = make_vault(folder, arguments.files, int(arguments.file_mib * (1 << 20)))
        programs = _programs(folder, names)
        series = harness.interleave([harness.Side(name, one.run) for name, one in programs.items()], arguments.rounds)
        _print(series, programs, arguments.files * arguments.file_mib, load)


def make_vault(folder: Path, files: int, file_bytes: int) -> list[str]:
    """A centre that took in clips of random bytes from one station and read them back; returns their store names."""
    station = FakeStation()
    station.utc_ms = time.time_ns() // 1_000_000 - 3_600_000
    _configure(folder, station)
    service.begin(configuration.load(folder / "ingestd.toml"))
    names = [_add_clip(folder / "store", station, os.urandom(file_bytes)) for _ in range(files)]
    centre = service.build(configuration.load(folder / "ingestd.toml"))
    centre.pipeline.start()
    centre.pipeline.handle([station.message()])
    due = centre.pipeline.checks_due(files)
    centre.pipeline.record_checks([ReadBack(row["object_id"], row["size"], row["sha256"]) for row in due])
    centre.pipeline.checkpoint()
    centre.engine.dispose()
    return names


def _configure(folder: Path, station: FakeStation) -> None:
    text = _CONFIGURATION.format(authority=AUTHORITY, station=station.name, vkey=station.enrolled.note_key.vkey())
    (folder / "ingestd.toml").write_text(text)
    service.make_keys(configuration.load(folder / "ingestd.toml"))


def _add_clip(store: Path, station: FakeStation, content: bytes) -> str:
    station.copied(path=f"DCIM/{len(station.entries)}.MP4", content=content)
    name, data = station.store.popitem()
    path = store / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name


def _programs(folder: Path, names: Sequence[str]) -> dict[str, Program]:
    files = "".join(f"store/{name}\n" for name in names).encode()
    openssl, one_file = ["openssl", "dgst", "-sha256"], ["xargs", "-P2", "-n1"]
    return {
        _OURS: Program([sys.executable, "-m", "ingestd.cli", "audit", "verify", "--data-dir", str(folder)], Path()),
        _OPENSSL: Program([*one_file, *openssl], folder, files),
        _OPENSSL_FEW: Program(["xargs", "-P2", "-n25", *openssl], folder, files),
        _SHA256SUM: Program([*one_file, "sha256sum"], folder, files),
    }


def _print(
    series: Mapping[str, harness.Series], programs: Mapping[str, Program], amount_mib: float, load: float
) -> None:
    ours = series[_OURS]
    print(f"audit of {amount_mib:.0f} MiB under {ORIGINALS}/ in the page cache; {harness.machine()}")
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"peers: {openssl}; {harness.version_of('sha256sum')}")
    for name, one in series.items():
        print(f"  {one.line(amount_mib)}  processor {statistics.median(programs[name].cpu_s[1:]):6.2f} s")
    print(f"  {harness.throughput_line(ours, series[_OPENSSL], GOAL_TO_OPENSSL)}")
    print(f"  {harness.throughput_line(ours, series[_OPENSSL_FEW], GOAL_TO_OPENSSL)}")
    print(f"  {harness.throughput_line(ours, series[_SHA256SUM], GOAL_TO_SHA256SUM)}")
    print(f"  peak memory of ours: {programs[_OURS].peak_kib / 1024:.0f} MiB")
    print(f"  {harness.quietness(series[_OPENSSL], load)}")


def _arguments() -> argparse.Namespace:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--rounds", type=int, default=harness.MIN_ROUNDS)
    cli.add_argument("--files", type=int, default=FILES)
    cli.add_argument("--file-mib", type=float, default=FILE_MIB)
    cli.add_argument("--work", type=Path, default=None, help="a folder for the vault")
    return cli.parse_args()


if __name__ == "__main__":
    main()

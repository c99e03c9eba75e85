"""Offload of 1 GiB in 10 files from a loop-mounted ext4 recorder to disk, against ``cp`` of the same files.

Ours is everything that makes a copy evidence: read once with SHA-256, write, fsync, drop the cache, read back,
compare, rename, fsync of the folder; two files at a time. The peers verify nothing, or only afterwards.

Run as ``python -m bench.offload``; needs root for the loop mount and for dropping caches. Ours runs in a fresh
interpreter each round, so that its peak memory is its own; the start of the interpreter is not part of the time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import harness
from station_agent import durable
from station_agent.clock import SystemClock
from station_agent.offload import Offloader

FILES: Final = 10
FILE_MIB: Final = 102.4
WORKERS: Final = 2
GOAL_TO_COPY: Final = 1.0
GOAL_TO_SUMS: Final = 0.35
GOAL_PEAK_MIB: Final = 150


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.offload:
        source, target = arguments.offload
        print(json.dumps(offload_folder(source, target, arguments.workers)))
        return
    if os.geteuid() != 0:
        sys.exit("bench offload needs root: it mounts a loop device and drops caches")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="bench-offload-") as work:
        _measure(Path(work), arguments, load)


def offload_folder(source: Path, target: Path, workers: int) -> dict[str, float]:
    """Every file of ``source`` through the real ``Offloader``; seconds, and peak memory in MiB."""
    offloader = Offloader(SystemClock())
    durable.make_dirs(target)
    files = sorted(path for path in source.iterdir() if path.is_file())

    def one(path: Path) -> None:
        temporary = target / f".{path.name}.part"
        result = offloader.copy(path.parent, os.fsencode(path.name), temporary, lambda _done, _phase: None)
        if result.reread != "uncached":
            sys.exit(f"the re-read of {path.name} was {result.reread}: nothing is proved")
        offloader.publish([(temporary, target / path.name)])

    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, files))
    return {"seconds": time.perf_counter() - started, "peak_mib": _peak_mib()}


def _measure(work: Path, arguments: argparse.Namespace, load: float) -> None:
    peaks: list[float] = []
    file_bytes = int(arguments.file_mib * (1 << 20))
    with _recorder(work, arguments.files, file_bytes) as recorder:
        ours = _Ours(recorder, work / "ours", arguments.workers, peaks)
        sides = [
            harness.Side("offload, verified", ours.run, ours.prepare),
            harness.Side("cp -r + sync", lambda: _cp_sync(recorder, work / "cp"), lambda: _fresh(work / "cp")),
            harness.Side(
                "cp, then sha256sum of both", lambda: _cp_sums(recorder, work / "sum"), lambda: _fresh(work / "sum")
            ),
        ]
        series = _interleave(sides, ours, arguments.rounds)
    _print(series, peaks, arguments.files * file_bytes / (1 << 20), load)


class _Ours:
    """A fresh interpreter each round, which waits for the word before it begins."""

    def __init__(self, recorder: Path, target: Path, workers: int, peaks: list[float]) -> None:
        self._recorder, self._target, self._workers, self._peaks = recorder, target, workers, peaks
        self.seconds: list[float] = []

    def prepare(self) -> None:
        _fresh(self._target)

    def run(self) -> None:
        argv = [sys.executable, "-m", "bench.offload", "--workers", str(self._workers)]
        argv += ["--offload", str(self._recorder), str(self._target)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the offload failed: {done.stderr.strip()}")
        said = json.loads(done.stdout)
        self.seconds.append(said["seconds"])
        self._peaks.append(said["peak_mib"])


def _interleave(sides: list[harness.Side], ours: _Ours, rounds: int) -> dict[str, harness.Series]:
    series = dict(harness.interleave(sides, rounds))
    # The agent is a daemon: what counts is the offload, not the start of an interpreter. Round 0 is the warm-up.
    series["offload, verified"] = harness.Series("offload, verified", ours.seconds[1:])
    return series


def _print(series: dict[str, harness.Series], peaks: list[float], amount_mib: float, load: float) -> None:
    ours, copy, sums = series["offload, verified"], series["cp -r + sync"], series["cp, then sha256sum of both"]
    print(f"offload of {amount_mib:.0f} MiB from loop-mounted ext4 to disk, cold source; {harness.machine()}")
    print(f"peers: {harness.version_of('cp')}; {harness.version_of('sha256sum')}")
    for one in (ours, copy, sums):
        print(f"  {one.line(amount_mib)}")
    print(f"  {harness.ratio_line(ours, copy, GOAL_TO_COPY)}")
    print(f"  {harness.ratio_line(ours, sums, GOAL_TO_SUMS)}")
    verdict = "met" if max(peaks) < GOAL_PEAK_MIB else "NOT met"
    print(f"  peak memory of ours: {max(peaks):.0f} MiB  goal < {GOAL_PEAK_MIB}: {verdict}")
    print(f"  {harness.quietness(copy, load)}")


def _cp_sync(recorder: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", recorder, target], check=True)
    subprocess.run(["sync", *sorted(path for path in target.rglob("*") if path.is_file())], check=True)


def _cp_sums(recorder: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", recorder, target], check=True)
    for side in (recorder, target):
        names = sorted(path for path in side.rglob("*") if path.is_file())
        subprocess.run(["sha256sum", *names], check=True, capture_output=True)


def _fresh(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    harness.drop_caches()


@contextmanager
def _recorder(work: Path, files: int, file_bytes: int) -> Iterator[Path]:
    """A loop-mounted ext4 with the files on it, mounted as the agent mounts a recorder."""
    image, folder = work / "recorder.img", work / "recorder"
    folder.mkdir()
    _fill(image, work / "content", files, file_bytes)
    subprocess.run(["mount", "-o", "loop,ro,nosuid,nodev,noexec,noload", image, folder], check=True)
    try:
        yield folder / "DCIM"
    finally:
        subprocess.run(["umount", folder], check=True)


def _fill(image: Path, content: Path, files: int, file_bytes: int) -> None:
    clips = content / "DCIM"
    clips.mkdir(parents=True)
    for number in range(files):
        with (clips / f"MOV_{number:04}.MP4").open("wb") as file:
            left = file_bytes
            while left:
                left -= file.write(os.urandom(min(left, 4 << 20)))
    size_kib = (files * file_bytes >> 10) * 11 // 10 + (64 << 10)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", content, image, f"{size_kib}k"], check=True, capture_output=True)
    shutil.rmtree(content)


def _peak_mib() -> float:
    """High-water mark of this process's resident memory (proc(5), VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def _arguments() -> argparse.Namespace:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--rounds", type=int, default=harness.MIN_ROUNDS)
    cli.add_argument("--files", type=int, default=FILES)
    cli.add_argument("--file-mib", type=float, default=FILE_MIB)
    cli.add_argument("--workers", type=int, default=WORKERS, help="files at a time, as [offload] workers")
    cli.add_argument("--work", type=Path, default=None, help="a folder on the disk to measure")
    cli.add_argument("--offload", type=Path, nargs=2, metavar=("SOURCE", "TARGET"), help="one round of ours, as JSON")
    return cli.parse_args()


if __name__ == "__main__":
    main()

"""A full dock: sixteen recorders at once through the real station, beside one recorder with the same files.

The whole of ``station_agent.service`` but detection, mounting, media tools and uploads: turns, slots, copies with
proof, log and journal on the disk. A recorder is a folder on the same disk, so that reading and writing share it;
recorders on ports of their own can only be quicker. Measured are the throughput of sixteen to that of one, how far
apart the recorders end, the time from a recorder's event to its first byte copied, peak memory, and 10,000 files of
4 kB: offloaded, sealed, and put into messages for the broker.

Run as ``python -m bench.dock``; needs root for dropping caches. Ours runs in a fresh interpreter each round, so that
its peak memory is its own; its start is not part of the time.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from bench import harness
from custody.checkpoint import COSIGNATURE, NoteKey
from custody.signer import Ed25519Signer
from station_agent import config, service
from station_agent.durable import make_dirs
from station_agent.keys import create_key
from station_agent.model import DeviceIdentity, RecorderDocked
from station_agent.pipeline import Summary
from station_agent.publish import Outbox

RECORDERS: Final = 16
FILES: Final = 4
FILE_MIB: Final = 16.0
SMALL_FILES: Final = 10_000
SMALL_BYTES: Final = 4_000
GOAL_SHARE: Final = 1.5
GOAL_THROUGHPUT: Final = 0.9
GOAL_FIRST_BYTE_S: Final = 1.5
GOAL_SMALL_PER_S: Final = 300
GOAL_PEAK_MIB: Final = 200
LOOK_S: Final = 0.005
"""How exactly the first byte is timed."""
TOGETHER: Final = "recorders at once"
ALONE: Final = "one recorder, the same files"
SMALL: Final = "one recorder, small files"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.dock:
        print(json.dumps(dock(arguments.dock[0], arguments.dock[1:])))
        return
    if os.geteuid() != 0:
        sys.exit("bench dock needs root: it drops caches")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="bench-dock-") as work:
        _measure(Path(work), arguments, load)


def dock(work: Path, cards: Sequence[Path]) -> dict[str, Any]:
    """Every folder as a recorder in a bay of its own, all put in at once, read by a new station in ``work``."""
    settings = _station(work, len(cards))
    with service.opened(settings, threading.Event(), patient=False) as rooms, ThreadPoolExecutor(len(cards)) as pool:
        started = time.perf_counter()
        dockings = [rooms.pipeline.announced(_event(rooms, card, bay)) for bay, card in enumerate(cards, 1)]
        ends: dict[int, float] = {}

        def read(bay: int) -> Summary:
            summary = rooms.pipeline.read(dockings[bay - 1])
            ends[bay] = time.perf_counter() - started
            return summary

        reading = [pool.submit(read, bay) for bay in range(1, len(cards) + 1)]
        first = _first_bytes(rooms, reading, started)
        _require_complete([one.result() for one in reading])
        took = time.perf_counter() - started
        messages_s = _messages(rooms)
    return {
        "seconds": took,
        "ends": list(ends.values()),
        "first": list(first.values()),
        "messages_s": messages_s,
        "peak_mib": _peak_mib(),
    }


def _station(work: Path, bays: int) -> config.Config:
    """A station of its own, as it would be installed."""
    make_dirs(work)
    create_key(work / "station/keys/custody.pem")
    witness = NoteKey("custody.example/centre-witness", Ed25519Signer.from_seed(b"w" * 32).verify_key(), COSIGNATURE)
    lines = ["[station]", 'id = "station-01"', 'authority = "custody.example"']
    lines += ["[keys]", f'witness = "{witness.vkey()}"', "[screen]", "port = 0", "[bays]"]
    lines += [f'{bay} = "port-{bay}"' for bay in range(1, bays + 1)]
    (work / config.FILE_NAME).write_text("\n".join(lines), encoding="utf-8")
    return config.load(work / config.FILE_NAME)


def _event(rooms: service.Rooms, card: Path, bay: int) -> RecorderDocked:
    identity = DeviceIdentity(serial=f"REC{bay:04}", volume_uuid=f"VOLUME-{bay}", volume_label=card.name)
    return RecorderDocked(str(card), bay, identity, service.FOLDER, rooms.clock.now().utc_ms)


def _first_bytes(rooms: service.Rooms, reading: Sequence[Future[Summary]], started: float) -> dict[int, float]:
    """Bay → seconds until its first byte was copied."""
    first: dict[int, float] = {}
    while not all(one.done() for one in reading) and len(first) < len(reading):
        for tile in rooms.board.tiles():
            if tile.copying or tile.files_done:
                first.setdefault(tile.bay, time.perf_counter() - started)
        time.sleep(LOOK_S)
    return first


def _require_complete(summaries: Sequence[Summary]) -> None:
    for summary in summaries:
        if not summary.complete:
            sys.exit(f"not everything was sealed: {summary}")


def _messages(rooms: service.Rooms) -> float:
    """Seconds for what the broker would be handed: every entry in a message, and noted as sent."""
    outbox = Outbox(rooms.clock, rooms.journal, rooms.seal, service.trust_of(rooms.config), resend_after_s=3600)
    started = time.perf_counter()
    while sent := [seqs for _, seqs in outbox.messages()]:
        for seqs in sent:
            outbox.sent(seqs)
    return time.perf_counter() - started


class _Ours:
    """A fresh interpreter each round; what it says of itself is kept."""

    def __init__(self, work: Path, cards: Sequence[Path]) -> None:
        self._work, self._cards = work, cards
        self.said: list[dict[str, Any]] = []

    def prepare(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        harness.drop_caches()

    def run(self) -> None:
        argv = [sys.executable, "-m", "bench.dock", "--dock", str(self._work), *map(str, self._cards)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the dock failed: {done.stderr.strip()}")
        self.said.append(json.loads(done.stdout.splitlines()[-1]))

    def counted(self, key: str) -> list[Any]:
        """One value a round; the first round warmed up."""
        return [one[key] for one in self.said[1:]]


def _measure(work: Path, arguments: argparse.Namespace, load: float) -> None:
    file_bytes = int(arguments.file_mib * (1 << 20))
    cards = [_card(work / f"card{n}", arguments.files, file_bytes) for n in range(arguments.recorders)]
    all_files = [path for card in cards for path in sorted(card.rglob("*.MP4"))]
    ours = {
        TOGETHER: _Ours(work / "together", cards),
        ALONE: _Ours(work / "alone", [_linked(work / "whole", all_files)]),
        SMALL: _Ours(work / "small", [_card(work / "many", arguments.small, SMALL_BYTES)]),
    }
    sides = [harness.Side(name, one.run, one.prepare) for name, one in ours.items()]
    harness.interleave(sides, arguments.rounds)
    amount_mib = len(all_files) * file_bytes / (1 << 20)
    _print_full(ours[TOGETHER], ours[ALONE], amount_mib, arguments.recorders, load)
    _print_small(ours[SMALL], arguments.small)


def _print_full(together: _Ours, alone: _Ours, amount_mib: float, recorders: int, load: float) -> None:
    many, one = _series(f"{recorders} {TOGETHER}", together), _series(ALONE, alone)
    print(f"{recorders} recorders, {amount_mib:.0f} MiB in all, folders on the same disk; {harness.machine()}")
    for side in (many, one):
        print(f"  {side.line(amount_mib)}")
    print(f"  {harness.throughput_line(many, one, GOAL_THROUGHPUT)}")
    _say("slowest / fastest recorder", [max(ends) / min(ends) for ends in together.counted("ends")], GOAL_SHARE, "×")
    _say("event to first byte, last recorder", [max(f) for f in together.counted("first")], GOAL_FIRST_BYTE_S, "s")
    _say("event to first byte, alone", [max(first) for first in alone.counted("first")], GOAL_FIRST_BYTE_S, "s")
    _say("peak memory", together.counted("peak_mib"), GOAL_PEAK_MIB, "MiB")
    print(f"  {harness.quietness(one, load)}; load average {os.getloadavg()[0]:.1f} at the end")


def _print_small(small: _Ours, files: int) -> None:
    sealed = [files / seconds for seconds in small.counted("seconds")]
    whole = [
        files / (seconds + more)
        for seconds, more in zip(small.counted("seconds"), small.counted("messages_s"), strict=True)
    ]
    print(f"{files} files of {SMALL_BYTES} bytes on one recorder")
    print(f"  offloaded and sealed: {_spread(sealed)} files/s")
    verdict = "met" if statistics.median(whole) >= GOAL_SMALL_PER_S else "NOT met"
    print(f"  and put into messages: {_spread(whole)} files/s  goal ≥ {GOAL_SMALL_PER_S}: {verdict}")
    _say("event to first byte", [max(first) for first in small.counted("first")], GOAL_FIRST_BYTE_S, "s")
    _say("peak memory", small.counted("peak_mib"), GOAL_PEAK_MIB, "MiB")


def _say(what: str, values: Sequence[float], goal: float, unit: str) -> None:
    verdict = "met" if statistics.median(values) < goal else "NOT met"
    print(f"  {what}: {_spread(values)} {unit}  goal < {goal:g}: {verdict}")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}–{max(values):.2f}]"


def _series(name: str, ours: _Ours) -> harness.Series:
    return harness.Series(name, ours.counted("seconds"))


def _card(folder: Path, files: int, file_bytes: int) -> Path:
    clips = folder / "DCIM"
    clips.mkdir(parents=True)
    for number in range(files):
        (clips / f"MOV_{number:05}.MP4").write_bytes(os.urandom(file_bytes))
    return folder


def _linked(folder: Path, files: Sequence[Path]) -> Path:
    """One recorder with all these files, which take no second place on the disk."""
    clips = folder / "DCIM"
    clips.mkdir(parents=True)
    for number, file in enumerate(files):
        (clips / f"MOV_{number:05}.MP4").hardlink_to(file)
    return folder


def _peak_mib() -> float:
    """High-water mark of this process's resident memory (proc(5), VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def _arguments() -> argparse.Namespace:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--rounds", type=int, default=harness.MIN_ROUNDS)
    cli.add_argument("--recorders", type=int, default=RECORDERS)
    cli.add_argument("--files", type=int, default=FILES, help="on each recorder")
    cli.add_argument("--file-mib", type=float, default=FILE_MIB)
    cli.add_argument("--small", type=int, default=SMALL_FILES, help="how many small files")
    cli.add_argument("--work", type=Path, default=None, help="a folder on the disk to measure")
    cli.add_argument(
        "--dock", type=Path, nargs="+", metavar="FOLDER", help="one round, as JSON: a folder, and recorders"
    )
    return cli.parse_args()


if __name__ == "__main__":
    main()

"""What sealing a clip costs beside the fsync it cannot do without, and what a long log costs beside a short one.

**Sealing**: the station's real ``Seal`` over its real files and journal; dockings of 20 clips, each clip one
``ingest.copied`` with two digests, signed, appended, synced, remembered, and a checkpoint a docking. Profiles ``std``
(Ed25519) and ``gm`` (SM2 besides, SM3 tree). The peer appends the same bytes to a bare file and syncs it, once a clip.

**Length**: one log of 1,000, 100,000 and 1,000,000 entries of a real station's form: opening it, opening it when it is
100 entries ahead of its checkpoint, appending with fsync, reading any entry by its number, its inclusion proof, and a
consistency proof, each checked against the signed root. In one process, so that no interpreter's start is counted.

Run as ``python -m bench.seal``.
"""

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import harness
from custody.canonical import JsonObject
from custody.chain import Entry
from custody.envelope import seal
from custody.index import Proofs
from custody.layout import original_name
from custody.log import Log
from custody.record import Draft, compose, parse_record
from custody.signer import Ed25519Signer, Signer
from custody.sm2 import Sm2Signer
from station_agent.clock import SystemClock
from station_agent.durable import make_dirs
from station_agent.journal import Journal
from station_agent.logfiles import ENTRIES, PosixLogFiles
from station_agent.seal import Seal, new_id

ORIGIN: Final = "custody.example/station-01"
CLIPS: Final = 20
DOCKINGS: Final = 5
SIZES: Final = (1_000, 100_000, 1_000_000)
AHEAD: Final = 100
REPEATS: Final = 25
GOAL_ADDED_MS: Final = 3.0
GOAL_PROOF_MS: Final = 5.0
SIGNER: Final = Ed25519Signer.from_seed(b"s" * 32)
_BATCH: Final = 10_000


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    load = os.getloadavg()[0]
    print(f"sealing and the length of a log; {harness.machine()}")
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="bench-seal-") as work:
        series = harness.interleave(_sides(Path(work)), arguments.rounds)
        _print_sealing(series, load)
        _print_lengths(list(_lengths(Path(work) / "long", arguments.sizes)))


# Sealing


def _sides(work: Path) -> list[harness.Side]:
    std = _Station(work / "std", None)
    gm = _Station(work / "gm", Sm2Signer.generate())
    log = _LogAlone(work / "log")
    return [
        harness.Side("sealing, std", std.run, std.prepare),
        harness.Side("log without journal, std", log.run, log.prepare),
        harness.Side("bare append + fsync, std", lambda: _bare(std), lambda: _fresh(std.folder / "bare")),
        harness.Side("sealing, gm", gm.run, gm.prepare),
        harness.Side("bare append + fsync, gm", lambda: _bare(gm), lambda: _fresh(gm.folder / "bare")),
    ]


class _Station:
    """A new station each round; the files of the last round stay for the peer, who writes the same bytes."""

    def __init__(self, folder: Path, second: Signer | None) -> None:
        self.folder = folder
        self._second = second
        self._clock = SystemClock()

    def prepare(self) -> None:
        _fresh(self.folder)
        journal = Journal(self.folder / "journal.db", ORIGIN, lambda: new_id(self._clock.now().utc_ms))
        self._seal = Seal(PosixLogFiles(self.folder / "log"), ORIGIN, SIGNER, self._clock, journal, self._second)
        self._seal.append("log.recovered", {"reason": "the first entry"})

    def run(self) -> None:
        for docking in range(DOCKINGS):
            for number in range(CLIPS):
                self._seal.append("ingest.copied", clip_body(docking * CLIPS + number, self._clock.now().utc_ms))
            self._seal.checkpoint()

    def lines(self) -> list[bytes]:
        """The clips' entries as they were written."""
        return (self.folder / "log" / ENTRIES).read_bytes().splitlines(keepends=True)[1:]


class _LogAlone:
    """What of it the log costs: record, signature, append with fsync, checkpoint; without the journal and its sync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        _fresh(self._folder)
        self._log = Log(PosixLogFiles(self._folder), ORIGIN, [SIGNER.verify_key()])

    def run(self) -> None:
        for _docking in range(DOCKINGS):
            for _clip in range(CLIPS):
                self._log.append([_draft()], [SIGNER])
            self._log.checkpoint(SIGNER)


def _bare(station: _Station) -> None:
    for line in station.lines():
        fd = os.open(station.folder / "bare" / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        os.write(fd, line)
        os.fdatasync(fd)
        os.close(fd)


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    make_dirs(folder)


def clip_body(number: int, utc_ms: int) -> JsonObject:
    """Body of an ``ingest.copied`` as ``station_agent.docking`` makes it, with both digests."""
    object_id = new_id(utc_ms)
    sha256, sm3 = f"{number:064x}", f"{number + 1:064x}"
    clock: JsonObject = {"offset_ms": None, "uncertainty_ms": None, "method": "none"}
    return {
        "camera": {
            "serial": "DSJ0731", "vendor_id": "1d6b", "product_id": "0104", "make": "ExampleCam", "model": "R5",
            "bay": 3, "officer_as_stated": "012345",
        },
        "object": {
            "id": object_id, "name": original_name(object_id, utc_ms, "MP4"), "size": 2_147_483_648,
            "media_type": "video/mp4", "digests": {"sha256": sha256, "sm3": sm3},
        },
        "source": {"volume_uuid": "6A1F-0C3B", "path": f"DCIM/100MEDIA/{number:04}.MP4", "mtime_ms": utc_ms},
        "copy": {"start_ms": utc_ms, "end_ms": utc_ms + 1, "reread_sha256": sha256, "reread": "uncached"},
        "clock": clock,
        "docked_ms": utc_ms,
        "note": "",
    }  # fmt: skip


def _print_sealing(series: Mapping[str, harness.Series], load: float) -> None:
    clips = DOCKINGS * CLIPS
    print(f"{DOCKINGS} dockings of {CLIPS} clips, fsync each; times are for all {clips}")
    for one in series.values():
        print(f"  {one.line()}")
    for ours, bare in (
        ("sealing, std", "bare append + fsync, std"),
        ("log without journal, std", "bare append + fsync, std"),
        ("sealing, gm", "bare append + fsync, gm"),
    ):
        print(f"  {_added_line(series[ours], series[bare])}")
    print(f"  {harness.quietness(series['bare append + fsync, std'], load)}")


def _added_line(ours: harness.Series, bare: harness.Series) -> str:
    clips = DOCKINGS * CLIPS
    each = [1000 * (a - b) / clips for a, b in zip(ours.seconds, bare.seconds, strict=True)]
    added = statistics.median(each)
    verdict = "met" if added < GOAL_ADDED_MS else "NOT met"
    return (
        f"{ours.name}: adds {added:.2f} ms a clip [{min(each):.2f}–{max(each):.2f}]"
        f" to {1000 * bare.median_s / clips:.2f} ms of bare fsync  goal < {GOAL_ADDED_MS}: {verdict}"
    )


# Length


@dataclass(frozen=True, slots=True)
class _Row:
    """Medians in milliseconds at one length, by what was done."""

    size: int
    ms: Mapping[str, float]
    worst: Mapping[str, float]


def _lengths(folder: Path, sizes: Sequence[int]) -> Iterator[_Row]:
    """One log that grows from size to size."""
    files = PosixLogFiles(folder)
    for size in sizes:
        log = Log(files, ORIGIN, [SIGNER.verify_key()])
        _grow(log, size)
        yield _measured(files, size)


def _grow(log: Log, size: int) -> None:
    """Append entries of a real form, made from the pattern of one: composing them is not what is measured here."""
    pattern = compose(Draft("ingest.copied", new_id(0), {"utc_ms": 0, "source": "ntp"}, clip_body(0, 0)), ORIGIN, 0, "")
    record = parse_record(pattern)
    chain = log.chain
    while chain.size < size:
        entries = []
        for _ in range(min(_BATCH, size - chain.size)):
            payload = pattern.replace(b'"prev":""', b'"prev":"%s"' % chain.prev.encode(), 1)
            data = seal(payload.replace(b'"seq":0', b'"seq":%d' % chain.size, 1), [SIGNER])
            seq, chain = chain.size, chain.push(data)
            entries.append(Entry(seq, chain.last_leaf, data, record))
        log.mirror(entries, chain)
    log.checkpoint(SIGNER)


def _measured(files: PosixLogFiles, size: int) -> _Row:
    draws = random.Random(size)
    log = Log(files, ORIGIN, [SIGNER.verify_key()])
    signed = log.checkpoint(SIGNER).checkpoint
    proofs = Proofs(files, signed)
    steps: dict[str, Callable[[], object]] = {
        "open": lambda: Log(files, ORIGIN, [SIGNER.verify_key()]),
        "read an entry": lambda: log.entry(draws.randrange(size)),
        "inclusion proof": lambda: proofs.entry(draws.randrange(size)),
        "consistency proof": lambda: proofs.consistency(draws.randrange(1, size)),
        "earlier root": lambda: log.root_at(draws.randrange(1, size)),
        "append + fsync": lambda: log.append([_draft()], [SIGNER]),
    }
    times = {name: _timed(step) for name, step in steps.items()}
    log.append([_draft() for _ in range(AHEAD)], [SIGNER])
    times[f"open, {AHEAD + REPEATS} ahead"] = _timed(steps["open"])
    return _Row(
        size,
        {name: 1000 * statistics.median(each) for name, each in times.items()},
        {name: 1000 * max(each) for name, each in times.items()},
    )


def _draft() -> Draft:
    now_ms = time.time_ns() // 1_000_000
    return Draft("ingest.copied", new_id(now_ms), {"utc_ms": now_ms, "source": "ntp"}, clip_body(1, now_ms))


def _timed(step: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return seconds


def _print_lengths(rows: Sequence[_Row]) -> None:
    print(f"one log of several lengths; medians of {REPEATS} in ms, [the slowest]")
    print(f"  {'':<20}" + "".join(f"{row.size:>22,}" for row in rows))
    for name in rows[0].ms:
        print(f"  {name:<20}" + "".join(f"{row.ms[name]:12.3f} {f'[{row.worst[name]:.2f}]':>9}" for row in rows))
    worst = max(rows[-1].ms[name] for name in ("inclusion proof", "consistency proof"))
    verdict = "met" if worst < GOAL_PROOF_MS else "NOT met"
    print(f"  proofs at {rows[-1].size:,} entries: {worst:.2f} ms  goal < {GOAL_PROOF_MS}: {verdict}")


def _arguments() -> argparse.Namespace:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--rounds", type=int, default=harness.MIN_ROUNDS)
    cli.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="lengths of the log, growing")
    cli.add_argument("--work", type=Path, default=None, help="a folder on the disk to measure")
    return cli.parse_args()


if __name__ == "__main__":
    main()

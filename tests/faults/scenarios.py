"""What is done to a site, one function a fault. Each leaves its bays free; the checker is asked after each.

A scenario says with ``must`` what has to hold besides the twelve invariants. Names of its recorders are its own, so
that several scenarios can follow each other in one life of a station, as faults do.
"""

import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.site import Site, fill
from tests.rig.invariants import path_of
from tests.rig.medium import Medium, make_medium

DONE: Final = ("waiting-upload", "safe", "no-new-data", "safe-with-warnings")
NO_SPACE_EXIT: Final = 74
"""The station ends with it when its log or journal cannot be written; systemd starts it again."""
CLOCK_PROGRAM: Final = """
import sys, time
from pathlib import Path
real, shift = time.time_ns, Path(sys.argv.pop(1))
time.time_ns = lambda: real() + int(shift.read_text()) * 1_000_000_000
time.time = lambda: time.time_ns() / 1e9
from station_agent.cli import main
main()
"""
"""The station with a wall clock that a file moves: the machine's own belongs to others."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much footage a scenario works with."""

    clips: int = 3
    clip_bytes: int = 1 << 20
    small_files: int = 100
    big_bytes: int = 64 << 20
    recorders: int = 4
    kills: int = 4


FULL: Final = Sizes(clips=8, clip_bytes=16 << 20, small_files=10_000, big_bytes=8 << 30, recorders=16, kills=1_000)


class MustError(AssertionError):
    """What had to hold besides the invariants did not."""


def must(holds: object, what: str) -> None:
    """Raises ``MustError``."""
    if not holds:
        raise MustError(what)


@dataclass
class Cards:
    """Makes media; each has its own content."""

    folder: Path
    sizes: Sizes
    chance: random.Random
    made: int = 0

    def clips(self, count: int = 0, size: int = 0, filesystem: str = "ext4") -> Medium:
        """A medium with clips of random bytes."""
        names = [f"DCIM/{number:04}.MP4" for number in range(count or self.sizes.clips)]
        return self.with_files(dict.fromkeys(names, size or self.sizes.clip_bytes), filesystem)

    def with_files(self, sizes: Mapping[str, int], filesystem: str = "ext4") -> Medium:
        """A medium with random files of these names and sizes."""
        source = self._source()
        for name, size in sizes.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(self.chance.randbytes(size))
        return self.of(source, filesystem)

    def with_clip_at(self, filesystem: str) -> tuple[Medium, int]:
        """A medium with three clips, and a sector of 512 bytes in the middle of ``b.mp4``."""
        source = self._source()
        for name in ("a.mp4", "b.mp4", "c.mp4"):
            (source / name).write_bytes(self.chance.randbytes(self.sizes.clip_bytes))
        start = (source / "b.mp4").read_bytes()[:512]
        medium = self.of(source, filesystem)
        return medium, medium.image.read_bytes().index(start) // 512 + self.sizes.clip_bytes // 1024

    def of(self, source: Path, filesystem: str = "ext4") -> Medium:
        """A medium with what lies in a folder."""
        medium = make_medium(source.with_suffix(".img"), filesystem, source)
        shutil.rmtree(source)
        return medium

    def source(self) -> Path:
        """An empty folder for what a scenario wants to put on a medium by itself."""
        return self._source()

    def _source(self) -> Path:
        self.made += 1
        folder = self.folder / f"card-{self.made}"
        folder.mkdir(parents=True)
        return folder


def unplug_idle(site: Site, cards: Cards) -> None:
    card = cards.clips(filesystem="exfat")
    for expected in (("waiting-upload", "safe"), ("no-new-data", "waiting-upload", "safe")):
        site.plug(1, card, "IDLE")
        site.wait_for(1, *DONE)
        must(site.bay(1)["state"] in expected, f"the screen says {site.bay(1)['state']}")
        site.unplug(1)
        site.wait_for(1, "idle")
    must(copies(site, "IDLE") == len(card.truth), "a file was copied twice or not at all")


def yank_in_mid_copy(site: Site, cards: Cards) -> None:
    card = cards.clips(size=max(cards.sizes.clip_bytes, 2 << 20))
    site.plug(1, card, "YANK", rate=1 << 20)
    site.wait_reading(1)
    site.yank(1)
    must(copies(site, "YANK") < len(card.truth), "it was pulled too late to prove anything")
    site.plug(1, card, "YANK")
    site.wait_for(1, *DONE)
    site.unplug(1)
    must(copies(site, "YANK") == len(card.truth), "not all was copied when it was put back")


def replug_elsewhere(site: Site, cards: Cards) -> None:
    card = cards.clips(size=max(cards.sizes.clip_bytes, 2 << 20))
    site.plug(1, card, "MOVED", rate=1 << 20)
    site.wait_reading(1)
    site.yank(1)
    site.plug(2, card, "MOVED")
    site.wait_for(2, *DONE)
    site.unplug(2)
    must(copies(site, "MOVED") == len(card.truth), "not all was copied in the other bay, or some of it twice")


def bad_sector(site: Site, cards: Cards) -> None:
    card, sector = cards.with_clip_at("ext4")
    site.plug(1, card, "BAD", bad_sectors=(sector,))
    site.wait_for(1, *DONE, "error")
    must(site.bay(1)["state"] == "error", f"the screen says {site.bay(1)['state']}")
    site.unplug(1)
    failed = [(path_of(r["source"]), r["reason"]) for r in records(site, "ingest.failed", "BAD")]
    must(failed == [(b"b.mp4", "read-error")], f"failed were {failed}")
    must(copies(site, "BAD") == len(card.truth) - 1, "the other files were not copied")


def slow_device(site: Site, cards: Cards) -> None:
    card = cards.clips(count=2, size=cards.sizes.clip_bytes * 2)
    site.plug(1, card, "SLOW", rate=1 << 20)
    site.wait_for(1, *DONE)
    site.unplug(1)
    must(copies(site, "SLOW") == len(card.truth), "a slow recorder was given up")


def twins(site: Site, cards: Cards) -> None:
    both = [cards.clips(), cards.clips()]
    for bay, card in enumerate(both, 1):
        site.plug(bay, card, "TWIN")
    for bay in (1, 2):
        site.wait_for(bay, *DONE)
    for bay in (1, 2):
        site.unplug(bay)
    copied = [(r["camera"]["bay"], r["object"]["digests"]["sha256"]) for r in records(site, "ingest.copied", "TWIN")]
    truth = [(bay, fact.sha256) for bay, card in enumerate(both, 1) for fact in card.truth.values()]
    must(sorted(copied) == sorted(truth), "what two recorders of one serial hold was mixed")


def corrupted_filesystem(site: Site, cards: Cards) -> None:
    card = cards.clips(filesystem="exfat")
    with card.image.open("r+b") as image:
        image.seek(2048 * 512 + 24 * 512)  # past boot region and its backup: udev still says exFAT
        image.write(cards.chance.randbytes(card.image.stat().st_size - image.tell()))
    site.plug(1, card, "BROKEN")
    site.wait_for(1, "error", *DONE)
    must(site.bay(1)["state"] == "error", f"the screen says {site.bay(1)['state']}")
    site.unplug(1, is_readable=False)
    must(records(site, "ingest.failed", "BROKEN"), "that nothing could be read is not recorded")


def hostile_names(site: Site, cards: Cards) -> None:
    source = cards.source()
    names = [
        b"a\nb.mp4",
        b"'\";$(id).mp4",
        b"\xff\xfe.mp4",
        b"A.MP4",
        b"a.mp4",
        b"-rf.mp4",
        b"..mp4",
        b"n" * 250 + b".mp4",
    ]
    names += ["\u202e4pm.exe".encode(), "e\u0301.mp4".encode(), "\u00e9.mp4".encode(), b"<b>&amp;\x1b[31m.mp4"]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(source), name))).write_bytes(name * 3)  # noqa: PTH118  # pathlib joins no bytes
    (source / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo.mp4")
    card = cards.of(source)
    site.plug(1, card, "HOSTILE")
    site.wait_for(1, *DONE, "error")
    site.unplug(1)
    refused = {path_of(r["source"]): r["reason"] for r in records(site, "ingest.failed", "HOSTILE")}
    must(refused == {b"link.mp4": "symlink", b"fifo.mp4": "fifo"}, f"refused were {refused}")
    must(copies(site, "HOSTILE") == len(names), "a file with a hostile name was not copied")


def many_small_files(site: Site, cards: Cards) -> None:
    card = cards.with_files({f"LOG/{number:05}.jpg": 1 + number % 4096 for number in range(cards.sizes.small_files)})
    site.plug(1, card, "SMALL")
    site.wait(lambda: site.bay(1)["state"] in DONE, 900)
    site.unplug(1)
    must(copies(site, "SMALL") == cards.sizes.small_files, "not every small file was copied")


def one_big_file(site: Site, cards: Cards) -> None:
    source = cards.source()
    with (source / "BIG.MP4").open("wb") as file:
        file.truncate(cards.sizes.big_bytes)
        for offset in range(0, cards.sizes.big_bytes, max(1 << 20, cards.sizes.big_bytes // 64)):
            file.seek(offset)
            file.write(offset.to_bytes(8, "big"))
    card = cards.of(source)
    site.plug(1, card, "BIG")
    site.wait(lambda: site.bay(1)["state"] in DONE, 1800)
    site.unplug(1)
    must(copies(site, "BIG") == 1, "the big file was not copied")


def all_bays_at_once(site: Site, cards: Cards) -> None:
    bays = range(1, cards.sizes.recorders + 1)
    media = {bay: cards.clips(count=2, size=cards.sizes.clip_bytes // 2) for bay in bays}
    for bay, card in media.items():
        site.plug(bay, card, f"ALL{bay:02}", rate=256 << 10 if bay == 1 else 0)
    site.wait(lambda: all(state in DONE for bay, state in site.states().items() if bay != 1))
    site.wait_for(1, *DONE)
    for bay in bays:
        site.unplug(bay)
    for bay, card in media.items():
        must(copies(site, f"ALL{bay:02}") == len(card.truth), f"bay {bay} was not copied in full")


def killed_at_random(site: Site, cards: Cards) -> None:
    """Most kills fall into the reading of a slow card: the pause is drawn around the time that a start takes."""
    began_s = time.monotonic()
    site.start()
    start_s = time.monotonic() - began_s
    site.stop()
    for life in range(cards.sizes.kills):
        if life % KILLS_A_CARD == 0:
            if life:
                finish_card(site)
                site.stop()
            site.plug(1, cards.clips(count=6, size=1 << 20), f"KILL{life // KILLS_A_CARD:03}", rate=1 << 20)
        site.launch()
        killed_s = time.monotonic() + cards.chance.uniform(0.5 * start_s, start_s + 2.0)
        while site.runs() and time.monotonic() < killed_s:
            time.sleep(0.01)
        must(site.runs(), "the station ended by itself")
        site.kill()
    finish_card(site)


def finish_card(site: Site) -> None:
    """A life that nobody ends: whatever the kills left is brought to its end."""
    site.dock.heal(1)
    site.start()
    site.wait_for(1, *DONE)
    site.unplug(1)


KILLS_A_CARD: Final = 10


def disk_full_while_copying(site: Site, cards: Cards) -> None:
    site.disk(site.data, 160)
    ballast = fill(site.data, 66 << 20)  # the station keeps 64 MiB free
    site.start()
    card = cards.clips(count=3, size=1 << 20)
    site.plug(1, card, "FULL1")
    site.wait_for(1, "no-space")
    must(copies(site, "FULL1") < len(card.truth), "there was room after all")
    ballast.unlink()
    site.wait_for(1, *DONE)
    site.unplug(1)


def disk_full_while_sealing(site: Site, cards: Cards) -> None:
    site.disk(site.data, 160)
    site.start()
    card = cards.clips(count=3, size=4 << 20)
    site.plug(1, card, "FULL2", rate=2 << 20)
    site.wait_reading(1)
    ballast = fill(site.data, 0)
    code = site.ended()
    must(code == NO_SPACE_EXIT, f"a station that cannot write its log ended with {code}")
    ballast.unlink()
    site.dock.heal(1)
    site.start()
    site.wait_for(1, *DONE)
    site.unplug(1)
    must(copies(site, "FULL2") == len(card.truth), "not all was copied when there was room again")


def disk_full_while_storing(site: Site, cards: Cards) -> None:
    store = site.folder / "store"
    site.disk(store, 16)
    ballast = fill(store, 1 << 20)
    site.start()
    card = cards.clips(size=2 << 20, count=2)
    site.plug(1, card, "FULL3")
    site.wait_for(1, *DONE)
    site.wait(lambda: "StoreError" in site.scene().output or "upload" in site.scene().output)
    must(site.waiting()["upload"] > 0, "it was uploaded to a full store")
    ballast.unlink()
    site.wait(lambda: site.waiting()["upload"] == 0)
    site.unplug(1)


def clock_jumps(site: Site, cards: Cards) -> None:
    shift = site.folder / "shift"
    shift.write_text("0")
    program = [sys.executable, "-c", CLOCK_PROGRAM, str(shift)]
    site.start(program)
    card = cards.clips(size=2 << 20)
    site.plug(1, card, "CLOCK", rate=1 << 20)
    site.wait_reading(1)
    for jump_s in (-86_400 * 400, 86_400 * 400):
        shift.write_text(str(jump_s))
        seen = len(site.scene().lines)
        site.wait(lambda seen=seen: len(site.scene().lines) > seen or site.bay(1)["state"] in DONE)  # type: ignore[misc]  # mypy knows no default in a lambda
    site.wait_for(1, *DONE)
    site.unplug(1)
    site.stop()
    times = [(r["time"]["boot_id"], int(r["time"]["mono_ns"])) for r in site.scene().records]
    must(times == sorted(times), "the order by boot and monotonic time is lost")
    walls = [r["time"]["utc_ms"] for r in site.scene().records]
    must(max(walls) - min(walls) > 86_400_000 * 300, "the clock was not seen to jump")


def broker_down(site: Site, cards: Cards) -> None:
    site.stack.broker.kill()
    try:
        plug_and_take(site, cards, "NOBROKER")
        must(site.waiting()["outbox"] > 0, "the outbox is empty though nobody took anything")
    finally:
        site.stack.broker.start()
    delivered(site)


def store_down(site: Site, cards: Cards) -> None:
    store, away = site.folder / "store", site.folder / "store.away"
    store.mkdir(exist_ok=True)
    store.rename(away)
    store.write_text("a file where the store was mounted")
    try:
        plug_and_take(site, cards, "NOSTORE")
        must(site.waiting()["upload"] > 0, "something was uploaded to a store that is not there")
    finally:
        store.unlink()
        away.rename(store)
    delivered(site)


def centre_down(site: Site, cards: Cards) -> None:
    site.stack.ingestd.kill()
    try:
        plug_and_take(site, cards, "NOCENTRE")
    finally:
        site.stack.ingestd.start()
    delivered(site)


def plug_and_take(site: Site, cards: Cards, serial: str) -> None:
    """Dock a recorder, wait until it may be taken, take it."""
    card = cards.clips()
    site.plug(1, card, serial)
    site.wait_for(1, *DONE)
    must(site.bay(1)["state"] not in ("safe", "safe-with-warnings"), "it says safe before the centre has anything")
    site.unplug(1)
    must(copies(site, serial) == len(card.truth), "an outage behind the dock kept footage from being copied")


def delivered(site: Site) -> None:
    """Until nothing is waiting any more."""
    site.wait(lambda: site.waiting() == {"upload": 0, "outbox": 0})


def emptied_after_receipts(site: Site, cards: Cards) -> None:
    """The policy erases by itself; what is left on the medium is looked at by a mount of our own."""
    card = cards.clips()
    site.plug(1, card, "EMPTY")
    site.wait(lambda: bool(records(site, "camera.erased", "EMPTY")))
    site.wait_for(1, *DONE)
    site.unplug(1)
    must(not site.puts[-1].left, f"left were {sorted(site.puts[-1].left)}")


def records(site: Site, event: str, serial: str) -> list[dict[str, Any]]:
    """Records of a kind about a recorder."""
    return [r for r in site.scene().records if r["event"] == event and r["camera"]["serial"] == serial]


def copies(site: Site, serial: str) -> int:
    """How many files of a recorder the log says were copied."""
    return len(records(site, "ingest.copied", serial))


Scenario = Callable[[Site, Cards], None]

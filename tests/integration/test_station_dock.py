"""``station-agent run`` on a real kernel device: docked, copied, pulled, put back, taken out."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from custody.log import Log
from custody.record import Record
from station_agent.keys import create_key, load_signer
from station_agent.logfiles import AuditedLogFiles
from tests.fakes.station_centre import WITNESS_KEY
from tests.rig.broker import free_port
from tests.rig.loopdock import LoopDock
from tests.rig.medium import Medium, make_medium

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]
CLIPS = 4
CLIP_BYTES = 2 << 20


@pytest.fixture
def medium(need_root, tmp_path: Path) -> Medium:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(CLIPS):
        (source / f"{number}.bin").write_bytes(bytes([number]) * CLIP_BYTES)
    return make_medium(tmp_path / "card.img", "exfat", source)


class Agent:
    """The real program in a process of its own."""

    def __init__(self, data: Path, dock: LoopDock, more: str = "") -> None:
        """``more`` stands in its configuration after all that it needs."""
        self.data, self.port = data, free_port()
        data.mkdir(exist_ok=True)
        bays = "\n".join(f'{bay} = "{pattern}"' for bay, pattern in dock.bays(2).items())
        (data / "station-agent.toml").write_text(
            '[station]\nid = "station-07"\nauthority = "custody.example"\n'
            f"[screen]\nport = {self.port}\n[transcode]\nenabled = false\n[sandbox]\nrequired = false\n"
            f"[bays]\n{bays}\n[mqtt]\nport = 1\n"
            f'[keys]\nwitness = "{WITNESS_KEY.vkey()}"\n{more}'
        )
        create_key(data / "station/keys/custody.pem")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "station_agent.cli", "run", "--data-dir", str(self.data)]
        self.process = subprocess.Popen(argv, stderr=(self.data / "stderr").open("ab"))
        return self.process

    def status(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/status", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.URLError:
            return {"bays": [{"bay": 1, "state": "not up"}]}
        return found

    def asked(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def bay(self, number: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = next(bay for bay in self.status()["bays"] if bay["bay"] == number)
        return found

    def records(self, event: str) -> list[Record]:
        key = load_signer(self.data / "station/keys/custody.pem").verify_key()
        log = Log(AuditedLogFiles(self.data / "station/log"), "custody.example/station-07", [key])
        return [entry.record for entry in log.entries() if entry.record.event == event]

    def wait(self, condition: Callable[[], bool], limit_s: float = 40.0) -> None:
        deadline_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                pytest.fail(f"it did not come: {self.status()}\n{(self.data / 'stderr').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            started_s = time.monotonic()
            assert self.process.wait(20) == 0, (self.data / "stderr").read_text()
            assert time.monotonic() - started_s < 10


@pytest.fixture
def agent(dock: LoopDock, tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path / "data", dock)
    try:
        yield made
        made.stop()
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def sealed(agent: Agent) -> list[str]:
    return sorted(str(record.block("source")["path"]) for record in agent.records("ingest.copied"))


def test_plug_copy_unplug(agent, dock, medium):
    before = medium.digest()
    agent.wait(lambda: agent.bay()["state"] == "idle")
    dock.plug(1, medium.image, "EC2300471")
    agent.wait(lambda: agent.bay()["state"] == "waiting-upload")
    bay = agent.bay()
    assert (bay["kernel_event"], bay["filesystem"], bay["serial"]) == (True, "exfat", "EC2300471")
    assert (bay["files_done"], bay["files_total"], bay["bytes_done"]) == (CLIPS, CLIPS, CLIPS * CLIP_BYTES)
    assert sealed(agent) == [f"{number}.bin" for number in range(CLIPS)]
    [docked] = agent.records("device.docked")
    assert "ro" in docked.block("volume")["flags"]
    assert docked.block("volume")["read_only_device"] == "yes"
    assert docked.block("camera")["serial"] == "EC2300471"
    assert dock.writes(1) == 0
    dock.unplug(1)
    agent.wait(lambda: agent.bay()["state"] == "idle")
    assert [r.payload["reason"] for r in agent.records("device.undocked")] == ["removed"]
    assert medium.digest() == before
    [receipt] = agent.asked("/api/dock")["receipts"]
    [undocked] = agent.records("device.undocked")
    assert (receipt["bay"], receipt["files"], receipt["level"]) == (1, CLIPS, "uncached")
    assert (receipt["number"]["seq"], agent.asked("/api/dock")["dockings_today"]) == (undocked.seq, 1)
    agent.wait(lambda: agent.status()["waiting"]["upload"] == 0)


def test_pulled_early_and_put_back(agent, dock, medium):
    agent.wait(lambda: agent.bay()["state"] == "idle")
    agent.stop()
    dock.plug(1, medium.image, "EC2300471")
    dock.slow(1, CLIP_BYTES)
    agent.start()
    agent.wait(lambda: agent.bay()["state"] in ("reading", "verifying") and agent.bay()["bytes_done"] > 0)
    dock.yank(1)
    agent.wait(lambda: agent.bay()["state"] == "pulled-early")
    dock.unplug(1)
    assert [r.payload["reason"] for r in agent.records("device.undocked")] == ["pulled-early"]
    assert {r.payload["reason"] for r in agent.records("ingest.failed")} <= {"pulled-early"}
    assert not list((agent.data / "station/spool").rglob("*.part"))
    dock.plug(1, medium.image, "EC2300471")
    agent.wait(lambda: agent.bay()["state"] == "waiting-upload")
    assert sealed(agent) == [f"{number}.bin" for number in range(CLIPS)]
    dock.unplug(1)


def test_a_recorder_whose_file_system_is_destroyed_is_an_error_and_a_record(agent, dock, medium):
    with medium.image.open("r+b") as image:
        image.seek(2048 * 512)
        image.write(bytes(24 * 512))
    dock.plug(1, medium.image, "EC2300471")
    agent.wait(lambda: agent.bay()["state"] == "error")
    [failed] = agent.records("ingest.failed")
    assert (failed.payload["reason"], failed.block("camera")["serial"]) == ("no-filesystem", "EC2300471")
    dock.unplug(1)
    agent.wait(lambda: agent.bay()["state"] == "idle")


def test_a_recorder_that_the_kernel_cannot_mount_is_read_and_a_bad_sector_is_named(agent, dock, tmp_path):
    (tmp_path / "card").mkdir()
    for number in range(2):
        (tmp_path / "card" / f"{number}.mp4").write_bytes(bytes([65 + number]) * CLIP_BYTES)
    card = make_medium(tmp_path / "fat32.img", "fat32", tmp_path / "card")
    bad = card.image.read_bytes().index(b"B" * 4096) + (1 << 20)
    dock.plug(1, card.image, "EC2300471", bad_sectors=(bad // 512,))
    agent.wait(lambda: agent.bay()["state"] == "error")
    [docked], [failed] = agent.records("device.docked"), agent.records("ingest.failed")
    volume = docked.block("volume")
    if Path("/proc/filesystems").read_text().find("vfat") < 0:
        assert (volume["driver"], str(volume["not_mounted"]).partition(":")[0]) == ("tsk", "no-driver")
    assert (volume["dirty"], volume["read_only_device"], sealed(agent)) == ("no", "yes", ["0.mp4"])
    assert (failed.payload["reason"], failed.block("source")["path"]) == ("read-error", "1.mp4")
    unread = failed.block("unread")
    assert unread["offset"] <= 1 << 20 < unread["offset"] + unread["size"] <= CLIP_BYTES
    dock.unplug(1)


def test_a_recorder_that_was_swapped_while_it_waited_is_never_signed_for(agent, dock, medium, tmp_path):
    agent.wait(lambda: agent.bay()["state"] == "idle")
    agent.stop()
    settings = agent.data / "station-agent.toml"
    settings.write_text(settings.read_text() + "[offload]\nmax_bays = 1\n")
    cards = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.bin").write_text(name)
        cards.append(make_medium(tmp_path / f"{name}.img", "exfat", tmp_path / name))
    dock.plug(1, medium.image, "BUSY")
    dock.slow(1, CLIP_BYTES // 4)
    agent.start()
    agent.wait(lambda: agent.bay()["state"] in ("reading", "verifying") and agent.bay()["bytes_done"] > 0)
    dock.plug(2, cards[0].image, "FIRST", direct=True)
    agent.wait(lambda: (agent.bay(2)["serial"], agent.bay(2)["filesystem"]) == ("FIRST", "exfat"))
    assert agent.bay(2)["state"] == "identifying"
    dock.unplug(2)
    agent.wait(lambda: agent.bay(2)["state"] == "pulled-early")
    dock.plug(2, cards[1].image, "SECOND", direct=True)
    agent.wait(lambda: agent.bay(2)["serial"] == "SECOND")
    dock.heal(1)
    agent.wait(lambda: agent.bay(2)["state"] == "waiting-upload")
    copied = [(r.block("camera")["serial"], r.block("source")["path"]) for r in agent.records("ingest.copied")]
    assert [pair for pair in copied if pair[0] != "BUSY"] == [("SECOND", "second.bin")]
    dock.unplug(2)
    dock.unplug(1)


def test_killed_while_a_recorder_is_docked(agent, dock, medium):
    agent.wait(lambda: agent.bay()["state"] == "idle")
    agent.stop()
    dock.plug(1, medium.image, "EC2300471")
    dock.slow(1, CLIP_BYTES // 2)
    agent.start()
    agent.wait(lambda: agent.bay()["state"] in ("reading", "verifying") and agent.bay()["bytes_done"] > 0)
    agent.process.kill()
    agent.process.wait()
    assert len(sealed(agent)) < CLIPS
    dock.heal(1)
    agent.start()
    agent.wait(lambda: agent.bay()["state"] == "waiting-upload")
    assert sealed(agent) == [f"{number}.bin" for number in range(CLIPS)]
    assert not list((agent.data / "station/spool").rglob("*.part"))
    agent.stop()
    assert str(agent.data) not in Path("/proc/self/mounts").read_text()
    dock.unplug(1)

"""The whole sentence: a recorder is docked, and what was not filmed stands among the flags.

The demonstration is the test's subject and its means: everything runs as separate programs, as ``./dev demo`` runs it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, missing
from tests.rig.broker import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.xdist_group("dock")]
PYTHON = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(autouse=True)
def _kernel_devices(need_root: None) -> None:
    for program in ("nbdkit", "nbdfuse", "mkfs.exfat", "mosquitto", "ffmpeg"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed")


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The demonstration with its data below ``folder``."""
    argv = [sys.executable, "-m", "fixtures.demo", "--json", "--port", str(free_port()), *arguments]
    environment = {**PYTHON, "TMPDIR": str(folder)}
    return subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The one object on standard output."""
    said, progress = process.communicate(timeout=280)
    assert process.returncode == 0, progress
    assert said.count("\n") == 1, "one JSON object and nothing else"
    return dict(json.loads(said))


def audit(folder: str) -> tuple[int, dict[str, Any], str]:
    argv = [str(Path(sys.executable).with_name("ingestd")), "audit", "verify", "--json", "--data-dir", folder]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout), done.stdout


def left_behind(folder: Path) -> list[str]:
    """Mounts, loop devices and processes that name the folder."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    loops = [line for line in subprocess.check_output(["losetup", "-a"], text=True).splitlines() if str(folder) in line]
    processes = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = command.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and int(command.parent.name) != os.getpid():
            processes.append(line)
    return mounts + loops + processes


def test_the_whole_sentence(tmp_path: Path):
    said = told(demo(tmp_path, "--once"))
    assert said["ok"] is True
    assert said["device"] == {"kernel_event": True, "filesystem": "exfat", "serial": "DSJ0731", "bay": 1}
    clips = said["clips"]
    assert clips["found"] == clips["offloaded"] == clips["verified"] == clips["indexed"] == 8
    assert (clips["linked"], clips["unlinked"], clips["quarantined"]) == (5, 1, 0)
    flags = {flag["rule"]: flag for flag in said["flags"]}
    of_the_day = {"enforcement-at-forbidden-time", "measure-at-unusual-time", "calendar-missing"}
    assert set(flags) - of_the_day == {"missing-full-process-video", "full-process-gap", "late-offload"}
    assert flags["full-process-gap"]["action"] == "CF-01"
    assert flags["missing-full-process-video"]["action"] == "CC-01"
    assert left_behind(tmp_path) == []

    code, verified, _ = audit(said["data_dir"])
    assert (code, verified["verified"], verified["failed"], verified["missing"]) == (0, 8, 0, 0)
    clip = next(path for path in Path(said["data_dir"], "store/originals").rglob("*.MP4"))
    clip.chmod(0o600)
    with clip.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    code, verified, text = audit(said["data_dir"])
    assert (code, verified["failed"]) == (1, 1)
    assert clip.stem in text


def test_two_at_once_and_ctrl_c_leave_nothing_behind(tmp_path: Path):
    """One is interrupted in the middle of its work, the other one goes on to its end."""
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    interrupted.mkdir()
    whole.mkdir()
    one, other = demo(interrupted), demo(whole, "--once")
    deadline = time.monotonic() + 60
    while not list(interrupted.glob("*/dock")) and time.monotonic() < deadline:
        time.sleep(0.1)
    one.send_signal(signal.SIGINT)
    one.communicate(timeout=90)
    assert one.returncode == 130
    assert left_behind(interrupted) == []
    assert told(other)["ok"] is True
    assert left_behind(whole) == []


def test_a_child_that_dies_ends_the_demonstration_with_its_last_words(tmp_path: Path):
    process = demo(tmp_path, "--once")
    deadline = time.monotonic() + 60
    broker: list[str] = []
    while not broker and time.monotonic() < deadline:
        broker = subprocess.run(
            ["pgrep", "-f", f"mosquitto -c {tmp_path}"], capture_output=True, text=True, check=False
        ).stdout.split()
        time.sleep(0.05)
    os.kill(int(broker[0]), signal.SIGKILL)
    said, progress = process.communicate(timeout=90)
    assert process.returncode == 1
    assert json.loads(said)["ok"] is False
    assert "mosquitto" in progress
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_real_files_of_real_recorders(tmp_path: Path, real_media: Path):
    said = told(demo(tmp_path, "--once", "--media", str(real_media)))
    clips = said["clips"]
    files = sum(1 for path in real_media.rglob("*") if path.is_file())
    assert clips["found"] == clips["offloaded"] == clips["indexed"] + clips["quarantined"] == files
    code, verified, _ = audit(said["data_dir"])
    assert (code, verified["verified"]) == (0, files)
    assert left_behind(tmp_path) == []

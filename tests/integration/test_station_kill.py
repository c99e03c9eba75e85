"""kill -9 at random moments of the real program; afterwards nothing is lost and nothing is there twice."""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from custody.log import Log
from custody.record import Record
from station_agent.keys import create_key, load_signer
from station_agent.logfiles import AuditedLogFiles
from tests.fakes.station_centre import WITNESS_KEY

pytestmark = pytest.mark.integration

ORIGIN = "custody.example/station-07"
FILES = 12
LIVES = 8
SMALL_FILES = 150
CONFIG = f"""
[station]
id = "station-07"
authority = "custody.example"
[keys]
witness = "{WITNESS_KEY.vkey()}"
[screen]
port = 0
[sandbox]
required = false
[transcode]
enabled = false
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "station-agent.toml").write_text(CONFIG)
    create_key(folder / "station/keys/custody.pem")
    return folder


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    chance = random.Random(20)
    for number in range(FILES):
        (folder / f"{number:04}.bin").write_bytes(chance.randbytes(200_000 * (number + 1)))
    (folder / "empty.MP4").touch()
    return folder


def agent(data: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "station_agent.cli", *arguments, "--data-dir", str(data)]


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(agent(data, *arguments), capture_output=True, text=True, check=False, timeout=120)


def killed_after(argv: list[str], pause_s: float) -> None:
    """Killed after a while, wherever it is by then; or it is done."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(pause_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def killed_in_mid_copy(data: Path, argv: list[str]) -> None:
    """Killed once a copy has begun: the one point that no timing may miss."""
    killed_once(lambda: bool(list((data / "station").rglob("*.part"))), argv)


def killed_once(seen: Callable[[], bool], argv: list[str]) -> None:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not seen():
        assert process.poll() is None, "it ended before that was seen"
        time.sleep(0.001)
    process.kill()
    process.wait()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_at_random_points_and_started_again(data, card):
    chance = random.Random()
    started_s = time.monotonic()
    whole = run(data.parent / "none", "ingest", str(card))
    assert whole.returncode == 78
    interpreter_s = time.monotonic() - started_s
    killed_in_mid_copy(data, agent(data, "ingest", str(card)))
    for _ in range(LIVES - 1):
        killed_after(agent(data, "ingest", str(card)), interpreter_s * 0.8 + chance.uniform(0.0, 0.5))
    done = run(data, "ingest", str(card), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["complete"] is True
    check(data, card)


def test_killed_within_a_batch_of_small_files(data, tmp_path):
    """All in the spool, some under their final names, none with its entry: wherever it was, each is sealed once."""
    card = tmp_path / "small"
    card.mkdir()
    for number in range(SMALL_FILES):
        (card / f"{number:04}.jpg").write_bytes(random.Random(number).randbytes(4096))
    ingest = agent(data, "ingest", str(card), "--offload-only")
    killed_once(lambda: len(list((data / "station").rglob("*.part"))) > 10, ingest)
    killed_once(lambda: bool(list((data / "station").rglob("*.jpg"))), ingest)
    killed_once(lambda: len(list((data / "station").rglob("*.jpg"))) > SMALL_FILES // 2, ingest)
    done = run(data, "ingest", str(card), "--offload-only", "--json")
    assert done.returncode == 0, done.stderr
    check_sealed(data, card, [data / "station/spool"])


def check(data: Path, card: Path) -> None:
    roots = [data / "station/spool", data / "store"]
    records = check_sealed(data, card, roots)
    described = Counter(str(r.block("object")["id"]) for r in records if r.event == "media.described")
    assert described == Counter(str(r.block("object")["id"]) for r in records if r.event == "ingest.copied")


def check_sealed(data: Path, card: Path, roots: list[Path]) -> list[Record]:
    """Compares truth and machine; asks the agent for nothing but its log."""
    truth = {path.name: digest(path) for path in card.iterdir()}
    log = Log(AuditedLogFiles(data / "station/log"), ORIGIN, [load_key(data)])
    records = [entry.record for entry in log.entries()]
    copied = [record for record in records if record.event == "ingest.copied"]
    sources = Counter(str(record.block("source")["path"]) for record in copied)
    assert sources == Counter(truth.keys())
    seen = Counter(f["path"] for r in records if r.event == "ingest.seen" for f in r.payload["files"])  # type: ignore[union-attr,index,call-overload]
    assert seen == Counter(truth.keys())
    for record in copied:
        stored, name = record.block("object"), str(record.block("source")["path"])
        for root in roots:
            assert digest(root / str(stored["name"])) == truth[name]
    assert log.latest is not None
    for root in roots:
        assert len([path for path in root.rglob("*") if path.is_file()]) == len(truth)
    verified = run(data, "verify-log", "--json")
    assert verified.returncode == 0, verified.stdout
    assert json.loads(verified.stdout)["files"]["verified"] == len(truth)
    return records


def load_key(data: Path):
    return load_signer(data / "station/keys/custody.pem").verify_key()


def test_a_flipped_byte_in_the_spool_is_named(data, card):
    assert run(data, "ingest", str(card), "--offload-only").returncode == 0
    victim = max((data / "station/spool").rglob("*.bin"), key=lambda path: path.stat().st_size)
    with victim.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    verified = run(data, "verify-log", "--json")
    assert verified.returncode == 1
    assert list(json.loads(verified.stdout)["not_verified"]) == [str(victim.relative_to(data / "station/spool"))]
    victim.unlink()
    assert "missing" in run(data, "verify-log").stdout


def test_two_agents_never_share_a_folder(data, card):
    first = subprocess.Popen(agent(data, "run"), stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + 20
        while not (data / "station/journal.db").exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        second = run(data, "ingest", str(card))
        assert second.returncode == 74
        assert "another station-agent" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.terminate()
        started_s = time.monotonic()
        assert first.wait(20) == 0, first.stderr.read() if first.stderr else ""
        assert time.monotonic() - started_s < 10
    assert os.access(data / "station/journal.db", os.R_OK)

"""Every example that a site would edit is read by the program it is for."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ingestd.config
import station_agent.config
from custody import topics
from ingestd import catalogue
from tests.conftest import ROOT, missing
from tests.rig.broker import access_list, free_port, is_listening
from tests.rig.pki import Pki

CONFIG = ROOT / "config"
SYSTEMD = ROOT / "systemd"
RULE_LINE = re.compile(r'(?:[A-Z_]+(?:\{[^}]*\})?(?:==|!=|\+=|=)"[^"]*"(?:, *|$))+')


def test_the_station_reads_its_example():
    config = station_agent.config.load(CONFIG / "station-agent.toml")
    assert config.origin == "custody.example/station-01"
    assert config.recorders.require_tag


def test_the_centre_reads_its_example():
    config = ingestd.config.load(CONFIG / "ingestd.toml")
    assert [station.id for station in config.stations] == ["station-01", "station-02"]


def test_the_centre_reads_the_example_catalogue():
    assert catalogue.load(CONFIG / "catalogue.toml")


def test_station_and_centre_of_the_examples_know_each_other():
    station = station_agent.config.load(CONFIG / "station-agent.toml")
    centre = ingestd.config.load(CONFIG / "ingestd.toml")
    assert station.station.authority == centre.centre.authority
    assert station.keys.centre[0].startswith(f"{centre.origin}+")
    assert station.keys.witness.startswith(f"{centre.cosigner}+")
    assert any(enrolled.note_key().name == station.origin for enrolled in centre.stations)


def test_the_example_access_list_is_what_the_tests_run_with():
    written = [line for line in (CONFIG / "acl").read_text().splitlines() if line and not line.startswith("#")]
    assert written == [line for line in access_list(["station-01", "station-02"]).splitlines() if line]
    assert topics.records("station-01") in written[6]


@pytest.mark.integration
def test_the_broker_starts_with_its_example(tmp_path: Path, pki: Pki):
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin") is None:
        missing("mosquitto is not installed")
    port, server = free_port(), pki.server()
    text = (CONFIG / "mosquitto.conf").read_text()
    places = {
        "listener 8883": f"user root\nlistener {port} 127.0.0.1",
        "/etc/bodycam/ca.crt": str(pki.ca),
        "/etc/bodycam/broker.crt": str(server.cert),
        "/etc/bodycam/broker.key": str(server.key),
        "/etc/bodycam/acl": str(shutil.copy(CONFIG / "acl", tmp_path)),
        "/var/lib/mosquitto/": f"{tmp_path}/",
    }
    for example, here in places.items():
        assert example in text
        text = text.replace(example, here)
    (tmp_path / "mosquitto.conf").write_text(text)
    argv = ["mosquitto", "-c", str(tmp_path / "mosquitto.conf")]
    broker = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for _ in range(100):
            if is_listening(port):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                broker.wait(0.05)
        assert is_listening(port)
    finally:
        broker.terminate()
        said, _ = broker.communicate(timeout=10)
    assert "Error" not in said


@pytest.mark.integration
def test_the_units_are_accepted_without_a_word(tmp_path: Path):
    """An unknown key is a line on standard error and exit code 0, hence the look at the output."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not installed")
    units = [*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.timer")]
    assert len(units) == 6
    for unit in units:
        text = re.sub(r"/usr/local/bin/(station-agent|ingestd)", "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    assert said_of(tmp_path) == (0, [])
    misspelt = tmp_path / "ingestd.service"
    misspelt.write_text(misspelt.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in said_of(tmp_path)[1][0]  # so that silence is a proof


def said_of(folder: Path) -> tuple[int, list[str]]:
    """What systemd says of the units in a folder, and of no other on this machine."""
    argv = ["systemd-analyze", "verify", "--man=no", *sorted(str(unit) for unit in folder.glob("*.*"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if str(folder) in line]


EXPOSED = {"station-agent": 41, "ingestd": 15, "ingestd-verify": 15, "ingestd-verify-all": 15}
"""Ten times the exposure that systemd counts at most. The station mounts and builds namespaces, which needs root, and
asks the kernel about its clock, which ProtectClock= would forbid."""


@pytest.mark.integration
@pytest.mark.parametrize("name", sorted(path.stem for path in SYSTEMD.glob("*.service")))
def test_the_units_leave_little_exposed(tmp_path: Path, name: str):
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not installed")
    unit = tmp_path / f"{name}.service"

    def exposure_is_bounded(without: str) -> bool:
        lines = (SYSTEMD / unit.name).read_text().splitlines(keepends=True)
        unit.write_text("".join(line for line in lines if not line.startswith(without or "\0")))
        argv = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSED[name]}", str(unit)]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    assert exposure_is_bounded("")
    assert not exposure_is_bounded("SystemCallFilter=")  # so that the bound is one


def test_what_the_station_writes_is_writable_in_its_unit():
    """Keys and certificates too: they change places while the station runs, when a key follows another."""
    unit = (SYSTEMD / "station-agent.service").read_text()
    named = re.findall(r"^ReadWritePaths=(.+)$", unit, re.MULTILINE)[0].split()
    state = [f"/var/lib/{name}" for name in re.findall(r"^StateDirectory=(.+)$", unit, re.MULTILINE)]
    run = [f"/run/{name}" for name in re.findall(r"^RuntimeDirectory=(.+)$", unit, re.MULTILINE)]
    writable = [Path(path.removeprefix("-")) for path in (*named, *state, *run)]
    config = station_agent.config.load(CONFIG / "station-agent.toml")
    written = [config.paths.data, config.paths.mounts, config.store_url, config.keys.custody]
    for place in map(Path, (*written, config.custody_cert, config.mqtt_cert, config.mqtt_key)):
        assert any(place.is_relative_to(folder) for folder in writable), place


@pytest.mark.parametrize("name", ["station-agent", "ingestd"])
def test_the_services_are_watched(name: str):
    unit = (SYSTEMD / f"{name}.service").read_text()
    assert re.search("^Type=notify$", unit, re.MULTILINE)
    assert re.search("^WatchdogSec=[0-9]+$", unit, re.MULTILINE)


@pytest.mark.integration
@pytest.mark.usefixtures("need_root")
def test_accounts_and_folders_are_made(tmp_path: Path):
    if shutil.which("systemd-sysusers") is None:
        missing("systemd-sysusers is not installed")
    (tmp_path / "etc").mkdir()
    users = ["systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "sysusers.d/ingestd.conf")]
    subprocess.run(users, check=True, capture_output=True)
    snippets = sorted(str(path) for path in (SYSTEMD / "tmpfiles.d").glob("*.conf"))
    folders = ["systemd-tmpfiles", f"--root={tmp_path}", "--create", *snippets]
    done = subprocess.run(folders, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    for made in ("var/lib/ingestd", "var/lib/station-agent", "run/station-agent/mounts"):
        assert (tmp_path / made).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path", sorted(SYSTEMD.glob("*.rules")), ids=lambda path: path.name)
def test_udev_rules_are_well_formed(path: Path):
    rules = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert any('TAG+="bwc"' in line or 'ATTR{authorized}="0"' in line for line in rules)
    assert [line for line in rules if not RULE_LINE.fullmatch(line)] == []
    gone_to = set(re.findall(r'GOTO="(\w+)"', "".join(rules)))
    assert gone_to == set(re.findall(r'LABEL="(\w+)"', "".join(rules)))
    known = subprocess.run(["udevadm", "verify", "--help"], capture_output=True, check=False).returncode == 0
    if known:  # from systemd 254 on
        subprocess.run(["udevadm", "verify", str(path)], check=True)

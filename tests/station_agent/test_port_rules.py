"""What is let in at the port of a bay: the rules as udev applies them, and what ``doctor`` says of them."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from station_agent.config import load
from station_agent.errors import ConfigError, ToolError
from station_agent.port_rules import ALLOW_LIST, FILE_NAME, check_installed, check_known, mark, rules, unguarded
from tests.conftest import ROOT
from tests.rig.udevd import Udevd

BAYS = {1: "*usb-0:1:1.0*", 2: "pci-0000:00:14.0-usb-0:1.2:1.0-*", 3: "platform-mmc*"}
BUS = "/devices/pci0000:00/0000:00:14.0/usb97"


def test_the_shipped_rules_are_those_of_the_shipped_configuration(tmp_path):
    text = (ROOT / "config/station-agent.toml").read_text()
    (tmp_path / "station-agent.toml").write_text(text)
    assert (ROOT / "systemd" / FILE_NAME).read_text() == rules(load(tmp_path / "station-agent.toml").bay_patterns)


def test_every_bay_with_a_usb_port_has_its_line_and_the_others_are_named():
    made = rules(BAYS)
    assert re.findall(r'ENV\{ID_PATH\}=="(.*?)"', made) == ["*usb-0:1:*", "pci-0000:00:14.0-usb-0:1.2:*"]
    assert unguarded(BAYS) == [3]


@pytest.mark.parametrize(
    "pattern", ['*usb-0:1:"*', "*usb-0:1:*\n#", '"usb-0:1:*', "$x-usb-0:1:*", "*", "*usb*", "usb-0:1"]
)
def test_no_pattern_breaks_out_of_its_line(pattern):
    added = set(rules({1: pattern}).splitlines()[:-1]) - set(rules({}).splitlines())
    assert added == (set() if unguarded({1: pattern}) else {'ENV{ID_PATH}=="*usb-0:1:*", ENV{.BODYCAM_BAY}="1"'})


def test_another_port_is_another_mark():
    assert mark(BAYS) == mark(dict(reversed(BAYS.items())))
    assert mark(BAYS) != mark({**BAYS, 1: "*usb-0:2:1.0*"})


# What doctor says.


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    made = [tmp_path / name for name in ("etc", "usr")]
    for folder in made:
        folder.mkdir()
    (made[1] / ALLOW_LIST).write_text("")
    (made[1] / FILE_NAME).write_text(rules({1: BAYS[1]}))
    return made


def test_rules_of_this_version_are_right(folders):
    assert "1 ports guarded" in check_installed({1: BAYS[1]}, folders)
    assert "no bays" in check_installed({}, [])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (FILE_NAME, None, "is not installed: a bay's port lets keyboards in"),
        (ALLOW_LIST, None, "no recorder gets the tag"),
        (FILE_NAME, rules({1: "*usb-0:9:1.0*"}), "not of this version"),
        (FILE_NAME, "", "not of this version"),
        (FILE_NAME, "\udcff", "cannot be read"),
    ],
)
def test_what_is_wrong_with_the_installed_rules_is_one_sentence(folders, name, text, told):
    (folders[1] / name).unlink()
    if text is not None:
        (folders[1] / name).write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=told) as caught:
        check_installed({1: BAYS[1]}, folders)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_what_lies_in_etc_masks_what_a_package_brought(folders):
    (folders[0] / FILE_NAME).symlink_to("/dev/null")  # udev(7)
    with pytest.raises(ConfigError, match=r"etc/61-.* is not of this version"):
        check_installed({1: BAYS[1]}, folders)


def test_a_bay_that_cannot_be_guarded_is_named(folders):
    (folders[1] / FILE_NAME).write_text(rules(BAYS))
    with pytest.raises(ConfigError, match="bays 3: the pattern names no USB port"):
        check_installed(BAYS, folders)


def test_a_machine_without_udevadm_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="udevadm cannot be started"):
        check_known(BAYS)
    assert "not asked" in check_known({})


# The rules as udev reads them.


@pytest.fixture
def installed(need_root):
    """The rules under a name of their own in the running daemon's folder."""
    daemon = Udevd()
    path = daemon.runtime / "rules.d" / f"61-bwc-ports-{os.getpid()}.rules"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rules(BAYS))
    daemon.reload()
    yield path
    path.unlink()
    daemon.close()


@pytest.mark.integration
@pytest.mark.xdist_group("dock")
def test_the_daemon_knows_the_rules_that_it_was_given_and_no_others(installed):
    assert becomes(lambda: is_known(BAYS))
    assert not is_known({**BAYS, 4: "*usb-0:4:1.0*"})
    installed.write_text("")
    subprocess.run(["udevadm", "control", "--reload"], check=True)
    assert becomes(lambda: not is_known(BAYS))  # what the daemon believed before is not what it knows now


def is_known(bays: dict[int, str]) -> bool:
    try:
        return "udevd works by" in check_known(bays)
    except ToolError as error:
        if "does not work by" not in str(error):
            raise
        return False


def becomes(condition: Callable[[], bool]) -> bool:
    """A daemon whose control socket was taken over reads its rules again 3 seconds later, at an event."""
    return any(condition() or time.sleep(0.5) for _ in range(16))


@pytest.mark.integration
def test_udev_finds_nothing_wrong_with_the_shipped_rules():
    if subprocess.run(["udevadm", "verify", "--help"], check=False, capture_output=True).returncode:
        pytest.skip("this udevadm knows no verify (systemd < 254)")
    paths = [ROOT / "systemd" / name for name in (FILE_NAME, ALLOW_LIST)]
    ended = subprocess.run(["udevadm", "verify", "--no-style", *paths], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


INTERFACES = [
    ("1", "1.0", "08", False),  # a disk
    ("1", "1.1", "06", False),  # a camera that speaks PTP
    ("1", "1.2", "03", True),  # a keyboard beside them
    ("1", "1.3", "09", True),  # a hub, with whatever hangs on it
    ("1.2", "1.0", "ff", True),  # a vendor's own
    ("1.2", "1.1", "02", True),  # a modem
    ("3", "1.0", "03", False),  # the station's own keyboard, at no bay
    ("1.3", "1.0", "03", False),
]


@pytest.mark.integration
@pytest.mark.xdist_group("dock")
@pytest.mark.skipif(shutil.which("umockdev-run") is None, reason="umockdev-run is not installed")
def test_an_interface_at_a_bay_that_is_no_disk_loses_its_driver(tmp_path, installed):
    machine = tmp_path / "machine.umockdev"
    parents = {f"{BUS}/97-{port}" for port, _, _, _ in INTERFACES} | {BUS}
    machine.write_text(
        "P: /devices/pci0000:00/0000:00:14.0\nE: SUBSYSTEM=pci\n\n"
        + "".join(f"P: {path}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\n\n" for path in sorted(parents))
        + "".join(
            f"P: {BUS}/97-{port}/97-{port}:{number}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\n"
            f"A: bInterfaceClass={kind}\\n\nA: authorized=1\\n\n\n"
            for port, number, kind, _ in INTERFACES
        )
    )
    for port, number, kind, is_refused in INTERFACES:
        said = added(machine, f"97-{port}/97-{port}:{number}")
        assert f"ID_PATH=pci-0000:00:14.0-usb-0:{port}:{number}" in said
        assert installed.name in said
        assert not re.search(rf"{re.escape(installed.name)}:\d+ (?:Invalid|Unknown|Failed)", said), said
        done = re.search(rf"{re.escape(installed.name)}:\d+ .*authorized.*\b0\b", said)
        assert bool(done) == is_refused, (port, number, kind, said)


def added(machine: Path, device: str) -> str:
    """What udev says that it does when this device is added to that machine."""
    argv = ["umockdev-run", f"--device={machine}", "--", "udevadm", "test", "--action=add", f"/sys{BUS}/{device}"]
    ended = subprocess.run(argv, check=False, capture_output=True, text=True)
    Path("/run/udev/data", f"+usb:{Path(device).name}").unlink(missing_ok=True)  # `udevadm test` writes it down
    return ended.stdout + ended.stderr

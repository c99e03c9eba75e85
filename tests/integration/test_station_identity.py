"""Whose recorder is docked, on a real kernel device: strangers refused unread, or set aside; two with one serial."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.test_station_dock import Agent
from tests.rig.loopdock import LoopDock
from tests.rig.medium import Medium, make_medium

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]
REGISTER = "记录仪编号,USB序列号\nDSJ0731,EC2300471\n"


@pytest.fixture
def cards(need_root, tmp_path: Path) -> list[Medium]:
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.bin").write_text(name)
        made.append(make_medium(tmp_path / f"{name}.img", "exfat", tmp_path / name))
    return made


@pytest.fixture
def station(dock: LoopDock, tmp_path: Path) -> Iterator[Callable[[str], Agent]]:
    running: list[Agent] = []

    def start(unregistered: str) -> Agent:
        data = tmp_path / "data"
        data.mkdir()
        (data / "recorders.csv").write_text(REGISTER)
        more = f'[registry]\nfile = "recorders.csv"\nunregistered = "{unregistered}"\n'
        running.append(Agent(data, dock, more))
        return running[0]

    yield start
    for agent in running:
        agent.stop()


def requests(dock: LoopDock, bay: int) -> int:
    """Reads that reached the medium (Documentation/block/stat.rst: the first field)."""
    return int(Path("/sys/block", Path(dock.device(bay)).name, "stat").read_text().split()[0])


def verdicts(agent: Agent, event: str) -> list[tuple[object, object]]:
    return [(r.block("identity")["verdict"], r.block("identity")["recorder"]) for r in agent.records(event)]


def state(agent: Agent, bay: int) -> str:
    return str(agent.bay(bay)["state"])


def test_a_stranger_is_refused_unread_and_two_recorders_with_one_serial_are_both_doubtful(dock, cards, station):
    dock.plug(1, cards[0].image, "STRANGER")
    before = requests(dock, 1)
    agent = station("refuse")
    agent.wait(lambda: state(agent, 1) == "unregistered")
    assert requests(dock, 1) == before
    [refused] = agent.records("device.identified")
    assert (refused.block("identity")["verdict"], refused.block("identity")["handling"]) == ("unregistered", "refuse")
    assert refused.block("camera")["usb_interfaces"] == ":080650:"
    assert str(agent.data) not in Path("/proc/self/mounts").read_text()
    dock.unplug(1)
    agent.wait(lambda: state(agent, 1) == "idle")
    assert agent.records("device.docked") == agent.records("ingest.seen") == []

    dock.plug(1, cards[0].image, "EC2300471")
    agent.wait(lambda: state(agent, 1) == "waiting-upload")
    dock.plug(2, cards[1].image, "EC2300471")
    agent.wait(lambda: state(agent, 1) == state(agent, 2) == "safe-with-warnings")
    assert verdicts(agent, "device.docked") == [("registered", "DSJ0731"), ("conflict", "")]
    assert verdicts(agent, "device.identified")[1:] == [("conflict", "")]
    copied = [(r.block("camera")["bay"], r.block("source")["path"]) for r in agent.records("ingest.copied")]
    assert copied == [(1, "first.bin"), (2, "second.bin")]
    assert agent.bay(1)["warnings"] == agent.bay(2)["warnings"] == ["identity-conflict:1"]
    dock.unplug(1)
    dock.unplug(2)


def test_a_stranger_is_copied_and_marked_where_the_station_sets_strangers_aside(dock, cards, station):
    agent = station("quarantine")
    dock.plug(1, cards[0].image, "STRANGER")
    agent.wait(lambda: state(agent, 1) == "safe-with-warnings")
    [copied] = agent.records("ingest.copied")
    mark = {"verdict": "unregistered", "recorder": "", "handling": "quarantine"}
    assert (copied.block("identity"), agent.bay(1)["warnings"]) == (mark, ["unregistered:1"])
    # Registered while the station runs, the next docking knows it.
    (agent.data / "recorders.csv").write_text(REGISTER + "DSJ0732,STRANGER\n")
    dock.unplug(1)
    agent.wait(lambda: state(agent, 1) == "idle")
    dock.plug(1, cards[0].image, "STRANGER")
    agent.wait(lambda: state(agent, 1) == "waiting-upload")
    assert verdicts(agent, "device.docked")[1] == ("registered", "DSJ0732")
    dock.unplug(1)

"""How right the station's clock is: a real chronyd that never touches it, recorded answers, and nobody at all."""

import os
import platform
import shutil
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from station_agent import linux, timesource
from station_agent.errors import ToolError
from station_agent.model import StationClock
from station_agent.timesource import KEPT_S, TimeSource
from station_agent.tools import chronyc
from tests.rig.broker import GONE_WITH_US, free_port

# chrony 4.3, `chronyc -c tracking`: disciplined by a server that is 2.5 s ahead of this machine; without any source.
BEHIND = (
    "7F000001,127.0.0.1,4,1795612672.156,2.499998569,0.000000330,0.000001204,"
    "-0.008,0.023,12.502,0.000006240,0.000012168,0.3,Normal\n"
)
ALONE = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,"
    "0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised\n"
)
NO_CHRONY = "chrony is not installed, and ./dev does not: it would take over this machine's clock"


def test_a_clock_that_is_slow_has_a_negative_offset_and_an_error_no_smaller():
    reading = timesource.of_chrony(chronyc.read(BEHIND))
    assert reading == StationClock("chrony", synchronised=True, offset_ms=-2_500, uncertainty_ms=2_501)


def test_chronyd_without_a_source_knows_nothing_of_the_clock():
    assert timesource.of_chrony(chronyc.read(ALONE)) == StationClock("chrony", synchronised=False)


def test_delay_counts_half_and_dispersion_whole():
    tracked = chronyc.Tracking(synchronised=True, offset_s=Decimal("-0.001"), uncertainty_s=Decimal("0.0201"))
    assert timesource.of_chrony(tracked) == StationClock("chrony", synchronised=True, offset_ms=-1, uncertainty_ms=22)
    line = BEHIND.replace("0.000006240,0.000012168", "0.030000000,0.005000000")
    assert chronyc.read(line).uncertainty_s == Decimal("0.02")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "506 Cannot talk to daemon\n",
        BEHIND + BEHIND,
        *(BEHIND.replace("2.499998569", bad) for bad in ("soon", "NaN")),
    ],
)
def test_an_answer_that_is_none_is_refused(line):
    with pytest.raises(ToolError, match="chronyc"):
        chronyc.read(line)


def nobody() -> chronyc.Tracking:
    raise ToolError("chronyc cannot be started: No such file or directory")


def test_without_chronyd_the_kernel_is_asked():
    reading = timesource.ask(nobody)
    assert reading == timesource.of_kernel(linux.clock_error_us())
    assert reading.source == "kernel"


@pytest.mark.parametrize(
    ("error_us", "reading"),
    [
        (None, StationClock("kernel", synchronised=False)),
        (12_001, StationClock("kernel", synchronised=True, uncertainty_ms=13)),
    ],
)
def test_what_the_kernel_says(error_us, reading):
    assert timesource.of_kernel(error_us) == reading


def test_whoever_asks_often_is_answered_from_memory_for_a_while():
    told = [StationClock("kernel", synchronised=said) for said in (False, True)]
    moments_s = iter([0.0, KEPT_S, KEPT_S + 0.1, KEPT_S + 1])
    source = TimeSource(iter(told).__next__, moments_s.__next__)
    assert [source.reading().synchronised for _ in range(4)] == [False, False, True, True]


@pytest.fixture
def chronyd(tmp_path: Path):
    """Starts chronyd with a configuration; ``-x`` leaves the clock of this machine alone."""
    program = shutil.which("chronyd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(NO_CHRONY)
    started = []

    def start(name: str, *lines: str) -> tuple[str, ...]:
        folder = tmp_path / name
        folder.mkdir(mode=0o750)
        private = ["cmdport 0", f"bindcmdaddress {folder}/socket", f"pidfile {folder}/pid", *lines]
        (folder / "conf").write_text("\n".join(private) + "\n")
        argv = [*GONE_WITH_US, program, "-x", "-d", "-u", "root", "-f", str(folder / "conf")]
        started.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return ("chronyc", "-h", f"{folder}/socket", "-c", "tracking")

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def tracked(command: tuple[str, ...], wanted=lambda found: found.synchronised) -> chronyc.Tracking:
    deadline_s = time.monotonic() + 15
    while True:
        try:
            found = chronyc.tracking(command)
        except ToolError:
            found = None
        if found and wanted(found):
            return found
        assert time.monotonic() < deadline_s, "chronyd did not come to that"
        time.sleep(0.1)


@pytest.mark.integration
@pytest.mark.usefixtures("need_root")
def test_a_real_chronyd_says_how_far_this_machine_is_from_its_server(chronyd):
    port = free_port()
    start = ["local stratum 3", f"port {port}", "bindaddress 127.0.0.1", "allow 127.0.0.1"]
    served = tracked(chronyd("server", *start))
    assert timesource.of_chrony(served).offset_ms == 0

    ahead = f"server 127.0.0.1 port {port} iburst minpoll -2 maxpoll 0 offset 2.5"
    command = chronyd("client", "port 0", ahead)
    reading = timesource.ask(lambda: tracked(command))
    assert (reading.source, reading.synchronised) == ("chrony", True)
    assert -2_510 < reading.offset_ms < -2_490
    assert 2_500 <= reading.uncertainty_ms < 2_600


@pytest.mark.integration
@pytest.mark.usefixtures("need_root")
def test_a_real_chronyd_without_a_source_is_not_synchronised(chronyd):
    alone = tracked(chronyd("alone", "port 0"), lambda found: not found.synchronised)
    assert timesource.of_chrony(alone) == StationClock("chrony", synchronised=False)


def test_a_chronyd_that_does_not_answer_is_a_clear_word(tmp_path):
    if shutil.which("chronyc") is None:
        pytest.skip(NO_CHRONY)
    with pytest.raises(ToolError, match="no answer from chronyd"):
        chronyc.tracking(("chronyc", "-h", str(tmp_path / "nobody"), "-c", "tracking"))


FORBIDDEN = """
import ctypes, struct
from station_agent import linux
load, deny, allow = (0x20, 0, 0, 0), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)
rules = [load, (0x15, 1, 0, 159), (0x15, 0, 1, 305), deny, allow]  # adjtimex, clock_adjtime on x86-64: EPERM
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
assert libc.adjtimex(ctypes.create_string_buffer(512)) == -1 and ctypes.get_errno() == 1
print(linux.clock_error_us())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter names system calls by their numbers on x86-64")
def test_where_a_sandbox_forbids_to_ask_the_kernel_nobody_vouches_for_the_clock():
    done = subprocess.run([sys.executable, "-c", FORBIDDEN], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("None\n", "")

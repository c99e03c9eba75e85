"""A real mosquitto on a free port of this machine: MQTT v5, mutual TLS, one identity and one set of topics a station.

It can be stopped in order, killed hard and started again on the same port with what it remembered.
"""

import getpass
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from custody import topics
from custody.messages import MAX_MESSAGE_BYTES
from tests.rig.pki import Identity, Pki

CENTRE: Final = "centre"
"""Name of the centre at the broker, hence the common name of its certificate."""
GONE_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
"""Prefix of a program that must not outlive the tests, not even when they are killed and no finaliser runs."""
_START_S: Final = 10.0
_ROOM_FOR_HEADERS: Final = 64 * 1024


class BrokerError(RuntimeError):
    """The broker did not start; the text holds the end of its log."""


class Broker:
    """One mosquitto with all its files below ``folder``."""

    def __init__(self, folder: Path, pki: Pki, stations: Sequence[str], port: int = 0) -> None:
        self.folder = folder
        self.pki = pki
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "acl").write_text(access_list(stations))
        (folder / "acl").chmod(0o600)
        (folder / "mosquitto.conf").write_text(self._configuration(pki.server()))

    def start(self) -> None:
        """Returns when the broker takes connections. Raises ``BrokerError``."""
        with (self.folder / "output").open("ab") as output:
            argv = [*GONE_WITH_US, "mosquitto", "-c", str(self.folder / "mosquitto.conf")]
            self._process = subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + _START_S
        while not is_listening(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"mosquitto did not start: {self.log_tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Orderly end; harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut would: what is not yet written is lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop, then start on the same port."""
        self.stop()
        self.start()

    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self) -> str:
        """The last lines of what it said."""
        names = ("output", "mosquitto.log")
        texts = [(self.folder / name).read_text(errors="replace") for name in names if (self.folder / name).exists()]
        return "\n".join("\n".join(texts).splitlines()[-10:])

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(timeout=_START_S)
        self._process = None

    def _configuration(self, server: Identity) -> str:
        folder = self.folder
        return f"""\
# As root the broker would become user mosquitto, who cannot read a private folder.
user {getpass.getuser()}
listener {self.port} {self.host}
cafile {self.pki.ca}
certfile {server.cert}
keyfile {server.key}
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
acl_file {folder}/acl
persistence true
persistence_location {folder}/data/
# Without these two a power cut loses up to half an hour of what the broker has acknowledged.
autosave_on_changes true
autosave_interval 1
max_packet_size {MAX_MESSAGE_BYTES + _ROOM_FOR_HEADERS}
message_size_limit {MAX_MESSAGE_BYTES}
max_queued_messages 100000
log_dest file {folder}/mosquitto.log
"""


def access_list(stations: Sequence[str]) -> str:
    """The centre reads all and answers all; a station writes and reads its own name only.

    Written out for each station instead of as a pattern, so that an identity that is not enrolled may do nothing.
    """
    lines = [f"user {CENTRE}", f"topic read {topics.ALL_RECORDS}", f"topic read {topics.PREFIX}/+/status"]
    lines += [f"topic write {topics.PREFIX}/+/receipts", f"topic write {topics.PREFIX}/+/plans"]
    for station in stations:
        lines += ["", f"user {station}", f"topic write {topics.records(station)}"]
        lines += [f"topic write {topics.status(station)}", f"topic read {topics.receipts(station)}"]
        lines.append(f"topic read {topics.plans(station)}")
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether something takes connections on this port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0

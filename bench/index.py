"""How many clip messages a second the centre takes from a real broker (``python -m bench.index``).

One message brings one clip: ``ingest.copied`` and ``media.described``, signed. Counted from the first message published
to the last acknowledged: receive, verify, mirror, index, link, cover, flag, record, commit, acknowledge; SQLite, QoS
1, one process for the whole centre. The publisher and the broker are other processes on the same machine. Reading
originals back from the store is another job and is not counted.

Peers, measured in the same run, interleaved: Ed25519 verification alone of the same entries on one core; and a bare
paho subscriber that acknowledges the same messages and does nothing else.
"""

import argparse
import cProfile
import logging
import multiprocessing
import os
import pstats
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt import __version__ as paho_version
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from custody import topics
from custody.envelope import open_envelope, pae
from custody.messages import Records
from custody.signer import Ed25519Signer
from ingestd.catalogue import load
from ingestd.config import Mqtt
from ingestd.index.database import open_engine
from ingestd.index.queries import Queries
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.logfiles import PosixLogFiles
from ingestd.model import EnforcementAction, Import, Interval, Level
from ingestd.pipeline import Answer, Pipeline, Places, Received, Settings
from ingestd.premises import SystemClock
from ingestd.receive import Receiver
from ingestd.rules import Policy
from tests.fakes.centre_station import AUTHORITY, NOW_MS, FakeStation
from tests.rig.broker import free_port, is_listening

GOAL: Final = 1500
OFFICERS: Final = 50
STATIONS: Final = 4
_CATALOGUE: Final = Path(__file__).resolve().parent.parent / "config" / "catalogue.toml"
_CONFIGURATION: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 1000
max_queued_messages 0
log_type error
"""


def main() -> None:
    """Run and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options = _options()
    stations = [_station(f"station-{n:02}", n, options.clips // STATIONS) for n in range(STATIONS)]
    messages = [message for group in zip(*(_messages(s) for s in stations), strict=True) for message in group]
    print(f"{len(messages)} clip messages of {len(messages[0].payload)} bytes from {STATIONS} stations, QoS 1, SQLite")
    print(f"peer: paho {paho_version}, mosquitto {_mosquitto_version()}; load average {os.getloadavg()[0]:.2f}")
    rounds = [_round(stations, messages, number, profiled=options.profile) for number in range(options.runs)]
    _report(rounds)


def _round(
    stations: Sequence[FakeStation], messages: Sequence[Received], number: int, *, profiled: bool
) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="bench-index-") as folder:
        verify = _timed(lambda: _verify_alone(stations), len(messages))
        bare = _against_broker(messages, _Bare)
        centre = _against_broker(messages, lambda port: _Centre(port, Path(folder), stations, profiled=profiled))
    print(
        f"run {number + 1}: centre {centre:7.0f} clips/s | Ed25519 alone {verify:7.0f} clips/s"
        f" | bare paho {bare:7.0f} messages/s",
        flush=True,
    )
    return [centre, verify, bare]


def _report(rounds: Sequence[Sequence[float]]) -> None:
    centre, verify, bare = (list(column) for column in zip(*rounds, strict=True))
    for name, figures in (("centre", centre), ("Ed25519 alone", verify), ("bare paho", bare)):
        print(f"{name:>14}: median {statistics.median(figures):7.0f}/s [{min(figures):.0f}–{max(figures):.0f}]")
    print(f"{'ratio':>14}: {_ratio(centre, verify)} × Ed25519 alone, {_ratio(centre, bare)} × bare paho")
    met = statistics.median(centre) >= GOAL
    print(f"{'goal':>14}: {GOAL}/s {'met' if met else 'NOT met'}")
    if os.getloadavg()[0] > 2.0 or max(verify) > 1.3 * min(verify):  # noqa: PLR2004  # rules of performance.md
        print("unquiet: other work ran on this machine; believe the ratios, not the figures")


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}–{max(ratios):.2f}]"


def _station(name: str, seed: int, clips: int) -> FakeStation:
    station = FakeStation(name, seed=seed + 1)
    for number in range(clips):
        officer = f"{number % OFFICERS:06}"
        start_ms = NOW_MS - 20 * 3_600_000 + number * 10_000
        station.clip(start_ms, 60_000, recorder=f"{name}-{number % OFFICERS}", officer_as_stated=officer)
    return station


def _messages(station: FakeStation) -> list[Received]:
    """One message a clip; only the last carries the checkpoint of its station."""
    note = station.log.checkpoint(station.signer).note
    found = []
    for first in range(0, len(station.entries), 2):
        last = first + 2 == len(station.entries)
        records = Records(station.origin, first, tuple(station.entries[first : first + 2]), note if last else b"")
        found.append(Received(topics.records(station.name), records.encode()))
    return found


def _actions() -> tuple[EnforcementAction, ...]:
    """Two actions an officer: about a third of the clips belong to one."""
    return tuple(
        EnforcementAction(
            action_id=f"A{officer:03}-{part}",
            case=f"CASE-{officer:03}",
            type="seizure",
            level=Level.FULL,
            interval=Interval(begin := NOW_MS - (18 - 2 * part) * 3_600_000, begin + 1_800_000),
            officers=(f"{officer:06}",),
        )
        for officer in range(OFFICERS)
        for part in range(2)
    )


class _Centre:
    """The real receiver and pipeline over real files."""

    def __init__(self, port: int, folder: Path, stations: Sequence[FakeStation], *, profiled: bool) -> None:
        catalogue = load(_CATALOGUE)
        settings = Settings(Policy(), catalogue, Policy().zone)
        self._engine = open_engine(f"sqlite:///{folder}/index.db")
        custody, witness = Ed25519Signer.from_seed(b"c" * 32), Ed25519Signer.from_seed(b"w" * 32)
        books = Logbooks(
            f"{AUTHORITY}/centre", custody, {s.name: s.enrolled for s in stations}, lambda n: PosixLogFiles(folder / n)
        )
        cosigner = Cosigner(f"{AUTHORITY}/centre-witness", witness)
        self._pipeline = Pipeline(self._engine, books, cosigner, Places.under(folder), settings, SystemClock())
        self._pipeline.start()
        self._import()
        self.receiver = Receiver(Mqtt(host="127.0.0.1", port=port), self._handle)
        self._stop = threading.Event()
        self._profile = cProfile.Profile() if profiled else None
        self._thread = threading.Thread(target=self._run)
        self.taken = 0
        self.receiver.start()
        self._thread.start()

    def _import(self) -> None:
        from ingestd.index.repository import Repository  # noqa: PLC0415  # seeds rows, which only a benchmark may

        with self._engine.begin() as connection:
            Repository(connection).put_import(Import(actions=_actions()))

    def _handle(self, messages: Sequence[Received]) -> list[Answer]:
        answers = self._pipeline.handle(messages)
        self.taken += len(messages)
        return answers

    def _run(self) -> None:
        if self._profile:
            self._profile.enable()
        self.receiver.run(self._stop)
        if self._profile:
            self._profile.disable()
            pstats.Stats(self._profile).sort_stats("tottime").print_stats(35)

    def close(self, expected: int) -> None:
        self._stop.set()
        self._thread.join()
        self.receiver.stop()
        counts = Queries(self._engine).summary().clips
        self._engine.dispose()
        if counts.indexed != expected:
            raise SystemExit(f"{counts.indexed} of {expected} clips were indexed: the figure would mean nothing")


class _Bare:
    """A paho subscriber that acknowledges and does nothing else."""

    def __init__(self, port: int) -> None:
        self.taken = 0
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        self._client.on_connect = lambda client, *_: client.subscribe(topics.ALL_RECORDS, qos=1)
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho does not type it
        properties.ReceiveMaximum = 2000
        self._client.connect("127.0.0.1", port, properties=properties)
        self._client.loop_start()

    def _on_message(self, client: Client, _userdata: Any, message: Any) -> None:
        client.ack(message.mid, message.qos)
        self.taken += 1

    def close(self, _expected: int) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _against_broker(messages: Sequence[Received], subscriber: Callable[[int], Any]) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-broker-") as folder:
        port = free_port()
        file = Path(folder) / "mosquitto.conf"
        file.write_text(_CONFIGURATION.format(port=port))
        with subprocess.Popen(["mosquitto", "-c", str(file)]) as broker:
            try:
                while not is_listening(port):
                    time.sleep(0.02)
                subject = subscriber(port)
                time.sleep(0.5)
                rate = _timed(lambda: _publish_and_wait(messages, port, subject), len(messages))
                subject.close(len(messages))
            finally:
                broker.terminate()
    return rate


def _publish_and_wait(messages: Sequence[Received], port: int, subject: Any) -> None:
    publisher = multiprocessing.get_context("fork").Process(target=_publish, args=(messages, port))
    publisher.start()
    while subject.taken < len(messages):
        time.sleep(0.002)
    publisher.join()


def _publish(messages: Sequence[Received], port: int) -> None:
    """As fast as the broker acknowledges, 500 in flight."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(500)
    done: SimpleQueue[None] = SimpleQueue()
    client.on_publish = lambda *_: done.put(None)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for message in messages:
        client.publish(message.topic, message.payload, qos=1)
    for _ in messages:
        done.get()
    client.disconnect()
    client.loop_stop()


def _verify_alone(stations: Sequence[FakeStation]) -> None:
    for station in stations:
        key = Ed25519PublicKey.from_public_bytes(station.signer.public_key())
        for entry in station.entries:
            envelope = open_envelope(entry)
            key.verify(envelope.signatures[0].value, pae(envelope.payload_type, envelope.payload))


def _timed(work: Callable[[], None], count: int) -> float:
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def _mosquitto_version() -> str:
    said = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    return said.split("\n", 1)[0].removeprefix("mosquitto version ")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=8000, help="clip messages in a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="print where the pipeline thread spends its time")
    return parser.parse_args()


if __name__ == "__main__":
    main()

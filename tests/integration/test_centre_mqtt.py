"""The real receiver, pipeline, store and pages behind a real mosquitto with mutual TLS."""

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from custody import topics
from custody.log import entry_of
from custody.messages import Receipts, decode_receipts
from custody.receipt import read_receipt
from ingestd import config as configuration
from ingestd import premises, serve, service
from ingestd.audit.verify import Subject, audit
from ingestd.index.database import connect
from ingestd.index.queries import Queries
from ingestd.logfiles import PosixLogFiles
from ingestd.store import EvidenceReader
from tests.conftest import STATION
from tests.fakes.centre_station import AUTHORITY, FakeStation
from tests.fakes.centre_world import CATALOGUE
from tests.rig.broker import CENTRE, GONE_WITH_US, free_port

pytestmark = pytest.mark.integration
PATIENCE_S = 30
CLIPS = 150


class StationClient:
    """A station's end of the broker, without a station: publishes messages and collects answers."""

    def __init__(self, broker):
        identity = broker.pki.client(STATION)
        self.answers: queue.SimpleQueue[Receipts] = queue.SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=STATION, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.tls_set(str(broker.pki.ca), str(identity.cert), str(identity.key))
        self._client.on_connect = lambda client, *_: client.subscribe(topics.receipts(STATION), qos=1)
        self._client.on_message = lambda _c, _u, message: self.answers.put(decode_receipts(bytes(message.payload)))
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = 3600
        self._client.connect(broker.host, broker.port, clean_start=False, properties=session)
        self._client.loop_start()

    def publish(self, message):
        payload = message if isinstance(message, bytes) else message.payload
        self._client.publish(topics.records(STATION), payload, qos=1).wait_for_publish(PATIENCE_S)

    def wait_for(self, wanted, patience_s=PATIENCE_S):
        """The first answer that is ``wanted``; raises ``queue.Empty``."""
        deadline = time.monotonic() + patience_s
        while True:
            answer = self.answers.get(timeout=max(0.01, deadline - time.monotonic()))
            if wanted(answer):
                return answer

    def insist(self, wanted, *messages):
        """Send again until the answer is ``wanted``: a broker drops what comes before anybody subscribed."""
        for _ in range(PATIENCE_S):
            for message in messages:
                self.publish(message)
            try:
                return self.wait_for(wanted, patience_s=1)
            except queue.Empty:
                continue
        pytest.fail("no such answer came")

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def station():
    return FakeStation(STATION)


@pytest.fixture
def folder(tmp_path, broker, station, database_url):
    identity = broker.pki.client(CENTRE)
    (tmp_path / "ingestd.toml").write_text(f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "{STATION}"
vkey = "{station.enrolled.note_key.vkey()}"
[mqtt]
host = "{broker.host}"
port = {broker.port}
ca = "{broker.pki.ca}"
cert = "{identity.cert}"
key = "{identity.key}"
[store]
url = "store"
[database]
url = "{database_url}"
[catalogue]
file = "{CATALOGUE}"
[web]
port = {free_port()}
""")
    config = configuration.load(tmp_path / "ingestd.toml")
    service.make_keys(config)
    service.begin(config)
    return tmp_path


@pytest.fixture
def client(broker):
    made = StationClient(broker)
    yield made
    made.close()


@pytest.fixture
def centre(folder):
    stop = threading.Event()
    thread = threading.Thread(target=serve.run, args=(configuration.load(folder / "ingestd.toml"), stop))
    thread.start()
    yield
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def upload(folder, station):
    for name, data in station.store.items():
        path = folder / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def summary(folder):
    port = configuration.load(folder / "ingestd.toml").web.port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/summary", timeout=10) as answer:
        return json.load(answer)


def test_message_to_receipt_and_pages(folder, centre, client, station):
    station.seen("a.mp4")
    object_id = station.clip()
    upload(folder, station)

    client.insist(lambda answer: answer.size == 3 and answer.cosigned, b"not a message at all", station.message())
    answer = client.insist(lambda answer: answer.entries, station.message())

    config = configuration.load(folder / "ingestd.toml")
    key = premises.centre_key(config)
    assert read_receipt(answer.entries[0], config.origin, [key.key]).object_id == object_id
    facts = summary(folder)
    assert facts["clips"]["verified"] == facts["clips"]["indexed"] == 1
    assert facts["messages_quarantined"] == 1


def test_what_was_published_while_the_centre_was_away_is_handled_when_it_is_back(folder, client, station):
    config = configuration.load(folder / "ingestd.toml")

    def served(work):
        stop = threading.Event()
        thread = threading.Thread(target=serve.run, args=(config, stop))
        thread.start()
        work()
        stop.set()
        thread.join(PATIENCE_S)

    station.clip()
    served(lambda: client.insist(lambda answer: answer.size == 2, station.message()))
    station.clip()
    client.publish(station.message(2))
    served(lambda: client.wait_for(lambda answer: answer.size == 4))

    queries = Queries(service.build(config).engine)
    assert queries.summary().clips.indexed == 2


def test_killed_hard_again_and_again_it_loses_nothing_and_doubles_nothing(folder, client, station):
    """kill -9 at random moments while messages arrive; the station sends again what has no answer, as ever."""
    chance = random.Random(20261122)
    for _ in range(CLIPS):
        station.clip()
    upload(folder, station)
    config = configuration.load(folder / "ingestd.toml")
    queries = Queries(connect(config.database.url))
    size = 0
    for _ in range(5):
        with running(folder) as process:
            began, lifetime = time.monotonic(), 1.2 + chance.random()
            while time.monotonic() - began < lifetime:
                for first in range(size, min(size + 10, 2 * CLIPS), 2):
                    client.publish(station.message(first, first + 2))
                size = max([size, *_sizes(client)])
                time.sleep(chance.random() * 0.05)
            os.kill(process.pid, signal.SIGKILL)
    with running(folder) as process:
        deadline = time.monotonic() + PATIENCE_S
        while (size < 2 * CLIPS or queries.summary().clips.verified < CLIPS) and time.monotonic() < deadline:
            client.publish(station.message(max(0, min(size, 2 * CLIPS - 2))))
            time.sleep(0.3)
            size = max([size, *_sizes(client)])
        assert wait_for_pages(folder)["clips"]["verified"] == CLIPS
        process.terminate()
        assert process.wait(PATIENCE_S) == 0

    counts = queries.summary().clips
    assert (counts.indexed, counts.verified, counts.offloaded) == (CLIPS, CLIPS, CLIPS)
    report = audit(
        Subject(
            centre=premises.centre_key(config),
            stations=list(premises.stations(config).values()),
            files=lambda name: PosixLogFiles(premises.log_folder(config, name)),
            strangers=[],
            store=EvidenceReader(config.store.url),
            now_ms=premises.SystemClock().now_ms(),
            patience_ms=0,
        )
    )
    assert report.as_json()["ok"], report.findings
    assert report.as_json()["verified"] == CLIPS
    assert [log.size for log in report.logs if log.origin == station.origin] == [2 * CLIPS]
    assert _receipts_in(config) == CLIPS


def wait_for_pages(folder):
    for _ in range(10 * PATIENCE_S):
        try:
            return summary(folder)
        except OSError:
            time.sleep(0.1)
    pytest.fail("no page answers")


@contextmanager
def running(folder):
    """``ingestd run`` in a process of its own, gone when this ends."""
    argv = [*GONE_WITH_US, sys.executable, "-m", "ingestd.cli", "run", "--data-dir", str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _sizes(client):
    while not client.answers.empty():
        yield client.answers.get().size


def _receipts_in(config):
    """``central.verified`` entries of the centre log: one for each clip, however often it was killed."""
    data = b"".join(PosixLogFiles(premises.log_folder(config, "centre")).read(0))
    events = [entry_of(line).record.event for line in data.splitlines()]
    return events.count("central.verified")


def test_second_centre_on_a_taken_port_says_so_and_ends(folder, centre):
    time.sleep(1.0)
    done = subprocess.run(
        [sys.executable, "-m", "ingestd.cli", "run", "--data-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 78
    assert "web.host, web.port" in done.stderr

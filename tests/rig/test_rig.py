"""The rig itself: what tests stand on is tested first."""

import ssl
import subprocess
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from custody import topics
from tests.conftest import STATION
from tests.rig.broker import CENTRE, Broker, access_list, is_listening

pytestmark = pytest.mark.integration


class Peer:
    """A client of the broker with the certificate of ``name``."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.came, self.ready, self.refused = threading.Event(), threading.Event(), threading.Event()
        identity = broker.pki.client(name)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.client.tls_set(str(broker.pki.ca), str(identity.cert), str(identity.key))
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_publish = self._on_publish
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()

    def _on_message(self, _client, _data, message):
        self.got.append((message.topic, message.payload))
        self.came.set()

    def _on_publish(self, _client, _data, _mid, reason, _properties):
        if reason.is_failure:
            self.refused.set()

    def hear(self, topic: str) -> None:
        self.client.subscribe(topic, qos=1)
        assert self.ready.wait(5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_a_station_writes_its_own_records_and_hears_its_own_receipts(broker: Broker):
    station, centre = Peer(broker, STATION), Peer(broker, CENTRE)
    station.hear(topics.receipts(STATION))
    centre.hear(topics.ALL_RECORDS)
    station.client.publish(topics.records(STATION), b"entry", qos=1)
    centre.client.publish(topics.receipts(STATION), b"receipt", qos=1)
    assert centre.came.wait(5)
    assert station.came.wait(5)
    assert centre.got == [(topics.records(STATION), b"entry")]
    assert station.got == [(topics.receipts(STATION), b"receipt")]
    station.close()
    centre.close()


def test_a_station_cannot_write_for_another_station(broker: Broker):
    station = Peer(broker, STATION)
    station.client.publish(topics.records("station-02"), b"forged", qos=1)
    assert station.refused.wait(5)
    station.close()


def test_without_a_certificate_there_is_no_connection(broker: Broker):
    stranger = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="stranger", protocol=mqtt.MQTTv5)
    stranger.tls_set(str(broker.pki.ca))
    gone = threading.Event()
    stranger.on_disconnect = lambda *_: gone.set()
    try:
        stranger.connect(broker.host, broker.port)
        stranger.loop_start()
        assert gone.wait(5)
        stranger.loop_stop()
    except ssl.SSLError:
        pass


def test_the_broker_stops_and_starts_on_the_same_port(broker: Broker):
    broker.kill()
    assert not is_listening(broker.port)
    broker.start()
    assert broker.alive()


def test_the_access_list_names_every_station_and_nothing_else():
    listed = access_list(["a", "b"])
    assert "user a\ntopic write bwc/v1/a/records" in listed
    assert "#" not in listed


def test_postgres_gives_a_new_empty_database_each_time(postgres):
    urls = {postgres.new_database(), postgres.new_database()}
    assert len(urls) == 2
    with psycopg.connect(urls.pop().replace("+psycopg", "")) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname='public'").fetchone() == (0,)


@pytest.mark.usefixtures("need_root")
def test_udevd_answers_during_a_run():
    assert subprocess.run(["udevadm", "control", "--ping"], check=False).returncode == 0


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path, broker: Broker):
    assert broker.pki.client("someone").key.stat().st_mode & 0o077 == 0

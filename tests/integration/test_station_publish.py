"""The publisher against the real broker: outage, hard kill, and a centre that answers late."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from custody import topics
from custody.heartbeat import Health, decode_heartbeat
from custody.plans import Plans, seal_plans
from ingestd.config import Mqtt
from ingestd.heartbeats import Heartbeats
from ingestd.receive import Receiver
from station_agent.clock import SystemClock
from station_agent.errors import BrokerError
from station_agent.health import health_of
from station_agent.model import StationClock
from station_agent.publish import IN_FLIGHT, Broker, Outbox, Publisher, Trust, kept_plans
from station_agent.pulse import Pulse
from tests.conftest import STATION
from tests.fakes.station_centre import CENTRE_KEY, CENTRE_LOG, WITNESS_KEY, FakeCentre
from tests.fakes.station_world import CENTRE as CENTRE_SIGNER
from tests.fakes.station_world import Station, World
from tests.rig.broker import CENTRE, free_port
from tests.rig.broker import Broker as Mosquitto

pytestmark = pytest.mark.integration
RESEND_S = 1.0


@pytest.fixture
def station(tmp_path: Path) -> Station:
    world = World(tmp_path / "world", clock=SystemClock())  # type: ignore[arg-type]  # the same port
    world.files.chunk = 65536  # type: ignore[attr-defined]
    for number in range(20):
        world.put(f"{number}.MP4", b"%d" % number)
    return world.start()


def wait_for(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come"
        time.sleep(0.02)


def health(station: Station) -> Health:
    clock = StationClock("kernel", synchronised=False)
    return health_of(station.world.clock.now(), clock, station.journal, station.seal.size, station.world.spool)


@contextmanager
def publishing(station: Station, broker: Mosquitto, kind: type[Pulse] = Pulse) -> Iterator[Publisher]:
    trust = Trust(CENTRE_KEY, WITNESS_KEY)
    outbox = Outbox(station.world.clock, station.journal, station.seal, trust, RESEND_S)
    mine = broker.pki.client(STATION)
    there = Broker(broker.host, broker.port, broker.pki.ca, mine.cert, mine.key)
    publisher = Publisher(STATION, outbox, there, station.world.clock, kind(lambda: health(station)))
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def listening(broker: Mosquitto, centre: FakeCentre, *, answers: bool = True) -> Iterator[list[bytes]]:
    mine = broker.pki.client(CENTRE)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="centre", protocol=mqtt.MQTTv5)
    Broker(broker.host, broker.port, broker.pki.ca, mine.cert, mine.key).secure(client)
    statuses: list[bytes] = []

    def on_connect(*_):
        client.subscribe(topics.ALL_RECORDS, qos=1)
        client.subscribe(topics.status(STATION), qos=1)

    def on_message(_client, _data, message):
        if message.topic == topics.status(STATION):
            statuses.append(message.payload)
        elif answers:
            client.publish(topics.receipts(STATION), centre.receive(message.payload), qos=1)

    client.on_connect, client.on_message = on_connect, on_message
    client.reconnect_delay_set(1, 1)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        yield statuses
    finally:
        client.disconnect()
        client.loop_stop()


def test_all_entries_arrive_and_all_receipts_come(station, broker):
    centre = FakeCentre()
    with listening(broker, centre) as statuses, publishing(station, broker) as publisher:
        station.pipeline.docked(station.event())
        wait_for(lambda: station.journal.waiting().outbox == 0)
        assert publisher.link.online
        wait_for(lambda: statuses)
        said = decode_heartbeat(statuses[0])
        assert said.online
        assert said.health
        assert said.health.boot_id == station.world.clock.now().boot_id
    assert centre.mirror.size == station.seal.size
    assert max(count for _, count in centre.received) > 1


def test_an_acknowledged_message_that_nobody_answered_is_sent_again(station, broker):
    station.pipeline.docked(station.event())
    with publishing(station, broker) as publisher:
        wait_for(lambda: publisher.link.online)
        with listening(broker, FakeCentre(), answers=False):
            time.sleep(RESEND_S)
        assert station.journal.waiting().outbox == station.seal.size
        centre = FakeCentre()
        with listening(broker, centre):
            wait_for(lambda: station.journal.waiting().outbox == 0)


def test_a_broker_that_is_killed_and_away_loses_nothing(station, broker):
    centre = FakeCentre()
    with listening(broker, centre), publishing(station, broker) as publisher:
        wait_for(lambda: publisher.link.online)
        broker.kill()
        station.pipeline.docked(station.event())
        wait_for(lambda: not publisher.link.online)
        assert station.journal.waiting().outbox == station.seal.size
        broker.start()
        wait_for(lambda: station.journal.waiting().outbox == 0, 40)
    assert centre.mirror.size == station.seal.size
    assert centre.mirror.chain.root() == station.seal._log.chain.root()


def test_many_heartbeats_do_not_make_room_for_more_messages_than_may_be_in_flight(station, broker):
    class Hasty(Pulse):
        def due(self):
            self.connected()
            return super().due()

    with listening(broker, FakeCentre()) as statuses, publishing(station, broker, Hasty) as publisher:
        wait_for(lambda: len(statuses) > IN_FLIGHT)
        assert publisher._room._value <= IN_FLIGHT


def test_a_station_that_is_lost_is_told_of_by_the_broker_and_one_that_stops_says_so(station, broker):
    with listening(broker, FakeCentre()) as statuses:
        with publishing(station, broker) as publisher:
            wait_for(lambda: statuses)
            publisher._client.socket().shutdown(socket.SHUT_RDWR)
            wait_for(lambda: len(statuses) >= 3)
        wait_for(lambda: len(statuses) >= 4)
    assert [decode_heartbeat(one).online for one in statuses] == [True, False, True, False]


def test_the_centre_keeps_what_the_station_says_and_what_the_broker_says_of_it(station, broker, tmp_path):
    mine = broker.pki.client(CENTRE)
    settings = Mqtt(host=broker.host, port=broker.port, ca=broker.pki.ca, cert=mine.cert, key=mine.key)
    heartbeats = Heartbeats(tmp_path / "heartbeats", lambda: station.world.clock.now().utc_ms)

    def last():
        return heartbeats.of(STATION)

    with publishing(station, broker):
        receiver = Receiver(settings, lambda _messages: [], heartbeats.take)
        receiver.start()
        wait_for(lambda: last() is not None)
        assert receiver.problem == ""
        assert last().online
        assert last().health.log_entries == station.seal.size
    wait_for(lambda: not last().online)
    assert last().health.log_entries == station.seal.size
    receiver.stop()


def test_plans_that_were_left_with_the_broker_reach_a_station_that_comes_later(station, broker):
    mine = broker.pki.client(CENTRE)
    receiver = Receiver(
        Mqtt(host=broker.host, port=broker.port, ca=broker.pki.ca, cert=mine.cert, key=mine.key, client_id="centre"),
        lambda _messages: [],
    )
    receiver.start()
    wait_for(lambda: receiver.problem == "")
    receiver.announce(STATION, seal_plans(Plans(CENTRE_LOG, 7, ()), [CENTRE_SIGNER]))
    receiver.announce(STATION, seal_plans(Plans(CENTRE_LOG, 9, ()), [CENTRE_SIGNER]))
    time.sleep(0.2)
    receiver.stop()
    with publishing(station, broker):
        wait_for(lambda: kept_plans(station.journal).made_ms == 9)
    assert kept_plans(station.journal).log == CENTRE_LOG


def test_a_stranger_is_not_let_in(broker):
    with pytest.raises(BrokerError):
        Broker(broker.host, broker.port, broker.pki.ca).check()
    mine = broker.pki.client(STATION)
    Broker(broker.host, broker.port, broker.pki.ca, mine.cert, mine.key).check()
    with pytest.raises(BrokerError):
        Broker(broker.host, free_port(), broker.pki.ca, mine.cert, mine.key).check()

"""Batches, patience and acknowledgement, with a broker that is only a recorder of acknowledgements."""

import threading

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from ingestd.config import Mqtt
from ingestd.errors import BrokerError, DatabaseError, StateError
from ingestd.pipeline import Received
from ingestd.receive import Delivery, Receiver


class Acknowledged(Client):
    """A client without a broker that remembers what was acknowledged."""

    def __init__(self, mids):
        super().__init__(CallbackAPIVersion.VERSION2)
        self.mids = mids

    def ack(self, mid, qos):  # noqa: ARG002  # paho gives it
        self.mids.append(mid)
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class Handler:
    """Fails as told, then records what it handled."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.handled = []

    def __call__(self, messages):
        if self.failures:
            raise self.failures.pop(0)
        self.handled.append([message.payload for message in messages])
        return []


@pytest.fixture
def acknowledged(monkeypatch):
    monkeypatch.setattr("ingestd.receive._FIRST_PAUSE_S", 0.01)
    return []


def receiver(handler, acknowledged, **settings):
    made = Receiver(Mqtt(**settings), handler)
    made._client = Acknowledged(acknowledged)
    return made


def put(made, *payloads, connection=0):
    for number, payload in enumerate(payloads):
        made._queue.put(Delivery(Received("t", payload), number, 1, connection))


def run_once(made, handler):
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    for _ in range(500):
        if handler.handled:
            break
        stop.wait(0.01)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_batch_ends_at_the_number_of_messages(acknowledged):
    made = receiver(Handler(), acknowledged, batch_messages=2)
    put(made, b"a", b"b", b"c")
    assert [d.message.payload for d in made.take()] == [b"a", b"b"]
    assert [d.message.payload for d in made.take()] == [b"c"]
    assert made.take() == []


def test_batch_ends_at_the_number_of_entries(acknowledged):
    made = receiver(Handler(), acknowledged, batch_entries=3)
    put(made, b"h\n1\n2", b"h\n3\n4", b"h\n5")
    assert len(made.take()) == 2
    assert len(made.take()) == 1


def test_acknowledged_after_it_was_handled(acknowledged):
    handler = Handler()
    made = receiver(handler, acknowledged)
    put(made, b"a", b"b")
    run_once(made, handler)
    assert handler.handled == [[b"a", b"b"]]
    assert acknowledged == [0, 1]


def test_passing_failure_is_waited_out_with_the_same_batch(acknowledged):
    handler = Handler(DatabaseError("away"), OSError("no space"))
    made = receiver(handler, acknowledged)
    put(made, b"a")
    run_once(made, handler)
    assert handler.handled == [[b"a"]]
    assert acknowledged == [0]


def test_what_waiting_does_not_cure_is_raised_and_not_acknowledged(acknowledged):
    made = receiver(Handler(StateError("forked")), acknowledged)
    put(made, b"a")
    with pytest.raises(StateError):
        made.run(threading.Event())
    assert acknowledged == []


def test_told_to_stop_while_waiting_leaves_the_batch_unacknowledged(acknowledged):
    made = receiver(Handler(*[DatabaseError("away")] * 1000), acknowledged)
    put(made, b"a")
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    made.run(stop)
    assert acknowledged == []


def test_message_of_an_earlier_connection_is_not_acknowledged(acknowledged):
    handler = Handler()
    made = receiver(handler, acknowledged)
    put(made, b"a", connection=7)
    run_once(made, handler)
    assert acknowledged == []


@pytest.mark.parametrize(
    ("codes", "problem"), [((1,), ""), ((135,), "subscription-refused"), ((1, 128), "subscription-refused")]
)
def test_refused_subscription_is_said(acknowledged, codes, problem):
    made = receiver(Handler(), acknowledged)
    assert made.problem
    reasons = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in codes]

    made._on_subscribe(made._client, None, 1, reasons, None)

    assert made.problem.partition(":")[0] == problem


def test_a_heartbeat_goes_its_own_way_and_never_into_a_batch(acknowledged):
    beats = []
    made = Receiver(Mqtt(), Handler(), lambda *beat: beats.append(beat))
    for topic, retained in (("bwc/v1/station-01/status", True), ("bwc/v1/station-01/records", False)):
        message = MQTTMessage(1, topic.encode())
        message.payload, message.retain = b"x", retained
        made._on_message(made._client, None, message)
    assert beats == [("station-01", b"x", True)]
    assert [delivery.message.topic for delivery in made.take()] == ["bwc/v1/station-01/records"]


def test_broker_that_cannot_be_reached_is_said(acknowledged):
    made = Receiver(Mqtt(port=1), Handler())
    made.start()
    for _ in range(500):
        if made.problem.startswith("broker-unreachable"):
            break
        threading.Event().wait(0.01)
    made.stop()
    assert made.problem.startswith("broker-unreachable")


def test_unusable_tls_files_are_one_sentence(tmp_path):
    (tmp_path / "ca.crt").write_text("nonsense")
    with pytest.raises(BrokerError, match=r"mqtt\.ca, mqtt\.cert or mqtt\.key"):
        Receiver(Mqtt(ca=tmp_path / "ca.crt"), Handler())

"""MQTT: takes messages from the broker, hands them on in batches, acknowledges after the commit, publishes answers.

The broker's acknowledgement means nothing here: what is lost between broker and centre, the station sends again.
"""

import queue
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from custody import topics
from custody.messages import MAX_MESSAGE_BYTES
from ingestd.config import Mqtt
from ingestd.errors import BrokerError, CentreError, Policy
from ingestd.pipeline import Answer, Received

SESSION_S: Final = 7 * 24 * 3600
"""How long the broker keeps messages for us while we are away."""
KEEPALIVE_S: Final = 60
MAX_PACKET_BYTES: Final = MAX_MESSAGE_BYTES + 64 * 1024
"""Largest packet we take: a message and room for its headers; the broker keeps larger ones from us."""
_POLL_S: Final = 0.2
_FIRST_PAUSE_S: Final = 0.5
_LAST_PAUSE_S: Final = 30.0

Beat = Callable[[str, bytes, bool], None]
"""Takes a station's heartbeat, and whether the broker had kept it (retained) rather than got it just now."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message with what its acknowledgement needs."""

    message: Received
    mid: int
    qos: int
    connection: int
    """A message of an earlier connection is not acknowledged: the broker delivers it again."""


class Receiver:
    """One connection to the broker. ``handle`` must have committed when it returns."""

    def __init__(
        self,
        settings: Mqtt,
        handle: Callable[[Sequence[Received]], list[Answer]],
        beat: Beat = lambda _station, _data, _retained: None,
    ) -> None:
        """``beat`` takes heartbeats. Raises ``BrokerError`` when the TLS files cannot be used."""
        self._settings = settings
        self._handle = handle
        self._beat = beat
        self._queue: queue.Queue[Delivery] = queue.Queue(2 * settings.batch_messages)
        self._stopping = threading.Event()
        self._connection = 0
        self.problem = "not connected yet"
        """Why nothing arrives, or an empty string while we are connected and subscribed."""
        self._client = self._new_client()

    def start(self) -> None:
        """Connect, now or as soon as the broker is there."""
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho does not type it
        connect.SessionExpiryInterval = SESSION_S
        connect.MaximumPacketSize = MAX_PACKET_BYTES
        connect.ReceiveMaximum = min(65_535, 2 * self._settings.batch_messages)
        self._client.connect_async(
            self._settings.host, self._settings.port, KEEPALIVE_S, clean_start=False, properties=connect
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect in order; what was not acknowledged comes again next time."""
        self._stopping.set()
        self._client.disconnect()
        self._client.loop_stop()

    def run(self, stop: threading.Event) -> None:
        """Handle batches until ``stop``. A passing failure is waited out; any other is raised."""
        while not stop.is_set():
            batch = self.take()
            if batch:
                self._handle_patiently(batch, stop)

    def take(self) -> list[Delivery]:
        """What is there, at most ``batch_messages`` or ``batch_entries``; empty after a short wait for nothing."""
        try:
            batch = [self._queue.get(timeout=_POLL_S)]
        except queue.Empty:
            return []
        entries = _entries_in(batch[0])
        while len(batch) < self._settings.batch_messages and entries < self._settings.batch_entries:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
            entries += _entries_in(batch[-1])
        return batch

    def publish(self, answers: Sequence[Answer]) -> None:
        """Send answers; one that gets lost is asked for again by its station."""
        for answer in answers:
            self._client.publish(topics.receipts(answer.station), answer.receipts.encode(), qos=1)

    def _handle_patiently(self, batch: Sequence[Delivery], stop: threading.Event) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answers = self._handle([delivery.message for delivery in batch])
            except (CentreError, OSError) as error:
                if not passes(error):
                    raise
                _log.warning("batch-waits", error=str(error), messages=len(batch), pause_s=pause_s)
                if stop.wait(pause_s):
                    return
                pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            else:
                break
        self._acknowledge(batch)
        self.publish(answers)

    def _acknowledge(self, batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            if delivery.connection == self._connection:
                self._client.ack(delivery.mid, delivery.qos)

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
        )
        if self._settings.ca or self._settings.cert:
            _use_tls(client, self._settings)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._hindered("broker-refused", str(reason))
            return
        self._connection += 1
        _log.info("broker-connected", host=self._settings.host, port=self._settings.port)
        # A heartbeat that gets lost is followed by the next: nothing of it is queued or acknowledged.
        client.subscribe([(topics.ALL_RECORDS, SubscribeOptions(qos=1)), (topics.ALL_STATUS, SubscribeOptions(qos=0))])

    def _on_disconnect(
        self, _client: Client, _userdata: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self._connection += 1
        self.problem = f"broker-gone: {reason}"
        _log.info("broker-gone", reason=str(reason))

    def _on_connect_fail(self, _client: Client, _userdata: Any) -> None:
        self._hindered("broker-unreachable", f"{self._settings.host}:{self._settings.port}")

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        """A refused subscription looks like a quiet day, so it must be said."""
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            asked = f"{topics.ALL_RECORDS}, {topics.ALL_STATUS}"
            self._hindered("subscription-refused", f"{asked}: {', '.join(refused)}: see the broker's ACL")
        else:
            self.problem = ""

    def _hindered(self, event: str, reason: str) -> None:
        self.problem = f"{event}: {reason}"
        _log.error(event, reason=reason)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        """Waits while the queue is full, so that the broker holds back what we cannot take yet."""
        station = topics.station_in(message.topic)
        if station and message.topic == topics.status(station):
            self._beat(station, bytes(message.payload), message.retain)
            return
        received = Received(message.topic, bytes(message.payload))
        delivery = Delivery(received, message.mid, message.qos, self._connection)
        while not self._stopping.is_set():
            try:
                self._queue.put(delivery, timeout=_POLL_S)
            except queue.Full:
                continue
            return


def passes(error: CentreError | OSError) -> bool:
    """Whether waiting may help."""
    return isinstance(error, OSError) or error.policy is Policy.RETRY


def _use_tls(client: Client, settings: Mqtt) -> None:
    try:
        client.tls_set(
            ca_certs=_text(settings.ca),
            certfile=_text(settings.cert),
            keyfile=_text(settings.key),
            tls_version=ssl.PROTOCOL_TLS_CLIENT,
        )
    except (OSError, ValueError) as error:
        raise BrokerError(f"mqtt.ca, mqtt.cert or mqtt.key cannot be used: {error}") from error


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _entries_in(delivery: Delivery) -> int:
    return delivery.message.payload.count(b"\n")

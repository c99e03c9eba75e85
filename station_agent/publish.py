"""Outbox → broker → centre, and the centre's answers back.

MQTT 5, QoS 1, persistent session, mutual TLS. Entries go in log order, many to a message. What ends the sending of an
entry is never the broker's PUBACK but the centre's word: its cosignature over the checkpoint, and for a clip the signed
receipt. Whatever has no answer is sent again after ``resend_after_s``, with doubling pauses up to ``LONGEST_RESEND``
times that.
"""

import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from custody import topics
from custody.checkpoint import Checkpoint, NoteKey, SignedCheckpoint, parse_note
from custody.errors import EvidenceError
from custody.keyring import LogKeys
from custody.messages import MAX_ENTRIES, MAX_MESSAGE_BYTES, Receipts, Records, decode_receipts
from custody.plans import Act, Plans, read_plans
from custody.receipt import covers, read_receipt
from station_agent.errors import BrokerError
from station_agent.journal import Journal
from station_agent.ports import Clock
from station_agent.pulse import FAREWELL, Pulse
from station_agent.seal import Seal
from station_agent.status import CentreLink

SESSION_EXPIRY_S: Final = 7 * 24 * 3600
"""The broker keeps receipts for a station that is offline this long; later ones come again by resending."""
KEEPALIVE_S: Final = 30
IN_FLIGHT: Final = 8
"""Messages of at most 1 MiB each that wait for their PUBACK: bounds memory, not delivery."""
HEADER_BYTES: Final = 70_000
"""Room kept in a message for its header: a checkpoint note has at most 65,536 bytes."""
PAGE_ENTRIES: Final = 500
"""Entries held in memory when many are sent again."""
BATCH_ENTRIES: Final = 2_000
"""Entries looked at in one round."""
ROUND_S: Final = 0.3
"""Pause between rounds, so that entries made together travel together."""
LONGEST_RESEND: Final = 16
_PLANS: Final = "plans"
"""Name of the journal's fact."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word counts. Without a witness no checkpoint is believed: our own signature comes back from any broker."""

    centre: NoteKey | None
    witness: NoteKey | None
    centre_second: NoteKey | None = None
    """The SM2 key of a centre log in profile ``gm``: receipts need its signature too."""
    centre_later: tuple[LogKeys, ...] = ()
    """Keys that followed in the centre log, as the station was told of them."""

    @property
    def centres(self) -> list[LogKeys]:
        """Whose receipts count."""
        return [LogKeys(self.centre, self.centre_second), *self.centre_later] if self.centre else []


class Outbox:
    """What is sent and what the answers mean; knows nothing of MQTT."""

    def __init__(self, clock: Clock, journal: Journal, seal: Seal, trust: Trust, resend_after_s: float) -> None:
        self._clock = clock
        self._journal = journal
        self._seal = seal
        self._trust = trust
        self._resend_ms = int(resend_after_s * 1000)
        self._roots: dict[int, bytes] = {}

    def messages(self) -> Iterator[tuple[bytes, list[int]]]:
        """Messages due now, each with the entries in it. A checkpoint that covers them travels along."""
        due = self._journal.due_entries(self._clock.now().utc_ms, BATCH_ENTRIES, self._longest_ms)
        if not due:
            return
        signed, second = self._seal.checkpoints()
        self._roots[signed.checkpoint.size] = signed.checkpoint.root
        notes = signed.note, second.note if second else b""
        for run in runs(due):
            message = Records(self._seal.origin, run[0][0], tuple(data for _, data in run), *notes)
            yield message.encode(), [seq for seq, _ in run]

    def sent(self, seqs: Sequence[int]) -> None:
        """These are with the broker; without the centre's answer they are due again later."""
        self._journal.sent(seqs, self._clock.now().utc_ms, self._resend_ms, LONGEST_RESEND)

    def answered(self, data: bytes) -> None:
        """Take in an answer of the centre: every receipt that is right, then its word on our log.

        Raises ``EvidenceError`` for the first thing in it that is not what it claims to be, after the rest was taken.
        """
        answer = decode_receipts(data)
        if answer.log != self._seal.origin:
            raise EvidenceError(f"an answer for {answer.log} came to {self._seal.origin}", "log-forked")
        refused = [*self._refused_receipts(answer), *self._refused_checkpoint(answer)]
        self._take_cosignature(answer)
        if refused:
            raise refused[0]

    @property
    def _longest_ms(self) -> int:
        return self._resend_ms * LONGEST_RESEND

    def _take_cosignature(self, answer: Receipts) -> None:
        """What the centre's witness signed counts; ``size`` alone is anybody's word and only ever lets go of less."""
        if not answer.cosigned or self._trust.witness is None:
            return
        note = parse_note(answer.cosigned)
        signed_s = self._signed_s(note, self._trust.witness)
        size, known = note.checkpoint.size, int(self._journal.fact("cosigned_size") or 0)
        if size < known and signed_s <= int(self._journal.fact("cosigned_s") or 0):
            return  # An old answer that came late.
        self._check_history(note.checkpoint)
        self._journal.cosigned(note.note, size, signed_s)
        self._journal.settle(min(size, answer.size))
        self._roots = {at: root for at, root in self._roots.items() if at >= size}
        if size < known:
            _log.warning("centre-lost-entries", has=size, had=known)
            rewind(self._journal, self._seal, size)

    def _signed_s(self, note: SignedCheckpoint, witness: NoteKey) -> int:
        """When the witness signed, in seconds. Our own signature is needed too: it proves that it is our checkpoint."""
        own = [keys.note for keys in self._seal.history.of_checkpoint(note.checkpoint.size)]
        signed = note.verify([*own, witness])
        if note.checkpoint.origin != self._seal.origin or not {self._seal.origin, witness.name} <= set(signed):
            raise EvidenceError(
                f"a checkpoint of {note.checkpoint.origin} without the signatures it needs", "key-unknown"
            )
        return signed[witness.name]

    def _check_history(self, checkpoint: Checkpoint) -> None:
        """Whether what we signed and the witness saw is the log we have; what is not stays on the screen."""
        try:
            self._compare(checkpoint)
        except EvidenceError as error:
            _log.error("centre-knows-another-log", finding=error.finding, reason=str(error))
            self._journal.alarm(f"{error.finding}: {error}")
            raise
        self._journal.alarm("")

    def _compare(self, checkpoint: Checkpoint) -> None:
        size = checkpoint.size
        if size > self._seal.size:
            raise EvidenceError(
                f"{checkpoint.origin}: the centre saw {size} entries, this log has {self._seal.size}", "log-truncated"
            )
        if size not in self._roots:
            self._roots[size] = self._seal.root_at(size)
        if self._roots[size] != checkpoint.root:
            raise EvidenceError(
                f"{checkpoint.origin}: the first {size} entries here are not those the centre saw", "log-forked"
            )

    def _refused_checkpoint(self, answer: Receipts) -> Iterator[EvidenceError]:
        """Takes in how far the centre has signed its own log; yields why that does not count."""
        if not answer.centre or self._trust.centre is None:
            return
        try:
            self._take_checkpoint(parse_note(answer.centre), self._trust.centre)
        except EvidenceError as error:
            _log.warning("centre-checkpoint-refused", finding=error.finding, reason=str(error))
            yield error

    def planned(self, data: bytes) -> None:
        """Keep what the centre says is planned; an older message than the one at hand changes nothing.

        Raises ``EvidenceError`` for what the centre did not sign.
        """
        if self._trust.centre is None:
            return
        keys = [key for one in self._trust.centres for key in one.keys]
        plans = read_plans(data, self._trust.centre.name, keys)
        if plans.made_ms > kept_plans(self._journal).made_ms:
            self._journal.set_fact(_PLANS, json.dumps(asdict(plans)))

    def _take_checkpoint(self, note: SignedCheckpoint, centre: NoteKey) -> None:
        """The newest one that verified; entries written from now on say that they were written after it."""
        note.verify([keys.note for keys in self._trust.centres])
        seen, known = note.checkpoint, self._seal.centre_seen
        if seen.origin != centre.name:
            raise EvidenceError(f"a checkpoint of {seen.origin} is none of {centre.name}", "log-forked")
        if known and known.size == seen.size and known.root != seen.root:
            raise EvidenceError(f"{seen.origin} signed two roots for its first {seen.size} entries", "log-forked")
        if seen.size > (known.size if known else 0):
            self._seal.see(seen)

    def _refused_receipts(self, answer: Receipts) -> Iterator[EvidenceError]:
        """Takes the receipts in; yields why one does not count."""
        if self._trust.centre is None:
            return
        for entry in answer.entries:
            try:
                self._take_receipt(entry, self._trust.centre)
            except EvidenceError as error:
                _log.warning("receipt-refused", finding=error.finding, reason=str(error))
                yield error

    def _take_receipt(self, entry: bytes, centre: NoteKey) -> None:
        receipt = read_receipt(entry, centre.name, [key for keys in self._trust.centres for key in keys.keys])
        if not self._journal.knows(receipt.object_id):
            return
        clip = self._journal.clip(receipt.object_id)
        if not covers(receipt, self._seal.origin, clip.object_id, clip.file.size, clip.sha256):
            raise EvidenceError(f"a receipt for another content of {clip.object_id}", "mirror-mismatch")
        self._journal.receipted(clip.object_id, entry)


def kept_plans(journal: Journal) -> Plans:
    """The last plans of the centre that verified here; made at 0 before the first."""
    fact = journal.fact(_PLANS)
    if not fact:
        return Plans("", 0, ())
    block = json.loads(fact)
    acts = tuple(Act(**{**act, "officers": tuple(act["officers"])}) for act in block["acts"])
    return Plans(block["log"], block["made_ms"], acts, block["left_out"])


def rewind(journal: Journal, seal: Seal, first: int) -> int:
    """Put the entries from ``first`` on into the outbox again, a page at a time; returns how many."""
    entries, count = seal.read(first), 0
    while page := list(islice(entries, PAGE_ENTRIES)):
        journal.rewind(page)
        count += len(page)
    return count


class Publisher:
    """Connection to the broker and the thread that keeps the outbox moving."""

    def __init__(self, station: str, outbox: Outbox, broker: "Broker", clock: Clock, pulse: Pulse) -> None:
        self._station = station
        self._outbox = outbox
        self._pulse = pulse
        self._clock = clock
        self._room = threading.Semaphore(IN_FLIGHT)
        self._link = CentreLink(online=False, since_ms=clock.now().utc_ms)
        self._answers: list[tuple[str, bytes]] = []
        """Topic and payload of what came and was not looked at yet."""
        self._answers_lock = threading.Lock()
        self._wake = threading.Event()
        self._client = self._connected_client(broker)

    @property
    def link(self) -> CentreLink:
        """Whether the broker is reached, and since when."""
        return self._link

    def run(self, stop: threading.Event) -> None:
        """Keep the outbox moving until told to stop; outages are waited out."""
        self._client.loop_start()
        try:
            while not stop.is_set():
                self._round()
                self._wake.wait(ROUND_S)
                self._wake.clear()
        finally:
            self._say_offline()
            self._client.loop_stop()

    def _round(self) -> None:
        self._take_answers()
        if not self._link.online:
            return
        self._beat()
        for data, seqs in self._outbox.messages():
            if not self._room.acquire(timeout=ROUND_S) or not self._link.online:
                return
            if self._client.publish(topics.records(self._station), data, qos=1).rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            self._outbox.sent(seqs)
            self._take_answers()

    def _beat(self) -> None:
        """Takes its place in the line like any message, since its PUBACK frees one; without place, the next round."""
        if not self._room.acquire(blocking=False):
            return
        heartbeat = self._pulse.due()
        if heartbeat is None:
            self._room.release()
        else:
            self._client.publish(topics.status(self._station), heartbeat, qos=1, retain=True)

    def _take_answers(self) -> None:
        with self._answers_lock:
            answers, self._answers = self._answers, []
        for topic, data in answers:
            try:
                if topic == topics.plans(self._station):
                    self._outbox.planned(data)
                else:
                    self._outbox.answered(data)
            except EvidenceError as error:
                # Nothing was let go of because of it; the entries are sent again.
                _log.warning("answer-refused", finding=error.finding, reason=str(error))

    def _connected_client(self, broker: "Broker") -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._station, protocol=mqtt.MQTTv5)
        broker.secure(client)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.reconnect_delay_set(1, 30)
        client.will_set(topics.status(self._station), FAREWELL.encode(), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        client.connect_async(broker.host, broker.port, KEEPALIVE_S, clean_start=False, properties=properties)
        return client

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        if reason.is_failure:
            _log.warning("broker-refused", reason=str(reason))
            return
        client.subscribe([(topics.receipts(self._station), 1), (topics.plans(self._station), 1)])
        self._pulse.connected()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._set_online(online=True)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any) -> None:
        _log.info("broker-lost", reason=str(reason))
        self._set_online(online=False)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._answers_lock:
            self._answers.append((message.topic, bytes(message.payload)))
        self._wake.set()

    def _on_publish(self, _client: mqtt.Client, _data: Any, _mid: int, _reason: ReasonCode, _props: Any) -> None:
        self._room.release()

    def _set_online(self, *, online: bool) -> None:
        if online != self._link.online:
            self._link = CentreLink(online, self._clock.now().utc_ms)
        self._wake.set()

    def _say_offline(self) -> None:
        if self._link.online:
            self._client.publish(topics.status(self._station), FAREWELL.encode(), qos=1, retain=True)
            self._client.disconnect()


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how both sides prove themselves."""

    host: str
    port: int
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def secure(self, client: mqtt.Client) -> None:
        """Mutual TLS 1.2 or newer. Raises ``BrokerError`` for certificate files that cannot be used."""
        if self.ca is None:
            return
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            raise BrokerError(f"TLS files {self.ca}, {self.cert}, {self.key}: {error}") from error
        client.tls_set_context(context)

    def check(self) -> None:
        """Connect once and leave. Raises ``BrokerError``."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.secure(client)
        answers: list[ReasonCode] = []
        client.on_connect = lambda _c, _d, _f, reason, _p: answers.append(reason)
        try:
            client.connect(self.host, self.port, KEEPALIVE_S)
            for _ in range(50):
                if answers or client.loop(timeout=0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
            client.disconnect()
        except (OSError, ValueError) as error:
            raise BrokerError(f"{self.host}:{self.port}: {error}") from error
        if not answers or answers[0].is_failure:
            raise BrokerError(f"{self.host}:{self.port}: {answers[0] if answers else 'no answer'}")


def runs(due: Sequence[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Entries that follow each other without gap and fit into one message each."""
    run: list[tuple[int, bytes]] = []
    size = HEADER_BYTES
    for seq, data in due:
        full = len(run) == MAX_ENTRIES or size + len(data) + 1 > MAX_MESSAGE_BYTES
        if run and (full or seq != run[-1][0] + 1):
            yield run
            run, size = [], HEADER_BYTES
        run.append((seq, data))
        size += len(data) + 1
    if run:
        yield run

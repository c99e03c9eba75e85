"""The life of a station's keys through the real broker: enrolled, approved while the centre runs, rotated, revoked."""

import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from custody.keyring import ENROLLED
from custody.signer import verify_key
from ingestd import cli as centre_cli
from ingestd import config as centre_config
from ingestd import serve as centre_service
from ingestd.errors import CentreError
from keystore import open_signer
from station_agent import cli as station_cli
from station_agent import config as station_config
from station_agent import enrolment
from station_agent import service as station_service
from station_agent.errors import AgentError, KeyFileError
from tests.conftest import STATION
from tests.rig.broker import CENTRE, Broker, free_port, is_listening

pytestmark = pytest.mark.integration
AUTHORITY = "custody.example"
TWO = ["--by", "Li Ming 007", "--by", "Wang Fang 013"]
PATIENCE_S = 30


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def facts(self) -> dict:
        """The one JSON object; the service runs in this process too, and its log stands beside it."""
        return json.loads(next(line for line in self.out.splitlines() if line.startswith("{")))


class House:
    """Centre and station in one folder, each driven by its command line."""

    def __init__(self, folder: Path, broker: Broker, capsys) -> None:
        self.folder, self.broker, self._capsys = folder, broker, capsys
        self.card = folder / "card"
        self.card.mkdir()
        self.use(broker)

    def use(self, broker: Broker) -> None:
        """Configure both for this broker."""
        self.broker = broker
        self._write_centre()
        self.write_station(self.ingestd("init", "--json").facts["vkeys"])

    def ingestd(self, *arguments: str) -> Said:
        return self._run(centre_cli.app, CentreError, *arguments, "--data-dir", str(self.folder))

    def agent(self, *arguments: str) -> Said:
        return self._run(station_cli.app, AgentError, *arguments, "--data-dir", str(self.folder))

    def _run(self, app, kind, *arguments: str) -> Said:
        self._capsys.readouterr()
        try:
            app(list(arguments), standalone_mode=True)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except kind as error:
            captured = self._capsys.readouterr()
            return Said(error.exit_code, captured.out, captured.err + str(error))
        captured = self._capsys.readouterr()
        return Said(code, captured.out, captured.err)

    def _write_centre(self) -> None:
        identity = self.broker.pki.client(CENTRE)
        (self.folder / "ingestd.toml").write_text(f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[mqtt]
host = "{self.broker.host}"
port = {self.broker.port}
ca = "{self.broker.pki.ca}"
cert = "{identity.cert}"
key = "{identity.key}"
[store]
url = "store"
[database]
url = "sqlite:///index.db"
[web]
port = {free_port()}
""")

    def write_station(self, vkeys: dict[str, str]) -> None:
        (self.folder / "station-agent.toml").write_text(f"""
[station]
id = "{STATION}"
authority = "{AUTHORITY}"
[sandbox]
required = false
[keys]
centre = "{vkeys["log"]}"
witness = "{vkeys["witness"]}"
[mqtt]
host = "{self.broker.host}"
port = {self.broker.port}
ca = "{self.broker.pki.ca}"
cert = "station/keys/mqtt.crt"
key = "station/keys/mqtt.pem"
[store]
url = "store"
[publish]
resend_after_s = 0.5
[screen]
port = 0
""")

    @property
    def station(self) -> station_config.Config:
        return station_config.load(self.folder / "station-agent.toml")

    @property
    def centre(self) -> centre_config.Config:
        return centre_config.load(self.folder / "ingestd.toml")

    def asked(self, *command: str) -> tuple[Path, str]:
        facts = self.agent(*command, "--out", str(self.folder / "request.json"), "--json").facts
        return self.folder / "request.json", facts["fingerprint"]

    def approved(self, request: Path, digits: str) -> Path:
        answer = self.folder / "answer.json"
        said = self.ingestd(
            "keys", "approve", str(request), *TWO, "--fingerprint", digits, "--out", str(answer), "--json"
        )
        assert said.code == 0, said.err
        return answer

    def docked(self, name: str) -> None:
        """A file is taken in and described; what the centre answers is waited for elsewhere."""
        (self.card / name).write_bytes(name.encode() * 50)
        assert self.agent("ingest", str(self.card), "--offload-only").code == 0

    @contextmanager
    def centre_running(self) -> Iterator[None]:
        stop = threading.Event()
        failed: list[BaseException] = []

        def serve() -> None:
            try:
                centre_service.run(self.centre, stop)
            except BaseException as error:  # noqa: BLE001  # said below
                failed.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not is_listening(self.centre.web.port) and thread.is_alive():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield
        finally:
            stop.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
            assert failed == []

    def sent(self, *, until) -> None:
        """The station publishes until the condition over its journal holds."""
        stop = threading.Event()
        with station_service.opened(self.station, stop, patient=False) as rooms:
            rooms.followup.drain(stop)
            publisher = station_service._publisher(rooms)
            thread = threading.Thread(target=publisher.run, args=(stop,))
            thread.start()
            try:
                deadline = time.monotonic() + PATIENCE_S
                while not until(rooms):
                    assert time.monotonic() < deadline, rooms.journal.waiting()
                    time.sleep(0.05)
            finally:
                stop.set()
                thread.join(PATIENCE_S)


def everything_answered(rooms) -> bool:
    waiting = rooms.journal.waiting()
    return waiting.outbox == waiting.receipts == waiting.upload == 0


@pytest.fixture
def house(tmp_path, broker, capsys) -> House:
    return House(tmp_path, broker, capsys)


def openssl(*arguments: object, ok: bool = True) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_station_is_enrolled_rotated_and_revoked_while_the_centre_runs(house, tmp_path):
    assert house.ingestd("keys", "ca", "init").code == 0
    with mosquitto_of(house, tmp_path / "own") as own:
        house.use(own)
        with house.centre_running():
            enrolled_by_two(house)
            rotated_by_two(house)
            clean = house.ingestd("audit", "verify", "--json")
            assert (clean.code, clean.facts["verified"]) == (0, 2), clean.out
            history = enrolment.history_of(house.station)
            told = ["--key", history.current.keyid, "--from", "now", "--reason", "stolen", "--json"]
            said = house.ingestd("keys", "revoke", STATION, *told, *TWO)
            assert said.code == 0, said.err
            house.docked("late.mp4")
            house.sent(until=everything_answered)
    found = house.ingestd("audit", "verify", "--json")
    assert found.code == 1
    [finding] = found.facts["findings"]
    late = [entry.seq for entry in read(house) if entry.record.event == "ingest.copied"][-1]
    assert finding["verdict"] == "key-review"
    assert late in numbers(finding["reason"].rpartition(": ")[2])
    assert found.facts["verified"] == 3
    rows = {row["keyid"]: row for row in house.ingestd("keys", "list", "--json").facts["keys"]}
    (_, first), (second_seq, second) = history.spans
    assert rows[first.keyid]["until_seq"] == second_seq == rows[second.keyid]["from_seq"]
    assert rows[second.keyid]["revoked_reason"] == "stolen"
    assert rows[first.keyid]["approvers"] == ["Li Ming 007", "Wang Fang 013"]


def enrolled_by_two(house):
    request, digits = house.asked("enrol")
    house.docked("before.mp4")
    wrong = house.ingestd("keys", "approve", str(request), *TWO, "--fingerprint", "11111 " * 8)
    assert (wrong.code, "指纹不一致" in wrong.err) == (65, True)
    argv = [sys.executable, "-m", "ingestd.cli", "keys", "approve", str(request), *TWO, "--data-dir", str(house.folder)]
    asked = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (asked.returncode, digits in asked.stderr, "需要指纹" in asked.stderr) == (65, False, True)
    accepted = house.agent("enrol", "--accept", str(house.approved(request, digits)), "--json")
    assert accepted.code == 0, accepted.err
    house.sent(until=everything_answered)


def rotated_by_two(house):
    first = enrolment.history_of(house.station).current
    request, digits = house.asked("rotate")
    answer = house.approved(request, digits)
    assert house.agent("rotate", "--accept", str(answer), "--json").facts["done"] == "yes"
    history = enrolment.history_of(house.station)
    assert (history.at(0), len(history.spans)) == (first, 2)
    assert verify_key(open_signer(house.station.keys.custody)) == history.current.keys[0]
    assert "until" in house.agent("doctor", "--json").facts["checks"]["certificates"]["detail"]
    house.docked("after.mp4")
    house.sent(until=everything_answered)
    assert house.agent("verify-log", "--json").facts["findings"] == []


def numbers(text):
    """``3-5, 9`` as numbers."""
    parts = [part.split("-") for part in text.split(", ")]
    return {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}


def read(house):
    from custody.log import Log  # noqa: PLC0415
    from station_agent.logfiles import AuditedLogFiles  # noqa: PLC0415

    first, *later = enrolment.succession_of(house.station)
    return list(Log(AuditedLogFiles(house.station.log), house.station.origin, first.keys, later).entries())


def test_openssl_and_the_broker_tell_the_two_certificates_apart_and_know_what_was_revoked(house, broker, tmp_path):
    assert house.ingestd("keys", "ca", "init").code == 0
    again = house.ingestd("keys", "ca", "init")
    assert (again.code, "there is a CA already" in again.err) == (65, True)
    request, digits = house.asked("enrol")
    answer = house.approved(request, digits)
    assert house.agent("enrol", "--accept", str(answer)).code == 0
    config = house.station
    ca, crl = house.centre.ca_cert, house.centre.crl
    openssl("verify", "-CAfile", ca, "-purpose", "sslclient", config.mqtt_cert)
    assert "unsuitable" in openssl("verify", "-CAfile", ca, "-purpose", "sslclient", config.custody_cert, ok=False)
    text = openssl("x509", "-in", config.custody_cert, "-noout", "-text")
    assert "Extended Key Usage: critical" in text
    assert "2.25.147696067045669932245954020403119342054" in text
    check = ("verify", "-CAfile", ca, "-crl_check", "-CRLfile", crl)
    openssl(*check, config.mqtt_cert)
    with mosquitto_of(house, tmp_path / "own") as own:
        assert connects(own, ca, config.mqtt_cert, config.mqtt_key)
        assert not connects(own, ca, config.custody_cert, config.keys.custody)
    keyid = enrolment.history_of(config).current.keyid
    said = house.ingestd(
        "keys", "revoke", STATION, "--key", keyid, "--from", "2026-01-02T03:04:05", "--reason", "lost", *TWO
    )
    assert said.code == 0, said.err
    for certificate in (config.mqtt_cert, config.custody_cert):
        assert "revoked" in openssl(*check, certificate, ok=False)
    text = openssl("crl", "-in", crl, "-noout", "-text")
    assert "Key Compromise" in text
    assert "Invalidity Date" in text
    for certificate, place in ((config.custody_cert, "mqtt"), (config.mqtt_cert, "custody")):
        swapped = x509.load_pem_x509_certificate(certificate.read_bytes())
        assert swapped.subject.rfc4514_string() == f"CN={STATION}", place


@pytest.mark.parametrize("program", ["station", "centre"])
def test_a_certificate_in_the_others_place_is_one_sentence_at_the_start(house, program, tmp_path):
    house.ingestd("keys", "ca", "init")
    request, digits = house.asked("enrol")
    house.agent("enrol", "--accept", str(house.approved(request, digits)))
    custody, mqtt = house.station.custody_cert, house.station.mqtt_cert
    if program == "station":
        custody_bytes = custody.read_bytes()
        custody.write_bytes(mqtt.read_bytes())
        said = house.agent("ingest", str(house.card))
        assert (said.code, "a custody certificate is needed here" in said.err) == (77, True)
        custody.write_bytes(custody_bytes)
        mqtt.write_bytes(custody_bytes)
        said = house.agent("ingest", str(house.card))
        assert (said.code, "a TLS client certificate (clientAuth) is needed here" in said.err) == (77, True)
        assert house.agent("doctor", "--json").facts["checks"]["certificates"]["ok"] is False
        return
    text = (house.folder / "ingestd.toml").read_text()
    for name, path in (("custody_cert", mqtt), ("cert", custody)):
        changed = text.replace("[mqtt]", f'custody_cert = "{path}"\n[mqtt]') if name == "custody_cert" else text
        if name == "cert":
            start = changed.index('cert = "')
            changed = changed[:start] + f'cert = "{path}"' + changed[changed.index("\n", start) :]
        (house.folder / "ingestd.toml").write_text(changed)
        said = house.ingestd("clips", "list")
        assert (said.code, "is needed here" in said.err) == (78, True), said.err


@contextmanager
def mosquitto_of(house: House, folder: Path) -> Iterator[Broker]:
    """A broker that trusts the agency's own CA for its clients, besides the one of the rig."""
    own = Broker(folder, house.broker.pki, [STATION])
    conf, both = folder / "mosquitto.conf", folder / "both.crt"
    both.write_bytes(house.broker.pki.ca.read_bytes() + house.centre.ca_cert.read_bytes())
    conf.write_text(conf.read_text().replace(str(house.broker.pki.ca), str(both)))
    own.start()
    try:
        yield own
    finally:
        own.stop()


def connects(broker: Broker, ca: Path, cert: Path, key: Path) -> bool:
    context = ssl.create_default_context(cafile=str(broker.pki.ca))
    context.load_cert_chain(cert, key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that a refusal is part of the handshake
    client = Client(CallbackAPIVersion.VERSION2, client_id=STATION, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(context)
    answers: list[bool] = []
    client.on_connect = lambda _c, _d, _f, reason, _p: answers.append(not reason.is_failure)
    try:
        client.connect(broker.host, broker.port)
        for _ in range(50):
            client.loop(0.1)
            if answers:
                break
    except (OSError, ssl.SSLError):
        return False
    client.disconnect()
    return bool(answers) and answers[0]


def test_an_older_answer_takes_the_place_of_no_later_one(house):
    request, digits = house.asked("enrol")
    first = house.approved(request, digits).read_bytes()
    house.agent("enrol", "--accept", str(house.folder / "answer.json"))
    house.docked("one.mp4")
    old = house.station.keys.custody.read_bytes()
    request, digits = house.asked("rotate")
    later = house.approved(request, digits).read_bytes()
    enrolment.accept(house.station, later)
    with pytest.raises(KeyFileError, match="an older answer"):
        enrolment.accept(house.station, first)
    assert (house.station.enrolment / enrolment.ACCEPTED).read_bytes() == later
    assert house.agent("rotate", "--accept", str(house.folder / "answer.json")).code == 0
    place = house.station.keys.custody
    place.with_name("custody.next.pem").write_bytes(old)
    place.with_name("custody.next.pem").chmod(0o600)
    with pytest.raises(KeyFileError, match="the answer is an old one"):
        enrolment.accept(house.station, first)


@pytest.mark.parametrize("since", ["0001-01-01", "1969-12-31", "9999-99-99", "yesterday"])
def test_the_time_of_a_revocation_is_one_that_an_entry_can_hold(house, since):
    said = house.ingestd("keys", "revoke", STATION, "--key", "0", "--from", since, "--reason", "x", *TWO)
    assert (said.code, "a time such as" in said.err) == (65, True)


STEPS = ("add", "append", "settle", "certificates", "end")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_station_that_is_killed_while_it_goes_over_is_made_good_at_the_next_start(house, monkeypatch, step, after):
    request, digits = house.asked("enrol")
    house.agent("enrol", "--accept", str(house.approved(request, digits)))
    house.docked("one.mp4")
    request, digits = house.asked("rotate")
    answer = house.approved(request, digits)
    old = enrolment.history_of(house.station).current
    kill(monkeypatch, step, after=after)
    with pytest.raises(KilledError):
        house.agent("rotate", "--accept", str(answer))
    monkeypatch.undo()
    house.docked("two.mp4")
    history = enrolment.history_of(house.station)
    assert history.at(0) == old
    assert len(history.spans) == 2
    assert verify_key(open_signer(house.station.keys.custody)) == history.current.keys[0]
    assert not (house.station.enrolment / enrolment.ACCEPTED).exists()
    events = [entry.record.event for entry in read(house)]
    assert events.count(ENROLLED) == 1
    assert house.agent("verify-log").code == 0


class KilledError(BaseException):
    """Nothing of ours catches it."""


def kill(monkeypatch, step: str, *, after: bool) -> None:
    from keystore import KeyPlaces, OwnKeys  # noqa: PLC0415
    from station_agent.seal import Seal  # noqa: PLC0415

    owner, name = {
        "add": (OwnKeys, "add"),
        "append": (Seal, "_write"),
        "settle": (KeyPlaces, "settle"),
        "certificates": (enrolment, "_finish"),
        "end": (Path, "unlink"),
    }[step]
    real = getattr(owner, name)

    def dying(*arguments, **options):
        if step == "end" and arguments[0].name != enrolment.ACCEPTED:
            return real(*arguments, **options)
        if after:
            real(*arguments, **options)
        raise KilledError

    monkeypatch.setattr(owner, name, dying)

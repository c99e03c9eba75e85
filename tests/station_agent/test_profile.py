"""A station in each profile, from its configuration file to the message it would send."""

import json
import threading
from pathlib import Path

import pytest

from custody import p256, sm2
from custody.checkpoint import NoteKey, parse_note
from custody.errors import UnparsableError
from custody.identifiers import second_origin
from custody.log import SECOND_CHECKPOINT, Log
from custody.merkle import sm3
from custody.messages import Records, decode_records
from custody.profile import Profile
from custody.signer import verify_key
from keystore.pem import new_pem
from station_agent import cli
from station_agent.config import Config, load
from station_agent.errors import ConfigError, KeyFileError
from station_agent.keys import create_key, create_sm2_key, open_signers
from station_agent.logfiles import PosixLogFiles
from station_agent.publish import Outbox
from station_agent.service import Rooms, ingest_folder, opened, signers_of, trust_of

ORIGIN = "custody.example/station-07"
KEYS = 'witness = "custody.example/centre-witness+dfb530b1+BPqhzLsCB66+701/Yi2XzbSDm/cJGHQEcQRcJ1+o6CJK"\n'
CLIP = b"not a real clip, but real bytes\n"


def configured(folder: Path, profile: str, keys: str = "") -> Path:
    path = folder / "station-agent.toml"
    head = f'[station]\nid = "station-07"\nauthority = "custody.example"\nprofile = "{profile}"\n'
    path.write_text(f"{head}[screen]\nport = 0\n[mqtt]\nport = 1\n[keys]\n{KEYS}{keys}")
    return path


def station(folder: Path, profile: str) -> Config:
    """Configuration and keys of a station in ``profile``."""
    keys = folder / "station/keys"
    if profile == "p256":
        keys.mkdir(parents=True)
        (keys / "custody.pem").write_bytes(new_pem(p256.SUITE))
        (keys / "custody.pem").chmod(0o600)
        return load(configured(folder, profile))
    create_key(keys / "custody.pem")
    if profile == "std":
        return load(configured(folder, profile))
    create_sm2_key(keys / "sm2.pem")
    return load(configured(folder, profile, 'sm2 = "file:station/keys/sm2.pem"\n'))


def card(folder: Path) -> Path:
    (folder / "card").mkdir()
    (folder / "card/clip.mp4").write_bytes(CLIP)
    return folder / "card"


def sent(rooms: Rooms) -> list[Records]:
    outbox = Outbox(rooms.clock, rooms.journal, rooms.seal, trust_of(rooms.config), 30)
    return [decode_records(data) for data, _ in outbox.messages()]


@pytest.mark.parametrize("profile", list(Profile))
def test_a_station_seals_and_sends_in_its_profile(tmp_path, profile):
    config = station(tmp_path, profile)
    with opened(config, threading.Event(), patient=False) as rooms:
        ingest_folder(rooms, card(tmp_path))
        messages = sent(rooms)
    keys = [verify_key(signer) for signer in signers_of(config)]
    log = Log(PosixLogFiles(config.log), ORIGIN, keys)
    assert [entry.data for message in messages for entry in log.entries()] == [*messages[0].entries]
    digests = next(e.record.block("object")["digests"] for e in log.entries() if e.record.event == "ingest.copied")
    assert isinstance(digests, dict)
    assert digests.get("sm3") == (sm3(CLIP).hex() if profile is Profile.GM else None)
    assert parse_note(messages[0].checkpoint).verify([NoteKey(ORIGIN, keys[0])]) == {ORIGIN: 0}
    if profile is Profile.GM:
        second = parse_note(messages[0].checkpoint_sm3)
        assert second.verify([NoteKey(second_origin(ORIGIN), keys[1])]) == {second_origin(ORIGIN): 0}
        assert second.checkpoint.size == parse_note(messages[0].checkpoint).checkpoint.size
    else:
        assert messages[0].checkpoint_sm3 == b""
        assert not (config.log / SECOND_CHECKPOINT).exists()


def verify_log(monkeypatch, capsys, folder: Path) -> tuple[int, list[str]]:
    monkeypatch.setattr("sys.argv", ["station-agent", "verify-log", "--json", "--data-dir", str(folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["findings"]
    return int(ended.value.code or 0), [finding["finding"] for finding in found]


def test_verify_log_reads_the_second_note_too(monkeypatch, capsys, tmp_path):
    config = station(tmp_path, "gm")
    with opened(config, threading.Event(), patient=False) as rooms:
        ingest_folder(rooms, card(tmp_path))
        rooms.seal.checkpoint()
    assert verify_log(monkeypatch, capsys, tmp_path) == (0, [])
    note = config.log / SECOND_CHECKPOINT
    note.write_bytes(note.read_bytes().replace(b"\n\n", b"x\n\n"))
    assert verify_log(monkeypatch, capsys, tmp_path) == (2, ["unparsable"])
    with pytest.raises(UnparsableError), opened(config, threading.Event(), patient=False):
        pass
    note.unlink()
    assert verify_log(monkeypatch, capsys, tmp_path) == (1, ["log-truncated"])


@pytest.mark.parametrize(("profile", "keys"), [("gm", ""), ("std", 'sm2 = "k.pem"\n'), ("p256", 'sm2 = "k.pem"\n')])
def test_the_sm2_key_belongs_to_profile_gm(tmp_path, profile, keys):
    with pytest.raises(ConfigError, match=r"keys\.sm2 is needed in profile gm, and allowed there alone"):
        load(configured(tmp_path, profile, keys))


def test_an_unknown_profile_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"station\.profile"):
        load(configured(tmp_path, "fips"))


def test_keys_of_other_suites_than_the_profile_s_are_refused(tmp_path):
    create_key(tmp_path / "ed.pem")
    create_sm2_key(tmp_path / "sm2.pem")
    for profile, places in (("gm", ("ed.pem", "ed.pem")), ("p256", ("ed.pem",)), ("std", ("sm2.pem",))):
        custody, second, *_ = *(tmp_path / name for name in places), None, None
        assert custody is not None
        with pytest.raises(KeyFileError, match=f"profile {profile} needs keys of"):
            open_signers(Profile(profile), custody, second)


def test_an_sm2_key_is_private_and_never_replaced(tmp_path):
    made = create_sm2_key(tmp_path / "keys/sm2.pem")
    assert made.suite() == sm2.SUITE
    assert (tmp_path / "keys/sm2.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="cannot be created"):
        create_sm2_key(tmp_path / "keys/sm2.pem")


@pytest.mark.parametrize(
    "place",
    [
        "credential:custody",
        "pkcs11:token=bwc;object=k?module-path=/m.so&pin-source=file:/pin",
        "tpm2:handle=0x81010001",
    ],
)
def test_a_key_may_live_elsewhere_than_in_a_file(tmp_path, place):
    assert load(configured(tmp_path, "std", f'custody = "{place}"\n')).keys.custody == place


@pytest.mark.parametrize("place", ["k.pem", "file:k.pem"])
def test_a_file_is_relative_to_the_configuration(tmp_path, place):
    assert load(configured(tmp_path, "std", f'custody = "{place}"\n')).keys.custody == tmp_path / "k.pem"

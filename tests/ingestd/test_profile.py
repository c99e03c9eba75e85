"""Profiles at the centre: what is demanded of a station, and the centre's own log in profile gm."""

from pathlib import Path
from typing import Any

import pytest

from custody import p256
from custody.chain import EMPTY_SM3_TREE, Chain, Entry
from custody.checkpoint import Checkpoint, NoteKey, parse_note, sign_checkpoint
from custody.errors import SignatureError
from custody.identifiers import second_origin
from custody.log import CHECKPOINT, SECOND_CHECKPOINT, Log
from custody.messages import Records, decode_records
from custody.profile import Profile
from custody.receipt import read_receipt
from custody.record import Draft
from custody.signer import Signer, verify_key
from custody.sm2 import Sm2Signer
from ingestd import premises, service
from ingestd.config import load
from ingestd.errors import ConfigError, MessageError
from ingestd.keys import create_keys, open_signers
from ingestd.logbooks import Logbooks
from ingestd.pipeline import Received
from ingestd.verify import Follower, Station
from keystore.pem import new_pem, pem_signer
from tests.fakes.centre_station import AUTHORITY, FakeStation
from tests.fakes.centre_world import ORIGIN, SIGNER, World
from tests.fakes.log_files import MemoryLogFiles
from tests.ingestd.test_config import GOOD, VKEY, _file

SM2 = Sm2Signer.generate()


class GmStation(FakeStation):
    """A station in profile gm: two signatures an entry, two notes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.signers: list[Signer] = [self.signer, Sm2Signer.generate()]
        self.log = Log(self.files, self.origin, [verify_key(signer) for signer in self.signers])

    @property
    def enrolled(self) -> Station:
        second = NoteKey(second_origin(self.origin), verify_key(self.signers[1]))
        return Station(self.name, NoteKey(self.origin, verify_key(self.signers[0])), second)

    def write(self, event: str, **body: Any) -> Entry:
        draft = Draft(event, self.uuid(), {"utc_ms": self.utc_ms, "source": "ntp"}, body)
        [entry] = self.log.append([draft], self.signers)
        self.entries.append(entry.data)
        return entry

    def message(self, first: int = 0, stop: int | None = None, *, checkpoint: bool = True) -> Received:
        note, second = b"", b""
        if checkpoint:
            note = self.log.checkpoint(*self.signers).note
            second = self.log.latest_second.note if self.log.latest_second else b""
        records = Records(self.origin, first, tuple(self.entries[first:stop]), note, second)
        return Received(f"bwc/v1/{self.name}/records", records.encode())


@pytest.fixture
def station() -> GmStation:
    made = GmStation()
    made.seen("DCIM/1.MP4")
    made.clip()
    return made


def follower(station: GmStation) -> Follower:
    return Follower(station.enrolled, Chain(station.origin, second=EMPTY_SM3_TREE), lambda _start, _stop: [])


def records_of(station: GmStation) -> Records:
    return decode_records(station.message().payload)


def test_both_notes_are_checked_and_mirrored(tmp_path, station):
    world = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", [station]).started()
    [answer] = world.pipeline.handle([station.message()])
    mirror = world.files[station.name]
    assert answer.receipts.size == station.log.size
    assert (mirror.data, mirror.small[CHECKPOINT]) == (station.files.data, station.files.small[CHECKPOINT])
    assert mirror.small[SECOND_CHECKPOINT] == station.files.small[SECOND_CHECKPOINT]
    centre = Log(world.files["centre"], ORIGIN, [SIGNER.verify_key()])
    enrolled = next(entry for entry in centre.entries() if entry.record.event == "station.enrolled").record.block("key")
    assert NoteKey.parse(str(enrolled["vkey_sm3"])) == station.enrolled.second_key
    world.close()


def test_an_entry_without_the_second_signature_is_refused(station):
    lazy = FakeStation()
    lazy.seen("DCIM/1.MP4")
    with pytest.raises(MessageError, match="sm2-sm3") as caught:
        follower(station).take(Records(station.origin, 0, tuple(lazy.entries), b""))
    assert caught.value.finding == "sig-bad"


def test_a_checkpoint_without_the_second_one_is_refused(station):
    right = records_of(station)
    with pytest.raises(MessageError, match="two checkpoints") as caught:
        follower(station).take(Records(right.log, 0, right.entries, right.checkpoint))
    assert caught.value.finding == "sig-bad"


def test_a_second_note_with_another_root_size_key_or_origin_is_refused(station):
    right = records_of(station)
    size, second = station.log.size, second_origin(station.origin)
    tree = station.log.chain.second
    assert tree is not None
    wrong = {
        "root-mismatch": (Checkpoint(second, size, station.log.chain.root()), station.signers[1]),
        "key-unknown": (Checkpoint(second, size, tree.root()), SM2),
        "log-forked": (Checkpoint(station.origin, size, tree.root()), station.signers[1]),
    }
    wrong_size = sign_checkpoint(Checkpoint(second, size - 1, tree.root()), station.signers[1])
    for finding, note in [
        *((name, sign_checkpoint(*pair)) for name, pair in wrong.items()),
        ("root-mismatch", wrong_size),
        ("unparsable", b"rubbish"),
    ]:
        one = follower(station)
        with pytest.raises(MessageError) as caught:
            one.take(Records(right.log, 0, right.entries, right.checkpoint, note))
        assert caught.value.finding == finding
        assert one.notes == []


def test_the_same_entries_are_right_for_a_centre_that_knows_the_station_as_std(station):
    one = Follower(FakeStation().enrolled, Chain(station.origin), lambda _start, _stop: [])
    one.take(records_of(station))
    assert one.chain.size == station.log.size
    assert one.seconds == [None]


def test_the_centre_log_in_profile_gm_signs_receipts_twice():
    books = Logbooks(ORIGIN, SIGNER, {}, lambda _name: MemoryLogFiles(), SM2)
    head = {"utc_ms": 1, "source": "system"}
    stored = {
        "id": "019ab1a5-1a2b-7d55-8b02-91c3a4e05f77",
        "name": "originals/2026/11/22/019ab1a5-1a2b-7d55-8b02-91c3a4e05f77.MP4",
        "size": 0,
        "digests": {"sha256": "00" * 32},
    }
    entry = {"log": f"{AUTHORITY}/station-01", "seq": 0, "leaf": "00" * 32}
    record_id = "019ab1a5-231c-7c3e-9a41-5d20b7e6f310"
    [receipt] = books.append([Draft("central.verified", record_id, head, {"object": stored, "entry": entry})])
    keys = [SIGNER.verify_key(), verify_key(SM2)]
    assert read_receipt(receipt.data, ORIGIN, keys).size == 0
    assert books.checkpoint().checkpoint.size == 1
    second = books.centre.latest_second
    assert second is not None
    assert second.verify([NoteKey(second_origin(ORIGIN), keys[1])])
    lone = Logbooks(ORIGIN, SIGNER, {}, lambda _name: MemoryLogFiles())
    [single] = lone.append([Draft("central.verified", record_id, head, {"object": stored, "entry": entry})])
    with pytest.raises(SignatureError, match="sm2-sm3"):
        read_receipt(single.data, ORIGIN, keys)


SECOND = NoteKey(f"{AUTHORITY}/station-01.sm3", verify_key(SM2)).vkey()
OTHER = NoteKey(f"{AUTHORITY}/station-02.sm3", verify_key(SM2)).vkey()
P256 = NoteKey(f"{AUTHORITY}/station-01", verify_key(pem_signer(new_pem(p256.SUITE), "test", "test"))).vkey()


def with_station(folder: Path, lines: str, vkey: str = VKEY) -> Path:
    return _file(folder, GOOD.replace(f'vkey = "{VKEY}"', f'vkey = "{vkey}"\n{lines}'))


def test_stations_of_every_profile_are_configured(tmp_path):
    gm = premises.stations(load(with_station(tmp_path, f'profile = "gm"\nvkey_sm3 = "{SECOND}"')))["station-01"]
    assert [key.suite for key in gm.keys] == ["ed25519", "sm2-sm3"]
    other = premises.stations(load(with_station(tmp_path, 'profile = "p256"', P256)))["station-01"]
    assert [key.suite for key in other.keys] == ["ecdsa-p256-sha256"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('profile = "gm"', "profile gm needs keys of ed25519 and sm2-sm3"),
        (f'vkey_sm3 = "{SECOND}"', "profile std needs keys of ed25519, not of"),
        ('profile = "p256"', "profile p256 needs keys of ecdsa-p256-sha256"),
        (f'profile = "gm"\nvkey_sm3 = "{OTHER}"', r"stations\.0\.vkey_sm3: must be the key of"),
        ('profile = "gm"\nvkey_sm3 = "x"', "vkey_sm3"),
        ('profile = "fips"', "profile"),
    ],
)
def test_a_station_whose_keys_do_not_fit_its_profile_is_refused(tmp_path, lines, says):
    with pytest.raises(ConfigError, match=says):
        load(with_station(tmp_path, lines))


def centre(folder: Path, profile: str, sm2: str = "") -> Path:
    text = GOOD.replace("[centre]\n", f'[centre]\nprofile = "{profile}"\n')
    return _file(folder, text.replace("[keys]\n", f"[keys]\n{sm2}"))


@pytest.mark.parametrize("profile", list(Profile))
def test_the_centre_makes_and_opens_the_keys_of_its_profile(tmp_path, profile):
    config = load(centre(tmp_path, profile, 'sm2 = "central/keys/sm2.pem"\n' if profile is Profile.GM else ""))
    vkeys = service.make_keys(config)
    keys = premises.signers(config)
    assert NoteKey.parse(vkeys["log"]).key == verify_key(keys[0]) == premises.centre_key(config).key
    assert ("log_sm3" in vkeys) == (profile is Profile.GM)
    second = premises.second_key(config)
    assert (second.vkey() if second else None) == vkeys.get("log_sm3")
    assert service.make_keys(config) == vkeys
    assert isinstance(config.keys.custody, Path)
    assert config.keys.custody.stat().st_mode & 0o777 == 0o600


def test_keys_of_another_profile_are_refused(tmp_path):
    create_keys(Profile.STD, tmp_path / "k.pem", None)
    for profile in (Profile.GM, Profile.P256):
        with pytest.raises(ConfigError, match=f"profile {profile} needs keys of"):
            open_signers(profile, tmp_path / "k.pem", None)


def test_a_centre_key_may_live_elsewhere_than_in_a_file(tmp_path):
    for place in ("credential:custody", "tpm2:handle=0x81010001"):
        text = GOOD.replace('custody = "central/keys/custody.pem"', f'custody = "{place}"')
        assert load(_file(tmp_path, text)).keys.custody == place
    text = GOOD.replace('custody = "central/keys/custody.pem"', 'custody = "file:k.pem"')
    assert load(_file(tmp_path, text)).keys.custody == tmp_path / "k.pem"


def test_a_note_of_the_station_parses_as_a_note(station):
    assert parse_note(records_of(station).checkpoint_sm3).checkpoint.size == station.log.size

from pathlib import Path

import pytest

from custody.checkpoint import COSIGNATURE, NoteKey
from ingestd.anchors import setup
from ingestd.config import load
from ingestd.errors import ConfigError
from ingestd.keys import create_key, load_signer
from tests.fakes.centre_station import AUTHORITY, FakeStation

VKEY = FakeStation().enrolled.note_key.vkey()
GOOD = f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "station-01"
vkey = "{VKEY}"
[store]
url = "store"
[database]
url = "sqlite:///central/index.db"
"""


def _file(tmp_path: Path, text: str = GOOD) -> Path:
    path = tmp_path / "ingestd.toml"
    path.write_text(text)
    return path


def test_relative_paths_are_relative_to_the_file(tmp_path):
    config = load(_file(tmp_path))

    assert config.paths.data == tmp_path / "central"
    assert config.keys.custody == tmp_path / "central/keys/custody.pem"
    assert config.witness_key == tmp_path / "central/keys/witness.pem"
    assert config.store.url == str(tmp_path / "store")
    assert config.database.url == f"sqlite:///{tmp_path}/central/index.db"
    assert config.origin == f"{AUTHORITY}/centre"


def test_addresses_stay_as_they_are(tmp_path):
    text = GOOD.replace('"store"', '"s3://bucket/x"').replace(
        "sqlite:///central/index.db", "postgresql+psycopg://u@h/n"
    )

    config = load(_file(tmp_path, text))

    assert (config.store.url, config.database.url) == ("s3://bucket/x", "postgresql+psycopg://u@h/n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[paths]", "[path]", "path: no such key"),
        ('data = "central"', "", "paths.data: is needed"),
        (AUTHORITY + '"\n', 'Bad Name"\n', "centre.authority: a host name in lower case"),
        ('"sqlite:///central/index.db"', '"mysql://x"', "database.url: sqlite:///FILE or postgresql"),
        ('"station-01"', '"Station 1"', "stations.0.id: 1 to 64"),
        ('"station-01"', '"centre"', "stations.0.id: 1 to 64"),
        ('"station-01"', '"station-02"', "stations.0.vkey: must be the key of custody.example/station-02"),
        (VKEY, "x+y", "stations.0.vkey: a vkey has the form"),
        ("[store]", "[rules]\ngrace_hours = -1\n[store]", "rules.grace_hours: Input should be greater"),
        ("[centre]", "[centre", "not TOML"),
    ],
)
def test_wrong_key_is_one_line_with_file_key_and_what_is_allowed(tmp_path, old, new, says):
    assert old in GOOD
    path = _file(tmp_path, GOOD.replace(old, new))

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}: {says}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_cosigner_key_is_no_station_key(tmp_path):
    key = FakeStation().enrolled.note_key
    path = _file(tmp_path, GOOD.replace(VKEY, NoteKey(key.name, key.key, COSIGNATURE).vkey()))

    with pytest.raises(ConfigError, match=r"stations\.0\.vkey: the key of a log"):
        load(path)


def test_station_listed_twice_is_refused(tmp_path):
    station = f'[[stations]]\nid = "station-01"\nvkey = "{VKEY}"\n'

    with pytest.raises(ConfigError, match="each id once"):
        load(_file(tmp_path, GOOD + station))


def test_absent_file_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "keys" / "custody.pem"

    first, second = create_key(path), create_key(path)

    assert first.public_key() == second.public_key() == load_signer(path).public_key()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_signer(path)


def test_what_is_no_key_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    with pytest.raises(ConfigError, match="cannot be read"):
        load_signer(path)
    path.write_text("not a key")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="PEM private key"):
        load_signer(path)


TSA = """
[[anchors.tsa]]
name = "tsa-a"
url = "http://tsa.intranet/tsr"
ca = "root.pem"
tsa_cert = "/etc/tsa.pem"
"""


def test_anchors_are_none_by_default_and_their_paths_are_relative_to_the_file(tmp_path):
    assert not load(_file(tmp_path)).anchors.configured
    anchors = load(_file(tmp_path, GOOD + TSA)).anchors
    assert anchors.configured
    assert (anchors.tsa[0].ca, anchors.tsa[0].tsa_cert) == (tmp_path / "root.pem", Path("/etc/tsa.pem"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TSA.replace("http:", "ftp:"), "url: http://"),
        (TSA + 'transport = "file"\n', "drop: a folder is needed"),
        (TSA.replace("tsa-a", "../x"), "anchors.tsa.0.name: 1 to 64"),
        (TSA + TSA, "anchors.tsa: each name once"),
        ("[anchors]\nevery_entries = 15\n", "anchors.every_entries: 0, or at least 16"),
        ("[anchors]\nevery_hours = 24\nmax_age_hours = 23\n", "max_age_hours: not less than every_hours"),
        (f'[anchors]\nwitnesses = ["{VKEY}"]\n', "anchors.witnesses: keys of cosigners"),
        ('[anchors]\nwitnesses = ["x"]\n', "anchors.witnesses: a vkey has the form"),
    ],
)
def test_what_cannot_anchor_is_refused(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        load(_file(tmp_path, GOOD + text))


def test_the_centre_is_not_its_own_witness(tmp_path):
    own = NoteKey(f"{AUTHORITY}/centre-witness", FakeStation().signer.verify_key(), COSIGNATURE).vkey()
    config = load(_file(tmp_path, GOOD + f'[anchors]\nwitnesses = ["{own}"]\n'))
    with pytest.raises(ConfigError, match="its own witness"):
        setup.witnesses(config)

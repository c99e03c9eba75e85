from pathlib import Path

import pytest

from station_agent.config import load
from station_agent.errors import ConfigError

WITNESS = "custody.example/centre-witness+dfb530b1+BPqhzLsCB66+701/Yi2XzbSDm/cJGHQEcQRcJ1+o6CJK"
KEYS = f"[keys]\nwitness = '{WITNESS}'\n"
CENTRE = "custody.example/centre+424906ef+Ad2g23tHccyS+scU184ycHIwMMHrqkOSRqsQWwHX4diy"
HEAD = '[station]\nid = "station-07"\nauthority = "custody.example"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "station-agent.toml"
    path.write_text(text)
    return path


def test_priority_bays_are_bays(tmp_path: Path):
    bays = '[bays]\n3 = "*usb-0:3*"\n[offload]\npriority_bays = '
    assert load(written(tmp_path, HEAD + KEYS + bays + "[3]\n")).offload.priority_bays == (3,)
    with pytest.raises(ConfigError, match="bay 4 is not among bays"):
        load(written(tmp_path, HEAD + KEYS + bays + "[3, 4]\n"))


def test_paths_are_relative_to_the_file(tmp_path: Path):
    config = load(written(tmp_path, HEAD + KEYS + '[paths]\ndata = "s"\n[dropfolder]\npath = "drop"\n'))
    assert config.journal == tmp_path / "s" / "journal.db"
    assert config.store_url == str(tmp_path / "store")
    assert config.keys.custody == tmp_path / "station/keys/custody.pem"
    assert config.drop_folder == tmp_path / "drop"
    assert config.origin == "custody.example/station-07"


@pytest.mark.parametrize(
    ("text", "handling"),
    [
        ("", "accept"),
        ("[registry]\nunregistered = 'accept'\n", "accept"),
        ("[registry]\nfile = 'r.csv'\n", "refuse"),
        ("[registry]\nfile = 'r.csv'\nunregistered = 'quarantine'\n", "quarantine"),
    ],
)
def test_strangers_are_refused_once_a_register_is_named(tmp_path: Path, text: str, handling: str):
    config = load(written(tmp_path, HEAD + KEYS + text))
    assert config.registry.handling == handling
    assert config.registry.file == (tmp_path / "r.csv" if "file" in text else None)


def test_an_s3_store_stays_as_it_is(tmp_path: Path):
    assert load(written(tmp_path, HEAD + KEYS + '[store]\nurl = "s3://bucket/x"\n')).store_url == "s3://bucket/x"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "station: this key is needed"),
        (HEAD, "keys.witness: this key is needed"),
        (HEAD + "[keys]\nwitness = ''\n", "keys.witness: the vkey of the centre's witness"),
        (HEAD + f"[keys]\nwitness = '{CENTRE}'\n", "keys.witness: the vkey of the centre's witness"),
        (HEAD + KEYS + "[stations]\n", "stations: unknown key"),
        (HEAD + KEYS + "[paths]\nspool = 'x'\n", "paths.spool: unknown key"),
        (HEAD + KEYS + "[mqtt]\nport = 70000\n", "mqtt.port: "),
        (HEAD + KEYS + "[offload]\nworkers = 0\n", "offload.workers: "),
        (HEAD + KEYS + "[bays]\nfirst = '*'\n", "bays.first: a bay is a number from 1"),
        (HEAD + KEYS + "centre = 'x'\n", "keys.centre: the centre's vkey"),
        (HEAD.replace("station-07", "Station 7") + KEYS, "station.id: 1 to 64 of"),
        (HEAD + 'timezone = "Mars"\n' + KEYS, "station.timezone: a time zone name"),
        ("base = 'x'\n" + HEAD + KEYS, "base: unknown key"),
        ("bays = 3\n" + HEAD + KEYS, "bays: a table is allowed"),
        (HEAD + KEYS + "[registry]\nunregistered = 'refuse'\n", "registry: unregistered = refuse needs a file"),
        (HEAD + KEYS + "[registry]\nunregistered = 'ask'\n", "registry.unregistered: "),
        ("[[[", "not TOML"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(tmp_path: Path, text: str, key: str):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {key}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_a_missing_file_is_said(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from station_agent import cli
from station_agent.keys import create_key

CONFIG = """
[station]
id = "station-07"
authority = "custody.example"
[keys]
witness = "custody.example/centre-witness+dfb530b1+BPqhzLsCB66+701/Yi2XzbSDm/cJGHQEcQRcJ1+o6CJK"
[screen]
port = 0
[mqtt]
port = 1
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "station-agent.toml").write_text(CONFIG)
    create_key(tmp_path / "station/keys/custody.pem")
    card = tmp_path / "card"
    card.mkdir()
    (card / "a.txt").write_bytes(b"clip")
    return tmp_path


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["station-agent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def agent(monkeypatch, capsys, data):
    return lambda *arguments: run(monkeypatch, capsys, *arguments, "--data-dir", str(data))


def test_ingest_status_verify(agent, data):
    code, out, _ = agent("ingest", str(data / "card"), "--offload-only", "--json")
    assert code == 0
    assert json.loads(out)["files"] == {
        "found": 1, "new": 1, "sealed": 1, "refused": 0, "failed": 0, "open": 0, "waiting": 1, "reason": "",
    }  # fmt: skip
    code, out, _ = agent("status", "--json")
    assert (code, json.loads(out)["state"]) == (0, "stopped")
    assert json.loads(out)["waiting"] == {"describe": 1, "transcode": 0, "upload": 1, "receipts": 1, "outbox": 4}
    assert "station-07: stopped" in agent("status")[1]
    code, out, _ = agent("verify-log", "--json")
    assert (code, json.loads(out)["files"]["verified"]) == (0, 1)


def test_a_station_is_watched_until_interrupted_and_not_as_json(agent, data):
    agent("ingest", str(data / "card"), "--offload-only", "--json")
    code, _, told = agent("status", "--watch", "--json")
    assert (code, "either --json or --watch" in told) == (78, True)
    argv = [sys.executable, "-m", "station_agent.cli", "status", "--watch", "--data-dir", str(data)]
    terminal = {**os.environ, "TTY_COMPATIBLE": "1"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=terminal) as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        assert any("station-07: stopped" in line for line in lines)
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=20)
    assert watching.returncode == 0
    assert [line for line in said.splitlines() if "no-sandbox" not in line] == []


def test_a_folder_without_files_is_nothing_done(agent, data):
    (data / "empty" / "deeper").mkdir(parents=True)
    code, out, err = agent("ingest", str(data / "empty"), "--offload-only", "--json")
    assert (code, json.loads(out)["complete"]) == (2, False)
    assert "no file is there" in err


def test_the_whole_log_can_be_sent_again(agent, data):
    agent("ingest", str(data / "card"), "--offload-only")
    code, out, _ = agent("resend", "--json")
    assert (code, json.loads(out)) == (0, {"entries": 4})


def test_a_log_that_was_removed_with_everything_in_it_is_found_out(agent, data):
    agent("ingest", str(data / "card"), "--offload-only")
    for path in (data / "station/log").iterdir():
        path.unlink()
    code, out, _ = agent("verify-log", "--json")
    assert code == 1
    assert {found["finding"] for found in json.loads(out)["findings"]} == {"nothing-checked", "log-truncated"}
    assert list(json.loads(out)["not_verified"].values()) == ["unrecorded"]


def test_nothing_to_verify_is_not_right(agent, data):
    code, out, _ = agent("verify-log", "--json")
    assert (code, json.loads(out)["findings"][0]["finding"]) == (2, "nothing-checked")
    (data / "station/log").mkdir()
    (data / "station/log/entries.jsonl").touch()
    assert agent("verify-log")[0] == 2


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda lines: lines[:2], "log-truncated"),
        (lambda lines: [lines[0], *lines[2:]], "seq-gap"),
        (lambda lines: [lines[0], lines[1][:200] + b"x" + lines[1][201:], *lines[2:]], None),
        (lambda lines: [*lines, lines[-1]], "seq-duplicate"),
    ],
)
def test_a_log_that_was_touched_is_found_out(agent, data, damage, finding):
    agent("ingest", str(data / "card"), "--offload-only")
    path = data / "station/log/entries.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"".join(line + b"\n" for line in damage(lines)))
    code, out, _ = agent("verify-log", "--json")
    assert code in (1, 2)
    found = json.loads(out)["findings"][0]["finding"]
    assert finding in (None, found)


def test_errors_are_one_sentence_and_a_code(agent, data, monkeypatch, capsys):
    for arguments, code in ((("ingest", str(data / "none")), 78), (("status",), 78)):
        ended, out, err = agent(*arguments)
        assert (ended, out) == (code, "")
        assert err.startswith("station-agent: ")
        assert err.count("\n") == 1
    assert run(monkeypatch, capsys, "status")[0] == 78
    (data / "station/keys/custody.pem").chmod(0o644)
    ended, _, err = agent("ingest", str(data / "card"))
    assert (ended, "0600" in err) == (77, True)


def test_a_journal_without_its_log_stops_the_station(agent, data):
    agent("ingest", str(data / "card"), "--offload-only")
    for path in (data / "station/log").iterdir():
        path.unlink()
    ended, _, err = agent("ingest", str(data / "card"))
    assert (ended, "the journal knows" in err) == (74, True)


def test_doctor_names_what_is_wrong(agent):
    code, out, _ = agent("doctor", "--json")
    checks = json.loads(out)["checks"]
    assert code == 1
    assert checks["key"]["ok"] is True
    assert " vkey custody.example/station-07+" in checks["key"]["detail"]
    assert checks["store"]["ok"] is True
    assert checks["broker"]["ok"] is False
    assert set(checks) == {
        *cli.TOOLS,
        "sandbox",
        "udev",
        "udev-rules",
        "udev-loaded",
        "registry",
        "key",
        "certificates",
        "spool",
        "store",
        "broker",
        "clock",
    }

"""The commands as a user runs them, each in a process of its own, on a data folder that another centre left behind."""

import csv
import json
import subprocess
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import typer
from typer.core import TyperGroup

from custody.signer import Ed25519Signer
from ingestd import cli, service
from ingestd import config as configuration
from ingestd.keys import create_key
from tests.fakes.centre_station import AUTHORITY, FakeStation
from tests.fakes.centre_world import CATALOGUE
from tests.ingestd.test_pipeline import START, registers


def ingestd(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ingestd.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A centre that took two clips, one of them linked, and read both back."""
    made = tmp_path_factory.mktemp("centre")
    station = FakeStation()
    (made / "ingestd.toml").write_text(f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "station-01"
vkey = "{station.enrolled.note_key.vkey()}"
[store]
url = "store"
[database]
url = "sqlite:///central/index.db"
[catalogue]
file = "{CATALOGUE}"
""")
    assert ingestd("init", "--data-dir", made).returncode == 0
    station.clip(START, officer_as_stated="000001")
    station.clip(kind="empty")
    for name, data in station.store.items():
        path = made / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    centre = service.build(configuration.load(made / "ingestd.toml"))
    centre.pipeline.start()
    centre.pipeline.handle([station.message()])
    centre.pipeline.checkpoint()
    centre.engine.dispose()
    (made / "cases.json").write_bytes(registers())
    return made


def test_import_is_rehearsed_then_done_then_nothing_new(folder):
    def run(*more):
        done = ingestd("cases", "import", folder / "cases.json", "--data-dir", folder, "--json", *more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert run("--dry-run")["changed"]["actions"] == 1
    assert run()["changed"]["actions"] == 1
    assert run()["changed"]["actions"] == 0


def test_import_names_line_column_value_and_what_is_right(folder, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(registers().replace(b'"seizure"', b'"dancing"'))

    done = ingestd("cases", "import", wrong, "--data-dir", folder, "--json")

    assert done.returncode == 65
    [error] = json.loads(done.stdout)["errors"]
    assert (error["value"], error["line"]) == ("dancing", 1)
    assert f"{wrong}:1: type='dancing':" in done.stderr
    assert "Traceback" not in done.stderr


def test_import_tells_a_hundred_findings_and_writes_all_of_them(folder, tmp_path):
    roster, findings = tmp_path / "actions.csv", tmp_path / "findings.csv"
    lines = [f"W-{number},C-1,=dancing,2026-11-20 10:00,2026-11-20 11:00,000009" for number in range(130)]
    roster.write_text("\n".join(("action id,case,type,start,end,officers", *lines)))
    command = ("cases", "import", roster, "--data-dir", folder)

    done = ingestd(*command, "--findings", findings)

    assert done.returncode == 65
    assert done.stderr.count(f"{roster}:") == 100 + 1, "the hundred and the refusal"
    assert " more 另有" in done.stderr
    with findings.open(encoding="utf-8-sig", newline="") as file:
        heading, *rows = csv.reader(file)
    errors = [row for row in rows if row[0] == "错误 error"]
    assert [int(row[2]) for row in errors] == list(range(2, 132))
    assert (heading[4], {row[4] for row in errors}) == ("原值 value", {"'=dancing"})

    again = ingestd(*command, "--findings", roster)
    assert (again.returncode, roster.read_text().count("W-")) == (64, 130), "an export is never written over"


def test_import_with_the_headings_of_a_source(folder, tmp_path):
    settings = tmp_path / "ingestd.toml"
    text = (folder / "ingestd.toml").read_text().replace('"central', f'"{folder}/central')
    text = text.replace("sqlite:///central", f"sqlite:///{folder}/central")
    settings.write_text(text + '[imports.hr]\ncolumns = { "工牌" = "number" }\n')
    roster = tmp_path / "roster.csv"
    roster.write_text("工牌,姓名\n000009,赵某\n")

    done = ingestd("cases", "import", roster, "--config", settings, "--source", "hr", "--json", "--dry-run")
    assert json.loads(done.stdout)["read"]["officers"] == 1, done.stderr
    assert ingestd("cases", "import", roster, "--config", settings).returncode == 65
    unknown = ingestd("cases", "import", roster, "--config", settings, "--source", "HR")
    assert (unknown.returncode, unknown.stderr.count("no such source is configured; known: hr")) == (78, 1)


def test_clips_and_flags_are_listed(folder):
    ingestd("cases", "import", folder / "cases.json", "--data-dir", folder)
    clips = json.loads(ingestd("clips", "list", "--json", "--data-dir", folder).stdout)
    quarantined = json.loads(ingestd("clips", "list", "--quarantined", "--json", "--data-dir", folder).stdout)
    unlinked = json.loads(ingestd("clips", "list", "--unlinked", "--json", "--data-dir", folder).stdout)
    flags = json.loads(ingestd("flags", "list", "--json", "--data-dir", folder).stdout)

    assert (clips["count"], quarantined["count"], unlinked["count"]) == (2, 1, 0)
    assert quarantined["clips"][0]["reason"] == "zero-byte"
    assert [flag["rule"] for flag in flags["flags"]] == ["full-process-gap", "late-offload"]
    assert "full-process-gap" in ingestd("flags", "list", "--data-dir", folder).stdout


def test_links_are_run_again_and_nothing_changes(folder):
    ingestd("cases", "import", folder / "cases.json", "--data-dir", folder)

    done = ingestd("link", "run", "--json", "--data-dir", folder)

    facts = json.loads(done.stdout)
    assert (done.returncode, facts["ok"], facts["changed"]) == (0, True, False), done.stderr
    assert facts["looked_at"] == {"clips": 2, "actions": 1}
    said = ingestd("link", "run", "--action", "A1", "--dry-run", "--data-dir", folder)
    assert (said.returncode, said.stdout) == (0, "nothing to change 无变化: 1 clips 片段, 1 actions 行为\n")


def test_coverage_is_shown_with_every_gap_and_its_reason(folder):
    ingestd("cases", "import", folder / "cases.json", "--data-dir", folder)

    done = ingestd("coverage", "show", "A1", "--json", "--data-dir", folder)

    start = datetime.fromtimestamp(START / 1000, ZoneInfo("Asia/Shanghai"))
    gap = {
        "start": (start + timedelta(minutes=1)).isoformat(timespec="milliseconds"),
        "end": (start + timedelta(minutes=10)).isoformat(timespec="milliseconds"),
        "reason": "no-clip",
    }
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "action": "A1",
        "level": "full",
        "nominal": 0.1,
        "guaranteed": 0.1,
        "gaps": [gap],
    }
    assert gap["start"].endswith("+08:00")
    assert "no clip 无录像" in ingestd("coverage", "show", "A1", "--data-dir", folder).stdout


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("coverage", "show", "A9"), 64, "ingestd: there is no action A9"),
        (("link", "run", "--action", "A9"), 64, "ingestd: there is no action A9"),
        (("link", "run", "--clip", "C9"), 64, "ingestd: there is no clip C9"),
        (("link", "run", "--all", "--clip", "C9"), 2, "exclude each other"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(folder, words, code, why):
    done = ingestd(*words, "--data-dir", folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_audit_says_ok_then_names_the_flipped_clip(folder):
    good = ingestd("audit", "verify", "--json", "--data-dir", folder)
    assert (good.returncode, json.loads(good.stdout)["verified"]) == (0, 2), good.stdout
    [path, *_] = (folder / "store" / "originals").rglob("*.MP4")
    right = path.read_bytes()
    path.write_bytes(bytes([right[0] ^ 1]) + right[1:])

    bad = ingestd("audit", "verify", "--data-dir", folder)
    path.write_bytes(right)

    assert bad.returncode == 1
    assert path.stem in bad.stdout
    assert "failed" in bad.stdout


def test_lost_database_is_refused_made_again_and_compared(folder):
    def rebuild(*more):
        done = ingestd("audit", "rebuild", "--data-dir", folder, "--json", *more)
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    ingestd("cases", "import", folder / "cases.json", "--data-dir", folder)
    code, before = rebuild("--check")
    assert (code, before["ok"], before["findings"]) == (0, True, [])
    assert before["tables"]["clip"]["rows"] == 2
    code, sentence = rebuild("--write")
    assert code == 65
    assert "the database is not empty" in sentence
    for path in (folder / "central").glob("index.db*"):
        path.unlink()
    code, sentence = rebuild("--check")
    assert code == 69
    assert "ingestd audit rebuild --write" in sentence

    code, written = rebuild("--write")

    assert (code, written["ok"], written["entries"]) == (0, True, before["entries"])
    code, after = rebuild("--check")
    assert (code, after["tables"]) == (0, before["tables"])
    code, replaced = rebuild("--write", "--replace")
    assert code == 0
    assert (folder / "central").joinpath(replaced["kept"]).is_file()
    said = ingestd("audit", "rebuild", "--check", "--table", "clip", "--data-dir", folder)
    assert "2 of 2 as the logs say  clip" in said.stdout
    assert "replay: " in said.stderr


@pytest.mark.parametrize("wrong", [[], ["--check", "--write"], ["--check", "--replace"], ["--check", "--table", "x"]])
def test_rebuild_needs_to_know_what_to_do(folder, wrong):
    assert ingestd("audit", "rebuild", "--data-dir", folder, *wrong).returncode == 2


def test_audit_of_nothing_is_not_ok(folder, tmp_path):
    text = (folder / "ingestd.toml").read_text()
    (tmp_path / "ingestd.toml").write_text(text)
    ingestd("init", "--data-dir", tmp_path)

    assert ingestd("audit", "verify", "--data-dir", tmp_path).returncode == 2


def test_init_keeps_the_keys_it_finds(folder):
    first = ingestd("init", "--data-dir", folder, "--json").stdout
    assert first == ingestd("init", "--data-dir", folder, "--json").stdout
    assert set(json.loads(first)["vkeys"]) == {"log", "witness"}


def test_configuration_is_checked(folder, tmp_path):
    assert ingestd("config", "check", "--config", folder / "ingestd.toml").returncode == 0
    (tmp_path / "ingestd.toml").write_text("[centre]\n")
    done = ingestd("config", "check", "--data-dir", tmp_path)
    assert done.returncode == 78
    assert done.stderr.strip() == f"ingestd: {tmp_path}/ingestd.toml: centre.authority: is needed"


def test_same_key_for_log_and_witness_is_refused(folder, tmp_path):
    key = create_key(tmp_path / "one.pem")
    assert isinstance(key, Ed25519Signer)
    text = (folder / "ingestd.toml").read_text().replace('"central/keys/custody.pem"', '"one.pem"\nwitness = "one.pem"')
    (tmp_path / "ingestd.toml").write_text(text)

    done = ingestd("clips", "list", "--data-dir", tmp_path)

    assert done.returncode == 78
    assert "keys.witness: must be another key" in done.stderr


def test_empty_database_beside_a_log_is_one_sentence_and_its_own_code(folder, tmp_path):
    text = (folder / "ingestd.toml").read_text().replace("sqlite:///central/index.db", f"sqlite:///{tmp_path}/new.db")
    other = folder / "other.toml"
    other.write_text(text)

    done = ingestd("cases", "import", folder / "cases.json", "--config", other)

    assert done.returncode == 65
    assert "the database is empty, but the log" in done.stderr
    assert "Traceback" not in done.stderr


def test_control_characters_of_a_recorder_never_reach_the_terminal():
    from ingestd.console import printable  # noqa: PLC0415  # one private function

    assert printable("a\x1b[2Jb\nc\u202ed") == "a\ufffd[2Jb\ufffdc\ufffdd"


def test_every_command_of_the_tree_can_be_given():
    assert all(command.help for command in commands(typer.main.get_group(cli.app)))


def commands(group):
    for name in group.commands:
        found = group.commands[name]
        yield from commands(found) if isinstance(found, TyperGroup) else [found]


def test_the_program_loads_nothing_of_a_command_that_was_not_given():
    told = "import sys, ingestd.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    assert not {"alembic", "fastapi", "httpx", "jinja2", "obstore", "paho", "structlog"} & {*loaded}
    assert {name for name in loaded if name.endswith("commands")} == set()

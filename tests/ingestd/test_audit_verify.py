"""``ingestd audit verify`` on a centre on disk: each option, each exit code, the sample, the interrupted run."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.log import entry_of
from ingestd.audit import run as running
from ingestd.audit import state as states
from ingestd.audit import verify_commands
from ingestd.audit.found import ORIGINAL, Stored
from ingestd.audit.progress import line
from ingestd.audit.reread import Count
from ingestd.audit.selection import Sample, draw
from ingestd.audit.state import State
from ingestd.errors import AuditError
from ingestd.progress import Meter
from ingestd.store import EvidenceReader
from tests.conftest import ROOT
from tests.fakes.audited import CASE, audited_world, ingestd
from tests.fakes.bundle import BundleWorld


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return audited_world(tmp_path_factory.mktemp("made"))


@pytest.fixture
def world(made, tmp_path):
    """A copy of its own, to be spoilt."""
    shutil.copytree(made.folder, tmp_path / "c")
    return BundleWorld(tmp_path / "c", made.station, made.clips)


def verify(world, *options):
    return ingestd("audit", "verify", "--json", "--data-dir", world.folder, *options)


def centre_entries(world):
    path = world.folder / "central" / "log" / "entries.jsonl"
    return [entry_of(line) for line in path.read_bytes().splitlines()]


def test_everything_is_verified_and_said_to_be(made):
    said = verify(made)
    facts = said.facts

    assert (said.code, facts["ok"], facts["verified"], facts["selected"], facts["announced"]) == (0, True, 6, 6, 6)
    assert facts["selection"] == {}
    assert facts["proxies"]["verified"] == 1
    assert facts["read_bytes"] == sum(len(data) for data in made.station.store.values())


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--case", CASE], {0, 1}),
        (["--officer", "000001"], {0, 1, 5}),
        (["--unit", "二大队"], {2, 3}),
        (["--unit", "支队"], {0, 1, 2, 3, 4, 5}),
        (["--unit", "器材室"], {4}),
        (["--from", "2026-11-22", "--to", "2026-11-22"], {2, 3}),
        (["--to", "2026-11-21"], {0, 1, 5}),
        (["--from", "2026-11-23"], {4}),
        (["--unit", "一大队", "--from", "2026-11-21", "--case", CASE], {0, 1}),
    ],
)
def test_selection_re_reads_exactly_what_it_names(made, monkeypatch, options, chosen):
    read = set()
    digest = EvidenceReader.digest
    monkeypatch.setattr(EvidenceReader, "digest", lambda self, name: read.add(name) or digest(self, name))

    said = verify(made, *options)

    originals = {name.rpartition("/")[2][:36] for name in read if name.startswith("originals")}
    assert originals == {made.clips[number] for number in chosen}
    assert any(name.startswith("proxies") for name in read) == (0 in chosen)
    assert (said.code, said.facts["selected"], said.facts["announced"]) == (0, len(chosen), 6)


def test_single_clips_are_selected_by_id(made):
    said = verify(made, "--clip", made.clips[1], "--clip", made.clips[4])
    assert (said.code, said.facts["verified"], said.facts["selected"]) == (0, 2, 2)


@pytest.mark.parametrize(
    "options",
    [
        ["--case", "no such case"],
        ["--unit", "三大队"],
        ["--officer", "9"],
        ["--from", "2027-01-01"],
        ["--clip", "01a204c5-c681-7bd5-947e-446fcec21173"],
    ],
)
def test_empty_selection_is_never_ok(made, options):
    said = verify(made, *options)

    assert said.code == 2
    assert "nothing-checked" in {bad["verdict"] for bad in said.facts["findings"]}


def test_one_unknown_clip_among_known_ones_is_said(made):
    said = verify(made, "--clip", made.clips[0], "--clip", "01a204c5-c681-7bd5-947e-446fcec21173")

    assert (said.code, said.facts["verified"]) == (2, 1)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--from", "yesterday"], "--from 'yesterday': a day such as"),
        (["--to", "9999-12-31"], "--to '9999-12-31'"),
        (["--from", "2026-11-22", "--to", "2026-11-21"], "before the first"),
        (["--sample", "0"], "--sample '0'"),
        (["--sample", "101%"], "--sample '101%'"),
        (["--sample", "many"], "--sample 'many'"),
        (["--sample", "1e9%"], "--sample"),
        (["--seed", "x"], "--seed: goes with --sample"),
        (["--sample", "1", "--seed", "a\nb"], "--seed: at most 200 printable"),
        (["--case", "x" * 201], "--case: at most"),
        (["--resume", "--state", "/proc/none/state"], "cannot be written"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence_and_exit_2(made, options, wrong):
    said = verify(made, *options)

    assert (said.code, said.out) == (2, "")
    assert wrong in said.err
    assert said.err.count("\n") == 1


def test_units_are_known_to_the_index_alone(world):
    (world.folder / "central" / "index.db").unlink()

    assert verify(world).code == 0
    assert verify(world, "--unit", "一大队").code == 2


def test_selection_does_not_narrow_the_logs_or_the_list_of_strangers(world):
    log = world.folder / "central" / "mirrors" / "station-01" / "entries.jsonl"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    (world.store / "originals" / "2026" / "stray.bin").write_bytes(b"x")

    said = verify(world, "--clip", world.clips[0])

    assert said.code == 1
    assert said.facts["unrecorded"] >= 1


def test_altered_original_outside_the_selection_is_not_claimed_to_be_fine(world):
    name = next(name for name in world.station.store if world.clips[3] in name)
    (world.store / name).write_bytes(b"other")

    assert verify(world, "--clip", world.clips[0]).facts["selected"] == 1
    assert verify(world, "--clip", world.clips[3]).code == 1
    assert verify(world).code == 1


def test_unreadable_key_is_never_ok(world):
    (world.folder / "central" / "keys" / "custody.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    said = verify(world)
    assert said.code == 78
    assert "custody.pem" in said.err


def test_parse_error_in_a_log_is_never_ok(world):
    for name in ("log", "mirrors/station-01"):
        path = world.folder / "central" / name / "entries.jsonl"
        right = path.read_bytes()
        path.write_bytes(right.replace(b'{"payload"', b'{"pay load"', 1))
        assert verify(world).code != 0
        path.write_bytes(right)


# The sample


def test_sample_is_redone_with_sha256sum_and_sort(made, monkeypatch):
    read = set()
    digest = EvidenceReader.digest
    monkeypatch.setattr(EvidenceReader, "digest", lambda self, name: read.add(name) or digest(self, name))

    said = verify(made, "--sample", "3", "--seed", "骰子 4 2 6")

    mirror = made.folder / "central" / "mirrors" / "station-01" / "entries.jsonl"
    copied = [entry_of(data) for data in mirror.read_bytes().splitlines()]
    ranks = sorted(
        (hashlib.sha256(f"bwc-sample/v1\n骰子 4 2 6\n{entry.leaf.hex()}\n".encode()).hexdigest(), entry)
        for entry in copied
        if entry.record.event == "ingest.copied"
    )
    wanted = {entry.record.block("object")["name"] for _, entry in ranks[:3]}
    assert {name for name in read if name.startswith("originals")} == wanted
    assert said.facts["selection"] == {"sample": "3", "seed": "骰子 4 2 6", "seed_drawn": "no"}


def test_the_commands_for_auditors_draw_the_same_sample(made):
    [commands] = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/auditors/sample.md").read_text(), re.DOTALL)
    mirror = made.folder / "central" / "mirrors" / "station-01" / "entries.jsonl"
    size = len(mirror.read_bytes().splitlines())
    told = {**os.environ, "MIRROR": str(mirror), "SIZE": str(size), "SEED": "骰子 4 2 6", "COUNT": "3"}

    done = subprocess.run(["sh", "-c", commands], env=told, capture_output=True, text=True, check=True)

    copied = [entry_of(data) for data in mirror.read_bytes().splitlines()]
    originals = [
        Stored(ORIGINAL, entry.record.block("object")["id"], str(entry.seq), 1, "", "s", "", 0, entry.leaf.hex())
        for entry in copied
        if entry.record.event == "ingest.copied"
    ]
    drawn = {one.object_id for one in draw(originals, Sample.parse("3"), "骰子 4 2 6")}
    assert {line.split()[1] for line in done.stdout.splitlines()} == drawn


def test_seed_that_is_drawn_names_the_centre_checkpoint_and_differs_each_time(made):
    drawn = [verify(made, "--sample", "50%").facts["selection"] for _ in range(2)]

    size = len(centre_entries(made))
    assert all(one["seed"].startswith(f"{size}:") and one["seed_drawn"] == "yes" for one in drawn)
    assert drawn[0]["seed"] != drawn[1]["seed"]
    again = verify(made, "--sample", "50%", "--seed", drawn[0]["seed"])
    assert (again.code, again.facts["verified"]) == (0, 3)


@given(st.integers(1, 300), st.integers(1, 400), st.text(max_size=20))
def test_sample_has_the_size_asked_for_and_is_the_same_in_any_order(population, count, seed):
    originals = [Stored(ORIGINAL, str(i), f"n{i}", 1, "", "s", "", 0, f"{i:064x}") for i in range(population)]

    sample = draw(originals, Sample.parse(str(count)), seed)

    assert len(sample) == min(population, count)
    assert set(draw(originals[::-1], Sample.parse(str(count)), seed)) == set(sample)


@pytest.mark.parametrize(
    ("text", "of", "size"), [("5%", 100, 5), ("5%", 1, 1), ("0.5%", 1000, 5), ("100%", 7, 7), ("12", 7, 7)]
)
def test_share_is_rounded_up(text, of, size):
    assert Sample.parse(text).size(of) == size


def test_every_original_has_the_same_chance():
    originals = [Stored(ORIGINAL, str(i), f"n{i}", 1, "", "s", "", 0, f"{i:064x}") for i in range(10)]
    hits = dict.fromkeys((one.name for one in originals), 0)
    for seed in range(2000):
        for one in draw(originals, Sample.parse("1"), str(seed)):
            hits[one.name] += 1
    assert all(140 < count < 260 for count in hits.values())


# The interrupted run


class Interrupted:
    """A store that is there for so many objects; then somebody presses Ctrl-C."""

    def __init__(self, monkeypatch, after):
        self.left, self.read = after, []
        digest = EvidenceReader.digest

        def stopping(reader, name):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.read.append(name)
            return digest(reader, name)

        monkeypatch.setattr(EvidenceReader, "digest", stopping)


def test_interrupted_run_goes_on_and_says_what_is_of_before(world, monkeypatch):
    store = Interrupted(monkeypatch, 3)
    stopped = verify(world, "--readers", "1")
    before = list(store.read)
    store.left = -1
    went_on = verify(world, "--readers", "1", "--resume")

    assert stopped.code == 2
    assert "--resume" in stopped.err
    assert went_on.code == 0
    facts = went_on.facts
    assert 0 < facts["earlier"]["count"] <= len(before)
    assert facts["earlier"]["first_ms"] <= facts["earlier"]["last_ms"] <= facts["started_ms"]
    assert len(store.read) == len(world.station.store) + len(before) - facts["earlier"]["count"]
    assert set(store.read) == set(world.station.store)
    assert facts["verified"] == 6
    assert not (world.folder / "central" / running.STATE).exists()


def test_failure_of_before_stays_in_the_report_with_its_time(world, monkeypatch):
    name = max(world.station.store, key=lambda name: len(world.station.store[name]))
    right = (world.store / name).read_bytes()
    (world.store / name).write_bytes(right[:-1] + b"x")
    store = Interrupted(monkeypatch, 3)
    verify(world, "--readers", "1")
    (world.store / name).write_bytes(right)
    store.left = -1

    went_on = verify(world, "--resume")

    [bad] = went_on.facts["findings"]
    assert (went_on.code, bad["verdict"]) == (1, "failed")
    assert bad["checked_ms"] < went_on.facts["started_ms"]


def test_what_could_not_be_read_before_is_tried_again(world, monkeypatch):
    name = max(world.station.store, key=lambda name: len(world.station.store[name]))
    (world.store / name).unlink()
    (world.store / name).mkdir()
    store = Interrupted(monkeypatch, 3)
    verify(world, "--readers", "1")
    (world.store / name).rmdir()
    (world.store / name).write_bytes(world.station.store[name])
    store.left = -1

    went_on = verify(world, "--resume")

    assert (went_on.code, went_on.facts["verified"]) == (0, 6)
    assert store.read.count(name) == 2


def test_interrupted_run_keeps_the_seed_it_drew(world, monkeypatch):
    store = Interrupted(monkeypatch, 2)
    verify(world, "--readers", "1", "--sample", "5")
    head = json.loads((world.folder / "central" / running.STATE).read_text().splitlines()[0])
    store.left = -1

    went_on = verify(world, "--resume", "--sample", "5")

    assert went_on.facts["selection"] == head["selection"]
    assert len({name for name in store.read if name.startswith("originals")}) == 5


def test_other_selection_is_not_taken_for_the_interrupted_one(world, monkeypatch):
    store = Interrupted(monkeypatch, 2)
    verify(world, "--readers", "1")
    store.left = -1

    assert verify(world, "--resume", "--clip", world.clips[0]).code == 2
    anew = verify(world, "--clip", world.clips[0])
    assert (anew.code, anew.facts["earlier"]) == (0, None)
    assert "given up" in anew.err


def test_nothing_to_resume_begins_anew(made):
    said = verify(made, "--resume")
    assert (said.code, said.facts["verified"], said.facts["earlier"]) == (0, 6, None)


def test_log_that_changed_since_is_read_as_it_is_now(world, monkeypatch):
    store = Interrupted(monkeypatch, 3)
    verify(world, "--readers", "1")
    store.left = -1
    state = world.folder / "central" / running.STATE
    lines = state.read_text().splitlines()
    forged = [json.loads(text) for text in lines[1:]]
    for one in forged:
        one["entry"] = "00" * 32
    half = '{"name":"x"'
    state.write_text("\n".join([lines[0], *map(json.dumps, forged), half]))

    went_on = verify(world, "--resume")

    assert (went_on.code, went_on.facts["earlier"]) == (0, None)


def test_second_audit_leaves_the_state_of_the_first_alone(world):
    path = world.folder / "central" / running.STATE
    first = State.open(path, lambda: 0)
    first.begin({"selection": {}}, resume=False)
    try:
        beside = verify(world)
        refused = verify(world, "--resume")
    finally:
        first.close()

    assert beside.code == 0
    assert "cannot go on" in beside.err
    assert (refused.code, refused.out) == (2, "")
    assert path.read_text() == '{"type": "bwc.audit-state/v1", "selection": {}}\n'


def test_state_of_somebody_else_is_no_state(tmp_path):
    (tmp_path / "s").write_text('{"type":"other"}\n{"name":"a","entry":"b","verdict":"verified"}\n')
    state = State.open(tmp_path / "s", lambda: 1)
    assert (state.head, state.count) == ({}, 0)
    state.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\n\x00\x00",
        b'{"type": "bwc.audit-state/v1"}\n{"name": "a", "entry": "b", "verdict": "verified"}\n',
        b'{"type": "bwc.audit-state/v1", "selection": [1]}\n{"name": "a", "entry": "b", "verdict": "verified"}\n',
        b'{"type": "bwc.audit-state/v1", "selection": {}}\n{"name": "a", "entry": "b", "verdict": ["failed"]}\n\xff',
        b"[" * 100_000 + b"\n",
    ],
)
def test_damaged_state_is_as_if_it_were_not_there(tmp_path, data):
    (tmp_path / "s").write_bytes(data)
    state = State.open(tmp_path / "s", lambda: 1)
    assert (state.head.get("selection", {}), state.count) == ({}, 0)
    state.close()


def test_full_disk_under_the_state_is_said(tmp_path):
    state = State.open(tmp_path / "s", lambda: 1)
    state._file.close()
    state._file = open("/dev/full", "w", encoding="utf-8")  # noqa: PTH123, SIM115  # closed below
    with pytest.raises(AuditError, match="cannot be written"):
        state._write({"a": 1})
    assert states.TYPE
    with pytest.raises(OSError, match="No space"):
        state.close()


# The entry


def test_outcome_is_recorded_signed_and_counted(world):
    size = len(centre_entries(world))
    said = verify(world, "--record", "--sample", "2", "--seed", "s")

    entry = centre_entries(world)[-1]
    told, actors = entry.record.block("audit"), entry.record.payload["actors"]
    assert (said.code, said.facts["recorded"]) == (0, "yes")
    assert entry.record.event == "audit.done"
    assert told["selection"] == {"sample": "2", "seed": "s", "seed_drawn": "no"}
    assert told["originals"] == {"verified": 2}
    assert (told["outcome"], told["announced"], told["selected"]) == (0, 6, 2)
    read, mirror = (log["size"] for log in told["logs"])
    assert (read, mirror) == (size, len(world.station.entries))
    assert actors == [{"role": "auditor", "id": said.facts["actor"]}]
    assert verify(world).code == 0


def test_bad_outcome_is_recorded_too(world):
    for name in world.station.store:
        (world.store / name).unlink()

    assert verify(world, "--record").code == 1
    told = centre_entries(world)[-1].record.block("audit")
    assert told["originals"] == {"missing": 6}
    assert told["findings"] == {"missing": 7}


def test_nothing_is_recorded_unasked(made):
    before = len(centre_entries(made))
    verify(made)
    assert len(centre_entries(made)) == before


def test_what_cannot_be_recorded_is_not_ok(world):
    with sqlite3.connect(world.folder / "central" / "index.db") as db:
        db.execute("UPDATE state SET applied_seq = applied_seq + 1")
    assert verify(world, "--record").code != 0


def test_lines_for_people_end_with_the_verdict(made):
    said = ingestd("audit", "verify", "--data-dir", made.folder, "--clip", made.clips[0])
    assert said.out.splitlines()[-1].startswith("OK")
    assert "1 of 6 originals re-read; 5 NOT re-read" in said.out
    empty = ingestd("audit", "verify", "--data-dir", made.folder, "--case", "none")
    assert empty.out.splitlines()[-1].startswith("COULD NOT CHECK")


# Progress


@pytest.mark.parametrize(
    ("count", "elapsed_s", "said"),
    [
        (Count(0, 200, 0, 4_000_000_000), 0.0, "0/200 objects 个, 0/4000 MB"),
        (
            Count(50, 200, 1_000_000_000, 4_000_000_000),
            1.0,
            "50/200 objects 个, 1000/4000 MB, 1000 MB/s, 0:03 left 剩余",
        ),
        (Count(1, 3, 0, 0), 3600.0, "1/3 objects 个, 0/0 MB, 0 MB/s, 2:00:00 left 剩余"),
    ],
)
def test_progress_says_rate_and_time_left(count, elapsed_s, said):
    assert line(count, Count(0, count.of, 0, count.of_bytes), elapsed_s) == said


def test_rate_is_that_of_this_run_alone():
    resumed = Count(150, 200, 0, 1_000_000_000)
    assert "500 MB/s, 0:01 left" in line(Count(175, 200, 500_000_000, 1_000_000_000), resumed, 1.0)


class Screen(io.StringIO):
    def __init__(self, *, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize(("terminal", "lines", "rewritten"), [(True, 1, 100), (False, 9, 0)])
def test_a_terminal_is_rewritten_and_a_journal_gets_a_line_now_and_then(terminal, lines, rewritten):
    seconds = iter(range(1000))
    screen = Screen(terminal=terminal)
    meter = Meter(screen, line, clock_s=lambda: next(seconds))
    for done in range(101):
        meter(Count(done, 100, done, 100))
    said = screen.getvalue()
    assert said.count("\n") == lines + (0 if terminal else 1)
    assert said.count("\r") == (rewritten + 1 if terminal else 0)


def test_sigterm_interrupts_as_ctrl_c_does():
    with pytest.raises(KeyboardInterrupt), verify_commands._terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

"""The parts of the demonstration that decide: what exFAT can hold, whether the counts add up, what the story says."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.demo import Outcome, problems
from fixtures.exfat import exfat_obstacle
from fixtures.story import EXPECTED_RULES, story
from ingestd import cases, catalogue
from tests.conftest import ROOT

GOOD = {"found": 3, "offloaded": 3, "failed": 0, "verified": 3, "indexed": 2, "quarantined": 1}


def outcome(*rules: str) -> Outcome:
    return Outcome(flags=[{"rule": rule, "action": "", "case": "", "detail": ""} for rule in rules])


def test_counts_that_add_up_are_no_problem():
    assert problems(GOOD, 3, outcome(*EXPECTED_RULES), EXPECTED_RULES) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"found": 4}, "were found"),
        ({"failed": 1}, "plus failed"),
        ({"verified": 2}, "verified"),
        ({"quarantined": 0}, "plus quarantined"),
        ({"found": 0, "offloaded": 0, "verified": 0, "indexed": 0, "quarantined": 0}, "nothing was offloaded"),
    ],
)
def test_each_count_that_does_not_add_up_is_named(wrong: dict[str, int], said: str):
    assert any(said in problem for problem in problems(GOOD | wrong, 3, outcome(), frozenset()))


def test_a_rule_that_noticed_nothing_is_a_problem():
    found = problems(GOOD, 3, outcome("full-process-gap"), EXPECTED_RULES)
    assert found == ["the rule missing-full-process-video noticed nothing"]


@pytest.mark.parametrize("name", ["ok.MP4", "中文 名.mp4", "a'b.mp4", "x" * 200])
def test_exfat_holds_ordinary_names(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    assert exfat_obstacle(tmp_path) == ""


@pytest.mark.parametrize("name", [b"a:b", b"a\nb", b'a"b', b"a?b", b"\xff\xfe.mp4", b"a\\b", b"dot."])
def test_exfat_does_not_hold_other_names(tmp_path: Path, name: bytes):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert exfat_obstacle(tmp_path)


def test_exfat_knows_no_case_and_no_links(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "CLIP.MP4").touch()
    (tmp_path / "a" / "clip.mp4").touch()
    assert "case" in exfat_obstacle(tmp_path)
    (tmp_path / "a" / "clip.mp4").unlink()
    assert exfat_obstacle(tmp_path) == ""
    (tmp_path / "a" / "link").symlink_to("CLIP.MP4")
    assert "link" in exfat_obstacle(tmp_path)


@pytest.mark.parametrize(
    "now", [datetime(2026, 11, 22, 3, tzinfo=UTC), datetime(2027, 1, 2, 16, 30, tzinfo=UTC)], ids=["day", "new year"]
)
def test_the_registers_of_the_story_are_imported_without_a_word(now: datetime):
    told = story(now)
    data = json.dumps(told.registers, ensure_ascii=False).encode()
    read = cases.parse(data, "cases.json", catalogue.load(ROOT / "config" / "catalogue.toml"))
    assert (read.errors, read.warnings) == ((), ())
    assert (len(read.officers), len(read.actions), len(read.assignments)) == (3, 3, 3)
    assert len(told.shots) >= 6
    assert all(shot.start + shot.length < now for shot in told.shots)
    assert all(action.interval.end_ms + 24 * 3600_000 < now.timestamp() * 1000 for action in read.actions)


def test_a_child_that_nobody_knows_of_ends_with_the_demonstration():
    """What Ctrl-C leaves when it comes between the birth of a program and the first word about it."""
    code = (
        "import subprocess, fixtures.demo as demo\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "demo._end_children()\n"
        "print(child.poll())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=20
    )
    assert done.stdout.strip() != "None"

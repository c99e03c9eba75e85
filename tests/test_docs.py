"""What the front page promises exists: the commands, their options, the files it points to."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = ["README.md", "README.zh-CN.md"]
TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
VERBS = {"demo", "test", "faults", "bench", "lint", "doctor", "help"}


def code_of(text: str) -> str:
    """Everything that stands as code on the page."""
    return "\n".join([*re.findall(r"```\w*\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)])


@pytest.mark.parametrize("page", PAGES)
def test_the_two_commands_stand_on_the_front_page(page: str):
    code = code_of((ROOT / page).read_text())
    assert {"./dev demo", "./dev test"} <= set(re.findall(r"\./dev (?:demo|test)", code))


def test_ci_runs_the_command_of_the_front_page():
    assert '/../dev" test' in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_verb_of_dev_that_is_written_somewhere_exists(text: Path):
    verbs = set(re.findall(r"\./dev ([a-z]+)", code_of(text.read_text())))
    assert verbs <= VERBS


def test_help_names_every_verb():
    said = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^\./dev ([a-z]+)", said, re.MULTILINE)) == VERBS


def test_an_unknown_verb_is_refused_in_words():
    done = subprocess.run([ROOT / "dev", "dance"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no verb dance" in done.stderr


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.parametrize("program", ["station-agent", "ingestd"])
def test_every_command_of_ours_that_is_written_somewhere_exists(text: Path, program: str):
    for words in commands(program, code_of(text.read_text())):
        code, complaint = helped(program, words)
        assert code == 0, f"{program} {' '.join(words)}: {complaint}"


@cache
def helped(program: str, words: tuple[str, ...]) -> tuple[int, str]:
    """What a command answers to ``--help``: exit code and complaint. Many pages name the same ones."""
    argv = [str(Path(sys.executable).with_name(program)), *words, "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def commands(program: str, code: str) -> set[tuple[str, ...]]:
    """The words before the first option or argument of each mention, e.g. ``("cases", "import")``."""
    lines = re.findall(rf"(?:^|[\s/]){program} ([^\n|`]+)", code, re.MULTILINE)
    groups = {"cases", "clips", "flags", "audit", "keys"} if program == "ingestd" else set()
    found = set()
    for line in lines:
        words = [word for word in line.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
        if words and re.fullmatch(r"[a-z][a-z-]*", line.split()[0]):
            found.add(tuple(words[: 2 if words[0] in groups else 1]))
    return found


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_is_there(text: Path):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (text.parent / link).exists()] == []


def test_the_changelog_names_the_version():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()

"""The linters, the types and the walls between the packages are tests like any other."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "import contracts": ["importlinter"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_quiet(name: str):
    argv = CHECKS[name]
    program = [sys.executable, "-m", *argv] if argv[0] != "importlinter" else [f"{sys.prefix}/bin/lint-imports"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_every_pin_is_name_and_version_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines == sorted(set(lines))
    for line in lines:
        name, _, version = line.partition("==")
        assert name.replace("-", "").replace("_", "").isalnum(), line
        assert version.replace(".", "").isalnum(), line


def test_no_machine_or_host_is_named_in_what_is_committed():
    """A clone must work anywhere: no folder of ours and no package host stands in it."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout, so nothing says what is committed")
    forbidden = ("/wo" + "rk/", "pypi" + ".org", "file" + "s.pythonhosted")
    for name in filter(None, tracked.stdout.split("\0")):
        text = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        assert [word for word in forbidden if word.encode() in text] == [], name

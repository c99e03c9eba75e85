"""The linters, the types and the walls between the packages are tests like any other."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import ROOT

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "import contracts": ["importlinter"],
}

PACKAGES = [("custody", ""), ("keystore", "pkcs11"), ("station_agent", "station ptp"), ("ingestd", "central")]
"""Our packages and the extras that each one's libraries stand in."""


@pytest.mark.parametrize("name", CHECKS)
def test_quiet(name: str):
    argv = CHECKS[name]
    program = [sys.executable, "-m", *argv] if argv[0] != "importlinter" else [f"{sys.prefix}/bin/lint-imports"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("package", "extras"), PACKAGES)
def test_every_library_that_is_imported_is_declared(package: str, extras: str):
    """What another package happens to bring along may be gone with its next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [line for extra in extras.split() for line in project["optional-dependencies"][extra]]
    asked = project["dependencies"] + optional
    declared = {re.split(r"[\[>=<]", line)[0].lower() for line in asked}
    ours = {package for package, _ in PACKAGES}
    imported = {name for path in (ROOT / package).rglob("*.py") for name in imports(path)}
    providers = packages_distributions()
    for name in imported - ours - set(sys.stdlib_module_names):
        assert {provider.lower() for provider in providers[name]} & declared, name


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_bytes())
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    chosen = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | chosen}


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

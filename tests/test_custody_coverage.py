"""Every branch of ``custody`` is taken by its own tests: an auditor who reads it finds nothing that nobody tried."""

import subprocess
import sys

from tests.conftest import ROOT


def test_every_branch_of_custody_is_tried_by_its_own_tests(tmp_path, monkeypatch):
    monkeypatch.setenv("COVERAGE_FILE", str(tmp_path / "coverage"))
    plain = ["-p", "no:xdist", "-p", "no:cacheprovider", "-q", "--hypothesis-seed=0"]
    covered = ["--cov=custody", "--cov-branch", "--cov-fail-under=100", "--cov-report=term-missing:skip-covered"]
    argv = [sys.executable, "-m", "pytest", *plain, *covered, "tests/custody"]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:]

"""docs/security.md names a test for every attack, each named test exists, and none that exists is left out."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
HERE = ROOT / "tests" / "attacks"
NAMED = set(re.findall(r"`(test_\w+)`", PAGE))


def written_in(name: str) -> set[str]:
    return set(re.findall(r"^def (test_\w+)\(", (HERE / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("number", range(1, 19))
def test_every_row_of_the_table_names_tests_of_that_row(number: int):
    [row] = re.findall(rf"^\| {number} \| .*$", PAGE, re.MULTILINE)
    named = re.findall(r"`(test_\w+)`", row)
    assert named
    assert all(name.startswith(f"test_row_{number:02}_") for name in named)


def test_the_tests_that_are_named_are_those_that_there_are():
    assert written_in("test_table.py") | written_in("test_hostile.py") | written_in("test_hops.py") == NAMED


@pytest.mark.parametrize(("letter", "numbers"), [("T", range(8)), ("G", range(1, 13)), ("N", range(1, 16))])
def test_attackers_promises_and_limits_are_numbered_without_a_gap(letter: str, numbers: range):
    rows = re.findall(rf"^\| {letter}(\d+) \|", PAGE, re.MULTILINE)
    assert [int(row) for row in rows] == list(numbers)


def test_the_miss_is_said_where_it_is():
    [row] = re.findall(r"^\| 15 \| .*$", PAGE, re.MULTILINE)
    assert "**Without an anchor: MISSED**" in row
    assert "MISSED" in (HERE / "test_table.py").read_text()

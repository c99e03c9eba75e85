"""The fault matrix, small: what ``./dev faults`` runs in its full size. Every row has a scenario or tests."""

import ast
from itertools import groupby
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.matrix import MATRIX, Row
from tests.faults.run import run
from tests.faults.scenarios import Sizes

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]
SITES = [list(rows) for _, rows in groupby((row for row in MATRIX if row.in_suite), lambda row: row.site or row.fault)]


@pytest.mark.parametrize("rows", SITES, ids=lambda rows: rows[0].site or rows[0].fault.replace(" ", "-"))
def test_every_invariant_holds_after_every_fault(rows: list[Row], need_root, tmp_path: Path):
    outcomes = run(rows, Sizes(), tmp_path)
    assert {o.row.fault: o.problems for o in outcomes} == {row.fault: () for row in rows}


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.fault.replace(" ", "-"))
def test_every_row_is_proved_and_the_tests_it_names_are_there(row: Row):
    assert row.scenario or row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test

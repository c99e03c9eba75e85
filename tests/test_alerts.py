"""The example alerts ask for figures that exist, and the manual names every figure."""

import re

import pytest
import yaml

from ingestd.rules import RULES_BY_ID
from station_agent.states import BayState
from tests.conftest import ROOT

ALERTS = yaml.safe_load((ROOT / "config/prometheus-alerts.yml").read_text())
RULES = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
MADE = {
    name + ("_total" if counter else "")
    for source in ("station_agent/metrics.py", "ingestd/metrics.py")
    for counter, name in re.findall(
        r'(Counter\w+\(\s*)?"((?:station_agent|ingestd)_[a-z_]+)"', (ROOT / source).read_text()
    )
}


def test_figures_are_found_in_the_code():
    assert {"station_agent_log_entries_total", "ingestd_flags_open", "station_agent_bays"} < MADE


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_asks_for_figures_and_words_that_exist(alert):
    asked = RULES[alert]["expr"]
    assert set(re.findall(r"(?:station_agent|ingestd)_[a-z_]+", asked)) <= MADE
    assert set(re.findall(r'rule="([^"]+)"', asked)) <= set(RULES_BY_ID)
    states = {state for states in re.findall(r'state=~"([^"]+)"', asked) for state in states.split("|")}
    assert states <= {str(state) for state in BayState}
    assert re.search("[一-鿿].* [A-Z]", RULES[alert]["annotations"]["summary"]), "Chinese first, then English"


def test_the_manual_names_every_figure():
    manual = (ROOT / "docs/operations.md").read_text().partition("## Metrics")[2].partition("## Audits")[0]
    assert set(re.findall(r"`((?:station_agent|ingestd)_[a-z_]+)", manual)) == MADE

from dataclasses import replace

import pytest

from custody.heartbeat import decode_heartbeat
from station_agent.pulse import EVERY_S, LOOK_EVERY_S, Pulse
from tests.custody.test_heartbeat import WELL


class Patient:
    """A station whose condition and whose clock are the test's."""

    def __init__(self):
        self.health, self.now_s, self.asked = WELL, 0.0, 0
        self.pulse = Pulse(self.ask, lambda: self.now_s)

    def ask(self):
        self.asked += 1
        return self.health

    def told_after(self, seconds):
        self.now_s += seconds
        return self.pulse.due()


@pytest.fixture
def patient():
    made = Patient()
    assert decode_heartbeat(made.told_after(0)).health == WELL
    return made


def test_every_minute_and_not_before(patient):
    patient.health = replace(WELL, log_entries=900)
    assert patient.told_after(EVERY_S - 1) is None
    told = decode_heartbeat(patient.told_after(LOOK_EVERY_S))
    assert told.online
    assert told.health.log_entries == 900


def test_a_change_of_condition_is_told_at_the_next_look_and_once(patient):
    patient.health = replace(WELL, clock_synchronised="no")
    assert patient.told_after(LOOK_EVERY_S - 1) is None
    assert decode_heartbeat(patient.told_after(1)).health.clock_synchronised == "no"
    assert patient.told_after(LOOK_EVERY_S) is None


def test_a_new_connection_is_told_everything_anew(patient):
    assert patient.told_after(1) is None
    patient.pulse.connected()
    assert decode_heartbeat(patient.told_after(0)).health == WELL


def test_the_journal_is_not_asked_at_every_round(patient):
    for _ in range(100):
        patient.told_after(0.01)
    assert patient.asked == 1

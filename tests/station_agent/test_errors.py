import re

from station_agent import errors
from station_agent.errors import AgentError, CopyError

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, AgentError)]


def test_the_drawing_shows_every_class_with_its_code_and_policy():
    drawn = set(re.findall(r"(\w+Error)\s+exit (\d+)\s+(\w+)", errors.__doc__ or ""))
    assert drawn == {(c.__name__, str(c.exit_code), c.policy) for c in CLASSES}


def test_codes_are_never_those_of_a_check():
    assert all(c.exit_code > 2 for c in CLASSES)


def test_a_copy_error_keeps_its_reason():
    assert CopyError("no-space").reason == "no-space"
    assert str(CopyError("no-space", "disk full")) == "no-space: disk full"

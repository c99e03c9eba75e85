"""MQTT topics. The station's name is its certificate's common name, so the broker's ACL can bind one to the other."""

from custody.errors import ContractError
from custody.identifiers import is_station_id

PREFIX = "bwc/v1"
ALL_RECORDS = f"{PREFIX}/+/records"
ALL_STATUS = f"{PREFIX}/+/status"
"""What the centre subscribes to."""


def records(station: str) -> str:
    """Station → centre: log entries (``messages.Records``)."""
    return _topic(station, "records")


def receipts(station: str) -> str:
    """Centre → station: receipts and acknowledgements (``messages.Receipts``)."""
    return _topic(station, "receipts")


def status(station: str) -> str:
    """Station → centre, retained: its heartbeat (``heartbeat.Heartbeat``), or by last will that it is offline."""
    return _topic(station, "status")


def station_in(topic: str) -> str | None:
    """The station a topic belongs to, or None when it is none of ours."""
    head, _, tail = topic.removeprefix(f"{PREFIX}/").partition("/")
    known = topic.startswith(f"{PREFIX}/") and tail in {"records", "receipts", "status"} and is_station_id(head)
    return head if known else None


def _topic(station: str, leaf: str) -> str:
    if not is_station_id(station):
        raise ContractError(f"{station!r} cannot name a station")
    return f"{PREFIX}/{station}/{leaf}"

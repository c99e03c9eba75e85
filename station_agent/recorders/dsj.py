"""The de-facto Chinese form of names, 产品序号_警号_时间: ``1234567_123456_20240131123456.mp4``.

A pattern is a claim: the whole name must match and the time must exist in the calendar. FAT gives names in either
case. Seven characters of product number and six of officer number are the field lengths of ZFY_INFO.
"""

import re
from datetime import datetime
from typing import Final, NamedTuple

FAMILY: Final = "dsj"

_NAME: Final = re.compile(
    rb"(?P<device>[0-9A-Z]{5,7})_(?P<officer>[0-9A-Z]{6})_(?P<start>[0-9]{14})(?:_[0-9A-Z_]+)?\.[0-9A-Z]+",
    re.IGNORECASE,
)


class DsjName(NamedTuple):
    """The three fields of a name; empty where the recorder's default stands."""

    device: str
    officer: str
    start_raw: str


def parse(name: bytes) -> DsjName | None:
    """The fields of a file name, or None when it is not of this form. The time zone is the recorder's: not stated."""
    match = _NAME.fullmatch(name)
    if match is None or not _exists(match["start"].decode()):
        return None
    return DsjName(_stated(match["device"]), _stated(match["officer"]), match["start"].decode())


def _stated(field: bytes) -> str:
    """Zeros alone are the default of a recorder nobody set up."""
    return field.decode() if field.strip(b"0") else ""


def _exists(digits: str) -> bool:
    try:
        datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007  # only the calendar is asked; the zone is not known
    except ValueError:
        return False
    return True

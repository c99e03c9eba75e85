"""ZFY_INFO (执法仪信息): whose a recorder is, as it states. Two packed layouts, told apart by their length alone."""

import base64
from dataclasses import dataclass
from typing import Final

from custody.canonical import JsonObject
from station_agent.errors import UnlockError
from station_agent.model import printable

WIDTHS: Final = {89: (7, 6, 32, 12, 32), 94: (8, 7, 33, 13, 33)}
"""Bytes in all → bytes of each field; the longer layout ends each with a NUL, which the shorter one has no room for."""


@dataclass(frozen=True, slots=True)
class ZfyInfo:
    """What the fields say, and the very bytes."""

    serial: str
    """产品序号, product number."""
    officer: str
    """警号, officer number."""
    officer_name: str
    unit: str
    """单位编号, unit number."""
    unit_name: str
    raw: bytes

    def block(self) -> JsonObject:
        """As it stands in a record."""
        return {
            "serial": self.serial,
            "officer": self.officer,
            "officer_name": self.officer_name,
            "unit": self.unit,
            "unit_name": self.unit_name,
            "raw_b64": base64.b64encode(self.raw).decode(),
        }


def decode(raw: bytes) -> ZfyInfo:
    """The fields of ``raw``. Raises ``UnlockError`` for a length that no layout has."""
    widths = WIDTHS.get(len(raw))
    if widths is None:
        raise UnlockError(f"ZFY_INFO has {len(raw)} bytes; layouts of 89 and 94 are known")
    ends = [sum(widths[: place + 1]) for place in range(len(widths))]
    serial, officer, officer_name, unit, unit_name = (
        _text(raw[end - width : end]) for width, end in zip(widths, ends, strict=True)
    )
    return ZfyInfo(serial, officer, officer_name, unit, unit_name, raw)


def _text(field: bytes) -> str:
    """UTF-8 where it is strictly that, else GBK; where it is neither, what cannot be read is marked as such."""
    stated = field.partition(b"\0")[0]
    for encoding in ("utf-8", "gbk"):
        try:
            return printable(stated.decode(encoding)).strip()
        except UnicodeDecodeError:
            continue
    return printable(stated.decode("ascii", "replace")).strip()

"""Import of cases, actions, officers, recorders and the recorder ledger from CSV and JSON files. Pure: bytes to values."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from ingestd.catalogue import Catalogue
from ingestd.model import Import, Officer

__all__ = ["parse"]

SHANGHAI = ZoneInfo("Asia/Shanghai")


def parse(
    data: bytes,
    name: str,
    catalogue: Catalogue,
    *,
    zone: ZoneInfo = SHANGHAI,
    known_officers: Sequence[Officer] = (),
) -> Import:
    """What the file called ``name`` says, or everything that is wrong with it. Never raises for what the file holds."""
    raise NotImplementedError

"""Where an object lies in the evidence store. Names come from our identifiers, never from a device's file name."""

import re
from datetime import UTC, datetime
from typing import Final

from custody.errors import ContractError
from custody.identifiers import is_uuid7

ORIGINALS: Final = "originals"
PROXIES: Final = "proxies"
_EXTENSION: Final = re.compile(r"[A-Za-z0-9]{1,8}")
_NAME: Final = re.compile(
    rf"(?:{ORIGINALS}|{PROXIES})/[0-9]{{4}}/(?:0[1-9]|1[0-2])/(?:0[1-9]|[12][0-9]|3[01])/"
    r"(?P<id>[0-9a-f-]{36})\.[A-Za-z0-9]{1,8}"
)


def original_name(object_id: str, docked_ms: int, extension: str) -> str:
    """Store name of an original, by the UTC day it was docked, for instance ``originals/2026/11/22/<id>.MP4``."""
    return _name(ORIGINALS, object_id, docked_ms, extension)


def proxy_name(object_id: str, docked_ms: int, extension: str = "mp4") -> str:
    """Store name of a derived object."""
    return _name(PROXIES, object_id, docked_ms, extension)


def is_store_name(name: str) -> bool:
    """Whether ``name`` is one this module could have made; anything else is never opened."""
    match = _NAME.fullmatch(name)
    return match is not None and is_uuid7(match["id"])


def safe_extension(file_name: str) -> str:
    """The extension of a device's file name if it is harmless, otherwise ``bin``."""
    extension = file_name.rpartition(".")[2] if "." in file_name else ""
    return extension if _EXTENSION.fullmatch(extension) else "bin"


def _name(kind: str, object_id: str, docked_ms: int, extension: str) -> str:
    if not is_uuid7(object_id) or not _EXTENSION.fullmatch(extension):
        raise ContractError(f"no store name for object {object_id!r} with extension {extension!r}")
    day = datetime.fromtimestamp(docked_ms / 1000, UTC)
    return f"{kind}/{day:%Y/%m/%d}/{object_id}.{extension}"

"""Style, icons and htmx, each under an address that holds its SHA-256, so that a browser may keep them for ever.

htmx comes unchanged from the installed package ``django-js-lib-htmx`` (which imports no Django); nothing is fetched
from another host and nothing of it is copied into this repository.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

HTMX: Final = "htmx.min.js"
_OURS: Final = ("web.css", "icons.svg", "icon.svg")
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file a page may load."""

    name: str
    body: bytes
    sha256: str

    @property
    def url(self) -> str:
        """Its address, without a host."""
        return f"/assets/{self.sha256}/{self.name}"

    @property
    def media_type(self) -> str:
        """Its media type."""
        return _TYPES[self.name.rpartition(".")[2]]


@cache
def assets() -> Mapping[str, Asset]:
    """All assets by name, read once."""
    bodies = {name: (files("ingestd.web") / "static" / name).read_bytes() for name in _OURS}
    bodies[HTMX] = (files("js_lib_htmx") / "static" / "htmx" / HTMX).read_bytes()
    return {name: Asset(name, body, hashlib.sha256(body).hexdigest()) for name, body in bodies.items()}


def address(name: str) -> str:
    """Address of an asset, for templates. Raises ``KeyError`` for a name nobody ships."""
    return assets()[name].url

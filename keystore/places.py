"""Places of keys as URLs. Pure. The form of ``pkcs11:`` is that of RFC 7512, the others follow it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from keystore.errors import KeystoreError


@dataclass(frozen=True, slots=True)
class Place:
    """A parsed URL: the scheme, its path as written, and the named parts of path and query."""

    scheme: str
    path: str
    parts: Mapping[str, str]

    def need(self, name: str) -> str:
        """One of the named parts. Raises ``KeystoreError`` when it is absent."""
        if not self.parts.get(name):
            raise KeystoreError(f"{self.scheme}:{self.path}: {name}= is needed")
        return self.parts[name]


def parse_place(url: str) -> Place:
    """Read a URL. Raises ``KeystoreError``."""
    scheme, colon, rest = url.partition(":")
    path, _, query = rest.partition("?")
    if not colon or not path:
        raise KeystoreError(f"{url!r}: the place of a key is a URL such as file:keys/custody.pem")
    return Place(scheme, path, {**_parts(path, ";"), **_parts(query, "&")})


def _parts(text: str, separator: str) -> dict[str, str]:
    named = (part.partition("=") for part in text.split(separator))
    return {name: unquote(value) for name, equals, value in named if equals}

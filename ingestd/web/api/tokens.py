"""Tokens of other systems: made once, shown once, known by their digest, each with scopes and an end.

``bwc_ID_SECRET``: the id finds the token, the secret proves it, compared in constant time. Making and revoking one is a
signed entry; the secret itself is 256 bits from the system and stands nowhere.
"""

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from custody.canonical import JsonObject
from custody.identifiers import uuid7
from ingestd.decisions import Decision, Fact, Person
from ingestd.errors import RefusedError
from ingestd.index.repository import Repository
from ingestd.model import is_one_line

MOST_DAYS: Final = 3_660
_SHOWN: Final = re.compile(r"bwc_([0-9a-f-]{36})_([A-Za-z0-9_-]{43})")
_DAY_MS: Final = 24 * 3_600_000


class Scope(StrEnum):
    """What a token may be used for."""

    READ = "read"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Token:
    """A token that holds."""

    token_id: str
    name: str
    scopes: frozenset[Scope]


class Tokens(Protocol):
    """Knows which tokens hold now."""

    def holds(self, shown: str) -> Token | None:
        """The token, or None when it is unknown, over or revoked."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """``Tokens`` over what the index knows. ``find`` gives a token's row by id, ``now_ms`` the time."""

    find: Callable[[str], Mapping[str, Any] | None]
    now_ms: Callable[[], int]

    def holds(self, shown: str) -> Token | None:
        """The token, or None when it is unknown, over or revoked."""
        parts = _SHOWN.fullmatch(shown)
        row = self.find(parts[1]) if parts else None
        if parts is None or row is None or not hmac.compare_digest(_digest(parts[2]), row["sha256"]):
            return None
        if row["revoked_ms"] is not None or row["expires_ms"] <= self.now_ms():
            return None
        return Token(row["token_id"], row["name"], frozenset(Scope(one) for one in row["scopes"].split()))


class Nobody:
    """Knows no token."""

    def holds(self, shown: str) -> Token | None:  # noqa: ARG002  # the port's parameter
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A token that is being made; ``shown`` is what its holder gets, once."""

    token_id: str
    shown: str
    sha256: str


def fresh(now_ms: int) -> Fresh:
    """A new token from the system's randomness."""
    token_id = uuid7(now_ms, os.urandom(10))
    secret = urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
    return Fresh(token_id, f"bwc_{token_id}_{secret}", _digest(secret))


def create(made: Fresh, name: str, scopes: Sequence[Scope], days: int, who: Person) -> Decision:
    """Enter a token under a name of its own, for so many days."""

    def decide(repository: Repository, now_ms: int) -> list[Fact]:
        if not name.strip() or len(name) > 100 or not is_one_line(name):  # noqa: PLR2004  # characters
            raise RefusedError("--name: 1 to 100 characters on one line are needed")
        if not 1 <= days <= MOST_DAYS:
            raise RefusedError(f"--days: 1 to {MOST_DAYS} are allowed")
        if any(row["name"] == name and row["revoked_ms"] is None for row in repository.people.tokens()):
            raise RefusedError(f"there is a token {name!r} in force; revoke it, or choose another name")
        block: JsonObject = {
            "id": made.token_id,
            "name": name,
            "scopes": [scope.value for scope in dict.fromkeys(scopes)],
            "sha256": made.sha256,
            "expires_ms": now_ms + days * _DAY_MS,
        }
        return [("token.created", {"token": block, **who.blocks})]

    return decide


def revoke(token_id: str, who: Person) -> Decision:
    """End a token at once."""

    def decide(repository: Repository, _now_ms: int) -> list[Fact]:
        found = next((row for row in repository.people.tokens() if row["token_id"] == token_id), None)
        if found is None or found["revoked_ms"] is not None:
            raise RefusedError(f"no token {token_id} is in force; `ingestd tokens list` names them")
        return [("token.revoked", {"token": {"id": token_id}, **who.blocks})]

    return decide


def _digest(secret: str) -> str:
    """256 bits of randomness need no slow hash: nobody guesses them."""
    return hashlib.sha256(secret.encode()).hexdigest()

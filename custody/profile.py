"""Profiles: which suites must sign every entry of a log, and what stands beside SHA-256.

A log has one profile for life. Which one is settled where its keys are enrolled: the keys of a log are of exactly the
suites of its profile, and a verifier demands a signature of each suite among the keys it was given.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Final

from custody import p256, sm2
from custody.errors import ContractError
from custody.signer import ED25519, VerifyKey


class Profile(StrEnum):
    """``std``: Ed25519; ``gm``: Ed25519 and SM2, SM3 beside SHA-256; ``p256``: for hardware without Ed25519."""

    STD = "std"
    GM = "gm"
    P256 = "p256"


SUITES: Final[Mapping[Profile, tuple[str, ...]]] = {
    Profile.STD: (ED25519,),
    Profile.GM: (ED25519, sm2.SUITE),
    Profile.P256: (p256.SUITE,),
}
"""The suites that must all sign. Unknown further signatures are ignored."""


def check_keys(profile: Profile, keys: Collection[VerifyKey]) -> None:
    """Whether ``keys`` are of exactly the suites of ``profile``. Raises ``ContractError`` saying what is wrong."""
    wanted, found = sorted(SUITES[profile]), sorted({key.suite for key in keys})
    if wanted != found:
        raise ContractError(f"profile {profile} needs keys of {' and '.join(wanted)}, not of {' and '.join(found)}")


def probe(profile: Profile, new: Callable[..., sm2.Hash] = hashlib.new) -> None:
    """Whether this machine can work in ``profile``. Raises ``Sm2UnavailableError`` with a sentence for people.

    ``new`` makes the hashes; the tests give one that lacks SM3.
    """
    if profile is Profile.GM:
        sm2.libcrypto()
        sm2.prove_sm3(new)

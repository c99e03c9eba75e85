"""Where the keys of one log live while one takes over from another: the place of now, and that of the next.

Which of the two signs is never remembered here: the log says whose signature its next entry needs, and whoever holds
that key is found. So a crash at any step of a hand-over leaves nothing to be mended. For files the next key moves into
the place of the present one (``settle``), which destroys the old private key: from then on nobody can sign with it.
"""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from custody.errors import CustodyError, EvidenceError
from custody.keyring import KEYS, LogKeys, open_succession, seal_succession
from custody.log import LogFiles
from custody.signer import Signer, VerifyKey, verify_key
from keystore.errors import KeystoreError
from keystore.opening import open_signer
from keystore.pem import new_pem

NEXT: Final = ".next"

Spot = Path | str
"""A path, or the URL of a place that is no file."""


class KeyPlaces:
    """The places of a log's keys, one a suite, in the order of their signatures."""

    def __init__(self, present: Sequence[Spot], following: Sequence[Spot | None]) -> None:
        """``following`` are the places of the next keys; None is the file beside the present one, where that is one."""
        self.present = tuple(present)
        pairs = zip(present, following, strict=True)
        self.following = tuple(spot if spot is not None else _beside(place) for place, spot in pairs)

    def signers(self) -> list[Signer]:
        """Those of now. Raises ``KeystoreError``."""
        return [open_signer(place) for place in self.present]

    def signers_of(self, wanted: Sequence[VerifyKey]) -> list[Signer]:
        """Those who hold exactly these keys; empty when one of them is held nowhere here."""
        spots = list(zip(self.present, self.following, strict=True))
        found = [_holder(pair, key) for pair, key in zip(spots, wanted, strict=False)]
        held = [signer for signer in found if signer is not None]
        return held if len(held) == len(wanted) == len(spots) else []

    def make(self, suites: Sequence[str]) -> list[Signer]:
        """The keys of now, after making those that are to be files and are not there yet. Raises ``KeystoreError``."""
        return _made(self.present, suites)

    def make_next(self, suites: Sequence[str], used: Collection[VerifyKey]) -> list[Signer]:
        """The next keys, after making those that are to be files and are not there yet.

        Raises ``KeystoreError``, also when a place holds one of the keys ``used`` already: a key never comes back.
        """
        if any(place is None for place in self.following):
            raise KeystoreError("the next key needs a place: [keys] custody_next (docs/keys.md)")
        places = [place for place in self.following if place is not None]
        signers = _made(places, suites)
        for place, signer in zip(places, signers, strict=True):
            if verify_key(signer) in used:
                raise KeystoreError(f"{place}: this key has signed already; a new one is needed")
        return signers

    def settle(self, wanted: Sequence[VerifyKey]) -> bool:
        """Move files that hold the ``wanted`` keys from the next place to the present one; whether any was moved.

        Only what is already the present key by the log's own word may be given. Keys in tokens stay where they are.
        """
        moved = False
        for present, following, key in zip(self.present, self.following, wanted, strict=True):
            if isinstance(present, Path) and isinstance(following, Path) and _holds(following, key):
                following.replace(present)
                _fsync_dir(present.parent)
                moved = True
        return moved


Holders = Callable[[LogKeys], Sequence[Signer]]
"""Finds those who sign with keys; fewer when one of them is held nowhere."""


class OwnKeys:
    """The keys of a log that is written here: those it began with, those that may succeed, and who signs now.

    They stand in the log's small file ``keys``, which counts because the newest key in it signed it and is held here.
    Without the file the log still has the keys it began with, which are those in their places.
    """

    def __init__(self, files: LogFiles, origin: str, present: Sequence[Signer], holders: Holders) -> None:
        """``present`` are those in their places, ``holders`` finds others."""
        self._files = files
        self._origin = origin
        self._present = list(present)
        self._found = self._present
        """Those who were asked for last."""
        self._holders = holders
        self._known: tuple[bytes, tuple[LogKeys, ...]] = (b"", ())

    def succession(self) -> tuple[LogKeys, ...]:
        """The keys that the log began with, then those that may succeed. Raises ``KeystoreError``."""
        data = self._files.get(KEYS)
        if data is None:
            return (LogKeys.of(self._origin, [verify_key(signer) for signer in self._present]),)
        if data != self._known[0]:
            try:
                succession = open_succession(data)
            except EvidenceError as error:
                raise KeystoreError(f"{self._origin}: its file {KEYS} does not hold: {error}") from error
            self.signers(succession[-1])
            self._known = data, succession
        return self._known[1]

    def signers(self, wanted: LogKeys) -> list[Signer]:
        """Who signs with these keys. Raises ``KeystoreError``."""
        known = [one for one in (self._found, self._present) if _are(one, wanted)]
        found = known[0] if known else list(self._holders(wanted))
        if _are(found, wanted):
            self._found = found
            return found
        raise KeystoreError(f"{self._origin}: key {wanted.keyid} is needed, and [keys] names no place that holds it")

    def add(self, signers: Sequence[Signer]) -> LogKeys:
        """Remember that ``signers`` may succeed, durably; the log itself has still to say that they do."""
        keys = LogKeys.of(self._origin, [verify_key(signer) for signer in signers])
        succession = tuple(dict.fromkeys([*self.succession(), keys]))
        self._files.put(KEYS, seal_succession(succession, signers))
        return keys


def _are(signers: Sequence[Signer], wanted: LogKeys) -> bool:
    return [verify_key(signer) for signer in signers] == [*wanted.keys]


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Durably; a file that is there already stays as it is, and ``FileExistsError`` is raised."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _fsync_dir(path.parent)


def _made(places: Sequence[Spot], suites: Sequence[str]) -> list[Signer]:
    for place, suite in zip(places, suites, strict=True):
        if isinstance(place, Path) and not place.exists():
            try:
                write_new(place, new_pem(suite))
            except OSError as error:
                raise KeystoreError(f"{place}: cannot be created: {error.strerror}") from error
    signers = [open_signer(place) for place in places]
    for place, signer, suite in zip(places, signers, suites, strict=True):
        if signer.suite() != suite:
            raise KeystoreError(f"{place}: a key of {suite} is needed, not of {signer.suite()}")
    return signers


def _beside(place: Spot) -> Path | None:
    return place.with_name(f"{place.stem}{NEXT}{place.suffix}") if isinstance(place, Path) else None


def _holder(spots: Sequence[Spot | None], wanted: VerifyKey) -> Signer | None:
    for spot in spots:
        try:
            signer = open_signer(spot) if spot is not None else None
        except CustodyError:
            continue  # the caller says which key is held nowhere
        if signer is not None and verify_key(signer) == wanted:
            return signer
    return None


def _holds(path: Path, wanted: VerifyKey) -> bool:
    return path.exists() and _holder([path], wanted) is not None


def _fsync_dir(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Whose keys must have signed an entry of a log: the succession of its keys (密钥沿革).

A log begins with the keys that were enrolled for it. Entry ``key.enrolled`` of the log itself, signed by the keys of
that time, names the next ones: every later entry is signed by those. What entitles a key to succeed is not that entry,
which the thief of the old key could write, but an approval from elsewhere: the centre's log for a station's log
(``custody.authority``), the auditor's policy for the centre's. A key that was replaced never comes back.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from custody import sm2
from custody.canonical import JsonObject
from custody.chain import Chain, Entry
from custody.checkpoint import COSIGNATURE, NoteKey
from custody.envelope import open_envelope, seal, verify
from custody.errors import ContractError, UnknownKeyError, UnparsableError
from custody.identifiers import second_origin
from custody.profile import SUITES, Profile
from custody.record import Record
from custody.signer import Signer, VerifyKey

ENROLLED: Final = "key.enrolled"
"""In a log of the key's own name a succession; in the centre's log, for another log, an approval."""
KEYS: Final = "keys"
"""Small file of a log that its own writer keeps: the keys it began with, then those that may succeed."""
SUCCESSION_TYPE: Final = "application/vnd.bwc.keys.v1"


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The keys that must all sign an entry of one log: one, in profile ``gm`` the SM2 one besides.

    Raises ``ContractError`` unless ``note`` is a log's key, and ``second`` an SM2 key under the second origin.
    """

    note: NoteKey
    second: NoteKey | None = None

    def __post_init__(self) -> None:
        if self.note.kind == COSIGNATURE or self.note.key.suite == sm2.SUITE:
            raise ContractError(f"{self.note.name}: the key of a log is needed (type 01, or ff in profile p256)")
        second = self.second
        if second and (second.key.suite != sm2.SUITE or second.name != second_origin(self.note.name)):
            raise ContractError(f"{self.note.name}: the second key of a log is an SM2 key of its second origin")
        if not any(sorted(suites) == sorted(self.suites()) for suites in SUITES.values()):
            raise ContractError(f"{self.note.name}: no profile has keys of {' and '.join(self.suites())}")

    @classmethod
    def of(cls, origin: str, keys: Collection[VerifyKey]) -> "LogKeys":
        """The keys of the log ``origin``, one of them SM2 in profile ``gm``. Raises ``ContractError``."""
        first = [NoteKey(origin, key) for key in keys if key.suite != sm2.SUITE]
        second = [NoteKey(second_origin(origin), key) for key in keys if key.suite == sm2.SUITE]
        if len(first) != 1 or len(second) > 1:
            raise ContractError(f"{origin}: one key of a log is needed, and at most one SM2 key besides")
        return cls(first[0], second[0] if second else None)

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.note.name

    @property
    def keys(self) -> tuple[VerifyKey, ...]:
        """The keys as they sign entries."""
        return tuple(one.key for one in self.note_keys)

    @property
    def note_keys(self) -> tuple[NoteKey, ...]:
        """The keys as they sign notes."""
        return (self.note, self.second) if self.second else (self.note,)

    @property
    def keyid(self) -> str:
        """Key id of the first one; what people call these keys by."""
        return self.note.key.keyid

    def suites(self) -> list[str]:
        """Their suites, which are those of the log's profile."""
        return [key.suite for key in self.keys]

    def block(self) -> JsonObject:
        """As a ``key`` block of a record."""
        second = {"vkey_sm3": self.second.vkey(), "keyid_sm2": self.second.key.keyid} if self.second else {}
        return {"vkey": self.note.vkey(), "keyid": self.keyid, **second}


def keys_in(block: JsonObject) -> LogKeys:
    """The keys that a ``key`` block names. Raises ``UnparsableError``."""
    second = block.get("vkey_sm3")
    try:
        return LogKeys(NoteKey.parse(str(block.get("vkey"))), NoteKey.parse(str(second)) if second else None)
    except ContractError as error:
        raise UnparsableError(f"key: {error}") from error


def profile_of(keys: LogKeys) -> Profile:
    """The profile whose suites these keys are of."""
    return next(profile for profile, suites in SUITES.items() if sorted(suites) == sorted(keys.suites()))


def seal_succession(succession: Sequence[LogKeys], signers: Sequence[Signer]) -> bytes:
    """What a log's writer keeps of its keys (file ``keys``), signed by the newest of them, whose ``signers`` these are.

    An envelope of its own payload type; the payload names the vkeys of one span a line, in the order of signing.
    """
    text = "".join(" ".join(key.vkey() for key in keys.note_keys) + "\n" for keys in succession)
    return seal(text.encode(), signers, SUCCESSION_TYPE)


def open_succession(data: bytes) -> tuple[LogKeys, ...]:
    """What ``seal_succession`` made; the caller must hold the last keys in it, or know them from elsewhere.

    Raises ``UnparsableError``, and what ``envelope.verify`` raises unless those keys signed it.
    """
    envelope = open_envelope(data)
    try:
        lines = [line.split(" ") for line in envelope.payload.decode("ascii").splitlines()]
        succession = tuple(LogKeys(*map(NoteKey.parse, vkeys)) for vkeys in lines)
        newest = succession[-1]
    except (ValueError, TypeError, IndexError, ContractError) as error:
        raise UnparsableError(f"keys of a log: one vkey or two a line are needed: {error}") from error
    verify(envelope, newest.keys, None, SUCCESSION_TYPE)
    return succession


def successor_in(record: Record) -> LogKeys | None:
    """The keys that sign from the next entry on, if this one says so. Raises ``UnparsableError``."""
    keys = keys_in(record.block("key")) if record.event == ENROLLED else None
    return keys if keys and keys.origin == record.log else None


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """The keys of one log from its first entry on, as far as it was followed."""

    spans: tuple[tuple[int, LogKeys], ...]
    """From which entry on which keys sign, ascending; the first span begins at 0."""
    approved: frozenset[LogKeys] = frozenset()
    """Keys that may succeed."""

    @classmethod
    def begin(cls, first: LogKeys, approved: Iterable[LogKeys] = ()) -> "KeyHistory":
        """A log of which nothing was followed yet."""
        return cls(((0, first),), frozenset(approved))

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.current.origin

    @property
    def current(self) -> LogKeys:
        """Whose signatures the next entry needs."""
        return self.spans[-1][1]

    def at(self, seq: int) -> LogKeys:
        """Whose signatures entry ``seq`` needs, or needed."""
        return next(keys for start, keys in reversed(self.spans) if start <= max(seq, 0))

    def of_checkpoint(self, size: int) -> tuple[LogKeys, ...]:
        """Who may sign the checkpoint of ``size``: the keys of its last entry or those of the next.

        The two differ only right after a succession, when a crash may come before either has signed.
        """
        return tuple(dict.fromkeys((self.at(size - 1), self.at(size))))

    def approving(self, approved: Iterable[LogKeys]) -> "KeyHistory":
        """The same history with other keys that may succeed."""
        return replace(self, approved=frozenset(approved))

    def candidates(self) -> tuple[LogKeys, ...]:
        """Every keys that signed, or that may come to sign."""
        return tuple(dict.fromkeys([*(keys for _, keys in self.spans), *sorted(self.approved, key=lambda k: k.keyid)]))

    def after(self, record: Record) -> "KeyHistory":
        """The history after an entry that was verified.

        Raises ``UnknownKeyError`` for a succession by keys that are not approved, are of another profile or have
        signed before, and ``UnparsableError`` for one that names no keys.
        """
        keys = successor_in(record)
        if keys is None:
            return self
        place = f"{record.log}: entry {record.seq} hands over to key {keys.keyid}"
        if keys not in self.approved:
            raise UnknownKeyError(f"{place}, which is not approved")
        if keys.suites() != self.current.suites():
            raise UnknownKeyError(f"{place}, which is of another profile")
        if any({*keys.keys} & {*old.keys} for _, old in self.spans):
            raise UnknownKeyError(f"{place}, which has signed before")
        return replace(self, spans=(*self.spans, (record.seq + 1, keys)))

    def follow(self, chain: Chain, data: bytes) -> tuple[Entry, Chain, "KeyHistory"]:
        """Verify that ``data`` is the next entry after ``chain``; raises what ``Chain.follow`` and ``after`` raise."""
        entry, after = chain.follow(data, self.at(chain.size).keys)
        return entry, after, self.after(entry.record)

"""Whose recorder this is: what its sources state, held against the station's register of recorders. Pure.

Identity is never one thing: a serial is cloned, a card is swapped, a label is typed by anybody. So each source makes
a claim, and the claims are compared; where they disagree the verdict says so and names each of them, and people
resolve it. Nothing is ever preferred silently, and the order of the claims does not matter.

The register is a table, CSV or TOML, with the columns of the centre's import of recorders and those that tell one
recorder from another (``COLUMNS``). One number may stand in several lines: each line adds what it knows.
"""

import csv
import hashlib
import io
import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from custody.canonical import JsonObject, JsonValue
from station_agent.errors import ConfigError
from station_agent.model import MAX_ID, Stated


class Source(StrEnum):
    """Where a claim of identity comes from."""

    SERIAL = "serial"
    """USB serial number (``iSerialNumber``, USB 2.0 §9.6.1)."""
    VOLUME_UUID = "volume-uuid"
    LABEL = "volume-label"
    CARD = "card-id"
    """An id in a settings file on the volume."""
    ZFY_INFO = "zfy-info"
    """The product number (产品序号) that a recorder stated before it was unlocked."""
    NAME = "file-name"
    """A recorder's number in the names of its files."""


class Verdict(StrEnum):
    """What the claims of one docking amount to."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    """No source points to a recorder of the register."""
    CONFLICT = "conflict"
    """The sources contradict each other or the register; ``Identity.reasons`` says how."""
    UNCHECKED = "unchecked"
    """The station has no register to ask."""


class Handling(StrEnum):
    """What becomes of an unregistered recorder."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"
    ACCEPT = "accept"


OTHER_RECORDERS: Final = "different-recorders"
"""Two sources point to two recorders of the register."""
SERIAL_DIFFERS: Final = "serial-differs"
"""The recorder that is pointed to is registered with another USB serial."""
CARD_DIFFERS: Final = "card-id-differs"
"""The recorder that is pointed to is registered with another id on its card."""
SAME_SERIAL: Final = "same-serial"
"""Another recorder with this USB serial was docked at the same time."""

NOBODY_SET: Final = frozenset({"4294967295"})
"""Beside rows of zeros: 2³²-1, what Sony writes for a serial that is not set."""
MAX_CLAIMS: Final = 24
"""Claims that stand in a record: four of the device, and all that ``card_ids`` keeps of its card."""
_STRONG: Final = ((Source.SERIAL, SERIAL_DIFFERS), (Source.CARD, CARD_DIFFERS))
"""Sources that belong to the device itself. Volumes are formatted and labels typed: another one proves nothing."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A recorder of the register: its number (记录仪编号), who it is issued to, and what its sources state."""

    number: str
    officer: str = ""
    ids: Mapping[Source, frozenset[str]] = field(default_factory=dict)
    """As compared (``comparable``)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source states, and the recorder of the register that it points to; empty: to none."""

    source: str
    value: str
    recorder: str = ""

    def block(self) -> JsonObject:
        """As it stands in a record."""
        return {"source": self.source, "value": self.value, "recorder": self.recorder}


@dataclass(frozen=True, slots=True)
class Identity:
    """The verdict on one docking, with everything that it rests on."""

    verdict: Verdict
    recorder: str = ""
    """Number of the recorder; only where it is registered."""
    officer: str = ""
    claims: tuple[Claim, ...] = ()
    reasons: tuple[str, ...] = ()
    twin_bays: tuple[int, ...] = ()
    registry_sha256: str = ""
    """Digest of the register that was asked."""

    def block(self, handling: Handling) -> JsonObject:
        """The ``identity`` block of a record."""
        told: dict[str, JsonValue] = {
            **self.brief(handling),
            "officer": self.officer,
            "claims": [claim.block() for claim in self.claims],
            "reasons": list(self.reasons),
            "registry_sha256": self.registry_sha256,
        }
        return {**told, "twin_bays": list(self.twin_bays)} if self.twin_bays else told

    def brief(self, handling: Handling) -> JsonObject:
        """The same for an entry whose docking says the rest."""
        told: dict[str, JsonValue] = {"verdict": str(self.verdict), "recorder": self.recorder}
        return {**told, "handling": str(handling)} if self.verdict is Verdict.UNREGISTERED else told


class Registry:
    """The recorders of a register, looked up by what a source states."""

    def __init__(self, recorders: Iterable[Registered] = (), sha256: str = "") -> None:
        """``sha256`` is the digest of the file that the recorders come from."""
        self.recorders: Final = MappingProxyType({one.number: one for one in recorders})
        self.sha256: Final = sha256
        self._owners: Final = {key: one.number for one in self.recorders.values() for key in _keys(one.number, one.ids)}

    def whose(self, stated: Stated) -> str:
        """Number of the recorder that a claim points to; empty for none, as no default is anybody's (``parse``)."""
        return self._owners.get((_asked_as(stated.source), comparable(stated.value)), "")

    def denies(self, number: str, source: Source, values: Collection[str]) -> bool:
        """Whether the register knows this source of a recorder, and ``values`` are all others."""
        registered = self.recorders[number].ids.get(source, frozenset())
        return bool(registered and values) and registered.isdisjoint(values) and comparable(number) not in values


def _keys(number: str, ids: Mapping[Source, Iterable[str]]) -> set[tuple[Source, str]]:
    """What leads to a recorder: its registered ids, and its number wherever the device itself states that."""
    own = {(source, comparable(number)) for source, _ in _STRONG}
    return own | {(source, comparable(value)) for source, values in ids.items() for value in values}


NOTHING: Final = Registry()
"""The register of a station that has none."""


def identified(registry: Registry, stated: Iterable[Stated], twin_bays: Collection[int] = ()) -> Identity:
    """The verdict on what the sources of one docking state.

    ``twin_bays``: where other recorders with the same serial are or were docked meanwhile. Without a register only
    they can be noticed. A claim that is a default counts as unknown: it neither agrees nor disagrees. Names of files
    can contradict and never suffice: whoever copies a file copies its name.
    """
    every = sorted({Claim(one.source, one.value, registry.whose(one)) for one in stated if one.value}, key=_order)
    claims = tuple(every[:MAX_CLAIMS])
    found = {claim.recorder for claim in every if claim.recorder and claim.source != Source.NAME}
    reasons = tuple(_reasons(registry, every, found, twin_bays))
    verdict = _verdict(registry, found, reasons)
    mine = registry.recorders[next(iter(found))] if verdict is Verdict.REGISTERED else Registered("")
    bays = tuple(sorted(twin_bays))
    return Identity(verdict, mine.number, mine.officer, claims, reasons, bays, registry.sha256)


def _verdict(registry: Registry, found: Collection[str], reasons: Sequence[str]) -> Verdict:
    if not registry.sha256:
        return Verdict.CONFLICT if reasons else Verdict.UNCHECKED
    if not found:
        return Verdict.UNREGISTERED
    return Verdict.CONFLICT if reasons else Verdict.REGISTERED


def _reasons(
    registry: Registry, claims: Sequence[Claim], found: Collection[str], twin_bays: Collection[int]
) -> Iterable[str]:
    if len({claim.recorder for claim in claims if claim.recorder}) > 1:
        yield OTHER_RECORDERS
    for source, reason in _STRONG:
        values = {comparable(claim.value) for claim in claims if _is_of(claim, source) and is_set(claim.value)}
        if any(registry.denies(number, source, values) for number in found):
            yield reason
    if twin_bays:
        yield SAME_SERIAL


def comparable(value: str) -> str:
    """A stated id as it is compared: width, letter case, and spaces around it make no difference."""
    return unicodedata.normalize("NFKC", value).strip().casefold()


def is_set(value: str) -> bool:
    """Whether an id says anything: zeros, with or without dashes, are the default of a recorder nobody set up."""
    plain = comparable(value)
    return bool(plain.strip("0- ")) and plain not in NOBODY_SET


def _order(claim: Claim) -> tuple[bool, str, str]:
    """Those that point to a recorder come first, so that none of them is ever beyond the bound."""
    return not claim.recorder, claim.source, claim.value


def _asked_as(source: str) -> Source:
    """The product number is one, whether settings, ZFY_INFO or the name of a file states it."""
    return Source.CARD if source in {Source.NAME, Source.ZFY_INFO} else Source(source)


def _is_of(claim: Claim, source: Source) -> bool:
    return _asked_as(claim.source) is source and claim.source != Source.NAME


# The file.

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "serial": (
        "recorder",
        "recorder serial",
        "serial number",
        "记录仪编号",
        "执法记录仪编号",
        "设备编号",
        "记录仪",
        "序列号",
        "设备序列号",
    ),
    "usb_serial": ("USB序列号",),
    "volume_uuid": ("卷标识", "文件系统标识"),
    "volume_label": ("卷标",),
    "card_id": ("卡内编号", "产品序号"),
    "officer": ("officer number", "使用人", "使用人证号", "执法证号", "执法证件号", "警号"),
    "name": ("名称", "设备名称", "型号", "label", "model"),
    "unit": ("单位", "执法单位", "所属单位", "部门", "department"),
}
"""Columns of the register and other headings that mean them. ``serial``, ``name`` and ``unit`` are those of the
centre's import of recorders, so that one file serves both; the last two say nothing here."""
_UNUSED: Final = frozenset({"name", "unit"})
_IDS: Final = {
    "usb_serial": Source.SERIAL,
    "volume_uuid": Source.VOLUME_UUID,
    "volume_label": Source.LABEL,
    "card_id": Source.CARD,
}


def parse(data: bytes, name: str) -> Registry:
    """The register in a file called ``name`` (``.toml``, else CSV). Raises ``ConfigError`` with line and reason."""
    lines = _toml(data, name) if name.endswith(".toml") else _csv(data, name)
    made: dict[str, Registered] = {}
    owners: dict[tuple[Source, str], str] = {}
    for where, line in lines:
        one = _registered(line, where)
        for key in sorted(_keys(one.number, one.ids)):
            if (other := owners.setdefault(key, one.number)) != one.number:
                told = " ".join(key)
                raise ConfigError(f"{where}: {told}: recorder {other} has it already, and an id tells one recorder")
        made[one.number] = _with(made.get(one.number, Registered(one.number)), one, where)
    if not made:
        raise ConfigError(f"{name}: at least one recorder is needed")
    return Registry(made.values(), hashlib.sha256(data).hexdigest())


def _registered(line: Mapping[str, str], where: str) -> Registered:
    """What one line says."""
    number = line.get("serial", "").strip()
    if not is_set(number):
        raise ConfigError(f"{where}: serial: the number of a recorder is needed, not {number!r}")
    if long := next((column for column, value in line.items() if column not in _UNUSED and len(value) > MAX_ID), ""):
        raise ConfigError(f"{where}: {long}: at most {MAX_ID} characters are allowed")
    given = {source: line.get(column, "").strip() for column, source in _IDS.items()}
    for source, value in given.items():
        if value and not is_set(value):
            raise ConfigError(f"{where}: {source} {value}: a default that nobody set tells no recorder")
    ids = {source: frozenset({comparable(value)}) for source, value in given.items() if value}
    return Registered(number, line.get("officer", "").strip(), ids)


def _with(one: Registered, more: Registered, where: str) -> Registered:
    """A recorder of several lines."""
    if one.officer and more.officer and one.officer != more.officer:
        raise ConfigError(f"{where}: officer {more.officer}: recorder {one.number} is with {one.officer} already")
    ids = {source: one.ids.get(source, frozenset()) | more.ids.get(source, frozenset()) for source in Source}
    return Registered(one.number, one.officer or more.officer, ids)


def _csv(data: bytes, name: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    rows = csv.reader(io.StringIO(_text(data, name)), strict=True)
    try:
        headings = [_column(heading, name) for heading in next(rows, [])]
        if "serial" not in headings:
            raise ConfigError(f"{name}: the heading needs a column serial (记录仪编号)")
        for row in rows:
            if any(cell.strip() for cell in row):
                yield f"{name}: line {rows.line_num}", dict(zip(headings, row, strict=False))
    except csv.Error as error:
        raise ConfigError(f"{name}: line {rows.line_num}: not CSV: {error}") from error


def _toml(data: bytes, name: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    try:
        listed = tomllib.loads(_text(data, name)).get("recorders", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    for number, line in enumerate(listed if isinstance(listed, list) else [], 1):
        where = f"{name}: recorders, number {number}"
        if not isinstance(line, dict) or not all(isinstance(value, str) for value in line.values()):
            raise ConfigError(f"{where}: a table of texts is needed")
        yield where, {_column(key, where): value for key, value in line.items()}


def _text(data: bytes, name: str) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ConfigError(f"{name}: UTF-8 or GB 18030 is needed")


def _column(heading: str, where: str) -> str:
    """The column that a heading means; width, case, spaces, underscores and a remark in brackets do not matter."""
    column = _HEADINGS.get(_plain(heading))
    if column is None:
        raise ConfigError(f"{where}: {heading!r} is no column; there are {', '.join(COLUMNS)}")
    return column


def _plain(heading: str) -> str:
    return re.sub(r"[\s_]|\(.*\)", "", unicodedata.normalize("NFKC", heading)).casefold()


_HEADINGS: Final = {_plain(word): column for column, words in COLUMNS.items() for word in (column, *words)}

"""The agency's catalogue of action types: how far each must be recorded, and by which article.

An agency edits the file; ``config/catalogue.toml`` is the default, made from the city's plan (运政办〔2019〕3号
一（二）2) and the Administrative Compulsion Law (行政强制法). Every change is a version that the centre keeps and logs;
an act is judged by the version in force when it began, whatever the catalogue says later.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ingestd.errors import ConfigError
from ingestd.model import Level
from ingestd.rules.rule import TypeName
from ingestd.rules.wording import Both

MINUTE_MS: Final = 60 * 1000
MIN_RETENTION_DAYS: Final = 183
"""Six months (公安机关现场执法视音频记录工作规定 13), borrowed for all agencies; less is refused."""

Retention = int | Literal["permanent", "case-file"]
"""Days, or ``case-file`` (同案卷保留期限), or ``permanent`` (永久)."""


@dataclass(frozen=True, slots=True)
class ActionType:
    """One kind of act (执法行为类型). ``tolerated_gap_ms`` and ``margin_ms`` are milliseconds, ``radius_m`` metres."""

    type_id: str
    name: Both
    also: tuple[str, ...]
    level: Level
    article: str
    tolerated_gap_ms: int
    margin_ms: int
    radius_m: int
    checkpoints: tuple[str, ...] = ()
    """What has to be in the picture or on paper, by ``Checkpoint.checkpoint_id``."""
    retention: Retention = MIN_RETENTION_DAYS
    """Days for which footage is kept at least, or ``case-file`` (as long as the case file), or ``permanent``."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One thing that an officer has to do, and where the law says so."""

    checkpoint_id: str
    name: Both
    article: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All action types of one version, in the order of the file."""

    version: str
    types: Mapping[str, ActionType]
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    valid_from: date | None = None
    """The day from which it is to hold, as the file says; None where it holds as soon as it is entered."""

    def stated_ms(self, zone: ZoneInfo) -> int | None:
        """The beginning of that day in the agency's zone, in milliseconds since 1970 UTC."""
        if self.valid_from is None:
            return None
        return int(datetime.combine(self.valid_from, time(), zone).timestamp()) * 1000

    def named(self, text: str) -> ActionType | None:
        """The type called ``text``, by identifier, Chinese or English name or other name; None when there is none."""
        wanted = text.strip().casefold()
        return next((t for t in self.types.values() if wanted in _names(t)), None)

    def spoken(self) -> dict[str, TypeName]:
        """Names and articles by type, as ``rules.Policy`` wants them."""
        return {t.type_id: TypeName(t.name, t.article, self._steps(t)) for t in self.types.values()}

    def _steps(self, action_type: ActionType) -> dict[str, Both]:
        return {step: self.checkpoints[step].name for step in action_type.checkpoints}

    def allowed(self) -> Both:
        """Every type, for an error message."""
        return Both("、".join(f"{t.name.zh}（{t.type_id}）" for t in self.types.values()), ", ".join(self.types))


@dataclass(frozen=True, slots=True)
class Version:
    """A catalogue and the moment from which it is in force, in milliseconds since 1970 UTC."""

    valid_from_ms: int
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class Catalogues:
    """Every version there was and is to be, in the order in which they were entered; at least one."""

    versions: tuple[Version, ...]

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Catalogues":
        """One catalogue for all times."""
        return cls((Version(0, catalogue),))

    def at(self, moment_ms: int) -> Catalogue:
        """The version in force at a moment: the last that had begun by then; before all of them, the first."""
        return self._from(moment_ms)[0].catalogue

    def named(self, text: str, moment_ms: int) -> ActionType | None:
        """The type called ``text`` at that moment.

        One that the version of the day did not have yet is that of the first later version which has it: an act nobody
        foresaw is judged as soon as the agency has said how.
        """
        found = (version.catalogue.named(text) for version in self._from(moment_ms))
        return next((action_type for action_type in found if action_type is not None), None)

    def earlier(self) -> list[tuple[int, Catalogue]]:
        """Every version but the last, each with the moment at which a later one replaced it; oldest first."""
        starts = [version.valid_from_ms for version in self.versions]
        ends = [min(starts[number + 1 :]) for number in range(len(starts) - 1)]
        periods = zip(ends, self.versions, strict=False)
        return [
            (end, version.catalogue)
            for number, (end, version) in enumerate(periods)
            if number == 0 or version.valid_from_ms < end
        ]

    def _from(self, moment_ms: int) -> tuple[Version, ...]:
        """The version in force at a moment, and those that came after it."""
        begun = [number for number, version in enumerate(self.versions) if version.valid_from_ms <= moment_ms]
        return self.versions[max(begun, default=0) :]


def in_force_ms(stated_ms: int | None, now_ms: int, *, first: bool) -> int:
    """From when a catalogue holds that is entered now: as it says, but never for acts an earlier one has judged."""
    if first:
        return now_ms if stated_ms is None else stated_ms
    return max(now_ms, stated_ms or 0)


def load(path: Path) -> Catalogue:
    """Read a catalogue file. Raises ``ConfigError`` naming file, key and what is allowed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(data, str(path))


def parse(data: bytes, name: str) -> Catalogue:
    """Catalogue from the bytes of a TOML file called ``name``. Raises ``ConfigError``."""
    try:
        document = _Document.model_validate(tomllib.loads(data.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{name}: not a TOML file in UTF-8: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{name}: {_first_problem(error)}") from error
    types = [_action_type(entry, document.defaults) for entry in document.types]
    checkpoints = [Checkpoint(one.id, Both(one.zh, one.en), one.article) for one in document.checkpoints]
    _refuse_shared_names(types, name)
    _refuse_unknown_checkpoints(types, checkpoints, name)
    return Catalogue(
        document.version,
        {t.type_id: t for t in types},
        {one.checkpoint_id: one for one in checkpoints},
        document.valid_from,
    )


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Text = Annotated[str, Field(min_length=1, max_length=200)]
_GapMs = Annotated[int, Field(ge=0, le=60 * MINUTE_MS)]
_MarginMin = Annotated[int, Field(ge=0, le=24 * 60)]
_RadiusM = Annotated[int, Field(ge=0, le=100_000)]


_MOST_DAYS: Final = 36_525
_Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


def _is_retention(value: object) -> object:
    days = isinstance(value, int) and not isinstance(value, bool) and MIN_RETENTION_DAYS <= value <= _MOST_DAYS
    if not days and value not in {"permanent", "case-file"}:
        raise ValueError(f"days from {MIN_RETENTION_DAYS} to {_MOST_DAYS}, or 'case-file', or 'permanent'")
    return value


_Retention = Annotated[Retention, BeforeValidator(_is_retention)]


class _Defaults(_Strict):
    tolerated_gap_ms: _GapMs = 1000
    margin_min: _MarginMin = 30
    radius_m: _RadiusM = 500
    retention: _Retention = MIN_RETENTION_DAYS


class _Checkpoint(_Strict):
    id: _Id
    zh: _Text
    en: _Text
    article: _Text


class _Type(_Strict):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    zh: _Text
    en: _Text
    also: tuple[_Text, ...] = ()
    level: Level
    article: _Text
    tolerated_gap_ms: _GapMs | None = None
    margin_min: _MarginMin | None = None
    radius_m: _RadiusM | None = None
    checkpoints: tuple[_Id, ...] = ()
    retention: _Retention | None = None


class _Document(_Strict):
    version: _Text
    valid_from: date | None = None
    defaults: _Defaults = _Defaults()
    checkpoints: tuple[_Checkpoint, ...] = ()
    types: Annotated[tuple[_Type, ...], Field(min_length=1)]


def _action_type(entry: _Type, defaults: _Defaults) -> ActionType:
    return ActionType(
        type_id=entry.id,
        name=Both(entry.zh, entry.en),
        also=entry.also,
        level=entry.level,
        article=entry.article,
        tolerated_gap_ms=_own(entry.tolerated_gap_ms, defaults.tolerated_gap_ms),
        margin_ms=_own(entry.margin_min, defaults.margin_min) * MINUTE_MS,
        radius_m=_own(entry.radius_m, defaults.radius_m),
        checkpoints=entry.checkpoints,
        retention=defaults.retention if entry.retention is None else entry.retention,
    )


def _own(value: int | None, default: int) -> int:
    return default if value is None else value


def _names(action_type: ActionType) -> set[str]:
    names = (action_type.type_id, action_type.name.zh, action_type.name.en, *action_type.also)
    return {name.strip().casefold() for name in names}


def _refuse_shared_names(types: list[ActionType], name: str) -> None:
    """Two types with one name would make the level of an act a matter of luck."""
    owner: dict[str, str] = {}
    for position, action_type in enumerate(types):
        for called in sorted(_names(action_type)):
            if called in owner:
                raise ConfigError(
                    f"{name}: types[{position}]: the name {called!r} already means {owner[called]!r}; "
                    "identifiers and names must be unique"
                )
            owner[called] = action_type.type_id


def _refuse_unknown_checkpoints(types: list[ActionType], checkpoints: list[Checkpoint], name: str) -> None:
    known = [one.checkpoint_id for one in checkpoints]
    for position, checkpoint_id in enumerate(known):
        if checkpoint_id in known[:position]:
            raise ConfigError(f"{name}: checkpoints[{position}]: {checkpoint_id!r} is there twice; each id once")
    for position, action_type in enumerate(types):
        for asked in action_type.checkpoints:
            if asked not in known:
                raise ConfigError(
                    f"{name}: types[{position}].checkpoints: {asked!r} is no checkpoint; known: {', '.join(known)}"
                )


def _first_problem(error: ValidationError) -> str:
    """``key: what is allowed`` of the first problem."""
    problem = error.errors(include_url=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    given = problem.get("input")
    shown = f" (given: {given!r})" if isinstance(given, (str, int)) else ""
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}{shown}"

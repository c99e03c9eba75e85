"""The agency's catalogue of action types: how far each must be recorded, and by which article.

An agency edits the file; ``config/catalogue.toml`` is the default, made from the city's plan (运政办〔2019〕3号
一（二）2) and the Administrative Compulsion Law (行政强制法). An action keeps the level and tolerances of the version
under which it was imported.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingestd.errors import ConfigError
from ingestd.model import Level
from ingestd.rules.rule import TypeName
from ingestd.rules.wording import Both

MINUTE_MS: Final = 60 * 1000


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


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All action types of one version, in the order of the file."""

    version: str
    types: Mapping[str, ActionType]

    def named(self, text: str) -> ActionType | None:
        """The type called ``text``, by identifier, Chinese or English name or other name; None when there is none."""
        wanted = text.strip().casefold()
        return next((t for t in self.types.values() if wanted in _names(t)), None)

    def spoken(self) -> dict[str, TypeName]:
        """Names and articles by type, as ``rules.Policy`` wants them."""
        return {t.type_id: TypeName(t.name, t.article) for t in self.types.values()}

    def allowed(self) -> Both:
        """Every type, for an error message."""
        return Both("、".join(f"{t.name.zh}（{t.type_id}）" for t in self.types.values()), ", ".join(self.types))


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
    _refuse_shared_names(types, name)
    return Catalogue(document.version, {t.type_id: t for t in types})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Text = Annotated[str, Field(min_length=1, max_length=200)]
_GapMs = Annotated[int, Field(ge=0, le=60 * MINUTE_MS)]
_MarginMin = Annotated[int, Field(ge=0, le=24 * 60)]
_RadiusM = Annotated[int, Field(ge=0, le=100_000)]


class _Defaults(_Strict):
    tolerated_gap_ms: _GapMs = 1000
    margin_min: _MarginMin = 30
    radius_m: _RadiusM = 500


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


class _Document(_Strict):
    version: _Text
    defaults: _Defaults = _Defaults()
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


def _first_problem(error: ValidationError) -> str:
    """``key: what is allowed`` of the first problem."""
    problem = error.errors(include_url=False)[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    given = problem.get("input")
    shown = f" (given: {given!r})" if isinstance(given, (str, int)) else ""
    return f"{key}: {problem['msg']}{shown}"

"""Configuration of the centre: one TOML file read into frozen values; the docstrings are the manual.

Relative paths are relative to the folder of the file. Unknown keys are refused, so that a misspelt key is found on the
day it is written.
"""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from custody.checkpoint import COSIGNATURE, NoteKey
from custody.errors import CustodyError
from custody.identifiers import is_origin, is_station_id, log_origin, second_origin
from custody.profile import Profile, check_keys
from ingestd.errors import ConfigError
from keystore.opening import place_of

if TYPE_CHECKING:
    from ingestd.cases.columns import Source

# Each command reads the configuration first. What takes long to load, imports and the toolkit of databases, is loaded
# where a configuration speaks of it.

FILE_NAME = "ingestd.toml"
"""Name of the file in a data folder (``--data-dir``)."""
CENTRE = "centre"
"""Last part of the origin of the centre's log."""
DONE = "done"
"""Folder beside an imported file to which it goes."""
REFUSED = "refused"
"""Folder to which a file goes that could not be imported."""
WITNESS = "centre-witness"
"""Last part of the name under which the centre cosigns (its key differs from the log's, C2SP signed-note)."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Port = Annotated[int, Field(ge=1, le=65_535)]
_SQLITE: Final = re.compile(r"(sqlite(?:\+pysqlite)?)://(?:/([^?]*)(\?.*)?)?", re.DOTALL)
"""Scheme, file and options of an index in SQLite."""
_DATABASES: Final = "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Centre(_Section):
    """``[centre]``: who we are."""

    authority: Text
    """First part of every origin of the agency, for instance ``custody.example``."""
    timezone: Text = "Asia/Shanghai"
    """Zone of times without one, in imports and on pages."""

    profile: Profile = Profile.STD
    """Of the centre's own log: ``std``; ``gm``: SM2 and SM3 besides; ``p256``: for a key in a TPM. For life."""

    @field_validator("authority")
    @classmethod
    def _is_authority(cls, value: str) -> str:
        if not is_origin(f"{value}/{CENTRE}"):
            raise ValueError("a host name in lower case, for instance custody.example")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError("a time zone of the tz database, for instance Asia/Shanghai") from error
        return value


class Paths(_Section):
    """``[paths]``: where the centre keeps its own files."""

    data: Path
    """Folder of log, mirrors, quarantine, imports, keys and the lock."""


class Keys(_Section):
    """``[keys]``: private keys, PEM (PKCS #8, Ed25519), mode 0600."""

    custody: Path | str
    """Signs the entries and checkpoints of the centre log; a path, or the URL of another place (docs/keys.md)."""
    sm2: Path | str | None = None
    """The SM2 key that signs too, in profile ``gm`` and only there."""
    custody_next: Path | str | None = None
    """Where the next key of the centre log lives; for a file by default ``<custody>.next.pem`` beside it."""
    sm2_next: Path | str | None = None
    """The same for the SM2 key."""
    custody_cert: Path | None = None
    """Certificate of the custody key, for those whose tools expect one; looked at when the centre starts."""
    witness: Path | None = None
    """Cosigns station checkpoints; default ``keys/witness.pem`` in the data folder. Never the custody key."""
    ca: Path | str | None = None
    """The agency's CA, which issues certificates at ``ingestd keys approve``; default ``keys/ca.pem`` in the data
    folder. Better a token that two people keep: ``--ca-key`` names it when it is needed."""
    ca_cert: Path | None = None
    """Certificate of that CA, which ``ingestd keys ca init`` makes; default ``keys/ca.crt`` in the data folder."""


class Station(_Section):
    """``[[stations]]``: one enrolled station."""

    id: Text
    vkey: Text
    """``name+hash+base64`` of the station's log, shown by the station."""
    profile: Profile = Profile.STD
    """What the station signs with; exactly that is demanded of every entry."""
    vkey_sm3: Text | None = None
    """vkey of its second note (SM2), in profile ``gm`` and only there."""

    @field_validator("id")
    @classmethod
    def _is_station(cls, value: str) -> str:
        if not is_station_id(value) or value in {CENTRE, WITNESS}:
            raise ValueError("1 to 64 of a-z 0-9 . _ -, and not the centre's own name")
        return value

    @field_validator("vkey")
    @classmethod
    def _is_vkey(cls, value: str) -> str:
        try:
            key = NoteKey.parse(value)
        except CustodyError as error:
            raise ValueError(str(error)) from error
        if key.kind == COSIGNATURE:
            raise ValueError("the key of a log (type 01 or ff), not of a cosigner")
        return value

    @field_validator("vkey_sm3")
    @classmethod
    def _is_second(cls, value: str | None) -> str | None:
        return value and cls._is_vkey(value)

    @model_validator(mode="after")
    def _keys_of_profile(self) -> Self:
        try:
            check_keys(self.profile, [key.key for key in self.note_keys()])
        except CustodyError as error:
            raise ValueError(f"vkey, vkey_sm3: {error}") from error
        return self

    def note_key(self) -> NoteKey:
        """The key as a value."""
        return NoteKey.parse(self.vkey)

    def note_keys(self) -> list[NoteKey]:
        """The key of the log's checkpoint and, in profile ``gm``, that of the second one."""
        return [NoteKey.parse(vkey) for vkey in (self.vkey, self.vkey_sm3) if vkey]


class Mqtt(_Section):
    """``[mqtt]``: the broker. With ``ca``, ``cert`` and ``key`` the connection is mutual TLS."""

    host: Text = "127.0.0.1"
    port: Port = 8883
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    client_id: Text = "ingestd"
    """Name of the session the broker keeps for us while we are away."""
    batch_messages: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most messages handled as one unit of work."""
    batch_entries: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Most log entries handled as one unit of work (one message may exceed it)."""


class Store(_Section):
    """``[store]``: the evidence store."""

    url: Text
    """A folder, or ``s3://bucket/prefix`` (credentials from the environment)."""
    readers: Annotated[int, Field(ge=1, le=64)] = 2
    """Objects read back at once."""
    missing_after_s: Annotated[int, Field(ge=0)] = 3600
    """An announced object that is not in the store after this long is flagged; before, it is simply on its way."""


class Database(_Section):
    """``[database]``: the index, a projection of the logs."""

    url: Text
    """``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/NAME``."""

    @field_validator("url")
    @classmethod
    def _is_supported(cls, value: str) -> str:
        if not _SQLITE.fullmatch(value) and not _is_postgresql(value):
            raise ValueError(_DATABASES)
        return value


class CatalogueFile(_Section):
    """``[catalogue]``: which kinds of action must be recorded how far."""

    file: Path | None = None


class ImportSource(_Section):
    """``[imports.NAME]``: how the files of one source call our columns (docs/import.md)."""

    columns: dict[Text, str] = {}
    """Heading in the file = name of our column; an empty name passes the column over."""

    @field_validator("columns")
    @classmethod
    def _are_ours(cls, value: dict[str, str]) -> dict[str, str]:
        from ingestd.cases.columns import COLUMN_NAMES  # noqa: PLC0415  # see the head of the file

        for heading, column in value.items():
            if column and column not in COLUMN_NAMES:
                known = ", ".join(sorted(COLUMN_NAMES))
                raise ValueError(
                    f"{heading}: {column!r} is no column of ours; one of {known}, or empty to pass it over"
                )
        return value


class Imports(BaseModel):
    """``[imports]``: a folder from which files are imported, and the sources they come from."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, ImportSource] = Field(init=False)

    folder: Path | None = None
    """The running service imports what is put here; a file in the sub-folder NAME is read as one of source NAME."""

    @property
    def names(self) -> list[str]:
        """Every source there is a section of."""
        return sorted(self.__pydantic_extra__)

    def source(self, name: str) -> "Source":
        """How the files of a source are to be understood. Raises ``ConfigError`` for one that is not configured."""
        from ingestd.cases.columns import Source  # noqa: PLC0415  # see the head of the file

        if not name:
            return Source()
        if name not in self.__pydantic_extra__:
            known = ", ".join(self.names) or "none"
            raise ConfigError(f"imports.{name}: no such source is configured; known: {known}")
        return Source.of(name, self.__pydantic_extra__[name].columns)

    @model_validator(mode="after")
    def _are_names(self) -> Self:
        for name in self.names:
            if not is_station_id(name):
                raise ValueError(f"{name}: a source is called by 1 to 64 of a-z 0-9 . _ -")
            if name in {DONE, REFUSED}:
                raise ValueError(f"{name}: is the folder of files that were read; call the source something else")
        return self


class Rules(_Section):
    """``[rules]``: figures the rules use."""

    grace_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 24
    """No «video missing» or «gap» before the action's end plus this: the footage may still be on a recorder."""
    unmeasured_clock_ms: Annotated[int, Field(ge=0)] = 60_000
    """Assumed half-width of a recorder clock nobody measured, in milliseconds."""
    arrival_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 24
    """A file seen on a recorder and neither copied nor failed after this long is flagged."""
    answer_working_days: Annotated[int, Field(ge=1, le=366)] = 5
    """Within which a flag is to be answered; the agency's own figure."""
    night_from_hour: Annotated[int, Field(ge=12, le=23)] = 22
    night_until_hour: Annotated[int, Field(ge=0, le=11)] = 6
    """Night, for 行政强制法 第四十三条; no source defines it, so the agency does."""
    silent_station_days: Annotated[int, Field(ge=1, le=366)] = 7
    """A station whose newest entry is older than this is flagged."""
    unseen_recorder_days: Annotated[int, Field(ge=1, le=366)] = 7
    """A recorder that somebody holds and that was at no dock for longer is flagged."""


class Tsa(_Section):
    """``[[anchors.tsa]]``: one RFC 3161 time-stamping authority (时间戳机构)."""

    name: Text
    """1 to 64 of a-z 0-9 . _ -; the token is kept as ``anchors/SIZE/NAME.tsr``."""
    transport: Literal["http", "file"] = "http"
    """``http`` asks ``url``; ``file`` leaves a ``.tsq`` in ``drop`` and picks up the ``.tsr`` that somebody brings."""
    url: str = ""
    """``http://`` or ``https://`` in the agency's own network; the only address that anchoring connects to."""
    drop: Path | None = None
    ca: Path
    """The authority's root certificate in PEM, and intermediate ones if there are any; no other root counts."""
    tsa_cert: Path
    """The certificate that signs its tokens, PEM; it needs the critical extended key usage timeStamping."""
    tls_ca: Path | None = None
    """Root of the server's certificate for ``https://``; default ``ca``."""

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not is_station_id(value):
            raise ValueError("1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit")
        return value

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if self.transport == "http" and not self.url.startswith(("http://", "https://")):
            raise ValueError('url: http://… or https://… is needed, or transport = "file" with drop')
        if self.transport == "file" and (self.drop is None or self.url):
            raise ValueError('drop: a folder is needed with transport = "file", and no url')
        return self


class Anchors(_Section):
    """``[anchors]``: who outside the house vouches for the centre log, and how often."""

    tsa: Annotated[tuple[Tsa, ...], Field(max_length=8)] = ()
    witnesses: tuple[str, ...] = ()
    """vkeys (type 04) of second organisations whose cosignature counts; printed by ``ingestd witness``."""
    every_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24
    """A token from each authority at least this often."""
    every_entries: Annotated[int, Field(ge=0)] = 0
    """And whenever the log has grown by this many entries; 0 is never. At least 16: a token is an entry too."""
    max_age_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 48
    """The flag anchor-missing is raised when nobody has vouched for the log for this long."""

    @property
    def configured(self) -> bool:
        """Whether anybody outside vouches at all."""
        return bool(self.tsa or self.witnesses)

    def witness_keys(self) -> list[NoteKey]:
        """The witnesses' keys as values."""
        return [NoteKey.parse(vkey) for vkey in self.witnesses]

    @field_validator("tsa")
    @classmethod
    def _are_different(cls, value: tuple[Tsa, ...]) -> tuple[Tsa, ...]:
        if len({tsa.name for tsa in value}) != len(value):
            raise ValueError("each name once")
        return value

    @field_validator("every_entries")
    @classmethod
    def _leaves_room(cls, value: int) -> int:
        if 0 < value < 16:  # noqa: PLR2004  # twice the most authorities, so that anchoring never asks for more anchoring
            raise ValueError("0, or at least 16")
        return value

    @field_validator("witnesses")
    @classmethod
    def _are_cosigners(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            keys = [NoteKey.parse(vkey) for vkey in value]
        except CustodyError as error:
            raise ValueError(str(error)) from error
        if any(key.kind != COSIGNATURE for key in keys) or len({key.name for key in keys}) != len(keys):
            raise ValueError("keys of cosigners (type 04), each name once")
        return value

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.max_age_hours < self.every_hours:
            raise ValueError("max_age_hours: not less than every_hours")
        return self


class Web(_Section):
    """``[web]``: where the pages are served."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    user_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    """Header in which the login in front of the pages names the user, for instance ``X-Remote-User``; that server must
    remove it from what visitors send. Without it the log names the visitor's address."""
    view_window_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    """Who looks at the same clip again within this is not entered in the log again."""


class Retention(_Section):
    """``[retention]``: how long originals are kept at least."""

    keep_days: Annotated[int, Field(ge=183, le=36_525)] = 183
    """No disposal is approved before. At least six months (公安机关现场执法视音频记录工作规定 13)."""


class Disclosure(_Section):
    """``[disclosure]``: what is published of decisions (行政执法公示); nothing is without the agency's name."""

    agency: str = ""
    """Name over the site."""
    fields: list[Literal["case", "agency", "unit", "party", "kind", "title", "conclusion", "made"]] = Field(
        default=["case", "agency", "party", "kind", "title", "conclusion", "made"], min_length=1
    )
    """Fields that are let out; ``made`` is always needed to find a decision by its month."""
    steps: list[Text] = []
    """The procedure, a step each (行政执法流程)."""

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if not {"case", "made"} <= set(self.fields):
            raise ValueError("fields: case and made are needed, by which a decision is looked up")
        return self


class CalendarFiles(_Section):
    """``[calendar]``: the agency's own working days over the published notices."""

    folder: Path | None = None
    """Folder of ``YEAR.toml`` files; default none: the State Council's notices alone, as far as they are known."""


class Config(_Section):
    """The whole file."""

    centre: Centre
    paths: Paths
    keys: Keys
    stations: tuple[Station, ...] = ()
    mqtt: Mqtt = Mqtt()
    store: Store
    database: Database
    catalogue: CatalogueFile = CatalogueFile()
    imports: Imports = Imports()
    rules: Rules = Rules()
    anchors: Anchors = Anchors()
    web: Web = Web()
    retention: Retention = Retention()
    calendar: CalendarFiles = CalendarFiles()
    disclosure: Disclosure = Disclosure()

    @property
    def origin(self) -> str:
        """Origin of the centre log."""
        return log_origin(self.centre.authority, CENTRE)

    @property
    def cosigner(self) -> str:
        """Name under which the centre cosigns."""
        return log_origin(self.centre.authority, WITNESS)

    @property
    def zone(self) -> ZoneInfo:
        """Zone of times without one."""
        return ZoneInfo(self.centre.timezone)

    @property
    def witness_key(self) -> Path:
        """File of the cosigning key."""
        return self.keys.witness or self.paths.data / "keys" / "witness.pem"

    @property
    def ca_key(self) -> Path | str:
        """Place of the CA's key."""
        return self.keys.ca or self.paths.data / "keys" / "ca.pem"

    @property
    def ca_cert(self) -> Path:
        """The CA's certificate."""
        return self.keys.ca_cert or self.paths.data / "keys" / "ca.crt"

    @property
    def crl(self) -> Path:
        """The CA's revocation list."""
        return self.ca_cert.with_suffix(".crl")

    def station_origin(self, station: str) -> str:
        """Origin of a station's log."""
        return log_origin(self.centre.authority, station)


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ``ConfigError``, one line: file, key, what is allowed."""
    try:
        config = Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML in UTF-8: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_problem(error)}") from error
    resolved = _resolved(config, path.absolute().parent)
    _check_stations(resolved, path)
    return resolved


def _check_stations(config: Config, path: Path) -> None:
    ids = [station.id for station in config.stations]
    for number, station in enumerate(config.stations):
        expected = config.station_origin(station.id)
        first, *second = station.note_keys()
        if first.name != expected:
            raise ConfigError(f"{path}: stations.{number}.vkey: must be the key of {expected}")
        if [key.name for key in second] not in ([], [second_origin(expected)]):
            raise ConfigError(f"{path}: stations.{number}.vkey_sm3: must be the key of {second_origin(expected)}")
    if len(set(ids)) != len(ids):
        raise ConfigError(f"{path}: stations: each id once")
    keys = [key.key.raw for station in config.stations for key in station.note_keys()]
    if len(set(keys)) != len(keys):
        raise ConfigError(f"{path}: stations: each key once: whoever holds one for two could speak for the other")


def _resolved(config: Config, folder: Path) -> Config:
    """The same configuration with every path absolute."""
    keys = Keys(
        custody=_key_place(folder, config.keys.custody),
        sm2=config.keys.sm2 and _key_place(folder, config.keys.sm2),
        custody_next=config.keys.custody_next and _key_place(folder, config.keys.custody_next),
        sm2_next=config.keys.sm2_next and _key_place(folder, config.keys.sm2_next),
        custody_cert=_under(folder, config.keys.custody_cert),
        witness=_under(folder, config.keys.witness),
        ca=config.keys.ca and _key_place(folder, config.keys.ca),
        ca_cert=_under(folder, config.keys.ca_cert),
    )
    tls = {name: _under(folder, getattr(config.mqtt, name)) for name in ("ca", "cert", "key")}
    return config.model_copy(
        update={
            "paths": Paths(data=folder / config.paths.data),
            "keys": keys,
            "mqtt": config.mqtt.model_copy(update=tls),
            "store": config.store.model_copy(update={"url": _store_url(folder, config.store.url)}),
            "database": Database(url=_database_url(folder, config.database.url)),
            "catalogue": CatalogueFile(file=_under(folder, config.catalogue.file)),
            "imports": config.imports.model_copy(update={"folder": _under(folder, config.imports.folder)}),
            "anchors": _anchors(folder, config.anchors),
            "calendar": CalendarFiles(folder=_under(folder, config.calendar.folder)),
        }
    )


def _anchors(folder: Path, anchors: Anchors) -> Anchors:
    paths = ("drop", "ca", "tsa_cert", "tls_ca")
    tsa = [one.model_copy(update={name: _under(folder, getattr(one, name)) for name in paths}) for one in anchors.tsa]
    return anchors.model_copy(update={"tsa": tuple(tsa)})


def _key_place(folder: Path, place: Path | str) -> Path | str:
    """A path, or the URL of a place that is no file."""
    return place_of(str(place), folder)


def _under(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path


def _store_url(folder: Path, url: str) -> str:
    return url if "://" in url else str(folder / url)


def _database_url(folder: Path, url: str) -> str:
    file = sqlite_file(url)
    if file is None:
        return url
    scheme, _, options = _SQLITE.fullmatch(url).groups(default="")  # type: ignore[union-attr]  # it has a file
    return f"{scheme}:///{folder / file}{options}"


def sqlite_file(url: str) -> Path | None:
    """The file of an index in SQLite; None where it is in memory, or elsewhere."""
    found = _SQLITE.fullmatch(url)
    return Path(found[2]) if found and found[2] not in {None, "", ":memory:"} else None


def _is_postgresql(url: str) -> bool:
    from sqlalchemy.engine import make_url  # noqa: PLC0415  # see the head of the file
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415  # the same

    try:
        return make_url(url).drivername == "postgresql+psycopg"
    except ArgumentError:
        return False


def _first_problem(error: ValidationError) -> str:
    """One problem; a misspelt key before the key that is missing because of it."""
    problems = error.errors(include_url=False)
    first = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    key = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key; remove it or correct its spelling"
    if first["type"] == "missing":
        return f"{key}: is needed"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"

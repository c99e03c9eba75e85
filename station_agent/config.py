"""Configuration of one station: a TOML file read into one frozen value.

The comments here are the manual. Unknown keys are refused. Relative paths are relative to the folder of the file, so a
data folder can be moved as a whole.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from custody.checkpoint import COSIGNATURE, NoteKey
from custody.errors import CustodyError
from custody.identifiers import is_origin, is_station_id, log_origin
from custody.profile import Profile
from keystore import SCHEMES
from station_agent.errors import ConfigError
from station_agent.registry import Handling
from station_agent.unlock import DRIVERS
from station_agent.uplink import Window

FILE_NAME = "station-agent.toml"
"""Name of the configuration file in a data folder (``--data-dir``)."""


def _placed(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path())
    return Path(base, path.expanduser())


def _station_id(text: str) -> str:
    if not is_station_id(text):
        raise ValueError("1 to 64 of a-z 0-9 . _ - are allowed, starting and ending with a letter or digit")
    return text


def _authority(text: str) -> str:
    if not is_origin(f"{text}/x"):
        raise ValueError("a lower-case domain-like name such as custody.example is allowed")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("a time zone name such as Asia/Shanghai is allowed") from error
    return text


def _time_of_day(text: object) -> time:
    try:
        return datetime.strptime(str(text), "%H:%M").time()  # noqa: DTZ007  # a time of day, in the station's zone
    except ValueError as error:
        raise ValueError('a time of day such as "20:00" is allowed') from error


def _vkey(text: str) -> str:
    if text:
        try:
            NoteKey.parse(text)
        except CustodyError as error:
            raise ValueError(f"the centre's vkey, name+hash+base64, is allowed: {error}") from error
    return text


def _vkeys(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_vkey(text) for text in texts)


def _one_or_more(value: object) -> object:
    return ((value,) if value else ()) if isinstance(value, str) else value


def _witness(text: str) -> str:
    if not text or NoteKey.parse(_vkey(text)).kind != COSIGNATURE:
        raise ValueError("the vkey of the centre's witness (a cosigner, type 04) is needed")
    return text


def _key_place(place: Path | str, info: ValidationInfo) -> Path | str:
    """A path, or the URL of a place that is no file."""
    scheme, colon, rest = str(place).partition(":")
    if not colon or scheme not in SCHEMES:
        return _placed(Path(place), info)
    return _placed(Path(rest), info) if scheme == "file" else str(place)


def _lock_where_shown(wanted: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  # pydantic hands over the value
    if wanted and not str(info.data.get("url", "")).startswith("s3://"):
        raise ValueError("only false is allowed unless url is s3://…: a folder shows no retention lock")
    return wanted


def _driver(name: str) -> str:
    if name not in DRIVERS:
        raise ValueError(f"a driver is allowed: {', '.join(DRIVERS)}")
    return name


class Policy(StrEnum):
    """When a recorder is emptied."""

    NEVER = "never"
    MANUAL = "manual"
    AFTER_RECEIPT = "after-receipt"


PlacedPath = Annotated[Path, AfterValidator(_placed)]
KeyPlace = Annotated[Path | str, AfterValidator(_key_place)]
"""Where a private key lives: a path, or ``credential:…``, ``pkcs11:…``, ``tpm2:…`` (docs/keys.md)."""
Vkeys = Annotated[tuple[str, ...], BeforeValidator(_one_or_more), AfterValidator(_vkeys)]
"""One vkey, or a list of them."""
Port = Annotated[int, Field(ge=1, le=65_535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Station(_Section):
    """Who this station is."""

    id: Annotated[str, AfterValidator(_station_id)]
    """Name in topics, certificate (common name) and log origin."""
    authority: Annotated[str, AfterValidator(_authority)]
    """Domain-like name of the authority; the log's origin is ``<authority>/<id>``."""
    timezone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    """Zone assumed for recorder times that state none."""
    profile: Profile = Profile.STD
    """``std``: Ed25519 and SHA-256; ``gm``: SM2 and SM3 beside them; ``p256``: for keys in a TPM. For life: a log of
    another profile is another station."""


class Paths(_Section):
    """Where things lie on this machine."""

    data: PlacedPath = Field(default=Path("station"), validate_default=True)
    """Journal, log, spool and keys. Must be on a file system that honours fsync."""
    mounts: PlacedPath = Field(default=Path("station/mnt"), validate_default=True)
    """Folder under which recorders are mounted read-only."""


class Keys(_Section):
    """Keys of this station and of whom it trusts."""

    custody: KeyPlace = Field(default=Path("station/keys/custody.pem"), validate_default=True)
    """PEM (PKCS 8) Ed25519 private key that signs the log; mode 0600. In profile ``p256`` a key on P-256."""
    sm2: KeyPlace | None = None
    """The SM2 private key that signs too, in profile ``gm`` and only there."""
    custody_next: KeyPlace | None = None
    """Where the next key lives when ``station-agent rotate`` makes or finds it; default ``<custody>.next.pem``."""
    sm2_next: KeyPlace | None = None
    """The same for the SM2 key."""
    custody_cert: PlacedPath | None = None
    """Certificate of the custody key, if the agency issues any: ``enrol --accept`` puts it there."""
    centre: Vkeys = ()
    """vkey of the centre log: receipts count only when this key signed them. A list once the centre went over to
    another key: the first one, then those that followed."""
    centre_sm3: Vkeys = ()
    """vkeys of the centre log's second note, in the same order, when that log is of profile ``gm``: receipts then need
    its signature too."""
    witness: Annotated[str, AfterValidator(_witness)]
    """vkey of the centre's witness: only its cosignature over our checkpoint lets entries leave the outbox."""


class Mqtt(_Section):
    """The broker, reached with mutual TLS."""

    host: str = "127.0.0.1"
    port: Port = 8883
    ca: PlacedPath | None = None
    """CA certificate that signed the broker; without it the connection is plain TCP (tests only)."""
    cert: PlacedPath | None = None
    key: PlacedPath | None = None


class Store(_Section):
    """The evidence store."""

    url: str = "store"
    """A folder, or ``s3://bucket/prefix``."""
    require_lock: Annotated[bool, AfterValidator(_lock_where_shown)] = False
    """Erase only what a store that proved itself shows under a retention lock (mode COMPLIANCE). The bucket's default
    retention gives the lock."""
    lock_days: Annotated[int, Field(ge=1, le=36_500)] = 183
    """Days after the docking that the lock must last at least; the bucket's default must be longer by a day, for the
    store's clock is another. Six months (公安机关现场执法视音频记录工作规定 13)."""

    @property
    def is_far(self) -> bool:
        """Whether it is no folder: then what was uploaded is read back."""
        return "://" in self.url


class Erase(_Section):
    """Emptying recorders."""

    policy: Policy = Policy.NEVER
    """``never``: nothing is ever erased; ``manual``: only when a person asks (``station-agent erase``);
    ``after-receipt``: also by itself, once every clip of a docked recorder has its receipt."""


class Recorders(_Section):
    """Which recorders are read."""

    require_tag: bool = True
    """Read only devices that a udev rule tagged as recorders."""
    trust_names: bool = False
    """Take a file with the path, size and time of a sealed one for it without reading it again. Quicker, and blind to
    recorders that count names from the start again, clone their serial, or had their clock set back."""


class Registry(_Section):
    """Which recorders this station knows."""

    file: PlacedPath | None = None
    """Register of recorders, CSV or TOML (docs/identity.md); read again at each docking once it changed."""
    unregistered: Handling | None = None
    """What becomes of a recorder that the register does not know. ``refuse``: nothing of it is read (default where a
    file is named); ``quarantine``: copied, sealed, and set aside at the centre; ``accept`` (default without a file)."""

    @model_validator(mode="after")
    def _has_a_register(self) -> Self:
        if self.file is None and self.handling is not Handling.ACCEPT:
            raise ValueError(f"unregistered = {self.handling} needs a file: without one every recorder is unknown")
        return self

    @property
    def handling(self) -> Handling:
        """What becomes of a recorder that the register does not know."""
        return self.unregistered or (Handling.REFUSE if self.file else Handling.ACCEPT)


class Offload(_Section):
    """Copying."""

    workers: Annotated[int, Field(ge=1, le=16)] = 2
    """Copies at once per recorder. The read-back of one file overlaps the reading of the next."""
    max_bays: Annotated[int, Field(ge=1, le=64)] = 16
    """Recorders worked on at once; further ones wait."""
    copies: Annotated[int, Field(ge=1, le=64)] = 16
    """Copies at once over all bays, which get equal shares of them; a copy that waits for its card holds none."""
    priority_bays: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Bays whose recorders and copies go before all others. They must be among ``[bays]``."""


class Transcode(_Section):
    """Derived playback copies."""

    enabled: bool = True
    height: Annotated[int, Field(ge=144, le=2160)] = 540


class Sandbox(_Section):
    """Walls around the programs that read media: no network, one file to read, bounded memory and time."""

    enabled: bool = True
    """False: media are read without walls, and doctor and status say so."""
    required: bool = True
    """Where walls cannot be built, no media are read until they can. False: they are read without, and it is said."""


class Unlock(_Section):
    """Recorders that show no storage until they are told to. Untested on hardware, and off."""

    drivers: tuple[Annotated[str, AfterValidator(_driver)], ...] = ()
    """Who may speak to a disk without a medium in a bay, such as ``dv16-scsi``."""
    set_clock: bool = False
    """Set the clock of a recorder that a driver knows, once all of it is sealed and its offset was measured."""


class Publish(_Section):
    """Sending entries to the centre."""

    resend_after_s: Annotated[float, Field(gt=0, le=86_400)] = 30
    """Entries without an answer are sent again after this many seconds."""


class Upload(_Section):
    """Sending originals and proxies to the store. Entries and receipts are never held back."""

    bytes_per_s: Annotated[int, Field(ge=0)] = 0
    """So many bytes a second and no more. 0: no bound."""
    opens: Annotated[time | None, BeforeValidator(_time_of_day), Field(alias="from")] = None
    """``from``: uploads begin from this time of day on, ``"20:00"``, in the station's zone. Needs ``until``."""
    until: Annotated[time | None, BeforeValidator(_time_of_day)] = None
    """… and not from this time on; an earlier one than ``from`` is that of the next day. Clips that are marked on the
    recorder do not wait, and an upload that has begun goes on."""

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        if (self.opens is None) != (self.until is None) or (self.opens and self.opens == self.until):
            raise ValueError("from and until, two different times of day, are needed together")
        return self

    @property
    def window(self) -> Window | None:
        """When uploads begin; None: at any time."""
        return Window(self.opens, self.until) if self.opens is not None and self.until is not None else None


class DropFolder(_Section):
    """A folder into which files are put by hand or by other systems."""

    path: str = ""
    """Empty: no drop folder. Relative to the configuration file."""
    settle_s: Annotated[float, Field(ge=0, le=3_600)] = 5
    """A file counts as complete after its size stood still this long."""


class Screen(_Section):
    """The dock screen."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8780
    """0: no screen."""
    video_mbit_s: Annotated[float, Field(gt=0, le=1_000)] = 8
    """What an hour of video is reckoned with when the screen tells the free disk in hours: 8 Mbit/s, 3.6 GB an hour."""


class Config(_Section):
    """One station."""

    station: Station
    paths: Paths = Field(default_factory=dict, validate_default=True)
    bays: Mapping[str, str] = Field(default_factory=dict)
    """Bay number → pattern (fnmatch) on the udev ``ID_PATH`` of the physical port."""
    keys: Keys = Field(default_factory=dict, validate_default=True)
    mqtt: Mqtt = Mqtt()
    store: Store = Store()
    erase: Erase = Erase()
    recorders: Recorders = Recorders()
    registry: Registry = Registry()
    offload: Offload = Offload()
    transcode: Transcode = Transcode()
    sandbox: Sandbox = Sandbox()
    unlock: Unlock = Unlock()
    publish: Publish = Publish()
    upload: Upload = Upload()
    dropfolder: DropFolder = DropFolder()
    screen: Screen = Screen()
    base: Path = Path()
    """Folder of the configuration file; not a key of the file."""

    @model_validator(mode="after")
    def _keys_of_profile(self) -> Self:
        if (self.keys.sm2 is not None) != (self.station.profile is Profile.GM):
            raise ValueError("keys.sm2 is needed in profile gm, and allowed there alone")
        return self

    @model_validator(mode="after")
    def _priority_bays_exist(self) -> Self:
        unknown = sorted({*self.offload.priority_bays} - {*self.bay_patterns})
        if unknown:
            raise ValueError(f"offload.priority_bays: bay {unknown[0]} is not among bays")
        return self

    @property
    def origin(self) -> str:
        """Origin of this station's log."""
        return log_origin(self.station.authority, self.station.id)

    @property
    def zone(self) -> ZoneInfo:
        """Zone assumed for recorder times that state none."""
        return ZoneInfo(self.station.timezone)

    @property
    def bay_patterns(self) -> dict[int, str]:
        """Bay number → pattern on ``ID_PATH``."""
        return {int(number): pattern for number, pattern in self.bays.items()}

    @property
    def custody_cert(self) -> Path:
        """Where the certificate of the custody key is put."""
        return self.keys.custody_cert or self.paths.data / "keys" / "custody.crt"

    @property
    def mqtt_cert(self) -> Path:
        """Where the certificate of the connection is put."""
        return self.mqtt.cert or self.paths.data / "keys" / "mqtt.crt"

    @property
    def mqtt_key(self) -> Path:
        """The key of the connection, a file that TLS can read; never the custody key."""
        return self.mqtt.key or self.paths.data / "keys" / "mqtt.pem"

    @property
    def enrolment(self) -> Path:
        """Folder of the request that waits for its answer, and of an answer that is being carried out."""
        return self.paths.data / "enrolment"

    @property
    def erase_orders(self) -> Path:
        """Folder of the orders to empty a recorder and of their answers."""
        return self.paths.data / "erase"

    @property
    def spool(self) -> Path:
        """Copies of originals, until the centre's receipt is in hand."""
        return self.paths.data / "spool"

    @property
    def work(self) -> Path:
        """Links under which media tools see a file while it is described; emptied at each start."""
        return self.paths.data / "work"

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.paths.data / "journal.db"

    @property
    def log(self) -> Path:
        """Folder of the station log."""
        return self.paths.data / "log"

    @property
    def store_url(self) -> str:
        """The store: an absolute folder, or ``s3://…``."""
        return self.store.url if "://" in self.store.url else str(Path(self.base, self.store.url).absolute())

    @property
    def drop_folder(self) -> Path | None:
        """The drop folder, or None when there is none."""
        return Path(self.base, self.dropfolder.path) if self.dropfolder.path else None


def load(path: Path) -> Config:
    """Read a configuration file. Raises ``ConfigError`` with one line ``FILE: key: what is allowed``."""
    path = path.absolute()
    fields = _parse(path)
    for number in _table(path, fields, "bays"):
        if not number.isascii() or not number.isdigit() or int(number) < 1:
            raise ConfigError(f"{path}: bays.{number}: a bay is a number from 1")
    if "base" in fields:
        raise ConfigError(f"{path}: base: unknown key")
    try:
        return Config.model_validate({**fields, "base": path.parent}, context={"base": path.parent})
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first(error)}") from error


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _table(path: Path, fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = fields.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: {name}: a table is allowed")
    return table


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    allowed = {"extra_forbidden": "unknown key", "missing": "this key is needed"}.get(problem["type"], problem["msg"])
    return f"{key}: {allowed.removeprefix('Value error, ')}"

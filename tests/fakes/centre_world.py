"""A whole centre in memory but for its database: fake clock, logs in memory, its places in a temporary folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from custody.log import LogFiles
from custody.signer import Ed25519Signer, Signer
from ingestd.audit.rebuild import Comparison, FrozenFiles, Origins, check
from ingestd.catalogue import parse
from ingestd.index.database import open_engine
from ingestd.index.queries import Queries
from ingestd.index.repository import Repository
from ingestd.logbooks import Cosigner, Logbooks
from ingestd.pipeline import Pipeline, Places, ReadBack, Settings
from ingestd.rules import Policy
from ingestd.rules.rule import DAY_MS
from ingestd.running import Running
from tests.fakes.centre_station import AUTHORITY, FakeClock, FakeStation
from tests.fakes.log_files import MemoryLogFiles

CATALOGUE = Path(__file__).resolve().parents[2] / "config" / "catalogue.toml"
ORIGIN = f"{AUTHORITY}/centre"
SIGNER = Ed25519Signer.from_seed(b"c" * 32)
WITNESS = Ed25519Signer.from_seed(b"w" * 32)


@dataclass
class World:
    """``centre()`` makes the centre's process anew over what is durable, as a restart does."""

    folder: Path
    url: str
    stations: list[FakeStation] = field(default_factory=lambda: [FakeStation()])
    clock: FakeClock = field(default_factory=FakeClock)
    files: dict[str, MemoryLogFiles] = field(default_factory=dict)
    wrap: Callable[[str, LogFiles], LogFiles] = lambda _name, files: files
    unmeasured_clock_ms: int = 60_000
    running: Running | None = None
    catalogue: bytes = CATALOGUE.read_bytes()
    """The catalogue of acts in force; part of ``running`` only where a test puts it there."""
    remains: Callable[[], str] = str
    """What mirrors or store hold beside an empty log and database."""
    offload_ms: int = 60 * DAY_MS
    """Long, for most stories begin the day before; tests of lateness ask for the usual."""
    second: Signer | None = None
    """The SM2 signer of a centre log in profile gm."""

    def __post_init__(self) -> None:
        self.engine = open_engine(self.url)
        self.queries = Queries(self.engine)
        self.restart()

    def restart(self) -> None:
        self.books = self._logbooks(self._files)
        cosigner = Cosigner(f"{AUTHORITY}/centre-witness", WITNESS)
        places = Places.under(self.folder)
        self.pipeline = Pipeline(self.engine, self.books, cosigner, places, self.settings, self.clock, self.remains)

    @property
    def begun(self) -> bool:
        """Whether the database is this centre's."""
        with self.engine.connect() as connection:
            return Repository(connection).following() is not None

    @property
    def settings(self) -> Settings:
        catalogue = parse(self.catalogue, "catalogue.toml")
        return Settings(
            Policy(types=catalogue.spoken(), offload_ms=self.offload_ms),
            catalogue,
            Policy().zone,
            unmeasured_clock_ms=self.unmeasured_clock_ms,
            running=self.running,
        )

    def origins(self) -> Origins:
        """What the database can be made again from."""
        books = self._logbooks(lambda name: FrozenFiles(self._files(name)))
        return Origins(books, Places.under(self.folder), self.settings)

    def compared(self, table: str = "") -> Comparison:
        """The database beside the logs."""
        return check(self.origins(), self.engine, self.folder, table)

    def _logbooks(self, files: Callable[[str], LogFiles]) -> Logbooks:
        stations = {station.name: station.enrolled for station in self.stations}
        return Logbooks(ORIGIN, SIGNER, stations, files, self.second)

    def _files(self, name: str) -> LogFiles:
        return self.wrap(name, self.files.setdefault(name, MemoryLogFiles(chunk=1 << 16)))

    def started(self) -> "World":
        self.pipeline.start()
        return self

    def read_back(self) -> list[ReadBack]:
        """What an honest store returns for everything that is due."""
        return [
            ReadBack(row["object_id"], row["size"], row["sha256"]) for row in self.pipeline.checks_due(limit=10_000)
        ]

    def events(self) -> list[str]:
        """Events of the centre log."""
        from custody.log import Log  # noqa: PLC0415  # a second reader, apart from the books under test

        log = Log(self.files["centre"], ORIGIN, [SIGNER.verify_key()])
        return [entry.record.event for entry in log.entries()]

    def close(self) -> None:
        self.engine.dispose()


def engine_of(world: World) -> Engine:
    return world.engine

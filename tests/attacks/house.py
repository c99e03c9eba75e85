"""A real agency in one folder: station, centre, store, database, keys, and whoever vouches from outside.

The station takes in a recorder through its own pipeline, its outbox is carried to the centre's pipeline by hand (a
broker stands in between only where it matters), the centre reads the stored objects back, links, flags and answers.
Every path in it is relative, so a copy of the folder is another agency with the same past.
"""

import io
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

import ingestd.cli
import ingestd.keys
import station_agent.cli
import station_agent.keys
from custody import topics
from custody.checkpoint import COSIGNATURE, NoteKey
from custody.identifiers import log_origin
from custody.signer import Ed25519Signer, Signer, verify_key
from fixtures.clips import make_clip
from fixtures.story import FIRST, SHANGHAI, Story, story
from ingestd import config as centre_config
from ingestd import service as centre_service
from ingestd.pipeline import Received
from ingestd.recheck import Rechecker
from ingestd.store import EvidenceReader
from station_agent import config as station_config
from station_agent.publish import Outbox
from station_agent.service import Rooms, ingest_folder, opened, trust_of
from tests.conftest import ROOT
from tests.rig.broker import CENTRE, GONE_WITH_US, Broker, free_port
from tests.rig.tsa import LocalTsa

AUTHORITY = "custody.example"
STATION = "station-01"
ORIGIN = log_origin(AUTHORITY, STATION)
CENTRE_ORIGIN = log_origin(AUTHORITY, "centre")
COSIGNER = log_origin(AUTHORITY, "centre-witness")
OUTSIDER = "procuratorate.example/witness"
OFFICER_CASE = 317
"""Number of the story's case whose action was filmed."""


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    code: int
    facts: dict[str, Any]
    complaint: str

    @property
    def words(self) -> set[str]:
        """Every word of ``custody.verdicts`` that it named."""
        named = [one.get("verdict") or one.get("finding") for one in self.facts.get("findings", [])]
        named += [one["verdict"] for one in self.facts.get("objects", ()) if one["verdict"] != "verified"]
        named += self.facts.get("not_verified", {}).values()
        return {str(word) for word in named}


@dataclass
class House:
    """The agency below ``folder``."""

    folder: Path
    inside: bool = False
    """Whether commands run in this process: the same command line, a second faster."""

    @property
    def card(self) -> Path:
        """What the recorder holds."""
        return self.folder / "card"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def station_log(self) -> Path:
        return self.folder / "station" / "log"

    @property
    def mirror(self) -> Path:
        return self.folder / "central" / "mirrors" / STATION

    @property
    def centre_log(self) -> Path:
        return self.folder / "central" / "log"

    @property
    def database(self) -> Path:
        return self.folder / "central" / "index.db"

    @property
    def outside(self) -> Path:
        """What the second organisation keeps: its witness's memory and copies of the anchors."""
        return self.folder / "outside"

    @property
    def config(self) -> centre_config.Config:
        return centre_config.load(self.folder / "ingestd.toml")

    @property
    def station_key(self) -> Ed25519Signer:
        return station_agent.keys.load_signer(self.folder / "station/keys/custody.pem")

    @property
    def centre_key(self) -> Signer:
        return ingestd.keys.load_signer(self.folder / "central/keys/custody.pem")

    @property
    def witness_key(self) -> Ed25519Signer:
        return ingestd.keys.load_signer(self.folder / "central/keys/witness.pem")

    def originals(self) -> list[Path]:
        """Stored originals, in the order they were taken in."""
        return sorted((self.store / "originals").rglob("*.*"))

    def proxies(self) -> list[Path]:
        return sorted((self.store / "proxies").rglob("*.*"))

    def spooled(self, stored: Path) -> Path:
        """The station's own copy of a stored object."""
        return self.folder / "station" / "spool" / stored.relative_to(self.store)

    # The agency's daily work.

    def dock(self) -> None:
        """Take in the recorder, describe, derive, upload, send, read back, receipt; until nothing waits."""
        with self.station() as rooms:
            ingest_folder(rooms, self.card)
        self.sync()

    def notice(self) -> None:
        """The station hears of the centre's newest checkpoint, and its next entries name it."""
        for name in ("hear", "say"):
            card = self.folder / f"card to {name}"
            card.mkdir()
            (card / f"{name}.txt").write_text(name)
            assert self.agent("ingest", card).code == 0
            self.sync()

    def sync(self) -> list[str]:
        """What waits at the station is done, and everything carried to the centre and back.

        Returns what the station refused of the answers.
        """
        refused: list[str] = []
        with self.station() as rooms, self.centre() as centre:
            rooms.followup.drain(rooms.stop)
            outbox = self.outbox(rooms)
            messages = list(outbox.messages())
            received = [Received(topics.records(STATION), data) for data, _ in messages]
            for _, seqs in messages:
                outbox.sent(seqs)
            answers = [*centre.pipeline.handle(received)]
            store = EvidenceReader(centre.config.store.url)
            with ThreadPoolExecutor(2) as pool:
                Rechecker(store, centre.pipeline, answers.extend, 2).round(pool)
            for answer in answers:
                try:
                    outbox.answered(answer.receipts.encode())
                except Exception as error:  # noqa: BLE001  # whatever the station says of an answer is what is wanted
                    refused.append(getattr(error, "finding", type(error).__name__))
            centre.pipeline.checkpoint()
        return refused

    def outbox(self, rooms: Rooms) -> Outbox:
        return Outbox(rooms.clock, rooms.journal, rooms.seal, trust_of(rooms.config), 600)

    def enrol(self, station: str, key: Signer) -> None:
        """Name ``key`` in the centre's configuration, in the place of another or beside the others."""
        toml = self.folder / "ingestd.toml"
        vkey = NoteKey(log_origin(AUTHORITY, station), verify_key(key)).vkey()
        head, *blocks = toml.read_text().split("[[stations]]\n")
        kept = [block for block in blocks if f'id = "{station}"' not in block]
        rest = blocks[0].partition("[store]")
        ours = f'id = "{station}"\nvkey = "{vkey}"\n'
        others = [block.partition("[store]")[0] for block in kept]
        toml.write_text("[[stations]]\n".join([head, *others, ours]) + rest[1] + rest[2])

    @contextmanager
    def station(self) -> Iterator[Rooms]:
        config = station_config.load(self.folder / "station-agent.toml")
        with opened(config, threading.Event(), patient=False) as rooms:
            yield rooms

    @contextmanager
    def centre(self) -> Iterator[centre_service.Centre]:
        """The centre as its service starts it."""
        centre = centre_service.build(self.config)
        try:
            centre.pipeline.start()
            yield centre
        finally:
            centre.engine.dispose()

    @contextmanager
    def serving(self, broker: Broker) -> Iterator[None]:
        """``ingestd run`` behind a real broker."""
        who = broker.pki.client(CENTRE)
        tls = f'ca = "{broker.pki.ca}"\ncert = "{who.cert}"\nkey = "{who.key}"'
        with (self.folder / "ingestd.toml").open("a") as file:
            file.write(f"[mqtt]\nport = {broker.port}\n{tls}\n[web]\nport = {free_port()}\n")
        argv = [*GONE_WITH_US, sys.executable, "-m", "ingestd.cli", "run", "--data-dir", str(self.folder)]
        with (self.folder / "ingestd.log").open("wb") as output:
            process = subprocess.Popen(argv, stderr=output)
            try:
                yield
            finally:
                process.terminate()
                code = process.wait(30)
        assert code == 0, (self.folder / "ingestd.log").read_text()

    def emptied(self, folder: Path) -> "House":
        """Another house with the same keys, configuration and recorder, and no past; whoever is outside remembers."""
        shutil.copytree(self.folder, folder)
        for name in ("station", "central"):
            for path in (folder / name).iterdir():
                if path.name != "keys":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(folder / "store")
        centre_service.begin(House(folder).config)
        return House(folder)

    # What a person runs.

    def ingestd(self, *arguments: object, **environment: str) -> Done:
        """A command of the centre, in a process of its own."""
        argv = [*map(str, arguments), "--data-dir", str(self.folder), "--json"]
        return here(ingestd.cli.main, argv) if self.inside else run("ingestd.cli", argv, environment)

    def agent(self, *arguments: object) -> Done:
        """A command of the station."""
        argv = [*map(str, arguments), "--data-dir", str(self.folder), "--json"]
        return here(station_agent.cli.main, argv) if self.inside else run("station_agent.cli", argv)

    def says(self, module: str, *arguments: str) -> str:
        """What a command tells people, rather than programs."""
        argv = [sys.executable, "-m", module, *arguments, "--data-dir", str(self.folder)]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    @contextmanager
    def quickly(self) -> Iterator[None]:
        """Commands run inside this process meanwhile."""
        self.inside = True
        yield
        self.inside = False

    def audit(self) -> Done:
        return self.ingestd("audit", "verify")

    def verify_log(self) -> Done:
        return self.agent("verify-log")

    def verify_anchors(self) -> Done:
        """With the copies that the second organisation kept, as an auditor should."""
        copies = ["--copy", self.outside / "anchors"] if (self.outside / "anchors").exists() else []
        return self.ingestd("anchors", "verify", *copies)

    def witness(self, *more: str) -> Done:
        """The centre publishes its checkpoint, and the second organisation looks at it."""
        self.ingestd("anchors", "publish", self.outside / "published")
        files = ["--source", str(self.outside / "published"), "--out", str(self.outside / "cosigned")]
        return self.as_witness(*files, *more)

    def as_witness(self, *more: str) -> Done:
        vkey = NoteKey(CENTRE_ORIGIN, verify_key(self.centre_key)).vkey()
        who = {"--state": self.outside / "state", "--key": self.outside / "witness.pem", "--name": OUTSIDER}
        argv = [part for pair in {**who, "--centre-vkey": vkey}.items() for part in map(str, pair)]
        return run("ingestd.cli", ["witness", *argv, *more, "--json"])

    def open_flags(self) -> list[str]:
        """Rules whose flags are open."""
        return [flag["rule"] for flag in self.ingestd("flags", "list").facts["flags"]]


def run(module: str, arguments: list[str], environment: Mapping[str, str] = MappingProxyType({})) -> Done:
    """A command in a process of its own."""
    argv = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return _done(done.returncode, done.stdout, done.stderr)


def here(main: Callable[[], None], arguments: list[str]) -> Done:
    """The same command line in this process."""
    said, complaint, code, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["command", *arguments]
    try:
        with redirect_stdout(said), redirect_stderr(complaint):
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
        structlog.reset_defaults()
    return _done(code, said.getvalue(), complaint.getvalue())


def _done(code: int, said: str, complaint: str) -> Done:
    assert "Traceback" not in complaint, complaint
    return Done(code, json.loads(said) if said.startswith("{") else {}, complaint)


def found(folder: Path, more: str = "") -> House:
    """A new agency with fresh keys; ``more`` is added to the centre's configuration."""
    house = House(folder)
    station = station_agent.keys.create_key(folder / "station/keys/custody.pem")
    centre = ingestd.keys.create_key(folder / "central/keys/custody.pem")
    witness = ingestd.keys.create_key(folder / "central/keys/witness.pem")
    keys = {
        "station": NoteKey(ORIGIN, verify_key(station)).vkey(),
        "centre": NoteKey(CENTRE_ORIGIN, verify_key(centre)).vkey(),
        "witness": NoteKey(COSIGNER, verify_key(witness), COSIGNATURE).vkey(),
    }
    shutil.copy(ROOT / "config" / "catalogue.toml", folder / "catalogue.toml")
    (folder / "station-agent.toml").write_text(_STATION_TOML.format(**keys))
    (folder / "ingestd.toml").write_text(_CENTRE_TOML.format(**keys) + more)
    centre_service.begin(house.config)
    return house


def work(house: House, now: datetime) -> House:
    """Two dockings of one recorder, and the agency's registers."""
    told = story(now)
    registers = json.dumps(dict(told.registers), ensure_ascii=False).encode()
    (house.folder / "registers.json").write_bytes(registers)
    film(told, house.card, slice(0, 2))
    house.dock()
    with house.centre() as centre:
        centre.pipeline.import_cases(registers, "registers.json")
    film(told, house.card, slice(2, 3))
    house.dock()
    return house


def film(told: Story, card: Path, some: slice) -> None:
    """Shots of the first recorder, and a voice note that nothing can be derived from."""
    before = set(card.rglob("*"))
    own = [shot for shot in told.shots if shot.recorder is FIRST]
    for shot in own[some]:
        name = f"{FIRST.serial}_{shot.officer.short}_{shot.start.astimezone(SHANGHAI):%Y%m%d%H%M%S}.MP4"
        path = card / "DCIM" / "100MEDIA" / name
        make_clip(path, round(shot.start.timestamp() * 1000), round(shot.length.total_seconds()))
    (card / f"note{len(before)}.txt").write_bytes(random.Random(len(before)).randbytes(700))


def anchored(house: House, tsa: LocalTsa, url: str) -> House:
    """Its centre log stamped by an authority and seen by a witness outside; copies of both are kept outside."""
    outside = house.outside
    outside.mkdir()
    seen = house.as_witness("--make-key")
    with (house.folder / "ingestd.toml").open("a") as file:
        file.write(f'[anchors]\nwitnesses = ["{seen.facts["vkey"]}"]\n{tsa.section(url)}')
    assert house.ingestd("anchors", "run", "--force").code == 0
    seen = house.witness()
    assert seen.code == 0, seen.complaint
    assert house.ingestd("anchors", "add-witness", outside / "cosigned").code == 0
    with house.centre() as centre:
        centre.pipeline.checkpoint()
    shutil.copytree(house.folder / "central" / "anchors", outside / "anchors")
    return house


_STATION_TOML = """
[station]
id = "station-01"
authority = "custody.example"
[keys]
centre = "{centre}"
witness = "{witness}"
[store]
url = "store"
[screen]
port = 0
[sandbox]
required = false
[mqtt]
port = 1
"""

_CENTRE_TOML = """
[centre]
authority = "custody.example"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "station-01"
vkey = "{station}"
[store]
url = "store"
missing_after_s = 0
[database]
url = "sqlite:///central/index.db"
[catalogue]
file = "catalogue.toml"
"""

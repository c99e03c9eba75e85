"""A centre that is only a log, and authorities without a network, for the tests of anchoring."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from rfc3161_client import TimestampRequestBuilder
from rfc3161_client.base import HashAlgorithm

from custody.canonical import JsonObject
from custody.checkpoint import COSIGNATURE, NoteKey, SignedCheckpoint
from custody.log import Log
from custody.record import Draft
from custody.signer import Ed25519Signer
from ingestd.anchors.decide import Schedule
from ingestd.anchors.published import PublishedLog
from ingestd.anchors.run import Anchorer, Plan
from ingestd.anchors.store import AnchorStore
from ingestd.anchors.tsa import Tsa
from ingestd.errors import AnchorError, CentreError
from ingestd.model import Flag
from tests.fakes.centre_station import AUTHORITY, FakeClock
from tests.fakes.log_files import MemoryLogFiles
from tests.rig.tsa import LocalTsa

ORIGIN = f"{AUTHORITY}/centre"
HOUR_MS = 3_600_000
SCHEDULE = Schedule(24 * HOUR_MS, 0, 48 * HOUR_MS)
SIGNER = Ed25519Signer.from_seed(b"c" * 32)
CENTRE_KEY = NoteKey(ORIGIN, SIGNER.verify_key())
OUTSIDER = Ed25519Signer.from_seed(b"o" * 32)
OUTSIDER_NAME = "procuratorate.example/witness"
OUTSIDER_KEY = NoteKey(OUTSIDER_NAME, OUTSIDER.verify_key(), COSIGNATURE)


@dataclass
class FakeCentre:
    """A centre that is nothing but its log and its flags."""

    clock: FakeClock = field(default_factory=FakeClock)
    files: MemoryLogFiles = field(default_factory=lambda: MemoryLogFiles(chunk=1 << 16))
    flags: dict[str, Flag] = field(default_factory=dict)
    dies_before_record: bool = False
    fails_once: CentreError | None = None

    def __post_init__(self) -> None:
        self.log = Log(self.files, ORIGIN, [SIGNER.verify_key()])

    def grow(self, count: int = 1, reason: str = "") -> None:
        self.record([("log.recovered", {"reason": f"{reason}{i}"}) for i in range(count)])

    def checkpoint(self) -> SignedCheckpoint:
        error, self.fails_once = self.fails_once, None
        if error is not None:
            raise error
        return self.log.checkpoint(SIGNER)

    def record(self, facts: Sequence[tuple[str, JsonObject]]) -> None:
        if self.dies_before_record:
            raise OSError("killed here")
        time: JsonObject = {"utc_ms": self.clock.ms, "source": "system"}
        ids = ("0199f0a1-2b3c-7d4e-8f50-0123456789ab" for _ in facts)
        self.log.append([Draft(event, next(ids), time, body) for event, body in facts], [SIGNER])

    def settle_flag(self, rule: str, key: str, flag: Flag | None) -> None:
        if flag is None:
            self.flags.pop(f"{rule}:{key}", None)
        else:
            self.flags[flag.flag_id] = flag

    def events(self) -> list[str]:
        return [entry.record.event for entry in self.log.entries()]


@dataclass
class FakeTsa:
    """An authority within reach of the hand: it answers after ``failures`` refusals, or never."""

    local: LocalTsa
    failures: int = 0
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name, self.trust = self.local.name, self.local.trust()

    def ask(self, size: int, data: bytes) -> bytes | None:
        self.asked.append(size)
        if self.failures > 0:
            self.failures -= 1
            raise AnchorError(f"{self.name} did not answer")
        query = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
        return self.local.answer(query.as_bytes())

    def asked_ms(self, size: int) -> int | None:  # noqa: ARG002  # the port's
        return None

    def replies(self) -> Iterator[tuple[int, bytes]]:
        return iter(())

    def settle(self, size: int, *, accepted: bool) -> None:
        pass


@dataclass
class Site:
    """A centre with anchors in a folder; ``pauses`` are the waits between attempts."""

    folder: Path
    tsas: Sequence[Tsa] = ()
    witnesses: Sequence[NoteKey] = (OUTSIDER_KEY,)
    schedule: Schedule = SCHEDULE
    centre: FakeCentre = field(default_factory=FakeCentre)
    pauses: list[float] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.published = PublishedLog(self.centre.files)
        self.store = AnchorStore(self.folder / "anchors")

    def anchorer(self) -> Anchorer:
        plan = Plan(self.tsas, self.witnesses, self.schedule, ZoneInfo("Asia/Shanghai"), self._wait, lambda: 0.5)
        return Anchorer(self.centre, self.published, self.store, plan, self.centre.clock.now_ms)

    def _wait(self, pause_s: float) -> bool:
        self.pauses.append(pause_s)
        return self.stopping

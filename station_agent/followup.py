"""What happens to a sealed copy in the background: describe, transcode, upload. None of it holds up sealing.

Jobs stand in the journal; each ends with an entry or an upload, or is tried again later with growing pauses. A job that
no tool can do ends with an entry that says so.
"""

import hashlib
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from custody.canonical import JsonObject, JsonValue
from custody.errors import ContractError
from custody.identifiers import uuid7
from custody.layout import proxy_name
from station_agent.durable import make_dirs, rename_file
from station_agent.errors import DamagedCopyError, JournalError, StoppingError, StoreError, ToolError
from station_agent.journal import DESCRIBE, TRANSCODE, UPLOAD, Job, Journal, source_path
from station_agent.model import Card, ClockReading, Described, Proxy, SourceFile, StationClock
from station_agent.ports import Clock, Store
from station_agent.seal import Seal

GIVE_UP_AFTER: Final = 4
"""Tries of one file while the tools themselves are well; then the entry says that they could not."""
FIRST_PAUSE_MS: Final = 1_000
LONGEST_PAUSE_MS: Final = 300_000
"""Pauses double from the first to the longest."""
JITTER_PARTS: Final = 4
"""A pause is longer by up to one such part, so that stations do not knock together."""
LONGEST_WAIT_MS: Final = LONGEST_PAUSE_MS + LONGEST_PAUSE_MS // JITTER_PARTS
"""No job waits longer; one that seems to was put off before the clock was set back."""
MAX_REASON: Final = 500
"""Characters kept of an error's text."""
IDLE_S: Final = 0.5
RECEIPT_PATIENCE_MS: Final = 2_000
"""After an upload the centre has this long to answer by itself before the entry is sent again."""
PART: Final = ".part"

READ_BACK: Final = "read-back"
"""Reason of the entry that says what a store gave back after an upload."""

_log = structlog.get_logger(__name__)


class FarStore(Protocol):
    """What is asked of a store that is no folder of this machine. Raises ``StoreError``."""

    def prepare(self) -> None:
        """Before evidence goes to it: the store proves itself, where that is wanted."""
        ...

    def found(self, object_id: str, name: str) -> JsonObject:
        """What it gives back of an object: ``size``, ``sha256`` and, where wanted, what it shows of its lock."""
        ...


@dataclass(frozen=True, slots=True)
class Media:
    """What is asked of the media tools; ``ready`` raises ``ToolError`` when a program is missing."""

    describe: Callable[[Path, SourceFile, Card, ClockReading, int, Mapping[str, str]], Described]
    """Of a copy: its source and its card, the recorder's clock, the docking time, and what was stated beside it."""
    derive: Callable[[Path, JsonObject, Path], Proxy | None]
    """Makes a playback copy at the given path, or None when the media need none. Raises ``ToolError``."""
    ready: Callable[[], None]


class FollowUp:
    """The background work of one station."""

    def __init__(  # noqa: PLR0913  # the rooms it connects
        self,
        clock: Clock,
        journal: Journal,
        seal: Seal,
        media: Media,
        store: Store,
        spool: Path,
        uploads_begin: Callable[[], bool] = lambda: True,
        far: FarStore | None = None,
    ) -> None:
        """``uploads_begin``: whether an upload may begin now; those of marked clips may at any time.

        ``far`` reads back what was uploaded; a folder needs none, its file was synced by this process.
        """
        self._clock = clock
        self._journal = journal
        self._seal = seal
        self._media = media
        self._store = store
        self._spool = spool
        self._uploads_begin = uploads_begin
        self._far = far
        self._steps: Mapping[str, Callable[[Job], None]] = {
            DESCRIBE: self._describe,
            TRANSCODE: self._transcode,
            UPLOAD: self._upload,
        }

    def run(self, kind: str, stop: threading.Event) -> None:
        """Do jobs of one kind until told to stop."""
        while not stop.is_set():
            if not self.step(kind):
                stop.wait(IDLE_S)

    def drain(self, stop: threading.Event) -> None:
        """Do all jobs that are due now, of every kind, and return; what fails stays for later."""
        while not stop.is_set() and any(self.step(kind) for kind in self._steps):
            continue

    def step(self, kind: str) -> bool:
        """Do the next job of a kind; False when none is due."""
        urgent_only = kind == UPLOAD and not self._uploads_begin()
        job = self._journal.due_job(kind, self._clock.now().utc_ms, LONGEST_WAIT_MS, urgent_only=urgent_only)
        if job is None:
            return False
        try:
            self._steps[kind](job)
        except StoppingError:
            return False
        except (ToolError, StoreError, OSError) as error:
            self._later(job, str(error))
        return True

    def _describe(self, job: Job) -> None:
        stored = _block(job.record, "object")
        try:
            self._seal.append("media.described", {"object": stored, "media": self._media_of(job)})
        except ContractError as error:
            # Whatever a file says of itself, its job comes to an end.
            media = undescribed(_source(job.record)[2], f"the description cannot be recorded: {error}")
            self._seal.append("media.described", {"object": stored, "media": media})

    def _media_of(self, job: Job) -> JsonObject:
        path = self._spool / str(_block(job.record, "object")["name"])
        try:
            return self._media.describe(path, *_source(job.record)).media
        except ToolError as error:
            if not self._hopeless(job):
                raise
            return undescribed(_source(job.record)[2], str(error))

    def _transcode(self, job: Job) -> None:
        parent = _block(job.record, "object")
        temporary = self._spool / f"{parent['id']}.mp4{PART}"
        try:
            proxy = self._media.derive(self._spool / str(parent["name"]), _block(job.record, "media"), temporary)
            if proxy is None:
                self._journal.finish(job)
            else:
                self._keep_proxy(parent, proxy)
        except (ToolError, ContractError) as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, ToolError) and not self._hopeless(job):
                raise
            self._seal.append("proxy.failed", {"parents": _parents(parent), "reason": str(error)[:MAX_REASON]})

    def _keep_proxy(self, parent: Mapping[str, JsonValue], proxy: Proxy) -> None:
        """Name, then entry. Raises ``ContractError``, leaving no file, for a recipe that no entry can hold."""
        proxy_id, made_ms = proxy_identity(str(parent["id"]))
        if self._journal.is_urgent(str(parent["id"])):
            self._journal.urge(proxy_id)
        name = proxy_name(proxy_id, made_ms)
        final = self._spool / name
        make_dirs(final.parent)
        rename_file(proxy.path, final)
        stored: JsonObject = {
            "id": proxy_id,
            "name": name,
            "size": proxy.size,
            "media_type": "video/mp4",
            "digests": {"sha256": proxy.sha256},
        }
        body: JsonObject = {"object": stored, "parents": _parents(parent), "recipe": proxy.recipe}
        try:
            self._seal.append("proxy.created", body)
        except ContractError:
            final.unlink()
            raise

    def _upload(self, job: Job) -> None:
        stored = _block(job.record, "object")
        name = str(stored["name"])
        if self._far:
            self._far.prepare()
        try:
            self._store.put(self._spool / name, name, _sha256(stored))
        except DamagedCopyError as error:
            self._say_damaged(job, stored, str(error)[:MAX_REASON])
            raise
        if self._far:
            self._read_back(job, stored, self._far.found(str(stored["id"]), name))
        self._journal.finish(job)
        self._journal.hasten(job.object_id, self._clock.now().utc_ms + RECEIPT_PATIENCE_MS)

    def _read_back(self, job: Job, stored: Mapping[str, JsonValue], found: JsonObject) -> None:
        """An entry with what came back; of other bytes once for each way, and the job stays: it uploads them again."""
        same = (found["size"], found["sha256"]) == (stored["size"], _sha256(stored))
        note = "" if same else f"{READ_BACK}: {found['size']} bytes, SHA-256 {found['sha256']}"
        if same or job.reason != note:
            result = "verified" if same else "failed"
            body: JsonObject = {"object": stored, "result": result, "reason": READ_BACK, "stored": found}
            self._seal.append("integrity.checked", body)
        if not same:
            raise StoreError(note)

    def _say_damaged(self, job: Job, stored: Mapping[str, JsonValue], note: str) -> None:
        """An entry once for each way in which the copy is wrong; the job stays, for a copy can be restored."""
        _log.error("copy-damaged", object=job.object_id, note=note)
        if job.reason != note:
            body: JsonObject = {"object": stored, "result": "failed", "reason": "copy-damaged", "note": note}
            self._seal.append("integrity.checked", body)

    def _hopeless(self, job: Job) -> bool:
        """Whether this file, and not the tools, is to blame. Raises ``ToolError`` when a program is missing."""
        self._media.ready()
        return job.attempts + 1 >= GIVE_UP_AFTER

    def _later(self, job: Job, reason: str) -> None:
        _log.warning("job-failed", job=job.kind, object=job.object_id, attempt=job.attempts + 1, reason=reason)
        self._journal.postpone(job, self._clock.now().utc_ms + pause_ms(job.attempts), reason[:MAX_REASON])


def pause_ms(attempts: int, jitter: Callable[[], float] = random.random) -> int:
    """Milliseconds until the next try after so many failed ones: doubling, with up to a quarter of jitter."""
    pause = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(attempts, 20))
    return pause + int(pause * jitter() / JITTER_PARTS)


def proxy_identity(parent_id: str) -> tuple[str, int]:
    """Object id of the one proxy of a parent, and the time in it: making it again after a kill leaves no second one."""
    made_ms = int(parent_id.replace("-", "")[:12], 16)
    return uuid7(made_ms, hashlib.sha256(f"proxy of {parent_id}".encode()).digest()[:10]), made_ms


def undescribed(file_clock: ClockReading, reason: str) -> JsonObject:
    """The ``media`` block of a file that no tool could look into."""
    return {
        "kind": "other",
        "playable": "unknown",
        "container": "",
        "mime": "application/octet-stream",
        "duration_ms": None,
        "start": None,
        "times": [],
        "clock": file_clock.block(),
        "place": None,
        "video": None,
        "audio": None,
        "device_as_stated": "",
        "officer_as_stated": "",
        "case_as_stated": "",
        "family": "generic",
        "problems": ["unreadable-media", "time-unknown"],
        "tools": {"problem": reason[:500]},
    }


def _source(record: JsonObject) -> tuple[SourceFile, Card, ClockReading, int, Mapping[str, str]]:
    """What the describer needs of the ``ingest.copied`` entry, in its order: the file as listed, its card and so on."""
    source, clock, camera = _block(record, "source"), _block(record, "clock"), _block(record, "camera")
    file = SourceFile(source_path(source), _number(source, "size") or 0, (_number(source, "mtime_ms") or 0) * 1_000_000)
    reading = ClockReading(
        _number(clock, "offset_ms"),
        _number(clock, "uncertainty_ms"),
        str(clock.get("method", "unmeasured")),
        _station_clock(clock.get("station")),
    )
    stated = record.get("stated")
    words = {key: str(value) for key, value in stated.items()} if isinstance(stated, Mapping) else {}
    card = Card(str(camera.get("family", "")), str(camera.get("label", "")))
    return file, card, reading, _number(record, "docked_ms") or 0, words


def _station_clock(said: JsonValue) -> StationClock | None:
    if not isinstance(said, Mapping):
        return None
    return StationClock(
        str(said.get("source", "")),
        synchronised=said.get("synchronised") == "yes",
        offset_ms=_number(said, "offset_ms"),
        uncertainty_ms=_number(said, "uncertainty_ms"),
    )


def _block(record: JsonObject, name: str) -> Mapping[str, JsonValue]:
    value = record.get(name)
    if not isinstance(value, Mapping):
        raise JournalError(f"an entry of ours has no {name}")
    return value


def _number(fields: Mapping[str, JsonValue], name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) else None


def _parents(parent: Mapping[str, JsonValue]) -> list[JsonValue]:
    return [{"id": parent["id"], "sha256": _sha256(parent)}]


def _sha256(stored: Mapping[str, JsonValue]) -> str:
    return str(_block(stored, "digests")["sha256"])

